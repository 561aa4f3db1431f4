/* SPDX-License-Identifier: Apache-2.0 */
/* What stands behind each verb, as allocations fail one after the other: it succeeds, or says that
 * memory ran out, and a file is whole or not there. (SQLite's own allocations:
 * test_store_faults.) */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/out_folder.h"
#include "failing_malloc.h"
#include "models.h"

static char model_path[128], base[160], more[160], work[160], other[160];
static xt_model *model;
static char hash[XT_MODEL_HASH_SIZE];
static const xt_store_settings settings = {.max_new_tokens = 2, .repetition_penalty = 1};
static const int32_t source_ids[] = {1, 75, 107, 104, 35}, target_ids[] = {1, 102, 100, 115};

enum { QUESTIONS = 60 };
static xt_question questions[QUESTIONS];
static char names[QUESTIONS][8];

static char gold[2] = "e"; /* of every third question another one */

static void make_questions(void) {
  for (int q = 0; q < QUESTIONS; q++) {
    snprintf(names[q], sizeof names[q], "q%d", q % 1000);
    questions[q] = (xt_question){.id = names[q],
                                 .task = "facts",
                                 .lang = q % 2 ? "sw" : "de",
                                 .source_lang = "en",
                                 .number = (size_t)q,
                                 .source = "the source",
                                 .target = "das Ziel",
                                 .gold = q % 3 ? gold : "zz"};
  }
}

/* ---- sweep ----------------------------------------------------------------------------------- */

typedef struct Sink {
  xt_store *store;
  int64_t numbers[QUESTIONS];
  const xt_site *site;
} Sink;

static xt_status keep_response(void *user, const xt_sweep_response *r, xt_error *error) {
  const Sink *sink = user;
  const int64_t number = sink->numbers[r->instance];
  if (r->site == XT_SWEEP_SOURCE)
    return xt_store_add_source(sink->store, number, r->generation, error);
  return xt_store_add_response(sink->store, number, r->site == XT_SWEEP_VANILLA ? NULL : sink->site,
                               r->source_layer, r->target_layer, r->generation, error);
}

static xt_status sweep_into(xt_store *store, const int *layers, size_t layer_count,
                            xt_error *error) {
  const xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};
  const xt_question *all[QUESTIONS];
  xt_instance instances[QUESTIONS];
  xt_session *session = NULL;
  Sink sink = {.store = store, .site = &site};
  xt_status status = xt_store_begin(store, model, hash, &settings, "test", error);
  for (size_t q = 0; q < QUESTIONS; q++) {
    all[q] = &questions[q];
    instances[q] = (xt_instance){.source = source_ids,
                                 .source_count = 4 + q % 2,
                                 .target = target_ids,
                                 .target_count = 2 + q % 3,
                                 .run_source = q == 0};
    if (!status)
      status = xt_store_add_question(store, &questions[q], &instances[q], &sink.numbers[q], error);
  }
  const xt_store_plan plan = {.task = "facts",
                              .lang = "de",
                              .source_lang = "en",
                              .questions = all,
                              .question_count = QUESTIONS,
                              .sites = &site,
                              .site_count = 1,
                              .source_layers = layers,
                              .target_layers = layers,
                              .source_layer_count = layer_count,
                              .target_layer_count = layer_count};
  if (!status) status = xt_store_add_plan(store, &plan, error);
  if (!status) status = xt_session_create(model, &session, error);
  const xt_sweep_options options = {.sites = &site,
                                    .site_count = 1,
                                    .source_layers = layers,
                                    .source_layer_count = layer_count,
                                    .target_layers = layers,
                                    .target_layer_count = layer_count,
                                    .max_new_tokens = 2,
                                    .repetition_penalty = 1};
  if (!status)
    status = xt_session_sweep(session, instances, QUESTIONS, &options, keep_response, &sink, NULL,
                              error);
  xt_session_free(session);
  return status ? status : xt_store_commit(store, 0, error);
}

static xt_status sweep_file(const char *path, const int *layers, size_t count, xt_error *error) {
  xt_store *store;
  unlink(path);
  xt_status status = xt_store_open(path, XT_STORE_WRITE, &store, error);
  if (!status) status = sweep_into(store, layers, count, error);
  xt_store_close(store);
  return status;
}

static xt_status sweep_job(xt_error *error) {
  static const int layers[] = {0, 1};
  return sweep_file(work, layers, 2, error);
}

/* ---- verbs that read or write a store -------------------------------------------------------- */

