/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/same_question.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/groups.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tasks/task_table.h"

/* Never 0. The texts are framed by their ends; NULL counts as the empty one. */
static uint64_t hash_of(const char *const *texts, size_t count) {
  uint64_t h = HASH_FNV_START;
  for (size_t i = 0; i < count; i++) {
    const char *text = texts[i] ? texts[i] : "";
    h = hash_fnv_continue(h, text, strlen(text) + 1);
  }
  return h ? h : 1;
}

/* hash_of, without the first place at which the last text has `omitted` (NULL: nothing is). */
static uint64_t hash_without(const char *const *texts, size_t count, const char *omitted) {
  const char *last = texts[count - 1], *at = omitted && last ? strstr(last, omitted) : NULL;
  if (!at) return hash_of(texts, count);
  const uint64_t h =
      hash_fnv_continue(hash_of(texts, count - 1), last, (size_t)(at - last)); /* what is before */
  return hash_fnv_continue(h, at + strlen(omitted), strlen(at + strlen(omitted)) + 1);
}

/* "12", or "12-cot": the id is the question's number. */
static bool is_numbered(const xt_question *q, size_t id_length) {
  char text[32];
  const int length = snprintf(text, sizeof text, "%zu", q->number);
  return q->id && (size_t)length == id_length && memcmp(text, q->id, id_length) == 0;
}

Asked asked_of(const xt_question *q) {
  const xt_task *task = xt_task_find(q->task);
  const bool cot = q->id && group_is_cot(q->id),
             to = task && task->direction == XT_DIRECTION_TO_LANGUAGE,
             from = task && task->direction == XT_DIRECTION_FROM_LANGUAGE;
  const char *source_end = cot && q->source_lang ? xt_language_cot(q->source_lang) : NULL,
             *target_end = cot ? xt_language_cot(from ? TASK_PIVOT : q->lang) : NULL;
  const char *const end = cot ? "-cot" : NULL;
  Asked out = {.lang = hash_of((const char *const[]){q->lang, end}, 2)};
  size_t length = q->id ? strlen(q->id) : 0;
  if (cot) length -= strlen(end);
  out.numbered = is_numbered(q, length);
  out.target = hash_without((const char *const[]){"target", q->task, q->target}, 3, target_end);
  if (to) {
    out.id = hash_without((const char *const[]){"id", q->task, q->id}, 3, end);
    out.source = hash_without((const char *const[]){"source", q->task, q->source_lang, q->source},
                              4, source_end);
  }
  if (from) {
    /* what comes before the name is the same for all, but for a date that a chat template may
     * write */
    const size_t at = task_culture_name(task, q->target, &length);
    out.text = hash_without((const char *const[]){"text", q->task, q->target + at + length}, 3,
                            target_end);
  }
  return out;
}

/* ---- joining --------------------------------------------------------------------------------- */

typedef struct Keyed {
  uint64_t key, lang;
  size_t at;
} Keyed;

static int by_key(const void *a, const void *b) {
  const Keyed *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  if (x->lang != y->lang) return x->lang < y->lang ? -1 : 1;
  return (x->at > y->at) - (x->at < y->at);
}

static size_t root_of(size_t *first, size_t i) {
  while (first[i] != i) i = first[i] = first[first[i]];
  return i;
}

/* The earlier one stands for both. */
static void join(size_t *first, size_t i, size_t k) {
  const size_t x = root_of(first, i), y = root_of(first, k);
  first[x < y ? y : x] = x < y ? x : y;
}

/* Those of one language are neighbours. */
static bool once_per_language(const Keyed *run, size_t count) {
  for (size_t i = 1; i < count; i++)
    if (run[i].lang == run[i - 1].lang) return false;
  return true;
}

typedef struct KeyKind {
  size_t offset;  /* of the key in Asked */
  bool languages; /* a key that a language has twice joins nothing */
} KeyKind;

static const KeyKind kinds[] = {
    {offsetof(Asked, id), false}, {offsetof(Asked, source), true}, {offsetof(Asked, text), false}};

static uint64_t key_of(const Asked *asked, const KeyKind *kind) {
  uint64_t key;
  memcpy(&key, (const char *)asked + kind->offset, sizeof key);
  return key;
}

static void join_equal(const Asked *asked, size_t count, const KeyKind *kind, Keyed *keyed,
                       size_t *first) {
  for (size_t i = 0; i < count; i++) keyed[i] = (Keyed){key_of(&asked[i], kind), asked[i].lang, i};
  qsort(keyed, count, sizeof *keyed, by_key);
  for (size_t start = 0, end; start < count; start = end) {
    for (end = start + 1; end < count && keyed[end].key == keyed[start].key;) end++;
    if (!keyed[start].key || (kind->languages && !once_per_language(keyed + start, end - start)))
      continue;
    for (size_t i = start + 1; i < end; i++) join(first, keyed[start].at, keyed[i].at);
  }
}

xt_status asked_join(const Asked *asked, size_t count, size_t *first, xt_error *error) {
  Keyed *keyed;
  TRY(MEM_ALLOC(&keyed, count, error));
  for (size_t i = 0; i < count; i++) first[i] = i;
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds && count; k++)
    join_equal(asked, count, &kinds[k], keyed, first);
  for (size_t i = 0; i < count; i++) first[i] = root_of(first, i);
  free(keyed);
  return XT_STATUS_OK;
}

/* ---- of another store ------------------------------------------------------------------------ */

enum { KEYS_MOST = 4 };

/* The keys that mean the same in every store. */
static size_t keys_of(const Asked *a, uint64_t keys[KEYS_MOST]) {
  const uint64_t all[KEYS_MOST] = {a->numbered ? 0 : a->id, a->source, a->text, a->target};
  size_t count = 0;
  for (size_t k = 0; k < KEYS_MOST; k++)
    if (all[k]) keys[count++] = all[k];
  return count;
}

static int by_number(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

xt_status asked_known(const Asked *asked, size_t count, const Asked *others, size_t other_count,
                      bool *known, xt_error *error) {
  uint64_t *keys = NULL, own[KEYS_MOST];
  size_t *first = NULL, n = 0;
  xt_status status;
  TRY_DONE(MEM_ALLOC(&keys, other_count * KEYS_MOST, error));
  TRY_DONE(MEM_ALLOC(&first, count, error));
  TRY_DONE(asked_join(asked, count, first, error));
  for (size_t i = 0; i < other_count; i++) n += keys_of(&others[i], keys + n);
  if (n) qsort(keys, n, sizeof *keys, by_number);
  for (size_t i = 0; i < count; i++) known[i] = false;
  for (size_t i = 0; i < count && n; i++)
    for (size_t k = keys_of(&asked[i], own); k-- > 0;)
      if (bsearch(&own[k], keys, n, sizeof *keys, by_number)) known[first[i]] = true;
  for (size_t i = 0; i < count; i++) known[i] = known[first[i]];
done:
  free(keys);
  free(first);
  return status;
}
