/* SPDX-License-Identifier: Apache-2.0 */
/* Reading responses, in an order that depends only on their content.
 *
 * A question is copied with all its rows before the first row is given out, and no lock on the file
 * is held during the calls. A slow reader, such as a pager at the end of a pipe, therefore never
 * makes a writer wait. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena_text.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/options.h"
#include "store/store_effects.h"
#include "store/store_metrics.h"
#include "store/store_options.h"
#include "store/store_row_queries.h"
#include "store/store_selections.h"
#include "tasks/question_options.h"

xt_status xt_store_get_info(xt_store *s, xt_store_info *info, xt_error *error) {
  static const char *const counts[] = {
      "SELECT count(*) FROM instances", "SELECT count(*) FROM responses",
      "SELECT count(*) FROM vanilla", "SELECT count(*) FROM texts", "SELECT count(*) FROM runs"};
  *info = (xt_store_info){.path = s->db.path,
                          .bytes = s->db.bytes,
                          .model_hash = s->settings.of[STORE_MODEL_HASH],
                          .model_name = s->model_name,
                          .compute = s->settings.of[STORE_COMPUTE],
                          .layers = atoi(s->settings.of[STORE_LAYERS]),
                          .max_new_tokens = atoi(s->settings.of[STORE_MAX_NEW_TOKENS]),
                          .repetition_penalty = number_read(s->settings.of[STORE_PENALTY], NULL),
                          .ignore_eos = s->settings.of[STORE_IGNORE_EOS][0] == '1'};
  int64_t *const out[] = {&info->questions, &info->responses, &info->vanilla, &info->texts,
                          &info->runs};
  for (size_t i = 0; i < sizeof out / sizeof *out && !s->schema.empty; i++)
    TRY(db_number(&s->db, counts[i], out[i], error));
  return XT_STATUS_OK;
}

/* The largest memory that the rows of a question may take, by the file's size: a row has at least
 * twenty bytes in the file, and is an xt_store_row in memory. Equal responses share a text in
 * both. */
#define COPIED_LEAST (UINT64_C(64) << 20)
#define COPIED_A_BYTE 32
#define SLOTS_KEPT 4096
#define QUESTION_BYTES 48 /* smallest size of a question in the file: its key has 32 */

typedef struct Reader {
  xt_store *store;
  RowKind kind;
  xt_store_read_options only;
  sqlite3_stmt *questions, *rows_of[ROW_STATEMENTS]; /* of one question, ?1 */
  int64_t *numbers;                                  /* of all questions, in their order */
  size_t count, capacity;
  Arena arena; /* of what follows */
  int64_t number;
  char *key;
  xt_question question;
  const xt_task *task;
  json_t *json;        /* the question's choices, whose strings they borrow */
  xt_store_row *found; /* of the question */
  size_t found_count, found_capacity;
  size_t *slots;        /* hash table: 1 + the first row whose text's number has this slot; 0:
                           none */
  size_t slot_count;    /* a power of two; 0: none yet */
  uint64_t found_bytes; /* of their texts and ids */
  EffectsReader effects;
  Tracked tracked; /* of the question */
  OptionsReader options;
  /* One of the two: a row, or all rows of a question. */
  xt_status (*row)(void *user, const xt_store_row *row, xt_error *error);
  xt_status (*rows)(void *user, const xt_store_row *rows, size_t count, xt_error *error);
  void *user;
} Reader;

/* ---- questions ------------------------------------------------------------------------------- */

static xt_status keep(Reader *r, const char *text, size_t length, const char **out,
                      xt_error *error) {
  *out = NULL;
  return text ? arena_copy_text(&r->arena, text, length, out, error) : XT_STATUS_OK;
}

static void forget_question(Reader *r) {
  json_decref(r->json);
  arena_reset(&r->arena);
  r->json = NULL;
  if (r->slot_count > SLOTS_KEPT) { /* a question with many rows must not make all later ones
                                       slow */
    free(r->slots);
    r->slots = NULL;
    r->slot_count = 0;
  }
  if (r->slot_count) memset(r->slots, 0, r->slot_count * sizeof *r->slots);
  r->found_count = 0;
  r->found_bytes = 0;
}

static xt_status read_choices(Reader *r, const char *text, xt_error *error) {
  const char *label, *path = r->store->db.path;
  xt_choice *choices;
  json_t *value;
  if (!text || !text[0]) return XT_STATUS_OK;
  TRY(json_parse(text, strlen(text), path, &r->json, error));
  if (!json_is_object(r->json))
    return db_damaged(&r->store->db, "instances", error,
                      "the choices of question %s are not a JSON object", r->key);
  TRY(ARENA_ALLOC(&r->arena, &choices, json_object_size(r->json) + 1, error));
  size_t n = 0;
  json_object_foreach(r->json, label, value) choices[n++] =
      (xt_choice){label, json_string_value(value)};
  r->question.choices = choices;
  r->question.choice_count = n;
  return XT_STATUS_OK;
}

