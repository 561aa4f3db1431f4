/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "base/number.h"
#include "analysis/coverage.h"

/* Both leave *container NULL when memory runs out, and then do nothing. */
static void put(json_t **object, const char *key, json_t *value) {
  if (*object && json_object_set_new(*object, key, value) == 0) return;
  if (!*object) json_decref(value);
  json_decref(*object);
  *object = NULL;
}

static void append(json_t **array, json_t *value) {
  if (*array && json_array_append_new(*array, value) == 0) return;
  if (!*array) json_decref(value);
  json_decref(*array);
  *array = NULL;
}

static json_t *coverage_site_json(const xt_coverage_site *site) {
  const char *const names[] = {"planned", "present", "standalone", "conditional", "language"};
  const uint64_t counts[] = {site->planned, site->present, site->standalone, site->conditional,
                             site->language};
  json_t *object = json_object();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    put(&object, names[i], json_integer((json_int_t)counts[i]));
  return object;
}

static json_t *coverage_row_json(const xt_coverage_row *row) {
  const char *const names[] = {"dataset", "too_long", "planned", "present", "scored"};
  const size_t counts[] = {row->dataset, row->too_long, row->planned, row->present, row->scored};
  json_t *object = json_object(), *sites = json_object();
  put(&object, "task", json_string(row->task));
  put(&object, "pivot", json_string(row->pivot));
  put(&object, "cot", json_boolean(row->cot));
  put(&object, "lang", row->lang ? json_string(row->lang) : json_null());
  put(&object, "plans_known", json_boolean(row->known));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    put(&object, names[i], json_integer((json_int_t)counts[i]));
  for (size_t s = 0; s < row->site_count; s++)
    put(&sites, row->sites[s].site, coverage_site_json(&row->sites[s]));
  put(&object, "sites", sites);
  return object;
}

/* The share of everything that is present. */
json_t *coverage_to_json(const xt_coverage *c) {
  json_t *object = json_object(), *notes = json_array(), *rows = json_array();
  for (size_t i = 0; i < xt_coverage_note_count(c); i++)
    append(&notes, json_string(xt_coverage_note(c, i)));
  for (size_t i = 0; i < xt_coverage_count(c); i++)
    append(&rows, coverage_row_json(xt_coverage_get(c, i)));
  put(&object, "whole", json_boolean(xt_coverage_is_whole(c)));
  put(&object, "notes", notes);
  put(&object, "rows", rows);
  return object;
}

xt_status xt_coverage_json(const xt_coverage *c, char **text, xt_error *error) {
  json_t *object = coverage_to_json(c);
  *text = object ? number_json(object, JSON_COMPACT) : NULL;
  json_decref(object);
  return *text ? XT_STATUS_OK : err_memory(error, 0);
}
