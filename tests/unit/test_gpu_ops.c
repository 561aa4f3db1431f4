/* SPDX-License-Identifier: Apache-2.0 */
/* Every op on every GPU against the processor's kernels, bit for bit. Where OpenCL has no device
 * there is nothing to test; PoCL (Debian's pocl-opencl-icd) is a device on any machine. XT_TEST_GPU
 * names one device to take; XT_TEST_TINY keeps to shapes that an interpreter of kernels is done
 * with in seconds. */
#include "gpu_matrices.h"

enum { MOST = 4096 }; /* rows that an engine gives an op */

static void test_products(void **state) {
  NEEDS_GPU();
  static const int shapes[][3] = {{1, 1, 1},     {1, 100, 37},    {2, 33, 513},   {3, 7, 1030},
                                  {5, 40, 4700}, {8, 64, 512},    {9, 64, 64},    {13, 49, 1100},
                                  {33, 31, 16},  {70, 100, 1500}, {130, 70, 512}, {131, 129, 530},
                                  {100, 50, 40}, {300, 3, 600},   {1030, 5, 20},  {4096, 3, 24}};
  const size_t count = tiny ? 4 : sizeof shapes / sizeof *shapes;
  for (size_t i = 0; i < count; i++)
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
      product_case((Dtype)type, shapes[i][0], shapes[i][1], shapes[i][2], i % 2 == 0, i % 3 == 1);
  /* more blocks of K than work-items lie side by side for, and than a tile has in its first sum */
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
    product_case((Dtype)type, 1, 1, 4100 + type % 2, true, false);
  product_case(DTYPE_F32, 9, 9, 520, true, false);
  /* the kernels for few rows and the small tiles, by single numbers and by four */
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
    for (int k = 23; k <= 24; k++) {
      product_case((Dtype)type, 3, 9, k, true, false);
      product_case((Dtype)type, 34, 36, k, true, false);
    }
}

/* Each size of tiles, where some are not full and, but in an interpreter, some are. */
static void test_tiles(void **state) {
  NEEDS_GPU();
  EACH_TILE_SIZE(size) {
    const int least = tiny ? 8 : gpu_tile_sizes[size].side;
    take_tiles(size);
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
      product_case((Dtype)type, least + 3, least + 12, tiny ? 20 : 1032, true, false);
      product_case((Dtype)type, least + 22, least + 1, tiny ? 19 : 71, false, true);
    }
  }
}

/* Quantised weights, rows that are stored in pairs, and parts of several types. */
static void test_other_weights(void **state) {
  NEEDS_GPU();
  enum { COLS = 64, M = 3 };
  uint8_t quantised[5 * COLS / 32 * 34];
  Rng rng = {4};
  /* the second byte of a scale */
  for (size_t i = 0; i < sizeof quantised; i++)
    quantised[i] = i % 34 == 1 ? 0x2c : (uint8_t)rng_next(&rng);
  MatrixSource parts[2] = {random_matrix(DTYPE_F16, 8, COLS, 3, NULL),
                           {.dtype = DTYPE_Q8_0, .rows = 5, .cols = COLS, .data = quantised}};
  parts[0].paired = 4;
  float *x = random_floats(M * COLS, 5), *got[2];
  for (int which = 0; which < 3; which++) { /* both, the first, the second */
    const int n = which == 0 ? 13 : which == 1 ? 8 : 5;
    for (int side = 0; side < 2; side++) {
      Backend *b = each(side);
      xt_error error;
      Weight *w;
      ASSERT_OK(
          b->ops->weight_create(b, which == 2 ? &parts[1] : parts, which ? 1 : 2, &w, &error));
      Dev dx = to_device(b, x, M * COLS), dy = to_device(b, NULL, M * (size_t)n);
      b->ops->matmul(b, dy, dx, w, (Dev){0}, M);
      got[side] = to_host(b, dy, M * (size_t)n);
      b->ops->release(b, dx), b->ops->release(b, dy), b->ops->weight_release(b, w);
    }
    same("other weights", got, M * (size_t)n);
  }
  free(x), free((void *)(uintptr_t)parts[0].data);
}

