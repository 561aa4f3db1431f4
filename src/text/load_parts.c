/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json: normaliser, pre-tokeniser, decoder, post-processor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

/* The expression that cuts words in OpenAI's GPT-2, and in ByteLevel with use_regex. */
#define GPT2_REGEX \
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* The punctuation of ASCII includes symbols. */
#define PUNCTUATION "[!-/:-@\\[-`{-~\\p{P}]"

/* What transformers 5 puts in place of the first pre-tokeniser if "fix_mistral_regex" is set. */
#define MISTRAL_REGEX                                                                              \
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"     \
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{" \
  "N}|"                                                                                            \
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static xt_status unsupported(const char *file, const char *field, const char *type,
                             xt_error *error) {
  return err_set(error, XT_STATUS_UNSUPPORTED, file, field, -1, "\"%.80s\" is not supported", type);
}

/* The "type" of a component, and the elements of a Sequence (NULL for others). */
static xt_status read_type(const json_t *object, const char *list_key, const char *file,
                           const char *field, const char **type, const json_t **list,
                           xt_error *error) {
  size_t length;
  *list = NULL;
  if (!json_is_object(object))
    return err_set(error, XT_STATUS_INPUT, file, field, -1, "is %s, expected an object",
                   json_type_name(object));
  TRY(tokenizer_member_text(object, "type", file, field, type, &length, error));
  if (strcmp(*type, "Sequence") != 0) return XT_STATUS_OK;
  *list = json_object_get(object, list_key);
  if (!json_is_array(*list))
    return err_set(error, XT_STATUS_INPUT, file, field, -1, "its %s is %s, expected an array",
                   list_key, json_type_name(*list));
  return XT_STATUS_OK;
}

static xt_status copy_member(const json_t *object, const char *key, const char *file,
                             const char *field, char **out, size_t *length, xt_error *error) {
  const char *text;
  TRY(tokenizer_member_text(object, key, file, field, &text, length, error));
  return mem_copy_text(out, text, *length, error);
}

/* A member that is one character. */
static xt_status read_character(const json_t *object, const char *key, const char *file,
                                const char *field, uint32_t *out, xt_error *error) {
  const char *text;
  size_t length, at = 0;
  TRY(tokenizer_member_text(object, key, file, field, &text, &length, error));
  if (length) *out = utf8_next(text, &at);
  if (!length || at != length)
    return err_set(error, XT_STATUS_INPUT, file, field, -1,
                   "its %s is \"%.40s\", expected one character", key, text);
  return XT_STATUS_OK;
}

xt_status tokenizer_read_pattern(Pattern *out, const json_t *object, const char *file,
                                 const char *field, xt_error *error) {
  const json_t *pattern = json_object_get(object, "pattern");
  const json_t *literal = json_object_get(pattern, "String"),
               *regex = json_object_get(pattern, "Regex");
  if (json_is_string(pattern)) literal = pattern; /* early files */
  if (json_is_string(literal))
    return pattern_literal(out, json_string_value(literal), json_string_length(literal), error);
  if (json_is_string(regex))
    return pattern_regex(out, json_string_value(regex), json_string_length(regex), file, field,
                         error);
  return err_set(error, XT_STATUS_INPUT, file, field, -1,
                 "has no pattern of the form {\"String\": ...} or {\"Regex\": ...}");
}

/* ---- normaliser ------------------------------------------------------------------------------ */

static xt_status read_normalize_step(const json_t *object, const char *type, const char *file,
                                     NormalizeStep *step, xt_error *error) {
  static const struct {
    const char *name;
    NormalizeKind kind;
  } kinds[] = {{"NFC", NORMALIZE_NFC},
               {"NFD", NORMALIZE_NFD},
               {"NFKC", NORMALIZE_NFKC},
               {"NFKD", NORMALIZE_NFKD},
               {"Lowercase", NORMALIZE_LOWERCASE},
               {"Strip", NORMALIZE_STRIP},
               {"StripAccents", NORMALIZE_STRIP_ACCENTS},
               {"Prepend", NORMALIZE_PREPEND},
               {"Replace", NORMALIZE_REPLACE},
               {"Precompiled", NORMALIZE_CHARSMAP},
               {"ByteLevel", NORMALIZE_BYTE_LEVEL}};
  const char *field = "normalizer";
  size_t i = 0;
  while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i].name, type) != 0) i++;
  if (i == sizeof kinds / sizeof *kinds) return unsupported(file, "normalizer.type", type, error);
  step->kind = kinds[i].kind;
  if (step->kind == NORMALIZE_STRIP) {
    step->left = step->right = true;
    TRY(json_get_bool(object, "strip_left", &step->left, file, error));
    TRY(json_get_bool(object, "strip_right", &step->right, file, error));
  } else if (step->kind == NORMALIZE_PREPEND) {
    TRY(copy_member(object, "prepend", file, field, &step->text, &step->length, error));
  } else if (step->kind == NORMALIZE_REPLACE) {
    TRY(copy_member(object, "content", file, field, &step->text, &step->length, error));
    TRY(tokenizer_read_pattern(&step->pattern, object, file, "normalizer.pattern", error));
  } else if (step->kind == NORMALIZE_CHARSMAP) {
    const char *map;
    size_t length;
    TRY(tokenizer_member_text(object, "precompiled_charsmap", file, field, &map, &length, error));
    TRY(charsmap_read(&step->map, map, length, file, "normalizer.precompiled_charsmap", error));
  }
  return XT_STATUS_OK;
}

