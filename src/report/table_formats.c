/* SPDX-License-Identifier: Apache-2.0 */
/* One table, five formats. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/table.h"

/* "±6.8" in the cell's own unit; "" without an error. */
static void show_error(const Cell *cell, char *out, size_t size) {
  out[0] = 0;
  if (cell->kind == CELL_EMPTY || cell->kind == CELL_TEXT || isnan(cell->error)) return;
  const bool share = cell->kind == CELL_SHARE || cell->kind == CELL_GAIN;
  snprintf(out, size, share ? "%.1f" : "%.2f", share ? 100 * cell->error : cell->error);
}

/* How many columns from `at` on share its group. */
static size_t group_span(const Table *t, size_t at) {
  size_t n = 1;
  while (at + n < t->column_count && strcmp(t->columns[at].group, t->columns[at + n].group) == 0) n++;
  return n;
}

static bool has_groups(const Table *t) {
  for (size_t c = 0; c < t->column_count; c++)
    if (t->columns[c].group[0]) return true;
  return false;
}

static bool has_errors(const Table *t, size_t column) {
  for (size_t r = 0; r < t->row_count; r++) {
    char text[32];
    if (t->rows[r].section) continue;
    show_error(&t->rows[r].cells[column], text, sizeof text);
    if (text[0]) return true;
  }
  return false;
}

/* ---- terminal --------------------------------------------------------------------------------- */

/* Characters, not bytes. */
static int width_of(const char *text) {
  int n = 0;
  for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
  return n;
}

static void pad(TextBuffer *out, int count) {
  while (count-- > 0) text_buffer_add_text(out, " ");
}

static void full_cell(const Cell *cell, char *out, size_t size) {
  char error[32];
  cell_show(cell, out, size);
  show_error(cell, error, sizeof error);
  if (error[0]) snprintf(out + strlen(out), size - strlen(out), " ±%s", error);
}

static void table_lines(const Table *t, const int *widths, int label, size_t first, size_t end, TextBuffer *out) {
  char text[256];
  if (has_groups(t)) {
    pad(out, label);
    for (size_t c = first; c < end;) {
      int room = -2;
      size_t span = group_span(t, c);
      if (c + span > end) span = end - c;
      for (size_t k = c; k < c + span; k++) room += widths[k] + 2;
      pad(out, 2);
      text_buffer_add_text(out, t->columns[c].group);
      c += span;
      if (c < end) pad(out, room - width_of(t->columns[c - 1].group));
    }
    text_buffer_add_text(out, "\n");
  }
  text_buffer_add_text(out, t->corner);
  pad(out, label - width_of(t->corner));
  for (size_t c = first; c < end; c++) {
    pad(out, 2 + widths[c] - width_of(t->columns[c].name));
    text_buffer_add_text(out, t->columns[c].name);
  }
  text_buffer_add_text(out, "\n");
  for (size_t r = 0; r < t->row_count; r++) {
    const Row *row = &t->rows[r];
    text_buffer_add_text(out, row->label);
    if (!row->section) pad(out, label - width_of(row->label));
    for (size_t c = first; c < end && !row->section; c++) {
      full_cell(&row->cells[c], text, sizeof text);
      pad(out, 2 + widths[c] - width_of(text));
      text_buffer_add_text(out, text);
    }
    text_buffer_add_text(out, "\n");
  }
}

#define TERMINAL_COLUMNS 150