/* The question of the current row, copied. */
static xt_status read_question(Reader *r, xt_error *error) {
  static const char *const names[] = {"key",    "task",   "lang", "source_lang", "doc_id",
                                      "source", "target", "gold", "choices"};
  enum { KEY, TASK, LANG, SOURCE_LANG, ID, SOURCE, TARGET, GOLD, CHOICES, TEXTS };
  const char *texts[TEXTS], *copy;
  Columns c = columns_of(&r->store->db, r->questions, "instances", error);
  const int64_t number = column_integer(&c, TEXTS, "number", 0, ID_MOST);
  for (int i = 0; i < TEXTS; i++)
    texts[i] = i == GOLD || i == CHOICES ? column_text_or_null(&c, i, names[i])
                                         : column_text(&c, i, names[i]);
  TRY(c.status);
  for (int i = 0; i < CHOICES; i++) {
    TRY(keep(r, texts[i], texts[i] ? strlen(texts[i]) : 0, &copy, error));
    texts[i] = copy;
  }
  r->key = (char *)(uintptr_t)texts[KEY];
  r->question = (xt_question){.task = texts[TASK],
                              .lang = texts[LANG],
                              .source_lang = texts[SOURCE_LANG],
                              .number = (size_t)number,
                              .id = texts[ID],
                              .source = texts[SOURCE],
                              .target = texts[TARGET],
                              .gold = texts[GOLD]};
  r->task = xt_task_find(r->question.task);
  return read_choices(r, texts[CHOICES], error);
}

void xt_text_hash(const char *text, size_t length, char out[XT_TEXT_HASH_SIZE]) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  hash_raw(&hash, text, length);
  hash_finish(&hash, digest);
  hash_hex(digest, HASH_BYTES, out);
}

