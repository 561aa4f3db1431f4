/* SPDX-License-Identifier: Apache-2.0 */
/* What `select` prints of a strategy's choices. */
#ifndef CLI_VERBS_SELECTION_ROW_H
#define CLI_VERBS_SELECTION_ROW_H

#include "shell/cli.h"

/* The names of the columns. */
void selection_row_heading(void);
/* A line of figures, and below it what the choices gain. */
void selection_row_print(const xt_selection_row *row);
/* The same as one JSON object. */
xt_status selection_row_json(const xt_selection_row *row, xt_error *error);

#endif
