/* SPDX-License-Identifier: Apache-2.0 */
/* Small models of several architectures with three prompts and their taps. */
#ifndef TESTS_ENGINE_FIXTURE_H
#define TESTS_ENGINE_FIXTURE_H

#include "models.h"

#define PROMPTS 3
static const int32_t prompts[PROMPTS][40] = {
    {1,  75,  107, 104, 35, 102, 100, 115, 108, 119, 100, 111,
     35, 114, 105, 35,  78, 104, 113, 124, 100, 35,  108, 118},
    {1,   80, 109, 108, 35, 112, 110, 120, 120, 35,  122, 100, 35, 78, 104, 113, 124,
     100, 35, 113, 108, 9,  55,  201, 33,  77,  140, 31,  254, 60, 61, 62,  99},
    {40}};
static const size_t lengths[PROMPTS] = {24, 33, 1};

static const struct {
  const char *shape, *dtype;
} kinds[] = {{"tiny-llama", "f32"}, {"tiny-mistral", "bf16"}, {"tiny-qwen2", "f16"}};
#define KINDS (sizeof kinds / sizeof *kinds)

typedef struct Fixture {
  xt_model *model;
  xt_session *session;
  xt_taps *taps[PROMPTS];
  int layers;
} Fixture;

static inline Fixture fixture_open(size_t kind, const xt_model_options *options) {
  static const xt_model_options one = {.threads = 1}; /* tests that are not about threads leave
                                                         processors to others */
  if (!options) options = &one;
  Fixture f;
  xt_error error;
  xt_model_info info;
  models_open(kinds[kind].shape, kinds[kind].dtype, options, &f.model, &f.session);
  xt_model_get_info(f.model, &info);
  f.layers = info.layers;
  for (int p = 0; p < PROMPTS; p++) {
    const xt_request request = {.ids = prompts[p], .count = lengths[p]};
    ASSERT_OK(xt_session_capture(f.session, &request, &f.taps[p], &error));
  }
  return f;
}

static inline void fixture_close(Fixture *f) {
  for (int p = 0; p < PROMPTS; p++) xt_taps_free(f->taps[p]);
  xt_session_free(f->session);
  xt_model_close(f->model);
}

static inline xt_intervention put(const Fixture *f, int source, xt_site site, int i, int j) {
  return (xt_intervention){.write = site.write,
                           .layer = j,
                           .position = XT_POSITION_LAST,
                           .value = xt_taps_get(f->taps[source], site.read, i)};
}

static inline xt_generation generate_one(const Fixture *f, int prompt, const xt_intervention *ivs,
                                         size_t n, const xt_generate_options *o) {
  xt_error error;
  xt_generation out;
  const xt_request request = {.ids = prompts[prompt],
                              .count = lengths[prompt],
                              .interventions = ivs,
                              .intervention_count = n};
  ASSERT_OK(xt_session_generate(f->session, &request, 1, o, &out, &error));
  return out;
}

#endif
