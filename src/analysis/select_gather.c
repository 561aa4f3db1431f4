/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/select_gather.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/groups.h"
#include "analysis/select_selector.h"
#include "base/hash.h"
#include "base/mem.h"

/* ---- names ----------------------------------------------------------------------------------- */

static const struct {
  bool learns;
  StrategyReads reads;
} strategies[XT_STRATEGY_CONTEXTUAL + 1] = {
    [XT_STRATEGY_LOGISTIC] = {true, {.untouched = true}},
    [XT_STRATEGY_STUMPS] = {true, {.untouched = true}},
    [XT_STRATEGY_CONTROL] = {false, {.untouched = true, .control = true}},
    [XT_STRATEGY_WEIGHTED] = {true, {.untouched = true}},
    [XT_STRATEGY_CONTROLLER] = {true, {.untouched = true}},
    [XT_STRATEGY_SEQUENCE] = {true, {.untouched = true, .some = true}},
    [XT_STRATEGY_NEIGHBOURS] = {true, {.one = true}},
    [XT_STRATEGY_PROBE] = {true, {.one = true}},
    [XT_STRATEGY_CONTEXTUAL] = {false, {.labels = true}}};
static const char *const strategy_names[] = {[XT_STRATEGY_COARSE] = "coarse",
                                             [XT_STRATEGY_ENTROPY] = "entropy",
                                             [XT_STRATEGY_MEAN_ENTROPY] = "mean-entropy",
                                             [XT_STRATEGY_LOGPROB] = "logprob",
                                             [XT_STRATEGY_VOTE] = "vote",
                                             [XT_STRATEGY_LOGISTIC] = "logistic",
                                             [XT_STRATEGY_STUMPS] = "stumps",
                                             [XT_STRATEGY_CALIBRATED] = "calibrated",
                                             [XT_STRATEGY_CONTROL] = "control",
                                             [XT_STRATEGY_WEIGHTED] = "weighted-vote",
                                             [XT_STRATEGY_CONTROLLER] = "controller",
                                             [XT_STRATEGY_SEQUENCE] = "sequence",
                                             [XT_STRATEGY_NEIGHBOURS] = "neighbours",
                                             [XT_STRATEGY_PROBE] = "probe",
                                             [XT_STRATEGY_CONTEXTUAL] = "contextual",
                                             NULL};
static const char *const candidate_names[] = {[XT_CANDIDATES_ENDS] = "ends",
                                              [XT_CANDIDATES_TARGET_FIRST] = "target-first",
                                              [XT_CANDIDATES_SOURCE_LAST] = "source-last",
                                              [XT_CANDIDATES_ALL] = "all",
                                              NULL};

const char *const *xt_strategy_names(void) { return strategy_names; }
const char *const *xt_candidates_names(void) { return candidate_names; }

xt_candidates xt_strategy_candidates(xt_strategy strategy) {
  return strategy == XT_STRATEGY_ENTROPY || strategy == XT_STRATEGY_MEAN_ENTROPY
             ? XT_CANDIDATES_ENDS
             : XT_CANDIDATES_TARGET_FIRST;
}

bool xt_strategy_learns(xt_strategy strategy) { return strategies[strategy].learns; }

StrategyReads strategy_reads(xt_strategy strategy) { return strategies[strategy].reads; }

bool xt_strategy_needs_states(xt_strategy strategy) { return strategies[strategy].reads.one; }

bool xt_strategy_needs_labels(xt_strategy strategy) { return strategies[strategy].reads.labels; }

const char *xt_strategy_format(const xt_select_options *o, char buffer[XT_STRATEGY_NAME_SIZE]) {
  const bool learned = o->selector && xt_strategy_learns(o->strategy);
  if (o->strategy == XT_STRATEGY_COARSE)
    snprintf(buffer, XT_STRATEGY_NAME_SIZE, "%s", strategy_names[o->strategy]);
  else
    snprintf(buffer, XT_STRATEGY_NAME_SIZE, "%s:%s%s%s", strategy_names[o->strategy],
             candidate_names[o->candidates], learned ? "@" : "", learned ? o->selector->from : "");
  return buffer;
}

bool strategy_parse(const char *name, xt_select_options *out) {
  char text[XT_STRATEGY_NAME_SIZE];
  const size_t length = strcspn(name, "@"); /* what follows says what it has learned from */
  *out = (xt_select_options){0};
  for (int s = 0; strategy_names[s]; s++)
    for (int c = 0; candidate_names[c]; c++) {
      out->strategy = (xt_strategy)s;
      out->candidates = (xt_candidates)c;
      xt_strategy_format(out, text);
      if (strlen(text) == length && memcmp(text, name, length) == 0) return true;
    }
  return false;
}

/* ---- which layers ---------------------------------------------------------------------------- */

