/* SPDX-License-Identifier: Apache-2.0 */
/* Models beside one another, when a report has several stores: a row for each model, a column for
 * each task and site, and a second table of what the stores lack of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/report_parts.h"

#define STORES_MOST (1 + REPORT_MORE_MOST)

/* Stores of one model and one set of settings, which have no task's site twice. */
typedef struct ModelRow {
  const ReportStore *stores[STORES_MOST];
  size_t store_count;
  const char *label;
} ModelRow;

/* A task at a site; site NULL: the untouched model. */
typedef struct ModelColumn {
  const AnalysisGroup *group; /* of the first store that has the task */
  const char *site;
} ModelColumn;

typedef struct Models {
  ModelRow *rows;
  size_t row_count;
  ModelColumn *columns;
  size_t column_count, column_capacity;
} Models;

/* ---- rows ------------------------------------------------------------------------------------ */

static bool is_same_group(const xt_group *a, const xt_group *b) {
  return strcmp(a->task, b->task) == 0 && strcmp(a->pivot, b->pivot) == 0 && a->cot == b->cot;
}

static const xt_group *group_of(const ReportStore *store, const xt_group *like) {
  const xt_analysis *a = store->analysis;
  for (size_t i = 0; i < a->count + a->unscored; i++)
    if (is_same_group(&a->groups[i].group, like)) return &a->groups[i].group;
  return NULL;
}

