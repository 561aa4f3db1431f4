/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts: from the command line, from a file's text, from one of its JSON lines, or as token
 * ids. */
#ifndef CLI_INPUTS_PROMPT_H
#define CLI_INPUTS_PROMPT_H

#include "inputs/chat.h"
#include "inputs/lines.h"

/* Where a prompt is, as the options say it. */
typedef struct PromptInput {
  const char *text, *file; /* one of them; the other NULL */
  int line;                /* of the file, from 1; 0: the whole file is the prompt */
  bool ids, keep_newline;
  ChatArguments chat;
} PromptInput;

typedef struct Prompt {
  const char *name; /* the file or option, as errors name it */
  ChatArguments chat;
  char *text; /* NULL when it was given as ids */
  size_t length;
  int32_t *ids;
  size_t count;
  char *last_text; /* of the last token by itself; NULL when the model has no tokenizer */
  size_t last_length;
} Prompt;

/* Rows that say how prompt files are read. */
/* clang-format off */
#define OPTION_IDS(Arguments, member) \
  {.name = "ids", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member), \
   .help = "prompts are JSON arrays of token ids, as a model without a tokenizer needs"}
#define OPTION_LINE(Arguments, member, option, text) \
  {.name = option, .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, member), .value = "K", .low = 1, \
   .high = 1e9, .help = text}
/* clang-format on */
#define LINE_HELP                                                                                \
  "take line K (from 1) of a file of JSON lines, which are strings or objects with input_text; " \
  "without it, the whole file is the prompt"
/* clang-format off */
#define OPTION_KEEP_NEWLINE(Arguments, member) \
  {.name = "keep-newline", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member), \
   .help = "keep the line end at the end of a prompt file as part of the prompt"}
/* The rows of a verb with one prompt, which fill the PromptInput `member`. */
#define OPTION_PROMPT(Arguments, member) \
  {.name = "prompt", .letter = 'p', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.text), \
   .value = "TEXT", .help = "the prompt itself"}
#define OPTION_PROMPT_FILE(Arguments, member, text) \
  {.name = "prompt-file", .letter = 'f', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.file), \
   .value = "FILE", .help = text}
/* clang-format on */
#define PROMPT_FILE_HELP \
  "the file with the prompt; one line end at the file's end is removed; - is stdin"

/* EXIT_OK, or EXIT_USAGE after saying that neither or both of --OPTION and --OPTION-file were
 * given. */
int prompt_usage(const Cli *cli, const PromptInput *input, const char *option);

/* A file's text is the prompt, but for a byte order mark and one line end ("\n" or "\r\n") at its
 * end; `keep_newline` keeps that. With line > 0: that line of it, a JSON string or an object with
 * "input_text". With `ids`: the text, file or line is a JSON array of ids. The caller frees with
 * prompt_deinit. */
xt_status prompt_read(const PromptInput *input, Prompt *out, xt_error *error);

/* The next line of a file of JSON lines, read like `line` of prompt_read; *more is false at the end,
 * and *out empty. `input`: ids and chat. */
xt_status prompt_read_next(LineReader *reader, const PromptInput *input, Prompt *out, bool *more,
                           xt_error *error);

/* Fills in the ids, and checks that they are the model's and leave room for what may be
 * generated. */
xt_status prompt_encode(Prompt *prompt, const LoadedModel *model, int max_new_tokens,
                        xt_error *error);

void prompt_deinit(Prompt *prompt);

/* The last token, whose activation is the one taken or replaced: {"id": 13, "text": "\n"}. NULL
 * when memory runs out. */
json_t *prompt_last_json(const Prompt *prompt);
/* The same for people: 13 "\n". The caller frees; NULL when memory runs out. */
char *prompt_last_describe(const Prompt *prompt);
/* "LABEL: last token 13 "\n"", on stderr unless `quiet`. */
xt_status prompt_note_last(bool quiet, const char *label, const Prompt *prompt, xt_error *error);

/* An array of ids within JSON text; `name` and `field` are for errors. Caller frees *ids. */
xt_status ids_parse(const char *text, size_t length, const char *name, const char *field,
                    int32_t **ids, size_t *count, xt_error *error);

/* "line 3" */
const char *line_field(size_t number, char buffer[32]);

#endif
