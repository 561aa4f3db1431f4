/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts: from a file's text, from one of its JSON lines, or as token ids. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli.h"

typedef struct Prompt {
  const char *name; /* the file, as errors name it */
  char *text;       /* NULL when it was given as ids */
  size_t length;
  int32_t *ids;
  size_t count;
} Prompt;

/* Rows that say how prompt files are read. */
#define OPTION_IDS(Arguments, member)                                                                     \
  {.name = "ids", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member),                    \
   .help = "prompt files hold a JSON array of token ids; for models without a tokenizer"}
#define OPTION_LINE(Arguments, member, option, text)                                                      \
  {.name = option, .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, member), .value = "K", .low = 1, \
   .high = 1e9, .help = text}
#define LINE_HELP                                                                                         \
  "take line K (from 1) of a file of JSON lines: a string, or an object with input_text; left out: the whole file is the prompt"

/* The file's bytes are the prompt, all of them, a last newline too. With line > 0: that line of
 * it, a JSON string or an object with "input_text". With `ids`: the file (or line) is a JSON array
 * of ids. The caller frees with prompt_deinit. */
xt_status prompt_read(const char *path, int line, bool ids, Prompt *out, xt_error *error);

/* Fills in the ids, and checks that they are the model's and leave room for what may be generated. */
xt_status prompt_encode(Prompt *prompt, const LoadedModel *model, int max_new_tokens, xt_error *error);

void prompt_deinit(Prompt *prompt);

/* An array of ids within JSON text; `name` and `field` are for errors. Caller frees *ids. */
xt_status ids_parse(const char *text, size_t length, const char *name, const char *field, int32_t **ids, size_t *count,
                    xt_error *error);

/* "line 3" */
const char *line_field(size_t number, char buffer[32]);

#endif
