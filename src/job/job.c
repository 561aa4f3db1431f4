/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of a job, and their prompts as ids. */
#include "job/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena_text.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/options.h"
#include "engine/session.h"
#include "job/job_controls.h"
#include "job/job_track.h"
#include "model/model.h"
#include "tasks/dataset.h"

void job_warn(const xt_job *job, const char *format, ...) {
  char message[1600];
  va_list args;
  if (!job->options.warn) return;
  va_start(args, format);
  number_vprint(message, sizeof message, format, args);
  va_end(args);
  job->options.warn(job->options.user, message);
}

/* ---- options --------------------------------------------------------------------------------- */

static xt_status copy_text(xt_job *job, const char **text, const char *preset, xt_error *error) {
  const char *from = *text ? *text : preset;
  return arena_copy_text(&job->arena, from, strlen(from), text, error);
}

/* Makes each of `given` sites, which come first, one in each of these ways; returns the number of
 * all. */
static size_t add_variants(xt_site *sites, size_t given, const xt_site *variants, size_t count) {
  for (size_t v = count; v-- > 0;) /* the first, in place of the given ones, last */
    for (size_t s = 0; s < given; s++) {
      xt_site *one = &sites[v * given + s];
      const xt_site site = sites[s];
      *one = variants[v];
      one->read = site.read;
      one->write = site.write;
      one->control = site.control;
      one->seed = site.seed;
    }
  return given * (count ? count : 1);
}

/* Adds each site with each control; returns the number of all. */
static size_t add_controls(xt_site *sites, size_t given, const xt_site *controls, size_t count) {
  size_t all = given;
  for (size_t c = 0; c < count; c++)
    for (size_t s = 0; s < given; s++) {
      sites[all] = sites[s];
      sites[all].control = controls[c].control;
      sites[all++].seed = controls[c].seed;
    }
  return all;
}

/* Whether a plan writes something that a control stands for. */
static bool has_control(const xt_job_plan_site *plan, xt_control control) {
  const bool vectors = control == XT_CONTROL_SELF || control == XT_CONTROL_RANDOM;
  for (size_t k = 0; k < plan->write_count; k++) {
    const xt_site *site = &plan->writes[k].site;
    if (site->control == XT_CONTROL_NONE && (vectors || site->from == XT_FROM_SOURCE)) return true;
  }
  return false;
}

static xt_status check_plan_control(const xt_job_options *o, const xt_site *site, xt_error *error) {
  for (size_t k = 0; k < o->plan_count; k++)
    if (strcmp(o->plans[k].name, site->label) == 0 && !has_control(&o->plans[k], site->control))
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "controls", -1,
                     "have %s, which stands for %s, and the plan %.60s writes none",
                     xt_control_name(site->control),
                     site->control == XT_CONTROL_SELF || site->control == XT_CONTROL_RANDOM
                         ? "values of the source prompt and for vectors"
                         : "values of the source prompt",
                     site->label);
  return XT_STATUS_OK;
}

static xt_status check_sites(const xt_job *job, const xt_model *model, xt_error *error) {
  char name[XT_SITE_NAME_SIZE], other[XT_SITE_NAME_SIZE];
  for (size_t i = 0; i < job->options.site_count; i++) {
    TRY(site_check(&job->sites[i], error));
    TRY(site_check_heads(&job->sites[i], &model->config, error));
    if (job->sites[i].from == XT_FROM_PLAN && job->sites[i].control)
      TRY(check_plan_control(&job->options, &job->sites[i], error));
    xt_site_format(job->sites[i], name);
    for (size_t k = 0; k < i; k++)
      if (strcmp(name, xt_site_format(job->sites[k], other)) == 0)
        return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1, "names a site twice, %s",
                       name);
  }
  return XT_STATUS_OK;
}

/* Variants take the place of what a site itself says about how it is written. */
static xt_status check_plain(const xt_job *job, size_t given, xt_error *error) {
  char name[XT_SITE_NAME_SIZE], plain[XT_SITE_NAME_SIZE];
  for (size_t i = 0; i < given && job->options.variant_count; i++) {
    const xt_site *s = &job->sites[i];
    const xt_site bare = {
        .read = s->read, .write = s->write, .control = s->control, .seed = s->seed};
    if (strcmp(xt_site_format(*s, name), xt_site_format(bare, plain)) != 0)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                     "%s says itself how it is written, and other ways are given for all sites",
                     name);
  }
  return XT_STATUS_OK;
}

