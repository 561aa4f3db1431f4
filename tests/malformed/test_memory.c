/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are made to take much memory or time: each reader stays within the multiple of its
 * file that SECURITY.md states, and ends soon. Each file is read by a child process, whose largest
 * resident size counts. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/json.h"
#include "base/out_folder.h"
#include "files_support.h"
#include "fuzz/store_reading.h"
#include "tasks/csv.h"
#include "tasks/python_literal.h"
#include "xtransplant/tasks.h"
#include "xtransplant/tokenizer.h"

/* What SECURITY.md says: so many times the file, and this much in any case. */
#define TIMES 48
#define FREE ((size_t)96 << 20)
#define SECONDS 20

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static Folder folder;

typedef struct Text {
  char *bytes;
  size_t size;
} Text;

/* `head`, `item` as often as `size` bytes take, `tail`. */
static Text repeat(const char *head, const char *item, size_t size, const char *tail) {
  const size_t a = strlen(head), b = strlen(item), c = strlen(tail), count = size / b;
  Text text = {malloc(a + count * b + c + 1), a + count * b + c};
  assert_non_null(text.bytes);
  memcpy(text.bytes, head, a);
  for (size_t i = 0; i < count; i++) memcpy(text.bytes + a + i * b, item, b);
  memcpy(text.bytes + a + count * b, tail, c + 1);
  return text;
}

static void put(const char *name, Text text) {
  folder_write(&folder, name, text.bytes, text.size);
  free(text.bytes);
}

/* Runs `read` in a child. Its exit code; *grown: bytes that it took. */
static int in_child(int (*read)(const char *path), const char *path, size_t *grown) {
  struct rusage before, usage;
  int code;
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(SECONDS);
    getrusage(RUSAGE_SELF, &before);
    const int status = read(path);
    getrusage(RUSAGE_SELF, &usage);
    _exit(usage.ru_maxrss - before.ru_maxrss > (long)(*grown >> 10) ? 99 : status);
  }
  assert_int_equal(waitpid(child, &code, 0), child);
  assert_true(WIFEXITED(code));
  return WEXITSTATUS(code);
}

static void bounded_by(const char *what, int (*read)(const char *path), const char *name,
                       int wanted, size_t free_bytes, size_t times) {
  char path[300];
  struct stat about;
  folder_file(&folder, name, path, sizeof path);
  assert_int_equal(stat(path, &about), 0);
  size_t most = free_bytes + times * (size_t)about.st_size;
#ifdef SANITIZED
  most = SIZE_MAX / 2; /* the sanitizer's own memory is no part of the promise */
#endif
  const int code = in_child(read, path, &most);
  if (code == 99)
    fail_msg("%s: more than %zu MiB for %lld bytes", what, most >> 20, (long long)about.st_size);
  if (code != wanted) fail_msg("%s: status %d, expected %d", what, code, wanted);
}

static void bounded(const char *what, int (*read)(const char *path), const char *name, int wanted) {
  bounded_by(what, read, name, wanted, FREE, TIMES);
}

static int read_checkpoint(const char *path) {
  Checkpoint *checkpoint;
  const xt_status status = checkpoint_open_file(path, &checkpoint, NULL);
  checkpoint_close(checkpoint);
  return (int)status;
}

static int read_folder(const char *path) {
  Checkpoint *checkpoint;
  (void)path;
  const xt_status status = checkpoint_open(folder.path, &checkpoint, NULL);
  checkpoint_close(checkpoint);
  return (int)status;
}

static int read_pairs(const char *path) {
  xt_dataset *d;
  const xt_status status =
      xt_dataset_open_pairs(path, &(xt_dataset_options){.limit = 1000000}, &d, NULL);
  if (!status) xt_dataset_close(d);
  return (int)status;
}

static int read_json(const char *path) {
  json_t *value;
  const xt_status status = json_parse_file(path, &value, NULL);
  if (!status) json_decref(value);
  return (int)status;
}

static int read_tokenizer(const char *path) {
  xt_tokenizer *t;
  (void)path;
  const xt_status status = xt_tokenizer_open(folder.path, &t, NULL);
  if (!status) xt_tokenizer_close(t);
  return (int)status;
}

static int read_literal(const char *path) {
  size_t size, at;
  const char *what;
  json_t *value;
  char *text = (char *)read_whole(path, &size);
  text[size - 1] = 0;
  const xt_status status = python_literal_read(text, &value, &at, &what);
  if (!status) json_decref(value);
  return (int)status;
}

