/* SPDX-License-Identifier: Apache-2.0 */
#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/utf8.h"

/* ---- the table ------------------------------------------------------------------------------- */

static AddedToken *find(const AddedTokens *a, const char *text, size_t length) {
  const int32_t index = vocab_find(&a->index, text, length);
  return index < 0 ? NULL : &a->items[index];
}

const AddedToken *added_find(const AddedTokens *a, const char *text, size_t length) {
  return find(a, text, length);
}

const AddedToken *added_by_id(const AddedTokens *a, int32_t id) {
  if (id < 0 || (size_t)id >= a->id_end || !a->by_id[id]) return NULL;
  return &a->items[a->by_id[id] - 1];
}

static int32_t next_id(const AddedTokens *a, const Vocab *vocab) {
  /* Hugging Face counts the vocabulary's entries, not its largest id. */
  const int32_t size = (int32_t)vocab->count;
  return size && a->largest < size ? size : a->largest + 1;
}

xt_status added_put(AddedTokens *a, const Vocab *vocab, AddedToken flags, xt_error *error) {
  if (!flags.length) return XT_STATUS_OK;
  AddedToken *old = find(a, flags.text, flags.length);
  if (old) {
    flags.text = old->text;
    flags.id = old->id;
    flags.skipped = old->skipped || flags.special;
    flags.special_normalized = old->skipped ? old->special_normalized : flags.normalized;
    *old = flags;
    return XT_STATUS_OK;
  }
  flags.id = vocab_find(vocab, flags.text, flags.length);
  if (flags.id < 0) flags.id = next_id(a, vocab);
  flags.skipped = flags.special;
  flags.special_normalized = flags.normalized;
  if (flags.id >= VOCAB_IDS_MAX) return err_memory(error, (size_t)flags.id);
  const size_t end = (size_t)flags.id + 1;
  if (end > a->id_end) {
    TRY(MEM_GROW(&a->by_id, &a->id_capacity, end, error));
    memset(a->by_id + a->id_end, 0, (end - a->id_end) * sizeof *a->by_id);
    a->id_end = end;
  }
  TRY(MEM_GROW(&a->items, &a->capacity, a->count + 1, error));
  VocabAdded result;
  TRY(vocab_add(&a->index, flags.text, flags.length, (int32_t)a->count, &result, error));
  TRY(mem_copy_text(&flags.text, flags.text, flags.length, error));
  a->items[a->count++] = flags;
  a->by_id[flags.id] = (int32_t)a->count;
  if (flags.id > a->largest) a->largest = flags.id;
  return XT_STATUS_OK;
}

/* ---- the tries ------------------------------------------------------------------------------- */

xt_status added_finish(AddedTokens *a, const Normalizer *normalizer, xt_error *error) {
  TextBuffer text = {0}, scratch = {0};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < a->count; i++) {
    const AddedToken *token = &a->items[i];
    if (token->normalized || (token->skipped && token->special_normalized)) {
      TRY_DONE(normalizer_apply(normalizer, token->text, token->length, &text, &scratch, error));
      TRY_DONE(trie_add(&a->normalized, text.data, text.size, (int32_t)i, error));
    }
    if (!token->normalized || (token->skipped && !token->special_normalized))
      TRY_DONE(trie_add(&a->raw, token->text, token->length, (int32_t)i, error));
  }
done:
  text_buffer_free(&text);
  text_buffer_free(&scratch);
  return status;
}

/* The longest token that begins at `at`, or -1. */
static int32_t longest(const Trie *t, const char *text, size_t length, size_t at, size_t *end) {
  int32_t token = -1;
  uint32_t node = 0;
  while (at < length && trie_step(t, &node, (uint8_t)text[at])) {
    at++;
    if (t->nodes[node].token < 0) continue;
    token = t->nodes[node].token;
    *end = at;
  }
  return token;
}

/* ---- the search ------------------------------------------------------------------------------ */

static bool word_before(const char *text, size_t at) {
  if (at == 0) return false;
  size_t from = utf8_before(text, at);
  return utf8_is_word(utf8_next(text, &from));
}

static bool word_after(const char *text, size_t length, size_t at) {
  return at < length && utf8_is_word(utf8_next(text, &at));
}

static size_t spaces_before(const char *text, size_t at) {
  while (at > 0) {
    const size_t before = utf8_before(text, at);
    size_t next = before;
    if (!utf8_is_space(utf8_next(text, &next))) break;
    at = before;
  }
  return at;
}

static size_t spaces_after(const char *text, size_t length, size_t at) {
  while (at < length) {
    size_t next = at;
    if (!utf8_is_space(utf8_next(text, &next))) break;
    at = next;
  }
  return at;
}

const AddedToken *added_next(AddedScan *s, size_t *start, size_t *end) {
  const Trie *trie = s->normalized ? &s->added->normalized : &s->added->raw;
  if (!trie->count) return NULL;
  while (s->at < s->length) {
    size_t from = s->at, to = from;
    const int32_t index = longest(trie, s->text, s->length, from, &to);
    if (index < 0) {
      s->at++;
      continue;
    }
    s->at = to;
    const AddedToken *token = &s->added->items[index];
    if (s->added->ignore_special && token->skipped) continue;
    if (token->single_word && (word_before(s->text, from) || word_after(s->text, s->length, to)))
      continue;
    if (token->lstrip) from = spaces_before(s->text, from);
    if (from < s->written) from = s->written;
    if (token->rstrip) to = spaces_after(s->text, s->length, to);
    *start = from;
    *end = s->written = to;
    return token;
  }
  return NULL;
}

void added_free(AddedTokens *a) {
  for (size_t i = 0; i < a->count; i++) free(a->items[i].text);
  free(a->items);
  vocab_free(&a->index);
  free(a->by_id);
  trie_free(&a->raw);
  trie_free(&a->normalized);
  *a = (AddedTokens){.largest = -1};
}
