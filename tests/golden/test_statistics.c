/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics against SciPy's and statsmodels' (tools/make_statistics_goldens.py), and on data whose
 * answer is known. */
#include <math.h>
#include <stdio.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/levels.h"
#include "analysis/statistics.h"
#include "base/json.h"
#include "support.h"

static json_t *goldens;

static int load(void **state) {
  (void)state;
  xt_error error = {0};
  if (json_parse_file(XT_SOURCE_DIR "/tests/golden/data/statistics.json", &goldens, &error) ==
      XT_STATUS_OK)
    return 0;
  print_message("%s\n", error.message);
  return -1;
}

static int unload(void **state) {
  (void)state;
  json_decref(goldens);
  return 0;
}

static double number(const json_t *array, size_t at) {
  return json_number_value(json_array_get(array, at));
}

/* lgamma and a few hundred products: both sides keep eleven digits. */
static void near_relative(double got, double wanted) {
  if (fabs(got - wanted) > 1e-11 * fabs(wanted)) fail_msg("got %.17g, expected %.17g", got, wanted);
}

static void test_mcnemar(void **state) {
  (void)state;
  size_t i;
  json_t *row;
  json_array_foreach(json_object_get(goldens, "mcnemar"), i, row) near_relative(
      xt_mcnemar_exact((size_t)number(row, 0), (size_t)number(row, 1)), number(row, 2));
  assert_true(i > 10);
}

static void test_adjusted(void **state) {
  (void)state;
  xt_error error = {0};
  size_t i;
  json_t *set;
  json_array_foreach(json_object_get(goldens, "adjusted"), i, set) {
    double holm[64], bh[64];
    const json_t *p = json_object_get(set, "p");
    const size_t n = json_array_size(p);
    for (size_t k = 0; k < n; k++) holm[k] = bh[k] = number(p, k);
    ASSERT_OK(xt_adjust_holm(holm, n, &error));
    ASSERT_OK(xt_adjust_bh(bh, n, &error));
    for (size_t k = 0; k < n; k++) {
      near_relative(holm[k], number(json_object_get(set, "holm"), k));
      near_relative(bh[k], number(json_object_get(set, "bh"), k));
    }
  }
  assert_int_equal(i, 4);
}

static void test_sign_flips(void **state) {
  (void)state;
  xt_error error = {0};
  size_t i;
  json_t *row;
  json_array_foreach(json_object_get(goldens, "flips"), i, row) {
    double d[64], p = 0;
    const json_t *differences = json_object_get(row, "differences");
    const size_t n = json_array_size(differences);
    for (size_t k = 0; k < n; k++) d[k] = number(differences, k);
    ASSERT_OK(xt_sign_flip(d, n, 99, 1, &p, &error));
    near_relative(p, json_number_value(json_object_get(row, "p")));
  }
  assert_int_equal(i, 5);
}

/* Fifty differences of one size are McNemar's; unequal ones that are too many to be exact are near
 * what exact ones give. */
static void test_sign_flips_agree(void **state) {
  (void)state;
  xt_error error = {0};
  double d[50], exact = 0, drawn = 0, p = 0;
  for (size_t k = 0; k < 50; k++) d[k] = k % 3 ? -0.25 : 0.25;
  ASSERT_OK(xt_sign_flip(d, 50, 99, 1, &p, &error));
  near_relative(p, xt_mcnemar_exact(17, 33));
  for (size_t k = 0; k < 50; k++) d[k] = (k % 3 ? 1.0 : -1.0) * (double)(1 + k % 4);
  ASSERT_OK(xt_sign_flip(d, 50, 99, 1, &exact, &error));
  for (size_t k = 0; k < 50; k++) d[k] /= 3;
  ASSERT_OK(xt_sign_flip(d, 50, 99999, 1, &drawn, &error));
  assert_true(fabs(drawn - exact) < 5 * sqrt(exact / 99999));
  ASSERT_OK(xt_sign_flip(d, 50, 99999, 1, &p, &error));
  assert_true(p >= drawn && p <= drawn); /* the seed decides */
  ASSERT_OK(xt_sign_flip(d, 0, 99, 1, &p, &error));
  assert_true(p >= 1);
}

