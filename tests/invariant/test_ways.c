/* SPDX-License-Identifier: Apache-2.0 */
/* Rules, spans and positions in a sweep: each response is that of the same values written alone, bit
 * for bit, however the sweep is cut up. */
#include "models.h"

#define INSTANCES 2
#define SITES 24

static const int32_t prompts[2 * INSTANCES][12] = {{1, 75, 107, 104, 35, 102},
                                                   {9, 9, 61, 130, 17}, /* sources */
                                                   {1, 80, 109, 108, 35, 112, 110},
                                                   {77}}; /* targets */
static const size_t counts[2 * INSTANCES] = {6, 5, 7, 1};
static const char *const names[SITES] = {"attn+add2",
                                         "ffn+blend0.25",
                                         "block+add-0.5+span3",
                                         "a:m+span2",
                                         "attn+generated",
                                         "ffn+add1.5+span2+generated",
                                         "block+blend0.5+all",
                                         "attn-released+span6+all",
                                         "o:o+blend0.9+generated",
                                         "block",
                                         "m:m+add0.5+self",
                                         "ffn+all+self",
                                         "o:o+vector.x+add0.5",
                                         "ffn+langs.a.b+span2",
                                         "block+langs.b.c+all",
                                         "attn+heads0.2",
                                         "attn+heads1+add2+span2+generated",
                                         "attn+heads0-3+span2",
                                         "attn+heads3+blend0.5+self",
                                         "attn+heads1-2+all",
                                         "plan.same",
                                         "plan.several",
                                         "plan.last",
                                         "plan.later"};

#define SAME 20 /* the plan that says what site SPAN does */
#define SPAN 17
#define PLANS 4
#define WRITES 6

#include "sweep_fixture.h"

static const xt_prompt_ids sources[] = {{prompts[1], 5}, {prompts[3], 1}};
/* Of instance 0, but for those with vectors of their own. */
static xt_plan_write writes_of_plans[INSTANCES][PLANS][WRITES];

/* A write of a plan: its layers, counted from those of a response, and whether it is a vector's. */
typedef struct PlanLine {
  const char *site;
  xt_layer_base source_base;
  int source;
  xt_layer_base target_base;
  int target;
  bool vector;
} PlanLine;

#define I XT_LAYER_SOURCE
#define J XT_LAYER_TARGET
#define L XT_LAYER_FIXED
/* Heads of two layers, one after the other; everything; the prompt's last token alone, at all taps of a
 * layer, below and above the target, and at no layer for some pairs; generated tokens too, or, where
 * layers are out of range, alone. */
static const PlanLine plans[PLANS][WRITES] = {
    {{"attn+heads0-3", I, 0, J, 0, false}, {"attn+heads0-3", I, 1, J, 1, false}},
    {{"attn+add2+span3", I, 0, J, 0, false},
     {"ffn+self", J, -1, J, -1, false},
     {"block+blend0.5+all", L, 1, L, 1, true},
     {"attn+heads1+generated", J, 2, I, 0, false},
     {"ffn+add0.5", I, -1, L, 1, false}},
    {{"block+add0.5", I, -1, J, -2, true},
     {"m:f+blend0.5", I, 0, J, -2, false},
     {"attn+heads0.2", I, 0, J, -2, false},
     {"attn+add2", J, 0, J, -2, false},
     {"attn+add0.5+span2+self", J, 1, J, 0, false},
     {"ffn+add0.25+span2", L, 0, I, 1, true}},
    {{"block+add0.5+generated", L, 1, J, 1, true},
     {"ffn+blend0.5+span2", I, 1, J, -1, false},
     {"attn+heads1+generated", J, 1, I, 1, false}}};
#undef I
#undef J
#undef L

static void plan_init(Fixture *f, int instance, int plan) {
  xt_error error;
  size_t count = 0;
  for (const PlanLine *line = plans[plan]; count < WRITES && line->site; line++) {
    xt_plan_write *w = &writes_of_plans[instance][plan][count++];
    *w = (xt_plan_write){.source_base = line->source_base,
                         .target_base = line->target_base,
                         .source = line->source,
                         .target = line->target};
    ASSERT_OK(xt_site_parse(line->site, &w->site, &error));
    if (!line->vector) continue;
    w->site.from = XT_FROM_VECTOR;
    strcpy(w->site.label, "v");
    w->vector = f->values + (size_t)instance * (size_t)f->layers * f->width;
  }
  f->controls[instance][SAME + plan].writes = writes_of_plans[instance][plan];
  f->controls[instance][SAME + plan].write_count = count;
}

