/* SPDX-License-Identifier: Apache-2.0 */
#include "train/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files/dtype.h"
#include "base/mem.h"
#include "base/rng.h"

xt_status params_create(const ModelConfig *config, Params *out, xt_error *error) {
  const size_t places = (size_t)(config->layers + 1) * ARCH_ROLE_COUNT;
  *out = (Params){.config = config};
  TRY(MEM_ALLOC(&out->list, places, error));
  const xt_status status = MEM_ALLOC(&out->index, places, error);
  if (status) {
    params_free(out);
    return status;
  }
  for (size_t i = 0; i < places; i++) out->index[i] = PARAM_ABSENT;
  for (int layer = -1; layer < config->layers; layer++)
    for (int role = 0; role < ARCH_ROLE_COUNT; role++) {
      if (arch_role_in_layer((ArchRole)role) != (layer >= 0) || !arch_has(config, (ArchRole)role))
        continue;
      const ArchShape shape = arch_shape(config, (ArchRole)role);
      Param *p = &out->list[out->count++];
      *p = (Param){.role = (ArchRole)role,
                   .layer = layer,
                   .at = out->total,
                   .count = (size_t)(shape.rows * shape.cols),
                   .shape = shape};
      out->index[(size_t)(layer + 1) * ARCH_ROLE_COUNT + (size_t)role] = p->at;
      out->total += p->count;
    }
  return XT_STATUS_OK;
}

void params_free(Params *params) {
  free(params->list);
  free(params->index);
  *params = (Params){0};
}

size_t params_at(const Params *params, ArchRole role, int layer) {
  const int place = arch_role_in_layer(role) ? layer + 1 : 0;
  return params->index[(size_t)place * ARCH_ROLE_COUNT + (size_t)role];
}

static xt_status read_one(const ModelConfig *config, const Param *p, const Checkpoint *checkpoint,
                          const char *directory, float *to, xt_error *error) {
  char name[ARCH_NAME_SIZE];
  arch_tensor_name(config, p->role, p->layer, name);
  const Tensor *t = checkpoint_find(checkpoint, name);
  if (!t)
    return err_set(error, XT_STATUS_INPUT, directory, name, -1,
                   "the weight files have no such tensor");
  if (t->dims != p->shape.dims || t->shape[0] != p->shape.rows ||
      (t->dims == 2 && t->shape[1] != p->shape.cols))
    return err_set(error, XT_STATUS_INPUT, t->map->path, name, tensor_offset(t),
                   "does not have the shape config.json asks for, [%lld, %lld]",
                   (long long)p->shape.rows, (long long)p->shape.cols);
  if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F16 && t->dtype != DTYPE_BF16)
    return err_set(error, XT_STATUS_UNSUPPORTED, t->map->path, name, tensor_offset(t),
                   "has dtype %s; weights may be F32, F16 or BF16", dtype_name(t->dtype));
  for (size_t i = 0; i < p->count; i++) {
    to[i] = dtype_load(t->data, t->dtype, i);
    if (!isfinite(to[i]))
      return err_set(error, XT_STATUS_INPUT, t->map->path, name,
                     tensor_offset(t) + (long long)(i * dtype_size(t->dtype)),
                     "value is not finite");
  }
  return XT_STATUS_OK;
}

xt_status params_read(const Params *params, const Checkpoint *checkpoint, const char *directory,
                      float *weights, xt_error *error) {
  for (size_t i = 0; i < params->count; i++)
    TRY(read_one(params->config, &params->list[i], checkpoint, directory,
                 weights + params->list[i].at, error));
  return XT_STATUS_OK;
}

/* Sum of twelve uniform numbers, less six (Irwin-Hall): near normal, cut at 6, and the same bits on
 * every machine. */
static float near_normal(Rng *rng) {
  float sum = 0;
  for (int i = 0; i < 12; i++) sum += rng_symmetric(rng);
  return 0.5f * sum;
}

void params_randomize(const Params *params, uint64_t seed, float *weights) {
  for (size_t i = 0; i < params->count; i++) {
    const Param *p = &params->list[i];
    Rng rng = {seed ^ (0x632BE59BD9B4E019u * (i + 1))};
    rng_next(&rng);
    const bool writes = p->role == ARCH_OUT || p->role == ARCH_DOWN;
    const float deviation = writes ? 0.02f / sqrtf(2.0f * (float)params->config->layers) : 0.02f;
    /* of vectors: biases, norms */
    const float constant = p->role >= ARCH_Q_BIAS || params->config->norm_adds_one ? 0.0f : 1.0f;
    for (size_t k = 0; k < p->count; k++)
      weights[p->at + k] = p->shape.dims == 2 ? deviation * near_normal(&rng) : constant;
  }
}
