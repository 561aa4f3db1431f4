/* SPDX-License-Identifier: Apache-2.0 */
/* report.json: all numbers, as fractions with all their digits; layers are counted from 0. */
#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "analysis/levels.h"
#include "analysis/coverage.h"
#include "analysis/site_maps.h"
#include "report/report_parts.h"
#include "xtransplant/version.h"

/* Sets a member; on failure *object is freed and NULL, and further calls do nothing. */
static void put(json_t **object, const char *key, json_t *value) {
  if (!*object)
    json_decref(value);
  else if (json_object_set_new(*object, key, value) != 0) {
    json_decref(*object);
    *object = NULL;
  }
}

static void append(json_t **array, json_t *value) {
  if (!*array)
    json_decref(value);
  else if (json_array_append_new(*array, value) != 0) {
    json_decref(*array);
    *array = NULL;
  }
}

static json_t *real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *estimate(const xt_estimate *e) {
  json_t *object = json_object();
  put(&object, "value", real(e->count ? e->value : (double)NAN));
  put(&object, "error", real(e->count ? e->error : (double)NAN));
  put(&object, "count", json_integer((json_int_t)e->count));
  if (e->high > e->low) {
    put(&object, "low", real(e->low));
    put(&object, "high", real(e->high));
  }
  return object;
}

static json_t *effects(const xt_effect_result *e) {
  json_t *object = json_object();
  put(&object, "count", json_integer((json_int_t)e->count));
  put(&object, "logit_difference", real(e->logit_difference));
  put(&object, "normalised", real(e->normalised));
  put(&object, "gold", real(e->gold));
  put(&object, "kl_untouched", real(e->kl_untouched));
  put(&object, "kl_source", real(e->kl_source));
  put(&object, "choice", real(e->choice));
  put(&object, "calibrated", real(e->calibrated));
  put(&object, "tracked", real(e->tracked));
  return object;
}

static json_t *interval(const xt_interval *k) {
  json_t *object;
  if (isnan(k->value)) return json_null();
  object = json_object();
  put(&object, "value", real(k->value));
  put(&object, "low", real(k->low));
  put(&object, "high", real(k->high));
  return object;
}

/* By measure; null where there is none. */
static json_t *intervals(const xt_interval *list) {
  static const char *const names[XT_MEASURE_COUNT] = {"logit_difference", "normalised", "gold",
                                                      "kl_untouched",     "kl_source",  "choice",
                                                      "calibrated",       "tracked"};
  json_t *object = json_object();
  for (size_t m = 0; m < XT_MEASURE_COUNT; m++) put(&object, names[m], interval(&list[m]));
  return object;
}

static json_t *effect_intervals(const xt_effect_intervals *k, bool control) {
  json_t *object = json_object();
  put(&object, "means", intervals(k->means));
  put(&object, "over_untouched", intervals(k->over_untouched));
  if (control) put(&object, "over_control", intervals(k->over_control));
  return object;
}

static json_t *option_means(const xt_interval *list) {
  static const char *const names[XT_OPTION_RULES] = {"generated", "acc", "acc_norm", "calibrated",
                                                     "calibrated_norm"};
  json_t *object = json_object();
  for (size_t r = 0; r < XT_OPTION_RULES; r++) put(&object, names[r], interval(&list[r]));
  return object;
}

static json_t *options(const xt_option_intervals *k, bool control) {
  json_t *object =
      json_pack("{s:I, s:i}", "runs", (json_int_t)k->runs, "configurations", k->configurations);
  put(&object, "means", option_means(k->means));
  put(&object, "over_untouched", option_means(k->over_untouched));
  if (control) put(&object, "over_control", option_means(k->over_control));
  return object;
}

static json_t *scores(const xt_group *g, const xt_scores *s) {
  json_t *object = json_object(), *levels = json_object(), *languages = json_object();
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    put(&levels, level_name(level), estimate(&s->levels[level]));
  for (size_t l = 0; l < g->language_count; l++)
    put(&languages, g->languages[l].name, estimate(&s->languages[l]));
  put(&object, "overall", estimate(&s->overall));
  put(&object, "average", estimate(&s->average));
  put(&object, "levels", levels);
  put(&object, "languages", languages);
  return object;
}

