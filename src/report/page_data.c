/* SPDX-License-Identifier: Apache-2.0 */
/* The packed data of the page: <script type="application/octet-stream"> elements that hold base64
 * of zlib streams, which browsers undo by themselves. Numbers in them are little-endian. For group
 * g and site s:
 *
 *   meta     JSON: what page.js says of it
 *   texts    JSON: every response text once
 *   prompts  JSON: every prompt once
 *   files    JSON: the .csv file of each table, and of the numbers behind each drawing, by name
 *   q        [texts] float32: perplexity of each text; NaN: not measured
 *   w        [texts] uint32: index in meta's `spoken`, 2^32 - 1: not known
 *   v<g>     [instances] uint32: text of the untouched run, 2^32 - 1: none
 *   o<g>     [instances] uint32: text of the source prompt's own response; left out where the
 *            store has none
 *   t<g>-<s> [instances][layers * layers] uint32: text of each response, 2^32 - 1: none
 *   m<g>-<s> [instances][layers * layers] uint16: smallest margin of each response in
 *            hundredths, 65534 at most; 65535: none
 *   e<g>-<s> [instances][layers * layers] uint16: entropy of its first token in hundredths of a
 *            nat; 65535: none
 *   r<g>-<s> [instances][words] uint64: bit c is set where configuration c is right
 *   z<g>-<s> [maps][2][languages][layers * layers] float32: of each of the site's maps in meta
 *            (site_maps.h), whose values report.json has, the sums and then the weights
 *
 * Of the other stores of the report, which the page compares maps with (page_compare.c), there are
 * meta, v<g>, t<g>-<s>, r<g>-<s> and z<g>-<s>, each name after "<k>." */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/bits.h"
#include "analysis/site_maps.h"
#include "base/hash.h"
#include "base/mem.h"
#include "report/escape.h"
#include "report/page_parts.h"
#include "report/report_parts.h"

/* ---- JSON by hand: a value per response would be slow as objects ----------------------------- */

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

static void json_string_add(TextBuffer *out, const char *text) {
  json_text_add(out, text, strlen(text));
}

static void json_real_add(TextBuffer *out, double value) {
  if (isfinite(value))
    text_buffer_format(out, "%.6g", value);
  else
    text_buffer_add_text(out, "null");
}

/* ---- prompts, each once ---------------------------------------------------------------------- */

typedef struct Interner {
  TextBuffer json;
  uint32_t *slots; /* 1 + number; 0: free */
  const char **texts;
  size_t slot_count, count, capacity;
} Interner;

static xt_status intern(Interner *in, const char *text, size_t *number, xt_error *error) {
  size_t at = (size_t)hash_fnv(text, strlen(text)) % in->slot_count;
  while (in->slots[at] && strcmp(in->texts[in->slots[at] - 1], text) != 0)
    at = (at + 1) % in->slot_count;
  if (!in->slots[at]) {
    TRY(MEM_GROW(&in->texts, &in->capacity, in->count + 1, error));
    in->texts[in->count++] = text;
    in->slots[at] = (uint32_t)in->count;
    text_buffer_add_text(&in->json, in->count > 1 ? "," : "[");
    json_string_add(&in->json, text);
  }
  *number = in->slots[at] - 1;
  return XT_STATUS_OK;
}

/* ---- languages that texts were identified as, each once -------------------------------------- */

#define SPOKEN_MOST 512
typedef struct Spoken {
  const char *names[SPOKEN_MOST];
  size_t count;
  uint32_t *texts; /* [texts]: index of its language; NOT_KNOWN */
} Spoken;
#define NOT_KNOWN UINT32_MAX

