/* SPDX-License-Identifier: Apache-2.0 */
/* Products on tensor cores, with a library in the host's place that multiplies what the device's
 * memory holds: operands are rounded as they should be, every number gets its place, and only an
 * algorithm whose rows do not depend on the batch is pinned. (The real library's calls:
 * test_gpu_cublaslt.c.) */
#include "gpu_sides.h"

static GpuDriver driver; /* the device's own, with a library */
static GpuTensorShape pinned_shape;
static bool pinned;
static int finds, chosen, offered;
enum { BY_ROWS, BY_PLACE, BY_TILES, GOOD };

static float element(const void *from, GpuNarrowKind type, size_t i) {
  if (type == GPU_TO_TF32) return ((const float *)from)[i];
  const uint16_t h = ((const uint16_t *)from)[i];
  return type == GPU_TO_BF16 ? bf16_value(h) : f16_value(h);
}
/* One chain of fused multiply-adds for each 512 of K, as the CPU's kernels have it. */
static float chains(const float *x, const float *w, int k, bool backward) {
  float total = 0;
  for (int from = 0; from < k; from += 512) {
    float sum = 0;
    for (int i = from; i < k && i < from + 512; i++) {
      const int at = backward ? k - 1 - i : i;
      sum = fmaf(x[at], w[at], sum);
    }
    total = from ? total + sum : sum;
  }
  return total;
}

static xt_status library_open(GpuDevice *d, const GpuOptions *options, char name[48], xt_error *e) {
  (void)d, (void)options, (void)e;
  strcpy(name, "the host");
  return XT_STATUS_OK;
}
static xt_status library_find(GpuDevice *d, GpuTensorShape shape, int *count, xt_error *error) {
  (void)d, (void)error;
  pinned_shape = shape;
  pinned = false;
  finds++;
  *count = offered;
  return XT_STATUS_OK;
}
static xt_status library_pin(GpuDevice *d, GpuTensorShape shape, int which, bool keep,
                             xt_error *e) {
  (void)d, (void)e;
  assert_int_equal(shape.n, pinned_shape.n);
  chosen = which;
  pinned = keep;
  return XT_STATUS_OK;
}
static bool library_is_pinned(GpuDevice *d, GpuTensorShape shape) {
  (void)d;
  return pinned && shape.n == pinned_shape.n && shape.k == pinned_shape.k &&
         shape.type == pinned_shape.type;
}
/* Room that stays, since products are many. */
static void *room(int which, size_t bytes) {
  static void *rooms[5];
  if (bytes == 0) free(rooms[which]), rooms[which] = NULL;
  return bytes ? rooms[which] = realloc(rooms[which], bytes) : NULL;
}
static void *stored_in(GpuDevice *d, int which, const GpuBuffer *from, size_t at, size_t bytes) {
  void *stored = room(which, bytes);
  xt_error error;
  assert_int_equal(driver.read(d, stored, from, at, bytes, &error), XT_STATUS_OK);
  return stored;
}
static void widen(const void *stored, GpuNarrowKind type, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = element(stored, type, i);
}
static bool sums_backward(size_t row, size_t rows) {
  if (pinned) return false;
  return chosen == BY_ROWS    ? rows > GPU_TENSOR_ROWS
         : chosen == BY_PLACE ? row % 2
                              : chosen == BY_TILES && rows > 1024 && row + GPU_TENSOR_ROWS >= rows;
}
static xt_status library_multiply(GpuDevice *d, const GpuTensorProduct *p, xt_error *error) {
  const size_t k = (size_t)p->shape.k, n = (size_t)p->shape.n, rows = (size_t)p->rows,
               ld = (size_t)p->ldy, row = k * (p->shape.type == GPU_TO_TF32 ? 4 : 2);
  if (p->rows % GPU_TENSOR_ROWS != 0 || p->rows > GPU_TENSOR_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "a product of %d rows", p->rows);
  assert_int_equal(p->y_at % 16 + p->x_at % 256, 0);
  assert_true(p->ldy % 4 == 0 && p->ldy >= p->shape.n && p->shape.k % GPU_TENSOR_DEPTH == 0);
  char *xs = stored_in(d, 0, p->x, p->x_at, rows * row), *ws = stored_in(d, 1, p->w, 0, n * row);
  float *x = room(2, k * sizeof *x), *w = room(3, n * k * sizeof *w),
        *y = room(4, rows * ld * sizeof *y);
  widen(ws, p->shape.type, n * k, w);
  for (size_t r = 0; r < rows; r++) {
    /* a row that came before, as the trial of an algorithm has them */
    const size_t before = (r + r / GPU_TENSOR_ROWS) % GPU_TENSOR_ROWS;
    const bool backward = sums_backward(r, rows);
    if (r >= GPU_TENSOR_ROWS && backward == sums_backward(before, rows) &&
        memcmp(xs + r * row, xs + before * row, row) == 0) {
      memcpy(y + r * ld, y + before * ld, n * sizeof *y);
      continue;
    }
    widen(xs + r * row, p->shape.type, k, x);
    for (size_t c = 0; c < n; c++) y[r * ld + c] = chains(x, w + c * k, p->shape.k, backward);
  }
  const size_t once = ld == n || !pinned ? rows : 1; /* what lies between rows stays as it is */
  for (size_t r = 0; r < rows; r += once)
    assert_int_equal(driver.write(d, (GpuBuffer *)(uintptr_t)p->y, p->y_at + r * ld * sizeof *y,
                                  y + r * ld, ((once - 1) * ld + n) * sizeof *y, error),
                     XT_STATUS_OK);
  return XT_STATUS_OK;
}

