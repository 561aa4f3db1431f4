/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a store's rows into arrays: groups of instances, their responses, and whether each is
 * right. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_parts.h"
#include "analysis/bits.h"
#include "analysis/effect_means.h"
#include "analysis/groups.h"
#include "analysis/levels.h"
#include "base/arena_text.h"
#include "base/mem.h"
#include "store/store_selections.h"
#include "xtransplant/select.h"

#define NAMES_MOST 4096 /* names that are searched one by one */

typedef struct Place {
  int64_t number; /* of a question in the store */
  AnalysisGroup *group;
  size_t instance;
} Place;

static int by_number(const void *a, const void *b) {
  const int64_t x = ((const Place *)a)->number, y = ((const Place *)b)->number;
  return (x > y) - (x < y);
}

/* What a strategy's choice for a question took. */
typedef struct Cost {
  int64_t question, responses, tokens;
  char strategy[XT_STRATEGY_NAME_SIZE], site[XT_SITE_NAME_SIZE];
} Cost;

static int by_choice(const void *a, const void *b) {
  const Cost *x = a, *y = b;
  if (x->question != y->question) return x->question < y->question ? -1 : 1;
  const int order = strcmp(x->strategy, y->strategy);
  return order ? order : strcmp(x->site, y->site);
}

typedef struct Loader {
  xt_analysis *a;
  int64_t question; /* of the previous row; -1: none */
  AnalysisGroup *group;
  size_t site; /* of the previous row, within the group */
  size_t strategy_capacity;
  Place *places; /* in order of number */
  size_t place_count;
  Cost *costs; /* in order of question, strategy, site */
  size_t cost_count, cost_capacity;
} Loader;

/* ---- texts ----------------------------------------------------------------------------------- */

/* The slot of a text with this number, or the free slot for it. Numbers come from the file, so that
 * no array is as long as the largest number. */