void table_to_text(const Table *t, TextBuffer *out) {
  char text[256];
  int widths[512], label = width_of(t->corner);
  if (t->column_count > sizeof widths / sizeof *widths) return;
  text_buffer_format(out, "%s\n", t->title);
  if (t->note[0]) text_buffer_format(out, "%s\n", t->note);
  for (size_t r = 0; r < t->row_count; r++)
    if (!t->rows[r].section && width_of(t->rows[r].label) > label) label = width_of(t->rows[r].label);
  for (size_t c = 0; c < t->column_count; c++) {
    widths[c] = width_of(t->columns[c].name);
    for (size_t r = 0; r < t->row_count; r++) {
      if (t->rows[r].section) continue;
      full_cell(&t->rows[r].cells[c], text, sizeof text);
      if (width_of(text) > widths[c]) widths[c] = width_of(text);
    }
    const int group = width_of(t->columns[c].group);
    if (group_span(t, c) == 1 && (c == 0 || strcmp(t->columns[c - 1].group, t->columns[c].group) != 0) && group > widths[c]) widths[c] = group;
  }
  /* more columns than fit go into further lines */
  for (size_t first = 0; first < t->column_count;) {
    size_t end = first;
    int used = label;
    while (end < t->column_count && (end == first || used + 2 + widths[end] <= TERMINAL_COLUMNS)) used += 2 + widths[end++];
    if (first) text_buffer_add_text(out, "\n");
    table_lines(t, widths, label, first, end, out);
    first = end;
  }
}

/* ---- comma-separated values (RFC 4180) -------------------------------------------------------- */

static void csv_text(TextBuffer *out, const char *text) {
  if (!text[strcspn(text, ",\"\r\n")]) {
    text_buffer_add_text(out, text);
    return;
  }
  text_buffer_add_text(out, "\"");
  for (; *text; text++) text_buffer_format(out, *text == '"' ? "\"\"" : "%c", *text);
  text_buffer_add_text(out, "\"");
}

void table_to_csv(const Table *t, TextBuffer *out) {
  csv_text(out, t->corner);
  for (size_t c = 0; c < t->column_count; c++) {
    const Column *column = &t->columns[c];
    const bool errors = has_errors(t, c);
    for (int part = 0; part < 1 + errors; part++) {
      TextBuffer name = {0};
      text_buffer_format(&name, "%s%s%s%s", column->group, column->group[0] && column->name[0] ? " " : "", column->name, part ? " se" : "");
      text_buffer_add_text(out, ",");
      csv_text(out, name.data ? name.data : "");
      out->failed = out->failed || name.failed;
      text_buffer_free(&name);
    }
  }
  text_buffer_add_text(out, "\n");
  for (size_t r = 0; r < t->row_count; r++) {
    const Row *row = &t->rows[r];
    if (row->section) continue;
    csv_text(out, row->label);
    for (size_t c = 0; c < t->column_count; c++) {
      const Cell *cell = &row->cells[c];
      text_buffer_add_text(out, ",");
      if (cell->kind == CELL_TEXT) csv_text(out, cell->text);
      else if (cell->kind != CELL_EMPTY) text_buffer_format(out, "%.10g", cell->value);
      if (!has_errors(t, c)) continue;
      text_buffer_add_text(out, ",");
      if (cell->kind != CELL_EMPTY && cell->kind != CELL_TEXT && !isnan(cell->error)) text_buffer_format(out, "%.10g", cell->error);
    }
    text_buffer_add_text(out, "\n");
  }
}

/* ---- LaTeX ------------------------------------------------------------------------------------ */

static void latex_text(TextBuffer *out, const char *text) {
  static const char *const special[] = {"&\\&", "%\\%", "$\\$", "#\\#", "_\\_", "{\\{", "}\\}", "~\\textasciitilde{}", "^\\textasciicircum{}", "\\\\textbackslash{}"};
  for (; *text; text++) {
    const char *replaced = NULL;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
      if (special[i][0] == *text) replaced = special[i] + 1;
    if (replaced) text_buffer_add_text(out, replaced);
    else if (strncmp(text, "→", strlen("→")) == 0) {
      text_buffer_add_text(out, "$\\rightarrow$");
      text += strlen("→") - 1;
    } else text_buffer_add(out, text, 1);
  }
}

