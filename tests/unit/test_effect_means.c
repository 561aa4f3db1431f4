/* SPDX-License-Identifier: Apache-2.0 */
/* Means of first tokens' numbers against sums by hand: logit differences, normalised; gold's
 * probability; divergences; the likeliest option and the calibrated one. */
#include <math.h>

#include "analysis/effect_means.h"
#include "analysis/site_maps.h"
#include "files_support.h"
#include "made_store.h"
#include "xtransplant/report.h"

enum { QUESTIONS = 4 };
static const char *const golds[QUESTIONS] = {"1", "2", "1", "2"};
static const xt_tracked answers[] = {
    {10, "label", "1", "1", 0}, {11, "label", "2", "2", 0}, {12, "label", "3", "3", 0}};
/* A bias for option 1, which hides what the model knows. */
static const double shares[QUESTIONS][3] = {
    {0.8, 0.15, 0.05}, {0.6, 0.35, 0.05}, {0.8, 0.15, 0.05}, {0.6, 0.35, 0.05}};

static xt_generation generation(float *effects) {
  static int32_t id = 60;
  static float number = 1;
  return (xt_generation){.count = 1,
                         .ids = &id,
                         .margins = &number,
                         .entropies = &number,
                         .logprobs = &number,
                         .effect_count = 5,
                         .effects = effects};
}

/* `mass`: how much of each distribution the options have together. */
static void add_questions(Made *m, double mass) {
  static const xt_choice choices[] = {{"1", "Yes"}, {"2", "Maybe"}, {"3", "No"}};
  static const int32_t ids[] = {1, 2};
  xt_error error;
  for (int i = 0; i < QUESTIONS; i++) {
    char id[12];
    int64_t number;
    snprintf(id, sizeof id, "%d", i);
    const xt_question q = {.id = id,
                           .number = (size_t)i,
                           .task = "xnli",
                           .lang = i < QUESTIONS / 2 ? "de" : "sw",
                           .source_lang = "en",
                           .source = id,
                           .target = id,
                           .gold = golds[i],
                           .choices = choices,
                           .choice_count = 3};
    ASSERT_OK(xt_store_add_question(
        m->store, &q,
        &(xt_instance){.source = ids, .target = ids, .source_count = 2, .target_count = 2}, &number,
        &error));
    ASSERT_OK(xt_store_track(m->store, number, answers, 3, &error));
    const int gold = golds[i][0] - '1';
    float plain[5] = {0, 2, logf(0.4f), logf(0.4f), logf(0.2f)}, source[5] = {3, 0}, moved[5];
    moved[0] = 0.5f + (float)i;
    moved[1] = 1;
    for (int o = 0; o < 3; o++) {
      source[2 + o] = logf(o == gold ? 0.9f : 0.05f);
      moved[2 + o] = (float)log(mass * shares[i][o]);
    }
    xt_generation g = generation(plain);
    ASSERT_OK(xt_store_add_response(m->store, number, NULL, -1, -1, &g, &error));
    g = generation(moved);
    ASSERT_OK(xt_store_add_response(m->store, number, &m->site, 3, 2, &g, &error));
    g = generation(source);
    g.effect_count = 0;
    ASSERT_OK(xt_store_add_source(m->store, number, &g, &error));
    ASSERT_OK(xt_store_add_source_effects(m->store, number, source, 5, &error));
  }
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
}

/* Halves have 11 bits. */
static void near(double got, double want) {
  if (!(fabs(got - want) <= 2e-3 * (1 + fabs(want)))) fail_msg("%.9g is not %.9g", got, want);
}

static void test_means(void **state) {
  (void)state;
  Made m;
  xt_error error;
  xt_analysis *a;
  made_open(&m, "means.db", "xnli");
  add_questions(&m, 1);
  ASSERT_OK(xt_analysis_create(m.store, NULL, &a, &error));
  const xt_group *g = xt_analysis_get(a, 0);
  const xt_site_result *site = &g->sites[0];
  const xt_effect_result *cell = &site->effects[3 * g->layers + 2];
  const double difference = (log(0.8 / 0.15) + log(0.35 / 0.6)) / 2;
  near(g->untouched_effects.logit_difference, 0);
  near(g->untouched_effects.normalised, 0);
  assert_false(signbit(g->untouched_effects.normalised));
  near(g->source_effects.normalised, 1);
  near(g->source_effects.logit_difference, log(0.9 / 0.05));
  near(g->source_effects.choice, 1);
  near(cell->logit_difference, difference);
  near(cell->normalised, difference / log(0.9 / 0.05));
  near(cell->gold, (0.8 + 0.35) / 2);
  near(cell->kl_untouched, 2);
  near(cell->kl_source, 1);
  near(cell->choice, 0.5);
  near(cell->calibrated, 1);
  near(cell->tracked, 1);
  assert_int_equal(cell->count, QUESTIONS);
  assert_int_equal(site->effects[0].count, 0);
  near(site->mean_effects.gold, cell->gold);
  xt_analysis_free(a);
  made_close(&m);
}

