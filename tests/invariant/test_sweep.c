/* SPDX-License-Identifier: Apache-2.0 */
/* Every response of a sweep equals the same configuration run alone, bit for bit, however the sweep
 * is cut up. */
#include "models.h"

#define INSTANCES 3
#define SITES 5
static const int32_t prompts[2 * INSTANCES][40] = {
    {1,  75,  107, 104, 35, 102, 100, 115, 108, 119, 100, 111,
     35, 114, 105, 35,  78, 104, 113, 124, 100, 35,  108, 118},
    {40},
    {9, 9, 61, 130, 17}, /* sources */
    {1,   80,  109, 108, 35,  112, 110, 120, 120, 35, 122, 100, 35,  78, 104, 113,
     124, 100, 35,  113, 108, 9,   55,  201, 33,  77, 140, 31,  254, 60, 61},
    {200, 7, 31, 5},
    {77}}; /* targets */
static const size_t counts[2 * INSTANCES] = {24, 1, 5, 31, 4, 1};
static const char *const names[SITES] = {"attn", "ffn", "block", "attn-released", "a:m"};

#include "sweep_fixture.h"

static void check_alone(Fixture *f, const Results *r) {
  xt_error error;
  const xt_generate_options o = {.ignore_eos = f->options.ignore_eos,
                                 .max_new_tokens = f->options.max_new_tokens};
  for (int n = 0; n < INSTANCES; n++) {
    const xt_request source = {.ids = prompts[n], .count = counts[n]};
    xt_request target = {.ids = prompts[INSTANCES + n], .count = counts[INSTANCES + n]};
    xt_generation alone;
    xt_taps *taps;
    ASSERT_OK(xt_session_capture(f->session, &source, &taps, &error));
    ASSERT_OK(xt_session_generate(f->session, &target, 1, &o, &alone, &error));
    models_same(&alone, &r->vanilla[n]);
    xt_generation_deinit(&alone);
    for (int s = 0; s < (int)f->options.site_count; s++)
      for (int i = 0; i < f->layers; i++)
        for (int j = 0; j < f->layers; j += getenv("XT_TEST_BRIEF") ? f->layers - 1 : 1) {
          const xt_intervention iv = {.write = f->sites[s].write,
                                      .layer = j,
                                      .position = XT_POSITION_LAST,
                                      .value = xt_taps_get(taps, f->sites[s].read, i)};
          target.interventions = &iv;
          target.intervention_count = 1;
          ASSERT_OK(xt_session_generate(f->session, &target, 1, &o, &alone, &error));
          models_same(&alone, &r->cells[n][s][i][j]);
          xt_generation_deinit(&alone);
        }
    xt_taps_free(taps);
  }
}

static const struct {
  const char *shape, *dtype;
} kinds[] = {{"tiny-llama", "bf16"}, {"tiny-mistral", "f32"}, {"tiny-qwen2", "f16"}};

static void test_equals_run_alone(void **state) {
  (void)state;
  ON_ONE_THREAD();
  const bool brief = getenv("XT_TEST_BRIEF");
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (int ignore = 0; ignore < (brief ? 1 : 2); ignore++) {
      Fixture f;
      xt_sweep_stats stats;
      fixture_open(&f, kinds[k].shape, kinds[k].dtype, &(xt_model_options){.threads = 1});
      f.options.ignore_eos = ignore;
      Results *r = sweep(&f, &f.options, &stats);
      assert_int_equal(r->count, INSTANCES * (1 + SITES * LAYERS * LAYERS));
      assert_int_equal(stats.responses, r->count);
      assert_true(stats.row_layers < stats.row_layers_alone);
      check_alone(&f, r);
      results_free(r);
      fixture_close(&f);
    }
}

static uint64_t layers_of(Fixture *f) {
  xt_sweep_stats stats;
  results_free(sweep(f, &f->options, &stats));
  return stats.row_layers;
}

/* Responses to source prompts, those that are asked for, are those of generation; instances with
 * the same source share one row. */
