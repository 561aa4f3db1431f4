/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/plan_input.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "inputs/lines.h"
#include "shell/output.h"

#define PLAN_BYTES_MOST ((size_t)1 << 20)

/* Where in a file something is: an intervention, by its name or by its number, and one of its
 * writes. */
typedef struct Place {
  const char *file, *name;
  size_t entry, write; /* from 1; 0: none */
} Place;

/* An error at the place's `key`, as "late: write 2: site"; NULL: at none. */
static xt_status wrong(const Place *at, const char *key, xt_error *error, const char *format, ...) {
  char field[160], message[400];
  int n = at->name    ? snprintf(field, sizeof field, "%s", at->name)
          : at->entry ? snprintf(field, sizeof field, "intervention %zu", at->entry)
                      : snprintf(field, sizeof field, "%s", key ? key : "");
  if (at->write) n += snprintf(field + n, sizeof field - (size_t)n, ": write %zu", at->write);
  if (key && at->entry) snprintf(field + n, sizeof field - (size_t)n, ": %.64s", key);
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  return error_set(error, XT_STATUS_INPUT, at->file, field[0] ? field : NULL, -1, "%s", message);
}

/* Refuses keys other than those of a list that ends with NULL. */
static xt_status check_keys(const Place *at, json_t *object, const char *const *keys,
                            const char *allowed, xt_error *error) {
  const char *key;
  json_t *value;
  if (!json_is_object(object)) return wrong(at, NULL, error, "is not an object with %s", allowed);
  json_object_foreach(object, key, value) {
    size_t k = 0;
    while (keys[k] && strcmp(keys[k], key) != 0) k++;
    if (!keys[k]) return wrong(at, key, error, "is no key of it; it has %s", allowed);
  }
  return XT_STATUS_OK;
}

/* ---- writes ---------------------------------------------------------------------------------- */

/* "i", "i+2", "j-1"; false: it is none. */
static bool parse_relative(const char *text, xt_layer_base *base, int *out) {
  char *end;
  if (*text != 'i' && *text != 'j') return false;
  *base = *text == 'i' ? XT_LAYER_SOURCE : XT_LAYER_TARGET;
  *out = 0;
  if (!text[1]) return true;
  if ((text[1] != '+' && text[1] != '-') || text[2] < '0' || text[2] > '9') return false;
  const long offset = strtol(text + 1, &end, 10);
  *out = offset > 10000 ? 10000 : offset < -10000 ? -10000 : (int)offset;
  return !*end;
}

/* Without `needed`, an absent one is left as it is. */
static xt_status read_layer(const Place *at, json_t *object, const char *key, bool needed,
                            xt_layer_base *base, int *out, xt_error *error) {
  const json_t *value = json_object_get(object, key);
  const json_int_t layer = json_integer_value(value);
  if (!value && !needed) return XT_STATUS_OK;
  if (!value) return wrong(at, key, error, "is missing");
  *base = XT_LAYER_FIXED;
  if (json_is_string(value) && parse_relative(json_string_value(value), base, out))
    return XT_STATUS_OK;
  if (!json_is_integer(value) || layer < 0 || layer > INT_MAX)
    return wrong(at, key, error, "is neither the number of a layer, from 0 on, nor like \"i+2\"");
  *out = (int)layer;
  return XT_STATUS_OK;
}

static xt_status read_site(const Place *at, json_t *object, xt_site *out, xt_error *error) {
  const json_t *value = json_object_get(object, "site");
  xt_error why;
  if (!json_is_string(value))
    return wrong(at, "site", error, "is missing, or not the name of a site such as attn+add2");
  if (xt_site_parse(json_string_value(value), out, &why))
    return wrong(at, "site", error, "%.380s", why.message);
  if (out->from != XT_FROM_SOURCE)
    return wrong(at, "site", error, "names what is written; a vector has the key vector");
  if (out->control > XT_CONTROL_SELF)
    return wrong(at, "site", error, "has a control other than self, which only sweeps draw");
  if (writes_heads(out) && (out->read != XT_TAP_ATTN || out->write != XT_TAP_ATTN))
    return wrong(at, "site", error, "has attention heads, which only attn is made of");
  return XT_STATUS_OK;
}

