/* SPDX-License-Identifier: Apache-2.0 */
#include "report/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/arena_text.h"
#include "base/number.h"
#include "report/escape.h"

/* Whether an earlier table has the id, for file systems that do not tell upper from lower case
 * too. */
static bool is_taken(const TableList *list, const Table *table) {
  for (size_t i = 0; i < list->count; i++)
    if (list->tables[i] != table && text_same_letters(list->tables[i]->id, table->id)) return true;
  return false;
}

xt_status table_add(TableList *list, Arena *arena, const char *id, const char *corner, Table **out,
                    xt_error *error) {
  char safe[ESCAPE_ID_SIZE];
  TRY(MEM_GROW(&list->tables, &list->capacity, list->count + 1, error));
  TRY(MEM_ALLOC(out, 1, error));
  list->tables[list->count++] = *out;
  **out = (Table){.arena = arena, .note = "", .title = ""};
  escape_id(id, safe);
  (*out)->id = table_format(*out, "%s", safe);
  for (int k = 2; is_taken(list, *out); k++) (*out)->id = table_format(*out, "%s-%d", safe, k);
  (*out)->corner = table_format(*out, "%s", corner);
  return table_check(*out, error);
}

void table_list_free(TableList *list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->tables[i]->columns);
    free(list->tables[i]->rows);
    free(list->tables[i]);
  }
  free(list->tables);
  *list = (TableList){0};
}

xt_status table_check(const Table *table, xt_error *error) {
  return table->failed ? err_memory(error, 0) : XT_STATUS_OK;
}

const char *table_format(Table *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *text = arena_vformat(t->arena, format, args);
  va_end(args);
  if (!text) t->failed = true;
  return text ? text : "";
}

void table_column(Table *t, const char *group, const char *name) {
  if (MEM_GROW(&t->columns, &t->column_capacity, t->column_count + 1, NULL) != XT_STATUS_OK) {
    t->failed = true;
    return;
  }
  t->columns[t->column_count++] =
      (Column){table_format(t, "%s", group), table_format(t, "%s", name), false};
}

void table_interval_column(Table *t, const char *group, const char *name) {
  const size_t before = t->column_count;
  table_column(t, group, name);
  if (t->column_count > before) t->columns[before].intervals = true;
}

TableRow *table_row(Table *t, const char *label) {
  Cell *cells;
  if (MEM_GROW(&t->rows, &t->row_capacity, t->row_count + 1, NULL) != XT_STATUS_OK ||
      ARENA_ALLOC(t->arena, &cells, t->column_count, NULL) != XT_STATUS_OK) {
    t->failed = true;
    return NULL;
  }
  TableRow *row = &t->rows[t->row_count++];
  *row = (TableRow){.label = table_format(t, "%s", label), .cells = cells};
  return row;
}

void table_section(Table *t, const char *label) {
  TableRow *row = table_row(t, label);
  if (row) row->section = true;
}

Cell cell_text(const char *text) {
  return (Cell){.kind = CELL_TEXT, .value = NAN, .error = NAN, .text = text};
}

Cell cell_value(CellKind kind, double value) {
  return isnan(value) ? (Cell){0} : (Cell){.kind = kind, .value = value, .error = NAN};
}

Cell cell_interval(CellKind kind, xt_interval k) {
  Cell cell = cell_value(kind, k.value);
  if (cell.kind == CELL_EMPTY) return cell;
  cell.low = k.low;
  cell.high = k.high;
  return cell;
}

Cell cell_estimate(CellKind kind, xt_estimate estimate) {
  if (estimate.count == 0 || isnan(estimate.value)) return (Cell){0};
  const bool certain = estimate.error <= 0 && estimate.high > estimate.low;
  Cell cell = {
      .kind = kind, .value = estimate.value, .error = certain ? (double)NAN : estimate.error};
  if (certain) {
    cell.low = estimate.low;
    cell.high = estimate.high;
  }
  return cell;
}

void cell_show(const Cell *cell, char *out, size_t size) {
  switch (cell->kind) {
    case CELL_EMPTY: snprintf(out, size, "%s", ""); break;
    case CELL_TEXT: snprintf(out, size, "%s", cell->text); break;
    case CELL_SHARE: number_print(out, size, "%.1f", 100 * cell->value); break;
    case CELL_GAIN:
      number_print(out, size, "%+.1f", fabs(cell->value) < 0.0005 ? 0.0 : 100 * cell->value);
      break;
    case CELL_COUNT: number_print(out, size, "%.0f", cell->value); break;
    case CELL_NUMBER: number_print(out, size, "%.2f", cell->value); break;
    case CELL_P:
      number_print(out, size, cell->value < 0.0001 ? "%.1e" : "%.4f", cell->value);
      break;
  }
  if (cell->high > cell->low) {
    const size_t used = strlen(out);
    const bool number = cell->kind == CELL_NUMBER;
    const double unit = number ? 1 : 100;
    number_print(out + used, size - used,
                 number                    ? " [%.2f, %.2f]"
                 : cell->kind == CELL_GAIN ? " [%+.1f, %+.1f]"
                                           : " [%.1f, %.1f]",
                 unit * cell->low, unit * cell->high);
  }
}

void cell_show_error(const Cell *cell, char *out, size_t size) {
  out[0] = 0;
  if (cell->kind == CELL_EMPTY || cell->kind == CELL_TEXT || isnan(cell->error)) return;
  const bool share = cell->kind == CELL_SHARE || cell->kind == CELL_GAIN;
  number_print(out, size, share ? "%.1f" : "%.2f", share ? 100 * cell->error : cell->error);
}

size_t table_group_span(const Table *t, size_t at) {
  size_t n = 1;
  while (at + n < t->column_count && strcmp(t->columns[at].group, t->columns[at + n].group) == 0)
    n++;
  return n;
}

bool table_has_groups(const Table *t) {
  for (size_t c = 0; c < t->column_count; c++)
    if (t->columns[c].group[0]) return true;
  return false;
}

bool table_is_text(const Table *t, size_t column) {
  for (size_t r = 0; r < t->row_count; r++)
    if (!t->rows[r].section && t->rows[r].cells[column].kind == CELL_TEXT) return true;
  return false;
}
