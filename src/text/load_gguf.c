/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer in a GGUF file. It has the vocabulary, in tokenizer.ggml.tokens, with types and
 * scores or merges, and names the rest: `model` the kind, `pre` how text is cut into words. What
 * the names mean is the table below; the parts are put together as tokenizer.json would have them.
 *
 *   model "llama"  SentencePiece BPE. No merges: every cut of a token into two becomes one, ranked
 *   by the token's score; in Gemma's
 *                  files, whose scores do not say it, by the token's place.
 *   model "gpt2"   byte-level BPE, merges in tokenizer.ggml.merges.
 *   model "t5"     SentencePiece Unigram, with its compiled normalisation
 *                  (precompiled_charsmap), as transformers converts it from tokenizer.model. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "files/gguf.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_BYTE = 6 };

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define BREAKS "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_SPLIT \
  CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" BREAKS
#define QWEN2_SPLIT \
  CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" BREAKS
#define UPPER "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define TEKKEN_SPLIT \
  UPPER "*" LOWER "+|" UPPER "+" LOWER "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BREAKS
#define GPT4O_SPLIT                                                      \
  UPPER "*" LOWER "+" CONTRACTIONS "?|" UPPER "+" LOWER "*" CONTRACTIONS \
        "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" BREAKS

/* How tokenizer.ggml.pre cuts words of byte-level vocabularies. */
typedef struct Cutting {
  const char *pre;
  const char *split; /* NULL: GPT-2's */
  bool digits;       /* each digit is a word of its own, before */
  bool nfc;          /* text is put into NFC, as the models' own tokenizers do */
  bool whole_words;  /* a word that is a token is not cut (ignore_merges) */
  bool bos;          /* BOS in front if the file does not say */
} Cutting;

static const Cutting cuttings[] = {
    {.pre = "default"},
    {.pre = "gpt-2"},
    {.pre = "gpt2"},
    {.pre = "phi-2"},
    {.pre = "olmo"},
    {.pre = "mpt"},
    {.pre = "roberta-bpe"},
    {.pre = "exaone4"},
    {.pre = "trillion"},
    {.pre = "granite-docling"},
    {.pre = "smollm", .digits = true},
    {.pre = "starcoder", .digits = true},
    {.pre = "refact", .digits = true},
    {.pre = "codeshell", .digits = true},
    {.pre = "exaone", .digits = true},
    {.pre = "minerva-7b", .digits = true},
    {.pre = "command-r", .digits = true, .nfc = true},
    {.pre = "llama3", LLAMA3_SPLIT, .whole_words = true, .bos = true},
    {.pre = "llama-v3", LLAMA3_SPLIT, .whole_words = true, .bos = true},
    {.pre = "llama-bpe", LLAMA3_SPLIT, .whole_words = true, .bos = true},
    {.pre = "falcon3", LLAMA3_SPLIT, .whole_words = true, .bos = true},
    {.pre = "pixtral", LLAMA3_SPLIT, .whole_words = true, .bos = true},
    {.pre = "midm-2.0", LLAMA3_SPLIT, .whole_words = true, .bos = true},
    {.pre = "lfm2", LLAMA3_SPLIT, .whole_words = true, .bos = true},
    {.pre = "dbrx", LLAMA3_SPLIT},
    {.pre = "smaug-bpe", LLAMA3_SPLIT},
    {.pre = "glm4", LLAMA3_SPLIT},
    {.pre = "chatglm-bpe", LLAMA3_SPLIT},
    {.pre = "qwen2", QWEN2_SPLIT, .nfc = true},
    {.pre = "deepseek-r1-qwen", QWEN2_SPLIT, .nfc = true},
    {.pre = "megrez", QWEN2_SPLIT, .nfc = true},
    {.pre = "stablelm2", QWEN2_SPLIT},
    {.pre = "tekken", TEKKEN_SPLIT, .whole_words = true, .bos = true},
    {.pre = "gpt-4o", GPT4O_SPLIT},
    {.pre = "llama4", GPT4O_SPLIT, .bos = true},
    {.pre = "kanana2", GPT4O_SPLIT},
};

typedef struct Loading {
  const Gguf *gguf;
  const char *file;
  xt_tokenizer *t;
  Piece *pieces; /* [count], texts in the file or in `respelled` */
  size_t count;
  char *respelled; /* owned */
  bool gemma, phi3;
} Loading;

#define KEY(name) "tokenizer.ggml." name