void xt_select_get_need(const xt_select_options *o, const char *task_name, xt_select_need *out) {
  const xt_task *task = xt_task_find(task_name);
  const bool understanding =
      task && task->kind == XT_TASK_CHOICE && task->direction == XT_DIRECTION_TO_LANGUAGE;
  *out = (xt_select_need){.target_first = true, .control = strategies[o->strategy].reads.control};
  if (o->site)
    out->site = *o->site;
  else if (xt_site_parse(task ? task->site : "attn", &out->site, NULL) != XT_STATUS_OK)
    out->site = (xt_site){.read = XT_TAP_ATTN, .write = XT_TAP_ATTN};
  if (o->strategy == XT_STRATEGY_COARSE) {
    out->source_first = !understanding;
    out->source_last = understanding;
    return;
  }
  out->source_first = o->candidates == XT_CANDIDATES_ENDS;
  out->source_last =
      o->candidates == XT_CANDIDATES_ENDS || o->candidates == XT_CANDIDATES_SOURCE_LAST;
  out->source_all =
      o->candidates == XT_CANDIDATES_TARGET_FIRST || o->candidates == XT_CANDIDATES_ALL;
  out->target_all =
      o->candidates == XT_CANDIDATES_SOURCE_LAST || o->candidates == XT_CANDIDATES_ALL;
}

bool need_has(const xt_select_need *n, int layers, int source_layer, int target_layer) {
  const bool source = n->source_all || (n->source_first && source_layer == 0) ||
                      (n->source_last && source_layer == layers - 1);
  return source && (n->target_all || target_layer == 0) && source_layer >= 0 &&
         source_layer < layers && target_layer >= 0 && target_layer < layers;
}