static int read_csv(const char *path) {
  Csv csv;
  size_t size;
  char *text = (char *)read_whole(path, &size);
  bool more = true;
  text[size - 1] = 0;
  xt_status status = csv_open(&csv, "x", text, size - 1, ',', true, NULL);
  while (!status && more) status = csv_next(&csv, &more, NULL);
  csv_close(&csv);
  return (int)status;
}

#define MIB ((size_t)1 << 20)

static void safetensors_header(const char *item) {
  Text text = repeat("........{\"a\":{\"dtype\":\"F32\",\"shape\":[", item, 6 * MIB,
                     "0],\"data_offsets\":[0,4]}}");
  const uint64_t length = text.size - 8;
  memcpy(text.bytes, &length, 8); /* the tests run on little-endian machines */
  put("x.safetensors", text);
}

static void test_weights(void **state) {
  (void)state;
  safetensors_header("[],");
  bounded("safetensors, a shape of arrays", read_checkpoint, "x.safetensors", XT_STATUS_INPUT);
  safetensors_header("{},");
  bounded("safetensors, a shape of objects", read_checkpoint, "x.safetensors", XT_STATUS_INPUT);
  safetensors_header("1,");
  bounded("safetensors, a shape of numbers", read_checkpoint, "x.safetensors",
          XT_STATUS_UNSUPPORTED);
}

/* A stored zip archive with one entry, m/data.pkl. */
static void put_pickle(const char *item, size_t size) {
  Text pickle = repeat("\x80\x02", item, size, ".");
  const char name[] = "m/data.pkl";
  const size_t length = sizeof name - 1, central = 30 + length + pickle.size;
  Text zip = {calloc(1, central + 46 + length + 22), central + 46 + length + 22};
  uint32_t crc = (uint32_t)crc32(0, (const Bytef *)pickle.bytes, (uInt)pickle.size),
           bytes = (uint32_t)pickle.size, at = (uint32_t)central;
  uint32_t directory = (uint32_t)(46 + length);
  char *p = zip.bytes, *c = p + central, *e = c + 46 + length;
  memcpy(p, "PK\3\4", 4);
  p[26] = (char)length;
  memcpy(p + 30, name, length);
  memcpy(p + 30 + length, pickle.bytes, pickle.size);
  memcpy(c, "PK\1\2", 4);
  memcpy(c + 16, &crc, 4);
  memcpy(c + 20, &bytes, 4);
  memcpy(c + 24, &bytes, 4);
  c[28] = (char)length;
  memcpy(c + 46, name, length);
  memcpy(e, "PK\5\6", 4);
  e[8] = e[10] = 1;
  memcpy(e + 12, &directory, 4);
  memcpy(e + 16, &at, 4);
  free(pickle.bytes);
  put("pytorch_model.bin", zip);
}

static void test_pickles(void **state) {
  (void)state;
  static const char *const items[] = {"N", ")",  "]",   "}",    "N\x85", "N2\x86",
                                      "(", "(t", "K\1", "C\1x", "]\x94"};
  for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
    put_pickle(items[i], 4 * MIB);
    bounded(items[i], read_folder, "pytorch_model.bin", XT_STATUS_INPUT);
  }
  put_pickle("N", 33 * MIB);
  bounded("a pickle beyond the limit", read_folder, "pytorch_model.bin", XT_STATUS_INPUT);
}

static void test_json(void **state) {
  (void)state;
  put("x", repeat("[", "[],", 6 * MIB, "0]"));
  bounded("JSON, arrays", read_json, "x", XT_STATUS_INPUT);
  put("x", repeat("[", "{},", 6 * MIB, "0]"));
  bounded("JSON, objects", read_json, "x", XT_STATUS_INPUT);
  put("x", repeat("[", "1,", 6 * MIB, "0]"));
  bounded("JSON, numbers", read_json, "x", XT_STATUS_OK);
  put("x", repeat("[", "\"\",", 6 * MIB, "0]"));
  bounded("JSON, strings", read_json, "x", XT_STATUS_OK);
  put("x", repeat("[", "[[1]],", 6 * MIB, "0]"));
  bounded("JSON, nested", read_json, "x", XT_STATUS_INPUT);
  put("x", repeat("", "{}\n", 6 * MIB, ""));
  bounded("pairs, objects", read_pairs, "x", XT_STATUS_INPUT);
  put("x", repeat("", "[]\n", 6 * MIB, ""));
  bounded("pairs, arrays", read_pairs, "x", XT_STATUS_INPUT);
}

