/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/select_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static xt_status add_language(Layout *l, const char *lang, size_t *index, xt_error *error) {
  for (*index = 0; *index < l->language_count; ++*index)
    if (strncmp(l->languages[*index], lang, LANGUAGE_NAME_SIZE - 1) == 0) return XT_STATUS_OK;
  TRY(MEM_GROW(&l->languages, &l->language_capacity, l->language_count + 1, error));
  snprintf(l->languages[l->language_count++], LANGUAGE_NAME_SIZE, "%s", lang);
  return XT_STATUS_OK;
}

static xt_status add_question(void *user, const Gathered *q, xt_error *error) {
  QuestionSet *set = user;
  Candidate *candidates;
  size_t language;
  if (!gathered_is_complete(q)) {
    set->incomplete++;
    return XT_STATUS_OK;
  }
  TRY(add_language(&set->layout, q->lang, &language, error));
  TRY(MEM_GROW(&set->language, &set->room, set->count + 1, error));
  TRY(MEM_GROW(&set->questions, &set->capacity, set->count + 1, error));
  TRY(MEM_ALLOC(&candidates, q->count, error));
  memcpy(candidates, q->candidates, q->count * sizeof *candidates);
  set->language[set->count] = language;
  set->questions[set->count] = *q;
  set->questions[set->count].task = set->questions[set->count].lang = ""; /* borrowed */
  set->questions[set->count++].candidates = candidates;
  return XT_STATUS_OK;
}

/* ---- questions that ask the same ------------------------------------------------------------- */

typedef struct Keyed {
  uint64_t key;
  size_t question;
} Keyed;

static int by_key(const void *a, const void *b) {
  const Keyed *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return (x->question > y->question) - (x->question < y->question);
}

static size_t root_of(size_t *kin, size_t i) {
  while (kin[i] != i) i = kin[i] = kin[kin[i]];
  return i;
}

static bool once_per_language(const QuestionSet *set, const Keyed *run, size_t count) {
  if (count > set->layout.language_count) return false;
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < i; k++)
      if (set->language[run[i].question] == set->language[run[k].question]) return false;
  return true;
}

/* always: also where a language has a key twice, as several tasks have a number. */
static void join_equal(QuestionSet *set, Keyed *keyed, bool always) {
  qsort(keyed, set->count, sizeof *keyed, by_key);
  for (size_t first = 0, end; first < set->count; first = end) {
    for (end = first + 1; end < set->count && keyed[end].key == keyed[first].key;) end++;
    if (!always && !once_per_language(set, keyed + first, end - first)) continue;
    for (size_t i = first + 1; i < end; i++) {
      const size_t x = root_of(set->kin, keyed[first].question),
                   y = root_of(set->kin, keyed[i].question);
      set->kin[x < y ? y : x] = x < y ? x : y;
    }
  }
}

static xt_status find_kin(QuestionSet *set, xt_error *error) {
  Keyed *keyed;
  TRY(MEM_ALLOC(&set->kin, set->count, error));
  TRY(MEM_ALLOC(&keyed, set->count, error));
  for (size_t i = 0; i < set->count; i++) {
    set->kin[i] = i;
    keyed[i] = (Keyed){set->questions[i].place, i};
  }
  if (set->count) join_equal(set, keyed, true);
  for (size_t i = 0; i < set->count; i++) keyed[i] = (Keyed){set->questions[i].source, i};
  if (set->count) join_equal(set, keyed, false);
  for (size_t i = 0; i < set->count; i++) set->kin[i] = root_of(set->kin, i);
  free(keyed);
  return XT_STATUS_OK;
}

bool question_set_in_fold(const QuestionSet *set, size_t question, int fold, int folds) {
  uint64_t hash = (uint64_t)set->questions[set->kin[question]].place * 0x9E3779B97F4A7C15u;
  hash = (hash ^ (hash >> 31)) * 0xBF58476D1CE4E5B9u;
  return (hash ^ (hash >> 29)) % (uint64_t)folds == (uint64_t)fold;
}

/* ---- all of it ------------------------------------------------------------------------------- */

xt_status question_set_load(QuestionSet *set, xt_store *store, const xt_select_options *options,
                            xt_error *error) {
  xt_store_info info;
  xt_select_need need;
  *set = (QuestionSet){.options = options};
  TRY(xt_store_get_info(store, &info, error));
  xt_select_get_need(options, "", &need);
  set->layout.layers = info.layers;
  set->layout.all_targets = need.target_all;
  TRY(gather_questions(store, options, add_question, set, error));
  for (size_t i = 0; i < set->count; i++)
    set->questions[i].lang = set->layout.languages[set->language[i]];
  return find_kin(set, error);
}

void question_set_deinit(QuestionSet *set) {
  for (size_t i = 0; i < set->count; i++) free(set->questions[i].candidates);
  free(set->questions);
  free(set->language);
  free(set->kin);
  free(set->layout.languages);
}