static void latex_head(const Table *t, TextBuffer *out) {
  if (has_groups(t)) {
    size_t at = 2;
    for (size_t c = 0; c < t->column_count; c += group_span(t, c)) {
      text_buffer_format(out, " & \\multicolumn{%zu}{c}{", group_span(t, c));
      latex_text(out, t->columns[c].group);
      text_buffer_add_text(out, "}");
    }
    text_buffer_add_text(out, " \\\\\n");
    for (size_t c = 0; c < t->column_count; c += group_span(t, c)) {
      const size_t span = group_span(t, c);
      if (t->columns[c].group[0]) text_buffer_format(out, "\\cmidrule(lr){%zu-%zu}", at, at + span - 1);
      at += span;
    }
    text_buffer_add_text(out, "\n");
  }
  latex_text(out, t->corner);
  for (size_t c = 0; c < t->column_count; c++) {
    text_buffer_add_text(out, " & ");
    latex_text(out, t->columns[c].name);
  }
  text_buffer_add_text(out, " \\\\\n\\midrule\n");
}

void table_to_latex(const Table *t, TextBuffer *out) {
  char text[256];
  text_buffer_add_text(out, "% needs \\usepackage{booktabs}; redefine \\xtse to hide the standard errors\n"
                            "\\providecommand{\\xtse}[1]{{\\tiny\\,$\\pm$#1}}\n\\begin{table}\n\\centering\n\\caption{");
  latex_text(out, t->title);
  if (t->note[0]) {
    text_buffer_add_text(out, " ");
    latex_text(out, t->note);
  }
  text_buffer_format(out, "}\n\\label{tab:%s}\n\\begin{tabular}{l", t->id);
  for (size_t c = 0; c < t->column_count; c++) text_buffer_add_text(out, "r");
  text_buffer_add_text(out, "}\n\\toprule\n");
  latex_head(t, out);
  for (size_t r = 0; r < t->row_count; r++) {
    const Row *row = &t->rows[r];
    if (row->section) {
      text_buffer_format(out, "%s\\multicolumn{%zu}{l}{\\textit{", r ? "\\midrule\n" : "", t->column_count + 1);
      latex_text(out, row->label);
      text_buffer_add_text(out, "}} \\\\\n");
      continue;
    }
    latex_text(out, row->label);
    for (size_t c = 0; c < t->column_count; c++) {
      text_buffer_add_text(out, " & ");
      cell_show(&row->cells[c], text, sizeof text);
      latex_text(out, text);
      show_error(&row->cells[c], text, sizeof text);
      if (text[0]) text_buffer_format(out, "\\xtse{%s}", text);
    }
    text_buffer_add_text(out, " \\\\\n");
  }
  text_buffer_add_text(out, "\\bottomrule\n\\end{tabular}\n\\end{table}\n");
}

/* ---- HTML ------------------------------------------------------------------------------------- */

void html_escape(TextBuffer *out, const char *text) {
  for (; *text; text++) {
    switch (*text) {
      case '&': text_buffer_add_text(out, "&amp;"); break;
      case '<': text_buffer_add_text(out, "&lt;"); break;
      case '>': text_buffer_add_text(out, "&gt;"); break;
      case '"': text_buffer_add_text(out, "&quot;"); break;
      default: {
        const unsigned char c = (unsigned char)*text;
        const char picture[] = {(char)0xE2, (char)0x90, (char)(0x80 + (c & 0x1f))}; /* U+2400 on: XML has no control characters */
        if (c < ' ' && c != '\n' && c != '\t' && c != '\r') text_buffer_add(out, picture, sizeof picture);
        else text_buffer_add(out, text, 1);
      }
    }
  }
}

static bool is_text(const Table *t, size_t column) {
  for (size_t r = 0; r < t->row_count; r++)
    if (!t->rows[r].section && t->rows[r].cells[column].kind == CELL_TEXT) return true;
  return false;
}

