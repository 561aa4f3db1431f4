/* SPDX-License-Identifier: Apache-2.0 */
/* Files of steering vectors: those of NumPy, repeng and safetensors (tools/make_vector_goldens.py), our
 * own, and broken ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files_support.h"
#include "xtransplant/xt.h"

#define LAYERS 3
#define WIDTH 5
#define FOLDER XT_SOURCE_DIR "/tests/golden/vectors/"

static float value_of(int layer, int c) { return (float)layer - (float)c / 4; }

static void check(const xt_vector *v, int first, bool single) {
  assert_int_equal(xt_vector_is_single(v), single);
  for (int l = 0; l < LAYERS; l++) {
    const float *value = xt_vector_get(v, l);
    if (l < first) assert_null(value);
    for (int c = 0; c < WIDTH && l >= first; c++)
      assert_true(fabsf(value[c] - value_of(single ? 2 : l, c)) <= 0);
  }
  assert_null(xt_vector_get(v, -1));
  assert_null(xt_vector_get(v, LAYERS));
}

static void test_others(void **state) {
  (void)state;
  static const struct {
    const char *file, *name;
    int first;
    bool single;
  } cases[] = {{"v1-f4.npy", NULL, 0, false},   {"v2-f8.npy", NULL, 0, false},
               {"v3-f2.npy", NULL, 0, false},   {"one.npy", NULL, 0, true},
               {"repeng.gguf", NULL, 1, false}, {"two.safetensors", "a", 0, false}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    char path[512];
    xt_vector *v;
    xt_error error;
    snprintf(path, sizeof path, FOLDER "%s", cases[k].file);
    ASSERT_OK(xt_vector_open(path, cases[k].name, LAYERS, WIDTH, &v, &error));
    check(v, cases[k].first, cases[k].single);
    xt_vector_free(v);
  }
}

static void test_own(void **state) {
  (void)state;
  static const char *const names[] = {"own.npy", "own.gguf", "own.safetensors"};
  const Folder folder = folder_make();
  float values[LAYERS][WIDTH];
  for (int l = 0; l < LAYERS; l++)
    for (int c = 0; c < WIDTH; c++) values[l][c] = value_of(l, c);
  for (size_t k = 0; k < 3; k++) {
    xt_vector *v;
    xt_error error;
    char path[400];
    folder_file(&folder, names[k], path, sizeof path);
    ASSERT_OK(xt_vector_save(path, values[0], LAYERS, WIDTH, "llama", &error));
    ASSERT_OK(xt_vector_open(path, NULL, LAYERS, WIDTH, &v, &error));
    check(v, k == 1, false);
    xt_vector_free(v);
  }
  folder_remove(&folder);
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *file, *name;
    int layers, width;
    const char *message;
  } cases[] = {
      {"fortran.npy", NULL, LAYERS, WIDTH, "C order"},
      {"big.npy", NULL, LAYERS, WIDTH, "'>f4'"},
      {"whole.npy", NULL, LAYERS, WIDTH, "'<i4'"},
      {"v1-f4.npy", NULL, LAYERS, WIDTH + 1, "[3, 5]; this model's vectors are [6], or [3, 6]"},
      {"v1-f4.npy", NULL, LAYERS + 1, WIDTH, "[4, 5]"},
      {"v1-f4.npy", "a", LAYERS, WIDTH, "without a name"},
      {"repeng.gguf", NULL, LAYERS - 1, WIDTH, "N below 2"},
      {"repeng.gguf", NULL, LAYERS, WIDTH + 1, "this model's vectors are [6]"},
      {"two.safetensors", NULL, LAYERS, WIDTH, "holds 2 tensors"},
      {"two.safetensors", "c", LAYERS, WIDTH, "no tensor 'c'; it has a, b"},
      {"two.safetensors", "b", LAYERS, WIDTH - 1, "[5]"},
      {"none.npy", NULL, LAYERS, WIDTH, "cannot open"}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    char path[512];
    xt_vector *v;
    xt_error error;
    snprintf(path, sizeof path, FOLDER "%s", cases[k].file);
    assert_int_not_equal(
        xt_vector_open(path, cases[k].name, cases[k].layers, cases[k].width, &v, &error),
        XT_STATUS_OK);
    assert_null(v);
    if (!strstr(error.message, cases[k].message)) fail_msg("%s: %s", cases[k].file, error.message);
    assert_string_equal(error.file, path);
  }
}

/* One array of NumPy's with this header and so many bytes behind it. */
static xt_status open_made(const Folder *folder, const char *header, int major, size_t length,
                           size_t bytes, xt_error *error) {
  uint8_t data[512] = "\x93NUMPY";
  size_t at = 6;
  xt_vector *v;
  char path[400];
  data[at++] = (uint8_t)major;
  data[at++] = 0;
  for (int k = 0; k < (major == 1 ? 2 : 4); k++) data[at++] = (uint8_t)(length >> 8 * k);
  memcpy(data + at, header, strlen(header));
  folder_write(folder, "made.npy", data, at + strlen(header) + bytes);
  folder_file(folder, "made.npy", path, sizeof path);
  const xt_status status = xt_vector_open(path, NULL, LAYERS, WIDTH, &v, error);
  xt_vector_free(v);
  return status;
}

