/* SPDX-License-Identifier: Apache-2.0 */
/* A training run: reads model and data, and makes the steps; run_files.c does the rest. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/system.h"
#include "files/checkpoint.h"

void xt_train_options_paper(xt_train_options *o) {
  o->epochs = 3;
  o->batch = 16;
  o->rate = 1e-5;
  o->warmup = 0.1;
  o->schedule = XT_TRAIN_COSINE;
  o->compute = XT_COMPUTE_BF16;
}

void xt_train_options_init(xt_train_options *o) {
  *o = (xt_train_options){.epochs = 3,
                          .batch = 16,
                          .seed = 1,
                          .rate = 1e-5,
                          .warmup = 0.1,
                          .schedule = XT_TRAIN_LINEAR,
                          .beta1 = 0.9,
                          .beta2 = 0.999,
                          .eps = 1e-8,
                          .clip = 1.0,
                          .save_steps = 100};
}

/* ---- checks ---------------------------------------------------------------------------------- */

static xt_status out_of_range(const char *field, double value, const char *range, xt_error *error) {
  return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "is %.9g; %s", value, range);
}

static xt_status check_options(const xt_train_options *o, xt_error *error) {
  if (!o->model || !o->data || !o->output)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "model, data and output are needed");
  if (!o->steps && o->epochs < 1)
    return out_of_range("epochs", o->epochs, "at least 1 is needed", error);
  if (o->batch < 1) return out_of_range("batch", o->batch, "at least 1 is needed", error);
  if (o->micro_batch < 0)
    return out_of_range("micro_batch", o->micro_batch, "0 or more is possible", error);
  if (o->length != 0 && o->length < 2)
    return out_of_range("length", o->length, "at least 2 is needed", error);
  if (!(o->rate > 0 && o->rate <= 10))
    return out_of_range("rate", o->rate, "above 0 and up to 10 is possible", error);
  if (!(o->warmup >= 0 && o->warmup <= 1))
    return out_of_range("warmup", o->warmup, "0 to 1 is possible", error);
  if (!(o->beta1 >= 0 && o->beta1 < 1))
    return out_of_range("beta1", o->beta1, "0 to below 1 is possible", error);
  if (!(o->beta2 >= 0 && o->beta2 < 1))
    return out_of_range("beta2", o->beta2, "0 to below 1 is possible", error);
  if (!(o->eps > 0)) return out_of_range("eps", o->eps, "above 0 is needed", error);
  if (!(o->weight_decay >= 0))
    return out_of_range("weight_decay", o->weight_decay, "0 or more is possible", error);
  if (!(o->clip >= 0)) return out_of_range("clip", o->clip, "0 or more is possible", error);
  return XT_STATUS_OK;
}

/* The backward pass is that of a Llama layer, with norms before the modules, after them, or
 * both. */
static xt_status check_differentiable(const Trainer *t, xt_error *error) {
  const ModelConfig *c = &t->config;
  const struct {
    bool has;
    const char *what;
  } others[] = {
      {c->norm != NORM_RMS || !(c->pre_norm || c->post_norm) || c->embed_norm, "norms"},
      {c->parallel, "parallel modules"},
      {c->experts > 0, "experts"},
      {c->qk_norm == QK_NORM_OWN_HEAD || c->qk_norm_late, "norms of queries and keys"},
      {(c->activation != ACTIVATION_SILU && c->activation != ACTIVATION_GELU_TANH) || c->no_gate,
       "activation"},
      {c->fused_qkv || c->fused_gate_up, "fused tensors"},
      {c->rope_style != ROPE_HALVES || c->rope_width != c->head_dim || c->queries_apart,
       "rotary positions"},
      {c->residual_scale != 1 || c->logit_scale != 1 || c->score_cap != 0 || c->logit_cap != 0,
       "scales and caps"},
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (others[i].has)
      return err_set(error, XT_STATUS_UNSUPPORTED, t->options->model, "architectures", -1,
                     "training does not handle the %s of %s", others[i].what, c->architecture);
  for (int l = 0; l < c->layers; l++)
    if (c->kinds[l].rotary < 0)
      return err_set(error, XT_STATUS_UNSUPPORTED, t->options->model, "architectures", -1,
                     "training does not handle layers without rotary positions");
  return XT_STATUS_OK;
}

static xt_status read_inputs(Trainer *t, xt_error *error) {
  const xt_train_options *o = t->options;
  TRY(model_config_load(o->model, &t->config, error));
  if (t->config.names != NAMES_HUGGING_FACE)
    return err_set(error, XT_STATUS_UNSUPPORTED, o->model, NULL, -1,
                   "training starts from a Hugging Face folder, not from a GGUF file");
  if (t->config.packing.kind)
    return err_set(error, XT_STATUS_UNSUPPORTED, o->model, "quantization_config", -1,
                   "training starts from weights that are not quantised");
  TRY(check_differentiable(t, error));
  TRY(xt_tokenizer_open(o->model, &t->tokenizer, error));
  if (t->config.eos_count == 0)
    return err_set(
        error, XT_STATUS_INPUT, o->model, "eos_token_id", -1,
        "neither config.json nor generation_config.json names one; examples end with it");
  const int most = t->config.max_positions < 1024 ? t->config.max_positions : 1024;
  t->length = o->length ? o->length : most;
  if (t->length > t->config.max_positions)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "length", -1,
                   "is %d; the model has %d positions", t->length, t->config.max_positions);
  t->micro_batch = o->micro_batch && o->micro_batch < o->batch ? o->micro_batch : o->batch;
  const DataRules rules = {.tokenizer = t->tokenizer,
                           .eos = t->config.eos[0],
                           .vocab = t->config.vocab,
                           .length = t->length,
                           .format = o->format,
                           .all_tokens = o->all_tokens};
  TRY(train_data_read(o->data, &rules, &t->data, error));
  return data_order_create(&t->order, &t->data, o, t->length, error);
}

