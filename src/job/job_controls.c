/* SPDX-License-Identifier: Apache-2.0 */
#include "job/job_controls.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "job/job_means.h"
#include "store/store_parts.h"
#include "tasks/dataset.h"

typedef struct Finder {
  xt_job *job;
  const xt_tokenizer *tokenizer;
  Other *pool; /* by task and languages, then hash; each hash of a part once */
  size_t count;
  const xt_question *of; /* whose part was searched for last: pool[first, end) */
  size_t first, end;
} Finder;

/* ---- the questions that there are ------------------------------------------------------------ */

static uint64_t question_hash(const xt_question *q) {
  const char *const parts[] = {q->task, q->lang, q->source_lang, q->id, q->source, q->target};
  Hash hash;
  hash_init(&hash);
  hash_text(&hash, "xtransplant control 1");
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) hash_text(&hash, parts[i]);
  return job_hash_end(&hash);
}

/* A number as good as drawn, from three. */
static uint64_t score_of(uint64_t question, uint64_t other, uint32_t seed) {
  Rng rng = {question ^ other};
  rng.state = rng_next(&rng) + seed * RNG_STEP;
  return rng_next(&rng);
}

static int compare_others(const void *a, const void *b) {
  const Other *x = a, *y = b;
  const int order = job_compare_parts(x->question, y->question);
  return order ? order : (x->hash > y->hash) - (x->hash < y->hash);
}

static xt_status find_pool(Finder *f, xt_error *error) {
  const xt_dataset *d = f->job->dataset;
  const size_t own = d->count, all = own + d->other_count;
  TRY(MEM_ALLOC(&f->pool, all, error));
  for (size_t i = 0; i < all; i++) {
    const xt_question *q = i < own ? &d->questions[i] : &d->others[i - own];
    f->pool[i] = (Other){q, job_source_hash(q)};
  }
  qsort(f->pool, all, sizeof *f->pool, compare_others);
  for (size_t i = 0; i < all; i++)
    if (i == 0 || compare_others(&f->pool[i], &f->pool[f->count - 1]) != 0)
      f->pool[f->count++] = f->pool[i];
  return XT_STATUS_OK;
}

/* The first place of the pool from which `q`'s part is not after it. */
static size_t lower_bound(const Finder *f, const xt_question *q, bool past) {
  size_t low = 0, high = f->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = job_compare_parts(f->pool[middle].question, q);
    if (order < 0 || (past && order == 0))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static xt_status find_part(Finder *f, const xt_question *q, const char *control, xt_error *error) {
  if (!f->of || job_compare_parts(f->of, q) != 0) {
    f->first = lower_bound(f, q, false);
    f->end = lower_bound(f, q, true);
    f->of = q;
  }
  if (f->end - f->first > 1) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_INPUT, f->job->options.name, "control", -1,
                 "'%s' takes the source prompts of other questions, and there is one only in "
                 "%.40s from %.40s",
                 control, q->lang[0] ? q->lang : "no language",
                 q->source_lang[0] ? q->source_lang : "no language");
}

/* ---- another question ------------------------------------------------------------------------ */

/* The question with the lowest score above `above` (NULL: any); NULL: there is none. */
static const Other *next_other(const Finder *f, const xt_question *q, uint32_t seed,
                               const uint64_t *above, uint64_t *score) {
  const uint64_t own = job_source_hash(q), question = question_hash(q);
  const Other *best = NULL;
  for (const Other *o = f->pool + f->first; o < f->pool + f->end; o++) {
    const uint64_t one = score_of(question, o->hash, seed);
    if (o->hash == own || (above && one <= *above) || (best && one >= *score)) continue;
    best = o;
    *score = one;
  }
  return best;
}

/* One that fits into the model's positions. */
static xt_status find_shuffled(Finder *f, const xt_question *q, uint32_t seed,
                               xt_control_input *out, xt_error *error) {
  uint64_t score = 0, above;
  TRY(find_part(f, q, "shuffled", error));
  const Other *other = next_other(f, q, seed, NULL, &score);
  for (; other; above = score, other = next_other(f, q, seed, &above, &score)) {
    TRY(job_tokenize_text(f->job, f->tokenizer, other->question->source, &out->ids, &out->count,
                          error));
    if (out->count && out->count <= (size_t)f->job->positions) return XT_STATUS_OK;
    free((void *)(uintptr_t)out->ids);
    *out = (xt_control_input){0};
  }
  return err_set(error, XT_STATUS_INPUT, f->job->options.name, "control", -1,
                 "'shuffled' finds no other source prompt for question %.60s (%.20s) that the "
                 "model has positions for",
                 q->id, q->lang);
}

