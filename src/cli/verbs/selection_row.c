/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "verbs/selection_row.h"
#include "shell/output.h"
#include "verbs/verbs.h"

static double percent(uint64_t part, uint64_t all) {
  return all ? 100 * (double)part / (double)all : 0;
}

/* How much of the way from the untouched runs to the bound was gone, in percent. */
static bool closed(uint64_t vanilla, uint64_t selected, uint64_t bound, double *out) {
  *out = 100 * ((double)selected - (double)vanilla) / ((double)bound - (double)vanilla);
  return bound > vanilla;
}

static void print_closed(uint64_t vanilla, uint64_t selected, uint64_t bound) {
  double share;
  if (closed(vanilla, selected, bound, &share))
    printf(" %8.1f", share);
  else
    printf(" %8s", "-");
}

static json_t *closed_json(uint64_t vanilla, uint64_t selected, uint64_t bound) {
  double share;
  return closed(vanilla, selected, bound, &share) ? json_number(share / 100) : json_null();
}

static json_t *gain_json(const xt_difference *d) {
  if (d->count == 0) return json_null();
  json_t *object = json_object();
  bool ok = json_add(object, "count", json_integer((json_int_t)d->count));
  ok = json_add(object, "questions", json_integer((json_int_t)d->questions)) && ok;
  ok = json_add(object, "won", json_integer((json_int_t)d->won)) && ok;
  ok = json_add(object, "lost", json_integer((json_int_t)d->lost)) && ok;
  ok = json_add(object, "gain", json_number(d->gain)) && ok;
  ok = json_add(object, "low", json_number(d->low)) && ok;
  ok = json_add(object, "high", json_number(d->high)) && ok;
  ok = json_add(object, "p", json_number(d->p)) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

xt_status selection_row_json(const xt_selection_row *r, xt_error *error) {
  json_t *object = json_object();
  bool ok = json_add(object, "task", json_string(r->task));
  ok = json_add(object, "pivot", json_string(r->pivot)) && ok;
  ok = json_add(object, "cot", json_boolean(r->cot)) && ok;
  ok = json_add(object, "lang", r->lang ? json_string(r->lang) : json_null()) && ok;
  ok = json_add(object, "site", json_string(r->site)) && ok;
  ok = json_add(object, "strategy", json_string(r->strategy)) && ok;
  ok = json_add(object, "questions", json_integer((json_int_t)r->questions)) && ok;
  ok = json_add(object, "vanilla", json_integer((json_int_t)r->vanilla)) && ok;
  ok = json_add(object, "selected", json_integer((json_int_t)r->selected)) && ok;
  ok = json_add(object, "bound", json_integer((json_int_t)r->bound)) && ok;
  ok = json_add(object, "gap_closed", closed_json(r->vanilla, r->selected, r->bound)) && ok;
  ok = json_add(object, "with_target_first", json_integer((json_int_t)r->with_target_first)) && ok;
  ok = json_add(object, "target_first", json_integer((json_int_t)r->target_first)) && ok;
  ok = json_add(object, "target_first_gap_closed",
                closed_json(r->target_first_vanilla, r->target_first_selected, r->target_first)) &&
       ok;
  ok = json_add(object, "vanilla_gain", gain_json(&r->vanilla_gain)) && ok;
  ok = json_add(object, "coarse_gain", gain_json(&r->coarse_gain)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

/* "minus coarse +4.17 [-2.08, 10.42] p 0.34": in percentage points. */
static void print_gain(const char *baseline, const xt_difference *d) {
  printf("minus %s %+.2f ", baseline, 100 * d->gain);
  if (isfinite(d->low) && isfinite(d->high)) printf("[%.2f, %.2f] ", 100 * d->low, 100 * d->high);
  printf("p %.3g", d->p);
}

/* The line below a strategy's figures. */
static void print_gains(const xt_selection_row *r) {
  if (r->vanilla_gain.count == 0) return;
  printf("  ");
  print_gain("vanilla", &r->vanilla_gain);
  if (r->coarse_gain.count && strcmp(r->strategy, "coarse") != 0) {
    printf("; ");
    print_gain("coarse", &r->coarse_gain);
  }
  printf("; by %zu question%s\n", r->vanilla_gain.questions,
         r->vanilla_gain.questions == 1 ? "" : "s");
}

/* "xnli", "xnli (zh)" where English is not the pivot, "xnli (cot)". */
static void print_task(const xt_selection_row *r) {
  char name[160];
  const bool other = r->pivot[0] && strcmp(r->pivot, "en") != 0;
  snprintf(name, sizeof name, "%s%s%s%s%s%s", r->task, other || r->cot ? " (" : "",
           other ? r->pivot : "", other && r->cot ? ", " : "", r->cot ? "cot" : "",
           other || r->cot ? ")" : "");
  print_name(name, 16);
}

void selection_row_heading(void) {
  printf("%-16s %-6s %-14s %-24s %9s %8s %8s %8s %8s %8s %8s\n", "task", "lang", "site", "strategy",
         "questions", "vanilla", "selected", "bound", "closed %", "N bound", "closed %");
}

void selection_row_print(const xt_selection_row *r) {
  print_task(r);
  print_name(r->lang ? r->lang : "all", 6);
  print_name(r->site, 14);
  print_name(r->strategy, 24);
  printf("%9llu %8.2f %8.2f %8.2f", (unsigned long long)r->questions,
         percent(r->vanilla, r->questions), percent(r->selected, r->questions),
         percent(r->bound, r->questions));
  print_closed(r->vanilla, r->selected, r->bound);
  if (r->with_target_first)
    printf(" %8.2f", percent(r->target_first, r->with_target_first));
  else
    printf(" %8s", "-");
  print_closed(r->target_first_vanilla, r->target_first_selected, r->target_first);
  putchar('\n');
  print_gains(r);
}
