/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep's runner (docs/ARCHITECTURE.md draws it).
 *
 * 1. prefix_run: the inner positions of every distinct prompt of the group, once.
 * 2. start_pass: the last tokens of all of them, untouched, every tap kept.
 * 3. join_rows: each row starts where its target layer is reached, with its source's value put in; going
 *    up the layers the batch grows.
 * 4. step: a generated token. Its hidden state at layers up to the target layer depends on the tokens alone,
 *    so rows with the same tokens are one node there and part above. In the batch nodes stand in order of the
 *    layer up to which they are needed and rows in order of the layer from which they are on their own; so
 *    what a layer computes is one range of the batch, and nothing moves but a row's copy of its node. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "model/flops.h"
#include "sweep/runner.h"

typedef struct SweepRow {
  int instance;       /* of the group */
  int site;           /* or XT_SWEEP_VANILLA, XT_SWEEP_SOURCE: a prompt's untouched run */
  int source, target; /* layers; an untouched row's target is the number of layers: it never parts */
  bool late;
  int node;           /* of its tokens so far */
  int place;          /* its entry in the step's batch */
  xt_generation out;  /* arrays in the pass's arena */
  int32_t *seen, seen_count;
} SweepRow;

/* A prompt of the group. Equal ones, such as the English one that several languages share, are one prompt. */
typedef struct Prompt {
  const int32_t *ids;
  size_t count;
  KvPrefix *prefix; /* of all but the last token */
} Prompt;

typedef struct Node {
  int parent, prompt;
  int32_t token;
  int top;    /* the highest target layer among its rows: it is needed up to there */
  int member; /* the row among them that is needed furthest up; it lends its slot, see tail_slot */
  int slot;
  int place;
} Node;

/* The instances of one group, as long as it takes. */
typedef struct Group {
  xt_session *session;
  const SweepConfig *config;
  const xt_instance *instances; /* the group's */
  size_t first;                 /* index of the first among all */
  int count;
  Prompt *prompts;              /* [prompt_count]: distinct ones, targets' and sources' */
  int prompt_count;
  int *target_prompt, *source_prompt; /* [count] indices of an instance's prompts */
  Arena arena;                  /* of the above */
  Dev taps;                     /* see tap_index */
  xt_status (*done)(void *user, const xt_sweep_response *, xt_error *);
  void *user;
  xt_sweep_stats *stats;
  double prompt_flops;          /* of this call, the groups before included */
} Group;

typedef struct Pass {
  Group *group;
  Arena arena;
  SweepRow *rows; /* sorted by target, then late; the untouched ones last */
  int row_count, untouched;  /* all; of them, those that no value is written into */
  int *active, active_count; /* rows that still generate, in that order */
  KvTail *tail;              /* see tail_slot */
  Node *nodes;               /* the prompts' last tokens, then generated ones */
  int node_count;
  int32_t *table;            /* hash of (parent, token) -> node; -1: free */
  size_t table_size;
  /* the step's batch, by entry: nodes first, then rows */
  int node_entries;
  int32_t *prompt, *tokens, *positions, *prefix_end, *slots, *tail_slots, *tail_end;
  bool *asked;               /* [prompts] some row wants the prompt's own response */
  const int32_t **seen;
  int32_t *seen_count;
  int32_t *best;
  float *margin, *entropy, *logprob;
  int *layer_rows;           /* [layers] what the step computed */
  int *nodes_below;          /* [layers + 1] nodes needed only below layer l */
  int *rows_below;           /* [layers + 1] active rows that part below layer l */
  int32_t *from, *to;        /* row lists for copies */
  BatchSpan *spans;
} Pass;

/* The captured taps as one matrix of rows: the four taps [layers, prompts], then the embeddings. */
static int32_t tap_index(const Group *g, xt_tap tap, int layer, int prompt) {
  return ((int32_t)tap * g->session->model->config.layers + layer) * g->prompt_count + prompt;
}
/* The input of a layer: the output of the one below, or the embedding. */
static int32_t input_index(const Group *g, int layer, int prompt) {
  return layer > 0 ? tap_index(g, XT_TAP_BLOCK, layer - 1, prompt) : XT_TAP_COUNT * g->session->model->config.layers * g->prompt_count + prompt;
}

/* The prompt that a row's response follows. */
static int row_prompt(const Group *g, const SweepRow *row) {
  return row->site == XT_SWEEP_SOURCE ? g->source_prompt[row->instance] : g->target_prompt[row->instance];
}