static xt_status read_write(const Place *at, json_t *object, xt_plan_write *out, PlanVector *v,
                            xt_error *error) {
  static const char *const keys[] = {"site", "source_layer", "target_layer", "vector", NULL};
  const json_t *vector = json_object_get(object, "vector");
  xt_status status;
  TRY_DONE(
      check_keys(at, object, keys, "site, source_layer, target_layer and perhaps vector", error));
  TRY_DONE(read_site(at, object, &out->site, error));
  TRY_DONE(read_layer(at, object, "target_layer", true, &out->target_base, &out->target, error));
  out->source_base = out->target_base;
  out->source = out->target;
  TRY_DONE(read_layer(at, object, "source_layer", !vector, &out->source_base, &out->source, error));
  if (!vector) return XT_STATUS_OK;
  if (!json_is_string(vector))
    return wrong(at, "vector", error, "is not the name of a file, FILE or FILE:NAME");
  if (out->site.control || writes_heads(&out->site))
    return wrong(at, "vector", error, "cannot be with attention heads or +self");
  v->file = strdup(json_string_value(vector));
  if (!v->file) return error_memory(error);
done:
  return status;
}

/* ---- interventions --------------------------------------------------------------------------- */

static xt_status read_name(const Plan *plan, const Place *at, json_t *object, PlanEntry *out,
                           xt_error *error) {
  const json_t *value = json_object_get(object, "name");
  const char *name = json_is_string(value) ? json_string_value(value) : "";
  const size_t length = strlen(name);
  if (!length || length >= sizeof out->name ||
      strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != length)
    return wrong(at, "name", error,
                 "is missing, or not a name of 1 to %zu letters, digits, '.', '_' and '-'",
                 sizeof out->name - 1);
  for (size_t k = 0; k < plan->count; k++)
    if (strcmp(plan->entries[k].name, name) == 0)
      return wrong(at, "name", error, "'%s' is that of intervention %zu, too", name, k + 1);
  strcpy(out->name, name);
  return XT_STATUS_OK;
}

static xt_status read_entry(Plan *plan, json_t *object, xt_error *error) {
  static const char *const keys[] = {"name", "writes", NULL};
  PlanEntry *entry = &plan->entries[plan->count];
  Place at = {.file = plan->file, .entry = plan->count + 1};
  xt_status status;
  TRY_DONE(check_keys(&at, object, keys, "name and writes", error));
  TRY_DONE(read_name(plan, &at, object, entry, error));
  plan->count++;
  at.name = entry->name;
  json_t *writes = json_object_get(object, "writes");
  const size_t count = json_array_size(writes); /* 0 of what is no list */
  if (!count || count > XT_PLAN_WRITES_MOST)
    return wrong(&at, "writes", error, "is not a list of 1 to %d transplants", XT_PLAN_WRITES_MOST);
  entry->writes = calloc(count, sizeof *entry->writes);
  entry->vectors = calloc(count, sizeof *entry->vectors);
  if (!entry->writes || !entry->vectors) return error_memory(error);
  for (; entry->count < count && !status; entry->count++) {
    at.write = entry->count + 1;
    status = read_write(&at, json_array_get(writes, entry->count), &entry->writes[entry->count],
                        &entry->vectors[entry->count], error);
  }
done:
  return status;
}

static xt_status read_entries(Plan *plan, json_t *list, xt_error *error) {
  const Place at = {.file = plan->file};
  const size_t count = json_array_size(list);
  xt_status status = XT_STATUS_OK;
  if (!count || count > SITE_LIST_MAX)
    return wrong(&at, NULL, error, "is not a list of 1 to %d interventions", SITE_LIST_MAX);
  for (size_t k = 0; k < count && !status; k++)
    status = read_entry(plan, json_array_get(list, k), error);
  return status;
}

