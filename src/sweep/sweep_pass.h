/* SPDX-License-Identifier: Apache-2.0 */
/* A pass of the sweep: its rows, and the nodes of tokens that they share. runner.c runs it. */
#ifndef SWEEP_SWEEP_PASS_H
#define SWEEP_SWEEP_PASS_H

#include "engine/rows.h"
#include "sweep/runner.h"

/* Where in the lowest layer that a row changes its prompt's last token leaves the untouched run. */
typedef enum SweepJoin {
  SWEEP_JOIN_INPUT = 0, /* before the layer: rows that write several values there */
  SWEEP_JOIN_MIDDLE,    /* before its feed-forward module */
  SWEEP_JOIN_OUTPUT,    /* after it */
  SWEEP_JOIN_NEVER      /* only generated tokens are changed, or nothing is */
} SweepJoin;

typedef struct SweepRow {
  int instance;       /* of the group */
  int site;           /* or XT_SWEEP_VANILLA, XT_SWEEP_SOURCE: a prompt's untouched run */
  int source, target; /* layers of the response */
  int layer;          /* the lowest that the row changes, which is the target but for plans; of an
                         untouched row the number of layers: it never parts */
  SweepJoin join;
  int parts;         /* the last layer in which a generated token shares its node's row: `layer`;
                         or the layer below, -1 being the embedding, where a value is written at
                         generated tokens */
  int prompt;        /* its response continues this prompt */
  int node;          /* of its tokens so far */
  int place;         /* its entry in the step's batch */
  xt_generation out; /* arrays in the pass's arena */
  float *source_effects; /* of the target prompt's untouched run, with effects; NULL: none */
} SweepRow;

typedef struct Node {
  int parent, prompt;
  int32_t token;
  int top;    /* the highest layer at which one of its rows parts: it is needed up to there */
  int member; /* the row among them that is needed up to the highest layer; its slot is used, see
                 pass_tail_slot */
  int slot;
  int place;
} Node;

typedef struct Pass {
  Group *group;
  Arena arena;
  SweepRow *rows;            /* sorted by parts, layer, join; those of untouched runs last */
  int row_count, untouched;  /* all rows, and those of untouched runs */
  int *active, active_count; /* unfinished rows, in that order */
  int *joining, join_count;  /* the rows whose prompt's last token is changed, in that order */
  RowTable table;            /* the step's batch, by entry: nodes first, then rows */
  int node_entries;
  Node *nodes; /* the prompts' last tokens, then generated ones */
  int node_count;
  int32_t *hash; /* (parent, token) -> node; -1: free */
  size_t hash_size;
  int *layer_rows;  /* [layers] what the step computed */
  int *nodes_below; /* [layers + 3], at l + 1: nodes needed only below layer l */
  int *rows_below;  /* [layers + 3], at l + 1: active rows that part below layer l */
} Pass;

static inline const xt_site *pass_site(const Pass *p, const SweepRow *row) {
  return &p->group->config->options->sites[row->site];
}
static inline int pass_layers(const Pass *p) { return p->group->session->model->config.layers; }

/* Where keys and values of token k (0: the prompt's last) of row r are kept: the row's own above
 * its target layer and, below, those of the node whose member the row is. The last tokens' slots
 * come first. */
static inline int pass_tail_slot(const Pass *p, int r, int k) {
  return p->group->prompt_count + r * p->group->config->max_new + k;
}

/* The rows whose target is one of targets[from..to) of every instance, with `untouched` the
 * untouched runs too, and the memory that they need. `p` holds its group and is otherwise zero; the
 * caller releases it with sweep_pass_deinit, after an error too. */
xt_status sweep_pass_init(Pass *p, int from, int to, bool untouched, xt_error *error);
void sweep_pass_deinit(Pass *p);

/* ---- effects.c ------------------------------------------------------------------------------- */

/* In a group's first pass, once its prompts have run: sets the references. */
xt_status sweep_set_references(Pass *p, xt_error *error);
/* Row r's question, in the step of its first token; once that is read, its numbers. */
void sweep_ask(Pass *p, int e, const SweepRow *row);
xt_status sweep_take_effects(Pass *p, SweepRow *row, xt_error *error);

#endif
