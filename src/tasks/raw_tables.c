/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks published as tables: XNLI (tab-separated, or the same as JSON lines), GlobalOpinionQA,
 * CulturalBench. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/number.h"
#include "tasks/csv.h"
#include "tasks/dataset.h"
#include "tasks/python_literal.h"
#include "tasks/raw.h"
#include "text/text_file.h"
#include "text/json_lines.h"

/* A table file while its rows are read. */
typedef struct Table {
  char *path;
  TextFile file;
  Csv csv;
  size_t column[8]; /* of the names given to table_open */
} Table;

static xt_status table_open(Table *t, const char *path, char separator, bool quoted,
                            const char *const *columns, size_t count, xt_error *error) {
  TRY(text_file_read(path, &t->file, error));
  TRY(csv_open(&t->csv, path, t->file.text, t->file.size, separator, quoted, error));
  for (size_t i = 0; i < count; i++) TRY(csv_column(&t->csv, columns[i], &t->column[i], error));
  return XT_STATUS_OK;
}

static const char *cell(const Table *t, size_t column) {
  return csv_field(&t->csv, t->column[column]);
}

static void table_close(Table *t) {
  csv_close(&t->csv);
  text_file_free(&t->file);
  free(t->path);
}

/* ---- XNLI: xnli.test.tsv, or xnli.test.jsonl ------------------------------------------------- */

/* The option of a label. */
static const char *nli_gold(const char *label) {
  static const char *const labels[] = {"entailment", "neutral", "contradiction"},
                           *const options[] = {"1", "2", "3"};
  for (size_t i = 0; i < 3; i++)
    if (strcmp(label, labels[i]) == 0) return options[i];
  return NULL;
}

static xt_status nli_add(const char *id, const char *lang, const char *gold, const char *premise,
                         const char *hypothesis, RawSet *out, xt_error *error) {
  const RawField fields[] = {{"premise", premise}, {"hypothesis", hypothesis}};
  return raw_add(out->items, lang, raw_item(id, gold, fields, 2), error);
}

static xt_status nli_table(const RawOptions *options, Table *t, RawSet *out, xt_error *error) {
  enum { LANGUAGE, LABEL, FIRST, SECOND, PAIR };
  static const char *const columns[] = {"language", "gold_label", "sentence1", "sentence2",
                                        "pairID"};
  TRY(table_open(t, t->path, '\t', false, columns, 5, error));
  for (bool more;;) {
    TRY(csv_next(&t->csv, &more, error));
    if (!more) return XT_STATUS_OK;
    const char *gold = nli_gold(cell(t, LABEL));
    if (!raw_wants(options, cell(t, LANGUAGE))) continue;
    if (!gold)
      return csv_error(&t->csv, "gold_label", error,
                       "is '%.40s', expected entailment, neutral or contradiction", cell(t, LABEL));
    if (!cell(t, FIRST)[0] || !cell(t, SECOND)[0])
      return csv_error(&t->csv, cell(t, FIRST)[0] ? "sentence2" : "sentence1", error, "is empty");
    TRY(nli_add(cell(t, PAIR), cell(t, LANGUAGE), gold, cell(t, FIRST), cell(t, SECOND), out,
                error));
  }
}

static xt_status nli_line(const RawOptions *options, const json_t *line, const char *path,
                          size_t number, RawSet *out, xt_error *error) {
  const char *lang, *label, *premise, *hypothesis, *id;
  TRY(raw_text(line, "language", path, number, &lang, error));
  if (!raw_wants(options, lang)) return XT_STATUS_OK;
  TRY(raw_text(line, "gold_label", path, number, &label, error));
  TRY(raw_text(line, "sentence1", path, number, &premise, error));
  TRY(raw_text(line, "sentence2", path, number, &hypothesis, error));
  TRY(raw_text(line, "pairID", path, number, &id, error));
  const char *gold = nli_gold(label);
  if (!gold)
    return text_line_error(
        error, path, number,
        "\"gold_label\" is '%.40s', expected entailment, neutral or contradiction", label);
  return nli_add(id, lang, gold, premise, hypothesis, out, error);
}

static xt_status nli_lines(const RawOptions *options, const char *path, RawSet *out,
                           xt_error *error) {
  JsonLines lines;
  json_t *line;
  size_t i;
  TRY(json_lines_read(path, &lines, error));
  xt_status status = XT_STATUS_OK;
  json_array_foreach(lines.values, i, line) if (!status) status =
      nli_line(options, line, path, lines.number[i], out, error);
  json_lines_free(&lines);
  return status;
}

