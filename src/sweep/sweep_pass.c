/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "sweep/row_writes.h"
#include "sweep/sweep_pass.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static int compare_rows(const void *a, const void *b) {
  const SweepRow *x = a, *y = b;
  if (x->parts != y->parts) return x->parts - y->parts;
  if (x->layer != y->layer) return x->layer - y->layer;
  if (x->join != y->join) return (int)x->join - (int)y->join;
  /* vanilla behind plans that write nothing, before those of source prompts */
  if ((x->site < 0 || y->site < 0) && x->site != y->site) return y->site - x->site;
  if (x->instance != y->instance) return x->instance - y->instance;
  if (x->site != y->site) return x->site - y->site;
  if (x->source != y->source) return x->source - y->source;
  return x->target - y->target;
}

static xt_status row_init(Pass *p, SweepRow *row, xt_error *error) {
  const size_t n = (size_t)p->group->config->max_new;
  row->prompt = row->node = (row->site == XT_SWEEP_SOURCE ? p->group->source_prompt
                                                          : p->group->target_prompt)[row->instance];
  TRY(ARENA_ALLOC(&p->arena, &row->out.ids, n, error));
  TRY(ARENA_ALLOC(&p->arena, &row->out.margins, n, error));
  TRY(ARENA_ALLOC(&p->arena, &row->out.entropies, n, error));
  return ARENA_ALLOC(&p->arena, &row->out.logprobs, n, error);
}

/* The tokens that a row writes. */
typedef struct Written {
  bool last, generated;
} Written;

static void note_write(void *user, const xt_intervention *put, int32_t value) {
  Written *w = user;
  (void)value;
  w->last = w->last || put->position == XT_POSITION_LAST;
  w->generated = w->generated || put->position == XT_POSITION_GENERATED;
}

/* Where the row leaves the untouched run. */
static void row_parting(const Pass *p, SweepRow *row) {
  const Group *g = p->group;
  const ModelConfig *c = &g->session->model->config;
  Written w = {0};
  row->join = SWEEP_JOIN_NEVER;
  row->layer = row->parts = c->layers;
  if (row->site < 0) return;
  const xt_site *site = pass_site(p, row);
  sweep_each_write(g, row->instance, row->site, row->source, row->target, note_write, &w);
  row->layer = sweep_lowest_layer(
      site, sweep_control_input(g->config, g->first + (size_t)row->instance, row->site), c->layers,
      row->source, row->target);
  row->parts = row->layer - w.generated;
  if (!w.last) return;
  row->join = site->from == XT_FROM_PLAN         ? SWEEP_JOIN_INPUT
              : sweep_joins_late(c, site->write) ? SWEEP_JOIN_OUTPUT
                                                 : SWEEP_JOIN_MIDDLE;
}

static SweepRow row_of(const Pass *p, int instance, int site, int source, int target) {
  SweepRow row = {.instance = instance, .site = site, .source = source, .target = target};
  row_parting(p, &row);
  return row;
}

/* The configurations whose target is one of targets[from..to), of every instance; with `untouched`,
 * the untouched runs too. */
static xt_status rows_init(Pass *p, int from, int to, bool untouched, xt_error *error) {
  const SweepConfig *c = p->group->config;
  const size_t most =
      (size_t)p->group->count * ((size_t)(to - from) * (size_t)sweep_rows_per_target(c) + 2);
  TRY(ARENA_ALLOC(&p->arena, &p->rows, most, error));
  for (int w = 0; w < p->group->count; w++) {
    for (int t = from; t < to; t++)
      for (int s = 0; s < c->site_count; s++)
        for (int i = 0; i < c->source_count && !c->alone[s]; i++)
          p->rows[p->row_count++] = row_of(p, w, s, c->sources[i], c->targets[t]);
    if (!untouched) continue;
    p->rows[p->row_count++] = row_of(p, w, XT_SWEEP_VANILLA, -1, -1);
    if (p->group->instances[w].run_source)
      p->rows[p->row_count++] = row_of(p, w, XT_SWEEP_SOURCE, -1, -1);
  }
  qsort(p->rows, (size_t)p->row_count, sizeof *p->rows, compare_rows);
  for (int r = 0; r < p->row_count; r++) {
    TRY(row_init(p, &p->rows[r], error));
    p->untouched += p->rows[r].site < 0;
  }
  return XT_STATUS_OK;
}

