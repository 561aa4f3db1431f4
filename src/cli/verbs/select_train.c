/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/select_train.h"

#include <string.h>

#include "results/store_model.h"
#include "shell/output.h"

xt_status select_describe(Select *s, xt_error *error) {
  const ModelArguments *how = &s->arguments->sweep.model;
  const xt_status status = model_describe(how, &s->model, error);
  if (status) return status;
  return model_hash(&s->model, how->quiet, s->hash, error);
}

/* The hash that every response must have: the model's, or that of the results file. */
static xt_status own_hash(Select *s, const char **hash, const char **name, xt_error *error) {
  xt_store_info own;
  *hash = s->hash;
  *name = s->arguments->sweep.model.model;
  if (s->model.model) return XT_STATUS_OK;
  const xt_status status = xt_store_get_info(s->store, &own, error);
  *hash = own.model_hash;
  *name = own.model_name;
  return status;
}

/* ---- activations of source prompts ----------------------------------------------------------- */

static bool any_needs_states(const Select *s) {
  for (int i = 0; i < s->count; i++)
    if (xt_strategy_needs_states(s->strategies[i].strategy)) return true;
  return false;
}

static xt_status read_states(Select *s, xt_store *store, xt_states **out, xt_error *error) {
  xt_store_info info;
  xt_status status;
  if (!s->arguments->sweep.model.model)
    return error_set(error, XT_STATUS_ARGUMENT, NULL, "--model", -1,
                     "missing: neighbours and probe read activations of the source prompts");
  if (!s->model.model) TRY_DONE(select_describe(s, error));
  TRY_DONE(xt_store_get_info(store, &info, error));
  if (strcmp(info.model_hash, s->hash) != 0)
    TRY_DONE(error_set(error, XT_STATUS_ARGUMENT, info.path, "model", -1,
                       "has responses of another model (%s) than %s", info.model_name,
                       s->arguments->sweep.model.model));
  if (!s->loaded) TRY_DONE(model_load(&s->arguments->sweep.model, &s->model, error));
  s->loaded = true;
  status = xt_states_create(store, s->model.model, out, error);
done:
  return status;
}

xt_status select_read_states(Select *s, xt_error *error) {
  if (!any_needs_states(s)) return XT_STATUS_OK;
  const xt_status status = read_states(s, s->store, &s->states, error);
  for (int i = 0; i < s->count; i++) s->strategies[i].states = s->states;
  return status;
}

static xt_status open_pilot(Select *s, xt_error *error) {
  const char *hash, *name, *file = s->arguments->train;
  xt_store_info pilot;
  xt_status status;
  if (s->pilot) return XT_STATUS_OK;
  TRY_DONE(xt_store_open(file, XT_STORE_READ, &s->pilot, error));
  TRY_DONE(xt_store_get_info(s->pilot, &pilot, error));
  TRY_DONE(own_hash(s, &hash, &name, error));
  if (strcmp(pilot.model_hash, hash) != 0)
    TRY_DONE(error_set(error, XT_STATUS_ARGUMENT, file, "model", -1,
                       "has responses of another model (%s) than %s (%s)", pilot.model_name,
                       s->arguments->sweep.output, name));
done:
  return status;
}

static void tell(const Select *s, const char *strategy, const xt_selector_info *info) {
  if (info->left_out)
    cli_note(s->arguments->sweep.model.quiet,
             "%s: %s learns from %zu questions; %zu are left out, because %s asks them, too",
             s->arguments->train, strategy, info->learned, info->left_out,
             s->arguments->sweep.output);
}

static xt_status train(Select *s, int index, xt_store *chosen_for, xt_error *error) {
  xt_select_options *o = &s->strategies[index];
  xt_selector_info info;
  xt_status status;
  TRY_DONE(open_pilot(s, error));
  if (xt_strategy_needs_states(o->strategy) && !s->pilot_states)
    TRY_DONE(read_states(s, s->pilot, &s->pilot_states, error));
  xt_selector_free(s->selectors[index]);
  o->selector = s->selectors[index] = NULL;
  o->states = s->pilot_states;
  o->chosen_for = chosen_for;
  TRY_DONE(xt_selector_train(s->pilot, o, &s->selectors[index], error));
  if (chosen_for) o->selector = s->selectors[index];
  xt_selector_get_info(s->selectors[index], &info);
  tell(s, s->names[index], &info);
  xt_strategy_format(o, s->names[index]);
done:
  return status;
}

xt_status select_train(Select *s, xt_store *chosen_for, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i < s->count && s->arguments->train && !status; i++)
    if (xt_strategy_learns(s->strategies[i].strategy)) status = train(s, i, chosen_for, error);
  return status;
}
