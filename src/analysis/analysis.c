/* SPDX-License-Identifier: Apache-2.0 */
/* The analysis: reads a store, then computes group after group. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/effect_means.h"
#include "analysis/site_maps.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/system.h"

static void free_group(AnalysisGroup *g) {
  for (size_t s = 0; s < g->site_count; s++) {
    free(g->sites[s].texts);
    free(g->sites[s].margins);
    free(g->sites[s].entropies);
    free(g->sites[s].effects);
    free(g->sites[s].options);
    free(g->sites[s].maps);
    free(g->sites[s].right);
    free(g->sites[s].correct);
    free(g->sites[s].present);
    free(g->sites[s].selections);
  }
  for (size_t s = 0; s < g->sample_count; s++) free(g->samples[s].counts);
  free(g->samples);
  free(g->sites);
  free(g->instances);
  free(g->scored);
  free(g->vanilla);
}

void xt_analysis_free(xt_analysis *a) {
  if (!a) return;
  for (size_t i = 0; i < a->count + (a->apart ? a->unscored : 0); i++) free_group(&a->groups[i]);
  free(a->groups);
  free(a->texts);
  free(a->text_slots);
  free((void *)(uintptr_t)a->strategies);
  xt_coverage_free(a->coverage);
  arena_free(&a->arena);
  free(a);
}

/* The memory of tables, if the caller sets no limit. */
#define TABLES_LEAST (UINT64_C(512) << 20)
#define TABLES_A_BYTE 64

/* Refuses a store that cannot be analysed. */
static xt_status check(const xt_analysis *a, const xt_store_info *info, xt_error *error) {
  size_t instances = 0, untouched = 0;
  for (size_t i = 0; i < a->count; i++)
    for (size_t k = 0; k < a->groups[i].group.instances; k++) {
      instances++;
      untouched += a->groups[i].instances[k].vanilla_text != TEXT_ABSENT;
    }
  if (instances == 0)
    return err_set(error, XT_STATUS_INPUT, info->path, NULL, -1,
                   "holds no responses yet; continue the sweep first");
  if (untouched == 0)
    return err_set(error, XT_STATUS_INPUT, info->path, "vanilla", -1,
                   "has no untouched runs, with which everything is compared; the same sweep "
                   "command adds them");
  return XT_STATUS_OK;
}

/* Moves groups without a scored instance to the end of the list, where they are not counted. */
static void set_unscored_apart(xt_analysis *a) {
  for (size_t pass = 0, kept = 0; pass < a->count; pass++) {
    const AnalysisGroup group = a->groups[pass];
    if (group.group.scored == 0) continue;
    /* the others stay in order */
    memmove(a->groups + kept + 1, a->groups + kept, (pass - kept) * sizeof group);
    a->groups[kept++] = group;
  }
  a->count -= a->unscored;
  a->apart = true;
}

static void count_unscored(xt_analysis *a) {
  for (size_t i = 0; i < a->count; i++)
    if (a->groups[i].group.scored == 0) a->unscored++;
}

/* Reads the store, and orders its groups. */
static xt_status load(xt_analysis *a, xt_store *store, xt_error *error) {
  xt_store_info info;
  TRY(xt_store_get_info(store, &info, error));
  a->layers = info.layers;
  a->cells = info.layers * info.layers;
  if (a->options.memory == 0) a->options.memory = TABLES_LEAST + TABLES_A_BYTE * info.bytes;
  const xt_status status = analysis_load(a, store, error);
  if (status) {
    if (error && status == XT_STATUS_INPUT && !error->file[0])
      strncat(error->file, info.path, sizeof error->file - 1);
    return status;
  }
  TRY(xt_coverage_create(store, &a->coverage, error));
  TRY(analysis_options_scored(a, store, error));
  count_unscored(a);
  TRY(check(a, &info, error));
  set_unscored_apart(a);
  return XT_STATUS_OK;
}

