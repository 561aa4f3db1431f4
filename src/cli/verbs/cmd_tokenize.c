/* SPDX-License-Identifier: Apache-2.0 */
/* tokenize and detokenize: streams of text to streams of ids, and back. */
#include <stdlib.h>
#include <string.h>

#include "inputs/lines.h"
#include "inputs/prompt.h"
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  const char *tokenizer;
  bool jsonl, skip_special;
  ChatArguments chat;
} Arguments;

/* clang-format off */
#define OPTION_TOKENIZER \
  {.name = "tokenizer", .letter = 't', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, tokenizer), \
   .value = "DIR", .required = true, .help = "a model, in any form that -m of other verbs accepts, or a directory with tokenizer files only"}
/* clang-format on */

static const Option tokenize_options[] = {
    OPTION_TOKENIZER,
    OPTION_NO_SPECIAL(Arguments, chat.no_special),
    OPTIONS_CHAT(Arguments, chat),
    {.name = "jsonl",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, jsonl),
     .help = "read a JSON string per line and print a JSON array per line"},
};

static const Option detokenize_options[] = {
    OPTION_TOKENIZER,
    {.name = "skip-special",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, skip_special),
     .help = "leave special tokens out of the text"},
};

/* Written without JSON values, because building them costs more than tokenizing for large
 * inputs. */
static void print_ids(const int32_t *ids, size_t count) {
  putchar('[');
  for (size_t i = 0; i < count; i++) printf(i ? ", %d" : "%d", (int)ids[i]);
  fputs("]\n", stdout);
}

static void name_input(xt_error *error, size_t line) {
  char field[32];
  snprintf(error->file, sizeof error->file, "stdin");
  if (line) snprintf(error->field, sizeof error->field, "%s", line_field(line, field));
}

static xt_status tokenize_text(const xt_tokenizer *tokenizer, const Arguments *arguments,
                               const char *text, size_t length, size_t line, xt_error *error) {
  int32_t *ids;
  size_t count;
  bool doubled;
  const xt_status status =
      chat_encode(tokenizer, &arguments->chat, text, length, &ids, &count, &doubled, error);
  if (status) {
    if (arguments->chat.chat && !error->file[0])
      snprintf(error->file, sizeof error->file, "%s", arguments->tokenizer);
    else if (!error->file[0])
      name_input(error, line);
    return status;
  }
  if (doubled && line <= 1) cli_note(false, "warning: " DOUBLED_BOS, "the text");
  print_ids(ids, count);
  free(ids);
  return XT_STATUS_OK;
}

static xt_status tokenize_line(const xt_tokenizer *tokenizer, const Arguments *arguments,
                               const LineReader *reader, xt_error *error) {
  char field[32];
  json_t *string;
  xt_status status = cli_json_parse(reader->text, reader->length, reader->name,
                                    line_field(reader->number, field), &string, error);
  if (status) return status;
  if (!json_is_string(string)) {
    status = error_set(error, XT_STATUS_INPUT, reader->name, field, -1, "not a JSON string");
  } else {
    status = tokenize_text(tokenizer, arguments, json_string_value(string),
                           json_string_length(string), reader->number, error);
  }
  json_decref(string);
  return status;
}

/* Hugging Face's decode leaves out ids that are not tokens; here such an id more likely belongs to
 * another model. */
static xt_status check_ids(const xt_tokenizer *tokenizer, const int32_t *ids, size_t count,
                           const char *name, const char *field, xt_error *error) {
  const int32_t size = xt_tokenizer_vocab_size(tokenizer);
  for (size_t i = 0; i < count; i++) {
    if (ids[i] >= size)
      return error_set(error, XT_STATUS_INPUT, name, field, -1,
                       "item %zu of the array is %d: the vocabulary has %d ids, 0 to %d", i,
                       (int)ids[i], (int)size, (int)size - 1);
    if (!xt_tokenizer_has_id(tokenizer, ids[i]))
      return error_set(
          error, XT_STATUS_INPUT, name, field, -1,
          "item %zu of the array is %d, which is not the id of a token in this vocabulary of %d "
          "ids",
          i, (int)ids[i], (int)size);
  }
  return XT_STATUS_OK;
}

