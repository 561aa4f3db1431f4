/* SPDX-License-Identifier: Apache-2.0 */
/* A loaded model: weights, architecture and tokenizer. Immutable; may be shared by threads. */
#ifndef XTRANSPLANT_MODEL_H
#define XTRANSPLANT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xtransplant/error.h"
#include "xtransplant/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_model xt_model;

typedef enum xt_compute {
  XT_COMPUTE_F32 = 0, /* products in float32, weights converted exactly: the reference */
  XT_COMPUTE_BF16,    /* operands of products rounded to bfloat16, float32 sums: the fast mode */
  XT_COMPUTE_F16,     /* operands rounded to float16: CUDA devices alone */
  XT_COMPUTE_TF32     /* operands rounded to 10 bits after the point, with float32's exponents: CUDA
                         devices alone */
} xt_compute;
/* "f32", "bf16", "f16", "tf32", as the program's --compute and results files have them; static. */
XT_API const char *xt_compute_name(xt_compute compute);

/* Zero-initialise for the defaults. */
typedef struct xt_model_options {
  size_t size; /* sizeof this, or 0: see api.h */
  int threads; /* 0: one per processor this process may use */
  xt_compute compute;
  uint64_t memory_limit;    /* bytes that weights and sessions may take; 0: the machine's free
                               memory when the model is opened. Checked before loading */
  const char *cpu_kernels;  /* NULL: the best for this processor; or "avx512", "avx2", "neon",
                               "portable", "reference"; "amx": avx512, and the
                               processor's tiles for bfloat16 products */
  const char *device;       /* NULL or "cpu"; "opencl", "opencl:K", "cuda", "cuda:K": a GPU as
                               xt_devices lists it; OpenCL's compute in float32 only */
  const char *kernel_cache; /* folder in which a GPU's compiled kernels are kept between runs; it
                               is made if it does not exist. NULL: they are not kept */
  bool inexact;             /* also accept a GPU that does not promise the same bits as the CPU
                               in float32 */
} xt_model_options;

/* A GPU that models can run on. */
typedef struct xt_device {
  char id[24]; /* for xt_model_options.device: "opencl:0" */
  char name[128], driver[192];
  uint64_t memory; /* bytes */
  int units;       /* compute units */
  char lacks[128]; /* what is missing for the same float32 bits as the CPU; "": nothing */
  char unfit[96];  /* why it is refused, with `inexact` too; "": it is not */
} xt_device;

/* Writes up to `most` devices of this machine's drivers, and returns how many there are in all. It
 * is no error when there are none: `why` (may be NULL), of `why_size` bytes, then says what is
 * missing, as it does of a library that a device needs. */
XT_API int xt_devices(xt_device *out, int most, char *why, size_t why_size);

#define XT_EOS_MAX 16

/* Plain facts about a model. Strings are borrowed from it. */
typedef struct xt_model_info {
  const char *path;
  const char *architecture;  /* "LlamaForCausalLM", ... */
  const char *weight_dtype;  /* the stored dtype of most of the bytes: "BF16", "Q4_K", ... */
  const char *weight_format; /* "safetensors", "pytorch .bin" or "GGUF" */
  const char *kernels;       /* in use: those of the CPU ("avx2", ...), or the GPU ("opencl:0");
                                "" before weights are loaded */
  int layers, width, heads, kv_heads, head_dim, feed_forward, vocab;
  int experts, experts_used; /* of a mixture, each feed_forward wide, and of them each token's; 0:
                                none */
  int max_positions;         /* that can be run; a huge number if positions are not limited */
  int trained_positions;     /* max_position_embeddings */
  int sliding_window;        /* 0: none */
  double rope_theta, norm_eps;
  const char *rope_scaling; /* "none", "linear", "llama3", ... */
  bool tied_embeddings, qkv_bias;
  int eos_count;
  int32_t eos[XT_EOS_MAX];
  double repetition_penalty; /* 1: none */
  const char *quantisation;  /* of safetensors files, in words: "GPTQ, 4 bits"; "": none. Lives
                                as long as the model */
  const char *generation_settings; /* names of other settings of generation_config.json that are
                                      honoured, with commas between; lives as long as the model */
  int files, tensors;
  uint64_t parameters;
  uint64_t file_bytes;   /* of all weight files */
  uint64_t weight_bytes; /* resident, once loaded */
  /* Operations of the matrix products of one token; a multiplication and an addition are two */
  double layer_flops;   /* in one layer */
  double unembed_flops; /* of its logits */
} xt_model_info;

/* Finds a model's files. `name` is a GGUF file; or a model's folder, which may have one GGUF file
 * instead of config.json; or a model's folder in the Hugging Face cache (models--ORG--NAME), of
 * which the snapshot that refs/main names is used, else the only one; or a hub id ("ORG/NAME"),
 * which is looked for in `cache`, the folder of the models--* folders (NULL: none). Nothing is
 * downloaded. For anything else the error says what to give. The caller frees *path with free(). */
XT_API xt_status xt_model_locate(const char *name, const char *cache, char **path, xt_error *error);

/* Loads a Hugging Face model directory, or a GGUF file (the first part of a split one). `options`
 * may be NULL. The caller frees *out with xt_model_close, after the sessions made from it. */
XT_API xt_status xt_model_open(const char *path, const xt_model_options *options, xt_model **out,
                               xt_error *error);
/* Like xt_model_open, but checks and describes the model without reading the weights. No session
 * can be made for such a model. */
XT_API xt_status xt_model_inspect(const char *path, const xt_model_options *options, xt_model **out,
                                  xt_error *error);
XT_API void xt_model_close(xt_model *model);

XT_API void xt_model_get_info(const xt_model *model, xt_model_info *info);

/* How much of a model's weights has one stored type. `name` is static. */
typedef struct xt_dtype_use {
  const char *name; /* "F32", "Q4_K", ... */
  int tensors;
  uint64_t bytes;
} xt_dtype_use;

/* The types of the stored weights, from most to fewest bytes, as many as fit into out[most];
 * returns how many there are. */
XT_API size_t xt_model_dtypes(const xt_model *model, xt_dtype_use *out, size_t most);

/* Bytes that a session with one prompt of `positions` tokens and `rows` rows generating
 * `max_new_tokens` needs in addition to the weights. */
XT_API uint64_t xt_model_session_bytes(const xt_model *model, int positions, int rows,
                                       int max_new_tokens);

#define XT_MODEL_HASH_SIZE 65

/* SHA-256 of the model's content, in lower-case hexadecimal: the configuration and tokenizer files
 * and every byte of every tensor, by name (docs/FORMATS.md). Reads all weight files once; an
 * inspected model is sufficient. The hash does not depend on how the weights are divided into
 * shards. */
XT_API xt_status xt_model_hash(const xt_model *model, char out[XT_MODEL_HASH_SIZE],
                               xt_error *error);

/* The same, taken from `folder` where an earlier call has kept it there, for the same path, inode,
 * size and times of change of every file, and kept there otherwise; whatever keeps it from being
 * kept is no error. NULL: xt_model_hash. */
XT_API xt_status xt_model_hash_kept(const xt_model *model, const char *folder,
                                    char out[XT_MODEL_HASH_SIZE], xt_error *error);

/* The model's tokenizer, borrowed; NULL when it has none (the model then works on ids). */
XT_API const xt_tokenizer *xt_model_tokenizer(const xt_model *model);

#ifdef __cplusplus
}
#endif
#endif