/* The last plan has vectors of each instance, the others are the same for all. */
static void plans_init(Fixture *f) {
  for (int p = 0; p < PLANS; p++)
    for (int i = 0; i < INSTANCES; i++) {
      if (i == 0 || p == PLANS - 1)
        plan_init(f, i, p);
      else
        f->controls[i][SAME + p] = f->controls[0][SAME + p];
    }
}

/* NULL: of a small random model. */
static void ways_open(Fixture *f, const char *path, int threads) {
  fixture_open_path(f, path, &(xt_model_options){.threads = threads});
  f->options.max_new_tokens = 6;
  for (int i = 0; i < INSTANCES; i++)
    for (int s = 0; s < SITES; s++)
      f->controls[i][s] =
          (xt_control_input){.values = f->values, .sources = sources, .source_count = 2};
  plans_init(f);
}

/* With every response there. */
static Results *sweep_all(Fixture *f) {
  xt_sweep_stats stats;
  Results *r = sweep(f, &f->options, &stats);
  assert_int_equal(r->count, INSTANCES * (1 + SITES * f->layers * f->layers));
  assert_int_equal(stats.responses, r->count);
  return r;
}

/* What a site reads at a layer. `taps`: of the source, the target and the two further prompts. */
static const float *value_of(const Fixture *f, const xt_site *site, const float *vector,
                             xt_taps *const taps[4], int layer, float *made) {
  const float *one = xt_taps_get(taps[2], site->read, layer),
              *two = xt_taps_get(taps[3], site->read, layer);
  if (site->from == XT_FROM_VECTOR) return vector + (size_t)layer * f->width;
  if (site->from == XT_FROM_SOURCE)
    return xt_taps_get(taps[site->control == XT_CONTROL_SELF], site->read, layer);
  for (size_t c = 0; c < f->width; c++) made[c] = (float)(((double)one[c] + (double)two[c]) / 2);
  return made;
}

/* Interventions of single heads. */
static size_t heads_of(const Fixture *f, const xt_site *site, xt_taps *const taps[4], int i, int j,
                       int position, xt_intervention *out) {
  size_t n = 0;
  for (int k = 0; k < (site->span ? site->span : 1) && i + k < f->layers && j + k < f->layers; k++)
    for (int h = 0; h < f->info.heads; h++) {
      const float *values =
          xt_taps_get(taps[site->control == XT_CONTROL_SELF], XT_TAP_HEADS, i + k);
      if (!(site->heads[0] >> h & 1)) continue;
      out[n++] = (xt_intervention){.write = XT_TAP_HEADS,
                                   .layer = j + k,
                                   .position = position,
                                   .rule = site->rule,
                                   .alpha = site->alpha,
                                   .value = values + (size_t)h * (size_t)f->info.head_dim,
                                   .head = h};
    }
  return n;
}

/* One configuration as a request. Returns the number of interventions. `made`: [layers][width]. */
static size_t writes_of(const Fixture *f, const xt_site *site, const float *vector,
                        xt_taps *const taps[4], int i, int j, xt_intervention *out, float *made) {
  const int layers = f->layers;
  static const int positions[] = {XT_POSITION_LAST, XT_POSITION_ALL, XT_POSITION_GENERATED};
  size_t n = 0;
  if (site->heads[0]) return heads_of(f, site, taps, i, j, positions[site->positions], out);
  for (int k = 0; k < (site->span ? site->span : 1) && i + k < layers && j + k < layers; k++)
    out[n++] = (xt_intervention){
        .write = site->write,
        .layer = j + k,
        .position = positions[site->positions],
        .rule = site->rule,
        .alpha = site->alpha,
        .value = value_of(f, site, vector, taps, i + k, made ? made + (size_t)k * f->width : NULL)};
  return n;
}

/* The same of a plan. */
static size_t plan_of(const Fixture *f, const xt_control_input *plan, xt_taps *const taps[4], int i,
                      int j, xt_intervention *out) {
  const int bases[] = {0, i, j};
  size_t n = 0;
  for (size_t w = 0; w < plan->write_count; w++) {
    const xt_plan_write *write = &plan->writes[w];
    const int from = bases[write->source_base] + write->source,
              to = bases[write->target_base] + write->target;
    if (from >= 0 && to >= 0)
      n += writes_of(f, &write->site, write->vector, taps, from, to, out + n, NULL);
  }
  return n;
}

