/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: the template with its places filled in; page_data.c packs the responses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "report/assets.h"
#include "report/escape.h"
#include "report/report_parts.h"

/* ---- the places of the template -------------------------------------------------------------- */

static void add_figures(const xt_report *r, const char *section, TextBuffer *out) {
  for (size_t i = 0; i < r->figure_count; i++) {
    const ReportFigure *f = &r->figures[i];
    if (strcmp(f->section, section) != 0) continue;
    text_buffer_format(out, "<figure class=\"drawing\" id=\"%s\"><figcaption>", f->id);
    escape_html(out, f->title);
    text_buffer_add_text(out, " <span>");
    escape_html(out, f->note);
    text_buffer_add_text(out, "</span></figcaption><div class=\"scroll\" tabindex=\"0\">");
    text_buffer_add(out, f->svg.data, f->svg.size);
    text_buffer_add_text(out, "</div></figure>\n");
  }
}

static void add_tables(const xt_report *r, TextBuffer *out) {
  for (size_t i = 0; i < r->tables.count; i++)
    if (!r->tables.tables[i]->data) table_to_html(r->tables.tables[i], out);
}

static void add_fact(TextBuffer *out, const char *name, const char *value) {
  text_buffer_add_text(out, "<div><dt>");
  escape_html(out, name);
  text_buffer_add_text(out, "</dt><dd>");
  escape_html(out, value);
  text_buffer_add_text(out, "</dd></div>");
}

/* 716800 as "716,800". */
static const char *grouped(json_int_t value, char out[32]) {
  char plain[24];
  const int n = snprintf(plain, sizeof plain, "%lld", (long long)value);
  size_t to = 0;
  for (int i = 0; i < n; i++) {
    if (i && (n - i) % 3 == 0 && plain[i - 1] != '-') out[to++] = ',';
    out[to++] = plain[i];
  }
  out[to] = 0;
  return out;
}

/* The list of what the report lacks, below its tables. */
static void add_lacks(const xt_report *r, TextBuffer *out) {
  if (!r->lack_count) return;
  text_buffer_add_text(
      out, "<details class=\"rest\"><summary>Not in this report, and what adds it</summary><ul>");
  for (size_t i = 0; i < r->lack_count; i++) {
    text_buffer_add_text(out, "<li>");
    escape_html(out, r->lacks[i].what);
    text_buffer_add_text(out, ": ");
    escape_html(out, r->lacks[i].how);
    text_buffer_add_text(out, "</li>\n");
  }
  text_buffer_add_text(out, "</ul></details>");
}

static void add_facts(const xt_report *r, TextBuffer *out) {
  static const char *const counts[][2] = {{"questions", "questions"},
                                          {"responses", "responses"},
                                          {"texts", "distinct texts"},
                                          {"layers", "layers"}};
  char text[32];
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    add_fact(out, counts[i][1],
             grouped(json_integer_value(json_object_get(r->main.about, counts[i][0])), text));
  add_fact(out, "compute", json_string_value(json_object_get(r->main.about, "compute")));
}

/* A JSON value as nested definition lists. */
static void add_value(TextBuffer *out, const json_t *value, int depth) {
  const char *key;
  json_t *member;
  if (json_is_object(value) && depth < 8) {
    text_buffer_add_text(out, "<dl>");
    json_object_foreach((json_t *)(uintptr_t)value, key, member) {
      text_buffer_add_text(out, "<dt>");
      escape_html(out, key);
      text_buffer_add_text(out, "</dt><dd>");
      add_value(out, member, depth + 1);
      text_buffer_add_text(out, "</dd>");
    }
    text_buffer_add_text(out, "</dl>");
  } else if (json_is_string(value)) {
    escape_html(out, json_string_value(value));
  } else {
    char *text = number_json(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text)
      escape_html(out, text);
    else
      out->failed = true;
    free(text);
  }
}

