/* SPDX-License-Identifier: Apache-2.0 */
/* The chat template: chat_template.jinja, or tokenizer_config.json's chat_template (a text, or a
 * list of named ones). */
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "text/jinja.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

xt_status tokenizer_set_chat(xt_tokenizer *t, const char *text, size_t length, const char *file,
                             const char *field, xt_error *error) {
  free(t->chat.text);
  free(t->chat.file);
  t->chat.text = t->chat.file = NULL;
  t->chat.length = length;
  t->chat.field = field;
  TRY(mem_copy_text(&t->chat.text, text, length, error));
  return mem_copy_text(&t->chat.file, file, strlen(file), error);
}

xt_status tokenizer_set_chat_token(xt_tokenizer *t, const char *name, const char *text,
                                   size_t length, xt_error *error) {
  if (!t->chat.tokens) t->chat.tokens = json_object();
  json_t *value = json_stringn_nocheck(text, length);
  if (t->chat.tokens && value && !json_object_set(t->chat.tokens, name, value)) {
    json_decref(value);
    return XT_STATUS_OK;
  }
  json_decref(value);
  return err_memory(error, length);
}

/* The template named "default" of a list. */
static const json_t *default_of(const json_t *list) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *name = json_object_get(json_array_get(list, i), "name");
    if (json_is_string(name) && strcmp(json_string_value(name), "default") == 0)
      return json_object_get(json_array_get(list, i), "template");
  }
  return NULL;
}

xt_status tokenizer_read_chat(xt_tokenizer *t, const char *directory, const TokenizerConfig *config,
                              xt_error *error) {
  char *path = NULL;
  FileMap map;
  xt_status status;
  TRY(file_join(directory, "chat_template.jinja", &path, error));
  if (file_exists(path)) {
    TRY_DONE(file_read(path, FILE_SMALL, &map, error));
    status = tokenizer_set_chat(t, (const char *)map.data, map.size, path, NULL, error);
    file_map_close(&map);
    goto done;
  }
  const json_t *value = json_object_get(config->config, "chat_template"),
               *text = json_is_array(value) ? default_of(value) : value;
  status = XT_STATUS_OK;
  if (json_is_string(text))
    status = tokenizer_set_chat(t, json_string_value(text), json_string_length(text),
                                config->config_path, "chat_template", error);
  else if (value && !json_is_null(value))
    status = err_set(error, XT_STATUS_INPUT, config->config_path, "chat_template", -1,
                     json_is_array(value) ? "has no template with the name default"
                                          : "is %s, expected a text",
                     json_type_name(value));
done:
  free(path);
  return status;
}

void chat_free(ChatTemplate *chat) {
  free(chat->text);
  free(chat->file);
  json_decref(chat->tokens);
  *chat = (ChatTemplate){0};
}

static int add_message(json_t *messages, const char *role, const char *text, size_t length) {
  return json_array_append_new(messages, json_pack("{s:s, s:o}", "role", role, "content",
                                                   json_stringn_nocheck(text, length)));
}

/* The variables that Hugging Face's apply_chat_template gives to templates. NULL: memory ran out.
 */
static json_t *make_variables(const xt_tokenizer *t, const char *system, const char *prompt,
                              size_t length) {
  json_t *out = t->chat.tokens ? json_copy(t->chat.tokens) : json_object(),
         *messages = json_array();
  int failed = !out || !messages;
  if (!failed && system) failed = add_message(messages, "system", system, strlen(system));
  if (!failed) failed = add_message(messages, "user", prompt, length);
  if (!failed) failed = json_object_set(out, "messages", messages);
  if (!failed)
    failed = json_object_set_new(out, "tools", json_null()) ||
             json_object_set_new(out, "documents", json_null());
  if (!failed) failed = json_object_set_new(out, "add_generation_prompt", json_true());
  json_decref(messages);
  if (!failed) return out;
  json_decref(out);
  return NULL;
}

bool xt_tokenizer_has_chat(const xt_tokenizer *t) { return t->chat.text != NULL; }

xt_status xt_tokenizer_chat(const xt_tokenizer *t, const char *system, const char *prompt,
                            size_t length, int64_t now, char **text, size_t *text_length,
                            xt_error *error) {
  if (!text || !text_length)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "text", -1, "text or text_length is NULL");
  *text = NULL;
  *text_length = 0;
  if (!t) return err_set(error, XT_STATUS_ARGUMENT, NULL, "tokenizer", -1, "is NULL");
  if (!prompt && length) return err_set(error, XT_STATUS_ARGUMENT, NULL, "prompt", -1, "is NULL");
  if (!t->chat.text)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "the model has no chat template: neither chat_template.jinja nor chat_template "
                   "in tokenizer_config.json");
  size_t bad;
  const size_t valid = length ? utf8_valid_prefix(prompt, length, &bad) : 0;
  if (valid < length)
    return err_set(error, XT_STATUS_INPUT, NULL, NULL, (long long)valid,
                   "the text is not valid UTF-8");
  if (system && utf8_valid_prefix(system, strlen(system), &bad) < strlen(system))
    return err_set(error, XT_STATUS_INPUT, NULL, "system", -1, "the text is not valid UTF-8");
  json_t *variables = make_variables(t, system, prompt ? prompt : "", length);
  if (!variables) return err_memory(error, length);
  TextBuffer out = {0};
  xt_status status = jinja_render(t->chat.text, t->chat.length, variables, (time_t)now,
                                  t->chat.file, t->chat.field, &out, error);
  json_decref(variables);
  text_buffer_add(&out, "", 0); /* a NUL, so that the caller can take over the buffer */
  if (status == XT_STATUS_OK && out.failed) status = err_memory(error, out.size);
  if (status != XT_STATUS_OK) {
    text_buffer_free(&out);
    return status;
  }
  *text = out.data;
  *text_length = out.size;
  return XT_STATUS_OK;
}