/* ---- the vocabulary -------------------------------------------------------------------------- */

static bool all_spaces(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (text[i] != ' ') return false;
  return length > 0;
}

/* Gemma's runs of spaces stand in the file as spaces; the vocabulary has marks in their place. */
static xt_status respell_spaces(Loading *l, xt_error *error) {
  size_t bytes = 0, used = 0;
  for (size_t i = 0; i < l->count; i++)
    if (all_spaces(l->pieces[i].text, l->pieces[i].length)) bytes += 3 * l->pieces[i].length;
  TRY(MEM_ALLOC(&l->respelled, bytes, error));
  for (size_t i = 0; i < l->count; i++) {
    Piece *p = &l->pieces[i];
    if (!all_spaces(p->text, p->length)) continue;
    for (size_t k = 0; k < p->length; k++) memcpy(l->respelled + used + 3 * k, "\xE2\x96\x81", 3);
    *p = (Piece){l->respelled + used, 3 * p->length, p->score, 1};
    used += p->length;
  }
  return XT_STATUS_OK;
}

static xt_status read_pieces(Loading *l, xt_error *error) {
  const GgufValue *tokens, *scores, *kinds;
  TRY(gguf_array(l->gguf, KEY("tokens"), GGUF_STRING, &tokens, error));
  TRY(gguf_array(l->gguf, KEY("scores"), GGUF_F32, &scores, error));
  TRY(gguf_array(l->gguf, KEY("token_type"), GGUF_I32, &kinds, error));
  if (!tokens || tokens->count == 0 || tokens->count >= VOCAB_IDS_MAX)
    return err_set(error, XT_STATUS_INPUT, l->file, KEY("tokens"), -1,
                   tokens ? "has no tokens, or too many" : "is missing");
  l->count = (size_t)tokens->count;
  if ((scores && scores->count != tokens->count) || (kinds && kinds->count != tokens->count))
    return err_set(error, XT_STATUS_INPUT, l->file,
                   scores && scores->count != tokens->count ? KEY("scores") : KEY("token_type"), -1,
                   "has not one for each of the %zu tokens", l->count);
  TRY(MEM_ALLOC(&l->pieces, l->count, error));
  size_t at = tokens->at, bad;
  for (size_t i = 0; i < l->count; i++) {
    Piece *p = &l->pieces[i];
    const long long where = (long long)at;
    p->text = gguf_next_text(l->gguf, &at, &p->length);
    p->score = scores ? gguf_item_f32(l->gguf, scores, i) : 0;
    p->type = kinds ? (uint64_t)(uint32_t)gguf_item_i32(l->gguf, kinds, i) : 1;
    if (p->length > PIECE_BYTES_MAX || utf8_valid_prefix(p->text, p->length, &bad) < p->length ||
        !isfinite(p->score))
      return err_set(error, XT_STATUS_INPUT, l->file, KEY("tokens"), where,
                     "token %zu is too long, is not UTF-8, or has no score", i);
  }
  return l->gemma ? respell_spaces(l, error) : XT_STATUS_OK;
}

/* Texts that occur twice, or are empty, keep their ids under a name that no text has. */
static xt_status add_vocabulary(const Loading *l, xt_error *error) {
  Vocab *vocab = &l->t->bpe.vocab;
  TRY(vocab_reserve(vocab, l->count, error));
  for (size_t i = 0; i < l->count; i++) {
    const Piece *p = &l->pieces[i];
    VocabAdded added = VOCAB_TEXT_TAKEN;
    if (p->length) TRY(vocab_add(vocab, p->text, p->length, (int32_t)i, &added, error));
    if (added == VOCAB_NEW) continue;
    char name[40];
    snprintf(name, sizeof name, "[UNUSED%zu]", i);
    TRY(vocab_add(vocab, name, strlen(name), (int32_t)i, &added, error));
    if (added != VOCAB_NEW)
      return err_set(error, XT_STATUS_INPUT, l->file, KEY("tokens"), -1, "token %zu occurs twice",
                     i);
  }
  return XT_STATUS_OK;
}

/* The token of an id that the file gives, or NULL. */
static xt_status token_of(const Loading *l, const char *key, const Piece **out, int32_t *id,
                          xt_error *error) {
  int64_t value = -1;
  *out = NULL;
  TRY(gguf_int(l->gguf, key, -1, UINT32_MAX, &value, error));
  if (value < 0 || value == UINT32_MAX) return XT_STATUS_OK;
  if ((uint64_t)value >= l->count)
    return err_set(error, XT_STATUS_INPUT, l->file, key, -1, "is %lld, but there are %zu tokens",
                   (long long)value, l->count);
  *out = &l->pieces[value];
  *id = (int32_t)value;
  return XT_STATUS_OK;
}

