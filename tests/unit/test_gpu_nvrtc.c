/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels as NVIDIA's compiler sees them: they compile for cards that are in use, and no
 * register is spilled to memory, and docs/GPU.md says what they use. Nothing but libnvrtc is needed;
 * XT_TEST_VERBOSE prints each kernel's figures. */
#include <dlfcn.h>
#include <fnmatch.h>

#include "files_support.h"

#include "backend/gpu/cuda_api.h"
#include "backend/gpu/gpu.h"
#include "backend/gpu/nvrtc.h"

#define TABLE_VERSION 1300 /* NVRTC's that docs/GPU.md's table is of */

static char *source;
/* Registers and bytes of local memory of each kernel, for sm_80 and sm_90. */
typedef struct Use {
  int registers, local;
} Use;
static Use uses[2][GPU_KERNEL_COUNT];
static bool compiled[2];

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
    print_message("# needs libnvrtc\n");
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
    const int local = shared && (!line || shared < line) ? number_before(used, "bytes smem") : 0;
    uses[architecture == 90][k] = (Use){registers, local};
    if (getenv("XT_TEST_VERBOSE"))
      print_message("sm_%d %s: %d registers, %d bytes of local memory\n", architecture,
                    gpu_kernel_names[k], registers, local);
    if (spilled) fail_msg("sm_%d: %s spills %d bytes", architecture, gpu_kernel_names[k], spilled);
    /* Two work-groups of 256 share 65536 registers; of those that expand quantised weights, one. */
    if (strstr(gpu_kernel_names[k], "_large_") && !strstr(gpu_kernel_names[k], "quantised") &&
        registers > 128)
      fail_msg("sm_%d: %s uses %d registers, so that no two work-groups fit", architecture,
               gpu_kernel_names[k], registers);
  }
  free(image), free(log);
  compiled[architecture == 90] = true;
}

static void test_sm_80(void **state) {
  (void)state;
  check_architecture(80);
}
static void test_sm_90(void **state) {
  (void)state;
  check_architecture(90);
}

/* The table's rows: what they are called, work-items of a group, and the kernels. */
static const struct {
  const char *label;
  int items;
  const char *kernels[20];
} rows[] = {
    {"`product_{f32,f16,bf16}_large_*` (128 x 128)", 256, {"product_*f[13]*_large_*"}},
    {"`product_quantised_large_*`", 256, {"product_quantised_large_*"}},
    {"`product_{scores,values}_large_*` (attention over prefixes)",
     256,
     {"product_scores_large_*", "product_values_large_*"}},
    {"`product_{f32,f16,bf16}_medium_*` (64 x 64)", 64, {"product_*f[13]*_medium_*"}},
    {"`product_quantised_medium_*`", 64, {"product_quantised_medium_*"}},
    {"`product_{scores,values}_medium_*`",
     64,
     {"product_scores_medium_*", "product_values_medium_*"}},
    {"`product_{f32,f16,bf16}_small_*` (32 x 32)", 64, {"product_*f[13]*_small_*"}},
    {"`product_quantised_small_*`", 64, {"product_quantised_small_*"}},
    {"`product_{scores,values}_small_*`", 64, {"product_scores_small_*", "product_values_small_*"}},
    {"`few_*` (at most 8 rows)", 256, {"few_*"}},
    {"`finish` (private positions, merge)", 64, {"finish"}},
    {"`softmax`, `weigh`, `compare`, `norm_rms`, `norm_layer`",
     64,
     {"softmax", "weigh", "compare", "norm_*"}},
    {"`two_largest`", 256, {"two_largest"}},
    {"`penalize`", 64, {"penalize"}},
    {"`mix_rows`", 256, {"mix_rows"}},
    {"one item a number (`rope`, `activate`, `embed`, `narrow`, ..)",
     256,
     {"rope", "activate", "scale", "add", "copy_rows", "embed", "prefix_store", "prefix_copy",
      "tail_store", "narrow", "settle", "spin"}}};