static void test_source_responses(void **state) {
  (void)state;
  xt_error error;
  Fixture f;
  fixture_open(&f, "tiny-llama", "bf16", &(xt_model_options){.threads = 2});
  for (int penalized = 0; penalized < 2; penalized++) {
    const xt_generate_options o = {.repetition_penalty = penalized ? 1.4 : 0};
    f.options.repetition_penalty = o.repetition_penalty;
    f.options.max_rows = penalized ? 50 : 0;
    f.instances[0].run_source = f.instances[2].run_source = true;
    xt_sweep_stats stats;
    Results *r = sweep(&f, &f.options, &stats);
    assert_null(r->source[1].ids);
    assert_int_equal(r->count, INSTANCES * (1 + SITES * LAYERS * LAYERS) + 2);
    assert_int_equal(stats.responses, r->count - 2);
    for (int n = 0; n < INSTANCES; n += 2) {
      const xt_request request = {.ids = prompts[n], .count = counts[n]};
      xt_generation alone;
      ASSERT_OK(xt_session_generate(f.session, &request, 1, &o, &alone, &error));
      models_same(&alone, &r->source[n]);
      xt_generation_deinit(&alone);
    }
    results_free(r);
  }
  f.options.max_rows = 0;
  for (int n = 0; n < INSTANCES; n++)
    f.instances[n].source = prompts[0], f.instances[n].source_count = counts[0],
    f.instances[n].run_source = false;
  const uint64_t without = layers_of(&f);
  f.instances[1].run_source = true;
  const uint64_t one = layers_of(&f);
  f.instances[0].run_source = f.instances[2].run_source = true;
  assert_true(one > without);
  assert_int_equal(layers_of(&f), one);
  fixture_close(&f);
}

static void open_golden(Fixture *f, const char *name, int threads) {
  char path[512];
  snprintf(path, sizeof path, "%s/tests/golden/models/%s", XT_SOURCE_DIR, name);
  fixture_open_path(f, path, &(xt_model_options){.threads = threads});
  f->options.max_new_tokens = 6;
  f->options.ignore_eos = true;
}

/* Every architecture: of each golden model, by another number of rows a pass, each response is that
 * of the configuration alone. A write at mid is refused where the modules are parallel. */
static void test_architectures(void **state) {
  (void)state;
  static const char *const models[] = {
      "qwen3",         "gemma2",        "gemma3",  "cohere",      "cohere2", "olmo3",
      "smollm3",       "granite",       "glm4",    "exaone4",     "phi3",    "apertus",
      "hunyuan",       "ministral3",    "neox",    "neox-serial", "bloom",   "xglm",
      "llama-dynamic", "phi3-longrope", "mixtral", "qwen3-moe"};
  const bool brief = getenv("XT_TEST_BRIEF");
  for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
    xt_error error;
    const bool parallel = strncmp(models[k], "cohere", 6) == 0 || strcmp(models[k], "neox") == 0;
    if (brief && !parallel) continue;
    Fixture f;
    open_golden(&f, models[k], 2);
    f.options.max_rows = 31;
    if (parallel) {
      Results none = {0};
      assert_int_equal(xt_session_sweep(f.session, f.instances, INSTANCES, &f.options, keep, &none,
                                        NULL, &error),
                       XT_STATUS_ARGUMENT);
      assert_non_null(strstr(error.message, "mid"));
      f.options.site_count = SITES - 1;
    }
    Results *r = sweep(&f, &f.options, NULL);
    assert_int_equal(r->count, INSTANCES * (1 + (int)f.options.site_count * f.layers * f.layers));
    check_alone(&f, r);
    results_free(r);
    fixture_close(&f);
  }
}

/* Mixtures of experts, whose products run over the rows that chose an expert: on one thread in passes
 * of few rows, and of configurations that an earlier run left out. */
static void test_mixtures(void **state) {
  (void)state;
  static const char *const models[] = {"mixtral", "qwen3-moe"};
  static const int last = 1;
  for (size_t k = 0; k < 2; k++) {
    Fixture two, one;
    open_golden(&two, models[k], 2);
    open_golden(&one, models[k], 1);
    Results *whole = sweep(&two, &two.options, NULL);
    one.options.max_rows = 7;
    Results *cut = sweep(&one, &one.options, NULL);
    same_results(whole, cut);
    two.options.target_layers = &last;
    two.options.target_layer_count = 1;
    Results *rest = sweep(&two, &two.options, NULL);
    for (int n = 0; n < INSTANCES; n++)
      for (int s = 0; s < SITES; s++)
        for (int i = 0; i < two.layers; i++)
          models_same(&whole->cells[n][s][i][last], &rest->cells[n][s][i][last]);
    results_free(whole), results_free(cut), results_free(rest);
    fixture_close(&two), fixture_close(&one);
  }
}

/* Settings of generation that look at a row's own tokens: rows that share nodes, rows cut into
 * passes, and rows alone agree. */