static xt_status add_token(const Loading *l, const Piece *p, bool special, xt_error *error) {
  if (!p->length) return XT_STATUS_OK;
  return added_put(
      &l->t->added, &l->t->bpe.vocab,
      (AddedToken){.text = (char *)(uintptr_t)p->text, .length = p->length, .special = special},
      error);
}

static xt_status add_added(const Loading *l, xt_error *error) {
  static const char *const specials[] = {KEY("bos_token_id"), KEY("eos_token_id"),
                                         KEY("unknown_token_id"), KEY("padding_token_id")};
  for (size_t i = 0; i < l->count; i++)
    if (l->pieces[i].type == TYPE_CONTROL || l->pieces[i].type == TYPE_USER_DEFINED ||
        l->pieces[i].type == TYPE_UNKNOWN)
      TRY(add_token(l, &l->pieces[i], l->pieces[i].type != TYPE_USER_DEFINED, error));
  for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
    const Piece *p;
    int32_t id;
    TRY(token_of(l, specials[i], &p, &id, error));
    if (p) TRY(add_token(l, p, true, error));
  }
  return XT_STATUS_OK;
}

static xt_status add_ends(const Loading *l, bool bos, bool eos, xt_error *error) {
  const Piece *p;
  int32_t id = -1;
  TRY(gguf_bool(l->gguf, KEY("add_bos_token"), &bos, error));
  TRY(gguf_bool(l->gguf, KEY("add_eos_token"), &eos, error));
  TRY(token_of(l, KEY("bos_token_id"), &p, &id, error));
  if (bos && p) TRY(id_list_add(&l->t->prefix, id, error));
  TRY(token_of(l, KEY("eos_token_id"), &p, &id, error));
  return eos && p ? id_list_add(&l->t->suffix, id, error) : XT_STATUS_OK;
}

/* ---- the kinds ------------------------------------------------------------------------------- */

static xt_status read_llama(Loading *l, xt_error *error) {
  xt_tokenizer *t = l->t;
  bool prefix = !l->gemma;
  const Piece *unknown;
  TRY(gguf_bool(l->gguf, KEY("add_space_prefix"), &prefix, error));
  t->bpe.byte_fallback = t->bpe.fuse_unk = true;
  TRY(token_of(l, KEY("unknown_token_id"), &unknown, &t->bpe.unk, error));
  for (size_t i = 0; l->gemma && i < l->count; i++) l->pieces[i].score = -(float)i;
  TRY(sentencepiece_merges(&t->bpe, l->pieces, l->count, error));
  /* Phi-3's own tokenizer puts the mark in front of every stretch of text, Gemma's in front of
   * none. */
  TRY(sentencepiece_space_rules(t, l->gemma || l->phi3, prefix, error));
  TRY(sentencepiece_decoder(&t->decoder, prefix, error));
  return add_ends(l, true, false, error);
}

static xt_status read_merges(const Loading *l, xt_error *error) {
  const GgufValue *merges;
  Bpe *bpe = &l->t->bpe;
  TextBuffer joined = {0};
  xt_status status = XT_STATUS_OK;
  TRY(gguf_array(l->gguf, KEY("merges"), GGUF_STRING, &merges, error));
  if (!merges || merges->count > INT32_MAX)
    return err_set(error, XT_STATUS_INPUT, l->file, KEY("merges"), -1,
                   merges ? "has too many" : "is missing");
  TRY(bpe_reserve_merges(bpe, (size_t)merges->count, error));
  size_t at = merges->at, length;
  for (uint64_t i = 0; i < merges->count; i++) {
    const long long where = (long long)at;
    const char *text = gguf_next_text(l->gguf, &at, &length);
    const char *space = length > 2 ? memchr(text + 1, ' ', length - 2) : NULL;
    const size_t left = space ? (size_t)(space - text) : 0;
    joined.size = 0;
    text_buffer_add(&joined, text, left);
    text_buffer_add(&joined, text + left + (space != NULL), length - left - (space != NULL));
    if (joined.failed) TRY_DONE(err_memory(error, length));
    const int32_t a = vocab_find(&bpe->vocab, joined.data, left),
                  b = vocab_find(&bpe->vocab, joined.data + left, joined.size - left);
    const int32_t id = vocab_find(&bpe->vocab, joined.data, joined.size);
    if (!space || a < 0 || b < 0 || id < 0)
      TRY_DONE(err_set(error, XT_STATUS_INPUT, l->file, KEY("merges"), where,
                       "merge %llu is not two tokens that make a third", (unsigned long long)i));
    TRY_DONE(bpe_add_merge(bpe, a, b, id, (uint32_t)i, true, error));
  }
done:
  text_buffer_free(&joined);
  return status;
}

