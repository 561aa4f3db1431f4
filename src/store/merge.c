/* SPDX-License-Identifier: Apache-2.0 */
/* Joining stores. Equal items are recognised by their content: questions by their key, texts by
 * their ids, responses by question, site and layers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/out_name.h"
#include "store/store_metrics.h"

#define PARTIAL_LENGTH 15 /* of ".123abc.partial" */

/* A store that is to be joined. */
typedef struct Part {
  const char *path;
  Schema schema;
  char kind[STORE_KIND_SIZE];
  bool left_out;
} Part;

/* Whether the joining goes on without a part; `why` says what is wrong with it. */
static bool leave_out(const xt_store_merge_options *options, Part *part, const xt_error *why) {
  part->left_out = options->leave_out && options->leave_out(options->user, part->path, why);
  return part->left_out;
}

/* Those of another kind of device, or library, than one before them. */
static xt_status same_kind(const Part *parts, size_t which, xt_error *error) {
  for (size_t i = 0; i < which; i++)
    if (!parts[i].left_out && parts[i].kind[0] && parts[which].kind[0] &&
        strcmp(parts[i].kind, parts[which].kind) != 0)
      return err_set(error, XT_STATUS_INPUT, parts[which].path, "kernels", -1,
                     "is by %s, and %.200s by %s; their bits may differ, and only results of one "
                     "can be joined",
                     parts[which].kind, parts[i].path, parts[i].kind);
  return XT_STATUS_OK;
}

/* Takes the settings of the first input, and checks those of the others against them. */
static xt_status same_settings(xt_store *out, const char **first, Part *part,
                               const xt_store_merge_options *options, xt_error *error) {
  const char *input = part->path;
  xt_store *in;
  xt_error why = {0};
  xt_status status = xt_store_open(input, XT_STORE_READ, &in, &why);
  if (!status) status = store_check_values(in, &why);
  if (status) xt_store_close(in);
  if (status && status != XT_STATUS_MEMORY && leave_out(options, part, &why)) return XT_STATUS_OK;
  if (status && error) *error = why;
  if (status) return status;
  part->schema = in->schema;
  if (!out->settings.of[STORE_MODEL_HASH][0]) {
    *first = input;
    out->settings = in->settings;
    memcpy(out->model_name, in->model_name, sizeof out->model_name);
  }
  for (int i = 0; i < STORE_SETTING_COUNT && !status; i++)
    if (strcmp(out->settings.of[i], in->settings.of[i]) != 0)
      status = err_set(error, XT_STATUS_INPUT, input, store_setting_names[i], -1,
                       "is %.64s, and %.200s has %.64s; only results of one model under the same "
                       "settings can be joined",
                       in->settings.of[i], *first, out->settings.of[i]);
  if (!status) status = store_kind(in, part->kind, error);
  xt_store_close(in);
  return status;
}

/* Maps the numbers of questions and texts of the attached store to those of the joined one. */
static const char add_and_map[] =
    "INSERT INTO main.instances(key, task, lang, source_lang, number, doc_id, source, target, "
    "gold, choices, source_ids, target_ids)"
    " SELECT key, task, lang, source_lang, number, doc_id, source, target, gold, choices, "
    "source_ids, target_ids FROM part.instances WHERE 1 ON CONFLICT(key) DO NOTHING;"
    "INSERT INTO main.texts(ids, text) SELECT ids, text FROM part.texts WHERE 1 ON CONFLICT(ids) "
    "DO NOTHING;"
    "CREATE TEMP TABLE question_map(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "INSERT INTO question_map SELECT p.id, m.id FROM part.instances p JOIN main.instances m ON "
    "m.key = p.key;"
    "CREATE TEMP TABLE text_map(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "INSERT INTO text_map SELECT p.id, m.id FROM part.texts p JOIN main.texts m ON m.ids = p.ids;";