/* Where keys and values of token k (0: the prompt's last) of row r are kept: the row's own above its target
 * layer and, below, those of the node whose member the row is. The last tokens' slots come first. */
static int tail_slot(const Pass *p, int r, int k) { return p->group->prompt_count + r * p->group->config->max_new + k; }

static void count_flops(const Group *g, uint64_t rows, int layers, bool unembed) {
  const ModelConfig *c = &g->session->model->config;
  g->stats->flops += (double)rows * (flops_layer(c) * layers + (unembed ? flops_unembed(c) : 0));
}

/* ---- rows ----------------------------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b) {
  const SweepRow *x = a, *y = b;
  if (x->target != y->target) return x->target - y->target;
  if (x->late != y->late) return x->late - y->late;
  if (x->site < 0 && x->site != y->site) return y->site - x->site; /* vanilla before the sources' own */
  if (x->instance != y->instance) return x->instance - y->instance;
  if (x->site != y->site) return x->site - y->site;
  return x->source - y->source;
}

static xt_status row_init(Pass *p, SweepRow *row, xt_error *error) {
  const size_t n = (size_t)p->group->config->max_new;
  row->node = row_prompt(p->group, row);
  const Prompt *prompt = &p->group->prompts[row->node];
  TRY(arena_alloc(&p->arena, &row->out.ids, n, sizeof *row->out.ids, error));
  TRY(arena_alloc(&p->arena, &row->out.margins, n, sizeof *row->out.margins, error));
  TRY(arena_alloc(&p->arena, &row->out.entropies, n, sizeof *row->out.entropies, error));
  TRY(arena_alloc(&p->arena, &row->out.logprobs, n, sizeof *row->out.logprobs, error));
  if (p->group->config->penalty == 1.0f) return XT_STATUS_OK;
  TRY(arena_alloc(&p->arena, &row->seen, prompt->count + n, sizeof *row->seen, error));
  row->seen_count = engine_distinct_ids(row->seen, prompt->ids, prompt->count);
  return XT_STATUS_OK;
}

/* The configurations whose target is one of targets[from..to), of every instance; with `untouched`, the untouched runs too. */
static xt_status rows_init(Pass *p, int from, int to, bool untouched, xt_error *error) {
  const SweepConfig *c = p->group->config;
  const int layers = p->group->session->model->config.layers;
  const size_t most = (size_t)p->group->count * ((size_t)(to - from) * (size_t)sweep_rows_a_target(c) + 2);
  TRY(arena_alloc(&p->arena, &p->rows, most, sizeof *p->rows, error));
  for (int w = 0; w < p->group->count; w++) {
    for (int t = from; t < to; t++)
      for (int s = 0; s < c->site_count; s++)
        for (int i = 0; i < c->source_count; i++)
          p->rows[p->row_count++] = (SweepRow){.instance = w, .site = s, .source = c->sources[i], .target = c->targets[t],
                                               .late = sweep_joins_late(&p->group->session->model->config, c->options->sites[s].write)};
    if (!untouched) continue;
    p->rows[p->row_count++] = (SweepRow){.instance = w, .site = XT_SWEEP_VANILLA, .source = -1, .target = layers};
    if (p->group->instances[w].run_source) p->rows[p->row_count++] = (SweepRow){.instance = w, .site = XT_SWEEP_SOURCE, .source = -1, .target = layers};
  }
  qsort(p->rows, (size_t)p->row_count, sizeof *p->rows, compare_rows);
  for (int r = 0; r < p->row_count; r++) {
    TRY(row_init(p, &p->rows[r], error));
    p->untouched += p->rows[r].site < 0;
  }
  return XT_STATUS_OK;
}

/* ---- setting up a pass ---------------------------------------------------------------------- */