static void test_generation_settings(void **state) {
  (void)state;
  static const char settings[] = "{\"eos_token_id\": [2, 60], \"repetition_penalty\": 1.1, "
                                 "\"no_repeat_ngram_size\": 2, \"min_new_tokens\": 4, "
                                 "\"bad_words_ids\": [[61], [5, 7]], \"begin_suppress_tokens\": "
                                 "[9], \"forced_eos_token_id\": 3}";
  Fixture f;
  char path[128], file[160];
  xt_error error;
  xt_sweep_stats stats;
  const xt_synth_options options = {.shape = "tiny-llama", .dtype = "f32", .seed = 11};
  models_make("tiny-llama", "f32", path);
  snprintf(path, sizeof path, "%s/settings", models_folder);
  ASSERT_OK(xt_model_synthesize(&options, path, &error));
  snprintf(file, sizeof file, "%s/generation_config.json", path);
  FILE *out = fopen(file, "wb");
  assert_true(out && fwrite(settings, 1, sizeof settings - 1, out) == sizeof settings - 1 &&
              fclose(out) == 0);
  fixture_open_path(&f, path, &(xt_model_options){.threads = 2});
  f.options.max_new_tokens = 8;
  Results *whole = sweep(&f, &f.options, &stats);
  assert_true(stats.row_layers < stats.row_layers_alone);
  assert_int_equal(whole->vanilla[0].ids[7], 3);
  check_alone(&f, whole);
  f.options.max_rows = 31;
  Results *cut = sweep(&f, &f.options, NULL);
  same_results(whole, cut);
  results_free(cut);
  results_free(whole);
  fixture_close(&f);
}

/* The whole at once on two threads; cut up in several ways, and with nothing shared, on one. */
static void test_cutting_does_not_matter(void **state) {
  (void)state;
  static const int rows[] = {31, 60, 1, 200};
  const bool brief = getenv("XT_TEST_BRIEF");
  for (size_t k = brief ? 2 : 0; k < sizeof kinds / sizeof *kinds; k++) {
    Fixture f;
    fixture_open(&f, kinds[k].shape, kinds[k].dtype, &(xt_model_options){.threads = 2});
    Results *whole = sweep(&f, &f.options, NULL);
    fixture_close(&f);
    if (RACES) { /* the others run on one thread */
      results_free(whole);
      continue;
    }
    fixture_open(&f, kinds[k].shape, kinds[k].dtype, &(xt_model_options){.threads = 1});
    for (size_t i = 0; i < (brief ? 1 : sizeof rows / sizeof *rows); i++) {
      xt_sweep_options cut = f.options;
      cut.max_rows = rows[i];
      Results *r = sweep(&f, &cut, NULL);
      same_results(whole, r);
      results_free(r);
    }
    xt_sweep_options unshared = f.options;
    xt_sweep_stats shared_stats, unshared_stats;
    unshared.no_sharing = true;
    Results *each = sweep(&f, &unshared, &unshared_stats);
    same_results(whole, each);
    results_free(each);
    each = sweep(&f, &f.options, &shared_stats);
    same_results(whole, each);
    results_free(each);
    assert_int_equal(unshared_stats.row_layers_alone, shared_stats.row_layers_alone);
    assert_true(shared_stats.row_layers < unshared_stats.row_layers);
    results_free(whole);
    fixture_close(&f);
  }
}

/* A tight memory limit cuts the sweep into passes, and a tighter one is refused with the figure. */
static void test_memory(void **state) {
  (void)state;
  Fixture f;
  xt_error error;
  xt_sweep_plan plan;
  fixture_open(&f, "tiny-llama", "bf16", NULL);
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error));
  assert_int_equal(plan.instances_together, INSTANCES);
  assert_int_equal(plan.passes, 1);
  assert_int_equal(plan.responses, INSTANCES * (1 + SITES * LAYERS * LAYERS));
  const uint64_t loose = plan.bytes;
  Results *whole = sweep(&f, &f.options, NULL);
  fixture_close(&f);
  fixture_open(&f, "tiny-llama", "bf16", &(xt_model_options){.memory_limit = loose / 4});
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error));
  assert_true(plan.passes > INSTANCES);
  assert_true(plan.bytes <= loose / 4);
  Results *tight = sweep(&f, &f.options, NULL);
  same_results(whole, tight);
  results_free(tight);
  results_free(whole);
  f.options.max_new_tokens = 2000;
  assert_int_equal(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error),
                   XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "memory limit"));
  fixture_close(&f);
}

typedef struct Groups {
  xt_session *session;
  Results *results;
  size_t next, most;
} Groups;

/* Uses the session, as a caller may who runs something else with each group. */
static xt_status note_group(void *user, size_t first, size_t count, xt_error *error) {
  Groups *g = user;
  xt_generation out;
  const xt_request request = {.ids = prompts[0], .count = counts[0]};
  assert_int_equal(first, g->next);
  g->next += count;
  if (first + count > g->most) {
    error->status = XT_STATUS_IO;
    return XT_STATUS_IO;
  }
  assert_int_equal(xt_session_generate(g->session, &request, 1, NULL, &out, error), XT_STATUS_OK);
  xt_generation_deinit(&out);
  return XT_STATUS_OK;
}