xt_status normalizer_add_replacement(Normalizer *out, const char *regex, const char *text,
                                     xt_error *error) {
  NormalizeStep step = {.kind = NORMALIZE_REPLACE, .length = strlen(text)};
  TRY(mem_copy_text(&step.text, text, step.length, error));
  const xt_status status = pattern_regex(&step.pattern, regex, strlen(regex), NULL, NULL, error);
  if (status == XT_STATUS_OK) return normalizer_add(out, &step, error);
  free(step.text);
  return status;
}

/* SentencePiece's nmt rules: control characters are removed, and other white space becomes a space.
 */
static xt_status add_nmt(Normalizer *out, xt_error *error) {
  TRY(normalizer_add_replacement(out, "[\\x01-\\x08\\x0b\\x0e-\\x1f\\x7f\\u008f\\u009f]", "",
                                 error));
  return normalizer_add_replacement(
      out, "[\\t\\n\\f\\r\\u1680\\u200b-\\u200f\\u2028\\u2029\\u2581\\ufeff\\ufffd]", " ", error);
}

xt_status tokenizer_read_normalizer(Normalizer *out, const json_t *object, const char *file,
                                    xt_error *error) {
  const char *type;
  const json_t *list;
  if (!object || json_is_null(object)) return XT_STATUS_OK;
  TRY(read_type(object, "normalizers", file, "normalizer", &type, &list, error));
  for (size_t i = 0; list && i < json_array_size(list); i++)
    TRY(tokenizer_read_normalizer(out, json_array_get(list, i), file, error));
  if (list) return XT_STATUS_OK;
  if (strcmp(type, "Nmt") == 0) return add_nmt(out, error);
  NormalizeStep step = {0};
  const xt_status status = read_normalize_step(object, type, file, &step, error);
  if (status == XT_STATUS_OK) return normalizer_add(out, &step, error);
  pattern_free(&step.pattern);
  free(step.text);
  return status;
}

/* ---- pre-tokeniser --------------------------------------------------------------------------- */

static xt_status add_split(PreTokenizer *pre, const char *regex, SplitBehavior behavior,
                           bool invert, xt_error *error) {
  PreStep step = {.kind = PRE_SPLIT, .behavior = behavior, .invert = invert};
  TRY(pattern_regex(&step.pattern, regex, strlen(regex), NULL, NULL, error));
  return pretokenizer_add(pre, &step, error);
}

xt_status pretokenizer_add_gpt2(PreTokenizer *pre, xt_error *error) {
  return add_split(pre, GPT2_REGEX, SPLIT_ISOLATED, false, error);
}

xt_status pretokenizer_add_split(PreTokenizer *pre, const char *regex, xt_error *error) {
  return add_split(pre, regex, SPLIT_ISOLATED, false, error);
}

xt_status pretokenizer_add_metaspace(PreTokenizer *pre, const char *mark, PrependScheme scheme,
                                     bool split, xt_error *error) {
  PreStep step = {.kind = PRE_METASPACE, .scheme = scheme};
  snprintf(step.mark, sizeof step.mark, "%s", mark);
  TRY(pretokenizer_add(pre, &step, error));
  if (!split) return XT_STATUS_OK;
  step = (PreStep){.kind = PRE_SPLIT, .behavior = SPLIT_MERGED_WITH_NEXT};
  TRY(pattern_literal(&step.pattern, mark, strlen(mark), error));
  return pretokenizer_add(pre, &step, error);
}

