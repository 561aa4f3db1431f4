/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's figure 7: responses before and after the coarse strategy. A few of the language that
 * it changes most are shown, and all are in a file. */
#include <math.h>
#include <string.h>

#include "analysis/bits.h"
#include "report/report_parts.h"

#define SHOWN_CHARACTERS 60
#define SHOWN_ROWS 6 /* at most, of each kind */

/* The coarse strategy of a group in this store. */
typedef struct Coarse {
  const AnalysisSite *site;
  const xt_comparison *gain;
  size_t cell;
} Coarse;

/* The paper's site; else attn-released, if the store has it instead of attn. */
static Coarse find_coarse(const AnalysisGroup *g) {
  const char *site;
  int source, target;
  xt_coarse(g->group.benchmark, g->group.layers, &site, &source, &target);
  const size_t cell = (size_t)(source * g->group.layers + target);
  if (g->group.coarse.overall.count)
    return (Coarse){analysis_find_site(g, site), &g->group.coarse_gain, cell};
  if (g->group.coarse_released.overall.count)
    return (Coarse){analysis_find_site(g, "attn-released"), &g->group.coarse_released_gain, cell};
  return (Coarse){NULL, NULL, 0};
}

/* On one line, of at most so many characters (0: all). */
static const char *plain_text(Table *t, const AnalysisText *text, size_t characters) {
  if (!text->text) return "(the model has no tokenizer)";
  char *copy = (char *)(uintptr_t)table_format(t, "%.*s", (int)text->length, text->text);
  size_t seen = 0;
  for (char *c = copy; *c; c++) {
    if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
    if (((unsigned char)*c & 0xc0) == 0x80) continue; /* within a character */
    if (characters && seen == characters) {
      *c = 0;
      return table_format(t, "%s…", copy);
    }
    seen++;
  }
  return copy;
}

static void response_row(Table *t, const xt_analysis *a, const AnalysisGroup *g,
                         const Coarse *coarse, size_t i, size_t characters) {
  const AnalysisInstance *instance = &g->instances[i];
  const uint32_t after = coarse->site->texts[i * (size_t)a->cells + coarse->cell];
  const size_t words = bits_words(g->group.instances);
  if (instance->vanilla_text == TEXT_ABSENT || after == TEXT_ABSENT) return;
  TableRow *row = table_row(t, instance->lang);
  if (!row) return;
  const bool right = bits_get(coarse->site->correct + coarse->cell * words, i);
  const Cell cells[] = {
      cell_text(instance->id),
      cell_text(instance->gold ? instance->gold : ""),
      cell_text(plain_text(t, &a->texts[instance->vanilla_text], characters)),
      cell_text(instance->scored ? instance->vanilla_correct ? "right" : "wrong" : ""),
      cell_text(plain_text(t, &a->texts[after], characters)),
      cell_text(instance->scored ? right ? "right" : "wrong" : "")};
  memcpy(row->cells, cells, sizeof cells);
}

static void response_columns(Table *t) {
  static const char *const columns[][2] = {{"", "question"},       {"", "gold answer"},
                                           {"Before", "response"}, {"Before", "it is"},
                                           {"After", "response"},  {"After", "it is"}};
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
    table_column(t, columns[c][0], columns[c][1]);
}

/* Questions that are right before (if `before`) and wrong after, or the reverse, in order. */
static void changed_rows(Table *t, const xt_analysis *a, const AnalysisGroup *g,
                         const Coarse *coarse, const xt_group_language *language, bool before) {
  const size_t words = bits_words(g->group.instances);
  size_t shown = 0;
  for (size_t i = language->first; i < language->first + language->count && shown < SHOWN_ROWS;
       i++) {
    if (!bits_get(coarse->site->present + coarse->cell * words, i) ||
        g->instances[i].vanilla_correct != before ||
        bits_get(coarse->site->correct + coarse->cell * words, i) == before)
      continue;
    response_row(t, a, g, coarse, i, SHOWN_CHARACTERS);
    shown++;
  }
}

static xt_status figure7(xt_report *r, const AnalysisGroup *g, const Coarse *coarse,
                         xt_error *error) {
  const xt_group *group = &g->group;
  size_t most = group->language_count;
  Table *t;
  for (size_t l = 0; l < group->language_count; l++)
    if (coarse->gain->languages[l].count &&
        (most == group->language_count ||
         fabs(coarse->gain->languages[l].gain) > fabs(coarse->gain->languages[most].gain)))
      most = l;
  if (most == group->language_count) return XT_STATUS_OK;
  const xt_difference *d = &coarse->gain->languages[most];
  TRY(table_add(&r->tables, &r->arena, report_format(r, "figure7-%s", report_slug(r, group)),
                "language", &t, error));
  t->title =
      table_format(t, "Figure 7. %s, %s: responses before and after the coarse strategy (%s)",
                   report_group_title(r, group), group->languages[most].name, coarse->site->name);
  t->note = table_format(t,
                         "The language that it changes most: of %zu questions %zu became right and "
                         "%zu wrong; at most %d of each are shown. All responses of all languages: "
                         "responses-%s.csv.",
                         d->count, d->won, d->lost, SHOWN_ROWS, report_slug(r, group));
  response_columns(t);
  changed_rows(t, r->main.analysis, g, coarse, &group->languages[most], false);
  changed_rows(t, r->main.analysis, g, coarse, &group->languages[most], true);
  return table_check(t, error);
}

static xt_status all_responses(xt_report *r, const AnalysisGroup *g, const Coarse *coarse,
                               xt_error *error) {
  Table *t;
  TRY(table_add(&r->tables, &r->arena, report_format(r, "responses-%s", report_slug(r, &g->group)),
                "language", &t, error));
  t->data = true;
  t->title = table_format(t, "%s: every response before and after the coarse strategy (%s)",
                          report_group_title(r, &g->group), coarse->site->name);
  response_columns(t);
  for (size_t i = 0; i < g->group.instances; i++)
    response_row(t, r->main.analysis, g, coarse, i, 0);
  return table_check(t, error);
}

xt_status report_response_tables(xt_report *r, xt_error *error) {
  const AnalysisGroup *groups[GROUPS_MOST];
  const size_t count = report_groups(&r->main, false, groups);
  for (size_t g = 0; g < count; g++) {
    const Coarse coarse = find_coarse(groups[g]);
    if (!coarse.site) continue;
    TRY(figure7(r, groups[g], &coarse, error));
    TRY(all_responses(r, groups[g], &coarse, error));
  }
  return XT_STATUS_OK;
}
