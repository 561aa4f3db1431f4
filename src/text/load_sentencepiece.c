/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.model: a SentencePiece model (a protocol buffer) of the BPE or the unigram kind, turned
 * into what Hugging Face's converter for Llama makes of it.
 *
 *   ModelProto     1 pieces (repeated)   2 trainer_spec
 *   SentencePiece  1 piece (text)        2 score (float)   3 type (1 normal, 2 unknown, 3 control,
 *                                                                  4 user defined, 6 byte)
 *   TrainerSpec    3 model_type (1 unigram, 2 bpe)         45 unk_piece (text)
 *
 * The file has no merges. Every way to cut a piece into two pieces becomes a merge; they are ranked
 * by the piece's score, then by the longer left part, then by the longer right part. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/file_map.h"
#include "base/mem.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"

enum { PIECE_CONTROL = 3, PIECE_USER_DEFINED = 4 };

typedef struct Model {
  const char *file;
  Piece *pieces;
  size_t count, capacity;
  uint64_t model_type;
  bool trained;    /* has a trainer_spec; without one it is not a complete model */
  const char *unk; /* in the file, or a constant */
  size_t unk_length;
} Model;

/* ---- protocol buffers ------------------------------------------------------------------------ */

typedef struct Field {
  uint64_t number, wire;
  uint64_t value;      /* wire 0, 1 and 5 */
  const uint8_t *data; /* wire 2 */
  size_t size;
  size_t at; /* where it began, in the file */
} Field;

typedef struct Message {
  Cursor cursor;
  size_t base; /* the message's place in the file */
  const char *file;
} Message;

static xt_status broken(const Message *m, size_t at, const char *what, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, m->file, NULL, (long long)(m->base + at),
                 "not a SentencePiece model: %s", what);
}

static xt_status read_varint(Message *m, uint64_t *out, xt_error *error) {
  const size_t at = m->cursor.at;
  *out = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = cursor_u8(&m->cursor);
    if (m->cursor.failed) return broken(m, at, "it ends in the middle of a number", error);
    *out |= (uint64_t)(byte & 0x7F) << shift;
    if (!(byte & 0x80)) return XT_STATUS_OK;
  }
  return broken(m, at, "a number is too long", error);
}

static xt_status read_field(Message *m, Field *out, xt_error *error) {
  uint64_t key, size = 0;
  const size_t at = m->cursor.at;
  TRY(read_varint(m, &key, error));
  *out = (Field){.number = key >> 3, .wire = key & 7, .at = m->base + at};
  if (!out->number) return broken(m, at, "field number 0", error);
  switch (out->wire) {
    case 0: return read_varint(m, &out->value, error);
    case 1: out->value = cursor_u64(&m->cursor); break;
    case 5: out->value = cursor_u32(&m->cursor); break;
    case 2:
      TRY(read_varint(m, &size, error));
      out->at = m->base + m->cursor.at;
      out->size = (size_t)size;
      out->data = cursor_take(&m->cursor, out->size);
      break;
    default: return broken(m, at, "an unknown kind of field", error);
  }
  if (m->cursor.failed) return broken(m, at, "a field reaches past the end", error);
  return XT_STATUS_OK;
}

static Message inner(const Message *outer, const Field *field) {
  return (Message){cursor_make(field->data, field->size), field->at, outer->file};
}

static xt_status read_text(const Message *m, const Field *f, const char **text, size_t *length,
                           xt_error *error) {
  size_t bad;
  *text = (const char *)f->data;
  *length = f->size;
  if (utf8_valid_prefix(*text, *length, &bad) < *length)
    return broken(m, f->at - m->base, "a text is not UTF-8", error);
  return XT_STATUS_OK;
}

static xt_status read_piece(Message *m, Piece *piece, xt_error *error) {
  *piece = (Piece){.text = "", .type = 1};
  while (m->cursor.at < m->cursor.size) {
    Field f;
    TRY(read_field(m, &f, error));
    if (f.number == 1 && f.wire == 2) {
      TRY(read_text(m, &f, &piece->text, &piece->length, error));
    } else if (f.number == 2 && f.wire == 5) {
      const uint32_t bits = (uint32_t)f.value;
      memcpy(&piece->score, &bits, sizeof bits);
    } else if (f.number == 3 && f.wire == 0) {
      piece->type = f.value;
    }
  }
  if (!piece->length) return broken(m, 0, "a piece without text", error);
  if (piece->length > PIECE_BYTES_MAX)
    return broken(m, 0, "a piece of more than 4096 bytes", error);
  if (!isfinite(piece->score)) return broken(m, 0, "a score that is not a number", error);
  return XT_STATUS_OK;
}

static xt_status read_trainer(Message *m, Model *model, xt_error *error) {
  while (m->cursor.at < m->cursor.size) {
    Field f;
    TRY(read_field(m, &f, error));
    if (f.number == 3 && f.wire == 0) model->model_type = f.value;
    if (f.number == 45 && f.wire == 2)
      TRY(read_text(m, &f, &model->unk, &model->unk_length, error));
  }
  return XT_STATUS_OK;
}

