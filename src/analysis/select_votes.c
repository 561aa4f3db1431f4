/* SPDX-License-Identifier: Apache-2.0 */
/* Votes whose weights are learned, and a sequence that ends when two agree. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/select_fits.h"
#include "base/mem.h"

/* ---- accuracies ------------------------------------------------------------------------------ */

static size_t count_answers(const Gathered *q) {
  size_t distinct = 0;
  for (size_t i = 0; i <= q->count; i++) {
    bool seen = false;
    for (size_t k = 0; k < i && !seen; k++)
      seen = gathered_run(q, k)->answer == gathered_run(q, i)->answer;
    distinct += !seen;
  }
  return distinct;
}

/* The weight of a vote that is right with probability p, where errors are spread evenly over the
 * other answers of K: log p (K - 1) / (1 - p) (Nitzan and Paroush 1982, of two answers), at least
 * 0. */
static double vote_weight(double p, double answers) {
  return fmax(0, log(p * (answers - 1) / (1 - p)));
}

xt_status fit_accuracies(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                         xt_error *error) {
  const size_t places = layout_places(&set->layout);
  double *seen, answers = 0;
  TRY(ARENA_ALLOC(&fit->arena, &seen, places, error));
  TRY(ARENA_ALLOC(&fit->arena, &fit->accuracy, places, error));
  TRY(ARENA_ALLOC(&fit->arena, &fit->weights, places, error));
  for (size_t r = 0; r < count; r++) {
    const Gathered *q = &set->questions[rows[r]];
    answers += (double)count_answers(q) / (double)count;
    for (size_t i = 0; i <= q->count; i++) {
      const size_t at = layout_place(&set->layout, gathered_run(q, i));
      seen[at]++;
      fit->accuracy[at] += gathered_run(q, i)->correct == 1;
    }
  }
  for (size_t at = 0; at < places; at++) {
    if (seen[at] <= 0) {
      fit->accuracy[at] = -1;
      continue;
    }
    fit->accuracy[at] = (fit->accuracy[at] + 1) / (seen[at] + 2);
    fit->weights[at] = vote_weight(fit->accuracy[at], fmax(2, answers));
  }
  return XT_STATUS_OK;
}

/* ---- runs in order of their weight ------------------------------------------------------------ */

typedef struct Ranked {
  double weight, accuracy;
  const Candidate *run;
} Ranked;

/* By weight, then accuracy; equal ones stay in order. */
static bool is_before(const Ranked *x, const Ranked *y) {
  if (x->weight > y->weight || x->weight < y->weight) return x->weight > y->weight;
  return x->accuracy > y->accuracy;
}

static void sort_runs(Ranked *order, size_t count) {
  for (size_t i = 1; i < count; i++) {
    const Ranked moved = order[i];
    size_t at = i;
    for (; at > 0 && is_before(&moved, &order[at - 1]); at--) order[at] = order[at - 1];
    order[at] = moved;
  }
}

/* The votes so far, by answer. */
typedef struct Tally {
  struct {
    const Candidate *first; /* run that gives the answer */
    double votes;
  } * answers;
  size_t count;
} Tally;

/* Counts a run's vote. Returns the first run that gives the leading answer; *lead: how far the next
 * answer is behind. */
static const Candidate *count_vote(Tally *t, const Ranked *vote, double *lead) {
  size_t at = 0, best = 0;
  double second = 0;
  while (at < t->count && t->answers[at].first->answer != vote->run->answer) at++;
  if (at == t->count) {
    t->answers[t->count].first = vote->run;
    t->answers[t->count++].votes = 0;
  }
  t->answers[at].votes += vote->weight;
  for (size_t i = 1; i < t->count; i++)
    if (t->answers[i].votes > t->answers[best].votes) best = i;
  for (size_t i = 0; i < t->count; i++)
    if (i != best) second = fmax(second, t->answers[i].votes);
  *lead = t->answers[best].votes - second;
  return t->answers[best].first;
}

/* Of q's candidates and its untouched run; *rest: the sum of their weights. The caller frees *out. */
static xt_status rank_runs(const Fit *fit, const Gathered *q, Ranked **out, double *rest,
                           xt_error *error) {
  TRY(MEM_ALLOC(out, q->count + 1, error));
  *rest = 0;
  for (size_t i = 0; i <= q->count; i++) {
    const Candidate *run = gathered_run(q, i);
    const size_t place = layout_place(fit->layout, run);
    (*out)[i] = (Ranked){fit->weights[place], fit->accuracy[place], run};
    *rest += (*out)[i].weight;
  }
  sort_runs(*out, q->count + 1);
  return XT_STATUS_OK;
}

#define ROUNDING 1e-9 /* of sums of weights, which are between 0 and about 20 */

/* The weighted vote, with the runs made in order of their weight; early: until those that are left
 * cannot change it. */
static xt_status vote(const Fit *fit, const Gathered *q, bool early, Choice *out, xt_error *error) {
  Ranked *order = NULL;
  Tally tally = {0};
  double rest, lead = 0;
  xt_status status;
  *out = (Choice){0};
  TRY_DONE(MEM_ALLOC(&tally.answers, q->count + 1, error));
  TRY_DONE(rank_runs(fit, q, &order, &rest, error));
  do {
    rest -= order[out->responses].weight;
    out->tokens += order[out->responses].run->count;
    out->run = count_vote(&tally, &order[out->responses++], &lead);
  } while (out->responses <= q->count &&
           !(early && (order[out->responses].weight <= 0 || lead > rest + ROUNDING)));
done:
  free(tally.answers);
  free(order);
  return status;
}

xt_status choose_by_sequence(const Fit *fit, const xt_select_options *options, const Gathered *q,
                             Choice *out, xt_error *error) {
  (void)options;
  return vote(fit, q, true, out, error);
}

xt_status choose_by_weights(const Fit *fit, const xt_select_options *options, const Gathered *q,
                            Choice *out, xt_error *error) {
  (void)options;
  TRY(vote(fit, q, false, out, error));
  out->responses = out->tokens = 0; /* always all */
  return XT_STATUS_OK;
}