static xt_status keep_of_groups(void *user, const xt_sweep_response *r, xt_error *error) {
  Groups *g = user;
  assert_true(r->instance < g->next);
  return keep(g->results, r, error);
}

/* Each group is told before it is run, and what the caller does then changes nothing; its error
 * ends the sweep. */
static void test_begin(void **state) {
  (void)state;
  Fixture f;
  xt_error error;
  fixture_open(&f, "tiny-llama", "bf16", NULL);
  Results *whole = sweep(&f, &f.options, NULL);
  Groups g = {.session = f.session, .results = calloc(1, sizeof *g.results), .most = INSTANCES};
  xt_sweep_options o = f.options;
  o.begin = note_group;
  o.user = &g;
  o.max_rows = SITES * LAYERS * LAYERS;
  ASSERT_OK(
      xt_session_sweep(f.session, f.instances, INSTANCES, &o, keep_of_groups, &g, NULL, &error));
  assert_int_equal(g.next, INSTANCES);
  same_results(whole, g.results);
  results_free(g.results);
  results_free(whole);
  g = (Groups){.session = f.session, .results = calloc(1, sizeof *g.results), .most = 1};
  assert_int_equal(
      xt_session_sweep(f.session, f.instances, INSTANCES, &o, keep_of_groups, &g, NULL, &error),
      XT_STATUS_IO);
  assert_int_equal(g.results->count, 1 + SITES * LAYERS * LAYERS);
  results_free(g.results);
  fixture_close(&f);
}

/* The operations that are counted are those that the model's facts give. */
static void test_flops(void **state) {
  (void)state;
  static const int first = 0, last = LAYERS - 1;
  Fixture f;
  xt_error error;
  xt_model_info info;
  xt_sweep_stats stats;
  fixture_open(&f, "tiny-llama", "bf16", NULL);
  xt_model_get_info(f.model, &info);
  const double c = info.width, parameters = c * 2 * (info.heads + info.kv_heads) * info.head_dim +
                                            3 * c * info.feed_forward;
  assert_true(info.layer_flops == 2 * parameters && info.unembed_flops == 2 * c * info.vocab);
  const xt_sweep_options o = {.sites = &f.sites[2],
                              .site_count = 1,
                              .source_layers = &first,
                              .source_layer_count = 1,
                              .target_layers = &last,
                              .target_layer_count = 1,
                              .max_new_tokens = 1};
  Results *r = calloc(1, sizeof *r);
  ASSERT_OK(xt_session_sweep(f.session, f.instances, 1, &o, keep, r, &stats, &error));
  /* both prompts through all layers, the token that they both begin with once; the untouched
   * logits, and those of an output that replaces the last layer's */
  assert_int_equal(prompts[0][0], prompts[INSTANCES][0]);
  assert_true(stats.flops ==
              (double)(counts[0] + counts[INSTANCES] - 1) * info.layers * info.layer_flops +
                  2 * info.unembed_flops);
  results_free(r);
  fixture_close(&f);
}

static void expect_refused(Fixture *f, const char *part) {
  xt_error error;
  Results r = {0};
  assert_int_equal(
      xt_session_sweep(f->session, f->instances, INSTANCES, &f->options, keep, &r, NULL, &error),
      XT_STATUS_ARGUMENT);
  assert_int_equal(r.count, 0);
  if (!strstr(error.message, part)) fail_msg("'%s' does not say '%s'", error.message, part);
}

static void test_bad_options(void **state) {
  (void)state;
  Fixture f;
  static const int outside[] = {0, 6}, twice[] = {2, 2};
  fixture_open(&f, "tiny-llama", "bf16", NULL);
  f.options.target_layers = outside;
  f.options.target_layer_count = 2;
  expect_refused(&f, "layers 0 to 5");
  f.options.target_layers = twice;
  expect_refused(&f, "twice");
  f.options.target_layers = NULL;
  f.options.site_count = 0;
  expect_refused(&f, "sites");
  f.options.site_count = SITES;
  f.instances[1].target_count = 0;
  expect_refused(&f, "no tokens");
  fixture_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equals_run_alone),
      cmocka_unit_test(test_source_responses),
      cmocka_unit_test(test_architectures),
      cmocka_unit_test(test_mixtures),
      cmocka_unit_test(test_generation_settings),
      cmocka_unit_test(test_cutting_does_not_matter),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_begin),
      cmocka_unit_test(test_flops),
      cmocka_unit_test(test_bad_options),
  };
  return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