static xt_status spoken_fill(Spoken *s, const xt_analysis *a, xt_error *error) {
  TRY(MEM_ALLOC(&s->texts, a->text_count, error));
  for (size_t i = 0; i < a->text_count; i++) {
    const char *name = a->texts[i].language;
    size_t k = 0;
    s->texts[i] = NOT_KNOWN;
    if (!name) continue;
    while (k < s->count && strcmp(s->names[k], name) != 0) k++;
    if (k == s->count && k < SPOKEN_MOST) s->names[s->count++] = name;
    if (k < s->count) s->texts[i] = (uint32_t)k;
  }
  return XT_STATUS_OK;
}

/* ---- meta ------------------------------------------------------------------------------------ */

/* `prompts` NULL: of a store that is only compared, what scores are made of alone. */
static xt_status instance_meta(TextBuffer *out, const AnalysisGroup *g, Interner *prompts,
                               xt_error *error) {
  text_buffer_add_text(out, ",\"instances\":[");
  for (size_t i = 0; i < g->group.instances; i++) {
    const AnalysisInstance *k = &g->instances[i];
    size_t source, target;
    if (!prompts) {
      text_buffer_format(out, i ? ",[null,null,%d]" : "[null,null,%d]",
                         !k->scored ? 2 : k->vanilla_correct);
      continue;
    }
    TRY(intern(prompts, k->source, &source, error));
    TRY(intern(prompts, k->target, &target, error));
    text_buffer_add_text(out, i ? ",[" : "[");
    json_string_add(out, k->id);
    text_buffer_add_text(out, ",");
    if (k->gold)
      json_string_add(out, k->gold);
    else
      text_buffer_add_text(out, "null");
    text_buffer_format(out, ",%d,%zu,%zu,", !k->scored ? 2 : k->vanilla_correct, source, target);
    json_real_add(out, k->vanilla_text == TEXT_ABSENT ? (double)NAN : (double)k->vanilla_margin);
    text_buffer_add_text(out, ",");
    json_real_add(out, k->vanilla_text == TEXT_ABSENT ? (double)NAN : (double)k->vanilla_entropy);
    text_buffer_add_text(out, "]");
  }
  text_buffer_add_text(out, "]");
  return XT_STATUS_OK;
}

static void maps_meta(TextBuffer *out, const AnalysisSite *site) {
  static const char *const scales[] = {[MAP_SHARE] = "share",
                                       [MAP_POINTS] = "points",
                                       [MAP_SIGNED] = "signed",
                                       [MAP_NUMBER] = "number",
                                       [MAP_LOGARITHM] = "logarithm"};
  text_buffer_add_text(out, ",\"maps\":[");
  for (size_t m = 0; m < site->map_count; m++) {
    const char *const parts[] = {site->maps[m].id, site->maps[m].title, site->maps[m].unit,
                                 scales[site->maps[m].scale]};
    for (size_t p = 0; p < 4; p++) {
      text_buffer_add_text(out, p ? "," : m ? ",[" : "[");
      json_string_add(out, parts[p]);
    }
    text_buffer_add_text(out, "]");
  }
  text_buffer_add_text(out, "]");
}

static void site_meta(TextBuffer *out, const xt_group *g, const xt_site_result *site) {
  static const char *const names[] = {"p", "holm", "bh", "low", "high"};
  text_buffer_add_text(out, "{\"site\":");
  json_string_add(out, site->site);
  text_buffer_add_text(out, ",\"title\":");
  json_string_add(out, report_site_title(site->site));
  if (site->transplant)
    text_buffer_format(out, ",\"transplant\":%zu",
                       (size_t)(report_find_site(g, site->transplant) - g->sites));
  for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
    text_buffer_format(out, ",\"%s\":[", names[f]);
    for (int c = 0; c < g->layers * g->layers; c++) {
      const xt_configuration none = {.p = NAN, .holm = NAN, .bh = NAN, .low = NAN, .high = NAN};
      const xt_configuration *k = site->configurations ? &site->configurations[c] : &none;
      const double values[] = {k->p, k->holm, k->bh, k->low, k->high};
      if (c) text_buffer_add_text(out, ",");
      json_real_add(out, values[f]);
    }
    text_buffer_add_text(out, "]");
  }
}

