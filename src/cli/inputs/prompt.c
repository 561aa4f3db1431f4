/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "inputs/lines.h"
#include "shell/output.h"

const char *line_field(size_t number, char buffer[32]) {
  snprintf(buffer, 32, "line %zu", number);
  return buffer;
}

xt_status ids_parse(const char *text, size_t length, const char *name, const char *field,
                    int32_t **ids, size_t *count, xt_error *error) {
  json_t *array;
  xt_status status = cli_json_parse(text, length, name, field, &array, error);
  if (status) return status;
  *ids = NULL;
  *count = json_is_array(array) ? json_array_size(array) : 0;
  if (!json_is_array(array)) {
    status = error_set(error, XT_STATUS_INPUT, name, field, -1, "not a JSON array of token ids");
  } else if (!(*ids = malloc((*count + 1) * sizeof **ids))) {
    status = error_memory(error);
  }
  for (size_t i = 0; !status && i < *count; i++) {
    const json_t *item = json_array_get(array, i);
    const json_int_t value = json_integer_value(item);
    if (!json_is_integer(item) || value < 0 || value > INT32_MAX) {
      status = error_set(error, XT_STATUS_INPUT, name, field, -1,
                         "item %zu of the array is not a token id", i);
    } else {
      (*ids)[i] = (int32_t)value;
    }
  }
  if (status) {
    free(*ids);
    *ids = NULL;
  }
  json_decref(array);
  return status;
}

/* The string of a line: the line itself or the object's input_text. */
static xt_status read_json_text(Prompt *prompt, const char *line, size_t length, const char *field,
                                xt_error *error) {
  json_t *value;
  xt_status status = cli_json_parse(line, length, prompt->name, field, &value, error);
  if (status) return status;
  const json_t *string = json_is_object(value) ? json_object_get(value, "input_text") : value;
  if (!json_is_string(string)) {
    status = error_set(error, XT_STATUS_INPUT, prompt->name, field, -1,
                       "neither a JSON string nor an object with a string input_text");
  } else {
    prompt->length = json_string_length(string);
    prompt->text = malloc(prompt->length + 1);
    if (prompt->text)
      memcpy(prompt->text, json_string_value(string), prompt->length + 1);
    else
      status = error_memory(error);
  }
  json_decref(value);
  return status;
}

/* The prompt of the reader's line. */
static xt_status take_line(const LineReader *reader, bool ids, Prompt *out, xt_error *error) {
  char field[32];
  line_field(reader->number, field);
  return ids ? ids_parse(reader->text, reader->length, out->name, field, &out->ids, &out->count,
                         error)
             : read_json_text(out, reader->text, reader->length, field, error);
}

xt_status prompt_read_next(LineReader *reader, const PromptInput *input, Prompt *out, bool *more,
                           xt_error *error) {
  *out = (Prompt){.name = reader->name, .chat = input->chat};
  const xt_status status = lines_next(reader, more, error);
  return status || !*more ? status : take_line(reader, input->ids, out, error);
}

static xt_status read_line(const char *path, int line, bool ids, Prompt *out, xt_error *error) {
  LineReader reader;
  xt_status status = lines_open(path, &reader, error);
  if (status) return status;
  bool more = true;
  while (!status && more && reader.number < (size_t)line)
    status = lines_next(&reader, &more, error);
  if (!status && !more) {
    status = error_set(error, XT_STATUS_INPUT, out->name, NULL, -1,
                       "has no line %d; it has %zu "
                       "lines",
                       line, reader.number);
  } else if (!status) {
    status = take_line(&reader, ids, out, error);
  }
  lines_close(&reader);
  return status;
}

int prompt_usage(const Cli *cli, const PromptInput *input, const char *option) {
  const int wrong = chat_usage(cli, &input->chat);
  if (wrong) return wrong;
  if (input->ids && (input->chat.chat || input->chat.no_special))
    return cli_usage(cli, "--%s: cannot be combined with --ids, which uses the ids as they are",
                     input->chat.chat ? "chat" : "no-special");
  if (input->text && input->file)
    return cli_usage(cli, "--%s: cannot be combined with --%s-file", option, option);
  if (!input->text && !input->file)
    return cli_usage(cli, "--%s-file: missing; give it, or the prompt itself with --%s", option,
                     option);
  if (input->text && input->line)
    return cli_usage(cli, "--line: selects a line of a prompt file, and --%s is not a file",
                     option);
  return EXIT_OK;
}

/* Editors end a file's last line; that line end is rarely meant, and would be the token whose
 * activation is transplanted. */
