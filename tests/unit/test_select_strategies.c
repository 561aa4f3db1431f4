/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies that calibrate, learn or stop early, on stores in which the right choice is known. */
#include <math.h>

#include "analysis/select_states.h"
#include "base/rng.h"
#include "made_selections.h"

#define LAYERS 6
#define QUESTIONS 60

static const char *const names[QUESTIONS / 10] = {"amber", "birch", "cedar",
                                                  "dune",  "elm",   "flint"};

/* A word that no other question has. */
static void word_of(int question, char out[24]) {
  snprintf(out, 24, "%s%c%c", names[question / 10 % 6], 'a' + question % 10, 'k' + question / 10);
}

/* ---- without gold answers -------------------------------------------------------------------- */

/* Four configurations say the same to every question, two know: their votes count more. */
static void test_calibrated(void **state) {
  (void)state;
  Made m;
  made_open(&m, "calibrated.db", "xquad");
  for (int i = 0; i < QUESTIONS; i++) {
    char gold[24];
    word_of(i, gold);
    const int64_t q = add_question(&m, i, "sw", gold);
    add_response(&m, q, -1, -1, "usual", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++)
      add_response(&m, q, l, 0, l < 4 ? "usual" : gold, 1, 1, l < 4 ? -0.1f : -2);
  }
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_VOTE});
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_CALIBRATED});
  assert_close(result_of(&m, "vote:target-first", NULL).gap.selected, 0);
  const xt_gap gap = result_of(&m, "calibrated:target-first", NULL).gap;
  assert_close(gap.selected, 1);
  assert_close(gap.closed, 1);
  assert_close(gap.responses, LAYERS);
  made_close(&m);
}

/* A response of this text and mean log-probability at a layer, with the log-probabilities of `count`
 * tracked answers. */
static void add_labelled(Made *m, int64_t question, int layer, const char *text, float logprob,
                         const float *labels, size_t count) {
  float effects[XT_EFFECT_TRACKED + 4] = {0}, zeros[64] = {0}, logprobs[64];
  int32_t *ids;
  size_t tokens;
  xt_error error;
  ASSERT_OK(xt_tokenizer_encode(xt_model_tokenizer(m->model), text, strlen(text), false, &ids,
                                &tokens, &error));
  assert_true(tokens <= 64 && count <= 4);
  for (size_t t = 0; t < tokens; t++) logprobs[t] = logprob;
  memcpy(effects + XT_EFFECT_TRACKED, labels, count * sizeof *labels);
  const xt_generation g = {.count = tokens,
                           .ids = ids,
                           .margins = zeros,
                           .entropies = zeros,
                           .logprobs = logprobs,
                           .effects = effects,
                           .effect_count = XT_EFFECT_TRACKED + count};
  ASSERT_OK(xt_store_add_response(m->store, question, &m->site, layer, 0, &g, &error));
  free(ids);
}

/* Every candidate finds A likelier than B, whatever the question, and says what it always says; but
 * B is less unlikely where it is right: the labels' log-probabilities know it, and votes do not. */
static void test_contextual_and_calibrated(void **state) {
  (void)state;
  static const xt_tracked tracked[] = {{1, "label", "A", "A", 0}, {2, "label", "B", " B", 0}};
  static const float labels[2][2] = {{-0.2f, -1.7f}, {-0.4f, -1.1f}};
  Made m;
  xt_error error;
  made_open(&m, "options.db", "globalopinionqa");
  for (int i = 0; i < QUESTIONS; i++) {
    const int64_t q = add_question(&m, i, "sw", i % 2 ? "B" : "A");
    ASSERT_OK(xt_store_track(m.store, q, tracked, 2, &error));
    add_response(&m, q, -1, -1, "(A)", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++)
      add_labelled(&m, q, l, l == 4 ? "(B)" : "(A)", 0, labels[i % 2], 2);
  }
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_VOTE});
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_CALIBRATED});
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_CONTEXTUAL});
  assert_close(result_of(&m, "vote:target-first", NULL).gap.selected, 0.5);
  assert_close(result_of(&m, "calibrated:target-first", NULL).gap.selected, 0.5);
  const xt_gap gap = result_of(&m, "contextual:target-first", NULL).gap;
  assert_close(gap.selected, 1);
  assert_close(gap.responses, LAYERS);
  made_close(&m);
}

/* How many choices of each strategy are right, by task: [strategy][task]. */
typedef struct RightByTask {
  const char *strategies[2], *tasks[2];
  int right[2][2];
} RightByTask;

