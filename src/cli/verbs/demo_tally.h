/* SPDX-License-Identifier: Apache-2.0 */
/* The results of the demo as tables and in words, from the analysis of its results file. */
#ifndef CLI_VERBS_DEMO_TALLY_H
#define CLI_VERBS_DEMO_TALLY_H

#include "shell/cli.h"
#include "xtransplant/analysis.h"

/* Whether a site of this name transplants only a module's output. The others (block, attn-released)
 * transplant the whole residual stream, which at late layers contains the source prompt's answer. */
bool tally_is_one_module(const char *site);

typedef struct TallyWords {
  const char *title;       /* from where to where */
  const char *source_name; /* of a column: "English prompt" */
  const char *asking;      /* begins a sentence: "Asking in English" */
} TallyWords;

/* Prints the tables of one direction's questions to stdout, then a summary in words. The headline
 * sites are those of one module, or all sites if there are none of these; a control is no site here,
 * but is compared with its own. */
void tally_print(const xt_group *group, const TallyWords *words);

#endif
