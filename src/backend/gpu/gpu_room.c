/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers that grow with what they are asked to hold. */
#include "backend/gpu/gpu_backend.h"

bool gpu_room(GpuBackend *b, GpuRoom *room, size_t bytes) {
  xt_error error;
  if (bytes <= room->bytes && room->buffer) return true;
  gpu_buffer_free(b->device, room->buffer);
  *room = (GpuRoom){0};
  const size_t ample = bytes + bytes / 4;
  if (gpu_buffer(b->device, ample, &room->buffer, &error)) {
    gpu_fail(&b->user, &error);
    return false;
  }
  room->bytes = ample;
  return true;
}
