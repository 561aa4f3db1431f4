/* SPDX-License-Identifier: Apache-2.0 */
/* Options scored by likelihood, under the runs whose responses a store has. Questions are read together,
 * as many as their runs make a batch of; what the sequences of a run have in common is run once
 * (score_tokens.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/option_values.h"
#include "base/arena_text.h"
#include "base/mem.h"
#include "base/options.h"
#include "job/job_controls.h"
#include "job/job_means.h"
#include "store/store_metrics.h"
#include "store/store_options.h"
#include "xtransplant/score.h"

/* Runs that are scored at once, and questions that are read at once; there are fewer questions if they
 * have that many runs. */
#define RUNS_TOGETHER 256
#define QUESTIONS_TOGETHER 64

/* The runs of one question that are to be scored. */
typedef struct Question {
  int64_t number;
  const char *target;
  const xt_choice *options;
  size_t option_count, first, count; /* its runs are [first, first + count) */
  size_t of_job;                     /* its number in the job, if a run's site is the job's */
} Question;

typedef struct Plan {
  const xt_option_scoring *scoring;
  Arena arena; /* of texts */
  Question *questions;
  size_t question_count, question_capacity;
  OptionRun *runs;
  size_t run_count, run_capacity;
  uint64_t skipped;
  int64_t looked_up; /* the question that was looked for in the job; 0: none */
  bool is_of_job;
  size_t of_job;
} Plan;

/* ---- what is missing ------------------------------------------------------------------------- */

/* Whether the values of a run are to be had; those of some sites only from a job. */
static bool find_values(Plan *p, const xt_store_row *row, OptionRun *run) {
  char key[STORE_KEY_SIZE];
  if (run->untouched || option_site_is_plain(&run->site)) return true;
  if (!p->scoring->job) return false;
  if (p->looked_up != row->question_number) {
    store_question_key(row->question, key);
    p->looked_up = row->question_number;
    p->is_of_job = job_find_question(p->scoring->job, key, &p->of_job);
  }
  run->of_job = p->is_of_job && job_find_site(p->scoring->job, &run->site, &run->job_site);
  return run->of_job;
}

static bool same_site(const xt_site *a, const xt_site *b) {
  char x[XT_SITE_NAME_SIZE], y[XT_SITE_NAME_SIZE];
  return strcmp(xt_site_format(*a, x), xt_site_format(*b, y)) == 0;
}

static bool is_wanted(const xt_option_scoring *o, const OptionRun *run) {
  bool listed = o->site_count == 0;
  if (run->untouched) return true;
  if (o->untouched) return false;
  for (size_t i = 0; i < o->site_count && !listed; i++)
    listed = same_site(&o->sites[i], &run->site);
  return listed && (!o->source_layers || o->source_layers[run->source]) &&
         (!o->target_layers || o->target_layers[run->target]);
}

static xt_status copy_text(Plan *p, const char *text, const char **out, xt_error *error) {
  return arena_copy_text(&p->arena, text, strlen(text), out, error);
}

static xt_status begin_question(Plan *p, const xt_store_row *row, xt_error *error) {
  xt_choice *options;
  TRY(MEM_GROW(&p->questions, &p->question_capacity, p->question_count + 1, error));
  TRY(ARENA_ALLOC(&p->arena, &options, row->option_count, error));
  for (size_t i = 0; i < row->option_count; i++) {
    options[i].label = NULL;
    TRY(copy_text(p, row->options[i].text, &options[i].text, error));
  }
  Question *q = &p->questions[p->question_count];
  *q = (Question){.number = row->question_number,
                  .options = options,
                  .option_count = row->option_count,
                  .first = p->run_count};
  TRY(copy_text(p, row->question->target, &q->target, error));
  p->question_count++;
  return XT_STATUS_OK;
}

static xt_status look(void *user, const xt_store_row *row, xt_error *error) {
  Plan *p = user;
  OptionRun run = {.source = row->source_layer, .target = row->target_layer};
  if (!row->option_count || row->option_sums) return XT_STATUS_OK;
  run.untouched = run.source < 0;
  if (!run.untouched) TRY(xt_site_parse(row->site, &run.site, error));
  if (!is_wanted(p->scoring, &run)) return XT_STATUS_OK;
  if (!find_values(p, row, &run)) {
    p->skipped++;
    return XT_STATUS_OK;
  }
  if (!p->question_count || p->questions[p->question_count - 1].number != row->question_number)
    TRY(begin_question(p, row, error));
  TRY(MEM_GROW(&p->runs, &p->run_capacity, p->run_count + 1, error));
  p->runs[p->run_count++] = run;
  p->questions[p->question_count - 1].count++;
  if (run.of_job) p->questions[p->question_count - 1].of_job = p->of_job;
  return XT_STATUS_OK;
}

