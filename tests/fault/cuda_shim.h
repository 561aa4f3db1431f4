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
/* Of cuBLASLt: what was made and not released. */
long shim_lt_live(void);

#endif
