/* tokenizer.json: the whole file, its model and its added tokens. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "text/tokenizer_parts.h"

static xt_status wrong(const json_t *value, const char *file, const char *field, const char *wanted, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, file, field, -1, "is %s, expected %s", json_type_name(value), wanted);
}

xt_status tokenizer_member_text(const json_t *object, const char *key, const char *file, const char *field,
                                const char **text, size_t *length, xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_string(value)) {
    char where[160];
    snprintf(where, sizeof where, "%s.%s", field, key);
    return wrong(value, file, where, "a string", error);
  }
  *text = json_string_value(value);
  *length = json_string_length(value);
  return XT_STATUS_OK;
}

xt_status tokenizer_add_vocab(Vocab *vocab, const json_t *object, const char *file, const char *field,
                              xt_error *error) {
  if (!json_is_object(object)) return wrong(object, file, field, "an object", error);
  void *at = json_object_iter((json_t *)(uintptr_t)object);
  for (; at; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
    const char *text = json_object_iter_key(at);
    const json_t *id = json_object_iter_value(at);
    char where[160];
    snprintf(where, sizeof where, "%s%s\"%.60s\"", field ? field : "", field ? "." : "", text);
    if (!json_is_integer(id)) return wrong(id, file, where, "an integer", error);
    const json_int_t number = json_integer_value(id);
    if (number < 0 || number >= VOCAB_IDS_MAX)
      return err_set(error, XT_STATUS_INPUT, file, where, -1, "is %lld, expected 0 to %d", (long long)number,
                     VOCAB_IDS_MAX - 1);
    VocabAdded added;
    TRY(vocab_add(vocab, text, json_object_iter_key_len(at), (int32_t)number, &added, error));
    if (added != VOCAB_NEW)
      return err_set(error, XT_STATUS_INPUT, file, where, -1, "is %lld, which another token has", (long long)number);
  }
  return XT_STATUS_OK;
}

/* ---- merges ---- */

typedef struct MergeText {
  const char *left, *right;
  size_t left_length, right_length;
} MergeText;

/* "a b" or ["a", "b"]; false when neither. */
static bool read_merge(const json_t *value, MergeText *out) {
  if (json_is_string(value)) {
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);
    const char *space = memchr(text, ' ', length);
    if (!space) return false;
    *out = (MergeText){text, space + 1, (size_t)(space - text), (size_t)(text + length - space) - 1};
    return memchr(out->right, ' ', out->right_length) == NULL;
  }
  const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
  if (json_array_size(value) != 2 || !json_is_string(left) || !json_is_string(right)) return false;
  *out = (MergeText){json_string_value(left), json_string_value(right), json_string_length(left),
                     json_string_length(right)};
  return true;
}

static xt_status add_merge(Bpe *bpe, const MergeText *m, uint32_t rank, TextBuffer *joined, const char *file,
                           xt_error *error) {
  joined->size = 0;
  text_buffer_add(joined, m->left, m->left_length);
  text_buffer_add(joined, m->right, m->right_length);
  if (joined->failed) return err_memory(error, m->left_length + m->right_length);
  const int32_t left = vocab_find(&bpe->vocab, m->left, m->left_length);
  const int32_t right = vocab_find(&bpe->vocab, m->right, m->right_length);
  const int32_t id = vocab_find(&bpe->vocab, joined->data, joined->size);
  if (left < 0 || right < 0 || id < 0) {
    char where[160];
    snprintf(where, sizeof where, "model.merges[%u]", rank);
    return err_set(error, XT_STATUS_INPUT, file, where, -1, "\"%.60s\" is not in the vocabulary",
                   left < 0 ? m->left : right < 0 ? m->right : joined->data);
  }
  return bpe_add_merge(bpe, left, right, id, rank, true, error);
}

static xt_status read_merges(Bpe *bpe, const json_t *merges, const char *file, xt_error *error) {
  if (!json_is_array(merges)) return wrong(merges, file, "model.merges", "an array", error);
  TextBuffer joined = {0};
  xt_status status = XT_STATUS_OK;
  uint32_t rank = 0;
  for (size_t i = 0; i < json_array_size(merges); i++) {
    const json_t *value = json_array_get(merges, i);
    MergeText merge = {0};
    if (json_is_string(value) && strncmp(json_string_value(value), "#version", 8) == 0) continue;
    if (!read_merge(value, &merge)) {
      char where[160];
      snprintf(where, sizeof where, "model.merges[%zu]", i);
      TRY_DONE(err_set(error, XT_STATUS_INPUT, file, where, -1, "expected two tokens: \"a b\" or [\"a\", \"b\"]"));
    }
    TRY_DONE(add_merge(bpe, &merge, rank++, &joined, file, error));
  }
done:
  text_buffer_free(&joined);
  return status;
}

