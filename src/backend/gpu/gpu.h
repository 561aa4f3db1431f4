/* SPDX-License-Identifier: Apache-2.0 */
/* The seam between the op table and the drivers of GPUs: a device, its buffers, and kernels that
 * are started on them.
 *
 * Drivers (OpenCL, CUDA) are opened while the program runs, so that nothing of a GPU is needed to
 * build it. Commands of a device run one after the other, in the order of the calls, after the
 * calls have returned; gpu_read and gpu_finish wait for them. The first command that fails makes
 * those after it do nothing, and gpu_status tells: those of the same user, or, where the device was
 * lost, of all. A device may be used from several threads, a user from one at a time. */
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "backend/gpu/kernels/args.h"

typedef struct GpuDevice GpuDevice;

typedef struct GpuBuffer {
  void *memory; /* the driver's name for it */
  size_t bytes;
} GpuBuffer;

/* Who gives commands to a device, beside others. */
typedef struct GpuUser {
  GpuDevice *device;
  xt_error failure; /* of a command of its own; status OK: none */
} GpuUser;

typedef struct GpuInfo {
  char id[24]; /* "opencl:0", "cuda:1" */
  char name[128], driver[192];
  uint64_t memory;  /* bytes in all */
  uint64_t largest; /* bytes of one buffer */
  uint64_t local;   /* bytes of local memory of a work-group */
  int units;        /* compute units (streaming multiprocessors) */
  int items;        /* most work-items of a work-group */
  uint32_t grid;    /* most work-groups of a launch in the second and in the third dimension */
  bool processor;   /* the machine's processor, driven as a device */
  char lacks[128];  /* what float32 needs to give the CPU's bits and the device does not promise;
                       "": nothing */
  char unfit[96];   /* why it cannot be used at all; "": it can */
} GpuInfo;

#define GPU_ITEMS 256 /* work-items of the largest work-groups that kernels have */

typedef struct GpuOptions {
  const char *cache; /* folder for compiled kernels, made when missing; NULL: none are kept */
  bool inexact;      /* also take a device that does not promise the CPU's bits */
  bool tensor;       /* only one whose driver has products on tensor cores */
} GpuOptions;

