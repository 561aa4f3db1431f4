/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated benchmarks whose questions are asked in 14 languages and have no true effect: how often
 * the intervals hold it, how often the tests reject, and what the best of many configurations seems
 * to be worth. What two languages' outcomes of one question have in common is `rho`, the
 * correlation of their signs where both differ from the untouched model. */
#include <math.h>
#include <stdio.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/levels.h"
#include "analysis/statistics.h"
#include "support.h"

#define LANGUAGES 14
#define QUESTIONS 50
#define COUNT (LANGUAGES * QUESTIONS)
#define WORDS ((COUNT + BITS_WORD - 1) / BITS_WORD)

static const char *const names[LANGUAGES] = {"ar", "bg", "de", "el", "en", "es", "fr",
                                             "hi", "ru", "sw", "tr", "ur", "vi", "zh"};

typedef struct Simulated {
  xt_analysis a;
  AnalysisGroup g;
  AnalysisSite site;
  AnalysisInstance instances[COUNT];
  AnalysisText text;
  xt_group_language languages[LANGUAGES];
  char ids[COUNT][8], sources[COUNT][8];
  uint64_t scored[WORDS], vanilla[WORDS];
} Simulated;

static double uniform(Rng *rng) { return (double)(rng_next(rng) >> 11) * 0x1p-53; }

/* parallel: instances of one number have one id; else each its own. */
static void simulated_init(Simulated *m, int layers, int samples, bool parallel, uint64_t seed) {
  memset(m, 0, sizeof *m);
  const size_t cells = (size_t)(layers * layers);
  m->a = (xt_analysis){.layers = layers,
                       .cells = layers * layers,
                       .texts = &m->text,
                       .options = {.bootstrap = samples,
                                   .permutations = 999,
                                   .seed = seed,
                                   .confidence = 0.95,
                                   .threads = 1,
                                   .memory = UINT64_MAX}};
  m->text.nll = NAN;
  m->site = (AnalysisSite){.name = "block",
                           .capacity = COUNT,
                           .texts = calloc(COUNT * cells, sizeof(uint32_t)),
                           .correct = calloc(cells * WORDS, 8),
                           .present = calloc(cells * WORDS, 8)};
  m->g = (AnalysisGroup){.group = {.task = "xnli",
                                   .title = "XNLI",
                                   .pivot = "en",
                                   .benchmark = xt_task_find("xnli"),
                                   .layers = layers,
                                   .instances = COUNT,
                                   .scored = COUNT,
                                   .language_count = LANGUAGES,
                                   .languages = m->languages},
                         .instances = m->instances,
                         .sites = &m->site,
                         .site_count = 1,
                         .scored = m->scored,
                         .vanilla = m->vanilla};
  for (size_t i = 0; i < COUNT; i++) {
    snprintf(m->ids[i], sizeof m->ids[i], "%zu", parallel ? i % QUESTIONS : i);
    snprintf(m->sources[i], sizeof m->sources[i], "s%zu", i);
    m->instances[i] = (AnalysisInstance){
        .id = m->ids[i], .source = m->sources[i], .lang = names[i / QUESTIONS], .scored = true};
    bits_set(m->scored, i);
    for (size_t c = 0; c < cells; c++) bits_set(m->site.present + c * WORDS, i);
  }
  for (size_t l = 0; l < LANGUAGES; l++)
    m->languages[l] = (xt_group_language){
        .name = names[l], .level = level_of(names[l]), .first = l * QUESTIONS, .count = QUESTIONS};
}

static void simulated_deinit(Simulated *m) {
  arena_free(&m->a.arena);
  free(m->site.texts);
  free(m->site.correct);
  free(m->site.present);
}

/* The untouched model has a half right, at random. Of each configuration a fifth of the instances
 * differ from it, as often for the better as for the worse; a question's languages agree on which
 * as rho has it. */
static void simulate(Simulated *m, double rho, Rng *rng) {
  const double agree = sqrt(rho);
  for (size_t i = 0; i < COUNT; i++) {
    m->instances[i].vanilla_correct = rng_next(rng) >> 63;
    if (m->instances[i].vanilla_correct) bits_set(m->vanilla, i);
  }
  for (size_t c = 0; c < (size_t)m->a.cells; c++)
    for (size_t q = 0; q < QUESTIONS; q++) {
      const bool together = rng_next(rng) >> 63;
      for (size_t l = 0; l < LANGUAGES; l++) {
        const size_t i = l * QUESTIONS + q;
        /* half of these are as they were */
        const bool untouched = m->instances[i].vanilla_correct, differs = uniform(rng) < 0.4;
        const bool better = uniform(rng) < agree ? together : rng_next(rng) >> 63;
        if (differs ? better : untouched) bits_set(m->site.correct + c * WORDS, i);
      }
    }
}