static xt_status find_cutting(const Loading *l, const Cutting **out, xt_error *error) {
  char *pre = NULL;
  TRY(gguf_text(l->gguf, KEY("pre"), &pre, error));
  *out = pre ? NULL : &cuttings[0];
  for (size_t i = 0; pre && i < sizeof cuttings / sizeof *cuttings; i++)
    if (strcmp(pre, cuttings[i].pre) == 0) *out = &cuttings[i];
  const xt_status status = *out ? XT_STATUS_OK
                                : err_set(error, XT_STATUS_UNSUPPORTED, l->file, KEY("pre"), -1,
                                          "\"%.60s\" is not known", pre);
  free(pre);
  return status;
}

static xt_status read_gpt2(Loading *l, xt_error *error) {
  xt_tokenizer *t = l->t;
  const Cutting *cutting;
  bool prefix = false;
  TRY(find_cutting(l, &cutting, error));
  TRY(read_merges(l, error));
  t->bpe.ignore_merges = cutting->whole_words;
  if (cutting->nfc)
    TRY(normalizer_add(&t->normalizer, &(NormalizeStep){.kind = NORMALIZE_NFC}, error));
  TRY(gguf_bool(l->gguf, KEY("add_space_prefix"), &prefix, error));
  if (prefix) TRY(pretokenizer_add(&t->pre, &(PreStep){.kind = PRE_PREFIX_SPACE}, error));
  if (cutting->digits) TRY(pretokenizer_add_split(&t->pre, "\\p{N}", error));
  TRY(cutting->split ? pretokenizer_add_split(&t->pre, cutting->split, error)
                     : pretokenizer_add_gpt2(&t->pre, error));
  t->pre.bytes = true;
  TRY(decoder_add(&t->decoder, &(DecodeStep){.kind = DECODE_BYTE_LEVEL}, error));
  return add_ends(l, cutting->bos, false, error);
}

/* Text is mapped by the file's table, and blanks at its end go and those in it become one, unless
 * the file says that they stay. */
static xt_status add_t5_rules(const Loading *l, xt_error *error) {
  NormalizeStep step = {.kind = NORMALIZE_CHARSMAP};
  const GgufValue *map = gguf_find(l->gguf, KEY("precompiled_charsmap"));
  bool squeeze = true;
  TRY(gguf_bool(l->gguf, KEY("remove_extra_whitespaces"), &squeeze, error));
  if (map && (!map->array || (map->type != GGUF_U8 && map->type != GGUF_I8)))
    return err_set(error, XT_STATUS_INPUT, l->file, KEY("precompiled_charsmap"), (long long)map->at,
                   "is no array of bytes");
  if (map) {
    TRY(charsmap_copy(&step.map, l->gguf->map->data + map->at, map->size, l->file,
                      KEY("precompiled_charsmap"), error));
    TRY(normalizer_add(&l->t->normalizer, &step, error));
  }
  if (!squeeze) return XT_STATUS_OK;
  TRY(normalizer_add(&l->t->normalizer, &(NormalizeStep){.kind = NORMALIZE_STRIP, .right = true},
                     error));
  return normalizer_add_replacement(&l->t->normalizer, " {2,}", "\xE2\x96\x81", error);
}

/* The file's padding scores far below all tokens, and an unknown character no lower for it. */
static xt_status add_scores(const Loading *l, xt_error *error) {
  Unigram *u = &l->t->unigram;
  double lowest = INFINITY;
  for (size_t i = 0; i < l->count; i++) {
    size_t length;
    const char *text = vocab_text(&l->t->bpe.vocab, (int32_t)i, &length);
    TRY(unigram_add(u, text, length, (double)l->pieces[i].score, error));
    if (l->pieces[i].type == TYPE_NORMAL && u->scores[i] < lowest) lowest = u->scores[i];
    if (l->pieces[i].type == TYPE_UNKNOWN) u->unk = (int32_t)i;
    u->byte_fallback = u->byte_fallback || l->pieces[i].type == TYPE_BYTE;
  }
  if (isfinite(lowest)) u->lowest = lowest;
  return XT_STATUS_OK;
}

