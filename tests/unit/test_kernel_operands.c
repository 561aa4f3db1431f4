/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels touch their operands and nothing beside them, which lie against pages that nobody may
 * touch; and the address sanitizer finds, in each kernel's call, each operand whose last element
 * may not be touched: kernels_operands.inc. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend_support.h"

#include "backend/cpu/cpu.h"
#include "backend/cpu/quantised.h"

/* ---- operands -------------------------------------------------------------------------------- */

enum { OPERANDS = 8, ROOM = 1 << 20 };
static char *rooms[OPERANDS]; /* of ROOM bytes each, between two pages that cannot be touched */
static int operand_count;
static bool at_end;        /* of its room an operand lies at the end, or at the beginning */
static int forbidden = -1; /* the operand whose last element may not be touched */

static int make_rooms(void **state) {
  (void)state;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < OPERANDS; i++) {
    char *at =
        mmap(NULL, ROOM + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    assert_int_equal(mprotect(at, page, PROT_NONE), 0);
    assert_int_equal(mprotect(at + page + ROOM, page, PROT_NONE), 0);
    rooms[i] = at + page;
  }
  return 0;
}

#if defined(__SANITIZE_ADDRESS__)
void __asan_poison_memory_region(const volatile void *at, size_t bytes);
__attribute__((visibility("default"))) void __asan_on_error(void); /* which it calls */
enum { FOUND = 77 };
static bool in_child;
void __asan_on_error(void) {
  if (in_child) _exit(FOUND);
}
#endif

/* Bytes that are small numbers as float32, float16 and bfloat16. `element`: bytes. */
static void *operand(size_t count, size_t element) {
  const int i = operand_count++;
  const size_t bytes = count * element;
  assert_true(i < OPERANDS && bytes <= ROOM);
  char *at = rooms[i] + (at_end ? ROOM - bytes : 0);
  memset(at, 0x3c, bytes);
#if defined(__SANITIZE_ADDRESS__)
  if (i == forbidden) __asan_poison_memory_region(at + bytes - element, element);
#endif
  return at;
}
static float *floats(size_t n) { return operand(n, sizeof(float)); }

/* ---- each kernel, with sizes that follow from n ---------------------------------------------- */

typedef struct Set {
  const char *name;
  const Kernels *k;
  const PairKernels *pairs; /* or NULL */
} Set;

static void run_sized_product(const Set *s, void (*gemm)(const GemmArgs *), Dtype type, size_t n,
                              size_t rows, size_t depth) {
  const size_t tile = (size_t)s->k->tile_columns, element = type == DTYPE_F32 ? 4 : 2;
  const GemmArgs g = {.a = floats(rows * depth),
                      .lda = depth,
                      .rows = (int)rows,
                      .columns = (int)n,
                      .depth = (int)depth,
                      .b = operand((n + tile - 1) / tile * tile * depth, element),
                      .panel_stride = tile * depth * element,
                      .type = type,
                      .c = floats(rows * n),
                      .ldc = n,
                      .add = n % 2 ? floats(rows * n) : NULL,
                      .ld_add = n,
                      .bias = n % 2 ? floats(n) : NULL};
  gemm(&g);
}
static void run_product(const Set *s, void (*gemm)(const GemmArgs *), Dtype type, size_t n) {
  run_sized_product(s, gemm, type, n, 1 + n % 13, 1 + n % 5);
}
/* rows and depths that take several steps, in which sums wait */
static void run_gemm_deep(const Set *s, size_t n) {
  if (n % 7 == 5) run_sized_product(s, s->k->gemm, DTYPE_F32, n, 40 + n % 33, 250 + n % 300);
}
static void run_pairs_deep(const Set *s, size_t n) {
  if (n % 7 == 5 && s->pairs)
    run_sized_product(s, s->pairs->gemm, DTYPE_F32, n, 40 + n % 33, 250 + n % 300);
}
static void run_gemm_f32(const Set *s, size_t n) { run_product(s, s->k->gemm, DTYPE_F32, n); }
static void run_gemm_f16(const Set *s, size_t n) { run_product(s, s->k->gemm, DTYPE_F16, n); }
static void run_gemm_bf16(const Set *s, size_t n) { run_product(s, s->k->gemm, DTYPE_BF16, n); }
static void run_gemm_pairs(const Set *s, size_t n) {
  if (s->pairs) run_product(s, s->pairs->gemm, DTYPE_F32, n);
}
static void run_spin(const Set *s, size_t n) {
  (void)n;
  s->k->spin(1, floats((size_t)s->k->lanes));
  if (s->pairs) s->pairs->spin(1, floats((size_t)s->k->lanes));
}

