/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: the template with its places filled, and the responses packed beside.
 *
 * Packed data are <script type="application/octet-stream"> elements that hold base64 of zlib streams, which browsers undo by
 * themselves. Numbers in them are little-endian. For group g and site s:
 *
 *   meta     JSON: what page.js says of it
 *   texts    JSON: every response text once
 *   prompts  JSON: every prompt once
 *   v<g>     [instances] uint32: text of the untouched run, 2^32 - 1: none
 *   t<g>-<s> [instances][layers * layers] uint32: text of each response, 2^32 - 1: none
 *   r<g>-<s> [instances][words] uint64: bit c is set where configuration c is right */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "analysis/bits.h"
#include "analysis/levels.h"
#include "base/mem.h"
#include "report/assets.h"
#include "report/escape.h"
#include "report/report_parts.h"

/* ---- packing ---------------------------------------------------------------------------------- */

static xt_status add_packed(TextBuffer *out, const char *name, const void *bytes, size_t size, xt_error *error) {
  uLongf packed_size = compressBound((uLong)size);
  unsigned char *packed;
  TRY(mem_alloc(&packed, packed_size, 1, error));
  const int code = compress2(packed, &packed_size, bytes, (uLong)size, 6);
  if (code != Z_OK) {
    free(packed);
    return err_memory(error, packed_size);
  }
  text_buffer_format(out, "<script type=\"application/octet-stream\" id=\"x-%s\">", name);
  escape_base64(out, packed, packed_size);
  text_buffer_add_text(out, "</script>\n");
  free(packed);
  return out->failed ? err_memory(error, 0) : XT_STATUS_OK;
}

static void put_le(unsigned char *out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out[i] = (unsigned char)(value >> (8 * i));
}

static xt_status add_numbers32(TextBuffer *out, const char *name, const uint32_t *values, size_t count, xt_error *error) {
  unsigned char *bytes;
  TRY(mem_alloc(&bytes, count, 4, error));
  for (size_t i = 0; i < count; i++) put_le(bytes + 4 * i, values[i], 4);
  const xt_status status = add_packed(out, name, bytes, 4 * count, error);
  free(bytes);
  return status;
}

static xt_status add_numbers64(TextBuffer *out, const char *name, const uint64_t *values, size_t count, xt_error *error) {
  unsigned char *bytes;
  TRY(mem_alloc(&bytes, count, 8, error));
  for (size_t i = 0; i < count; i++) put_le(bytes + 8 * i, values[i], 8);
  const xt_status status = add_packed(out, name, bytes, 8 * count, error);
  free(bytes);
  return status;
}

/* ---- JSON by hand: a value a response would be slow as objects ---------------------------------- */

static void json_text_add(TextBuffer *out, const char *text, size_t length) {
  size_t from = 0;
  text_buffer_add_text(out, "\"");
  for (size_t i = 0; i <= length; i++) {
    const unsigned char c = i < length ? (unsigned char)text[i] : 0;
    if (i < length && c >= ' ' && c != '"' && c != '\\') continue;
    text_buffer_add(out, text + from, i - from);
    from = i + 1;
    if (i < length) text_buffer_format(out, "\\u%04x", c);
  }
  text_buffer_add_text(out, "\"");
}

static void json_string_add(TextBuffer *out, const char *text) { json_text_add(out, text, strlen(text)); }

static void json_real_add(TextBuffer *out, double value) {
  if (isfinite(value)) text_buffer_format(out, "%.6g", value);
  else text_buffer_add_text(out, "null");
}

/* ---- prompts, each once ----------------------------------------------------------------------- */

typedef struct Interner {
  TextBuffer json;
  uint32_t *slots; /* 1 + number; 0: free */
  const char **texts;
  size_t slot_count, count, capacity;
} Interner;

static uint64_t text_hash(const char *text) { /* FNV-1a */
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
  return hash;
}

static xt_status intern(Interner *in, const char *text, size_t *number, xt_error *error) {
  size_t at = (size_t)text_hash(text) % in->slot_count;
  while (in->slots[at] && strcmp(in->texts[in->slots[at] - 1], text) != 0) at = (at + 1) % in->slot_count;
  if (!in->slots[at]) {
    TRY(mem_grow(&in->texts, &in->capacity, in->count + 1, sizeof *in->texts, error));
    in->texts[in->count++] = text;
    in->slots[at] = (uint32_t)in->count;
    text_buffer_add_text(&in->json, in->count > 1 ? "," : "[");
    json_string_add(&in->json, text);
  }
  *number = in->slots[at] - 1;
  return XT_STATUS_OK;
}