/* Adds a site for each plan. */
static xt_status add_plans(xt_job *job, xt_error *error) {
  xt_job_options *o = &job->options;
  for (size_t k = 0; k < o->plan_count; k++) {
    xt_site *site = &job->sites[o->site_count++];
    *site = (xt_site){.from = XT_FROM_PLAN, .positions = XT_POSITIONS_ALL};
    if (strlen(o->plans[k].name) >= sizeof site->label)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, "plans", -1,
                     "have a name of more than %d letters", XT_LABEL_SIZE - 1);
    strcpy(site->label, o->plans[k].name);
  }
  xt_job_plan_site *own;
  TRY(ARENA_ALLOC(&job->arena, &own, o->plan_count, error));
  for (size_t k = 0; k < o->plan_count; k++) own[k] = o->plans[k];
  o->plans = own;
  return XT_STATUS_OK;
}

/* The given sites, else the one that the paper uses for the task. */
static xt_status choose_sites(xt_job *job, xt_error *error) {
  xt_job_options *o = &job->options;
  const xt_question *first = xt_dataset_get(job->dataset, 0);
  const xt_task *task = first ? xt_task_find(first->task) : NULL;
  const size_t most = XT_SWEEP_SITES_MOST,
               given = o->site_count || o->plan_count ? o->site_count : 1,
               ways = o->variant_count ? o->variant_count : 1;
  if (given > most || ways > most || o->control_count > most || o->plan_count > most ||
      (given * ways + o->plan_count) * (1 + o->control_count) > most)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "names %zu sites, with their rules and controls; at most %d are allowed",
                   (given * ways + o->plan_count) * (1 + o->control_count), XT_SWEEP_SITES_MOST);
  if (o->site_count || o->plan_count) /* sites may be none */
    for (size_t k = 0; k < given; k++) job->sites[k] = o->sites[k];
  else
    TRY(xt_site_parse(task ? task->site : "attn", &job->sites[0], error));
  TRY(check_plain(job, given, error));
  const size_t written = add_variants(job->sites, given, o->variants, o->variant_count);
  o->site_count = add_controls(job->sites, written, o->controls, o->control_count);
  xt_site *plans = job->sites + o->site_count;
  TRY(add_plans(job, error));
  o->site_count +=
      add_controls(plans, o->plan_count, o->controls, o->control_count) - o->plan_count;
  o->sites = job->sites;
  o->controls = o->variants = NULL; /* the caller's */
  return XT_STATUS_OK;
}

static xt_status read_layers(LayerSet *set, const int *list, size_t count, int layers,
                             const char *field, xt_error *error) {
  for (int l = 0; l < layers && !list; l++) set->has[l] = true;
  if (list && count == 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "names no layer");
  for (size_t i = 0; i < count && list; i++) {
    if (list[i] < 0 || list[i] >= layers)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                     "layer %d is out of range: this model has layers 0 to %d", list[i],
                     layers - 1);
    if (set->has[list[i]])
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "names layer %d twice", list[i]);
    set->has[list[i]] = true;
  }
  return XT_STATUS_OK;
}

#define SAMPLES_MOST 1000000

static xt_status set_options(xt_job *job, const xt_job_options *options, xt_error *error) {
  xt_job_options *o = &job->options;
  if (options) *o = *options;
  TRY(copy_text(job, &o->command, "", error));
  TRY(copy_text(job, &o->name, "the questions", error));
  TRY(copy_text(job, &o->skip_long_name, "skip_long", error));
  TRY(copy_text(job, &o->replace_name, "replace", error));
  if (!o->shard && !o->shards) o->shard = o->shards = 1;
  if (o->shard < 1 || o->shards < o->shard)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "shard", -1,
                   "is %d of %d; it must be from 1 to the number of shards", o->shard, o->shards);
  if (o->deal != XT_DEAL_LENGTHS && o->deal != XT_DEAL_TURNS)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "deal", -1, "is no way to deal: %d",
                   (int)o->deal);
  if (o->max_new_tokens < 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "max_new_tokens", -1,
                   "is %d; it must not be negative", o->max_new_tokens);
  if (!o->max_new_tokens)
    o->max_new_tokens = job->dataset->cot ? XT_JOB_COT_TOKENS : XT_JOB_NEW_TOKENS;
  if (o->samples < 0 || o->samples > SAMPLES_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "samples", -1, "is %d; it must be from 0 to %d",
                   o->samples, SAMPLES_MOST);
  if (o->sampling.temperature == 0) o->sampling.temperature = 1;
  if (o->sampling.top_p == 0) o->sampling.top_p = 1;
  if (!(o->sampling.temperature > 0 && o->sampling.temperature <= 1e6 && o->sampling.top_p > 0 &&
        o->sampling.top_p <= 1))
    return err_set(
        error, XT_STATUS_ARGUMENT, NULL, "sampling", -1,
        "has a temperature of %g and a top_p of %g; both must be above 0, and top_p at most 1",
        o->sampling.temperature, o->sampling.top_p);
  if (o->commit_seconds == 0) o->commit_seconds = 1;
  TRY(job_copy_words(job, error));
  return choose_sites(job, error);
}

