/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/same_question.h"

#include <stdlib.h>
#include <string.h>

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

/* What comes before the culture's name is the same for all, but for a date that a chat template may
 * write. */
static uint64_t text_after_culture(const xt_task *task, const xt_question *q) {
  size_t length;
  const size_t at = task_culture_name(task, q->target, &length);
  return hash_of((const char *const[]){task->name, q->target + at + length}, 2);
}

Asked asked_of(const xt_question *q) {
  const xt_task *task = xt_task_find(q->task);
  Asked out = {.lang = hash_of(&q->lang, 1)};
  if (!task) return out;
  if (task->direction == XT_DIRECTION_FROM_LANGUAGE) {
    out.text = text_after_culture(task, q);
    return out;
  }
  out.id = hash_of((const char *const[]){q->task, q->id}, 2);
  out.source = hash_of((const char *const[]){q->task, q->source_lang, q->source}, 3);
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