static void drop_line_end(Prompt *prompt) {
  if (prompt->length && prompt->text[prompt->length - 1] == '\n')
    prompt->length--;
  else
    return;
  if (prompt->length && prompt->text[prompt->length - 1] == '\r') prompt->length--;
  prompt->text[prompt->length] = 0;
}

xt_status prompt_read(const PromptInput *input, Prompt *out, xt_error *error) {
  *out = (Prompt){.name = input->text ? "the prompt on the command line" : input_name(input->file),
                  .chat = input->chat};
  if (!input->text && input->line > 0)
    return read_line(input->file, input->line, input->ids, out, error);
  xt_status status = XT_STATUS_OK;
  if (input->text) {
    out->length = strlen(input->text);
    out->text = strdup(input->text);
    if (!out->text) return error_memory(error);
  } else {
    status = read_whole(input->file, &out->text, &out->length, error);
    if (!status && !input->keep_newline) drop_line_end(out);
  }
  if (status || !input->ids) return status;
  status = ids_parse(out->text, out->length, out->name, NULL, &out->ids, &out->count, error);
  free(out->text);
  out->text = NULL;
  return status;
}

xt_status prompt_encode(Prompt *prompt, const LoadedModel *model, int max_new_tokens,
                        xt_error *error) {
  if (prompt->text) {
    const xt_tokenizer *tokenizer = xt_model_tokenizer(model->model);
    if (!tokenizer) {
      return error_set(error, XT_STATUS_ARGUMENT, model->info.path, NULL, -1,
                       "the model has no tokenizer; give the prompt as token ids, with --ids");
    }
    bool doubled;
    const xt_status status = chat_encode(tokenizer, &prompt->chat, prompt->text, prompt->length,
                                         &prompt->ids, &prompt->count, &doubled, error);
    if (status && !error->file[0])
      snprintf(error->file, sizeof error->file, "%s",
               prompt->chat.chat ? model->info.path : prompt->name);
    if (status) return status;
    if (doubled) cli_note(false, "warning: " DOUBLED_BOS, prompt->name);
  }
  if (prompt->count == 0)
    return error_set(error, XT_STATUS_INPUT, prompt->name, NULL, -1, "the prompt has no tokens");
  /* the last new token is never run, so it needs no position */
  const size_t need = prompt->count + (size_t)(max_new_tokens > 1 ? max_new_tokens - 1 : 0);
  if (need > (size_t)model->info.max_positions) {
    return error_set(error, XT_STATUS_INPUT, prompt->name, NULL, -1,
                     "the prompt is too long: its %zu tokens and %d new ones need %zu positions; "
                     "the model has %d",
                     prompt->count, max_new_tokens, need, model->info.max_positions);
  }
  for (size_t i = 0; i < prompt->count; i++) {
    if (prompt->ids[i] < 0 || prompt->ids[i] >= model->info.vocab) {
      return error_set(error, XT_STATUS_INPUT, prompt->name, NULL, -1,
                       "token %zu is %d: the model's ids are 0 to %d", i, (int)prompt->ids[i],
                       model->info.vocab - 1);
    }
  }
  const xt_tokenizer *tokenizer = xt_model_tokenizer(model->model);
  if (!tokenizer) return XT_STATUS_OK;
  return xt_tokenizer_decode(tokenizer, prompt->ids + prompt->count - 1, 1, false,
                             &prompt->last_text, &prompt->last_length, error);
}

json_t *prompt_last_json(const Prompt *prompt) {
  json_t *object = json_object();
  bool ok = json_add(object, "id", json_integer(prompt->ids[prompt->count - 1]));
  ok = json_add(object, "text", json_text(prompt->last_text, prompt->last_length)) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

char *prompt_last_describe(const Prompt *prompt) {
  char *text = prompt->last_text ? text_escape(prompt->last_text, prompt->last_length) : NULL;
  if (prompt->last_text && !text) return NULL;
  const size_t size = (text ? strlen(text) : 0) + 20;
  char *out = malloc(size);
  if (out)
    snprintf(out, size, text ? "%d \"%s\"" : "%d", (int)prompt->ids[prompt->count - 1],
             text ? text : "");
  free(text);
  return out;
}

xt_status prompt_note_last(bool quiet, const char *label, const Prompt *prompt, xt_error *error) {
  char *last = prompt_last_describe(prompt);
  if (!last) return error_memory(error);
  cli_note(quiet, "%s: last token %s", label, last);
  free(last);
  return XT_STATUS_OK;
}

void prompt_deinit(Prompt *prompt) {
  free(prompt->text);
  free(prompt->ids);
  free(prompt->last_text);
  *prompt = (Prompt){0};
}