typedef struct Rates {
  double covered, flip, mcnemar; /* shares of trials: interval holds 0; p below 0.05 */
} Rates;

static Rates rates_of(double rho, bool parallel, int trials) {
  static Simulated m;
  Rng rng = {2026};
  xt_error error = {0};
  int covered = 0, flip = 0, mcnemar = 0;
  for (int trial = 0; trial < trials; trial++) {
    simulated_init(&m, 1, 600, parallel, (uint64_t)trial + 1);
    simulate(&m, rho, &rng);
    assert_int_equal(analysis_scores(&m.a, &m.g, &error), XT_STATUS_OK);
    assert_int_equal(analysis_significance(&m.a, &m.g, &error), XT_STATUS_OK);
    const xt_configuration *c = &m.g.group.sites[0].configurations[0];
    covered += c->low <= 0 && 0 <= c->high;
    flip += c->p < 0.05;
    mcnemar += c->mcnemar < 0.05;
    simulated_deinit(&m);
  }
  return (Rates){(double)covered / trials, (double)flip / trials, (double)mcnemar / trials};
}

static const double rhos[] = {0, 0.1, 0.2, 0.3};

/* 1,000 trials of a true 95 % are 95 +- 0.7. */
static void test_intervals_cover(void **state) {
  (void)state;
  enum { TRIALS = 1000 };
  if (getenv("XT_TEST_BRIEF")) skip(); /* the numbers are the same in every build */
  for (size_t k = 0; k < sizeof rhos / sizeof *rhos; k++) {
    const Rates r = rates_of(rhos[k], true, TRIALS);
    print_message("# rho %.1f: 95%% intervals by question hold the truth in %.1f%%; p < 0.05: sign "
                  "flips by question %.1f%%, McNemar %.1f%%\n",
                  rhos[k], 100 * r.covered, 100 * r.flip, 100 * r.mcnemar);
    if (r.covered < 0.93 || r.covered > 0.97)
      fail_msg("rho %.1f: %.1f%% of the intervals hold the truth", rhos[k], 100 * r.covered);
    if (r.flip > 0.065)
      fail_msg("rho %.1f: the test by question rejects %.1f%%", rhos[k], 100 * r.flip);
  }
}

/* What the above is for: with the same questions taken as others in each language, the intervals
 * are too narrow. */
static void test_unrelated_would_not(void **state) {
  (void)state;
  const Rates r = rates_of(0.3, false, 400);
  print_message("# rho 0.3, languages taken as unrelated: intervals hold the truth in %.1f%%; p < "
                "0.05: %.1f%%\n",
                100 * r.covered, 100 * r.flip);
  assert_true(r.covered < 0.92);
  assert_true(r.flip > 0.07);
}

/* Mean of best_fresh, in points, of the best of 144 configurations without an effect. */
static double fresh_gain(double rho, bool parallel) {
  enum { TRIALS = 12, LAYERS = 12 };
  static Simulated m;
  Rng rng = {7};
  xt_error error = {0};
  double sum = 0;
  for (int trial = 0; trial < TRIALS; trial++) {
    simulated_init(&m, LAYERS, 200, parallel, (uint64_t)trial + 1);
    simulate(&m, rho, &rng);
    assert_int_equal(analysis_scores(&m.a, &m.g, &error), XT_STATUS_OK);
    assert_int_equal(analysis_significance(&m.a, &m.g, &error), XT_STATUS_OK);
    sum += 100 * m.g.group.sites[0].best_fresh / TRIALS;
    simulated_deinit(&m);
  }
  return sum;
}

static void test_fresh_gain(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof rhos / sizeof *rhos; k++) {
    const double fresh = fresh_gain(rhos[k], true);
    print_message("# rho %.1f: gain of the best of 144 on fresh questions %+.1f points\n", rhos[k],
                  fresh);
    if (fabs(fresh) > 0.6)
      fail_msg("rho %.1f: %+.2f points on fresh questions, of no true gain", rhos[k], fresh);
  }
  const double unrelated = fresh_gain(0.3, false);
  print_message("# rho 0.3, languages taken as unrelated: %+.1f points\n", unrelated);
  assert_true(unrelated > 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_intervals_cover),
                                     cmocka_unit_test(test_unrelated_would_not),
                                     cmocka_unit_test(test_fresh_gain)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