static xt_status pass_arrays(Pass *p, xt_error *error) {
  const int layers = p->group->session->model->config.layers;
  const size_t entries = 2 * (size_t)p->row_count + (size_t)p->group->prompt_count;
  int32_t **const ints[] = {&p->prompt, &p->tokens, &p->positions, &p->prefix_end, &p->slots, &p->tail_end, &p->seen_count, &p->best,
                            &p->from, &p->to};
  float **const floats[] = {&p->margin, &p->entropy, &p->logprob};
  for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) TRY(arena_alloc(&p->arena, ints[i], entries, sizeof(int32_t), error));
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) TRY(arena_alloc(&p->arena, floats[i], entries, sizeof(float), error));
  TRY(arena_alloc(&p->arena, &p->asked, (size_t)p->group->prompt_count, sizeof *p->asked, error));
  TRY(arena_alloc(&p->arena, &p->seen, entries, sizeof *p->seen, error));
  TRY(arena_alloc(&p->arena, &p->spans, entries, sizeof *p->spans, error));
  TRY(arena_alloc(&p->arena, &p->tail_slots, entries * (size_t)p->group->config->max_new, sizeof *p->tail_slots, error));
  TRY(arena_alloc(&p->arena, &p->layer_rows, (size_t)layers, sizeof *p->layer_rows, error));
  TRY(arena_alloc(&p->arena, &p->nodes_below, (size_t)layers + 2, sizeof *p->nodes_below, error));
  TRY(arena_alloc(&p->arena, &p->rows_below, (size_t)layers + 2, sizeof *p->rows_below, error));
  TRY(arena_alloc(&p->arena, &p->active, (size_t)p->row_count, sizeof *p->active, error));
  TRY(arena_alloc(&p->arena, &p->nodes, sweep_nodes(p->group->count, (size_t)p->row_count, p->group->config->max_new), sizeof *p->nodes, error));
  for (p->table_size = 64; p->table_size < 2 * entries;) p->table_size *= 2;
  return arena_alloc(&p->arena, &p->table, p->table_size, sizeof *p->table, error);
}

static xt_status pass_init(Pass *p, int from, int to, bool untouched, xt_error *error) {
  Group *g = p->group;
  const ModelConfig *c = &g->session->model->config;
  int32_t *slots;
  TRY(rows_init(p, from, to, untouched, error));
  p->node_count = g->prompt_count;
  TRY(pass_arrays(p, error));
  for (int n = 0; n < p->node_count; n++) p->nodes[n] = (Node){.parent = -1, .prompt = n, .slot = n};
  TRY(arena_alloc(&p->arena, &slots, (size_t)c->layers, sizeof *slots, error));
  for (int l = 0; l < c->layers; l++) slots[l] = tail_slot(p, p->row_count, 0);
  const KvShape shape = {.layers = c->layers, .kv_heads = c->kv_heads, .head_dim = c->head_dim};
  TRY(g->session->backend->ops->tail_create(g->session->backend, shape, slots, &p->tail, error));
  return forward_reserve(&g->session->forward, 2 * p->row_count + g->prompt_count, 0, error);
}

static void pass_deinit(Pass *p) {
  p->group->session->backend->ops->tail_release(p->group->session->backend, p->tail);
  arena_free(&p->arena);
}

/* ---- batches -------------------------------------------------------------------------------- */

/* Entries [from, to) as a batch; consecutive entries of one prompt share its prefix. */
static Batch entry_batch(Pass *p, int from, int to) {
  const Forward *f = &p->group->session->forward;
  const int ld = p->group->config->max_new;
  int spans = 0;
  for (int e = from; e < to; e++) {
    if (e == from || p->prompt[e] != p->prompt[e - 1])
      p->spans[spans++] = (BatchSpan){.first = e - from, .prefix = p->group->prompts[p->prompt[e]].prefix};
    p->spans[spans - 1].rows++;
  }
  const size_t at = (size_t)from;
  return (Batch){.rows = to - from, .x = dev_at(forward_x(f), at * (size_t)f->model->config.width), .positions = p->positions + at,
                 .spans = p->spans, .span_count = spans, .prefix_end = p->prefix_end + at, .tail = p->tail, .slots = p->slots + at,
                 .tail_slots = p->tail_slots + at * (size_t)ld, .tail_ld = ld, .tail_end = p->tail_end + at};
}

/* An entry whose newest token is `step` tokens after the prompt's last. */
static void set_entry(Pass *p, int e, int prompt, int step, int slot) {
  const Group *g = p->group;
  const int inner = (int)g->prompts[prompt].count - 1;
  p->prompt[e] = prompt;
  p->positions[e] = inner + step;
  p->prefix_end[e] = inner;
  p->slots[e] = slot;
  p->tail_end[e] = step + 1;
  p->tail_slots[(size_t)e * (size_t)g->config->max_new + (size_t)step] = slot;
}