/* A panel of a type that n chooses. */
static void *panel(const Set *s, size_t n, Dtype *type, int *values) {
  *type = (Dtype)(DTYPE_Q4_0 + n % (DTYPE_COUNT - DTYPE_Q4_0));
  const QuantisedFormat *f = quantised_format(*type);
  *values = f->block * (1 + (int)n % 2);
  return operand((1 + n % 2) * quantised_block_bytes(f, s->k->tile_columns), 1);
}
static void run_expand(const Set *s, size_t n) {
  Dtype type;
  int values;
  const void *from = panel(s, n, &type, &values);
  s->k->expand(type, floats((size_t)(values * s->k->tile_columns)), from, values);
}
static void run_stream(const Set *s, size_t n) {
  const size_t rows = 1 + n % 9, columns = (size_t)s->k->tile_columns;
  StreamArgs g = {.rows = (int)rows, .sums = floats(rows * STREAM_PANELS * columns)};
  for (int p = 0; p < STREAM_PANELS; p++) g.panels[p] = panel(s, n, &g.type, &g.values);
  g.ldx = (size_t)g.values;
  g.x = floats(rows * g.ldx);
  s->k->stream(&g);
}

static void run_round(const Set *s, size_t n) { s->k->round_bf16(floats(n), floats(n), n); }
static void run_narrow(const Set *s, size_t n) { s->k->narrow(operand(n, 2), floats(n), n); }
static void run_widen(const Set *s, size_t n) {
  const Dtype type = n % 3 == 0 ? DTYPE_F32 : n % 3 == 1 ? DTYPE_F16 : DTYPE_BF16;
  s->k->widen(floats(n), operand(n, type == DTYPE_F32 ? 4 : 2), type, n);
}
static void run_norm(const Set *s, size_t n) {
  s->k->norm(floats(n), floats(n), floats(n), n, 1e-5f);
}
static void run_layer_norm(const Set *s, size_t n) {
  s->k->layer_norm(floats(n), floats(n), floats(n), n % 2 ? floats(n) : NULL, n, 1e-5f);
}
static void run_rope(const Set *s, size_t n) {
  const size_t heads = 1 + n % 3;
  s->k->rope(floats((heads - 1) * (2 * n + 3) + 2 * n), (int)heads, (int)(2 * n + 3), (int)(2 * n),
             floats(2 * n));
}
static void run_rope_pairs(const Set *s, size_t n) {
  const size_t heads = 1 + n % 3;
  s->k->rope_pairs(floats((heads - 1) * (2 * n + 3) + 2 * n), (int)heads, (int)(2 * n + 3),
                   (int)(2 * n), floats(2 * n));
}
static void run_activation(const Set *s, Activation act, size_t n) {
  static const XieluNumbers numbers = {.positive = 1, .negative = 1, .beta = 0.5f, .eps = -1e-6f};
  s->k->activate(act, &numbers, floats(n), floats(n), n % 2 ? floats(n) : NULL, n);
}
static void run_silu(const Set *s, size_t n) { run_activation(s, ACTIVATION_SILU, n); }
static void run_tanh(const Set *s, size_t n) { run_activation(s, ACTIVATION_GELU_TANH, n); }
static void run_gelu(const Set *s, size_t n) { run_activation(s, ACTIVATION_GELU, n); }
static void run_xielu(const Set *s, size_t n) { run_activation(s, ACTIVATION_XIELU, n); }
static void run_scale(const Set *s, size_t n) {
  s->k->scale(floats(n), n, 2, n % 2 ? 30.0f : 0.0f);
}
static void run_add(const Set *s, size_t n) { s->k->add(floats(n), floats(n), n); }
static void run_mix(const Set *s, size_t n) { s->k->mix(floats(n), floats(n), n, 0.5f, 0.5f); }
static void run_bend(const Set *s, size_t n) { s->k->bend(floats(n), (int)n, 1, 30, 0.5f, 7); }
static void run_softmax(const Set *s, size_t n) {
  s->k->softmax(floats(n), (int)n, (int)(n / 3), (int)(n - n / 5), 0.5f, floats(1), floats(1));
}
static void run_tail(const Set *s, size_t n) {
  const size_t heads = 1 + n % 3, count = 1 + n % 70;
  int32_t *slots = operand(count, sizeof *slots);
  const TailArgs t = {.q = floats(heads * n),
                      .heads = (int)heads,
                      .head_dim = (int)n,
                      .keys = floats(count * 2 * n),
                      .slot_stride = 2 * n,
                      .value_offset = n,
                      .slots = slots,
                      .count = (int)count,
                      .scale = 0.5f,
                      .slopes = n % 2 ? floats(heads) : NULL,
                      .out = floats(heads * n),
                      .largest = floats(heads),
                      .sum = floats(heads)};
  for (size_t i = 0; i < count - (forbidden == 0); i++) slots[i] = (int32_t)(count - 1 - i);
  s->k->tail(&t);
}
static void run_merge(const Set *s, size_t n) {
  s->k->merge(floats(n), floats(n), 0.5f, n % 2 ? floats(n) : NULL, 0.5f, 2, n);
}
static void run_choose(const Set *s, size_t n) {
  s->k->choose(floats(n), (int32_t)n, n % 2, operand(sizeof(ChosenToken) / 4, 4));
}
static void run_diverge(const Set *s, size_t n) {
  s->k->diverge(floats(n), floats(n), floats(n), 1, n);
}
static void run_dot(const Set *s, size_t n) { s->k->dot(floats(n), floats(n), n); }
static void run_norm_back(const Set *s, size_t n) {
  s->k->norm_back(floats(n), floats(n), floats(n), floats(n), n, 1e-5f);
}
static void run_activate_back(const Set *s, size_t n) {
  s->k->activate_back(n % 2 ? ACTIVATION_SILU : ACTIVATION_GELU_TANH, floats(n), floats(n),
                      floats(n), floats(n), floats(n), n);
}
static void run_softmax_back(const Set *s, size_t n) {
  s->k->softmax_back(floats(n), floats(n), 0.5f, 2, n);
}
static void run_scale_by(const Set *s, size_t n) { s->k->scale_by(floats(n), n, 2); }
static void run_add_scaled(const Set *s, size_t n) { s->k->add_scaled(floats(n), floats(n), n, 2); }
static void run_cross_entropy(const Set *s, size_t n) {
  s->k->cross_entropy(floats(n), (int32_t)n, (int32_t)n / 2);
}
static void run_sum_squares(const Set *s, size_t n) { s->k->sum_squares(floats(n), n); }
static void run_adamw(const Set *s, size_t n) {
  const AdamArgs a = {.w = floats(n),
                      .m = floats(n),
                      .v = floats(n),
                      .g = floats(n),
                      .n = n,
                      .factor = 1,
                      .beta1 = 0.9f,
                      .beta2 = 0.99f,
                      .keep = 1,
                      .step = 0.1f,
                      .root = 1,
                      .eps = 1e-8f};
  s->k->adamw(&a);
}
static void run_transpose(const Set *s, size_t n) {
  const size_t columns = 1 + n % 19;
  s->k->transpose(floats(n * columns), n, floats(n * columns), columns, (int)n, (int)columns);
}

