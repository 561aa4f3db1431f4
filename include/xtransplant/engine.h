/* SPDX-License-Identifier: Apache-2.0 */
/* Running a model: generation under interventions, greedy or drawn, and capture of taps.
 *
 * Mental model. A decoder layer l (0-based) has four taps at every position, h being its input:
 *     a = what the attention module adds to the residual stream     ("attn")
 *     m = the residual stream between the modules, h + a            ("mid")
 *     f = what the feed-forward module adds to the residual stream  ("ffn")
 *     o = the layer's output, m + f                                 ("block")
 * a and f are taken after a norm or scale that the architecture applies to the module's output;
 * docs/MODELS.md describes each architecture. A transplant captures a tap at layer i of the source
 * prompt's last token and writes it at layer j of the target prompt's last token; the forward pass
 * continues from there, and generation is not changed further.
 *
 * A session holds the keys, values and buffers of one caller: use it from one thread at a time; any
 * number of sessions may share a model. Results are bit-identical whatever the number of requests
 * run together, and whatever the number of threads. */
#ifndef XTRANSPLANT_ENGINE_H
#define XTRANSPLANT_ENGINE_H

#include "xtransplant/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_session xt_session;
typedef struct xt_taps xt_taps;

typedef enum xt_tap {
  XT_TAP_ATTN = 0,
  XT_TAP_MID,
  XT_TAP_FFN,
  XT_TAP_BLOCK,
  XT_TAP_HEADS /* inside the attention module: what each query head gives, before the output
                  projection makes a of it: [heads][head_dim] */
} xt_tap;
#define XT_TAP_COUNT 4 /* those as wide as the residual stream: all but XT_TAP_HEADS */

/* What a control writes where the transplant would write the source prompt's value. It shows
 * whether an effect is due to the source's content, to its language, or to the disturbance
 * alone. */
typedef enum xt_control {
  XT_CONTROL_NONE = 0, /* no control: the source prompt's value */
  XT_CONTROL_SELF,     /* the target prompt's own value at the source layer */
  XT_CONTROL_SHUFFLED, /* the value of another question's source prompt */
  XT_CONTROL_RANDOM,   /* a vector of random direction, as long as the source prompt's value */
  XT_CONTROL_MEAN      /* the mean of the values of other questions' source prompts */
} xt_control;
#define XT_CONTROL_COUNT 5

/* How a value changes the activation x at the place where it is written. */
typedef enum xt_rule {
  XT_RULE_REPLACE = 0, /* x := value */
  XT_RULE_ADD,         /* x := x + alpha * value */
  XT_RULE_BLEND        /* x := (1 - alpha) * x + alpha * value */
} xt_rule;
#define XT_RULE_COUNT 3

/* The tokens of the target's run at which a value is written. */
typedef enum xt_positions {
  XT_POSITIONS_LAST = 0, /* the prompt's last token */
  XT_POSITIONS_ALL,      /* every token: those of the prompt and the generated ones */
  XT_POSITIONS_GENERATED /* the generated tokens alone */
} xt_positions;
#define XT_POSITIONS_COUNT 3

/* What is written, if no control takes its place. */
typedef enum xt_from {
  XT_FROM_SOURCE = 0, /* the source prompt's value */
  XT_FROM_LANGS,      /* the mean of the values of the same question in several languages */
  XT_FROM_VECTOR,     /* a given vector for each layer, such as a steering vector */
  XT_FROM_PLAN        /* several writes at once, which a sweep is given (xt_plan_write) */
} xt_from;
#define XT_FROM_COUNT 4
#define XT_LABEL_SIZE 49

#define XT_SITE_HEAD_WORDS 4
#define XT_SITE_HEADS (64 * XT_SITE_HEAD_WORDS) /* query heads that a site can name */
#define XT_SPAN_MOST 256                        /* layers of a span */
#define XT_ALPHA_MOST 1e6 /* the largest factor of a rule, and its negative the smallest */

/* The taps that a transplant reads and writes, how and where it writes, and what a control writes
 * instead. Zero-initialise what is not needed. */
typedef struct xt_site {
  xt_tap read, write;
  xt_control control;
  uint32_t seed; /* of what a control draws; 0 for XT_CONTROL_NONE and XT_CONTROL_SELF */
  xt_rule rule;
  float alpha; /* of the rule; 0 for XT_RULE_REPLACE */
  int span;    /* from 2 on: layer i + k is read and written at layer j + k, for each k below this
                  for which the model has both layers; 0: one layer */
  xt_positions positions;
  /* Bit h % 64 of element h / 64: only the slice of query head h of XT_TAP_HEADS is read and written;
   * `read` and `write` are then XT_TAP_ATTN. None: all of the tap */
  uint64_t heads[XT_SITE_HEAD_WORDS];
  xt_from from;
  char label[XT_LABEL_SIZE]; /* of XT_FROM_LANGS the languages, "de.fr.en"; of XT_FROM_VECTOR a name
                                of the vector, of XT_FROM_PLAN one of the plan, with nothing else in
                                the site but XT_POSITIONS_ALL and a control; of letters, digits, '.', '_', '-' */
} xt_site;

