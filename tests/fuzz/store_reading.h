/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is ever read of a store, a file's bytes as a database, and a small right store in
 * memory to begin from. */
#ifndef TESTS_STORE_READING_H
#define TESTS_STORE_READING_H

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "store/schema.h"
#include "store/store_metrics.h"
#include "xtransplant/analysis.h"
#include "xtransplant/metrics.h"

static inline void harden(sqlite3 *handle) {
  Db db = {.handle = handle, .borrowed = true};
  xt_error error;
  if (db_harden(&db, &error) != XT_STATUS_OK) abort();
  db_close(&db);
}

/* Of a copy of the bytes; NULL: they are none of a database. The caller closes it. */
static inline sqlite3 *database_of(const void *bytes, size_t size) {
  sqlite3 *handle = NULL;
  unsigned char *copy = sqlite3_malloc64(size + 1);
  if (!copy || sqlite3_open_v2(":memory:", &handle, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
    abort();
  if (size) memcpy(copy, bytes, size);
  if (sqlite3_deserialize(handle, "main", copy, (sqlite3_int64)size, (sqlite3_int64)size,
                          SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) ==
      SQLITE_OK)
    return handle;
  sqlite3_close(handle);
  return NULL;
}

static volatile size_t touched; /* so that no read is left out */

static xt_status touch_row(void *user, const xt_store_row *row, xt_error *error) {
  (void)user;
  (void)error;
  for (size_t i = 0; i < row->count; i++) touched += (size_t)row->ids[i];
  touched += strlen(row->site) + strlen(row->question->id) + row->question->choice_count +
             (row->text ? strlen(row->text) : 0) + (row->language ? strlen(row->language) : 0) +
             (row->strategy ? strlen(row->strategy) : 0);
  for (size_t k = 0; row->effects && k < XT_EFFECT_TRACKED + row->tracked_count; k++)
    touched += row->effects[k] > 0;
  return XT_STATUS_OK;
}

static xt_status touch_run(void *user, const char *started, const char *provenance,
                           xt_error *error) {
  (void)user;
  (void)error;
  touched += strlen(started) + strlen(provenance);
  return XT_STATUS_OK;
}

static xt_status touch_metrics(void *user, const xt_metrics_row *row, xt_error *error) {
  (void)user;
  (void)error;
  touched += row->responses;
  return XT_STATUS_OK;
}

static xt_status touch_edited(void *user, size_t index, int64_t number, xt_error *error) {
  (void)user;
  (void)error;
  touched += index + (size_t)number;
  return XT_STATUS_OK;
}

/* What a report reads, which is most of it. */
static inline void read_analysis(xt_store *store) {
  xt_error error;
  xt_analysis *analysis;
  const xt_analysis_options options = {.bootstrap = 1, .permutations = 1, .threads = 1};
  if (xt_analysis_create(store, &options, &analysis, &error) == XT_STATUS_OK)
    xt_analysis_free(analysis);
}

/* What export reads. */
static inline void read_responses(xt_store *store) {
  xt_error error;
  xt_store_read(store, touch_row, NULL, &error);
}

/* What sweep, select and export's other rows read. */
static inline void read_what_is_beside(xt_store *store) {
  static const xt_question question = {
      .id = "q0", .task = "facts", .lang = "de", .source_lang = "en", .source = "a", .target = "b"};
  const xt_question *const questions[] = {&question};
  xt_error error;
  xt_store_info info;
  xt_store_get_info(store, &info, &error);
  xt_store_read_samples(store, touch_row, NULL, &error);
  xt_store_read_selections(store, touch_row, NULL, &error);
  xt_store_read_runs(store, touch_run, NULL, &error);
  xt_store_find_edited(store, questions, 1, touch_edited, NULL, &error);
}

/* What metrics reads. */
static inline void read_metrics(xt_store *store) {
  xt_error error;
  for (int m = 0; m < XT_METRIC_COUNT; m++) {
    MetricItems items = {0};
    uint64_t count;
    int64_t after = 0;
    xt_store_count_unmeasured(store, (xt_metric)m, &count, &error);
    if (metrics_exist(store)) metrics_next(store, (xt_metric)m, 16, &after, &items, &error);
    metrics_free(&items);
  }
  xt_store_summarize_metrics(store, touch_metrics, NULL, &error);
}

/* One of them, by the input: each execution is the quicker, and none of them is done for nothing. */
static void (*const reading_parts[])(xt_store *) = {read_analysis, read_responses,
                                                    read_what_is_beside, read_metrics};
enum { READING_PARTS = sizeof reading_parts / sizeof *reading_parts };

static inline void read_some(xt_store *store, const uint8_t *data, size_t size) {
  unsigned sum = 0;
  for (size_t i = 0; i < size; i++) sum = 31 * sum + data[i];
  reading_parts[sum % READING_PARTS](store);
}

#define RIGHT_KEY(n) "0123456789abcdef0123456789abcde" #n

/* Two layers, four questions, every table filled. The caller frees it with sqlite3_free. */
static inline unsigned char *right_store(sqlite3_int64 *size) {
  static const char rows[] =
      "INSERT INTO settings "
      "VALUES('layers','2'),('model_hash','h'),('compute','f32'),('max_new_tokens','4'),('"
      "repetition_penalty','1'),('ignore_eos','0'),('model_name','m');"
      "INSERT INTO runs VALUES(1,'2026-01-01T00:00:00Z','{\"model\":{\"path\":\"x\"}}');"
      "INSERT INTO instances VALUES(1,'" RIGHT_KEY(
          1) "','facts','de','en',0,'q0','src','tgt','A',NULL,x'01000000',x'0100000002000000'),"
             "(2,'" RIGHT_KEY(
                 2) "','facts','sw','en',0,'q0','src','tgt2','B',NULL,x'01000000',x'"
                    "0100000002000000'),"
                    "(3,'" RIGHT_KEY(
                        3) "','xnli','de','en',1,'q1','s3','t3','1','{\"1\":\"Entail\",\"2\":\"N\"}"
                           "',x'01000000',x'01000000'),"
                           "(4,'" RIGHT_KEY(
                               4) "','','sw','sw',1,'q1','s3','t3',NULL,NULL,x'01000000',x'"
                                  "01000000');"
                                  "INSERT INTO texts VALUES(1,x'0100000005000000','A yes "
                                  "(1)'),(2,x'02000000','B'),(3,x'',''),(4,x'09000000',NULL);"
                                  "INSERT INTO vanilla "
                                  "VALUES(1,1,0.5,1.5,0.25,-0.5,1),(2,2,0.5,1.5,0.25,-0.5,1),(3,1,"
                                  "0.5,1.5,0.25,-0.5,1),(4,2,0.1,0.2,0.3,-0.4,1);"
                                  "INSERT INTO sources "
                                  "VALUES(1,1,0.5,1.5,0.25,-0.5,1),(2,1,0.5,1.5,0.25,-0.5,1);"
                                  "INSERT INTO responses "
                                  "VALUES(1,'ffn',0,0,1,0.5,1.5,0.2,-0.1,1),(1,'ffn',0,1,2,0.5,1.5,"
                                  "0.2,-0.1,1),(1,'ffn',1,0,3,0.5,1.5,0.2,-0.1,1),(1,'ffn',1,1,4,0."
                                  "5,1.5,0.2,-0.1,1),"
                                  "(2,'ffn',0,0,2,0.5,1.5,0.2,-0.1,1),(2,'ffn',1,0,1,0.5,1.5,0.2,-"
                                  "0.1,1),(3,'attn',0,0,1,0.5,1.5,0.2,-0.1,1),(4,'ffn',0,0,2,0.5,1."
                                  "5,0.2,-0.1,1);"
                                  "INSERT INTO text_metrics "
                                  "VALUES(1,'nll_standalone',1.5),(1,'lang','de'),(1,'lang_"
                                  "probability',0.5);"
                                  "INSERT INTO pair_metrics VALUES(1,1,'nll_conditional',2.5);"
                                  "INSERT INTO selections "
                                  "VALUES('coarse','ffn',1,0,0),('entropy:ends','ffn',1,1,0),('"
                                  "logistic:ends','ffn',2,-1,-1);"
                                  "INSERT INTO samples VALUES(1,0.7,0.9,1,0,2,-0.5,1);"
                                  "INSERT INTO tracked VALUES(1,'[[5,\"gold\",\"A\",\"A\"]]');"
                                  "INSERT INTO effects VALUES(1,'vanilla',-1,-1,x'0000003c00bc'),"
                                  "(1,'source',-1,-1,x'003c000000bc'),(1,'ffn',0,0,x'003c003c00bc')"
                                  ";"
                                  "INSERT INTO plans "
                                  "VALUES(1,'p','facts','de','en',0,10,0,'ffn','0,1','0,1',x'"
                                  "0123456789abcdef0123456789abcde1');";
  Db db = {0};
  Schema schema = {0};
  xt_error error;
  db.path = strdup("right");
  unsigned char *bytes = NULL;
  if (sqlite3_open_v2(":memory:", &db.handle, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
      sqlite3_exec(db.handle, "PRAGMA page_size = 512", NULL, NULL, NULL) == SQLITE_OK &&
      schema_make(&db, &schema, &error) == XT_STATUS_OK &&
      sqlite3_exec(db.handle, rows, NULL, NULL, NULL) == SQLITE_OK)
    bytes = sqlite3_serialize(db.handle, "main", size, 0);
  db_close(&db);
  return bytes;
}

#endif
