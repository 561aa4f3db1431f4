/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the sweep.
 *
 * Words. A *row* is one configuration of one instance: it parts from the untouched run at its
 * target layer j. A *node* is a distinct sequence of generated tokens: below the layers where they
 * part, all rows that have generated the same tokens are one row of the batch, the node. A *pass*
 * is a set of rows decoded together; a *group* is the instances whose rows share passes. */
#ifndef SWEEP_RUNNER_H
#define SWEEP_RUNNER_H

#include "base/arena.h"
#include "engine/prefixes.h"
#include "engine/rows.h"
#include "xtransplant/sweep.h"

#define SWEEP_DEFAULT_ROWS 4096
#define SWEEP_LEAST_ROWS \
  256 /* below which a batch is not made smaller to save time, because it would be inefficient */
#define SWEEP_PASS_SECONDS 60.0
#define SWEEP_GUESSED_SPEED \
  20e9 /* operations per second of one thread, before a speed is measured */

/* What sites need for each instance besides its own two prompts and their taps. A value is one of
 * all layers, at a tap. */
typedef struct SweepControls {
  int prompts;          /* other prompts */
  int made, made_heads; /* values that are no prompt's: of the wide taps, and of XT_TAP_HEADS */
  /* [site][tap]: 1 + the number of the value that is made, among those of the wide taps or among
   * those of XT_TAP_HEADS; 0: none */
  int at[XT_SWEEP_SITES_MOST][XT_TAP_HEADS + 1];
} SweepControls;

static inline bool sweep_is_made(const xt_site *site) {
  return site->control == XT_CONTROL_RANDOM || site->control == XT_CONTROL_MEAN ||
         (site->control == XT_CONTROL_NONE && site->from != XT_FROM_SOURCE &&
          site->from != XT_FROM_PLAN);
}

/* What a site, which is no plan, reads. */
static inline xt_tap sweep_read_tap(const xt_site *site) {
  return site_heads(site) ? XT_TAP_HEADS : site->read;
}

/* The number of prompts that a site needs for each instance besides its own. */
int sweep_more_prompts(const xt_site *site);

/* Options with the defaults filled in and the layer lists made explicit. */
typedef struct SweepConfig {
  const xt_sweep_options *options;
  int *sources, *targets; /* sorted ascending */
  int source_count, target_count, site_count;
  bool alone[XT_SWEEP_SITES_MOST]; /* the sites whose rows run by themselves (alone.c) */
  int alone_count;                 /* how many those are */
  int edits_most;                  /* of one row in a step */
  bool heads;                      /* some site names attention heads */
  SweepControls controls;
  int max_new;
  float penalty;
  double pass_seconds;
  double speed; /* operations per second as sweep_row_flops counts them; 0: passes are not
                   limited by time */
} SweepConfig;

xt_status sweep_config_init(SweepConfig *config, Arena *arena, const xt_model *model,
                            const xt_sweep_options *options, xt_error *error);

/* The instances from `first` on that make up the next group, and the number of target layers per
 * pass. */
typedef struct SweepGroup {
  size_t first;
  int instances;
  int targets_per_pass;
  uint64_t bytes; /* at most, including weights */
} SweepGroup;

xt_status sweep_plan_group(const xt_model *model, const SweepConfig *config,
                           const xt_instance *instances, size_t count, size_t first,
                           SweepGroup *group, xt_error *error);

/* Operations of a row that shares nothing. */
double sweep_row_flops(const xt_model *model, const SweepConfig *config);

/* A prompt of a group. Equal ones, such as the English one that several languages share, are one
 * prompt. */
typedef struct SweepPrompt {
  const int32_t *ids;
  size_t count;
  int prefix; /* of the group's pool: of all but the last token */
} SweepPrompt;