/* Differences whose sum is 0 but for rounding: whatever the signs, no sum is nearer to 0. */
static void test_sign_flips_of_nothing(void **state) {
  (void)state;
  static const double d[] = {0.1, 0.2, -0.3, -0.3, 0.2, 0.1};
  double many[24], p = 0;
  xt_error error = {0};
  ASSERT_OK(xt_sign_flip(d, 6, 99, 1, &p, &error));
  near_relative(p, 1);
  for (size_t k = 0; k < 24; k++) many[k] = d[k % 6];
  ASSERT_OK(xt_sign_flip(many, 24, 999, 1, &p, &error));
  near_relative(p, 1);
}

static void test_quantiles(void **state) {
  (void)state;
  size_t i;
  json_t *row;
  json_array_foreach(json_object_get(goldens, "student"), i, row)
      near_relative(student_quantile(number(row, 0), (size_t)number(row, 1)), number(row, 2));
  json_array_foreach(json_object_get(goldens, "normal"), i, row)
      assert_true(fabs(normal_quantile(number(row, 0)) - number(row, 1)) < 1e-11);
  json_array_foreach(json_object_get(goldens, "wilson"), i, row) {
    double low, high;
    wilson_interval(number(row, 0) / number(row, 1), number(row, 1), 0.95, &low, &high);
    assert_true(fabs(low - number(row, 2)) < 1e-11 && fabs(high - number(row, 3)) < 1e-11);
  }
  assert_true(isnan(interval_tail(0.95, 3, 3)));
  assert_true(interval_tail(0.95, 50, 1) < 0.025 && interval_tail(0.95, 50, 1) > 0.02);
}

/* ---- a group made by hand -------------------------------------------------------------------- */

#define LAYERS 2

typedef struct Made {
  xt_analysis a;
  AnalysisGroup g;
  AnalysisSite site;
  AnalysisInstance *instances;
  char (*ids)[24];
  xt_group_language languages[2];
} Made;

/* `count` instances, the first half of language sw, the rest of de; nothing is right. */
static void made_init(Made *m, size_t count, int samples) {
  *m = (Made){.a = {.layers = LAYERS,
                    .cells = LAYERS * LAYERS,
                    .options = {.bootstrap = samples,
                                .permutations = 1,
                                .seed = 7,
                                .confidence = 0.95,
                                .threads = 1,
                                .memory = UINT64_MAX}}};
  const size_t words = bits_words(count), cells = LAYERS * LAYERS;
  m->instances = calloc(count, sizeof *m->instances);
  m->ids = calloc(count, sizeof *m->ids);
  m->languages[0] =
      (xt_group_language){.name = "sw", .level = level_of("sw"), .first = 0, .count = count / 2};
  m->languages[1] = (xt_group_language){
      .name = "de", .level = level_of("de"), .first = count / 2, .count = count - count / 2};
  m->site = (AnalysisSite){.name = "attn",
                           .capacity = count,
                           .texts = calloc(count * cells, sizeof(uint32_t)),
                           .right = calloc(count * bits_words(cells), 8),
                           .correct = calloc(cells * words, 8),
                           .present = calloc(cells * words, 8)};
  m->g = (AnalysisGroup){.group = {.task = "xnli",
                                   .title = "XNLI",
                                   .pivot = "en",
                                   .benchmark = xt_task_find("xnli"),
                                   .layers = LAYERS,
                                   .instances = count,
                                   .scored = count,
                                   .language_count = 2,
                                   .languages = m->languages},
                         .instances = m->instances,
                         .sites = &m->site,
                         .site_count = 1,
                         .scored = calloc(words, 8),
                         .vanilla = calloc(words, 8)};
  m->a.texts = calloc(1, sizeof *m->a.texts);
  m->a.texts[0].nll = NAN;
  for (size_t i = 0; i < count; i++) {
    snprintf(m->ids[i], sizeof *m->ids, "%zu", i);
    m->instances[i] = (AnalysisInstance){.id = m->ids[i],
                                         .source = m->ids[i],
                                         .gold = "1",
                                         .lang = m->languages[i >= count / 2].name,
                                         .scored = true};
    bits_set(m->g.scored, i);
    for (size_t c = 0; c < cells; c++) bits_set(m->site.present + c * words, i);
  }
}

