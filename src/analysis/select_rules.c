/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/select_rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* ---- how often each answer is given ---------------------------------------------------------- */

static uint64_t answer_key(const Gathered *q, const Candidate *c, uint64_t answer) {
  const uint64_t numbers[] = {q->group, (uint64_t)c->source_layer, (uint64_t)c->target_layer,
                              answer};
  return hash_fnv(numbers, sizeof numbers);
}

/* The slot of a key, or the free one for it. */
static size_t find_slot(const Frequencies *f, uint64_t key) {
  size_t at = (size_t)(key ^ (key >> 32)) & (f->size - 1);
  while ((f->slots[at].count || f->slots[at].seen) && f->slots[at].key != key)
    at = (at + 1) & (f->size - 1);
  return at;
}

static void add_candidate(Frequencies *f, const Gathered *q, const Candidate *c) {
  uint64_t key = answer_key(q, c, c->answer);
  size_t at = find_slot(f, key);
  f->slots[at].key = key;
  f->slots[at].count++;
  for (size_t o = 0; o < q->option_count; o++) {
    key = answer_key(q, c, q->options[o]);
    at = find_slot(f, key);
    f->slots[at].key = key;
    f->slots[at].seen++;
    f->slots[at].sum += (double)c->options[o];
  }
}

xt_status frequencies_of(Frequencies *f, const QuestionSet *set, xt_error *error) {
  size_t most = 1;
  *f = (Frequencies){.size = 1};
  for (size_t i = 0; i < set->count; i++)
    most += set->questions[i].count * (1 + set->questions[i].option_count);
  while (f->size < 2 * most) f->size *= 2;
  TRY(MEM_ALLOC(&f->slots, f->size, error));
  for (size_t i = 0; i < set->count; i++)
    for (size_t k = 0; k < set->questions[i].count; k++)
      add_candidate(f, &set->questions[i], &set->questions[i].candidates[k]);
  return XT_STATUS_OK;
}

void frequencies_deinit(Frequencies *f) {
  free(f->slots);
  *f = (Frequencies){0};
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* Above 0 and below 1, so that votes decide first, then the log-probability. */
static double sureness(const Candidate *c) {
  return c->mean_logprob < 0 ? exp(c->mean_logprob) : 0.999999;
}

/* How many candidates give the answer that they do not give with the control. */
static size_t votes_against_control(const Gathered *q, uint64_t answer) {
  size_t n = 0;
  for (size_t i = 0; i < q->count; i++)
    n += q->candidates[i].answer == answer && q->candidates[i].control != answer;
  return n;
}

/* The votes of an answer. One that a configuration gives to n other questions of the
 * task and language counts 1 / (1 + n): a configuration that always gives the same answer says nothing by it. */
static double calibrated_votes(const Gathered *q, uint64_t answer, const Frequencies *f) {
  double sum = 0;
  for (size_t i = 0; i < q->count; i++)
    if (q->candidates[i].answer == answer)
      sum += 1 / (double)f->slots[find_slot(f, answer_key(q, &q->candidates[i], answer))].count;
  return sum;
}

/* The log-probability of an option less the configuration's mean over the other questions of the
 * task and language, as a sum over candidates; *known: whether there are such questions. */
static double contextual_logprob(const Gathered *q, size_t option, const Frequencies *f,
                                 bool *known) {
  double sum = 0;
  for (size_t i = 0; i < q->count; i++) {
    const Candidate *c = &q->candidates[i];
    const size_t at = find_slot(f, answer_key(q, c, q->options[option]));
    const double own = (double)c->options[option], others = (double)f->slots[at].seen - 1;
    if (others <= 0) continue;
    sum += own - (f->slots[at].sum - own) / others;
    *known = true;
  }
  return sum;
}

/* The surest of the candidates that give an option, or of all (option NULL); NULL: there is none. */
static const Candidate *surest(const Gathered *q, const uint64_t *option) {
  const Candidate *best = NULL;
  for (size_t i = 0; i < q->count; i++)
    if ((!option || q->candidates[i].answer == *option) &&
        (!best || q->candidates[i].mean_logprob > best->mean_logprob))
      best = &q->candidates[i];
  return best;
}

const Candidate *choose_contextual(const Gathered *q, const Frequencies *f) {
  const Candidate *best = NULL;
  double highest = -INFINITY;
  bool known = false;
  for (size_t o = 0; o < q->option_count; o++) {
    const double value = contextual_logprob(q, o, f, &known);
    const Candidate *given = surest(q, &q->options[o]);
    if (!given || value <= highest) continue;
    highest = value;
    best = given;
  }
  return !known ? NULL : best ? best : surest(q, NULL);
}

/* Larger is better; ties go to the earlier candidate. */
static double rule_score(xt_strategy strategy, const Gathered *q, const Candidate *c,
                         const Frequencies *frequencies) {
  switch (strategy) {
    case XT_STRATEGY_ENTROPY: return -c->entropy;
    case XT_STRATEGY_MEAN_ENTROPY: return -c->mean_entropy;
    case XT_STRATEGY_LOGPROB: return c->mean_logprob;
    case XT_STRATEGY_VOTE: return (double)gathered_votes(q, c->answer) + sureness(c);
    case XT_STRATEGY_CALIBRATED:
      return calibrated_votes(q, c->answer, frequencies) + 1e-6 * sureness(c);
    case XT_STRATEGY_CONTROL:
      return c->answer == c->control ? -1
                                     : (double)votes_against_control(q, c->answer) + sureness(c);
    default: return 0; /* coarse has one candidate */
  }
}

const Candidate *choose_by_rule(xt_strategy strategy, const Gathered *q,
                                const Frequencies *frequencies) {
  const Candidate *best = strategy == XT_STRATEGY_CONTROL ? &q->vanilla : &q->candidates[0];
  double highest = strategy == XT_STRATEGY_CONTROL ? 0 : rule_score(strategy, q, best, frequencies);
  for (size_t i = 0; i < q->count; i++) {
    const double score = rule_score(strategy, q, &q->candidates[i], frequencies);
    if (!(score > highest)) continue;
    highest = score;
    best = &q->candidates[i];
  }
  return best;
}
