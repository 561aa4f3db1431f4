/* SPDX-License-Identifier: Apache-2.0 */
/* The accuracy of the choices, compared with the untouched runs and with the best possible
 * choices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/groups.h"
#include "analysis/select_gather.h"
#include "base/mem.h"
#include "base/options.h"
#include "store/store_selections.h"

#define NAME_SIZE 64
#define SITES_MAX 32

typedef struct Choice {
  int64_t question;
  char strategy[XT_STRATEGY_NAME_SIZE], site[XT_SITE_NAME_SIZE];
  int source_layer, target_layer;
} Choice;

typedef struct Sum {
  /* lang "": all */
  char strategy[XT_STRATEGY_NAME_SIZE], site[XT_SITE_NAME_SIZE], task[NAME_SIZE], lang[NAME_SIZE],
      pivot[NAME_SIZE];
  bool cot;
  xt_selection_row row;
} Sum;

/* A site's responses to one question. */
typedef struct SiteSummary {
  char name[XT_SITE_NAME_SIZE];
  int8_t *right; /* [layers, layers] 1, 0, or -1: no such response */
} SiteSummary;

typedef struct Summary {
  Choice *choices; /* by question */
  size_t count, capacity;
  Sum *sums;
  size_t sum_count, sum_capacity;
  int layers;
  /* the question being read */
  int64_t question;
  char task[NAME_SIZE], lang[NAME_SIZE], pivot[NAME_SIZE];
  bool cot;
  int vanilla;
  SiteSummary sites[SITES_MAX];
  int site_count;
} Summary;

static xt_status keep_choice(void *user, const Selection *s, xt_error *error) {
  Summary *m = user;
  TRY(MEM_GROW(&m->choices, &m->capacity, m->count + 1, error));
  Choice *c = &m->choices[m->count++];
  *c = (Choice){
      .question = s->question, .source_layer = s->source_layer, .target_layer = s->target_layer};
  snprintf(c->strategy, sizeof c->strategy, "%s", s->strategy);
  snprintf(c->site, sizeof c->site, "%s", s->site);
  return XT_STATUS_OK;
}

static xt_status find_sum(Summary *m, const Choice *c, const char *lang, xt_selection_row **out,
                          xt_error *error) {
  for (size_t i = m->sum_count; i-- > 0;) {
    Sum *s = &m->sums[i];
    *out = &s->row;
    if (strcmp(s->strategy, c->strategy) == 0 && strcmp(s->site, c->site) == 0 &&
        strcmp(s->lang, lang) == 0 &&
        compare_groups(s->task, s->pivot, s->cot, m->task, m->pivot, m->cot) == 0)
      return XT_STATUS_OK;
  }
  TRY(MEM_GROW(&m->sums, &m->sum_capacity, m->sum_count + 1, error));
  Sum *s = &m->sums[m->sum_count++];
  *s = (Sum){.cot = m->cot};
  memcpy(s->strategy, c->strategy, sizeof s->strategy);
  memcpy(s->site, c->site, sizeof s->site);
  memcpy(s->task, m->task, sizeof s->task);
  memcpy(s->pivot, m->pivot, sizeof s->pivot);
  snprintf(s->lang, sizeof s->lang, "%s", lang);
  *out = &s->row;
  return XT_STATUS_OK;
}

static const int8_t *site_right(const Summary *m, const char *site) {
  for (int i = 0; i < m->site_count; i++)
    if (strcmp(m->sites[i].name, site) == 0) return m->sites[i].right;
  return NULL;
}

/* Whether some response is right among those that `need` may choose; *all: whether all of them are
 * present. */
static bool any_right(const Summary *m, const int8_t *right, const xt_select_need *need,
                      bool *all) {
  bool any = false;
  *all = true;
  for (int i = 0; i < m->layers; i++)
    for (int j = 0; j < m->layers; j++) {
      if (!need_has(need, m->layers, i, j)) continue;
      any = any || right[i * m->layers + j] == 1;
      *all = *all && right[i * m->layers + j] >= 0;
    }
  return any;
}