static json_t *difference(const xt_difference *d) {
  const struct {
    const char *name;
    double value;
  } reals[] = {{"gain", d->gain},       {"low", d->low},   {"high", d->high}, {"p", d->p},
               {"mcnemar", d->mcnemar}, {"holm", d->holm}, {"bh", d->bh}};
  json_t *object =
      json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)d->count, "questions",
                (json_int_t)d->questions, "won", (json_int_t)d->won, "lost", (json_int_t)d->lost);
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
    put(&object, reals[i].name, real(reals[i].value));
  return object;
}

static json_t *comparison(const xt_group *g, const xt_comparison *c) {
  if (c->overall.count == 0) return json_null();
  json_t *object = json_object(), *levels = json_object(), *languages = json_object();
  for (int level = 0; level < XT_LEVEL_COUNT; level++)
    put(&levels, level_name(level), difference(&c->levels[level]));
  for (size_t l = 0; l < g->language_count; l++)
    put(&languages, g->languages[l].name, difference(&c->languages[l]));
  put(&object, "overall", difference(&c->overall));
  put(&object, "levels", levels);
  put(&object, "languages", languages);
  return object;
}

/* Adds the members of a summary to a site's or group's. */
static void put_texts(json_t **object, const xt_text_summary *t) {
  put(object, "perplexity", estimate(&t->perplexity));
  put(object, "perplexity_geometric", estimate(&t->geometric));
  put(object, "perplexity_median", real(t->median));
  put(object, "consistency", estimate(&t->consistency));
}

static json_t *tally(const xt_tally *t) {
  return json_pack("{s:i, s:i, s:i}", "win", t->win, "tie", t->tie, "lose", t->lose);
}

static json_t *layers(const xt_group *g, const xt_layer_result *results) {
  json_t *array = json_array();
  for (int layer = 0; layer < g->layers; layer++) {
    const xt_layer_result *k = &results[layer];
    json_t *object = json_object(), *gains = json_object();
    for (size_t l = 0; l < g->language_count; l++)
      put(&gains, g->languages[l].name, estimate(&k->language_gains[l]));
    put(&object, "layer", json_integer(layer));
    put(&object, "gain", estimate(&k->gain));
    put(&object, "language_gains", gains);
    put(&object, "candidates", real(k->candidates));
    put(&object, "complete", json_integer((json_int_t)k->complete));
    put(&object, "vanilla", estimate(&k->vanilla));
    put(&object, "bound", scores(g, &k->bound));
    put(&object, "bound_low", real(k->bound_low));
    put(&object, "bound_high", real(k->bound_high));
    put(&object, "chance_scores", scores(g, &k->chance_scores));
    put(&object, "chance", real(k->chance));
    put(&object, "chance_low", real(k->chance_low));
    put(&object, "chance_high", real(k->chance_high));
    put(&object, "above", real(k->above));
    put(&object, "above_low", real(k->above_low));
    put(&object, "above_high", real(k->above_high));
    append(&array, object);
  }
  return array;
}

/* One array per field, over the configurations in order of source * layers + target; null if one is
 * missing. */
static json_t *configurations(const xt_group *g, const xt_site_result *site) {
  static const char *const names[] = {
      "count", "correct", "vanilla_correct", "won",  "lost", "gain",     "low",
      "high",  "p",       "mcnemar",         "holm", "bh",   "holm_all", "bh_all"};
  enum { FIELDS = sizeof names / sizeof *names, COUNTS = 5 };
  json_t *object = json_object();
  for (size_t f = 0; f < FIELDS; f++) {
    json_t *array = json_array();
    for (int c = 0; c < g->layers * g->layers; c++) {
      const xt_configuration *k = &site->configurations[c];
      const size_t counts[COUNTS] = {k->count, k->correct, k->vanilla_correct, k->won, k->lost};
      const double reals[FIELDS - COUNTS] = {k->gain, k->low, k->high,     k->p,     k->mcnemar,
                                             k->holm, k->bh,  k->holm_all, k->bh_all};
      append(&array, k->count == 0 ? json_null()
                     : f < COUNTS  ? json_integer((json_int_t)counts[f])
                                   : real(reals[f - COUNTS]));
    }
    put(&object, names[f], array);
  }
  json_t *languages = json_object();
  for (size_t l = 0; l < g->language_count; l++) {
    json_t *array = json_array();
    for (int c = 0; c < g->layers * g->layers; c++)
      append(&array,
             json_integer(site->language_correct[l * (size_t)(g->layers * g->layers) + (size_t)c]));
    put(&languages, g->languages[l].name, array);
  }
  put(&object, "language_correct", languages);
  return object;
}

