/* SPDX-License-Identifier: Apache-2.0 */
#include "results/store_model.h"

#include <stdlib.h>

#include "shell/interrupt.h"
#include "shell/output.h"

static xt_status own_settings(xt_store *store, const ModelArguments *arguments,
                              xt_store_settings *out, xt_error *error) {
  xt_store_info info;
  const xt_status status = xt_store_get_info(store, &info, error);
  if (status) return status;
  *out = (xt_store_settings){.compute = (xt_compute)arguments->compute,
                             .max_new_tokens = info.max_new_tokens,
                             .repetition_penalty = info.repetition_penalty,
                             .ignore_eos = info.ignore_eos};
  return XT_STATUS_OK;
}

xt_status store_check_model(xt_store *store, const ModelArguments *arguments,
                            const LoadedModel *model, char hash[XT_MODEL_HASH_SIZE],
                            xt_error *error) {
  xt_store_settings settings;
  xt_status status;
  TRY_DONE(model_hash(model, arguments->quiet, hash, error));
  TRY_DONE(own_settings(store, arguments, &settings, error));
  TRY_DONE(xt_store_check(store, model->model, hash, &settings, error));
done:
  return status;
}

xt_status store_begin_model(xt_store *store, const ModelArguments *arguments,
                            const LoadedModel *model, const char *hash, const char *verb,
                            xt_error *error) {
  xt_store_settings settings;
  char *text = NULL;
  xt_status status;
  TRY_DONE(own_settings(store, arguments, &settings, error));
  json_t *object = json_object();
  bool ok = json_add(object, "verb", json_string(verb));
  ok = json_add(object, "model", json_string(arguments->model)) && ok;
  text = ok ? json_dumps(object, JSON_COMPACT) : NULL;
  json_decref(object);
  status = xt_store_begin(store, model->model, hash, &settings, text ? text : "", error);
done:
  free(text);
  return status;
}

void cli_coverage(bool quiet, const xt_coverage *coverage) {
  for (size_t i = 0; i < xt_coverage_note_count(coverage); i++)
    cli_note(quiet, "%s", xt_coverage_note(coverage, i));
}

xt_status store_note_coverage(xt_store *store, bool quiet, xt_error *error) {
  xt_coverage *coverage;
  const xt_status status = xt_coverage_create(store, &coverage, error);
  if (status) return status;
  cli_coverage(quiet, coverage);
  xt_coverage_free(coverage);
  return XT_STATUS_OK;
}

json_t *coverage_value(const xt_coverage *coverage) {
  json_error_t wrong;
  char *text;
  if (xt_coverage_json(coverage, &text, NULL) != XT_STATUS_OK) return NULL;
  json_t *value = json_loads(text, 0, &wrong);
  free(text);
  return value;
}

#define WAIT_TOLD_EVERY 30 /* seconds */

static bool report_waiting(void *user, const xt_store_wait *w) {
  static const char what[] =
      "which is reading it. No response is lost; they are written as soon as it stops reading";
  const bool quiet = user != NULL;
  const int second = (int)w->seconds;
  const bool stop = interrupt_asked() && w->seconds > WAIT_TOLD_EVERY;
  if (second > 1 && second % WAIT_TOLD_EVERY != 0) return stop;
  if (w->process)
    cli_note(quiet, "%s: waiting for process %ld (%s), %s", w->path, w->process, w->name, what);
  else
    cli_note(quiet, "%s: waiting for another process, %s", w->path, what);
  return stop;
}

void store_report_waiting(xt_store *store, bool quiet) {
  xt_store_on_wait(store, report_waiting, quiet ? store : NULL);
}