/* Picks the next token of entries [from, to). */
static void choose_entries(Pass *p, int from, int to) {
  xt_session *s = p->group->session;
  const ModelConfig *c = &s->model->config;
  const Dev x = forward_x(&s->forward);
  for (int first = from; first < to; first += SIZES_LOGIT_ROWS) {
    const int rows = to - first < SIZES_LOGIT_ROWS ? to - first : SIZES_LOGIT_ROWS;
    const ChooseArgs args = {.rows = rows, .vocab = c->vocab, .penalty = p->group->config->penalty,
                             .logits = forward_logits(&s->forward, dev_at(x, (size_t)first * (size_t)c->width), rows),
                             .seen = p->seen + first, .seen_count = p->seen_count + first, .best = p->best + first,
                             .margin = p->margin + first, .entropy = p->entropy + first, .logprob = p->logprob + first};
    s->backend->ops->choose(s->backend, &args);
  }
  count_flops(p->group, (uint64_t)(to - from), 0, true);
}

static void set_seen(Pass *p, int e, const SweepRow *row) {
  p->seen[e] = row->seen;
  p->seen_count[e] = row->seen_count;
}

static xt_status finish_row(Pass *p, const SweepRow *row, xt_error *error) {
  Group *g = p->group;
  const bool untouched = row->site < 0;
  const xt_sweep_response response = {.instance = g->first + (size_t)row->instance, .site = row->site, .source_layer = row->source,
                                      .target_layer = untouched ? -1 : row->target, .generation = &row->out};
  g->stats->responses += row->site != XT_SWEEP_SOURCE;
  g->stats->tokens += row->out.count;
  g->stats->row_layers_alone += (row->out.count - 1) * (uint64_t)g->session->model->config.layers;
  return g->done(g->user, &response, error);
}

/* Appends to every active row the token chosen at its entry; rows that ended are handed out and leave. */
static xt_status record_rows(Pass *p, bool first, xt_error *error) {
  const Group *g = p->group;
  const ModelConfig *c = &g->session->model->config;
  int left = 0;
  for (int a = 0; a < p->active_count; a++) {
    SweepRow *row = &p->rows[p->active[a]];
    const int e = !first && row->target >= c->layers - 1 ? p->nodes[row->node].place : row->place;
    xt_generation *out = &row->out;
    out->ids[out->count] = p->best[e];
    out->margins[out->count] = p->margin[e];
    out->entropies[out->count] = p->entropy[e];
    out->logprobs[out->count] = p->logprob[e];
    out->count++;
    if (row->seen) engine_add_distinct(row->seen, &row->seen_count, p->best[e]);
    out->stopped = !g->config->options->ignore_eos && engine_is_eos(c, p->best[e]);
    if (!out->stopped && out->count < (size_t)g->config->max_new)
      p->active[left++] = p->active[a];
    else
      TRY(finish_row(p, row, error));
  }
  p->active_count = left;
  return XT_STATUS_OK;
}

/* ---- the prompts' last tokens --------------------------------------------------------------- */

/* Runs the last token of every prompt untouched and keeps all taps. Entry e is then prompt e. */
static void run_last_tokens(Pass *p) {
  Group *g = p->group;
  xt_session *s = g->session;
  const ModelConfig *c = &s->model->config;
  const int last = g->prompt_count;
  for (int e = 0; e < last; e++) {
    set_entry(p, e, e, 0, e);
    p->tokens[e] = g->prompts[e].ids[g->prompts[e].count - 1];
  }
  Batch batch = entry_batch(p, 0, last);
  for (int tap = 0; tap < XT_TAP_COUNT; tap++)
    batch.capture[tap] = dev_at(g->taps, (size_t)tap_index(g, (xt_tap)tap, 0, 0) * (size_t)c->width);
  forward_embed(&s->forward, batch.x, p->tokens, last);
  s->backend->ops->copy_rows(s->backend, dev_at(g->taps, (size_t)input_index(g, 0, 0) * (size_t)c->width), NULL, batch.x, NULL, last, c->width);
  forward_layers(&s->forward, &batch);
  count_flops(g, (uint64_t)last, c->layers, false);
}

/* Makes x rows [first, first+count) what rows of the same write tap start from at `layer`. The same sums as
 * the plain pass does: the residual stream there plus the value, or the value itself. */