/* The value of a site's map in a cell and languages [first, end); NaN without such a map. */
static double map_at(const xt_analysis *a, const char *id, size_t first, size_t end, size_t cell) {
  const AnalysisSite *s = &a->groups[0].sites[0];
  for (size_t m = 0; m < s->map_count; m++)
    if (strcmp(s->maps[m].id, id) == 0)
      return site_map_value(&s->maps[m], (size_t)a->cells, first, end, cell);
  return NAN;
}

/* The maps of the one configuration: in de, in sw and in both. */
static void test_maps(void **state) {
  (void)state;
  const double d1 = log(0.8 / 0.15), d2 = log(0.35 / 0.6), span = log(0.9 / 0.05);
  const struct {
    const char *id;
    double de, sw, both;
  } wanted[] = {
      {"gain", 0, 0, 0},
      {"accuracy", 0, 0, 0},
      {"changed", 0, 0, 0},
      {"margin", 1, 1, 1},
      {"entropy", 1, 1, 1},
      {"logit_difference", (d1 + d2) / 2, (d1 + d2) / 2, (d1 + d2) / 2},
      {"normalised", (d1 + d2) / 2 / span, (d1 + d2) / 2 / span, (d1 + d2) / 2 / span},
      {"gold", 0.575, 0.575, 0.575},
      {"logprob_gold", (log(0.8) + log(0.35)) / 2, (log(0.8) + log(0.35)) / 2,
       (log(0.8) + log(0.35)) / 2},
      {"kl_untouched", 1, 3, 2},
      {"kl_source", 1, 1, 1},
      {"choice", 0.5, 0.5, 0.5},
      {"calibrated", 1, 1, 1},
      {"tracked", 1, 1, 1},
      {"logprob_label_1", (log(0.8) + log(0.6)) / 2, (log(0.8) + log(0.6)) / 2,
       (log(0.8) + log(0.6)) / 2},
      {"logprob_label_2", (log(0.15) + log(0.35)) / 2, (log(0.15) + log(0.35)) / 2,
       (log(0.15) + log(0.35)) / 2},
      {"logprob_label_3", log(0.05), log(0.05), log(0.05)},
  };
  enum { COUNT = sizeof wanted / sizeof *wanted };
  Made m;
  xt_error error;
  xt_analysis *a;
  made_open(&m, "maps.db", "xnli");
  add_questions(&m, 1);
  ASSERT_OK(xt_analysis_create(m.store, NULL, &a, &error));
  const size_t cell = (size_t)(3 * a->layers + 2);
  for (size_t k = 0; k < COUNT; k++) {
    near(map_at(a, wanted[k].id, 0, 1, cell), wanted[k].de);
    near(map_at(a, wanted[k].id, 1, 2, cell), wanted[k].sw);
    near(map_at(a, wanted[k].id, 0, 2, cell), wanted[k].both);
    assert_true(isnan(map_at(a, wanted[k].id, 0, 2, cell + 1)));
  }
  assert_int_equal(a->groups[0].sites[0].map_count, COUNT); /* none without values */
  xt_analysis_free(a);
  made_close(&m);
}

/* Whether a line of a text begins so, runs of spaces read as one. */
static bool has_line(const char *text, const char *line) {
  char *const squeezed = calloc(strlen(text) + 1, 1), *to = squeezed;
  for (; *text; text++)
    if (*text != ' ' || (text[1] != ' ' && text[1] != '\n')) *to++ = *text;
  char *const found = strstr(squeezed, line);
  const bool has = found && found > squeezed && found[-1] == '\n';
  free(squeezed);
  return has;
}

static bool json_has(xt_report *report, const char *part) {
  xt_error error;
  char path[256];
  size_t size;
  snprintf(path, sizeof path, "%s/begun", models_folder);
  ASSERT_OK(xt_report_write(report, path, NULL, &error));
  snprintf(path, sizeof path, "%s/begun/report.json", models_folder);
  char *const bytes = (char *)read_whole(path, &size), *const text = strndup(bytes, size);
  const bool has = strstr(text, part) != NULL;
  free(bytes);
  free(text);
  return has;
}

/* Where the options have less than a tenth of the distribution, the table's cells that compare them
 * are blank; what it still has are probabilities and divergences. */