/* The kernels, by function name; the program (gpu_source.c) is one for every device. */
#define GPU_TILES(X, type, kind)   \
  X(product_##type##_large_##kind) \
  X(product_##type##_medium_##kind) X(product_##type##_small_##kind)
#define GPU_PRODUCTS(X, type, kind) GPU_TILES(X, type, kind) X(few_##type##_##kind)
#define GPU_WEIGHTS(X, type) GPU_PRODUCTS(X, type, vector) GPU_PRODUCTS(X, type, single)
/* clang-format off */
#define GPU_KERNELS(X) \
  GPU_WEIGHTS(X, f32) GPU_WEIGHTS(X, f16) GPU_WEIGHTS(X, bf16) GPU_WEIGHTS(X, quantised) \
  GPU_TILES(X, scores, vector) GPU_TILES(X, scores, single) GPU_TILES(X, values, vector) \
  X(norm_rms) X(norm_layer) X(rope) X(activate) X(scale) X(add) X(mix_rows) X(copy_rows) X(embed) X(prefix_store) X(prefix_copy) X(tail_store) \
  X(softmax) X(finish) X(penalize) X(two_largest) X(weigh) X(compare) X(narrow) X(settle) X(spin)
/* clang-format on */
#define GPU_KERNEL_NAME(name) KERNEL_##name,
typedef enum GpuKernel { GPU_KERNELS(GPU_KERNEL_NAME) GPU_KERNEL_COUNT } GpuKernel;
#undef GPU_KERNEL_NAME
extern const char *const gpu_kernel_names[GPU_KERNEL_COUNT];

/* The program's text, kernels of every kind; the caller frees *out. */
xt_status gpu_source(char **out, xt_error *error);

#define GPU_DEVICES_MAX 32
/* Devices of every driver that is here, in the drivers' order. No driver: 0 of them, and `why` says
 * so. */
int gpu_devices(GpuInfo out[GPU_DEVICES_MAX], char why[256]);

/* Libraries that the devices of some driver need, and that are not here, into `why`; "": none. */
void gpu_missing(char why[256]);

/* `name`: "opencl", "opencl:K", "cuda" or "cuda:K". A device that is not there is an
 * XT_STATUS_ARGUMENT error that lists those that are; one that lacks what exact float32 needs is
 * refused with XT_STATUS_UNSUPPORTED unless options allow it, one that is unfit always. */
xt_status gpu_open(const char *name, const GpuOptions *options, GpuDevice **out, xt_error *error);
/* One more user; each calls gpu_close. */
GpuDevice *gpu_share(GpuDevice *device);
void gpu_close(GpuDevice *device); /* accepts NULL */
const GpuInfo *gpu_info(const GpuDevice *device);
/* Bytes that can still be allocated, as far as the driver says. What this process has allocated is
 * taken into account. */
uint64_t gpu_free_memory(GpuDevice *device);

/* Zeroed. Too large for the device is an XT_STATUS_MEMORY error. */
xt_status gpu_buffer(GpuDevice *device, size_t bytes, GpuBuffer **out, xt_error *error);
void gpu_buffer_free(GpuDevice *device, GpuBuffer *buffer); /* accepts NULL */
/* Host memory may change when the call returns, unless it is that of gpu_stage_next. Offsets in
 * bytes. */
void gpu_write(GpuUser *user, GpuBuffer *to, size_t offset, const void *from, size_t bytes);
void gpu_read(GpuUser *user, void *to, const GpuBuffer *from, size_t offset, size_t bytes);

/* Host memory that the device reads by itself, in two halves: while one is written to the device
 * the caller fills the other. False: there is none, or another thread uses it; gpu_write takes any
 * memory. */
#define GPU_STAGE_BYTES ((size_t)4 << 20) /* of a half */
bool gpu_stage_begin(GpuDevice *device);
/* The half that was not the last one, once all that was written from it has arrived; NULL: the
 * device has failed. */
void *gpu_stage_next(GpuUser *user);
void gpu_stage_end(GpuDevice *device);

#define GPU_BUFFERS_MAX 12
typedef struct GpuLaunch {
  GpuKernel kernel;
  uint32_t groups[3];                        /* work-groups; one that is 0 starts nothing. Any
                                                number in the first dimension, GpuInfo.grid
                                                in the others */
  uint32_t items;                            /* of a work-group, as the kernel declares it */
  const GpuBuffer *buffers[GPU_BUFFERS_MAX]; /* its first arguments; an array that is not there
                                                may be NULL */
  int buffer_count;
  const void *args; /* its last: a structure of args.h */
  size_t args_size;
} GpuLaunch;
void gpu_launch(GpuUser *user, const GpuLaunch *launch);

/* ---- products on tensor cores, by the vendor's library --------------------------------------- */

#define GPU_TENSOR_ROWS 128  /* a product has a multiple of so many rows, */
#define GPU_TENSOR_MOST 4096 /* and at most so many */
/* y[rows, n] = x[rows, k] w[n, k]^T in float32, of operands that are rounded to the type already
 * and stored in it, TF32 in four bytes. */
typedef struct GpuTensorShape {
  GpuNarrowKind type;
  int n, k; /* k: a multiple of GPU_TENSOR_DEPTH */
} GpuTensorShape;
#define GPU_TENSOR_DEPTH 8
typedef struct GpuTensorProduct {
  GpuTensorShape shape;
  int rows, ldy;     /* ldy: a multiple of 4 */
  size_t x_at, y_at; /* bytes; multiples of 16 */
  const GpuBuffer *x, *w, *y;
} GpuTensorProduct;

/* The library, and its version into `name`. A driver or machine that has none is an
 * XT_STATUS_UNSUPPORTED error. */
xt_status gpu_tensor_open(GpuDevice *device, const GpuOptions *options, char name[48],
                          xt_error *error);
/* Which algorithms a shape's product can be done with, best first: only those that sum over k in
 * one sequence, and need no more than fixed room. One that an earlier run pinned is the only
 * one. */
xt_status gpu_tensor_find(GpuDevice *device, GpuTensorShape shape, int *count, xt_error *error);
/* Products of this shape are done with this one from now on; `keep`: in later runs, too. */
xt_status gpu_tensor_pin(GpuDevice *device, GpuTensorShape shape, int which, bool keep,
                         xt_error *error);
/* Whether one is pinned and kept. */
bool gpu_tensor_is_pinned(GpuDevice *device, GpuTensorShape shape);
void gpu_tensor_multiply(GpuUser *user, const GpuTensorProduct *product);

/* Waits for all commands, and gives the user's first failure, or the device's. */
xt_status gpu_finish(GpuUser *user, xt_error *error);
/* The same so far, without waiting. */
xt_status gpu_status(GpuUser *user, xt_error *error);

/* Counts as the failure of a command. */
void gpu_fail(GpuUser *user, const xt_error *error);

/* ---- what a driver provides ------------------------------------------------------------------ */

typedef struct GpuDriver {
  const char *name; /* "opencl" */
  int (*list)(GpuInfo *out, int most, char why[256]);
  /* libraries that devices need besides, and that are not here; NULL: they need none */
  void (*missing)(char why[256]);
  /* fills info, too */
  xt_status (*open)(int index, const GpuOptions *options, GpuDevice **out, xt_error *error);
  void (*close)(GpuDevice *device);
  uint64_t (*free_memory)(GpuDevice *device);
  xt_status (*buffer)(GpuDevice *device, GpuBuffer *buffer, xt_error *error);
  void (*buffer_free)(GpuDevice *device, GpuBuffer *buffer);
  /* These give what went wrong, or OK. */
  xt_status (*write)(GpuDevice *device, GpuBuffer *to, size_t offset, const void *from,
                     size_t bytes, xt_error *error);
  /* The halves of gpu_stage_begin, false: it cannot have them; and waits until one of them may
   * change. NULL: it has none. */
  bool (*stage)(GpuDevice *device, void *halves[2]);
  xt_status (*stage_wait)(GpuDevice *device, int half, xt_error *error);
  xt_status (*read)(GpuDevice *device, void *to, const GpuBuffer *from, size_t offset, size_t bytes,
                    xt_error *error);
  xt_status (*launch)(GpuDevice *device, const GpuLaunch *launch, xt_error *error);
  xt_status (*finish)(GpuDevice *device, xt_error *error);
  /* as gpu_tensor_* have them; NULL: it has no such library */
  xt_status (*tensor_open)(GpuDevice *, const GpuOptions *, char name[48], xt_error *);
  xt_status (*tensor_find)(GpuDevice *, GpuTensorShape, int *count, xt_error *);
  xt_status (*tensor_pin)(GpuDevice *, GpuTensorShape, int which, bool keep, xt_error *);
  bool (*tensor_is_pinned)(GpuDevice *, GpuTensorShape);
  xt_status (*tensor_multiply)(GpuDevice *, const GpuTensorProduct *, xt_error *);
} GpuDriver;

/* What a driver's code says, as far as it is known; a code that is in no table: that the device was
 * lost. */
typedef enum GpuFault {
  GPU_LOST = 0,
  GPU_NO_MEMORY,
  GPU_NO_RESOURCES,
  GPU_FAILED_BEFORE,
  GPU_MISUSED
} GpuFault;
typedef struct GpuCode {
  int code; /* 0 ends a table */
  GpuFault fault;
} GpuCode;
/* `name`: the code's, for the message, as `doing` is what it was given for. */
xt_status gpu_failed(const GpuInfo *info, const GpuCode *table, int code, const char *name,
                     const char *doing, xt_error *error);

struct GpuDevice {
  const GpuDriver *driver; /* the driver's own fields follow in its structure */
  GpuInfo info;
  struct GpuState *state; /* gpu.c's: users, lock, whether it was lost, halves of the stage */
};

extern const GpuDriver gpu_opencl, gpu_cuda;

#endif
