/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies on stores made for them: what is right is known, and so is what each rule has to
 * choose. */
#include <math.h>

#include "base/rng.h"
#include "made_store.h"

#define LAYERS 6
#define QUESTIONS 60

/* ---- what was chosen ------------------------------------------------------------------------- */

typedef struct Chosen {
  const char *strategy;
  int count, right;
  int source[2 * QUESTIONS], target[2 * QUESTIONS]; /* in the order of reading */
} Chosen;

static xt_status keep(void *user, const xt_store_row *row, xt_error *error) {
  Chosen *c = user;
  (void)error;
  assert_non_null(row->strategy);
  if (strcmp(row->strategy, c->strategy) != 0) return XT_STATUS_OK;
  c->source[c->count] = row->source_layer;
  c->target[c->count++] = row->target_layer;
  c->right += row->correct == 1;
  return XT_STATUS_OK;
}

static Chosen chosen(Made *m, const char *strategy) {
  xt_error error;
  Chosen c = {.strategy = strategy};
  ASSERT_OK(xt_store_read_selections(m->store, keep, &c, &error));
  return c;
}

static xt_select_counts select_by(Made *m, xt_strategy strategy, xt_candidates candidates,
                                  const xt_selector *selector) {
  xt_error error;
  xt_select_counts counts;
  const xt_select_options o = {
      .strategy = strategy, .candidates = candidates, .selector = selector};
  ASSERT_OK(xt_store_select(m->store, &o, &counts, &error));
  return counts;
}

typedef struct Wanted {
  const char *strategy;
  xt_selection_row row;
  int count;
} Wanted;

static xt_status keep_sum(void *user, const xt_selection_row *row, xt_error *error) {
  Wanted *w = user;
  (void)error;
  if (row->lang || strcmp(row->strategy, w->strategy) != 0) return XT_STATUS_OK;
  w->row = *row;
  w->count++;
  return XT_STATUS_OK;
}