static void response_id(const Reader *r, const xt_store_row *row, char out[XT_RESPONSE_ID_SIZE]) {
  Hash hash;
  uint8_t digest[HASH_BYTES];
  hash_init(&hash);
  hash_text(&hash, "xtransplant response 1");
  for (int i = 0; i < STORE_SETTING_COUNT; i++) hash_text(&hash, r->store->settings.of[i]);
  hash_text(&hash, r->key);
  hash_text(&hash, row->site);
  hash_number(&hash, (uint64_t)(int64_t)row->source_layer);
  hash_number(&hash, (uint64_t)(int64_t)row->target_layer);
  if (r->kind == ROWS_SAMPLES) {
    hash_number(&hash, (uint64_t)llround(1e9 * row->sample.settings.temperature));
    hash_number(&hash, (uint64_t)llround(1e9 * row->sample.settings.top_p));
    hash_number(&hash, row->sample.settings.seed);
    hash_number(&hash, (uint64_t)row->sample.number);
  }
  hash_finish(&hash, digest);
  hash_hex(digest, (XT_RESPONSE_ID_SIZE - 1) / 2, out);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* The slot of the question's first row with a text, or the free slot for it. */
static size_t *text_slot(const Reader *r, int64_t text) {
  size_t at = (size_t)(((uint64_t)text * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (r->slot_count - 1);
  while (r->slots[at] && r->found[r->slots[at] - 1].text_number != text)
    at = (at + 1) & (r->slot_count - 1);
  return &r->slots[at];
}

/* Keeps half of the slots free. */
static xt_status grow_slots(Reader *r, xt_error *error) {
  if (2 * (r->found_count + 1) <= r->slot_count) return XT_STATUS_OK;
  const size_t count = r->slot_count ? 2 * r->slot_count : 256;
  size_t *slots;
  TRY(MEM_ALLOC(&slots, count, error));
  free(r->slots);
  r->slots = slots;
  r->slot_count = count;
  for (size_t i = 0; i < r->found_count; i++) {
    size_t *slot = text_slot(r, r->found[i].text_number);
    if (!*slot) *slot = i + 1;
  }
  return XT_STATUS_OK;
}

/* Sets the text and ids of the next row, from an earlier row of the question or as a copy. */
static xt_status copy_text(Reader *r, Columns *c, const char *text, xt_store_row *row,
                           xt_error *error) {
  TRY(grow_slots(r, error));
  size_t *slot = text_slot(r, row->text_number);
  r->found_bytes += sizeof *row + (*slot ? 0 : row->text_length + row->count * sizeof *row->ids);
  if (r->found_bytes > COPIED_LEAST + COPIED_A_BYTE * c->db->bytes)
    return db_damaged(c->db, c->table, error,
                      "question %s has more responses than a file of its size can hold", r->key);
  if (*slot) {
    const xt_store_row *first = &r->found[*slot - 1];
    row->text = first->text;
    row->text_length = first->text_length;
    row->ids = first->ids;
    row->count = first->count;
    return XT_STATUS_OK;
  }
  int32_t *ids;
  TRY(keep(r, text, row->text_length, &row->text, error));
  TRY(ARENA_ALLOC(&r->arena, &ids, row->count, error));
  column_ids(c, 0, "ids", ids, row->count);
  row->ids = ids;
  if (c->status == XT_STATUS_OK) *slot = r->found_count + 1;
  return c->status;
}

/* The numbers of the row's first token, if the store has them. */
static xt_status copy_effects(Reader *r, xt_store_row *row, xt_error *error) {
  row->tracked = r->tracked.list;
  row->tracked_count = r->tracked.count;
  if (r->kind == ROWS_SAMPLES) return XT_STATUS_OK;
  TRY(effects_read_numbers(&r->effects, &r->store->db, r->number, row->site, row->source_layer,
                           row->target_layer, &r->tracked, &r->arena, &row->effects, error));
  if (row->effects) r->found_bytes += (XT_EFFECT_TRACKED + row->tracked_count) * sizeof(float);
  return XT_STATUS_OK;
}

/* Columns: ids, text, margin, entropy, mean_entropy, mean_logprob, site, source_layer,
 * target_layer, strategy, those of `measured`, the text's number, the strategy's site; of a sample
 * its temperature, top_p, seed and number. */
static xt_status copy_row(Reader *r, sqlite3_stmt *s, xt_error *error) {
  static const char *const tables[] = {
      [ROWS_RESPONSES] = "responses", [ROWS_UNTOUCHED] = "vanilla",
      [ROWS_SITE] = "responses",      [ROWS_SOURCES] = "sources",
      [ROWS_SAMPLES] = "samples",     [ROWS_SELECTIONS] = "selections"};
  Columns c = columns_of(&r->store->db, s, tables[r->kind], error);
  xt_store_row row = {
      .question = &r->question,
      .question_number = r->number,
      .text_number = column_integer(&c, 14, "text", 1, ID_MOST),
      .correct = -1,
      .source_layer = (int)column_integer(&c, 7, "source_layer", -1, XT_STORE_LAYERS_MOST),
      .target_layer = (int)column_integer(&c, 8, "target_layer", -1, XT_STORE_LAYERS_MOST),
      .margin = column_real_or_none(&c, 2, "margin"),
      .entropy = column_real_or_none(&c, 3, "entropy"),
      .mean_entropy = column_real_or_none(&c, 4, "mean_entropy"),
      .mean_logprob = column_real_or_none(&c, 5, "mean_logprob"),
      .language_probability = column_real_or_none(&c, 13, "lang_probability")};
  const char *site = column_text(&c, 6, "site"), *strategy = column_text_or_null(&c, 9, "strategy"),
             *language = column_text_or_null(&c, 12, "lang"),
             *strategy_site = column_text_or_null(&c, 15, "site"),
             *text = column_any_text(&c, 1, "text", &row.text_length);
  row.nll_standalone = column_metric(&c, 10, "nll_standalone", &row.standalone_measured);
  row.nll_conditional = column_metric(&c, 11, "nll_conditional", &row.conditional_measured);
  /* also the words that the queries use */
  const bool plain =
      strcmp(site, "vanilla") == 0 || strcmp(site, "source") == 0 || strcmp(site, "sample") == 0;
  if (!plain) store_check_site(&c, site);
  if (plain && c.status == XT_STATUS_OK && (row.source_layer != -1 || row.target_layer != -1))
    c.status = db_damaged(c.db, c.table, error, "\"%s\" is not a site", site);
  store_check_layers(&c, store_layers(r->store), plain, row.source_layer, row.target_layer);
  if (strategy_site) store_check_site(&c, strategy_site);
  if (r->kind == ROWS_SAMPLES)
    row.sample = (xt_store_sample){
        (int)column_integer(&c, 19, "number", 0, INT32_MAX),
        {column_real(&c, 16, "temperature"), column_real(&c, 17, "top_p"),
         (unsigned long long)column_integer(&c, 18, "seed", INT64_MIN, INT64_MAX)}};
  row.count = column_id_count(&c, 0, "ids");
  TRY(c.status);
  const char *before = r->found_count ? r->found[r->found_count - 1].site : "";
  if (strcmp(site, before) == 0) /* rows of a site follow one another */
    row.site = before;
  else
    TRY(keep(r, site, strlen(site), &row.site, error));
  TRY(copy_effects(r, &row, error));
  TRY(options_read_row(&r->options, &r->store->db, &r->arena, &row, error));
  TRY(keep(r, strategy, strategy ? strlen(strategy) : 0, &row.strategy, error));
  TRY(keep(r, strategy_site, strategy_site ? strlen(strategy_site) : 0, &row.strategy_site, error));
  TRY(keep(r, language, language ? strlen(language) : 0, &row.language, error));
  TRY(MEM_GROW(&r->found, &r->found_capacity, r->found_count + 1, error));
  TRY(copy_text(r, &c, text, &row, error));
  r->found[r->found_count++] = row;
  return XT_STATUS_OK;
}

static xt_status copy_rows(Reader *r, sqlite3_stmt *statement, xt_error *error) {
  bool more;
  xt_status status;
  db_bind_integer(&r->store->db, statement, 1, r->number);
  if (r->kind == ROWS_SITE) db_bind_text(&r->store->db, statement, 2, r->only.site);
  do {
    status = db_step(&r->store->db, statement, &more, "cannot read", error);
    if (!status && more) status = copy_row(r, statement, error);
  } while (!status && more);
  sqlite3_reset(statement);
  return status;
}

/* A gold answer belongs to the target prompt. */
static xt_status finish_row(Reader *r, xt_store_row *row, xt_error *error) {
  response_id(r, row, row->id);
  if (r->task && r->question.gold && row->text && r->kind != ROWS_SOURCES) {
    bool correct;
    TRY(xt_task_score(r->task, r->question.choices, r->question.choice_count, row->text,
                      row->text_length, r->question.gold, &correct, error));
    row->correct = correct;
  }
  return XT_STATUS_OK;
}

/* Gives the question's rows to the caller. */
static xt_status hand_out(Reader *r, xt_error *error) {
  for (size_t k = 0; k < r->found_count; k++) {
    TRY(finish_row(r, &r->found[k], error));
    if (r->row) TRY(r->row(r->user, &r->found[k], error));
  }
  return r->rows && r->found_count ? r->rows(r->user, r->found, r->found_count, error)
                                   : XT_STATUS_OK;
}

/* Reads the question r->number and its rows. *there: whether it still exists. */
static xt_status copy_question(Reader *r, bool *there, xt_error *error) {
  Db *db = &r->store->db;
  forget_question(r);
  db_bind_integer(db, r->questions, 1, r->number);
  xt_status status = db_step(db, r->questions, there, "cannot read", error);
  if (!status && *there) status = read_question(r, error);
  sqlite3_reset(r->questions);
  if (!status && *there)
    status = effects_read_tracked(&r->effects, db, r->number, &r->arena, &r->tracked, error);
  if (!status && *there)
    status =
        question_options(&r->question, &r->arena, &r->options.options, &r->options.count, error);
  for (size_t i = 0; i < ROW_STATEMENTS && r->rows_of[i] && !status && *there; i++)
    status = copy_rows(r, r->rows_of[i], error);
  return status;
}

/* A question and its rows are read in one transaction. A writer reads within its own
 * transaction. */
static xt_status copy_in_transaction(Reader *r, bool *there, xt_error *error) {
  Db *db = &r->store->db;
  const bool own = sqlite3_get_autocommit(db->handle) != 0;
  if (own) TRY(db_run(db, "BEGIN", "cannot read", error));
  const xt_status status = copy_question(r, there, error);
  if (own) sqlite3_exec(db->handle, status ? "ROLLBACK" : "COMMIT", NULL, NULL, NULL);
  return status;
}

static xt_status list_questions(Reader *r, xt_error *error) {
  sqlite3_stmt *statement;
  bool more;
  xt_status status;
  TRY(db_prepare(&r->store->db,
                 "SELECT id FROM instances WHERE (?1 IS NULL OR task = ?1) AND (?2 IS NULL OR lang "
                 "= ?2) ORDER BY task, lang, source_lang, number, doc_id, key",
                 &statement, error));
  db_bind_text(&r->store->db, statement, 1, r->only.task);
  db_bind_text(&r->store->db, statement, 2, r->only.lang);
  for (;;) {
    Columns c = columns_of(&r->store->db, statement, "instances", error);
    TRY_DONE(db_step(&r->store->db, statement, &more, "cannot read", error));
    if (!more) break;
    TRY_DONE(MEM_GROW(&r->numbers, &r->capacity, r->count + 1, error));
    r->numbers[r->count++] = column_integer(&c, 0, "id", 1, ID_MOST);
    TRY_DONE(c.status);
    if (r->store->mode == XT_STORE_READ && r->count > 1 + r->store->db.bytes / QUESTION_BYTES)
      TRY_DONE(db_damaged(&r->store->db, "instances", error,
                          "it has more questions than a file of its size can hold"));
  }
done:
  sqlite3_finalize(statement);
  return status;
}

static xt_status read_all(Reader *r, xt_error *error) {
  TRY(list_questions(r, error));
  TRY(db_prepare(&r->store->db,
                 "SELECT key, task, lang, source_lang, doc_id, source, target, gold, choices, "
                 "number FROM instances WHERE id = ?1",
                 &r->questions, error));
  for (size_t i = 0; i < r->count; i++) {
    bool there;
    r->number = r->numbers[i];
    TRY(copy_in_transaction(r, &there, error));
    if (there) TRY(hand_out(r, error));
  }
  return XT_STATUS_OK;
}

static void reader_deinit(Reader *r) {
  sqlite3_finalize(r->questions);
  effects_reader_deinit(&r->effects);
  options_reader_deinit(&r->options);
  for (size_t i = 0; i < ROW_STATEMENTS; i++) sqlite3_finalize(r->rows_of[i]);
  forget_question(r);
  arena_free(&r->arena);
  free(r->numbers);
  free(r->found);
  free(r->slots);
}

static xt_status read_with(Reader *r, xt_error *error) {
  xt_status status = effects_reader_init(&r->effects, r->store, error);
  if (!status) status = options_reader_init(&r->options, r->store, error);
  if (!status) status = row_queries_prepare(r->store, r->kind, r->rows_of, error);
  if (!status) status = read_all(r, error);
  reader_deinit(r);
  return status;
}

static xt_status read_rows(xt_store *s, RowKind kind,
                           xt_status (*row)(void *user, const xt_store_row *row, xt_error *error),
                           void *user, xt_error *error) {
  return read_with(&(Reader){.store = s, .kind = kind, .row = row, .user = user}, error);
}

xt_status xt_store_read_questions(xt_store *s, const xt_store_read_options *options,
                                  xt_status (*rows)(void *user, const xt_store_row *rows,
                                                    size_t count, xt_error *error),
                                  void *user, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  Reader r = {.store = s, .kind = ROWS_RESPONSES, .rows = rows, .user = user};
  if (options) r.only = *options;
  if (r.only.site)
    r.kind = strcmp(r.only.site, "vanilla") == 0  ? ROWS_UNTOUCHED
             : strcmp(r.only.site, "source") == 0 ? ROWS_SOURCES
                                                  : ROWS_SITE;
  const bool any = r.kind == ROWS_SOURCES ? s->schema.has[TABLE_SOURCES] : !s->schema.empty;
  return any ? read_with(&r, error) : XT_STATUS_OK;
}

xt_status xt_store_read(xt_store *s,
                        xt_status (*row)(void *user, const xt_store_row *row, xt_error *error),
                        void *user, xt_error *error) {
  return s->schema.empty ? XT_STATUS_OK : read_rows(s, ROWS_RESPONSES, row, user, error);
}

xt_status xt_store_read_sources(xt_store *s,
                                xt_status (*row)(void *user, const xt_store_row *row,
                                                 xt_error *error),
                                void *user, xt_error *error) {
  return s->schema.has[TABLE_SOURCES] ? read_rows(s, ROWS_SOURCES, row, user, error) : XT_STATUS_OK;
}

xt_status xt_store_read_samples(xt_store *s,
                                xt_status (*row)(void *user, const xt_store_row *row,
                                                 xt_error *error),
                                void *user, xt_error *error) {
  return s->schema.has[TABLE_SAMPLES] ? read_rows(s, ROWS_SAMPLES, row, user, error) : XT_STATUS_OK;
}

xt_status xt_store_read_selections(xt_store *s,
                                   xt_status (*row)(void *user, const xt_store_row *row,
                                                    xt_error *error),
                                   void *user, xt_error *error) {
  TRY(selections_read(s, NULL, NULL, error)); /* questions without a response are in
                                                             no row, but must be valid too */
  return metrics_exist(s) ? read_rows(s, ROWS_SELECTIONS, row, user, error) : XT_STATUS_OK;
}