/* ---- setting up a pass ----------------------------------------------------------------------- */

static xt_status pass_arrays(Pass *p, xt_error *error) {
  const size_t layers = (size_t)pass_layers(p), rows = (size_t)p->row_count,
               prompts = (size_t)p->group->prompt_count;
  TRY(ARENA_ALLOC(&p->arena, &p->layer_rows, layers, error));
  TRY(ARENA_ALLOC(&p->arena, &p->nodes_below, layers + 3, error));
  TRY(ARENA_ALLOC(&p->arena, &p->rows_below, layers + 3, error));
  TRY(ARENA_ALLOC(&p->arena, &p->active, rows, error));
  TRY(ARENA_ALLOC(&p->arena, &p->joining, rows, error));
  TRY(ARENA_ALLOC(&p->arena, &p->nodes, sweep_nodes(prompts, rows, p->group->config->max_new),
                  error));
  for (p->hash_size = 64; p->hash_size < 4 * rows;) p->hash_size *= 2;
  return ARENA_ALLOC(&p->arena, &p->hash, p->hash_size, error);
}

static xt_status pass_penalty(Pass *p, xt_error *error) {
  const Group *g = p->group;
  RowPrompt *prompts;
  int32_t *prompt_of_row;
  TRY(ARENA_ALLOC(&p->arena, &prompts, (size_t)g->prompt_count, error));
  const int lists = p->row_count + g->prompt_count; /* of the rows, then of the prompts */
  TRY(ARENA_ALLOC(&p->arena, &prompt_of_row, (size_t)lists, error));
  for (int k = 0; k < g->prompt_count; k++)
    prompts[k] = (RowPrompt){.ids = g->prompts[k].ids, .count = g->prompts[k].count};
  for (int r = 0; r < p->row_count; r++) prompt_of_row[r] = p->rows[r].prompt;
  for (int k = 0; k < g->prompt_count; k++) prompt_of_row[p->row_count + k] = k;
  return rows_penalize(&p->table, g->config->penalty, prompts, g->prompt_count, prompt_of_row,
                       lists, g->config->max_new, error);
}

xt_status sweep_pass_init(Pass *p, int from, int to, bool untouched, xt_error *error) {
  const Group *g = p->group;
  TRY(rows_init(p, from, to, untouched, error));
  TRY(pass_arrays(p, error));
  p->node_count = g->prompt_count;
  for (int n = 0; n < p->node_count; n++)
    p->nodes[n] = (Node){.parent = -1, .prompt = n, .slot = n};
  size_t longest = 0;
  for (int k = 0; k < g->prompt_count; k++)
    if (g->prompts[k].count + (size_t)g->config->max_new > longest)
      longest = g->prompts[k].count + (size_t)g->config->max_new;
  const int entries = 2 * p->row_count > g->prompt_count ? 2 * p->row_count : g->prompt_count;
  const RowTableSize size = {.rows = entries,
                             .tail = g->config->max_new,
                             .slots = pass_tail_slot(p, p->row_count, 0),
                             .edits = (size_t)p->row_count * (size_t)g->config->edits_most,
                             .choices = (size_t)entries};
  TRY(rows_create(&p->table, g->session, &size, error));
  p->table.edit_values = (EditValues){.wide = g->taps, .heads = g->heads};
  TRY(pass_penalty(p, error));
  if (g->config->options->effects)
    TRY(rows_compare(&p->table, &g->references, p->row_count - p->untouched,
                     (int)sweep_most_tracked(g->instances, (size_t)g->count), error));
  TRY(rows_restrict(&p->table, longest, error));
  return forward_reserve(&g->session->forward, entries, 0, error);
}

void sweep_pass_deinit(Pass *p) {
  rows_release(&p->table);
  arena_free(&p->arena);
}
