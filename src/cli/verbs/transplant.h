/* SPDX-License-Identifier: Apache-2.0 */
/* One transplant and the two runs it is compared with, as `run` and `lens` do it. */
#ifndef CLI_VERBS_TRANSPLANT_H
#define CLI_VERBS_TRANSPLANT_H

#include "inputs/words.h"
#include "inputs/plan_input.h"
#include "inputs/ways.h"
#include "results/response.h"

typedef struct TransplantArguments {
  PromptInput source, target; /* ids and keep_newline, and a line where they have none, come from
                                 the next two rows */
  int line;
  bool ids, keep_newline;
  ChatArguments chat;
  xt_site site;
  int source_layer, target_layer; /* as parsed: may be LAYER_FIRST, LAYER_LAST */
  Ways ways;                      /* each is a transplant */
  const char *vector;             /* in place of a source prompt; NULL: none */
  const char *sources;            /* the same: prompts whose values' mean is written */
  const char *pairs; /* in place of both prompts: lines of which `line` has them; NULL: none */
  const char *source_langs; /* with pairs: the mean over these languages is written */
  const char *plan;         /* in place of site, layers, ways and vector; NULL: none */
  int max_new_tokens;
  double penalty;
  const char *track;
} TransplantArguments;

/* clang-format off */
#define OPTIONS_TRANSPLANT(Arguments, member) \
  {.name = "source", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.source.text), \
   .value = "TEXT", .help = "the prompt that the activation is read from"}, \
  {.name = "source-file", .letter = 'a', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.source.file), \
   .value = "FILE", .help = "the file with that prompt; - is stdin"}, \
  {.name = "target", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.target.text), \
   .value = "TEXT", .help = "the prompt that the activation is written into"}, \
  {.name = "target-file", .letter = 'b', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.target.file), \
   .value = "FILE", .help = "the file with that prompt; - is stdin"}, \
  {.name = "site", .letter = 's', .type = OPTION_SITE, .field = OPTION_FIELD(Arguments, xt_site, member.site), \
   .value = "SITE", .help = "attn, ffn, block, attn-released, or READ:WRITE with each of a, m, f, o"}, \
  {.name = "source-layer", .letter = 'i', .type = OPTION_LAYER, .field = OPTION_FIELD(Arguments, int, member.source_layer), \
   .value = "I", .help = "the source layer, which is read: 0 to N-1, first or last"}, \
  {.name = "target-layer", .letter = 'j', .type = OPTION_LAYER, .field = OPTION_FIELD(Arguments, int, member.target_layer), \
   .value = "J", .help = "the target layer, which is written: 0 to N-1, first or last"}, \
  OPTIONS_WAYS(Arguments, member.ways), \
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
  /* words whose first tokens are tracked, and these tokens: [2 * words.count], with a space and
   * without; -1: none. Their numbers are those of the tokens in order */
  WordList words;
  int32_t *word_ids;
  VectorInput vector;                 /* if there is one; then there is no source */
  Plan plan;                          /* if there is one; each intervention is a transplant */
  float *mean;                        /* like a vector, of several sources: [layers][width] */
  Prompt langs[XT_SOURCE_LANGS_MOST]; /* the source prompt in the languages of --source-langs */
  size_t lang_count;
  xt_site langs_site;                   /* with lang_count: has `from` and `label` */
  Response source, vanilla;             /* source: what the source prompt alone gives */
  Response transplanted[SITE_LIST_MAX]; /* one for each transplant */
  size_t count;                         /* of these */
} Transplant;

/* Reads the ways. EXIT_OK, or EXIT_USAGE after saying which options contradict each other. */
int transplant_usage(const Cli *cli, TransplantArguments *arguments);
/* Whether there is a source prompt. */
bool transplant_has_source(const TransplantArguments *arguments);
/* Reads the prompts that there are, and the plan. */
xt_status transplant_read(const TransplantArguments *arguments, Transplant *out, xt_error *error);
/* Encodes and checks them, and the layers, against a described model. */
xt_status transplant_check(const Cli *cli, const TransplantArguments *arguments,
                           const LoadedModel *model, Transplant *transplant, xt_error *error);
/* Fills in the responses: two, or one without a source prompt, and one for each
 * transplant. */
xt_status transplant_run(const TransplantArguments *arguments, const LoadedModel *model, bool lens,
                         Transplant *transplant, xt_error *error);
void transplant_deinit(Transplant *transplant);

/* The site's name with the k-th way, as sweeps have it; with a plan, the intervention's. */
const char *transplant_name(const TransplantArguments *arguments, const Transplant *transplant,
                            size_t k, char name[XT_SITE_NAME_SIZE]);
/* Adds "rule", "alpha", "span", "positions" and "changed" of the k-th way; with a plan, "changed". */
bool transplant_way_json(const TransplantArguments *arguments, const Transplant *transplant,
                         size_t k, json_t *object);
/* Adds "site", "source_layer", "target_layer", and what transplant_way_json adds of the first way. */
bool transplant_json(const TransplantArguments *arguments, const Transplant *transplant,
                     json_t *object);
/* First generated token in which the k-th transplanted response differs from the untouched one, or
 * -1. */
long transplant_first_change(const Transplant *transplant, size_t k);
/* What each prompt's last token is, a line each on stderr. */
xt_status transplant_note_last(bool quiet, const Transplant *transplant, xt_error *error);
/* Two lines that show the prompts, one that names the transplant. */
void transplant_print_head(const TransplantArguments *arguments, const Transplant *transplant);
/* The last line: whether it changed anything. */
void transplant_print_verdict(const Transplant *transplant);

#endif