static xt_status read_scheme(const json_t *object, const char *file, const char *field,
                             PrependScheme *scheme, xt_error *error) {
  const char *text = "always";
  bool prefix = true; /* the key of older files, which have no schemes */
  TRY(json_get_bool(object, "add_prefix_space", &prefix, file, error));
  if (!prefix) text = "never";
  TRY(json_get_text(object, "prepend_scheme", &text, file, error));
  if (strcmp(text, "first") == 0)
    *scheme = PREPEND_FIRST;
  else if (strcmp(text, "always") == 0)
    *scheme = PREPEND_ALWAYS;
  else if (strcmp(text, "never") == 0)
    *scheme = PREPEND_NEVER;
  else
    return err_set(error, XT_STATUS_INPUT, file, field, -1,
                   "prepend_scheme is \"%.40s\", expected first, always or never", text);
  return XT_STATUS_OK;
}

static xt_status read_metaspace(PreTokenizer *out, const json_t *object, const char *file,
                                xt_error *error) {
  uint32_t mark;
  char text[5] = {0};
  bool split = true;
  PrependScheme scheme;
  TRY(read_character(object, "replacement", file, "pre_tokenizer", &mark, error));
  TRY(read_scheme(object, file, "pre_tokenizer", &scheme, error));
  TRY(json_get_bool(object, "split", &split, file, error));
  utf8_put(mark, text);
  return pretokenizer_add_metaspace(out, text, scheme, split, error);
}

/* An absent behaviour is the given default. */
static xt_status read_behavior(const json_t *object, const char *file, SplitBehavior *out,
                               xt_error *error) {
  static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                      "Contiguous"};
  const char *behavior = names[*out];
  size_t i = 0;
  TRY(json_get_text(object, "behavior", &behavior, file, error));
  while (i < 5 && strcmp(names[i], behavior) != 0) i++;
  if (i == 5)
    return err_set(error, XT_STATUS_INPUT, file, "pre_tokenizer.behavior", -1,
                   "\"%.40s\" is not known", behavior);
  *out = (SplitBehavior)i;
  return XT_STATUS_OK;
}

static xt_status read_split(PreTokenizer *out, const json_t *object, const char *file,
                            xt_error *error) {
  PreStep step = {.kind = PRE_SPLIT};
  const char *behavior;
  size_t length;
  TRY(tokenizer_member_text(object, "behavior", file, "pre_tokenizer", &behavior, &length, error));
  TRY(read_behavior(object, file, &step.behavior, error));
  TRY(json_get_bool(object, "invert", &step.invert, file, error));
  TRY(tokenizer_read_pattern(&step.pattern, object, file, "pre_tokenizer.pattern", error));
  return pretokenizer_add(out, &step, error);
}

static xt_status read_delimiter(PreTokenizer *out, const json_t *object, const char *file,
                                xt_error *error) {
  PreStep step = {.kind = PRE_SPLIT, .behavior = SPLIT_REMOVED};
  uint32_t character;
  char text[5] = {0};
  TRY(read_character(object, "delimiter", file, "pre_tokenizer", &character, error));
  TRY(pattern_literal(&step.pattern, text, utf8_put(character, text), error));
  return pretokenizer_add(out, &step, error);
}

static xt_status read_byte_level(PreTokenizer *out, const json_t *object, const bool *prefix_space,
                                 const char *file, xt_error *error) {
  bool prefix = true, regex = true;
  TRY(json_get_bool(object, "add_prefix_space", &prefix, file, error));
  TRY(json_get_bool(object, "use_regex", &regex, file, error));
  if (prefix_space) prefix = *prefix_space;
  if (prefix) TRY(pretokenizer_add(out, &(PreStep){.kind = PRE_PREFIX_SPACE}, error));
  if (regex) TRY(pretokenizer_add_gpt2(out, error));
  out->bytes = true;
  return XT_STATUS_OK;
}

/* `prefix_space`: what tokenizer_config.json says, which takes precedence over an outermost
 * ByteLevel; or NULL. */
