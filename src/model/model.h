/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded model, as the engine sees it. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "backend/backend.h"
#include "files/checkpoint.h"
#include "files/model_config.h"
#include "xtransplant/model.h"

typedef struct NormWeights {
  Dev weight, bias;
} NormWeights;

/* Of one expert of a mixture: [2F, C] and [C, F]. */
typedef struct ExpertWeights {
  Weight *gate_up, *down;
} ExpertWeights;

typedef struct LayerWeights {
  NormWeights norm_attn, norm_mlp, post_attn, post_mlp; /* [C]; none if the architecture does not
                                                           have it, as for all members below */
  Dev q_norm, k_norm;                                   /* as ModelConfig.qk_norm says */
  Weight *qkv;     /* q, k, v stacked: [(heads + 2 kv_heads) head_dim, C] */
  Weight *out;     /* [C, heads head_dim] */
  Weight *gate_up; /* gate, up stacked: [2F, C]; only up if there is no gate */
  Weight *down;    /* [C, F] */
  /* of a mixture, in place of the two: [experts, C], and [experts] */
  Weight *router;
  ExpertWeights *experts;
  Dev qkv_bias, out_bias, gate_up_bias, down_bias;
  XieluNumbers xielu;
} LayerWeights;

struct xt_model {
  char *path;
  ModelConfig config;
  Checkpoint *checkpoint;  /* stays open, because embeddings are looked up in the mapped file */
  xt_tokenizer *tokenizer; /* NULL: the directory has none */
  Backend *backend;        /* prepared the weights; its ops are not called after loading. NULL:
                              inspected only */
  BackendLimits limits;    /* those of the backend; for a model that is only inspected, those of
                              the CPU */
  LayerWeights *layers;
  Table *embedding;
  NormWeights embed_norm, final_norm;
  float *slopes; /* [heads] AttendArgs.slopes; NULL: none */
  Weight *unembed;
  xt_compute compute; /* type that products are, or would be, computed in */
  uint64_t weight_bytes;
  uint64_t memory_limit; /* bytes for everything, including weights */
};

/* A backend for a session: made like the one that prepared the weights. */
xt_status model_backend_create(const xt_model *model, Backend **out, xt_error *error);

#endif