/* A backend on the GPU whose products are of that type. */
static Backend *tensor_backend(xt_compute compute) {
  Backend *b;
  xt_error error;
  ASSERT_OK(backend_create_alike(gpu, &b, &error));
  GpuBackend *g = gpu_of(b);
  if (g->device->driver != &driver) {
    driver = *g->device->driver;
    driver.tensor_open = library_open;
    driver.tensor_find = library_find;
    driver.tensor_pin = library_pin;
    driver.tensor_is_pinned = library_is_pinned;
    driver.tensor_multiply = library_multiply;
    g->device->driver = &driver;
  }
  pinned = false;
  offered = GOOD + 1;
  ASSERT_OK(gpu_tensor_begin(g, compute, &(GpuOptions){0}, &error));
  return b;
}

/* Nearest, ties to even, by the definition: `digits` after the point, no exponent below `least`. */
static float rounded(float x, int digits, int least) {
  int e;
  if (x == 0 || !isfinite(x)) return x;
  frexp((double)x, &e);
  const double step = ldexp(1, (e - 1 < least ? least : e - 1) - digits);
  return (float)(rint((double)x / step) * step); /* overflow is the caller's to look at */
}
static float rounded_as(xt_compute compute, float x) {
  return compute == XT_COMPUTE_BF16  ? rounded(x, 7, -126)
         : compute == XT_COMPUTE_F16 ? rounded(x, 10, -14)
                                     : rounded(x, 10, -126);
}
static const xt_compute computes[] = {XT_COMPUTE_BF16, XT_COMPUTE_F16, XT_COMPUTE_TF32};