xt_status raw_read_xnli(const RawOptions *options, RawSet *out, xt_error *error) {
  char table[80], lines[80];
  Table t = {0};
  snprintf(table, sizeof table, "xnli.%.40s.tsv", options->split);
  snprintf(lines, sizeof lines, "xnli.%.40s.jsonl", options->split);
  TRY(raw_locate(options->directory, (const char *const[]){table, lines}, 2, &t.path, error));
  const char *dot = strstr(t.path, ".jsonl");
  const xt_status status =
      dot ? nli_lines(options, t.path, out, error) : nli_table(options, &t, out, error);
  table_close(&t);
  return status;
}

/* ---- cultures -------------------------------------------------------------------------------- */

/* Adds the English question to a culture's items. `options` are strings; gold or label, one of
 * them. */
static xt_status culture_add(const char *id, const char *lang, const char *country,
                             const char *question, json_t *options, const char *gold, json_t *label,
                             RawSet *out, xt_error *error) {
  char *text;
  TRY(raw_lettered(options, &text, error));
  const RawField fields[] = {{"question", question}, {"country", country}, {"options", text}};
  json_t *item = raw_item(id, gold, fields, 3);
  free(text);
  bool ok = item && json_object_set(item, "choices", options) == 0 &&
            json_object_set_new(item, "country", json_string(country)) == 0;
  ok = ok && (!label || json_object_set(item, "label", label) == 0);
  if (!ok) {
    json_decref(item);
    return err_memory(error, 0);
  }
  return raw_add(out->items, lang, item, error);
}

/* ---- GlobalOpinionQA: global_opinions.csv ---------------------------------------------------- */

/* The largest option probability that a question has to have. */
#define OPINION_LEAST 0.8

static xt_status literal(const Table *t, size_t column, const char *name, json_t **out,
                         xt_error *error) {
  size_t at;
  const char *what;
  const xt_status status = python_literal_read(cell(t, column), out, &at, &what);
  if (status == XT_STATUS_MEMORY) return err_memory(error, 0);
  if (status)
    return csv_error(&t->csv, name, error, "is not a Python literal: %s, at byte %zu of the field",
                     what, at);
  return XT_STATUS_OK;
}

/* Options are strings; a number or None is what Python prints of it. */
static xt_status options_as_text(const Table *t, json_t *options, xt_error *error) {
  size_t i;
  json_t *option;
  if (!json_is_array(options))
    return csv_error(&t->csv, "options", error, "is %s, expected a list", json_type_name(options));
  json_array_foreach(options, i, option) {
    if (json_is_string(option)) continue;
    if (json_is_array(option) || json_is_object(option))
      return csv_error(&t->csv, "options", error, "item %zu is %s, expected text", i,
                       json_type_name(option));
    char *text = json_is_null(option)      ? strdup("None")
                 : json_is_boolean(option) ? strdup(json_is_true(option) ? "True" : "False")
                                           : number_json(option, JSON_ENCODE_ANY);
    const bool ok = text && json_array_set_new(options, i, json_string(text)) == 0;
    free(text);
    if (!ok) return err_memory(error, 0);
  }
  return XT_STATUS_OK;
}

/* Whether `values` has a number for each option; *largest is then the largest. */
static bool probabilities(const json_t *values, size_t options, double *largest) {
  *largest = 0;
  if (json_array_size(values) != options || options == 0 || options > TASK_LETTERS) return false;
  for (size_t i = 0; i < options; i++) {
    const json_t *value = json_array_get(values, i);
    if (!json_is_number(value)) return false;
    if (json_number_value(value) > *largest) *largest = json_number_value(value);
  }
  return true;
}

static xt_status opinion_row(const RawOptions *wanted, const Table *t, size_t row,
                             const char *question, json_t *options, json_t *selections, RawSet *out,
                             xt_error *error) {
  const char *country;
  json_t *values;
  double largest;
  TRY(options_as_text(t, options, error));
  if (!json_is_object(selections))
    return csv_error(&t->csv, "selections", error, "is %s, expected a dict of countries",
                     json_type_name(selections));
  json_object_foreach(selections, country, values) {
    const char *lang = opinion_culture(country);
    char id[200];
    if (!lang || !raw_wants(wanted, lang)) continue;
    if (!probabilities(values, json_array_size(options), &largest)) out->left_out++;
    if (largest < OPINION_LEAST) continue;
    snprintf(id, sizeof id, "%zu %.160s", row, country);
    TRY(culture_add(id, lang, country, question, options, NULL, values, out, error));
  }
  return XT_STATUS_OK;
}

