/* SPDX-License-Identifier: Apache-2.0 */
/* One transplant and the two runs it is compared with, as `run` and `lens` do it. */
#ifndef CLI_VERBS_TRANSPLANT_H
#define CLI_VERBS_TRANSPLANT_H

#include "inputs/words.h"
#include "results/response.h"

extern const char *const rule_names[];

typedef struct TransplantArguments {
  PromptInput source, target; /* ids and keep_newline, and a line where they have none, come from
                                 the next two rows */
  int line;
  bool ids, keep_newline;
  ChatArguments chat;
  xt_site site;
  int source_layer, target_layer; /* as parsed: may be LAYER_FIRST, LAYER_LAST */
  int rule;
  double alpha;
  int max_new_tokens;
  double penalty;
  const char *track;
} TransplantArguments;

/* clang-format off */
#define OPTIONS_TRANSPLANT(Arguments, member, needed) \
  {.name = "source", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.source.text), \
   .value = "TEXT", .help = "the prompt that the activation is read from"}, \
  {.name = "source-file", .letter = 'a', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.source.file), \
   .value = "FILE", .help = "the file with that prompt; - is stdin"}, \
  {.name = "target", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.target.text), \
   .value = "TEXT", .help = "the prompt that the activation is written into"}, \
  {.name = "target-file", .letter = 'b', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.target.file), \
   .value = "FILE", .help = "the file with that prompt; - is stdin"}, \
  {.name = "site", .letter = 's', .type = OPTION_SITE, .field = OPTION_FIELD(Arguments, xt_site, member.site), \
   .value = "SITE", .required = needed, .help = "attn, ffn, block, attn-released, or READ:WRITE with each of a, m, f, o"}, \
  {.name = "source-layer", .letter = 'i', .type = OPTION_LAYER, .field = OPTION_FIELD(Arguments, int, member.source_layer), \
   .value = "I", .required = needed, .help = "the source layer, which is read: 0 to N-1, first or last"}, \
  {.name = "target-layer", .letter = 'j', .type = OPTION_LAYER, .field = OPTION_FIELD(Arguments, int, member.target_layer), \
   .value = "J", .required = needed, .help = "the target layer, which is written: 0 to N-1, first or last"}, \
  {.name = "rule", .type = OPTION_ENUM, .field = OPTION_FIELD(Arguments, int, member.rule), .value = "RULE", \
   .choices = rule_names, .preset = "replace", .help = "how the source's value v changes the target's value x: to v, to x + A v, or to (1 - A) x + A v"}, \
  {.name = "alpha", .type = OPTION_REAL, .field = OPTION_FIELD(Arguments, double, member.alpha), .value = "A", \
   .low = -1e6, .high = 1e6, .preset = "1", .help = "the factor A of the rules add and blend"}, \
  OPTION_LINE(Arguments, member.line, "line", LINE_HELP), \
  OPTION_LINE(Arguments, member.source.line, "source-line", "like --line, for the source file only"), \
  OPTION_LINE(Arguments, member.target.line, "target-line", "like --line, for the target file only"), \
  OPTION_KEEP_NEWLINE(Arguments, member.keep_newline), \
  OPTION_IDS(Arguments, member.ids), \
  OPTIONS_CHAT(Arguments, member.chat), \
  OPTION_NO_SPECIAL(Arguments, member.chat.no_special), \
  OPTION_MAX_NEW_TOKENS(Arguments, member.max_new_tokens), \
  OPTION_PENALTY(Arguments, member.penalty)
/* clang-format on */

/* Everything about the transplant but the model. */
typedef struct Transplant {
  Prompt source_prompt, target_prompt;
  int source_layer, target_layer;
  Response source, vanilla, transplanted; /* source: what the source prompt alone gives */
  /* words whose first tokens are tracked, and these tokens: [2 * words.count], with a space and
   * without; -1: none. Their numbers are those of the tokens in order */
  WordList words;
  int32_t *word_ids;
} Transplant;

/* EXIT_OK, or EXIT_USAGE after saying which options contradict each other. */
int transplant_usage(const Cli *cli, const TransplantArguments *arguments);
/* Reads both prompts. */
xt_status transplant_read(const TransplantArguments *arguments, Transplant *out, xt_error *error);
/* Encodes and checks them, and the layers, against a described model. */
xt_status transplant_check(const TransplantArguments *arguments, const LoadedModel *model,
                           Transplant *transplant, xt_error *error);
/* Fills in the three responses. */
xt_status transplant_run(const TransplantArguments *arguments, const LoadedModel *model, bool lens,
                         Transplant *transplant, xt_error *error);
void transplant_deinit(Transplant *transplant);

/* Adds "site", "source_layer", "target_layer", "rule", "alpha" and "changed". */
bool transplant_json(const TransplantArguments *arguments, const Transplant *transplant,
                     json_t *object);
/* First generated token in which the transplanted response differs from the untouched one, or
 * -1. */
long transplant_first_change(const Transplant *transplant);
/* What each prompt's last token is, a line each on stderr. */
xt_status transplant_note_last(bool quiet, const Transplant *transplant, xt_error *error);
/* Two lines that show the prompts, one that names the transplant. */
void transplant_print_head(const TransplantArguments *arguments, const Transplant *transplant);
/* The last line: whether it changed anything. */
void transplant_print_verdict(const Transplant *transplant);

#endif