static xt_status read_model(const FileMap *map, Model *model, xt_error *error) {
  Message m = {cursor_make(map->data, map->size), 0, map->path};
  *model = (Model){.file = map->path, .model_type = 1, .unk = "<unk>", .unk_length = 5};
  while (m.cursor.at < m.cursor.size) {
    Field f;
    TRY(read_field(&m, &f, error));
    if (f.number > 2 || f.wire != 2) continue;
    Message part = inner(&m, &f);
    if (f.number == 2) {
      model->trained = true;
      TRY(read_trainer(&part, model, error));
      continue;
    }
    TRY(MEM_GROW(&model->pieces, &model->capacity, model->count + 1, error));
    TRY(read_piece(&part, &model->pieces[model->count++], error));
  }
  if (!model->count) return broken(&m, 0, "it has no pieces", error);
  if (!model->trained) return broken(&m, map->size, "it has no trainer_spec", error);
  if (model->count >= VOCAB_IDS_MAX) return broken(&m, 0, "it has too many pieces", error);
  if (model->model_type != 1 && model->model_type != 2)
    return err_set(error, XT_STATUS_UNSUPPORTED, map->path, "trainer_spec.model_type", -1,
                   "is %llu: only 1 (unigram) and 2 (BPE) are supported",
                   (unsigned long long)model->model_type);
  return XT_STATUS_OK;
}

/* ---- merges ---------------------------------------------------------------------------------- */

typedef struct Cut {
  float score;
  uint32_t left_length, right_length; /* in characters */
  int32_t left, right, id;
} Cut;

typedef struct CutList {
  Cut *data;
  size_t size, capacity;
} CutList;

static int descending(uint32_t a, uint32_t b) { return (a < b) - (a > b); }

static int by_rank(const void *a, const void *b) {
  const Cut *x = a, *y = b;
  int order = (x->score < y->score) - (x->score > y->score);
  if (!order) order = descending(x->left_length, y->left_length);
  if (!order) order = descending(x->right_length, y->right_length);
  /* Equal ones stay in the order in which they were made: by piece, then by the parts' ids. */
  if (!order) order = (x->id > y->id) - (x->id < y->id);
  if (!order) order = (x->left > y->left) - (x->left < y->left);
  if (!order) order = (x->right > y->right) - (x->right < y->right);
  return order;
}

static xt_status cut_piece(const Vocab *vocab, const Piece *piece, int32_t id, float score,
                           CutList *out, xt_error *error) {
  const uint32_t characters = (uint32_t)utf8_count(piece->text, piece->length);
  size_t at = 0;
  utf8_next(piece->text, &at);
  for (uint32_t n = 1; at < piece->length; n++) {
    const int32_t left = vocab_find(vocab, piece->text, at);
    const int32_t right = left < 0 ? -1 : vocab_find(vocab, piece->text + at, piece->length - at);
    if (right >= 0) {
      TRY(MEM_GROW(&out->data, &out->capacity, out->size + 1, error));
      out->data[out->size++] = (Cut){score, n, characters - n, left, right, id};
    }
    utf8_next(piece->text, &at);
  }
  return XT_STATUS_OK;
}

xt_status sentencepiece_merges(Bpe *bpe, const Piece *pieces, size_t count, xt_error *error) {
  CutList cuts = {0};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < count; i++)
    if (pieces[i].length)
      TRY_DONE(cut_piece(&bpe->vocab, &pieces[i], (int32_t)i, pieces[i].score, &cuts, error));
  TRY_DONE(bpe_reserve_merges(bpe, cuts.size, error));
  if (cuts.size) qsort(cuts.data, cuts.size, sizeof *cuts.data, by_rank);
  for (size_t i = 0; i < cuts.size; i++)
    TRY_DONE(bpe_add_merge(bpe, cuts.data[i].left, cuts.data[i].right, cuts.data[i].id, (uint32_t)i,
                           true, error));
done:
  free(cuts.data);
  return status;
}

/* A unigram model's pieces; the first is the unknown one. */
static xt_status make_unigram(Unigram *unigram, const Model *model, xt_error *error) {
  for (size_t i = 0; i < model->count; i++)
    TRY(unigram_add(unigram, model->pieces[i].text, model->pieces[i].length,
                    (double)model->pieces[i].score, error));
  unigram->unk = 0;
  unigram->on = unigram->byte_fallback = true;
  return XT_STATUS_OK;
}

/* ---- the rest of the converter --------------------------------------------------------------- */