/* ---- the model ------------------------------------------------------------------------------- */

static xt_status take_model(xt_job *job, const xt_model *model, xt_error *error) {
  xt_job_options *o = &job->options;
  const int layers = model->config.layers;
  xt_model_info info;
  xt_model_get_info(model, &info);
  TRY(check_sites(job, model, error));
  if (layers > XT_STORE_LAYERS_MOST)
    return err_set(error, XT_STATUS_UNSUPPORTED, model->path, NULL, -1,
                   "has %d layers; a sweep takes at most %d", layers, XT_STORE_LAYERS_MOST);
  TRY(read_layers(&job->all.sources, o->source_layers, o->source_layer_count, layers,
                  "source_layers", error));
  TRY(read_layers(&job->all.targets, o->target_layers, o->target_layer_count, layers,
                  "target_layers", error));
  o->source_layers = o->target_layers = NULL; /* the caller's */
  if (!model->tokenizer)
    return err_set(error, XT_STATUS_INPUT, model->path, NULL, -1,
                   "has no tokenizer: put tokenizer.json or tokenizer.model beside the weights");
  job->all.sites = UINT32_MAX >> (32 - o->site_count);
  job->all.source = 1;
  job->vocab = info.vocab;
  job->positions = info.max_positions;
  job->parameters = info.parameters;
  snprintf(job->architecture, sizeof job->architecture, "%s", info.architecture);
  job->layer_flops = info.layer_flops;
  job->unembed_flops = info.unembed_flops;
  job->identity = (xt_store_identity){
      .hash = job->hash,
      .layers = layers,
      .settings = {.compute = model->compute,
                   .max_new_tokens = o->max_new_tokens,
                   .ignore_eos = o->ignore_eos,
                   .repetition_penalty = o->repetition_penalty > 0 ? o->repetition_penalty
                                                                   : info.repetition_penalty}};
  return XT_STATUS_OK;
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* Whether the model can run the prompt. *too_long: it is longer than the model's context; *error
 * then says so too. */
static xt_status check_prompt(const xt_job *job, const xt_question *q, const xt_instance *in,
                              bool target, bool *too_long, xt_error *error) {
  const xt_job_options *o = &job->options;
  const int32_t *ids = target ? in->target : in->source;
  const size_t count = target ? in->target_count : in->source_count,
               generated = target ? (size_t)o->max_new_tokens - 1 : 0;
  char place[120];
  snprintf(place, sizeof place, "%.40s, line %zu, %s prompt", q->lang, q->number + 1,
           target ? "target" : "source");
  if (count == 0) return err_set(error, XT_STATUS_INPUT, o->name, place, -1, "has no tokens");
  for (size_t i = 0; i < count; i++)
    if (ids[i] < 0 || ids[i] >= job->vocab)
      return err_set(error, XT_STATUS_INPUT, o->name, place, -1,
                     "token %zu is %d: the model's ids are 0 to %d", i, (int)ids[i],
                     job->vocab - 1);
  if (count + generated <= (size_t)job->positions) return XT_STATUS_OK;
  *too_long = true;
  return err_set(error, XT_STATUS_INPUT, o->name, place, -1,
                 "is too long: %zu tokens and %zu more to run, the model has %d positions%s%s%s",
                 count, generated, job->positions, o->skip_long ? "" : "; ",
                 o->skip_long ? "" : o->skip_long_name,
                 o->skip_long ? "" : " leaves such questions out");
}

#define LONG_TOLD 20 /* questions that are named one by one */

static void leave_out(xt_job *job, const xt_question *q, const xt_error *why) {
  char line[1400];
  job->too_long[job->too_long_count++] = q;
  if (job->too_long_count <= LONG_TOLD)
    job_warn(job, "left out: %s", xt_error_format(why, line, sizeof line));
  else if (job->too_long_count == LONG_TOLD + 1)
    job_warn(job, "more questions are left out, which are not listed");
}

/* Whether a prompt begins with a BOS after the one that the tokenizer adds. */
static bool starts_twice(const xt_tokenizer *tokenizer, const xt_instance *in) {
  const int32_t bos = xt_tokenizer_bos(tokenizer);
  if (bos < 0) return false;
  return (in->source_count > 1 && in->source[0] == bos && in->source[1] == bos) ||
         (in->target_count > 1 && in->target[0] == bos && in->target[1] == bos);
}

/* The ids of all prompts; with skip_long, questions that are too long move to `too_long`. */
static xt_status encode_all(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error) {
  size_t kept = 0;
  bool doubled = false;
  xt_error own = {0};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < job->count && !status; i++) {
    const xt_question *q = job->questions[i];
    xt_instance in = job->instances[i]; /* empty, unless questions were dealt by length */
    bool too_long = false;
    job->instances[i] = (xt_instance){0};
    status = job_tokenize(job, tokenizer, q, &in, &own);
    if (!status) status = check_prompt(job, q, &in, false, &too_long, &own);
    if (!status) status = check_prompt(job, q, &in, true, &too_long, &own);
    if (status) job_free_tokens(&in);
    if (status && too_long && job->options.skip_long) {
      leave_out(job, q, &own);
      status = XT_STATUS_OK;
    } else if (!status) {
      doubled = doubled || starts_twice(tokenizer, &in);
      job->questions[kept] = q;
      job->instances[kept++] = in;
    }
  }
  const size_t all = job->count;
  for (size_t i = kept; i < all; i++) job_free_tokens(&job->instances[i]);
  job->count = kept; /* those that have ids, also after an error */
  if (status && error) *error = own;
  if (doubled && !job->dataset->chat)
    job_warn(job, "%s: a prompt begins with its own BOS token, and the tokenizer adds another",
             job->options.name);
  if (status || !job->too_long_count) return status;
  if (!kept)
    return err_set(error, XT_STATUS_INPUT, job->options.name, NULL, -1,
                   "all %zu questions are too long for the model's %d positions", all,
                   job->positions);
  job_warn(job, "%zu of %zu questions are too long for the model's %d positions and left out",
           job->too_long_count, all, job->positions);
  return XT_STATUS_OK;
}