static size_t text_slot(const xt_analysis *a, int64_t number) {
  const size_t mask = a->text_slot_count - 1;
  size_t at = (size_t)(((uint64_t)number * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & mask;
  while (a->text_slots[at] != TEXT_ABSENT && a->texts[a->text_slots[at]].number != number)
    at = (at + 1) & mask;
  return at;
}

/* Keeps half of the slots free. */
static xt_status grow_slots(xt_analysis *a, xt_error *error) {
  if (2 * (a->text_count + 1) <= a->text_slot_count) return XT_STATUS_OK;
  const size_t count = a->text_slot_count ? 2 * a->text_slot_count : 1024;
  uint32_t *slots;
  TRY(MEM_ALLOC(&slots, count, error));
  memset(slots, 0xff, count * sizeof *slots);
  free(a->text_slots);
  a->text_slots = slots;
  a->text_slot_count = count;
  for (size_t i = 0; i < a->text_count; i++)
    a->text_slots[text_slot(a, a->texts[i].number)] = (uint32_t)i;
  return XT_STATUS_OK;
}

static xt_status text_of(xt_analysis *a, const xt_store_row *row, uint32_t *out, xt_error *error) {
  TRY(grow_slots(a, error));
  const size_t slot = text_slot(a, row->text_number);
  *out = a->text_slots[slot];
  if (*out != TEXT_ABSENT) return XT_STATUS_OK;
  TRY(MEM_GROW(&a->texts, &a->text_capacity, a->text_count + 1, error));
  AnalysisText *text = &a->texts[a->text_count];
  *text = (AnalysisText){
      .number = row->text_number, .length = row->text_length, .tokens = row->count, .nll = NAN};
  if (row->text) TRY(arena_copy_text(&a->arena, row->text, row->text_length, &text->text, error));
  if (isfinite(row->nll_standalone)) {
    text->nll = row->nll_standalone;
    a->has_perplexity = true;
  }
  if (row->language) {
    TRY(analysis_text_copy(a, row->language, &text->language, error));
    a->has_language = true;
  }
  *out = a->text_slots[slot] = (uint32_t)a->text_count++;
  return XT_STATUS_OK;
}

/* ---- groups and instances -------------------------------------------------------------------- */

static xt_status find_group(Loader *l, const xt_question *q, xt_error *error) {
  xt_analysis *a = l->a;
  const xt_task *task = xt_task_find(q->task);
  const char *pivot = group_pivot(q->task, q->source_lang);
  const bool cot = group_is_cot(q->id);
  for (size_t i = 0; i < a->count; i++) {
    const xt_group *g = &a->groups[i].group;
    if (strcmp(g->task, q->task) == 0 && strcmp(g->pivot, pivot) == 0 && g->cot == cot) {
      l->group = &a->groups[i];
      return XT_STATUS_OK;
    }
  }
  if (a->count == NAMES_MOST)
    return err_set(error, XT_STATUS_INPUT, NULL, "instances", -1,
                   "more than %d tasks and source languages", NAMES_MOST);
  TRY(MEM_GROW(&a->groups, &a->capacity, a->count + 1, error));
  l->group = &a->groups[a->count++];
  *l->group = (AnalysisGroup){.group = {.benchmark = task, .cot = cot, .layers = a->layers}};
  TRY(analysis_text_copy(a, q->task, &l->group->group.task, error));
  TRY(analysis_text_copy(a, group_title(q->task), &l->group->group.title, error));
  return analysis_text_copy(a, pivot, &l->group->group.pivot, error);
}

static xt_status copy_choices(xt_analysis *a, const xt_question *q, AnalysisInstance *out,
                              xt_error *error) {
  xt_choice *choices;
  TRY(ARENA_ALLOC(&a->arena, &choices, q->choice_count, error));
  for (size_t i = 0; i < q->choice_count; i++) {
    TRY(analysis_text_copy(a, q->choices[i].label, &choices[i].label, error));
    if (q->choices[i].text) TRY(analysis_text_copy(a, q->choices[i].text, &choices[i].text, error));
  }
  out->choices = choices;
  out->choice_count = q->choice_count;
  return XT_STATUS_OK;
}

static xt_status add_instance(Loader *l, const xt_store_row *row, xt_error *error) {
  xt_analysis *a = l->a;
  const xt_question *q = row->question;
  TRY(find_group(l, q, error));
  AnalysisGroup *g = l->group;
  TRY(MEM_GROW(&g->instances, &g->instance_capacity, g->group.instances + 1, error));
  AnalysisInstance *instance = &g->instances[g->group.instances];
  *instance = (AnalysisInstance){
      .number = row->question_number, .vanilla_text = TEXT_ABSENT, .source_text = TEXT_ABSENT};
  const AnalysisInstance *last = g->group.instances ? instance - 1 : NULL;
  TRY(analysis_text_copy(a, q->id, &instance->id, error));
  TRY(analysis_text_copy(a, q->source, &instance->source, error));
  TRY(analysis_text_copy(a, q->target, &instance->target, error));
  if (q->gold) TRY(analysis_text_copy(a, q->gold, &instance->gold, error));
  if (last && strcmp(last->lang, q->lang) == 0)
    instance->lang = last->lang;
  else
    TRY(analysis_text_copy(a, q->lang, &instance->lang, error));
  if (last && strcmp(last->source_lang, q->source_lang) == 0)
    instance->source_lang = last->source_lang;
  else
    TRY(analysis_text_copy(a, q->source_lang, &instance->source_lang, error));
  TRY(copy_choices(a, q, instance, error));
  TRY(effects_add_instance(a, row, instance, error));
  g->group.instances++;
  l->question = row->question_number;
  l->site = 0;
  return XT_STATUS_OK;
}

/* ---- responses ------------------------------------------------------------------------------- */

static xt_status find_site(Loader *l, const char *name, xt_error *error) {
  AnalysisGroup *g = l->group;
  if (l->site < g->site_count && strcmp(g->sites[l->site].name, name) == 0) return XT_STATUS_OK;
  for (l->site = 0; l->site < g->site_count; l->site++)
    if (strcmp(g->sites[l->site].name, name) == 0) return XT_STATUS_OK;
  TRY(MEM_GROW(&g->sites, &g->site_capacity, g->site_count + 1, error));
  g->sites[g->site_count] = (AnalysisSite){0};
  TRY(analysis_text_copy(l->a, name, &g->sites[g->site_count].name, error));
  g->site_count++;
  return XT_STATUS_OK;
}

/* Makes room for the group's first `instances` instances; new elements are absent. */
static xt_status site_reserve(xt_analysis *a, AnalysisSite *s, size_t instances, xt_error *error) {
  const size_t cells = (size_t)a->cells, words = bits_words(cells), old = s->capacity;
  size_t capacity = old * cells, margin_capacity = capacity, entropy_capacity = capacity,
         bit_capacity = old * words;
  if (instances <= old) return XT_STATUS_OK;
  instances = instances < old + old / 2 ? old + old / 2 : instances;
  TRY(analysis_claim(a, instances - old,
                     cells * (sizeof *s->texts + sizeof *s->margins + sizeof *s->entropies) +
                         words * sizeof *s->right,
                     error));
  TRY(MEM_GROW(&s->texts, &capacity, instances * cells, error));
  TRY(MEM_GROW(&s->margins, &margin_capacity, instances * cells, error));
  TRY(MEM_GROW(&s->entropies, &entropy_capacity, instances * cells, error));
  TRY(MEM_GROW(&s->right, &bit_capacity, instances * words, error));
  memset(s->texts + old * cells, 0xff, (instances - old) * cells * sizeof *s->texts);
  memset(s->right + old * words, 0, (instances - old) * words * sizeof *s->right);
  s->capacity = instances;
  return XT_STATUS_OK;
}

static xt_status load_row(void *user, const xt_store_row *row, xt_error *error) {
  Loader *l = user;
  xt_analysis *a = l->a;
  uint32_t text = TEXT_ABSENT;
  if (row->question_number != l->question) TRY(add_instance(l, row, error));
  AnalysisGroup *g = l->group;
  AnalysisInstance *instance = &g->instances[g->group.instances - 1];
  TRY(text_of(a, row, &text, error));
  if (row->source_layer < 0) {
    instance->vanilla_text = text;
    instance->vanilla_margin = (float)row->margin;
    instance->vanilla_entropy = (float)row->entropy;
    instance->vanilla_correct = row->correct == 1;
    instance->scored = row->correct >= 0;
    return effects_copy(a, row, &instance->vanilla_effects, error);
  }
  TRY(find_site(l, row->site, error));
  AnalysisSite *s = &g->sites[l->site];
  TRY(site_reserve(a, s, g->group.instances, error));
  const size_t at = g->group.instances - 1, cells = (size_t)a->cells,
               cell = (size_t)(row->source_layer * a->layers + row->target_layer);
  s->texts[at * cells + cell] = text;
  s->margins[at * cells + cell] = (float)row->margin;
  s->entropies[at * cells + cell] = (float)row->entropy;
  if (row->correct == 1) bits_set(s->right + at * bits_words(cells), cell);
  return effects_add_response(a, s, at, cell, row, error);
}

/* ---- after the last row ---------------------------------------------------------------------- */

static xt_status strategy_name(Loader *l, const char *name, const char **out, xt_error *error) {
  xt_analysis *a = l->a;
  for (size_t i = 0; i < a->strategy_count; i++)
    if (strcmp(a->strategies[i], name) == 0) {
      *out = a->strategies[i];
      return XT_STATUS_OK;
    }
  if (a->strategy_count == NAMES_MOST)
    return err_set(error, XT_STATUS_INPUT, NULL, "selections", -1, "more than %d strategies",
                   NAMES_MOST);
  TRY(MEM_GROW(&a->strategies, &l->strategy_capacity, a->strategy_count + 1, error));
  TRY(analysis_text_copy(a, name, out, error));
  ((const char **)(uintptr_t)a->strategies)[a->strategy_count++] = *out;
  return XT_STATUS_OK;
}

static xt_status load_cost(void *user, const Selection *s, xt_error *error) {
  Loader *l = user;
  Cost cost = {.question = s->question, .responses = s->responses, .tokens = s->tokens};
  if (s->responses == 0 || strlen(s->strategy) >= sizeof cost.strategy) return XT_STATUS_OK;
  TRY(MEM_GROW(&l->costs, &l->cost_capacity, l->cost_count + 1, error));
  snprintf(cost.strategy, sizeof cost.strategy, "%s", s->strategy);
  snprintf(cost.site, sizeof cost.site, "%s", s->site);
  l->costs[l->cost_count++] = cost;
  return XT_STATUS_OK;
}

/* NULL: the strategy always needs the same. */
static const Cost *find_cost(const Loader *l, const xt_store_row *row) {
  Cost key = {.question = row->question_number};
  if (strlen(row->strategy) >= sizeof key.strategy || l->cost_count == 0) return NULL;
  snprintf(key.strategy, sizeof key.strategy, "%s", row->strategy);
  snprintf(key.site, sizeof key.site, "%s", row->strategy_site);
  return bsearch(&key, l->costs, l->cost_count, sizeof *l->costs, by_choice);
}

static xt_status load_selection(void *user, const xt_store_row *row, xt_error *error) {
  Loader *l = user;
  const char *name = NULL;
  TRY(strategy_name(l, row->strategy, &name, error));
  const Place *place = bsearch(&(Place){.number = row->question_number}, l->places, l->place_count,
                               sizeof *l->places, by_number);
  for (size_t s = 0; place && s < place->group->site_count; s++) {
    AnalysisSite *site = &place->group->sites[s];
    if (strcmp(site->name, row->strategy_site) != 0) continue;
    TRY(MEM_GROW(&site->selections, &site->selection_capacity, site->selection_count + 1, error));
    const Cost *cost = find_cost(l, row);
    site->selections[site->selection_count++] = (AnalysisSelection){
        name, place->instance,
        row->source_layer < 0 ? ANALYSIS_VANILLA
                              : row->source_layer * l->a->layers + row->target_layer,
        cost ? cost->responses : 0, cost ? cost->tokens : 0};
  }
  return XT_STATUS_OK;
}

static xt_status load_source(void *user, const xt_store_row *row, xt_error *error) {
  Loader *l = user;
  const Place *place = bsearch(&(Place){.number = row->question_number}, l->places, l->place_count,
                               sizeof *l->places, by_number);
  if (!place) return XT_STATUS_OK;
  AnalysisInstance *instance = &place->group->instances[place->instance];
  TRY(effects_copy(l->a, row, &instance->source_effects, error));
  return text_of(l->a, row, &instance->source_text, error);
}

static xt_status find_samples(xt_analysis *a, AnalysisGroup *g, const xt_sample_settings *settings,
                              AnalysisSamples **out, xt_error *error) {
  for (size_t s = 0; s < g->sample_count; s++) {
    const xt_sample_settings *known = &g->samples[s].settings;
    *out = &g->samples[s];
    if (known->seed == settings->seed &&
        memcmp(&known->temperature, &settings->temperature, sizeof known->temperature) == 0 &&
        memcmp(&known->top_p, &settings->top_p, sizeof known->top_p) == 0)
      return XT_STATUS_OK;
  }
  TRY(MEM_GROW(&g->samples, &g->sample_capacity, g->sample_count + 1, error));
  *out = &g->samples[g->sample_count];
  **out = (AnalysisSamples){.settings = *settings};
  TRY(analysis_claim(a, g->group.instances, sizeof *(*out)->counts, error));
  TRY(MEM_ALLOC(&(*out)->counts, g->group.instances, error));
  g->sample_count++;
  return XT_STATUS_OK;
}

static xt_status load_sample(void *user, const xt_store_row *row, xt_error *error) {
  Loader *l = user;
  AnalysisSamples *samples;
  const Place *place = bsearch(&(Place){.number = row->question_number}, l->places, l->place_count,
                               sizeof *l->places, by_number);
  if (!place || row->correct < 0) return XT_STATUS_OK;
  TRY(find_samples(l->a, place->group, &row->sample.settings, &samples, error));
  samples->counts[place->instance].drawn++;
  samples->counts[place->instance].right += row->correct == 1;
  return XT_STATUS_OK;
}

/* Where each question of the store is. */
static xt_status find_places(Loader *l, xt_error *error) {
  size_t count = 0;
  for (size_t i = 0; i < l->a->count; i++) count += l->a->groups[i].group.instances;
  TRY(MEM_ALLOC(&l->places, count, error));
  for (size_t i = 0; i < l->a->count; i++) {
    AnalysisGroup *g = &l->a->groups[i];
    for (size_t k = 0; k < g->group.instances; k++)
      l->places[l->place_count++] = (Place){g->instances[k].number, g, k};
  }
  if (count) qsort(l->places, count, sizeof *l->places, by_number);
  return XT_STATUS_OK;
}

static xt_status find_languages(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  xt_group_language *languages = NULL;
  TRY(ARENA_ALLOC(&a->arena, &languages, g->group.instances, error));
  for (size_t i = 0; i < g->group.instances; i++) {
    const char *lang = g->instances[i].lang;
    if (i == 0 || strcmp(lang, g->instances[i - 1].lang) != 0)
      languages[g->group.language_count++] =
          (xt_group_language){.name = lang, .level = level_of(lang), .first = i};
    languages[g->group.language_count - 1].count++;
  }
  g->group.languages = languages;
  return XT_STATUS_OK;
}

/* Turns a site's instance-major bits into a set of instances per cell. */
static xt_status transpose(xt_analysis *a, const AnalysisGroup *g, AnalysisSite *s,
                           xt_error *error) {
  const size_t n = g->group.instances, words = bits_words(n), cells = (size_t)a->cells;
  TRY(site_reserve(a, s, n, error));
  TRY(analysis_claim(a, cells * words, sizeof *s->correct + sizeof *s->present, error));
  TRY(MEM_ALLOC(&s->correct, cells * words, error));
  TRY(MEM_ALLOC(&s->present, cells * words, error));
  for (size_t i = 0; i < n; i++) {
    if (!g->instances[i].scored) continue;
    const uint64_t *right = s->right + i * bits_words(cells);
    for (size_t c = 0; c < cells; c++) {
      if (s->texts[i * cells + c] == TEXT_ABSENT) continue;
      bits_set(s->present + c * words, i);
      if (bits_get(right, c)) bits_set(s->correct + c * words, i);
    }
  }
  return XT_STATUS_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const AnalysisSite *)a)->name, ((const AnalysisSite *)b)->name);
}