static void place_values(Pass *p, int layer, int first, int count, xt_tap write) {
  Group *g = p->group;
  Backend *be = g->session->backend;
  const int width = g->session->model->config.width;
  const Forward *f = &g->session->forward;
  const Dev x = dev_at(forward_x(f), (size_t)first * (size_t)width), branch = dev_at(f->block, f->sizes.branch);
  const bool adds = write == XT_TAP_ATTN || write == XT_TAP_FFN;
  for (int k = 0; k < count; k++) {
    const SweepRow *row = &p->rows[first + k];
    p->from[k] = tap_index(g, g->config->options->sites[row->site].read, row->source, g->source_prompt[row->instance]);
    p->to[k] = write == XT_TAP_ATTN ? input_index(g, layer, row->node) : tap_index(g, XT_TAP_MID, layer, row->node);
  }
  be->ops->copy_rows(be, adds ? branch : x, NULL, g->taps, p->from, count, width);
  if (!adds) return;
  be->ops->copy_rows(be, x, NULL, g->taps, p->to, count, width);
  be->ops->add(be, x, branch, (size_t)count * (size_t)width);
  if (write != XT_TAP_ATTN || !g->session->model->config.parallel) return;
  for (int k = 0; k < count; k++) p->from[k] = tap_index(g, XT_TAP_FFN, layer, p->rows[first + k].node);
  be->ops->copy_rows(be, branch, NULL, g->taps, p->from, count, width); /* what the feed-forward adds is the untouched run's */
  be->ops->add(be, x, branch, (size_t)count * (size_t)width);
}

/* Rows whose value goes into `layer`, before (late false) or after its feed-forward, follow the `joined`
 * ones; returns how many there are now. */
static int join_rows(Pass *p, int layer, bool late, int joined) {
  const SweepConfig *c = p->group->config;
  while (joined < p->row_count && p->rows[joined].target == layer && p->rows[joined].late == late) {
    const xt_tap write = c->options->sites[p->rows[joined].site].write;
    int end = joined;
    while (end < p->row_count && p->rows[end].target == layer && p->rows[end].late == late &&
           c->options->sites[p->rows[end].site].write == write)
      end++;
    for (; joined < end; joined += SIZES_WORK_ROWS) place_values(p, layer, joined, end - joined < SIZES_WORK_ROWS ? end - joined : SIZES_WORK_ROWS, write);
    joined = end;
  }
  return joined;
}

/* The first tokens of the untouched rows, from the prompts' entries as run_last_tokens left them. Equal prompts stand side by
 * side in neither order, so each stretch of entries is chosen from once and by itself. */
static xt_status start_untouched(Pass *p, int rows, xt_error *error) {
  p->active_count = 0;
  for (int r = rows; r < p->row_count; r++) {
    p->rows[r].place = p->rows[r].node;
    p->active[p->active_count++] = r;
    set_seen(p, p->rows[r].place, &p->rows[r]);
    p->asked[p->rows[r].place] = true;
  }
  for (int e = 0, from = -1; e <= p->group->prompt_count; e++) {
    const bool asked = e < p->group->prompt_count && p->asked[e];
    if (asked && from < 0) from = e;
    if (asked || from < 0) continue;
    choose_entries(p, from, e);
    from = -1;
  }
  return record_rows(p, true, error);
}

static xt_status start_pass(Pass *p, xt_error *error) {
  Group *g = p->group;
  Forward *f = &g->session->forward;
  const int layers = g->session->model->config.layers, rows = p->row_count - p->untouched;
  int joined = 0;
  run_last_tokens(p);
  if (p->untouched) TRY(start_untouched(p, rows, error)); /* before the rows' batch takes the buffers */
  const int waiting = p->active_count; /* untouched rows come last among the active ones */
  memmove(p->active + rows, p->active, (size_t)waiting * sizeof *p->active);
  for (int r = 0; r < rows; r++) {
    set_entry(p, r, p->rows[r].node, 0, tail_slot(p, r, 0));
    set_seen(p, r, &p->rows[r]);
    p->rows[r].place = r;
    p->active[r] = r;
  }
  for (int l = 0; l < layers; l++) {
    Batch batch = entry_batch(p, 0, joined);
    if (joined) forward_attention(f, &batch, l);
    joined = join_rows(p, l, false, joined);
    batch = entry_batch(p, 0, joined);
    if (joined) forward_ffn(f, &batch, l);
    count_flops(g, (uint64_t)joined, 1, false);
    joined = join_rows(p, l, true, joined);
  }
  if (rows) choose_entries(p, 0, rows);
  p->active_count = rows;
  TRY(record_rows(p, true, error));
  memmove(p->active + p->active_count, p->active + rows, (size_t)waiting * sizeof *p->active);
  p->active_count += waiting;
  return XT_STATUS_OK;
}

/* ---- a generated token ---------------------------------------------------------------------- */