/* A fresh copy of the store in `work`, without an allocation. */
static void copy_base(void) {
  static char bytes[4 << 20];
  const int from = open(base, O_RDONLY), to = open(work, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const ssize_t size = read(from, bytes, sizeof bytes);
  assert_true(size > 0 && size < (ssize_t)sizeof bytes && write(to, bytes, (size_t)size) == size);
  close(from);
  close(to);
}

static xt_status ignore_row(void *user, const xt_store_row *row, xt_error *error) {
  (void)user, (void)row, (void)error;
  return XT_STATUS_OK;
}
static xt_status ignore_rows(void *user, const xt_store_row *rows, size_t count, xt_error *error) {
  (void)user, (void)rows, (void)count, (void)error;
  return XT_STATUS_OK;
}
static xt_status ignore_run(void *user, const char *started, const char *provenance,
                            xt_error *error) {
  (void)user, (void)started, (void)provenance, (void)error;
  return XT_STATUS_OK;
}
static xt_status ignore_metrics(void *user, const xt_metrics_row *row, xt_error *error) {
  (void)user, (void)row, (void)error;
  return XT_STATUS_OK;
}
static xt_status ignore_selection(void *user, const xt_selection_row *row, xt_error *error) {
  (void)user, (void)row, (void)error;
  return XT_STATUS_OK;
}
static xt_status ignore_edited(void *user, size_t index, int64_t number, xt_error *error) {
  (void)user, (void)index, (void)number, (void)error;
  return XT_STATUS_OK;
}

static xt_status export_job(xt_error *error) {
  const xt_question *const all[] = {&questions[0], &questions[1]};
  xt_store_info info;
  xt_store *store;
  xt_coverage *coverage = NULL;
  char *text = NULL;
  xt_status status = xt_store_open(base, XT_STORE_READ, &store, error);
  if (!status) status = xt_store_get_info(store, &info, error);
  if (!status) status = xt_store_read(store, ignore_row, NULL, error);
  if (!status) status = xt_store_read_questions(store, NULL, ignore_rows, NULL, error);
  if (!status) status = xt_store_read_sources(store, ignore_row, NULL, error);
  if (!status) status = xt_store_read_samples(store, ignore_row, NULL, error);
  if (!status) status = xt_store_read_selections(store, ignore_row, NULL, error);
  if (!status) status = xt_store_read_runs(store, ignore_run, NULL, error);
  if (!status) status = xt_store_find_edited(store, all, 2, ignore_edited, NULL, error);
  if (!status) status = xt_coverage_create(store, &coverage, error);
  if (!status) status = xt_coverage_json(coverage, &text, error);
  free(text);
  xt_coverage_free(coverage);
  xt_store_close(store);
  return status;
}

static xt_status metrics_job(xt_error *error) {
  xt_store *store;
  xt_session *session = NULL;
  uint64_t count;
  copy_base();
  xt_status status = xt_store_open(work, XT_STORE_WRITE, &store, error);
  if (!status) status = xt_session_create(model, &session, error);
  for (int m = XT_METRIC_STANDALONE; m <= XT_METRIC_CONDITIONAL && !status; m++) {
    status = xt_store_count_unmeasured(store, (xt_metric)m, &count, error);
    if (!status) status = xt_store_measure_perplexity(store, session, (xt_metric)m, NULL, error);
  }
  if (!status) status = xt_store_summarize_metrics(store, ignore_metrics, NULL, error);
  xt_session_free(session);
  xt_store_close(store);
  return status;
}

static const xt_analysis_options few_samples = {.bootstrap = 5, .permutations = 5, .threads = 1};

static xt_status select_from(xt_strategy first, xt_strategy last, xt_error *error) {
  const xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};
  xt_store *store;
  xt_select_counts counts;
  xt_states *states = NULL;
  copy_base();
  xt_status status = xt_store_open(work, XT_STORE_WRITE, &store, error);
  if (!status && last >= XT_STRATEGY_PROBE) status = xt_states_create(store, model, &states, error);
  for (int s = (int)first; s <= (int)last && !status; s++)
    status = xt_store_select(store,
                             &(xt_select_options){.strategy = (xt_strategy)s,
                                                  .candidates = XT_CANDIDATES_TARGET_FIRST,
                                                  .site = &site,
                                                  .states = states,
                                                  .folds = 2},
                             &counts, error);
  if (!status)
    status = xt_store_summarize_selections(store, &few_samples, ignore_selection, NULL, error);
  xt_states_free(states);
  xt_store_close(store);
  return status;
}

static xt_status select_job(xt_error *error) {
  return select_from(XT_STRATEGY_COARSE, XT_STRATEGY_STUMPS, error);
}
static xt_status select_more_job(xt_error *error) {
  return select_from(XT_STRATEGY_CALIBRATED, XT_STRATEGY_CONTEXTUAL, error);
}

