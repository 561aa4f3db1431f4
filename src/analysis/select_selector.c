/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/select_selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/options.h"
#include "store/store_parts.h"

/* ---- what it learns from --------------------------------------------------------------------- */

typedef struct AskedList {
  Asked *asked;
  size_t count, capacity;
} AskedList;

static xt_status add_asked(void *user, const xt_store_row *rows, size_t count, xt_error *error) {
  AskedList *list = user;
  (void)count;
  TRY(MEM_GROW(&list->asked, &list->capacity, list->count + 1, error));
  list->asked[list->count++] = asked_of(rows->question);
  return XT_STATUS_OK;
}

/* Which questions of the set are asked in the store that will be chosen for. */
static xt_status find_known(const QuestionSet *set, xt_store *chosen_for, bool *known,
                            xt_error *error) {
  AskedList list = {0};
  Asked *own = NULL;
  xt_status status;
  const xt_store_read_options untouched = {.site = "vanilla"};
  TRY_DONE(MEM_ALLOC(&own, set->count, error));
  for (size_t i = 0; i < set->count; i++) own[i] = set->questions[i].asked;
  TRY_DONE(xt_store_read_questions(chosen_for, &untouched, add_asked, &list, error));
  status = asked_known(own, set->count, list.asked, list.count, known, error);
done:
  free(list.asked);
  free(own);
  return status;
}

/* "pilot.3fa9c201" */
static void name_source(const QuestionSet *set, const char *path, char out[SELECTOR_FROM_SIZE]) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path,
             *end = strrchr(name, '.');
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
  char stem[SELECTOR_FROM_SIZE - 9];
  uint64_t h = HASH_FNV_START;
  snprintf(stem, sizeof stem, "%.*s", end && end > name ? (int)(end - name) : (int)strlen(name),
           name);
  for (char *c = stem; *c; c++)
    if (!strchr(plain, *c)) *c = '_';
  for (size_t i = 0; i < set->count; i++) {
    const Gathered *q = &set->questions[i];
    const uint64_t numbers[] = {q->asked.id, q->asked.source,   q->asked.target,
                                q->group,    q->vanilla.answer, (uint64_t)(q->vanilla.correct + 1)};
    h = hash_fnv_continue(h, numbers, sizeof numbers);
  }
  snprintf(out, SELECTOR_FROM_SIZE, "%s.%08x", stem, (unsigned)(h ^ (h >> 32)));
}

static xt_status learn_apart(xt_selector *s, const QuestionSet *set, const bool *known,
                             const char *path, const xt_store *chosen_for, xt_error *error) {
  char where[300] = "";
  size_t *rows;
  TRY(MEM_ALLOC(&rows, set->count, error));
  xt_status status = MEM_ALLOC(&s->learned, set->count, error);
  for (size_t i = 0; i < set->count && !status; i++) {
    if (set->questions[i].vanilla.correct < 0) continue; /* no gold answer */
    if (known[i]) {
      s->info.left_out++;
      continue;
    }
    s->learned[s->info.learned] = set->questions[i].asked;
    rows[s->info.learned++] = i;
  }
  if (s->info.left_out)
    snprintf(where, sizeof where, " besides the %zu that %.200s asks, too", s->info.left_out,
             chosen_for->db.path);
  if (!status && s->info.left_out && !s->info.learned)
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "all of its %zu questions with a gold answer are asked in %.200s, too; a "
                     "strategy must not learn "
                     "from the questions that it chooses for",
                     s->info.left_out, chosen_for->db.path);
  if (!status) status = fit_learn(&s->fit, set, rows, s->info.learned, where, path, error);
  free(rows);
  return status;
}

static xt_status learn(xt_selector *s, QuestionSet *set, xt_store *store, xt_error *error) {
  bool *known;
  const xt_select_options *o = set->options;
  TRY(question_set_load(set, store, o, error));
  TRY(MEM_ALLOC(&known, set->count, error));
  xt_status status = o->chosen_for ? find_known(set, o->chosen_for, known, error) : XT_STATUS_OK;
  if (!status) status = learn_apart(s, set, known, store->db.path, o->chosen_for, error);
  free(known);
  if (status) return status;
  name_source(set, store->db.path, s->from);
  s->layout = set->layout;
  s->fit.layout = &s->layout;
  set->layout.languages = NULL;
  return XT_STATUS_OK;
}

/* ---- from outside ---------------------------------------------------------------------------- */

xt_status xt_selector_train(xt_store *store, const xt_select_options *options, xt_selector **out,
                            xt_error *error) {
  xt_selector *selector;
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  if ((unsigned)options->strategy > XT_STRATEGY_CONTEXTUAL ||
      !xt_strategy_learns(options->strategy))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "strategy", -1,
                   "is not a strategy that learns");
  QuestionSet set = {.options = options};
  TRY(MEM_ALLOC(&selector, 1, error));
  selector->strategy = options->strategy;
  const xt_status status = learn(selector, &set, store, error);
  if (status)
    xt_selector_free(selector);
  else
    *out = selector;
  question_set_deinit(&set);
  return status;
}

void xt_selector_free(xt_selector *selector) {
  if (!selector) return;
  fit_deinit(&selector->fit);
  free(selector->layout.languages);
  free(selector->learned);
  free(selector);
}

void xt_selector_get_info(const xt_selector *selector, xt_selector_info *out) {
  *out = selector->info;
}

xt_status selector_check(const xt_selector *s, const QuestionSet *set, xt_error *error) {
  Asked *own = NULL;
  bool *known = NULL;
  size_t count = 0;
  xt_status status;
  TRY_DONE(MEM_ALLOC(&own, set->count, error));
  TRY_DONE(MEM_ALLOC(&known, set->count, error));
  for (size_t i = 0; i < set->count; i++) own[i] = set->questions[i].asked;
  TRY_DONE(asked_known(own, set->count, s->learned, s->info.learned, known, error));
  for (size_t i = 0; i < set->count; i++) count += known[i];
  if (count)
    status = err_set(error, XT_STATUS_ARGUMENT, NULL, "selector", -1,
                     "has learned from %zu of the %zu questions that it would choose for; train "
                     "it with this store as chosen_for",
                     count, set->count);
done:
  free(own);
  free(known);
  return status;
}