static xt_selection_row summary(Made *m, const char *strategy) {
  xt_error error;
  Wanted w = {.strategy = strategy};
  ASSERT_OK(xt_store_summarize_selections(m->store, NULL, keep_sum, &w, &error));
  assert_int_equal(w.count, 1);
  return w.row;
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* One question in which every rule has to choose another candidate. */
static void test_rules(void **state) {
  (void)state;
  Made m;
  made_open(&m, "rules.db", "xquad"); /* ffn; right: the gold answer is in it */
  const int64_t q = add_question(&m, 0, "sw", "gold");
  add_response(&m, q, -1, -1, "vanilla text", 9, 9, -9);
  static const struct {
    const char *text;
    float entropy, mean, logprob;
  } cells[LAYERS] = {{"first text", 3.0f, 2.0f, -2.0f},     {"common gold", 2.5f, 2.0f, -1.9f},
                     {" common gold\n", 2.0f, 2.0f, -1.5f}, {"sure text", 1.5f, 2.0f, -0.1f},
                     {"calm text", 2.2f, 0.5f, -3.0f},      {"last text", 2.9f, 1.0f, -2.5f}};
  for (int i = 0; i < LAYERS; i++)
    add_response(&m, q, i, 0, cells[i].text, cells[i].entropy, cells[i].mean, cells[i].logprob);
  add_response(&m, q, LAYERS - 1, 3, "deep gold", 0.1f, 0.1f, -0.01f);
  static const struct {
    xt_strategy strategy;
    xt_candidates candidates;
    const char *name;
    int source, target, right;
  } wanted[] = {
      /* generation: first into first */
      {XT_STRATEGY_COARSE, XT_CANDIDATES_ENDS, "coarse", 0, 0, 0},
      {XT_STRATEGY_ENTROPY, XT_CANDIDATES_ENDS, "entropy:ends", 5, 0, 0},
      {XT_STRATEGY_ENTROPY, XT_CANDIDATES_TARGET_FIRST, "entropy:target-first", 3, 0, 0},
      {XT_STRATEGY_MEAN_ENTROPY, XT_CANDIDATES_TARGET_FIRST, "mean-entropy:target-first", 4, 0, 0},
      {XT_STRATEGY_MEAN_ENTROPY, XT_CANDIDATES_ENDS, "mean-entropy:ends", 5, 0, 0},
      {XT_STRATEGY_LOGPROB, XT_CANDIDATES_TARGET_FIRST, "logprob:target-first", 3, 0, 0},
      {XT_STRATEGY_LOGPROB, XT_CANDIDATES_ENDS, "logprob:ends", 0, 0, 0},
      /* of the two that agree, the likelier */
      {XT_STRATEGY_VOTE, XT_CANDIDATES_TARGET_FIRST, "vote:target-first", 2, 0, 1},
      /* no two agree: the likelier */
      {XT_STRATEGY_VOTE, XT_CANDIDATES_ENDS, "vote:ends", 0, 0, 0},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    const xt_select_counts counts = select_by(&m, wanted[i].strategy, wanted[i].candidates, NULL);
    assert_int_equal(counts.selected, 1);
    assert_int_equal(counts.changed, 1);
    const Chosen c = chosen(&m, wanted[i].name);
    if (c.count != 1 || c.source[0] != wanted[i].source || c.target[0] != wanted[i].target ||
        c.right != wanted[i].right)
      fail_msg("%s: %d chosen, layer %d into %d", wanted[i].name, c.count, c.source[0],
               c.target[0]);
    assert_int_equal(select_by(&m, wanted[i].strategy, wanted[i].candidates, NULL).changed, 0);
  }
  const xt_select_counts none = select_by(&m, XT_STRATEGY_ENTROPY, XT_CANDIDATES_ALL, NULL);
  assert_int_equal(none.selected, 0);
  assert_int_equal(none.incomplete, 1);
  xt_selection_row row = summary(&m, "vote:target-first");
  assert_int_equal(row.questions, 1);
  assert_int_equal(row.selected, 1);
  assert_int_equal(row.vanilla, 0);
  row = summary(&m, "entropy:ends");
  assert_int_equal(row.bound, 0); /* neither first nor last is right; some layer into the first
                                     is */
  assert_int_equal(row.with_target_first, 1);
  assert_int_equal(row.target_first, 1);
  assert_int_equal(row.target_first_selected, 0);
  made_close(&m);
}

/* In tasks of options it is the option that votes, however it is worded. */
static void test_vote_of_options(void **state) {
  (void)state;
  Made m;
  made_open(&m, "vote.db", "globalopinionqa");
  const int64_t q = add_question(&m, 0, "sw", "B");
  add_response(&m, q, -1, -1, "(A)", 1, 1, -1);
  static const char *const texts[LAYERS] = {"(A) x", "it is (B)",   "(B)",
                                            "  b ",  "(A) and (B)", "(C)"};
  for (int i = 0; i < LAYERS; i++)
    add_response(&m, q, i, 0, texts[i], 1, 1, i == 3 ? -0.5f : -0.1f * (float)(i + 1));
  select_by(&m, XT_STRATEGY_VOTE, XT_CANDIDATES_TARGET_FIRST, NULL);
  const Chosen c = chosen(&m, "vote:target-first");
  assert_int_equal(c.source[0], 1); /* of 1, 2 and 3 the likeliest */
  assert_int_equal(c.right, 1);
  made_close(&m);
}

/* ---- learning -------------------------------------------------------------------------------- */

/* Right responses are surer than others of their question, but for noise; untouched ones right in a
 * fifth of the questions, and then very sure. */
static void add_lesson(Made *m, int index, const char *lang, Rng *rng) {
  const int64_t q = add_question(m, index, lang, "gold");
  const bool easy = index % 5 == 0;
  add_response(m, q, -1, -1, easy ? "gold itself" : "plain", 2, 2,
               easy ? -0.05f : -1.5f + 0.2f * rng_symmetric(rng));
  for (int i = 0; i < LAYERS; i++) {
    char text[32];
    const bool right = !easy && i == index % LAYERS;
    snprintf(text, sizeof text, "%s %d", right ? "gold" : "tin", i);
    add_response(m, q, i, 0, text, 2 + rng_symmetric(rng), 2,
                 (right ? -0.8f : -1.2f) + 0.3f * rng_symmetric(rng));
  }
}

/* Questions from number `first` on. */
static void fill_from(Made *m, const char *name, uint64_t seed, int first) {
  Rng rng = {seed};
  xt_error error;
  made_open(m, name, "xquad");
  for (int i = first; i < first + QUESTIONS; i++) {
    add_lesson(m, i, "sw", &rng);
    add_lesson(m, i, "tr", &rng);
  }
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
}

static void fill(Made *m, const char *name, uint64_t seed) { fill_from(m, name, seed, 0); }

static void test_learning(void **state) {
  (void)state;
  Made pilot, unseen;
  xt_error error;
  fill(&pilot, "pilot.db", 3);
  fill_from(&unseen, "unseen.db", 4, QUESTIONS);
  for (int s = XT_STRATEGY_LOGISTIC; s <= XT_STRATEGY_STUMPS; s++) {
    const xt_select_options o = {.strategy = (xt_strategy)s,
                                 .candidates = XT_CANDIDATES_TARGET_FIRST};
    char name[XT_STRATEGY_NAME_SIZE], learned[XT_STRATEGY_NAME_SIZE];
    xt_selector *selector;
    xt_strategy_format(&o, name);
    ASSERT_OK(xt_selector_train(pilot.store, &o, &selector, &error));
    xt_select_options with = o;
    with.selector = selector;
    xt_strategy_format(&with, learned);
    const xt_select_counts counts = select_by(&unseen, o.strategy, o.candidates, selector);
    assert_int_equal(counts.selected, 2 * QUESTIONS);
    const xt_selection_row row = summary(&unseen, learned);
    assert_int_equal(row.questions, 2 * QUESTIONS);
    assert_int_equal(row.vanilla, 2 * QUESTIONS / 5);
    assert_int_equal(row.bound, 2 * QUESTIONS * 4 / 5);
    /* chance would get one in seven of the rest, the rule of the highest log-probability finds
     * about two thirds */
    if (row.selected < 2 * QUESTIONS * 3 / 5)
      fail_msg("%s: %d right of %d", name, (int)row.selected, 2 * QUESTIONS);
    assert_true(counts.kept >= 20 && counts.kept <= 40); /* 24 questions are right untouched */
    xt_selector_free(selector);
    /* again, and by folds: the same choices each time */
    ASSERT_OK(xt_selector_train(pilot.store, &o, &selector, &error));
    assert_int_equal(select_by(&unseen, o.strategy, o.candidates, selector).changed, 0);
    xt_selector_free(selector);
    assert_int_equal(select_by(&pilot, o.strategy, o.candidates, NULL).selected, 2 * QUESTIONS);
    assert_true(summary(&pilot, name).selected >= 2 * QUESTIONS * 3 / 5);
    assert_int_equal(select_by(&pilot, o.strategy, o.candidates, NULL).changed, 0);
  }
  made_close(&unseen);
  made_close(&pilot);
}

static size_t learned_from(Made *m, xt_select_options o, Made *chosen_for, size_t *left_out,
                           char name[XT_STRATEGY_NAME_SIZE]) {
  xt_error error;
  xt_selector *selector;
  xt_selector_info info;
  o.candidates = XT_CANDIDATES_TARGET_FIRST;
  o.chosen_for = chosen_for->store;
  ASSERT_OK(xt_selector_train(m->store, &o, &selector, &error));
  xt_selector_get_info(selector, &info);
  o.selector = selector;
  xt_strategy_format(&o, name);
  *left_out = info.left_out;
  ASSERT_OK(xt_store_select(chosen_for->store, &o, NULL, &error));
  xt_selector_free(selector);
  return info.learned;
}

/* A selector never learns from the questions that it chooses for: those of the other store are left
 * out, in every language, or refused. Ids that are line numbers say nothing of another store. */
static void test_learning_apart(void **state) {
  (void)state;
  Made pilot, some, same, other;
  xt_error error;
  xt_selector *selector;
  char name[XT_STRATEGY_NAME_SIZE], again[XT_STRATEGY_NAME_SIZE];
  size_t left_out;
  const xt_select_options o = {.strategy = XT_STRATEGY_STUMPS,
                               .candidates = XT_CANDIDATES_TARGET_FIRST};
  fill(&pilot, "pilot-apart.db", 3);
  fill(&same, "same.db", 4);
  fill_from(&some, "some.db", 5, QUESTIONS - 10);
  fill_from(&other, "other.db", 6, QUESTIONS);
  /* ten questions, in two languages */
  assert_int_equal(learned_from(&pilot, o, &some, &left_out, name), 2 * (QUESTIONS - 10));
  assert_int_equal(left_out, 20);
  assert_int_equal(summary(&some, name).questions, 2 * QUESTIONS);
  /* kept beside the choices by folds, and told apart */
  assert_int_equal(strncmp(name, "stumps:target-first@pilot-apart.", 32), 0);
  select_by(&some, o.strategy, o.candidates, NULL);
  assert_int_equal(summary(&some, name).questions, 2 * QUESTIONS);
  assert_int_equal(summary(&some, "stumps:target-first").questions, 2 * QUESTIONS);
  assert_true(summary(&some, name).bound == summary(&some, "stumps:target-first").bound);
  /* the same file has the same name, another file another one */
  learned_from(&pilot, o, &other, &left_out, again);
  assert_int_equal(left_out, 0);
  assert_string_equal(again, name);
  learned_from(&same, o, &other, &left_out, again);
  assert_string_not_equal(again, name);
  /* nothing is left, also of the store itself */
  xt_select_options all = o;
  Made *const both[] = {&same, &pilot};
  for (int i = 0; i < 2; i++) {
    all.chosen_for = both[i]->store;
    assert_int_equal(xt_selector_train(pilot.store, &all, &selector, &error), XT_STATUS_INPUT);
    assert_non_null(strstr(error.message, "must not learn from the questions"));
  }
  /* and without being told of the other store it is refused there */
  ASSERT_OK(xt_selector_train(pilot.store, &o, &selector, &error));
  all = o;
  all.selector = selector;
  assert_int_equal(xt_store_select(some.store, &all, NULL, &error), XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "has learned from 20 of the 120 questions"));
  xt_selector_free(selector);
  made_close(&other);
  made_close(&some);
  made_close(&same);
  made_close(&pilot);
}