static json_t *gap_json(const xt_gap *gap) {
  const char *name;
  double value;
  if (gap->count == 0) return json_null();
  json_t *object = json_pack("{s:I, s:I}", "count", (json_int_t)gap->count, "questions",
                             (json_int_t)gap->questions);
  for (size_t i = 0; (name = xt_gap_field(gap, i, &value)); i++) put(&object, name, real(value));
  return object;
}

static json_t *strategy(const xt_group *g, const xt_strategy_result *s) {
  json_t *object = scores(g, &s->scores);
  put(&object, "gap", gap_json(&s->gap));
  put(&object, "against_vanilla", comparison(g, &s->vanilla));
  put(&object, "against_coarse", comparison(g, &s->coarse));
  return object;
}

/* The values of a map in languages [first, end), over the configurations. */
static json_t *map_values(const xt_group *g, const SiteMap *map, size_t first, size_t end) {
  const size_t cells = (size_t)(g->layers * g->layers);
  json_t *array = json_array();
  for (size_t c = 0; c < cells; c++)
    append(&array, real(site_map_value(map, cells, first, end, c)));
  return array;
}

/* What the page's map can be coloured by. */
static json_t *maps(const xt_group *g, const AnalysisSite *site) {
  json_t *array = json_array();
  for (size_t m = 0; m < site->map_count; m++) {
    const SiteMap *map = &site->maps[m];
    json_t *object = json_object(), *languages = json_object();
    for (size_t l = 0; l < g->language_count; l++)
      put(&languages, g->languages[l].name, map_values(g, map, l, l + 1));
    put(&object, "id", json_string(map->id));
    put(&object, "title", json_string(map->title));
    put(&object, "unit", json_string(map->unit));
    put(&object, "all", map_values(g, map, 0, g->language_count));
    put(&object, "languages", languages);
    append(&array, object);
  }
  return array;
}

static json_t *site_json(const AnalysisGroup *group, size_t s) {
  const xt_group *g = &group->group;
  const xt_site_result *site = &g->sites[s];
  json_t *object = json_object(), *tallies = json_object(), *strategies = json_object();
  for (size_t l = 0; l < g->language_count; l++)
    put(&tallies, g->languages[l].name, tally(&site->languages[l]));
  for (size_t k = 0; k < site->strategy_count; k++)
    put(&strategies, site->strategies[k].name, strategy(g, &site->strategies[k]));
  put(&object, "site", json_string(site->site));
  put(&object, "responses", json_integer((json_int_t)site->responses));
  put(&object, "complete",
      json_boolean(site->responses == g->instances * (size_t)(g->layers * g->layers)));
  put(&object, "tally", tally(&site->all));
  put(&object, "language_tallies", tallies);
  put(&object, "mean", scores(g, &site->mean));
  put(&object, "mean_gain", comparison(g, &site->mean_gain));
  if (site->effects) {
    json_t *cells = json_array();
    for (int c = 0; c < g->layers * g->layers; c++) append(&cells, effects(&site->effects[c]));
    const bool control = site->transplant != NULL;
    put(&object, "mean_effects", effects(&site->mean_effects));
    put(&object, "effect_intervals", effect_intervals(&site->effect_intervals, control));
    if (site->best_effects >= 0) {
      json_t *best = effect_intervals(&site->best_effect_intervals, control);
      put(&best, "source_layer", json_integer(site->best_effects / g->layers));
      put(&best, "target_layer", json_integer(site->best_effects % g->layers));
      put(&object, "best_effects", best);
    }
    put(&object, "effects", cells);
  }
  if (site->options.runs) {
    json_t *best = options(&site->best_option_intervals, site->transplant != NULL);
    put(&best, "source_layer", json_integer(site->best_options / g->layers));
    put(&best, "target_layer", json_integer(site->best_options % g->layers));
    put(&object, "options", options(&site->options, site->transplant != NULL));
    put(&object, "best_options", best);
  }
  if (site->transplant) {
    put(&object, "control_of", json_string(site->transplant));
    put(&object, "shared_configurations", json_integer(site->shared_configurations));
    put(&object, "shared_mean", scores(g, &site->shared_mean));
    put(&object, "transplant_mean", scores(g, &site->transplant_mean));
    put(&object, "over_control", comparison(g, &site->over_control));
    put(&object, "coarse_over_control", comparison(g, &site->coarse_over_control));
  }
  if (site->best >= 0)
    put(&object, "best",
        json_pack("{s:i, s:i}", "source_layer", site->best / g->layers, "target_layer",
                  site->best % g->layers));
  put(&object, "best_fresh", real(site->best_fresh));
  put_texts(&object, &site->texts);
  put(&object, "strategies", strategies);
  put(&object, "configurations", configurations(g, site));
  put(&object, "maps", maps(g, &group->sites[s]));
  put(&object, "sources", layers(g, site->sources));
  put(&object, "targets", layers(g, site->targets));
  return object;
}

