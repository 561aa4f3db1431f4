/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the pretended CUDA share. */
#ifndef TESTS_CUDA_SHIM_H
#define TESTS_CUDA_SHIM_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/gpu/cuda_api.h"

void wrong(const char *call, const char *what); /* does not return */
#define CHECK(condition, what) \
  if (!(condition)) wrong(__func__, what)

bool shim_has_context(void);
bool shim_has_stream(CudaStream stream);
bool shim_is_within(CudaPointer at, size_t bytes); /* one allocation */
/* Counts a call; what it has to give, 0 unless it fails on purpose. */
int shim_fault(const char *call);
/* Opens a library past this one. */
void *shim_open_real(const char *name);
/* Copies from pinned memory, numbered from 1 on, which are done when they are finished. */
void shim_copy_begin(char *to, const char *from, size_t bytes);
long shim_copies_begun(void);
void shim_copies_finish(long until);                   /* that number */
bool shim_copies_read(const char *from, size_t bytes); /* one that is not done does */
void shim_copies_lose(void);                           /* none of them is done, nor looked at */
/* Where the source declares the kernel: the bracket before its arguments; NULL: nowhere. Sets the
 * items that it says. */
const char *shim_declaration(const char *source, const char *name, unsigned *items);
/* Kernels, on the host (cuda_run.c). */
typedef struct ShimKernel {
  void (*call)(void **arguments); /* NULL: kernels are not run */
  void (*spoil)(void);            /* local memory */
} ShimKernel;
bool shim_runs(void);
char *shim_compile(const char *source, size_t *bytes); /* NULL: the compiler refuses it */
void *shim_code_open(const void *image, size_t bytes);
ShimKernel shim_code_find(void *code, const char *name);
void shim_code_run(const ShimKernel *kernel, const char *name, const unsigned groups[3],
                   unsigned items, void **arguments);
/* Of cuBLASLt: what was made and not released. */
long shim_lt_live(void);

#endif
