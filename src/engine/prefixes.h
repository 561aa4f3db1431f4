/* SPDX-License-Identifier: Apache-2.0 */
/* The inner positions of prompts, run once: equal ones are one prefix, and a prefix that begins as
 * the one before it begins with a copy of that one's keys and values. */
#ifndef ENGINE_PREFIXES_H
#define ENGINE_PREFIXES_H

#include "engine/rows.h"

/* What a prefix follows from. */
typedef struct PrefixKey {
  const int32_t *ids;
  size_t count;              /* positions: all of the prompt but its last token */
  const xt_request *request; /* whose interventions fall on some of them; NULL: there are none */
  int32_t first_value;       /* of its interventions' values among the pool's */
} PrefixKey;

/* Orders keys so that equal ones are neighbours, and each follows the one with which it shares
 * most. 0: the same prefix. */
int prefix_compare(const PrefixKey *a, const PrefixKey *b);

typedef struct Prefix {
  PrefixKey key;
  KvPrefix *kv; /* NULL: no positions, or not run yet */
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
/* Runs all of them. `values`: of interventions, [.., C]. `ran`, which may be NULL, is told after
 * each how many positions were computed. Asks the session's cancel between pieces. */
xt_status prefixes_run(PrefixPool *pool, Dev values,
                       xt_status (*ran)(void *user, size_t positions, xt_error *error), void *user,
                       xt_error *error);

#endif
