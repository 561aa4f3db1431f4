/* SPDX-License-Identifier: Apache-2.0 */
/* Outline of encoding: added tokens are cut out of the text; each stretch between them is
 * normalised, searched again for the added tokens that are written in normalised form, cut into
 * words, and each word goes through BPE. */
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "files/gguf.h"
#include "files/model_files.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

void xt_tokenizer_close(xt_tokenizer *t) {
  if (!t) return;
  bpe_free(&t->bpe);
  unigram_free(&t->unigram);
  added_free(&t->added);
  normalizer_free(&t->normalizer);
  pretokenizer_free(&t->pre);
  decoder_free(&t->decoder);
  free(t->prefix.data);
  free(t->suffix.data);
  chat_free(&t->chat);
  free(t);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* As model_files_tokenizer has them. */
enum { FILE_JSON, FILE_MODEL, FILE_VOCAB, FILE_MERGES, FILE_KINDS };

static xt_status read_from(xt_tokenizer *t, const TokenizerConfig *config,
                           char *const path[FILE_KINDS], const char *directory, xt_error *error) {
  if (file_exists(path[FILE_JSON])) {
    t->source = "tokenizer.json";
    return tokenizer_read_json(t, config, path[FILE_JSON], error);
  }
  if (file_exists(path[FILE_MODEL])) {
    t->source = "tokenizer.model";
    return tokenizer_read_sentencepiece(t, config, path[FILE_MODEL], error);
  }
  if (file_exists(path[FILE_VOCAB]) && file_exists(path[FILE_MERGES])) {
    t->source = "vocab.json";
    return tokenizer_read_vocab_json(t, config, path[FILE_VOCAB], path[FILE_MERGES], error);
  }
  return err_set(error, XT_STATUS_INPUT, directory, NULL, -1,
                 "no tokenizer here: looked for tokenizer.json, tokenizer.model, and vocab.json "
                 "with merges.txt");
}

xt_status xt_tokenizer_open(const char *path, xt_tokenizer **out, xt_error *error) {
  char *files[FILE_KINDS] = {0};
  TokenizerConfig config = {0};
  xt_tokenizer *t = NULL;
  xt_status status;
  if (!out) return err_set(error, XT_STATUS_ARGUMENT, NULL, "out", -1, "is NULL");
  *out = NULL;
  if (!path) return err_set(error, XT_STATUS_ARGUMENT, NULL, "path", -1, "is NULL");
  TRY_DONE(MEM_ALLOC(&t, 1, error));
  t->bpe.unk = t->added.largest = -1;
  if (gguf_is_file(path)) {
    t->source = "GGUF";
    TRY_DONE(tokenizer_read_gguf(t, path, error));
  } else {
    for (int i = 0; i < FILE_KINDS; i++)
      TRY_DONE(file_join(path, model_files_tokenizer[i], &files[i], error));
    TRY_DONE(tokenizer_config_read(path, &config, error));
    TRY_DONE(read_from(t, &config, files, path, error));
    TRY_DONE(tokenizer_config_apply(&config, t, error));
    TRY_DONE(tokenizer_read_chat(t, path, &config, error));
  }
  TRY_DONE(added_finish(&t->added, &t->normalizer, error));
  bpe_finish(&t->bpe);
  *out = t;
  t = NULL;
done:
  for (int i = 0; i < FILE_KINDS; i++) free(files[i]);
  tokenizer_config_free(&config);
  xt_tokenizer_close(t);
  return status;
}

/* ---- encoding -------------------------------------------------------------------------------- */

/* The buffers of one call. */
typedef struct Encoding {
  const xt_tokenizer *tokenizer;
  IdList ids;
  TextBuffer normal, scratch;
  WordList words, word_scratch;
  BpeWork bpe;
  UnigramWork unigram;
} Encoding;

static void encoding_free(Encoding *e) {
  free(e->ids.data);
  text_buffer_free(&e->normal);
  text_buffer_free(&e->scratch);
  word_list_free(&e->words);
  word_list_free(&e->word_scratch);
  bpe_work_free(&e->bpe);
  unigram_work_free(&e->unigram);
}

static xt_status encode_words(Encoding *e, const char *text, size_t length, bool first,
                              xt_error *error) {
  const xt_tokenizer *t = e->tokenizer;
  TRY(pretokenizer_apply(&t->pre, text, length, first, &e->words, &e->word_scratch, error));
  for (size_t i = 0; i < e->words.count; i++) {
    const char *word = e->words.text.data + e->words.words[i].start;
    const size_t size = e->words.words[i].length;
    if (t->unigram.on)
      TRY(unigram_encode(&t->unigram, &t->bpe, &e->unigram, word, size, t->pre.bytes, &e->ids,
                         error));
    else
      TRY(bpe_encode(&t->bpe, &e->bpe, word, size, t->pre.bytes, &e->ids, error));
  }
  return XT_STATUS_OK;
}

/* The tokens of one of the two sets, and what `rest` makes of the stretches between them. */
static xt_status encode_around(
    Encoding *e, bool normalized, const char *text, size_t length, bool first,
    xt_status (*rest)(Encoding *, const char *, size_t, bool, xt_error *), xt_error *error) {
  AddedScan scan = {
      .added = &e->tokenizer->added, .normalized = normalized, .text = text, .length = length};
  size_t from = 0, start = 0, end = 0;
  const AddedToken *token;
  while ((token = added_next(&scan, &start, &end))) {
    if (start > from) TRY(rest(e, text + from, start - from, first && from == 0, error));
    TRY(id_list_add(&e->ids, token->id, error));
    from = end;
  }
  return from < length ? rest(e, text + from, length - from, first && from == 0, error)
                       : XT_STATUS_OK;
}

static xt_status encode_stretch(Encoding *e, const char *text, size_t length, bool first,
                                xt_error *error) {
  if (e->tokenizer->normalizer.count) {
    TRY(normalizer_apply(&e->tokenizer->normalizer, text, length, &e->normal, &e->scratch, error));
    text = e->normal.data;
    length = e->normal.size;
  }
  return encode_around(e, true, text, length, first, encode_words, error);
}

xt_status xt_tokenizer_encode(const xt_tokenizer *t, const char *text, size_t length,
                              bool add_special, int32_t **ids, size_t *count, xt_error *error) {
  if (!ids || !count)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "ids", -1, "ids or count is NULL");
  *ids = NULL;
  *count = 0;
  if (!t) return err_set(error, XT_STATUS_ARGUMENT, NULL, "tokenizer", -1, "is NULL");
  if (!text && length) return err_set(error, XT_STATUS_ARGUMENT, NULL, "text", -1, "is NULL");
  size_t bad;
  const size_t valid = length ? utf8_valid_prefix(text, length, &bad) : 0;
  if (valid < length)
    return err_set(error, XT_STATUS_INPUT, NULL, NULL, (long long)valid,
                   "the text is not valid UTF-8");

  Encoding e = {.tokenizer = t};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; add_special && i < t->prefix.size; i++)
    TRY_DONE(id_list_add(&e.ids, t->prefix.data[i], error));
  TRY_DONE(encode_around(&e, false, text, length, true, encode_stretch, error));
  for (size_t i = 0; add_special && i < t->suffix.size; i++)
    TRY_DONE(id_list_add(&e.ids, t->suffix.data[i], error));
  if (!e.ids.data) TRY_DONE(MEM_GROW(&e.ids.data, &e.ids.capacity, 1, error));
  *ids = e.ids.data;
  *count = e.ids.size;
  e.ids.data = NULL;