/* ---- the model ---- */

static xt_status refuse_affix(const json_t *model, const char *key, const char *file, xt_error *error) {
  const char *text = "";
  TRY(json_get_text(model, key, &text, file, error));
  if (*text) return err_set(error, XT_STATUS_UNSUPPORTED, file, key, -1, "\"%s\": only an empty one is supported", text);
  return XT_STATUS_OK;
}

static xt_status read_model(Bpe *bpe, const json_t *model, const char *file, xt_error *error) {
  if (!json_is_object(model)) return wrong(model, file, "model", "an object", error);
  const char *type = "BPE", *unk = NULL;
  double dropout = 0;
  TRY(json_get_text(model, "type", &type, file, error));
  if (strcmp(type, "BPE") != 0)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, "model.type", -1, "\"%s\": only BPE is supported", type);
  TRY(json_get_real(model, "dropout", 0, 1, &dropout, file, error));
  if (dropout > 0)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, "model.dropout", -1, "is %g: only null or 0 is supported", dropout);
  TRY(refuse_affix(model, "continuing_subword_prefix", file, error));
  TRY(refuse_affix(model, "end_of_word_suffix", file, error));
  TRY(json_get_bool(model, "byte_fallback", &bpe->byte_fallback, file, error));
  TRY(json_get_bool(model, "fuse_unk", &bpe->fuse_unk, file, error));
  TRY(json_get_bool(model, "ignore_merges", &bpe->ignore_merges, file, error));
  TRY(tokenizer_add_vocab(&bpe->vocab, json_object_get(model, "vocab"), file, "model.vocab", error));
  TRY(json_get_text(model, "unk_token", &unk, file, error));
  if (unk) {
    bpe->unk = vocab_find(&bpe->vocab, unk, strlen(unk));
    if (bpe->unk < 0)
      return err_set(error, XT_STATUS_INPUT, file, "model.unk_token", -1, "\"%.80s\" is not in the vocabulary", unk);
  }
  return read_merges(bpe, json_object_get(model, "merges"), file, error);
}

static xt_status read_added(xt_tokenizer *t, const json_t *list, const char *file, xt_error *error) {
  if (!list || json_is_null(list)) return XT_STATUS_OK;
  if (!json_is_array(list)) return wrong(list, file, "added_tokens", "an array", error);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    char where[160];
    const char *text;
    AddedToken token = {.normalized = true};
    int64_t id = -1;
    snprintf(where, sizeof where, "added_tokens[%zu]", i);
    if (!json_is_object(item)) return wrong(item, file, where, "an object", error);
    TRY(tokenizer_member_text(item, "content", file, where, &text, &token.length, error));
    TRY(json_get_int(item, "id", 0, VOCAB_IDS_MAX - 1, &id, file, error));
    TRY(json_get_bool(item, "special", &token.special, file, error));
    token.normalized = !token.special;
    TRY(json_get_bool(item, "normalized", &token.normalized, file, error));
    TRY(json_get_bool(item, "lstrip", &token.lstrip, file, error));
    TRY(json_get_bool(item, "rstrip", &token.rstrip, file, error));
    TRY(json_get_bool(item, "single_word", &token.single_word, file, error));
    token.text = (char *)(uintptr_t)text;
    /* The id is worked out anew, as Hugging Face does; the file's own is not used. */
    TRY(added_put(&t->added, &t->bpe.vocab, token, error));
  }
  return XT_STATUS_OK;
}

xt_status tokenizer_read_json(xt_tokenizer *t, const TokenizerConfig *config, const char *path, xt_error *error) {
  json_t *root = NULL;
  xt_status status;
  TRY_DONE(json_parse_file(path, &root, error));
  if (!json_is_object(root)) TRY_DONE(wrong(root, path, NULL, "an object", error));
  TRY_DONE(read_model(&t->bpe, json_object_get(root, "model"), path, error));
  TRY_DONE(read_added(t, json_object_get(root, "added_tokens"), path, error));
  TRY_DONE(tokenizer_read_normalizer(&t->normalizer, json_object_get(root, "normalizer"), path, error));
  TRY_DONE(tokenizer_read_pretokenizer(&t->pre, json_object_get(root, "pre_tokenizer"), config, path, error));
  TRY_DONE(tokenizer_read_decoder(&t->decoder, json_object_get(root, "decoder"), path, error));
  TRY_DONE(tokenizer_read_postprocessor(t, json_object_get(root, "post_processor"), path, error));
done:
  json_decref(root);
  return status;
}
