/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, one cmd_<verb>.c each. */
#ifndef CLI_VERBS_VERBS_H
#define CLI_VERBS_VERBS_H

#include "shell/cli.h"

extern const Verb verb_inspect, verb_tokenize, verb_detokenize, verb_generate, verb_run,
    verb_capture, verb_lens, verb_verify, verb_init_model, verb_bench, verb_sweep, verb_metrics,
    verb_select, verb_merge, verb_export, verb_score, verb_report, verb_pilotset, verb_train,
    verb_train_tokenizer, verb_demo, verb_devices, verb_baseline, verb_options;

#define OPTION_TABLE(table) .options = (table), .option_count = sizeof(table) / sizeof *(table)

#endif
