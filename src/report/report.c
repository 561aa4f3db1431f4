/* SPDX-License-Identifier: Apache-2.0 */
/* A report: reads stores, and makes tables and figures. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/options.h"
#include "report/escape.h"
#include "report/report_parts.h"
#include "text/utf8.h"

#define TEXT_WIDTH 80 /* default number of columns */

/* ---- stores ---------------------------------------------------------------------------------- */

/* Makes valid UTF-8, because names of models are names of folders, which may be any bytes. */
static const char *report_utf8(xt_report *r, const char *text, xt_status *status) {
  TextBuffer valid = {0};
  char *copy = NULL;
  utf8_add_lossy(&valid, text, strlen(text));
  if (valid.failed || ARENA_ALLOC(&r->arena, &copy, valid.size + 1, NULL) != XT_STATUS_OK)
    *status = XT_STATUS_MEMORY;
  else if (valid.size)
    memcpy(copy, valid.data, valid.size);
  text_buffer_free(&valid);
  return copy ? copy : "";
}

typedef struct RunList {
  xt_report *report;
  json_t *runs;
} RunList;

static xt_status add_run(void *user, const char *started, const char *provenance, xt_error *error) {
  RunList *list = user;
  xt_status status = XT_STATUS_OK;
  json_t *about = NULL;
  const char *begun = report_utf8(list->report, started, &status),
             *text = report_utf8(list->report, provenance, &status);
  if (status) return err_memory(error, 0);
  if (json_parse(text, strlen(text), NULL, &about, NULL) == XT_STATUS_MEMORY)
    return err_memory(error, 0); /* one that is broken is null */
  json_t *run =
      json_pack("{s:s, s:o}", "started", begun, "provenance", about ? about : json_null());
  return json_array_append_new(list->runs, run) == 0 ? XT_STATUS_OK : err_memory(error, 0);
}

static xt_status open_store(xt_report *r, const char *path, const xt_report_options *options,
                            ReportStore *out, xt_error *error) {
  xt_store *store;
  xt_store_info info;
  xt_status status;
  if (!path) return XT_STATUS_OK;
  TRY(xt_store_open(path, XT_STORE_READ, &store, error));
  TRY_DONE(xt_store_get_info(store, &info, error));
  out->model = report_utf8(r, info.model_name, &status);
  out->file = report_utf8(r, path, &status);
  const char *hash = report_utf8(r, info.model_hash, &status),
             *compute = report_utf8(r, info.compute, &status);
  if (status) TRY_DONE(err_memory(error, 0));
  out->runs = json_array();
  out->about =
      json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:f, s:b, s:I, s:I, s:I, s:I}", "file", out->file,
                "model", out->model, "model_hash", hash, "compute", compute, "layers", info.layers,
                "max_new_tokens", info.max_new_tokens, "repetition_penalty",
                info.repetition_penalty, "ignore_eos", info.ignore_eos, "questions",
                (json_int_t)info.questions, "responses", (json_int_t)info.responses, "vanilla",
                (json_int_t)info.vanilla, "texts", (json_int_t)info.texts);
  if (!out->runs || !out->about) TRY_DONE(err_memory(error, 0));
  TRY_DONE(xt_store_read_runs(store, add_run, &(RunList){r, out->runs}, error));
  TRY_DONE((options->strategies ? analysis_create_comparisons : xt_analysis_create)(
      store, options->analysis, &out->analysis, error));
done:
  xt_store_close(store);
  return status;
}

