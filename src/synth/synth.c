/* SPDX-License-Identifier: Apache-2.0 */
/* Random models of a real shape, in Hugging Face layout. Weights are streamed: a few MB of memory a
 * thread whatever the model's size. Each block of a tensor has its own random stream, so that the
 * bytes depend on the seed alone. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <dirent.h>
#include <unistd.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/out_file.h"
#include "base/parallel.h"
#include "base/system.h"
#include "base/rng.h"
#include "base/text_buffer.h"
#include "files/model_files.h"
#include "files/safetensors_writer.h"
#include "model/arch.h"
#include "synth/synth_tokenizer.h"
#include "xtransplant/synth.h"
#include "xtransplant/model.h"

#define BLOCK_FLOATS (1 << 18)
#define SHARD_BYTES 5000000000u /* as save_pretrained's default */
#define LOGIT_SPREAD 4.0        /* standard deviation of the logits: lively, few near-ties */

typedef struct Shape {
  const char *name, *architecture, *dtype;
  int layers, width, heads, kv_heads, head_dim, feed_forward, vocab, max_positions, window;
  double rope_theta, norm_eps, repetition_penalty;
  bool tied;
} Shape;

static const Shape shapes[] = {
    {"llama-2-7b", "LlamaForCausalLM", "f16", 32, 4096, 32, 32, 128, 11008, 32000, 4096, 0, 1e4,
     1e-5, 1, false},
    {"mistral-7b-v0.3", "MistralForCausalLM", "bf16", 32, 4096, 32, 8, 128, 14336, 32768, 32768, 0,
     1e6, 1e-5, 1, false},
    {"qwen2-7b", "Qwen2ForCausalLM", "bf16", 28, 3584, 28, 4, 128, 18944, 152064, 32768, 0, 1e6,
     1e-6, 1.05, false},
    {"qwen2-0.5b", "Qwen2ForCausalLM", "bf16", 24, 896, 14, 2, 64, 4864, 151936, 32768, 0, 1e6,
     1e-6, 1.1, true},
    {"tinyllama-1.1b", "LlamaForCausalLM", "bf16", 22, 2048, 32, 4, 64, 5632, 32000, 2048, 0, 1e4,
     1e-5, 1, false},
    {"tiny-llama", "LlamaForCausalLM", "f32", 6, 64, 4, 2, 16, 160, 320, 2048, 0, 1e4, 1e-5, 1,
     false},
    {"tiny-mistral", "MistralForCausalLM", "f32", 6, 64, 8, 2, 12, 168, 320, 2048, 24, 1e6, 1e-5, 1,
     false},
    {"tiny-qwen2", "Qwen2ForCausalLM", "f32", 6, 56, 7, 1, 8, 152, 320, 2048, 0, 1e6, 1e-6, 1.05,
     true},
};
#define SHAPE_COUNT (sizeof shapes / sizeof *shapes)

const char *const *xt_model_shapes(void) {
  static const char *const names[SHAPE_COUNT + 1] = {
      "llama-2-7b", "mistral-7b-v0.3", "qwen2-7b",   "qwen2-0.5b", "tinyllama-1.1b",
      "tiny-llama", "tiny-mistral",    "tiny-qwen2", NULL};
  return names;
}

typedef struct Synth {
  const char *directory;
  const Shape *shape;
  ModelConfig config;
  Dtype dtype;
  uint64_t seed;
  int threads;
  ThreadPool *pool;
  float *values;   /* [threads][BLOCK_FLOATS] */
  uint8_t *stored; /* the same in the file's dtype */
  const xt_synth_options *options;
  uint64_t done, total; /* bytes of weights */
  int shards;
  bool made; /* the directory was made here */
} Synth;

static bool is_qwen(const Synth *s) { return s->config.family == FAMILY_QWEN2; }

/* ---- tokenizer ------------------------------------------------------------------------------- */

static xt_status copy_tokenizer(const Synth *s, const char *from, xt_error *error) {
  for (const char *const *name = model_files_tokenizer; *name; name++)
    TRY(model_files_copy(from, s->directory, *name, error));
  return XT_STATUS_OK;
}

