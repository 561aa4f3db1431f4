/* SPDX-License-Identifier: Apache-2.0 */
/* Tiny random models for tests, made once in a temporary folder that is removed at exit. */
#ifndef TESTS_MODELS_H
#define TESTS_MODELS_H

#include <ftw.h>
#include <unistd.h>

#include "support.h"
#include "xtransplant/xt.h"

static char models_folder[64];

static int models_remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw) {
  (void)info, (void)flag, (void)ftw;
  return remove(path);
}

static inline void models_remove(void) {
  if (models_folder[0]) nftw(models_folder, models_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a model of `shape` with weights of `dtype`; written into `path` (>= 128 bytes). */
static inline const char *models_make(const char *shape, const char *dtype, char *path) {
  xt_error error;
  if (!models_folder[0]) {
    strcpy(models_folder, "/tmp/xt-test-XXXXXX");
    assert_non_null(mkdtemp(models_folder));
    atexit(models_remove);
  }
  snprintf(path, 128, "%s/%s-%s", models_folder, shape, dtype);
  if (access(path, F_OK) != 0) {
    const xt_synth_options options = {.shape = shape, .dtype = dtype, .seed = 11};
    ASSERT_OK(xt_model_synthesize(&options, path, &error));
  }
  return path;
}

static inline void models_open(const char *shape, const char *dtype,
                               const xt_model_options *options, xt_model **model,
                               xt_session **session) {
  xt_error error;
  char path[128];
  ASSERT_OK(xt_model_open(models_make(shape, dtype, path), options, model, &error));
  if (session) ASSERT_OK(xt_session_create(*model, session, &error));
}

static inline void *models_copy_bytes(const void *from, size_t bytes) {
  return memcpy(malloc(bytes), from, bytes);
}

/* What xt_generation_deinit frees; without lenses. */
static inline xt_generation models_copy(const xt_generation *g) {
  return (xt_generation){
      .count = g->count,
      .stopped = g->stopped,
      .ids = models_copy_bytes(g->ids, g->count * sizeof *g->ids),
      .margins = models_copy_bytes(g->margins, g->count * sizeof(float)),
      .entropies = models_copy_bytes(g->entropies, g->count * sizeof(float)),
      .logprobs = models_copy_bytes(g->logprobs, g->count * sizeof(float)),
      .effect_count = g->effect_count,
      .effects =
          g->effect_count ? models_copy_bytes(g->effects, g->effect_count * sizeof(float)) : NULL};
}

static inline void models_same(const xt_generation *a, const xt_generation *b) {
  assert_int_equal(a->count, b->count);
  assert_int_equal(a->stopped, b->stopped);
  assert_memory_equal(a->ids, b->ids, a->count * sizeof *a->ids);
  assert_memory_equal(a->margins, b->margins, a->count * sizeof *a->margins);
  assert_memory_equal(a->entropies, b->entropies, a->count * sizeof *a->entropies);
  assert_memory_equal(a->logprobs, b->logprobs, a->count * sizeof *a->logprobs);
  assert_int_equal(a->effect_count, b->effect_count);
  if (a->effect_count)
    assert_memory_equal(a->effects, b->effects, a->effect_count * sizeof *a->effects);
}

#endif