static xt_status read_pre(PreTokenizer *out, const json_t *object, const bool *prefix_space,
                          const char *file, xt_error *error) {
  const char *type;
  const json_t *list;
  if (!object || json_is_null(object)) return XT_STATUS_OK;
  TRY(read_type(object, "pretokenizers", file, "pre_tokenizer", &type, &list, error));
  for (size_t i = 0; list && i < json_array_size(list); i++)
    TRY(read_pre(out, json_array_get(list, i), NULL, file, error));
  if (list) return XT_STATUS_OK;
  if (out->bytes) { /* a component after ByteLevel sees its letters */
    TRY(pretokenizer_add(out, &(PreStep){.kind = PRE_LETTERS}, error));
    out->bytes = false;
  }
  if (strcmp(type, "ByteLevel") == 0)
    return read_byte_level(out, object, prefix_space, file, error);
  if (strcmp(type, "Metaspace") == 0) return read_metaspace(out, object, file, error);
  if (strcmp(type, "Split") == 0) return read_split(out, object, file, error);
  /* Rust's \w, which has the joiners too. */
  if (strcmp(type, "Whitespace") == 0)
    return add_split(out, "[\\w\\u200c\\u200d]+|[^\\w\\u200c\\u200d\\s]+", SPLIT_REMOVED, true,
                     error);
  if (strcmp(type, "WhitespaceSplit") == 0)
    return add_split(out, "\\s", SPLIT_REMOVED, false, error);
  if (strcmp(type, "Digits") == 0) {
    bool individual = false;
    TRY(json_get_bool(object, "individual_digits", &individual, file, error));
    return add_split(out, "\\p{N}", individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS, false, error);
  }
  if (strcmp(type, "Punctuation") == 0) {
    SplitBehavior behavior = SPLIT_ISOLATED;
    TRY(read_behavior(object, file, &behavior, error));
    return add_split(out, PUNCTUATION, behavior, false, error);
  }
  if (strcmp(type, "BertPreTokenizer") == 0) {
    TRY(add_split(out, "\\s", SPLIT_REMOVED, false, error));
    return add_split(out, PUNCTUATION, SPLIT_ISOLATED, false, error);
  }
  if (strcmp(type, "CharDelimiterSplit") == 0) return read_delimiter(out, object, file, error);
  if (strcmp(type, "FixedLength") == 0) {
    int64_t length = 5;
    char regex[48];
    TRY(json_get_int(object, "length", 1, 65535, &length, file, error));
    snprintf(regex, sizeof regex, "(?m:.){1,%d}", (int)length);
    return add_split(out, regex, SPLIT_ISOLATED, false, error);
  }
  return unsupported(file, "pre_tokenizer.type", type, error);
}

xt_status tokenizer_read_pretokenizer(PreTokenizer *out, const json_t *object,
                                      const TokenizerConfig *config, const char *file,
                                      xt_error *error) {
  const json_t *list = json_object_get(object, "pretokenizers");
  if (config->fix_mistral_regex) {
    if (!json_is_array(list))
      return err_set(error, XT_STATUS_UNSUPPORTED, file, "pre_tokenizer", -1,
                     "is not a Sequence, and fix_mistral_regex replaces the first element of a "
                     "Sequence");
    TRY(add_split(out, MISTRAL_REGEX, SPLIT_ISOLATED, false, error));
    for (size_t i = 1; i < json_array_size(list); i++)
      TRY(read_pre(out, json_array_get(list, i), NULL, file, error));
    return XT_STATUS_OK;
  }
  return read_pre(out, object, config->config ? &config->add_prefix_space : NULL, file, error);
}

/* ---- decoder --------------------------------------------------------------------------------- */

static xt_status read_decode_step(const json_t *object, const char *type, const char *file,
                                  DecodeStep *step, xt_error *error) {
  const char *field = "decoder";
  if (strcmp(type, "ByteLevel") == 0) {
    step->kind = DECODE_BYTE_LEVEL;
  } else if (strcmp(type, "ByteFallback") == 0) {
    step->kind = DECODE_BYTE_FALLBACK;
  } else if (strcmp(type, "Fuse") == 0) {
    step->kind = DECODE_FUSE;
  } else if (strcmp(type, "Replace") == 0) {
    step->kind = DECODE_REPLACE;
    TRY(copy_member(object, "content", file, field, &step->text, &step->length, error));
    TRY(tokenizer_read_pattern(&step->pattern, object, file, "decoder.pattern", error));
  } else if (strcmp(type, "Strip") == 0) {
    int64_t start = 0, stop = 0;
    step->kind = DECODE_STRIP;
    TRY(read_character(object, "content", file, field, &step->character, error));
    TRY(json_get_int(object, "start", 0, INT32_MAX, &start, file, error));
    TRY(json_get_int(object, "stop", 0, INT32_MAX, &stop, file, error));
    step->left = (uint32_t)start;
    step->right = (uint32_t)stop;
  } else if (strcmp(type, "Metaspace") == 0) {
    PrependScheme scheme;
    step->kind = DECODE_METASPACE;
    TRY(read_character(object, "replacement", file, field, &step->character, error));
    TRY(read_scheme(object, file, field, &scheme, error));
    step->drop_first = scheme != PREPEND_NEVER;
  } else {
    return unsupported(file, "decoder.type", type, error);
  }
  return XT_STATUS_OK;
}

