/* SPDX-License-Identifier: Apache-2.0 */
/* The processor and a GPU side by side. XT_TEST_GPU names one device to take; XT_TEST_TINY keeps to
 * shapes that an interpreter of kernels is done with in seconds; XT_TEST_KERNELS is a folder that
 * compiled kernels are kept in. */
#ifndef TESTS_GPU_SIDES_H
#define TESTS_GPU_SIDES_H

#include "quantised_support.h"

#include "backend/gpu/gpu_backend.h"

static Backend *cpu, *gpu;
static bool tiny;

static inline int set_up(void **state) {
  (void)state;
  xt_error error;
  tiny = getenv("XT_TEST_TINY") != NULL;
  const char *name = getenv("XT_TEST_GPU");
  GpuInfo found[GPU_DEVICES_MAX];
  char why[256];
  if (gpu_devices(found, why) == 0) {
    print_message("# no device: %s\n", why);
    return 0;
  }
  const BackendOptions options = {
      .threads = 1, .inexact = tiny, .kernel_cache = getenv("XT_TEST_KERNELS")};
  if (backend_create(name ? name : found[0].id, &options, &gpu, &error)) {
    print_message("# %s\n", error.message);
    return -1;
  }
  /* so few work-groups across that larger products take several launches */
  gpu_of(gpu)->device->info.grid = 8;
  return backend_create("cpu", &options, &cpu, &error) == XT_STATUS_OK ? 0 : -1;
}
static inline int tear_down(void **state) {
  (void)state;
  if (gpu) gpu->ops->destroy(gpu);
  if (cpu) cpu->ops->destroy(cpu);
  return 0;
}
static inline void skip_gpu(void) {
  print_message("# needs an OpenCL device\n");
  skip();
}
#define NEEDS_GPU() \
  (void)state;      \
  if (!gpu) skip_gpu()

/* Products of any size take this size of tiles; skips where there is no room for them. */
static inline void take_tiles(int size) {
  GpuBackend *b = gpu_of(gpu);
  GpuInfo info = *gpu_info(b->device);
  info.processor = false; /* which takes the smallest by itself */
  if (!(gpu_tiles_of(&info) >> size & 1)) skip();
  b->tiles = 1u << size;
}
static inline void take_own_tiles(void) {
  gpu_of(gpu)->tiles = gpu_tiles_of(gpu_info(gpu_of(gpu)->device));
}
/* The smallest first. */
#define EACH_TILE_SIZE(size) \
  for (int size = GPU_TILE_SIZES - 1; size >= 0; take_own_tiles(), size--)

static inline Backend *each(int side) { return side ? gpu : cpu; }

/* An array that begins at a place in its buffer; released as one that does not. */
static inline Dev to_place(Backend *b, size_t place, const float *x, size_t n) {
  const Dev at = dev_at(to_device(b, NULL, place + n), place);
  if (x) b->ops->upload(b, at, x, n * sizeof(float));
  return at;
}
static inline IndexList list_at(Backend *b, size_t place, const int32_t *x, size_t n) {
  return (IndexList){to_place(b, place, (const float *)(const void *)x, n)};
}

/* What an op left in both memories, compared; frees both. */
static inline void same(const char *what, float *got[2], size_t n) {
  for (size_t i = 0; i < n; i++)
    if (bits_of(got[0][i]) != bits_of(got[1][i]))
      fail_msg("%s: number %zu of %zu is %.9g (%08x) on the processor, %.9g (%08x) on %s", what, i,
               n, (double)got[0][i], bits_of(got[0][i]), (double)got[1][i], bits_of(got[1][i]),
               gpu->ops->name);
  free(got[0]), free(got[1]);
}

#endif
