/* SPDX-License-Identifier: Apache-2.0 */
/* The store by itself: what it says is there is there, for the question, site and layers asked
 * about and no other; what was not committed is gone; what does not belong together is refused;
 * damaged files end in an error. */
#include <sys/stat.h>

#include "models.h"

#define LAYERS 6

typedef struct Fixture {
  xt_model *model;
  xt_store *store;
  char hash[XT_MODEL_HASH_SIZE], path[160];
  int64_t questions[2];
} Fixture;

static const xt_store_settings settings = {.max_new_tokens = 3};
static const xt_question questions[2] = {{.id = "0",
                                          .number = 0,
                                          .task = "xquad",
                                          .lang = "sw",
                                          .source_lang = "en",
                                          .source = "a",
                                          .target = "b",
                                          .gold = "e"},
                                         {.id = "1",
                                          .number = 1,
                                          .task = "xquad",
                                          .lang = "sw",
                                          .source_lang = "en",
                                          .source = "a",
                                          .target = "c"}};
static const int32_t ids[] = {1, 104, 35};
static const xt_instance instance = {
    .source = ids, .source_count = 3, .target = ids, .target_count = 2};
static const xt_site attn = {.read = XT_TAP_ATTN, .write = XT_TAP_ATTN},
                     ffn = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};

static xt_generation response(int32_t *tokens, float *numbers) {
  return (xt_generation){
      .count = 2, .ids = tokens, .margins = numbers, .entropies = numbers, .logprobs = numbers};
}

static void add(Fixture *f, int question, const xt_site *site, int i, int j, int32_t token) {
  xt_error error;
  int32_t tokens[2] = {token, 2};
  float numbers[2] = {0.5f, 0.25f};
  const xt_generation g = response(tokens, numbers);
  ASSERT_OK(xt_store_add_response(f->store, f->questions[question], site, i, j, &g, &error));
}

static void begin(Fixture *f) {
  xt_error error;
  ASSERT_OK(xt_store_open(f->path, XT_STORE_WRITE, &f->store, &error));
  ASSERT_OK(xt_store_begin(f->store, f->model, f->hash, &settings, "test", &error));
  for (int q = 0; q < 2; q++)
    ASSERT_OK(xt_store_add_question(f->store, &questions[q], &instance, &f->questions[q], &error));
}

static Fixture fixture_open(const char *name) {
  Fixture f = {0};
  xt_error error;
  models_open("tiny-llama", "f32", &(xt_model_options){.threads = 1}, &f.model, NULL);
  ASSERT_OK(xt_model_hash(f.model, f.hash, &error));
  snprintf(f.path, sizeof f.path, "%s/%s", models_folder, name);
  begin(&f);
  return f;
}

static void fixture_close(Fixture *f) {
  xt_store_close(f->store);
  xt_model_close(f->model);
}

/* Asserts that exactly the cells (i, j) in `want` are there, and whether the untouched run is. */
static void expect(Fixture *f, int question, xt_site site, const char *want, bool vanilla) {
  bool have[LAYERS * LAYERS] = {0}, untouched = !vanilla;
  xt_error error;
  char got[256] = "";
  ASSERT_OK(xt_store_find_responses(f->store, f->questions[question], site, LAYERS, have,
                                    &untouched, &error));
  for (int c = 0; c < LAYERS * LAYERS; c++)
    if (have[c])
      snprintf(got + strlen(got), sizeof got - strlen(got), "%d,%d ", c / LAYERS, c % LAYERS);
  assert_string_equal(got, want);
  assert_int_equal(untouched, vanilla);
}

static void test_knows_what_is_there(void **state) {
  (void)state;
  Fixture f = fixture_open("known.db");
  assert_true(f.questions[0] != f.questions[1]);
  add(&f, 0, NULL, 0, 0, 70);
  add(&f, 0, &attn, 1, 2, 71);
  add(&f, 0, &attn, 5, 0, 70);
  add(&f, 1, &ffn, 2, 1, 71);
  for (int reopened = 0; reopened < 2; reopened++) {
    expect(&f, 0, attn, "1,2 5,0 ", true);
    expect(&f, 0, ffn, "", true);
    expect(&f, 1, attn, "", false);
    expect(&f, 1, ffn, "2,1 ", false);
    if (reopened) break;
    xt_error error;
    ASSERT_OK(xt_store_commit(f.store, 0, &error));
    xt_store_close(f.store);
    begin(&f);
  }
  xt_store_info info;
  xt_error error;
  ASSERT_OK(xt_store_get_info(f.store, &info, &error));
  assert_int_equal(info.questions, 2);
  assert_int_equal(info.responses, 3);
  assert_int_equal(info.vanilla, 1);
  assert_int_equal(info.texts, 2);
  fixture_close(&f);
}

