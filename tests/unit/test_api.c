/* SPDX-License-Identifier: Apache-2.0 */
/* What the public headers promise of every call: what frees accepts NULL; errors may be NULL, and
 * are left alone on success; failures give nothing out. */
#include "made_store.h"

#define FILL 0xAB

static bool is_untouched(const xt_error *error) {
  const unsigned char *bytes = (const unsigned char *)error;
  for (size_t i = 0; i < sizeof *error; i++)
    if (bytes[i] != FILL) return false;
  return true;
}

static void test_frees_accept_null(void **state) {
  (void)state;
  xt_model_close(NULL);
  xt_tokenizer_close(NULL);
  xt_session_free(NULL);
  xt_taps_free(NULL);
  xt_generation_deinit(NULL);
  xt_langid_close(NULL);
  xt_dataset_close(NULL);
  xt_choices_free(NULL, 3);
  xt_store_close(NULL);
  xt_store_identity_deinit(NULL);
  xt_job_free(NULL);
  xt_selector_free(NULL);
  xt_coverage_free(NULL);
  xt_analysis_free(NULL);
  xt_report_free(NULL);
  xt_free(NULL);
}

/* Each fails, says so by its status alone, and leaves NULL in its result. */
static void test_errors_may_be_null(void **state) {
  (void)state;
  void *out = &out;
  xt_site site;
  static const char *const none[] = {"nowhere.txt"};
  char *path = (char *)&path;
#define FAILS(call)                           \
  do {                                        \
    out = &out;                               \
    assert_int_not_equal(call, XT_STATUS_OK); \
    assert_null(out);                         \
  } while (0)
  FAILS(xt_model_open("nowhere", NULL, (xt_model **)&out, NULL));
  FAILS(xt_model_inspect("nowhere", NULL, (xt_model **)&out, NULL));
  FAILS(xt_tokenizer_open("nowhere", (xt_tokenizer **)&out, NULL));
  FAILS(xt_langid_open("nowhere.bin", (xt_langid **)&out, NULL));
  FAILS(xt_dataset_open(xt_task_find("xnli"), "nowhere", NULL, (xt_dataset **)&out, NULL));
  FAILS(xt_dataset_open_pairs("nowhere.jsonl", NULL, (xt_dataset **)&out, NULL));
  FAILS(xt_dataset_parse_pairs("{", 1, "name", NULL, (xt_dataset **)&out, NULL));
  FAILS(xt_store_open("nowhere/x.db", XT_STORE_READ, (xt_store **)&out, NULL));
  FAILS(xt_report_create("nowhere.db", NULL, (xt_report **)&out, NULL));
  assert_int_not_equal(xt_model_locate("nowhere/at/all", NULL, &path, NULL), XT_STATUS_OK);
  assert_int_not_equal(xt_site_parse("attention", &site, NULL), XT_STATUS_OK);
  assert_int_not_equal(xt_file_write("nowhere/x", "", 0, NULL), XT_STATUS_OK);
  assert_int_not_equal(xt_store_merge("nowhere/m.db", none, 1, NULL), XT_STATUS_OK);
  assert_int_not_equal(xt_bpe_train(none, 1, NULL, "nowhere/out", NULL, NULL), XT_STATUS_OK);
  assert_int_not_equal(
      xt_pilotset_build(xt_task_find("xquad"), "nowhere", "nowhere/out", NULL, NULL, NULL),
      XT_STATUS_OK);
  xt_train_options train;
  xt_train_options_init(&train);
  assert_int_equal(xt_train(&train, NULL, NULL), XT_STATUS_ARGUMENT);
  bool correct;
  assert_int_equal(xt_task_score(xt_task_find("xnli"), NULL, 0, "x", 1, "9", &correct, NULL),
                   XT_STATUS_INPUT);
  const xt_synth_options synth = {.shape = "tiny-nothing"};
  assert_int_equal(xt_model_synthesize(&synth, "nowhere/model", NULL), XT_STATUS_ARGUMENT);
}

static xt_status ignore_response(void *user, const xt_sweep_response *response, xt_error *error) {
  (void)response, (void)error;
  ++*(int *)user;
  return XT_STATUS_OK;
}

