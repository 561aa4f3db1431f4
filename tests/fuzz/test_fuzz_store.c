/* SPDX-License-Identifier: Apache-2.0 */
/* Some thousand changed stores in a few seconds, the same each time: the fuzzing targets of the
 * store, without a fuzzer. */
#include "fuzz_store.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/rng.h"

static void test_right_store_is_read(void **state) {
  (void)state;
  sqlite3_int64 size;
  xt_store *store;
  xt_analysis *analysis;
  xt_error error;
  unsigned char *bytes = right_store(&size);
  assert_non_null(bytes);
  sqlite3 *db = database_of(bytes, (size_t)size);
  harden(db);
  assert_int_equal(store_open_handle(db, (size_t)size, &store, &error), XT_STATUS_OK);
  assert_int_equal(xt_store_read(store, touch_row, NULL, &error), XT_STATUS_OK);
  assert_int_equal(xt_analysis_create(store,
                                      &(xt_analysis_options){.bootstrap = 1, .permutations = 1},
                                      &analysis, &error),
                   XT_STATUS_OK);
  assert_int_equal(xt_analysis_count(analysis), 2);
  assert_int_equal(xt_analysis_unscored(analysis), 1);
  xt_analysis_free(analysis);
  for (int i = 0; i < READING_PARTS; i++) reading_parts[i](store);
  xt_store_close(store);
  sqlite3_close(db);
  sqlite3_free(bytes);
}

static void test_changed_rows(void **state) {
  (void)state;
  Rng rng = {7};
  uint8_t data[40];
  for (int n = 0; n < 1500; n++) {
    const size_t size = 4 + rng_next(&rng) % 33;
    for (size_t i = 0; i < size; i++) data[i] = (uint8_t)rng_next(&rng);
    fuzz_store_rows(data, size);
  }
}

static void test_changed_bytes(void **state) {
  (void)state;
  Rng rng = {8};
  sqlite3_int64 size;
  unsigned char *right = right_store(&size), *bytes = malloc((size_t)size);
  assert_non_null(right);
  assert_non_null(bytes);
  for (int n = 0; n < 1500; n++) {
    memcpy(bytes, right, (size_t)size);
    for (uint64_t k = 1 + rng_next(&rng) % 4; k; k--)
      bytes[rng_next(&rng) % (uint64_t)size] = (uint8_t)rng_next(&rng);
    fuzz_store_bytes(bytes,
                     rng_next(&rng) % 8 ? (size_t)size : (size_t)(rng_next(&rng) % (uint64_t)size));
  }
  free(bytes);
  sqlite3_free(right);
}

/* Values and tables that a store cannot have. */
static const char *const changes[] = {
    "UPDATE settings SET value = '0' WHERE name = 'layers'",
    "UPDATE settings SET value = '2000000000' WHERE name = 'layers'",
    "UPDATE settings SET value = 'x' WHERE name = 'max_new_tokens'",
    "UPDATE instances SET id = -1 WHERE id = 1",
    "UPDATE instances SET task = x'00' WHERE id = 1",
    "UPDATE instances SET lang = cast(x'ff' AS TEXT) WHERE id = 2",
    "UPDATE instances SET number = 'one' WHERE id = 1",
    "UPDATE responses SET source_layer = 2 WHERE instance = 1 AND source_layer = 1",
    "UPDATE responses SET site = 'nowhere' WHERE instance = 2",
    "UPDATE responses SET margin = 'wide' WHERE instance = 2",
    "UPDATE selections SET target_layer = 9 WHERE strategy = 'coarse'",
    "UPDATE selections SET site = '' WHERE strategy = 'coarse'",
    "UPDATE texts SET ids = x'010203' WHERE id = 2",
    "UPDATE texts SET ids = 'text' WHERE id = 2",
    "UPDATE texts SET text = x'41' WHERE id = 1",
    "UPDATE text_metrics SET value = x'00' WHERE name = 'nll_standalone'",
    "UPDATE plans SET source_layers = '0,7'",
    "UPDATE plans SET questions = x'01'",
    "UPDATE plans SET sites = 'ffn,nowhere'",
    "UPDATE sources SET text = 1, margin = 'x'",
    "UPDATE runs SET started = x'00'",
    "DROP TABLE pair_metrics; CREATE TABLE pair_metrics(instance, text, name, value)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TABLE other(x)",
    "CREATE INDEX i ON texts(text)",
    "CREATE TRIGGER t AFTER INSERT ON texts BEGIN SELECT 1; END",
    "DROP TABLE responses; CREATE VIEW responses AS SELECT random()",
    "DROP TABLE vanilla",
    "UPDATE tracked SET answers = '[[1]]'",
    "UPDATE tracked SET answers = x'00'",
    "UPDATE effects SET numbers = x'0000' WHERE site = 'ffn'",
    "UPDATE effects SET numbers = x'00000000007c' WHERE site = 'vanilla'",
    "PRAGMA user_version = 4"};

/* Each is refused by a message that names the table. */
static void test_values_are_refused(void **state) {
  (void)state;
  sqlite3_int64 size;
  unsigned char *right = right_store(&size);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    xt_store *store = NULL;
    xt_analysis *analysis = NULL;
    xt_error error = {0};
    sqlite3 *db = database_of(right, (size_t)size);
    if (sqlite3_exec(db, changes[i], NULL, NULL, NULL) != SQLITE_OK)
      fail_msg("%s: %s", changes[i], sqlite3_errmsg(db));
    harden(db);
    xt_status status = store_open_handle(db, (size_t)size, &store, &error);
    if (!status)
      status = xt_analysis_create(store, &(xt_analysis_options){.bootstrap = 1, .permutations = 1},
                                  &analysis, &error);
    if (!status) status = xt_store_read_runs(store, touch_run, NULL, &error);
    if (status != XT_STATUS_INPUT || !error.message[0])
      fail_msg("%s: status %d, %s", changes[i], (int)status, error.message);
    xt_analysis_free(analysis);
    xt_store_close(store);
    sqlite3_close(db);
  }
  sqlite3_free(right);
}