static xt_status add_tokens(xt_tokenizer *t, const Model *model, xt_error *error) {
  TRY(vocab_reserve(&t->bpe.vocab, model->count, error));
  for (size_t i = 0; i < model->count; i++) {
    const Piece *p = &model->pieces[i];
    VocabAdded added;
    TRY(vocab_add(&t->bpe.vocab, p->text, p->length, (int32_t)i, &added, error));
    if (added != VOCAB_NEW) {
      char where[160];
      snprintf(where, sizeof where, "pieces[%zu]", i);
      return err_set(error, XT_STATUS_INPUT, model->file, where, -1, "\"%.*s\" occurs twice",
                     p->length < 80 ? (int)p->length : 80, p->text);
    }
  }
  for (size_t i = 0; i < model->count; i++) {
    const Piece *p = &model->pieces[i];
    if (p->type != PIECE_CONTROL && p->type != PIECE_USER_DEFINED) continue;
    AddedToken token = {.text = (char *)(uintptr_t)p->text,
                        .length = p->length,
                        .special = p->type == PIECE_CONTROL};
    TRY(added_put(&t->added, &t->bpe.vocab, token, error));
  }
  return XT_STATUS_OK;
}

static xt_status add_replace(Normalizer *out, xt_error *error) {
  NormalizeStep step = {.kind = NORMALIZE_REPLACE};
  xt_status status = mem_copy_text(&step.text, "\xE2\x96\x81", 3, error);
  step.length = 3;
  if (status == XT_STATUS_OK) status = pattern_literal(&step.pattern, " ", 1, error);
  if (status == XT_STATUS_OK) return normalizer_add(out, &step, error);
  free(step.text);
  return status;
}

xt_status sentencepiece_space_rules(xt_tokenizer *t, bool legacy, bool prefix, xt_error *error) {
  if (!legacy)
    return pretokenizer_add_metaspace(&t->pre, "\xE2\x96\x81",
                                      prefix ? PREPEND_FIRST : PREPEND_NEVER, false, error);
  if (prefix) {
    NormalizeStep step = {.kind = NORMALIZE_PREPEND, .length = 3};
    TRY(mem_copy_text(&step.text, "\xE2\x96\x81", 3, error));
    TRY(normalizer_add(&t->normalizer, &step, error));
  }
  return add_replace(&t->normalizer, error);
}

xt_status sentencepiece_decoder(Decoder *d, bool prefix, xt_error *error) {
  DecodeStep step = {.kind = DECODE_REPLACE, .length = 1};
  TRY(mem_copy_text(&step.text, " ", 1, error));
  const xt_status status = pattern_literal(&step.pattern, "\xE2\x96\x81", 3, error);
  if (status != XT_STATUS_OK) {
    free(step.text);
    return status;
  }
  TRY(decoder_add(d, &step, error));
  TRY(decoder_add(d, &(DecodeStep){.kind = DECODE_BYTE_FALLBACK}, error));
  TRY(decoder_add(d, &(DecodeStep){.kind = DECODE_FUSE}, error));
  return prefix ? decoder_add(d, &(DecodeStep){.kind = DECODE_STRIP, .character = ' ', .left = 1},
                              error)
                : XT_STATUS_OK;
}

xt_status tokenizer_read_sentencepiece(xt_tokenizer *t, const TokenizerConfig *config,
                                       const char *path, xt_error *error) {
  FileMap map;
  Model model = {0};
  xt_status status;
  if (config->class_name[0] && config->class != TOKENIZER_CLASS_LLAMA &&
      strncmp(config->class_name, "PreTrainedTokenizer", 19) != 0)
    return err_set(error, XT_STATUS_UNSUPPORTED, config->config_path, "tokenizer_class", -1,
                   "\"%s\" from a tokenizer.model: only LlamaTokenizer is supported; a "
                   "tokenizer.json would do",
                   config->class_name);
  bool prefix = true;
  TRY(json_get_bool(config->config, "add_prefix_space", &prefix, config->config_path, error));
  TRY(file_read(path, FILE_SMALL, &map, error));
  TRY_DONE(read_model(&map, &model, error));
  TRY_DONE(add_tokens(t, &model, error));
  t->bpe.byte_fallback = t->bpe.fuse_unk = true;
  t->bpe.unk = vocab_find(&t->bpe.vocab, model.unk, model.unk_length);
  if (t->bpe.unk < 0)
    TRY_DONE(err_set(error, XT_STATUS_INPUT, path, "trainer_spec.unk_piece", -1,
                     "is not among the pieces"));
  /* The converter replaces the first three pieces, with score 0. */
  for (size_t i = 0; i < 3 && i < model.count; i++) model.pieces[i].score = 0;
  if (model.model_type == 1)
    TRY_DONE(make_unigram(&t->unigram, &model, error));
  else
    TRY_DONE(sentencepiece_merges(&t->bpe, model.pieces, model.count, error));
  TRY_DONE(sentencepiece_space_rules(t, config->legacy, prefix, error));
  TRY_DONE(sentencepiece_decoder(&t->decoder, prefix, error));
done:
  free(model.pieces);
  file_map_close(&map);
  return status;
}
