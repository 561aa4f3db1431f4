/* SPDX-License-Identifier: Apache-2.0 */
/* A report: stores in, tables and figures made, files out. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/out_file.h"
#include "report/report_parts.h"

/* ---- names ------------------------------------------------------------------------------------ */

const char *report_format(xt_report *r, const char *format, ...) {
  va_list args, again;
  char *text;
  va_start(args, format);
  va_copy(again, args);
  const int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (length < 0 || arena_alloc(&r->arena, &text, (size_t)length + 1, 1, NULL) != XT_STATUS_OK) {
    va_end(again);
    return ""; /* the next allocation that has an error to fill will fail too, or the name is only shown */
  }
  vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  return text;
}

const char *report_slug(xt_report *r, const xt_group *g) {
  const char *task = g->task[0] ? g->task : "questions";
  const bool plain = g->pivot[0] == 0 || strcmp(g->pivot, "en") == 0;
  return report_format(r, "%s%s%s%s", task, plain ? "" : "-", plain ? "" : g->pivot, g->cot ? "-cot" : "");
}

const char *report_site_slug(xt_report *r, const char *site) {
  const char *text = report_format(r, "%s", site);
  for (char *c = (char *)(uintptr_t)text; *c; c++)
    if (*c == ':') *c = '-';
  return text;
}

const char *report_group_title(xt_report *r, const xt_group *g) {
  const bool plain = g->pivot[0] == 0 || strcmp(g->pivot, "en") == 0;
  return report_format(r, "%s%s%s%s", g->title, plain ? "" : ", from ", plain ? "" : g->pivot, g->cot ? ", CoT" : "");
}

const char *report_site_title(const char *site) {
  static const char *const titles[][2] = {{"attn", "Self-Attention"}, {"ffn", "Feed-Forward"}, {"block", "Whole Block"}, {"attn-released", "Self-Attention as released"}};
  for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
    if (strcmp(titles[i][0], site) == 0) return titles[i][1];
  return site;
}

const char *report_layers_note(const xt_report *r) {
  return r->first_layer ? "Layers count from 1, as in the paper; the command line counts from 0." : "Layers count from 0.";
}

const char *report_layer_column(xt_report *r, const char *name) { return r->first_layer ? report_format(r, "%s (from 1)", name) : name; }

/* ---- groups ----------------------------------------------------------------------------------- */

const AnalysisGroup *report_same_task(const ReportStore *store, bool cot, const AnalysisGroup *group) {
  const AnalysisGroup *best = NULL;
  for (size_t i = 0; i < store->analysis->count; i++) {
    const AnalysisGroup *g = &store->analysis->groups[i];
    if (strcmp(g->group.task, group->group.task) != 0 || g->group.cot != cot) continue;
    if (!best || strcmp(g->group.pivot, "en") == 0) best = g;
  }
  return best;
}

size_t report_groups(const ReportStore *store, bool cot, const AnalysisGroup *out[GROUPS_MOST]) {
  size_t count = 0;
  const xt_task *task;
  for (size_t t = 0; (task = xt_task_get(t)) && count < GROUPS_MOST; t++) {
    const AnalysisGroup *found = report_same_task(store, cot, &(AnalysisGroup){.group = {.task = task->name}});
    if (found) out[count++] = found;
  }
  for (size_t i = 0; i < store->analysis->count && count < GROUPS_MOST; i++) { /* then tasks that are known but no benchmarks */
    const AnalysisGroup *found = &store->analysis->groups[i];
    if (!found->group.benchmark || found->group.cot != cot || report_same_task(store, cot, found) != found) continue;
    bool there = false;
    for (size_t k = 0; k < count; k++) there = there || out[k] == found;
    if (!there) out[count++] = found;
  }
  return count;
}

const xt_site_result *report_site(const xt_group *g) {
  const char *site = "";
  int source, target;
  if (g->benchmark) xt_coarse(g->benchmark, g->layers, &site, &source, &target);
  for (size_t s = 0; s < g->site_count; s++)
    if (strcmp(g->sites[s].site, site) == 0) return &g->sites[s];
  return g->site_count ? &g->sites[0] : NULL;
}

/* ---- stores ----------------------------------------------------------------------------------- */

static xt_status add_run(void *user, const char *started, const char *provenance, xt_error *error) {
  json_error_t wrong;
  json_t *about = json_loads(provenance, 0, &wrong);
  json_t *run = json_pack("{s:s, s:o}", "started", started, "provenance", about ? about : json_null());
  return json_array_append_new(user, run) == 0 ? XT_STATUS_OK : err_memory(error, 0);
}

static xt_status open_store(xt_report *r, const char *path, const xt_report_options *options, ReportStore *out, xt_error *error) {
  xt_store *store;
  xt_store_info info;
  xt_status status;
  if (!path) return XT_STATUS_OK;
  TRY(xt_store_open(path, XT_STORE_READ, &store, error));
  TRY_DONE(xt_store_get_info(store, &info, error));
  out->model = report_format(r, "%s", info.model_name);
  out->runs = json_array();
  out->about = json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:b, s:I, s:I, s:I, s:I}", "model", info.model_name, "model_hash", info.model_hash, "compute", info.compute,
                         "layers", info.layers, "max_new_tokens", info.max_new_tokens, "repetition_penalty", info.repetition_penalty, "ignore_eos", info.ignore_eos,
                         "questions", (json_int_t)info.questions, "responses", (json_int_t)info.responses, "vanilla", (json_int_t)info.vanilla, "texts", (json_int_t)info.texts);
  if (!out->runs || !out->about) TRY_DONE(err_memory(error, 0));
  TRY_DONE(xt_store_read_runs(store, add_run, out->runs, error));
  TRY_DONE(xt_analysis_create(store, &options->analysis, &out->analysis, error));