/* ---- merge ----------------------------------------------------------------------------------- */

enum { PATH_SIZE = 160 };

/* The right store after some changes, as a file. */
static void write_store(char path[PATH_SIZE], const char *name, const char *sql,
                        const uint8_t *data, size_t size) {
  sqlite3_int64 bytes;
  unsigned char *right = right_store(&bytes);
  sqlite3 *db = database_of(right, (size_t)bytes);
  if (sql && sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) fail_msg("%s", sql);
  for (size_t at = 0; at + 4 <= size && at < 32; at += 4) change(db, data + at, size - at);
  sqlite3_free(right);
  right = sqlite3_serialize(db, "main", &bytes, 0);
  snprintf(path, PATH_SIZE, "%s", fuzz_put(name, (FuzzPart){right, (size_t)bytes}));
  sqlite3_free(right);
  sqlite3_close(db);
}

/* What every reader says of a store. */
static xt_status read_all(const char *path, xt_error *error) {
  xt_store *store;
  TRY(xt_store_open(path, XT_STORE_READ, &store, error));
  xt_analysis *analysis = NULL;
  xt_status status = xt_analysis_create(
      store, &(xt_analysis_options){.bootstrap = 1, .permutations = 1, .threads = 1}, &analysis,
      error);
  xt_analysis_free(analysis);
  if (!status) status = xt_store_read(store, touch_row, NULL, error);
  if (!status) status = xt_store_read_sources(store, touch_row, NULL, error);
  if (!status) status = xt_store_read_samples(store, touch_row, NULL, error);
  if (!status) status = xt_store_read_selections(store, touch_row, NULL, error);
  if (!status) status = xt_store_read_runs(store, touch_run, NULL, error);
  if (!status) status = xt_store_summarize_metrics(store, touch_metrics, NULL, error);
  xt_store_close(store);
  return status;
}

static bool leave_out(void *user, const char *input, const xt_error *why) {
  (void)input;
  assert_true(why->message[0]);
  ++*(int *)user;
  return true;
}

/* A store that has one of `changes` is refused, and left out where that is asked for. */
static void test_merge_refuses(void **state) {
  (void)state;
  char good[PATH_SIZE], bad[PATH_SIZE], joined[PATH_SIZE];
  write_store(good, "good.db", NULL, NULL, 0);
  snprintf(joined, sizeof joined, "%s", fuzz_put("joined.db", (FuzzPart){0}));
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    xt_error error = {0};
    int left_out = 0;
    write_store(bad, "bad.db", changes[i], NULL, 0);
    const char *const inputs[] = {bad, good};
    const xt_status status = xt_store_merge(joined, inputs, 2, &error);
    if (status != XT_STATUS_INPUT || strcmp(error.file, bad) != 0)
      fail_msg("%s: status %d, %s: %s", changes[i], (int)status, error.file, error.message);
    if (strncmp(changes[i], "UPDATE", 6) == 0 && !strstr(changes[i], "settings") &&
        !strstr(changes[i], "selections") && !strstr(changes[i], "plans") &&
        !strstr(error.message, ", in the row of "))
      fail_msg("%s: %s", changes[i], error.message);
    assert_int_not_equal(access(joined, F_OK), 0);
    const xt_store_merge_options options = {.leave_out = leave_out, .user = &left_out};
    assert_int_equal(xt_store_merge_with(joined, inputs, 2, &options, &error), XT_STATUS_OK);
    assert_int_equal(left_out, 1);
    if (read_all(joined, &error)) fail_msg("%s: %s", changes[i], error.message);
    remove(joined);
  }
}

/* What merge takes, readers take, whatever the rows were before. */
static void test_merged_is_read(void **state) {
  (void)state;
  Rng rng = {9};
  uint8_t data[40];
  int taken = 0;
  char path[PATH_SIZE], joined[PATH_SIZE];
  snprintf(joined, sizeof joined, "%s", fuzz_put("joined.db", (FuzzPart){0}));
  for (int n = 0; n < 400; n++) {
    xt_error error = {0};
    const size_t size = 4 + rng_next(&rng) % 9;
    for (size_t i = 0; i < size; i++) data[i] = (uint8_t)rng_next(&rng);
    write_store(path, "changed.db", few_layers, data, size);
    const xt_status status = xt_store_merge(joined, (const char *const[]){path}, 1, &error);
    if (status == XT_STATUS_OK) {
      taken++;
      if (read_all(joined, &error)) fail_msg("%d: %s: %s", n, error.field, error.message);
    } else if (status != XT_STATUS_INPUT || !error.message[0]) {
      fail_msg("%d: status %d, %s", n, (int)status, error.message);
    }
    remove(joined);
  }
  assert_in_range(taken, 40, 360);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_right_store_is_read), cmocka_unit_test(test_values_are_refused),
      cmocka_unit_test(test_merge_refuses),       cmocka_unit_test(test_merged_is_read),
      cmocka_unit_test(test_changed_rows),        cmocka_unit_test(test_changed_bytes)};
  return cmocka_run_group_tests_name("fuzz_store", tests, NULL, NULL);
}