static void test_gzip(void **state) {
  (void)state;
  char path[300];
  gzFile out = gzopen(folder_file(&folder, "bomb.jsonl.gz", path, sizeof path), "wb9");
  static char block[3 << 16];
  for (size_t i = 0; i < sizeof block; i++) block[i] = "[],"[i % 3];
  gzwrite(out, "[", 1);
  for (int i = 0; i < 700; i++) gzwrite(out, block, sizeof block); /* 131 MiB */
  gzclose(out);
  bounded("gzip, a thousand times its size", read_pairs, "bomb.jsonl.gz", XT_STATUS_INPUT);
}

static void test_tables(void **state) {
  (void)state;
  put("x", repeat("a", ",", 6 * MIB, "\n"));
  bounded("CSV, columns", read_csv, "x", XT_STATUS_OK);
  put("x", repeat("a\n", "b\n", 6 * MIB, "\n"));
  bounded("CSV, rows", read_csv, "x", XT_STATUS_OK);
  put("x", repeat("[", "[],", 6 * MIB, "0] "));
  bounded("a Python literal", read_literal, "x", XT_STATUS_INPUT);
}

/* n added tokens and n special ones: time by n log n. */
static void test_special_tokens(void **state) {
  (void)state;
  const size_t n = 40000;
  Text text = {malloc(n * 100 + 200), 0};
  char *at = text.bytes;
  put("tokenizer.json",
      repeat("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", " ", 1, ""));
  at += sprintf(at, "{\"added_tokens_decoder\":{");
  for (size_t i = 0; i < n; i++)
    at += sprintf(at, "%s\"%zu\":{\"content\":\"<t%zu>\"}", i ? "," : "", i + 1, i);
  at += sprintf(at, "},\"additional_special_tokens\":[");
  for (size_t i = 0; i < n; i++) at += sprintf(at, "%s\"<s%zu>\"", i ? "," : "", i);
  at += sprintf(at, "]}");
  text.size = (size_t)(at - text.bytes);
  put("tokenizer_config.json", text);
  struct rusage before, after;
  getrusage(RUSAGE_CHILDREN, &before);
  bounded("many special tokens", read_tokenizer, "tokenizer_config.json", XT_STATUS_OK);
  getrusage(RUSAGE_CHILDREN, &after);
  const double seconds = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                         (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1e6;
#ifndef SANITIZED
  if (seconds > 2) fail_msg("%zu special tokens take %.1f s", n, seconds);
#else
  (void)seconds;
#endif
}

/* 60,000 questions of one language under a limit. */
static void test_limited_pairs(void **state) {
  (void)state;
  Text text = {malloc(60000 * 60), 0};
  for (int i = 0; i < 60000; i++)
    text.size +=
        (size_t)sprintf(text.bytes + text.size,
                        "{\"id\":%d,\"lang\":\"de\",\"source\":\"a\",\"target\":\"b\"}\n", i);
  put("pairs.jsonl", text);
  struct rusage before, after;
  getrusage(RUSAGE_CHILDREN, &before);
  bounded("pairs under a limit", read_pairs, "pairs.jsonl", XT_STATUS_OK);
  getrusage(RUSAGE_CHILDREN, &after);
#ifndef SANITIZED
  assert_true(after.ru_utime.tv_sec - before.ru_utime.tv_sec <= 2);
#endif
}

static int setup(void **state) {
  (void)state;
  folder = folder_make();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  out_folder_remove(folder.path);
  return 0;
}

/* ---- results files --------------------------------------------------------------------------- */

static int analyse(const char *path) {
  xt_store *store;
  xt_analysis *analysis = NULL;
  xt_error error = {0};
  xt_status status = xt_store_open(path, XT_STORE_READ, &store, &error);
  if (!status)
    status = xt_analysis_create(store, &(xt_analysis_options){.permutations = 1, .threads = 1},
                                &analysis, &error);
  if (status) printf("# %s: %s\n", error.field, error.message);
  fflush(stdout);
  xt_analysis_free(analysis);
  xt_store_close(store);
  return (int)status;
}

/* A store of 256 layers and `count` more questions, %d in the statements. */
static void put_store(const char *name, int count, const char *const *statements) {
  char path[300], sql[1000];
  sqlite3_int64 size;
  sqlite3 *db;
  unsigned char *right = right_store(&size);
  assert_int_equal(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
  assert_int_equal(
      sqlite3_deserialize(db, "main", right, size, size,
                          SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE),
      SQLITE_OK);
  for (size_t i = 0; statements[i]; i++) {
    snprintf(sql, sizeof sql, statements[i], count);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
      fail_msg("%s: %s", sql, sqlite3_errmsg(db));
  }
  folder_file(&folder, name, path, sizeof path);
  snprintf(sql, sizeof sql, "VACUUM INTO '%s'", path);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

#define WIDE "UPDATE settings SET value = '256' WHERE name = 'layers'"
#define COUNT "WITH RECURSIVE n(i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 10 + %d) "
#define INSTANCES(task, lang)                                                  \
  COUNT "INSERT INTO instances SELECT i, printf('%%032x', i), " task ", " lang \
        ", 'en', i, 'q' || i, 'a', 'b', 'A', NULL, x'01000000', x'01000000' FROM n"
#define UNTOUCHED \
  "INSERT INTO vanilla SELECT id, 1, 0.5, 1.5, 0.25, -0.5, 1 FROM instances WHERE id > 10"
#define RESPONSES                                                                                 \
  "INSERT INTO responses SELECT id, 'ffn', 0, 0, 1, 0.5, 1.5, 0.2, -0.1, 1 FROM instances WHERE " \
  "id > 10"

/* Tables by question and configuration, of which a file has few: 512 MiB and 64 times the file, and
 * what reading takes. */
static void test_wide_stores(void **state) {
  (void)state;
  static const struct {
    const char *what;
    int count, wanted;
    const char *statements[5];
  } stores[] = {
      {"some questions",
       300,
       XT_STATUS_OK,
       {WIDE, INSTANCES("'facts'", "'de'"), UNTOUCHED, RESPONSES}},
      {"many questions",
       3000,
       XT_STATUS_INPUT,
       {WIDE, INSTANCES("'facts'", "'de'"), UNTOUCHED, RESPONSES}},
      {"many languages",
       2000,
       XT_STATUS_INPUT,
       {WIDE, INSTANCES("'facts'", "'l' || i"), UNTOUCHED,
        "INSERT INTO responses SELECT 20, 'ffn', 0, 0, 1, 1, 1, 1, 1, 1"}},
      {"many tasks",
       1000,
       XT_STATUS_INPUT,
       {WIDE, INSTANCES("'facts' || i", "'de'"), UNTOUCHED, RESPONSES}},
      {"very many tasks",
       5000,
       XT_STATUS_INPUT,
       {INSTANCES("'facts' || i", "'de'"), UNTOUCHED, RESPONSES}},
      {"very many strategies",
       5000,
       XT_STATUS_INPUT,
       {INSTANCES("'facts'", "'de'"), UNTOUCHED, RESPONSES,
        "INSERT INTO selections SELECT 's' || id, 'ffn', id, 0, 0 FROM instances WHERE id > 10"}}};
  char path[300];
  for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
    put_store("wide.db", stores[i].count, stores[i].statements);
    bounded_by(stores[i].what, analyse, "wide.db", stores[i].wanted, FREE + ((size_t)512 << 20),
               TIMES + 64);
    unlink(folder_file(&folder, "wide.db", path, sizeof path));
  }
}

/* Responses that agree share their text, in the file and in memory. */
static void test_shared_text(void **state) {
  (void)state;
  static const char *const statements[] = {
      WIDE, "UPDATE texts SET text = printf('%%.*c', 200000, 'x') WHERE id = 1",
      COUNT "INSERT OR IGNORE INTO responses SELECT 1, 'attn', i / 256, i %% 256, 1, 0.5, 1.5, "
            "0.2, -0.1, 1 FROM n",
      NULL};
  put_store("shared.db", 1000, statements);
  bounded_by("one text of many responses", analyse, "shared.db", XT_STATUS_OK, FREE, TIMES + 64);
}

int main(void) {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_weights),       TEST(test_pickles),     TEST(test_json),
      TEST(test_gzip),          TEST(test_tables),      TEST(test_special_tokens),
      TEST(test_limited_pairs), TEST(test_wide_stores), TEST(test_shared_text)};
  return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
