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

static xt_status find_kin(QuestionSet *set, xt_error *error) {
  Asked *asked;
  TRY(MEM_ALLOC(&set->kin, set->count, error));
  TRY(MEM_ALLOC(&asked, set->count, error));
  for (size_t i = 0; i < set->count; i++) asked[i] = set->questions[i].asked;
  const xt_status status = asked_join(asked, set->count, set->kin, error);
  free(asked);
  return status;
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
