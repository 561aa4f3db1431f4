/* SPDX-License-Identifier: Apache-2.0 */
/* Every table and figure of the paper that a store's responses allow, as files and as text. */
#ifndef XTRANSPLANT_REPORT_H
#define XTRANSPLANT_REPORT_H

#include "xtransplant/analysis.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise for the defaults. Borrowed for the call. Paths are those of stores; NULL: rows
 * that need the store are left out. */
typedef struct xt_report_options {
  size_t size;                         /* sizeof this, or 0: see api.h */
  const xt_analysis_options *analysis; /* NULL: the defaults */
  const char *cot;         /* the same model on prompts that ask for reasoning: a row of tables
                              4, 6 and 7 */
  const char *tuned;       /* the model after fine-tuning: another row there, and table 11 */
  const char *beside;      /* another model: its rows in table 8 */
  const char *const *more; /* other models, or other tasks or sites of the same: the table of
                              models, their rows in figure 2 and table 8, and, of at most six
                              models, a figure 4 for each task; at most 63 */
  size_t more_count;
  const char *lens; /* the output of `lens --json`: figure 8 */
  bool one_based;   /* layers are counted from 1 in everything that is shown, as in the paper;
                       report.json counts from 0 */
  bool strategies;  /* of the first store, only what strategies choose and gain: their tables
                       (xt_report_text), in a small part of the time. Such a report cannot be
                       written, and its analysis has only the strategies' results */
} xt_report_options;

typedef struct xt_report xt_report;

/* Reads the stores and computes everything. The caller frees *out with xt_report_free. */
XT_API xt_status xt_report_create(const char *store, const xt_report_options *options,
                                  xt_report **out, xt_error *error);
XT_API void xt_report_free(xt_report *report);

/* The analysis of the first store; borrowed. */
XT_API const xt_analysis *xt_report_analysis(const xt_report *report);

/* A store of a report; borrowed. Both texts are valid UTF-8, whatever the bytes of the names. */
typedef struct xt_report_store {
  const char *file; /* the path as it was given */
  const char *model;
  const xt_analysis *analysis;
} xt_report_store;

/* The first store, then those of `more`, in their order. */
XT_API size_t xt_report_store_count(const xt_report *report);
/* All members are NULL if there is no store of that index. */
XT_API xt_report_store xt_report_store_get(const xt_report *report, size_t index);

/* Zero-initialise for the defaults. */
typedef struct xt_report_write_options {
  size_t size;   /* sizeof this, or 0: see api.h */
  bool png, pdf; /* write each figure in this format too, and figures.pdf with all of them;
                    XT_STATUS_UNSUPPORTED if librsvg or Cairo is not installed */
} xt_report_write_options;

/* Writes report.html (one file that needs no other), report.json, a .csv, .tex or .svg for each
 * table and figure, and tables.tex, a document of all tables, into a folder, which is made if it
 * does not exist. All files are put in place together when all are made; on failure the folder is
 * unchanged. Files of an earlier report that this one does not have are removed. `options` may be
 * NULL. */
XT_API xt_status xt_report_write(xt_report *report, const char *directory,
                                 const xt_report_write_options *options, xt_error *error);

/* Zero-initialise for the defaults. */
typedef struct xt_report_text_options {
  size_t size;       /* sizeof this, or 0: see api.h */
  const char *table; /* one table, by the name of its files ("table4"), or "summary"; NULL: the
                        summary, then all tables */
  int width;         /* columns of the terminal; 0: 80 */
  bool colour;       /* draw the summary's map in the colours of a terminal; else in numbers, if
                        they fit */
} xt_report_text_options;

/* The report as text for a terminal: a summary in words with a map of the gains, what is missing,
 * and the tables. The only control characters in it are line ends and, with `colour`, those of
 * colours. `options` may be NULL. The caller frees *text with xt_free. */
XT_API xt_status xt_report_text(xt_report *report, const xt_report_text_options *options,
                                char **text, size_t *length, xt_error *error);
#ifdef __cplusplus
}
#endif
#endif