static int longer_first(const void *a, const void *b) {
  return *(const int32_t *)b - *(const int32_t *)a;
}

/* The largest number of tokens that run together. */
static xt_status most_tokens(const Trainer *t, int *out, xt_error *error) {
  int32_t *lengths;
  TRY(MEM_ALLOC(&lengths, t->data.count, error));
  for (size_t i = 0; i < t->data.count; i++) lengths[i] = t->data.examples[i].count;
  qsort(lengths, t->data.count, sizeof *lengths, longer_first);
  size_t total = 0;
  if (t->options->pack) total = (size_t)t->micro_batch * (size_t)t->length;
  for (size_t i = 0; !t->options->pack && i < t->data.count && i < (size_t)t->micro_batch; i++)
    total += (size_t)lengths[i];
  free(lengths);
  if (total > INT32_MAX / 2)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "batch", -1,
                   "is too much to run together: %zu tokens", total);
  *out = (int)total;
  return XT_STATUS_OK;
}

static xt_status check_memory(const Trainer *t, const PassOptions *pass, xt_error *error) {
  const uint64_t need = (uint64_t)t->params.total * 4 * sizeof(float) +
                        pass_bytes(&t->config, pass) + ((uint64_t)32 << 20);
  const uint64_t available = system_available_memory();
  const uint64_t limit = t->options->memory_limit && t->options->memory_limit < available
                             ? t->options->memory_limit
                             : available;
  if (need <= limit) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_ARGUMENT, t->options->model, NULL, -1,
                 "training needs %.2f GiB (weights, gradients and optimiser %.2f, %d tokens "
                 "together %.2f); %s %.2f GiB. Less is needed with a "
                 "smaller micro-batch%s",
                 (double)need / 0x1p30, (double)t->params.total * 16 / 0x1p30, pass->tokens,
                 (double)pass_bytes(&t->config, pass) / 0x1p30,
                 limit == t->options->memory_limit ? "the limit is" : "free are",
                 (double)limit / 0x1p30, pass->recompute ? "" : " or with recomputation of layers");
}

/* All that the result depends on, as text: two runs with the same text give the same bits. */
static xt_status describe(Trainer *t, xt_error *error) {
  static const char *const schedules[] = {"linear", "cosine", "constant"};
  const xt_train_options *o = t->options;
  TextBuffer *s = &t->settings;
  Hash hash;
  uint8_t digest[HASH_BYTES];
  char text[HASH_TEXT_SIZE];
  hash_init(&hash);
  hash_part(&hash, t->data.ids, t->data.id_count * sizeof *t->data.ids);
  hash_part(&hash, t->data.examples, t->data.count * sizeof *t->data.examples);
  hash_finish(&hash, digest);
  hash_hex(digest, HASH_BYTES, text);
  text_buffer_format(s, "data %s\n", text);
  hash_init(&hash);
  hash_part(&hash, t->state.weights, t->params.total * sizeof *t->state.weights);
  hash_finish(&hash, digest);
  hash_hex(digest, HASH_BYTES, text);
  text_buffer_format(s,
                     "model %s\ncompute %s\nsteps %" PRIu64
                     "\nbatch %d\nmicro-batch %d\nlength %d\npack %d\nseed %" PRIu64 "\n",
                     text, xt_compute_name(o->compute), t->optimizer.total, o->batch,
                     t->micro_batch, t->length, o->pack, o->seed);
  text_buffer_format(
      s,
      "learning-rate %.17g\nwarmup %" PRIu64
      "\nschedule %s\nbeta1 %.17g\nbeta2 %.17g\neps %.17g\nweight-decay %.17g\nclip %.17g\n",
      o->rate, t->optimizer.warmup, schedules[o->schedule], o->beta1, o->beta2, o->eps,
      o->weight_decay, o->clip);
  return s->failed ? err_memory(error, s->size) : XT_STATUS_OK;
}

