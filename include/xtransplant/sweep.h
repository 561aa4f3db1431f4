/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep: every transplant (site, source layer, target layer) of an instance, sharing all that
 * the runs have in common, bit for bit the same as each run alone.
 *
 * An instance is a source and a target prompt. A sweep gives, for each instance, the untouched
 * ("vanilla") response of the target prompt, one response for each configuration and, where it is
 * asked for, the untouched response of the source prompt. */
#ifndef XTRANSPLANT_SWEEP_H
#define XTRANSPLANT_SWEEP_H

#include "xtransplant/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Ids are borrowed for the call. */
typedef struct xt_instance {
  const int32_t *source, *target;
  size_t source_count, target_count;
  bool run_source; /* hand out the source prompt's own, untouched response too. It costs one row
                      of the batch; instances whose source prompts are equal and that run
                      together share it */
} xt_instance;

/* One decoding step of a batch: how many responses still grow, and the distinct rows that each
 * layer computed for them. */
typedef struct xt_sweep_step {
  int step; /* generated token that went in, from 1 */
  int responses;
  const int *rows; /* [layers], borrowed for the call */
  int layers;
} xt_sweep_step;

/* How far a call of xt_session_sweep is: told after each prompt and after each generated token of a
 * batch. */
typedef struct xt_sweep_progress {
  double responses;    /* finished, without those to source prompts; of those that still grow,
                          the share of their tokens that is there */
  double prompt_flops; /* operations of the products so far: of the prompts' inner tokens; */
  double row_flops;    /* of everything else */
} xt_sweep_progress;

/* Zero-initialise for the defaults; at least one site is needed. */
typedef struct xt_sweep_options {
  size_t size; /* sizeof this, or 0: see api.h */
  const xt_site *sites;
  size_t site_count;
  const int *source_layers; /* NULL: all; else distinct */
  size_t source_layer_count;
  const int *target_layers; /* NULL: all; else distinct */
  size_t target_layer_count;
  int max_new_tokens; /* 0: 20 */
  bool ignore_eos;
  double repetition_penalty; /* 0: the model's */
  int max_rows;              /* configurations run together; 0: 4096, or what memory allows */
  bool no_sharing;           /* rows with the same tokens are computed one by one: the cost when
                                no two responses agree */
  /* Batches are cut so that one takes about so many seconds at the speed measured so far, as long
   * as that leaves it 256 configurations: what is lost when the process is killed. 0: 60. Results
   * do not depend on it. */
  double pass_seconds;
  double flops_per_second; /* the speed to begin with, where the caller knows it; 0: a guess.
                                For xt_sweep_make_plan, 0 leaves time out of account */
  /* Told before instances [first, first + count) are run, whose rows share batches; the session may
   * be used meanwhile. What it returns other than XT_STATUS_OK ends the sweep with that status. May
   * be NULL */
  xt_status (*begin)(void *user, size_t first, size_t count, xt_error *error);
  /* Asked between generated tokens, and between the pieces of a prompt; true stops with
   * XT_STATUS_CANCELLED. What `done` has been told by then is all that has finished. May be NULL */
  bool (*cancel)(void *user);
  void (*progress)(void *user, const xt_sweep_progress *progress); /* May be NULL */
  void (*step)(void *user, const xt_sweep_step *step); /* told after each decoding step. May be
                                                          NULL */
  void *user;
} xt_sweep_options;

/* Values of xt_sweep_response.site for responses into which nothing was transplanted. */
#define XT_SWEEP_VANILLA (-1) /* the target prompt's */
#define XT_SWEEP_SOURCE (-2)  /* the source prompt's (xt_instance.run_source) */

/* One finished response, borrowed for the callback. */
typedef struct xt_sweep_response {
  size_t instance;                /* index */
  int site;                       /* index into options->sites, or XT_SWEEP_VANILLA or
                                     XT_SWEEP_SOURCE */
  int source_layer, target_layer; /* -1: untouched */
  const xt_generation *generation;
} xt_sweep_response;

/* What a sweep did. */
typedef struct xt_sweep_stats {
  uint64_t responses;        /* vanilla ones included, those to source prompts not */
  uint64_t tokens;           /* generated, of all responses */
  uint64_t row_layers;       /* rows x layers computed while decoding, after sharing */
  uint64_t row_layers_alone; /* the same with nothing shared: every response by itself, all
                                 layers */
  double flops;              /* of the products that were computed: prompts, layers, unembedding */
  uint64_t peak_bytes;       /* most memory planned for at once, weights included */
} xt_sweep_stats;

/* How a sweep of `count` instances of these lengths would be cut up to fit the memory limit. */
typedef struct xt_sweep_plan {
  int instances_together; /* instances whose rows share a batch */
  int rows_together;      /* configurations that share a batch */
  int passes;             /* batches in all */
  uint64_t responses;     /* in all, vanilla included */
  uint64_t bytes;         /* at most, weights included */
} xt_sweep_plan;

/* Refuses what cannot fit, with the figure that would. */
XT_API xt_status xt_sweep_make_plan(const xt_model *model, const xt_instance *instances,
                                    size_t count, const xt_sweep_options *options,
                                    xt_sweep_plan *plan, xt_error *error);

/* Runs the sweep. `done` is called once for each response, in no particular order; what it returns
 * other than XT_STATUS_OK ends the sweep with that status. `stats` may be NULL. */
XT_API xt_status xt_session_sweep(xt_session *session, const xt_instance *instances, size_t count,
                                  const xt_sweep_options *options,
                                  xt_status (*done)(void *user, const xt_sweep_response *response,
                                                    xt_error *error),
                                  void *user, xt_sweep_stats *stats, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
