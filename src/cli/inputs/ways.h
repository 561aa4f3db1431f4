/* SPDX-License-Identifier: Apache-2.0 */
/* How and where values are written: the options --rule, --alpha, --span and --positions, of which each
 * combination is a way (xt_job_options.variants). */
#ifndef CLI_INPUTS_WAYS_H
#define CLI_INPUTS_WAYS_H

#include "shell/cli.h"

typedef struct Ways {
  const char *rules, *alphas, *positions, *heads; /* as given: lists with commas */
  int span;
  /* once they are read */
  xt_site at[SITE_LIST_MAX]; /* without taps and controls */
  size_t count;
} Ways;

/* clang-format off */
#define OPTIONS_WAYS(Arguments, member) \
  {.name = "rule", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.rules), .value = "LIST", .preset = "replace", \
   .help = "how the value v changes what is there, x: replace (to v), add (to x + A v) or blend (to (1 - A) x + A v); with several, separated by commas, each is run"}, \
  {.name = "alpha", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.alphas), .value = "LIST", .preset = "1", \
   .help = "the factors A of add and blend, separated by commas; each is run"}, \
  {.name = "span", .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, member.span), .value = "W", .low = 1, .high = XT_SPAN_MOST, .preset = "1", \
   .help = "write W layers: those from the source layer on into those from the target layer on, up to the last layer"}, \
  {.name = "positions", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.positions), .value = "LIST", .preset = "last", \
   .help = "the tokens of the target at which the value is written: last (the prompt's last token), all (every token, also generated ones) or generated " \
           "(the generated tokens alone); with several, separated by commas, each is run"}, \
  {.name = "heads", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.heads), .value = "LIST", \
   .help = "of the site attn, read and write only these attention heads (0,3,8-11): their slices of what enters the output projection"}
/* clang-format on */

/* Reads the lists: EXIT_OK, or EXIT_USAGE after saying what is wrong. */
int ways_read(const Cli *cli, Ways *ways);
/* Whether they say nothing: a value replaces, at one layer and the last token. */
bool ways_are_default(const Ways *ways);

#endif