#define XT_SITE_NAME_SIZE 128

/* Parses "attn", "ffn", "block", "attn-released" (reads m, writes a) or "READ:WRITE" with each of
 * a, m, f, o. What is not the default follows, in this order: "+langs.de.fr.en" or "+vector.NAME",
 * what is written; "+heads0.3.8-11", the attention heads; "+add2" or "+blend0.5", a rule with
 * its alpha; "+span3"; "+all" or "+generated", the positions; a control, "+self", "+shuffled",
 * "+random" or "+mean", the last three with a seed that is not 0 ("+random7"). A number is written
 * as xt_site_format does. A plan is "plan.NAME", with a control or without. */
XT_API xt_status xt_site_parse(const char *text, xt_site *out, xt_error *error);
/* The shortest name that xt_site_parse reads back; written into `buffer`, of XT_SITE_NAME_SIZE
 * bytes. */
XT_API const char *xt_site_format(xt_site site, char *buffer);
/* Parses a control alone: "self", "shuffled", "random7". The taps of *out are 0. */
XT_API xt_status xt_control_parse(const char *text, xt_site *out, xt_error *error);
/* "self", "shuffled", "random", "mean"; NULL for XT_CONTROL_NONE and what is none. */
XT_API const char *xt_control_name(xt_control control);
/* "replace", "add", "blend"; NULL for what is none. */
XT_API const char *xt_rule_name(xt_rule rule);
/* "last", "all", "generated"; NULL for what is none. */
XT_API const char *xt_positions_name(xt_positions positions);

#define XT_POSITION_LAST (-1)      /* the prompt's last token */
#define XT_POSITION_ALL (-2)       /* every token, including generated ones */
#define XT_POSITION_GENERATED (-3) /* every generated token */

/* One change to the forward pass: at `write` of `layer`, for the token at `position` (0-based in
 * the prompt; generated tokens follow it; or one of the above). Several that name the same place
 * apply in list order. An intervention at a place that the run never reaches is an
 * XT_STATUS_ARGUMENT error. */
typedef struct xt_intervention {
  xt_tap write;
  int layer;
  int position;
  xt_rule rule;
  float alpha;        /* unused by XT_RULE_REPLACE */
  const float *value; /* [width], of XT_TAP_HEADS [head_dim]; borrowed for the call */
  int head;           /* of XT_TAP_HEADS: the query head whose slice is written; else 0 */
} xt_intervention;

/* Calls `write` for each intervention of a site from layer `source` into layer `target` of a model
 * of so many layers and query heads: for the layers of its span, and in each for the heads that it
 * names, in order. `put` lacks its value, which is what the site reads at `source_layer` (of
 * XT_TAP_HEADS the slice of `put->head`), or what is written in its place; it is borrowed for the
 * call. */
XT_API void xt_site_each_write(const xt_site *site, int layers, int heads, int source, int target,
                               void (*write)(void *user, const xt_intervention *put,
                                             int source_layer),
                               void *user);

/* One prompt to run. Ids and interventions are borrowed for the call. Requests of one call whose
 * prompts begin with the same tokens share the work for these tokens, unless interventions change
 * them. */
typedef struct xt_request {
  const int32_t *ids;
  size_t count;
  const xt_intervention *interventions;
  size_t intervention_count;
  uint64_t sample; /* number of the sample, when several are drawn for this prompt */
  /* With `untouched` and `source`, both 1 + the index of a request of the same call, the response
   * has xt_generation.effects, with the log-probabilities of these `tracked` ids. Requests of which
   * some have effects run together, and are refused where memory does not allow that. */
  int untouched, source;
  const int32_t *tracked;
  size_t tracked_count;
} xt_request;