static const char conflicts[] =
    "SELECT i.task, i.lang, i.doc_id, p.site, p.source_layer, p.target_layer FROM part.responses p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text"
    " JOIN main.responses m ON m.instance = q.new AND m.site = p.site AND m.source_layer = "
    "p.source_layer AND m.target_layer = p.target_layer"
    " JOIN main.instances i ON i.id = q.new WHERE m.text != t.new OR m.margin IS NOT p.margin "
    "UNION ALL SELECT i.task, i.lang, i.doc_id, 'vanilla', -1, -1 FROM part.vanilla p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text JOIN "
    "main.vanilla m ON m.instance = q.new"
    " JOIN main.instances i ON i.id = q.new WHERE m.text != t.new OR m.margin IS NOT p.margin "
    "LIMIT 1";
static const char source_conflicts[] =
    "SELECT i.task, i.lang, i.doc_id, 'source', -1, -1 FROM part.sources p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text JOIN "
    "main.sources m ON m.instance = q.new"
    " JOIN main.instances i ON i.id = q.new WHERE m.text != t.new OR m.margin IS NOT p.margin "
    "LIMIT 1";

/* %lld: the offset that is added to the numbers of the attached store's runs. */
static const char add_responses[] =
    "INSERT INTO main.runs(id, started, provenance) SELECT id + %lld, started, provenance FROM "
    "part.runs ORDER BY id;"
    "INSERT INTO main.vanilla(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
    " SELECT q.new, t.new, margin, entropy, mean_entropy, mean_logprob, run + %lld FROM "
    "part.vanilla p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text WHERE 1 ORDER BY "
    "q.new ON CONFLICT(instance) DO NOTHING;"
    "INSERT INTO main.responses(instance, site, source_layer, target_layer, text, margin, entropy, "
    "mean_entropy, mean_logprob, run)"
    " SELECT q.new, site, source_layer, target_layer, t.new, margin, entropy, mean_entropy, "
    "mean_logprob, run + %lld FROM part.responses p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text WHERE 1 ORDER BY "
    "q.new, site, source_layer, target_layer ON CONFLICT(instance, site, source_layer, "
    "target_layer) DO NOTHING;";

/* The tables since schema 2. %lld as above. */
static const char add_since_2[] =
    "INSERT INTO main.sources(instance, text, margin, entropy, mean_entropy, mean_logprob, run)"
    " SELECT q.new, t.new, margin, entropy, mean_entropy, mean_logprob, run + %lld FROM "
    "part.sources p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text WHERE 1 ORDER BY "
    "q.new ON CONFLICT(instance) DO NOTHING;"
    "INSERT INTO main.samples(instance, temperature, top_p, seed, number, text, mean_logprob, run)"
    " SELECT q.new, temperature, top_p, seed, p.number, t.new, mean_logprob, run + %lld FROM "
    "part.samples p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text WHERE 1 ORDER BY "
    "q.new ON CONFLICT(instance, temperature, top_p, seed, number) DO NOTHING;"
    "INSERT INTO main.plans(key, task, lang, source_lang, cot, dataset, too_long, sites, "
    "source_layers, target_layers, questions)"
    " SELECT key, task, lang, source_lang, cot, dataset, too_long, sites, source_layers, "
    "target_layers, questions FROM part.plans WHERE 1 ORDER BY id ON CONFLICT(key) DO NOTHING;";

/* The tables since schema 3. */
static const char add_since_3[] =
    "INSERT INTO main.tracked(instance, answers) SELECT q.new, answers FROM part.tracked p JOIN "
    "question_map q ON q.old = p.instance WHERE 1 ON CONFLICT(instance) DO NOTHING;"
    "INSERT INTO main.effects(instance, site, source_layer, target_layer, numbers)"
    " SELECT q.new, site, source_layer, target_layer, numbers FROM part.effects p JOIN "
    "question_map q ON q.old = p.instance WHERE 1 ORDER BY q.new, site, source_layer, target_layer"
    " ON CONFLICT(instance, site, source_layer, target_layer) DO NOTHING;";

