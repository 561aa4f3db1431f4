/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracies by the options' likelihoods (metrics.h has the rules). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/option_marks.h"
#include "analysis/groups.h"
#include "base/arena_text.h"
#include "base/mem.h"
#include "store/store_parts.h"
#include "text/utf8.h"
#include "xtransplant/metrics.h"

typedef struct Names {
  const char **list;
  size_t count, capacity;
} Names;

/* The scored run of a question with a gold answer. */
typedef struct Scored {
  size_t task, pivot, lang, site; /* indices of their names */
  bool cot;
  int source, target;
  int64_t question; /* its number */
  bool generated;   /* right by its text */
  uint8_t marks;    /* bit of each rule by which it is right */
  int gold, count;
  const double *sums;    /* [count], in the arena */
  const double *lengths; /* [count] characters of the options' texts; of the question */
  size_t order;
} Scored;

typedef struct Gather {
  Arena arena;
  Names tasks, pivots, langs, sites;
  Scored *runs;
  size_t count, capacity;
  int64_t question; /* whose `lengths` these are */
  const double *lengths;
} Gather;

static xt_status find_name(Gather *g, Names *names, const char *text, size_t *out,
                           xt_error *error) {
  for (*out = 0; *out < names->count; ++*out)
    if (strcmp(names->list[*out], text) == 0) return XT_STATUS_OK;
  TRY(MEM_GROW(&names->list, &names->capacity, names->count + 1, error));
  TRY(arena_copy_text(&g->arena, text, strlen(text), &names->list[names->count], error));
  names->count++;
  return XT_STATUS_OK;
}

static xt_status find_lengths(Gather *g, const xt_store_row *row, xt_error *error) {
  double *lengths;
  if (g->lengths && g->question == row->question_number) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(&g->arena, &lengths, row->option_count, error));
  for (size_t i = 0; i < row->option_count; i++)
    lengths[i] = (double)utf8_count(row->options[i].text, strlen(row->options[i].text));
  g->lengths = lengths;
  g->question = row->question_number;
  return XT_STATUS_OK;
}

static xt_status gather(void *user, const xt_store_row *row, xt_error *error) {
  Gather *g = user;
  const char *pivot = group_pivot(row->question->task, row->question->source_lang);
  Scored run = {.cot = group_is_cot(row->question->id),
                .source = row->source_layer,
                .target = row->target_layer,
                .question = row->question_number,
                .generated = row->correct > 0,
                .gold = -1,
                .count = (int)row->option_count,
                .order = g->count};
  double *sums;
  if (!row->option_sums || !row->question->gold || row->correct < 0) return XT_STATUS_OK;
  for (int i = 0; i < run.count && run.gold < 0; i++)
    if (strcmp(row->options[i].label, row->question->gold) == 0) run.gold = i;
  if (run.gold < 0) return XT_STATUS_OK;
  TRY(find_name(g, &g->tasks, row->question->task, &run.task, error));
  TRY(find_name(g, &g->pivots, pivot, &run.pivot, error));
  TRY(find_name(g, &g->langs, row->question->lang, &run.lang, error));
  TRY(find_name(g, &g->sites, row->site, &run.site, error));
  TRY(find_lengths(g, row, error));
  TRY(ARENA_ALLOC(&g->arena, &sums, row->option_count, error));
  memcpy(sums, row->option_sums, row->option_count * sizeof *sums);
  run.sums = sums;
  run.lengths = g->lengths;
  TRY(MEM_GROW(&g->runs, &g->capacity, g->count + 1, error));
  g->runs[g->count++] = run;
  return XT_STATUS_OK;
}

static int order_of(size_t a, size_t b) { return (a > b) - (a < b); }

/* Task, pivot and whether reasoning is asked for: those of one group are calibrated together. */
static int compare_run_groups(const Scored *x, const Scored *y) {
  int order = order_of(x->task, y->task);
  if (!order) order = order_of(x->pivot, y->pivot);
  return order ? order : x->cot - y->cot;
}

/* By group, site and configuration, within which the languages follow one another. */
static int compare_batches(const Scored *x, const Scored *y) {
  int order = compare_run_groups(x, y);
  if (!order) order = order_of(x->site, y->site);
  if (!order) order = (x->source > y->source) - (x->source < y->source);
  if (!order) order = (x->target > y->target) - (x->target < y->target);
  return order ? order : order_of(x->lang, y->lang);
}

