/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_config.json, special_tokens_map.json, added_tokens.json and, for the class only,
 * config.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "text/tokenizer_parts.h"

/* In the order in which Hugging Face adds them. */
static const char *const special_keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                           "pad_token", "cls_token", "mask_token"};
enum {
  KEY_BOS,
  KEY_EOS,
  KEY_UNK,
  KEY_SEP,
  KEY_PAD,
  KEYS = sizeof special_keys / sizeof *special_keys
};

/* ---- reading --------------------------------------------------------------------------------- */

static xt_status read_object(const char *directory, const char *name, char **path, json_t **out,
                             xt_error *error) {
  TRY(file_join(directory, name, path, error));
  if (!file_exists(*path)) return XT_STATUS_OK;
  TRY(json_parse_file(*path, out, error));
  if (json_is_object(*out)) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_INPUT, *path, NULL, -1, "is %s, expected an object",
                 json_type_name(*out));
}

static TokenizerClass class_of_name(const char *name) {
  char plain[64];
  snprintf(plain, sizeof plain, "%s", name);
  const size_t length = strlen(plain);
  if (length > 4 && strcmp(plain + length - 4, "Fast") == 0) plain[length - 4] = 0;
  if (strcmp(plain, "LlamaTokenizer") == 0) return TOKENIZER_CLASS_LLAMA;
  if (strcmp(plain, "Qwen2Tokenizer") == 0) return TOKENIZER_CLASS_QWEN2;
  if (strcmp(plain, "GPT2Tokenizer") == 0) return TOKENIZER_CLASS_GPT2;
  return TOKENIZER_CLASS_GENERIC;
}

static TokenizerClass class_of_model(const char *type) {
  static const struct {
    const char *type;
    TokenizerClass class;
  } models[] = {{"llama", TOKENIZER_CLASS_LLAMA},     {"mistral", TOKENIZER_CLASS_LLAMA},
                {"mixtral", TOKENIZER_CLASS_LLAMA},   {"qwen2", TOKENIZER_CLASS_QWEN2},
                {"qwen2_moe", TOKENIZER_CLASS_QWEN2}, {"qwen3", TOKENIZER_CLASS_QWEN2},
                {"gpt2", TOKENIZER_CLASS_GPT2}};
  for (size_t i = 0; i < sizeof models / sizeof *models; i++)
    if (strcmp(type, models[i].type) == 0) return models[i].class;
  return TOKENIZER_CLASS_UNKNOWN;
}

/* The class by name, from tokenizer_config.json or config.json, or by config.json's kind of
 * model. */
static xt_status read_class(const char *directory, TokenizerConfig *c, xt_error *error) {
  const char *name = NULL, *model = NULL;
  char *path = NULL;
  json_t *config = NULL;
  xt_status status;
  TRY_DONE(json_get_text(c->config, "tokenizer_class", &name, c->config_path, error));
  if (!name) {
    TRY_DONE(read_object(directory, "config.json", &path, &config, error));
    TRY_DONE(json_get_text(config, "tokenizer_class", &name, path, error));
    TRY_DONE(json_get_text(config, "model_type", &model, path, error));
  }
  if (name) snprintf(c->class_name, sizeof c->class_name, "%s", name);
  c->class = name ? class_of_name(name) : model ? class_of_model(model) : TOKENIZER_CLASS_UNKNOWN;
done:
  free(path);
  json_decref(config);
  return status;
}

/* The flag has an effect on models of Mistral that an older transformers saved, as in transformers
 * 5.23. */
static xt_status read_mistral_flag(const char *directory, TokenizerConfig *c, xt_error *error) {
  static const char *const types[] = {"mistral", "mistral3", "voxtral", "ministral", "pixtral"};
  const char *type = NULL, *version = NULL;
  bool wanted = false;
  char *path = NULL;
  json_t *config = NULL;
  xt_status status;
  TRY(json_get_bool(c->config, "fix_mistral_regex", &wanted, c->config_path, error));
  if (!wanted) return XT_STATUS_OK;
  TRY_DONE(read_object(directory, "config.json", &path, &config, error));
  TRY_DONE(json_get_text(config, "model_type", &type, path, error));
  TRY_DONE(json_get_text(config, "transformers_version", &version, path, error));
  const bool older = !version || strtol(version, NULL, 10) < 5;
  c->fix_mistral_regex = config && older && !type;
  for (size_t i = 0; i < sizeof types / sizeof *types && config && older && type; i++)
    c->fix_mistral_regex = c->fix_mistral_regex || strcmp(type, types[i]) == 0;
done:
  free(path);
  json_decref(config);
  return status;
}