/* For tasks whose questions are in a data folder; the others are given as pairs. */
static bool is_benchmark(const char *name) {
  const xt_task *task;
  for (size_t t = 0; (task = xt_task_get(t)); t++)
    if (strcmp(task->name, name) == 0) return true;
  return false;
}

static xt_status group_meta(xt_report *r, TextBuffer *out, const AnalysisGroup *group,
                            Interner *prompts, xt_error *error) {
  const xt_group *g = &group->group;
  const bool from = g->benchmark && g->benchmark->direction == XT_DIRECTION_FROM_LANGUAGE;
  text_buffer_add_text(out, "{\"title\":");
  json_string_add(out, report_group_title(r, g));
  text_buffer_add_text(out, ",\"slug\":");
  json_string_add(out, report_slug(r, g));
  text_buffer_add_text(out, ",\"task\":");
  json_string_add(out, g->task);
  text_buffer_format(out, ",\"benchmark\":%s", is_benchmark(g->task) ? "true" : "false");
  text_buffer_format(out, ",\"main\":%d,\"from\":%s,\"languages\":[",
                     g->site_count ? (int)(report_site(g) - g->sites) : 0, from ? "true" : "false");
  for (size_t l = 0; l < g->language_count; l++) {
    text_buffer_add_text(out, l ? ",[" : "[");
    json_string_add(out, g->languages[l].name);
    text_buffer_format(out, ",%d,%zu,%zu]", g->languages[l].level, g->languages[l].first,
                       g->languages[l].count);
  }
  text_buffer_add_text(out, "],\"sites\":[");
  for (size_t s = 0; s < g->site_count; s++) {
    if (s) text_buffer_add_text(out, ",");
    site_meta(out, g, &g->sites[s]);
    maps_meta(out, &group->sites[s]);
    text_buffer_add_text(out, "}");
  }
  text_buffer_add_text(out, "]");
  TRY(instance_meta(out, group, prompts, error));
  text_buffer_add_text(out, "}");
  return XT_STATUS_OK;
}

/* ---- the data -------------------------------------------------------------------------------- */

static xt_status add_texts(const PagePack *out, const xt_analysis *a, xt_error *error) {
  TextBuffer json = {0};
  text_buffer_add_text(&json, "[");
  for (size_t i = 0; i < a->text_count; i++) {
    if (i) text_buffer_add_text(&json, ",");
    if (a->texts[i].text)
      json_text_add(&json, a->texts[i].text, a->texts[i].length);
    else
      text_buffer_add_text(&json, "null");
  }
  text_buffer_add_text(&json, "]");
  const xt_status status =
      json.failed ? err_memory(error, 0) : pack_bytes(out, "texts", json.data, json.size, error);
  text_buffer_free(&json);
  return status;
}

/* Responses without a transplant: to the untouched target prompt and to the source prompt. */
static xt_status add_plain(const PagePack *out, const AnalysisGroup *group, size_t g, bool whole,
                           xt_error *error) {
  const size_t n = group->group.instances;
  char name[48];
  uint32_t *texts;
  bool any = false;
  TRY(MEM_ALLOC(&texts, n, error));
  for (size_t i = 0; i < n; i++) texts[i] = group->instances[i].vanilla_text;
  snprintf(name, sizeof name, "v%zu", g);
  xt_status status = pack_numbers(out, name, texts, 4, n, error);
  for (size_t i = 0; i < n; i++) {
    texts[i] = group->instances[i].source_text;
    any = any || texts[i] != TEXT_ABSENT;
  }
  snprintf(name, sizeof name, "o%zu", g);
  if (!status && any && whole) status = pack_numbers(out, name, texts, 4, n, error);
  free(texts);
  return status;
}

