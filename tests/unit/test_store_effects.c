/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of first tokens in a store: what was added comes back rounded to float16, in older and in
 * joined stores too, and damage is told. */
#include <math.h>
#include <sqlite3.h>

#include "made_store.h"

static const xt_tracked answers[] = {{300, "label", "1", "1", 0}, {31, "text", "1", " Entail", 0}};
static const xt_tracked others[] = {{300, "label", "1", "1", 0}, {32, "text", "1", " Entail", 0}};
static float numbers[] = {0.123456789f, 1e9f, -2.718281828f, -1e-9f};
static float source_numbers[] = {0, 0.5f, -1, -20.25f};

static xt_status add_run(Made *m, int64_t question, const xt_site *site, const float *effects,
                         xt_error *error) {
  int32_t id = 60;
  float number = 1;
  const xt_generation g = {.count = 1,
                           .ids = &id,
                           .margins = &number,
                           .entropies = &number,
                           .logprobs = &number,
                           .effect_count = effects ? 4 : 0,
                           .effects = (float *)(uintptr_t)effects};
  return xt_store_add_response(m->store, question, site, 3, 2, &g, error);
}

/* A store with a question that is tracked, and one that is not. */
static void make(Made *m, const char *name, const xt_tracked *list, const float *effects) {
  xt_error error;
  made_open(m, name, "facts");
  const int64_t first = add_question(m, 0, "sw", "1"), second = add_question(m, 1, "sw", "1");
  if (list) ASSERT_OK(xt_store_track(m->store, first, list, 2, &error));
  ASSERT_OK(add_run(m, first, NULL, effects, &error));
  ASSERT_OK(add_run(m, first, &m->site, effects, &error));
  ASSERT_OK(add_run(m, second, &m->site, NULL, &error));
  if (effects) ASSERT_OK(xt_store_add_source_effects(m->store, first, source_numbers, 4, &error));
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
}

static xt_status check_row(void *user, const xt_store_row *row, xt_error *error) {
  (void)error;
  int *rows = user;
  ++*rows;
  if (row->question->number == 1) {
    assert_null(row->effects);
    assert_null(row->tracked);
    return XT_STATUS_OK;
  }
  assert_int_equal(row->tracked_count, 2);
  assert_int_equal(row->tracked[1].id, 31);
  assert_string_equal(row->tracked[1].kind, "text");
  assert_string_equal(row->tracked[1].answer, "1");
  assert_string_equal(row->tracked[1].spelling, " Entail");
  assert_non_null(row->effects);
  for (int k = 0; k < 4; k++) {
    assert_true(row->effects[k] == xt_effect_stored(numbers[k]));
    const double range = fmin(65504, fabs((double)numbers[k])); /* a half has 11 bits */
    assert_true(fabs(fabs((double)row->effects[k]) - range) <= range * 0x1p-11 + 1e-7);
  }
  return XT_STATUS_OK;
}

static xt_status count_numbers(void *user, const xt_store_row *row, xt_error *error) {
  (void)error;
  *(int *)user += row->effects != NULL;
  return XT_STATUS_OK;
}

/* Reads the store; returns the rows that have numbers, or -1 after an error that names `what`. */
static int read_store(const char *path, const char *what) {
  xt_store *store;
  xt_error error;
  int count = 0;
  xt_status status = xt_store_open(path, XT_STORE_READ, &store, &error);
  if (!status) status = xt_store_read(store, count_numbers, &count, &error);
  xt_store_close(store);
  if (!status) return count;
  if (!strstr(error.message, what)) fail_msg("%s: %s", what, error.message);
  assert_int_equal(status, XT_STATUS_INPUT);
  return -1;
}