static int compare_runs(const void *a, const void *b) {
  const Scored *x = a, *y = b;
  const int order = compare_batches(x, y);
  return order ? order : order_of(x->order, y->order);
}

/* ---- right and wrong ------------------------------------------------------------------------- */

typedef struct Tally {
  uint64_t runs, right[XT_OPTION_RULES];
} Tally;

static double score(const Scored *run, int option, bool norm) {
  return norm ? run->sums[option] / fmax(run->lengths[option], 1) : run->sums[option];
}

/* The option with the largest score over its mean; `means` NULL: 0. The first of equal ones. */
static int choose(const Scored *run, bool norm, const double *means) {
  int best = 0;
  double most = -(double)INFINITY;
  for (int o = 0; o < run->count; o++) {
    const double value = score(run, o, norm) - (means ? means[o] : 0);
    if (value > most) most = value, best = o;
  }
  return best;
}

/* Each option's mean over the runs that have it. means, counts: [most]. */
static void find_means(const Scored *runs, size_t n, bool norm, int most, double *means,
                       size_t *counts) {
  for (int o = 0; o < most; o++) means[o] = 0, counts[o] = 0;
  for (size_t r = 0; r < n; r++)
    for (int o = 0; o < runs[r].count; o++) {
      means[o] += score(&runs[r], o, norm);
      counts[o]++;
    }
  for (int o = 0; o < most; o++) means[o] /= counts[o] ? (double)counts[o] : 1;
}

static void mark(Scored *run, xt_option_rule rule, bool right) {
  if (right) run->marks |= (uint8_t)(1u << rule);
}

/* Marks the runs of one batch: of one configuration and language. */
static xt_status mark_batch(Scored *runs, size_t n, xt_error *error) {
  double *means;
  size_t *counts;
  int most = 1;
  for (size_t r = 0; r < n; r++) most = runs[r].count > most ? runs[r].count : most;
  TRY(MEM_ALLOC(&means, (size_t)most, error));
  const xt_status status = MEM_ALLOC(&counts, (size_t)most, error);
  for (int norm = 0; norm < 2 && !status; norm++) {
    find_means(runs, n, norm, most, means, counts);
    for (size_t r = 0; r < n; r++) {
      mark(&runs[r], norm ? XT_OPTION_ACC_NORM : XT_OPTION_ACC,
           choose(&runs[r], norm, NULL) == runs[r].gold);
      mark(&runs[r], norm ? XT_OPTION_CALIBRATED_NORM : XT_OPTION_CALIBRATED,
           choose(&runs[r], norm, means) == runs[r].gold);
    }
  }
  for (size_t r = 0; r < n; r++) mark(&runs[r], XT_OPTION_GENERATED, runs[r].generated);
  free(means);
  free(counts);
  return status;
}

/* Reads the scored runs into *g, batch after batch, and marks them. */
static xt_status gather_marked(xt_store *store, Gather *g, xt_error *error) {
  if (!store->schema.has[TABLE_OPTION_SCORES]) return XT_STATUS_OK;
  TRY(xt_store_read(store, gather, g, error));
  if (g->count) qsort(g->runs, g->count, sizeof *g->runs, compare_runs);
  for (size_t at = 0, end; at < g->count; at = end) {
    for (end = at; end < g->count && compare_batches(&g->runs[end], &g->runs[at]) == 0;) end++;
    TRY(mark_batch(g->runs + at, end - at, error));
  }
  return XT_STATUS_OK;
}

static void gather_free(Gather *g) {
  arena_free(&g->arena);
  free(g->tasks.list);
  free(g->pivots.list);
  free(g->langs.list);
  free(g->sites.list);
  free(g->runs);
}

xt_status option_marks_each(xt_store *store, OptionMarksTake *take, void *user, xt_error *error) {
  Gather g = {0};
  xt_status status = gather_marked(store, &g, error);
  for (size_t r = 0; r < g.count && !status; r++) {
    const Scored *run = &g.runs[r];
    status = take(user,
                  &(OptionMarks){run->question, g.sites.list[run->site], run->source, run->target,
                                 run->marks},
                  error);
  }
  gather_free(&g);
  return status;
}

static Tally tally_batch(const Scored *runs, size_t n) {
  Tally out = {.runs = n};
  for (size_t r = 0; r < n; r++)
    for (int k = 0; k < XT_OPTION_RULES; k++) out.right[k] += runs[r].marks >> k & 1;
  return out;
}

