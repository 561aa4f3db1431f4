/* SPDX-License-Identifier: Apache-2.0 */
#include "job/job_means.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "engine/session.h"
#include "sweep/controls.h"

uint64_t job_hash_end(Hash *hash) {
  uint8_t digest[HASH_BYTES];
  hash_finish(hash, digest);
  Cursor c = cursor_make(digest, sizeof digest);
  return cursor_u64(&c);
}

uint64_t job_source_hash(const xt_question *q) {
  Hash hash;
  hash_init(&hash);
  hash_text(&hash, "xtransplant control 1");
  hash_text(&hash, q->source);
  return job_hash_end(&hash);
}

int job_compare_parts(const xt_question *a, const xt_question *b) {
  int order = strcmp(a->task, b->task);
  if (!order) order = strcmp(a->lang, b->lang);
  return order ? order : strcmp(a->source_lang, b->source_lang);
}

/* All but one member, and all of them. */
static void fill_means(const JobMean *mean, float *values, double *sum, size_t size) {
  memset(sum, 0, size * sizeof *sum);
  for (size_t k = 0; k < mean->count; k++)
    for (size_t c = 0; c < size; c++) sum[c] += (double)values[k * size + c];
  for (size_t c = 0; c < size; c++)
    values[mean->count * size + c] = (float)(sum[c] / (double)mean->count);
  for (size_t k = 0; k < mean->count; k++)
    for (size_t c = 0; c < size; c++)
      values[k * size + c] =
          (float)((sum[c] - (double)values[k * size + c]) / (double)(mean->count - 1));
}

/* The earlier mean that has member k's source prompt too: datasets ask the same questions in many
 * languages. *at: which of its members. NULL: none has it. */
static const JobMean *earlier_with(const xt_job *job, const JobMean *mean, size_t k, size_t *at) {
  for (const JobMean *from = job->means; from < mean; from++)
    for (*at = 0; *at < from->count && !(mean->taps & ~from->taps); ++*at)
      if (from->members[*at].hash == mean->members[k].hash) return from;
  return NULL;
}

/* A source prompt is run, or `more` 0: will be. */
static void count_prompts(xt_job *job, uint64_t more) {
  const xt_job_options *o = &job->options;
  job->prompts += more;
  const xt_job_progress progress = {.responses_in_all = job->to_run,
                                    .questions_in_all = job->questions_to_run,
                                    .samples_in_all = job->samples_to_run,
                                    .prompts = job->prompts,
                                    .prompts_in_all = job->prompts_in_all};
  if (o->progress && job->prompts_in_all) o->progress(o->user, &progress);
}

/* Floats of a prompt's values at a tap. */
static size_t tap_size(const xt_session *session, int tap) {
  const ModelConfig *c = &session->model->config;
  const TapShape shape = sweep_tap_shape(c, (xt_tap)tap);
  return (size_t)c->layers * shape.parts * shape.width;
}

/* Member k's values: of its prompt; without taps, of member `at` of an earlier mean. */
static void keep_values(const xt_session *session, JobMean *mean, size_t k, const xt_taps *taps,
                        const JobMean *from, size_t at) {
  for (int tap = 0; tap <= XT_TAP_HEADS; tap++) {
    const size_t size = tap_size(session, tap);
    if (mean->values[tap])
      memcpy(mean->values[tap] + k * size,
             taps ? xt_taps_get(taps, (xt_tap)tap, 0) : from->values[tap] + at * size,
             size * sizeof **mean->values);
  }
}

/* Members whose prompts run together: those of a hundred tokens then fill the rows that are efficient. */
#define MEMBERS_TOGETHER 8

static xt_status capture_some(xt_job *job, xt_session *session, JobMean *mean, const size_t *which,
                              size_t n, xt_error *error) {
  const xt_job_options *o = &job->options;
  xt_request requests[MEMBERS_TOGETHER] = {0};
  xt_taps *taps[MEMBERS_TOGETHER];
  xt_status status = XT_STATUS_OK;
  if (n && o->cancel && o->cancel(o->user))
    return err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
  for (size_t i = 0; i < n && !status; i++)
    status =
        job_tokenize_text(job, session->model->tokenizer, mean->members[which[i]].question->source,
                          &requests[i].ids, &requests[i].count, error);
  if (!status) status = xt_session_capture_all(session, requests, n, taps, error);
  for (size_t i = 0; i < n; i++) free((void *)(uintptr_t)requests[i].ids);
  for (size_t i = 0; i < n && !status; i++) {
    keep_values(session, mean, which[i], taps[i], NULL, 0);
    xt_taps_free(taps[i]);
    count_prompts(job, 1);
  }
  return status;
}