/* ---- the job --------------------------------------------------------------------------------- */

static void report_repeats(const xt_job *job) {
  size_t line, first;
  const size_t repeats = xt_dataset_repeats(job->dataset, &line, &first);
  if (repeats == 1)
    job_warn(job, "%s: line %zu is the same question as line %zu; it is run once",
             job->options.name, line, first);
  else if (repeats)
    job_warn(job,
             "%s: %zu lines repeat earlier ones (the first of them: line %zu is the same "
             "question as line %zu); each question is run once",
             job->options.name, repeats, line, first);
}

static xt_status choose_questions(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error) {
  const size_t all = xt_dataset_count(job->dataset);
  TRY(MEM_ALLOC(&job->questions, all, error));
  TRY(MEM_ALLOC(&job->instances, all, error));
  TRY(MEM_ALLOC(&job->todo, all, error));
  TRY(MEM_ALLOC(&job->samples_missing, all, error));
  TRY(MEM_ALLOC(&job->too_long, all, error));
  return job_deal(job, tokenizer, error);
}

xt_status xt_job_create(const xt_model *model, const xt_dataset *dataset,
                        const xt_job_options *options, xt_job **out, xt_error *error) {
  xt_job *job;
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  TRY(MEM_ALLOC(&job, 1, error));
  job->dataset = dataset;
  xt_status status = set_options(job, options, error);
  if (!status) report_repeats(job);
  if (!status) status = take_model(job, model, error);
  if (!status) status = choose_questions(job, model->tokenizer, error);
  if (!status) status = encode_all(job, model->tokenizer, error);
  if (!status) status = job_order(job, error);
  if (!status) status = job_find_controls(job, model->tokenizer, error);
  if (!status) status = job_find_tracked(job, model->tokenizer, error);
  if (status)
    xt_job_free(job);
  else
    *out = job;
  return status;
}

void xt_job_free(xt_job *job) {
  if (!job) return;
  for (size_t i = 0; job->instances && i < job->count; i++) job_free_tokens(&job->instances[i]);
  job_free_controls(job);
  free(job->instances);
  free(job->tracked);
  free(job->too_long);
  free(job->samples_missing);
  free(job->questions);
  free(job->todo);
  free(job->edited);
  arena_free(&job->arena);
  free(job);
}

void xt_job_get_info(const xt_job *job, xt_job_info *info) {
  const int layers = job->identity.layers;
  *info = (xt_job_info){.questions = job->count,
                        .too_long = job->too_long_count,
                        .sites = job->sites,
                        .site_count = job->options.site_count,
                        .max_new_tokens = job->options.max_new_tokens,
                        .present = job->present,
                        .to_run = job->to_run,
                        .questions_to_run = job->questions_to_run,
                        .sources_to_run = job->sources_to_run,
                        .edited = job->edited_count,
                        .samples_to_run = job->samples_to_run,
                        .has_work = job_has_work(job)};
  info->responses =
      (uint64_t)job->count *
      (1 + (uint64_t)info->site_count * (uint64_t)job_set_size(&job->all.sources, layers) *
               (uint64_t)job_set_size(&job->all.targets, layers));
}

const xt_question *xt_job_question(const xt_job *job, size_t index) {
  return index < job->count ? job->questions[index] : NULL;
}

const xt_instance *xt_job_instance(const xt_job *job, size_t index) {
  return index < job->count ? &job->instances[index] : NULL;
}