#define SUCCEEDS(call)                                                                  \
  do {                                                                                  \
    assert_int_equal(call, XT_STATUS_OK);                                               \
    if (!is_untouched(&error)) fail_msg("%s wrote into the error of a success", #call); \
  } while (0)

static void store_succeeds(void) {
  xt_error error;
  char folder[160];
  xt_report *report;
  Made m;
  memset(&error, FILL, sizeof error);
  made_open(&m, "api.db", "xquad");
  for (int i = 0; i < 4; i++) {
    const int64_t q = add_question(&m, i, "sw", "gold");
    add_response(&m, q, -1, -1, i % 2 ? "gold" : "tin", 1, 1, -1);
    add_response(&m, q, 0, 0, "gold", 1, 1, -1);
  }
  SUCCEEDS(xt_store_commit(m.store, 0, &error));
  made_close(&m);
  SUCCEEDS(xt_report_create(m.path, NULL, &report, &error));
  snprintf(folder, sizeof folder, "%s/api-report", models_folder);
  SUCCEEDS(xt_report_write(report, folder, NULL, &error));
  xt_report_free(report);
}

/* A model loaded, prompts run, a store made, closed, analysed and drawn: nothing writes into the
 * error of a call that succeeds. */
static void test_success_leaves_errors_alone(void **state) {
  (void)state;
  xt_error error;
  char path[128];
  xt_model *model;
  xt_session *session;
  xt_taps *taps;
  xt_generation generation;
  xt_sweep_plan plan;
  int32_t *ids;
  size_t count;
  int responses = 0;
  memset(&error, FILL, sizeof error);
  models_make("tiny-llama", "bf16", path);
  SUCCEEDS(xt_model_open(path, NULL, &model, &error));
  SUCCEEDS(xt_session_create(model, &session, &error));
  SUCCEEDS(xt_tokenizer_encode(xt_model_tokenizer(model), "Habari", 6, true, &ids, &count, &error));
  const xt_request request = {.ids = ids, .count = count};
  const xt_instance instance = {
      .source = ids, .target = ids, .source_count = count, .target_count = count};
  static const xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};
  static const int layers[] = {0, 1};
  const xt_sweep_options options = {.sites = &site,
                                    .site_count = 1,
                                    .source_layers = layers,
                                    .source_layer_count = 2,
                                    .target_layers = layers,
                                    .target_layer_count = 1,
                                    .max_new_tokens = 2,
                                    .user = &responses};
  SUCCEEDS(xt_session_generate(session, &request, 1, NULL, &generation, &error));
  assert_true(generation.count > 0 && generation.count <= 20); /* the default */
  SUCCEEDS(xt_session_capture(session, &request, &taps, &error));
  SUCCEEDS(xt_sweep_make_plan(model, &instance, 1, &options, &plan, &error));
  SUCCEEDS(
      xt_session_sweep(session, &instance, 1, &options, ignore_response, &responses, NULL, &error));
  assert_int_equal(responses, 3);
  assert_null(xt_taps_get(taps, XT_TAP_FFN, 6)); /* one past the last layer */
  assert_non_null(xt_taps_get(taps, XT_TAP_FFN, 5));
  store_succeeds();
  xt_generation_deinit(&generation);
  assert_null(generation.ids);
  xt_taps_free(taps);
  free(ids);
  xt_session_free(session);
  xt_model_close(model);
}

/* The figures that the headers name. */
static void test_defaults(void **state) {
  (void)state;
  xt_train_options train;
  xt_train_options_init(&train);
  assert_int_equal(train.epochs, 3);
  assert_int_equal(train.batch, 16);
  assert_int_equal(train.seed, 1);
  assert_int_equal(train.save_steps, 100);
  assert_int_equal(train.schedule, XT_TRAIN_LINEAR);
  assert_true(train.rate >= 1e-5 && train.rate <= 1e-5 && train.warmup >= 0.1 &&
              train.warmup <= 0.1 && train.clip >= 1 && train.clip <= 1);
  xt_train_options_paper(&train);
  assert_int_equal(train.schedule, XT_TRAIN_COSINE);
  assert_int_equal(train.compute, XT_COMPUTE_BF16);
  assert_string_equal(xt_version(), XT_VERSION);
}