static void made_deinit(Made *m) {
  arena_free(&m->a.arena);
  free(m->a.texts);
  free(m->instances);
  free(m->ids);
  free(m->site.texts);
  free(m->site.right);
  free(m->site.correct);
  free(m->site.present);
  free(m->g.scored);
  free(m->g.vanilla);
}

static void set_right(Made *m, size_t cell, size_t instance) {
  bits_set(m->site.correct + cell * bits_words(m->g.group.instances), instance);
}

static void set_vanilla(Made *m, size_t instance) {
  m->instances[instance].vanilla_correct = true;
  bits_set(m->g.vanilla, instance);
}

/* Languages of the same questions, as statsmodels has clusters. */
static void test_errors_by_question(void **state) {
  (void)state;
  size_t i;
  json_t *set;
  xt_error error = {0};
  json_array_foreach(json_object_get(goldens, "clusters"), i, set) {
    const json_t *right = json_object_get(set, "right");
    const size_t languages = json_array_size(right),
                 questions = json_array_size(json_array_get(right, 0)),
                 count = languages * questions;
    xt_group_language *all = calloc(languages, sizeof *all);
    Made m;
    made_init(&m, count, 10);
    for (size_t l = 0; l < languages; l++) {
      static const char *const names[] = {"de", "en", "fr", "sw", "zh"};
      all[l] = (xt_group_language){.name = names[l],
                                   .level = level_of(names[l]),
                                   .first = l * questions,
                                   .count = questions};
      for (size_t q = 0; q < questions; q++) {
        AnalysisInstance *instance = &m.instances[l * questions + q];
        instance->lang = names[l];
        instance->id = m.ids[q];
        if (number(json_array_get(right, l), q) > 0) set_vanilla(&m, l * questions + q);
      }
    }
    m.g.group.languages = all;
    m.g.group.language_count = languages;
    ASSERT_OK(analysis_scores(&m.a, &m.g, &error));
    assert_int_equal(m.g.group.questions, questions);
    assert_true(m.g.group.parallel);
    near_relative(m.g.group.vanilla.overall.value, json_real_value(json_object_get(set, "mean")));
    near_relative(m.g.group.vanilla.overall.error, json_real_value(json_object_get(set, "error")));
    free(all);
    made_deinit(&m);
  }
  assert_int_equal(i, 2);
}

/* Which instances ask the same question. */
static void test_questions(void **state) {
  (void)state;
  Made m;
  xt_error error = {0};
  made_init(&m, 10, 10);            /* 0 to 4 in sw, 5 to 9 in de */
  m.instances[5].id = m.ids[0];     /* one id: one question */
  m.instances[6].source = m.ids[1]; /* one source prompt in two languages: one question */
  /* twice in sw: no sign of one */
  m.instances[7].source = m.instances[2].source = m.instances[3].source = "the same for many";
  ASSERT_OK(analysis_questions(&m.a, &m.g, &error));
  assert_int_equal(m.g.questions, 8);
  assert_int_equal(m.instances[5].question, m.instances[0].question);
  assert_int_equal(m.instances[6].question, m.instances[1].question);
  assert_int_not_equal(m.instances[7].question, m.instances[2].question);
  assert_int_equal(m.g.strata, 1);
  made_deinit(&m);
}

/* Cultures are asked the same question where their prompts differ in the country alone, also two
 * countries of one culture; neither ids nor source prompts say anything. */
