/* SPDX-License-Identifier: Apache-2.0 */
/* Values of texts, and selections, in tables that are added to a store when they are first needed.
 * A store can be read with or without them; builds that do not know them ignore them. */
#ifndef STORE_STORE_METRICS_H
#define STORE_STORE_METRICS_H

#include "store/store_parts.h"
#include "xtransplant/metrics.h"

/* An item to be measured. */
typedef struct MetricItem {
  int64_t question; /* conditional only, else 0 */
  int64_t text;     /* number of the text */
  char *words;      /* owned; NULL: the text was never decoded */
  size_t length;
  int32_t *ids; /* of the response, owned */
  size_t count;
  int32_t *prompt; /* of the question's target prompt, owned; conditional only */
  size_t prompt_count;
} MetricItem;

typedef struct MetricItems {
  MetricItem *items;
  size_t count, capacity;
} MetricItems;

/* Makes the tables if they are missing. The store must be open for writing. */
xt_status metrics_make_tables(xt_store *store, xt_error *error);
/* Whether the store has these tables. */
static inline bool metrics_exist(const xt_store *store) {
  return store->schema.has[TABLE_TEXT_METRICS] && store->schema.has[TABLE_PAIR_METRICS] &&
         store->schema.has[TABLE_SELECTIONS];
}

/* Checks a value by its name; names that are not known may have any. */
void metrics_check(Columns *columns, const char *name, int column);

/* Reads up to `most` items that have no value of the metric, beginning after *after (0: from the
 * start), and advances *after. */
xt_status metrics_next(xt_store *store, xt_metric metric, size_t most, int64_t *after,
                       MetricItems *out, xt_error *error);
void metrics_clear(MetricItems *items);
void metrics_free(MetricItems *items);

/* The mean negative log-probability of a perplexity; NaN: the text has nothing to score, which is
 * stored too. */
xt_status metrics_add_number(xt_store *store, xt_metric metric, const MetricItem *item,
                             double value, xt_error *error);
xt_status metrics_add_language(xt_store *store, const MetricItem *item, const char *lang,
                               double probability, xt_error *error);

/* Binds the store to an identification file: an XT_STATUS_ARGUMENT error if its languages come from
 * another file. */
xt_status metrics_claim_langid(xt_store *store, const char *hash, xt_error *error);

#endif