static xt_status fill(xt_analysis *a, xt_error *error) {
  for (size_t i = a->count; i < a->count + a->unscored; i++) {
    AnalysisGroup *g = &a->groups[i];
    TRY(analysis_texts(a, g, error));
    TRY(analysis_effects(a, g, error));
    TRY(analysis_effect_intervals(a, g, error));
    TRY(analysis_answer_effects(a, g, error));
    TRY(analysis_maps(a, g, error));
  }
  for (size_t i = 0; i < a->count; i++) {
    AnalysisGroup *g = &a->groups[i];
    TRY(analysis_scores(a, g, error));
    TRY(analysis_significance(a, g, error));
    TRY(analysis_bounds(a, g, error));
    TRY(analysis_effects(a, g, error));
    TRY(analysis_effect_intervals(a, g, error));
    TRY(analysis_option_intervals(a, g, error));
    TRY(analysis_maps(a, g, error));
  }
  return analysis_adjust(a, error);
}

static xt_status compare_alone(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  Bootstrap b = {0};
  xt_site_result *sites;
  TRY(ARENA_ALLOC(&a->arena, &sites, g->site_count, error));
  for (size_t s = 0; s < g->site_count; s++) sites[s].site = g->sites[s].name;
  g->group.sites = sites;
  g->group.site_count = g->site_count;
  TRY(analysis_questions(a, g, error));
  TRY(scores_of_bits(a, g, g->vanilla, g->scored, &g->group.vanilla, error));
  xt_status status = bootstrap_draw(a, g, &b, error);
  if (!status) status = analysis_comparisons(a, g, &b, error);
  if (!status) status = analysis_baselines(a, g, &b, error);
  if (!status) status = analysis_gaps(a, g, &b, error);
  bootstrap_free(&b);
  return status;
}

static xt_status fill_comparisons(xt_analysis *a, xt_error *error) {
  for (size_t i = 0; i < a->count; i++) TRY(compare_alone(a, &a->groups[i], error));
  return analysis_adjust_strategies(a, error);
}

static xt_status create(xt_store *store, const xt_analysis_options *options,
                        xt_status (*fill_in)(xt_analysis *, xt_error *), xt_analysis **out,
                        xt_error *error) {
  const xt_analysis_options wanted = options ? *options : (xt_analysis_options){0};
  xt_analysis *a;
  *out = NULL;
  if (wanted.bootstrap < 0 || wanted.permutations < 0 || wanted.confidence < 0 ||
      wanted.confidence >= 1 || wanted.threads < 0)
    return err_set(
        error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
        "analysis options out of range: the confidence must be below 1, and no option may be "
        "negative");
  TRY(MEM_ALLOC(&a, 1, error));
  a->options =
      (xt_analysis_options){.bootstrap = wanted.bootstrap ? wanted.bootstrap : 2000,
                            .permutations = wanted.permutations ? wanted.permutations : 9999,
                            .seed = wanted.seed ? wanted.seed : 1,
                            .confidence = wanted.confidence > 0 ? wanted.confidence : 0.95,
                            .threads = wanted.threads ? wanted.threads : system_processors(),
                            .memory = wanted.memory};
  xt_status status = load(a, store, error);
  if (!status) status = fill_in(a, error);
  if (status)
    xt_analysis_free(a);
  else
    *out = a;
  return status;
}

xt_status xt_analysis_create(xt_store *store, const xt_analysis_options *options, xt_analysis **out,
                             xt_error *error) {
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  return create(store, options, fill, out, error);
}

xt_status analysis_create_comparisons(xt_store *store, const xt_analysis_options *options,
                                      xt_analysis **out, xt_error *error) {
  return create(store, options, fill_comparisons, out, error);
}

size_t xt_analysis_count(const xt_analysis *a) { return a->count; }
const xt_group *xt_analysis_get(const xt_analysis *a, size_t index) {
  return index < a->count ? &a->groups[index].group : NULL;
}
size_t xt_analysis_unscored(const xt_analysis *a) { return a->unscored; }
const xt_group *xt_analysis_get_unscored(const xt_analysis *a, size_t index) {
  return index < a->unscored ? &a->groups[a->count + index].group : NULL;
}
const xt_coverage *xt_analysis_coverage(const xt_analysis *a) { return a->coverage; }