done:
  xt_store_close(store);
  return status;
}

static xt_status build(xt_report *r, const char *store, const xt_report_options *options, xt_error *error) {
  TRY(open_store(r, store, options, &r->main, error));
  TRY(open_store(r, options->cot, options, &r->cot, error));
  TRY(open_store(r, options->tuned, options, &r->tuned, error));
  TRY(open_store(r, options->beside, options, &r->beside, error));
  r->first_layer = options->one_based ? 1 : 0;
  if (options->lens) TRY(json_parse_file(options->lens, &r->lens, error));
  TRY(report_paper_tables(r, error));
  TRY(report_strategy_tables(r, error));
  TRY(report_figures(r, error));
  return report_lens_figure(r, error);
}

xt_status xt_report_create(const char *store, const xt_report_options *options, xt_report **out, xt_error *error) {
  xt_report *r;
  *out = NULL;
  TRY(mem_alloc(&r, 1, sizeof *r, error));
  const xt_status status = build(r, store, options ? options : &(xt_report_options){0}, error);
  if (status) xt_report_free(r);
  else *out = r;
  return status;
}

void xt_report_free(xt_report *r) {
  if (!r) return;
  ReportStore *const stores[] = {&r->main, &r->cot, &r->tuned, &r->beside};
  for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
    xt_analysis_free(stores[i]->analysis);
    json_decref(stores[i]->about);
    json_decref(stores[i]->runs);
  }
  for (size_t i = 0; i < r->figure_count; i++) text_buffer_free(&r->figures[i].svg);
  free(r->figures);
  table_list_free(&r->tables);
  json_decref(r->lens);
  arena_free(&r->arena);
  free(r);
}

const xt_analysis *xt_report_analysis(const xt_report *r) { return r->main.analysis; }

/* ---- files ------------------------------------------------------------------------------------ */

static xt_status write_file(const char *directory, const char *name, const char *ending, const TextBuffer *text, xt_error *error) {
  OutFile file = {0};
  char *path;
  const size_t size = strlen(directory) + strlen(name) + strlen(ending) + 3;
  if (text->failed) return err_memory(error, 0);
  TRY(mem_alloc(&path, size, 1, error));
  snprintf(path, size, "%s/%s.%s", directory, name, ending);
  xt_status status = out_file_open(path, &file, error);
  if (!status) status = out_file_write(&file, text->data, text->size, error);
  if (!status) status = out_file_commit(&file, error);
  out_file_discard(&file);
  free(path);
  return status;
}

static xt_status write_figure(const char *directory, const ReportFigure *figure, xt_error *error) {
  TextBuffer whole = {0};
  text_buffer_add_text(&whole, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
  text_buffer_add(&whole, figure->svg.data, figure->svg.size);
  const xt_status status = write_file(directory, figure->id, "svg", &whole, error);
  text_buffer_free(&whole);
  return status;
}

static xt_status write_table(const char *directory, const Table *table, xt_error *error) {
  TextBuffer csv = {0}, latex = {0};
  table_to_csv(table, &csv);
  xt_status status = write_file(directory, table->id, "csv", &csv, error);
  if (!table->data) table_to_latex(table, &latex);
  if (!status && !table->data) status = write_file(directory, table->id, "tex", &latex, error);
  text_buffer_free(&csv);
  text_buffer_free(&latex);
  return status;
}

xt_status xt_report_write(const xt_report *r, const char *directory, xt_error *error) {
  TextBuffer json = {0}, page = {0};
  xt_status status;
  TRY_DONE(report_to_json(r, &json, error));
  TRY_DONE(report_to_page(r, &page, error));
  if (mkdir(directory, 0777) != 0 && errno != EEXIST) TRY_DONE(err_io(error, directory, "cannot make the folder"));
  for (size_t i = 0; i < r->tables.count; i++) TRY_DONE(write_table(directory, r->tables.tables[i], error));
  for (size_t i = 0; i < r->figure_count; i++) TRY_DONE(write_figure(directory, &r->figures[i], error));
  TRY_DONE(write_file(directory, "report", "json", &json, error));
  TRY_DONE(write_file(directory, "report", "html", &page, error));
done:
  text_buffer_free(&json);
  text_buffer_free(&page);
  return status;
}

xt_status xt_report_text(const xt_report *r, const char *table, char **text, size_t *length, xt_error *error) {
  TextBuffer out = {0};
  for (size_t i = 0; i < r->tables.count; i++) {
    if (r->tables.tables[i]->data || (table && strcmp(r->tables.tables[i]->id, table) != 0)) continue;
    if (out.size) text_buffer_add_text(&out, "\n");
    table_to_text(r->tables.tables[i], &out);
  }
  if (out.failed) {
    text_buffer_free(&out);
    return err_memory(error, 0);
  }
  *text = out.data;
  *length = out.size;
  return XT_STATUS_OK;
}

void xt_report_text_free(char *text) { free(text); }