/* clang-format off */
static const char *const site_names[] = {
    "attn", "ffn", "block", "a:o", "attn+self", "attn-released+random4294967295", "ffn+mean",
    "f:a+shuffled7", "attn-released", "attn+add2", "ffn+blend0.5", "a:m+add-1.5", "attn+add0",
    "attn+span2", "ffn+add0.10000001+span256+all+self", "block+generated",
    "f:o+blend1000000+span12+generated+random9", "attn+add1e-06", "attn+heads0",
    "attn+heads0.3.8-11+add2+generated+self", "attn+heads255", "plan.x-1.0a", "plan.x+self", "plan.x.1+random7",
    "attn+langs.a.b+heads0+random", "ffn+langs.de.fr-x+add2",
    "f:o+vector.a_b.1f+random3", "attn+all"};
static const char *const no_sites[] = {
    "", "attn+", "attn+none", "+self", "attn+self2", "ffn+mean0", "ffn+mean01", "ffn+random-1",
    "ffn+self+mean", "ffn+random4294967296", "attn-", "a:x", "attn+add", "attn+add+2",
    "attn+add2.0", "attn+add02", "attn+addinf", "attn+add2000000", "attn+replace1", "attn+span1",
    "attn+span", "attn+span257", "attn+last", "attn+all+all", "attn+span2+add2", "attn+self+all",
    "plan.", "plan.x+", "plan.x+self2", "plan.x+add2", "plan.x+self+random", "plan.x+all", "attn+plan.x", "attn+add2+", "attn+add-0", "attn+add1e+06", "attn+blend2+add2", "attn+heads",
    "attn+heads3.0", "attn+heads256", "attn+heads0-0", "attn+heads00", "attn+heads1.2",
    "attn+heads1..3", "attn+heads2-1", "attn+langs.", "attn+vector.a b", "attn+add2+heads1"};
/* clang-format on */

