/* SPDX-License-Identifier: Apache-2.0 */
/* A table as comma-separated values, HTML and JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/escape.h"
#include "report/table.h"

/* ---- comma-separated values ------------------------------------------------------------------ */

static bool has_errors(const Table *t, size_t column) {
  for (size_t r = 0; r < t->row_count; r++) {
    char text[32];
    if (t->rows[r].section) continue;
    cell_show_error(&t->rows[r].cells[column], text, sizeof text);
    if (text[0]) return true;
  }
  return false;
}

/* A column, and what stands beside it: its cells' errors, or their intervals. */
static size_t parts_of(const Table *t, size_t c, const char *out[3]) {
  out[0] = "";
  if (t->columns[c].intervals) {
    out[1] = " low";
    out[2] = " high";
    return 3;
  }
  out[1] = " se";
  return has_errors(t, c) ? 2 : 1;
}

static void csv_number(TextBuffer *out, const Cell *cell, double value) {
  if (cell->kind != CELL_EMPTY && cell->kind != CELL_TEXT && !isnan(value))
    text_buffer_format(out, "%.10g", value);
}

void table_to_csv(const Table *t, TextBuffer *out) {
  const char *parts[3];
  escape_csv(out, t->corner);
  for (size_t c = 0; c < t->column_count; c++) {
    const Column *column = &t->columns[c];
    const size_t count = parts_of(t, c, parts);
    for (size_t part = 0; part < count; part++) {
      TextBuffer name = {0};
      text_buffer_format(&name, "%s%s%s%s", column->group,
                         column->group[0] && column->name[0] ? " " : "", column->name, parts[part]);
      text_buffer_add_text(out, ",");
      escape_csv(out, name.data ? name.data : "");
      out->failed = out->failed || name.failed;
      text_buffer_free(&name);
    }
  }
  text_buffer_add_text(out, "\n");
  for (size_t r = 0; r < t->row_count; r++) {
    const TableRow *row = &t->rows[r];
    if (row->section) continue;
    escape_csv(out, row->label);
    for (size_t c = 0; c < t->column_count; c++) {
      const Cell *cell = &row->cells[c];
      const size_t count = parts_of(t, c, parts);
      const double beside[] = {count == 3 ? cell->low : cell->error, cell->high};
      text_buffer_add_text(out, ",");
      if (cell->kind == CELL_TEXT)
        escape_csv(out, cell->text);
      else
        csv_number(out, cell, cell->value);
      for (size_t part = 1; part < count; part++) {
        text_buffer_add_text(out, ",");
        csv_number(out, cell, beside[part - 1]);
      }
    }
    text_buffer_add_text(out, "\n");
  }
}

/* ---- HTML ------------------------------------------------------------------------------------ */

static void html_rows(const Table *t, TextBuffer *out) {
  char text[256];
  for (size_t r = 0; r < t->row_count; r++) {
    const TableRow *row = &t->rows[r];
    if (row->section) {
      text_buffer_format(out, "<tr class=\"section\"><th colspan=\"%zu\" scope=\"colgroup\">",
                         t->column_count + 1);
      escape_html(out, row->label);
      text_buffer_add_text(out, "</th></tr>\n");
      continue;
    }
    text_buffer_add_text(out, "<tr><th scope=\"row\">");
    escape_html(out, row->label);
    text_buffer_add_text(out, "</th>");
    for (size_t c = 0; c < t->column_count; c++) {
      const Cell *cell = &row->cells[c];
      const char *kind = cell->kind == CELL_TEXT                            ? " class=\"text\""
                         : cell->kind == CELL_GAIN && cell->value > 0.0005  ? " class=\"gain\""
                         : cell->kind == CELL_GAIN && cell->value < -0.0005 ? " class=\"loss\""
                                                                            : "";
      text_buffer_format(out, "<td%s>", kind);
      cell_show(cell, text, sizeof text);
      escape_html(out, cell->kind == CELL_EMPTY ? "–" : text);
      cell_show_error(cell, text, sizeof text);
      if (text[0]) text_buffer_format(out, "<small>±%s</small>", text);
      text_buffer_add_text(out, "</td>");
    }
    text_buffer_add_text(out, "</tr>\n");
  }
}

void table_to_html(const Table *t, TextBuffer *out) {
  text_buffer_format(out, "<figure class=\"table\" id=\"%s\"><figcaption>", t->id);
  escape_html(out, t->title);
  if (t->note[0]) {
    text_buffer_add_text(out, " <span>");
    escape_html(out, t->note);
    text_buffer_add_text(out, "</span>");
  }
  text_buffer_add_text(out, "</figcaption><div class=\"scroll\" tabindex=\"0\"><table><thead>\n");
  if (table_has_groups(t)) {
    text_buffer_add_text(out, "<tr class=\"groups\"><td></td>");
    for (size_t c = 0; c < t->column_count; c += table_group_span(t, c)) {
      text_buffer_format(out, "<th colspan=\"%zu\" scope=\"colgroup\">", table_group_span(t, c));
      escape_html(out, t->columns[c].group);
      text_buffer_add_text(out, "</th>");
    }
    text_buffer_add_text(out, "</tr>\n");
  }
  text_buffer_add_text(out, "<tr><th scope=\"col\">");
  escape_html(out, t->corner);
  text_buffer_add_text(out, "</th>");
  for (size_t c = 0; c < t->column_count; c++) {
    text_buffer_format(out, "<th scope=\"col\"%s>", table_is_text(t, c) ? " class=\"text\"" : "");
    escape_html(out, t->columns[c].name);
    text_buffer_add_text(out, "</th>");
  }
  text_buffer_add_text(out, "</tr></thead><tbody>\n");
  html_rows(t, out);
  text_buffer_add_text(out, "</tbody></table></div></figure>\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Adds to an array; on failure *array is freed and NULL. */
static void append(json_t **array, json_t *value) {
  if (!*array)
    json_decref(value);
  else if (json_array_append_new(*array, value) != 0) {
    json_decref(*array);
    *array = NULL;
  }
}

static json_t *cell_json(const Cell *cell) {
  if (cell->kind == CELL_EMPTY) return json_null();
  if (cell->kind == CELL_TEXT) return json_string(cell->text);
  if (cell->kind == CELL_COUNT) return json_integer((json_int_t)cell->value);
  if (cell->high > cell->low)
    return json_pack("{s:f, s:f, s:f}", "value", cell->value, "low", cell->low, "high", cell->high);
  if (isnan(cell->error)) return json_pack("{s:f}", "value", cell->value);
  return json_pack("{s:f, s:f}", "value", cell->value, "error", cell->error);
}

json_t *table_to_json(const Table *t) {
  json_t *columns = json_array(), *rows = json_array();
  for (size_t c = 0; c < t->column_count; c++)
    append(&columns,
           json_pack("{s:s, s:s}", "group", t->columns[c].group, "name", t->columns[c].name));
  for (size_t r = 0; r < t->row_count; r++) {
    json_t *cells = json_array();
    for (size_t c = 0; c < t->column_count && !t->rows[r].section; c++)
      append(&cells, cell_json(&t->rows[r].cells[c]));
    append(&rows, json_pack("{s:s, s:b, s:o}", "label", t->rows[r].label, "section",
                            t->rows[r].section, "cells", cells));
  }
  return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "id", t->id, "title", t->title, "note",
                   t->note, "corner", t->corner, "columns", columns, "rows", rows);
}