static xt_status keep_right(void *user, const xt_store_row *row, xt_error *error) {
  RightByTask *r = user;
  (void)error;
  for (int s = 0; s < 2; s++)
    for (int t = 0; t < 2; t++)
      r->right[s][t] += strcmp(row->strategy, r->strategies[s]) == 0 &&
                        strcmp(row->question->task, r->tasks[t]) == 0 && row->correct == 1;
  return XT_STATUS_OK;
}

/* Two tasks of one store with options of the same labels: what a configuration says of A in the
 * one, where all say it, is nothing against A in the other. */
static void test_calibrated_by_task(void **state) {
  (void)state;
  static const xt_tracked tracked[] = {{1, "label", "A", "A", 0}, {2, "label", "B", " B", 0}};
  static const float labels[2][2] = {{-0.2f, -1.7f}, {-0.4f, -1.1f}}, sure[2] = {-0.01f, -9};
  RightByTask r = {{"calibrated:target-first", "contextual:target-first"},
                   {"globalopinionqa", "culturalbench"},
                   {{0}}};
  Made m;
  xt_error error;
  made_open(&m, "tasks.db", "");
  for (int i = 0; i < 30; i++) {
    const bool other = i >= 10, odd = i % 2;
    m.task = r.tasks[other];
    const int64_t q = add_question(&m, i, "sw", odd && !other ? "B" : "A");
    ASSERT_OK(xt_store_track(m.store, q, tracked, 2, &error));
    add_response(&m, q, -1, -1, "(A)", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++)
      add_labelled(&m, q, l, other || (l < 3 && !odd) ? "(A)" : "(B)", l < 3 ? -1 : -0.1f,
                   other ? sure : labels[odd], 2);
  }
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_CALIBRATED});
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_CONTEXTUAL});
  ASSERT_OK(xt_store_read_selections(m.store, keep_right, &r, &error));
  for (int s = 0; s < 2; s++) {
    assert_int_equal(r.right[s][0], 10);
    assert_int_equal(r.right[s][1], 20);
  }
  made_close(&m);
}

static xt_status keep_layer(void *user, const xt_store_row *row, xt_error *error) {
  int *chosen = user;
  (void)error;
  assert_string_equal(row->strategy, "contextual:target-first");
  chosen[row->question->number] = row->source_layer;
  return XT_STATUS_OK;
}

/* Three questions whose log-probabilities of A, B and C differ at layers 0 and 1 only, so that the
 * other layers add nothing. Less the means of the other two questions, layer 0 gives
 *   question 0: A -1 + 1.5 = 0.5, B -2 + 3.5 = 1.5,  C -3 + 1.5 = -1.5
 *   question 1: A -1 + 1.5 = 0.5, B -3 + 3 = 0,      C -2 + 2 = 0
 *   question 2: A -2 + 1 = -1,    B -4 + 2.5 = -1.5, C -1 + 2.5 = 1.5
 * and layer 1
 *   question 0: A 0, B -4 + 1 = -3, C 0; questions 1 and 2: A 0, B -1 + 2.5 = 1.5, C 0.
 * The sums are best for A, B and C; nothing says C in question 2, whose next is B, with 0. Another
 * language has other means, and a language of one question has none. */