/* Learns from a store; and from one that asks all that is chosen for, which is refused. */
static xt_status selector_job(xt_error *error) {
  const xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};
  xt_select_options o = {
      .strategy = XT_STRATEGY_LOGISTIC, .candidates = XT_CANDIDATES_TARGET_FIRST, .site = &site};
  xt_store *store;
  xt_selector *selector = NULL;
  copy_base();
  xt_status status = xt_store_open(work, XT_STORE_READ, &store, error);
  if (!status) status = xt_selector_train(store, &o, &selector, error);
  xt_selector_free(selector);
  o.chosen_for = store;
  if (!status) status = xt_selector_train(store, &o, &selector, error);
  if (status == XT_STATUS_INPUT && strstr(error->message, "must not learn")) status = XT_STATUS_OK;
  xt_store_close(store);
  return status;
}

static xt_status merge_job(xt_error *error) {
  const char *const inputs[] = {base, more};
  unlink(work);
  return xt_store_merge(work, inputs, 2, error);
}

static xt_status remove_job(xt_error *error) {
  xt_store *store;
  int64_t number = -1;
  copy_base();
  xt_status status = xt_store_open(work, XT_STORE_WRITE, &store, error);
  if (!status) status = xt_store_find_question(store, &questions[3], &number, error);
  if (!status) status = xt_store_remove_questions(store, &number, 1, error);
  if (!status) status = xt_store_commit(store, 0, error);
  xt_store_close(store);
  return status;
}

static xt_status report_job(xt_error *error) {
  xt_report *report = NULL;
  char *text = NULL;
  size_t length;
  const char *const others[] = {base};
  xt_status status = xt_report_create(
      base, &(xt_report_options){.more = others, .more_count = 1, .analysis = &few_samples},
      &report, error);
  if (!status)
    status = xt_report_text(report, &(xt_report_text_options){.width = 100}, &text, &length, error);
  if (!status) status = xt_report_write(report, other, NULL, error);
  xt_free(text);
  xt_report_free(report);
  fail_at = -1;
  out_folder_remove(other);
  return status;
}

/* ---- verbs that need no store ---------------------------------------------------------------- */

static xt_status train_job(xt_error *error) {
  char data[200];
  snprintf(data, sizeof data, "%s/lines", models_folder);
  xt_train_options o = {0};
  xt_train_options_init(&o);
  o.model = model_path, o.data = data, o.output = other, o.steps = 1, o.batch = 1, o.threads = 1,
  o.format = XT_TRAIN_LINES;
  const xt_status status = xt_train(&o, NULL, error);
  fail_at = -1;
  out_folder_remove(other);
  return status;
}

static xt_status vocabulary_job(xt_error *error) {
  char data[200];
  snprintf(data, sizeof data, "%s/lines", models_folder);
  const char *const texts[] = {data};
  const xt_status status =
      xt_bpe_train(texts, 1, &(xt_bpe_options){.vocab = 260}, other, NULL, error);
  fail_at = -1;
  out_folder_remove(other);
  return status;
}

static xt_status make_job(xt_error *error) {
  const xt_status status =
      xt_model_synthesize(&(xt_synth_options){.shape = "tiny-llama", .seed = 1}, other, error);
  fail_at = -1;
  out_folder_remove(other);
  return status;
}

static xt_status inspect_job(xt_error *error) {
  xt_model *m = NULL;
  char text[XT_MODEL_HASH_SIZE];
  xt_store_identity identity;
  xt_status status = xt_model_inspect(model_path, NULL, &m, error);
  if (!status) status = xt_model_hash(m, text, error);
  if (!status) status = xt_store_identify(m, text, &settings, "test", &identity, error);
  if (!status) xt_store_identity_deinit(&identity);
  xt_model_close(m);
  return status;
}

static xt_status score_job(xt_error *error) {
  xt_session *session = NULL;
  xt_taps *taps = NULL;
  float logprobs[4];
  static const float value[512];
  const xt_intervention change = {XT_TAP_FFN, 0, XT_POSITION_ALL, XT_RULE_REPLACE, 0, value, 0};
  const xt_request request = {.ids = source_ids, .count = 5};
  char path[200];
  snprintf(path, sizeof path, "%s/taps", models_folder);
  xt_status status = xt_session_create(model, &session, error);
  if (!status)
    status = xt_session_score(session,
                              &(xt_score_request){.ids = source_ids,
                                                  .count = 5,
                                                  .first = 1,
                                                  .interventions = &change,
                                                  .intervention_count = 1,
                                                  .logprobs = logprobs},
                              1, NULL, NULL, error);
  if (!status) status = xt_session_capture(session, &request, &taps, error);
  if (!status) status = xt_taps_save(taps, path, error);
  xt_taps_free(taps);
  xt_session_free(session);
  return status;
}

