/* SPDX-License-Identifier: Apache-2.0 */
/* What a store survives: a loss of power at any write (a VFS of this test's own keeps apart what
 * was synced and what was not), memory that runs out within SQLite, values that cannot be bound,
 * other processes that read or write, clocks that are set back. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "models.h"
#include "store/store_parts.h"
#include "failing_disk.h"

/* ---- memory that runs out -------------------------------------------------------------------- */

static sqlite3_mem_methods system_memory;
static long allocations, fail_at = -1; /* the allocation that fails, and all after it; -1: none */

static int refuse(void) { return ++allocations >= fail_at && fail_at > 0; }
static void *failing_malloc(int size) { return refuse() ? NULL : system_memory.xMalloc(size); }
static void *failing_realloc(void *block, int size) {
  return refuse() ? NULL : system_memory.xRealloc(block, size);
}

static void install_memory(void) {
  sqlite3_mem_methods failing;
  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_memory);
  failing = system_memory;
  failing.xMalloc = failing_malloc;
  failing.xRealloc = failing_realloc;
  sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
  sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* small allocations fail, too */
}

/* ---- a store to work on ---------------------------------------------------------------------- */

static const xt_store_settings settings = {.max_new_tokens = 3};
static const int32_t ids[] = {1, 104, 35};
static const xt_instance instance = {
    .source = ids, .source_count = 3, .target = ids, .target_count = 2};
static const xt_question question = {.id = "0",
                                     .task = "xquad",
                                     .lang = "sw",
                                     .source_lang = "en",
                                     .source = "a",
                                     .target = "b",
                                     .gold = "e"};
static const xt_site attn = {.read = XT_TAP_ATTN, .write = XT_TAP_ATTN};
static xt_model *model;
static char hash[XT_MODEL_HASH_SIZE], path[300];

static int set_up(void **state) {
  (void)state;
  xt_error error;
  char folder[200];
  models_open("tiny-llama", "f32", &(xt_model_options){.threads = 1}, &model, NULL);
  ASSERT_OK(xt_model_hash(model, hash, &error));
  if (models_folder[0] == '/')
    snprintf(path, sizeof path, "%s/faults.db", models_folder);
  else {
    assert_non_null(getcwd(folder, sizeof folder));
    snprintf(path, sizeof path, "%s/%s/faults.db", folder, models_folder);
  }
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  xt_model_close(model);
  return 0;
}

static void remove_store(void) {
  char journal[320];
  snprintf(journal, sizeof journal, "%s-journal", path);
  unlink(path);
  unlink(journal);
}

static xt_status add(xt_store *store, int64_t number, int i, int j, xt_error *error) {
  int32_t tokens[2] = {60 + i, 60 + j};
  float numbers[2] = {0.5f, 0.25f};
  const xt_generation g = {
      .count = 2, .ids = tokens, .margins = numbers, .entropies = numbers, .logprobs = numbers};
  return xt_store_add_response(store, number, &attn, i, j, &g, error);
}

/* Three commits of six responses each. *committed: those that a commit was reported for. */
static xt_status write_some(int *committed, xt_error *error) {
  xt_store *store = NULL;
  int64_t number;
  *committed = 0;
  xt_status status = xt_store_open(path, XT_STORE_WRITE, &store, error);
  if (!status) status = xt_store_begin(store, model, hash, &settings, "test", error);
  if (!status) status = xt_store_add_question(store, &question, &instance, &number, error);
  for (int i = 0; i < 3 && !status; i++) {
    for (int j = 0; j < 6 && !status; j++) status = add(store, number, i, j, error);
    if (!status) status = xt_store_commit(store, 0, error);
    if (!status) *committed += 6;
  }
  xt_store_close(store);
  return status;
}

/* How many responses there are, in their order from the first; -1: not in that order, or not as
 * they were added. */
static xt_status count_row(void *user, const xt_store_row *row, xt_error *error) {
  int *count = user;
  (void)error;
  if (row->source_layer != *count / 6 || row->target_layer != *count % 6 || row->count != 2 ||
      row->ids[0] != 60 + row->source_layer || row->ids[1] != 60 + row->target_layer)
    *count = -1000;
  ++*count;
  return XT_STATUS_OK;
}