xt_status tokenizer_config_read(const char *directory, TokenizerConfig *c, xt_error *error) {
  *c = (TokenizerConfig){.legacy = true};
  TRY(read_object(directory, "tokenizer_config.json", &c->config_path, &c->config, error));
  TRY(read_object(directory, "special_tokens_map.json", &c->map_path, &c->map, error));
  TRY(read_object(directory, "added_tokens.json", &c->added_path, &c->added, error));
  TRY(read_class(directory, c, error));
  TRY(read_mistral_flag(directory, c, error));
  c->add_bos = c->class == TOKENIZER_CLASS_LLAMA;
  TRY(json_get_bool(c->config, "add_bos_token", &c->add_bos, c->config_path, error));
  TRY(json_get_bool(c->config, "add_eos_token", &c->add_eos, c->config_path, error));
  TRY(json_get_bool(c->config, "legacy", &c->legacy, c->config_path, error));
  TRY(json_get_bool(c->config, "add_prefix_space", &c->add_prefix_space, c->config_path, error));
  return json_get_bool(c->config, "split_special_tokens", &c->split_special, c->config_path, error);
}

void tokenizer_config_free(TokenizerConfig *c) {
  free(c->config_path);
  free(c->map_path);
  free(c->added_path);
  json_decref(c->config);
  json_decref(c->map);
  json_decref(c->added);
  *c = (TokenizerConfig){0};
}

/* ---- special tokens -------------------------------------------------------------------------- */

/* A special token as a file describes it. text NULL: none. */
typedef struct Special {
  const char *text;
  size_t length;
  const json_t *flags; /* the object it was written as, or NULL for a plain string */
  bool from_map;       /* special_tokens_map.json: special unless it says otherwise */
  const char *file;
} Special;

static xt_status special_of_value(const json_t *value, const char *key, const char *file,
                                  bool from_map, Special *out, xt_error *error) {
  *out = (Special){.from_map = from_map, .file = file};
  if (json_is_object(value)) {
    out->flags = value;
    return tokenizer_member_text(value, "content", file, key, &out->text, &out->length, error);
  }
  if (json_is_string(value)) {
    out->text = json_string_value(value);
    out->length = json_string_length(value);
  } else if (value && !json_is_null(value) && !json_is_false(value)) {
    return err_set(error, XT_STATUS_INPUT, file, key, -1, "is %s, expected a string or an object",
                   json_type_name(value));
  }
  return XT_STATUS_OK;
}

static const char *default_special(TokenizerClass class, int key) {
  static const char *const llama[] = {"<s>", "</s>", "<unk>"};
  if (class == TOKENIZER_CLASS_LLAMA && key <= KEY_UNK) return llama[key];
  if (class == TOKENIZER_CLASS_QWEN2 && (key == KEY_EOS || key == KEY_UNK || key == KEY_PAD))
    return "<|endoftext|>";
  if (class == TOKENIZER_CLASS_GPT2 && key <= KEY_UNK) return "<|endoftext|>";
  return NULL;
}

/* With added_tokens_decoder in tokenizer_config.json, the map is not read. */
static const json_t *map_of(const TokenizerConfig *c) {
  return json_object_get(c->config, "added_tokens_decoder") ? NULL : c->map;
}

