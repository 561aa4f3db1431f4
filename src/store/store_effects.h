/* SPDX-License-Identifier: Apache-2.0 */
/* What a store keeps of first tokens: for each question the answers that are tracked, and for each
 * of its runs the numbers of xt_generation.effects as float16, the answers' in their order. */
#ifndef STORE_STORE_EFFECTS_H
#define STORE_STORE_EFFECTS_H

#include "base/arena.h"
#include "base/json.h"
#include "store/store_parts.h"

/* A question's tracked answers, in the arena. */
typedef struct Tracked {
  const xt_tracked *list;
  size_t count;
} Tracked;

/* Adds the numbers of a run: a site's name with its layers; or "vanilla" or "source" and -1. */
xt_status effects_add(xt_store *store, int64_t question, const char *site, int source_layer,
                      int target_layer, const float *numbers, size_t count, xt_error *error);

/* Reads the numbers of a store's runs. */
typedef struct EffectsReader {
  sqlite3_stmt *tracked, *numbers; /* NULL: the store has none */
} EffectsReader;
xt_status effects_reader_init(EffectsReader *r, xt_store *store, xt_error *error);
void effects_reader_deinit(EffectsReader *r);
/* What is tracked of a question; no list: nothing. */
xt_status effects_read_tracked(const EffectsReader *r, Db *db, int64_t question, Arena *arena,
                               Tracked *out, xt_error *error);
/* The numbers of a run, XT_EFFECT_TRACKED + tracked->count of them; *out NULL: there are none. */
xt_status effects_read_numbers(const EffectsReader *r, Db *db, int64_t question, const char *site,
                               int source_layer, int target_layer, const Tracked *tracked,
                               Arena *arena, const float **out, xt_error *error);

/* The checks of store_check_values. */
void effects_check_answers(Columns *c, int column, const char *name);
void effects_check_numbers(Columns *c, int column, const char *name);

#endif