static const char other_answers[] =
    "SELECT i.task, i.lang, i.doc_id FROM part.tracked p JOIN question_map q ON q.old = p.instance "
    "JOIN main.tracked m ON m.instance = q.new JOIN main.instances i ON i.id = q.new"
    " WHERE m.answers != p.answers LIMIT 1";
static const char other_numbers[] =
    "SELECT i.task, i.lang, i.doc_id, p.site, p.source_layer, p.target_layer FROM part.effects p "
    "JOIN question_map q ON q.old = p.instance JOIN main.effects m ON m.instance = q.new AND "
    "m.site = p.site AND m.source_layer = p.source_layer AND m.target_layer = p.target_layer"
    " JOIN main.instances i ON i.id = q.new WHERE m.numbers != p.numbers LIMIT 1";

/* Measurements of texts, and selections, if the attached store has any. */
static const char add_measured[] =
    "INSERT INTO main.text_metrics(text, name, value) SELECT t.new, name, value FROM "
    "part.text_metrics p JOIN text_map t ON t.old = p.text WHERE 1 ON CONFLICT(text, name) DO "
    "NOTHING;"
    "INSERT INTO main.pair_metrics(instance, text, name, value) SELECT q.new, t.new, name, value "
    "FROM part.pair_metrics p"
    " JOIN question_map q ON q.old = p.instance JOIN text_map t ON t.old = p.text WHERE 1 ON "
    "CONFLICT(instance, text, name) DO NOTHING;"
    "INSERT INTO main.selections(strategy, site, instance, source_layer, target_layer)"
    " SELECT strategy, site, q.new, source_layer, target_layer FROM part.selections p JOIN "
    "question_map q ON q.old = p.instance WHERE 1 ON CONFLICT(instance, strategy, site) DO "
    "NOTHING;";

static const char add_costs[] =
    "INSERT INTO main.selection_costs(strategy, site, instance, responses, tokens)"
    " SELECT strategy, site, q.new, responses, tokens FROM part.selection_costs p JOIN "
    "question_map q ON q.old = p.instance WHERE 1 ON CONFLICT(instance, strategy, site) DO "
    "NOTHING;";

static const char add_options[] =
    "INSERT INTO main.option_scores(instance, site, source_layer, target_layer, sums)"
    " SELECT q.new, site, source_layer, target_layer, sums FROM part.option_scores p JOIN "
    "question_map q ON q.old = p.instance WHERE 1 ORDER BY q.new, site, source_layer, target_layer"
    " ON CONFLICT(instance, site, source_layer, target_layer) DO NOTHING;";

static const char other_options[] =
    "SELECT i.task, i.lang, i.doc_id, p.site, p.source_layer, p.target_layer FROM "
    "part.option_scores p JOIN question_map q ON q.old = p.instance JOIN main.option_scores m ON "
    "m.instance = q.new AND m.site = p.site AND m.source_layer = p.source_layer AND "
    "m.target_layer = p.target_layer"
    " JOIN main.instances i ON i.id = q.new WHERE m.sums != p.sums LIMIT 1";

static const char other_selections[] =
    "SELECT count(*) FROM part.selections p JOIN question_map q ON q.old = p.instance JOIN "
    "main.selections m ON m.instance = q.new"
    " AND m.strategy = p.strategy AND m.site = p.site WHERE m.source_layer != p.source_layer OR "
    "m.target_layer != p.target_layer";

static xt_status add_metrics(xt_store *s, const char *input, const Schema *part, xt_error *error) {
  int64_t differ = 0;
  sqlite3_stmt *statement;
  bool row;
  char hash[STORE_VALUE_SIZE] = "";
  if (!part->has[TABLE_TEXT_METRICS] || !part->has[TABLE_PAIR_METRICS] ||
      !part->has[TABLE_SELECTIONS])
    return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "SELECT value FROM part.settings WHERE name = 'langid_hash'", &statement,
                 error));
  xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row) snprintf(hash, sizeof hash, "%s", db_text(statement, 0));
  sqlite3_finalize(statement);
  if (status) return status;
  if (hash[0] && metrics_claim_langid(s, hash, NULL))
    return err_set(error, XT_STATUS_INPUT, input, "lid", -1,
                   "its languages were identified with another fastText file than those of an "
                   "earlier store");
  TRY(db_number(&s->db, other_selections, &differ, error));
  if (differ)
    return err_set(error, XT_STATUS_INPUT, input, NULL, -1,
                   "%lld selections differ from those of the same strategy in an earlier file",
                   (long long)differ);
  TRY(db_run(&s->db, add_measured, "cannot write", error));
  return part->has[TABLE_SELECTION_COSTS] ? db_run(&s->db, add_costs, "cannot write", error)
                                          : XT_STATUS_OK;
}