static bool is_of(size_t row, const char *kernel) {
  for (int i = 0; rows[row].kernels[i]; i++)
    if (fnmatch(rows[row].kernels[i], kernel, 0) == 0) return true;
  return false;
}

/* Of the 64 warps of a multiprocessor: registers are given to warps 256 at a time, 65536 in all. */
static double occupancy(int registers, int items) {
  const int warp = (registers * 32 + 255) / 256 * 256, warps = items / 32;
  int groups = 65536 / (warp * warps);
  if (groups > 64 / warps) groups = 64 / warps;
  if (groups > 32) groups = 32;
  return 100.0 * groups * warps / 64;
}

static void add_range(char *line, size_t size, double low, double high, const char *unit) {
  const size_t at = strlen(line);
  if (low < high)
    snprintf(line + at, size - at, " %.0f-%.0f%s |", low, high, unit);
  else
    snprintf(line + at, size - at, " %.0f%s |", low, unit);
}

/* A row as the document should have it. */
static void table_line(size_t row, char *line, size_t size) {
  int least[2] = {1000, 1000}, most[2] = {0, 0}, local = -1;
  for (int k = 0; k < GPU_KERNEL_COUNT; k++)
    for (int of = 0; of < 2 && is_of(row, gpu_kernel_names[k]); of++) {
      const Use use = uses[of][k];
      if (use.registers < least[of]) least[of] = use.registers;
      if (use.registers > most[of]) most[of] = use.registers;
      if (local >= 0 && use.local != local)
        fail_msg("%s takes %d bytes, others %d", gpu_kernel_names[k], use.local, local);
      local = use.local;
    }
  snprintf(line, size, "| %s | %d |", rows[row].label, rows[row].items);
  for (int of = 0; of < 2; of++) add_range(line, size, least[of], most[of], "");
  add_range(line, size, local, local, "");
  for (int of = 0; of < 2; of++)
    add_range(line, size, occupancy(most[of], rows[row].items),
              occupancy(least[of], rows[row].items), " %");
}

static void test_table(void **state) {
  (void)state;
  int version = 0, wrong = 0;
  if (!nvrtc_version(&version) || version != TABLE_VERSION) {
    print_message("# docs/GPU.md's table of registers is of NVRTC %d.%d, here is %d.%d\n",
                  TABLE_VERSION / 100, TABLE_VERSION % 100, version / 100, version % 100);
    skip();
  }
  if (access(XT_SOURCE_DIR "/docs/GPU.md", R_OK) != 0) {
    print_message("# docs/GPU.md is not here\n");
    skip();
  }
  assert_true(compiled[0] && compiled[1]);
  for (int k = 0; k < GPU_KERNEL_COUNT; k++) {
    int found = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) found += is_of(r, gpu_kernel_names[k]);
    if (found != 1) fail_msg("%s is in %d rows", gpu_kernel_names[k], found);
  }
  size_t size;
  char *text = (char *)read_whole(XT_SOURCE_DIR "/docs/GPU.md", &size);
  text = realloc(text, size + 1);
  assert_non_null(text);
  text[size] = 0;
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    char line[300];
    table_line(r, line, sizeof line);
    if (!strstr(text, line)) wrong++, print_error("docs/GPU.md should have %s\n", line);
  }
  assert_non_null(strstr(text, "(NVRTC 13.0)"));
  assert_int_equal(wrong, 0);
  free(text);
}

/* ---- rounding -------------------------------------------------------------------------------- */

/* The kernels as PTX, with the flags that they are built with; NULL: libnvrtc is not here. The caller
 * frees it. */