/* `apart`: the result lies elsewhere than the rows, and its rows further apart. */
static void norm_case(NormKind kind, int rows, int groups, int width, bool own, bool with_bias,
                      int apart) {
  const int ld = groups * width + 5, ld_y = ld + apart;
  const size_t n = (size_t)rows * (size_t)ld, n_y = (size_t)rows * (size_t)ld_y,
               weights = (size_t)(own ? groups : 1) * (size_t)width;
  float *x = wild_floats(n, 3), *weight = random_floats(weights, 4),
        *bias = random_floats(weights, 5), *got[2];
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    Dev dx = to_device(b, x, n), dy = apart ? to_device(b, NULL, n_y) : dx,
        dw = to_device(b, weight, weights), db = to_device(b, bias, weights);
    b->ops->norm(b, &(NormArgs){.kind = kind,
                                .y = dy,
                                .x = dx,
                                .weight = dw,
                                .bias = with_bias ? db : (Dev){0},
                                .weight_of_group = own,
                                .rows = rows,
                                .groups = groups,
                                .width = width,
                                .ld_y = ld_y,
                                .ld_x = ld,
                                .eps = 1e-5f});
    got[side] = to_host(b, dy, n_y);
    if (apart) b->ops->release(b, dy);
    b->ops->release(b, dx), b->ops->release(b, dw), b->ops->release(b, db);
  }
  same(kind == NORM_RMS ? "norm" : "layer norm", got, n_y);
  free(x), free(weight), free(bias);
}

static void test_norms(void **state) {
  NEEDS_GPU();
  static const int widths[] = {1, 15, 16, 17, 64, 130, 100, 513, 1500};
  for (size_t i = 0; i < (tiny ? 6 : sizeof widths / sizeof *widths); i++)
    for (int kind = 0; kind < 2; kind++) {
      norm_case((NormKind)kind, 3, 1, widths[i], false, true, 0);
      norm_case((NormKind)kind, 2, 3, widths[i], i % 2, false, 7);
    }
  for (int kind = 0; kind < (tiny ? 0 : 2); kind++)
    norm_case((NormKind)kind, 4096, 1, 64, false, false, 3);
}

static void test_rope(void **state) {
  NEEDS_GPU();
  /* rows, heads, head_dim, width */
  static const int shapes[][4] = {{1, 1, 2, 2},    {5, 3, 8, 8},   {7, 2, 20, 12},
                                  {33, 4, 64, 64}, {9, 5, 80, 32}, {MOST, 3, 16, 8}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes - tiny; i++)
    for (int style = 0; style < 2; style++) {
      const int rows = shapes[i][0], heads = shapes[i][1], d = shapes[i][2], width = shapes[i][3],
                ld = heads * d + 3;
      const size_t n = (size_t)rows * (size_t)ld;
      float *x = random_floats(n, 1), *angles = random_floats(50 * (size_t)width, 2), *got[2];
      int32_t positions[MOST] = {0};
      for (int r = 0; r < rows; r++) positions[r] = r * 7 % 50;
      for (int side = 0; side < 2; side++) {
        Backend *b = each(side);
        Dev dx = to_device(b, x, n), da = to_device(b, angles, 50 * (size_t)width);
        const IndexList list = to_indices(b, positions, MOST);
        b->ops->rope(b, &(RopeArgs){.style = (RopeStyle)style,
                                    .x = dx,
                                    .ld = ld,
                                    .rows = rows,
                                    .heads = heads,
                                    .head_dim = d,
                                    .width = width,
                                    .positions = list,
                                    .cos_sin = da});
        got[side] = to_host(b, dx, n);
        b->ops->release(b, dx), b->ops->release(b, da), b->ops->release(b, list.at);
      }
      same("rope", got, n);
      free(x), free(angles);
    }
}