static xt_status refuse_conflicts(xt_store *s, const char *input, const char *query,
                                  xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  TRY(db_prepare(&s->db, query, &statement, error));
  xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row) {
    char layers[64] = "";
    if (sqlite3_column_int(statement, 4) >= 0)
      snprintf(layers, sizeof layers, ", layer %d into %d", sqlite3_column_int(statement, 4),
               sqlite3_column_int(statement, 5));
    status = err_set(error, XT_STATUS_INPUT, input, NULL, -1,
                     "a different response than an earlier file for %.40s %.40s, question %.60s, "
                     "%.20s%s; it is not known which one is right",
                     db_text(statement, 0), db_text(statement, 1), db_text(statement, 2),
                     db_text(statement, 3), layers);
  }
  sqlite3_finalize(statement);
  return status;
}

static xt_status refuse_other_answers(xt_store *s, const char *input, xt_error *error) {
  sqlite3_stmt *statement;
  bool row;
  TRY(db_prepare(&s->db, other_answers, &statement, error));
  xt_status status = db_step(&s->db, statement, &row, "cannot read", error);
  if (!status && row)
    status = err_set(error, XT_STATUS_INPUT, input, "tracked", -1,
                     "other answers are tracked than in an earlier file for %.40s %.40s, question "
                     "%.60s",
                     db_text(statement, 0), db_text(statement, 1), db_text(statement, 2));
  sqlite3_finalize(statement);
  return status;
}

static xt_status attach(xt_store *s, const char *input, xt_error *error) {
  sqlite3_stmt *statement;
  char *name;
  TRY(db_file_name(input, &name, error));
  xt_status status = db_prepare(&s->db, "ATTACH ?1 AS part", &statement, error);
  if (!status) {
    db_bind_text(&s->db, statement, 1, name);
    status = db_do(&s->db, statement, error);
    sqlite3_finalize(statement);
  }
  free(name);
  return status;
}

static xt_status add_store(xt_store *s, const char *input, const Schema *part, xt_error *error) {
  int64_t runs = 0;
  char sql[sizeof add_responses + sizeof add_since_2];
  /* files cannot be attached within a transaction */
  TRY(db_run(&s->db, "COMMIT", "cannot write", error));
  s->in_transaction = false;
  struct stat of;
  if (stat(input, &of) == 0) s->merged_bytes += (uint64_t)of.st_size;
  db_bound_work(&s->db, 4 * s->merged_bytes);
  TRY(attach(s, input, error));
  TRY(store_begin_transaction(s, error));
  TRY(db_number(&s->db, "SELECT coalesce(max(id), 0) FROM main.runs", &runs, error));
  TRY(db_run(&s->db, add_and_map, "cannot write", error));
  TRY(refuse_conflicts(s, input, conflicts, error));
  if (part->version >= 2) TRY(refuse_conflicts(s, input, source_conflicts, error));
  if (part->version >= 3) {
    TRY(refuse_other_answers(s, input, error));
    TRY(refuse_conflicts(s, input, other_numbers, error));
  }
  if (part->has[TABLE_OPTION_SCORES]) TRY(refuse_conflicts(s, input, other_options, error));
  TRY(add_metrics(s, input, part, error));
  snprintf(sql, sizeof sql, add_responses, (long long)runs, (long long)runs, (long long)runs);
  TRY(db_run(&s->db, sql, "cannot write", error));
  if (part->version >= 2) {
    snprintf(sql, sizeof sql, add_since_2, (long long)runs, (long long)runs);
    TRY(db_run(&s->db, sql, "cannot write", error));
  }
  if (part->version >= 3) TRY(db_run(&s->db, add_since_3, "cannot write", error));
  if (part->has[TABLE_OPTION_SCORES]) TRY(db_run(&s->db, add_options, "cannot write", error));
  TRY(db_run(&s->db, "DROP TABLE question_map; DROP TABLE text_map", "cannot write", error));
  TRY(db_run(&s->db, "COMMIT", "cannot write", error));
  s->in_transaction = false;
  TRY(db_run(&s->db, "DETACH part", "cannot write", error));
  return store_begin_transaction(s, error);
}