static void test_contextual_by_hand(void **state) {
  (void)state;
  static const xt_tracked tracked[] = {
      {1, "label", "A", "A", 0}, {2, "label", "B", "B", 0}, {3, "label", "C", "C", 0}};
  static const float labels[2][3][3] = {{{-1, -2, -3}, {-1, -3, -2}, {-2, -4, -1}},
                                        {{-1, -4, -1}, {-1, -1, -1}, {-1, -1, -1}}},
                     same[3] = {-1, -1, -1};
  static const struct {
    const char *usual, *other;
    int from, to; /* layers of the other; the last of them is the surest */
  } said[6] = {{"(B)", "(A)", 5, 5}, {"(A)", "(B)", 2, 3}, {"(A)", "(B)", 3, 4},
               {"(A)", "hm", 1, 1},  {"hm", "ha", 2, 2},   {"(A)", "(A)", 0, 0}};
  static const char *const langs[6] = {"sw", "sw", "sw", "tr", "tr", "hi"};
  static const int wanted[6] = {5, 3, 4, 0, 2, -1};
  int chosen[6] = {-1, -1, -1, -1, -1, -1};
  Made m;
  xt_error error;
  xt_select_counts counts;
  made_open(&m, "hand.db", "globalopinionqa");
  for (int i = 0; i < 6; i++) {
    const int64_t q = add_question(&m, i, langs[i], NULL);
    ASSERT_OK(xt_store_track(m.store, q, tracked, 3, &error));
    add_response(&m, q, -1, -1, "(A)", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++) {
      const bool other = l >= said[i].from && l <= said[i].to;
      add_labelled(&m, q, l, other ? said[i].other : said[i].usual,
                   other ? (l == said[i].to ? -1 : -3) : -4, i < 3 && l < 2 ? labels[l][i] : same,
                   3);
    }
  }
  ASSERT_OK(xt_store_select(m.store,
                            &(xt_select_options){.strategy = XT_STRATEGY_CONTEXTUAL,
                                                 .candidates = XT_CANDIDATES_TARGET_FIRST},
                            &counts, &error));
  assert_int_equal(counts.selected, 5);
  assert_int_equal(counts.incomplete, 1);
  ASSERT_OK(xt_store_read_selections(m.store, keep_layer, chosen, &error));
  for (int i = 0; i < 6; i++)
    if (chosen[i] != wanted[i]) fail_msg("question %d: %d", i, chosen[i]);
  made_close(&m);
}

/* Without the labels' log-probabilities nothing is chosen, and nothing else is done instead. */
static void test_contextual_without_labels(void **state) {
  (void)state;
  Made m;
  xt_error error;
  xt_select_counts counts;
  made_open(&m, "bare.db", "globalopinionqa");
  for (int i = 0; i < 3; i++) {
    const int64_t q = add_question(&m, i, "sw", "A");
    add_response(&m, q, -1, -1, "(A)", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++) add_response(&m, q, l, 0, l ? "(A)" : "(B)", 1, 1, -1);
  }
  assert_true(xt_strategy_needs_labels(XT_STRATEGY_CONTEXTUAL));
  assert_false(xt_strategy_needs_labels(XT_STRATEGY_CALIBRATED));
  ASSERT_OK(xt_store_select(m.store,
                            &(xt_select_options){.strategy = XT_STRATEGY_CONTEXTUAL,
                                                 .candidates = XT_CANDIDATES_TARGET_FIRST},
                            &counts, &error));
  assert_int_equal(counts.selected, 0);
  assert_int_equal(counts.incomplete, 3);
  made_close(&m);
}

/* "tin" is said by more candidates, but all but one of them say it with another question's source,
 * too; where all do, the untouched run is kept. */
static void test_control(void **state) {
  (void)state;
  Made m;
  xt_site plain;
  xt_error error;
  made_open(&m, "control.db", "xquad");
  plain = m.site;
  for (int i = 0; i < QUESTIONS; i++) {
    const bool moved = i % 3;
    const int64_t q = add_question(&m, i, "sw", "gold");
    add_response(&m, q, -1, -1, moved ? "plain" : "gold", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++)
      add_response(&m, q, l, 0, moved && l > 3 ? "gold" : "tin", 1, 1, -1);
    ASSERT_OK(xt_site_parse("ffn+shuffled", &m.site, &error));
    for (int l = 0; l < LAYERS; l++)
      add_response(&m, q, l, 0, moved && l == 0 ? "lead" : "tin", 1, 1, -1);
    m.site = plain;
  }
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_CONTROL});
  const xt_gap gap = result_of(&m, "control:target-first", NULL).gap;
  assert_close(gap.selected, 1);
  assert_close(gap.responses, 2 * LAYERS + 1);
  made_close(&m);
}

/* ---- learned, each question by the others ---------------------------------------------------- */

/* Layer 2 is right; the other candidates agree on something else, and so does the untouched run
 * in three quarters of the questions. */
static void fill_reliable(Made *m, const char *name) {
  made_open(m, name, "xquad");
  for (int i = 0; i < QUESTIONS; i++) {
    char gold[24], other[24];
    word_of(i, gold);
    word_of((i + 7) % QUESTIONS, other);
    const int64_t q = add_question(m, i, "sw", gold);
    add_response(m, q, -1, -1, i % 4 ? other : gold, 1, 1, -1);
    for (int l = 0; l < LAYERS; l++) add_response(m, q, l, 0, l == 2 ? gold : other, 1, 1, -1);
  }
}

