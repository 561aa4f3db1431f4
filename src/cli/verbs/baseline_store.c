/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/baseline_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shell/output.h"

typedef struct Values {
  const BaselineSite *what;
  size_t floats; /* of a question */
} Values;

static const float *values_of(void *user, const xt_question *question) {
  const Values *v = user;
  size_t i = 0;
  while (v->what->questions->asked[i].question != question) i++;
  return v->what->values + i * v->floats;
}

/* The label of the method's site: its name, how it writes, at how many layers if at several together,
 * and a part of the digest of these and of what it learned from. */
static xt_status make_label(const BaselineSite *what, const xt_job_plan_site *plan,
                            char out[XT_LABEL_SIZE], xt_error *error) {
  char site[XT_SITE_NAME_SIZE], digest[XT_TEXT_HASH_SIZE], layers[16] = "", *text = NULL;
  size_t length = 0;
  FILE *file = open_memstream(&text, &length);
  if (!file) return error_memory(error);
  xt_site_format(what->site, site);
  fprintf(file, "%s %s %.17g\n", what->method, site, what->ridge);
  for (size_t k = 0; k < plan->write_count && what->together; k++)
    fprintf(file, "layer %d\n", plan->writes[k].target);
  for (size_t i = 0; i < what->parallel->count; i++) {
    const xt_question *q = what->parallel->asked[i].question;
    fprintf(file, "%s\n%zu %s\n%zu %s\n", q->lang, strlen(q->source), q->source, strlen(q->target),
            q->target);
  }
  const bool written = fclose(file) == 0;
  if (written) xt_text_hash(text, length, digest);
  free(text);
  if (!written) return error_memory(error);
  for (char *c = site; *c; c++)
    if (*c == '+' || *c == ':') *c = '-';
  if (what->together) snprintf(layers, sizeof layers, "-%zux", plan->write_count);
  snprintf(out, XT_LABEL_SIZE, "%.10s-%.23s%.5s.%.8s", what->method, site, layers, digest);
  return XT_STATUS_OK;
}

/* For the record of the run. */
static char *command_text(const BaselineSite *what, const SweepArguments *a) {
  char site[XT_SITE_NAME_SIZE];
  json_t *object = json_object();
  bool ok = json_add(object, "verb", json_string("baseline"));
  ok = json_add(object, "method", json_string(what->method)) && ok;
  ok = json_add(object, "writes", json_string(xt_site_format(what->site, site))) && ok;
  ok = json_add(object, "model", json_string(a->model.model)) && ok;
  ok = json_add(object, "layers", json_string(what->layers)) && ok;
  if (what->together) ok = json_add(object, "together", json_true()) && ok;
  if (what->ridge > 0) ok = json_add(object, "ridge", json_number(what->ridge)) && ok;
  char *text = ok ? json_dumps(object, JSON_COMPACT) : NULL;
  json_decref(object);
  return text;
}

static xt_status print_stored(const SweepJob *job, const xt_job_result *result, const char *label,
                              xt_error *error) {
  const SweepArguments *a = job->arguments;
  if (!a->model.json) {
    printf("site        plan.%s\nresponses   %llu, untouched runs included; %llu were in %s\n",
           label, (unsigned long long)job->info.responses, (unsigned long long)job->info.present,
           a->output);
    return XT_STATUS_OK;
  }
  char site[XT_SITE_NAME_SIZE];
  snprintf(site, sizeof site, "plan.%s", label);
  json_t *object = json_object();
  bool ok = json_add(object, "output", json_string(a->output));
  ok = json_add(object, "site", json_string(site)) && ok;
  ok = json_add(object, "responses", json_integer((json_int_t)job->info.responses)) && ok;
  ok = json_add(object, "present_before", json_integer((json_int_t)job->info.present)) && ok;
  ok = json_add(object, "computed", json_integer((json_int_t)result->responses)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

/* One at the target layer; or one at each layer that is written together with the others. */
static xt_status list_writes(const BaselineSite *what, int layers,
                             xt_plan_write writes[XT_PLAN_WRITES_MOST], size_t *count,
                             xt_error *error) {
  *count = 0;
  for (int layer = 0; layer < (what->together ? layers : 1); layer++) {
    if (what->together && !what->together[layer]) continue;
    if (*count == XT_PLAN_WRITES_MOST)
      return error_set(error, XT_STATUS_ARGUMENT, NULL, "--together", -1,
                       "is of more than %d layers", XT_PLAN_WRITES_MOST);
    xt_plan_write *write = &writes[(*count)++];
    *write = what->together ? (xt_plan_write){.site = what->site, .source = layer, .target = layer}
                            : (xt_plan_write){.site = what->site,
                                              .source_base = XT_LAYER_TARGET,
                                              .target_base = XT_LAYER_TARGET};
    if (!what->values) continue;
    write->site.from = XT_FROM_VECTOR;
    strcpy(write->site.label, "learned");
  }
  return XT_STATUS_OK;
}

xt_status baseline_store(const BaselineSite *what, const LoadedModel *model, bool *stopped,
                         xt_error *error) {
  const SweepArguments *arguments = what->questions->job.arguments;
  const char *output = arguments->output;
  char label[XT_LABEL_SIZE], hash[XT_MODEL_HASH_SIZE], *command = NULL;
  Values values = {what, (size_t)model->info.layers * (size_t)model->info.width};
  xt_plan_write writes[XT_PLAN_WRITES_MOST];
  xt_job_result result = {0};
  xt_store *store = NULL;
  xt_status status;
  SweepJob job = job_anew(&what->questions->job);
  job.own_site = (xt_job_plan_site){.name = label, .writes = writes};
  TRY_DONE(list_writes(what, model->info.layers, writes, &job.own_site.write_count, error));
  if (what->values) {
    job.own_site.vector = values_of;
    job.own_site.user = &values;
  }
  TRY_DONE(make_label(what, &job.own_site, label, error));
  command = command_text(what, arguments);
  if (!command) TRY_DONE(error_memory(error));
  TRY_DONE(model_hash(model, arguments->model.quiet, hash, error));
  TRY_DONE(job_create(&job, model, NULL, command, error));
  if (access(output, F_OK) == 0) TRY_DONE(xt_store_open(output, XT_STORE_WRITE, &store, error));
  TRY_DONE(job_plan(&job, store, hash, error));
  if (!store) TRY_DONE(xt_store_open(output, XT_STORE_WRITE, &store, error));
  if (job.info.has_work) TRY_DONE(job_run(&job, model, store, &result, error));
  TRY_DONE(print_stored(&job, &result, label, error));
done:
  *stopped = status == XT_STATUS_CANCELLED;
  xt_job_free(job.job);
  xt_store_close(store);
  free(command);
  return status;
}