/* Inputs over the whole range, where e^x and tanh begin and end too. */
static float *range_floats(size_t n, uint64_t seed) {
  float *x = random_floats(n, seed);
  for (size_t i = 0; i < n; i++)
    x[i] *= i % 5 == 0   ? 200.0f
            : i % 5 == 1 ? 20.0f
            : i % 5 == 2 ? 1.5f
            : i % 5 == 3 ? 0.0f
                         : 90.0f;
  return x;
}

static void test_activations(void **state) {
  NEEDS_GPU();
  for (int act = 0; act < ACTIVATION_COUNT; act++)
    for (int gated = 0; gated < 2; gated++) {
      const int m = tiny || act % 2 ? 3 : MOST, f = tiny ? 37 : act % 2 ? 2501 : 33;
      const size_t n = (size_t)m * (size_t)f * (gated ? 2 : 1);
      float *x = range_floats(n, 5), *got[2];
      for (int side = 0; side < 2; side++) {
        Backend *b = each(side);
        Dev dx = to_device(b, x, n), dy = to_device(b, NULL, (size_t)m * (size_t)f);
        b->ops->activate(b, &(ActivateArgs){.kind = (Activation)act,
                                            .gated = gated,
                                            .y = dy,
                                            .x = dx,
                                            .rows = m,
                                            .width = f,
                                            .xielu = {0.8f, 0.7f, 0.5f, -1e-6f}});
        got[side] = to_host(b, dy, (size_t)m * (size_t)f);
        b->ops->release(b, dx), b->ops->release(b, dy);
      }
      same("activation", got, (size_t)m * (size_t)f);
      free(x);
    }
}

static void test_elementwise(void **state) {
  NEEDS_GPU();
  const size_t n = tiny ? 40 : 5003;
  float *x = range_floats(n, 6), *y = wild_floats(n, 7);
  for (int op = 0; op < 3; op++) {
    float *got[2];
    for (int side = 0; side < 2; side++) {
      Backend *b = each(side);
      Dev dx = to_device(b, x, n), dy = to_device(b, y, n);
      if (op == 0) b->ops->scale(b, dx, n, 0.3f, 0);
      if (op == 1) b->ops->scale(b, dx, n, 1.7f, 30);
      if (op == 2) b->ops->add(b, dx, dy, n);
      got[side] = to_host(b, dx, n);
      b->ops->release(b, dx), b->ops->release(b, dy);
    }
    same("elementwise", got, n);
  }
  free(x), free(y);
}

/* Edits of some rows, several of one among them, of rows outside too. */
static void test_edits(void **state) {
  NEEDS_GPU();
  static const MixEdit edits[] = {{7, 0, 0, 1},        {3, 1, 1, 2.5f}, {9, 2, 0.3f, 0.7f},
                                  {7, 3, 0.5f, 0.25f}, {2, 0, 1, 1},    {3, 2, 0, 1},
                                  {12, 1, 0, 1},       {7, 1, 1, -1}};
  enum { FIRST = 3, ROWS = 8, COUNT = sizeof edits / sizeof *edits };
  const int width = tiny ? 17 : 301;
  float *x = wild_floats(ROWS * (size_t)width, 1), *v = wild_floats(4 * (size_t)width, 2), *got[2];
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    Dev dx = to_device(b, x, ROWS * (size_t)width), dv = to_device(b, v, 4 * (size_t)width);
    const IndexList list = to_indices(b, (const int32_t *)(const void *)edits, 4 * COUNT);
    b->ops->mix(b, &(MixArgs){.x = dx,
                              .first = FIRST,
                              .rows = ROWS,
                              .width = width,
                              .values = dv,
                              .edits = index_at(list, 4),
                              .count = COUNT - 1});
    got[side] = to_host(b, dx, ROWS * (size_t)width);
    b->ops->release(b, dx), b->ops->release(b, dv), b->ops->release(b, list.at);
  }
  same("edits", got, ROWS * (size_t)width);
  free(x), free(v);
}