static size_t need_count(const xt_select_need *n, int layers) {
  size_t count = 0;
  for (int i = 0; i < layers; i++)
    for (int j = 0; j < layers; j++) count += need_has(n, layers, i, j);
  return count;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Whether the response counts as this option, by the task's own scoring. */
static bool is_option(const xt_task *task, const xt_question *q, const xt_store_row *row,
                      const char *label) {
  bool right = false;
  const xt_status status = xt_task_score(task, q->choices, q->choice_count, row->text,
                                         row->text_length, label, &right, NULL);
  return status == XT_STATUS_OK && right;
}

/* The option that a response names; NULL: none, or several. Tasks whose options the store does not
 * list call them A to Z. */
static const char *named_option(const xt_task *task, const xt_question *q, const xt_store_row *row,
                                char letter[2]) {
  for (size_t i = 0; i < q->choice_count; i++)
    if (is_option(task, q, row, q->choices[i].label)) return q->choices[i].label;
  if (q->choice_count) return NULL;
  letter[1] = 0;
  for (letter[0] = 'A'; letter[0] <= 'Z'; letter[0]++)
    if (memchr(row->text, letter[0], row->text_length) ||
        memchr(row->text, letter[0] - 'A' + 'a', row->text_length))
      if (is_option(task, q, row, letter)) return letter;
  return NULL;
}

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static uint64_t option_answer(const char *label) {
  return hash_fnv_continue(hash_fnv("option ", 7), label, strlen(label));
}

static bool is_label(const xt_tracked *t) { return strcmp(t->kind, "label") == 0; }

/* Whether another option's label begins with the same token, which then says nothing of either. */
static bool is_shared(const xt_store_row *row, size_t at) {
  const xt_tracked *t = &row->tracked[at];
  bool shared = false;
  for (size_t k = 0; k < row->tracked_count && !shared; k++)
    shared = row->tracked[k].id == t->id && is_label(&row->tracked[k]) &&
             strcmp(row->tracked[k].answer, t->answer) != 0;
  return shared;
}

/* The log-probabilities of the options' labels, of several spellings the largest. Returns their
 * number. */
static size_t read_options(const xt_store_row *row, uint64_t *options, float *values) {
  size_t count = 0;
  for (size_t t = 0; row->effects && t < row->tracked_count; t++) {
    const float value = row->effects[XT_EFFECT_TRACKED + t];
    const uint64_t option = option_answer(row->tracked[t].answer);
    size_t at = 0;
    if (!is_label(&row->tracked[t]) || is_shared(row, t)) continue;
    while (at < count && options[at] != option) at++;
    if (at == OPTIONS_MOST || !isfinite(value)) return 0;
    if (at == count) {
      options[count++] = option;
      values[at] = value;
    }
    values[at] = value > values[at] ? value : values[at];
  }
  return count;
}

static void read_answer(const xt_store_row *row, Candidate *c) {
  const xt_task *task = xt_task_find(row->question->task);
  const char *text = row->text ? row->text : "";
  size_t length = row->text ? row->text_length : 0;
  char letter[2];
  const char *option = task && task->kind == XT_TASK_CHOICE && row->text
                           ? named_option(task, row->question, row, letter)
                           : NULL;
  while (length && is_blank(text[0])) text++, length--;
  while (length && is_blank(text[length - 1])) length--;
  c->answer = option ? option_answer(option) : hash_fnv(text, length);
  c->answered = option || ((!task || task->kind != XT_TASK_CHOICE) && length);
}

/* ---- questions ------------------------------------------------------------------------------- */

typedef struct Gatherer {
  const xt_select_options *options;
  int layers;
  xt_select_need need;
  Gathered now;
  char task[64], lang[64], control[XT_SITE_NAME_SIZE]; /* control: the site's name */
  struct {
    int source_layer, target_layer;
    uint64_t answer;
  } * controls; /* of the question */
  size_t control_count, control_capacity;
  xt_status (*visit)(void *user, const Gathered *question, xt_error *error);
  void *user;
} Gatherer;

/* Gives candidates the answers of their controls. */
static void match_controls(Gatherer *g) {
  for (size_t i = 0; i < g->now.count; i++)
    for (size_t k = 0; k < g->control_count; k++) {
      Candidate *c = &g->now.candidates[i];
      if (g->controls[k].source_layer != c->source_layer ||
          g->controls[k].target_layer != c->target_layer)
        continue;
      c->control = g->controls[k].answer;
      g->now.controls++;
      break;
    }
}

static xt_status finish_question(Gatherer *g, xt_error *error) {
  match_controls(g);
  return g->now.number ? g->visit(g->user, &g->now, error) : XT_STATUS_OK;
}

static uint64_t group_of(const xt_question *q) {
  const char *const names[] = {q->task, group_pivot(q->task, q->source_lang),
                               group_is_cot(q->id) ? "cot" : "", q->lang};
  uint64_t h = HASH_FNV_START;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    h = hash_fnv_continue(h, names[i], strlen(names[i]) + 1);
  return h;
}

static void begin_question(Gatherer *g, const xt_store_row *row) {
  const xt_question *q = row->question;
  snprintf(g->task, sizeof g->task, "%s", q->task);
  snprintf(g->lang, sizeof g->lang, "%s", q->lang);
  xt_select_get_need(g->options, q->task, &g->need);
  g->now = (Gathered){.number = row->question_number,
                      .place = q->number,
                      .task = g->task,
                      .lang = g->lang,
                      .asked = asked_of(q),
                      .group = group_of(q),
                      .prompt_length = strlen(q->target),
                      .candidates = g->now.candidates,
                      .capacity = g->now.capacity,
                      .wanted = need_count(&g->need, g->layers),
                      .reads = strategy_reads(g->options->strategy)};
  xt_site_format(g->need.site, g->now.site);
  g->need.site.control = XT_CONTROL_SHUFFLED;
  xt_site_format(g->need.site, g->control);
  g->control_count = 0;
}

static xt_status keep_control(Gatherer *g, const Candidate *c, xt_error *error) {
  TRY(MEM_GROW(&g->controls, &g->control_capacity, g->control_count + 1, error));
  g->controls[g->control_count].source_layer = c->source_layer;
  g->controls[g->control_count].target_layer = c->target_layer;
  g->controls[g->control_count++].answer = c->answer;
  return XT_STATUS_OK;
}

static xt_status gather_row(void *user, const xt_store_row *row, xt_error *error) {
  Gatherer *g = user;
  if (row->question_number != g->now.number) {
    TRY(finish_question(g, error));
    begin_question(g, row);
  }
  const bool vanilla = row->source_layer < 0,
             control = g->now.reads.control && strcmp(row->site, g->control) == 0;
  if (!vanilla && ((strcmp(row->site, g->now.site) != 0 && !control) ||
                   !need_has(&g->need, g->layers, row->source_layer, row->target_layer)))
    return XT_STATUS_OK;
  Candidate c = {.source_layer = row->source_layer,
                 .target_layer = row->target_layer,
                 .entropy = row->entropy,
                 .mean_entropy = row->mean_entropy,
                 .mean_logprob = row->mean_logprob,
                 .margin = row->margin,
                 .count = row->count,
                 .correct = row->correct};
  read_answer(row, &c);
  const size_t options = read_options(row, g->now.options, c.options);
  if (!control && g->now.count == 0 && !vanilla) g->now.option_count = options;
  if (!control && !vanilla && options != g->now.option_count) g->now.option_count = 0;
  if (vanilla) {
    g->now.vanilla = c;
    g->now.has_vanilla = true;
    return XT_STATUS_OK;
  }
  if (control) return keep_control(g, &c, error);
  TRY(MEM_GROW(&g->now.candidates, &g->now.capacity, g->now.count + 1, error));
  g->now.candidates[g->now.count++] = c;
  return XT_STATUS_OK;
}

xt_status gather_questions(xt_store *store, const xt_select_options *options,
                           xt_status (*visit)(void *user, const Gathered *question,
                                              xt_error *error),
                           void *user, xt_error *error) {
  Gatherer g = {.options = options, .visit = visit, .user = user};
  xt_store_info info;
  TRY(xt_store_get_info(store, &info, error));
  g.layers = info.layers;
  xt_status status = xt_store_read(store, gather_row, &g, error);
  if (!status) status = finish_question(&g, error);
  free(g.now.candidates);
  free(g.controls);
  return status;
}