static void change(const char *path, const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static void test_round_trip(void **state) {
  (void)state;
  Made m;
  xt_error error;
  int rows = 0, sources = 0;
  make(&m, "effects.db", answers, numbers);
  ASSERT_OK(xt_store_read(m.store, check_row, &rows, &error));
  assert_int_equal(rows, 3);
  bool have, same;
  ASSERT_OK(xt_store_find_tracked(m.store, 1, others, 2, &have, &same, &error));
  assert_true(have && !same);
  ASSERT_OK(xt_store_find_tracked(m.store, 2, others, 2, &have, &same, &error));
  assert_true(!have);
  ASSERT_OK(xt_store_track(m.store, 1, answers, 2, &error));
  assert_int_equal(xt_store_track(m.store, 1, others, 2, &error), XT_STATUS_ARGUMENT);
  assert_non_null(strstr(error.message, "other answers"));
  ASSERT_OK(xt_store_read_sources(m.store, count_numbers, &sources, &error));
  const int64_t first = 1;
  ASSERT_OK(xt_store_remove_questions(m.store, &first, 1, &error));
  ASSERT_OK(xt_store_commit(m.store, 0, &error));
  made_close(&m);
  assert_int_equal(read_store(m.path, ""), 0);
}

/* A store of version 2 lacks the tables; it can be read, and gets them when it is written to. */
static void test_older(void **state) {
  (void)state;
  Made m;
  xt_error error;
  make(&m, "older.db", answers, numbers);
  made_close(&m);
  assert_int_equal(read_store(m.path, ""), 2);
  change(m.path, "DROP TABLE tracked; DROP TABLE effects; PRAGMA user_version = 2");
  assert_int_equal(read_store(m.path, ""), 0);
  char joined[160];
  snprintf(joined, sizeof joined, "%s.joined", m.path);
  remove(joined);
  ASSERT_OK(xt_store_merge(joined, (const char *const[]){m.path}, 1, &error));
  assert_int_equal(read_store(joined, ""), 0);
}

static void test_merge(void **state) {
  (void)state;
  static float changed[] = {0.25f, 1, -2.718281828f, -1e-9f};
  Made whole, other, plain, differs;
  xt_error error;
  char joined[160];
  make(&whole, "whole.db", answers, numbers), made_close(&whole);
  make(&other, "other.db", others, numbers), made_close(&other);
  make(&differs, "differs.db", answers, changed), made_close(&differs);
  make(&plain, "plain.db", NULL, NULL), made_close(&plain);
  snprintf(joined, sizeof joined, "%s.joined", whole.path);
  remove(joined);
  ASSERT_OK(xt_store_merge(joined, (const char *const[]){plain.path, whole.path}, 2, &error));
  assert_int_equal(read_store(joined, ""), 2);
  remove(joined);
  assert_int_equal(xt_store_merge(joined, (const char *const[]){whole.path, other.path}, 2, &error),
                   XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "other answers"));
  assert_int_equal(
      xt_store_merge(joined, (const char *const[]){whole.path, differs.path}, 2, &error),
      XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "a different response"));
}

static void test_damaged(void **state) {
  (void)state;
  static const struct {
    const char *sql, *message;
  } cases[] = {{"UPDATE effects SET numbers = x'00000000'", "has 2 of them, not 4"},
               {"UPDATE effects SET numbers = 'text'", "not a blob"},
               {"UPDATE effects SET numbers = x'000000000000007c'", "not finite"},
               {"UPDATE tracked SET answers = '[[1,2,3,4],[1]]'", "answer 0"},
               {"UPDATE tracked SET answers = '{}'", "not a list of answers"},
               {"UPDATE tracked SET answers = '[[-1,\"a\",\"a\",\"a\"]]'", "answer 0"},
               {"UPDATE tracked SET answers = '[[1,\"a\",\"a\",\"a\",0]]'", "answer 0"},
               {"UPDATE tracked SET answers = '[[1,\"a\",\"a\",\"a\",\"b\"]]'", "answer 0"},
               {"UPDATE tracked SET answers = '[[1,\"a\",\"a\",\"a\",2,3]]'", "answer 0"}};
  char joined[160];
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    Made m;
    xt_error error;
    make(&m, "damaged.db", answers, numbers);
    made_close(&m);
    change(m.path, cases[k].sql);
    assert_int_equal(read_store(m.path, cases[k].message), -1);
    snprintf(joined, sizeof joined, "%s.joined", m.path);
    remove(joined);
    if (k == 0) continue; /* a whole number of numbers: found where it is read */
    assert_int_equal(xt_store_merge(joined, (const char *const[]){m.path}, 1, &error),
                     XT_STATUS_INPUT);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                     cmocka_unit_test(test_older), cmocka_unit_test(test_merge),
                                     cmocka_unit_test(test_damaged)};
  return cmocka_run_group_tests_name("effects in a store", tests, NULL, NULL);
}
