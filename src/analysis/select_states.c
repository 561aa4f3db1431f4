/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing layers by the source prompt alone: by the questions whose source prompts are most alike,
 * and by a ridge regression on an early layer's activation. */
#include "analysis/select_states.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/cholesky.h"
#include "analysis/select_fits.h"
#include "base/ids.h"
#include "base/mem.h"
#include "store/store_parts.h"

#define NEIGHBOURS 15
#define PRIOR 5.0 /* neighbours that the layers' overall accuracy counts as */

/* ---- activations ----------------------------------------------------------------------------- */

typedef struct Prompt {
  const int32_t *ids;
  size_t count;
} Prompt;

#define PROMPTS_TOGETHER 64 /* whose taps are in memory at once */

typedef struct Reader {
  xt_states *states;
  xt_session *session;
  int layers[STATE_COUNT];
  size_t capacity, prompt_capacity;
  Arena arena;
  Prompt *prompts; /* [states->count] */
} Reader;

static xt_status read_question(void *user, int64_t number, const int32_t *ids, size_t count,
                               xt_error *error) {
  Reader *r = user;
  xt_states *s = r->states;
  int32_t *copy;
  TRY(MEM_GROW(&s->questions, &r->capacity, s->count + 1, error));
  TRY(MEM_GROW(&r->prompts, &r->prompt_capacity, s->count + 1, error));
  TRY(ARENA_ALLOC(&r->arena, &copy, count, error));
  memcpy(copy, ids, count * sizeof *ids);
  r->prompts[s->count] = (Prompt){copy, count};
  s->questions[s->count++] = number;
  return XT_STATUS_OK;
}

/* The first question with the source prompt of question i, as one has in each language. */
static size_t first_with_prompt(const Reader *r, size_t i) {
  const Prompt *p = r->prompts;
  size_t k = 0;
  while (ids_compare(p[k].ids, p[k].count, p[i].ids, p[i].count) != 0) k++;
  return k;
}

static float *state_of_question(const xt_states *s, size_t question) {
  return s->values + question * STATE_COUNT * s->width;
}

/* Runs the prompts of questions `which`. */
static xt_status read_some(const Reader *r, const size_t *which, size_t n, xt_error *error) {
  const xt_states *s = r->states;
  xt_request requests[PROMPTS_TOGETHER];
  xt_taps *taps[PROMPTS_TOGETHER];
  for (size_t k = 0; k < n; k++)
    requests[k] =
        (xt_request){.ids = r->prompts[which[k]].ids, .count = r->prompts[which[k]].count};
  TRY(xt_session_capture_all(r->session, requests, n, taps, error));
  for (size_t k = 0; k < n; k++) {
    float *to = state_of_question(s, which[k]);
    for (int l = 0; l < STATE_COUNT; l++, to += s->width)
      memcpy(to, xt_taps_get(taps[k], XT_TAP_BLOCK, r->layers[l]), s->width * sizeof *to);
    xt_taps_free(taps[k]);
  }
  return XT_STATUS_OK;
}

/* The activations of all questions. */
static xt_status read_activations(const Reader *r, xt_error *error) {
  xt_states *s = r->states;
  const size_t numbers = STATE_COUNT * s->width;
  size_t which[PROMPTS_TOGETHER], n = 0;
  TRY(MEM_ALLOC(&s->values, s->count * numbers, error));
  for (size_t i = 0; i < s->count; i++) {
    if (first_with_prompt(r, i) == i) which[n++] = i;
    if (n < PROMPTS_TOGETHER && i + 1 < s->count) continue;
    TRY(read_some(r, which, n, error));
    n = 0;
  }
  for (size_t i = 0; i < s->count; i++) {
    const size_t first = first_with_prompt(r, i);
    if (first < i)
      memcpy(state_of_question(s, i), state_of_question(s, first), numbers * sizeof *s->values);
  }
  return XT_STATUS_OK;
}