static bool is_same_model(const ReportStore *a, const ReportStore *b) {
  static const char *const keys[] = {"model_hash", "compute", "max_new_tokens",
                                     "repetition_penalty", "ignore_eos"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (!json_equal(json_object_get(a->about, keys[i]), json_object_get(b->about, keys[i])))
      return false;
  return true;
}

/* Whether both stores have responses for the same cell of the table. */
static bool overlap(const ReportStore *a, const ReportStore *b) {
  for (size_t i = 0; i < a->analysis->count + a->analysis->unscored; i++) {
    const xt_group *mine = &a->analysis->groups[i].group, *theirs = group_of(b, mine);
    if (!theirs) continue;
    if (mine->site_count == 0 && theirs->site_count == 0) return true;
    for (size_t s = 0; s < mine->site_count; s++)
      if (report_find_site(theirs, mine->sites[s].site)) return true;
  }
  return false;
}

static bool takes(const ModelRow *row, const ReportStore *store) {
  if (!is_same_model(row->stores[0], store)) return false;
  for (size_t k = 0; k < row->store_count; k++)
    if (overlap(row->stores[k], store)) return false;
  return true;
}

/* Rows whose models have one name, or that the same model has by its settings, have their files'
 * names too. */
static void label_rows(xt_report *r, Models *m) {
  for (size_t k = 0; k < m->row_count; k++) {
    const ReportStore *store = m->rows[k].stores[0];
    bool alone = true;
    for (size_t o = 0; o < m->row_count; o++)
      alone = alone && (o == k || strcmp(m->rows[o].stores[0]->model, store->model) != 0);
    m->rows[k].label =
        alone ? store->model : report_format(r, "%s (%s)", store->model, store->file);
  }
}

static void find_rows(xt_report *r, Models *m) {
  for (size_t k = 0; k <= r->more_count; k++) {
    const ReportStore *store = k ? &r->more[k - 1] : &r->main;
    size_t at = 0;
    while (at < m->row_count && !takes(&m->rows[at], store)) at++;
    if (at == m->row_count) m->row_count++;
    m->rows[at].stores[m->rows[at].store_count++] = store;
  }
  label_rows(r, m);
}

/* ---- columns --------------------------------------------------------------------------------- */

/* Puts a column behind the last one of its task. */
static xt_status add_column(Models *m, const AnalysisGroup *group, const char *site,
                            xt_error *error) {
  size_t at = m->column_count;
  for (size_t c = 0; c < m->column_count; c++) {
    if (!is_same_group(&m->columns[c].group->group, &group->group)) continue;
    const char *name = m->columns[c].site;
    if (name == site || (name && site && strcmp(name, site) == 0)) return XT_STATUS_OK;
    at = c + 1;
  }
  TRY(MEM_GROW(&m->columns, &m->column_capacity, m->column_count + 1, error));
  memmove(m->columns + at + 1, m->columns + at, (m->column_count - at) * sizeof *m->columns);
  m->columns[at] = (ModelColumn){group, site};
  m->column_count++;
  return XT_STATUS_OK;
}

static xt_status find_columns(Models *m, xt_error *error) {
  for (size_t k = 0; k < m->row_count; k++)
    for (size_t i = 0; i < m->rows[k].store_count; i++) {
      const xt_analysis *a = m->rows[k].stores[i]->analysis;
      for (size_t g = 0; g < a->count; g++) {
        TRY(add_column(m, &a->groups[g], NULL, error));
        for (size_t s = 0; s < a->groups[g].group.site_count; s++)
          TRY(add_column(m, &a->groups[g], a->groups[g].group.sites[s].site, error));
      }
    }
  return XT_STATUS_OK;
}

/* The row's results in a column; *site NULL: none, or the column is the untouched model's. Returns
 * NULL if the row has no results of the task. */
static const xt_group *find(const ModelRow *row, const ModelColumn *column, const ReportStore **in,
                            const xt_site_result **site) {
  const xt_group *first = NULL;
  *site = NULL;
  for (size_t k = 0; k < row->store_count; k++) {
    const xt_group *g = group_of(row->stores[k], &column->group->group);
    if (!g) continue;
    const xt_site_result *found = column->site ? report_find_site(g, column->site) : NULL;
    if (first && !found) continue;
    *in = row->stores[k];
    *site = found;
    first = g;
    if (found || !column->site) break;
  }
  return first;
}

/* ---- the comparison -------------------------------------------------------------------------- */

typedef enum Figure { FIGURE_ACCURACY, FIGURE_BEST, FIGURE_FIXED, FIGURE_BETTER, FIGURES } Figure;

/* Headings, and the names of the rows under them in files. */
static const struct {
  const char *title, *name;
} figures[FIGURES] = {
    {"Accuracy: untouched, and the mean over a site's configurations, %", "accuracy"},
    {"Gain of a site's best configuration, points", "best gain"},
    {"Gain of the paper's fixed configuration, points", "fixed gain"},
    {"Configurations that are better than the untouched model, %", "better"}};

static Cell difference_cell(const xt_difference *d) {
  Cell cell = cell_value(CELL_GAIN, d->count ? d->gain : (double)NAN);
  if (cell.kind && d->high > d->low) {
    cell.low = d->low;
    cell.high = d->high;
  }
  return cell;
}

static Cell fixed_cell(const xt_group *g, const char *name) {
  const char *site;
  int source, target;
  if (!g->benchmark) return (Cell){0};
  xt_coarse(g->benchmark, g->layers, &site, &source, &target);
  if (strcmp(name, site) == 0) return difference_cell(&g->coarse_gain.overall);
  if (strcmp(name, "attn-released") == 0 && strcmp(site, "attn") == 0)
    return difference_cell(&g->coarse_released_gain.overall);
  return (Cell){0};
}

static Cell figure_cell(Figure figure, const xt_group *g, const xt_site_result *site) {
  if (!site) return cell_estimate(CELL_SHARE, g->vanilla.overall);
  if (site->configuration_count == 0) return (Cell){0};
  switch (figure) {
    case FIGURE_ACCURACY: return cell_estimate(CELL_SHARE, site->mean.overall);
    case FIGURE_BEST: return cell_value(CELL_GAIN, site->best_fresh);
    case FIGURE_FIXED: return fixed_cell(g, site->site);
    default:
      return cell_value(CELL_SHARE, (double)site->all.win / (double)site->configuration_count);
  }
}

static bool fill_row(TableRow *out, const Models *m, const ModelRow *row, Figure figure) {
  bool any = false;
  out->cells[0] = cell_text(figures[figure].name);
  for (size_t c = 0; c < m->column_count; c++) {
    const ReportStore *in;
    const xt_site_result *site;
    const ModelColumn *column = &m->columns[c];
    const xt_group *g = find(row, column, &in, &site);
    if (!g || g->scored == 0 || (column->site ? !site : figure != FIGURE_ACCURACY)) continue;
    out->cells[1 + c] = figure_cell(figure, g, site);
    any = any || out->cells[1 + c].kind != CELL_EMPTY;
  }
  return any;
}

/* A section without a single value is taken back. */
static void add_section(Table *t, const Models *m, Figure figure) {
  const size_t before = t->row_count;
  bool any = false;
  table_section(t, figures[figure].title);
  for (size_t k = 0; k < m->row_count; k++) {
    TableRow *row = table_row(t, m->rows[k].label);
    if (row && fill_row(row, m, &m->rows[k], figure)) any = true;
  }
  if (!any) t->row_count = before;
}

static xt_status models_table(xt_report *r, const Models *m, xt_error *error) {
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "models", "Model", &t, error));
  t->title = "Models. Accuracies, and gains at each site, by task";
  t->note = table_format(
      t,
      "Errors are by question. The best configuration's gain is that on questions left out of the "
      "bootstrap samples in which it is the best. Other tables and figures that do not name "
      "several models are those of %s (%s).",
      r->main.model, r->main.file);
  table_column(t, "", "figure");
  for (size_t c = 0; c < m->column_count; c++)
    table_column(t, report_group_title(r, &m->columns[c].group->group),
                 m->columns[c].site ? m->columns[c].site : "untouched");
  for (Figure f = 0; f < FIGURES; f++) add_section(t, m, f);
  return table_check(t, error);
}

/* ---- what they lack -------------------------------------------------------------------------- */

static void add_lack(Table *t, const char *model, const char *file, const char *task,
                     const char *site, const char *what) {
  TableRow *row = table_row(t, model);
  if (!row) return;
  const char *const cells[] = {file, task, site, what};
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) row->cells[i] = cell_text(cells[i]);
}