static xt_status finish_group(xt_analysis *a, AnalysisGroup *g, xt_error *error) {
  const size_t words = bits_words(g->group.instances);
  if (g->site_count) qsort(g->sites, g->site_count, sizeof *g->sites, by_name);
  TRY(find_languages(a, g, error));
  TRY(MEM_ALLOC(&g->scored, words, error));
  TRY(MEM_ALLOC(&g->vanilla, words, error));
  for (size_t i = 0; i < g->group.instances; i++) {
    if (!g->instances[i].scored) continue;
    bits_set(g->scored, i);
    if (g->instances[i].vanilla_correct) bits_set(g->vanilla, i);
    g->group.scored++;
  }
  for (size_t s = 0; s < g->site_count; s++) TRY(transpose(a, g, &g->sites[s], error));
  return XT_STATUS_OK;
}

static int by_task(const void *a, const void *b) {
  const xt_group *x = &((const AnalysisGroup *)a)->group, *y = &((const AnalysisGroup *)b)->group;
  return compare_groups(x->task, x->pivot, x->cot, y->task, y->pivot, y->cot);
}

xt_status analysis_load(xt_analysis *a, xt_store *store, xt_error *error) {
  Loader l = {.a = a, .question = -1};
  TRY(xt_store_read(store, load_row, &l, error));
  if (a->count) qsort(a->groups, a->count, sizeof *a->groups, by_task);
  for (size_t i = 0; i < a->count; i++) TRY(finish_group(a, &a->groups[i], error));
  xt_status status = find_places(&l, error);
  if (!status) status = xt_store_read_sources(store, load_source, &l, error);
  if (!status) status = xt_store_read_samples(store, load_sample, &l, error);
  if (!status) status = selections_read(store, load_cost, &l, error);
  if (!status) status = xt_store_read_selections(store, load_selection, &l, error);
  free(l.places);
  free(l.costs);
  return status;
}