done:
  encoding_free(&e);
  return status;
}

/* ---- decoding -------------------------------------------------------------------------------- */

xt_status xt_tokenizer_decode(const xt_tokenizer *t, const int32_t *ids, size_t count,
                              bool skip_special, char **text, size_t *length, xt_error *error) {
  if (!text || !length)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "text", -1, "text or length is NULL");
  *text = NULL;
  *length = 0;
  if (!t) return err_set(error, XT_STATUS_ARGUMENT, NULL, "tokenizer", -1, "is NULL");
  if (!ids && count) return err_set(error, XT_STATUS_ARGUMENT, NULL, "ids", -1, "is NULL");
  TokenTexts texts = {0}, scratch = {0};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < count; i++) {
    const AddedToken *added = added_by_id(&t->added, ids[i]);
    size_t size = 0;
    const char *token = added ? added->text : vocab_text(&t->bpe.vocab, ids[i], &size);
    if (added) size = added->length;
    if (!token || (added && added->skipped && skip_special)) continue;
    text_buffer_add(&texts.text, token, size);
    TRY_DONE(token_texts_end(&texts, error));
  }
  TRY_DONE(decoder_apply(&t->decoder, &texts, &scratch, error));
  text_buffer_add(&texts.text, "", 0); /* a NUL, and a buffer to give away, also where nothing
                                          was added */
  if (texts.text.failed) status = err_memory(error, texts.text.size);
  if (status != XT_STATUS_OK) goto done;
  *text = texts.text.data;
  *length = texts.text.size;
  texts.text.data = NULL;
done:
  token_texts_free(&texts);
  token_texts_free(&scratch);
  return status;
}

/* ---- asking ---------------------------------------------------------------------------------- */

int32_t xt_tokenizer_vocab_size(const xt_tokenizer *t) {
  const int32_t end = (int32_t)t->bpe.vocab.id_end;
  return t->added.largest >= end ? t->added.largest + 1 : end;
}

bool xt_tokenizer_has_id(const xt_tokenizer *t, int32_t id) {
  size_t size;
  return added_by_id(&t->added, id) || vocab_text(&t->bpe.vocab, id, &size);
}

const char *xt_tokenizer_source(const xt_tokenizer *t) { return t->source; }

int32_t xt_tokenizer_bos(const xt_tokenizer *t) { return t->prefix.size ? t->prefix.data[0] : -1; }
