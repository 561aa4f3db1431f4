/* SPDX-License-Identifier: Apache-2.0 */
/* Perplexity and language of a store's responses: measuring missing values, and sums for the
 * tables. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/blank.h"
#include "base/mem.h"
#include "base/options.h"
#include "engine/session.h"
#include "store/store_metrics.h"
#include "xtransplant/score.h"

/* The number of texts that are measured between two checks whether to stop: a batch or two of
 * tokens. */
#define TEXTS_TOGETHER 128

typedef struct Measure {
  xt_store *store;
  xt_metric metric;
  const xt_measure_options *options;
  MetricItems items;
  uint64_t done;
  xt_session *session;     /* perplexity */
  const xt_langid *langid; /* languages */
} Measure;

static bool stopped(void *user) {
  const Measure *m = user;
  return m->options && m->options->tick && m->options->tick(m->options->user, m->done);
}

/* ---- perplexity ------------------------------------------------------------------------------ */

/* One item as a sequence to score. *ids is owned by the caller; nothing to score: count ==
 * first. */
static xt_status make_request(const Measure *m, const MetricItem *item, int32_t **ids,
                              xt_score_request *out, xt_error *error) {
  *ids = NULL;
  if (m->metric == XT_METRIC_STANDALONE) {
    const xt_tokenizer *tokenizer = xt_model_tokenizer(m->session->model);
    size_t count = 0;
    if (item->words)
      TRY(xt_tokenizer_encode(tokenizer, item->words, item->length, true, ids, &count, error));
    *out = (xt_score_request){.ids = *ids, .count = count, .first = count ? 1 : 0};
    return XT_STATUS_OK;
  }
  const size_t count = item->prompt_count + item->count;
  TRY(MEM_ALLOC(ids, count, error));
  memcpy(*ids, item->prompt, item->prompt_count * sizeof **ids);
  memcpy(*ids + item->prompt_count, item->ids, item->count * sizeof **ids);
  *out = (xt_score_request){.ids = *ids, .count = count, .first = item->prompt_count};
  return XT_STATUS_OK;
}

static double mean_nll(const xt_score_request *r) {
  const size_t n = r->count - r->first;
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum -= (double)r->logprobs[i];
  return n ? sum / (double)n : (double)NAN;
}

typedef struct Chunk {
  int32_t *ids[TEXTS_TOGETHER];
  xt_score_request requests[TEXTS_TOGETHER];
  xt_score_request scored[TEXTS_TOGETHER]; /* those that have something to score */
  size_t scored_count;
} Chunk;

static xt_status score_chunk(Measure *m, Chunk *c, xt_error *error) {
  for (size_t i = 0; i < m->items.count; i++) {
    TRY(make_request(m, &m->items.items[i], &c->ids[i], &c->requests[i], error));
    xt_score_request *r = &c->requests[i];
    if (r->count == r->first) continue;
    TRY(MEM_ALLOC(&r->logprobs, r->count - r->first, error));
    c->scored[c->scored_count++] = *r;
  }
  TRY(xt_session_score(m->session, c->scored, c->scored_count, stopped, m, error));
  for (size_t i = 0; i < m->items.count; i++)
    TRY(metrics_add_number(m->store, m->metric, &m->items.items[i], mean_nll(&c->requests[i]),
                           error));
  return XT_STATUS_OK;
}

static xt_status measure_nll(Measure *m, xt_error *error) {
  Chunk *c;
  TRY(MEM_ALLOC(&c, 1, error));
  const xt_status status = score_chunk(m, c, error);
  for (size_t i = 0; i < m->items.count; i++) {
    free(c->ids[i]);
    free(c->requests[i].logprobs);
  }
  free(c);
  return status;
}

/* ---- languages ------------------------------------------------------------------------------- */

static xt_status measure_language(Measure *m, xt_error *error) {
  for (size_t i = 0; i < m->items.count; i++) {
    const MetricItem *item = &m->items.items[i];
    char lang[XT_LANGUAGE_SIZE] = "";
    double probability = 0;
    if (item->words && !text_is_blank(item->words, item->length))
      TRY(xt_langid_identify(m->langid, item->words, item->length, lang, &probability, error));
    TRY(metrics_add_language(m->store, item, lang, probability, error));
  }
  return XT_STATUS_OK;
}

/* ---- both ------------------------------------------------------------------------------------ */

static xt_status measure(Measure *m, xt_error *error) {
  int64_t after = 0;
  xt_status status = XT_STATUS_OK;
  while (!status) {
    if (stopped(m)) {
      status = err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
      break;
    }
    status = metrics_next(m->store, m->metric, TEXTS_TOGETHER, &after, &m->items, error);
    if (status || m->items.count == 0) break;
    status = m->session ? measure_nll(m, error) : measure_language(m, error);
    m->done += m->items.count;
  }
  metrics_free(&m->items);
  const xt_status committed = xt_store_commit(m->store, 0, status ? NULL : error);
  return status ? status : committed;
}

xt_status xt_store_measure_perplexity(xt_store *store, xt_session *session, xt_metric metric,
                                      const xt_measure_options *options, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  Measure m = {.store = store, .metric = metric, .options = options, .session = session};
  if (metric != XT_METRIC_STANDALONE && metric != XT_METRIC_CONDITIONAL)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "metric", -1, "%d is not a perplexity",
                   (int)metric);
  if (metric == XT_METRIC_STANDALONE && !xt_model_tokenizer(session->model))
    return err_set(error, XT_STATUS_ARGUMENT, session->model->path, NULL, -1,
                   "has no tokenizer, which scoring a text alone needs");
  TRY(metrics_make_tables(store, error));
  return measure(&m, error);
}