static void test_uncommitted_is_gone(void **state) {
  (void)state;
  Fixture f = fixture_open("lost.db");
  xt_error error;
  add(&f, 0, &attn, 0, 1, 70);
  ASSERT_OK(xt_store_commit(f.store, 0, &error));
  add(&f, 0, &attn, 0, 2, 70);
  xt_store_close(f.store);
  begin(&f);
  expect(&f, 0, attn, "0,1 ", false);
  fixture_close(&f);
}

static void test_others_are_refused(void **state) {
  (void)state;
  static const xt_store_settings other[] = {{.max_new_tokens = 4},
                                            {.max_new_tokens = 3, .repetition_penalty = 1.3},
                                            {.max_new_tokens = 3, .ignore_eos = true},
                                            {.max_new_tokens = 3, .compute = XT_COMPUTE_BF16}};
  static const char *const names[] = {"max_new_tokens", "repetition_penalty", "ignore_eos",
                                      "compute"};
  Fixture f = fixture_open("settings.db");
  xt_error error;
  add(&f, 0, &attn, 0, 1, 70);
  ASSERT_OK(xt_store_commit(f.store, 0, &error));
  ASSERT_OK(xt_store_check(f.store, f.model, f.hash, &settings, &error));
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(xt_store_check(f.store, f.model, f.hash, &other[i], &error),
                     XT_STATUS_ARGUMENT);
    if (!strstr(error.message, names[i]) && !strstr(error.field, names[i]))
      fail_msg("%s is not named: %s: %s", names[i], error.field, error.message);
  }
  char hash[XT_MODEL_HASH_SIZE];
  memcpy(hash, f.hash, sizeof hash);
  hash[0] = hash[0] == '0' ? '1' : '0';
  assert_int_equal(xt_store_check(f.store, f.model, hash, &settings, &error), XT_STATUS_ARGUMENT);
  fixture_close(&f);
}

static xt_status count_row(void *user, const xt_store_row *row, xt_error *error) {
  (void)error;
  *(size_t *)user +=
      row->count + row->text_length + strlen(row->site) + strlen(row->question->source);
  return XT_STATUS_OK;
}

/* ---- whose responses they are ---------------------------------------------------------------- */

typedef struct Found {
  char id[XT_RESPONSE_ID_SIZE], text[32], provenance[4096];
  bool decoded;
} Found;

static xt_status find_row(void *user, const xt_store_row *row, xt_error *error) {
  (void)error;
  Found *found = user;
  memcpy(found->id, row->id, sizeof found->id);
  found->decoded = row->text != NULL;
  if (row->text)
    snprintf(found->text, sizeof found->text, "%.*s", (int)row->text_length, row->text);
  return XT_STATUS_OK;
}

static xt_status find_run(void *user, const char *started, const char *provenance,
                          xt_error *error) {
  (void)started, (void)error;
  snprintf(((Found *)user)->provenance, sizeof((Found *)user)->provenance, "%s", provenance);
  return XT_STATUS_OK;
}

/* A store with one response, begun with an identity. */
static Found found_of(const char *name, const xt_store_identity *identity) {
  Fixture f = {0};
  Found found = {0};
  xt_error error;
  snprintf(f.path, sizeof f.path, "%s/%s", models_folder, name);
  ASSERT_OK(xt_store_open(f.path, XT_STORE_WRITE, &f.store, &error));
  ASSERT_OK(xt_store_begin_as(f.store, identity, &error));
  ASSERT_OK(xt_store_add_question(f.store, &questions[0], &instance, &f.questions[0], &error));
  add(&f, 0, &attn, 0, 1, 70);
  ASSERT_OK(xt_store_commit(f.store, 0, &error));
  ASSERT_OK(xt_store_read(f.store, find_row, &found, &error));
  ASSERT_OK(xt_store_read_runs(f.store, find_run, &found, &error));
  xt_store_close(f.store);
  return found;
}

/* A model whose weights were never read will do, and so will none at all: responses are the same,
 * by id and by text. */
static void test_needs_no_weights(void **state) {
  (void)state;
  xt_error error;
  xt_model *loaded, *inspected;
  xt_model_info info;
  xt_store_identity identity;
  char hash[XT_MODEL_HASH_SIZE];
  models_open("tiny-llama", "f32", &(xt_model_options){.threads = 1}, &loaded, NULL);
  xt_model_get_info(loaded, &info);
  ASSERT_OK(xt_model_inspect(info.path, NULL, &inspected, &error));
  ASSERT_OK(xt_model_hash(inspected, hash, &error));
  ASSERT_OK(xt_store_identify(loaded, hash, &settings, "test", &identity, &error));
  const Found whole = found_of("loaded.db", &identity);
  xt_store_identity_deinit(&identity);
  ASSERT_OK(xt_store_identify(inspected, hash, &settings, "test", &identity, &error));
  const Found bare = found_of("inspected.db", &identity);
  const xt_store_identity plain = {
      .hash = hash, .name = "elsewhere", .layers = LAYERS, .settings = identity.settings};
  const Found none = found_of("plain.db", &plain);
  xt_store_identity_deinit(&identity);
  assert_string_equal(whole.id, bare.id);
  assert_string_equal(whole.id, none.id);
  assert_string_equal(whole.text, bare.text);
  assert_true(whole.decoded && bare.decoded && !none.decoded);
  assert_non_null(strstr(whole.provenance, "\"kernels\""));
  assert_null(strstr(bare.provenance, "\"kernels\""));
  assert_non_null(strstr(bare.provenance, "\"weight_files\""));
  assert_string_equal(none.provenance, "{}");
  xt_model_close(inspected);
  xt_model_close(loaded);
}