#define DICTIONARY(shape) "{'descr': '<f4', 'fortran_order': False, 'shape': " shape ", }\n"

static void test_npy(void **state) {
  (void)state;
  const Folder folder = folder_make();
  xt_error error;
  const char *const good[] = {DICTIONARY("(5,)"), DICTIONARY("(5)"),
                              "{\"shape\":(5,),'fortran_order':False,\"descr\":'<f4'}"};
  for (size_t k = 0; k < sizeof good / sizeof *good; k++)
    for (int major = 1; major <= 3; major++)
      ASSERT_OK(open_made(&folder, good[k], major, strlen(good[k]), 20, &error));
  static const struct {
    const char *header;
    int major;
    int length; /* 0: the header's */
    size_t bytes;
    const char *message;
  } bad[] = {
      {DICTIONARY("(5,)"), 1, 0, 19, "19 bytes"},
      {DICTIONARY("(5,)"), 1, 0, 24, "24 bytes"},
      {DICTIONARY("(5,)"), 4, 0, 20, "version 4"},
      {DICTIONARY("(5,)"), 0, 0, 20, "version 0"},
      {DICTIONARY("(5,)"), 1, 9999, 20, "length"},
      {DICTIONARY("(5,)"), 2, 30, 54, "no key"},
      {DICTIONARY("(5,-1)"), 1, 0, 20, "whole numbers"},
      {DICTIONARY("(5"), 1, 0, 20, "whole numbers"},
      {DICTIONARY("5"), 1, 0, 20, "tuple"},
      {DICTIONARY("(99999999999999999999,)"), 1, 0, 20, "too large"},
      {DICTIONARY("(4611686018427387904, 4)"), 1, 0, 20, "does not fit"},
      {DICTIONARY("(1,1,1,1,1,1,1,1,1)"), 1, 0, 4, "dimensions"},
      {DICTIONARY("(5,), 'shape': (5,)"), 1, 0, 20, "the key 'shape'"},
      {DICTIONARY("(5,)") "x", 1, 0, 20, "goes on"},
      {"{'descr': '<f4', 'shape': (5,)}", 1, 0, 20, "lacks fortran_order"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (5,)}", 1, 0, 20, "plain type"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (5,)}", 1, 0, 20, "neither"},
      {"[]", 1, 0, 20, "dictionary"}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    const size_t length = bad[k].length ? (size_t)bad[k].length : strlen(bad[k].header);
    assert_int_not_equal(
        open_made(&folder, bad[k].header, bad[k].major, length, bad[k].bytes, &error),
        XT_STATUS_OK);
    if (!strstr(error.message, bad[k].message) && !strstr(error.field, bad[k].message))
      fail_msg("%s: %s: %s", bad[k].header, error.field, error.message);
  }
  folder_remove(&folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_others), cmocka_unit_test(test_own),
                                     cmocka_unit_test(test_refused), cmocka_unit_test(test_npy)};
  return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
