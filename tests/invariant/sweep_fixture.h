/* SPDX-License-Identifier: Apache-2.0 */
/* A model with instances and sites, a sweep of them, and its responses. The test that includes this
 * says before how many there are, INSTANCES and SITES, and has `prompts` (of the sources, then of the
 * targets), their `counts`, and the `names` of the sites. */
#ifndef TESTS_SWEEP_FIXTURE_H
#define TESTS_SWEEP_FIXTURE_H

#include "models.h"

#define LAYERS 6 /* at most */

typedef struct Fixture {
  xt_model *model;
  xt_session *session;
  xt_model_info info;
  int layers;
  size_t width;
  xt_instance instances[INSTANCES];
  xt_site sites[SITES];
  xt_control_input controls[INSTANCES][SITES]; /* empty */
  float *values; /* [INSTANCES][layers][width] to write, as the test likes */
  xt_sweep_options options;
} Fixture;

/* Everything but the model and its session. */
static inline void fixture_set(Fixture *f) {
  xt_error error;
  xt_model_get_info(f->model, &f->info);
  f->layers = f->info.layers;
  f->width = (size_t)f->info.width;
  for (int i = 0; i < INSTANCES; i++)
    f->instances[i] = (xt_instance){.source = prompts[i],
                                    .source_count = counts[i],
                                    .target = prompts[INSTANCES + i],
                                    .target_count = counts[INSTANCES + i]};
  for (int s = 0; s < SITES; s++) ASSERT_OK(xt_site_parse(names[s], &f->sites[s], &error));
  const size_t all = INSTANCES * (size_t)f->layers * f->width;
  f->values = calloc(all, sizeof *f->values);
  for (size_t k = 0; k < all; k++) f->values[k] = 0.01f * (float)((k * 7919) % 201) - 1;
  f->options =
      (xt_sweep_options){.sites = f->sites, .site_count = SITES, .controls = f->controls[0]};
}

static inline void fixture_open(Fixture *f, const char *shape, const char *dtype,
                                const xt_model_options *options) {
  *f = (Fixture){0};
  models_open(shape, dtype, options, &f->model, &f->session);
  fixture_set(f);
}

/* Of a folder; NULL: of a small random model. */
static inline void fixture_open_path(Fixture *f, const char *path,
                                     const xt_model_options *options) {
  xt_error error;
  if (!path) {
    fixture_open(f, "tiny-llama", "bf16", options);
    return;
  }
  *f = (Fixture){0};
  ASSERT_OK(xt_model_open(path, options, &f->model, &error));
  ASSERT_OK(xt_session_create(f->model, &f->session, &error));
  fixture_set(f);
}

static inline void fixture_close(Fixture *f) {
  free(f->values);
  xt_session_free(f->session);
  xt_model_close(f->model);
}

/* All responses of a sweep, by configuration. */
typedef struct Results {
  xt_generation vanilla[INSTANCES], source[INSTANCES];
  xt_generation cells[INSTANCES][SITES][LAYERS][LAYERS];
  float *source_effects[INSTANCES];
  int count;
} Results;

static inline xt_status keep(void *user, const xt_sweep_response *r, xt_error *error) {
  (void)error;
  Results *results = user;
  const xt_generation *g = r->generation;
  xt_generation *to = r->site == XT_SWEEP_SOURCE ? &results->source[r->instance]
                      : r->site < 0
                          ? &results->vanilla[r->instance]
                          : &results->cells[r->instance][r->site][r->source_layer][r->target_layer];
  assert_null(to->ids); /* each once */
  assert_int_equal(r->source_effects != NULL, r->site == XT_SWEEP_VANILLA && g->effect_count);
  *to = models_copy(g);
  if (r->source_effects)
    results->source_effects[r->instance] =
        models_copy_bytes(r->source_effects, g->effect_count * sizeof(float));
  results->count++;
  return XT_STATUS_OK;
}

/* `stats` may be NULL. The caller frees the results with results_free. */
static inline Results *sweep(Fixture *f, const xt_sweep_options *options, xt_sweep_stats *stats) {
  xt_error error;
  Results *r = calloc(1, sizeof *r);
  ASSERT_OK(xt_session_sweep(f->session, f->instances, INSTANCES, options, keep, r, stats, &error));
  return r;
}

static inline void results_free(Results *r) {
  xt_generation *all = &r->cells[0][0][0][0];
  for (int i = 0; i < INSTANCES; i++) {
    xt_generation_deinit(&r->vanilla[i]);
    xt_generation_deinit(&r->source[i]);
    free(r->source_effects[i]);
  }
  for (int k = 0; k < INSTANCES * SITES * LAYERS * LAYERS; k++) xt_generation_deinit(&all[k]);
  free(r);
}

static inline void same_results(const Results *a, const Results *b) {
  const xt_generation *x = &a->cells[0][0][0][0], *y = &b->cells[0][0][0][0];
  assert_int_equal(a->count, b->count);
  for (int i = 0; i < INSTANCES; i++) {
    models_same(&a->vanilla[i], &b->vanilla[i]);
    assert_int_equal(a->source_effects[i] != NULL, b->source_effects[i] != NULL);
    if (a->source_effects[i])
      assert_memory_equal(a->source_effects[i], b->source_effects[i],
                          a->vanilla[i].effect_count * sizeof(float));
  }
  for (int k = 0; k < INSTANCES * SITES * LAYERS * LAYERS; k++) models_same(&x[k], &y[k]);
}

static inline xt_taps *taps_of(const Fixture *f, const xt_request *request) {
  xt_taps *taps;
  xt_error error;
  ASSERT_OK(xt_session_capture(f->session, request, &taps, &error));
  return taps;
}

#endif