static void test_questions_of_cultures(void **state) {
  (void)state;
  Made m;
  xt_error error = {0};
  char prompts[10][200];
  made_init(&m, 10, 10);
  m.g.group.benchmark = xt_task_find("globalopinionqa");
  for (int i = 0; i < 10; i++) {
    snprintf(prompts[i], sizeof prompts[i],
             "Today is day %d. Human: How would someone from Land %d answer the following "
             "question:\nIs it %d?\n(A) "
             "Yes\n(B) No",
             i, i, i);
    m.instances[i].target = prompts[i];
  }
  m.instances[5].id = m.ids[0];
  m.instances[6].source = m.ids[1];
  ASSERT_OK(analysis_questions(&m.a, &m.g, &error));
  assert_int_equal(m.g.questions, 10);
  assert_false(m.g.group.parallel);
  assert_int_equal(m.g.strata, 2);
  strstr(prompts[8], "Is it 8")[6] = '2'; /* as sw's 2 */
  strstr(prompts[1], "Is it 1")[6] = '3'; /* two countries of sw */
  ASSERT_OK(analysis_questions(&m.a, &m.g, &error));
  assert_int_equal(m.g.questions, 8);
  assert_int_equal(m.instances[8].question, m.instances[2].question);
  assert_int_equal(m.instances[3].question, m.instances[1].question);
  assert_true(m.g.group.parallel);
  assert_int_equal(m.g.strata, 1);
  strstr(prompts[8], "(A) Yes")[4] = 'y'; /* other options, another question */
  ASSERT_OK(analysis_questions(&m.a, &m.g, &error));
  assert_int_equal(m.g.questions, 9);
  made_deinit(&m);
}

static void test_bootstrap_is_scipys(void **state) {
  (void)state;
  size_t i;
  json_t *set;
  xt_error error = {0};
  json_array_foreach(json_object_get(goldens, "bootstrap"), i, set) {
    Made m;
    const size_t count = (size_t)json_integer_value(json_object_get(set, "count")),
                 won = (size_t)json_integer_value(json_object_get(set, "won")),
                 lost = (size_t)json_integer_value(json_object_get(set, "lost"));
    made_init(&m, count, 20000);
    m.g.group.language_count = 1; /* one stratum, as SciPy has it */
    m.languages[0].count = count;
    for (size_t k = 0; k < won; k++) set_right(&m, 0, k);
    for (size_t k = won; k < won + lost; k++) set_vanilla(&m, k);
    ASSERT_OK(analysis_scores(&m.a, &m.g, &error));
    ASSERT_OK(analysis_significance(&m.a, &m.g, &error));
    const xt_configuration *c = &m.g.group.sites[0].configurations[0];
    assert_int_equal(c->won, won);
    assert_int_equal(c->lost, lost);
    /* quantiles of 20,000 samples: two steps of 1 / count is more than four of their standard
     * errors */
    assert_true(fabs(c->low - json_real_value(json_object_get(set, "low"))) <=
                2.0 / (double)count + 1e-12);
    assert_true(fabs(c->high - json_real_value(json_object_get(set, "high"))) <=
                2.0 / (double)count + 1e-12);
    made_deinit(&m);
  }
  assert_int_equal(i, 3);
}

/* Of 300 simulated benchmarks, the 95% interval holds the true gain in all but some. */
static void test_bootstrap_covers(void **state) {
  (void)state;
  enum { TRIALS = 300, COUNT = 120 };
  const double gain = 0.10; /* 0.25 fixed, 0.15 broken */
  Rng rng = {42};
  xt_error error = {0};
  int covered = 0;
  for (int trial = 0; trial < TRIALS; trial++) {
    Made m;
    made_init(&m, COUNT, 400);
    for (size_t i = 0; i < COUNT; i++) {
      const size_t draw = rng_below(&rng, 100);
      if (draw < 25)
        set_right(&m, 0, i);
      else if (draw < 40)
        set_vanilla(&m, i);
    }
    ASSERT_OK(analysis_scores(&m.a, &m.g, &error));
    ASSERT_OK(analysis_significance(&m.a, &m.g, &error));
    const xt_configuration *c = &m.g.group.sites[0].configurations[0];
    covered += c->low <= gain && gain <= c->high;
    made_deinit(&m);
  }
  /* binomial(300, 0.95): 285 +- 3.8; percentile intervals of 120 instances fall a little short of
   * it */
  if (covered < 270 || covered > 297)
    fail_msg("%d of %d intervals hold the true gain", covered, TRIALS);
}