/* Zero-initialise for the defaults. */
typedef struct xt_generate_options {
  size_t size;                /* sizeof this, or 0: see api.h */
  int max_new_tokens;         /* 0: 20 */
  bool ignore_eos;            /* benchmarks: always generate max_new_tokens */
  double repetition_penalty;  /* 0: the model's */
  double temperature;         /* 0: greedy. Else each token is drawn from softmax(logits /
                                 temperature), after the penalty. The draw depends only on seed,
                                 prompt, the request's sample and step, not on the rest of the
                                 batch */
  double top_p;               /* 0 or 1: all tokens; else tokens are drawn from the smallest set
                                 of most likely tokens whose probabilities add up to this */
  uint64_t seed;              /* of the draws */
  bool lens;                  /* record the logit lens of every generated token */
  bool (*cancel)(void *user); /* called between steps, and between the pieces of a prompt; true
                                 stops with XT_STATUS_CANCELLED. May be NULL */
  /* Called after each step with the number of finished requests; an unfinished one counts as the
   * share of its tokens that exist. May be NULL */
  void (*progress)(void *user, double requests);
  void *user;
  /* Called after each token with the tokens that a request has so far; true ends its response
   * there. May be NULL */
  bool (*stop)(void *user, size_t request, const int32_t *ids, size_t count);
} xt_generate_options;

/* Numbers of the distribution P that a response's first token was chosen from, in nats: the
 * Kullback-Leibler divergences D(Q || P) = sum of Q(v) ln(Q(v) / P(v)), where Q is that of the
 * untouched run of the target prompt, and that of the source prompt; then ln P of each tracked
 * token. P and Q are those of the entropies: at temperature 1, after the repetition penalty. */
#define XT_EFFECT_KL_UNTOUCHED 0
#define XT_EFFECT_KL_SOURCE 1
#define XT_EFFECT_TRACKED 2 /* the first tracked token's */
#define XT_TRACKED_MOST 256 /* tracked tokens of a prompt */

/* What one request generated. Arrays are owned by the object: xt_generation_deinit frees them. */
typedef struct xt_generation {
  size_t count;
  int32_t *ids;         /* [count], including the EOS if one was generated */
  float *margins;       /* [count] best minus second-best logit, after the penalty */
  float *entropies;     /* [count] nats, of the distribution that the token was chosen from */
  float *logprobs;      /* [count] natural log of the chosen token's probability, at temperature
                           1 */
  bool stopped;         /* ended by an EOS id */
  int layers;           /* of lens_*, 0 without a lens */
  int32_t *lens_ids;    /* [count][layers] most likely token after final norm + unembedding of o */
  float *lens_logprobs; /* [count][layers] its log-probability */
  size_t effect_count;  /* 0: none were asked for, or settings force the first token */
  float *effects;       /* [effect_count] as XT_EFFECT_* says */
} xt_generation;
XT_API void xt_generation_deinit(xt_generation *generation);

/* The model must be loaded (xt_model_open) and must outlive the session. The caller frees *out with
 * xt_session_free. */
XT_API xt_status xt_session_create(const xt_model *model, xt_session **out, xt_error *error);
XT_API void xt_session_free(xt_session *session);

/* Generates for `n` requests at once, greedily unless `options` say otherwise; `options` may be
 * NULL. out: [n], filled in order; on failure all are empty. A prompt without tokens, or one that
 * together with the new tokens exceeds the model's positions, is an XT_STATUS_ARGUMENT error, which
 * is found before any work. */
XT_API xt_status xt_session_generate(xt_session *session, const xt_request *requests, size_t n,
                                     const xt_generate_options *options, xt_generation *out,
                                     xt_error *error);

/* Runs one prompt, with its interventions if it has any, and records every tap of its last token.
 * The caller frees *out with xt_taps_free. */
XT_API xt_status xt_session_capture(xt_session *session, const xt_request *request, xt_taps **out,
                                    xt_error *error);
/* The same of `n` prompts, which run together, with the same bits; out: [n]. On failure all are NULL.
 * All taps are in memory at once. */
XT_API xt_status xt_session_capture_all(xt_session *session, const xt_request *requests, size_t n,
                                        xt_taps **out, xt_error *error);
XT_API void xt_taps_free(xt_taps *taps);

/* [width], of XT_TAP_HEADS [heads][head_dim]; borrowed; NULL when layer or tap is out of range. The
 * layers of a tap follow one another: that of layer 0 is the beginning of [layers, width]. */
XT_API const float *xt_taps_get(const xt_taps *taps, xt_tap tap, int layer);
XT_API const float *xt_taps_embed(const xt_taps *taps);  /* [width] input of layer 0 */
XT_API const float *xt_taps_logits(const xt_taps *taps); /* [vocab] */
/* Writes a safetensors file: F32 `embed` [C], `attn`, `mid`, `ffn`, `block` [N, C], `logits` [V];
 * the prompt's ids as a JSON array under `ids` in the metadata. The file is replaced completely or
 * not at all. */
XT_API xt_status xt_taps_save(const xt_taps *taps, const char *path, xt_error *error);
/* The same of `n` prompts of one model, at least one: each tensor has them as its first dimension, as
 * in `block` [n, N, C], and `ids` is an array of arrays. */
XT_API xt_status xt_taps_save_all(xt_taps *const *taps, size_t n, const char *path,
                                  xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