xt_status plan_read(const char *path, Plan *out, xt_error *error) {
  json_error_t why;
  json_t *list = NULL;
  char *text = NULL;
  size_t length;
  xt_status status;
  *out = (Plan){.file = input_name(path)};
  TRY_DONE(read_whole(path, &text, &length, error));
  if (length > PLAN_BYTES_MOST)
    TRY_DONE(error_set(error, XT_STATUS_INPUT, out->file, NULL, -1,
                       "is larger than 1 MiB, the most of a plan"));
  list = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
  if (!list)
    TRY_DONE(error_set(error, XT_STATUS_INPUT, out->file, NULL, why.position, "is not JSON: %s",
                       why.text));
  TRY_DONE(read_entries(out, list, error));
done:
  json_decref(list);
  free(text);
  if (status) plan_deinit(out);
  return status;
}

void plan_deinit(Plan *plan) {
  for (size_t e = 0; e < plan->count; e++) {
    for (size_t k = 0; k < plan->entries[e].count; k++) {
      free(plan->entries[e].vectors[k].file);
      vector_input_deinit(&plan->entries[e].vectors[k].vector);
    }
    free(plan->entries[e].vectors);
    free(plan->entries[e].writes);
  }
  *plan = (Plan){0};
}

/* ---- with a model ---------------------------------------------------------------------------- */

static xt_status check_layer(const Place *at, const char *key, xt_layer_base base, int layer,
                             int layers, xt_error *error) {
  if (base != XT_LAYER_FIXED) {
    if (layer > -layers && layer < layers) return XT_STATUS_OK;
    return wrong(at, key, error, "is never a layer of this model, which has layers 0 to %d",
                 layers - 1);
  }
  if (layer < layers) return XT_STATUS_OK;
  return wrong(at, key, error, "layer %d is out of range: this model has layers 0 to %d", layer,
               layers - 1);
}

static xt_status read_vector(const Place *at, xt_plan_write *w, PlanVector *v,
                             const xt_model_info *info, xt_error *error) {
  const float *value;
  xt_error why;
  const xt_status status = vector_input_read(v->file, info, &v->vector, error);
  if (status) return status;
  for (int k = 0; k < (w->site.span ? w->site.span : 1) && !w->source_base &&
                  w->source + k < info->layers && (w->target_base || w->target + k < info->layers);
       k++)
    if (vector_input_at(&v->vector, v->file, w->source + k, &value, &why))
      return wrong(at, "source_layer", error, "%.200s has no vector for layer %d", v->file,
                   w->source + k);
  for (int l = 0; l < info->layers && w->source_base; l++)
    if (vector_input_at(&v->vector, v->file, l, &value, &why))
      return wrong(at, "source_layer", error, "%.200s has no vector for layer %d", v->file, l);
  w->site.from = XT_FROM_VECTOR;
  w->vector = v->vector.values;
  strcpy(w->site.label, v->vector.label);
  return XT_STATUS_OK;
}

static xt_status check_write(const Place *at, xt_plan_write *w, PlanVector *v,
                             const xt_model_info *info, bool source, xt_error *error) {
  xt_error why;
  xt_status status;
  TRY_DONE(check_layer(at, "source_layer", w->source_base, w->source, info->layers, error));
  TRY_DONE(check_layer(at, "target_layer", w->target_base, w->target, info->layers, error));
  if (writes_check_heads(&w->site, info, NULL, &why))
    return wrong(at, "site", error, "%.300s", why.message);
  if (!v->file && !w->site.control && !source)
    return wrong(at, NULL, error, "reads a source prompt; give --source or --source-file");
  if (v->file) return read_vector(at, w, v, info, error);
done:
  return status;
}