/* What no reader would take is not written. */
static void test_bad_identities(void **state) {
  (void)state;
  static const xt_store_settings good = {.max_new_tokens = 3, .repetition_penalty = 1},
                                 no_penalty = {.max_new_tokens = 3},
                                 negative = {.max_new_tokens = -1, .repetition_penalty = 1};
  const xt_store_identity bad[] = {{.hash = NULL, .layers = 6, .settings = good},
                                   {.hash = "", .layers = 6, .settings = good},
                                   {.hash = "a", .layers = 0, .settings = good},
                                   {.hash = "a", .layers = 257, .settings = good},
                                   {.hash = "a", .layers = 6, .settings = no_penalty},
                                   {.hash = "a", .layers = 6, .settings = negative}};
  static const char *const fields[] = {
      "hash", "hash", "layers", "layers", "repetition_penalty", "max_new_tokens"};
  char path[200];
  xt_error error;
  xt_store *store;
  snprintf(path, sizeof path, "%s/bad.db", models_folder);
  ASSERT_OK(xt_store_open(path, XT_STORE_WRITE, &store, &error));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(xt_store_begin_as(store, &bad[i], &error), XT_STATUS_ARGUMENT);
    assert_string_equal(error.field, fields[i]);
  }
  const xt_generation g = {0};
  assert_int_equal(xt_store_add_source(store, 1, &g, &error), XT_STATUS_ARGUMENT);
  xt_store_close(store);
  struct stat file;
  assert_int_not_equal(stat(path, &file), 0);
}

/* Every kind of damage ends in an error with a message, or in rows that can be read. */
static void test_damaged(void **state) {
  (void)state;
  Fixture f = fixture_open("whole.db");
  xt_error error;
  char path[160];
  for (int i = 0; i < LAYERS; i++)
    for (int j = 0; j < LAYERS; j++) add(&f, i % 2, &attn, i, j, 60 + i + j);
  add(&f, 0, NULL, 0, 0, 70);
  ASSERT_OK(xt_store_commit(f.store, 0, &error));
  xt_store_close(f.store);
  FILE *file = fopen(f.path, "rb");
  static uint8_t whole[1 << 18], bytes[1 << 18];
  assert_non_null(file);
  const size_t size = fread(whole, 1, sizeof whole, file);
  fclose(file);
  assert_true(size > 10000 && size < sizeof whole);
  snprintf(path, sizeof path, "%s/damaged.db", models_folder);
  uint64_t random = 88172645463325252u;
  size_t refused = 0;
  for (int n = 0; n < 300; n++) {
    random ^= random << 13, random ^= random >> 7, random ^= random << 17;
    const size_t at = random / 8 % size;
    memcpy(bytes, whole, size);
    const bool cut = n % 3 == 0;
    for (int k = 0; k < 16 && !cut; k++)
      bytes[(at + (size_t)k * 7) % size] ^= (uint8_t)(random >> (8 + k));
    unlink(path);
    file = fopen(path, "wb");
    assert_true(file && fwrite(bytes, 1, cut ? at : size, file) == (cut ? at : size));
    fclose(file);
    xt_store *store;
    size_t sum = 0;
    error = (xt_error){0};
    xt_status status = xt_store_open(path, XT_STORE_READ, &store, &error);
    if (!status) {
      status = xt_store_read(store, count_row, &sum, &error);
      xt_store_close(store);
    }
    refused += status != XT_STATUS_OK;
    if (status && (!error.message[0] || !strstr(error.file, "damaged.db")))
      fail_msg("%d: status %d, '%s': '%s'", n, (int)status, error.file, error.message);
    if (status && status != XT_STATUS_INPUT && status != XT_STATUS_IO)
      fail_msg("%d: status %d, %s", n, (int)status, error.message);
  }
  assert_true(refused > 50);
  xt_model_close(f.model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_knows_what_is_there), cmocka_unit_test(test_uncommitted_is_gone),
      cmocka_unit_test(test_others_are_refused),  cmocka_unit_test(test_needs_no_weights),
      cmocka_unit_test(test_bad_identities),      cmocka_unit_test(test_damaged)};
  return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
