/* SPDX-License-Identifier: Apache-2.0 */
#include "results/results_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/store_model.h"
#include "shell/output.h"

/* `of`: what was counted, "samples" or "languages". */
static json_t *metrics(const char *alias, const char *of, xt_estimate e) {
  json_t *object = json_object();
  bool ok = json_add(object, "alias", json_string(alias));
  ok = json_add(object, "acc,none", json_number(e.count ? e.value : (double)NAN)) && ok;
  ok = json_add(object, "acc_stderr,none", json_number(e.count ? e.error : (double)NAN)) && ok;
  ok = json_add(object, of, json_integer((json_int_t)e.count)) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

/* A system's scores: over instances, by level, by language. */
static bool add_scores(json_t *results, const char *name, const xt_group *g,
                       const xt_scores *scores) {
  static const char *const levels[] = {"high", "mid", "low"};
  char part[256];
  bool ok = json_add(results, name, metrics(name, "samples", scores->overall));
  for (int level = 0; level < XT_LEVEL_COUNT; level++) {
    snprintf(part, sizeof part, "%s/%s", name, levels[level]);
    if (scores->levels[level].count)
      ok = json_add(results, part, metrics(part, "languages", scores->levels[level])) && ok;
  }
  for (size_t l = 0; l < g->language_count; l++) {
    snprintf(part, sizeof part, "%s/%s", name, g->languages[l].name);
    ok = json_add(results, part, metrics(part, "samples", scores->languages[l])) && ok;
  }
  return ok;
}

static bool add_group(json_t *results, json_t *samples, const xt_group *g) {
  char name[192], part[256];
  snprintf(name, sizeof name, "%s%s%s%s", g->task, g->pivot[0] ? "/from-" : "", g->pivot,
           g->cot ? "/cot" : "");
  bool ok = add_scores(results, name, g, &g->vanilla);
  ok = json_add(samples, name,
                json_pack("{s:I, s:I}", "original", (json_int_t)g->instances, "effective",
                          (json_int_t)g->scored)) &&
       ok;
  if (g->coarse.overall.count) {
    snprintf(part, sizeof part, "%s/coarse", name);
    ok = add_scores(results, part, g, &g->coarse) && ok;
  }
  for (size_t s = 0; s < g->site_count; s++) {
    const xt_site_result *site = &g->sites[s];
    snprintf(part, sizeof part, "%s/%s", name, site->site);
    ok = add_scores(results, part, g, &site->mean) && ok;
    for (size_t k = 0; k < site->strategy_count; k++) {
      snprintf(part, sizeof part, "%s/%s/%s", name, site->site, site->strategies[k].name);
      ok = add_scores(results, part, g, &site->strategies[k].scores) && ok;
    }
  }
  return ok;
}

static xt_status add_run(void *user, const char *started, const char *provenance, xt_error *error) {
  json_error_t wrong;
  json_t *about = json_loads(provenance, 0, &wrong);
  json_t *run =
      json_pack("{s:s, s:o}", "started", started, "provenance", about ? about : json_null());
  return json_array_append_new(user, run) == 0 ? XT_STATUS_OK : error_memory(error);
}

static xt_status build(xt_store *store, const xt_analysis *analysis, json_t **out,
                       xt_error *error) {
  xt_store_info info;
  json_t *root = json_object(), *results = json_object(), *samples = json_object(),
         *runs = json_array();
  xt_status status = xt_store_get_info(store, &info, error);
  bool ok = results && samples && runs;
  for (size_t i = 0; i < xt_analysis_count(analysis) && ok; i++)
    ok = add_group(results, samples, xt_analysis_get(analysis, i));
  if (!status && ok) status = xt_store_read_runs(store, add_run, runs, error);
  ok = json_add(root, "results", results) && ok;
  ok = json_add(root, "n-samples", samples) && ok;
  ok = json_add(root, "coverage", coverage_value(xt_analysis_coverage(analysis))) && ok;
  ok = json_add(root, "config",
                json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:b}", "model", info.model_name,
                          "model_hash", info.model_hash, "compute", info.compute, "layers",
                          info.layers, "max_gen_toks", info.max_new_tokens, "repetition_penalty",
                          info.repetition_penalty, "do_sample", 0)) &&
       ok;
  ok = json_add(root, "runs", runs) && ok;
  ok = json_add(root, "versions", json_pack("{s:s}", "xtransplant", xt_version())) && ok;
  ok =
      json_add(root, "git_hash", xt_git_hash()[0] ? json_string(xt_git_hash()) : json_null()) && ok;
  if (!status && !ok) status = error_memory(error);
  if (status)
    json_decref(root);
  else
    *out = root;
  return status;
}

/* Takes `text` over; NULL: memory ran out. */
static xt_status write_whole(const char *path, char *text, xt_error *error) {
  const size_t length = text ? strlen(text) : 0;
  if (!text) return error_memory(error);
  text[length] = '\n'; /* in place of the NUL */
  const xt_status status = xt_file_write(path, text, length + 1, error);
  free(text);
  return status;
}

xt_status results_json_write(xt_store *store, const char *path, xt_error *error) {
  xt_analysis *analysis = NULL;
  json_t *root = NULL;
  xt_status status;
  TRY_DONE(xt_analysis_create(store, &(xt_analysis_options){.bootstrap = 1, .permutations = 1},
                              &analysis, error));
  TRY_DONE(build(store, analysis, &root, error));
  TRY_DONE(write_whole(path, json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17)), error));
done:
  json_decref(root);
  xt_analysis_free(analysis);
  return status;
}