static int add_node(Pass *p, int parent, int32_t token) {
  p->nodes[p->node_count] = (Node){.parent = parent, .prompt = p->nodes[parent].prompt, .token = token};
  return p->node_count++;
}

/* The node of `token` after `parent`, made when new. */
static int child_node(Pass *p, int parent, int32_t token) {
  if (p->group->config->options->no_sharing) return add_node(p, parent, token);
  uint64_t hash = ((uint64_t)(uint32_t)parent << 32 | (uint32_t)token) * 0x9E3779B97F4A7C15u;
  for (size_t at = (size_t)(hash >> 20) & (p->table_size - 1);; at = (at + 1) & (p->table_size - 1)) {
    const int32_t n = p->table[at];
    if (n < 0) return p->table[at] = add_node(p, parent, token);
    if (p->nodes[n].parent == parent && p->nodes[n].token == token) return n;
  }
}

/* Gives every active row the node of its tokens. Rows come in order of their target, so a node's last row
 * says how far up it is needed. Returns the first of the step's nodes. */
static int group_rows(Pass *p, int step) {
  const int first = p->node_count;
  memset(p->table, -1, p->table_size * sizeof *p->table);
  for (int a = 0; a < p->active_count; a++) {
    SweepRow *row = &p->rows[p->active[a]];
    row->node = child_node(p, row->node, row->out.ids[row->out.count - 1]);
    p->nodes[row->node].top = row->target;
    p->nodes[row->node].member = p->active[a];
  }
  for (int n = first; n < p->node_count; n++) p->nodes[n].slot = tail_slot(p, p->nodes[n].member, step);
  return first;
}

static void set_node_entry(Pass *p, int e, int n, int step) {
  const size_t ld = (size_t)p->group->config->max_new;
  set_entry(p, e, p->nodes[n].prompt, step, p->nodes[n].slot);
  for (int k = step, up = n; k >= 0; k--, up = p->nodes[up].parent) p->tail_slots[(size_t)e * ld + (size_t)k] = p->nodes[up].slot;
  p->tokens[e] = p->nodes[n].token;
  set_seen(p, e, &p->rows[p->nodes[n].member]);
  p->nodes[n].place = e;
}

static void set_row_entry(Pass *p, int e, int r, int step) {
  const int max_new = p->group->config->max_new, base = tail_slot(p, r, 0);
  set_entry(p, e, row_prompt(p->group, &p->rows[r]), step, base + step);
  for (int k = 0; k < step; k++) p->tail_slots[(size_t)e * (size_t)max_new + (size_t)k] = base + k;
  set_seen(p, e, &p->rows[r]);
  p->rows[r].place = e;
}

/* Lays out the step's batch: nodes in order of how far up they are needed, then rows in order of where
 * they part; counts both below each layer. */
static void lay_out(Pass *p, int first_node, int step) {
  const int layers = p->group->session->model->config.layers;
  memset(p->nodes_below, 0, ((size_t)layers + 2) * sizeof *p->nodes_below);
  memset(p->rows_below, 0, ((size_t)layers + 2) * sizeof *p->rows_below);
  for (int n = first_node; n < p->node_count; n++) p->nodes_below[p->nodes[n].top + 1]++;
  for (int l = 0; l <= layers; l++) p->nodes_below[l + 1] += p->nodes_below[l];
  p->node_entries = p->node_count - first_node;
  for (int n = first_node; n < p->node_count; n++) set_node_entry(p, p->nodes_below[p->nodes[n].top]++, n, step);
  for (int l = layers + 1; l > 0; l--) p->nodes_below[l] = p->nodes_below[l - 1]; /* placing moved each on by one */
  p->nodes_below[0] = 0;
  for (int a = 0; a < p->active_count; a++) {
    const SweepRow *row = &p->rows[p->active[a]];
    if (row->site < 0) continue;
    set_row_entry(p, p->node_entries + a, p->active[a], step);
    p->rows_below[row->target + 1]++;
  }
  for (int l = 0; l <= layers; l++) p->rows_below[l + 1] += p->rows_below[l];
}

/* Rows that part after `layer` copy their node's state. */
static void part_rows(Pass *p, int layer) {
  const Group *g = p->group;
  const Dev x = forward_x(&g->session->forward);
  int count = 0;
  for (int a = p->rows_below[layer]; a < p->rows_below[layer + 1]; a++, count++) {
    const SweepRow *row = &p->rows[p->active[a]];
    p->to[count] = row->place;
    p->from[count] = p->nodes[row->node].place;
  }
  if (count) g->session->backend->ops->copy_rows(g->session->backend, x, p->to, x, p->from, count, g->session->model->config.width);
}