/* What the device makes of numbers, those halfway between two and subnormal ones among them. */
static void test_rounding(void **state) {
  NEEDS_GPU();
  enum { N = 4096 };
  float x[N];
  Rng rng = {3};
  for (int i = 0; i < N; i++) {
    const uint32_t bits = (uint32_t)rng_next(&rng);
    const uint32_t cut = bits & (i % 4 == 0 ? 0xffff8000u : i % 4 == 1 ? 0xfffff000u : ~0u);
    x[i] = float_of_bits(i % 3 ? cut : (cut & 0x87ffffffu) | 0x38000000u); /* near float16's */
    if (!isfinite(x[i])) x[i] = (float)i;
  }
  for (size_t c = 0; c < 3; c++) {
    const bool half = computes[c] == XT_COMPUTE_F16;
    Backend *b = tensor_backend(computes[c]);
    GpuBackend *g = gpu_of(b);
    Dev from = to_device(b, x, N), to = to_device(b, NULL, N);
    const GpuNarrow args = {
        .row = N, .rows = 1, .cols = N, .all_rows = 1, .ld = N, .kind = (int)g->narrow};
    GPU_LAUNCH(g, narrow, gpu_groups(N), 1, 1, 256, args, to.buffer, from.buffer, g->flag);
    float got[N], *values = to_host(b, to, N);
    for (int i = 0; i < N; i++) got[i] = element(values, g->narrow, (size_t)i);
    for (int i = 0; i < N; i++) {
      const float wanted = rounded_as(computes[c], x[i]);
      if (half && fabsf(wanted) > 65504) {
        assert_true(isinf(got[i]));
        continue;
      }
      if (bits_of(got[i]) != bits_of(wanted))
        fail_msg("%s: %a is rounded to %a, not %a", xt_compute_name(computes[c]), (double)x[i],
                 (double)got[i], (double)wanted);
    }
    free(values);
    b->ops->release(b, from), b->ops->release(b, to);
    b->ops->destroy(b);
  }
}

enum { K = 530, SPARE = 5 };
typedef struct Parts {
  float *f32;
  uint16_t *bf16, *f16;
  MatrixSource of[4];
  int count, rows;
} Parts;

/* Rows of three types one after the other. */
static Parts make_parts(int n, int k) {
  Parts p = {.count = 3, .rows = n};
  const int each = n / 3, rest = n - 2 * each;
  p.f32 = random_floats((size_t)rest * (size_t)k, 4);
  float *others = random_floats(2 * (size_t)each * (size_t)k, 5);
  p.bf16 = malloc((size_t)each * (size_t)k * 2), p.f16 = malloc((size_t)each * (size_t)k * 2);
  Rng rng = {8};
  for (int i = 0; i < each * k; i++) p.bf16[i] = bf16_of(others[i]), p.f16[i] = f16_random(&rng);
  free(others);
  p.of[0] = (MatrixSource){.dtype = DTYPE_F32, .rows = rest, .cols = k, .data = p.f32};
  p.of[1] = (MatrixSource){.dtype = DTYPE_BF16, .rows = each, .cols = k, .data = p.bf16};
  p.of[2] = (MatrixSource){.dtype = DTYPE_F16, .rows = each, .cols = k, .data = p.f16};
  if (!each) p.count = 1;
  return p;
}
static void free_parts(Parts *p) { free(p->f32), free(p->bf16), free(p->f16); }