static void test_rarely_begun(void **state) {
  (void)state;
  static const struct {
    double mass;
    const char *row;
  } cases[] = {{1, "XNLI, ffn 1 0.57 ["}, {0.09, "XNLI, ffn 1 5.2 ["}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    Made m;
    xt_error error;
    xt_report *report;
    char *text;
    size_t length;
    made_open(&m, "begun.db", "xnli");
    add_questions(&m, cases[k].mass);
    made_close(&m);
    ASSERT_OK(xt_report_create(m.path, NULL, &report, &error));
    const xt_group *g = xt_analysis_get(xt_report_analysis(report), 0);
    near(g->sites[0].mean_effects.tracked, cases[k].mass);
    near(g->sites[0].mean_effects.gold, cases[k].mass * (0.8 + 0.35) / 2);
    near(g->untouched_effects.tracked, 1);
    ASSERT_OK(xt_report_text(report, &(xt_report_text_options){.table = "effects", .width = 200},
                             &text, &length, &error));
    if (!has_line(text, cases[k].row)) fail_msg("'%s' is not in\n%s", cases[k].row, text);
    xt_free(text);
    assert_int_equal(
        json_has(report, "\"untouched_effects\"") && json_has(report, "\"source_effects\""), true);
    assert_int_equal(json_has(report, "\"tracked\": 0.0900"), cases[k].mass < 1);
    xt_report_free(report);
  }
}

/* An untouched run, the source prompt's and two transplants of a question without a gold answer. */
static void add_without_gold(Made *m, int i, const float runs[4][7]) {
  static const xt_tracked tracked[] = {{10, "label", "A", "A", 0},
                                       {20, "label", "A", " A", 0},
                                       {11, "label", "B", "B", 0},
                                       {20, "label", "B", " B", 0},
                                       {12, "word", "A", "Aye", 0}};
  xt_error error;
  const int64_t number = add_question(m, i, i ? "sw" : "de", NULL);
  ASSERT_OK(xt_store_track(m->store, number, tracked, 5, &error));
  for (int r = 0; r < 4; r++) {
    float numbers[7];
    memcpy(numbers, runs[r], sizeof numbers);
    xt_generation g = generation(numbers);
    g.effect_count = r == 1 ? 0 : 7;
    if (r == 1) {
      ASSERT_OK(xt_store_add_source(m->store, number, &g, &error));
      ASSERT_OK(xt_store_add_source_effects(m->store, number, numbers, 7, &error));
    } else {
      ASSERT_OK(xt_store_add_response(m->store, number, r ? &m->site : NULL, r ? r : -1, r ? 0 : -1,
                                      &g, &error));
    }
  }
}

static void same_answer(const xt_answer_effect *got, const char *answer, bool option, size_t count,
                        double logprob, double change) {
  assert_string_equal(got->answer, answer);
  assert_int_equal(got->option, option);
  assert_int_equal(got->count, count);
  assert_int_equal(got->changes, count);
  assert_true(fabs(got->logprob - logprob) < 1e-12 && fabs(got->change - change) < 1e-12);
}

/* Without gold answers there are the divergences, and each answer by itself: token 20 is of two
 * options and left out, and the word A is not the option A. What needs a gold answer is NaN. */