/* `whole`: margins and entropies of each response too, which no map is made of. */
static xt_status add_site(const PagePack *out, const AnalysisGroup *group, size_t g, size_t s,
                          bool whole, xt_error *error) {
  const AnalysisSite *site = &group->sites[s];
  const size_t n = group->group.instances,
               cells = (size_t)(group->group.layers * group->group.layers);
  char name[5][48];
  for (size_t k = 0; k < 5; k++) snprintf(name[k], sizeof *name, "%c%zu-%zu", "trzme"[k], g, s);
  TRY(pack_numbers(out, name[0], site->texts, 4, n * cells, error));
  TRY(pack_numbers(out, name[1], site->right, 8, n * bits_words(cells), error));
  TRY(pack_maps(out, name[2], site, group->group.language_count * cells, error));
  if (!whole) return XT_STATUS_OK;
  TRY(pack_hundredths(out, name[3], site->margins, site->texts, n * cells, error));
  return pack_hundredths(out, name[4], site->entropies, site->texts, n * cells, error);
}

/* `whole`: what no map is made of, too. */
static xt_status add_responses(const PagePack *out, const xt_analysis *a, bool whole,
                               xt_error *error) {
  for (size_t g = 0; g < a->count + a->unscored; g++) { /* groups that cannot be scored come last */
    TRY(add_plain(out, &a->groups[g], g, whole, error));
    for (size_t s = 0; s < a->groups[g].site_count; s++)
      TRY(add_site(out, &a->groups[g], g, s, whole, error));
  }
  return XT_STATUS_OK;
}

/* Perplexities and languages of the texts, if any were measured. */
static xt_status add_measures(const PagePack *out, const xt_analysis *a, const Spoken *spoken,
                              xt_error *error) {
  uint32_t *values;
  TRY(MEM_ALLOC(&values, a->text_count, error));
  for (size_t i = 0; i < a->text_count; i++) {
    const float perplexity = (float)exp(a->texts[i].nll); /* NaN: not known */
    memcpy(&values[i], &perplexity, sizeof perplexity);
  }
  xt_status status =
      a->has_perplexity ? pack_numbers(out, "q", values, 4, a->text_count, error) : XT_STATUS_OK;
  free(values);
  if (!status && a->has_language)
    status = pack_numbers(out, "w", spoken->texts, 4, a->text_count, error);
  return status;
}

/* Every .csv of the report, for the page's buttons. */
static xt_status add_files(const xt_report *r, const PagePack *out, xt_error *error) {
  TextBuffer json = {0};
  for (size_t i = 0; i < r->tables.count; i++) {
    TextBuffer csv = {0};
    table_to_csv(r->tables.tables[i], &csv);
    text_buffer_add_text(&json, i ? "," : "{");
    json_string_add(&json, r->tables.tables[i]->id);
    text_buffer_add_text(&json, ":");
    json_text_add(&json, csv.data ? csv.data : "", csv.size);
    json.failed = json.failed || csv.failed;
    text_buffer_free(&csv);
  }
  text_buffer_add_text(&json, r->tables.count ? "}" : "{}");
  const xt_status status =
      json.failed ? err_memory(error, 0) : pack_bytes(out, "files", json.data, json.size, error);
  text_buffer_free(&json);
  return status;
}

/* `spoken` NULL: of a store that is only compared. */
static void meta_head(const ReportStore *store, int first_layer, const Spoken *spoken,
                      TextBuffer *out) {
  const xt_analysis *a = store->analysis;
  text_buffer_format(out,
                     "{\"layers\":%d,\"first\":%d,\"confidence\":%g,\"tokens\":%lld,"
                     "\"perplexity\":%s,\"language\":%s,\"compute\":",
                     a->layers, first_layer, a->options.confidence,
                     (long long)json_integer_value(json_object_get(store->about, "max_new_tokens")),
                     a->has_perplexity ? "true" : "false", a->has_language ? "true" : "false");
  json_string_add(out, json_string_value(json_object_get(store->about, "compute")));
  text_buffer_add_text(out, ",\"model\":");
  json_string_add(out, store->model);
  text_buffer_add_text(out, ",\"spoken\":[");
  for (size_t k = 0; spoken && k < spoken->count; k++) {
    if (k) text_buffer_add_text(out, ",");
    json_string_add(out, spoken->names[k]);
  }
  text_buffer_add_text(out, "],");
}

