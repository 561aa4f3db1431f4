/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the store. */
#ifndef STORE_STORE_PARTS_H
#define STORE_STORE_PARTS_H

#include <stdlib.h>

#include "store/schema.h"
#include "xtransplant/store.h"

#define STORE_KEY_SIZE 33
#define STORE_COMMIT_SECONDS 2.0

/* What must be the same within a store, as text: rows of the table `settings`. */
typedef enum StoreSetting {
  STORE_MODEL_HASH = 0,
  STORE_LAYERS,
  STORE_COMPUTE,
  STORE_MAX_NEW_TOKENS,
  STORE_PENALTY,
  STORE_IGNORE_EOS,
  STORE_SETTING_COUNT
} StoreSetting;
#define STORE_VALUE_SIZE 72
typedef struct StoreTexts {
  char of[STORE_SETTING_COUNT][STORE_VALUE_SIZE];
} StoreTexts;
extern const char *const store_setting_names[STORE_SETTING_COUNT];

/* Statements that are prepared once, when they are first needed. */
typedef enum StoreStatement {
  STORE_FIND_QUESTION = 0,
  STORE_ADD_QUESTION,
  STORE_FIND_RESPONSES,
  STORE_FIND_VANILLA,
  STORE_FIND_TEXT,
  STORE_ADD_TEXT,
  STORE_ADD_RESPONSE,
  STORE_ADD_VANILLA,
  STORE_ADD_TEXT_METRIC,
  STORE_ADD_PAIR_METRIC,
  STORE_FIND_SELECTION,
  STORE_ADD_SELECTION,
  STORE_ADD_SELECTION_COST,
  STORE_FIND_SOURCE,
  STORE_ADD_SOURCE,
  STORE_FIND_SAMPLES,
  STORE_ADD_SAMPLE,
  STORE_ADD_PLAN,
  STORE_FIND_TRACKED,
  STORE_ADD_TRACKED,
  STORE_ADD_EFFECTS,
  STORE_ADD_OPTIONS,
  STORE_STATEMENT_COUNT
} StoreStatement;

struct xt_store {
  Db db;
  xt_store_mode mode;
  Schema schema;         /* the tables that the file has */
  uint64_t merged_bytes; /* of the stores that were joined into it */
  bool fresh;            /* this object made the file, and has committed nothing */
  bool in_transaction;
  bool dirty; /* something was added since the last commit */
  double dirty_since;
  double waiting_since;    /* when a commit began to wait for readers; 0: no commit waits */
  double waiting_reported; /* when `wait` was last called */
  bool (*wait)(void *user, const xt_store_wait *wait);
  void *wait_user;
  sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
  StoreTexts settings; /* "" while the store has none */
  char model_name[256];
  bool begun;                    /* xt_store_begin was called: responses may be added */
  const xt_tokenizer *tokenizer; /* decodes them; borrowed; NULL: there is none */
  int64_t run;
};

/* A store for reading in a database that is open and hardened (db_harden) already, which stays the
 * caller's and outlives the store: for one in memory. `size`: bytes of its data, by which work is
 * bounded. */
xt_status store_open_handle(sqlite3 *handle, size_t size, xt_store **out, xt_error *error);
xt_status store_statement(xt_store *store, StoreStatement which, sqlite3_stmt **out,
                          xt_error *error);
/* Makes the missing tables: all of them in a new file, and those that an older file lacks. Only if
 * the store is open for writing. */
xt_status store_make_tables(xt_store *store, xt_error *error);
/* The name of a folder can be any bytes; the stored and shown name is UTF-8, with a question mark
 * for each other byte. */
void store_copy_name(const char *name, char *out, size_t size);
xt_status store_write_settings(xt_store *store, xt_error *error);
xt_status store_begin_transaction(xt_store *store, xt_error *error);
void store_mark_dirty(xt_store *store);

/* Checks that a text is a site as sweeps write it. */
void store_check_site(Columns *columns, const char *site);
/* Checks the layers of a choice or of a response; with `vanilla`, both may be -1 for the untouched
 * run. */
void store_check_layers(Columns *columns, int layers, bool vanilla, int source_layer,
                        int target_layer);

/* Reads every value of the store, and checks it as it is checked where it is used; an
 * XT_STATUS_INPUT error names the table, the column and the row. */
xt_status store_check_values(xt_store *store, xt_error *error);

static inline int store_layers(const xt_store *store) {
  return atoi(store->settings.of[STORE_LAYERS]);
}

/* Another process that holds a lock on the file, and its name; 0: none is known. Linux only. */
long store_lock_holder(const char *path, char name[XT_STORE_NAME_SIZE]);

/* Like xt_store_check, with an identity, of which the hash, the layers and the settings are
 * compared. */
xt_status store_check_identity(const xt_store *store, const xt_store_identity *identity,
                               xt_error *error);

/* Identity of a question by its content. */
void store_question_key(const xt_question *question, char out[STORE_KEY_SIZE]);
/* A question's options as in the column `choices`; NULL: none. The caller frees *out with
 * free(). */
xt_status store_choices_text(const xt_question *question, char **out, xt_error *error);

#define STORE_KIND_SIZE 200
/* By a provenance: "cpu (AVX512_BF16)", or "cuda (NVIDIA H100), cuBLASLt 13.1.0", which is the
 * kernels without the device's number; in float32 STORE_KIND_EXACT, or "opencl (NAME), inexact" of
 * a device that was taken without its promise; "": it does not say. */
#define STORE_KIND_EXACT "devices with the cpu's bits"
void store_kind_of(const char *provenance, bool float32, char kind[STORE_KIND_SIZE]);
/* Of a store's runs; of one inexact one among others, that. "": not known. */
xt_status store_kind(xt_store *s, char kind[STORE_KIND_SIZE], xt_error *error);
/* Refuses responses of that provenance where the store's are of another kind. */
xt_status store_check_kind(xt_store *s, const char *provenance, xt_error *error);

/* The provenance of responses as JSON; it contains kernels and threads only for a loaded model. The
 * caller frees *out with free(). */
xt_status store_provenance(const xt_model *model, const char *hash,
                           const xt_store_settings *settings, const char *command, char **out,
                           xt_error *error);

/* Calls `question` for every question in order of number. `ids` are borrowed for the call. */
xt_status store_read_source_ids(xt_store *store,
                                xt_status (*question)(void *user, int64_t number,
                                                      const int32_t *ids, size_t count,
                                                      xt_error *error),
                                void *user, xt_error *error);

#endif