static xt_status prepare(Trainer *t, xt_error *error) {
  const xt_train_options *o = t->options;
  PassOptions pass = {.length = t->length, .recompute = o->recompute};
  TRY(params_create(&t->config, &t->params, error));
  TRY(most_tokens(t, &pass.tokens, error));
  TRY(check_memory(t, &pass, error));
  const char *kernels =
      o->cpu_kernels && strcmp(o->cpu_kernels, "reference") == 0 ? "portable" : o->cpu_kernels;
  const BackendOptions options = {.kernels = kernels, .threads = o->threads, .compute = o->compute};
  TRY(backend_cpu_create(&options, &t->backend, error)); /* training runs only on the CPU: see
                                                            pass.h */
  TRY(pass_create(&t->params, cpu_of(t->backend), &pass, &t->pass, error));
  const size_t bytes = t->params.total * sizeof(float);
  TRY(cpu_block_create(bytes, &t->state.weights, error));
  TRY(cpu_block_create(bytes, &t->state.first, error));
  TRY(cpu_block_create(bytes, &t->state.second, error));
  TRY(cpu_block_create(bytes, &t->gradients, error));
  TRY(MEM_ALLOC(&t->ids, (size_t)pass.tokens, error));
  TRY(MEM_ALLOC(&t->positions, (size_t)pass.tokens, error));
  TRY(MEM_ALLOC(&t->targets, (size_t)pass.tokens, error));
  TRY(MEM_ALLOC(&t->starts, (size_t)pass.tokens + 1, error));
  if (o->from_scratch) {
    params_randomize(&t->params, o->seed, t->state.weights);
  } else {
    Checkpoint *checkpoint;
    TRY(checkpoint_open(o->model, &checkpoint, error));
    xt_status status = XT_STATUS_OK;
    if (arch_head_differs(&t->config, checkpoint))
      status = err_set(error, XT_STATUS_UNSUPPORTED, o->model, "tie_word_embeddings", -1,
                       "is true, but the weights have an unembedding of their own; for training "
                       "say false in config.json");
    if (!status) status = params_read(&t->params, checkpoint, o->model, t->state.weights, error);
    checkpoint_close(checkpoint);
    TRY(status);
  }
  const uint64_t total = o->steps ? o->steps : data_order_count(&t->order, o->epochs);
  t->optimizer = (OptimizerSettings){.rate = o->rate,
                                     .beta1 = o->beta1,
                                     .beta2 = o->beta2,
                                     .eps = o->eps,
                                     .weight_decay = o->weight_decay,
                                     .clip = o->clip,
                                     .schedule = o->schedule,
                                     .warmup = (uint64_t)ceil(o->warmup * (double)total),
                                     .total = total};
  TRY(MEM_ALLOC(&t->records, total, error));
  return describe(t, error);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static TokenBatch gather(Trainer *t, size_t first, size_t n) {
  TokenBatch b = {.sequences = (int)n,
                  .ids = t->ids,
                  .positions = t->positions,
                  .targets = t->targets,
                  .starts = t->starts};
  t->starts[0] = 0;
  for (size_t s = 0; s < n; s++) {
    const Example *e = &t->data.examples[t->order.order[first + s]];
    const int32_t *ids = t->data.ids + e->at;
    for (int32_t i = 0; i < e->count; i++, b.tokens++) {
      t->ids[b.tokens] = ids[i];
      t->positions[b.tokens] = i;
      t->targets[b.tokens] = i + 1 < e->count && i + 1 >= e->counted_from ? ids[i + 1] : -1;
    }
    t->starts[s + 1] = b.tokens;
  }
  return b;
}

static xt_status run_step(Trainer *t, xt_train_step *step, xt_error *error) {
  const double began = system_seconds();
  size_t first, counted = 0;
  double loss = 0;
  *step = (xt_train_step){.steps = t->optimizer.total,
                          .rate = optimizer_rate(&t->optimizer, t->state.steps)};
  memset(t->gradients, 0, t->params.total * sizeof *t->gradients);
  for (size_t left = data_order_next(&t->order, &first); left > 0;) {
    const size_t n = data_order_together(&t->order, first, left, t->micro_batch);
    const TokenBatch batch = gather(t, first, n);
    size_t here;
    loss += pass_run(t->pass, t->state.weights, t->gradients, &batch, &here);
    counted += here;
    step->tokens += (uint64_t)batch.tokens;
    first += n;
    left -= n;
  }
  step->loss = loss / (double)counted;
  step->norm = optimizer_step(&t->optimizer, cpu_of(t->backend), &t->params, &t->state,
                              t->gradients, counted);
  if (!isfinite(step->norm) || !isfinite(step->loss))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                   "step %" PRIu64
                   ": the loss or its gradient is not finite; a lower learning rate may help",
                   t->state.steps + 1);
  step->step = t->state.steps;
  step->counted = counted;
  step->seconds = system_seconds() - began;
  t->records[t->state.steps - 1] =
      (StepRecord){step->loss, step->norm, step->rate, (double)counted};
  return XT_STATUS_OK;
}

