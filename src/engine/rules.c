/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rules.h"

#include <stdlib.h>
#include <string.h>

typedef struct Banned {
  int32_t *ids;
  int count;
} Banned;

static void ban(Banned *b, const int32_t *ids, int count) {
  memcpy(b->ids + b->count, ids, (size_t)count * sizeof *ids);
  b->count += count;
}

static int text_length(const RowText *t) { return t->prompt_count + t->generated_count; }
static int32_t text_id(const RowText *t, int at) {
  return at < t->prompt_count ? t->prompt[at] : t->generated[at - t->prompt_count];
}

/* Whether the text has at `at` the `count` tokens that it ends with. */
static bool repeats_end(const RowText *t, int at, int count) {
  const int end = text_length(t) - count;
  for (int k = 0; k < count; k++)
    if (text_id(t, at + k) != text_id(t, end + k)) return false;
  return true;
}

static void ban_repeats(Banned *b, const RowText *t, int size) {
  for (int at = 0; at <= text_length(t) - size; at++)
    if (repeats_end(t, at, size - 1)) b->ids[b->count++] = text_id(t, at + size - 1);
}

static bool ends_with(const RowText *t, const int32_t *ids, int count) {
  if (count > text_length(t)) return false;
  for (int k = 0; k < count; k++)
    if (text_id(t, text_length(t) - count + k) != ids[k]) return false;
  return true;
}

static void ban_words(Banned *b, const RowText *t, const int32_t *words, int count) {
  for (int at = 0; at < count; at += 1 + words[at])
    if (ends_with(t, words + at + 1, words[at] - 1)) ban(b, words + at + words[at], 1);
}

/* Adds ids that ascend, as those in *b do. */
static void merge(Banned *b, const int32_t *ids, int count) {
  int from = b->count - 1, to = b->count + count - 1;
  b->count += count;
  for (int i = count - 1; i >= 0;)
    b->ids[to--] = from >= 0 && b->ids[from] > ids[i] ? b->ids[from--] : ids[i--];
}

static void make_distinct(Banned *b) {
  int left = 0;
  for (int i = 0; i < b->count; i++)
    if (i == 0 || b->ids[i] != b->ids[left - 1]) b->ids[left++] = b->ids[i];
  b->count = left;
}

static Allowed force(const int32_t *ids, int count, const Banned *b) {
  Allowed a = {.id = INT32_MAX};
  for (int i = 0; i < count; i++) {
    if (bsearch(&ids[i], b->ids, (size_t)b->count, sizeof *b->ids, token_id_compare)) continue;
    bool again = false;
    for (int k = 0; k < i; k++) again |= ids[k] == ids[i];
    a.forced += !again;
    if (ids[i] < a.id) a.id = ids[i];
  }
  return a.forced ? a : (Allowed){.forced = 1};
}

size_t rules_most(const ModelConfig *config, size_t longest) {
  return longest + (size_t)config->rules.id_count + (size_t)config->eos_count;
}

Allowed rules_apply(const ModelConfig *c, const RowText *t, int32_t *banned) {
  const GenerationRules *r = &c->rules;
  Banned b = {.ids = banned};
  const int length = text_length(t);
  const bool forces_bos = r->forced_bos >= 0 && length == 1,
             forces_eos = r->forced_eos.count && t->generated_count == t->max_new - 1;
  if (!forces_bos && !forces_eos) { /* forcing passes over what was banned before */
    if (r->no_repeat_ngram) ban_repeats(&b, t, r->no_repeat_ngram);
    ban_words(&b, t, r->ids + r->bad_words.start, r->bad_words.count);
    if (length < r->min_length || t->generated_count < r->min_new_tokens)
      ban(&b, c->eos, c->eos_count);
  }
  if (b.count > 1) qsort(b.ids, (size_t)b.count, sizeof *b.ids, token_id_compare);
  merge(&b, r->ids + r->suppressed.start, r->suppressed.count);
  if (t->generated_count == (t->prompt_count == 1 && r->forced_bos >= 0))
    merge(&b, r->ids + r->begin_suppressed.start, r->begin_suppressed.count);
  make_distinct(&b);
  if (forces_eos) return force(r->ids + r->forced_eos.start, r->forced_eos.count, &b);
  if (forces_bos) return force(&r->forced_bos, 1, &b);
  if (b.count == c->vocab) return (Allowed){.forced = 1};
  return (Allowed){.banned_count = b.count};
}
