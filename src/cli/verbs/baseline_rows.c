/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/baseline_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shell/output.h"
#include "xtransplant/analysis.h"

typedef struct Row {
  const char *lang; /* NULL: all */
  size_t count, questions, looked;
  double untouched, changed, gain, low, high, p; /* accuracies */
  double untouched_language, language, forced;   /* shares in the language asked for; and the
                                                    harmonic mean of the latter and accuracy */
} Row;

static double ratio(double sum, size_t count) { return count ? sum / (double)count : (double)NAN; }

static xt_status fill_row(const BaselineRow *b, Row *r, xt_error *error) {
  const size_t n = b->questions->count;
  double *sums = calloc(2 * n + 1, sizeof *sums), *weights = sums + n;
  if (!sums) return error_memory(error);
  for (size_t i = 0; i < n; i++) {
    const Asked *a = &b->questions->asked[i];
    if (r->lang && strcmp(r->lang, a->question->lang) != 0) continue;
    if (a->changed.in_language >= 0) {
      r->looked++;
      r->untouched_language += a->untouched.in_language;
      r->language += a->changed.in_language;
    }
    if (a->changed.right < 0) continue;
    r->count++;
    r->untouched += a->untouched.right;
    r->changed += a->changed.right;
    sums[a->kin] += a->changed.right - a->untouched.right;
    weights[a->kin]++;
  }
  for (size_t i = 0; i < n; i++) { /* the questions that are there come first */
    if (weights[i] <= 0) continue;
    sums[r->questions] = sums[i];
    weights[r->questions++] = weights[i];
  }
  r->untouched = ratio(r->untouched, r->count);
  r->changed = ratio(r->changed, r->count);
  r->gain = r->changed - r->untouched;
  r->untouched_language = ratio(r->untouched_language, r->looked);
  r->language = ratio(r->language, r->looked);
  r->forced = r->language + r->changed > 0
                  ? 2 * r->language * r->changed / (r->language + r->changed)
                  : r->language + r->changed;
  xt_status status =
      xt_bootstrap_ratio(sums, weights, r->questions, 2000, 1, 0.95, &r->low, &r->high, error);
  if (!status) status = xt_sign_flip(sums, r->questions, 9999, 1, &r->p, error);
  free(sums);
  return status;
}

static xt_status print_json(const BaselineRow *b, const Row *r, xt_error *error) {
  const struct {
    const char *name;
    double value;
  } numbers[] = {{"untouched", r->untouched},
                 {"accuracy", r->changed},
                 {"gain", r->gain},
                 {"low", r->low},
                 {"high", r->high},
                 {"p", r->count ? r->p : (double)NAN},
                 {"untouched_language", r->untouched_language},
                 {"language", r->language},
                 {"forced", r->forced}};
  json_t *object = json_object();
  bool ok = json_add(object, "method", json_string(b->method));
  ok = json_add(object, "layer", b->together ? json_null() : json_integer(atoi(b->layers))) && ok;
  ok = json_add(object, "layers", json_string(b->layers)) && ok;
  ok = json_add(object, "alpha", json_number(b->alpha)) && ok;
  ok = json_add(object, "lang", r->lang ? json_string(r->lang) : json_null()) && ok;
  ok = json_add(object, "count", json_integer((json_int_t)r->count)) && ok;
  ok = json_add(object, "questions", json_integer((json_int_t)r->questions)) && ok;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    ok = json_add(object, numbers[i].name, json_number(numbers[i].value)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static void print_share(double value) {
  if (isnan(value))
    printf(" %9s", "-");
  else
    printf(" %9.2f", 100 * value);
}

xt_status baseline_print_row(const BaselineRow *b, const char *lang, xt_error *error) {
  Row r = {.lang = lang};
  const xt_status status = fill_row(b, &r, error);
  if (status) return status;
  if (b->json) return print_json(b, &r, error);
  const double shares[] = {r.untouched,          r.changed,  r.gain,  r.low, r.high,
                           r.untouched_language, r.language, r.forced};
  printf("%5s ", b->layers);
  print_name(lang ? lang : "all", 8);
  printf(" %9zu", r.count);
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) print_share(shares[i]);
  printf(" %9.3g\n", r.p);
  return XT_STATUS_OK;
}

void baseline_print_heading(void) {
  printf("%5s %-8s %9s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "layer", "lang", "questions",
         "untouched", "changed", "gain", "low", "high", "in lang", "changed", "forced", "p");
}