static int count_responses(void) {
  xt_store *store;
  xt_error error;
  int count = 0;
  xt_status status = xt_store_open(path, XT_STORE_READ, &store, &error);
  if (status == XT_STATUS_IO || status == XT_STATUS_INPUT)
    return strstr(error.message, "holds no results") || strstr(error.message, "No such file") ? 0
                                                                                              : -1;
  ASSERT_OK(status);
  int64_t whole = 0;
  sqlite3_stmt *check;
  assert_int_equal(sqlite3_prepare_v2(store->db.handle,
                                      "SELECT integrity_check = 'ok' FROM pragma_integrity_check",
                                      -1, &check, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(check), SQLITE_ROW);
  whole = sqlite3_column_int64(check, 0);
  sqlite3_finalize(check);
  assert_int_equal(whole, 1);
  ASSERT_OK(xt_store_read(store, count_row, &count, &error));
  xt_store_close(store);
  return count;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Whatever write the power fails at: what a commit was reported for is there, and the store goes
 * on. */
static void test_power_loss(void **state) {
  (void)state;
  xt_error error;
  int committed;
  long total;
  install_shim();
  remove_store();
  operations = 0;
  power_off_at = -1;
  shadow_count = 0;
  ASSERT_OK(write_some(&committed, &error));
  total = operations;
  assert_int_equal(committed, 18);
  assert_true(total > 40);
  for (uint64_t seed = 0; seed < 3; seed++)
    for (long at = 0; at <= total; at++) {
      Rng rng = {1000 * seed + (uint64_t)at};
      remove_store();
      for (size_t i = 0; i < shadow_count; i++) {
        forget_writes(&shadows[i]);
        free(shadows[i].bytes);
      }
      shadow_count = 0;
      operations = 0;
      power_off_at = at;
      const xt_status status = write_some(&committed, &error);
      assert_true(status == XT_STATUS_OK || committed < 18);
      lose_power(&rng);
      power_off_at = -1;
      const int there = count_responses();
      if (there < committed || there % 6 != 0 || there > committed + 6)
        fail_msg("power lost at write %ld (seed %d): %d responses, %d were committed", at,
                 (int)seed, there, committed);
      ASSERT_OK(write_some(&committed, &error));
      assert_int_equal(count_responses(), 18);
    }
  sqlite3_vfs_unregister(&shim);
}

/* Wherever SQLite's memory ends: an error, or all that was reported as committed is there. */
static void test_memory(void **state) {
  (void)state;
  xt_error error;
  int committed;
  remove_store();
  allocations = 0;
  ASSERT_OK(write_some(&committed, &error));
  const long total = allocations, step = total > 1200 ? total / 400 : 3;
  for (long n = 1; n < total; n += step) {
    remove_store();
    allocations = 0;
    fail_at = n;
    const xt_status status = write_some(&committed, &error);
    fail_at = -1;
    if (status == XT_STATUS_OK) assert_int_equal(committed, 18);
    const int there = count_responses();
    if (there < committed)
      fail_msg("allocation %ld of %ld: %d responses, %d were committed", n, total, there,
               committed);
  }
}

/* A value that cannot be bound is an error, and never a null that is left out without a word. */
static void test_unbound(void **state) {
  (void)state;
  xt_store *store;
  xt_error error;
  int64_t number;
  remove_store();
  ASSERT_OK(xt_store_open(path, XT_STORE_WRITE, &store, &error));
  ASSERT_OK(xt_store_begin(store, model, hash, &settings, "test", &error));
  ASSERT_OK(xt_store_add_question(store, &question, &instance, &number, &error));
  const xt_generation nothing = {0};
  ASSERT_OK(xt_store_add_response(store, number, &attn, 0, 0, &nothing, &error));
  /* "attn" is longer, all else is not */
  const int limit = sqlite3_limit(store->db.handle, SQLITE_LIMIT_LENGTH, 3);
  assert_int_equal(xt_store_add_response(store, number, &attn, 0, 1, &nothing, &error),
                   XT_STATUS_IO);
  sqlite3_limit(store->db.handle, SQLITE_LIMIT_LENGTH, limit);
  ASSERT_OK(xt_store_add_response(store, number, &attn, 0, 1, &nothing, &error));
  bool have[36] = {0};
  ASSERT_OK(xt_store_find_responses(store, number, attn, 6, have, NULL, &error));
  assert_true(have[0] && have[1]);
  xt_store_close(store);
}

typedef struct Waited {
  int calls;
  long process;
} Waited;

static bool note_wait(void *user, const xt_store_wait *wait) {
  Waited *w = user;
  w->calls++;
  w->process = wait->process;
  return false;
}

static void wait_for_child(pid_t child) {
  int code;
  assert_int_equal(waitpid(child, &code, 0), child);
  assert_true(WIFEXITED(code) && WEXITSTATUS(code) == 0);
}

/* Another program that reads for long: commits are put off, the last waits, and it is told for
 * whom. Nothing is lost. */
static void test_readers_do_not_end_a_writer(void **state) {
  (void)state;
  xt_store *store;
  xt_error error;
  int64_t number;
  int committed, ready[2];
  char byte;
  Waited waited = {0};
  remove_store();
  ASSERT_OK(write_some(&committed, &error));
  assert_int_equal(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) { /* a shell of SQLite's with a query under way */
    sqlite3 *db;
    sqlite3_stmt *query;
    bool ok = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
              sqlite3_prepare_v2(db, "SELECT * FROM responses", -1, &query, NULL) == SQLITE_OK &&
              sqlite3_step(query) == SQLITE_ROW;
    ok = write(ready[1], "r", 1) == 1 && ok;
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 700000000}, NULL);
    _exit(ok ? 0 : 1);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  ASSERT_OK(xt_store_open(path, XT_STORE_WRITE, &store, &error));
  xt_store_on_wait(store, note_wait, &waited);
  ASSERT_OK(xt_store_begin(store, model, hash, &settings, "test", &error));
  ASSERT_OK(xt_store_find_question(store, &question, &number, &error));
  ASSERT_OK(add(store, number, 3, 0, &error));
  ASSERT_OK(xt_store_commit(store, 1e-9, &error)); /* put off */
  ASSERT_OK(add(store, number, 3, 1, &error));
  ASSERT_OK(xt_store_commit(store, 0, &error)); /* waits */
  xt_store_close(store);
  wait_for_child(child);
  assert_true(waited.calls >= 1);
  assert_true(waited.process == child || waited.process == 0); /* where the system does not tell */
  assert_int_equal(count_responses(), 20);
  close(ready[0]);
  close(ready[1]);
}

typedef struct Slow {
  xt_store *writer;
  int64_t number;
  int rows;
} Slow;

static xt_status write_meanwhile(void *user, const xt_store_row *row, xt_error *error) {
  Slow *s = user;
  (void)row;
  if (s->rows++ == 0) {
    TRY(add(s->writer, s->number, 4, 4, error));
    return xt_store_commit(s->writer, 0, error);
  }
  return XT_STATUS_OK;
}

/* A reader that takes its time with a row holds no lock meanwhile: a writer commits at once, in the
 * same process even. */
static void test_slow_reader(void **state) {
  (void)state;
  xt_store *reader;
  xt_error error;
  int committed;
  Slow slow = {0};
  remove_store();
  ASSERT_OK(write_some(&committed, &error));
  ASSERT_OK(xt_store_open(path, XT_STORE_READ, &reader, &error));
  ASSERT_OK(xt_store_open(path, XT_STORE_WRITE, &slow.writer, &error));
  ASSERT_OK(xt_store_begin(slow.writer, model, hash, &settings, "test", &error));
  ASSERT_OK(xt_store_find_question(slow.writer, &question, &slow.number, &error));
  ASSERT_OK(xt_store_read(reader, write_meanwhile, &slow, &error));
  xt_store_close(slow.writer);
  xt_store_close(reader);
  assert_true(slow.rows >= 18);
}

/* Three writers at once: one writes, the others are refused and told why; readers read whole
 * commits all the while. */
static void test_several_processes(void **state) {
  (void)state;
  enum { WRITERS = 3, READERS = 2 };
  pid_t children[WRITERS + READERS];
  xt_error error;
  int committed, refused = 0;
  remove_store();
  ASSERT_OK(write_some(&committed, &error));
  remove_store();
  for (int c = 0; c < WRITERS + READERS; c++) {
    children[c] = fork();
    if (children[c] != 0) continue;
    if (c < WRITERS) {
      const xt_status status = write_some(&committed, &error);
      _exit(status == XT_STATUS_OK                                                          ? 0
            : status == XT_STATUS_IO && strstr(error.message, "another process is writing") ? 2
                                                                                            : 1);
    }
    for (int n = 0; n < 30; n++)
      if (count_responses() % 6 != 0) _exit(1);
    _exit(0);
  }
  for (int c = 0; c < WRITERS + READERS; c++) {
    int code;
    assert_int_equal(waitpid(children[c], &code, 0), children[c]);
    assert_true(WIFEXITED(code) && WEXITSTATUS(code) != 1);
    refused += WEXITSTATUS(code) == 2;
  }
  assert_true(refused <= WRITERS - 1);
  assert_int_equal(count_responses(), 18);
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* A name is a file's name, whatever SQLite would make of it; and what is no regular file is left
 * alone. */
static void test_names(void **state) {
  (void)state;
  static const char *const names[] = {":memory:", "file:faults?mode=memory",
                                      "file::memory:?cache=shared", "file:name.db",
                                      "a b%20c?d=e#f'g\"h"};
  char folder[300], name[400];
  xt_error error;
  xt_store *store;
  int committed;
  assert_non_null(getcwd(folder, sizeof folder));
  assert_int_equal(chdir(models_folder), 0);
  char before[sizeof path];
  memcpy(before, path, sizeof path);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s", names[i]);
    ASSERT_OK(write_some(&committed, &error));
    assert_int_equal(access(names[i], F_OK), 0);
    assert_int_equal(count_responses(), 18);
    unlink(names[i]);
  }
  memcpy(path, before, sizeof path);
  assert_int_equal(chdir(folder), 0);
  const int left = access("/dev/null-journal", F_OK); /* by another program */
  assert_int_equal(xt_store_open("/dev/null", XT_STORE_WRITE, &store, &error), XT_STATUS_INPUT);
  assert_int_equal(access("/dev/null-journal", F_OK), left);
  snprintf(name, sizeof name, "%s/pipe", models_folder);
  assert_int_equal(mkfifo(name, 0600), 0);
  assert_int_equal(xt_store_open(name, XT_STORE_READ, &store, &error), XT_STATUS_INPUT);
  unlink(name);
}

/* What keeps a store from being opened is named. */
static void test_reasons(void **state) {
  (void)state;
  struct rlimit limit, none;
  xt_error error;
  xt_store *store;
  int committed;
  remove_store();
  ASSERT_OK(write_some(&committed, &error));
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = (struct rlimit){0, limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  const xt_status status = xt_store_open(path, XT_STORE_READ, &store, &error);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(status, XT_STATUS_IO);
  assert_non_null(strstr(error.message, "Too many open files"));
  install_shim();
  locks_fail = true;
  assert_int_equal(xt_store_open(path, XT_STORE_WRITE, &store, &error), XT_STATUS_IO);
  locks_fail = false;
  sqlite3_vfs_unregister(&shim);
  assert_non_null(strstr(error.message, "cannot lock files"));
}

int main(void) {
  install_memory();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_power_loss),  cmocka_unit_test(test_memory),
      cmocka_unit_test(test_unbound),     cmocka_unit_test(test_readers_do_not_end_a_writer),
      cmocka_unit_test(test_slow_reader), cmocka_unit_test(test_several_processes),
      cmocka_unit_test(test_names),       cmocka_unit_test(test_reasons)};
  return cmocka_run_group_tests_name("store_faults", tests, set_up, tear_down);
}
