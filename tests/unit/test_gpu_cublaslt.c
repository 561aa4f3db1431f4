/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of cuBLASLt, on the pretended CUDA of tests/fault, which the program loads before itself:
 * what a call describes is what it says, and the product is that of plain sums. Our declarations
 * are NVIDIA's, where its headers are installed; its library takes our descriptions, where it
 * is. */
#include "support.h"

#include <unistd.h>

#include "backend/gpu/cublaslt.h"

#if defined(XT_CUBLASLT_HEADER)
#include <cublasLt.h>
#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
SAME(LT_ALLOC_FAILED, CUBLAS_STATUS_ALLOC_FAILED);
SAME(LT_INVALID_VALUE, CUBLAS_STATUS_INVALID_VALUE);
SAME(LT_NOT_SUPPORTED, CUBLAS_STATUS_NOT_SUPPORTED);
SAME(LT_F32, CUDA_R_32F);
SAME(LT_F16, CUDA_R_16F);
SAME(LT_BF16, CUDA_R_16BF);
SAME(LT_COMPUTE_32F, CUBLAS_COMPUTE_32F);
SAME(LT_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_32F_FAST_TF32);
SAME(LT_OP_N, CUBLAS_OP_N);
SAME(LT_OP_T, CUBLAS_OP_T);
SAME(LT_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(LT_DESC_TRANSB, CUBLASLT_MATMUL_DESC_TRANSB);
SAME(LT_PREF_MAX_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(LT_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(LT_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(LT_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(LT_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(LT_PREF_MIN_ALIGNMENT_D_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(LT_REDUCTION_SCHEME_NONE, CUBLASLT_REDUCTION_SCHEME_NONE);
SAME(LT_CONFIG_SPLITK_NUM, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
SAME(LT_CONFIG_REDUCTION_SCHEME, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
SAME(sizeof(LtAlgorithm), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(LtHeuristic), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(LtHeuristic, algorithm), offsetof(cublasLtMatmulHeuristicResult_t, algo));
SAME(offsetof(LtHeuristic, workspace), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(LtHeuristic, state), offsetof(cublasLtMatmulHeuristicResult_t, state));
SAME(offsetof(LtHeuristic, waves), offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));
SAME(sizeof(LtStatus), sizeof(cublasStatus_t));
SAME(sizeof(int), sizeof(cudaDataType));
#endif

static void test_header(void **state) {
  (void)state;
#if !defined(XT_CUBLASLT_HEADER)
  print_message(
      "# needs cublasLt.h (of NVIDIA's toolkit, or of the Python package nvidia-cublas)\n");
  skip();
#endif
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* by gcc */
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

static GpuDevice *device;
static GpuUser user;
static char folder[] = "/tmp/xt-cublaslt-XXXXXX";

static void open_card(void) {
  xt_error error;
  char name[48];
  const GpuOptions options = {.tensor = true, .cache = folder};
  ASSERT_OK(gpu_open("cuda:0", &options, &device, &error));
  user = (GpuUser){.device = device};
  ASSERT_OK(gpu_tensor_open(device, &options, name, &error));
  assert_string_equal(name, "cuBLASLt 13.1.0");
}

static uint32_t stored(GpuNarrowKind type, int value) { /* small whole numbers */
  const float x = (float)value;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (type == GPU_TO_TF32) return bits;
  if (type == GPU_TO_BF16) return bits >> 16;
  return value == 0 ? 0 : (bits >> 16 & 0x8000u) | (((bits & 0x7fffffffu) - 0x38000000u) >> 13);
}
static int number(int row, int column, int seed) { return (row * 7 + column * 3 + seed) % 9 - 4; }

static GpuBuffer *operand(GpuNarrowKind type, int rows, int k, int seed) {
  const size_t each = type == GPU_TO_TF32 ? 4 : 2;
  char *bytes = malloc((size_t)rows * (size_t)k * each);
  GpuBuffer *buffer;
  xt_error error;
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < k; c++) {
      const uint32_t bits = stored(type, number(r, c, seed));
      memcpy(bytes + ((size_t)r * (size_t)k + (size_t)c) * each, &bits, each);
    }
  ASSERT_OK(gpu_buffer(device, (size_t)rows * (size_t)k * each, &buffer, &error));
  gpu_write(&user, buffer, 0, bytes, (size_t)rows * (size_t)k * each);
  free(bytes);
  return buffer;
}

/* Sums of small whole numbers are exact in every order. */
static void test_products(void **state) {
  (void)state;
  enum { N = 10, DEPTH = 24, ROWS = 384, LD = 12, PLACE = 128 };
  open_card();
  for (int type = GPU_TO_TF32; type <= GPU_TO_BF16; type++) {
    const GpuTensorShape shape = {(GpuNarrowKind)type, N, DEPTH};
    const size_t each = type == GPU_TO_TF32 ? 4 : 2;
    xt_error error;
    int count;
    GpuBuffer *x = operand(shape.type, ROWS, DEPTH, 1), *w = operand(shape.type, N, DEPTH, 2), *y;
    float got[LD * (ROWS + 1)];
    ASSERT_OK(gpu_buffer(device, sizeof got, &y, &error));
    assert_false(gpu_tensor_is_pinned(device, shape));
    ASSERT_OK(gpu_tensor_find(device, shape, &count, &error));
    assert_int_equal(count, 5); /* of seven: one is split over k, one needs more room */
    ASSERT_OK(gpu_tensor_pin(device, shape, 4, true, &error));
    assert_true(gpu_tensor_is_pinned(device, shape));
    assert_int_equal(gpu_tensor_pin(device, shape, 5, true, &error), XT_STATUS_ARGUMENT);
    const GpuTensorProduct product = {.shape = shape,
                                      .rows = 256,
                                      .ldy = LD,
                                      .x_at = PLACE * DEPTH * each,
                                      .y_at = LD * sizeof(float),
                                      .x = x,
                                      .w = w,
                                      .y = y};
    gpu_tensor_multiply(&user, &product);
    gpu_read(&user, got, y, 0, sizeof got);
    ASSERT_OK(gpu_finish(&user, &error));
    for (int r = 0; r < 256; r++)
      for (int c = 0; c < LD; c++) {
        int sum = 0;
        for (int k = 0; c < N && k < DEPTH; k++) sum += number(r + PLACE, k, 1) * number(c, k, 2);
        if (got[(r + 1) * LD + c] != (float)sum)
          fail_msg("row %d, column %d: %g, not %d", r, c, (double)got[(r + 1) * LD + c], sum);
      }
    for (int c = 0; c < LD; c++) assert_true(got[c] == 0);
    gpu_buffer_free(device, x), gpu_buffer_free(device, w), gpu_buffer_free(device, y);
  }
  gpu_close(device);
}

/* What was pinned is what the next run takes, without asking. */
static void test_kept(void **state) {
  (void)state;
  xt_error error;
  int count;
  open_card();
  ASSERT_OK(gpu_tensor_find(device, (GpuTensorShape){GPU_TO_BF16, 10, 24}, &count, &error));
  assert_int_equal(count, 1);
  ASSERT_OK(gpu_tensor_find(device, (GpuTensorShape){GPU_TO_BF16, 11, 24}, &count, &error));
  assert_int_equal(count, 5);
  gpu_close(device);
}

static int tear_down(void **state) {
  (void)state;
  char command[80];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

/* The program again, with the pretended CUDA before all else. */
static bool on_shim(char **arguments) {
  static const char shim[] = XT_BINARY_DIR "/tests/libcuda_shim.so";
  if (getenv("XT_ON_SHIM")) return true;
  if (access(shim, R_OK) != 0 || SANITIZED) return false;
  setenv("XT_ON_SHIM", "1", 1);
  setenv("LD_PRELOAD", shim, 1);
  setenv("XT_LT_REAL", "libcublasLt.so.13", 1); /* unless it is not there */
  execv("/proc/self/exe", arguments);
  return false;
}

int main(int count, char **arguments) {
  (void)count;
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_header), cmocka_unit_test(test_products),
                                     cmocka_unit_test(test_kept)};
  if (on_shim(arguments) && mkdtemp(folder)) return cmocka_run_group_tests(tests, NULL, tear_down);
  print_message("# needs a build without sanitizers, whose allocator cannot be preloaded over\n");
  return 0;
}
