/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep's runner: one pass, that is rows from their first generated token to their last.
 *
 * An example. One instance; sites attn (A) and ffn (F), one source layer, target layers 0, 1 and 2
 * of a model of three; V is the untouched run. A0 is the row whose value is written at attn of
 * target layer 0. The prompts' inner positions are in the prefix pool.
 *
 * Step 0, the prompts' last tokens. run_last_tokens runs them untouched through all layers, and
 * records every tap. Each row starts where its value is written, from the taps of the untouched run
 * there (join_rows), so that the batch grows from layer to layer:
 *
 *     layer 0   [       ] attention   [ A0    ] feed-forward   A joins before it, F after
 *     layer 1   [ A0 F0 ] attention   [ A0 F0 A1    ] feed-forward
 *     layer 2   [ A0 F0 A1 F1 ] attention   [ A0 F0 A1 F1 A2    ] feed-forward
 *     choice    [ A0 F0 A1 F1 A2 F2 ]   V has had its choice from the untouched run
 *
 * Step 1, a generated token. Say A0 has chosen x, and all others y. What a row computes up to its
 * target layer depends only on its tokens, so that rows with the same tokens are one node there
 * (group_rows); above that layer each row is separate (part_rows copies the node's state). Nodes
 * stand in order of the layer up to which they are needed, rows in order of the layer at which they
 * part, so that what a layer computes is one range of the batch:
 *
 *               nodes     rows
 *     layer 0   [ x y ]
 *     layer 1   [   y  |  A0 F0 ]      x is needed by A0 alone, which has parted
 *     layer 2   [   y  |  A0 F0 A1 F1 ]
 *     choice    [   y  |  A0 F0 A1 F1 ]   y's choice is that of A2, F2 and V, too
 *
 * A row whose value is written at generated tokens starts like V, since its prompt is not changed,
 * and parts below its target layer, where the value is then written at each step.
 *
 * Rows of several instances share the batch in the same way; nodes and rows know their prompt,
 * whose prefix they see. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "model/flops.h"
#include "sweep/row_writes.h"
#include "sweep/sweep_pass.h"

/* The input of a layer: the output of the one below, or the embedding. */
static int32_t input_index(const Group *g, int layer, int prompt) {
  return layer > 0 ? sweep_tap_index(g, XT_TAP_BLOCK, layer - 1, prompt)
                   : XT_TAP_COUNT * g->session->model->config.layers * g->prompt_count + prompt;
}

/* ---- batches --------------------------------------------------------------------------------- */

/* An entry whose newest token is `step` tokens after the prompt's last; `row` has its list of the
 * repetition penalty. */
static void place_entry(Pass *p, int e, int prompt, int step, int32_t token, int slot, int row) {
  rows_place(&p->table, e, sweep_prefix(p->group, prompt), (int)p->group->prompts[prompt].count - 1,
             step, token, slot);
  p->table.column[ROW_LIST][e] = row;
  rows_text(&p->table, e,
            &(RowText){.prompt = p->group->prompts[prompt].ids,
                       .prompt_count = (int)p->group->prompts[prompt].count,
                       .generated = p->rows[row].out.ids,
                       .generated_count = step,
                       .max_new = p->group->config->max_new});
}

/* Chooses the next token of entries [from, to), into the choices with the same numbers. */
static void choose_entries(Pass *p, int from, int to) {
  rows_choose(&p->table, from, to - from);
  sweep_count_flops(p->group, (uint64_t)(to - from), 0, true);
}

static xt_status finish_row(Pass *p, const SweepRow *row, xt_error *error) {
  Group *g = p->group;
  const xt_sweep_response response = {.instance = g->first + (size_t)row->instance,
                                      .site = row->site,
                                      .source_layer = row->source,
                                      .target_layer = row->target,
                                      .generation = &row->out,
                                      .source_effects = row->source_effects};
  g->stats->responses += row->site != XT_SWEEP_SOURCE;
  g->stats->tokens += row->out.count;
  g->stats->row_layers_alone += (row->out.count - 1) * (uint64_t)g->session->model->config.layers;
  return g->done(g->user, &response, error);
}

/* Appends to every active row the token chosen at its entry; rows that ended are handed out and
 * leave. */
static xt_status record_rows(Pass *p, bool first, xt_error *error) {
  const Group *g = p->group;
  const int top = pass_layers(p) - 1;
  int left = 0;
  for (int a = 0; a < p->active_count; a++) {
    SweepRow *row = &p->rows[p->active[a]];
    const Choice *choice =
        &p->table.chosen[!first && row->parts >= top ? p->nodes[row->node].place : row->place];
    if (first && g->config->options->effects) TRY(sweep_take_effects(p, row, error));
    rows_append(&row->out, choice);
    row->out.stopped =
        !g->config->options->ignore_eos && engine_is_eos(&g->session->model->config, choice->best);
    if (!row->out.stopped && row->out.count < (size_t)g->config->max_new)
      p->active[left++] = p->active[a];
    else
      TRY(finish_row(p, row, error));
  }
  p->active_count = left;
  return XT_STATUS_OK;
}

/* ---- the prompts' last tokens ---------------------------------------------------------------- */

/* Runs the last token of every prompt untouched and records all taps. Entry e is prompt e. */
static void run_last_tokens(Pass *p) {
  Group *g = p->group;
  Forward *f = &g->session->forward;
  const ModelConfig *c = &g->session->model->config;
  const int last = g->prompt_count;
  rows_begin(&p->table, last, 1);
  for (int e = 0; e < last; e++) { /* the prompts' lists follow those of the rows */
    place_entry(p, e, e, 0, g->prompts[e].ids[g->prompts[e].count - 1], e, 0);
    p->table.column[ROW_LIST][e] = p->row_count + e;
  }
  rows_upload(&p->table);
  Batch batch = rows_batch(&p->table, 0, last);
  for (int tap = 0; tap < XT_TAP_COUNT; tap++)
    batch.capture[tap] =
        dev_at(g->taps, (size_t)sweep_tap_index(g, (xt_tap)tap, 0, 0) * (size_t)c->width);
  batch.capture_heads = g->heads;
  forward_embed(f, rows_column(&p->table, ROW_TOKEN, 0), rows_column(&p->table, ROW_POSITION, 0),
                last);
  g->session->backend->ops->copy_rows(
      g->session->backend, dev_at(g->taps, (size_t)input_index(g, 0, 0) * (size_t)c->width),
      (IndexList){0}, forward_x(f, 0), (IndexList){0}, last, c->width);
  forward_layers(f, &batch);
  sweep_count_flops(g, (uint64_t)last, c->layers, false);
}

/* The edits of entry `e`, from layer `from` on, at a position. */
typedef struct Editing {
  Pass *pass;
  int e, from, position;
} Editing;

static void add_edit(void *user, const xt_intervention *put, int32_t value) {
  const Editing *w = user;
  if (put->layer >= w->from && put->position == w->position)
    rows_edit(&w->pass->table, w->e, put, value);
}

/* Adds what the row writes at this position as edits of entry `e`, from layer `from` on. */
static void edit_entry(Pass *p, int e, const SweepRow *row, int from, int position) {
  Editing w = {p, e, from, position};
  sweep_each_write(p->group, row->instance, row->site, row->source, row->target, add_edit, &w);
}

/* The taps from which a row starts when it joins as entry e: what is put at the tap, which is the
 * value, or the tap's own value if edits then change it, or a part of it; the residual stream to
 * which that is added, if the write adds; and, if the layer is parallel, what the untouched run's
 * feed-forward module adds. The further layers of a span are edited as they are computed. A row that
 * joins before the layer starts from the layer's input, and edits are all that it writes. */
static void list_taps(Pass *p, int e, const SweepRow *row) {
  const Group *g = p->group;
  if (row->join == SWEEP_JOIN_INPUT) {
    p->table.column[ROW_FROM][e] = input_index(g, row->layer, row->prompt);
    edit_entry(p, e, row, row->layer, XT_POSITION_LAST);
    return;
  }
  const xt_site *site = pass_site(p, row);
  const bool heads = site_heads(site) > 0, edits = heads || site->rule != XT_RULE_REPLACE;
  const ValueRows value = sweep_value_rows(g, row->instance, row->site, sweep_read_tap(site));
  p->table.column[ROW_FROM][e] = heads   ? row->target * g->prompt_count + row->prompt
                                 : edits ? sweep_tap_index(g, site->write, row->target, row->prompt)
                                         : value.first + row->source * value.step;
  p->table.column[ROW_TO][e] = site->write == XT_TAP_ATTN
                                   ? input_index(g, row->target, row->prompt)
                                   : sweep_tap_index(g, XT_TAP_MID, row->target, row->prompt);
  p->table.column[ROW_ADD][e] = sweep_tap_index(g, XT_TAP_FFN, row->target, row->prompt);
  edit_entry(p, e, row, row->target + !edits, XT_POSITION_LAST);
}

/* Puts what rows [first, first + count) write, with the same target layer and tap, into the residual
 * stream if that is what the tap is, else into the buffer of what a module adds. */
static void place_taps(Pass *p, int first, int count, int layer, xt_tap tap) {
  const Group *g = p->group;
  const ModelConfig *c = &g->session->model->config;
  Backend *be = g->session->backend;
  Forward *f = &g->session->forward;
  const bool heads = tap == XT_TAP_HEADS, adds = tap == XT_TAP_ATTN || tap == XT_TAP_FFN;
  const Dev to = heads  ? forward_heads(f)
                 : adds ? dev_at(f->block, f->sizes.branch)
                        : forward_x(f, first);
  const Batch batch = rows_batch(&p->table, first, count);
  be->ops->copy_rows(be, to, (IndexList){0}, heads ? g->heads : g->taps,
                     rows_column(&p->table, ROW_FROM, first), count,
                     heads ? c->heads * c->head_dim : c->width);
  forward_edit(f, &batch, layer, tap, to, first, count);
  if (heads) forward_project(f, layer, count);
}

/* Sets rows [first, first+count) of the residual stream to the start of rows that join at the same
 * place, and write the same tap there. The sums are those of a plain pass: the residual stream there plus
 * the value, or the value itself. */
static void place_values(Pass *p, int first, int count, int layer, SweepJoin join, xt_tap tap) {
  const Group *g = p->group;
  Backend *be = g->session->backend;
  const int width = g->session->model->config.width;
  const size_t floats = (size_t)count * (size_t)width;
  Forward *f = &g->session->forward;
  const Dev x = forward_x(f, first), branch = dev_at(f->block, f->sizes.branch);
  if (join == SWEEP_JOIN_INPUT) {
    be->ops->copy_rows(be, x, (IndexList){0}, g->taps, rows_column(&p->table, ROW_FROM, first),
                       count, width);
    return;
  }
  place_taps(p, first, count, layer, tap);
  if (tap == XT_TAP_MID || tap == XT_TAP_BLOCK) return;
  be->ops->copy_rows(be, x, (IndexList){0}, g->taps, rows_column(&p->table, ROW_TO, first), count,
                     width);
  be->ops->add(be, x, branch, floats);
  if (tap == XT_TAP_FFN || !g->session->model->config.parallel) return;
  be->ops->copy_rows(be, branch, (IndexList){0}, g->taps, rows_column(&p->table, ROW_ADD, first),
                     count, width);
  be->ops->add(be, x, branch, floats);
}

/* The first entry from `from` on that does not join at this place with the write tap of entry
 * `from`. */
static int same_place(const Pass *p, int from, int layer, SweepJoin join) {
  int end = from;
  for (xt_tap tap = XT_TAP_ATTN; end < p->join_count; end++) {
    const SweepRow *row = &p->rows[p->joining[end]];
    if (end == from) tap = sweep_tap(pass_site(p, row));
    if (row->layer != layer || row->join != join || sweep_tap(pass_site(p, row)) != tap) break;
  }
  return end;
}

/* Rows that join at this place of `layer` follow the `joined` ones; returns the new number of joined
 * rows. */
static int join_rows(Pass *p, int layer, SweepJoin join, int joined) {
  /* as many as the branch buffer has */
  const int most = p->group->session->backend->limits.work_rows;
  for (int end; (end = same_place(p, joined, layer, join)) > joined; joined = end) {
    const xt_tap tap = sweep_tap(pass_site(p, &p->rows[p->joining[joined]]));
    for (int from = joined; from < end; from += most)
      place_values(p, from, end - from < most ? end - from : most, layer, join, tap);
  }
  return joined;
}

/* Chooses the first tokens of the rows whose prompts are not changed from the prompts' entries that
 * run_last_tokens has computed, for each range of adjacent prompts that rows need at once. The rows
 * that do not end there become the active ones. */
static xt_status start_untouched(Pass *p, xt_error *error) {
  const int prompts = p->group->prompt_count;
  bool *asked;
  TRY(ARENA_ALLOC(&p->arena, &asked, (size_t)prompts, error));
  p->active_count = 0;
  for (int r = 0; r < p->row_count; r++) {
    if (p->rows[r].join != SWEEP_JOIN_NEVER) continue;
    p->rows[r].place = p->rows[r].prompt;
    p->active[p->active_count++] = r;
    asked[p->rows[r].prompt] = true;
  }
  for (int e = 0, from; e < prompts; e++) {
    for (from = e; e < prompts && asked[e];) e++;
    if (e > from) choose_entries(p, from, e);
  }
  TRY(rows_read(&p->table, 0, (size_t)prompts, error));
  return record_rows(p, true, error);
}

/* Runs the rows whose prompt's last token is changed, each from where it joins. Those that do
 * not end there become the active ones. */
static xt_status start_joining(Pass *p, xt_error *error) {
  Group *g = p->group;
  Forward *f = &g->session->forward;
  int joined = 0;
  rows_begin(&p->table, p->join_count, 1);
  for (int e = 0; e < p->join_count; e++) {
    const int r = p->joining[e];
    const SweepPrompt *prompt = &g->prompts[p->rows[r].prompt];
    place_entry(p, e, p->rows[r].prompt, 0, prompt->ids[prompt->count - 1], pass_tail_slot(p, r, 0),
                r);
    list_taps(p, e, &p->rows[r]);
    p->rows[r].place = e;
    p->active[e] = r;
    if (g->config->options->effects) sweep_ask(p, e, &p->rows[r]);
  }
  rows_upload(&p->table);
  for (int l = 0; l < pass_layers(p); l++) {
    joined = join_rows(p, l, SWEEP_JOIN_INPUT, joined);
    Batch batch = rows_batch(&p->table, 0, joined);
    if (joined) forward_attention(f, &batch, l);
    joined = join_rows(p, l, SWEEP_JOIN_MIDDLE, joined);
    batch = rows_batch(&p->table, 0, joined);
    if (joined) forward_ffn(f, &batch, l);
    sweep_count_flops(g, (uint64_t)joined, 1, false);
    joined = join_rows(p, l, SWEEP_JOIN_OUTPUT, joined);
  }
  choose_entries(p, 0, p->join_count);
  p->active_count = p->join_count;
  TRY(rows_read(&p->table, 0, (size_t)p->join_count, error));
  return record_rows(p, true, error);
}

static int compare_ints(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static xt_status start_pass(Pass *p, bool first, xt_error *error) {
  for (int r = 0; r < p->row_count; r++)
    if (p->rows[r].join != SWEEP_JOIN_NEVER) p->joining[p->join_count++] = r;
  run_last_tokens(p);
  if (first) TRY(sweep_make_values(p->group, error));
  if (first) TRY(sweep_upload_vectors(p->group, error));
  if (first && p->group->config->options->effects) TRY(sweep_set_references(p, error));
  if (p->join_count < p->row_count)
    TRY(start_untouched(p, error)); /* before the others' batch takes the buffers */
  const int waiting = p->active_count;
  int *behind = p->active + p->join_count;
  memmove(behind, p->active, (size_t)waiting * sizeof *behind);
  p->active_count = 0;
  if (p->join_count) TRY(start_joining(p, error));
  memmove(p->active + p->active_count, behind, (size_t)waiting * sizeof *behind);
  p->active_count += waiting;
  qsort(p->active, (size_t)p->active_count, sizeof *p->active, compare_ints);
  return XT_STATUS_OK;
}

/* ---- a generated token ----------------------------------------------------------------------- */

static int add_node(Pass *p, int parent, int32_t token) {
  p->nodes[p->node_count] =
      (Node){.parent = parent, .prompt = p->nodes[parent].prompt, .token = token};
  return p->node_count++;
}

/* The node of `token` after `parent`, which is made if it is new. */
static int child_node(Pass *p, int parent, int32_t token) {
  if (p->group->config->options->no_sharing) return add_node(p, parent, token);
  uint64_t hash = ((uint64_t)(uint32_t)parent << 32 | (uint32_t)token) * 0x9E3779B97F4A7C15u;
  for (size_t at = (size_t)(hash >> 20) & (p->hash_size - 1);; at = (at + 1) & (p->hash_size - 1)) {
    const int32_t n = p->hash[at];
    if (n < 0) return p->hash[at] = add_node(p, parent, token);
    if (p->nodes[n].parent == parent && p->nodes[n].token == token) return n;
  }
}

/* Gives every active row the node of its tokens. Rows are in order of the layers at which they part,
 * so that the last row of a node determines up to which layer the node is needed. Returns the first of the
 * step's nodes. */
static int group_rows(Pass *p, int step) {
  const int first = p->node_count;
  memset(p->hash, -1, p->hash_size * sizeof *p->hash);
  for (int a = 0; a < p->active_count; a++) {
    SweepRow *row = &p->rows[p->active[a]];
    row->node = child_node(p, row->node, row->out.ids[row->out.count - 1]);
    p->nodes[row->node].top = row->parts;
    p->nodes[row->node].member = p->active[a];
  }
  for (int n = first; n < p->node_count; n++)
    p->nodes[n].slot = pass_tail_slot(p, p->nodes[n].member, step);
  return first;
}

static void place_node(Pass *p, int e, int n, int step) {
  Node *node = &p->nodes[n];
  place_entry(p, e, node->prompt, step, node->token, node->slot, node->member);
  for (int k = step, up = n; k >= 0; k--, up = p->nodes[up].parent)
    rows_slots(&p->table, e)[k] = p->nodes[up].slot;
  node->place = e;
}

/* Row r, the a-th of the active ones, and its copy of its node when it parts. */
static void place_row(Pass *p, int e, int a, int step) {
  const int r = p->active[a], base = pass_tail_slot(p, r, 0);
  SweepRow *row = &p->rows[r];
  place_entry(p, e, row->prompt, step, row->out.ids[row->out.count - 1], base + step, r);
  for (int k = 0; k < step; k++) rows_slots(&p->table, e)[k] = base + k;
  if (row->join == SWEEP_JOIN_NEVER) /* the prompt's last token is the untouched run's */
    rows_slots(&p->table, e)[0] = row->prompt;
  if (row->parts < row->layer) edit_entry(p, e, row, 0, XT_POSITION_GENERATED);
  row->place = e;
  p->table.column[ROW_FROM][a] = p->nodes[row->node].place;
  p->table.column[ROW_TO][a] = e;
}

/* Lays out the step's batch: nodes in order of the layer up to which they are needed, then rows in
 * order of the layer at which they part. Counts both below each layer. */
static void lay_out(Pass *p, int first_node, int step) {
  const int layers = pass_layers(p), nodes = p->node_count - first_node;
  int parting = 0; /* rows that never part come last */
  while (parting < p->active_count && p->rows[p->active[parting]].parts < layers) parting++;
  rows_begin(&p->table, nodes + parting, step + 1);
  memset(p->nodes_below, 0, ((size_t)layers + 3) * sizeof *p->nodes_below);
  memset(p->rows_below, 0, ((size_t)layers + 3) * sizeof *p->rows_below);
  for (int n = first_node; n < p->node_count; n++) p->nodes_below[p->nodes[n].top + 2]++;
  for (int l = 0; l <= layers + 1; l++) p->nodes_below[l + 1] += p->nodes_below[l];
  p->node_entries = nodes;
  for (int n = first_node; n < p->node_count; n++)
    place_node(p, p->nodes_below[p->nodes[n].top + 1]++, n, step);
  /* placing advanced each by one */
  for (int l = layers + 2; l > 0; l--) p->nodes_below[l] = p->nodes_below[l - 1];
  p->nodes_below[0] = 0;
  for (int a = 0; a < parting; a++) {
    place_row(p, nodes + a, a, step);
    p->rows_below[p->rows[p->active[a]].parts + 2]++;
  }
  for (int l = 0; l <= layers + 1; l++) p->rows_below[l + 1] += p->rows_below[l];
  rows_upload(&p->table);
}

/* Rows that part after `layer`, -1 being the embedding, copy their node's state. */
static void part_rows(Pass *p, int layer) {
  const xt_session *s = p->group->session;
  const int first = p->rows_below[layer + 1], count = p->rows_below[layer + 2] - first;
  const Dev x = forward_x(&s->forward, 0);
  if (count)
    s->backend->ops->copy_rows(s->backend, x, rows_column(&p->table, ROW_TO, first), x,
                               rows_column(&p->table, ROW_FROM, first), count,
                               s->model->config.width);
}

static xt_status run_step(Pass *p, int step, xt_error *error) {
  Group *g = p->group;
  Forward *f = &g->session->forward;
  const int layers = pass_layers(p);
  lay_out(p, group_rows(p, step), step);
  forward_embed(f, rows_column(&p->table, ROW_TOKEN, 0), rows_column(&p->table, ROW_POSITION, 0),
                p->node_entries);
  part_rows(p, -1);
  for (int l = 0; l < layers; l++) {
    const int from = p->nodes_below[l + 1], to = p->node_entries + p->rows_below[l + 1];
    const Batch batch = rows_batch(&p->table, from, to - from);
    forward_attention(f, &batch, l);
    forward_ffn(f, &batch, l);
    p->layer_rows[l] = to - from;
    g->stats->row_layers += (uint64_t)(to - from);
    sweep_count_flops(g, (uint64_t)(to - from), 1, false);
    if (l < layers - 1) part_rows(p, l);
  }
  const int from = p->nodes_below[layers], to = p->node_entries + p->rows_below[layers];
  choose_entries(p, from, to);
  const xt_sweep_options *o = g->config->options;
  if (o->step)
    o->step(o->user, &(xt_sweep_step){.step = step,
                                      .responses = p->active_count,
                                      .rows = p->layer_rows,
                                      .layers = layers});
  TRY(rows_read(&p->table, (size_t)from, (size_t)(to - from), error));
  return record_rows(p, false, error);
}

/* The time of a pass determines how many rows the next passes may have. Sharing counts as speed. */
static void learn_speed(Group *g, int rows, double spent) {
  const double speed =
      spent > 1e-6 ? rows * sweep_row_flops(g->session->model, g->config) / spent : 0;
  double *known = &g->session->sweep_speed;
  if (speed > 0) *known = *known > 0 ? 0.5 * (*known + speed) : speed;
}

/* Responses to source prompts are not counted as the sweep's; they come last. */
static int active_sources(const Pass *p) {
  int n = 0;
  while (n < p->active_count && p->rows[p->active[p->active_count - 1 - n]].site == XT_SWEEP_SOURCE)
    n++;
  return n;
}

xt_status sweep_run_pass(Group *g, int from, int to, bool untouched, xt_error *error) {
  Pass p = {.group = g};
  const double begin = system_seconds();
  xt_status status = sweep_pass_init(&p, from, to, untouched, error);
  if (!status) status = start_pass(&p, untouched, error);
  for (int step = 1; !status && p.active_count > 0; step++) {
    status = sweep_pause(
        g, (double)(p.active_count - active_sources(&p)) * step / g->config->max_new, error);
    if (!status) status = run_step(&p, step, error);
  }
  if (!status) status = sweep_pause(g, 0, error);
  if (!status) learn_speed(g, p.row_count, system_seconds() - begin);
  sweep_pass_deinit(&p);
  return status;
}