/* An edit of every second row of many, which are not the first ones. */
static void test_many_edits(void **state) {
  NEEDS_GPU();
  enum { FIRST = 5, WIDTH = 9, VALUES = 6 };
  const int count = tiny ? 260 : MOST / 2, width = tiny ? 1 : WIDTH, rows = 2 * count;
  MixEdit edits[MOST / 2];
  for (int i = 0; i < count; i++)
    edits[i] = (MixEdit){FIRST + 2 * i, i % VALUES, (float)(i % 3) * 0.5f, 1.0f - (float)(i % 2)};
  float *x = wild_floats((size_t)(rows * width), 1), *v = wild_floats((size_t)(VALUES * width), 2),
        *got[2];
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    Dev dx = to_device(b, x, (size_t)(rows * width)),
        dv = to_device(b, v, (size_t)(VALUES * width));
    const IndexList list = to_indices(b, (const int32_t *)(const void *)edits, 4 * (size_t)count);
    b->ops->mix(b, &(MixArgs){.x = dx,
                              .first = FIRST,
                              .rows = rows,
                              .width = width,
                              .values = dv,
                              .edits = list,
                              .count = count});
    got[side] = to_host(b, dx, (size_t)(rows * width));
    b->ops->release(b, dx), b->ops->release(b, dv), b->ops->release(b, list.at);
  }
  same("many edits", got, (size_t)(rows * width));
  free(x), free(v);
}

static void test_many_rows(void **state) {
  NEEDS_GPU();
  enum { WIDTH = 21 };
  if (tiny) skip();
  int32_t to[MOST], from[MOST];
  for (int i = 0; i < MOST; i++) to[i] = i * 5 % MOST, from[i] = i * i % MOST;
  float *x = random_floats(MOST * WIDTH, 1), *got[2];
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    Dev dx = to_device(b, x, MOST * WIDTH), dy = to_device(b, NULL, MOST * WIDTH);
    const IndexList to_list = to_indices(b, to, MOST), from_list = to_indices(b, from, MOST);
    b->ops->copy_rows(b, dy, to_list, dx, from_list, MOST, WIDTH);
    got[side] = to_host(b, dy, MOST * WIDTH);
    b->ops->release(b, dx), b->ops->release(b, dy), b->ops->release(b, to_list.at),
        b->ops->release(b, from_list.at);
  }
  same("copy of many rows", got, MOST * WIDTH);
  free(x);
  embed_case(random_matrix(DTYPE_BF16, 300, 24, 3, NULL), MOST);
}

static void test_rows(void **state) {
  NEEDS_GPU();
  static const int32_t to[] = {4, 0, 9, 2}, from[] = {1, 1, 7, 3};
  enum { WIDTH = 37, ROWS = 10 };
  float *x = random_floats(ROWS * WIDTH, 1);
  for (int lists = 0; lists < 4; lists++) {
    float *got[2];
    for (int side = 0; side < 2; side++) {
      Backend *b = each(side);
      Dev dx = to_device(b, x, ROWS * WIDTH), dy = to_device(b, NULL, ROWS * WIDTH);
      const IndexList none = {{0}}, to_list = to_indices(b, to, 4),
                      from_list = to_indices(b, from, 4);
      b->ops->copy_rows(b, dy, lists & 1 ? to_list : none, dx, lists & 2 ? from_list : none, 4,
                        WIDTH);
      got[side] = to_host(b, dy, ROWS * WIDTH);
      b->ops->release(b, dx), b->ops->release(b, dy), b->ops->release(b, to_list.at),
          b->ops->release(b, from_list.at);
    }
    same("copy of rows", got, ROWS * WIDTH);
  }
  free(x);
}

/* Every finite half, and every bfloat16. */
static void test_embeddings(void **state) {
  NEEDS_GPU();
  enum { COLS = 64 };
  const int rows = tiny ? 4 : 1024;
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
    uint16_t *data = malloc(1024 * COLS * 4);
    float *x = random_floats(1024 * COLS, 1);
    if (type == DTYPE_F32)
      memcpy(data, x, 1024 * COLS * 4);
    else
      for (int i = 0; i < 1024 * COLS; i++) {
        const int spread = tiny ? i * 251 % 65536 : i;
        const uint16_t exponent = type == DTYPE_F16 ? 0x7c00 : 0x7f80;
        data[i] = (spread & exponent) == exponent ? 0x3c00 : (uint16_t)spread;
      }
    embed_case((MatrixSource){.dtype = (Dtype)type, .rows = rows, .cols = COLS, .data = data},
               rows);
    free(x);
  }
}

