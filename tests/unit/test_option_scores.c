/* SPDX-License-Identifier: Apache-2.0 */
/* Options scored by likelihood: the numbers are plain sums of xt_session_score of one text at a
 * time, whatever was scored before, also in joined stores; choices are counted by hand. */
#include <math.h>
#include <sqlite3.h>

#include "job_fixture.h"

#define LAYERS 6
#define QUESTION(id, lang, source, target, gold, task)                                          \
  "{\"id\": \"" id "\", \"lang\": \"" lang "\", \"source_lang\": \"en\", \"source\": \"" source \
  "\", \"target\": \"" target "\", \"gold\": \"" gold "\", \"task\": \"" task "\"}\n"

static const char questions[] = QUESTION("a", "sw", "Two: (1) (2) (3)", "Swali", "3", "xnli")
    QUESTION("b", "sw", "Three: (1) (2) (3)", "Swali mbili:\\n", "1", "xnli")
        QUESTION("c", "sw", "Paris", "Mji", "p", "xquad")
            QUESTION("d", "Germany", "Waehle:\\n(A) Ja\\n(B) Nein\\nAntwort:",
                     "Chagua:\\n(A) Так\\n(B) No way \\n(C) Maybe\\nJibu:", "B", "globalopinionqa");

static const char *const names[] = {
    "attn",      "block+add2+span2", "attn+heads1", "block+blend0.5+all", "ffn+add-1+generated",
    "attn+self", "attn+random2"};
#define SITES (sizeof names / sizeof *names)
static xt_site ways[SITES];

static int start(void **state) {
  xt_error error;
  const int code = set_up(state);
  xt_dataset_close(dataset);
  dataset = parse(questions, NULL);
  for (size_t s = 0; s < SITES; s++) ASSERT_OK(xt_site_parse(names[s], &ways[s], &error));
  return code;
}

static void sweep(const char *name) {
  int patience = ALL;
  xt_job_options options = options_for(&patience);
  static const int sources[] = {1, 5}, targets[] = {0, 3};
  xt_job_result result;
  remove(path_of(name));
  options.sites = ways;
  options.site_count = SITES;
  options.source_layers = sources;
  options.target_layers = targets;
  options.source_layer_count = options.target_layer_count = 2;
  assert_int_equal(run_once(name, &options, &result), XT_STATUS_OK);
}

static void score(const char *name, const xt_option_scoring *scoring) {
  xt_error error;
  xt_store *store = open_store(name);
  const xt_store_settings settings = {.max_new_tokens = 4};
  ASSERT_OK(xt_store_begin(store, model, hash, &settings, "", &error));
  ASSERT_OK(xt_store_score_options(store, session, scoring, &error));
  xt_store_close(store);
}

/* ---- the same by hand ------------------------------------------------------------------------ */

/* The interventions of a row's configuration. */
static size_t writes(const xt_store_row *row, const xt_site *site, const xt_taps *taps,
                     xt_intervention *out) {
  static const int positions[] = {XT_POSITION_LAST, XT_POSITION_ALL, XT_POSITION_GENERATED};
  const int span = site->span > 1 ? site->span : 1;
  size_t n = 0;
  for (int k = 0; k < span && row->source_layer + k < LAYERS && row->target_layer + k < LAYERS; k++)
    out[n++] = (xt_intervention){.write = site->write,
                                 .layer = row->target_layer + k,
                                 .position = positions[site->positions],
                                 .rule = site->rule,
                                 .alpha = site->alpha,
                                 .value = xt_taps_get(taps, site->read, row->source_layer + k)};
  if (!site->heads[0]) return n;
  xt_model_info info;
  xt_model_get_info(model, &info);
  out[0].write = XT_TAP_HEADS;
  out[0].head = 1;
  out[0].value = xt_taps_get(taps, XT_TAP_HEADS, row->source_layer) + info.head_dim;
  return n;
}

