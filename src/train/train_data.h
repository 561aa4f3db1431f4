/* SPDX-License-Identifier: Apache-2.0 */
/* Training data: examples as token ids, and the order in which steps take them. */
#ifndef TRAIN_TRAIN_DATA_H
#define TRAIN_TRAIN_DATA_H

#include "files/model_config.h"
#include "xtransplant/tokenizer.h"
#include "xtransplant/train.h"

typedef struct Example {
  size_t at;                   /* first of `count` ids in the pool */
  int32_t count, counted_from; /* tokens from this index on are part of the loss; at least 1 */
} Example;

typedef struct TrainData {
  int32_t *ids;
  size_t id_count, id_capacity;
  Example *examples;
  size_t count, capacity;
  uint64_t cut; /* examples that were longer than the length */
} TrainData;

/* How texts become examples. */
typedef struct DataRules {
  const xt_tokenizer *tokenizer;
  int32_t eos;
  int vocab, length;
  xt_train_format format;
  bool all_tokens;
} DataRules;

xt_status train_data_read(const char *path, const DataRules *rules, TrainData *out,
                          xt_error *error);
void train_data_free(TrainData *data);

/* Steps through the examples, epoch after epoch, each shuffled by seed and epoch. */
typedef struct DataOrder {
  const TrainData *data;
  uint64_t seed;
  int batch, length;
  bool pack;
  uint64_t epoch;
  size_t at;     /* next in `order` */
  size_t *order; /* [count] of this epoch */
} DataOrder;

xt_status data_order_create(DataOrder *order, const TrainData *data,
                            const xt_train_options *options, int length, xt_error *error);
void data_order_free(DataOrder *order);
/* The examples of the next step, `order->order[*first..]`, and their number. They are valid until
 * the next call. */
size_t data_order_next(DataOrder *order, size_t *first);
/* The number of these n examples, from `first` on, that run together: at most `most` sequences, or
 * when packing `most` * length tokens. */
size_t data_order_together(const DataOrder *order, size_t first, size_t n, int most);
/* Steps of `epochs` epochs. Leaves the order at its beginning. */
uint64_t data_order_count(DataOrder *order, int epochs);
void data_order_rewind(DataOrder *order);

#endif
