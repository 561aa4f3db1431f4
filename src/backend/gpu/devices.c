/* SPDX-License-Identifier: Apache-2.0 */
/* The devices, as the public header has them. */
#include <stdio.h>
#include <string.h>

#include "backend/gpu/gpu.h"
#include "xtransplant/model.h"

int xt_devices(xt_device *out, int most, char *why, size_t why_size) {
  GpuInfo found[GPU_DEVICES_MAX];
  char reason[256];
  const int count = gpu_devices(found, reason);
  if (why && why_size) {
    char missing[256];
    gpu_missing(missing);
    snprintf(why, why_size, "%s%s%s", reason, reason[0] && missing[0] ? "; " : "", missing);
  }
  for (int i = 0; i < count && i < most; i++) {
    out[i] = (xt_device){.memory = found[i].memory, .units = found[i].units};
#define COPY(field)                                                         \
  _Static_assert(sizeof out[i].field == sizeof found[i].field, "the same"); \
  memcpy(out[i].field, found[i].field, sizeof out[i].field)
    COPY(id);
    COPY(name);
    COPY(driver);
    COPY(lacks);
    COPY(unfit);
#undef COPY
  }
  return count;
}