/* ---- what the choices gain ------------------------------------------------------------------- */

typedef struct Gains {
  const xt_analysis *analysis;
  int rows, pivots[2]; /* en, zh */
} Gains;

static void assert_same_difference(const xt_difference *got, const xt_difference *wanted) {
  assert_int_equal(got->count, wanted->count);
  assert_int_equal(got->questions, wanted->questions);
  assert_int_equal(got->won, wanted->won);
  assert_int_equal(got->lost, wanted->lost);
  const double pairs[][2] = {{got->gain, wanted->gain},
                             {got->low, wanted->low},
                             {got->high, wanted->high},
                             {got->p, wanted->p},
                             {got->mcnemar, wanted->mcnemar}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    assert_true(fabs(pairs[i][0] - pairs[i][1]) <= 0);
  assert_true(isnan(got->holm) && isnan(got->bh));
}

static xt_status check_gain(void *user, const xt_selection_row *row, xt_error *error) {
  Gains *g = user;
  (void)error;
  for (size_t i = 0; i < xt_analysis_count(g->analysis); i++) {
    const xt_group *group = xt_analysis_get(g->analysis, i);
    if (strcmp(group->pivot, row->pivot) != 0) continue;
    for (size_t k = 0; k < group->sites[0].strategy_count; k++) {
      const xt_strategy_result *r = &group->sites[0].strategies[k];
      if (strcmp(r->name, row->strategy) != 0) continue;
      for (size_t l = 0; row->lang && l < group->language_count; l++)
        if (strcmp(group->languages[l].name, row->lang) == 0) {
          assert_same_difference(&row->vanilla_gain, &r->vanilla.languages[l]);
          assert_same_difference(&row->coarse_gain, &r->coarse.languages[l]);
        }
      if (row->lang) break;
      assert_same_difference(&row->vanilla_gain, &r->vanilla.overall);
      assert_same_difference(&row->coarse_gain, &r->coarse.overall);
    }
  }
  assert_int_equal(row->vanilla_gain.count, row->questions);
  assert_true(fabs(row->vanilla_gain.gain - ((double)row->selected - (double)row->vanilla) /
                                                (double)row->questions) < 1e-12);
  /* two languages ask the same */
  if (!row->lang) assert_int_equal(2 * row->vanilla_gain.questions, row->questions);
  if (strcmp(row->strategy, "coarse") == 0)
    assert_int_equal(row->coarse_gain.won + row->coarse_gain.lost, 0);
  g->pivots[strcmp(row->pivot, "zh") == 0]++;
  g->rows++;
  return XT_STATUS_OK;
}

/* Gains, intervals and p-values are those of the report, pivot by pivot, by question: two
 * languages' instances of one count as one. */
static void test_gains(void **state) {
  (void)state;
  Made m;
  xt_error error;
  Gains g = {0};
  xt_analysis *analysis;
  const xt_analysis_options options = {
      .bootstrap = 200, .permutations = 99, .seed = 7, .threads = 1};
  fill(&m, "gains.db", 5);
  for (int i = 0; i < 20; i++)
    for (int k = 0; k < 2; k++) {
      const int64_t q = add_pivot_question(&m, 100 + i, "zh", k ? "tr" : "sw", "gold");
      add_response(&m, q, -1, -1, i % 4 ? "plain" : "gold", 2, 2, -1);
      for (int layer = 0; layer < LAYERS; layer++)
        add_response(&m, q, layer, 0, layer == i % LAYERS ? "gold" : "tin",
                     1 + (float)((i + layer) % 3), 2, -1);
    }
  ASSERT_OK(xt_store_commit(m.store, 0, &error));
  select_by(&m, XT_STRATEGY_COARSE, XT_CANDIDATES_ENDS, NULL);
  select_by(&m, XT_STRATEGY_ENTROPY, XT_CANDIDATES_TARGET_FIRST, NULL);
  ASSERT_OK(xt_analysis_create(m.store, &options, &analysis, &error));
  g.analysis = analysis;
  ASSERT_OK(xt_store_summarize_selections(m.store, &options, check_gain, &g, &error));
  assert_int_equal(g.rows, 12); /* two strategies, two pivots, two languages and their sum */
  assert_int_equal(g.pivots[1], 6);
  xt_analysis_free(analysis);
  made_close(&m);
}

/* The answer of a question must not reach the selector that chooses for it: with answers drawn by
 * lot, cross-validation finds nothing. */
static void test_folds_do_not_leak(void **state) {
  (void)state;
  Made m;
  Rng rng = {11};
  xt_error error;
  made_open(&m, "lot.db", "xquad");
  for (int i = 0; i < QUESTIONS; i++) {
    const int lucky = (int)(rng_next(&rng) % LAYERS);
    for (int l = 0; l < 2; l++) { /* the same question in two languages: the same answer */
      const int64_t q = add_question(&m, i, l ? "sw" : "tr", "gold");
      add_response(&m, q, -1, -1, "plain", 2, 2, -1);
      for (int s = 0; s < LAYERS; s++)
        add_response(&m, q, s, 0, s == lucky ? "gold" : "dirt", 2 + (float)i / 1000, 2,
                     -1 - (float)i / 1000);
    }
  }
  ASSERT_OK(xt_store_commit(m.store, 0, &error));
  for (int s = XT_STRATEGY_LOGISTIC; s <= XT_STRATEGY_STUMPS; s++) {
    /* the vote tells the lucky one apart (it is alone), so leave two candidates */
    select_by(&m, (xt_strategy)s, XT_CANDIDATES_ENDS, NULL);
    const xt_selection_row row =
        summary(&m, s == XT_STRATEGY_LOGISTIC ? "logistic:ends" : "stumps:ends");
    assert_int_equal(row.questions, 2 * QUESTIONS);
    assert_true(row.selected <= row.bound * 3 / 4);
  }
  made_close(&m);
}

static void refused(Made *m, const xt_select_options *o, const char *part) {
  xt_error error;
  if (xt_store_select(m->store, o, NULL, &error) == XT_STATUS_OK || !strstr(error.message, part))
    fail_msg("'%s' does not say '%s'", error.message, part);
}

static void test_refusals(void **state) {
  (void)state;
  Made m;
  xt_error error;
  xt_selector *selector;
  made_open(&m, "few.db", "xquad");
  Rng rng = {1};
  for (int i = 0; i < 10; i++) add_lesson(&m, i, "sw", &rng);
  refused(&m,
          &(xt_select_options){.strategy = XT_STRATEGY_LOGISTIC,
                               .candidates = XT_CANDIDATES_TARGET_FIRST},
          "learning needs 20");
  refused(&m, &(xt_select_options){.strategy = (xt_strategy)77}, "77 is none");
  refused(&m, &(xt_select_options){.folds = 1}, "2 to 1000");
  const xt_select_options rule = {.strategy = XT_STRATEGY_VOTE};
  assert_int_equal(xt_selector_train(m.store, &rule, &selector, &error), XT_STATUS_ARGUMENT);
  const xt_select_options none = {.strategy = XT_STRATEGY_STUMPS, .candidates = XT_CANDIDATES_ALL};
  assert_int_equal(xt_selector_train(m.store, &none, &selector, &error), XT_STATUS_INPUT);
  assert_null(selector);
  made_close(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rules),    cmocka_unit_test(test_vote_of_options),
      cmocka_unit_test(test_learning), cmocka_unit_test(test_learning_apart),
      cmocka_unit_test(test_gains),    cmocka_unit_test(test_folds_do_not_leak),
      cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests_name("select", tests, NULL, NULL);
}