static json_t *passes(const xt_group *g) {
  json_t *array = json_array();
  for (size_t k = 0; k < g->pass_count; k++) {
    const xt_pass_result *p = &g->passes[k];
    json_t *object = scores(g, &p->scores);
    put(&object, "temperature", real(p->temperature));
    put(&object, "top_p", real(p->top_p));
    put(&object, "seed", json_integer((json_int_t)p->seed));
    put(&object, "n", json_integer((json_int_t)p->n));
    append(&array, object);
  }
  return array;
}

/* What a group has, scored or not. */
static json_t *group_head(const xt_group *g) {
  json_t *object = json_object(), *languages = json_array();
  for (size_t l = 0; l < g->language_count; l++) {
    const int level = g->languages[l].level;
    append(&languages, json_pack("{s:s, s:s?, s:I}", "name", g->languages[l].name, "level",
                                 level < 0 ? NULL : level_name(level), "count",
                                 (json_int_t)g->languages[l].count));
  }
  put(&object, "task", json_string(g->task));
  put(&object, "title", json_string(g->title));
  put(&object, "pivot", json_string(g->pivot));
  put(&object, "cot", json_boolean(g->cot));
  put(&object, "layers", json_integer(g->layers));
  put(&object, "instances", json_integer((json_int_t)g->instances));
  put(&object, "languages", languages);
  return object;
}

static json_t *group_json(const AnalysisGroup *group) {
  const xt_group *g = &group->group;
  json_t *object = group_head(g), *sites = json_array();
  for (size_t s = 0; s < g->site_count; s++) append(&sites, site_json(group, s));
  put(&object, "scored", json_integer((json_int_t)g->scored));
  put(&object, "questions", json_integer((json_int_t)g->questions));
  put(&object, "parallel", json_boolean(g->parallel));
  put(&object, "vanilla", scores(g, &g->vanilla));
  put(&object, "vanilla_chance_scores", scores(g, &g->vanilla_chance_scores));
  put(&object, "vanilla_chance", real(g->vanilla_chance));
  put(&object, "vanilla_above", real(g->vanilla_above));
  put(&object, "vanilla_above_low", real(g->vanilla_above_low));
  put(&object, "vanilla_above_high", real(g->vanilla_above_high));
  put(&object, "coarse", g->coarse.overall.count ? scores(g, &g->coarse) : json_null());
  put(&object, "coarse_gain", comparison(g, &g->coarse_gain));
  put(&object, "source", g->source.overall.count ? scores(g, &g->source) : json_null());
  put(&object, "source_gain", comparison(g, &g->source_gain));
  put(&object, "oracle", g->oracle.overall.count ? scores(g, &g->oracle) : json_null());
  put(&object, "oracle_gain", comparison(g, &g->oracle_gain));
  put(&object, "passes", passes(g));
  put(&object, "coarse_released",
      g->coarse_released.overall.count ? scores(g, &g->coarse_released) : json_null());
  put(&object, "coarse_released_gain", comparison(g, &g->coarse_released_gain));
  put_texts(&object, &g->texts);
  if (g->untouched_effects.count) put(&object, "untouched_effects", effects(&g->untouched_effects));
  if (g->source_effects.count) put(&object, "source_effects", effects(&g->source_effects));
  if (g->untouched_effects.count)
    put(&object, "untouched_effect_intervals",
        effect_intervals(&g->untouched_effect_intervals, false));
  if (g->source_effects.count)
    put(&object, "source_effect_intervals", effect_intervals(&g->source_effect_intervals, false));
  if (g->untouched_options.runs)
    put(&object, "untouched_options", options(&g->untouched_options, false));
  put(&object, "sites", sites);
  return object;
}

/* ---- questions without gold answers ---------------------------------------------------------- */