static xt_taps *prompt_taps(const Fixture *f, const int32_t *ids, size_t count) {
  return taps_of(f, &(xt_request){.ids = ids, .count = count});
}

static void check_alone(Fixture *f, const Results *r) {
  xt_error error;
  xt_intervention writes[LAYERS * 8];
  size_t changed = 0;
  float *made = calloc((size_t)f->layers * f->width, sizeof *made);
  for (int n = 0; n < INSTANCES; n++) {
    xt_taps *taps[4] = {prompt_taps(f, prompts[n], counts[n]),
                        prompt_taps(f, prompts[INSTANCES + n], counts[INSTANCES + n]),
                        prompt_taps(f, sources[0].ids, sources[0].count),
                        prompt_taps(f, sources[1].ids, sources[1].count)};
    const xt_generate_options o = {.max_new_tokens = f->options.max_new_tokens};
    xt_request target = {.ids = prompts[INSTANCES + n], .count = counts[INSTANCES + n]};
    xt_generation untouched, alone;
    ASSERT_OK(xt_session_generate(f->session, &target, 1, &o, &untouched, &error));
    target.interventions = writes;
    for (int s = 0; s < SITES; s++)
      for (int i = 0; i < f->layers; i++)
        for (int j = 0; j < f->layers; j += getenv("XT_TEST_BRIEF") ? f->layers - 1 : 1) {
          target.intervention_count =
              s >= SAME ? plan_of(f, &f->controls[n][s], taps, i, j, writes)
                        : writes_of(f, &f->sites[s], f->values, taps, i, j, writes, made);
          ASSERT_OK(xt_session_generate(f->session, &target, 1, &o, &alone, &error));
          models_same(&alone, &r->cells[n][s][i][j]);
          changed += memcmp(alone.ids, untouched.ids, alone.count * sizeof *alone.ids) != 0;
          xt_generation_deinit(&alone);
        }
    xt_generation_deinit(&untouched);
    for (int k = 0; k < 4; k++) xt_taps_free(taps[k]);
  }
  free(made);
  assert_true(changed > 100);
}

/* A plan that says what a site says gives what it gives. */
static void check_same(const Results *r, const Fixture *f) {
  for (int n = 0; n < INSTANCES; n++)
    for (int i = 0; i < f->layers; i++)
      for (int j = 0; j < f->layers; j++)
        models_same(&r->cells[n][SAME][i][j], &r->cells[n][SPAN][i][j]);
}

static void test_equals_run_alone(void **state) {
  (void)state;
  static const char *const paths[] = {NULL, XT_SOURCE_DIR "/tests/golden/models/neox"};
  xt_error error;
  for (size_t k = 0; k < 2; k++) {
    Fixture f;
    ways_open(&f, paths[k], 1);
    /* no writes at mid where modules are parallel */
    if (paths[k]) ASSERT_OK(xt_site_parse("m:a+span2", &f.sites[3], &error));
    if (paths[k]) ASSERT_OK(xt_site_parse("m:f+add0.5+self", &f.sites[10], &error));
    Results *r = sweep_all(&f);
    check_alone(&f, r);
    check_same(r, &f);
    results_free(r);
    fixture_close(&f);
  }
}

static void test_cutting_does_not_matter(void **state) {
  (void)state;
  static const int rows[] = {1, 17, 60};
  Fixture f;
  ways_open(&f, NULL, 2);
  Results *whole = sweep_all(&f);
  fixture_close(&f);
  ways_open(&f, NULL, 1);
  for (size_t k = getenv("XT_TEST_BRIEF") ? 1 : 0; k < sizeof rows / sizeof *rows; k++) {
    f.options.max_rows = rows[k];
    f.options.no_sharing = k == 1;
    Results *r = sweep_all(&f);
    same_results(whole, r);
    results_free(r);
  }
  results_free(whole);
  fixture_close(&f);
}

static xt_status ignore(void *user, const xt_sweep_response *r, xt_error *error) {
  (void)user, (void)r, (void)error;
  return XT_STATUS_OK;
}

