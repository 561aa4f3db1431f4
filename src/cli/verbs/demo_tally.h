/* SPDX-License-Identifier: Apache-2.0 */
/* The results of the demo: which system answered which question, as tables and in words. */
#ifndef CLI_VERBS_DEMO_TALLY_H
#define CLI_VERBS_DEMO_TALLY_H

#include "shell/cli.h"

#define TALLY_LANGUAGES 32
#define TALLY_SITES 4

/* One direction's questions. Arrays over questions, in the results file's order. */
typedef struct Tally {
  const char *const *site_names; /* [sites] */
  int sites, layers;
  size_t count, capacity;
  char (*ids)[64];
  int *lang;              /* index in `langs` */
  bool *source, *vanilla; /* right: the source prompt by itself, the target prompt untouched */
  bool *control;          /* [question][site]: right with another question's source prompt, first
                             layer into first */
  bool has_control;
  bool *right; /* [question][site][source layer][target layer] */
  char langs[TALLY_LANGUAGES][16];
  int lang_count;
} Tally;

/* Room for questions of `task` in the store, read with every response. */
xt_status tally_read(Tally *tally, xt_store *store, const char *task, const char *const *site_names,
                     int sites, int layers, xt_error *error);
void tally_deinit(Tally *tally);
/* Index of a question, or -1. */
long tally_find(const Tally *tally, const char *id);

/* Whether the site transplants only a module's output. The others (block, attn-released) transplant
 * the whole residual stream, which at late layers contains the source prompt's answer; if only such
 * sites were run, all count. */
bool tally_is_headline(const Tally *tally, int site);

/* Reads the same questions' transplants from other questions' prompts, of the first layer into the
 * first. */
xt_status tally_read_control(Tally *tally, xt_store *store, const char *task, xt_error *error);

typedef struct TallyWords {
  const char *title;       /* from where to where */
  const char *source_name; /* of a column: "English prompt" */
  const char *asking;      /* begins a sentence: "Asking in English" */
} TallyWords;

/* Prints the direction's tables to stdout, then a summary in words. */
void tally_print(const Tally *tally, const TallyWords *words);

#endif