static char *ptx_of(const char *program_text) {
  static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2",
                                      "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so"};
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
    library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) return NULL;
  int (*create)(NvrtcProgram *, const char *, const char *, int, const char *const *,
                const char *const *) = NULL,
                                  (*compile)(NvrtcProgram, int, const char *const *) = NULL,
                                  (*get_size)(NvrtcProgram, size_t *) = NULL,
                                  (*get)(NvrtcProgram, char *) = NULL,
                                  (*destroy)(NvrtcProgram *) = NULL;
  const struct {
    const char *name;
    void *call;
  } calls[] = {{"nvrtcCreateProgram", &create},
               {"nvrtcCompileProgram", &compile},
               {"nvrtcGetPTXSize", &get_size},
               {"nvrtcGetPTX", &get},
               {"nvrtcDestroyProgram", &destroy}};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    void *address = dlsym(library, calls[i].name);
    assert_non_null(address);
    memcpy(calls[i].call, &address, sizeof address);
  }
  const char *flags[16];
  int count = 0;
  for (; nvrtc_flags[count]; count++) flags[count] = nvrtc_flags[count];
  flags[count++] = "--gpu-architecture=compute_90";
  NvrtcProgram program;
  size_t size = 0;
  assert_int_equal(create(&program, program_text, "xtransplant.cu", 0, NULL, NULL), 0);
  assert_int_equal(compile(program, count, flags), 0);
  assert_int_equal(get_size(program, &size), 0);
  char *ptx = calloc(size + 1, 1);
  assert_non_null(ptx);
  assert_int_equal(get(program, ptx), 0);
  destroy(&program);
  return ptx;
}

/* Whether one of the words, separated by spaces, is the first part of an instruction's name. */
static bool is_one_of(const char *name, const char *words) {
  const size_t length = strcspn(name, ".");
  for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
    if (strcspn(at, " ") == length && strncmp(at, name, length) == 0) return true;
  return false;
}

/* What is wrong with an instruction in a kernel; NULL: nothing. */
static const char *fault_of(const char *name, const char *kernel) {
  if (strstr(name, ".f64")) return "is of double";
  if (!strstr(name, ".f32")) return NULL;
  if (strstr(name, ".ftz")) return "takes subnormal numbers for zeros";
  if (strstr(name, ".approx") || strstr(name, ".full")) return "is not correctly rounded";
  if (is_one_of(name, "ld st mov setp set selp neg abs min max cvt")) return NULL;
  if (!is_one_of(name, "add sub mul fma div sqrt rcp")) return "is not known to be exact";
  if (!strstr(name, ".rn.f32")) return "does not say that it rounds to nearest";
  if (is_one_of(name, "fma") && (strcmp(kernel, "rope") == 0 || strcmp(kernel, "add") == 0))
    return "contracts what the CPU does in two steps";
  return NULL;
}

/* Every float operation rounds as the CPU's: what the flags ask for is what the compiler does. */
static void test_rounding(void **state) {
  (void)state;
  int wrong = 0, seen = 0, kernels = 0;
  char kernel[80] = "", name[80];
  char *ptx = ptx_of(source);
  if (!ptx) {
    print_message("# needs libnvrtc\n");
    skip();
  }
  for (const char *line = ptx; line && *line; line = strchr(line, '\n'), line += line != NULL) {
    const char *entry = strstr(line, ".entry "), *end = strchr(line, '\n');
    if (entry && end && entry < end)
      kernels += sscanf(entry, ".entry %79[A-Za-z0-9_]", kernel) == 1;
    const char *at = line + strspn(line, " \t");
    if (*at == '@') at += strcspn(at, " \n"), at += strspn(at, " ");
    if (sscanf(at, "%79[a-z0-9_.]", name) != 1) continue;
    seen += is_one_of(name, "add sub mul fma div sqrt rcp") && strstr(name, ".rn.f32") != NULL;
    const char *what = fault_of(name, kernel);
    if (what) wrong++, print_error("%s: %s %s\n", kernel, name, what);
  }
  free(ptx);
  assert_int_equal(wrong, 0);
  assert_int_equal(kernels, GPU_KERNEL_COUNT);
  assert_true(seen > 1000);
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
                                     cmocka_unit_test(test_table), cmocka_unit_test(test_rounding),
                                     cmocka_unit_test(test_error)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
