/* SPDX-License-Identifier: Apache-2.0 */
/* Outline: a word becomes a doubly linked list of symbols; every neighbouring pair that has a merge
 * is in a heap that is ordered by rank, then position. The pair at the top is taken out, its two
 * symbols are joined, and the two new pairs are added; an entry whose symbols have changed since is
 * recognised and skipped. n symbols: O(n log n). */
#include "text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/utf8.h"

#define MERGE_NONE UINT64_MAX

typedef struct BpeSymbol {
  int32_t id;              /* -1: joined to its left neighbour */
  uint32_t previous, next; /* NO_SYMBOL at the ends */
} BpeSymbol;

typedef struct BpeTodo {
  uint64_t order; /* rank << 32 | position */
  int32_t id;
} BpeTodo;

#define NO_SYMBOL UINT32_MAX

xt_status id_list_add(IdList *list, int32_t id, xt_error *error) {
  TRY(MEM_GROW(&list->data, &list->capacity, list->size + 1, error));
  list->data[list->size++] = id;
  return XT_STATUS_OK;
}

/* ---- letters for bytes ----------------------------------------------------------------------- */

uint32_t bpe_byte_letter(uint8_t b) {
  /* Printable Latin-1 stands for itself; the other 68 bytes take U+0100 onwards, in order. */
  if ((b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE) return b;
  if (b <= 0x20) return 0x100u + b;
  if (b <= 0xA0) return 0x121u + (b - 0x7Fu);
  return 0x143;
}

int bpe_letter_byte(uint32_t letter) {
  if (letter < 0x100) return bpe_byte_letter((uint8_t)letter) == letter ? (int)letter : -1;
  if (letter <= 0x120) return (int)(letter - 0x100);
  if (letter <= 0x142) return (int)(letter - 0x121 + 0x7F);
  return letter == 0x143 ? 0xAD : -1;
}

/* ---- merges ---------------------------------------------------------------------------------- */

static uint64_t pair_of(int32_t left, int32_t right) {
  return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static size_t find_slot(const Merge *merges, size_t slots, uint64_t pair) {
  uint64_t h = pair * 0x9E3779B97F4A7C15u;
  h ^= h >> 32;
  size_t slot = (size_t)h & (slots - 1);
  while (merges[slot].pair != pair && merges[slot].pair != MERGE_NONE)
    slot = (slot + 1) & (slots - 1);
  return slot;
}

static const Merge *find_merge(const Bpe *bpe, int32_t left, int32_t right) {
  if (!bpe->merge_slots) return NULL;
  const Merge *m = &bpe->merges[find_slot(bpe->merges, bpe->merge_slots, pair_of(left, right))];
  return m->pair == MERGE_NONE ? NULL : m;
}

static xt_status set_slots(Bpe *bpe, size_t slots, xt_error *error) {
  Merge *merges;
  TRY(MEM_ALLOC(&merges, slots, error));
  for (size_t i = 0; i < slots; i++) merges[i].pair = MERGE_NONE;
  for (size_t i = 0; i < bpe->merge_slots; i++)
    if (bpe->merges[i].pair != MERGE_NONE)
      merges[find_slot(merges, slots, bpe->merges[i].pair)] = bpe->merges[i];
  free(bpe->merges);
  bpe->merges = merges;
  bpe->merge_slots = slots;
  return XT_STATUS_OK;
}

xt_status bpe_reserve_merges(Bpe *bpe, size_t count, xt_error *error) {
  size_t slots = 1024;
  while (slots < 2 * count) slots *= 2;
  return slots > bpe->merge_slots ? set_slots(bpe, slots, error) : XT_STATUS_OK;
}

xt_status bpe_add_merge(Bpe *bpe, int32_t left, int32_t right, int32_t id, uint32_t rank,
                        bool last_wins, xt_error *error) {
  if (bpe->merge_count * 2 >= bpe->merge_slots)
    TRY(set_slots(bpe, bpe->merge_slots ? bpe->merge_slots * 2 : 1024, error));
  Merge *m = &bpe->merges[find_slot(bpe->merges, bpe->merge_slots, pair_of(left, right))];
  if (m->pair != MERGE_NONE && !last_wins) return XT_STATUS_OK;
  if (m->pair == MERGE_NONE) bpe->merge_count++;
  *m = (Merge){pair_of(left, right), rank, id};
  return XT_STATUS_OK;
}

/* Whether a token's text has a U+2581 after another character. */
static bool joins_words(const char *text, size_t length) {
  bool other = false;
  for (size_t at = 0; at < length;) {
    const bool mark = utf8_next(text, &at) == 0x2581;
    if (mark && other) return true;
    other = !mark;
  }
  return false;
}

void bpe_finish(Bpe *bpe) {
  for (int b = 0; b < 256; b++) {
    char piece[8], letter[4];
    snprintf(piece, sizeof piece, "<0x%02X>", (unsigned)b);
    bpe->byte_piece[b] = vocab_find(&bpe->vocab, piece, 6);
    bpe->byte_symbol[b] =
        vocab_find(&bpe->vocab, letter, utf8_put(bpe_byte_letter((uint8_t)b), letter));
  }
  bpe->words_apart = vocab_find(&bpe->vocab, "\xE2\x96\x81", 3) >= 0;
  for (size_t i = 0; i < bpe->merge_slots && bpe->words_apart; i++) {
    if (bpe->merges[i].pair == MERGE_NONE) continue;
    size_t length;
    const char *text = vocab_text(&bpe->vocab, bpe->merges[i].id, &length);
    if (text && joins_words(text, length)) bpe->words_apart = false;
  }
}

/* ---- encoding -------------------------------------------------------------------------------- */

static void heap_push(BpeTodo *heap, size_t *size, BpeTodo todo) {
  size_t i = (*size)++;
  while (i > 0 && heap[(i - 1) / 2].order > todo.order) {
    heap[i] = heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  heap[i] = todo;
}

static BpeTodo heap_pop(BpeTodo *heap, size_t *size) {
  const BpeTodo top = heap[0], last = heap[--*size];
  size_t i = 0;
  for (size_t child; (child = 2 * i + 1) < *size; i = child) {
    if (child + 1 < *size && heap[child + 1].order < heap[child].order) child++;
    if (heap[child].order >= last.order) break;
    heap[i] = heap[child];
  }
  heap[i] = last;
  return top;
}

/* Symbols being gathered from a word, with the unknown stretch not yet written. */
typedef struct Gather {
  const Bpe *bpe;
  BpeSymbol *symbols;
  size_t count;
  bool unknown;
} Gather;

static void add_symbol(Gather *g, int32_t id) {
  g->symbols[g->count] = (BpeSymbol){id, (uint32_t)g->count - 1, (uint32_t)g->count + 1};
  g->count++;
}

/* One character without a token: its bytes' tokens if all are there, else the unknown token. */
static void add_unknown(Gather *g, const char *text, size_t length) {
  const Bpe *bpe = g->bpe;
  if (bpe->byte_fallback) {
    bool all = true;
    for (size_t i = 0; i < length; i++) all = all && bpe->byte_piece[(uint8_t)text[i]] >= 0;
    for (size_t i = 0; all && i < length; i++) add_symbol(g, bpe->byte_piece[(uint8_t)text[i]]);
    /* An unknown stretch before byte tokens is written after them: Hugging Face's order. */
    if (all) return;
  }
  if (bpe->unk < 0) return;
  if (g->unknown && !bpe->fuse_unk) add_symbol(g, bpe->unk);
  g->unknown = true;
}

static void add_known(Gather *g, int32_t id) {
  if (g->unknown) add_symbol(g, g->bpe->unk);
  g->unknown = false;
  add_symbol(g, id);
}

static size_t gather(const Bpe *bpe, BpeSymbol *symbols, const char *word, size_t length,
                     bool bytes) {
  Gather g = {bpe, symbols, 0, false};
  for (size_t at = 0; at < length;) {
    char letter[4];
    const char *text = word + at;
    size_t size = bytes ? 1 : utf8_length(word[at]);
    int32_t id;
    at += size;
    if (bytes) {
      const uint8_t byte = (uint8_t)*text;
      id = bpe->byte_symbol[byte];
      size = utf8_put(bpe_byte_letter(byte), letter);
      text = letter;
    } else {
      id = vocab_find(&bpe->vocab, text, size);
    }
    if (id >= 0)
      add_known(&g, id);
    else
      add_unknown(&g, text, size);
  }
  if (g.unknown) add_symbol(&g, bpe->unk);
  if (g.count) symbols[g.count - 1].next = NO_SYMBOL;
  return g.count;
}

static void queue_pair(const Bpe *bpe, const BpeSymbol *symbols, uint32_t left, BpeTodo *heap,
                       size_t *size) {
  const Merge *m = find_merge(bpe, symbols[left].id, symbols[symbols[left].next].id);
  if (m) heap_push(heap, size, (BpeTodo){(uint64_t)m->rank << 32 | left, m->id});
}

static void merge_all(const Bpe *bpe, BpeSymbol *symbols, size_t count, BpeTodo *heap) {
  size_t size = 0;
  for (uint32_t i = 0; i + 1 < count; i++) queue_pair(bpe, symbols, i, heap, &size);
  while (size) {
    const BpeTodo todo = heap_pop(heap, &size);
    const uint32_t at = (uint32_t)todo.order, right = symbols[at].next;
    if (symbols[at].id < 0 || right == NO_SYMBOL) continue;
    const Merge *m = find_merge(bpe, symbols[at].id, symbols[right].id);
    if (!m || m->id != todo.id) continue;
    symbols[at].id = todo.id;
    symbols[at].next = symbols[right].next;
    symbols[right].id = -1;
    if (symbols[at].next != NO_SYMBOL) symbols[symbols[at].next].previous = at;
    if (symbols[at].previous != NO_SYMBOL)
      queue_pair(bpe, symbols, symbols[at].previous, heap, &size);
    if (symbols[at].next != NO_SYMBOL) queue_pair(bpe, symbols, at, heap, &size);
  }
}

/* Whole-word lookup of models with ignore_merges. */
static xt_status find_word(const Bpe *bpe, const char *word, size_t length, bool bytes, int32_t *id,
                           xt_error *error) {
  if (!bytes) {
    *id = vocab_find(&bpe->vocab, word, length);
    return XT_STATUS_OK;
  }
  TextBuffer letters = {0};
  for (size_t i = 0; i < length; i++) {
    char letter[4];
    text_buffer_add(&letters, letter, utf8_put(bpe_byte_letter((uint8_t)word[i]), letter));
  }
  *id = letters.failed ? -1 : vocab_find(&bpe->vocab, letters.data, letters.size);
  const bool failed = letters.failed;
  text_buffer_free(&letters);
  return failed ? err_memory(error, 2 * length) : XT_STATUS_OK;
}

static xt_status encode_word(const Bpe *bpe, BpeWork *work, const char *word, size_t length,
                             bool bytes, IdList *out, xt_error *error) {
  /* A character of n bytes gives at most n symbols (a letter of two bytes: two), and one symbol
   * more where an unknown stretch ends. A pair is queued once, and at most two more for each
   * join. */
  const size_t most = (bytes ? 3 : 2) * length + 1;
  if (most >= NO_SYMBOL / 4)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "the text is too long");
  TRY(MEM_GROW(&work->symbols, &work->symbol_capacity, most, error));
  BpeSymbol *symbols = work->symbols;
  const size_t count = gather(bpe, symbols, word, length, bytes);
  TRY(MEM_GROW(&work->heap, &work->heap_capacity, 3 * count + 1, error));
  merge_all(bpe, symbols, count, work->heap);
  TRY(MEM_GROW(&out->data, &out->capacity, out->size + count, error));
  for (size_t i = 0; i < count; i++)
    if (symbols[i].id >= 0) out->data[out->size++] = symbols[i].id;
  return XT_STATUS_OK;
}

xt_status bpe_encode(const Bpe *bpe, BpeWork *work, const char *word, size_t length, bool bytes,
                     IdList *out, xt_error *error) {
  if (!length) return XT_STATUS_OK;
  if (bpe->ignore_merges) {
    int32_t id;
    TRY(find_word(bpe, word, length, bytes, &id, error));
    if (id >= 0) return id_list_add(out, id, error);
  }
  if (bytes || !bpe->words_apart) return encode_word(bpe, work, word, length, bytes, out, error);
  /* Short words stay in the cache; the ids are the same as those of the whole text. */
  size_t from = 0;
  bool other = false;
  for (size_t at = 0; at < length;) {
    const size_t here = at;
    const bool mark = utf8_next(word, &at) == 0x2581;
    if (mark && other) {
      TRY(encode_word(bpe, work, word + from, here - from, bytes, out, error));
      from = here;
    }
    other = !mark;
  }
  return encode_word(bpe, work, word + from, length - from, bytes, out, error);
}

void bpe_work_free(BpeWork *work) {
  free(work->symbols);
  free(work->heap);
  *work = (BpeWork){0};
}

void bpe_free(Bpe *bpe) {
  vocab_free(&bpe->vocab);
  free(bpe->merges);
  *bpe = (Bpe){0};
}