static xt_status opinion_rows(const RawOptions *options, Table *t, RawSet *out, xt_error *error) {
  enum { QUESTION, SELECTIONS, OPTIONS };
  static const char *const columns[] = {"question", "selections", "options"};
  TRY(table_open(t, t->path, ',', true, columns, 3, error));
  for (size_t row = 0;; row++) {
    bool more;
    json_t *choices = NULL, *selections = NULL;
    TRY(csv_next(&t->csv, &more, error));
    if (!more) return XT_STATUS_OK;
    if (!cell(t, QUESTION)[0] || !cell(t, OPTIONS)[0]) { /* the published file has some */
      out->left_out++;
      continue;
    }
    xt_status status = literal(t, OPTIONS, "options", &choices, error);
    if (!status) status = literal(t, SELECTIONS, "selections", &selections, error);
    if (!status)
      status = opinion_row(options, t, row, cell(t, QUESTION), choices, selections, out, error);
    json_decref(choices);
    json_decref(selections);
    if (status) return status;
  }
}

xt_status raw_read_opinion(const RawOptions *options, RawSet *out, xt_error *error) {
  static const char *const names[] = {"global_opinions.csv", "data/global_opinions.csv"};
  Table t = {0};
  TRY(raw_locate(options->directory, names, 2, &t.path, error));
  const xt_status status = opinion_rows(options, &t, out, error);
  table_close(&t);
  return status;
}

/* ---- CulturalBench: CulturalBench-Easy.csv --------------------------------------------------- */

/* The options that are there, and the letter of the right one among them. */
static xt_status bench_options(const Table *t, size_t first, const char *answer, json_t **out,
                               char gold[2], xt_error *error) {
  *out = json_array();
  gold[0] = gold[1] = 0;
  if (!*out) return err_memory(error, 0);
  for (size_t i = 0; i < 4; i++) {
    const char *option = cell(t, first + i);
    if (!option[0]) continue; /* a question of the published file has three */
    if (answer[0] == (char)('A' + i) && !answer[1]) gold[0] = (char)('A' + json_array_size(*out));
    if (json_array_append_new(*out, json_string(option)) != 0) return err_memory(error, 0);
  }
  if (gold[0]) return XT_STATUS_OK;
  return csv_error(&t->csv, "answer", error,
                   "is '%.40s', which is none of the options that are there, A to D", answer);
}

static xt_status bench_rows(const RawOptions *options, Table *t, RawSet *out, xt_error *error) {
  enum { QUESTION, FIRST, ANSWER = 5, COUNTRY, INDEX };
  static const char *const columns[] = {"prompt_question", "prompt_option_a", "prompt_option_b",
                                        "prompt_option_c", "prompt_option_d", "answer",
                                        "country",         "question_idx"};
  TRY(table_open(t, t->path, ',', true, columns, 8, error));
  for (bool more;;) {
    json_t *choices;
    char gold[2];
    TRY(csv_next(&t->csv, &more, error));
    if (!more) return XT_STATUS_OK;
    const char *lang = bench_culture(cell(t, COUNTRY));
    if (!lang || !raw_wants(options, lang)) continue;
    if (!cell(t, QUESTION)[0]) return csv_error(&t->csv, "prompt_question", error, "is empty");
    xt_status status = bench_options(t, FIRST, cell(t, ANSWER), &choices, gold, error);
    if (!status)
      status = culture_add(cell(t, INDEX), lang, cell(t, COUNTRY), cell(t, QUESTION), choices, gold,
                           NULL, out, error);
    json_decref(choices);
    if (status) return status;
  }
}

xt_status raw_read_culture(const RawOptions *options, RawSet *out, xt_error *error) {
  static const char *const names[] = {"CulturalBench-Easy.csv"};
  Table t = {0};
  TRY(raw_locate(options->directory, names, 1, &t.path, error));
  const xt_status status = bench_rows(options, &t, out, error);
  table_close(&t);
  return status;
}