/* ---- meta ------------------------------------------------------------------------------------- */

static xt_status instance_meta(TextBuffer *out, const AnalysisGroup *g, Interner *prompts, xt_error *error) {
  text_buffer_add_text(out, ",\"instances\":[");
  for (size_t i = 0; i < g->group.instances; i++) {
    const AnalysisInstance *k = &g->instances[i];
    size_t source, target;
    TRY(intern(prompts, k->source, &source, error));
    TRY(intern(prompts, k->target, &target, error));
    text_buffer_add_text(out, i ? ",[" : "[");
    json_string_add(out, k->id);
    text_buffer_add_text(out, ",");
    if (k->gold) json_string_add(out, k->gold);
    else text_buffer_add_text(out, "null");
    text_buffer_format(out, ",%d,%zu,%zu]", !k->scored ? 2 : k->vanilla_correct, source, target);
  }
  text_buffer_add_text(out, "]");
  return XT_STATUS_OK;
}

static void site_meta(TextBuffer *out, const xt_group *g, const xt_site_result *site) {
  static const char *const names[] = {"p", "holm", "bh", "low", "high"};
  text_buffer_add_text(out, "{\"site\":");
  json_string_add(out, site->site);
  text_buffer_add_text(out, ",\"title\":");
  json_string_add(out, report_site_title(site->site));
  for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
    text_buffer_format(out, ",\"%s\":[", names[f]);
    for (int c = 0; c < g->layers * g->layers; c++) {
      const xt_configuration *k = &site->configurations[c];
      const double values[] = {k->p, k->holm, k->bh, k->low, k->high};
      if (c) text_buffer_add_text(out, ",");
      json_real_add(out, values[f]);
    }
    text_buffer_add_text(out, "]");
  }
  text_buffer_add_text(out, "}");
}

static xt_status group_meta(xt_report *r, TextBuffer *out, const AnalysisGroup *group, Interner *prompts, xt_error *error) {
  const xt_group *g = &group->group;
  text_buffer_add_text(out, "{\"title\":");
  json_string_add(out, report_group_title(r, g));
  text_buffer_add_text(out, ",\"slug\":");
  json_string_add(out, report_slug(r, g));
  text_buffer_format(out, ",\"main\":%d,\"from\":%s,\"languages\":[", g->site_count ? (int)(report_site(g) - g->sites) : 0,
                     g->benchmark && g->benchmark->direction == XT_DIRECTION_FROM_LANGUAGE ? "true" : "false");
  for (size_t l = 0; l < g->language_count; l++) {
    text_buffer_add_text(out, l ? ",[" : "[");
    json_string_add(out, g->languages[l].name);
    text_buffer_format(out, ",%d,%zu,%zu]", g->languages[l].level, g->languages[l].first, g->languages[l].count);
  }
  text_buffer_add_text(out, "],\"sites\":[");
  for (size_t s = 0; s < g->site_count; s++) {
    if (s) text_buffer_add_text(out, ",");
    site_meta(out, g, &g->sites[s]);
  }
  text_buffer_add_text(out, "]");
  TRY(instance_meta(out, group, prompts, error));
  text_buffer_add_text(out, "}");
  return XT_STATUS_OK;
}

/* ---- the data --------------------------------------------------------------------------------- */

static xt_status add_texts(TextBuffer *out, const xt_analysis *a, xt_error *error) {
  TextBuffer json = {0};
  text_buffer_add_text(&json, "[");
  for (size_t i = 0; i < a->text_count; i++) {
    if (i) text_buffer_add_text(&json, ",");
    if (a->texts[i].text) json_text_add(&json, a->texts[i].text, a->texts[i].length);
    else text_buffer_add_text(&json, "null");
  }
  text_buffer_add_text(&json, "]");
  const xt_status status = json.failed ? err_memory(error, 0) : add_packed(out, "texts", json.data, json.size, error);
  text_buffer_free(&json);
  return status;
}

