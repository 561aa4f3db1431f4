/* SPDX-License-Identifier: Apache-2.0 */
/* A table in a terminal's lines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/table.h"

/* Characters, not bytes. */
static int width_of(const char *text) {
  int n = 0;
  for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
  return n;
}

static void pad(TextBuffer *out, int count) {
  while (count-- > 0) text_buffer_add_text(out, " ");
}

void text_to_lines(const char *text, int width, TextBuffer *out) {
  TextBuffer shown = {0};
  int used = 0;
  escape_terminal(&shown, text);
  for (const char *word = shown.data ? shown.data : ""; *word;) {
    const size_t length = strcspn(word, " ");
    int columns = 0;
    for (size_t i = 0; i < length; i++) columns += ((unsigned char)word[i] & 0xc0) != 0x80;
    if (used && used + 1 + columns > width) {
      text_buffer_add_text(out, "\n");
      used = 0;
    }
    if (used) text_buffer_add_text(out, " ");
    text_buffer_add(out, word, length);
    used += columns + (used > 0);
    word += length;
    word += strspn(word, " ");
  }
  text_buffer_add_text(out, "\n");
  out->failed = out->failed || shown.failed;
  text_buffer_free(&shown);
}

/* A table's texts as they are shown, and how wide they are. */
typedef struct Grid {
  const Table *table;
  const char **groups, **names; /* [columns] */
  const char **labels, **cells; /* [rows], [rows][columns] */
  const char *corner;
  int *widths; /* [columns] */
  int label;
  Arena arena;
} Grid;

static const char *shown(Grid *g, const char *text, xt_status *status) {
  TextBuffer buffer = {0};
  char *copy = NULL;
  escape_terminal(&buffer, text);
  if (buffer.failed || ARENA_ALLOC(&g->arena, &copy, buffer.size + 1, NULL) != XT_STATUS_OK)
    *status = XT_STATUS_MEMORY;
  else if (buffer.size)
    memcpy(copy, buffer.data, buffer.size);
  text_buffer_free(&buffer);
  return copy ? copy : "";
}

static const char *shown_cell(Grid *g, const Cell *cell, xt_status *status) {
  char text[96], error[32];
  if (cell->kind == CELL_TEXT) return shown(g, cell->text, status);
  cell_show(cell, text, sizeof text);
  cell_show_error(cell, error, sizeof error);
  if (error[0]) snprintf(text + strlen(text), sizeof text - strlen(text), " ±%s", error);
  return shown(g, text, status);
}

static xt_status grid_fill(Grid *g, const Table *t) {
  xt_status status = XT_STATUS_OK;
  g->table = t;
  TRY(ARENA_ALLOC(&g->arena, &g->groups, t->column_count, NULL));
  TRY(ARENA_ALLOC(&g->arena, &g->names, t->column_count, NULL));
  TRY(ARENA_ALLOC(&g->arena, &g->widths, t->column_count, NULL));
  TRY(ARENA_ALLOC(&g->arena, &g->labels, t->row_count, NULL));
  TRY(ARENA_ALLOC(&g->arena, &g->cells, t->row_count * t->column_count, NULL));
  g->corner = shown(g, t->corner, &status);
  g->label = width_of(g->corner);
  for (size_t r = 0; r < t->row_count; r++) {
    g->labels[r] = shown(g, t->rows[r].label, &status);
    if (!t->rows[r].section && width_of(g->labels[r]) > g->label) g->label = width_of(g->labels[r]);
  }
  for (size_t c = 0; c < t->column_count; c++) {
    g->groups[c] = shown(g, t->columns[c].group, &status);
    g->names[c] = shown(g, t->columns[c].name, &status);
    g->widths[c] = width_of(g->names[c]);
    for (size_t r = 0; r < t->row_count; r++) {
      const char **cell = &g->cells[r * t->column_count + c];
      *cell = t->rows[r].section ? "" : shown_cell(g, &t->rows[r].cells[c], &status);
      if (width_of(*cell) > g->widths[c]) g->widths[c] = width_of(*cell);
    }
  }
  return status;
}

/* The columns from `c` on that are of its group and before `end`. *lacks: how much narrower they are
 * than the group's name. */
static size_t group_columns(const Grid *g, size_t c, size_t end, int *lacks) {
  size_t span = table_group_span(g->table, c);
  int room = -2;
  if (c + span > end) span = end - c;
  for (size_t k = c; k < c + span; k++) room += g->widths[k] + 2;
  *lacks = width_of(g->groups[c]) - room;
  return span;
}

/* The width of the lines of these columns, with room for the names of groups. */
static int lines_width(const Grid *g, size_t first, size_t end) {
  int width = g->label, lacks;
  for (size_t c = first; c < end; c++) width += 2 + g->widths[c];
  for (size_t c = first; c < end && table_has_groups(g->table);) {
    c += group_columns(g, c, end, &lacks);
    if (lacks > 0) width += lacks;
  }
  return width;
}

/* Makes the last column of each group as much wider as the group's name needs. */
static void widen(const Grid *g, size_t first, size_t end) {
  int lacks;
  for (size_t c = first; c < end && table_has_groups(g->table);) {
    c += group_columns(g, c, end, &lacks);
    if (lacks > 0) g->widths[c - 1] += lacks;
  }
}

static void group_line(const Grid *g, size_t first, size_t end, TextBuffer *out) {
  pad(out, g->label);
  for (size_t c = first; c < end;) {
    int lacks;
    const char *name = g->groups[c];
    c += group_columns(g, c, end, &lacks);
    pad(out, 2);
    text_buffer_add_text(out, name);
    if (c < end) pad(out, -lacks);
  }
  text_buffer_add_text(out, "\n");
}

static void table_lines(const Grid *g, size_t first, size_t end, TextBuffer *out) {
  const Table *t = g->table;
  if (table_has_groups(t)) group_line(g, first, end, out);
  text_buffer_add_text(out, g->corner);
  pad(out, g->label - width_of(g->corner));
  for (size_t c = first; c < end; c++) {
    pad(out, 2 + g->widths[c] - width_of(g->names[c]));
    text_buffer_add_text(out, g->names[c]);
  }
  text_buffer_add_text(out, "\n");
  for (size_t r = 0; r < t->row_count; r++) {
    text_buffer_add_text(out, g->labels[r]);
    if (!t->rows[r].section) pad(out, g->label - width_of(g->labels[r]));
    for (size_t c = first; c < end && !t->rows[r].section; c++) {
      const char *cell = g->cells[r * t->column_count + c];
      pad(out, 2 + g->widths[c] - width_of(cell));
      text_buffer_add_text(out, cell);
    }
    text_buffer_add_text(out, "\n");
  }
}

void table_to_text(const Table *t, int width, TextBuffer *out) {
  Grid g = {0};
  text_to_lines(t->title, width, out);
  if (t->note[0]) text_to_lines(t->note, width, out);
  if (grid_fill(&g, t) != XT_STATUS_OK) out->failed = true;
  for (size_t first = 0; first < t->column_count && !out->failed;) {
    size_t end = first + 1;
    while (end < t->column_count && lines_width(&g, first, end + 1) <= width) end++;
    widen(&g, first, end);
    if (first) text_buffer_add_text(out, "\n");
    table_lines(&g, first, end, out);
    first = end;
  }
  arena_free(&g.arena);
}