/* The entry's label: its name and a part of the digest of what it says. */
static xt_status make_label(PlanEntry *entry, xt_error *error) {
  const size_t most = 256;
  char digest[XT_TEXT_HASH_SIZE], *text = malloc(entry->count * most), *at = text;
  if (!text) return error_memory(error);
  for (size_t k = 0; k < entry->count; k++) {
    plan_describe(entry, k, at, most - 1);
    at += strlen(at);
    *at++ = '\n';
  }
  xt_text_hash(text, (size_t)(at - text), digest);
  free(text);
  snprintf(entry->label, sizeof entry->label, "%s.%.8s", entry->name, digest);
  return XT_STATUS_OK;
}

xt_status plan_check(Plan *plan, const xt_model_info *info, bool source, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t e = 0; e < plan->count && !status; e++) {
    PlanEntry *entry = &plan->entries[e];
    for (size_t k = 0; k < entry->count && !status; k++)
      status = check_write(&(Place){plan->file, entry->name, e + 1, k + 1}, &entry->writes[k],
                           &entry->vectors[k], info, source, error);
    if (!status) status = make_label(entry, error);
  }
  return status;
}

bool plan_reads_target(const Plan *plan) {
  bool any = false;
  for (size_t e = 0; e < plan->count; e++)
    for (size_t k = 0; k < plan->entries[e].count; k++)
      any = any || plan->entries[e].writes[k].site.control == XT_CONTROL_SELF;
  return any;
}

bool plan_is_alone(const PlanEntry *entry) {
  bool any = false;
  for (size_t k = 0; k < entry->count; k++)
    any = any || entry->writes[k].site.positions == XT_POSITIONS_ALL;
  return any;
}

bool plan_names(const PlanEntry *entry, xt_layer_base base) {
  bool any = false;
  for (size_t k = 0; k < entry->count; k++)
    any = any || entry->writes[k].source_base == base || entry->writes[k].target_base == base;
  return any;
}

size_t plan_most(const PlanEntry *entry, const xt_model_info *info) {
  size_t most = 0;
  for (size_t k = 0; k < entry->count; k++) most += writes_most(&entry->writes[k].site, info);
  return most;
}

static int layer_of(xt_layer_base base, int layer, int i, int j) {
  return layer + (base == XT_LAYER_SOURCE ? i : base == XT_LAYER_TARGET ? j : 0);
}

xt_status plan_list(const PlanEntry *entry, const xt_model_info *info, const xt_taps *source,
                    const xt_taps *target, int i, int j, xt_intervention *out, size_t *count,
                    xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < entry->count && !status; k++) {
    const xt_plan_write *w = &entry->writes[k];
    const WriteValues values = {.vector = w->vector ? &entry->vectors[k].vector : NULL,
                                .vector_name = entry->vectors[k].file,
                                .taps = w->site.control == XT_CONTROL_SELF ? target : source};
    const int from = layer_of(w->source_base, w->source, i, j),
              to = layer_of(w->target_base, w->target, i, j);
    if (from >= 0 && to >= 0)
      status = writes_list(&w->site, info, &values, from, to, out, count, error);
  }
  return status;
}

static void print_layer(xt_layer_base base, int layer, char out[16]) {
  if (base == XT_LAYER_FIXED)
    snprintf(out, 16, "%d", layer);
  else
    snprintf(out, 16, layer ? "%c%+d" : "%c", base == XT_LAYER_SOURCE ? 'i' : 'j', layer);
}

void plan_describe(const PlanEntry *entry, size_t write, char *out, size_t size) {
  const xt_plan_write *w = &entry->writes[write];
  char site[XT_SITE_NAME_SIZE], from[16], to[16];
  print_layer(w->source_base, w->source, from);
  print_layer(w->target_base, w->target, to);
  snprintf(out, size, "%s: layer %s of the %s into layer %s of the target",
           xt_site_format(w->site, site), from,
           entry->vectors[write].file ? "vector"
           : w->site.control          ? "target itself"
                                      : "source",
           to);
}
