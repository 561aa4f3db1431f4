/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the report. */
#ifndef REPORT_REPORT_PARTS_H
#define REPORT_REPORT_PARTS_H

#include "analysis/analysis_parts.h"
#include "report/table.h"
#include "xtransplant/report.h"

/* A store with its analysis. */
typedef struct ReportStore {
  xt_analysis *analysis;    /* NULL: not given */
  json_t *about;            /* file, model, settings, counts */
  json_t *runs;             /* [{"started", "provenance"}] */
  const char *model, *file; /* in the arena; file: the path as it was given */
} ReportStore;

typedef struct ReportFigure {
  const char *id, *title, *note;
  const char *section; /* its heading on the page */
  TextBuffer svg;
} ReportFigure;

/* A table or row of the paper that a report lacks, and how to add it. */
typedef struct ReportLack {
  const char *what, *how;
} ReportLack;

#define REPORT_MORE_MOST 63 /* stores besides the first */

struct xt_report {
  Arena arena;
  ReportStore main, cot, tuned, beside;
  ReportStore more[REPORT_MORE_MOST];
  size_t more_count;
  TableList tables;
  ReportFigure *figures;
  size_t figure_count, figure_capacity;
  ReportLack *lacks;
  size_t lack_count, lack_capacity;
  json_t *lens;    /* what figure 8 shows; NULL: not given */
  int first_layer; /* the number of the first layer: 0, or 1 */
  bool strategies; /* only the tables of strategies */
};

#define GROUPS_MOST 64

/* The groups of the paper's tables: one for each task, in the paper's order. The pivot is English
 * if there are several; prompts that ask for reasoning only with `cot`. Returns their number. */
size_t report_groups(const ReportStore *store, bool cot, const AnalysisGroup *out[GROUPS_MOST]);
/* The store's group of the same task; NULL: it has none. */
const AnalysisGroup *report_same_task(const ReportStore *store, bool cot,
                                      const AnalysisGroup *group);
/* The site of that name; NULL: the group does not have it. */
const xt_site_result *report_find_site(const xt_group *group, const char *name);
/* The site that the paper uses for the task, else the first; NULL: there is none. */
const xt_site_result *report_site(const xt_group *group);

/* "xnli", "xnli-zh", "xnli-cot": an identifier, a part of file names. */
const char *report_slug(xt_report *r, const xt_group *group);
/* "attn", "a-m", "attn-shuffled". */
const char *report_site_slug(xt_report *r, const char *site);
/* "XNLI", "XNLI, from zh". */
const char *report_group_title(xt_report *r, const xt_group *group);
/* "Self-Attention" for "attn"; other sites by their own names. */
const char *report_site_title(const char *site);
const char *report_format(xt_report *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A sentence for notes that says from which number layers are counted. */
const char *report_layers_note(const xt_report *r);
/* "source layer", or "source layer (from 1)": the column's name in a file that has no note. */
const char *report_layer_column(xt_report *r, const char *name);

/* Each adds its tables, or figures with the tables of their numbers. */
xt_status report_coverage_table(xt_report *r, xt_error *error);
/* Several stores beside one another; nothing if there is only one. */
xt_status report_models_table(xt_report *r, xt_error *error);
xt_status report_responses_table(xt_report *r, xt_error *error);
xt_status report_no_op_table(xt_report *r, xt_error *error);
xt_status report_paper_tables(xt_report *r, xt_error *error);
xt_status report_bounds_table(xt_report *r, xt_error *error);
xt_status report_baselines_table(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                                 xt_error *error);
xt_status report_best_table(xt_report *r, xt_error *error);
xt_status report_control_tables(xt_report *r, xt_error *error);
xt_status report_gap_tables(xt_report *r, xt_error *error);
xt_status report_effect_tables(xt_report *r, xt_error *error);
xt_status report_option_table(xt_report *r, xt_error *error);
xt_status report_strategy_tables(xt_report *r, xt_error *error);
xt_status report_response_tables(xt_report *r, xt_error *error);
xt_status report_figures(xt_report *r, xt_error *error);
xt_status report_lens_figure(xt_report *r, xt_error *error);

xt_status report_find_lacks(xt_report *r, xt_error *error);

/* The summary in words, with a map of the gains at each task's site. `how->width` is set. */
void report_summary(xt_report *r, const xt_report_text_options *how, TextBuffer *out);

/* The whole of report.json and report.html. */
/* `files`: the names of all other files, which report.json lists. */
xt_status report_to_json(const xt_report *r, const json_t *files, TextBuffer *out, xt_error *error);
/* The packed data of the page. */
xt_status report_page_data(xt_report *r, TextBuffer *out, xt_error *error);
xt_status report_to_page(xt_report *r, TextBuffer *out, xt_error *error);

/* A column for each language under its level, then an average; and the cells of a row for
 * scores. */
void report_language_columns(Table *t, const xt_group *group);
void report_language_cells(TableRow *row, CellKind kind, const xt_group *group,
                           const xt_scores *scores);
/* Rows of a comparison under the same columns: the gain, then its interval and p-values. */
void report_comparison_rows(Table *t, const xt_group *group, const char *label,
                            const xt_comparison *comparison);
/* An explanation of the rows of comparisons, for a table's note. */
const char *report_comparison_note(Table *t, const xt_analysis *a);
/* Distinguishes tables or figures that differ only in the model. */
const char *report_numbered(const ReportStore *store, const char *llama, const char *mistral,
                            const char *qwen);

/* The figures by layer, the heatmap, and the tables behind them; `main`: the paper has the figure,
 * others stand folded on the page. */
xt_status report_figure3(xt_report *r, const xt_group *group, const xt_site_result *site, bool main,
                         xt_error *error);
xt_status report_figure4(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                         xt_error *error);
/* A figure 4 for each task, by model; nothing if there is only one store, or more than there are
 * colours. */
xt_status report_figure4_models(xt_report *r, const AnalysisGroup *const *groups, size_t count,
                                xt_error *error);
/* The numbers of one model; `prefix` begins the file's name. */
xt_status report_figure4_table(xt_report *r, const xt_group *group, const xt_site_result *site,
                               const char *prefix, const char *model, xt_error *error);
xt_status report_heatmap(xt_report *r, const xt_group *group, const xt_site_result *site,
                         xt_error *error);

/* Widens [low, high] to hold a value, unless it is NaN. */
void report_include(double value, double *low, double *high);
xt_status report_figure_check(const ReportFigure *figure, xt_error *error);
xt_status report_figure_add(xt_report *r, const char *id, const char *section, const char *title,
                            const char *note, ReportFigure **out, xt_error *error);

#endif