/* One group of instances while it runs. */
typedef struct Group {
  xt_session *session;
  const SweepConfig *config;
  const xt_instance *instances; /* the group's */
  size_t first;                 /* index of the first among all */
  int count;
  SweepPrompt *prompts; /* [prompt_count] distinct ones, of targets and sources */
  int prompt_count;
  int *target_prompt, *source_prompt; /* [count] indices of an instance's prompts */
  int *value_prompt;     /* [count][sites] of the prompt from which a site's values are read, of a
                        plan those that its writes take of the source; below 0: they are made
                        (controls.c) */
  int *more_prompts;     /* [count][controls.prompts] those besides the instances' own, by site */
  int32_t *plan_vectors; /* [count][sites] of a plan: the row of `taps` where its vectors begin */
  size_t vector_rows;    /* of all plans */
  PrefixPool prefixes;
  int *reference;        /* [prompt_count] of `references`; below 0: none */
  References references; /* with effects: of the targets and sources */
  Dev taps;  /* of the prompts' last tokens: the four taps [layers, prompts, C], then the
               embeddings [prompts, C], then what is made for controls [sites, layers, count, C], then
              the vectors of plans [vector_rows, C] */
  Dev heads; /* the same of XT_TAP_HEADS: [layers, prompts, heads, head_dim], then what is made
                [.., layers, count, heads, head_dim]; none: no site names heads */
  Arena arena;
  xt_status (*done)(void *user, const xt_sweep_response *, xt_error *);
  void *user;
  xt_sweep_stats *stats;
  double prompt_flops; /* of this call, including earlier groups */
} Group;

static inline const KvPrefix *sweep_prefix(const Group *g, int prompt) {
  return g->prefixes.list[g->prompts[prompt].prefix].kv;
}

/* The captured taps as one matrix of rows: the four taps [layers, prompts], then the embeddings. */
static inline int32_t sweep_tap_index(const Group *g, xt_tap tap, int layer, int prompt) {
  return ((int32_t)tap * g->session->model->config.layers + layer) * g->prompt_count + prompt;
}
static inline size_t sweep_tap_rows(const Group *g) {
  return ((size_t)g->session->model->config.layers * XT_TAP_COUNT + 1) * (size_t)g->prompt_count;
}

/* Runs the rows of targets [from, to) of the configuration, of all instances; with `untouched`, the
 * untouched runs too. */
xt_status sweep_run_pass(Group *g, int from, int to, bool untouched, xt_error *error);

/* Runs the rows of the sites that share nothing, once the group's taps are on the host, [rows of
 * g->taps][width], and its prefixes are released (alone.c). */
xt_status sweep_run_alone(Group *g, const float *taps, const float *heads, xt_error *error);
/* What a site writes at the tap. */
static inline xt_tap sweep_tap(const xt_site *site) {
  return site_heads(site) ? XT_TAP_HEADS : site->write;
}
/* Floats of g->heads. */
static inline size_t sweep_head_floats(const Group *g) {
  const ModelConfig *c = &g->session->model->config;
  const size_t made = (size_t)g->config->controls.made_heads * (size_t)g->count;
  return (size_t)c->layers * ((size_t)g->prompt_count + made) * (size_t)c->heads *
         (size_t)c->head_dim;
}

void sweep_count_flops(const Group *g, uint64_t rows, int layers, bool unembed);
/* Between two prompts or tokens: reports the progress, and asks whether to continue. `growing`:
 * unfinished responses, each counted as the share of its tokens that exist. */
xt_status sweep_pause(const Group *g, double growing, xt_error *error);

/* ---- effects.c: numbers of first tokens ------------------------------------------------------ */

/* Makes room for the references of the group's prompts, which are set in its first pass. */
xt_status sweep_reserve_references(Group *g, xt_error *error);
/* The most tracked tokens of an instance. */
size_t sweep_most_tracked(const xt_instance *instances, size_t count);
/* Checks the tracked tokens of all instances. */
xt_status sweep_check_tracked(const xt_model *model, const xt_sweep_options *options,
                              const xt_instance *instances, size_t count, xt_error *error);

/* What the first tokens of an instance's responses are compared with. */
RowQuestion sweep_question(const Group *g, int instance);

static inline int sweep_rows_per_target(const SweepConfig *c) {
  return c->source_count * (c->site_count - c->alone_count);
}

/* Whether a write at this tap comes after the layer's feed-forward module has read its input; the
 * row then joins the batch after that module. In a parallel layer the module reads the layer's
 * input, which no write changes. */
static inline bool sweep_joins_late(const ModelConfig *config, xt_tap write) {
  return config->parallel || write == XT_TAP_FFN || write == XT_TAP_BLOCK;
}

/* The largest number of nodes that a pass of `rows` rows, including untouched ones, can need: that
 * is when no two rows have the same tokens. */
static inline size_t sweep_nodes(size_t prompts, size_t rows, int max_new) {
  return prompts + rows * (size_t)(max_new - 1);
}

#endif