typedef struct Verdict {
  bool vanilla, selected, bound, has_target_first, target_first;
} Verdict;

static bool judge(const Summary *m, const Choice *c, Verdict *v) {
  static const xt_select_need target_first = {.source_all = true, .target_first = true};
  xt_select_options options;
  xt_select_need need;
  bool all;
  const int8_t *right = site_right(m, c->site);
  const bool kept = c->source_layer < 0;
  if (m->vanilla < 0 || (!right && !kept)) return false;
  if (!kept &&
      (c->source_layer >= m->layers || c->target_layer < 0 || c->target_layer >= m->layers))
    return false;
  const int chosen = kept ? m->vanilla : right[c->source_layer * m->layers + c->target_layer];
  if (chosen < 0) return false;
  *v = (Verdict){.vanilla = m->vanilla == 1, .selected = chosen == 1, .bound = chosen == 1};
  if (!right) return true;
  v->target_first = any_right(m, right, &target_first, &v->has_target_first);
  if (!strategy_parse(c->strategy, &options)) return true;
  xt_select_get_need(&options, m->task, &need);
  v->bound = any_right(m, right, &need, &all);
  return true;
}

static void add_verdict(xt_selection_row *row, const Verdict *v) {
  row->questions++;
  row->vanilla += v->vanilla;
  row->selected += v->selected;
  row->bound += v->bound;
  if (!v->has_target_first) return;
  row->with_target_first++;
  row->target_first += v->target_first;
  row->target_first_vanilla += v->vanilla;
  row->target_first_selected += v->selected;
}

static int compare_question(const void *key, const void *item) {
  const int64_t x = *(const int64_t *)key, y = ((const Choice *)item)->question;
  return x < y ? -1 : x > y;
}

static xt_status finish_question(Summary *m, xt_error *error) {
  if (m->question == 0 || m->count == 0) return XT_STATUS_OK;
  const Choice *end = m->choices + m->count;
  const Choice *c =
      bsearch(&m->question, m->choices, m->count, sizeof *m->choices, compare_question);
  while (c && c > m->choices && c[-1].question == m->question) c--;
  for (; c && c < end && c->question == m->question; c++) {
    Verdict verdict;
    xt_selection_row *row;
    if (!judge(m, c, &verdict)) continue;
    TRY(find_sum(m, c, m->lang, &row, error));
    add_verdict(row, &verdict);
    TRY(find_sum(m, c, "", &row, error));
    add_verdict(row, &verdict);
  }
  return XT_STATUS_OK;
}

static xt_status keep_response(Summary *m, const xt_store_row *row, xt_error *error) {
  int at = 0;
  const size_t cells = (size_t)m->layers * (size_t)m->layers;
  while (at < m->site_count && strcmp(m->sites[at].name, row->site) != 0) at++;
  if (at == SITES_MAX || row->source_layer >= m->layers || row->target_layer < 0 ||
      row->target_layer >= m->layers)
    return XT_STATUS_OK;
  SiteSummary *site = &m->sites[at];
  if (at == m->site_count) {
    if (!site->right) TRY(MEM_ALLOC(&site->right, cells, error));
    memset(site->right, -1, cells);
    snprintf(site->name, sizeof site->name, "%s", row->site);
    m->site_count++;
  }
  site->right[row->source_layer * m->layers + row->target_layer] = (int8_t)row->correct;
  return XT_STATUS_OK;
}

static xt_status read_row(void *user, const xt_store_row *row, xt_error *error) {
  Summary *m = user;
  if (row->question_number != m->question) {
    TRY(finish_question(m, error));
    m->question = row->question_number;
    m->vanilla = -1;
    m->site_count = 0;
    snprintf(m->task, sizeof m->task, "%s", row->question->task);
    snprintf(m->lang, sizeof m->lang, "%s", row->question->lang);
    snprintf(m->pivot, sizeof m->pivot, "%s",
             group_pivot(row->question->task, row->question->source_lang));
    m->cot = group_is_cot(row->question->id);
  }
  if (row->source_layer >= 0) return keep_response(m, row, error);
  m->vanilla = row->correct;
  return XT_STATUS_OK;
}

