/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals of effects, and of accuracies by the options' likelihoods, against a bootstrap of sums
 * by hand: of means, of differences from the untouched run and from a control that has fewer pairs
 * of layers, and of what is normalised. */
#include <math.h>

#include "files_support.h"
#include "made_store.h"
#include "store/store_options.h"
#include "xtransplant/report.h"

enum { QUESTIONS = 8, SAMPLES = 400, NUMBERS = 5 };

/* Log-probabilities of the gold answer, which halves hold exactly; the best other one has -2. */
typedef enum Run { UNTOUCHED, SOURCE, FIRST, SECOND, CONTROL } Run;
static double gold_of(Run run, int i, bool flat) {
  switch (run) {
    case UNTOUCHED: return -2 + 0.125 * (i % 3);
    case SOURCE: return flat && i % 2 ? -4 : -0.5 - 0.125 * (i % 4);
    case FIRST: return -1 - 0.25 * (i % 4);
    case SECOND: return -1.5 - 0.125 * (i % 5);
    case CONTROL: return -2.25 + 0.125 * (i % 2);
  }
  return 0;
}

static double difference_of(Run run, int i, bool flat) { return gold_of(run, i, flat) + 2; }

static void set_numbers(Run run, int i, bool flat, float *out) {
  const int gold = i % 3;
  out[0] = (float)run * 0.5f + (float)i * 0.125f;
  out[1] = 1;
  for (int o = 0; o < 3; o++) out[2 + o] = o == (gold + 1) % 3 ? -2 : -8;
  out[2 + gold] = (float)gold_of(run, i, flat);
}

static void add_run(Made *m, int64_t question, const char *site, int target, Run run, int i,
                    bool flat) {
  static int32_t id = 60;
  static float number = 1;
  xt_error error;
  float numbers[NUMBERS];
  const xt_generation g = {.count = 1,
                           .ids = &id,
                           .margins = &number,
                           .entropies = &number,
                           .logprobs = &number,
                           .effect_count = run == SOURCE ? 0 : NUMBERS,
                           .effects = numbers};
  set_numbers(run, i, flat, numbers);
  if (site) ASSERT_OK(xt_site_parse(site, &m->site, &error));
  if (run == SOURCE) {
    ASSERT_OK(xt_store_add_source(m->store, question, &g, &error));
    ASSERT_OK(xt_store_add_source_effects(m->store, question, numbers, NUMBERS, &error));
  } else {
    ASSERT_OK(xt_store_add_response(m->store, question, site ? &m->site : NULL, site ? 0 : -1,
                                    site ? target : -1, &g, &error));
  }
}

/* Whether the gold option is the likeliest. */
static bool is_right(Run run, int i) {
  return run == UNTOUCHED ? i < 3 : run == FIRST ? i % 2 == 0 : run == SECOND ? i % 4 != 0 : i == 5;
}

static void add_options(const Made *m, int64_t question, const char *site, int target, Run run,
                        int i) {
  xt_error error;
  double sums[3] = {-60, -60, -60};
  sums[i % 3] = is_right(run, i) ? -0.125 : -50;
  sums[(i + 1) % 3] = is_right(run, i) ? -50 : -0.125;
  ASSERT_OK(options_add(m->store, question, site, target < 0 ? -1 : 0, target, sums, 3, &error));
}

static void fill(Made *m, bool flat) {
  static const xt_choice choices[] = {{"1", "Yes"}, {"2", "Maybe"}, {"3", "No"}};
  static const xt_tracked answers[] = {
      {10, "label", "1", "1", 0}, {11, "label", "2", "2", 0}, {12, "label", "3", "3", 0}};
  static const int32_t ids[] = {1, 2};
  xt_error error;
  made_open(m, "intervals.db", "xnli");
  for (int i = 0; i < QUESTIONS; i++) {
    char id[12];
    int64_t number;
    snprintf(id, sizeof id, "%d", i);
    const xt_question q = {.id = id,
                           .number = (size_t)i,
                           .task = "xnli",
                           .lang = "sw",
                           .source_lang = "en",
                           .source = id,
                           .target = id,
                           .gold = answers[i % 3].answer,
                           .choices = choices,
                           .choice_count = 3};
    ASSERT_OK(xt_store_add_question(
        m->store, &q,
        &(xt_instance){.source = ids, .target = ids, .source_count = 2, .target_count = 2}, &number,
        &error));
    ASSERT_OK(xt_store_track(m->store, number, answers, 3, &error));
    add_run(m, number, NULL, -1, UNTOUCHED, i, flat);
    add_run(m, number, NULL, -1, SOURCE, i, flat);
    add_run(m, number, "attn", 1, FIRST, i, flat);
    add_run(m, number, "attn", 2, SECOND, i, flat);
    add_run(m, number, "attn+random", 2, CONTROL, i, flat);
    add_options(m, number, "vanilla", -1, UNTOUCHED, i);
    add_options(m, number, "attn", 1, FIRST, i);
    add_options(m, number, "attn", 2, SECOND, i);
    add_options(m, number, "attn+random", 2, CONTROL, i);
  }
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
  made_close(m);
}