/* As add_store. A damaged part is named, and nothing of it is kept. */
static xt_status add_part(xt_store *s, Part *part, const xt_store_merge_options *options,
                          xt_error *error) {
  xt_error why = {0};
  const xt_status status = add_store(s, part->path, &part->schema, &why);
  const int code = sqlite3_errcode(s->db.handle) & 0xff;
  if (!status) return XT_STATUS_OK;
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_CANTOPEN;
  if (damaged) snprintf(why.file, sizeof why.file, "%s", part->path);
  if (error) *error = why;
  if (!damaged || !leave_out(options, part, &why)) return status;
  if (s->in_transaction) TRY(db_run(&s->db, "ROLLBACK", "cannot write", error));
  s->in_transaction = false;
  sqlite3_exec(s->db.handle, "DETACH part", NULL, NULL, NULL); /* it may not be attached */
  return store_begin_transaction(s, error);
}

static xt_status merge_parts(xt_store *s, Part *parts, size_t count,
                             const xt_store_merge_options *options, xt_error *error) {
  const char *first = NULL;
  size_t joined = 0;
  for (size_t i = 0; i < count; i++) {
    TRY(same_settings(s, &first, &parts[i], options, error));
    TRY(same_kind(parts, i, error));
  }
  TRY(store_make_tables(s, error));
  TRY(store_write_settings(s, error));
  for (size_t i = 0; i < count; i++) {
    if (!parts[i].left_out) TRY(add_part(s, &parts[i], options, error));
    joined += !parts[i].left_out;
    if (options->progress) options->progress(options->user, i + 1, count);
  }
  if (!joined)
    return err_set(error, XT_STATUS_INPUT, parts[0].path, NULL, -1,
                   "none of the %zu stores can be read; nothing is joined", count);
  return xt_store_commit(s, 0, error);
}

static xt_status merge_into(xt_store *s, const char *const *inputs, size_t count,
                            const xt_store_merge_options *options, xt_error *error) {
  Part *parts;
  TRY(MEM_ALLOC(&parts, count, error));
  for (size_t i = 0; i < count; i++) parts[i].path = inputs[i];
  const xt_status status = merge_parts(s, parts, count, options, error);
  free(parts);
  return status;
}

/* ---- the file while it is made --------------------------------------------------------------- */

/* A new file beside the final name, kept locked as long as this process works on it. A file that is
 * not locked was left by a process that was killed. */
typedef struct Partial {
  char *path;
  int fd; /* closed after SQLite's descriptor, because closing any descriptor drops the process's
             locks of that file */
} Partial;

static void remove_with_journals(const char *path) {
  static const char *const ends[] = {"-journal", "-wal", "-shm"};
  char name[PATH_MAX];
  unlink(path);
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    if (snprintf(name, sizeof name, "%s%s", path, ends[i]) < (int)sizeof name) unlink(name);
}

static void remove_if_left(const char *path) {
  struct stat of;
  const int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  if (fstat(fd, &of) == 0 && S_ISREG(of.st_mode) && of.st_uid == geteuid() &&
      flock(fd, LOCK_EX | LOCK_NB) == 0)
    remove_with_journals(path);
  close(fd);
}

