/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.json: the whole file, its model and its added tokens. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "text/bulk_json.h"
#include "text/tokenizer_parts.h"

static xt_status wrong(const json_t *value, const char *file, const char *field, const char *wanted,
                       xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, file, field, -1, "is %s, expected %s",
                 json_type_name(value), wanted);
}

/* ---- the model ------------------------------------------------------------------------------- */

static xt_status refuse_affix(const json_t *model, const char *key, const char *file,
                              xt_error *error) {
  const char *text = "";
  TRY(json_get_text(model, key, &text, file, error));
  if (*text)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, key, -1,
                   "\"%s\": only an empty one is supported", text);
  return XT_STATUS_OK;
}

/* A number as serde_json reads it: its digits as an integer, rounded, and that divided by a power
 * of ten, rounded again. The last bit, which may differ from that of the nearest double, decides
 * between ways to cut a word that are otherwise equally good. */
static double twice_rounded(double value) {
  char text[40], power[16], *end;
  for (int digits = 0; digits < 17; digits++) {
    number_print(text, sizeof text, "%.*e", digits, fabs(value));
    if (number_read(text, NULL) == fabs(value)) break;
  }
  uint64_t significand = 0;
  long exponent = 0;
  for (const char *p = text; *p && *p != 'e'; p++) {
    if (*p < '0' || *p > '9') continue;
    significand = significand * 10 + (uint64_t)(*p - '0');
    exponent -= p > text;
  }
  const char *e = strchr(text, 'e');
  exponent += e ? strtol(e + 1, &end, 10) : 0;
  if (exponent < -308 || exponent > 308) return value;
  snprintf(power, sizeof power, "1e%ld", labs(exponent));
  const double ten = number_read(power, NULL), whole = (double)significand;
  return copysign(exponent < 0 ? whole / ten : whole * ten, value);
}

/* [["<unk>", 0.0], ["a", -1.5], ..]: the ids count up. */
static xt_status read_pieces(xt_tokenizer *t, const json_t *vocab, const char *file,
                             xt_error *error) {
  if (!json_is_array(vocab)) return wrong(vocab, file, "model.vocab", "an array", error);
  const size_t count = json_array_size(vocab);
  if (!count || count >= VOCAB_IDS_MAX)
    return err_set(error, XT_STATUS_INPUT, file, "model.vocab", -1, "has %zu tokens", count);
  TRY(vocab_reserve(&t->bpe.vocab, count, error));
  for (size_t i = 0; i < count; i++) {
    const json_t *piece = json_array_get(vocab, i), *text = json_array_get(piece, 0),
                 *score = json_array_get(piece, 1);
    VocabAdded added;
    char where[64];
    snprintf(where, sizeof where, "model.vocab[%zu]", i);
    if (!json_is_string(text) || !json_is_number(score))
      return wrong(piece, file, where, "a token and its score", error);
    TRY(vocab_add(&t->bpe.vocab, json_string_value(text), json_string_length(text), (int32_t)i,
                  &added, error));
    if (added != VOCAB_NEW)
      return err_set(error, XT_STATUS_INPUT, file, where, -1, "\"%.60s\" occurs twice",
                     json_string_value(text));
    TRY(unigram_add(&t->unigram, json_string_value(text), json_string_length(text),
                    twice_rounded(json_number_value(score)), error));
  }
  return XT_STATUS_OK;
}

static xt_status read_unigram(xt_tokenizer *t, const json_t *model, const char *file,
                              xt_error *error) {
  int64_t unk = -1;
  TRY(read_pieces(t, json_object_get(model, "vocab"), file, error));
  TRY(json_get_int(model, "unk_id", 0, (int64_t)t->unigram.count - 1, &unk, file, error));
  TRY(json_get_bool(model, "byte_fallback", &t->unigram.byte_fallback, file, error));
  t->unigram.unk = t->bpe.unk = (int32_t)unk;
  t->unigram.on = true;
  return XT_STATUS_OK;
}

static xt_status read_model(xt_tokenizer *t, const BulkFile *bulk, const json_t *model,
                            const char *file, xt_error *error) {
  Bpe *bpe = &t->bpe;
  if (!json_is_object(model)) return wrong(model, file, "model", "an object", error);
  const char *type = "BPE", *unk = NULL;
  double dropout = 0;
  TRY(json_get_text(model, "type", &type, file, error));
  if (strcmp(type, "Unigram") == 0) return read_unigram(t, model, file, error);
  if (strcmp(type, "BPE") != 0)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, "model.type", -1,
                   "\"%s\": only BPE and Unigram are supported", type);
  TRY(json_get_real(model, "dropout", 0, 1, &dropout, file, error));
  if (dropout > 0)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, "model.dropout", -1,
                   "is %g: only null or 0 is supported", dropout);
  TRY(refuse_affix(model, "continuing_subword_prefix", file, error));
  TRY(refuse_affix(model, "end_of_word_suffix", file, error));
  TRY(json_get_bool(model, "byte_fallback", &bpe->byte_fallback, file, error));
  TRY(json_get_bool(model, "fuse_unk", &bpe->fuse_unk, file, error));
  TRY(json_get_bool(model, "ignore_merges", &bpe->ignore_merges, file, error));
  const json_t *vocab = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
  if (!json_is_object(vocab)) return wrong(vocab, file, "model.vocab", "an object", error);
  if (!json_is_array(merges)) return wrong(merges, file, "model.merges", "an array", error);
  if (!bulk->vocab.end || !bulk->merges.end)
    return err_set(error, XT_STATUS_UNSUPPORTED, file, "model", -1,
                   "its keys are written with escapes");
  TRY(bulk_read_vocab(&bulk->map, bulk->vocab, "model.vocab", &bpe->vocab, error));
  TRY(json_get_text(model, "unk_token", &unk, file, error));
  if (unk) {
    bpe->unk = vocab_find(&bpe->vocab, unk, strlen(unk));
    if (bpe->unk < 0)
      return err_set(error, XT_STATUS_INPUT, file, "model.unk_token", -1,
                     "\"%.80s\" is not in the vocabulary", unk);
  }
  return bulk_read_merges(&bulk->map, bulk->merges, "model.merges", bpe, error);
}

static xt_status read_added(xt_tokenizer *t, const json_t *list, const char *file,
                            xt_error *error) {
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
    /* The id is computed, as in Hugging Face's code; the one in the file is not used. */
    TRY(added_put(&t->added, &t->bpe.vocab, token, error));
  }
  return XT_STATUS_OK;
}

xt_status tokenizer_read_json(xt_tokenizer *t, const TokenizerConfig *config, const char *path,
                              xt_error *error) {
  BulkFile bulk;
  json_t *root;
  xt_status status = XT_STATUS_OK;
  TRY(bulk_open(path, &bulk, &root, error));
  if (!json_is_object(root)) TRY_DONE(wrong(root, path, NULL, "an object", error));
  TRY_DONE(read_model(t, &bulk, json_object_get(root, "model"), path, error));
  TRY_DONE(read_added(t, json_object_get(root, "added_tokens"), path, error));
  TRY_DONE(
      tokenizer_read_normalizer(&t->normalizer, json_object_get(root, "normalizer"), path, error));
  TRY_DONE(tokenizer_read_pretokenizer(&t->pre, json_object_get(root, "pre_tokenizer"), config,
                                       path, error));
  TRY_DONE(tokenizer_read_decoder(&t->decoder, json_object_get(root, "decoder"), path, error));
  TRY_DONE(tokenizer_read_postprocessor(t, json_object_get(root, "post_processor"), path, error));
done:
  json_decref(root);
  bulk_close(&bulk);
  return status;
}
