/* SPDX-License-Identifier: Apache-2.0 */
#include "model/flops.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/system.h"
#include "files/hub_folder.h"
#include "files/model_files.h"
#include "model/arch.h"
#include "model/model_weights.h"
#include "model/sizes.h"

static uint64_t weight_bytes(const xt_model *m, const Tensor *t) {
  const uint64_t each = (uint64_t)m->limits.weight_bytes;
  return each ? t->bytes / dtype_size(t->dtype) * dtype_block(t->dtype) * each
              : model_stored_bytes(t);
}

/* Embeddings stay in the file, but a device has a copy of its own, beside a tied unembedding. */
static uint64_t resident_estimate(const xt_model *m) {
  uint64_t bytes = 0;
  Tensor t;
  if (m->limits.memory && !model_find_tensor(m, ARCH_EMBED, 0, 0, &t, NULL))
    bytes = model_stored_bytes(&t);
  for (int role = 0; role < ARCH_ROLE_COUNT; role++) {
    if (role == ARCH_EMBED && !m->config.tied_embeddings) continue;
    const int experts = arch_of_expert(&m->config, (ArchRole)role) ? m->config.experts : 1;
    for (int i = 0; i < arch_count(&m->config, (ArchRole)role); i++)
      if (!model_find_tensor(m, (ArchRole)role, i / experts, i % experts, &t, NULL))
        bytes += weight_bytes(m, &t);
  }
  return bytes;
}

uint64_t xt_model_session_bytes(const xt_model *m, int positions, int rows, int max_new_tokens) {
  const ModelConfig *c = &m->config;
  const uint64_t cached = (uint64_t)positions + (uint64_t)rows * (uint64_t)max_new_tokens;
  const int batch = rows > m->limits.work_rows ? rows : m->limits.work_rows;
  return sizes_activations(c, &m->limits, batch).total * sizeof(float) +
         cached * sizes_position_bytes(c) +
         (uint64_t)(positions + max_new_tokens) *
             (uint64_t)(c->rope_width * arch_rotaries(c) *
                            (c->unbounded || c->begins_anew ? 2 : 1) +
                        (c->sinusoids ? c->width : 0)) *
             sizeof(float);
}

static xt_status check_memory(xt_model *m, const xt_model_options *options, xt_error *error) {
  const uint64_t available = m->limits.memory ? m->limits.memory : system_available_memory();
  const uint64_t need = resident_estimate(m) + xt_model_session_bytes(m, 1, 1, 1);
  m->memory_limit = options->memory_limit ? options->memory_limit : available;
  if (need > m->memory_limit)
    return err_set(error, XT_STATUS_ARGUMENT, m->path, NULL, -1,
                   "needs %.2f GiB to load and run one row, %s is %.2f GiB", (double)need / 0x1p30,
                   options->memory_limit ? "the memory limit"
                   : m->limits.memory    ? "the device's free memory"
                                         : "the machine's free memory",
                   (double)m->memory_limit / 0x1p30);
  return XT_STATUS_OK;
}

static xt_status open_tokenizer(xt_model *m, xt_error *error) {
  if (m->config.names == NAMES_GGUF) return xt_tokenizer_open(m->path, &m->tokenizer, error);
  for (size_t i = 0; i < 3; i++) { /* tokenizer.json, tokenizer.model, vocab.json */
    char *path;
    TRY(file_join(m->path, model_files_tokenizer[i], &path, error));
    const bool found = file_exists(path);
    free(path);
    if (found) return xt_tokenizer_open(m->path, &m->tokenizer, error);
  }
  return XT_STATUS_OK;
}

static xt_status open_model(const char *path, const xt_model_options *options, bool weights,
                            xt_model **out, xt_error *error) {
  const xt_model_options defaults = {0};
  if (!options) options = &defaults;
  xt_model *m;
  *out = NULL;
  TRY(OPTIONS_CHECK(options, error));
  TRY(MEM_ALLOC(&m, 1, error));
  xt_status status = XT_STATUS_OK;
  m->compute = options->compute;
  const BackendOptions backend = {.kernels = options->cpu_kernels,
                                  .threads = options->threads,
                                  .compute = options->compute,
                                  .kernel_cache = options->kernel_cache,
                                  .inexact = options->inexact};
  TRY_DONE(mem_copy_text(&m->path, path, strlen(path), error));
  TRY_DONE(hub_folder_refuse_adapter(path, error));
  TRY_DONE(model_config_load(path, &m->config, error));
  TRY_DONE(checkpoint_open(path, &m->checkpoint, error));
  if (m->config.packing.kind) TRY_DONE(checkpoint_unpack(m->checkpoint, &m->config.packing, error));
  /* as transformers 5 does */
  if (arch_head_differs(&m->config, m->checkpoint)) m->config.tied_embeddings = false;
  TRY_DONE(model_check_tensors(m, error));
  TRY_DONE(open_tokenizer(m, error));
  if (weights) {
    TRY_DONE(backend_create(options->device, &backend, &m->backend, error));
    sizes_fit(&m->config, &m->backend->limits);
    m->limits = m->backend->limits;
    TRY_DONE(check_memory(m, options, error));
    TRY_DONE(model_load_weights(m, error));
    TRY_DONE(m->backend->ops->status(m->backend, error));
    TRY_DONE(checkpoint_check(m->checkpoint, error));
  } else
    TRY_DONE(backend_limits(options->device, &backend, &m->limits, error));
  *out = m;
  return XT_STATUS_OK;
done:
  xt_model_close(m);
  return status;
}

xt_status xt_model_open(const char *path, const xt_model_options *options, xt_model **out,
                        xt_error *error) {
  return open_model(path, options, true, out, error);
}

