/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of first tokens (xt_generation.effects). The distributions of a group's target and
 * source prompts are its references, which are set in its first pass and stay for the others. A row
 * is compared with its instance's two; the references themselves are compared on the host, once for
 * each instance. */
#include <math.h>

#include "base/mem.h"
#include "sweep/sweep_pass.h"

size_t sweep_most_tracked(const xt_instance *instances, size_t count) {
  size_t most = 0;
  for (size_t i = 0; i < count; i++)
    if (instances[i].tracked_count > most) most = instances[i].tracked_count;
  return most;
}

xt_status sweep_check_tracked(const xt_model *m, const xt_sweep_options *o,
                              const xt_instance *instances, size_t count, xt_error *error) {
  for (size_t i = 0; i < count && o->effects; i++)
    TRY(tracked_check(m, instances[i].tracked, instances[i].tracked_count, i, error));
  return XT_STATUS_OK;
}

xt_status sweep_reserve_references(Group *g, xt_error *error) {
  int count = 0;
  TRY(ARENA_ALLOC(&g->arena, &g->reference, (size_t)g->prompt_count, error));
  for (int k = 0; k < g->prompt_count; k++) g->reference[k] = -1;
  for (int w = 0; w < g->count; w++) {
    int *const of[] = {&g->reference[g->target_prompt[w]], &g->reference[g->source_prompt[w]]};
    for (int i = 0; i < 2; i++)
      if (*of[i] < 0) *of[i] = count++;
  }
  return references_create(&g->references, g->session, count, error);
}

xt_status sweep_set_references(Pass *p, xt_error *error) {
  Group *g = p->group;
  const xt_session *s = g->session;
  const int most = s->backend->limits.logit_rows, prompts = g->prompt_count;
  const size_t vocab = (size_t)s->model->config.vocab;
  for (int first = 0; first < prompts; first += most) {
    const int count = prompts - first < most ? prompts - first : most;
    const Dev logits = rows_choose_piece(&p->table, forward_x(&s->forward, first), first, count,
                                         (size_t)first, false);
    sweep_count_flops(g, (uint64_t)count, 0, true);
    for (int e = first; e < first + count; e++)
      if (g->reference[e] >= 0)
        references_set(&g->references, g->reference[e],
                       dev_at(logits, (size_t)(e - first) * vocab));
  }
  TRY(rows_read(&p->table, 0, (size_t)prompts, error));
  for (int e = 0; e < prompts; e++)
    if (g->reference[e] >= 0)
      g->references.logprob[g->reference[e]] =
          rows_forced(&p->table, e) ? NAN : p->table.chosen[e].logprob;
  return XT_STATUS_OK;
}

RowQuestion sweep_question(const Group *g, int instance) {
  const xt_instance *in = &g->instances[instance];
  return (RowQuestion){.ids = in->tracked,
                       .count = (int)in->tracked_count,
                       .against = {g->reference[g->target_prompt[instance]],
                                   g->reference[g->source_prompt[instance]]}};
}

void sweep_ask(Pass *p, int e, const SweepRow *row) {
  const RowQuestion question = sweep_question(p->group, row->instance);
  rows_ask(&p->table, e, &question);
}

xt_status sweep_take_effects(Pass *p, SweepRow *row, xt_error *error) {
  const Group *g = p->group;
  const RowQuestion question = sweep_question(g, row->instance);
  const size_t count = XT_EFFECT_TRACKED + (size_t)question.count;
  const int *references = question.against;
  if (row->site == XT_SWEEP_SOURCE) return XT_STATUS_OK; /* shared by questions */
  TRY(ARENA_ALLOC(&p->arena, &row->out.effects, count, error));
  if (row->join != SWEEP_JOIN_NEVER) {
    if (rows_numbers(&p->table, row->place, &question, row->out.effects))
      row->out.effect_count = count;
    return XT_STATUS_OK;
  }
  for (int k = 0; k < BACKEND_COMPARED; k++)
    if (isnan(g->references.logprob[references[k]])) return XT_STATUS_OK;
  references_numbers(&g->references, references[0], &question, row->out.effects);
  row->out.effect_count = count;
  if (row->site >= 0) return XT_STATUS_OK; /* its first token is the untouched run's */
  TRY(ARENA_ALLOC(&p->arena, &row->source_effects, count, error));
  references_numbers(&g->references, references[1], &question, row->source_effects);
  return XT_STATUS_OK;
}
