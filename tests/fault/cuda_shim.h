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
/* Of cuBLASLt: what was made and not released. */
long shim_lt_live(void);

#endif