static void add_tally(Tally *to, const Tally *from) {
  to->runs += from->runs;
  for (int k = 0; k < XT_OPTION_RULES; k++) to->right[k] += from->right[k];
}

/* ---- rows ------------------------------------------------------------------------------------ */

typedef struct Rows {
  const Gather *from;
  xt_status (*row)(void *user, const xt_option_row *row, xt_error *error);
  void *user;
  Tally *langs; /* [languages + 1] of the site over its configurations; the last: all languages */
} Rows;

static xt_status give(const Rows *r, const Scored *of, size_t lang, bool all, const Tally *t,
                      xt_error *error) {
  const double n = (double)t->runs;
  if (!t->runs) return XT_STATUS_OK;
  const Gather *g = r->from;
  const xt_option_row row = {.task = g->tasks.list[of->task],
                             .pivot = g->pivots.list[of->pivot],
                             .cot = of->cot,
                             .lang = lang < g->langs.count ? g->langs.list[lang] : NULL,
                             .site = g->sites.list[of->site],
                             .source_layer = all ? -1 : of->source,
                             .target_layer = all ? -1 : of->target,
                             .runs = t->runs,
                             .generated = (double)t->right[XT_OPTION_GENERATED] / n,
                             .acc = (double)t->right[XT_OPTION_ACC] / n,
                             .acc_norm = (double)t->right[XT_OPTION_ACC_NORM] / n,
                             .calibrated = (double)t->right[XT_OPTION_CALIBRATED] / n,
                             .calibrated_norm = (double)t->right[XT_OPTION_CALIBRATED_NORM] / n};
  return r->row(r->user, &row, error);
}

/* Goes through the runs of one group and site; with `list`, gives the rows of its configurations,
 * else sums them. */
static xt_status do_site(Rows *r, const Scored *runs, size_t n, bool list, xt_error *error) {
  const size_t langs = r->from->langs.count;
  Tally whole = {0};
  for (size_t at = 0, end; at < n; at = end) {
    Tally batch;
    for (end = at; end < n && runs[end].lang == runs[at].lang &&
                   runs[end].source == runs[at].source && runs[end].target == runs[at].target;)
      end++;
    batch = tally_batch(runs + at, end - at);
    add_tally(&whole, &batch);
    if (list) {
      TRY(give(r, &runs[at], runs[at].lang, false, &batch, error));
    } else {
      add_tally(&r->langs[runs[at].lang], &batch);
      add_tally(&r->langs[langs], &batch);
    }
    const bool last =
        end == n || runs[end].source != runs[at].source || runs[end].target != runs[at].target;
    if (list && last) TRY(give(r, &runs[at], langs, false, &whole, error));
    if (last) whole = (Tally){0};
  }
  return XT_STATUS_OK;
}

static xt_status give_site(Rows *r, const Scored *runs, size_t n, xt_error *error) {
  const size_t langs = r->from->langs.count;
  memset(r->langs, 0, (langs + 1) * sizeof *r->langs);
  TRY(do_site(r, runs, n, false, error));
  for (size_t l = 0; l <= langs; l++) TRY(give(r, runs, l, true, &r->langs[l], error));
  return runs[0].source < 0 ? XT_STATUS_OK : do_site(r, runs, n, true, error);
}

static xt_status give_all(Rows *r, const Scored *runs, size_t count, xt_error *error) {
  xt_status status = MEM_ALLOC(&r->langs, r->from->langs.count + 1, error);
  for (size_t at = 0, end; at < count && !status; at = end) {
    for (end = at; end < count && compare_run_groups(&runs[end], &runs[at]) == 0 &&
                   runs[end].site == runs[at].site;)
      end++;
    status = give_site(r, runs + at, end - at, error);
  }
  free(r->langs);
  return status;
}

xt_status xt_store_summarize_options(xt_store *store,
                                     xt_status (*row)(void *user, const xt_option_row *row,
                                                      xt_error *error),
                                     void *user, xt_error *error) {
  Gather g = {0};
  Rows rows = {.from = &g, .row = row, .user = user};
  xt_status status = gather_marked(store, &g, error);
  if (!status) status = give_all(&rows, g.runs, g.count, error);
  gather_free(&g);
  return status;
}
