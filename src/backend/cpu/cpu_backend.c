/* SPDX-License-Identifier: Apache-2.0 */
/* Making a backend: which kernels, how many threads, the op table. */
#include "backend/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "backend/cpu/cpu.h"
#include "base/mem.h"
#include "base/system.h"

#define OPS(kernel_name)                                                                          \
  {                                                                                               \
    .name = "cpu:" kernel_name, .destroy = cpu_destroy, .alloc = cpu_alloc,                       \
    .release = cpu_release, .upload = cpu_upload, .download = cpu_download, .status = cpu_status, \
    .copy_rows = cpu_copy_rows, .weight_create = cpu_weight_create,                               \
    .weight_release = cpu_weight_release, .weight_bytes = cpu_weight_bytes, .matmul = cpu_matmul, \
    .table_create = cpu_table_create, .table_release = cpu_table_release, .embed = cpu_embed,     \
    .norm = cpu_norm, .rope = cpu_rope, .activate = cpu_activate, .scale = cpu_scale,             \
    .add = cpu_add, .mix = cpu_mix, .prefix_create = cpu_prefix_create,                           \
    .prefix_release = cpu_prefix_release, .prefix_store = cpu_prefix_store,                       \
    .prefix_copy = cpu_prefix_copy, .tail_create = cpu_tail_create,                               \
    .tail_release = cpu_tail_release, .tail_store = cpu_tail_store, .attend = cpu_attend,         \
    .seen_create = cpu_seen_create, .seen_release = cpu_seen_release, .choose = cpu_choose,       \
    .compare = cpu_compare, .peak = cpu_peak,                                                     \
  }

typedef struct KernelSet {
  const char *name;
  const Kernels *kernels; /* NULL: the reference */
  BackendOps ops;
} KernelSet;

/* Best first. */
static const KernelSet choices[] = {
#if defined(__x86_64__)
    {"amx", &kernels_avx512, OPS("amx")},
    {"avx512", &kernels_avx512, OPS("avx512")},
    {"avx2", &kernels_avx2, OPS("avx2")},
#elif defined(__aarch64__)
    {"neon", &kernels_neon, OPS("neon")},
#endif
    {"portable", &kernels_portable, OPS("portable")},
};
#define CHOICE_COUNT (sizeof choices / sizeof *choices)

#if defined(__x86_64__)
/* clang 14 does not know "f16c" as a name for __builtin_cpu_supports. */
static bool has_f16c(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

#if defined(__x86_64__)
/* Tiles of bfloat16 (AMX), and the operating system's leave to use them, which holds for the whole process. */
static bool has_amx(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1) &&
         system_allows_tiles();
}
#endif

static bool processor_has(const char *name) {
#if defined(__x86_64__)
  if (strcmp(name, "amx") == 0) return has_amx() && processor_has("avx512");
  if (strcmp(name, "avx512") == 0)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("fma") && has_f16c();
  if (strcmp(name, "avx2") == 0)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
#endif
  (void)name;
  return true;
}

static xt_status no_such_kernels(const char *name, xt_error *error) {
  char have[80] = "";
  for (size_t i = 0; i < CHOICE_COUNT; i++)
    if (processor_has(choices[i].name)) {
      strcat(have, choices[i].name);
      strcat(have, ", ");
    }
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                 "no CPU kernels \"%s\" on this processor or in this build; there are %sreference",
                 name, have);
}

/* Whether a caller who names no kernels gets these. */
static bool is_default(const char *name, xt_compute compute) {
#if defined(__x86_64__)
  if (strcmp(name, "amx") == 0) return compute == XT_COMPUTE_BF16;
#endif
  (void)name, (void)compute;
  return true;
}

typedef struct Chosen {
  const BackendOps *ops;
  const Kernels *table;     /* NULL: the reference */
  const PairKernels *pairs; /* what multiplies bfloat16: the processor's tiles or its instruction;
                               NULL: the float kernels */
} Chosen;

static xt_status choose(const BackendOptions *options, Chosen *c, xt_error *error) {
  const char *kernels = options->kernels;
  *c = (Chosen){0};
  if (kernels && strcmp(kernels, "reference") == 0) c->ops = &cpu_reference_ops;
  for (size_t i = 0; !c->ops && i < CHOICE_COUNT; i++)
    if ((kernels ? strcmp(kernels, choices[i].name) == 0
                 : is_default(choices[i].name, options->compute)) &&
        processor_has(choices[i].name)) {
      c->ops = &choices[i].ops;
      c->table = choices[i].kernels;
    }
  if (!c->ops) return no_such_kernels(kernels, error);
#if defined(__x86_64__)
  if (options->compute == XT_COMPUTE_BF16 && c->table == &kernels_avx512)
    c->pairs = strcmp(c->ops->name, "cpu:amx") == 0   ? &kernels_amx
               : __builtin_cpu_supports("avx512bf16") ? &kernels_avx512bf16
                                                      : NULL;
#endif
  return XT_STATUS_OK;
}

static BackendLimits limits_of(const Chosen *c, xt_compute compute) {
  BackendLimits limits = BACKEND_CPU_LIMITS;
  limits.exact = compute == XT_COMPUTE_F32 && c->table;
  if (c->pairs) limits.weight_bytes = sizeof(uint16_t);
  return limits;
}

xt_status backend_cpu_limits(const BackendOptions *options, BackendLimits *out, xt_error *error) {
  Chosen chosen;
  TRY(choose(options, &chosen, error));
  *out = limits_of(&chosen, options->compute);
  return XT_STATUS_OK;
}

xt_status backend_cpu_create(const BackendOptions *options, Backend **out, xt_error *error) {
  const int threads = options->threads;
  const xt_compute compute = options->compute;
  *out = NULL;
  Chosen chosen;
  TRY(choose(options, &chosen, error));
  if (compute != XT_COMPUTE_F32 && compute != XT_COMPUTE_BF16)
    return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                   "the cpu computes products in f32 or bf16; f16 and tf32 are of CUDA devices");
  if (threads < 0)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                   "%d threads; 0 means one per processor", threads);
  CpuBackend *b;
  TRY(MEM_ALLOC(&b, 1, error));
  b->base.ops = chosen.ops;
  b->base.threads = threads > 0 ? threads : system_processors();
  b->base.compute = compute;
  b->base.device = "cpu";
  b->base.options = (BackendOptions){
      .kernels = strchr(chosen.ops->name, ':') + 1, .threads = b->base.threads, .compute = compute};
  b->base.limits = limits_of(&chosen, compute);
  b->kernels = chosen.table;
  b->pairs = chosen.pairs;
  const size_t sums = CPU_GROUP_PANELS * (size_t)(b->kernels ? b->kernels->tile_columns : 0) + 16;
  xt_status status = pool_create(b->base.threads, &b->base.pool, error);
  if (!status)
    status = cpu_scratch_reserve(b, CPU_ROW_BLOCK * (sums > CPU_PACKED_LD ? sums : CPU_PACKED_LD),
                                 error);
  if (!status)
    status =
        cpu_block_create(CPU_PACKED_ROWS * CPU_PACKED_LD * sizeof *b->packed, &b->packed, error);
  if (status != XT_STATUS_OK) {
    cpu_destroy(&b->base);
    return status;
  }
  *out = &b->base;
  return XT_STATUS_OK;
}
