/* SPDX-License-Identifier: Apache-2.0 */
/* The architectures: the names and shapes of their tensors. This is a table, so that loading,
 * checking and synthesising a model use the same entries. */
#ifndef MODEL_ARCH_H
#define MODEL_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "files/checkpoint.h"
#include "files/model_config.h"

/* The role of a tensor in the forward pass. */
typedef enum ArchRole {
  /* one a model */
  ARCH_EMBED = 0,
  ARCH_EMBED_NORM,
  ARCH_EMBED_NORM_BIAS,
  ARCH_FINAL_NORM,
  ARCH_FINAL_NORM_BIAS,
  ARCH_UNEMBED,
  /* one a layer */
  ARCH_NORM_ATTN,
  ARCH_Q,
  ARCH_K,
  ARCH_V,
  ARCH_OUT,
  ARCH_NORM_MLP,
  ARCH_GATE,
  ARCH_UP,
  ARCH_DOWN,
  ARCH_QKV,
  ARCH_GATE_UP, /* instead of the three and the two */
  ARCH_ROUTER,
  ARCH_POST_ATTN,
  ARCH_POST_MLP,
  ARCH_Q_NORM,
  ARCH_K_NORM,
  ARCH_XIELU_POSITIVE,
  ARCH_XIELU_NEGATIVE,
  ARCH_XIELU_BETA,
  ARCH_XIELU_EPS, /* one number each */
  /* and all below are biases */
  ARCH_Q_BIAS,
  ARCH_K_BIAS,
  ARCH_V_BIAS,
  ARCH_OUT_BIAS,
  ARCH_GATE_BIAS,
  ARCH_UP_BIAS,
  ARCH_DOWN_BIAS,
  ARCH_QKV_BIAS,
  ARCH_NORM_ATTN_BIAS,
  ARCH_NORM_MLP_BIAS,
  ARCH_ROLE_COUNT
} ArchRole;

static inline bool arch_role_in_layer(ArchRole role) { return role >= ARCH_NORM_ATTN; }

static inline bool arch_role_is_norm(ArchRole role) {
  return role == ARCH_EMBED_NORM || role == ARCH_FINAL_NORM || role == ARCH_NORM_ATTN ||
         role == ARCH_NORM_MLP || (role >= ARCH_POST_ATTN && role <= ARCH_K_NORM);
}

/* Whether a model of this configuration has the tensor (norms, biases, untied unembedding). */
bool arch_has(const ModelConfig *config, ArchRole role);

/* A number that is stored as a tensor with no dimension or with one. */
static inline bool arch_role_is_number(ArchRole role) {
  return role >= ARCH_XIELU_POSITIVE && role <= ARCH_XIELU_EPS;
}

/* Its name in the model's file, which is written into `name`; `layer` is ignored for tensors
 * outside the layers. */
#define ARCH_NAME_SIZE 96
void arch_tensor_name(const ModelConfig *config, ArchRole role, int layer,
                      char name[ARCH_NAME_SIZE]);

/* The matrices of which a layer has one for each expert: gate, up and down of a mixture; `expert` is
 * ignored for other tensors. In GGUF files they are one tensor, [experts, rows, cols]. */
bool arch_of_expert(const ModelConfig *config, ArchRole role);
bool arch_experts_stacked(const ModelConfig *config, ArchRole role);
void arch_expert_name(const ModelConfig *config, ArchRole role, int layer, int expert,
                      char name[ARCH_NAME_SIZE]);

/* Tensors of a role that a model has: one a layer or one a model, each once for every expert. */
int arch_count(const ModelConfig *config, ArchRole role);

/* The other name that a tensor may have instead: files of a model without its head (BLOOM's) have
 * names without the model's prefix, and transformers 5 calls every unembedding lm_head.weight.
 * Points into `name`, or is constant. */
const char *arch_other_name(ArchRole role, const char *name);

/* Whether the file has a separate unembedding although config.json ties it to the embedding. */
bool arch_head_differs(const ModelConfig *config, const Checkpoint *checkpoint);

/* Its shape: dims 1 (norms, biases: only rows, cols 1) or 2 (row-major [rows, cols]). */
typedef struct ArchShape {
  int dims;
  int64_t rows, cols;
} ArchShape;
ArchShape arch_shape(const ModelConfig *config, ArchRole role);

/* The number of last positions that layer `layer` sees; 0: all. */
int arch_window(const ModelConfig *config, int layer);

/* The number of sets of rotary angles that the layers use, up to MODEL_ROTARIES. */
int arch_rotaries(const ModelConfig *config);

#endif