static xt_status find_special(const TokenizerConfig *c, int key, Special *out, xt_error *error) {
  const json_t *value = json_object_get(map_of(c), special_keys[key]);
  if (value) return special_of_value(value, special_keys[key], c->map_path, true, out, error);
  value = json_object_get(c->config, special_keys[key]);
  if (value) return special_of_value(value, special_keys[key], c->config_path, false, out, error);
  const char *text = default_special(c->class, key);
  *out = (Special){.text = text, .length = text ? strlen(text) : 0};
  return XT_STATUS_OK;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static xt_status read_flags(const json_t *object, const char *file, AddedToken *token,
                            xt_error *error) {
  TRY(json_get_bool(object, "special", &token->special, file, error));
  token->normalized = !token->special;
  TRY(json_get_bool(object, "normalized", &token->normalized, file, error));
  TRY(json_get_bool(object, "lstrip", &token->lstrip, file, error));
  TRY(json_get_bool(object, "rstrip", &token->rstrip, file, error));
  return json_get_bool(object, "single_word", &token->single_word, file, error);
}

/* A plain string that already is an added token stays as it is. An object has its own flags, unless
 * `kept` says that the list of added tokens has described it. */
static xt_status put_special(xt_tokenizer *t, const Special *special, bool kept, xt_error *error) {
  if (!special->text) return XT_STATUS_OK;
  const AddedToken *old = added_find(&t->added, special->text, special->length);
  if (old && (!special->flags || kept)) return XT_STATUS_OK;
  AddedToken token = {.length = special->length, .special = special->from_map};
  if (special->flags) TRY(read_flags(special->flags, special->file, &token, error));
  token.special = true;
  token.text = (char *)(uintptr_t)special->text;
  return added_put(&t->added, &t->bpe.vocab, token, error);
}

/* One line of added_tokens_decoder or added_tokens.json. */
typedef struct Listed {
  long long id;
  const char *text;
  size_t length;
  const json_t *flags; /* or NULL */
} Listed;

static int by_id(const void *a, const void *b) {
  const long long x = ((const Listed *)a)->id, y = ((const Listed *)b)->id;
  return (x > y) - (x < y);
}

static xt_status read_listed(void *at, bool decoder, const char *file, Listed *out,
                             xt_error *error) {
  const char *key = json_object_iter_key(at);
  const json_t *value = json_object_iter_value(at);
  char *end;
  if (!decoder) { /* "text": id */
    *out = (Listed){json_integer_value(value), key, json_object_iter_key_len(at), NULL};
    if (json_is_integer(value) && out->id >= 0 && out->id < VOCAB_IDS_MAX) return XT_STATUS_OK;
    return err_set(error, XT_STATUS_INPUT, file, key, -1, "expected an id from 0 to %d",
                   VOCAB_IDS_MAX - 1);
  }
  out->id = strtoll(key, &end, 10);
  out->flags = value;
  if (end == key || *end || out->id < 0 || out->id >= VOCAB_IDS_MAX)
    return err_set(error, XT_STATUS_INPUT, file, "added_tokens_decoder", -1,
                   "\"%.40s\" is not an id", key);
  if (!json_is_object(value))
    return err_set(error, XT_STATUS_INPUT, file, "added_tokens_decoder", -1,
                   "%s is %s, expected an object", key, json_type_name(value));
  return tokenizer_member_text(value, "content", file, "added_tokens_decoder", &out->text,
                               &out->length, error);
}

/* The texts of all special tokens, sorted. */
typedef struct SpecialTexts {
  Special *list;
  size_t count;
} SpecialTexts;

static int by_text(const void *a, const void *b) {
  const Special *x = a, *y = b;
  const int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
  return order ? order : (x->length > y->length) - (x->length < y->length);
}

static xt_status collect_specials(const TokenizerConfig *c, SpecialTexts *out, xt_error *error) {
  const json_t *const lists[] = {json_object_get(map_of(c), "additional_special_tokens"),
                                 json_object_get(c->config, "additional_special_tokens")};
  TRY(MEM_ALLOC(&out->list, KEYS + json_array_size(lists[0]) + json_array_size(lists[1]), error));
  for (int key = 0; key < KEYS; key++) {
    TRY(find_special(c, key, &out->list[out->count], error));
    out->count += out->list[out->count].text != NULL;
  }
  for (size_t i = 0; i < 2; i++)
    for (size_t k = 0; k < json_array_size(lists[i]); k++) {
      TRY(special_of_value(json_array_get(lists[i], k), "additional_special_tokens", c->config_path,
                           false, &out->list[out->count], error));
      out->count += out->list[out->count].text != NULL;
    }
  qsort(out->list, out->count, sizeof *out->list, by_text);
  return XT_STATUS_OK;
}

static bool is_special(const SpecialTexts *specials, const Listed *listed) {
  const Special wanted = {.text = listed->text, .length = listed->length};
  return bsearch(&wanted, specials->list, specials->count, sizeof wanted, by_text) != NULL;
}

/* Every token of the list, in ascending order of ids. */
static xt_status put_list(const TokenizerConfig *c, xt_tokenizer *t, xt_error *error) {
  const json_t *decoder = json_object_get(c->config, "added_tokens_decoder");
  const json_t *object = decoder ? decoder : c->added;
  const char *file = decoder ? c->config_path : c->added_path;
  if (!object || json_is_null(object)) return XT_STATUS_OK;
  if (!json_is_object(object))
    return err_set(error, XT_STATUS_INPUT, file, "added_tokens_decoder", -1,
                   "is %s, expected an object", json_type_name(object));
  const size_t count = json_object_size(object);
  size_t n = 0;
  Listed *listed = NULL;
  SpecialTexts specials = {0};
  xt_status status;
  TRY_DONE(MEM_ALLOC(&listed, count, error));
  TRY_DONE(collect_specials(c, &specials, error));
  void *at = json_object_iter((json_t *)(uintptr_t)object);
  for (; at && n < count; at = json_object_iter_next((json_t *)(uintptr_t)object, at))
    TRY_DONE(read_listed(at, decoder != NULL, file, &listed[n++], error));
  qsort(listed, n, sizeof *listed, by_id);
  status = XT_STATUS_OK;
  for (size_t i = 0; i < n; i++) {
    AddedToken token = {.length = listed[i].length};
    const bool special = is_special(&specials, &listed[i]);
    /* tokenizer.json's own tokens come before added_tokens.json's with the same id. */
    if (!decoder && added_by_id(&t->added, (int32_t)listed[i].id) &&
        strcmp(t->source, "tokenizer.json") == 0)
      continue;
    token.special = !decoder && special;
    TRY_DONE(read_flags(listed[i].flags, file, &token, error));
    token.special = token.special || special;
    token.text = (char *)(uintptr_t)listed[i].text;
    TRY_DONE(added_put(&t->added, &t->bpe.vocab, token, error));
  }
done:
  free(listed);
  free(specials.list);
  return status;
}

static xt_status put_additional(const TokenizerConfig *c, xt_tokenizer *t, bool kept,
                                xt_error *error) {
  const json_t *const lists[] = {json_object_get(c->config, "additional_special_tokens"),
                                 json_object_get(map_of(c), "additional_special_tokens")};
  for (size_t i = 0; i < 2; i++)
    for (size_t k = 0; k < json_array_size(lists[i]); k++) {
      Special special;
      TRY(special_of_value(json_array_get(lists[i], k), "additional_special_tokens",
                           i ? c->map_path : c->config_path, i == 1, &special, error));
      TRY(put_special(t, &special, kept, error));
    }
  return XT_STATUS_OK;
}

/* Llama's class puts BOS and EOS around the text itself, whatever the tokenizer.json says. */
static xt_status set_bos_eos(const TokenizerConfig *c, xt_tokenizer *t, xt_error *error) {
  t->prefix.size = t->suffix.size = 0;
  for (int key = KEY_BOS; key <= KEY_EOS; key++) {
    if (!(key == KEY_BOS ? c->add_bos : c->add_eos)) continue;
    Special special;
    TRY(find_special(c, key, &special, error));
    const AddedToken *token =
        special.text ? added_find(&t->added, special.text, special.length) : NULL;
    if (!token)
      return err_set(error, XT_STATUS_INPUT, c->config_path, special_keys[key], -1,
                     "is missing, but add_%s is true", special_keys[key]);
    TRY(id_list_add(key == KEY_BOS ? &t->prefix : &t->suffix, token->id, error));
  }
  return XT_STATUS_OK;
}

/* A class that is guessed from the kind of model alone adds special tokens only if the vocabulary
 * has them: Llama 3 has no <s>, and its tokenizer.json is complete. */
static bool guess_fits(const TokenizerConfig *c, const xt_tokenizer *t) {
  if (c->class_name[0] || strcmp(t->source, "tokenizer.json") != 0) return true;
  for (int key = 0; key < KEYS; key++) {
    const char *text = default_special(c->class, key);
    if (text && !json_object_get(c->config, special_keys[key]) &&
        !json_object_get(c->map, special_keys[key]) && xt_tokenizer_token_id(t, text) < 0)
      return false;
  }
  return true;
}

xt_status tokenizer_config_apply(const TokenizerConfig *given, xt_tokenizer *t, xt_error *error) {
  TokenizerConfig config = *given;
  const TokenizerConfig *c = &config;
  if (!guess_fits(given, t)) config.class = TOKENIZER_CLASS_GENERIC;
  /* Nothing says which model this SentencePiece file belongs to, so the converter for Llama is
   * used. */
  if (c->class == TOKENIZER_CLASS_UNKNOWN && strcmp(t->source, "tokenizer.model") == 0) {
    config.class = TOKENIZER_CLASS_LLAMA;
    if (!json_object_get(c->config, "add_bos_token")) config.add_bos = true;
  }
  if (c->class == TOKENIZER_CLASS_UNKNOWN && strcmp(t->source, "vocab.json") == 0)
    config.class = TOKENIZER_CLASS_QWEN2;
  const bool json = strcmp(t->source, "tokenizer.json") == 0;
  const bool kept = json || json_object_get(c->config, "added_tokens_decoder") || c->added;
  t->added.ignore_special = c->split_special;
  TRY(put_list(c, t, error));
  for (int key = 0; key < KEYS; key++) {
    Special special;
    TRY(find_special(c, key, &special, error));
    TRY(put_special(t, &special, kept, error));
    if (special.text)
      TRY(tokenizer_set_chat_token(t, special_keys[key], special.text, special.length, error));
  }
  TRY(put_additional(c, t, kept, error));
  if (c->class == TOKENIZER_CLASS_LLAMA) return set_bos_eos(c, t, error);
  if (c->class == TOKENIZER_CLASS_GPT2 && !json && c->add_bos) return set_bos_eos(c, t, error);
  return XT_STATUS_OK;
}