/* ---- choice ---------------------------------------------------------------------------------- */

enum { LISTED = 70 };
/* Two choices, so that the lists of the penalty grow, read in pieces. */
static void choose_case(int rows, int vocab, float penalty, bool ties) {
  const size_t n = (size_t)rows * (size_t)vocab;
  float *logits = random_floats(n, 3), *got[2];
  int32_t *lists = calloc((size_t)rows, 4), *newest = calloc((size_t)rows, 4),
          *wanted = calloc((size_t)rows, 4), ids[LISTED], start[] = {0, 0, 8};
  Choice *chosen[2];
  for (size_t i = 0; i < n; i++)
    logits[i] *= ties ? 2 : 30, logits[i] = ties ? rintf(logits[i]) : logits[i];
  for (int i = 0; i < LISTED; i++) ids[i] = vocab < 5 * 8 || vocab == LISTED ? i : i * 5;
  if (vocab < 8) start[2] = 1;
  if (vocab == LISTED) start[2] = LISTED; /* more than a work-group has items */
  for (int r = 0; r < rows; r++)
    lists[r] = rows - 1 - r, newest[r] = r * 7 % vocab, wanted[r] = r * 3 % vocab;
  int32_t *prompt = calloc((size_t)rows, 4);
  for (int r = 0; r < rows; r++) prompt[r] = r % 2;
  for (int side = 0; side < 2; side++) {
    Backend *b = each(side);
    xt_error error;
    SeenIds *seen = NULL;
    const SeenSource source = {
        .ids = ids, .start = start, .prompts = 2, .prompt = prompt, .lists = rows, .capacity = 2};
    if (penalty != 1) ASSERT_OK(b->ops->seen_create(b, &source, &seen, &error));
    Dev d = to_place(b, 1, logits, n), out = to_device(b, NULL, 2 * (size_t)rows * CHOICE_WORDS);
    const IndexList l = list_at(b, 2, lists, (size_t)rows), w = list_at(b, 3, wanted, (size_t)rows);
    const IndexList asked[2] = {list_at(b, 4, newest, (size_t)rows), w};
    for (int step = 0; step < 2; step++)
      b->ops->choose(b,
                     &(ChooseArgs){.rows = rows,
                                   .vocab = vocab,
                                   .logits = d,
                                   .penalty = penalty,
                                   .seen = seen,
                                   .lists = l,
                                   .newest = asked[step],
                                   .wanted = step ? (IndexList){{0}} : w,
                                   .out = dev_at(out, (size_t)step * (size_t)rows * CHOICE_WORDS)});
    chosen[side] = calloc(2 * (size_t)rows, sizeof(Choice));
    b->ops->download(b, chosen[side], out, (size_t)rows * sizeof(Choice));
    b->ops->download(b, chosen[side] + rows, dev_at(out, (size_t)rows * CHOICE_WORDS),
                     (size_t)rows * sizeof(Choice));
    got[side] = to_host(b, d, n);
    ASSERT_OK(b->ops->status(b, &error));
    const Dev used[] = {d, out, l.at, w.at, asked[0].at};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) b->ops->release(b, used[i]);
    b->ops->seen_release(b, seen);
  }
  same("penalised logits", got, n);
  for (int r = 0; r < 2 * rows; r++)
    assert_memory_equal(&chosen[0][r], &chosen[1][r], sizeof(Choice));
  free(chosen[0]), free(chosen[1]), free(logits), free(lists), free(newest), free(wanted),
      free(prompt);
}

