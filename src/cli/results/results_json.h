/* SPDX-License-Identifier: Apache-2.0 */
/* The summary of a store in the shape of lm-evaluation-harness' results file. */
#ifndef CLI_RESULTS_RESULTS_JSON_H
#define CLI_RESULTS_RESULTS_JSON_H

#include "shell/cli.h"

/* {"results": {"xnli": {"acc,none", "acc_stderr,none", ..}, "xnli/attn": .., "xnli/attn/sw": ..},
 * "n-samples", "config", "versions", "git_hash"}. The file appears whole or not at all. */
xt_status results_json_write(xt_store *store, const char *path, xt_error *error);

#endif
