/* SPDX-License-Identifier: Apache-2.0 */
/* The devices, as the public header has them. */
#include <stdio.h>

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
    snprintf(out[i].id, sizeof out[i].id, "%s", found[i].id);
    snprintf(out[i].name, sizeof out[i].name, "%s", found[i].name);
    snprintf(out[i].driver, sizeof out[i].driver, "%s", found[i].driver);
    snprintf(out[i].lacks, sizeof out[i].lacks, "%s", found[i].lacks);
  }
  return count;
}