static xt_status capture_members(xt_job *job, xt_session *session, JobMean *mean, xt_error *error) {
  size_t which[MEMBERS_TOGETHER], n = 0, at;
  for (int tap = 0; tap <= XT_TAP_HEADS; tap++)
    if (mean->taps >> tap & 1)
      TRY(mem_alloc(&mean->values[tap], (mean->count + 1) * tap_size(session, tap),
                    sizeof **mean->values, error));
  for (size_t k = 0; k < mean->count && mean->taps; k++) {
    const JobMean *from = earlier_with(job, mean, k, &at);
    if (from)
      keep_values(session, mean, k, NULL, from, at);
    else
      which[n++] = k;
    if (n < MEMBERS_TOGETHER && k + 1 < mean->count) continue;
    TRY(capture_some(job, session, mean, which, n, error));
    n = 0;
  }
  return XT_STATUS_OK;
}

void job_forget_mean(JobMean *mean) {
  mean->taps = 0;
  for (int tap = 0; tap <= XT_TAP_HEADS; tap++) {
    free(mean->values[tap]);
    mean->values[tap] = NULL;
  }
}

static const float *mean_without(const JobMean *mean, const xt_question *q, xt_tap tap,
                                 size_t size) {
  const uint64_t own = job_source_hash(q);
  size_t k = 0;
  while (k < mean->count && mean->members[k].hash != own) k++;
  return mean->values[tap] + k * size;
}

/* Whether site `site` of question `question`, which is to be run, is of this mean. */
static bool takes_mean(const xt_job *job, const JobMean *mean, size_t question, size_t site) {
  const xt_site *s = &job->sites[site];
  return s->control == XT_CONTROL_MEAN && s->seed == mean->seed &&
         job->todo[question].sites >> site & 1 &&
         job_compare_parts(mean->of, job->questions[question]) == 0;
}

/* The taps that questions take of a mean; with a session, their values, which are measured. */
static void give_mean(xt_job *job, JobMean *mean, const xt_session *measured) {
  const size_t sites = job->options.site_count;
  for (size_t i = 0; i < job->count; i++)
    for (size_t s = 0; s < sites; s++) {
      if (!takes_mean(job, mean, i, s)) continue;
      xt_control_input *in = &job->controls[i * sites + s];
      const unsigned taps = sweep_source_taps(&job->sites[s], in);
      mean->taps |= taps;
      for (xt_tap tap = 0; measured && tap <= XT_TAP_HEADS; tap++)
        if (taps >> tap & 1)
          in->means[tap] = mean_without(mean, job->questions[i], tap, tap_size(measured, (int)tap));
    }
}

xt_status job_measure_means(xt_job *job, xt_session *session, xt_error *error) {
  const size_t wide = tap_size(session, XT_TAP_BLOCK), heads = tap_size(session, XT_TAP_HEADS);
  double *sum;
  for (size_t m = 0; m < job->mean_count; m++) {
    job_forget_mean(&job->means[m]);
    give_mean(job, &job->means[m], NULL);
  }
  job->prompts = job->prompts_in_all = 0;
  for (size_t m = 0; m < job->mean_count; m++)
    for (size_t k = 0, at; k < job->means[m].count && job->means[m].taps; k++)
      job->prompts_in_all += !earlier_with(job, &job->means[m], k, &at);
  count_prompts(job, 0);
  for (size_t m = 0; m < job->mean_count; m++)
    TRY(capture_members(job, session, &job->means[m], error));
  TRY(MEM_ALLOC(&sum, wide > heads ? wide : heads, error));
  for (size_t m = 0; m < job->mean_count; m++) {
    JobMean *mean = &job->means[m];
    for (int tap = 0; tap <= XT_TAP_HEADS; tap++)
      if (mean->values[tap]) fill_means(mean, mean->values[tap], sum, tap_size(session, tap));
    give_mean(job, mean, session);
  }
  free(sum);
  return XT_STATUS_OK;
}
