/* SPDX-License-Identifier: Apache-2.0 */
/* Real GGUF models against transformers, in float32. The goldens are in XT_TEST_DATA's folder
 * (goldens/real), the models in that of XT_TEST_MODELS. */
#include <unistd.h>

#include "gguf_cases.h"
#include "released.h"

static char *model_path(const char *file) {
  static char path[1200];
  const char *folder = getenv("XT_TEST_MODELS");
  if (!folder || !folder[0]) return NULL;
  snprintf(path, sizeof path, "%s/%s", folder, file);
  return access(path, R_OK) == 0 ? path : NULL;
}

static void check_model(const char *golden, const char *file) {
  NEEDS_RELEASED(golden);
  const char *path = model_path(file);
  if (!path) {
    print_message("# needs XT_TEST_MODELS: a folder with %s\n", file);
    skip();
  }
  cases_check(released_path(golden), path, NULL);
}

static void smollm2(void **state) {
  (void)state;
  check_model("goldens/real/SmolLM2-135M-Instruct.Q4_1.json", "SmolLM2-135M-Instruct.Q4_1.gguf");
}
static void gemma3(void **state) {
  (void)state;
  check_model("goldens/real/gemma-3-270m-q4_k_m.json", "gemma-3-270m-q4_k_m.gguf");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(smollm2), cmocka_unit_test(gemma3)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