/* The vocabulary must hold the tokenizer's ids; its end tokens are the model's. */
static xt_status adopt_tokenizer(Synth *s, const char *directory, xt_error *error) {
  static const char *const ends[] = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "</s>"};
  xt_tokenizer *t;
  TRY(xt_tokenizer_open(directory, &t, error));
  if (xt_tokenizer_vocab_size(t) > s->config.vocab) s->config.vocab = xt_tokenizer_vocab_size(t);
  s->config.eos_count = 0;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    const int32_t id = xt_tokenizer_token_id(t, ends[i]);
    if (id >= 0) s->config.eos[s->config.eos_count++] = id;
  }
  s->config.bos = xt_tokenizer_bos(t);
  xt_tokenizer_close(t);
  return XT_STATUS_OK;
}

/* ---- configuration --------------------------------------------------------------------------- */

static void add_eos(const ModelConfig *c, TextBuffer *t) {
  text_buffer_add_text(t, " \"eos_token_id\": ");
  if (c->eos_count == 1) {
    text_buffer_format(t, "%d", c->eos[0]);
    return;
  }
  for (int i = 0; i < c->eos_count; i++) text_buffer_format(t, "%s%d", i ? ", " : "[", c->eos[i]);
  text_buffer_add_text(t, c->eos_count ? "]" : "null");
}