static void test_learned_votes(void **state) {
  (void)state;
  static const xt_strategy strategies[] = {XT_STRATEGY_WEIGHTED, XT_STRATEGY_CONTROLLER};
  static const char *const of[] = {"weighted-vote:target-first", "controller:target-first"};
  Made m;
  double vanilla;
  fill_reliable(&m, "votes.db");
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_VOTE});
  assert_close(result_of(&m, "vote:target-first", &vanilla).gap.selected, 0);
  assert_close(vanilla, 0.25);
  for (int s = 0; s < 2; s++) {
    select_all(&m, (xt_select_options){.strategy = strategies[s]});
    const xt_gap gap = result_of(&m, of[s], NULL).gap;
    assert_close(gap.selected, 1);
    assert_close(gap.responses, LAYERS + 1);
  }
  made_close(&m);
}

/* Layer 2 is right in nine tenths of the questions, layer 3 and the untouched run in four fifths
 * each, the others never: the vote of the first two that agree decides, and where layer 2 is wrong
 * the two others outvote it. */
static void test_sequence(void **state) {
  (void)state;
  Made m;
  made_open(&m, "sequence.db", "xquad");
  for (int i = 0; i < QUESTIONS; i++) {
    char gold[24], other[24];
    word_of(i, gold);
    const int64_t q = add_question(&m, i, "sw", gold);
    add_response(&m, q, -1, -1, i % 5 ? gold : "plain", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++) {
      const bool right = l == 2 ? i % 10 != 3 : l == 3 ? i % 5 != 1 : false;
      snprintf(other, sizeof other, "tin %c", 'a' + l);
      add_response(&m, q, l, 0, right ? gold : other, 1, 1, -1);
    }
  }
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_WEIGHTED});
  select_all(&m, (xt_select_options){.strategy = XT_STRATEGY_SEQUENCE});
  const xt_gap whole = result_of(&m, "weighted-vote:target-first", NULL).gap,
               gap = result_of(&m, "sequence:target-first", NULL).gap;
  assert_close(gap.selected, 1);
  assert_close(whole.selected, 1);
  assert_close(whole.responses, LAYERS + 1);
  /* two, and a third in half of the questions: where layer 2 and the next one do not agree */
  assert_true(gap.responses > 2 && gap.responses < 2.5);
  assert_true(gap.tokens < whole.tokens / 2);
  made_close(&m);
}

/* Two kinds of questions, told apart by the state of the source prompt alone: layer 1 is right in
 * the one, layer 4 in the other. */
static void test_states(void **state) {
  (void)state;
  enum { WIDTH = 3 };
  Made m;
  Rng rng = {3};
  xt_states states = {.count = QUESTIONS, .width = WIDTH};
  int64_t numbers[QUESTIONS];
  float values[QUESTIONS * STATE_COUNT * WIDTH];
  xt_error error;
  states.questions = numbers;
  states.values = values;
  made_open(&m, "states.db", "xquad");
  for (int i = 0; i < QUESTIONS; i++) {
    const bool kind = i % 2;
    const int64_t q = numbers[i] = add_question(&m, i, "sw", "gold");
    add_response(&m, q, -1, -1, "plain", 1, 1, -1);
    for (int l = 0; l < LAYERS; l++)
      add_response(&m, q, l, 0, l == (kind ? 1 : 4) ? "gold" : "tin", 1, 1, -1);
    for (int k = 0; k < STATE_COUNT; k++)
      for (int w = 0; w < WIDTH; w++)
        values[(i * STATE_COUNT + k) * WIDTH + w] =
            5 + 0.2f * rng_symmetric(&rng) + (w == k ? (kind ? 1.0f : -1.0f) : 0);
  }
  for (int s = XT_STRATEGY_NEIGHBOURS; s <= XT_STRATEGY_PROBE; s++) {
    const xt_select_options o = {.strategy = (xt_strategy)s, .states = &states};
    char name[XT_STRATEGY_NAME_SIZE];
    assert_true(xt_strategy_needs_states(o.strategy));
    select_all(&m, o);
    const xt_gap gap =
        result_of(&m,
                  xt_strategy_format(&(xt_select_options){.strategy = o.strategy,
                                                          .candidates = XT_CANDIDATES_TARGET_FIRST},
                                     name),
                  NULL)
            .gap;
    assert_close(gap.selected, 1);
    assert_close(gap.responses, 1);
  }
  assert_int_equal(xt_store_select(m.store,
                                   &(xt_select_options){.strategy = XT_STRATEGY_PROBE,
                                                        .candidates = XT_CANDIDATES_TARGET_FIRST},
                                   NULL, &error),
                   XT_STATUS_ARGUMENT);
  states.count--; /* the last question has none */
  const xt_select_options missing = {
      .strategy = XT_STRATEGY_PROBE, .candidates = XT_CANDIDATES_TARGET_FIRST, .states = &states};
  assert_int_equal(xt_store_select(m.store, &missing, NULL, &error), XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "do not have the question"));
  made_close(&m);
}