static void test_choice(void **state) {
  NEEDS_GPU();
  choose_case(1, 1, 1, false);
  choose_case(3, 17, 1.3f, false);
  choose_case(2, 1050, 1.1f, true);
  choose_case(2, LISTED, 1.2f, false);
  if (tiny) return;
  choose_case(70, 300, 1, true);
  choose_case(5, 32001, 1.2f, false);
  choose_case(300, 5000, 1, false);
  choose_case(MOST, 41, 1.2f, true);
}

/* The loop that measures a device's rate computes what it should: in one work-item of 256, chosen by y, the chains
 * add up to the number that is written down. */
static void test_spin(void **state) {
  NEEDS_GPU();
  enum { ITEM = 6, ROUNDS = 3, STARTS = GPU_SPIN_CHAINS * (GPU_SPIN_CHAINS - 1) / 2 };
  for (int hit = 0; hit < 2; hit++) {
    const float found = 12345.0f, /* ITEM + chain + 3 y, over all chains */
        y = (found - GPU_SPIN_CHAINS * ITEM - STARTS) / (GPU_SPIN_CHAINS * ROUNDS),
                x[3] = {1, hit ? y : 0, 7};
    const Dev d = to_device(gpu, x, 3);
    GpuBackend *b = gpu_of(gpu);
    const GpuSpin args = {.rounds = ROUNDS};
    GPU_LAUNCH(b, spin, 1, 1, 1, 256, args, d.buffer);
    float *got = to_host(gpu, d, 3);
    assert_true(got[2] == (hit ? found : 7));
    gpu->ops->release(gpu, d);
    free(got);
  }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void test_errors(void **state) {
  NEEDS_GPU();
  xt_error error = {0};
  Backend *b;
  Dev d;
  const BackendOptions options = {.threads = 1};
  const float broken[4] = {1, 2, INFINITY, 4};
  Weight *w;
  assert_int_equal(backend_create("opencl:31", &options, &b, &error), XT_STATUS_ARGUMENT);
  assert_non_null(
      strstr(error.message, gpu_of(gpu)->device->info.id)); /* among those that are there */
  assert_int_equal(backend_create("opencl:x", &options, &b, &error), XT_STATUS_ARGUMENT);
  assert_int_equal(backend_create("vulkan", &options, &b, &error), XT_STATUS_ARGUMENT);
  assert_int_equal(gpu->ops->alloc(gpu, (size_t)1 << 60, &d, &error), XT_STATUS_MEMORY);
  assert_int_equal(gpu->ops->weight_create(
                       gpu,
                       &(MatrixSource){.dtype = DTYPE_F32, .rows = 2, .cols = 2, .data = broken}, 1,
                       &w, &error),
                   XT_STATUS_INPUT);
  assert_int_equal(error.offset, 8);
  /* more work-groups across than a device starts; the device has failed then: the last test */
  GpuBackend *g = gpu_of(gpu);
  const GpuAdd args = {0};
  GPU_LAUNCH(g, add, 1, g->device->info.grid + 1, 1, 256, args, NULL, NULL);
  assert_int_equal(gpu->ops->status(gpu, &error), XT_STATUS_UNSUPPORTED);
  assert_non_null(strstr(error.message, "at most 8 by 8 work-groups of add, not 9 by 1"));
}

int main(void) {
  /* for a script that asks which of them ran */
  for (int i = 0; i < GPU_KERNEL_COUNT; i++) printf("# kernel: %s\n", gpu_kernel_names[i]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_products),      cmocka_unit_test(test_tiles),
      cmocka_unit_test(test_other_weights), cmocka_unit_test(test_norms),
      cmocka_unit_test(test_rope),          cmocka_unit_test(test_activations),
      cmocka_unit_test(test_elementwise),   cmocka_unit_test(test_edits),
      cmocka_unit_test(test_rows),          cmocka_unit_test(test_embeddings),
      cmocka_unit_test(test_many_edits),    cmocka_unit_test(test_many_rows),
      cmocka_unit_test(test_choice),        cmocka_unit_test(test_spin),
      cmocka_unit_test(test_errors)};
  return cmocka_run_group_tests_name("gpu ops", tests, set_up, tear_down);
}
