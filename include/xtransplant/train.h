/* SPDX-License-Identifier: Apache-2.0 */
/* Training: full fine-tuning, and training from random weights. docs/MODELS.md says which
 * architectures can be trained; others are refused.
 *
 * The run is a function of its settings, its data and its starting model: the same bits whatever
 * the number of threads, with or without recomputation of layers, and whether or not it was stopped
 * and resumed. */
#ifndef XTRANSPLANT_TRAIN_H
#define XTRANSPLANT_TRAIN_H

#include "xtransplant/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xt_train_schedule {
  XT_TRAIN_LINEAR = 0,
  XT_TRAIN_COSINE,
  XT_TRAIN_CONSTANT
} xt_train_schedule;

/* How a data file is read. A prompt is encoded as for generation, with a BOS if the tokenizer adds
 * one; a response and every text end with the model's first EOS. */
typedef enum xt_train_format {
  XT_TRAIN_AUTO = 0, /* by the file's ending: .jsonl and .json are pairs, others are text */
  XT_TRAIN_PAIRS,    /* JSON lines {"prompt": "..", "response": ".."}; Aya's {"inputs": "..",
                        "targets": ".."}, with a line end between them if neither has white space
                        there; or {"text": ".."}, of which all tokens count */
  XT_TRAIN_LINES,    /* plain text, with an example per line; empty lines are skipped */
  XT_TRAIN_TEXT      /* plain text, cut into pieces of `length` tokens */
} xt_train_format;

/* One finished step. */
typedef struct xt_train_step {
  uint64_t step, steps;     /* done, including this one; in all */
  double loss;              /* mean over the step's tokens that count, nats */
  double rate;              /* learning rate */
  double norm;              /* of the mean gradient, before clipping */
  uint64_t tokens, counted; /* of this step; of these, tokens that count */
  double seconds;           /* this step took */
} xt_train_step;

/* Zero-initialise, then xt_train_options_init for the defaults. Strings are borrowed for the
 * call. */
typedef struct xt_train_options {
  size_t size;        /* sizeof this, or 0: see api.h */
  const char *model;  /* a Hugging Face directory; with from_scratch its weights are not read */
  const char *data;   /* file */
  const char *output; /* directory: it is made, or is empty, or has a stopped run with the same
                         settings, which is resumed */
  bool from_scratch;  /* start from random weights of the directory's config.json */
  xt_train_format format;
  xt_compute compute;      /* bf16: operands of products rounded, sums, weights and optimiser in
                              float32 */
  const char *dtype;       /* of the weights that are written: "f32", "bf16", "f16"; NULL: the
                              model's own */
  int threads;             /* 0: one per processor */
  uint64_t memory_limit;   /* bytes; 0: the free memory. Checked before any work */
  const char *cpu_kernels; /* NULL: the best this processor has */
  int epochs;              /* passes over the data; ignored if steps is given */
  uint64_t steps;          /* 0: as many as epochs take */
  int batch;               /* sequences per step */
  int micro_batch;         /* sequences run together, gradients summed over a step; 0: all */
  int length;              /* largest number of tokens of a sequence, longer ones are cut; 0: the
                              model's positions, at most 1024 */
  bool pack;               /* fill each step with examples up to batch * length tokens; each
                              example still attends only to itself */
  bool all_tokens;         /* count the tokens of prompts in the loss */
  bool recompute;          /* activation checkpointing */
  uint64_t seed;           /* for the order of the data, and random weights */
  double rate;             /* largest learning rate */
  double warmup;           /* share of the steps over which the rate rises from 0 */
  xt_train_schedule schedule;
  double beta1, beta2, eps, weight_decay;
  double clip;         /* largest norm of the gradient; 0: no limit */
  uint64_t save_steps; /* save a state to resume from after this many steps; 0: only when
                          cancelled */
  void (*progress)(void *user, const xt_train_step *step); /* after each step, from the calling
                                                              thread; may be NULL */
  bool (*cancel)(void *user); /* called after each step; true saves a state and stops with
                                 XT_STATUS_CANCELLED; may be NULL */
  void *user;
} xt_train_options;

/* Batch 16, 3 epochs, rate 1e-5 falling linearly after a warm-up of 0.1 (the paper's), AdamW 0.9,
 * 0.999, 1e-8, no weight decay, clip 1, seed 1, a state every 100 steps; all else is 0. */
XT_API void xt_train_options_init(xt_train_options *options);
/* Sets the paper's ML-SFT as far as it is known: 3 epochs, batch 16, rate 1e-5, warm-up 0.1,
 * products in bf16. The schedule is not known: cosine, as in the example of LLaMA-Factory that has
 * all these values, is a guess. Other members are not changed. */
XT_API void xt_train_options_paper(xt_train_options *options);

/* What a run did. */
typedef struct xt_train_stats {
  uint64_t examples, cut; /* in the data; of these, longer than `length` */
  uint64_t epoch_tokens;  /* of one pass over the data */
  uint64_t parameters;
  uint64_t steps, resumed;      /* in all; of these, done by an earlier call */
  bool finished_before;         /* the output already had this run's result: nothing was done,
                                   and losses are 0 */
  uint64_t tokens;              /* by this call */
  double seconds;               /* of this call's steps */
  double flops;                 /* of this call's matrix products */
  double first_loss, last_loss; /* means over the run's first and last tenth of steps */
} xt_train_stats;

/* Trains and writes `output`: config.json, generation_config.json if the model has one, the
 * tokenizer's files, model.safetensors, the record training.jsonl (a line per step) and loss.svg.
 * While it runs, `output` holds training-state.safetensors. A run that was stopped is resumed by a
 * call with the same settings; other settings are refused, and the error names the one that
 * differs. For a finished run, another call does nothing. `stats` may be NULL. */
XT_API xt_status xt_train(const xt_train_options *options, xt_train_stats *stats, xt_error *error);

/* Zero-initialise for the defaults. */
typedef struct xt_bpe_options {
  size_t size;                /* sizeof this, or 0: see api.h */
  int vocab;                  /* size of the vocabulary, including bytes and special tokens; 0:
                                 4096 */
  const char *const *special; /* first ids, in order; the first is EOS. NULL: "<|endoftext|>"
                                 alone */
  size_t special_count;
  int min_count; /* number of times that a pair must occur to be merged; 0: 2 */
} xt_bpe_options;

/* Trains a byte-level BPE tokenizer on `count` texts (each a line or a document) and writes
 * `directory`/tokenizer.json and tokenizer_config.json. Deterministic: among equally frequent
 * pairs, the one with the lower ids is merged. *learned is the number of merges; `learned` may be
 * NULL. */
XT_API xt_status xt_bpe_train(const char *const *files, size_t count, const xt_bpe_options *options,
                              const char *directory, int *learned, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
