/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend a device's name stands for. */
#include "backend/backend.h"

#include <string.h>

xt_status backend_create(const char *device, const BackendOptions *options, Backend **out,
                         xt_error *error) {
  *out = NULL;
  if (!device || strcmp(device, "cpu") == 0) return backend_cpu_create(options, out, error);
  return backend_gpu_create(device, options, out, error);
}

xt_status backend_limits(const char *device, const BackendOptions *options, BackendLimits *out,
                         xt_error *error) {
  if (!device || strcmp(device, "cpu") == 0) return backend_cpu_limits(options, out, error);
  *out = BACKEND_CPU_LIMITS;
  return XT_STATUS_OK;
}

xt_status backend_create_alike(const Backend *like, Backend **out, xt_error *error) {
  if (strcmp(like->device, "cpu") != 0) return backend_gpu_share(like, out, error);
  return backend_cpu_create(&like->options, out, error);
}
