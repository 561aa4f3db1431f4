/* SPDX-License-Identifier: Apache-2.0 */
/* What sweeps were to run, and how much of it is present. */
#ifndef STORE_STORE_PLANS_H
#define STORE_STORE_PLANS_H

#include "store/store_parts.h"

/* A question's key as bytes, which plans store. */
#define STORE_DIGEST_BYTES ((STORE_KEY_SIZE - 1) / 2)

/* A key's digits as bytes. */
void store_key_digest(const char *key, uint8_t out[STORE_DIGEST_BYTES]);

/* One plan. Borrowed for the call. `questions`: [question_count][STORE_DIGEST_BYTES]. */
typedef struct StoredPlan {
  const char *task, *lang, *source_lang;
  bool cot;
  size_t dataset, too_long, question_count, source_layer_count, target_layer_count, site_count;
  const uint8_t *questions;
  const int *source_layers, *target_layers;
  const char *const *sites;
} StoredPlan;
/* Calls `plan`, if it is not NULL, for each plan, in the order in which they were made. */
xt_status plans_read(xt_store *store,
                     xt_status (*plan)(void *user, const StoredPlan *plan, xt_error *error),
                     void *user, xt_error *error);

/* One question, and its responses other than transplants. Borrowed for the call. */
typedef struct StoredQuestion {
  int64_t number;
  uint8_t digest[STORE_DIGEST_BYTES];
  const char *task, *lang, *source_lang, *id;
  bool gold, vanilla, vanilla_decoded, source; /* whether they are present; decoded: as text */
} StoredQuestion;
/* In order of number. */
xt_status plans_read_questions(xt_store *store,
                               xt_status (*question)(void *user, const StoredQuestion *question,
                                                     xt_error *error),
                               void *user, xt_error *error);

/* The responses of one question at one site ("vanilla", "source" among them), and those of them
 * that were measured. */
typedef struct StoredCount {
  int64_t question;
  const char *site;
  uint64_t present, standalone, conditional, language;
} StoredCount;
/* Questions in order of number. */
xt_status plans_count_responses(xt_store *store,
                                xt_status (*count)(void *user, const StoredCount *count,
                                                   xt_error *error),
                                void *user, xt_error *error);

#endif
