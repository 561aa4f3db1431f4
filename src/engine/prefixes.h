/* SPDX-License-Identifier: Apache-2.0 */
/* The inner positions of prompts, which are all positions but the last, are run once. Equal ones
 * are one prefix, and a prefix that begins like the one before it has that one's keys and values
 * there. The positions of all prefixes are run together, as many at a time as are efficient, so
 * that short prompts cost no more than long ones. */
#ifndef ENGINE_PREFIXES_H
#define ENGINE_PREFIXES_H

#include "engine/rows.h"

/* What a prefix depends on. */
typedef struct PrefixKey {
  const int32_t *ids;
  size_t count;              /* positions: all of the prompt but its last token */
  const xt_request *request; /* whose interventions fall on some of them; NULL: there are none */
  int32_t first_value;       /* first of its interventions' values among those of the pool */
} PrefixKey;

/* Orders keys so that equal ones are neighbours, and each follows the one with which it shares most
 * positions. 0: the same prefix. */
int prefix_compare(const PrefixKey *a, const PrefixKey *b);

/* Orders lists of interventions; 0: they do the same to prompts of one length. */
int interventions_compare(const xt_intervention *a, size_t n, const xt_intervention *b, size_t m);

typedef struct Prefix {
  PrefixKey key;
  KvPrefix *kv; /* NULL: no positions, or not made yet */
} Prefix;

typedef struct PrefixPool {
  xt_session *session;
  Prefix *list;
  int count;
} PrefixPool;

xt_status prefixes_create(PrefixPool *pool, xt_session *session, size_t most, xt_error *error);
void prefixes_release(PrefixPool *pool);
/* Returns the key's index. Keys must come in prefix_compare's order. */
int prefixes_add(PrefixPool *pool, const PrefixKey *key);
/* Runs all of them. `values`: of interventions. `ran` (may be NULL) is called after each piece
 * with the number of positions that it computed. The session's cancel is called between pieces. */
xt_status prefixes_run(PrefixPool *pool, EditValues values,
                       xt_status (*ran)(void *user, size_t positions, xt_error *error), void *user,
                       xt_error *error);

#endif