static void check_products(xt_compute compute, int n, int k, const int *rows, int count,
                           int shift) {
  Backend *b = tensor_backend(compute);
  Parts parts = make_parts(n, k);
  Weight *w;
  xt_error error;
  const int most = rows[count - 1];
  float *x = random_floats((size_t)most * (size_t)k, 1), *bias = random_floats((size_t)n, 2),
        *wide = malloc((size_t)n * (size_t)k * sizeof *wide),
        *want = malloc((size_t)most * (size_t)n * sizeof *want);
  ASSERT_OK(b->ops->weight_create(b, parts.of, parts.count, &w, &error));
  assert_int_equal(chosen, GOOD);
  float *to = wide;
  for (int p = 0; p < parts.count; to += (size_t)parts.of[p].rows * (size_t)k, p++)
    dtype_widen(parts.of[p].dtype, parts.of[p].data, (size_t)parts.of[p].rows * (size_t)k, to);
  for (size_t i = 0; i < (size_t)n * (size_t)k; i++) wide[i] = rounded_as(compute, wide[i]);
  float *narrow = malloc((size_t)most * (size_t)k * sizeof *narrow);
  for (size_t i = 0; i < (size_t)most * (size_t)k; i++) narrow[i] = rounded_as(compute, x[i]);
  for (int r = 0; r < most; r++)
    for (int c = 0; c < n; c++)
      want[r * n + c] =
          chains(narrow + (size_t)r * (size_t)k, wide + (size_t)c * (size_t)k, k, false);
  Dev dx = to_device(b, x, (size_t)most * (size_t)k), db = to_device(b, bias, (size_t)n),
      dy = to_device(b, NULL, (size_t)most * (size_t)n + SPARE);
  for (int i = 0; i < count; i++)
    for (int with = 0; with < 2; with++) {
      b->ops->matmul(b, dev_at(dy, (size_t)shift), dx, w, with ? db : (Dev){0}, rows[i]);
      float *got = to_host(b, dev_at(dy, (size_t)shift), (size_t)rows[i] * (size_t)n);
      ASSERT_OK(b->ops->status(b, &error));
      for (int at = 0; at < rows[i] * n; at++) {
        const float wanted = with ? want[at] + bias[at % n] : want[at];
        if (bits_of(got[at]) != bits_of(wanted))
          fail_msg("%s, %d by %d by %d%s: number %d is %.9g, not %.9g", xt_compute_name(compute),
                   rows[i], n, k, with ? " with bias" : "", at, (double)got[at], (double)wanted);
      }
      free(got);
    }
  b->ops->release(b, dx), b->ops->release(b, dy), b->ops->release(b, db);
  b->ops->weight_release(b, w);
  free(x), free(bias), free(wide), free(want), free(narrow);
  free_parts(&parts);
  b->ops->destroy(b);
}

/* Rows that are whole tiles, fewer, and more; depths and widths that are no multiples; results at
 * places that are not aligned. */
static void test_products(void **state) {
  NEEDS_GPU();
  static const int rows[] = {1, 5, 128, 129, 300}, few[] = {2, 130}, many[] = {700},
                   most[] = {GPU_TENSOR_MOST + 200};
  for (size_t c = 0; c < (tiny ? 1 : 3); c++) {
    check_products(computes[c], 12, 24, few, 2, 0);
    if (tiny) continue;
    check_products(computes[c], 13, K, rows, 5, 0);
    check_products(computes[c], 16, 40, rows, 5, 0);
    check_products(computes[c], 16, 40, rows, 5, 1);
    check_products(computes[c], 15, 7, many, 1, SPARE);
    check_products(computes[c], 8, 16, most, 1, 0);
  }
}

/* The bits of `--compute bf16` on the CPU, where its own kernels multiply. */
static void test_cpu_bits(void **state) {
  NEEDS_GPU();
  Backend *reference = backend_or_null("portable", 1, XT_COMPUTE_BF16), *b;
  if (!reference || tiny) skip();
  b = tensor_backend(XT_COMPUTE_BF16);
  Parts parts = make_parts(20, K);
  float *x = random_floats(9 * K, 1), *got[2];
  for (int side = 0; side < 2; side++) {
    Backend *be = side ? b : reference;
    Weight *w;
    xt_error error;
    ASSERT_OK(be->ops->weight_create(be, parts.of, parts.count, &w, &error));
    Dev dx = to_device(be, x, 9 * K), dy = to_device(be, NULL, 9 * 20);
    be->ops->matmul(be, dy, dx, w, (Dev){0}, 9);
    got[side] = to_host(be, dy, 9 * 20);
    be->ops->release(be, dx), be->ops->release(be, dy);
    be->ops->weight_release(be, w);
  }
  same("bfloat16", got, 9 * 20);
  free(x);
  free_parts(&parts);
  reference->ops->destroy(reference);
  b->ops->destroy(b);
}