static xt_status write_configs(const Synth *s, xt_error *error) {
  static const char *const names[] = {
      [DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16"};
  const ModelConfig *c = &s->config;
  const bool qwen = is_qwen(s), mistral = c->family == FAMILY_MISTRAL;
  TextBuffer t = {0};
  text_buffer_format(&t,
                     "{\n \"architectures\": [\"%s\"],\n \"model_type\": \"%s\",\n "
                     "\"hidden_size\": %d,\n \"num_hidden_layers\": %d,\n"
                     " \"num_attention_heads\": %d,\n \"num_key_value_heads\": %d,\n "
                     "\"intermediate_size\": %d,\n \"vocab_size\": %d,\n"
                     " \"max_position_embeddings\": %d,\n \"rope_theta\": %.1f,\n "
                     "\"rms_norm_eps\": %g,\n \"hidden_act\": \"silu\",\n"
                     " \"tie_word_embeddings\": %s,\n \"torch_dtype\": \"%s\",\n",
                     c->architecture,
                     qwen      ? "qwen2"
                     : mistral ? "mistral"
                               : "llama",
                     c->width, c->layers, c->heads, c->kv_heads, c->feed_forward, c->vocab,
                     c->max_positions, c->rotary[0].theta, c->norm_eps,
                     c->tied_embeddings ? "true" : "false", names[s->dtype]);
  if (!qwen) text_buffer_format(&t, " \"head_dim\": %d,\n", c->head_dim);
  if (mistral && c->sliding_window)
    text_buffer_format(&t, " \"sliding_window\": %d,\n", c->sliding_window);
  if (mistral && !c->sliding_window) text_buffer_add_text(&t, " \"sliding_window\": null,\n");
  if (qwen) text_buffer_add_text(&t, " \"use_sliding_window\": false,\n");
  text_buffer_format(&t, c->bos >= 0 ? " \"bos_token_id\": %d,\n" : " \"bos_token_id\": null,\n",
                     c->bos);
  add_eos(c, &t);
  text_buffer_add_text(&t, "\n}\n");
  xt_status status = synth_save(s->directory, "config.json", &t, error);
  text_buffer_free(&t);
  TRY(status);
  text_buffer_add_text(&t, "{\n");
  if (c->repetition_penalty != 1)
    text_buffer_format(&t, " \"repetition_penalty\": %g,\n", c->repetition_penalty);
  add_eos(c, &t);
  text_buffer_add_text(&t, "\n}\n");
  status = synth_save(s->directory, "generation_config.json", &t, error);
  text_buffer_free(&t);
  return status;
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Uniform in offset +- reach: products keep about the size of their inputs, logits spread by
 * LOGIT_SPREAD, norms lie around 1, biases around 0. */
static void value_range(const Synth *s, ArchRole role, double *offset, double *reach) {
  const ArchShape shape = arch_shape(&s->config, role);
  *offset = 0;
  if (shape.dims == 2) {
    const bool output = role == ARCH_UNEMBED || (role == ARCH_EMBED && s->config.tied_embeddings);
    const double deviation = role == ARCH_EMBED && !output
                                 ? 1.0
                                 : (output ? LOGIT_SPREAD : 1.0) / sqrt((double)shape.cols);
    *reach = deviation * sqrt(3.0);
  } else if (arch_role_is_norm(role)) {
    *offset = 1;
    *reach = 0.25;
  } else {
    *reach = 0.25;
  }
}

/* Blocks of one tensor that are filled at the same time. */
typedef struct Fill {
  Synth *synth;
  ArchRole role;
  int layer;
  uint64_t first, total; /* the first block's number; values of the whole tensor */
  double offset, reach;
} Fill;

static size_t block_values(const Fill *f, uint64_t block) {
  const uint64_t left = f->total - block * BLOCK_FLOATS;
  return left < BLOCK_FLOATS ? (size_t)left : BLOCK_FLOATS;
}

static void fill_block(void *context, size_t item, int thread) {
  const Fill *f = context;
  const Synth *s = f->synth;
  const uint64_t block = f->first + item;
  const size_t count = block_values(f, block);
  float *values = s->values + item * BLOCK_FLOATS;
  uint8_t *stored = s->stored + item * BLOCK_FLOATS * dtype_size(s->dtype);
  (void)thread;
  Rng rng = {s->seed + 0x632BE59BD9B4E019u * (block + 1)};
  rng.state ^= rng_next(&(Rng){(uint64_t)f->role * 1000003u + (uint64_t)f->layer});
  for (size_t i = 0; i < count; i++)
    values[i] = (float)f->offset + (float)f->reach * rng_symmetric(&rng);
  if (s->dtype == DTYPE_F32) {
    memcpy(stored, values, count * sizeof *values);
  } else {
    for (size_t i = 0; i < count; i++) {
      const uint16_t half =
          s->dtype == DTYPE_F16 ? dtype_to_f16(values[i]) : dtype_to_bf16(values[i]);
      memcpy(stored + 2 * i, &half, sizeof half);
    }
  }
}

static xt_status write_tensor(Synth *s, SafetensorsWriter *w, ArchRole role, int layer,
                              xt_error *error) {
  const ArchShape shape = arch_shape(&s->config, role);
  Fill f = {.synth = s, .role = role, .layer = layer, .total = (uint64_t)(shape.rows * shape.cols)};
  value_range(s, role, &f.offset, &f.reach);
  const uint64_t blocks = (f.total + BLOCK_FLOATS - 1) / BLOCK_FLOATS;
  for (; f.first < blocks; f.first += (uint64_t)s->threads) {
    const uint64_t left = blocks - f.first;
    const size_t together = left < (uint64_t)s->threads ? (size_t)left : (size_t)s->threads;
    parallel_for(s->pool, together, fill_block, &f);
    const size_t bytes =
        ((together - 1) * BLOCK_FLOATS + block_values(&f, f.first + together - 1)) *
        dtype_size(s->dtype);
    TRY(safetensors_writer_data(w, s->stored, bytes, error));
    s->done += bytes;
    if (s->options->progress && s->options->progress(s->options->user, s->done, s->total))
      return err_set(error, XT_STATUS_CANCELLED, s->directory, NULL, -1,
                     "stopped; nothing was written");
  }
  return XT_STATUS_OK;
}

typedef struct Item {
  ArchRole role;
  int layer, shard;
  uint64_t bytes;
} Item;

/* Every tensor in file order: embeddings, layers, the rest; and the shard it goes to. */
static xt_status list_items(const Synth *s, Item **out, size_t *count, int *shards,
                            xt_error *error) {
  Item *items;
  size_t n = 0;
  uint64_t filled = 0;
  TRY(MEM_ALLOC(&items, (size_t)ARCH_ROLE_COUNT * (size_t)(s->config.layers + 1), error));
  for (int layer = -1; layer <= s->config.layers; layer++)
    for (int role = 0; role < ARCH_ROLE_COUNT; role++) {
      const bool inside = layer >= 0 && layer < s->config.layers;
      if (arch_role_in_layer((ArchRole)role) != inside || !arch_has(&s->config, (ArchRole)role))
        continue;
      if (!inside && (role == ARCH_EMBED) != (layer < 0)) continue;
      const ArchShape shape = arch_shape(&s->config, (ArchRole)role);
      items[n++] = (Item){.role = (ArchRole)role,
                          .layer = layer,
                          .bytes = (uint64_t)(shape.rows * shape.cols) * dtype_size(s->dtype)};
    }
  *shards = 1;
  for (size_t i = 0; i < n; i++) {
    if (filled && filled + items[i].bytes > SHARD_BYTES) {
      (*shards)++;
      filled = 0;
    }
    filled += items[i].bytes;
    items[i].shard = *shards;
  }
  *out = items;
  *count = n;
  return XT_STATUS_OK;
}

static void shard_name(int shard, int shards, char name[64]) {
  if (shards == 1)
    snprintf(name, 64, "model.safetensors");
  else
    snprintf(name, 64, "model-%05d-of-%05d.safetensors", shard, shards);
}

static xt_status write_shard(Synth *s, const Item *items, size_t n, int shard, int shards,
                             xt_error *error) {
  char name[64], *path, tensor[ARCH_NAME_SIZE];
  SafetensorsWriter *w;
  shard_name(shard, shards, name);
  TRY(file_join(s->directory, name, &path, error));
  xt_status status = safetensors_writer_open(path, &w, error);
  free(path);
  TRY(status);
  status = safetensors_writer_metadata(w, "format", "pt", error);
  for (size_t i = 0; i < n && !status; i++) {
    if (items[i].shard != shard) continue;
    const ArchShape shape = arch_shape(&s->config, items[i].role);
    arch_tensor_name(&s->config, items[i].role, items[i].layer, tensor);
    status = safetensors_writer_declare(w, tensor, s->dtype, shape.dims,
                                        (const int64_t[]){shape.rows, shape.cols}, error);
  }
  for (size_t i = 0; i < n && !status; i++)
    if (items[i].shard == shard) status = write_tensor(s, w, items[i].role, items[i].layer, error);
  if (!status) return safetensors_writer_commit(w, error);
  safetensors_writer_discard(w);
  return status;
}

static xt_status write_index(const Synth *s, const Item *items, size_t n, int shards,
                             xt_error *error) {
  TextBuffer t = {0};
  uint64_t total = 0;
  for (size_t i = 0; i < n; i++) total += items[i].bytes;
  text_buffer_format(&t, "{\n \"metadata\": {\"total_size\": %llu},\n \"weight_map\": {",
                     (unsigned long long)total);
  for (size_t i = 0; i < n; i++) {
    char tensor[ARCH_NAME_SIZE], file[64];
    arch_tensor_name(&s->config, items[i].role, items[i].layer, tensor);
    shard_name(items[i].shard, shards, file);
    text_buffer_format(&t, "%s\n  \"%s\": \"%s\"", i ? "," : "", tensor, file);
  }
  text_buffer_add_text(&t, "\n }\n}\n");
  const xt_status status = synth_save(s->directory, "model.safetensors.index.json", &t, error);
  text_buffer_free(&t);
  return status;
}

static xt_status write_weights(Synth *s, xt_error *error) {
  Item *items;
  size_t n;
  TRY(list_items(s, &items, &n, &s->shards, error));
  for (size_t i = 0; i < n; i++) s->total += items[i].bytes;
  xt_status status = XT_STATUS_OK;
  for (int shard = 1; shard <= s->shards && !status; shard++)
    status = write_shard(s, items, n, shard, s->shards, error);
  if (!status && s->shards > 1) status = write_index(s, items, n, s->shards, error);
  free(items);
  return status;
}

/* ---- the public call ------------------------------------------------------------------------- */

static xt_status find_shape(const char *name, const Shape **out, xt_error *error) {
  TextBuffer known = {0};
  for (size_t i = 0; i < SHAPE_COUNT; i++) {
    if (name && strcmp(shapes[i].name, name) == 0) {
      *out = &shapes[i];
      text_buffer_free(&known);
      return XT_STATUS_OK;
    }
    text_buffer_format(&known, "%s%s", i ? ", " : "", shapes[i].name);
  }
  const xt_status status =
      err_set(error, XT_STATUS_ARGUMENT, NULL, "shape", -1, "'%s' is not known; one of %s",
              name ? name : "", known.data ? known.data : "");
  text_buffer_free(&known);
  return status;
}

static xt_status set_config(Synth *s, const xt_synth_options *o, xt_error *error) {
  const Shape *h = s->shape;
  const char *dtype = o->dtype ? o->dtype : h->dtype;
  ModelConfig *c = &s->config;
  *c = (ModelConfig){.layers = o->layers ? o->layers : h->layers,
                     .width = h->width,
                     .heads = h->heads,
                     .kv_heads = h->kv_heads,
                     .head_dim = h->head_dim,
                     .feed_forward = h->feed_forward,
                     .vocab = h->vocab,
                     .max_positions = h->max_positions,
                     .rotary = {{.theta = h->rope_theta}},
                     .norm_eps = h->norm_eps,
                     .pre_norm = true,
                     .tied_embeddings = h->tied,
                     .sliding_window = h->window,
                     .repetition_penalty = h->repetition_penalty,
                     .bos = -1};
  snprintf(c->architecture, sizeof c->architecture, "%s", h->architecture);
  c->family = strcmp(h->architecture, "Qwen2ForCausalLM") == 0     ? FAMILY_QWEN2
              : strcmp(h->architecture, "MistralForCausalLM") == 0 ? FAMILY_MISTRAL
                                                                   : FAMILY_LLAMA;
  c->qkv_bias = is_qwen(s);
  if (c->layers < 1 || c->layers > 1000)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "layers", -1,
                   "is %d; it must be from 1 to "
                   "1000",
                   c->layers);
  s->dtype = strcmp(dtype, "f32") == 0    ? DTYPE_F32
             : strcmp(dtype, "f16") == 0  ? DTYPE_F16
             : strcmp(dtype, "bf16") == 0 ? DTYPE_BF16
                                          : DTYPE_COUNT;
  if (s->dtype == DTYPE_COUNT)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "dtype", -1,
                   "'%s' is not known; one of f32, f16, bf16", dtype);
  if (o->tokenizer) return adopt_tokenizer(s, o->tokenizer, error);
  const SynthTokenizer tokenizer = {is_qwen(s), c->vocab};
  c->bos = is_qwen(s) ? -1 : 1;
  c->eos[c->eos_count++] = synth_special_id(&tokenizer, 2);
  if (is_qwen(s)) c->eos[c->eos_count++] = synth_special_id(&tokenizer, 0);
  return XT_STATUS_OK;
}

/* Makes the directory, or accepts an empty one. */
static xt_status make_directory(const char *path, bool *made, xt_error *error) {
  *made = mkdir(path, 0777) == 0;
  if (*made) return XT_STATUS_OK;
  if (errno != EEXIST) return err_io(error, path, "cannot make the directory");
  DIR *directory = opendir(path);
  if (!directory) return err_io(error, path, "cannot open");
  bool empty = true;
  for (const struct dirent *entry; (entry = readdir(directory));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
  closedir(directory);
  if (empty) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_IO, path, NULL, -1,
                 "exists and is not empty; nothing was written");
}

static void remove_file(const Synth *s, const char *name) {
  char *path;
  if (file_join(s->directory, name, &path, NULL) != XT_STATUS_OK) return;
  unlink(path);
  free(path);
}

/* Takes back what a failed call wrote. The directory was empty before. */
static void remove_written(const Synth *s) {
  static const char *const names[] = {"config.json", "generation_config.json",
                                      "model.safetensors.index.json"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) remove_file(s, names[i]);
  for (const char *const *name = model_files_tokenizer; *name; name++) remove_file(s, *name);
  for (int shard = 1; shard <= s->shards; shard++) {
    char name[64];
    shard_name(shard, s->shards, name);
    remove_file(s, name);
  }
  if (s->made) rmdir(s->directory);
}

xt_status xt_model_synthesize(const xt_synth_options *o, const char *directory, xt_error *error) {
  TRY(OPTIONS_CHECK(o, error));
  Synth s = {.directory = directory,
             .seed = o->seed,
             .options = o,
             .threads = o->threads > 0 ? o->threads : system_processors()};
  TRY(find_shape(o->shape, &s.shape, error));
  TRY(set_config(&s, o, error));
  const size_t block = (size_t)s.threads * BLOCK_FLOATS;
  xt_status status = MEM_ALLOC(&s.values, block, error);
  if (!status) status = mem_alloc(&s.stored, block, dtype_size(s.dtype), error);
  if (!status) status = pool_create(s.threads, &s.pool, error);
  if (!status) status = make_directory(directory, &s.made, error);
  if (!status) {
    status = write_configs(&s, error);
    if (!status)
      status = o->tokenizer ? copy_tokenizer(&s, o->tokenizer, error)
                            : synth_tokenizer_write(&(SynthTokenizer){is_qwen(&s), s.config.vocab},
                                                    s.directory, error);
    if (!status) status = write_weights(&s, error);
    if (status) remove_written(&s);
  }
  pool_free(s.pool);
  free(s.values);
  free(s.stored);
  return status;
}