static xt_status pairs_job(xt_error *error) {
  char path[200];
  xt_dataset *d = NULL;
  snprintf(path, sizeof path, "%s/pairs", models_folder);
  const xt_status status =
      xt_dataset_open_pairs(path, &(xt_dataset_options){.limit = 5}, &d, error);
  xt_dataset_close(d);
  return status;
}

/* ---- the tests ------------------------------------------------------------------------------- */

/* Every allocation at the beginning and the end, and some between. */
static void fails_well(const char *name, xt_status (*job)(xt_error *), long between) {
  xt_error error = {0};
  calls = 0;
  ASSERT_OK(job(&error));
  const long total = calls, step = total / between + 1;
  for (long n = 1; n <= total; n += n < 20 || n + 20 > total ? 1 : step) {
    error = (xt_error){0};
    calls = 0;
    fail_at = n;
    const xt_status status = job(&error);
    fail_at = -1;
    char line[1400];
    if (status && status != XT_STATUS_MEMORY)
      fail_msg("%s, allocation %ld of %ld: status %d, %s", name, n, total, (int)status,
               xt_error_format(&error, line, sizeof line));
  }
  printf("# %s: %ld allocations\n", name, total);
  ASSERT_OK(job(&error)); /* nothing is left behind that is in its way */
}

static void test_stores(void **state) {
  (void)state;
  fails_well("sweep", sweep_job, 60);
  fails_well("export", export_job, 100);
  fails_well("metrics", metrics_job, 60);
  fails_well("select", select_job, 100);
  fails_well("select more", select_more_job, 15);
  fails_well("selector", selector_job, 15);
  fails_well("merge", merge_job, 60);
  fails_well("sweep --replace", remove_job, 60);
}

static void test_report(void **state) {
  (void)state;
  fails_well("report", report_job, 100);
}

static void test_models(void **state) {
  (void)state;
  fails_well("train", train_job, 60);
  fails_well("train-tokenizer", vocabulary_job, 60);
  fails_well("init-model", make_job, 60);
  fails_well("inspect", inspect_job, 100);
  fails_well("score, capture", score_job, 60);
  fails_well("pairs", pairs_job, 60);
}

static xt_status count_letters(void *user, const xt_store_row *row, xt_error *error) {
  int *counts = user;
  (void)error;
  for (size_t i = 0; i < 26; i++)
    counts[i] += row->text && (memchr(row->text, 'a' + (int)i, row->text_length) ||
                               memchr(row->text, 'A' + (int)i, row->text_length));
  return XT_STATUS_OK;
}

/* The letter that some responses have: learning needs right ones and wrong ones. */
static void find_gold(void) {
  int counts[26] = {0};
  xt_store *store;
  xt_error error;
  ASSERT_OK(xt_store_open(base, XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_read(store, count_letters, counts, &error));
  xt_store_close(store);
  int best = 0;
  for (int i = 1; i < 26; i++)
    if (counts[i] > counts[best]) best = i;
  assert_true(counts[best] > 0);
  gold[0] = (char)('a' + best);
}

static int set_up(void **state) {
  static const int others[] = {2};
  xt_error error;
  (void)state;
  models_make("tiny-llama", "bf16", model_path);
  ASSERT_OK(xt_model_open(model_path, &(xt_model_options){.threads = 1}, &model, &error));
  ASSERT_OK(xt_model_hash(model, hash, &error));
  snprintf(base, sizeof base, "%s/base.db", models_folder);
  snprintf(more, sizeof more, "%s/more.db", models_folder);
  snprintf(work, sizeof work, "%s/work.db", models_folder);
  snprintf(other, sizeof other, "%s/other", models_folder);
  char path[200];
  snprintf(path, sizeof path, "%s/lines", models_folder);
  ASSERT_OK(xt_file_write(path, "one two\nthree four\n", 19, &error));
  snprintf(path, sizeof path, "%s/pairs", models_folder);
  static const char pair[] =
      "{\"id\":1,\"lang\":\"de\",\"source\":\"a\",\"target\":\"b\",\"gold\":[\"x\",\"y\"]}\n";
  ASSERT_OK(xt_file_write(path, pair, sizeof pair - 1, &error));
  make_questions();
  int all[32], count = 0;
  xt_model_info info;
  xt_model_get_info(model, &info);
  while (count < info.layers && count < 32) all[count] = count, count++;
  ASSERT_OK(sweep_file(base, all, (size_t)count, &error));
  find_gold();
  ASSERT_OK(sweep_file(base, all, (size_t)count, &error));
  ASSERT_OK(sweep_file(more, others, 1, &error));
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  xt_model_close(model);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_stores), cmocka_unit_test(test_report),
                                     cmocka_unit_test(test_models)};
  return cmocka_run_group_tests_name("allocation_verbs", tests, set_up, tear_down);
}