xt_status xt_states_create(xt_store *store, const xt_model *model, xt_states **out,
                           xt_error *error) {
  xt_model_info info;
  Reader r = {0};
  *out = NULL;
  xt_model_get_info(model, &info);
  r.layers[STATE_EARLY] = info.layers / 4;
  r.layers[STATE_MIDDLE] = info.layers / 2;
  TRY(MEM_ALLOC(&r.states, 1, error));
  r.states->width = (size_t)info.width;
  xt_status status = xt_session_create(model, &r.session, error);
  if (!status) status = store_read_source_ids(store, read_question, &r, error);
  if (!status) status = read_activations(&r, error);
  xt_session_free(r.session);
  arena_free(&r.arena);
  free(r.prompts);
  if (status)
    xt_states_free(r.states);
  else
    *out = r.states;
  return status;
}

void xt_states_free(xt_states *s) {
  if (!s) return;
  free(s->questions);
  free(s->values);
  free(s);
}

static int by_number(const void *key, const void *item) {
  const int64_t x = *(const int64_t *)key, y = *(const int64_t *)item;
  return (x > y) - (x < y);
}

/* [width]; NULL: they do not have the question. */
static const float *states_find(const xt_states *s, int64_t question, int which) {
  const int64_t *found =
      s && s->count ? bsearch(&question, s->questions, s->count, sizeof *s->questions, by_number)
                    : NULL;
  if (!found) return NULL;
  return s->values + ((size_t)(found - s->questions) * STATE_COUNT + (size_t)which) * s->width;
}

/* ---- what both learn ------------------------------------------------------------------------- */

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < n; k++) sum += a[k] * b[k];
  return sum;
}

/* The state of a question less the mean; of length 1 for neighbours. */
static xt_status state_of(const StateFit *f, const xt_states *states, const Gathered *q, double *x,
                          xt_error *error) {
  const float *from = states_find(states, q->number, f->which);
  if (!from || states->width != f->width)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "states", -1,
                   from ? "are of %zu numbers; those that the selector learned from are of %zu"
                        : "do not have the question",
                   from ? states->width : (size_t)0, f->width);
  for (size_t k = 0; k < f->width; k++) x[k] = (double)from[k] - f->mean[k];
  const double length = f->which == STATE_MIDDLE ? sqrt(dot(x, x, f->width)) : 1;
  for (size_t k = 0; k < f->width && length > 0; k++) x[k] /= length;
  return XT_STATUS_OK;
}

static xt_status learn_mean(StateFit *f, const xt_states *states, const QuestionSet *set,
                            const size_t *rows, size_t count, xt_error *error) {
  for (size_t r = 0; r < count; r++) {
    const float *from = states_find(states, set->questions[rows[r]].number, f->which);
    if (!from)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "states", -1, "do not have the question");
    for (size_t k = 0; k < f->width; k++) f->mean[k] += (double)from[k] / (double)count;
  }
  return XT_STATUS_OK;
}

/* Ridge regression in its dual form: right := (K + lambda 1)^-1 (right - accuracy), K being the
 * products of the states and lambda their mean square. */
static xt_status solve_ridge(Fit *fit, size_t places, xt_error *error) {
  StateFit *f = &fit->states;
  const size_t n = f->count;
  double *gram, *column, trace = 0;
  TRY(MEM_ALLOC(&gram, n * n + n, error));
  column = gram + n * n;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k <= i; k++)
      gram[i * n + k] = dot(f->rows + i * f->width, f->rows + k * f->width, f->width);
    trace += gram[i * n + i] / (double)n;
  }
  for (size_t i = 0; i < n; i++) gram[i * n + i] += trace;
  cholesky_factor(gram, n, 1e-12);
  for (size_t c = 0; c < places; c++) {
    for (size_t i = 0; i < n; i++) {
      const double right = f->right[i * places + c];
      column[i] = isnan(right) ? 0 : right - fit->accuracy[c];
    }
    cholesky_solve(gram, n, column, column);
    for (size_t i = 0; i < n; i++) f->right[i * places + c] = column[i];
  }
  free(gram);
  return XT_STATUS_OK;
}