static double by_hand(const xt_store_row *row, const char *option) {
  xt_error error;
  xt_site site;
  xt_taps *taps = NULL;
  xt_intervention list[4];
  char text[256];
  float logprobs[64];
  double sum = 0;
  const char *target = row->question->target;
  xt_score_request request = {.interventions = list, .logprobs = logprobs};
  snprintf(text, sizeof text, "%s%s%s", target, target[strlen(target) - 1] == '\n' ? "" : " ",
           option);
  const Encoded whole = encode(text), prompt = encode(target);
  request.ids = whole.ids;
  request.count = whole.count;
  request.first = prompt.count;
  if (row->source_layer >= 0) {
    ASSERT_OK(xt_site_parse(row->site, &site, &error));
    const bool self = site.control == XT_CONTROL_SELF;
    const Encoded from = encode(self ? target : row->question->source);
    ASSERT_OK(xt_session_capture(session, &(xt_request){.ids = from.ids, .count = from.count},
                                 &taps, &error));
    request.intervention_count = writes(row, &site, taps, list);
    free(from.ids);
  }
  memcpy(whole.ids, prompt.ids, prompt.count * sizeof *prompt.ids);
  ASSERT_OK(xt_session_score(session, &request, 1, NULL, NULL, &error));
  for (size_t k = 0; k < whole.count - prompt.count; k++) sum += (double)logprobs[k];
  assert_true(whole.count > prompt.count);
  xt_taps_free(taps);
  free(whole.ids);
  free(prompt.ids);
  return sum;
}

typedef struct Seen {
  size_t rows, scored;
  bool compute;
  double *sums; /* [rows][3] in order, to be filled or compared */
  bool compare;
} Seen;

static xt_status check_row(void *user, const xt_store_row *row, xt_error *error) {
  (void)error;
  Seen *seen = user;
  double *sums = seen->sums + 3 * seen->rows++;
  if (row->question->number == 2) assert_int_equal(row->option_count, 0);
  if (strcmp(row->site, "attn+random2") == 0) assert_null(row->option_sums);
  if (!row->option_sums) return XT_STATUS_OK;
  assert_int_equal(row->option_count, 3);
  if (row->question->number == 3) {
    assert_string_equal(row->options[1].label, "B");
    assert_string_equal(row->options[1].text, "No way");
  }
  seen->scored++;
  for (int o = 0; o < 3; o++) {
    if (seen->compute) assert_true(row->option_sums[o] == by_hand(row, row->options[o].text));
    if (seen->compare) assert_true(row->option_sums[o] == sums[o]);
    sums[o] = row->option_sums[o];
  }
  return XT_STATUS_OK;
}

