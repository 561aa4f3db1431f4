/* SPDX-License-Identifier: Apache-2.0 */
/* A table as LaTeX. */
#include <stdio.h>
#include <string.h>

#include "report/escape.h"
#include "report/table.h"

static const char prelude[] =
    "% needs \\usepackage{booktabs,graphicx}; redefine \\xtse to hide the standard errors\n"
    "\\providecommand{\\xtse}[1]{{\\tiny\\,$\\pm$#1}}\n"
    "\\ifcsname xtbox\\endcsname\\else\\newsavebox{\\xtbox}\\newdimen\\xtheight\\fi\n";

/* What is wider than the line, or too high for a page, becomes smaller. */
static const char fitting[] = "\\ifdim\\wd\\xtbox>\\linewidth\\sbox{\\xtbox}{\\resizebox{"
                              "\\linewidth}{!}{\\usebox{\\xtbox}}}\\fi\n"
                              "\\xtheight=\\ht\\xtbox\\advance\\xtheight by\\dp\\xtbox\n"
                              "\\ifdim\\xtheight>0.8\\textheight\\sbox{\\xtbox}{\\resizebox{!}{0."
                              "8\\textheight}{\\usebox{\\xtbox}}}\\fi\n"
                              "\\usebox{\\xtbox}\n";

static void latex_head(const Table *t, TextBuffer *out) {
  if (table_has_groups(t)) {
    size_t at = 2;
    for (size_t c = 0; c < t->column_count; c += table_group_span(t, c)) {
      text_buffer_format(out, " & \\multicolumn{%zu}{c}{", table_group_span(t, c));
      escape_latex(out, t->columns[c].group, false);
      text_buffer_add_text(out, "}");
    }
    text_buffer_add_text(out, " \\\\\n");
    for (size_t c = 0; c < t->column_count; c += table_group_span(t, c)) {
      const size_t span = table_group_span(t, c);
      if (t->columns[c].group[0])
        text_buffer_format(out, "\\cmidrule(lr){%zu-%zu}", at, at + span - 1);
      at += span;
    }
    text_buffer_add_text(out, "\n");
  }
  escape_latex(out, t->corner, false);
  for (size_t c = 0; c < t->column_count; c++) {
    text_buffer_add_text(out, " & ");
    escape_latex(out, t->columns[c].name, false);
  }
  text_buffer_add_text(out, " \\\\\n\\midrule\n");
}

static void latex_rows(const Table *t, TextBuffer *out) {
  char text[256];
  for (size_t r = 0; r < t->row_count; r++) {
    const TableRow *row = &t->rows[r];
    if (row->section) {
      text_buffer_format(out, "%s\\multicolumn{%zu}{l}{\\textit{", r ? "\\midrule\n" : "",
                         t->column_count + 1);
      escape_latex(out, row->label, false);
      text_buffer_add_text(out, "}} \\\\\n");
      continue;
    }
    escape_latex(out, row->label, false);
    for (size_t c = 0; c < t->column_count; c++) {
      const Cell *cell = &row->cells[c];
      text_buffer_add_text(out, " & ");
      if (cell->kind == CELL_TEXT)
        escape_latex(out, cell->text, false);
      else {
        cell_show(cell, text, sizeof text);
        escape_latex(out, text, true);
      }
      cell_show_error(cell, text, sizeof text);
      if (text[0]) text_buffer_format(out, "\\xtse{%s}", text);
    }
    text_buffer_add_text(out, " \\\\\n");
  }
}

/* LaTeX numbers tables by itself: "Table 3. XNLI: .." is captioned "XNLI: ..", and the paper's
 * number stands in a comment. */
static const char *caption(const Table *t, TextBuffer *out) {
  const char *end = strstr(t->title, ". ");
  if (strncmp(t->title, "Table ", strlen("Table ")) != 0 || !end ||
      (size_t)(end - t->title) != strcspn(t->title, "."))
    return t->title;
  text_buffer_format(out, "%% %.*s of the paper\n", (int)(end - t->title), t->title);
  return end + strlen(". ");
}

void table_to_latex(const Table *t, TextBuffer *out) {
  const char *title = caption(t, out);
  text_buffer_add_text(out, prelude);
  text_buffer_add_text(out, escape_latex_head);
  text_buffer_add_text(out, "\\begin{table}\n\\centering\n\\caption{");
  escape_latex(out, title, false);
  if (t->note[0]) {
    const size_t length = strlen(title);
    text_buffer_add_text(out, length && strchr(".:?!", title[length - 1]) ? " " : ". ");
    escape_latex(out, t->note, false);
  }
  text_buffer_format(out, "}\n\\label{tab:%s}\n\\sbox{\\xtbox}{\\begin{tabular}{l", t->id);
  for (size_t c = 0; c < t->column_count; c++)
    text_buffer_add_text(out, table_is_text(t, c) ? "l" : "r");
  text_buffer_add_text(out, "}\n\\toprule\n");
  latex_head(t, out);
  latex_rows(t, out);
  text_buffer_add_text(out, "\\bottomrule\n\\end{tabular}}\n");
  text_buffer_add_text(out, fitting);
  text_buffer_add_text(out, "\\end{table}\n");
}

void table_latex_document(const TableList *list, TextBuffer *out) {
  text_buffer_add_text(out,
                       "% Every table of this folder: pdflatex, xelatex or lualatex tables.tex\n"
                       "\\documentclass{article}\n\\usepackage[margin=2cm]{geometry}\n\\usepackage{"
                       "booktabs,graphicx}"
                       "\n\\begin{document}\n");
  for (size_t i = 0; i < list->count; i++)
    if (!list->tables[i]->data)
      text_buffer_format(out, "\\input{%s.tex}\n\\clearpage\n", list->tables[i]->id);
  text_buffer_add_text(out, "\\end{document}\n");
}