static xt_status add_responses(TextBuffer *out, const xt_analysis *a, xt_error *error) {
  char name[48];
  for (size_t g = 0; g < a->count; g++) {
    const AnalysisGroup *group = &a->groups[g];
    const size_t n = group->group.instances, cells = (size_t)a->cells;
    uint32_t *vanilla;
    TRY(mem_alloc(&vanilla, n, sizeof *vanilla, error));
    for (size_t i = 0; i < n; i++) vanilla[i] = group->instances[i].vanilla_text;
    snprintf(name, sizeof name, "v%zu", g);
    const xt_status status = add_numbers32(out, name, vanilla, n, error);
    free(vanilla);
    if (status) return status;
    for (size_t s = 0; s < group->site_count; s++) {
      snprintf(name, sizeof name, "t%zu-%zu", g, s);
      TRY(add_numbers32(out, name, group->sites[s].texts, n * cells, error));
      snprintf(name, sizeof name, "r%zu-%zu", g, s);
      TRY(add_numbers64(out, name, group->sites[s].right, n * bits_words(cells), error));
    }
  }
  return XT_STATUS_OK;
}

static xt_status add_data(xt_report *r, TextBuffer *out, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  TextBuffer meta = {0};
  Interner prompts = {0};
  xt_status status;
  for (size_t g = 0; g < a->count; g++) prompts.slot_count += 4 * a->groups[g].group.instances;
  prompts.slot_count += 1;
  TRY_DONE(mem_alloc(&prompts.slots, prompts.slot_count, sizeof *prompts.slots, error));
  text_buffer_format(&meta, "{\"layers\":%d,\"first\":%d,\"confidence\":%g,\"model\":", a->layers, r->first_layer, a->options.confidence);
  json_string_add(&meta, r->main.model);
  text_buffer_add_text(&meta, ",\"groups\":[");
  for (size_t g = 0; g < a->count; g++) {
    if (g) text_buffer_add_text(&meta, ",");
    TRY_DONE(group_meta(r, &meta, &a->groups[g], &prompts, error));
  }
  text_buffer_add_text(&meta, "]}");
  text_buffer_add_text(&prompts.json, prompts.count ? "]" : "[]");
  if (meta.failed || prompts.json.failed) TRY_DONE(err_memory(error, 0));
  TRY_DONE(add_packed(out, "meta", meta.data, meta.size, error));
  TRY_DONE(add_packed(out, "prompts", prompts.json.data, prompts.json.size, error));
  TRY_DONE(add_texts(out, a, error));
  TRY_DONE(add_responses(out, a, error));
done:
  text_buffer_free(&meta);
  text_buffer_free(&prompts.json);
  free(prompts.slots);
  free(prompts.texts);
  return status;
}

/* ---- the places of the template ---------------------------------------------------------------- */

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

static void add_facts(const xt_report *r, TextBuffer *out) {
  static const char *const counts[][2] = {{"questions", "questions"}, {"responses", "responses"}, {"texts", "distinct texts"}, {"layers", "layers"}};
  char text[32];
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    add_fact(out, counts[i][1], grouped(json_integer_value(json_object_get(r->main.about, counts[i][0])), text));
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
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text) escape_html(out, text);
    else out->failed = true;
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

static void add_hash(TextBuffer *out, const unsigned char *bytes, size_t size) {
  char hash[ESCAPE_CSP_SIZE];
  escape_csp_hash(bytes, size, hash);
  text_buffer_add_text(out, hash);
}

static xt_status add_place(xt_report *r, const char *name, TextBuffer *out, xt_error *error) {
  if (strcmp(name, "css") == 0) text_buffer_add(out, asset_page_css, asset_page_css_size);
  else if (strcmp(name, "js") == 0) text_buffer_add(out, asset_page_js, asset_page_js_size);
  else if (strcmp(name, "css-hash") == 0) add_hash(out, asset_page_css, asset_page_css_size);
  else if (strcmp(name, "js-hash") == 0) add_hash(out, asset_page_js, asset_page_js_size);
  else if (strcmp(name, "model") == 0) escape_html(out, r->main.model);
  else if (strcmp(name, "layers-note") == 0) text_buffer_add_text(out, report_layers_note(r));
  else if (strcmp(name, "facts") == 0) add_facts(r, out);
  else if (strcmp(name, "tables") == 0) add_tables(r, out);
  else if (strcmp(name, "provenance") == 0) add_provenance(r, out);
  else if (strcmp(name, "data") == 0) return add_data(r, out, error);
  else add_figures(r, name, out);
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
