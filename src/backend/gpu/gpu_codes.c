/* SPDX-License-Identifier: Apache-2.0 */
/* What the codes of drivers mean, in words. */
#include "backend/gpu/gpu.h"

xt_status gpu_failed(const GpuInfo *info, const GpuCode *table, int code, const char *name,
                     const char *doing, xt_error *error) {
  static const struct {
    xt_status status;
    const char *what, *why;
  } faults[] = {
      [GPU_LOST] = {XT_STATUS_IO, "failed", ": the device or its driver may have been lost"},
      [GPU_NO_MEMORY] = {XT_STATUS_MEMORY, "ran out of memory", ""},
      [GPU_NO_RESOURCES] = {XT_STATUS_MEMORY, "failed",
                            ": its driver is out of resources, such as memory or registers"},
      [GPU_FAILED_BEFORE] = {XT_STATUS_IO, "failed", ": a command before this one failed"},
      [GPU_MISUSED] = {XT_STATUS_IO, "failed",
                       ": the driver refuses what it was asked for, an error of this program"},
  };
  while (table->code && table->code != code) table++;
  const GpuFault fault = table->code ? table->fault : GPU_LOST;
  return err_set(error, faults[fault].status, NULL, NULL, -1, "%s (%s) %s (%s, %s)%s", info->id,
                 info->name, faults[fault].what, doing, name, faults[fault].why);
}
