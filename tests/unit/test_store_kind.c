/* SPDX-License-Identifier: Apache-2.0 */
/* Which provenances are of the same bits in other types than float32. */
#include "support.h"

#include "store/store_parts.h"

#define PROCESSOR(kernels, rest) "{\"processor\": {\"kernels\": \"" kernels "\"" rest "}}"
#define FEATURES ", \"features\": [\"avx2\", 7, \"avx512_bf16\", \"amx_bf16\"]"

static void test_kinds(void **state) {
  (void)state;
  static const struct {
    const char *provenance, *kind;
  } cases[] = {
      {"", ""},
      {"not JSON", ""},
      {"{}", ""},
      {"{\"processor\": {\"kernels\": 5}}", ""},
      {PROCESSOR("cpu:portable", FEATURES), "cpu (float32 instructions)"},
      {PROCESSOR("cpu:neon", ""), "cpu (float32 instructions)"},
      {PROCESSOR("cpu:avx2", FEATURES), "cpu (float32 instructions)"},
      {PROCESSOR("cpu:avx512", ", \"features\": [\"avx512f\"]"), "cpu (float32 instructions)"},
      {PROCESSOR("cpu:avx512", ", \"features\": \"avx512_bf16\""), "cpu (float32 instructions)"},
      {PROCESSOR("cpu:avx512", FEATURES), "cpu (AVX512_BF16)"},
      {PROCESSOR("cpu:amx", FEATURES), "cpu (AMX)"},
      {PROCESSOR("cpu:reference", FEATURES), "cpu (reference)"},
      {PROCESSOR("cuda:3, cuBLASLt 13.1.0", ", \"device\": \"H\""), "cuda (H), cuBLASLt 13.1.0"}};
  char kind[STORE_KIND_SIZE];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    store_kind_of(cases[i].provenance, false, kind);
    assert_string_equal(kind, cases[i].kind);
    /* in float32 all of them have the same bits */
    store_kind_of(cases[i].provenance, true, kind);
    assert_string_equal(kind, cases[i].kind[0] ? STORE_KIND_EXACT : "");
  }
  store_kind_of(PROCESSOR("opencl:1", ", \"device\": \"H\", \"inexact\": \"it does not\""), true,
                kind);
  assert_string_equal(kind, "opencl (H), inexact");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds)};
  return cmocka_run_group_tests_name("store kinds", tests, NULL, NULL);
}
