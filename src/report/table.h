/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: built once, printed in any format. */
#ifndef REPORT_TABLE_H
#define REPORT_TABLE_H

#include "base/arena.h"
#include "base/json.h"
#include "base/text_buffer.h"
#include "xtransplant/analysis.h"

typedef enum CellKind {
  CELL_EMPTY = 0,
  CELL_TEXT,
  CELL_SHARE,  /* a fraction, shown as per cent with one digit */
  CELL_GAIN,   /* the same with its sign */
  CELL_COUNT,  /* an integer */
  CELL_NUMBER, /* two digits after the point */
  CELL_P       /* a probability */
} CellKind;

typedef struct Cell {
  CellKind kind;
  double value, error; /* standard error; NaN: none */
  const char *text;
  double low, high; /* an interval that stands in place of the error; 0 and 0: none */
} Cell;

typedef struct Column {
  const char *group, *name; /* columns of one group stand together under its name; "": none */
  bool intervals;           /* files have a column for each end of the cells' intervals */
} Column;

typedef struct TableRow {
  const char *label;
  bool section; /* a heading: no cells */
  Cell *cells;  /* [columns] */
} TableRow;

typedef struct Table {
  const char *id; /* file name without its ending */
  const char *title, *note;
  const char *corner; /* name of the labels' column */
  bool data;          /* the numbers behind a figure: in files, not on the page or the terminal */
  Column *columns;
  size_t column_count, column_capacity;
  TableRow *rows;
  size_t row_count, row_capacity;
  Arena *arena; /* of its strings and cells; borrowed */
  bool failed;  /* memory ran out; asked for at the end */
} Table;

typedef struct TableList {
  Table **tables;
  size_t count, capacity;
} TableList;

/* A new table at the end of the list. Strings are formatted as printf does. */
xt_status table_add(TableList *list, Arena *arena, const char *id, const char *corner, Table **out,
                    xt_error *error);
void table_list_free(TableList *list);
/* XT_STATUS_MEMORY if anything that was put into a table did not get there. */
xt_status table_check(const Table *table, xt_error *error);

const char *table_format(Table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* All columns come before the first row. */
void table_column(Table *table, const char *group, const char *name);
void table_interval_column(Table *table, const char *group, const char *name);
/* A row with empty cells; NULL when memory ran out. */
TableRow *table_row(Table *table, const char *label);
void table_section(Table *table, const char *label);

Cell cell_text(const char *text);
/* Empty where it has no value. A proportion of 0 or 1, whose standard error says nothing, has
 * Wilson's interval instead. */
Cell cell_estimate(CellKind kind, xt_estimate estimate);
Cell cell_value(CellKind kind, double value); /* empty of NaN */
Cell cell_interval(CellKind kind, xt_interval interval);

/* ---- formats --------------------------------------------------------------------------------- */

/* In lines of at most `width` columns, as far as labels allow; more columns than fit go into
 * further lines. */
void table_to_text(const Table *table, int width, TextBuffer *out);
/* Words in lines of at most `width` columns. */
void text_to_lines(const char *text, int width, TextBuffer *out);
void table_to_csv(const Table *table, TextBuffer *out);
/* A float by itself; table_latex_document makes a document of several by their files' names. */
void table_to_latex(const Table *table, TextBuffer *out);
void table_latex_document(const TableList *list, TextBuffer *out);
void table_to_html(const Table *table, TextBuffer *out);
json_t *table_to_json(const Table *table); /* NULL when memory ran out */

/* A cell's value as tables show it; "" of an empty one. */
void cell_show(const Cell *cell, char *out, size_t size);
/* "6.8" in the cell's own unit; "" without an error. */
void cell_show_error(const Cell *cell, char *out, size_t size);
/* How many columns from `at` on share its group; whether any has one; whether a column holds
 * texts. */
size_t table_group_span(const Table *table, size_t at);
bool table_has_groups(const Table *table);
bool table_is_text(const Table *table, size_t column);

#endif