/* What a site alone costs. */
static xt_sweep_stats cost_of(const Fixture *f, int site) {
  xt_error error;
  xt_sweep_plan plan;
  xt_sweep_stats stats;
  xt_sweep_options options = f->options;
  const xt_control_input *in = f->controls[0];
  const xt_control_input controls[INSTANCES] = {in[site], in[SITES + site]};
  options.sites = &f->sites[site];
  options.site_count = 1;
  options.controls = controls;
  ASSERT_OK(xt_sweep_make_plan(f->model, f->instances, INSTANCES, &options, &plan, &error));
  ASSERT_OK(xt_session_sweep(f->session, f->instances, INSTANCES, &options, ignore, NULL, &stats,
                             &error));
  assert_int_equal(plan.alone > 0, stats.row_layers == stats.row_layers_alone);
  return stats;
}

/* Plans that leave the prompt's inner tokens alone share its prefix, and generated tokens up to the
 * lowest layer that is written: as much as a site that says the same. */
static void test_plans_share(void **state) {
  (void)state;
  Fixture f;
  ways_open(&f, NULL, 1);
  const xt_sweep_stats site = cost_of(&f, SPAN), same = cost_of(&f, SAME);
  assert_int_equal(same.row_layers, site.row_layers);
  for (int p = 1; p < PLANS; p++) {
    const xt_sweep_stats stats = cost_of(&f, SAME + p);
    assert_int_equal(p > 1, stats.row_layers < stats.row_layers_alone);
    assert_int_equal(p > 1, stats.flops < 2 * site.flops);
  }
  fixture_close(&f);
}

/* Every site shares layers with others, or its plan says that it runs alone. */
static void test_sites_share(void **state) {
  (void)state;
  Fixture f;
  ways_open(&f, NULL, 1);
  for (int site = 0; site < SITES; site++) cost_of(&f, site); /* which asserts it */
  fixture_close(&f);
}

/* A plan says which responses share nothing; a site that is none is refused before any work. */
static void test_plan(void **state) {
  (void)state;
  Fixture f;
  xt_error error;
  xt_sweep_plan plan;
  ways_open(&f, NULL, 1);
  ASSERT_OK(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error));
  assert_int_equal(plan.alone, INSTANCES * 6 * f.layers * f.layers);
  assert_int_equal(plan.responses, INSTANCES * (1 + SITES * f.layers * f.layers));
  const xt_site wrong[] = {
      {.rule = XT_RULE_COUNT},
      {.alpha = 1},
      {.rule = XT_RULE_ADD, .alpha = 2e6f},
      {.span = 1},
      {.span = -2},
      {.positions = XT_POSITIONS_COUNT},
      {.seed = 1},
      {.label = "x"},
      {.from = XT_FROM_VECTOR},
      {.from = XT_FROM_VECTOR, .label = "a+b"},
      {.heads = {1 << 4}}, /* the model has 4 */
      {.heads = {1}, .write = XT_TAP_FFN},
      {.heads = {1}, .from = XT_FROM_VECTOR, .label = "x"},
      {.heads = {1}, .from = XT_FROM_LANGS, .label = "a.b", .control = XT_CONTROL_SHUFFLED},
      {.from = XT_FROM_LANGS, .label = "a.b", .control = XT_CONTROL_MEAN},
      {.from = XT_FROM_PLAN, .label = "x"},
      {.from = XT_FROM_PLAN, .positions = XT_POSITIONS_ALL},
      {.from = XT_FROM_PLAN, .positions = XT_POSITIONS_ALL, .label = "x", .span = 2}};
  for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
    f.sites[1] = wrong[k];
    assert_int_equal(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error),
                     XT_STATUS_ARGUMENT);
    assert_true(strcmp(error.field, "sites") == 0 || strcmp(error.field, "heads") == 0);
  }
  ASSERT_OK(xt_site_parse("attn", &f.sites[1], &error));
  writes_of_plans[0][0][1].source = f.layers + 1;
  assert_int_equal(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error),
                   XT_STATUS_ARGUMENT);
  assert_string_equal(error.field, "plans");
  f.controls[1][SAME].writes = NULL;
  writes_of_plans[0][0][1].source = 1;
  assert_int_equal(xt_sweep_make_plan(f.model, f.instances, INSTANCES, &f.options, &plan, &error),
                   XT_STATUS_ARGUMENT);
  assert_string_equal(error.field, "controls");
  fixture_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equals_run_alone), cmocka_unit_test(test_cutting_does_not_matter),
      cmocka_unit_test(test_plans_share), cmocka_unit_test(test_sites_share),
      cmocka_unit_test(test_plan)};
  return cmocka_run_group_tests_name("ways", tests, NULL, NULL);
}
