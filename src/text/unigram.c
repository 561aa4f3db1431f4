/* SPDX-License-Identifier: Apache-2.0 */
#include "text/unigram.h"

#include <stdlib.h>

#include "base/mem.h"
#include "text/utf8.h"

#define UNKNOWN_PENALTY 10.0 /* of an unknown character, below the lowest score */

/* The best way to cut the text up to a place. */
typedef struct UnigramNode {
  double score;
  uint32_t start; /* of its last token */
  int32_t id;     /* NO_ID: nothing ends here */
} UnigramNode;

#define NO_ID (-2) /* -1 is the unknown token of a model that has none */

xt_status unigram_add(Unigram *u, const char *text, size_t length, double score, xt_error *error) {
  TRY(MEM_GROW(&u->scores, &u->capacity, u->count + 1, error));
  if (!u->count || score < u->lowest) u->lowest = score;
  TRY(trie_add(&u->trie, text, length, (int32_t)u->count, error));
  u->scores[u->count++] = score;
  return XT_STATUS_OK;
}

static void offer(UnigramNode *node, double score, size_t start, int32_t id) {
  if (node->id != NO_ID && !(score > node->score)) return; /* of equal ones, the first stays */
  *node = (UnigramNode){score, (uint32_t)start, id};
}

static void find_best(const Unigram *u, UnigramNode *nodes, const char *text, size_t length) {
  for (size_t i = 0; i <= length; i++) nodes[i] = (UnigramNode){0, 0, NO_ID};
  for (size_t start = 0; start < length;) {
    const size_t first = start + utf8_length(text[start]);
    const double before = nodes[start].score;
    bool single = false;
    uint32_t place = 0;
    for (size_t at = start; at < length && trie_step(&u->trie, &place, (uint8_t)text[at]);) {
      const int32_t id = u->trie.nodes[place].token;
      if (++at > start && id >= 0) {
        offer(&nodes[at], u->scores[id] + before, start, id);
        single = single || at == first;
      }
    }
    if (!single) offer(&nodes[first], u->lowest - UNKNOWN_PENALTY + before, start, u->unk);
    start = first;
  }
}

/* A stretch that no token covers becomes the token of that text if there is one, or the tokens of
 * its bytes, or the unknown token. */
static xt_status add_unknown(const Unigram *u, const Bpe *bpe, const char *text, size_t length,
                             IdList *out, xt_error *error) {
  const int32_t id = vocab_find(&bpe->vocab, text, length);
  if (id >= 0) return id_list_add(out, id, error);
  bool all = u->byte_fallback;
  for (size_t i = 0; i < length && all; i++) all = bpe->byte_piece[(uint8_t)text[i]] >= 0;
  for (size_t i = 0; i < length && all; i++)
    TRY(id_list_add(out, bpe->byte_piece[(uint8_t)text[i]], error));
  if (all) return XT_STATUS_OK;
  if (u->unk >= 0) return id_list_add(out, u->unk, error);
  return err_set(
      error, XT_STATUS_INPUT, NULL, NULL, -1,
      "the text has characters that no token covers, and the vocabulary no unknown token");
}

/* The ids are found from the end, because each place has the beginning of the token that ends
 * there. The links are then reversed, so that each place has the end of the token that begins
 * there. */
static xt_status add_path(const Unigram *u, const Bpe *bpe, UnigramNode *nodes, const char *text,
                          size_t length, IdList *out, xt_error *error) {
  size_t end = length, next = length;
  nodes[0].start = 0;
  while (end > 0) { /* nodes[start].start: the end of the token that begins there, whose id moves
                       there too */
    const size_t start = nodes[end].start;
    const int32_t id = nodes[end].id;
    nodes[end].start = (uint32_t)next;
    next = end;
    end = start;
    nodes[next].score = id; /* exact: ids are below 2^24 */
  }
  for (size_t start = 0, to = next; start < length;) {
    int32_t id = (int32_t)nodes[to].score;
    size_t stop = to;
    if (id == u->unk) /* a run of them is one */
      while (stop < length && (int32_t)nodes[nodes[stop].start].score == u->unk)
        stop = nodes[stop].start;
    if (id == u->unk)
      TRY(add_unknown(u, bpe, text + start, stop - start, out, error));
    else
      TRY(id_list_add(out, id, error));
    start = stop;
    to = nodes[stop].start;
  }
  return XT_STATUS_OK;
}

xt_status unigram_encode(const Unigram *u, const Bpe *bpe, UnigramWork *work, const char *word,
                         size_t length, bool bytes, IdList *out, xt_error *error) {
  if (!length) return XT_STATUS_OK;
  if (bytes) {
    work->letters.size = 0;
    for (size_t i = 0; i < length; i++) {
      char letter[4];
      text_buffer_add(&work->letters, letter, utf8_put(bpe_byte_letter((uint8_t)word[i]), letter));
    }
    if (work->letters.failed) return err_memory(error, 2 * length);
    word = work->letters.data;
    length = work->letters.size;
  }
  if (length >= UINT32_MAX)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "the text is too long");
  TRY(MEM_GROW(&work->nodes, &work->capacity, length + 1, error));
  find_best(u, work->nodes, word, length);
  return add_path(u, bpe, work->nodes, word, length, out, error);
}

void unigram_work_free(UnigramWork *work) {
  free(work->nodes);
  text_buffer_free(&work->letters);
  *work = (UnigramWork){0};
}

void unigram_free(Unigram *u) {
  free(u->scores);
  trie_free(&u->trie);
  *u = (Unigram){0};
}