static xt_status make_plan(xt_store *store, const xt_option_scoring *scoring, Plan *out,
                           xt_error *error) {
  static const xt_option_scoring all = {0};
  TRY(OPTIONS_CHECK(scoring, error));
  *out = (Plan){.scoring = scoring ? scoring : &all};
  return xt_store_read(store, look, out, error);
}

static void free_plan(Plan *p) {
  arena_free(&p->arena);
  free(p->questions);
  free(p->runs);
}

xt_status xt_store_count_unscored(xt_store *store, const xt_option_scoring *scoring,
                                  xt_option_work *work, xt_error *error) {
  Plan plan = {0};
  *work = (xt_option_work){0};
  const xt_status status = make_plan(store, scoring, &plan, error);
  *work = (xt_option_work){
      .runs = plan.run_count, .prompts = plan.question_count, .skipped = plan.skipped};
  for (size_t q = 0; q < plan.question_count; q++)
    work->options += (uint64_t)plan.questions[q].count * plan.questions[q].option_count;
  free_plan(&plan);
  return status;
}

/* ---- questions ------------------------------------------------------------------------------- */

/* A question with what its runs need. */
typedef struct Asked {
  const Question *question;
  OptionValues values; /* with the prompts */
  OptionIds *texts;    /* [option_count] the prompt and an option */
} Asked;

typedef struct Scorer {
  xt_store *store;
  xt_session *session;
  const Plan *plan;
  Asked asked[QUESTIONS_TOGETHER];
  size_t asked_count;
  /* of the runs that are scored at once */
  xt_score_request *requests; /* each run's options, one after the other */
  float *logprobs;
  xt_intervention *interventions;
  uint64_t done;
} Scorer;

static bool stopped(void *user) {
  const Scorer *s = user;
  const xt_option_scoring *o = s->plan->scoring;
  return o->tick && o->tick(o->user, s->done);
}

static xt_status read_ids(Columns *c, int column, const char *name, OptionIds *out,
                          xt_error *error) {
  out->count = column_id_count(c, column, name);
  TRY(c->status);
  TRY(MEM_ALLOC(&out->ids, out->count + 1, error));
  column_ids(c, column, name, out->ids, out->count);
  return c->status;
}

static xt_status read_prompts(const Scorer *s, Asked *a, xt_error *error) {
  sqlite3_stmt *statement;
  Db *db = &s->store->db;
  bool row;
  TRY(db_prepare(db, "SELECT source_ids, target_ids FROM instances WHERE id = ?1", &statement,
                 error));
  db_bind_integer(db, statement, 1, a->question->number);
  xt_status status = db_step(db, statement, &row, "cannot read", error);
  Columns c = columns_of(db, statement, "instances", error);
  if (!status && row) status = read_ids(&c, 0, "source_ids", &a->values.source, error);
  if (!status && row) status = read_ids(&c, 1, "target_ids", &a->values.target, error);
  sqlite3_finalize(statement);
  return status;
}

static bool are_same(const OptionIds *text, const OptionIds *prompt) {
  return text->count == prompt->count &&
         memcmp(text->ids, prompt->ids, prompt->count * sizeof *prompt->ids) == 0;
}

/* Whether the prompt was encoded with the tokenizer's special tokens: one in a chat template has
 * its own. */
static xt_status find_special(const Scorer *s, const Asked *a, bool *special, xt_error *error) {
  const xt_tokenizer *tokenizer = xt_model_tokenizer(s->session->model);
  const char *target = a->question->target;
  for (int with = 1; with >= 0; with--) {
    OptionIds ids = {0};
    *special = with;
    TRY(xt_tokenizer_encode(tokenizer, target, strlen(target), *special, &ids.ids, &ids.count,
                            error));
    const bool same = are_same(&ids, &a->values.target);
    free(ids.ids);
    if (same) return XT_STATUS_OK;
  }
  return err_set(error, XT_STATUS_INPUT, s->store->db.path, "target_ids", -1,
                 "the tokens of question %lld's target prompt are not those that the model's "
                 "tokenizer makes of its text; its options cannot be scored",
                 (long long)a->question->number);
}

