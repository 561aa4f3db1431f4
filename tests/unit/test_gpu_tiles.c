/* SPDX-License-Identifier: Apache-2.0 */
/* Which tiles a device takes for which product, and that docs/GPU.md says so. No device is needed. */
#include "files_support.h"

#include "backend/gpu/gpu_backend.h"

static const GpuInfo cards[] = {{.units = 132, .local = 48 << 10, .items = 1024},
                                {.units = 108, .local = 48 << 10, .items = 1024},
                                {.units = 20, .local = 48 << 10, .items = 1024},
                                {.units = 20, .local = 32 << 10, .items = 256},
                                {.units = 4, .local = 8 << 10, .items = 256},
                                {.units = 8, .local = 512 << 10, .items = 4096, .processor = true}};

/* The side of the tiles that a device takes. */
static int side_of(const GpuInfo *info, GpuType type, int m, int n, int count) {
  GpuDevice device = {.info = *info};
  const GpuBackend b = {.device = &device, .tiles = gpu_tiles_of(info)};
  const GpuTiles tiles = gpu_tiles(&b, type, false, true, m, n, count);
  const char *name = gpu_kernel_names[tiles.kernel];
  assert_int_equal(tiles.rows, tiles.columns);
  assert_non_null(strstr(name, tiles.rows == 128  ? "_large_vector"
                               : tiles.rows == 64 ? "_medium_vector"
                                                  : "_small_vector"));
  assert_int_equal(tiles.items, tiles.rows == 128 ? 256 : 64);
  return tiles.rows;
}

static void test_choice(void **state) {
  (void)state;
  const GpuInfo *h100 = &cards[0], *little = &cards[3], *least = &cards[4], *processor = &cards[5];
  assert_int_equal(side_of(h100, GPU_BF16, 4096, 4096, 1), 128);
  assert_int_equal(side_of(h100, GPU_F32, 64, 32000, 1), 64);
  assert_int_equal(side_of(h100, GPU_QUANTISED, 32, 32000, 1), 32);
  assert_int_equal(side_of(h100, GPU_F16, 4096, 32, 1), 32);
  assert_int_equal(side_of(h100, GPU_F32, 300, 1024, 1), 32);
  /* the heads of an attention are products of one launch */
  assert_int_equal(side_of(h100, GPU_SCORES, 1024, 300, 1), 32);
  assert_int_equal(side_of(h100, GPU_SCORES, 1024, 300, 2), 64);
  assert_int_equal(side_of(h100, GPU_VALUES, 1024, 300, 32), 128);
  assert_int_equal(side_of(little, GPU_F32, 4096, 4096, 1), 64);
  assert_int_equal(side_of(least, GPU_F32, 4096, 4096, 1), 32);
  assert_int_equal(side_of(processor, GPU_F32, 4096, 4096, 1), 32);
  /* a work-group of a large tile has 256 items */
  GpuInfo few = *h100;
  few.items = 128;
  assert_int_equal(side_of(&few, GPU_F32, 4096, 4096, 1), 64);
}

/* The lines of the two tables. */
static void size_line(int s, char line[200]) {
  static const char *const names[] = {"large", "medium", "small"};
  const GpuTileSize *size = &gpu_tile_sizes[s];
  snprintf(line, 200, "| %s, %d x %d | %u | %d KiB | %d |", names[s], size->side, size->side,
           size->items, (int)(size->local >> 10), size->beyond + 1);
}
static void card_line(const GpuInfo *info, char line[200]) {
  int used = info->processor ? snprintf(line, 200, "| a processor |")
                             : snprintf(line, 200, "| %d compute units, %d KiB |", info->units,
                                        (int)(info->local >> 10));
  for (int s = 0; s < GPU_TILE_SIZES; s++) {
    int m = 1;
    while (m <= 4096 && side_of(info, GPU_F32, m, 4096, 1) != gpu_tile_sizes[s].side) m++;
    used += m <= 4096 ? snprintf(line + used, 200 - (size_t)used, " %d |", m)
                      : snprintf(line + used, 200 - (size_t)used, " - |");
  }
}

static void test_document(void **state) {
  (void)state;
  enum { CARDS = sizeof cards / sizeof *cards };
  if (access(XT_SOURCE_DIR "/docs/GPU.md", R_OK) != 0) {
    print_message("# docs/GPU.md is not here\n");
    skip();
  }
  size_t size;
  char *text = (char *)read_whole(XT_SOURCE_DIR "/docs/GPU.md", &size), line[200];
  int wrong = 0;
  text = realloc(text, size + 1);
  assert_non_null(text);
  text[size] = 0;
  for (int i = 0; i < GPU_TILE_SIZES + CARDS; i++) {
    if (i < GPU_TILE_SIZES)
      size_line(i, line);
    else
      card_line(&cards[i - GPU_TILE_SIZES], line);
    if (!strstr(text, line)) wrong++, print_error("docs/GPU.md should have %s\n", line);
  }
  free(text);
  assert_int_equal(wrong, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_choice),
                                     cmocka_unit_test(test_document)};
  return cmocka_run_group_tests_name("gpu tiles", tests, NULL, NULL);
}