xt_status xt_model_inspect(const char *path, const xt_model_options *options, xt_model **out,
                           xt_error *error) {
  return open_model(path, options, false, out, error);
}

static void release_layer(Backend *b, LayerWeights *w, int experts) {
  const Dev vectors[] = {w->norm_attn.weight, w->norm_attn.bias,   w->norm_mlp.weight,
                         w->norm_mlp.bias,    w->post_attn.weight, w->post_mlp.weight,
                         w->q_norm,           w->k_norm,           w->qkv_bias,
                         w->out_bias,         w->gate_up_bias,     w->down_bias};
  Weight *const matrices[] = {w->qkv, w->out, w->gate_up, w->down, w->router};
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) b->ops->release(b, vectors[i]);
  for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
    b->ops->weight_release(b, matrices[i]);
  for (int e = 0; w->experts && e < experts; e++) {
    b->ops->weight_release(b, w->experts[e].gate_up);
    b->ops->weight_release(b, w->experts[e].down);
  }
  free(w->experts);
}

void xt_model_close(xt_model *m) {
  if (!m) return;
  if (m->backend) {
    for (int l = 0; m->layers && l < m->config.layers; l++)
      release_layer(m->backend, &m->layers[l], m->config.experts);
    const Dev vectors[] = {m->embed_norm.weight, m->embed_norm.bias, m->final_norm.weight,
                           m->final_norm.bias};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
      m->backend->ops->release(m->backend, vectors[i]);
    m->backend->ops->weight_release(m->backend, m->unembed);
    m->backend->ops->table_release(m->backend, m->embedding);
    m->backend->ops->destroy(m->backend);
  }
  free(m->layers);
  free(m->slopes);
  xt_tokenizer_close(m->tokenizer);
  checkpoint_close(m->checkpoint);
  free(m->path);
  free(m);
}

xt_status model_backend_create(const xt_model *m, Backend **out, xt_error *error) {
  TRY(backend_create_alike(m->backend, out, error));
  sizes_fit(&m->config, &(*out)->limits);
  return XT_STATUS_OK;
}

const xt_tokenizer *xt_model_tokenizer(const xt_model *m) { return m->tokenizer; }

static int by_bytes(const void *a, const void *b) {
  const xt_dtype_use *x = a, *y = b;
  return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

size_t xt_model_dtypes(const xt_model *m, xt_dtype_use *out, size_t most) {
  xt_dtype_use uses[DTYPE_COUNT] = {0};
  size_t count = 0;
  for (int d = 0; d < DTYPE_COUNT; d++) uses[d].name = dtype_name((Dtype)d);
  for (size_t i = 0; i < checkpoint_count(m->checkpoint); i++) {
    const Tensor *t = checkpoint_get(m->checkpoint, i);
    uses[t->dtype].tensors++;
    uses[t->dtype].bytes += t->bytes;
  }
  qsort(uses, DTYPE_COUNT, sizeof *uses, by_bytes);
  for (; count < DTYPE_COUNT && uses[count].tensors; count++)
    if (count < most) out[count] = uses[count];
  return count;
}

static const char *main_dtype(const xt_model *m) {
  xt_dtype_use use = {.name = ""};
  (void)xt_model_dtypes(m, &use, 1);
  return use.name;
}

static uint64_t count_parameters(const xt_model *m) {
  uint64_t total = 0;
  for (int role = 0; role < ARCH_ROLE_COUNT; role++) {
    if (!arch_has(&m->config, (ArchRole)role)) continue;
    const ArchShape s = arch_shape(&m->config, (ArchRole)role);
    total += (uint64_t)(s.rows * s.cols) * (uint64_t)arch_count(&m->config, (ArchRole)role);
  }
  return total;
}

void xt_model_get_info(const xt_model *m, xt_model_info *info) {
  static const char *const scalings[] = {"none", "linear",   "llama3", "dynamic",
                                         "yarn", "longrope", "table"};
  const ModelConfig *c = &m->config;
  const bool processor = m->backend && strcmp(m->backend->device, "cpu") == 0;
  const char *kernels = processor    ? strchr(m->backend->ops->name, ':') + 1
                        : m->backend ? m->backend->device
                                     : "";
  *info = (xt_model_info){.path = m->path,
                          .architecture = c->architecture,
                          .weight_dtype = main_dtype(m),
                          .weight_format = checkpoint_format(m->checkpoint),
                          .kernels = kernels,
                          .layers = c->layers,
                          .width = c->width,
                          .heads = c->heads,
                          .kv_heads = c->kv_heads,
                          .head_dim = c->head_dim,
                          .feed_forward = c->feed_forward,
                          .experts = c->experts,
                          .experts_used = c->experts_used,
                          .vocab = c->vocab,
                          .trained_positions = c->max_positions,
                          .max_positions = c->unbounded ? MODEL_POSITIONS_MAX : c->max_positions,
                          .sliding_window = c->sliding_window,
                          .rope_theta = c->rotary[0].theta,
                          .norm_eps = c->norm_eps,
                          .rope_scaling = scalings[c->rotary[0].scaling],
                          .tied_embeddings = c->tied_embeddings,
                          .qkv_bias = c->qkv_bias,
                          .eos_count = c->eos_count,
                          .repetition_penalty = c->repetition_penalty,
                          .generation_settings = c->rules.names,
                          .quantisation = c->packing.about,
                          .files = checkpoint_files(m->checkpoint),
                          .tensors = (int)checkpoint_count(m->checkpoint),
                          .parameters = count_parameters(m),
                          .file_bytes = checkpoint_file_bytes(m->checkpoint),
                          .weight_bytes = m->backend ? m->weight_bytes : resident_estimate(m),
                          .layer_flops = flops_layer(c),
                          .unembed_flops = flops_unembed(c)};
  memcpy(info->eos, c->eos, sizeof info->eos);
}
