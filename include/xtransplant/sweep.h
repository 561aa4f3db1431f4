/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep: every transplant (site, source layer, target layer) of an instance. The runs share all
 * that they have in common, and the results have the same bits as those of separate runs.
 *
 * An instance is a source and a target prompt. For each instance, a sweep gives the untouched
 * ("vanilla") response to the target prompt, one response for each configuration and, if asked for,
 * the untouched response to the source prompt. */
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
  bool run_source; /* also give the untouched response to the source prompt. It costs one row of
                      the batch; instances with equal source prompts that run together share it */
  const int32_t
      *tracked; /* tokens whose log-probabilities are asked for (xt_sweep_options.effects) */
  size_t tracked_count;
} xt_instance;

/* A prompt, borrowed. */
typedef struct xt_prompt_ids {
  const int32_t *ids;
  size_t count;
} xt_prompt_ids;

/* What a layer of a plan's write is counted from. */
typedef enum xt_layer_base {
  XT_LAYER_FIXED = 0, /* the model's first layer */
  XT_LAYER_SOURCE,    /* the response's source layer, i */
  XT_LAYER_TARGET     /* the response's target layer, j */
} xt_layer_base;

/* One of the transplants that a site with XT_FROM_PLAN makes at once. `site` is of XT_FROM_SOURCE or
 * XT_FROM_VECTOR, without a control or with XT_CONTROL_SELF. A control of the plan stands for what
 * its writes take of the source prompt and, XT_CONTROL_SELF and XT_CONTROL_RANDOM, for vectors; what a
 * write with XT_CONTROL_SELF takes stays as it is. It reads layer `source` from its base
 * on and writes layer `target` from its base on; where the model does not have one of them, nothing is
 * written. Unless some write of a plan has XT_POSITIONS_ALL, responses share the prompt's computation, and
 * that of generated tokens up to the lowest layer that is written. */
typedef struct xt_plan_write {
  xt_site site;
  xt_layer_base source_base, target_base;
  int source, target;  /* of a fixed layer its number, else what is added to the base */
  const float *vector; /* of XT_FROM_VECTOR: [layers][width], borrowed */
} xt_plan_write;

#define XT_PLAN_WRITES_MOST 256

/* What a site with a control, or with values that are not the source prompt's, writes for one
 * instance, borrowed for the call. Members that the site does not need are 0. */
typedef struct xt_control_input {
  const int32_t *ids; /* XT_CONTROL_SHUFFLED: the other question's source prompt */
  size_t count;
  const float *values; /* XT_FROM_VECTOR: [layers][width], written as they are */
  const float
      *means[XT_TAP_HEADS + 1]; /* XT_CONTROL_MEAN: by tap, of those that the site, or a plan's
                                  writes, read of the source prompt: [layers][width], of
                                  XT_TAP_HEADS [layers][heads][head_dim] */
  uint64_t seed; /* XT_CONTROL_RANDOM: of the directions, together with the tap and layer that
                    are read. Component c of a direction is the number of bits that are set in
                    the c-th number of SplitMix64, minus 32: to the fourth moment a normal
                    distribution, so that all directions are as likely. The directions of a layer's
                    heads follow each other in the stream of the layer's tap attn */
  const xt_prompt_ids *sources; /* XT_FROM_LANGS: the prompts, as many as the site's label has
                                   languages. Their mean is summed in float64, in this order */
  size_t source_count;
  const xt_plan_write
      *writes; /* XT_FROM_PLAN: 1 to XT_PLAN_WRITES_MOST, applied in this order where
                                  they change the same tap of the same layer */
  size_t write_count;
} xt_control_input;

/* One decoding step of a batch: the number of unfinished responses, and of distinct rows that each
 * layer computed for them. */
typedef struct xt_sweep_step {
  int step; /* number of the generated token that was the input, from 1 */
  int responses;
  const int *rows; /* [layers], borrowed for the call */
  int layers;
} xt_sweep_step;

/* The progress of a call of xt_session_sweep, reported after each prompt and after each generated
 * token of a batch. */