xt_status xt_store_measure_languages(xt_store *store, const xt_langid *langid,
                                     const xt_measure_options *options, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  Measure m = {.store = store, .metric = XT_METRIC_LANGUAGE, .options = options, .langid = langid};
  TRY(metrics_make_tables(store, error));
  TRY(metrics_claim_langid(store, xt_langid_hash(langid), error));
  return measure(&m, error);
}

/* ---- sums ------------------------------------------------------------------------------------ */

const char *xt_question_answer_language(const xt_question *q) {
  const xt_task *task = xt_task_find(q->task);
  return task && task->direction == XT_DIRECTION_FROM_LANGUAGE ? "en" : q->lang;
}

#define NAME_SIZE 64
typedef struct Sum {
  char task[NAME_SIZE], lang[NAME_SIZE], site[NAME_SIZE]; /* lang "": all */
  xt_metrics_row row; /* means are sums until they are reported */
} Sum;

typedef struct Sums {
  Sum *sums;
  size_t count, capacity;
} Sums;

/* There are few sums of other tasks, languages and sites, so that they are searched from the
 * newest. */
static xt_status find_sum(Sums *s, const char *task, const char *lang, const char *site, Sum **out,
                          xt_error *error) {
  for (size_t i = s->count; i-- > 0;) {
    Sum *one = &s->sums[i];
    *out = one;
    if (strncmp(one->site, site, NAME_SIZE - 1) == 0 &&
        strncmp(one->lang, lang, NAME_SIZE - 1) == 0 &&
        strncmp(one->task, task, NAME_SIZE - 1) == 0)
      return XT_STATUS_OK;
  }
  TRY(MEM_GROW(&s->sums, &s->capacity, s->count + 1, error));
  *out = &s->sums[s->count++];
  memset(*out, 0, sizeof **out);
  snprintf((*out)->task, NAME_SIZE, "%s", task);
  snprintf((*out)->lang, NAME_SIZE, "%s", lang);
  snprintf((*out)->site, NAME_SIZE, "%s", site);
  return XT_STATUS_OK;
}

static void add_row(xt_metrics_row *sum, const xt_store_row *row) {
  sum->responses++;
  sum->standalone.measured += row->standalone_measured;
  sum->conditional.measured += row->conditional_measured;
  sum->self.measured++;
  if (!isnan(row->nll_standalone)) {
    sum->standalone.mean += exp(row->nll_standalone);
    sum->standalone.count++;
  }
  if (!isnan(row->nll_conditional)) {
    sum->conditional.mean += exp(row->nll_conditional);
    sum->conditional.count++;
  }
  if (row->count) {
    sum->self.mean += exp(-row->mean_logprob);
    sum->self.count++;
  }
  if (!row->language) return;
  /* even if a store of an earlier version gives a blank response a language */
  const bool consistent = !text_is_blank(row->text ? row->text : "", row->text_length) &&
                          xt_language_is(row->language, xt_question_answer_language(row->question));
  const bool too_short = xt_language_too_short(row->text ? row->text : "", row->text_length);
  sum->identified++;
  sum->consistent += consistent;
  sum->too_short += too_short;
  sum->consistent_long += consistent && !too_short;
}

static xt_status sum_row(void *user, const xt_store_row *row, xt_error *error) {
  Sum *sum;
  TRY(find_sum(user, row->question->task, row->question->lang, row->site, &sum, error));
  add_row(&sum->row, row);
  TRY(find_sum(user, row->question->task, "", row->site, &sum, error));
  add_row(&sum->row, row);
  return XT_STATUS_OK;
}

/* Task, site (vanilla first), language (their sum last). */
static int compare_sums(const void *a, const void *b) {
  const Sum *x = a, *y = b;
  const int by_task = strcmp(x->task, y->task), by_site = strcmp(x->site, y->site);
  if (by_task) return by_task;
  if (by_site && strcmp(x->site, "vanilla") == 0) return -1;
  if (by_site && strcmp(y->site, "vanilla") == 0) return 1;
  if (by_site) return by_site;
  if (!x->lang[0] || !y->lang[0]) return x->lang[0] ? -1 : y->lang[0] != 0;
  return strcmp(x->lang, y->lang);
}

static double mean_of(double sum, uint64_t count) {
  return count ? sum / (double)count : (double)NAN;
}

xt_status xt_store_summarize_metrics(xt_store *store,
                                     xt_status (*row)(void *user, const xt_metrics_row *row,
                                                      xt_error *error),
                                     void *user, xt_error *error) {
  Sums s = {0};
  xt_status status = xt_store_read(store, sum_row, &s, error);
  if (s.count) qsort(s.sums, s.count, sizeof *s.sums, compare_sums);
  for (size_t i = 0; i < s.count && !status; i++) {
    xt_metrics_row out = s.sums[i].row;
    out.task = s.sums[i].task;
    out.lang = s.sums[i].lang[0] ? s.sums[i].lang : NULL;
    out.site = s.sums[i].site;
    out.standalone.mean = mean_of(out.standalone.mean, out.standalone.count);
    out.conditional.mean = mean_of(out.conditional.mean, out.conditional.count);
    out.self.mean = mean_of(out.self.mean, out.self.count);
    status = row(user, &out, error);
  }
  free(s.sums);
  return status;
}