static void open_report(const Made *m, xt_report **out) {
  xt_error error;
  const xt_report_options options = {
      .analysis = &(xt_analysis_options){.bootstrap = SAMPLES, .permutations = 20, .threads = 1}};
  ASSERT_OK(xt_report_create(m->path, &options, out, &error));
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void same(double got, double want) {
  if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want)))) fail_msg("%.17g is not %.17g", got, want);
}

/* A mean over `responses` of each question, whose sum is sums[i]. */
static void check(xt_interval got, const double *sums, double responses) {
  xt_error error;
  double weights[QUESTIONS], low, high, sum = 0;
  for (int i = 0; i < QUESTIONS; i++) {
    weights[i] = responses;
    sum += sums[i];
  }
  ASSERT_OK(xt_bootstrap_ratio(sums, weights, QUESTIONS, SAMPLES, 1, 0.95, &low, &high, &error));
  same(got.value, sum / (responses * QUESTIONS));
  same(got.low, low);
  same(got.high, high);
}

static void test_means_and_differences(void **state) {
  (void)state;
  Made m;
  xt_report *report;
  double difference[QUESTIONS], gold[QUESTIONS], over[QUESTIONS], control[QUESTIONS],
      second[QUESTIONS], divergence[QUESTIONS];
  fill(&m, false);
  open_report(&m, &report);
  const xt_group *g = xt_analysis_get(xt_report_analysis(report), 0);
  const xt_site_result *site = &g->sites[0], *other = &g->sites[1];
  for (int i = 0; i < QUESTIONS; i++) {
    const double first = difference_of(FIRST, i, false);
    second[i] = difference_of(SECOND, i, false);
    difference[i] = first + second[i];
    over[i] = difference[i] - 2 * difference_of(UNTOUCHED, i, false);
    gold[i] = exp(gold_of(FIRST, i, false)) + exp(gold_of(SECOND, i, false));
    control[i] = second[i] - difference_of(CONTROL, i, false);
    divergence[i] = 0.5 * FIRST + 0.5 * SECOND + 2 * 0.125 * i;
  }
  check(site->effect_intervals.means[XT_MEASURE_LOGIT_DIFFERENCE], difference, 2);
  check(site->effect_intervals.means[XT_MEASURE_GOLD], gold, 2);
  check(site->effect_intervals.means[XT_MEASURE_KL_UNTOUCHED], divergence, 2);
  check(site->effect_intervals.over_untouched[XT_MEASURE_LOGIT_DIFFERENCE], over, 2);
  check(other->effect_intervals.over_control[XT_MEASURE_LOGIT_DIFFERENCE], control, 1);
  assert_true(isnan(site->effect_intervals.over_control[XT_MEASURE_GOLD].value));
  assert_int_equal(site->best_effects, 1); /* layer 0 into 1 */
  same(site->best_effect_intervals.means[XT_MEASURE_GOLD].value, site->effects[1].gold);
  const xt_interval choice = site->effect_intervals.over_untouched[XT_MEASURE_CHOICE];
  same(choice.value, site->mean_effects.choice - g->untouched_effects.choice);
  assert_true(choice.low <= choice.value && choice.value <= choice.high);
  const xt_interval *normalised = &site->effect_intervals.means[XT_MEASURE_NORMALISED];
  same(normalised->value, site->mean_effects.normalised);
  assert_true(normalised->low < normalised->value && normalised->value < normalised->high);
  xt_report_free(report);
}

/* Nothing is normalised by a span that may be none. */
static void test_uncertain_span(void **state) {
  (void)state;
  Made m;
  xt_report *report;
  fill(&m, true);
  open_report(&m, &report);
  const xt_group *g = xt_analysis_get(xt_report_analysis(report), 0);
  const xt_site_result *site = &g->sites[0];
  assert_true(isfinite(site->mean_effects.normalised));
  assert_true(isnan(site->effect_intervals.means[XT_MEASURE_NORMALISED].value));
  assert_true(isfinite(site->effect_intervals.means[XT_MEASURE_LOGIT_DIFFERENCE].low));
  xt_report_free(report);
}