#define CASE(name) \
  { #name, run_##name }
static const struct {
  const char *name;
  void (*run)(const Set *, size_t n);
} cases[] = {CASE(gemm_f32),     CASE(gemm_f16),   CASE(gemm_bf16),  CASE(gemm_pairs),
             CASE(gemm_deep),    CASE(pairs_deep), CASE(spin),       CASE(expand),
             CASE(stream),       CASE(round),      CASE(narrow),     CASE(widen),
             CASE(norm),         CASE(layer_norm), CASE(rope),       CASE(rope_pairs),
             CASE(silu),         CASE(tanh),       CASE(gelu),       CASE(xielu),
             CASE(scale),        CASE(add),        CASE(mix),        CASE(bend),
             CASE(softmax),      CASE(tail),       CASE(merge),      CASE(choose),
             CASE(diverge),      CASE(dot),        CASE(norm_back),  CASE(activate_back),
             CASE(softmax_back), CASE(scale_by),   CASE(add_scaled), CASE(cross_entropy),
             CASE(sum_squares),  CASE(adamw),      CASE(transpose)};
#define CASES (sizeof cases / sizeof *cases)

/* ---- the tests ------------------------------------------------------------------------------- */

static sigjmp_buf before;
static void go_back(int signal_number) { siglongjmp(before, signal_number); }

/* False: this processor or build lacks the set. */
static bool open_set(const char *name, Backend **b, Set *out) {
  *b = backend_or_null(name, 1, XT_COMPUTE_BF16);
  if (!*b) return false;
  *out = (Set){name, cpu_of(*b)->kernels, cpu_of(*b)->pairs};
  return out->k;
}

static void run_case(const Set *s, size_t c, size_t n) {
  operand_count = 0;
  if (sigsetjmp(before, 1))
    fail_msg("%s %s of %zu: touches what lies %s its operands", s->name, cases[c].name, n,
             at_end ? "behind" : "before");
  cases[c].run(s, n);
}

static void test_nothing_beside(void **state) {
  (void)state;
  const struct sigaction action = {.sa_handler = go_back};
  struct sigaction old[2];
  sigaction(SIGSEGV, &action, &old[0]);
  sigaction(SIGBUS, &action, &old[1]);
  for (size_t set = 0; set < KERNEL_SETS; set++) {
    Backend *b;
    Set s;
    if (open_set(kernel_sets[set], &b, &s))
      for (int end = 0; end < 2; end++)
        for (size_t c = 0; c < CASES; c++)
          for (size_t n = 1; n <= 150; n++) {
            at_end = end;
            run_case(&s, c, n);
          }
    if (b) b->ops->destroy(b);
  }
  sigaction(SIGSEGV, &old[0], NULL);
  sigaction(SIGBUS, &old[1], NULL);
}

#if defined(__SANITIZE_ADDRESS__)
/* In a process of its own, which is to end where the sanitizer finds the operand. */
static void expect_found(const Set *s, size_t c, size_t n) {
  int status;
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    close(STDERR_FILENO); /* its report is not for those who read this test's */
    in_child = true;
    operand_count = 0;
    cases[c].run(s, n);
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != FOUND)
    fail_msg("%s %s of %zu: nothing is said of operand %d of %d", s->name, cases[c].name, n,
             forbidden, operand_count);
}
#endif

static void test_operands_are_checked(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__)
  at_end = true;
  for (size_t set = 0; set < KERNEL_SETS; set++) {
    Backend *b;
    Set s;
    if (open_set(kernel_sets[set], &b, &s))
      for (size_t c = 0; c < CASES; c++) {
        const size_t n = 33;
        operand_count = 0;
        cases[c].run(&s, n);
        const int count = operand_count;
        for (forbidden = 0; forbidden < count; forbidden++) expect_found(&s, c, n);
        forbidden = -1;
      }
    if (b) b->ops->destroy(b);
  }
#else
  printf("# needs the address sanitizer\n");
  skip();
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_beside),
                                     cmocka_unit_test(test_operands_are_checked)};
  return cmocka_run_group_tests_name("kernel operands", tests, make_rooms, NULL);
}