static json_t *answer_effects(const xt_group *g, const xt_answer_effect *means,
                              const xt_answer_effect *cells) {
  json_t *array = json_array();
  for (size_t k = 0; k < g->answer_count && means; k++) {
    json_t *object = json_object(), *changes = cells ? json_array() : NULL;
    put(&object, "answer", json_string(means[k].answer));
    put(&object, "kind", json_string(means[k].option ? "option" : "word"));
    put(&object, "count", json_integer((json_int_t)means[k].count));
    put(&object, "logprob", real(means[k].logprob));
    put(&object, "change", real(means[k].change));
    for (int c = 0; c < g->layers * g->layers && cells; c++)
      append(&changes, real(cells[(size_t)c * g->answer_count + k].change));
    if (cells) put(&object, "changes", changes);
    append(&array, object);
  }
  return array;
}

static json_t *unscored_site(const AnalysisGroup *group, size_t s) {
  const xt_group *g = &group->group;
  const xt_site_result *site = &g->sites[s];
  json_t *object = json_object(), *cells = json_array();
  put(&object, "site", json_string(site->site));
  put(&object, "responses", json_integer((json_int_t)site->responses));
  put(&object, "changed", estimate(&site->changed));
  put(&object, "mean_effects", site->effects ? effects(&site->mean_effects) : json_null());
  for (int c = 0; c < g->layers * g->layers && site->effects; c++)
    append(&cells, effects(&site->effects[c]));
  put(&object, "effects", cells);
  put(&object, "answers", answer_effects(g, site->mean_answers, site->answers));
  put(&object, "maps", maps(g, &group->sites[s]));
  return object;
}

static json_t *unscored_json(const AnalysisGroup *group) {
  const xt_group *g = &group->group;
  json_t *object = group_head(g), *sites = json_array();
  for (size_t s = 0; s < g->site_count; s++) append(&sites, unscored_site(group, s));
  put(&object, "needs_gold",
      json_pack("[s, s, s, s, s]", "logit_difference", "normalised", "gold", "choice",
                "calibrated"));
  put(&object, "untouched_effects", effects(&g->untouched_effects));
  put(&object, "source_effects", effects(&g->source_effects));
  put(&object, "untouched_answers", answer_effects(g, g->untouched_answers, NULL));
  put(&object, "source_answers", answer_effects(g, g->source_answers, NULL));
  put(&object, "sites", sites);
  return object;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static json_t *store_json(const ReportStore *store) {
  const xt_analysis *a = store->analysis;
  json_t *object = json_object(), *groups = json_array(), *unscored = json_array();
  for (size_t g = 0; g < a->count; g++) append(&groups, group_json(&a->groups[g]));
  for (size_t g = a->count; g < a->count + a->unscored; g++)
    append(&unscored, unscored_json(&a->groups[g]));
  put(&object, "about", json_incref(store->about));
  put(&object, "coverage", coverage_to_json(a->coverage));
  put(&object, "runs", json_incref(store->runs));
  put(&object, "groups", groups);
  put(&object, "unscored", unscored);
  return object;
}

xt_status report_to_json(const xt_report *r, const json_t *files, TextBuffer *out,
                         xt_error *error) {
  const xt_analysis_options *o = &r->main.analysis->options;
  json_t *root = json_object(), *tables = json_array();
  static const char *const names[] = {"store", "cot", "tuned", "beside"};
  const ReportStore *const stores[] = {&r->main, &r->cot, &r->tuned, &r->beside};
  put(&root, "format", json_integer(2));
  put(&root, "version", json_string(xt_version()));
  put(&root, "options",
      json_pack("{s:i, s:i, s:I, s:f}", "bootstrap", o->bootstrap, "permutations", o->permutations,
                "seed", (json_int_t)o->seed, "confidence", o->confidence));
  for (size_t i = 0; i < sizeof stores / sizeof *stores; i++)
    if (stores[i]->analysis) put(&root, names[i], store_json(stores[i]));
  json_t *more = json_array();
  for (size_t i = 0; i < r->more_count; i++) append(&more, store_json(&r->more[i]));
  put(&root, "more", more);
  for (size_t i = 0; i < r->tables.count; i++) append(&tables, table_to_json(r->tables.tables[i]));
  put(&root, "tables", tables);
  put(&root, "files", json_deep_copy(files));
  char *text = root ? number_json(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
  json_decref(root);
  if (!text) return err_memory(error, 0);
  text_buffer_add_text(out, text);
  text_buffer_add_text(out, "\n");
  free(text);
  return out->failed ? err_memory(error, 0) : XT_STATUS_OK;
}