static bool has_language(const xt_group *g, const char *name) {
  for (size_t l = 0; l < g->language_count; l++)
    if (strcmp(g->languages[l].name, name) == 0) return true;
  return false;
}

/* Languages that another row has of the task; and the largest number of its questions. */
static const char *languages_elsewhere(xt_report *r, const Models *m, const ModelColumn *column,
                                       const xt_group *g, size_t *most) {
  const char *names = "";
  *most = 0;
  for (size_t k = 0; k < m->row_count; k++) {
    const ReportStore *in;
    const xt_site_result *site;
    const xt_group *other = find(&m->rows[k], column, &in, &site);
    if (!other) continue;
    if (other->scored > *most) *most = other->scored;
    for (size_t l = 0; l < other->language_count; l++) {
      const char *name = other->languages[l].name;
      bool said = has_language(g, name);
      for (size_t o = 0; o < k && !said; o++) {
        const xt_group *earlier = find(&m->rows[o], column, &in, &site);
        said = earlier && has_language(earlier, name);
      }
      if (!said) names = report_format(r, "%s%s%s", names, names[0] ? ", " : "", name);
    }
  }
  return names;
}

static void untouched_lacks(xt_report *r, Table *t, const Models *m, const ModelRow *row,
                            const ModelColumn *column, const ReportStore *in, const xt_group *g) {
  const char *task = report_group_title(r, g);
  size_t most;
  const char *names = languages_elsewhere(r, m, column, g, &most);
  if (names[0])
    add_lack(t, row->label, in->file, task, "all",
             report_format(r, "no questions in %s; another model has some", names));
  else if (g->scored < most)
    add_lack(t, row->label, in->file, task, "all",
             report_format(r, "%zu scored questions; another model has %zu", g->scored, most));
}

static void site_lacks(xt_report *r, Table *t, const ModelRow *row, const ReportStore *in,
                       const xt_group *g, const xt_site_result *site) {
  const char *task = report_group_title(r, g);
  const int cells = g->layers * g->layers;
  const size_t planned = g->instances * (size_t)site->configuration_count;
  if (site->configuration_count < cells)
    add_lack(t, row->label, in->file, task, site->site,
             report_format(r, "%d of %d configurations", site->configuration_count, cells));
  if (site->responses < planned)
    add_lack(
        t, row->label, in->file, task, site->site,
        report_format(r, "%zu of %zu responses of these configurations", site->responses, planned));
}

static void row_lacks(xt_report *r, Table *t, const Models *m, const ModelRow *row) {
  for (size_t k = 0; k < row->store_count; k++) {
    const xt_coverage *coverage = row->stores[k]->analysis->coverage;
    for (size_t i = 0; i < xt_coverage_note_count(coverage); i++)
      add_lack(t, row->label, row->stores[k]->file, "all", "all", xt_coverage_note(coverage, i));
  }
  bool absent = false; /* the column's task, said once for all its sites */
  for (size_t c = 0; c < m->column_count; c++) {
    const ModelColumn *column = &m->columns[c];
    const ReportStore *in = row->stores[0];
    const xt_site_result *site;
    const xt_group *g = find(row, column, &in, &site);
    if (!column->site) absent = !g || g->scored == 0;
    if (absent && !column->site)
      add_lack(t, row->label, in->file, report_group_title(r, &column->group->group), "all",
               g ? "nothing that is scored" : "no results");
    if (absent) continue;
    if (!column->site)
      untouched_lacks(r, t, m, row, column, in, g);
    else if (!site)
      add_lack(t, row->label, in->file, report_group_title(r, g), column->site, "no responses");
    else
      site_lacks(r, t, row, in, g, site);
  }
}

static xt_status lacks_table(xt_report *r, const Models *m, xt_error *error) {
  static const char *const columns[] = {"results file", "task", "site", "lacks"};
  Table *t;
  TRY(table_add(&r->tables, &r->arena, "models-lacks", "Model", &t, error));
  t->note = "A model is compared by what its own results files have: figures in a column rest on "
            "the same questions and configurations only where nothing is named here.";
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) table_column(t, "", columns[c]);
  for (size_t k = 0; k < m->row_count; k++) row_lacks(r, t, m, &m->rows[k]);
  t->title = t->row_count ? "What the models' results files lack"
                          : "What the models' results files lack: nothing";
  return table_check(t, error);
}

xt_status report_models_table(xt_report *r, xt_error *error) {
  Models m = {0};
  xt_status status;
  if (r->more_count == 0) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&m.rows, 1 + r->more_count, error));
  find_rows(r, &m);
  TRY_DONE(find_columns(&m, error));
  if (m.column_count) TRY_DONE(models_table(r, &m, error));
  TRY_DONE(lacks_table(r, &m, error));
done:
  free(m.rows);
  free(m.columns);
  return status;
}
