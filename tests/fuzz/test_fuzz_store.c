/* SPDX-License-Identifier: Apache-2.0 */
/* Some thousand changed stores in a few seconds, the same each time: the fuzzing targets of the
 * store, without a fuzzer. */
#include "fuzz_store.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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

/* One value after another that a store cannot have: each is refused by a message that names the
 * table. */
static void test_values_are_refused(void **state) {
  (void)state;
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
      "PRAGMA user_version = 3"};
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_right_store_is_read), cmocka_unit_test(test_values_are_refused),
      cmocka_unit_test(test_changed_rows), cmocka_unit_test(test_changed_bytes)};
  return cmocka_run_group_tests_name("fuzz_store", tests, NULL, NULL);
}