static xt_status read_t5(Loading *l, xt_error *error) {
  xt_tokenizer *t = l->t;
  const Piece *unknown;
  bool prefix = true;
  if (!gguf_find(l->gguf, KEY("scores")))
    return err_set(error, XT_STATUS_INPUT, l->file, KEY("scores"), -1, "is missing");
  TRY(gguf_bool(l->gguf, KEY("add_space_prefix"), &prefix, error));
  t->unigram.on = true;
  t->unigram.unk = -1;
  TRY(add_scores(l, error));
  TRY(token_of(l, KEY("unknown_token_id"), &unknown, &t->unigram.unk, error));
  TRY(add_t5_rules(l, error));
  TRY(pretokenizer_add_metaspace(&t->pre, "\xE2\x96\x81", prefix ? PREPEND_ALWAYS : PREPEND_NEVER,
                                 true, error));
  TRY(t->unigram.byte_fallback
          ? sentencepiece_decoder(&t->decoder, prefix, error)
          : decoder_add(
                &t->decoder,
                &(DecodeStep){.kind = DECODE_METASPACE, .character = 0x2581, .drop_first = prefix},
                error));
  return add_ends(l, false, true, error);
}

/* tokenizer.ggml.model */
static const struct {
  const char *name;
  xt_status (*read)(Loading *l, xt_error *error);
} kinds[] = {{"llama", read_llama}, {"gpt2", read_gpt2}, {"t5", read_t5}};

static xt_status read_kind(Loading *l, const char *model, xt_error *error) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(model, kinds[i].name) != 0) continue;
    TRY(read_pieces(l, error));
    TRY(add_vocabulary(l, error));
    TRY(kinds[i].read(l, error));
    return add_added(l, error);
  }
  return err_set(error, XT_STATUS_UNSUPPORTED, l->file, KEY("model"), -1,
                 "\"%.60s\" is not handled; \"llama\" (SentencePiece BPE), \"gpt2\" (byte-level "
                 "BPE) and \"t5\" (SentencePiece Unigram) are",
                 model);
}

static xt_status read_chat(const Loading *l, xt_error *error) {
  static const char *const tokens[][2] = {{KEY("bos_token_id"), "bos_token"},
                                          {KEY("eos_token_id"), "eos_token"},
                                          {KEY("unknown_token_id"), "unk_token"},
                                          {KEY("padding_token_id"), "pad_token"}};
  char *text = NULL;
  TRY(gguf_text(l->gguf, "tokenizer.chat_template", &text, error));
  xt_status status =
      text ? tokenizer_set_chat(l->t, text, strlen(text), l->file, "tokenizer.chat_template", error)
           : XT_STATUS_OK;
  for (size_t i = 0; text && i < sizeof tokens / sizeof *tokens && !status; i++) {
    const Piece *piece;
    int32_t id;
    status = token_of(l, tokens[i][0], &piece, &id, error);
    if (!status && piece)
      status = tokenizer_set_chat_token(l->t, tokens[i][1], piece->text, piece->length, error);
  }
  free(text);
  return status;
}

xt_status tokenizer_read_gguf(xt_tokenizer *t, const char *path, xt_error *error) {
  FileMap map = {0};
  Gguf gguf = {0};
  char *model = NULL, *architecture = NULL;
  Loading l = {.gguf = &gguf, .file = path, .t = t};
  xt_status status;
  TRY_DONE(file_map_open(path, &map, error));
  TRY_DONE(gguf_read(&map, &gguf, error));
  TRY_DONE(gguf_text(&gguf, "general.architecture", &architecture, error));
  TRY_DONE(gguf_text(&gguf, KEY("model"), &model, error));
  if (!model)
    TRY_DONE(err_set(error, XT_STATUS_INPUT, path, KEY("model"), -1,
                     "is missing: the file has no tokenizer"));
  l.gemma = architecture && strncmp(architecture, "gemma", 5) == 0;
  l.phi3 = architecture && strcmp(architecture, "phi3") == 0;
  TRY_DONE(read_kind(&l, model, error));
  status = read_chat(&l, error);
done:
  free(l.pieces);
  free(l.respelled);
  free(model);
  free(architecture);
  gguf_free(&gguf);
  file_map_close(&map);
  return status;
}