static xt_status run_step(Pass *p, int step, xt_error *error) {
  Group *g = p->group;
  Forward *f = &g->session->forward;
  const int layers = g->session->model->config.layers;
  lay_out(p, group_rows(p, step), step);
  forward_embed(f, forward_x(f), p->tokens, p->node_entries);
  for (int l = 0; l < layers; l++) {
    const int from = p->nodes_below[l], to = p->node_entries + p->rows_below[l];
    const Batch batch = entry_batch(p, from, to);
    forward_attention(f, &batch, l);
    forward_ffn(f, &batch, l);
    p->layer_rows[l] = to - from;
    g->stats->row_layers += (uint64_t)(to - from);
    count_flops(g, (uint64_t)(to - from), 1, false);
    if (l < layers - 1) part_rows(p, l);
  }
  choose_entries(p, p->nodes_below[layers - 1], p->node_entries + p->rows_below[layers - 1]);
  const xt_sweep_options *o = g->config->options;
  if (o->step) o->step(o->user, &(xt_sweep_step){.step = step, .responses = p->active_count, .rows = p->layer_rows, .layers = layers});
  return record_rows(p, false, error);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Between two prompts or tokens: tells how far it is, and asks whether to go on. `growing`: responses of which a share is there. */
static xt_status pause_point(const Group *g, double growing, xt_error *error) {
  const xt_sweep_options *o = g->config->options;
  const xt_sweep_progress progress = {.responses = (double)g->stats->responses + growing, .prompt_flops = g->prompt_flops,
                                      .row_flops = g->stats->flops - g->prompt_flops};
  if (o->progress) o->progress(o->user, &progress);
  if (o->cancel && o->cancel(o->user)) return err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
  return XT_STATUS_OK;
}

/* What a pass has taken says how many rows the next ones may have. Sharing counts as speed. */
static void learn_speed(Group *g, int rows, double spent) {
  const double speed = spent > 1e-6 ? rows * sweep_row_flops(g->session->model, g->config) / spent : 0;
  double *known = &g->session->sweep_speed;
  if (speed > 0) *known = *known > 0 ? 0.5 * (*known + speed) : speed;
}

/* Responses to source prompts, which are not counted among the sweep's: they come last. */
static int active_sources(const Pass *p) {
  int n = 0;
  while (n < p->active_count && p->rows[p->active[p->active_count - 1 - n]].site == XT_SWEEP_SOURCE) n++;
  return n;
}

static xt_status run_pass(Group *g, int from, int to, bool untouched, xt_error *error) {
  Pass p = {.group = g};
  const double begin = seconds();
  xt_status status = pass_init(&p, from, to, untouched, error);
  if (!status) status = start_pass(&p, error);
  for (int step = 1; !status && p.active_count > 0; step++) {
    status = pause_point(g, (double)(p.active_count - active_sources(&p)) * step / g->config->max_new, error);
    if (!status) status = run_step(&p, step, error);
  }
  if (!status) status = pause_point(g, 0, error);
  if (!status) learn_speed(g, p.row_count, seconds() - begin);
  pass_deinit(&p);
  return status;
}

/* ---- groups --------------------------------------------------------------------------------- */

/* One of an instance's prompts, while equal ones are looked for. */
typedef struct Asked {
  Prompt prompt;
  int *index; /* where its index goes */
} Asked;

static int compare_asked(const void *a, const void *b) {
  const Prompt *x = &((const Asked *)a)->prompt, *y = &((const Asked *)b)->prompt;
  if (x->count != y->count) return x->count < y->count ? -1 : 1;
  return memcmp(x->ids, y->ids, x->count * sizeof *x->ids);
}

static xt_status group_prompts(Group *g, xt_error *error) {
  const size_t count = (size_t)g->count;
  Asked *asked;
  TRY(arena_alloc(&g->arena, &asked, 2 * count, sizeof *asked, error));
  TRY(arena_alloc(&g->arena, &g->prompts, 2 * count, sizeof *g->prompts, error));
  TRY(arena_alloc(&g->arena, &g->target_prompt, count, sizeof *g->target_prompt, error));
  TRY(arena_alloc(&g->arena, &g->source_prompt, count, sizeof *g->source_prompt, error));
  for (size_t w = 0; w < count; w++) {
    const xt_instance *in = &g->instances[w];
    asked[2 * w] = (Asked){{.ids = in->target, .count = in->target_count}, &g->target_prompt[w]};
    asked[2 * w + 1] = (Asked){{.ids = in->source, .count = in->source_count}, &g->source_prompt[w]};
  }
  qsort(asked, 2 * count, sizeof *asked, compare_asked);
  for (size_t k = 0; k < 2 * count; k++) {
    if (k == 0 || compare_asked(&asked[k], &asked[k - 1]) != 0) g->prompts[g->prompt_count++] = asked[k].prompt;
    *asked[k].index = g->prompt_count - 1;
  }
  return XT_STATUS_OK;
}

static xt_status group_prefixes(Group *g, xt_error *error) {
  for (int k = 0; k < g->prompt_count; k++) {
    const xt_request request = {.ids = g->prompts[k].ids, .count = g->prompts[k].count};
    TRY(prefix_run(g->session, &request, (Dev){0}, (int)request.count - 1, &g->prompts[k].prefix, error));
    TRY(forward_reserve(&g->session->forward, 1, (int)request.count + g->config->max_new, error));
    const double before = g->stats->flops;
    count_flops(g, request.count - 1, g->session->model->config.layers, false);
    g->prompt_flops += g->stats->flops - before;
    TRY(pause_point(g, 0, error));
  }
  return XT_STATUS_OK;
}

static xt_status run_group(Group *g, const SweepGroup *plan, xt_error *error) {
  Backend *be = g->session->backend;
  const ModelConfig *c = &g->session->model->config;
  xt_status status = group_prompts(g, error);
  const size_t rows = ((size_t)c->layers * XT_TAP_COUNT + 1) * (size_t)g->prompt_count;
  if (!status) status = be->ops->alloc(be, rows * (size_t)c->width * sizeof(float), &g->taps, error);
  if (!status) status = group_prefixes(g, error);
  for (int t = 0; !status && t < g->config->target_count; t += plan->targets_a_pass) {
    const int end = t + plan->targets_a_pass < g->config->target_count ? t + plan->targets_a_pass : g->config->target_count;
    status = run_pass(g, t, end, t == 0, error);
  }
  for (int k = 0; k < g->prompt_count; k++) be->ops->prefix_release(be, g->prompts[k].prefix);
  be->ops->release(be, g->taps);
  arena_free(&g->arena);
  return status;
}

static double speed_of(const xt_session *s, const xt_sweep_options *o) {
  if (s->sweep_speed > 0) return s->sweep_speed;
  return o->flops_per_second > 0 ? o->flops_per_second : SWEEP_GUESSED_SPEED * s->backend->threads;
}

xt_status xt_session_sweep(xt_session *s, const xt_instance *instances, size_t count, const xt_sweep_options *options,
                           xt_status (*done)(void *user, const xt_sweep_response *, xt_error *), void *user, xt_sweep_stats *stats,
                           xt_error *error) {
  xt_sweep_stats own;
  Arena arena = {0};
  SweepConfig config;
  SweepGroup plan;
  if (!stats) stats = &own;
  *stats = (xt_sweep_stats){0};
  xt_status status = sweep_config_init(&config, &arena, s->model, options, error);
  for (size_t i = 0; i < count && !status; i++) {
    const xt_request source = {.ids = instances[i].source, .count = instances[i].source_count};
    const xt_request target = {.ids = instances[i].target, .count = instances[i].target_count};
    status = request_check(s->model, &source, i, 1, error);
    if (!status) status = request_check(s->model, &target, i, config.max_new, error);
  }
  s->cancel = options->cancel;
  s->cancel_user = options->user;
  double prompt_flops = 0;
  for (size_t first = 0; first < count && !status; first += (size_t)plan.instances) {
    config.speed = speed_of(s, options);
    status = sweep_plan_group(s->model, &config, instances, count, first, &plan, error);
    if (!status && options->begin) status = options->begin(options->user, first, (size_t)plan.instances, error);
    if (status) break;
    Group group = {.session = s, .config = &config, .instances = instances + first, .first = first, .count = plan.instances,
                   .done = done, .user = user, .stats = stats, .prompt_flops = prompt_flops};
    if (plan.bytes > stats->peak_bytes) stats->peak_bytes = plan.bytes;
    status = run_group(&group, &plan, error);
    prompt_flops = group.prompt_flops;
  }
  s->cancel = NULL;
  arena_free(&arena);
  return status;
}
