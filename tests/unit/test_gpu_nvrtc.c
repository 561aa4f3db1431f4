/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels as NVIDIA's compiler sees them: they compile for cards that are in use, and no
 * register is spilled to memory. Nothing but libnvrtc is needed; XT_TEST_VERBOSE prints the table
 * that docs/GPU.md has. */
#include "support.h"

#include "backend/gpu/gpu.h"
#include "backend/gpu/nvrtc.h"

static char *source;

static int set_up(void **state) {
  (void)state;
  return gpu_source(&source, NULL) ? -1 : 0;
}
static int tear_down(void **state) {
  (void)state;
  free(source);
  return 0;
}

/* The number that stands before `what` in the lines after `at`. */
static int number_before(const char *at, const char *what) {
  const char *end = strstr(at, what);
  assert_non_null(end);
  while (end > at && end[-1] == ' ') end--;
  while (end > at && end[-1] >= '0' && end[-1] <= '9') end--;
  return atoi(end);
}

static void check_architecture(int architecture) {
  int version;
  xt_error error;
  char *image, *log;
  size_t size;
  if (!nvrtc_version(&version)) {
    print_message("# libnvrtc is not installed\n");
    skip();
  }
  ASSERT_OK(nvrtc_compile(source, architecture, true, &image, &size, &log, &error));
  assert_non_null(log);
  for (int k = 0; k < GPU_KERNEL_COUNT; k++) {
    char entry[80];
    snprintf(entry, sizeof entry, "entry function '%s'", gpu_kernel_names[k]);
    const char *at = strstr(log, entry);
    if (!at) fail_msg("sm_%d: the compiler says nothing of %s", architecture, gpu_kernel_names[k]);
    const int spilled =
        number_before(at, "bytes spill stores") + number_before(at, "bytes spill loads");
    const char *used = strstr(at, "Used"), *shared = strstr(used, "bytes smem"),
               *line = strchr(used, '\n');
    const int registers = number_before(used, "registers");
    if (getenv("XT_TEST_VERBOSE"))
      print_message("sm_%d %s: %d registers, %d bytes of shared memory\n", architecture,
                    gpu_kernel_names[k], registers,
                    shared && (!line || shared < line) ? number_before(used, "bytes smem") : 0);
    if (spilled) fail_msg("sm_%d: %s spills %d bytes", architecture, gpu_kernel_names[k], spilled);
    /* Two work-groups of 256 share 65536 registers; of those that expand quantised weights, one. */
    if (strstr(gpu_kernel_names[k], "_large_") && !strstr(gpu_kernel_names[k], "quantised") &&
        registers > 128)
      fail_msg("sm_%d: %s uses %d registers, so that no two work-groups fit", architecture,
               gpu_kernel_names[k], registers);
  }
  free(image), free(log);
}

static void test_sm_80(void **state) {
  (void)state;
  check_architecture(80);
}
static void test_sm_90(void **state) {
  (void)state;
  check_architecture(90);
}

/* What is wrong with a program is told. */
static void test_error(void **state) {
  (void)state;
  int version;
  xt_error error = {0};
  char *image;
  size_t size;
  if (!nvrtc_version(&version)) skip();
  assert_int_equal(nvrtc_compile("extern \"C\" __global__ void f() { nonsense; }", 90, false,
                                 &image, &size, NULL, &error),
                   XT_STATUS_UNSUPPORTED);
  assert_non_null(strstr(error.message, "nonsense"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sm_80), cmocka_unit_test(test_sm_90),
                                     cmocka_unit_test(test_error)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