/* Ten instances and four configurations, counted by hand. */
static void test_small_group(void **state) {
  (void)state;
  Made m;
  xt_error error = {0};
  made_init(&m, 10, 50);
  set_vanilla(&m, 0);
  set_vanilla(&m, 5);
  set_vanilla(&m, 6);
  for (size_t i = 0; i < 4; i++) set_right(&m, 0, i); /* source 0, target 0: sw 4 of 5 */
  for (size_t i = 5; i < 8; i++) set_right(&m, 1, i); /* source 0, target 1: de 3 of 5 */
  set_right(&m, 2, 9);                                /* source 1, target 0 */
  ASSERT_OK(analysis_scores(&m.a, &m.g, &error));
  ASSERT_OK(analysis_significance(&m.a, &m.g, &error));
  ASSERT_OK(analysis_bounds(&m.a, &m.g, &error));
  const xt_group *g = &m.g.group;
  const xt_site_result *s = &g->sites[0];
  assert_true(fabs(g->vanilla.overall.value - 0.3) < 1e-15);
  /* de is High, sw Low */
  assert_true(fabs(g->vanilla.languages[0].value - 0.2) < 1e-15 &&
              fabs(g->vanilla.levels[0].value - 0.4) < 1e-15);
  assert_true(fabs(g->vanilla.languages[0].error - sqrt(0.2 * 0.8 / 4)) < 1e-15);
  /* each language is a stratum */
  assert_true(fabs(g->vanilla.overall.error - sqrt(1.25 * (0.8 + 1.2)) / 10) < 1e-15);
  assert_int_equal(s->all.win, 1);  /* 4 of 10 */
  assert_int_equal(s->all.tie, 1);  /* 3 */
  assert_int_equal(s->all.lose, 2); /* 1 and 0 */
  assert_int_equal(s->languages[0].win, 1);
  assert_int_equal(s->languages[1].lose, 3);
  assert_int_equal(s->best, 0);
  assert_int_equal(s->configurations[0].won, 3);
  assert_int_equal(s->configurations[0].lost, 2);
  assert_true(fabs(s->mean.overall.value - 0.2) < 1e-15);             /* 8 of 40 */
  assert_true(fabs(s->sources[0].gain.value - (0.35 - 0.3)) < 1e-12); /* 7 of 20 */
  assert_true(fabs(s->targets[1].gain.value - (0.15 - 0.3)) < 1e-12); /* 3 of 20 */
  assert_true(fabs(s->sources[0].bound.overall.value - 0.7) < 1e-15);
  assert_true(fabs(s->targets[0].bound.overall.value - 0.5) < 1e-15);
  assert_true(fabs(s->sources[1].bound.overall.value - 0.1) < 1e-15);
  assert_true(s->sources[0].bound_low <= 0.7 && s->sources[0].bound_high >= 0.7);
  assert_true(fabs(s->sources[0].candidates - 2) < 1e-15);
  made_deinit(&m);
}

static void test_levels(void **state) {
  (void)state;
  assert_int_equal(level_of("zh-CN"), 0);
  assert_int_equal(level_of("ko"), 1);
  assert_int_equal(level_of("ur"), 2);
  assert_int_equal(level_of("xx"), -1);
  assert_int_equal(level_of(""), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mcnemar),
      cmocka_unit_test(test_adjusted),
      cmocka_unit_test(test_sign_flips),
      cmocka_unit_test(test_sign_flips_agree),
      cmocka_unit_test(test_sign_flips_of_nothing),
      cmocka_unit_test(test_quantiles),
      cmocka_unit_test(test_errors_by_question),
      cmocka_unit_test(test_questions),
      cmocka_unit_test(test_questions_of_cultures),
      cmocka_unit_test(test_bootstrap_is_scipys),
      cmocka_unit_test(test_bootstrap_covers),
      cmocka_unit_test(test_small_group),
      cmocka_unit_test(test_levels),
  };
  return cmocka_run_group_tests(tests, load, unload);
}
