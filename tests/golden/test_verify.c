/* SPDX-License-Identifier: Apache-2.0 */
/* Every model of tests/golden/models against its dumps from Hugging Face transformers. */
#include <dirent.h>

#include "support.h"
#include "xtransplant/xt.h"

#define MODELS XT_SOURCE_DIR "/tests/golden/models"

static void print_failure(void *user, const xt_verify_row *row) {
  int *rows = user;
  (*rows)++;
  if (!row->pass)
    print_error("%s: largest difference %g, scale %g\n", row->name, row->largest, row->scale);
}

static void verify_model(const char *name, const xt_model_options *options) {
  xt_error error;
  xt_model *model;
  xt_session *session;
  char path[512];
  bool passed;
  int rows = 0;
  snprintf(path, sizeof path, "%s/%s", MODELS, name);
  ASSERT_OK(xt_model_open(path, options, &model, &error));
  ASSERT_OK(xt_session_create(model, &session, &error));
  ASSERT_OK(xt_session_verify(session, path, print_failure, &rows, &passed, &error));
  if (!passed) print_error("%s does not agree\n", name);
  assert_true(passed);
  assert_true(rows > 10);
  xt_session_free(session);
  xt_model_close(model);
}

static void verify_all(const xt_model_options *options) {
  DIR *folder = opendir(MODELS);
  int count = 0;
  assert_non_null(folder);
  for (const struct dirent *entry; (entry = readdir(folder));)
    if (entry->d_name[0] != '.') {
      verify_model(entry->d_name, options);
      count++;
    }
  closedir(folder);
  assert_true(count >= 8);
}

static void test_goldens(void **state) {
  (void)state;
  verify_all(NULL);
}

/* The plain loops are an oracle of their own: they must agree too. */
static void test_goldens_reference_kernels(void **state) {
  (void)state;
  if (getenv("XT_TEST_BRIEF")) skip();
  verify_all(&(xt_model_options){.cpu_kernels = "reference"});
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens),
                                     cmocka_unit_test(test_goldens_reference_kernels)};
  return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
