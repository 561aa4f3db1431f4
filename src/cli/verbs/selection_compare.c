/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/selection_compare.h"

#include "shell/output.h"
#include "xtransplant/report.h"

static json_t *estimate_value(const xt_estimate *e) {
  return e->count ? json_number(e->value) : json_null();
}

static json_t *levels_json(const xt_scores *scores) {
  static const char *const names[XT_LEVEL_COUNT] = {"High", "Mid", "Low"};
  json_t *object = json_object();
  bool ok = true;
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    ok = json_add(object, names[level], estimate_value(&scores->levels[level])) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

static bool add_numbers(json_t *object, const xt_difference *gain, const xt_gap *gap) {
  const struct {
    const char *name;
    double value;
  } gains[] = {{"gain", gain->gain},
               {"gain_low", gain->low},
               {"gain_high", gain->high},
               {"p", gain->p},
               {"holm", gain->holm}};
  const char *name;
  double value;
  bool ok = true;
  for (size_t i = 0; i < sizeof gains / sizeof *gains; i++)
    ok = json_add(object, gains[i].name, json_number(gains[i].value)) && ok;
  for (size_t i = 0; (name = xt_gap_field(gap, i, &value)); i++)
    ok = json_add(object, name, gap->count ? json_number(value) : json_null()) && ok;
  return ok;
}

static xt_status print_strategy(const xt_group *g, const char *site, const xt_strategy_result *s,
                                xt_error *error) {
  json_t *object = json_object();
  bool ok = json_add(object, "task", json_string(g->task));
  ok = json_add(object, "pivot", json_string(g->pivot)) && ok;
  ok = json_add(object, "cot", json_boolean(g->cot)) && ok;
  ok = json_add(object, "site", json_string(site)) && ok;
  ok = json_add(object, "strategy", json_string(s->name)) && ok;
  ok = json_add(object, "count", json_integer((json_int_t)s->gap.count)) && ok;
  ok = json_add(object, "questions", json_integer((json_int_t)s->gap.questions)) && ok;
  ok = json_add(object, "untouched", estimate_value(&g->vanilla.overall)) && ok;
  ok = json_add(object, "accuracy", estimate_value(&s->scores.overall)) && ok;
  ok = json_add(object, "levels", levels_json(&s->scores)) && ok;
  ok = add_numbers(object, &s->vanilla.overall, &s->gap) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status print_lines(const xt_analysis *a, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < xt_analysis_count(a); i++) {
    const xt_group *g = xt_analysis_get(a, i);
    for (size_t s = 0; s < g->site_count; s++)
      for (size_t k = 0; k < g->sites[s].strategy_count && !status; k++)
        status = print_strategy(g, g->sites[s].site, &g->sites[s].strategies[k], error);
  }
  return status;
}

xt_status selection_compare(const char *store, int threads, bool json, xt_error *error) {
  const xt_analysis_options analysis = {.threads = threads};
  xt_report *report = NULL;
  char *text = NULL;
  size_t length;
  xt_status status;
  TRY_DONE(xt_report_create(store, &(xt_report_options){.strategies = true, .analysis = &analysis},
                            &report, error));
  if (json) TRY_DONE(print_lines(xt_report_analysis(report), error));
  if (json) goto done;
  TRY_DONE(xt_report_text(report, &(xt_report_text_options){.width = terminal_width()}, &text,
                          &length, error));
  fwrite(text, 1, length, stdout);
done:
  xt_free(text);
  xt_report_free(report);
  return status;
}