/* By what two instances are one question. */
typedef enum Kin { KIN_SOURCE, KIN_ID, KIN_TEXT } Kin;

/* Two instances of each question, with the same states, of which the right layer is drawn by lot:
 * it can be learned from the other instance alone, if that is in another fold. All but what makes
 * them kin differs. */
static void check_kin(const char *name_of_store, const char *task, Kin kin) {
  enum { WIDTH = 64 };
  Made m;
  Rng rng = {5};
  xt_states states = {.count = 2 * QUESTIONS, .width = WIDTH};
  xt_error error;
  states.questions = calloc(2 * QUESTIONS, sizeof *states.questions);
  states.values = calloc(2 * QUESTIONS * STATE_COUNT * WIDTH, sizeof *states.values);
  made_open(&m, name_of_store, task);
  for (int i = 0; i < QUESTIONS; i++) {
    const int lucky = (int)(rng_next(&rng) % LAYERS);
    float state_values[WIDTH];
    for (int w = 0; w < WIDTH; w++) state_values[w] = rng_symmetric(&rng);
    for (int l = 0; l < 2; l++) {
      char id[16], source[32], target[32];
      static const int32_t ids[] = {1, 2};
      const int at = 2 * i + l;
      snprintf(id, sizeof id, "%d", kin == KIN_ID ? i : at);
      snprintf(source, sizeof source, "Question %d?", kin == KIN_SOURCE ? i : at);
      snprintf(target, sizeof target, "Swali %d?", kin == KIN_TEXT ? i : at);
      const xt_question q = {.id = id,
                             .number = (size_t)at,
                             .task = task,
                             .lang = l ? "tr" : "sw",
                             .source_lang = "en",
                             .source = source,
                             .target = target,
                             .gold = "gold"};
      ASSERT_OK(xt_store_add_question(
          m.store, &q,
          &(xt_instance){.source = ids, .target = ids, .source_count = 2, .target_count = 2},
          &states.questions[at], &error));
      add_response(&m, states.questions[at], -1, -1, "plain", 1, 1, -1);
      for (int s = 0; s < LAYERS; s++)
        add_response(&m, states.questions[at], s, 0, s == lucky ? "gold" : "tin", 1, 1, -1);
      for (int k = 0; k < STATE_COUNT; k++)
        memcpy(states.values + (at * STATE_COUNT + k) * WIDTH, state_values, sizeof state_values);
    }
  }
  for (int s = XT_STRATEGY_NEIGHBOURS; s <= XT_STRATEGY_PROBE; s++) {
    char name[XT_STRATEGY_NAME_SIZE];
    const xt_select_options o = {
        .strategy = (xt_strategy)s, .candidates = XT_CANDIDATES_TARGET_FIRST, .states = &states};
    select_all(&m, o);
    const double right = result_of(&m, xt_strategy_format(&o, name), NULL).gap.selected;
    if (right > 0.35) fail_msg("%s: %.3f", name, right); /* one in six by lot */
  }
  free(states.questions);
  free(states.values);
  made_close(&m);
}

/* As in a file of pairs, the numbers of lines differ. */
static void test_kin_in_one_fold(void **state) {
  (void)state;
  check_kin("kin.db", "xquad", KIN_SOURCE);
  check_kin("ids.db", "xquad", KIN_ID);
  check_kin("texts.db", "local-facts", KIN_TEXT);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_calibrated),
                                     cmocka_unit_test(test_contextual_and_calibrated),
                                     cmocka_unit_test(test_calibrated_by_task),
                                     cmocka_unit_test(test_contextual_by_hand),
                                     cmocka_unit_test(test_contextual_without_labels),
                                     cmocka_unit_test(test_control),
                                     cmocka_unit_test(test_learned_votes),
                                     cmocka_unit_test(test_sequence),
                                     cmocka_unit_test(test_states),
                                     cmocka_unit_test(test_kin_in_one_fold)};
  return cmocka_run_group_tests_name("select strategies", tests, NULL, NULL);
}