static xt_status build(xt_report *r, const char *store, const xt_report_options *options,
                       xt_error *error) {
  TRY(open_store(r, store, options, &r->main, error));
  r->strategies = options->strategies;
  if (r->strategies) return report_gap_tables(r, error);
  TRY(open_store(r, options->cot, options, &r->cot, error));
  TRY(open_store(r, options->tuned, options, &r->tuned, error));
  TRY(open_store(r, options->beside, options, &r->beside, error));
  if (options->more_count > REPORT_MORE_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "more", -1,
                   "%zu other stores: a report takes at most %d", options->more_count,
                   REPORT_MORE_MOST);
  for (size_t i = 0; i < options->more_count; i++) {
    TRY(open_store(r, options->more[i], options, &r->more[i], error));
    r->more_count++;
  }
  r->first_layer = options->one_based ? 1 : 0;
  if (options->lens) TRY(json_parse_file(options->lens, &r->lens, error));
  TRY(report_models_table(r, error));
  TRY(report_coverage_table(r, error));
  TRY(report_responses_table(r, error));
  TRY(report_no_op_table(r, error));
  TRY(report_paper_tables(r, error));
  TRY(report_control_tables(r, error));
  TRY(report_gap_tables(r, error));
  TRY(report_effect_tables(r, error));
  TRY(report_option_table(r, error));
  TRY(report_strategy_tables(r, error));
  TRY(report_response_tables(r, error));
  TRY(report_figures(r, error));
  TRY(report_lens_figure(r, error));
  return report_find_lacks(r, error);
}

xt_status xt_report_create(const char *store, const xt_report_options *options, xt_report **out,
                           xt_error *error) {
  xt_report *r;
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  TRY(MEM_ALLOC(&r, 1, error));
  const xt_status status = build(r, store, options ? options : &(xt_report_options){0}, error);
  if (status)
    xt_report_free(r);
  else
    *out = r;
  return status;
}

static void close_store(ReportStore *store) {
  xt_analysis_free(store->analysis);
  json_decref(store->about);
  json_decref(store->runs);
}

void xt_report_free(xt_report *r) {
  if (!r) return;
  ReportStore *const stores[] = {&r->main, &r->cot, &r->tuned, &r->beside};
  for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) close_store(stores[i]);
  for (size_t i = 0; i < REPORT_MORE_MOST; i++) close_store(&r->more[i]);
  for (size_t i = 0; i < r->figure_count; i++) text_buffer_free(&r->figures[i].svg);
  free(r->figures);
  free(r->lacks);
  table_list_free(&r->tables);
  json_decref(r->lens);
  arena_free(&r->arena);
  free(r);
}

const xt_analysis *xt_report_analysis(const xt_report *r) { return r->main.analysis; }

size_t xt_report_store_count(const xt_report *r) { return 1 + r->more_count; }

xt_report_store xt_report_store_get(const xt_report *r, size_t index) {
  if (index > r->more_count) return (xt_report_store){0};
  const ReportStore *store = index ? &r->more[index - 1] : &r->main;
  return (xt_report_store){store->file, store->model, store->analysis};
}

/* What is missing, before anything else: bold and red if there are colours. */
static void report_missing(xt_report *r, const xt_coverage *coverage,
                           const xt_report_text_options *how, TextBuffer *out) {
  const size_t count = xt_coverage_note_count(coverage);
  for (size_t i = 0; i < count; i++) {
    if (how->colour) text_buffer_add_text(out, "\x1b[1;31m");
    text_to_lines(report_format(r, "%s.", xt_coverage_note(coverage, i)), how->width, out);
    if (how->colour) text_buffer_add_text(out, "\x1b[0m");
  }
  if (count) text_buffer_add_text(out, "\n");
}

xt_status xt_report_text(xt_report *r, const xt_report_text_options *options, char **text,
                         size_t *length, xt_error *error) {
  *text = NULL;
  TRY(OPTIONS_CHECK(options, error));
  xt_report_text_options how = options ? *options : (xt_report_text_options){0};
  TextBuffer out = {0};
  const xt_coverage *coverage = r->main.analysis->coverage;
  if (how.width <= 0) how.width = TEXT_WIDTH;
  if (!how.table) report_missing(r, coverage, &how, &out);
  if (!r->strategies && (!how.table || strcmp(how.table, "summary") == 0))
    report_summary(r, &how, &out);
  for (size_t i = 0; i < r->tables.count; i++) {
    const Table *table = r->tables.tables[i];
    if (table->data || (how.table && strcmp(table->id, how.table) != 0)) continue;
    if (out.size) text_buffer_add_text(&out, "\n");
    table_to_text(table, how.width, &out);
  }
  text_buffer_add_text(&out, "");
  if (out.failed) {
    text_buffer_free(&out);
    return err_memory(error, 0);
  }
  *text = out.data;
  *length = out.size;
  return XT_STATUS_OK;
}