static void html_rows(const Table *t, TextBuffer *out) {
  char text[256];
  for (size_t r = 0; r < t->row_count; r++) {
    const Row *row = &t->rows[r];
    if (row->section) {
      text_buffer_format(out, "<tr class=\"section\"><th colspan=\"%zu\" scope=\"colgroup\">", t->column_count + 1);
      html_escape(out, row->label);
      text_buffer_add_text(out, "</th></tr>\n");
      continue;
    }
    text_buffer_add_text(out, "<tr><th scope=\"row\">");
    html_escape(out, row->label);
    text_buffer_add_text(out, "</th>");
    for (size_t c = 0; c < t->column_count; c++) {
      const Cell *cell = &row->cells[c];
      const char *kind = cell->kind == CELL_TEXT ? " class=\"text\"" : cell->kind == CELL_GAIN && cell->value > 0.0005 ? " class=\"gain\""
                         : cell->kind == CELL_GAIN && cell->value < -0.0005 ? " class=\"loss\"" : "";
      text_buffer_format(out, "<td%s>", kind);
      cell_show(cell, text, sizeof text);
      html_escape(out, cell->kind == CELL_EMPTY ? "–" : text);
      show_error(cell, text, sizeof text);
      if (text[0]) text_buffer_format(out, "<small>±%s</small>", text);
      text_buffer_add_text(out, "</td>");
    }
    text_buffer_add_text(out, "</tr>\n");
  }
}

void table_to_html(const Table *t, TextBuffer *out) {
  text_buffer_format(out, "<figure class=\"table\" id=\"%s\"><figcaption>", t->id);
  html_escape(out, t->title);
  if (t->note[0]) {
    text_buffer_add_text(out, " <span>");
    html_escape(out, t->note);
    text_buffer_add_text(out, "</span>");
  }
  text_buffer_add_text(out, "</figcaption><div class=\"scroll\" tabindex=\"0\"><table><thead>\n");
  if (has_groups(t)) {
    text_buffer_add_text(out, "<tr class=\"groups\"><td></td>");
    for (size_t c = 0; c < t->column_count; c += group_span(t, c)) {
      text_buffer_format(out, "<th colspan=\"%zu\" scope=\"colgroup\">", group_span(t, c));
      html_escape(out, t->columns[c].group);
      text_buffer_add_text(out, "</th>");
    }
    text_buffer_add_text(out, "</tr>\n");
  }
  text_buffer_add_text(out, "<tr><th scope=\"col\">");
  html_escape(out, t->corner);
  text_buffer_add_text(out, "</th>");
  for (size_t c = 0; c < t->column_count; c++) {
    text_buffer_format(out, "<th scope=\"col\"%s>", is_text(t, c) ? " class=\"text\"" : "");
    html_escape(out, t->columns[c].name);
    text_buffer_add_text(out, "</th>");
  }
  text_buffer_add_text(out, "</tr></thead><tbody>\n");
  html_rows(t, out);
  text_buffer_add_text(out, "</tbody></table></div></figure>\n");
}

/* ---- JSON ------------------------------------------------------------------------------------- */

/* Adds to an array; on failure *array is freed and NULL. */
static void append(json_t **array, json_t *value) {
  if (!*array) json_decref(value);
  else if (json_array_append_new(*array, value) != 0) {
    json_decref(*array);
    *array = NULL;
  }
}

static json_t *cell_json(const Cell *cell) {
  if (cell->kind == CELL_EMPTY) return json_null();
  if (cell->kind == CELL_TEXT) return json_string(cell->text);
  if (cell->kind == CELL_COUNT) return json_integer((json_int_t)cell->value);
  if (isnan(cell->error)) return json_pack("{s:f}", "value", cell->value);
  return json_pack("{s:f, s:f}", "value", cell->value, "error", cell->error);
}

json_t *table_to_json(const Table *t) {
  json_t *columns = json_array(), *rows = json_array();
  for (size_t c = 0; c < t->column_count; c++) append(&columns, json_pack("{s:s, s:s}", "group", t->columns[c].group, "name", t->columns[c].name));
  for (size_t r = 0; r < t->row_count; r++) {
    json_t *cells = json_array();
    for (size_t c = 0; c < t->column_count && !t->rows[r].section; c++) append(&cells, cell_json(&t->rows[r].cells[c]));
    append(&rows, json_pack("{s:s, s:b, s:o}", "label", t->rows[r].label, "section", t->rows[r].section, "cells", cells));
  }
  return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "id", t->id, "title", t->title, "note", t->note, "corner", t->corner, "columns", columns, "rows", rows);
}