/* The prompt's ids, and behind them those that its text and an option's have beyond its own. */
static xt_status encode_option(const Scorer *s, const Asked *a, bool special, const char *option,
                               OptionIds *out, xt_error *error) {
  const char *target = a->question->target;
  const size_t n = strlen(target), more = strlen(option), prompt = a->values.target.count;
  const bool space = n && !strchr(" \t\r\n", target[n - 1]);
  char *text;
  TRY(MEM_ALLOC(&text, n + more + 2, error));
  memcpy(text, target, n);
  if (space) text[n] = ' ';
  memcpy(text + n + space, option, more);
  const xt_status status =
      xt_tokenizer_encode(xt_model_tokenizer(s->session->model), text, n + space + more, special,
                          &out->ids, &out->count, error);
  free(text);
  TRY(status);
  if (out->count < prompt) { /* the option melts into the prompt: nothing is left to score */
    int32_t *ids;
    TRY(MEM_ALLOC(&ids, prompt, error));
    free(out->ids);
    *out = (OptionIds){ids, prompt};
  }
  memcpy(out->ids, a->values.target.ids, prompt * sizeof *out->ids);
  return XT_STATUS_OK;
}

static xt_status prepare_question(const Scorer *s, Asked *a, xt_error *error) {
  const Question *q = a->question;
  bool special;
  TRY(read_prompts(s, a, error));
  TRY(find_special(s, a, &special, error));
  TRY(MEM_ALLOC(&a->texts, q->option_count, error));
  for (size_t o = 0; o < q->option_count; o++)
    TRY(encode_option(s, a, special, q->options[o].text, &a->texts[o], error));
  return XT_STATUS_OK;
}

static void free_questions(Scorer *s) {
  for (size_t k = 0; k < s->asked_count; k++) {
    Asked *a = &s->asked[k];
    for (size_t o = 0; a->texts && o < a->question->option_count; o++) free(a->texts[o].ids);
    free(a->texts);
    option_values_deinit(&a->values);
  }
  s->asked_count = 0;
}

/* ---- interventions --------------------------------------------------------------------------- */

/* Captures the source prompts that runs of the questions read, all together. */
static xt_status read_sources(Scorer *s, xt_error *error) {
  xt_request requests[QUESTIONS_TOGETHER] = {{0}};
  xt_taps *taps[QUESTIONS_TOGETHER], **of[QUESTIONS_TOGETHER];
  size_t n = 0;
  for (size_t k = 0; k < s->asked_count; k++) {
    Asked *a = &s->asked[k];
    bool read = false;
    for (size_t r = 0; r < a->question->count && !read; r++)
      read = option_values_read_source(&s->plan->runs[a->question->first + r]);
    if (!read) continue;
    requests[n] = (xt_request){.ids = a->values.source.ids, .count = a->values.source.count};
    of[n++] = &a->values.taps;
  }
  TRY(xt_session_capture_all(s->session, requests, n, taps, error));
  for (size_t k = 0; k < n; k++) *of[k] = taps[k];
  return XT_STATUS_OK;
}

/* ---- scoring --------------------------------------------------------------------------------- */

/* The question of a run. */
static Asked *asked_of(Scorer *s, size_t run) {
  Asked *a = s->asked;
  while (run >= a->question->first + a->question->count) a++;
  return a;
}

/* Tokens of a run's options. */
static size_t option_tokens(const Asked *a) {
  size_t tokens = 0;
  for (size_t o = 0; o < a->question->option_count; o++)
    tokens += a->texts[o].count - a->values.target.count;
  return tokens;
}

/* Makes room for runs [from, to), once what they write is there. */
static xt_status reserve_runs(Scorer *s, size_t from, size_t to, xt_error *error) {
  size_t requests = 0, tokens = 0, interventions = 0;
  for (size_t r = from; r < to; r++) {
    Asked *a = asked_of(s, r);
    TRY(option_values_prepare(&a->values, &s->plan->runs[r], error));
    interventions += option_values_list(&a->values, &s->plan->runs[r], NULL);
    requests += a->question->option_count;
    tokens += option_tokens(a);
  }
  TRY(MEM_ALLOC(&s->requests, requests, error));
  TRY(MEM_ALLOC(&s->logprobs, tokens + 1, error));
  return MEM_ALLOC(&s->interventions, interventions + 1, error);
}

static void free_runs(Scorer *s) {
  free(s->requests);
  free(s->logprobs);
  free(s->interventions);
  s->requests = NULL;
  s->logprobs = NULL;
  s->interventions = NULL;
}

/* The requests of runs [from, to); returns their number. */
static size_t make_requests(Scorer *s, size_t from, size_t to) {
  xt_intervention *list = s->interventions;
  float *next = s->logprobs;
  size_t n = 0;
  for (size_t r = from; r < to; r++) {
    const Asked *a = asked_of(s, r);
    const size_t written = option_values_list(&a->values, &s->plan->runs[r], list);
    for (size_t o = 0; o < a->question->option_count; o++) {
      const OptionIds *text = &a->texts[o];
      s->requests[n++] = (xt_score_request){.ids = text->ids,
                                            .count = text->count,
                                            .first = a->values.target.count,
                                            .logprobs = next,
                                            .interventions = written ? list : NULL,
                                            .intervention_count = written};
      next += text->count - a->values.target.count;
    }
    list += written;
  }
  return n;
}