typedef struct xt_sweep_progress {
  double responses;    /* finished, without those to source prompts; an unfinished one counts as
                          the share of its tokens that exist */
  double prompt_flops; /* operations of matrix products so far: for the inner tokens of prompts; */
  double row_flops;    /* for everything else */
} xt_sweep_progress;

#define XT_SWEEP_SITES_MOST 32 /* of one sweep, job or plan of a store */

/* Zero-initialise for the defaults; at least one site is needed, at most XT_SWEEP_SITES_MOST. */
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
  bool no_sharing;           /* rows with the same tokens are computed separately, at the cost of
                                a sweep in which no two responses have tokens in common */
  /* Batches are made so small that each takes about this many seconds at the speed measured so far,
   * but not smaller than 256 configurations: this is the work that is lost when the process is
   * killed. 0: 60. Results do not depend on it. */
  double pass_seconds;
  double flops_per_second; /* the initial speed, if the caller knows it; 0: a guess. For
                              xt_sweep_make_plan, 0 means that time is not considered */
  /* Called before instances [first, first + count), whose rows share batches, are run; the session
   * may be used during the call. A status other than XT_STATUS_OK ends the sweep with that status.
   * May be NULL */
  xt_status (*begin)(void *user, size_t first, size_t count, xt_error *error);
  /* Called between generated tokens, and between the pieces of a prompt; true stops with
   * XT_STATUS_CANCELLED. By then `done` has been called for every finished response. May be NULL */
  bool (*cancel)(void *user);
  void (*progress)(void *user, const xt_sweep_progress *progress); /* May be NULL */
  void (*step)(void *user, const xt_sweep_step *step); /* called after each decoding step. May be
                                                          NULL */
  void *user;
  const xt_control_input *controls; /* [instances][sites]; may be NULL if no site has a control but
                                       XT_CONTROL_SELF, and all are XT_FROM_SOURCE */
  bool effects; /* every response has xt_generation.effects. They cost a look-up for each tracked
                   token and, for the divergences, one more pass over the logits of a response's
                   first token */
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
  const float *source_effects; /* with an untouched response: the numbers of the source prompt's
                                  first token, as many as the response has; NULL: none */
} xt_sweep_response;

/* What a sweep did. */
typedef struct xt_sweep_stats {
  uint64_t responses;        /* including vanilla ones, without those to source prompts */
  uint64_t tokens;           /* generated, of all responses */
  uint64_t row_layers;       /* rows x layers computed while decoding, after sharing */
  uint64_t row_layers_alone; /* the same without sharing: every response computed separately, in
                                all layers */
  double flops;              /* of the products that were computed: prompts, layers, unembedding */
  uint64_t peak_bytes;       /* the largest memory planned at once, including weights */
} xt_sweep_stats;

/* How a sweep of `count` instances of these lengths is divided to fit the memory limit. */
typedef struct xt_sweep_plan {
  int instances_together; /* instances whose rows share a batch */
  int rows_together;      /* configurations that share a batch */
  int passes;             /* batches in all */
  uint64_t responses;     /* in all, including vanilla ones */
  uint64_t bytes;         /* at most, including weights */
  uint64_t alone; /* of the responses, those that change their prompt's inner tokens, and are
                             therefore computed without sharing (XT_POSITIONS_ALL, and plans of
                             which some write has them) */
} xt_sweep_plan;

/* Refuses what cannot fit, and the message gives the memory that is needed. */
XT_API xt_status xt_sweep_make_plan(const xt_model *model, const xt_instance *instances,
                                    size_t count, const xt_sweep_options *options,
                                    xt_sweep_plan *plan, xt_error *error);

/* Runs the sweep. `done` is called once for each response, in no particular order; a status other
 * than XT_STATUS_OK ends the sweep with that status. `stats` may be NULL. */
XT_API xt_status xt_session_sweep(xt_session *session, const xt_instance *instances, size_t count,
                                  const xt_sweep_options *options,
                                  xt_status (*done)(void *user, const xt_sweep_response *response,
                                                    xt_error *error),
                                  void *user, xt_sweep_stats *stats, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