static char *file_of(xt_report *report, const char *name) {
  xt_error error;
  char path[256];
  size_t size;
  snprintf(path, sizeof path, "%s/intervals", models_folder);
  ASSERT_OK(xt_report_write(report, path, NULL, &error));
  snprintf(path, sizeof path, "%s/intervals/%s", models_folder, name);
  char *const bytes = (char *)read_whole(path, &size), *const text = strndup(bytes, size);
  free(bytes);
  return text;
}

static void assert_file_has(xt_report *report, const char *name, const char *part) {
  char *const text = file_of(report, name);
  if (!strstr(text, part)) fail_msg("'%s' is not in %s:\n%s", part, name, text);
  free(text);
}

static void test_options(void **state) {
  (void)state;
  Made m;
  xt_report *report;
  double right[QUESTIONS], over[QUESTIONS], control[QUESTIONS], untouched[QUESTIONS];
  char part[256];
  fill(&m, false);
  open_report(&m, &report);
  const xt_group *g = xt_analysis_get(xt_report_analysis(report), 0);
  const xt_site_result *site = &g->sites[0], *other = &g->sites[1];
  for (int i = 0; i < QUESTIONS; i++) {
    untouched[i] = is_right(UNTOUCHED, i);
    right[i] = (double)is_right(FIRST, i) + (double)is_right(SECOND, i);
    over[i] = right[i] - 2 * untouched[i];
    control[i] = (double)is_right(SECOND, i) - (double)is_right(CONTROL, i);
  }
  check(g->untouched_options.means[XT_OPTION_ACC], untouched, 1);
  check(site->options.means[XT_OPTION_ACC], right, 2);
  check(site->options.means[XT_OPTION_ACC_NORM], right, 2);
  check(site->options.over_untouched[XT_OPTION_ACC], over, 2);
  check(other->options.over_control[XT_OPTION_ACC], control, 1);
  assert_true(isnan(site->options.over_control[XT_OPTION_ACC].value));
  assert_int_equal(site->options.runs, 2 * QUESTIONS);
  assert_int_equal(site->options.configurations, 2);
  assert_int_equal(site->best_options, 2); /* layer 0 into 2 */
  same(site->best_option_intervals.means[XT_OPTION_ACC_NORM].value, 0.75);
  const xt_interval c = other->options.over_control[XT_OPTION_ACC];
  assert_file_has(report, "options.csv", "\n\"XNLI, attn+random\",8,1,0,");
  snprintf(part, sizeof part, ",%.10g,%.10g,%.10g,", c.value, c.low, c.high);
  assert_file_has(report, "options-differences.csv", part);
  assert_file_has(report, "options-differences.csv", "Over untouched acc_norm high,");
  xt_report_free(report);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void test_tables(void **state) {
  (void)state;
  Made m;
  xt_report *report;
  char part[256];
  fill(&m, false);
  open_report(&m, &report);
  const xt_group *g = xt_analysis_get(xt_report_analysis(report), 0);
  const xt_interval d = g->sites[0].effect_intervals.means[XT_MEASURE_LOGIT_DIFFERENCE],
                    c = g->sites[1].effect_intervals.over_control[XT_MEASURE_CALIBRATED];
  assert_file_has(report, "effects.csv",
                  "Layer pairs,Logit difference,Logit difference low,Logit difference high,");
  snprintf(part, sizeof part, "\n\"XNLI, attn\",2,%.10g,%.10g,%.10g,", d.value, d.low, d.high);
  assert_file_has(report, "effects.csv", part);
  assert_file_has(report, "effects.csv", "\n\"XNLI, attn+random\",1,");
  assert_file_has(report, "effects-differences.csv", "Over the control P(gold) low,");
  snprintf(part, sizeof part, ",%.10g,%.10g,%.10g\n", c.value, c.low, c.high);
  assert_file_has(report, "effects-differences.csv", part);
  snprintf(part, sizeof part, "%.2f [%.2f, %.2f]", d.value, d.low, d.high);
  assert_file_has(report, "report.html", part);
  assert_file_has(report, "report.json", "\"best_effects\": {");
  assert_file_has(report, "report.json", "\"untouched_effect_intervals\": {");
  xt_report_free(report);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_means_and_differences),
                                     cmocka_unit_test(test_uncertain_span),
                                     cmocka_unit_test(test_options), cmocka_unit_test(test_tables)};
  return cmocka_run_group_tests_name("intervals of effects", tests, NULL, NULL);
}