static double sum_of(const xt_score_request *r) {
  double sum = 0;
  for (size_t k = 0; k < r->count - r->first; k++) sum += (double)r->logprobs[k];
  return fmin(sum, 0); /* a rounded logarithm of 1 may be above 0 */
}

static xt_status store_run(const Scorer *s, const Question *q, const OptionRun *run,
                           const xt_score_request *requests, xt_error *error) {
  char name[XT_SITE_NAME_SIZE] = "vanilla";
  const size_t count = q->option_count;
  double *sums;
  if (!run->untouched) xt_site_format(run->site, name);
  TRY(MEM_ALLOC(&sums, count, error));
  for (size_t o = 0; o < count; o++) sums[o] = sum_of(&requests[o]);
  const xt_status status =
      options_add(s->store, q->number, name, run->source, run->target, sums, count, error);
  free(sums);
  return status ? status : xt_store_commit(s->store, STORE_COMMIT_SECONDS, error);
}

static xt_status score_runs(Scorer *s, size_t from, size_t to, xt_error *error) {
  TRY(reserve_runs(s, from, to, error));
  const size_t n = make_requests(s, from, to);
  TRY(xt_session_score(s->session, s->requests, n, stopped, s, error));
  const xt_score_request *of = s->requests;
  for (size_t r = from; r < to; r++) {
    const Question *q = asked_of(s, r)->question;
    TRY(store_run(s, q, &s->plan->runs[r], of, error));
    of += q->option_count;
  }
  s->done += to - from;
  return XT_STATUS_OK;
}

/* The questions from *at on that are read together, and their runs. */
static xt_status score_some(Scorer *s, size_t *at, xt_error *error) {
  const Plan *plan = s->plan;
  const size_t from = plan->questions[*at].first;
  size_t end = from;
  while (*at < plan->question_count && s->asked_count < QUESTIONS_TOGETHER &&
         end - from < RUNS_TOGETHER) {
    const Question *q = &plan->questions[(*at)++];
    Asked *a = &s->asked[s->asked_count++];
    *a = (Asked){
        .question = q,
        .values = {.session = s->session, .job = plan->scoring->job, .question = q->of_job}};
    end += q->count;
    TRY(prepare_question(s, a, error));
  }
  TRY(read_sources(s, error));
  for (size_t run = from; run < end; run += RUNS_TOGETHER) {
    const xt_status status =
        score_runs(s, run, end - run < RUNS_TOGETHER ? end : run + RUNS_TOGETHER, error);
    free_runs(s);
    TRY(status);
  }
  return XT_STATUS_OK;
}

static xt_status score_all(xt_store *store, xt_session *session, const Plan *plan,
                           xt_error *error) {
  Scorer *s;
  TRY(MEM_ALLOC(&s, 1, error));
  s->store = store;
  s->session = session;
  s->plan = plan;
  xt_status status = XT_STATUS_OK;
  for (size_t at = 0; at < plan->question_count && !status;) {
    status = score_some(s, &at, error);
    free_questions(s);
  }
  free(s);
  return status;
}

/* Means over other questions are measured for all runs before the first one. */
static xt_status measure_means(xt_session *session, const Plan *plan, xt_error *error) {
  xt_job *job = plan->scoring->job;
  if (!job) return XT_STATUS_OK;
  job_ask_nothing(job);
  for (size_t q = 0; q < plan->question_count; q++)
    for (size_t k = 0; k < plan->questions[q].count; k++) {
      const OptionRun *run = &plan->runs[plan->questions[q].first + k];
      if (run->of_job) job_ask(job, plan->questions[q].of_job, run->job_site);
    }
  return job_measure_means(job, session, error);
}

xt_status xt_store_score_options(xt_store *store, xt_session *session,
                                 const xt_option_scoring *scoring, xt_error *error) {
  Plan plan = {0};
  if (!xt_model_tokenizer(session->model))
    return err_set(error, XT_STATUS_ARGUMENT, session->model->path, NULL, -1,
                   "has no tokenizer, which scoring the texts of options needs");
  TRY(metrics_make_tables(store, error));
  xt_status status = make_plan(store, scoring, &plan, error);
  if (!status) status = measure_means(session, &plan, error);
  if (!status) status = score_all(store, session, &plan, error);
  free_plan(&plan);
  const xt_status committed = xt_store_commit(store, 0, status ? NULL : error);
  return status ? status : committed;
}