static xt_status detokenize_line(const xt_tokenizer *tokenizer, const Arguments *arguments,
                                 const LineReader *reader, xt_error *error) {
  char field[32], *text = NULL;
  int32_t *ids = NULL;
  size_t count, length;
  xt_status status = ids_parse(reader->text, reader->length, reader->name,
                               line_field(reader->number, field), &ids, &count, error);
  if (status) return status;
  status = check_ids(tokenizer, ids, count, reader->name, field, error);
  if (!status)
    status =
        xt_tokenizer_decode(tokenizer, ids, count, arguments->skip_special, &text, &length, error);
  if (!status) status = json_print(json_text(text, length), error);
  free(text);
  free(ids);
  return status;
}

typedef xt_status LineWork(const xt_tokenizer *, const Arguments *, const LineReader *, xt_error *);

/* A closed pipe ends the loop early; main reports it. */
static xt_status each_line(const xt_tokenizer *tokenizer, const Arguments *arguments,
                           LineWork *work, xt_error *error) {
  LineReader reader;
  xt_status status = lines_open("-", &reader, error);
  if (status) return status;
  for (bool more = true; !status && !ferror(stdout);) {
    status = lines_next(&reader, &more, error);
    if (status || !more) break;
    if (!reader.text[strspn(reader.text, " \t\r\v\f")]) continue; /* a blank line */
    status = work(tokenizer, arguments, &reader, error);
  }
  lines_close(&reader);
  return status;
}

static xt_status open_tokenizer(const Arguments *arguments, xt_tokenizer **out, xt_error *error) {
  char *path;
  xt_status status = model_locate(arguments->tokenizer, &path, error);
  if (status) return status;
  status = xt_tokenizer_open(path, out, error);
  free(path);
  return status;
}

static int run_tokenize(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  xt_tokenizer *tokenizer = NULL;
  xt_error error;
  char *text = NULL;
  size_t length;
  const int wrong = chat_usage(cli, &arguments->chat);
  if (wrong) return wrong;
  xt_status status = open_tokenizer(arguments, &tokenizer, &error);
  if (!status && arguments->jsonl) {
    status = each_line(tokenizer, arguments, tokenize_line, &error);
  } else if (!status) {
    status = read_whole("-", &text, &length, &error);
    if (!status) status = tokenize_text(tokenizer, arguments, text, length, 0, &error);
  }
  free(text);
  xt_tokenizer_close(tokenizer);
  return cli_exit(cli, status, &error);
}

static int run_detokenize(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  xt_tokenizer *tokenizer = NULL;
  xt_error error;
  xt_status status = open_tokenizer(arguments, &tokenizer, &error);
  if (!status) status = each_line(tokenizer, arguments, detokenize_line, &error);
  xt_tokenizer_close(tokenizer);
  return cli_exit(cli, status, &error);
}

const Verb verb_tokenize = {
    .name = "tokenize",
    .summary = "convert text on stdin to token ids",
    .about = "Reads UTF-8 text from stdin and prints the token ids of the model's own tokenizer "
             "as a JSON array. The whole input is one text, including its last newline but not a "
             "byte order mark; with --jsonl every line is a separate text. With --chat the text "
             "is first put into the model's chat template.",
    .example =
        "echo '\"Habari ya dunia\"' | xtransplant tokenize --tokenizer Llama-2-7b-chat-hf --jsonl",
    OPTION_TABLE(tokenize_options),
    .arguments_size = sizeof(Arguments),
    .run = run_tokenize,
};

const Verb verb_detokenize = {
    .name = "detokenize",
    .summary = "convert token ids on stdin to text",
    .about = "Reads a JSON array of token ids per line from stdin and prints the text of each as "
             "a JSON string per line. Spaces are not cleaned up. Bytes that are not UTF-8 become "
             "U+FFFD. An id that is not in the vocabulary is an error.",
    .example = "echo '[1, 15043, 3186]' | xtransplant detokenize --tokenizer Llama-2-7b-chat-hf "
               "--skip-special",
    OPTION_TABLE(detokenize_options),
    .arguments_size = sizeof(Arguments),
    .run = run_detokenize,
};
