/* SPDX-License-Identifier: Apache-2.0 */
/* Random models of a real shape, for benchmarks and tests. */
#ifndef XTRANSPLANT_SYNTH_H
#define XTRANSPLANT_SYNTH_H

#include "xtransplant/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_synth_options {
  size_t size;       /* sizeof this, or 0: see api.h */
  const char *shape; /* "llama-2-7b", "mistral-7b-v0.3", "qwen2-7b", "qwen2-0.5b",
                        "tinyllama-1.1b", "tiny-llama", "tiny-mistral", "tiny-qwen2" */
  int layers;        /* 0: the shape's */
  const char *dtype; /* "f32", "bf16", "f16"; NULL: the shape's */
  uint64_t seed;
  const char *tokenizer; /* directory whose tokenizer files are copied; NULL: a byte-level
                            tokenizer is written */
  int threads;           /* 0: one per processor; the written bytes do not depend on it */
  /* Called from time to time with the number of bytes of weights that are written; true stops with
   * XT_STATUS_CANCELLED. May be NULL */
  bool (*progress)(void *user, uint64_t done, uint64_t total);
  void *user;
} xt_synth_options;

/* Writes a Hugging Face directory with random weights, piece by piece; this needs a few MB of
 * memory per thread. `directory` is made; an existing one that is not empty is an error. On failure
 * nothing of it remains. */
XT_API xt_status xt_model_synthesize(const xt_synth_options *options, const char *directory,
                                     xt_error *error);

/* The shape names above, NULL-terminated; static. */
XT_API const char *const *xt_model_shapes(void);

#ifdef __cplusplus
}
#endif
#endif