static void test_site_names(void **state) {
  (void)state;
  char buffer[XT_SITE_NAME_SIZE];
  xt_error error;
  xt_site site;
  for (size_t i = 0; i < sizeof site_names / sizeof *site_names; i++) {
    ASSERT_OK(xt_site_parse(site_names[i], &site, &error));
    assert_string_equal(xt_site_format(site, buffer), site_names[i]);
  }
  for (size_t i = 0; i < sizeof no_sites / sizeof *no_sites; i++)
    assert_int_equal(xt_site_parse(no_sites[i], &site, &error), XT_STATUS_ARGUMENT);
  ASSERT_OK(xt_control_parse("random7", &site, &error));
  assert_int_equal(site.control, XT_CONTROL_RANDOM);
  assert_int_equal(site.seed, 7);
  static const char *const none[] = {"", "none", "selves", "+self", "self2", "attn+self"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_int_equal(xt_control_parse(none[i], &site, &error), XT_STATUS_ARGUMENT);
}

static xt_status check_id(void *user, const xt_store_row *row, xt_error *error) {
  (void)error;
  if (row->source_layer < 0) return XT_STATUS_OK;
  ++*(int *)user;
  assert_string_equal(row->id, "92e5a38ac0d164cfbc55d78a543651e1");
  return XT_STATUS_OK;
}

/* A response's id is the same in every store, on every machine: of model, settings, question, site
 * and layers, numbers lowest byte first. Files that people have made keep their ids. This one is
 * what docs/FORMATS.md's words give, by Python's hashlib. */
static void test_ids_stay(void **state) {
  (void)state;
  Made m;
  xt_error error;
  int rows = 0;
  made_open_of(&m, "ids.db", "xquad",
               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
  add_response(&m, add_question(&m, 7, "sw", "gold"), 3, 2, "words", 1, 1, -1);
  ASSERT_OK(xt_store_commit(m.store, 0, &error));
  ASSERT_OK(xt_store_read(m.store, check_id, &rows, &error));
  assert_int_equal(rows, 1);
  made_close(&m);
}

/* Options say their size. One that is too small, or that sets what a later version may know, is
 * refused by every call before it does anything; a larger one that sets nothing new is taken. */
static void test_options_grow(void **state) {
  (void)state;
  union {
    unsigned char bytes[1024];
    size_t size;
    xt_synth_options synth;
  } o = {.bytes = {0}};
  void *out = &out;
  xt_error error;
  xt_sweep_plan plan;
  xt_pilotset_info info;
#define REFUSED(type, call)                                       \
  do {                                                            \
    o.size = sizeof(type) - 8;                                    \
    assert_int_equal(call, XT_STATUS_ARGUMENT);                   \
    assert_string_equal(error.field, "size");                     \
    o.size = sizeof(type) + 64;                                   \
    o.bytes[sizeof(type) + 40] = 1;                               \
    assert_int_equal(call, XT_STATUS_UNSUPPORTED);                \
    assert_int_equal(error.offset, (long long)sizeof(type) + 40); \
    o.bytes[sizeof(type) + 40] = 0;                               \
  } while (0)
  REFUSED(xt_model_options, xt_model_open("nowhere", (void *)&o, (xt_model **)&out, &error));
  assert_null(out);
  REFUSED(xt_generate_options, xt_session_generate(NULL, NULL, 0, (void *)&o, NULL, &error));
  REFUSED(xt_sweep_options, xt_sweep_make_plan(NULL, NULL, 0, (void *)&o, &plan, &error));
  REFUSED(xt_sweep_options, xt_session_sweep(NULL, NULL, 0, (void *)&o, NULL, NULL, NULL, &error));
  REFUSED(xt_job_options, xt_job_create(NULL, NULL, (void *)&o, (xt_job **)&out, &error));
  REFUSED(xt_analysis_options, xt_analysis_create(NULL, (void *)&o, (xt_analysis **)&out, &error));
  REFUSED(xt_analysis_options, xt_store_summarize_selections(NULL, (void *)&o, NULL, NULL, &error));
  REFUSED(xt_select_options, xt_selector_train(NULL, (void *)&o, (xt_selector **)&out, &error));
  REFUSED(xt_select_options, xt_store_select(NULL, (void *)&o, NULL, &error));
  REFUSED(xt_measure_options, xt_store_measure_languages(NULL, NULL, (void *)&o, &error));
  REFUSED(xt_measure_options,
          xt_store_measure_perplexity(NULL, NULL, XT_METRIC_STANDALONE, (void *)&o, &error));
  REFUSED(xt_report_options, xt_report_create("nowhere", (void *)&o, (xt_report **)&out, &error));
  REFUSED(xt_report_text_options, xt_report_text(NULL, (void *)&o, (char **)&out, NULL, &error));
  REFUSED(xt_report_write_options, xt_report_write(NULL, "nowhere", (void *)&o, &error));
  REFUSED(xt_dataset_options, xt_dataset_open(xt_task_find("xnli"), "nowhere", (void *)&o,
                                              (xt_dataset **)&out, &error));
  REFUSED(xt_dataset_options,
          xt_dataset_open_pairs("nowhere", (void *)&o, (xt_dataset **)&out, &error));
  REFUSED(xt_pilotset_options, xt_pilotset_build(xt_task_find("xnli"), "nowhere", "nowhere/out",
                                                 (void *)&o, &info, &error));
  REFUSED(xt_train_options, xt_train((void *)&o, NULL, &error));
  REFUSED(xt_bpe_options, xt_bpe_train(NULL, 0, (void *)&o, "nowhere/out", NULL, &error));
  REFUSED(xt_synth_options, xt_model_synthesize(&o.synth, "nowhere/out", &error));
  o.synth.size = sizeof o.synth + 64; /* goes on to what is wrong with the shape */
  o.synth.shape = "tiny-nothing";
  assert_int_equal(xt_model_synthesize(&o.synth, "nowhere/out", &error), XT_STATUS_ARGUMENT);
  assert_string_not_equal(error.field, "size");
  xt_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_frees_accept_null),
                                     cmocka_unit_test(test_errors_may_be_null),
                                     cmocka_unit_test(test_success_leaves_errors_alone),
                                     cmocka_unit_test(test_defaults),
                                     cmocka_unit_test(test_site_names),
                                     cmocka_unit_test(test_ids_stay),
                                     cmocka_unit_test(test_options_grow)};
  return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
