/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA's run-time compiler, opened when it is needed. */
#ifndef GPU_NVRTC_H
#define GPU_NVRTC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Whether libnvrtc is on this machine; its version (12.4 is 1204). */
bool nvrtc_version(int *version);
/* The kernels for an architecture (90: sm_90) as a cubin. `log`, if it is not NULL, gets the
 * compiler's messages, with registers and spills of each kernel if `verbose`. The caller frees
 * *image and *log. */
xt_status nvrtc_compile(const char *source, int architecture, bool verbose, char **image,
                        size_t *size, char **log, xt_error *error);

/* The flags, without the architecture: the cache's key holds them. */
extern const char *const nvrtc_flags[];

#endif
