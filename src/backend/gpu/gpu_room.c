/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers that grow with what they are asked to hold. */
#include "backend/gpu/gpu_backend.h"

bool gpu_room(GpuBackend *b, GpuRoom *room, size_t bytes) {
  xt_error error;
  if (bytes <= room->bytes && room->buffer) return true;
  gpu_buffer_free(b->device, room->buffer);
  *room = (GpuRoom){0};
  room->bytes = bytes + bytes / 4;
  xt_status status = gpu_buffer(b->device, room->bytes, &room->buffer, &error);
  if (status == XT_STATUS_MEMORY)
    status = gpu_buffer(b->device, room->bytes = bytes, &room->buffer, &error);
  if (!status) return true;
  *room = (GpuRoom){0};
  gpu_fail(&b->user, &error);
  return false;
}