/* ---- means ----------------------------------------------------------------------------------- */

/* Puts a question among the members, which are in order of score. */
static void take_member(JobMean *mean, uint64_t *scores, const Other *other, uint64_t score) {
  size_t at = mean->count < JOB_MEAN_MOST ? mean->count++ : JOB_MEAN_MOST - 1;
  for (; at > 0 && scores[at - 1] > score; at--) {
    scores[at] = scores[at - 1];
    mean->members[at] = mean->members[at - 1];
  }
  scores[at] = score;
  mean->members[at] = *other;
}

static xt_status find_mean(Finder *f, const xt_question *q, uint32_t seed, xt_error *error) {
  xt_job *job = f->job;
  uint64_t scores[JOB_MEAN_MOST];
  for (size_t i = 0; i < job->mean_count; i++)
    if (job->means[i].seed == seed && job_compare_parts(job->means[i].of, q) == 0)
      return XT_STATUS_OK;
  TRY(find_part(f, q, "mean", error));
  TRY(MEM_GROW(&job->means, &job->mean_capacity, job->mean_count + 1, error));
  JobMean *mean = &job->means[job->mean_count++];
  *mean = (JobMean){.of = q, .seed = seed};
  for (const Other *o = f->pool + f->first; o < f->pool + f->end; o++) {
    const uint64_t score = score_of(0, o->hash, seed);
    if (mean->count == JOB_MEAN_MOST && score >= scores[JOB_MEAN_MOST - 1]) continue;
    const int32_t *ids;
    size_t count;
    TRY(job_tokenize_text(job, f->tokenizer, o->question->source, &ids, &count, error));
    free((void *)(uintptr_t)ids);
    if (count && count <= (size_t)job->positions) take_member(mean, scores, o, score);
  }
  if (mean->count > 1) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_INPUT, job->options.name, "control", -1,
                 "'mean' finds no two source prompts in %.40s from %.40s that the model has "
                 "positions for",
                 q->lang, q->source_lang);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* A site names the dataset's languages, in their order. */
static xt_status check_langs(const xt_job *job, const xt_site *site, xt_error *error) {
  const char *at = site->label;
  bool same = job->dataset->source_lang_count > 0;
  for (size_t k = 0; same && k < job->dataset->source_lang_count; k++) {
    const size_t length = strlen(job->dataset->source_langs[k]);
    same = (k == 0 || *at++ == '.') && strncmp(at, job->dataset->source_langs[k], length) == 0;
    at += same ? length : 0;
  }
  if (same && !*at) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                 "have one that writes the mean over %s, and the dataset was not read with these "
                 "source languages",
                 site->label);
}

/* The ids of the questions' source prompts in several languages. */
static xt_status find_sources(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error) {
  const size_t langs = job->dataset->source_lang_count;
  TRY(MEM_ALLOC(&job->sources, job->count * langs, error));
  for (size_t k = 0; k < job->count * langs; k++) {
    const xt_question *q = job->questions[k / langs];
    xt_prompt_ids *out = &job->sources[k];
    TRY(job_tokenize_text(job, tokenizer, q->sources[k % langs], &out->ids, &out->count, error));
    if (out->count == 0 || out->count > (size_t)job->positions)
      return err_set(
          error, XT_STATUS_INPUT, job->options.name, "source_langs", -1,
          "question %.60s (%.20s) has a source prompt in %s of %zu tokens; the model has "
          "%d positions",
          q->id, q->lang, job->dataset->source_langs[k % langs], out->count, job->positions);
  }
  return XT_STATUS_OK;
}

/* What a plan writes for a question. */
static xt_status find_writes(xt_job *job, const xt_job_plan_site *plan, const xt_question *q,
                             xt_control_input *out, xt_error *error) {
  xt_plan_write *own;
  out->writes = plan->writes;
  out->write_count = plan->write_count;
  if (!plan->vector) return XT_STATUS_OK;
  TRY(ARENA_ALLOC(&job->arena, &own, plan->write_count, error));
  const float *vector = plan->vector(plan->user, q);
  for (size_t k = 0; k < plan->write_count; k++) {
    own[k] = plan->writes[k];
    if (own[k].site.from == XT_FROM_VECTOR) own[k].vector = vector;
  }
  out->writes = own;
  return XT_STATUS_OK;
}

