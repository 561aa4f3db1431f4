/* SPDX-License-Identifier: Apache-2.0 */
/* A training run, which trainer.c drives and whose files run_files.c reads and writes. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "base/text_buffer.h"
#include "train/optimizer.h"
#include "train/pass.h"
#include "train/train_data.h"

/* One step, for the record. */
typedef struct StepRecord {
  double loss, norm, rate, counted;
} StepRecord;

typedef struct Trainer {
  const xt_train_options *options;
  ModelConfig config;
  xt_tokenizer *tokenizer;
  Params params;
  Backend *backend;
  Pass *pass;
  TrainData data;
  DataOrder order;
  int length; /* most tokens of a sequence */
  int micro_batch;
  OptimizerSettings optimizer;
  OptimizerState state;
  float *gradients;
  StepRecord *records; /* [optimizer.total] */
  bool finished;       /* the output already has this run's result */
  TextBuffer settings; /* a line "name value" for all that the result depends on */
  int32_t *ids, *positions, *targets, *starts; /* of a batch that runs together */
  int lock;                                    /* on the output directory; -1: none */
} Trainer;

/* Prepares the output directory: it is made, or is empty, or has a state to resume from, which is
 * then read, or is `finished`. */
xt_status run_files_open(Trainer *trainer, xt_error *error);
/* Saves the state: it is replaced completely or not at all. */
xt_status run_files_save_state(const Trainer *trainer, xt_error *error);
/* Writes all files of a finished run, and removes the state. */
xt_status run_files_finish(const Trainer *trainer, xt_error *error);

/* A loss curve over steps as SVG: each step, and a running mean. */
void loss_curve_draw(const StepRecord *records, uint64_t count, const char *title, TextBuffer *out);

#endif