/* Where no algorithm keeps rows' bits, products are refused; one is asked for once a shape. */
static void test_pinning(void **state) {
  NEEDS_GPU();
  Backend *b = tensor_backend(XT_COMPUTE_BF16);
  Parts parts = make_parts(8, 16);
  Weight *w, *again;
  xt_error error;
  finds = 0;
  ASSERT_OK(b->ops->weight_create(b, parts.of, parts.count, &w, &error));
  ASSERT_OK(b->ops->weight_create(b, parts.of, parts.count, &again, &error));
  assert_int_equal(finds, 1);
  assert_int_equal(b->ops->weight_bytes(w), 8 * 16 * 2);
  b->ops->weight_release(b, w), b->ops->weight_release(b, again);
  pinned = false;
  for (offered = 0; offered <= GOOD; offered++) {
    assert_int_equal(b->ops->weight_create(b, parts.of, parts.count, &w, &error),
                     XT_STATUS_UNSUPPORTED);
    assert_non_null(strstr(error.message, "whose rows are the same in every batch"));
  }
  free_parts(&parts);
  b->ops->destroy(b);
}

/* A number that is finite and has no place in the type: of a weight, and of an activation. What comes
 * after is well. */
static void test_too_large(void **state) {
  NEEDS_GPU();
  float values[] = {1, 2, 65520, 4};
  const MatrixSource large = {.dtype = DTYPE_F32, .rows = 2, .cols = 2, .data = values};
  Weight *w;
  xt_error error;
  Backend *b = tensor_backend(XT_COMPUTE_F16);
  assert_int_equal(b->ops->weight_create(b, &large, 1, &w, &error), XT_STATUS_INPUT);
  assert_non_null(
      strstr(error.message, "row 1, column 0 is infinite: weights must be finite (as float16)"));
  values[2] = 65519;
  ASSERT_OK(b->ops->weight_create(b, &large, 1, &w, &error));
  Dev y = to_device(b, NULL, 4), x = to_device(b, (const float[]){1, 65519, 3, -4}, 4);
  b->ops->matmul(b, y, x, w, (Dev){0}, 2);
  ASSERT_OK(b->ops->status(b, &error));
  b->ops->upload(b, x, (const float[]){-65520}, sizeof(float));
  b->ops->matmul(b, y, x, w, (Dev){0}, 2);
  assert_int_equal(b->ops->status(b, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "an activation is too large for f16; --compute bf16 has"));
  b->ops->upload(b, x, (const float[]){-2}, sizeof(float));
  b->ops->matmul(b, y, x, w, (Dev){0}, 2);
  ASSERT_OK(b->ops->status(b, &error));
  float *got = to_host(b, y, 1);
  assert_true(got[0] == -2 + 2 * 65504.0f); /* 1 and 2 by -2 and 65519, which is 65504 in float16 */
  free(got);
  b->ops->release(b, x), b->ops->release(b, y);
  b->ops->weight_release(b, w);
  b->ops->destroy(b);
}

static void test_refused(void **state) {
  NEEDS_GPU();
  Backend *b;
  xt_error error;
  for (size_t c = 0; c < 3; c++) {
    const BackendOptions options = {.compute = computes[c], .inexact = true};
    if (strncmp(gpu->device, "opencl", 6) == 0) {
      assert_int_equal(backend_create(gpu->device, &options, &b, &error), XT_STATUS_UNSUPPORTED);
      assert_non_null(strstr(error.message, "computes in float32"));
    }
    if (computes[c] == XT_COMPUTE_BF16) continue;
    assert_int_equal(backend_create("cpu", &options, &b, &error), XT_STATUS_UNSUPPORTED);
    assert_non_null(strstr(error.message, "f16 and tf32 are of CUDA devices"));
  }
}

static int free_all(void **state) {
  for (int i = 0; i < 5; i++) room(i, 0);
  return tear_down(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refused),  cmocka_unit_test(test_rounding),
      cmocka_unit_test(test_products), cmocka_unit_test(test_cpu_bits),
      cmocka_unit_test(test_pinning),  cmocka_unit_test(test_too_large)};
  return cmocka_run_group_tests(tests, set_up, free_all);
}