xt_status fit_states(Fit *fit, const QuestionSet *set, const size_t *rows, size_t count,
                     xt_error *error) {
  const xt_states *states = set->options->states;
  const size_t places = layout_places(&set->layout);
  StateFit *f = &fit->states;
  const bool probe = set->options->strategy == XT_STRATEGY_PROBE;
  if (!states) return err_set(error, XT_STATUS_ARGUMENT, NULL, "states", -1, "are missing");
  *f = (StateFit){
      .count = count, .width = states->width, .which = probe ? STATE_EARLY : STATE_MIDDLE};
  TRY(fit_accuracies(fit, set, rows, count, error));
  TRY(ARENA_ALLOC(&fit->arena, &f->mean, f->width, error));
  TRY(ARENA_ALLOC(&fit->arena, &f->rows, count * f->width, error));
  TRY(ARENA_ALLOC(&fit->arena, &f->right, count * places, error));
  TRY(learn_mean(f, states, set, rows, count, error));
  for (size_t r = 0; r < count; r++) {
    const Gathered *q = &set->questions[rows[r]];
    TRY(state_of(f, states, q, f->rows + r * f->width, error));
    for (size_t c = 0; c < places; c++) f->right[r * places + c] = NAN;
    for (size_t i = 0; i <= q->count; i++) {
      const Candidate *run = gathered_run(q, i);
      f->right[r * places + layout_place(&set->layout, run)] = run->correct == 1;
    }
  }
  return probe ? solve_ridge(fit, places, error) : XT_STATUS_OK;
}

/* ---- choosing -------------------------------------------------------------------------------- */

typedef struct Near {
  double likeness;
  size_t row;
} Near;

static int by_likeness(const void *a, const void *b) {
  const Near *x = a, *y = b;
  if (x->likeness > y->likeness || x->likeness < y->likeness)
    return x->likeness > y->likeness ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

/* How accurate the layers at `place` are expected to be. near: [count], by likeness to the
 * question. */
static double expected(const Fit *fit, const Near *near, size_t place) {
  const StateFit *f = &fit->states;
  const size_t places = layout_places(fit->layout);
  double sum = 0, weight = 0;
  if (fit->accuracy[place] < 0) return -INFINITY;
  if (f->which == STATE_EARLY) {
    for (size_t i = 0; i < f->count; i++)
      sum += near[i].likeness * f->right[near[i].row * places + place];
    return fit->accuracy[place] + sum;
  }
  for (size_t i = 0; i < f->count && i < NEIGHBOURS; i++) {
    const double right = f->right[near[i].row * places + place];
    if (isnan(right) || near[i].likeness <= 0) continue;
    sum += near[i].likeness * right;
    weight += near[i].likeness;
  }
  return (sum + PRIOR * fit->accuracy[place]) / (weight + PRIOR);
}

xt_status choose_by_states(const Fit *fit, const xt_select_options *options, const Gathered *q,
                           Choice *out, xt_error *error) {
  const StateFit *f = &fit->states;
  double *x, highest = -INFINITY;
  Near *near = NULL;
  xt_status status;
  TRY(MEM_ALLOC(&x, f->width, error));
  TRY_DONE(MEM_ALLOC(&near, f->count, error));
  TRY_DONE(state_of(f, options->states, q, x, error));
  for (size_t i = 0; i < f->count; i++)
    near[i] = (Near){dot(x, f->rows + i * f->width, f->width), i};
  qsort(near, f->count, sizeof *near, by_likeness);
  *out = (Choice){&q->vanilla, 1, q->vanilla.count};
  for (size_t i = 0; i <= q->count; i++) {
    const Candidate *run = gathered_run(q, i);
    const double accuracy = expected(fit, near, layout_place(fit->layout, run));
    if (!(accuracy > highest)) continue;
    highest = accuracy;
    *out = (Choice){run, 1, run->count};
  }
done:
  free(x);
  free(near);
  return status;
}
