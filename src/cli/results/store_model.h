/* SPDX-License-Identifier: Apache-2.0 */
/* A results file and the model that made it, as verbs that add to finished results need them. */
#ifndef CLI_RESULTS_STORE_MODEL_H
#define CLI_RESULTS_STORE_MODEL_H

#include "shell/cli.h"

/* Row of an option table: as OPTION_MODEL, for verbs that can do without. */
/* clang-format off */
#define OPTION_MODEL_OPTIONAL(Arguments, member, text) \
  {.name = "model", .letter = 'm', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.model), \
   .value = "PATH", .help = text}
/* clang-format on */

/* That the store's responses are of this described model, in the type that it would compute in.
 * Fills `hash`. */
xt_status store_check_model(xt_store *store, const ModelArguments *arguments,
                            const LoadedModel *model, char hash[XT_MODEL_HASH_SIZE],
                            xt_error *error);
/* xt_store_begin under the store's own settings, for a loaded model. */
xt_status store_begin_model(xt_store *store, const ModelArguments *arguments,
                            const LoadedModel *model, const char *hash, const char *verb,
                            xt_error *error);

/* Says who keeps the store from being written to, while somebody does. After a signal it waits half
 * a minute at most. */
void store_report_waiting(xt_store *store, bool quiet);
/* Says what is missing of what the store's sweeps set out to do, a line each. */
void cli_coverage(bool quiet, const xt_coverage *coverage);
xt_status store_note_coverage(xt_store *store, bool quiet, xt_error *error);
/* xt_coverage_json's, as a value; NULL when memory ran out. */
json_t *coverage_value(const xt_coverage *coverage);

#endif
