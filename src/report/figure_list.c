/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a report's figures. */
#include <math.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/report_parts.h"

static bool is_taken(const xt_report *r, const char *id) {
  for (size_t i = 0; i < r->figure_count; i++)
    if (text_same_letters(r->figures[i].id, id)) return true;
  return false;
}

xt_status report_figure_add(xt_report *r, const char *id, const char *section, const char *title,
                            const char *note, ReportFigure **out, xt_error *error) {
  char safe[ESCAPE_ID_SIZE];
  escape_id(id, safe);
  const char *name = report_format(r, "%s", safe);
  for (int k = 2; is_taken(r, name); k++) name = report_format(r, "%s-%d", safe, k);
  TRY(MEM_GROW(&r->figures, &r->figure_capacity, r->figure_count + 1, error));
  *out = &r->figures[r->figure_count++];
  **out = (ReportFigure){.id = name,
                         .section = section,
                         .title = report_format(r, "%s", title),
                         .note = report_format(r, "%s", note)};
  return XT_STATUS_OK;
}

xt_status report_figure_check(const ReportFigure *figure, xt_error *error) {
  return figure->svg.failed ? err_memory(error, 0) : XT_STATUS_OK;
}

void report_include(double value, double *low, double *high) {
  if (isnan(value)) return;
  *low = fmin(*low, value);
  *high = fmax(*high, value);
}