static xt_status run_steps(Trainer *t, xt_train_stats *stats, xt_error *error) {
  const xt_train_options *o = t->options;
  size_t first;
  stats->resumed = t->state.steps;
  for (uint64_t s = 0; s < t->state.steps; s++) data_order_next(&t->order, &first);
  while (t->state.steps < t->optimizer.total) {
    xt_train_step step;
    TRY(run_step(t, &step, error));
    stats->tokens += step.tokens;
    stats->seconds += step.seconds;
    if (o->progress) o->progress(o->user, &step);
    const bool stop = o->cancel && o->cancel(o->user);
    if (stop || (o->save_steps && t->state.steps % o->save_steps == 0))
      TRY(run_files_save_state(t, error));
    if (stop)
      return err_set(error, XT_STATUS_CANCELLED, o->output, NULL, -1,
                     "stopped after step %" PRIu64 " of %" PRIu64, t->state.steps,
                     t->optimizer.total);
  }
  return XT_STATUS_OK;
}

static double mean_loss(const StepRecord *records, uint64_t n) {
  double sum = 0, counted = 0;
  for (uint64_t i = 0; i < n; i++) {
    sum += records[i].loss * records[i].counted;
    counted += records[i].counted;
  }
  return counted > 0 ? sum / counted : 0;
}

static void fill_stats(const Trainer *t, xt_train_stats *stats) {
  const uint64_t n = t->state.steps, tenth = n < 10 ? n : n / 10;
  stats->examples = t->data.count;
  stats->cut = t->data.cut;
  for (size_t i = 0; i < t->data.count; i++)
    stats->epoch_tokens += (uint64_t)t->data.examples[i].count;
  stats->parameters = t->params.total;
  stats->steps = t->optimizer.total;
  stats->finished_before = t->finished;
  if (t->finished) stats->resumed = stats->steps;
  stats->flops = t->pass ? pass_flops(t->pass) : 0;
  if (t->records && n) {
    stats->first_loss = mean_loss(t->records, tenth);
    stats->last_loss = mean_loss(t->records + n - tenth, tenth);
  }
}

static void release(Trainer *t) {
  pass_free(t->pass);
  if (t->backend) t->backend->ops->destroy(t->backend);
  cpu_block_free(t->state.weights);
  cpu_block_free(t->state.first);
  cpu_block_free(t->state.second);
  cpu_block_free(t->gradients);
  params_free(&t->params);
  data_order_free(&t->order);
  train_data_free(&t->data);
  xt_tokenizer_close(t->tokenizer);
  text_buffer_free(&t->settings);
  free(t->records);
  free(t->ids);
  free(t->positions);
  free(t->targets);
  free(t->starts);
  if (t->lock >= 0) close(t->lock);
}

xt_status xt_train(const xt_train_options *options, xt_train_stats *out, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  Trainer t = {.options = options, .lock = -1};
  xt_train_stats stats = {0};
  xt_status status;
  TRY_DONE(check_options(options, error));
  TRY_DONE(read_inputs(&t, error));
  TRY_DONE(prepare(&t, error));
  TRY_DONE(run_files_open(&t, error));
  if (t.finished) goto done;
  TRY_DONE(run_steps(&t, &stats, error));
  TRY_DONE(run_files_finish(&t, error));
done:
  fill_stats(&t, &stats);
  if (out) *out = stats;
  release(&t);
  return status;
}