static xt_status find_input(Finder *f, size_t question, size_t s, xt_error *error) {
  xt_job *job = f->job;
  const xt_question *q = job->questions[question];
  const xt_site *site = &job->sites[s];
  xt_control_input *out = &job->controls[question * job->options.site_count + s];
  if (site->from == XT_FROM_VECTOR) out->values = job->options.vector;
  for (size_t k = 0; site->from == XT_FROM_PLAN && k < job->options.plan_count; k++)
    if (strcmp(job->options.plans[k].name, site->label) == 0)
      TRY(find_writes(job, &job->options.plans[k], q, out, error));
  if (site->from == XT_FROM_PLAN && !out->writes)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "plans", -1, "do not have plan.%s",
                   site->label);
  if (site->from == XT_FROM_LANGS) {
    out->source_count = job->dataset->source_lang_count;
    out->sources = job->sources + question * out->source_count;
  }
  switch (site->control) {
    case XT_CONTROL_SHUFFLED: return find_shuffled(f, q, site->seed, out, error);
    case XT_CONTROL_MEAN: return find_mean(f, q, site->seed, error);
    case XT_CONTROL_RANDOM: out->seed = score_of(question_hash(q), 0, site->seed); break;
    default: break;
  }
  return XT_STATUS_OK;
}

xt_status job_find_controls(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error) {
  const size_t sites = job->options.site_count;
  Finder f = {.job = job, .tokenizer = tokenizer};
  bool any = false, langs = false;
  for (size_t s = 0; s < sites; s++) {
    any = any || job->sites[s].control > XT_CONTROL_SELF || job->sites[s].from != XT_FROM_SOURCE;
    if (job->sites[s].from == XT_FROM_VECTOR && !job->options.vector)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "vector", -1,
                     "is missing, and a site writes one");
    if (job->sites[s].from == XT_FROM_LANGS) TRY(check_langs(job, &job->sites[s], error));
    langs = langs || job->sites[s].from == XT_FROM_LANGS;
  }
  if (!any) return XT_STATUS_OK;
  xt_status status = MEM_ALLOC(&job->controls, job->count * sites, error);
  if (!status) status = find_pool(&f, error);
  if (!status && langs) status = find_sources(job, tokenizer, error);
  for (size_t i = 0; i < job->count && !status; i++)
    for (size_t s = 0; s < sites && !status; s++) status = find_input(&f, i, s, error);
  free(f.pool);
  return status;
}

/* ---- for others ------------------------------------------------------------------------------ */

bool job_find_question(const xt_job *job, const char *key, size_t *index) {
  char own[STORE_KEY_SIZE];
  for (size_t n = 0; n < job->count; n++) {
    const size_t at = (*index + n) % job->count;
    store_question_key(job->questions[at], own);
    if (strcmp(own, key) != 0) continue;
    *index = at;
    return true;
  }
  return false;
}

bool job_find_site(const xt_job *job, const xt_site *site, size_t *index) {
  char name[XT_SITE_NAME_SIZE], own[XT_SITE_NAME_SIZE];
  xt_site_format(*site, name);
  for (*index = 0; job->controls && *index < job->options.site_count; ++*index)
    if (strcmp(xt_site_format(job->sites[*index], own), name) == 0) return true;
  return false;
}

void job_ask_nothing(xt_job *job) {
  job->planned = NULL;
  memset(job->todo, 0, job->count * sizeof *job->todo);
}

void job_ask(xt_job *job, size_t question, size_t site) { job->todo[question].sites |= 1u << site; }

void job_free_controls(xt_job *job) {
  for (size_t i = 0; job->controls && i < job->count * job->options.site_count; i++)
    free((void *)(uintptr_t)job->controls[i].ids);
  free(job->controls);
  for (size_t k = 0; job->sources && k < job->count * job->dataset->source_lang_count; k++)
    free((void *)(uintptr_t)job->sources[k].ids);
  free(job->sources);
  for (size_t m = 0; m < job->mean_count; m++) job_forget_mean(&job->means[m]);
  free(job->means);
}

xt_status job_list_controls(const xt_job *job, const Todo *todo, size_t at, size_t count,
                            xt_control_input **out, xt_error *error) {
  const size_t sites = job->options.site_count, wanted = (size_t)job_site_count(todo);
  xt_control_input *next;
  *out = NULL;
  if (!job->controls || !wanted) return XT_STATUS_OK;
  TRY(MEM_ALLOC(out, count * wanted, error));
  next = *out;
  for (size_t i = at; i < at + count; i++)
    for (size_t s = 0; s < sites; s++)
      if (todo->sites >> s & 1) *next++ = job->controls[i * sites + s];
  return XT_STATUS_OK;
}
