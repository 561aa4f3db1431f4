/* SPDX-License-Identifier: Apache-2.0 */
/* The names of groups, sites and layers in a report, and the groups of its tables. */
#include <stdarg.h>
#include <string.h>

#include "base/arena_text.h"
#include "report/escape.h"
#include "report/report_parts.h"

/* ---- names ----------------------------------------------------------------------------------- */

const char *report_format(xt_report *r, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *text = arena_vformat(&r->arena, format, args);
  va_end(args);
  return text ? text : ""; /* the next allocation that can report an error will fail too, or the
                              name is only shown */
}

static const char *report_id(xt_report *r, const char *text) {
  char id[ESCAPE_ID_SIZE];
  escape_id(text, id);
  return report_format(r, "%s", id);
}

const char *report_slug(xt_report *r, const xt_group *g) {
  const char *task = g->task[0] ? g->task : "questions";
  const bool plain = g->pivot[0] == 0 || strcmp(g->pivot, "en") == 0;
  return report_id(r, report_format(r, "%s%s%s%s", task, plain ? "" : "-", plain ? "" : g->pivot,
                                    g->cot ? "-cot" : ""));
}

const char *report_site_slug(xt_report *r, const char *site) {
  const char *text = report_format(r, "%s", site);
  for (char *c = (char *)(uintptr_t)text; *c; c++)
    if (*c == ':' || *c == '+') *c = '-';
  return report_id(r, text);
}

const char *report_group_title(xt_report *r, const xt_group *g) {
  const bool plain = g->pivot[0] == 0 || strcmp(g->pivot, "en") == 0;
  return report_format(r, "%s%s%s%s", g->title, plain ? "" : ", from ", plain ? "" : g->pivot,
                       g->cot ? ", CoT" : "");
}

const char *report_site_title(const char *site) {
  static const char *const titles[][2] = {{"attn", "Self-Attention"},
                                          {"ffn", "Feed-Forward"},
                                          {"block", "Whole Block"},
                                          {"attn-released", "Self-Attention as released"}};
  for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
    if (strcmp(titles[i][0], site) == 0) return titles[i][1];
  return site;
}

const char *report_layers_note(const xt_report *r) {
  return r->first_layer ? "Layers count from 1, as in the paper; the command line counts from 0."
                        : "Layers count from 0.";
}

const char *report_layer_column(xt_report *r, const char *name) {
  return r->first_layer ? report_format(r, "%s (from 1)", name) : name;
}

/* ---- groups ---------------------------------------------------------------------------------- */

const AnalysisGroup *report_same_task(const ReportStore *store, bool cot,
                                      const AnalysisGroup *group) {
  const AnalysisGroup *best = NULL;
  for (size_t i = 0; i < store->analysis->count; i++) {
    const AnalysisGroup *g = &store->analysis->groups[i];
    if (strcmp(g->group.task, group->group.task) != 0 || g->group.cot != cot) continue;
    if (!best || strcmp(g->group.pivot, "en") == 0) best = g;
  }
  return best;
}

size_t report_groups(const ReportStore *store, bool cot, const AnalysisGroup *out[GROUPS_MOST]) {
  size_t count = 0;
  const xt_task *task;
  for (size_t t = 0; (task = xt_task_get(t)) && count < GROUPS_MOST; t++) {
    const AnalysisGroup *found =
        report_same_task(store, cot, &(AnalysisGroup){.group = {.task = task->name}});
    if (found) out[count++] = found;
  }
  /* then known tasks that are not benchmarks */
  for (size_t i = 0; i < store->analysis->count && count < GROUPS_MOST; i++) {
    const AnalysisGroup *found = &store->analysis->groups[i];
    if (!found->group.benchmark || found->group.cot != cot ||
        report_same_task(store, cot, found) != found)
      continue;
    bool there = false;
    for (size_t k = 0; k < count; k++) there = there || out[k] == found;
    if (!there) out[count++] = found;
  }
  return count;
}

const xt_site_result *report_find_site(const xt_group *g, const char *name) {
  for (size_t s = 0; s < g->site_count; s++)
    if (strcmp(g->sites[s].site, name) == 0) return &g->sites[s];
  return NULL;
}

const xt_site_result *report_site(const xt_group *g) {
  const char *site = "";
  int source, target;
  if (g->benchmark) xt_coarse(g->benchmark, g->layers, &site, &source, &target);
  const xt_site_result *own = report_find_site(g, site);
  return own || !g->site_count ? own : &g->sites[0];
}