/* Removes files PATH.123abc.partial that earlier processes left. */
static void remove_left(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  const size_t length = strlen(name);
  char folder[PATH_MAX], found[PATH_MAX];
  if (snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 2,
               slash ? path : "./") >= (int)sizeof folder)
    return;
  DIR *directory = opendir(folder);
  for (const struct dirent *entry; directory && (entry = readdir(directory));) {
    const char *rest = entry->d_name + length;
    if (strncmp(entry->d_name, name, length) != 0 || rest[0] != '.' ||
        strlen(rest) != PARTIAL_LENGTH || strcmp(rest + 7, ".partial") != 0)
      continue;
    if (snprintf(found, sizeof found, "%s%s", folder, entry->d_name) < (int)sizeof found)
      remove_if_left(found);
  }
  if (directory) closedir(directory);
}

static xt_status partial_open(Partial *p, const char *path, xt_error *error) {
  const size_t size = strlen(path) + PARTIAL_LENGTH + 1;
  *p = (Partial){.fd = -1};
  remove_left(path);
  TRY(MEM_ALLOC(&p->path, size, error));
  for (int tries = 0; p->fd < 0 && tries < 100; tries++) {
    unsigned number;
    if (getrandom(&number, sizeof number, 0) != sizeof number) break;
    snprintf(p->path, size, "%s.%06x.partial", path, number & 0xffffff);
    p->fd = open(p->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (p->fd < 0 && errno != EEXIST && errno != EINTR) break;
  }
  if (p->fd < 0 || flock(p->fd, LOCK_EX | LOCK_NB) != 0) return err_io(error, path, "cannot write");
  return XT_STATUS_OK;
}

/* Gives the file its final name, unless a file with that name exists by now; durable when it
 * returns. */
static xt_status partial_finish(Partial *p, const char *path, xt_error *error) {
  const char *slash = strrchr(path, '/');
  if (!out_sync(p->fd) || link(p->path, path) != 0) {
    /* file systems without hard links */
    if (errno == EEXIST ||
        (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK) ||
        !out_rename(p->path, path))
      return err_io(error, path, "cannot write");
  }
  char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
  const int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (fd >= 0) {
    fsync(fd); /* not all file systems can */
    close(fd);
  }
  free(folder);
  return XT_STATUS_OK;
}

static void partial_close(Partial *p) {
  if (p->path && p->fd >= 0) remove_with_journals(p->path); /* its other name, by now */
  if (p->fd >= 0) close(p->fd);
  free(p->path);
}

xt_status xt_store_merge(const char *path, const char *const *inputs, size_t count,
                         xt_error *error) {
  return xt_store_merge_with(path, inputs, count, NULL, error);
}

xt_status xt_store_merge_with(const char *path, const char *const *inputs, size_t count,
                              const xt_store_merge_options *options, xt_error *error) {
  static const xt_store_merge_options none = {0};
  Partial partial;
  xt_store *s = NULL;
  TRY(OPTIONS_CHECK(options, error));
  if (count == 0)
    return err_set(error, XT_STATUS_ARGUMENT, path, NULL, -1, "nothing to join: give the stores");
  if (file_exists(path))
    return err_set(error, XT_STATUS_ARGUMENT, path, NULL, -1,
                   "exists already; the joined store has to be a new file");
  xt_status status = partial_open(&partial, path, error);
  if (!status) status = xt_store_open(partial.path, XT_STORE_WRITE, &s, error);
  /* a file that gets its name only when it is complete needs no journal on the disk, and no
   * super-journal for a commit of two databases */
  if (!status)
    status = db_run(&s->db,
                    "COMMIT; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA "
                    "temp_store = MEMORY; BEGIN IMMEDIATE",
                    "cannot write", error);
  if (!status) status = merge_into(s, inputs, count, options ? options : &none, error);
  if (status && error && partial.path && strcmp(error->file, partial.path) == 0)
    snprintf(error->file, sizeof error->file, "%s", path);
  xt_store_close(s);
  if (!status) status = partial_finish(&partial, path, error);
  partial_close(&partial);
  return status;
}