static Seen look_at(const char *name, double *sums, bool compute, bool compare) {
  xt_error error;
  xt_store *store;
  Seen seen = {.sums = sums, .compute = compute, .compare = compare};
  ASSERT_OK(xt_store_open(path_of(name), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_read(store, check_row, &seen, &error));
  xt_store_close(store);
  return seen;
}

#define ROWS (4 * (1 + 4 * SITES))
static double expected[3 * ROWS];

static void are_plain_sums(void **state) {
  (void)state;
  sweep("whole.db");
  assert_int_equal(look_at("whole.db", expected, false, false).scored, 0);
  score("whole.db", NULL);
  const Seen seen = look_at("whole.db", expected, true, false);
  assert_int_equal(seen.rows, ROWS);
  assert_int_equal(seen.scored, 3 * (1 + 4 * (SITES - 1)));
}

static void in_steps(void **state) {
  (void)state;
  xt_error error;
  xt_store *store;
  xt_option_work work;
  bool layers[LAYERS] = {false, true};
  sweep("steps.db");
  score("steps.db", &(xt_option_scoring){.untouched = true});
  assert_int_equal(look_at("steps.db", expected, false, true).scored, 3);
  score("steps.db",
        &(xt_option_scoring){.sites = &ways[1], .site_count = 1, .source_layers = layers});
  assert_int_equal(look_at("steps.db", expected, false, true).scored, 3 * (1 + 2));
  ASSERT_OK(xt_store_open(path_of("steps.db"), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_count_unscored(store, NULL, &work, &error));
  xt_store_close(store);
  assert_int_equal(work.runs, 3 * (4 * (SITES - 1) - 2));
  assert_int_equal(work.options, 3 * work.runs);
  assert_int_equal(work.prompts, 3);
  assert_int_equal(work.skipped, 3 * 4);
  /* joined with one that has all of them */
  char joined[160], whole[160], steps[160];
  snprintf(whole, sizeof whole, "%s", path_of("whole.db"));
  snprintf(steps, sizeof steps, "%s", path_of("steps.db"));
  snprintf(joined, sizeof joined, "%s", path_of("joined.db"));
  remove(joined);
  ASSERT_OK(xt_store_merge(joined, (const char *const[]){steps, whole}, 2, &error));
  assert_int_equal(look_at("joined.db", expected, false, true).scored, 3 * (1 + 4 * (SITES - 1)));
  score("steps.db", NULL);
  assert_int_equal(look_at("steps.db", expected, false, true).scored, 3 * (1 + 4 * (SITES - 1)));
}

/* Of the two untouched xnli runs, whose rows follow those of globalopinionqa. */
static xt_status count_untouched(void *user, const xt_option_row *row, xt_error *error) {
  int *rows = user;
  (void)error;
  if (strcmp(row->task, "xnli") != 0 || strcmp(row->site, "vanilla") != 0) return XT_STATUS_OK;
  ++*rows;
  const int golds[] = {2, 0};
  /* "Inajumuisha", "Kuegemea upande wowote", "Kupingana" */
  const double lengths[] = {11, 22, 9};
  double right = 0, normalised = 0, calibrated = 0;
  for (int q = 0; q < 2; q++) {
    const double *mine = expected + 3 * (size_t)(1 + q) * (1 + 4 * SITES),
                 *other = expected + 3 * (size_t)(2 - q) * (1 + 4 * SITES);
    int best = 0, of_rest = 0, of_length = 0;
    for (int o = 1; o < 3; o++) {
      if (mine[o] > mine[best]) best = o;
      if (mine[o] / lengths[o] > mine[of_length] / lengths[of_length]) of_length = o;
      if (mine[o] - (mine[o] + other[o]) / 2 > mine[of_rest] - (mine[of_rest] + other[of_rest]) / 2)
        of_rest = o;
    }
    right += best == golds[q];
    normalised += of_length == golds[q];
    calibrated += of_rest == golds[q];
  }
  assert_int_equal(row->runs, 2);
  assert_true(row->acc == right / 2);
  assert_true(row->acc_norm == normalised / 2);
  assert_true(row->calibrated == calibrated / 2);
  return XT_STATUS_OK;
}

static void are_counted(void **state) {
  (void)state;
  xt_error error;
  xt_store *store;
  int rows = 0;
  ASSERT_OK(xt_store_open(path_of("whole.db"), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_summarize_options(store, count_untouched, &rows, &error));
  xt_store_close(store);
  assert_int_equal(rows, 2); /* of the language, and of all */
}

/* "Так", "No way", "Maybe": the first has the largest sum, the second, which is right, the largest
 * one by its characters; by its bytes the first would have it. */
static xt_status count_made_up(void *user, const xt_option_row *row, xt_error *error) {
  int *rows = user;
  (void)error;
  if (strcmp(row->task, "globalopinionqa") != 0) return XT_STATUS_OK;
  ++*rows;
  assert_true(row->acc == 0);
  assert_true(row->acc_norm == 1);
  return XT_STATUS_OK;
}

static void sums_are_divided_by_characters(void **state) {
  (void)state;
  static const double sums[] = {-1, -1.5, -1.4}; /* as stored: the least significant byte first */
  xt_error error;
  xt_store *store;
  sqlite3 *db;
  sqlite3_stmt *change;
  int rows = 0;
  sweep("lengths.db");
  score("lengths.db", NULL);
  assert_int_equal(sqlite3_open(path_of("lengths.db"), &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db,
                                      "UPDATE option_scores SET sums = ?1 WHERE instance IN "
                                      "(SELECT id FROM instances WHERE task = 'globalopinionqa')",
                                      -1, &change, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_bind_blob(change, 1, sums, sizeof sums, SQLITE_STATIC), SQLITE_OK);
  assert_int_equal(sqlite3_step(change), SQLITE_DONE);
  sqlite3_finalize(change);
  sqlite3_close(db);
  ASSERT_OK(xt_store_open(path_of("lengths.db"), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_summarize_options(store, count_made_up, &rows, &error));
  xt_store_close(store);
  assert_true(rows > 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(are_plain_sums), cmocka_unit_test(in_steps),
                                     cmocka_unit_test(are_counted),
                                     cmocka_unit_test(sums_are_divided_by_characters)};
  return cmocka_run_group_tests(tests, start, tear_down);
}