static void add_provenance(const xt_report *r, TextBuffer *out) {
  static const char *const names[] = {"This store", "CoT", "Fine-tuned", "Beside"};
  const ReportStore *const stores[] = {&r->main, &r->cot, &r->tuned, &r->beside};
  for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
    size_t k;
    json_t *run;
    if (!stores[i]->analysis) continue;
    text_buffer_format(out, "<details%s><summary>%s</summary>", i ? "" : " open", names[i]);
    add_value(out, stores[i]->about, 0);
    json_array_foreach(stores[i]->runs, k, run) {
      text_buffer_format(out, "<details><summary>Run %zu, begun ", k + 1);
      escape_html(out, json_string_value(json_object_get(run, "started")));
      text_buffer_add_text(out, "</summary>");
      add_value(out, json_object_get(run, "provenance"), 0);
      text_buffer_add_text(out, "</details>");
    }
    text_buffer_add_text(out, "</details>\n");
  }
}

/* The text between the tags of the page's style or script. */
static void add_asset(TextBuffer *out, bool script) {
  if (script) {
    text_buffer_add(out, asset_page_measures_js, asset_page_measures_js_size);
    text_buffer_add(out, asset_page_maps_js, asset_page_maps_js_size);
    text_buffer_add(out, asset_page_compare_js, asset_page_compare_js_size);
    text_buffer_add(out, asset_page_js, asset_page_js_size);
  } else
    text_buffer_add(out, asset_page_css, asset_page_css_size);
}

static void add_hash(TextBuffer *out, bool script) {
  TextBuffer text = {0};
  char hash[ESCAPE_CSP_SIZE];
  add_asset(&text, script);
  escape_csp_hash(text.data, text.size, hash);
  text_buffer_add_text(out, hash);
  out->failed = out->failed || text.failed;
  text_buffer_free(&text);
}

/* What is missing, before anything else. */
static void add_coverage(const xt_report *r, TextBuffer *out) {
  const xt_coverage *c = r->main.analysis->coverage;
  for (size_t i = 0; i < xt_coverage_note_count(c); i++) {
    text_buffer_add_text(out, "<p class=\"incomplete\" role=\"alert\">");
    escape_html(out, xt_coverage_note(c, i));
    text_buffer_add_text(out, ".</p>\n");
  }
}

static xt_status add_place(xt_report *r, const char *name, TextBuffer *out, xt_error *error) {
  if (strcmp(name, "css") == 0)
    add_asset(out, false);
  else if (strcmp(name, "js") == 0)
    add_asset(out, true);
  else if (strcmp(name, "css-hash") == 0)
    add_hash(out, false);
  else if (strcmp(name, "js-hash") == 0)
    add_hash(out, true);
  else if (strcmp(name, "model") == 0)
    escape_html(out, r->main.model);
  else if (strcmp(name, "layers-note") == 0)
    text_buffer_add_text(out, report_layers_note(r));
  else if (strcmp(name, "facts") == 0)
    add_facts(r, out);
  else if (strcmp(name, "lacks") == 0)
    add_lacks(r, out);
  else if (strcmp(name, "coverage") == 0)
    add_coverage(r, out);
  else if (strcmp(name, "tables") == 0)
    add_tables(r, out);
  else if (strcmp(name, "provenance") == 0)
    add_provenance(r, out);
  else if (strcmp(name, "data") == 0)
    return report_page_data(r, out, error);
  else
    add_figures(r, name, out);
  return XT_STATUS_OK;
}

xt_status report_to_page(xt_report *r, TextBuffer *out, xt_error *error) {
  const char *at = (const char *)asset_page_html;
  for (const char *place; (place = strstr(at, "{{"));) {
    const char *end = strstr(place, "}}");
    char name[32];
    text_buffer_add(out, at, (size_t)(place - at));
    snprintf(name, sizeof name, "%.*s", (int)(end - place - 2), place + 2);
    TRY(add_place(r, name, out, error));
    at = end + 2;
  }
  text_buffer_add_text(out, at);
  return out->failed ? err_memory(error, 0) : XT_STATUS_OK;
}