/* Task, pivot, site, strategy, language (their sum last). */
static int compare_sums(const void *a, const void *b) {
  const Sum *x = a, *y = b;
  int order = strcmp(x->task, y->task);
  if (!order) order = compare_groups(x->task, x->pivot, x->cot, y->task, y->pivot, y->cot);
  if (!order) order = strcmp(x->site, y->site);
  if (!order) order = strcmp(x->strategy, y->strategy);
  if (!order && (!x->lang[0] || !y->lang[0])) order = x->lang[0] ? -1 : y->lang[0] != 0;
  return order ? order : strcmp(x->lang, y->lang);
}

/* ---- gains ----------------------------------------------------------------------------------- */

static const xt_difference no_gain = {
    .gain = NAN, .low = NAN, .high = NAN, .p = NAN, .mcnemar = NAN, .holm = NAN, .bh = NAN};

/* The sums of a language, or of all (""). Languages are compared up to the length in which sums
 * keep their names. */
static xt_difference gain_of(const xt_group *g, const xt_comparison *c, const char *lang) {
  xt_difference out = lang[0] ? no_gain : c->overall;
  for (size_t l = 0; lang[0] && l < g->language_count; l++)
    if (strncmp(g->languages[l].name, lang, NAME_SIZE - 1) == 0) out = c->languages[l];
  out.holm = out.bh = NAN;
  return out;
}

static void find_gains(const xt_analysis *a, const Sum *sum, xt_selection_row *out) {
  out->vanilla_gain = out->coarse_gain = no_gain;
  for (size_t i = 0; i < a->count; i++) {
    const xt_group *g = &a->groups[i].group;
    if (compare_groups(g->task, g->pivot, g->cot, sum->task, sum->pivot, sum->cot) != 0) continue;
    for (size_t s = 0; s < g->site_count; s++)
      for (size_t k = 0; k < g->sites[s].strategy_count; k++) {
        const xt_strategy_result *r = &g->sites[s].strategies[k];
        if (strcmp(g->sites[s].site, sum->site) != 0 || strcmp(r->name, sum->strategy) != 0)
          continue;
        out->vanilla_gain = gain_of(g, &r->vanilla, sum->lang);
        out->coarse_gain = gain_of(g, &r->coarse, sum->lang);
      }
  }
}

xt_status xt_store_summarize_selections(xt_store *store, const xt_analysis_options *options,
                                        xt_status (*row)(void *user, const xt_selection_row *row,
                                                         xt_error *error),
                                        void *user, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  Summary m = {0};
  xt_analysis *analysis = NULL;
  xt_store_info info;
  xt_status status = xt_store_get_info(store, &info, error);
  m.layers = info.layers;
  if (!status) status = selections_read(store, keep_choice, &m, error);
  if (!status && m.count) status = xt_store_read(store, read_row, &m, error);
  if (!status) status = finish_question(&m, error);
  if (m.sum_count) qsort(m.sums, m.sum_count, sizeof *m.sums, compare_sums);
  if (m.sum_count && !status)
    status = analysis_create_comparisons(store, options, &analysis, error);
  for (size_t i = 0; i < m.sum_count && !status; i++) {
    Sum *s = &m.sums[i];
    xt_selection_row out = s->row;
    out.strategy = s->strategy;
    out.site = s->site;
    out.task = s->task;
    out.lang = s->lang[0] ? s->lang : NULL;
    out.pivot = s->pivot;
    out.cot = s->cot;
    find_gains(analysis, s, &out);
    status = row(user, &out, error);
  }
  for (int i = 0; i < SITES_MAX; i++) free(m.sites[i].right);
  xt_analysis_free(analysis);
  free(m.choices);
  free(m.sums);
  return status;
}
