/* SPDX-License-Identifier: Apache-2.0 */
/* Every table and figure of the paper that a store's responses allow, as files and as text. */
#ifndef XTRANSPLANT_REPORT_H
#define XTRANSPLANT_REPORT_H

#include "xtransplant/analysis.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise for the defaults. Borrowed for the call. Paths are of stores; NULL: rows that need one are left out. */
typedef struct xt_report_options {
  xt_analysis_options analysis;
  const char *cot;    /* the same model on prompts that ask for reasoning: a row of tables 4, 6, 7 */
  const char *tuned;  /* the model after fine-tuning: another row there, and table 11 */
  const char *beside; /* another model: its rows in table 8 */
  const char *lens;   /* what `lens --json` printed: figure 8 */
  bool one_based;     /* layers count from 1 in everything that is shown, as in the paper; report.json keeps 0 */
} xt_report_options;

typedef struct xt_report xt_report;

/* Reads the stores and computes everything. The caller frees *out with xt_report_free. */
xt_status xt_report_create(const char *store, const xt_report_options *options, xt_report **out, xt_error *error);
void xt_report_free(xt_report *report);

/* The analysis of the first store; borrowed. */
const xt_analysis *xt_report_analysis(const xt_report *report);

/* Writes report.html (one file that needs no other), report.json, and a .csv, .tex or .svg for each table and figure
 * into a folder, which is made where it is not there. Each file appears whole or not at all. */
xt_status xt_report_write(const xt_report *report, const char *directory, xt_error *error);

/* The tables for a terminal; of one name alone ("table4", as its files are named) where `table` is not NULL. The caller frees *text with xt_report_text_free. */
xt_status xt_report_text(const xt_report *report, const char *table, char **text, size_t *length, xt_error *error);
void xt_report_text_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