/* What the page can compare with: each store's name, and the beginning of its data's names. */
static void stores_meta(const Compared *c, TextBuffer *out) {
  text_buffer_add_text(out, "\"stores\":[");
  for (size_t k = 0; k < c->count; k++) {
    text_buffer_format(out, "%s[\"%s\",", k ? "," : "", c->prefixes[k]);
    json_string_add(out, c->labels[k]);
    text_buffer_add_text(out, "]");
  }
  text_buffer_add_text(out, "],\"large\":[");
  for (size_t k = 0; k < c->large_count; k++) {
    if (k) text_buffer_add_text(out, ",");
    json_string_add(out, c->large[k]);
  }
  text_buffer_add_text(out, "],");
}

static xt_status add_meta(xt_report *r, const ReportStore *store, const Compared *compared,
                          const PagePack *out, const Spoken *spoken, Interner *prompts,
                          xt_error *error) {
  const xt_analysis *a = store->analysis;
  TextBuffer meta = {0};
  xt_status status = XT_STATUS_OK;
  meta_head(store, r->first_layer, spoken, &meta);
  if (compared) stores_meta(compared, &meta);
  text_buffer_add_text(&meta, "\"groups\":[");
  for (size_t g = 0; g < a->count + a->unscored && !status; g++) {
    if (g) text_buffer_add_text(&meta, ",");
    status = group_meta(r, &meta, &a->groups[g], prompts, error);
  }
  text_buffer_add_text(&meta, "]}");
  if (!status)
    status =
        meta.failed ? err_memory(error, 0) : pack_bytes(out, "meta", meta.data, meta.size, error);
  text_buffer_free(&meta);
  return status;
}

/* A store that is only compared: what its maps are made of. */
static xt_status add_compared(xt_report *r, const ReportStore *store, const PagePack *out,
                              xt_error *error) {
  TRY(add_meta(r, store, NULL, out, NULL, NULL, error));
  return add_responses(out, store->analysis, false, error);
}

static xt_status add_main(xt_report *r, const Compared *compared, const PagePack *out,
                          xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  Interner prompts = {0};
  Spoken spoken = {0};
  xt_status status;
  for (size_t g = 0; g < a->count + a->unscored; g++)
    prompts.slot_count += 4 * a->groups[g].group.instances;
  prompts.slot_count += 1;
  TRY_DONE(MEM_ALLOC(&prompts.slots, prompts.slot_count, error));
  TRY_DONE(spoken_fill(&spoken, a, error));
  TRY_DONE(add_meta(r, &r->main, compared, out, &spoken, &prompts, error));
  text_buffer_add_text(&prompts.json, prompts.count ? "]" : "[]");
  if (prompts.json.failed) TRY_DONE(err_memory(error, 0));
  TRY_DONE(pack_bytes(out, "prompts", prompts.json.data, prompts.json.size, error));
  TRY_DONE(add_texts(out, a, error));
  TRY_DONE(add_measures(out, a, &spoken, error));
  TRY_DONE(add_files(r, out, error));
  TRY_DONE(add_responses(out, a, true, error));
done:
  text_buffer_free(&prompts.json);
  free(spoken.texts);
  free(prompts.slots);
  free(prompts.texts);
  return status;
}

xt_status report_page_data(xt_report *r, TextBuffer *out, xt_error *error) {
  Compared compared;
  report_page_compared(r, &compared);
  TRY(add_main(r, &compared, &(PagePack){out, compared.prefixes[0]}, error));
  for (size_t k = 1; k < compared.count; k++)
    TRY(add_compared(r, compared.stores[k], &(PagePack){out, compared.prefixes[k]}, error));
  return XT_STATUS_OK;
}