static void test_without_gold(void **state) {
  (void)state;
  static const float runs[2][4][7] = {{{0, 2, -1, -0.5f, -3, -0.5f, -6},
                                       {4, 0, -2, -0.5f, -4, -0.5f, -7},
                                       {0.5f, 1, -1.5f, -0.5f, -1, -0.5f, -5},
                                       {1, 1.5f, -1, -0.5f, -2, -0.5f, -6.5f}},
                                      {{0, 3, -2, -0.5f, -5, -0.5f, -8},
                                       {5, 0, -3, -0.5f, -5, -0.5f, -8},
                                       {1.5f, 2, -1, -0.5f, -5, -0.5f, -8},
                                       {2, 2.5f, -4, -0.5f, -1, -0.5f, -8}}};
  Made m;
  xt_error error;
  xt_analysis *a;
  made_open(&m, "bare.db", "globalopinionqa");
  for (int i = 0; i < 2; i++) add_without_gold(&m, i, runs[i]);
  ASSERT_OK(xt_store_commit(m.store, 0, &error));
  ASSERT_OK(xt_analysis_create(m.store, NULL, &a, &error));
  assert_int_equal(xt_analysis_count(a), 0);
  assert_int_equal(xt_analysis_unscored(a), 1);
  const xt_group *g = xt_analysis_get_unscored(a, 0);
  const xt_site_result *site = &g->sites[0];
  const xt_effect_result *mean = &site->mean_effects;
  assert_true(fabs(g->untouched_effects.kl_source - 2.5) < 1e-12);
  assert_true(fabs(g->source_effects.kl_untouched - 4.5) < 1e-12);
  assert_int_equal(mean->count, 4);
  assert_true(fabs(mean->kl_untouched - 1.25) < 1e-12 && fabs(mean->kl_source - 1.75) < 1e-12);
  assert_true(fabs(site->effects[2 * g->layers].kl_source - 1.5) < 1e-12);
  assert_true(isnan(mean->logit_difference) && isnan(mean->normalised) && isnan(mean->gold) &&
              isnan(mean->choice) && isnan(mean->calibrated));
  assert_int_equal(g->answer_count, 3);
  same_answer(&g->untouched_answers[0], "A", true, 2, -1.5, 0);
  same_answer(&g->source_answers[1], "B", true, 2, -4.5, -0.5);
  const xt_answer_effect *cell = site->answers + (size_t)(2 * g->layers) * g->answer_count;
  same_answer(&cell[0], "A", true, 2, -1.25, 0.25);
  same_answer(&cell[1], "B", true, 2, -3, 1);
  same_answer(&cell[2], "A", false, 2, -6.5, 0.5);
  same_answer(&site->mean_answers[0], "A", true, 4, -1.875, -0.375);
  same_answer(&site->mean_answers[1], "B", true, 4, -2.25, 1.75);
  near(map_at(a, "change_option_A", 0, 1, (size_t)(2 * g->layers)), -0.5);
  near(map_at(a, "change_option_A", 1, 2, (size_t)(2 * g->layers)), 1);
  near(map_at(a, "change_option_A", 0, 2, (size_t)(2 * g->layers)), 0.25);
  near(map_at(a, "change_option_B", 0, 2, (size_t)(2 * g->layers)), 1);
  near(map_at(a, "change_word_A", 0, 2, (size_t)(2 * g->layers)), 0.5);
  near(map_at(a, "kl_source", 0, 2, (size_t)(2 * g->layers)), 1.5);
  assert_true(isnan(map_at(a, "change_option_A", 0, 2, 0)));
  assert_int_equal(site->answers[0].count, 0);
  assert_true(isnan(site->answers[0].logprob) && isnan(site->answers[0].change));
  xt_analysis_free(a);
  made_close(&m);
}

/* Tokens that two options share say nothing; a question without options has its gold answers and
 * the words. */
static void test_answers(void **state) {
  (void)state;
  static const xt_tracked options[] = {{10, "label", "1", "1", 0},  {20, "text", "1", "Yes", 0},
                                       {11, "label", "2", "2", 0},  {20, "text", "2", "Yeah", 0},
                                       {11, "text", "2", "2nd", 0}, {30, "word", "no", "no", 0}};
  static const xt_tracked plain[] = {{5, "gold", "086", "086", 0},
                                     {6, "gold", "eighty", "eighty", 0},
                                     {7, "word", "566", "566", 0}};
  const float numbers[] = {0, 0, -1, -2, -3, -4, -5, -6};
  AnalysisInstance k = {.tracked = options, .tracked_count = 6, .gold = "2"};
  Arena arena = {0};
  Answers m;
  xt_error error;
  double scores[8];
  ASSERT_OK(effects_answers(&k, effects_has_options(&k), &arena, &m, &error));
  assert_int_equal(m.count, 2);
  assert_int_equal(m.gold, 1);
  effects_scores(&k, &m, numbers, scores);
  near(scores[0], -1);
  near(scores[1], -3);
  near(effects_difference(&m, scores), -2);
  near(effects_tracked(&m, scores), exp(-1) + exp(-3)); /* without the shared ones, and the word */
  k = (AnalysisInstance){.tracked = plain,
                         .tracked_count = 3,
                         .gold = "086\x1e"
                                 "eighty"};
  ASSERT_OK(effects_answers(&k, effects_has_options(&k), &arena, &m, &error));
  assert_int_equal(m.count, 2);
  assert_true(!m.options);
  effects_scores(&k, &m, numbers, scores);
  near(effects_gold(&m, scores), exp(-1) + exp(-2));
  near(effects_difference(&m, scores), log(exp(-1) + exp(-2)) + 3);
  k.tracked_count = 2;
  ASSERT_OK(effects_answers(&k, effects_has_options(&k), &arena, &m, &error));
  effects_scores(&k, &m, numbers, scores);
  assert_true(isnan(effects_difference(&m, scores)));
  near(effects_tracked(&m, scores), exp(-1) + exp(-2));
  k.tracked_count = 0;
  ASSERT_OK(effects_answers(&k, effects_has_options(&k), &arena, &m, &error));
  assert_true(isnan(effects_tracked(&m, scores)));
  arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_means), cmocka_unit_test(test_maps),
                                     cmocka_unit_test(test_rarely_begun),
                                     cmocka_unit_test(test_without_gold),
                                     cmocka_unit_test(test_answers)};
  return cmocka_run_group_tests_name("means of effects", tests, NULL, NULL);
}
