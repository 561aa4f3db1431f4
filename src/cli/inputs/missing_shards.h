/* SPDX-License-Identifier: Apache-2.0 */
/* Which shards of its sweeps a results file has nothing of. */
#ifndef CLI_INPUTS_MISSING_SHARDS_H
#define CLI_INPUTS_MISSING_SHARDS_H

#include "shell/cli.h"

/* One object for each sweep of which only some shards began, as the runs' records say:
 * {"questions": "XNLI_sample", "of": 8, "shards": "2,5-7"}; "" for questions that came from no file.
 * `questions`: how many the results file has. Caller frees the array. */
xt_status missing_shards_find(xt_store *store, int64_t questions, json_t **out, xt_error *error);
/* Says the same on stderr, in one line each. */
void missing_shards_note(bool quiet, const json_t *missing);

#endif