static xt_status read_decode(Decoder *out, const json_t *object, const char *file,
                             xt_error *error) {
  const char *type;
  const json_t *list;
  TRY(read_type(object, "decoders", file, "decoder", &type, &list, error));
  for (size_t i = 0; list && i < json_array_size(list); i++)
    TRY(read_decode(out, json_array_get(list, i), file, error));
  if (list) return XT_STATUS_OK;
  DecodeStep step = {0};
  const xt_status status = read_decode_step(object, type, file, &step, error);
  if (status == XT_STATUS_OK) return decoder_add(out, &step, error);
  pattern_free(&step.pattern);
  free(step.text);
  return status;
}

xt_status tokenizer_read_decoder(Decoder *out, const json_t *object, const char *file,
                                 xt_error *error) {
  out->spaced = !object || json_is_null(object);
  return out->spaced ? XT_STATUS_OK : read_decode(out, object, file, error);
}

/* ---- post-processor -------------------------------------------------------------------------- */

static xt_status add_template_ids(IdList *list, const json_t *specials, const char *name,
                                  const char *file, xt_error *error) {
  const json_t *ids = json_object_get(json_object_get(specials, name), "ids");
  if (!json_is_array(ids))
    return err_set(error, XT_STATUS_INPUT, file, "post_processor.special_tokens", -1,
                   "has no ids for \"%.80s\"", name);
  for (size_t i = 0; i < json_array_size(ids); i++) {
    const json_t *id = json_array_get(ids, i);
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= VOCAB_IDS_MAX)
      return err_set(error, XT_STATUS_INPUT, file, "post_processor.special_tokens", -1,
                     "an id of \"%.80s\" is not one", name);
    TRY(id_list_add(list, (int32_t)json_integer_value(id), error));
  }
  return XT_STATUS_OK;
}

static xt_status read_template(xt_tokenizer *out, const json_t *object, const char *file,
                               xt_error *error) {
  const json_t *single = json_object_get(object, "single");
  bool after = false;
  if (!json_is_array(single))
    return err_set(error, XT_STATUS_INPUT, file, "post_processor.single", -1,
                   "is %s, expected an array", json_type_name(single));
  for (size_t i = 0; i < json_array_size(single); i++) {
    const json_t *piece = json_array_get(single, i),
                 *special = json_object_get(piece, "SpecialToken");
    const char *name;
    size_t length;
    if (json_object_get(piece, "Sequence")) {
      if (after)
        return err_set(error, XT_STATUS_UNSUPPORTED, file, "post_processor.single", -1,
                       "repeats the text");
      after = true;
      continue;
    }
    TRY(tokenizer_member_text(special, "id", file, "post_processor.single", &name, &length, error));
    TRY(add_template_ids(after ? &out->suffix : &out->prefix,
                         json_object_get(object, "special_tokens"), name, file, error));
  }
  if (!after)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, "post_processor.single", -1,
                   "leaves the text out");
  return XT_STATUS_OK;
}

/* Bert's and Roberta's: [cls] text [sep], each written as ["token", id]. */
static xt_status read_cls_sep(xt_tokenizer *out, const json_t *object, const char *file,
                              xt_error *error) {
  for (int i = 0; i < 2; i++) {
    const char *key = i ? "sep" : "cls";
    const json_t *id = json_array_get(json_object_get(object, key), 1);
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= VOCAB_IDS_MAX)
      return err_set(error, XT_STATUS_INPUT, file, "post_processor", -1,
                     "its %s is not a token and its id", key);
    TRY(id_list_add(i ? &out->suffix : &out->prefix, (int32_t)json_integer_value(id), error));
  }
  return XT_STATUS_OK;
}

xt_status tokenizer_read_postprocessor(xt_tokenizer *out, const json_t *object, const char *file,
                                       xt_error *error) {
  const char *type;
  const json_t *list;
  if (!object || json_is_null(object)) return XT_STATUS_OK;
  TRY(read_type(object, "processors", file, "post_processor", &type, &list, error));
  for (size_t i = 0; list && i < json_array_size(list); i++)
    TRY(tokenizer_read_postprocessor(out, json_array_get(list, i), file, error));
  /* ByteLevel changes offsets only */
  if (list || strcmp(type, "ByteLevel") == 0) return XT_STATUS_OK;
  if (out->prefix.size || out->suffix.size)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, "post_processor", -1,
                   "adds special tokens twice");
  if (strcmp(type, "TemplateProcessing") == 0) return read_template(out, object, file, error);
  if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
    return read_cls_sep(out, object, file, error);
  return unsupported(file, "post_processor.type", type, error);
}
