/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged weight files. Crafted ones have their exact status, field and offset written down;
 * generated ones (every truncation, every flipped bit) must end in a clean error or in views that
 * can be read. */
#include "damaged_files.h"

#define T(name, dtype, shape, from, to) \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static const struct {
  const char *header;
  size_t data;
  xt_status status;
  const char *field;
  long long offset;
  const char *text;
} headers[] = {
    {"", 0, INPUT, "", 8, "begin with '{'"},
    {" {}", 0, INPUT, "", 8, "begin with '{'"},
    {"[]", 0, INPUT, "", 8, "begin with '{'"},
    {"{}", 1, INPUT, "", 10, "1 bytes follow that belong to no tensor"},
    {"{\"a\" 1}", 0, INPUT, "", 14, "not valid JSON"},
    {"{}x", 0, INPUT, "", 11, "not valid JSON"},
    {"{" T("a", "F32", "[1]", "0", "4") "," T("a", "F32", "[1]", "0", "4") "}", 4, INPUT, "", 65,
     "duplicate"},
    {"{\"a\":3}", 0, INPUT, "a", 9, "is an integer, expected an object"},
    {"{\"a\":{}}", 0, INPUT, "a", 9, "\"dtype\" is nothing"},
    {"{\"a\":{\"dtype\":1}}", 0, INPUT, "a", 9, "\"dtype\" is an integer"},
    {"{" T("a", "F33", "[1]", "0", "4") "}", 4, INPUT, "a", 9,
     "dtype \"F33\" does not exist in the format"},
    {"{" T("a", "F8_E5M2", "[1]", "0", "1") "}", 1, UNSUPPORTED, "a", 9,
     "\"F8_E5M2\" is not handled"},
    {"{" T("a", "F32", "1", "0", "4") "}", 4, INPUT, "a", 9, "\"shape\" is an integer"},
    {"{" T("a", "F32", "[-1]", "0", "4") "}", 4, INPUT, "a", 9, "dimension 0"},
    {"{" T("a", "F32", "[1,1.0]", "0", "4") "}", 4, INPUT, "a", 9, "dimension 1"},
    {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, UNSUPPORTED, "a", 9,
     "9 dimensions"},
    {"{" T("a", "F32", "[4294967296,4294967296]", "0", "4") "}", 4, INPUT, "a", 9, "overflows"},
    {"{" T("a", "F32", "[4611686018427387904]", "0", "4") "}", 4, INPUT, "a", 9, "overflows"},
    {"{" T("a", "F32", "[9223372036854775808]", "0", "4") "}", 4, INPUT, "a", 9,
     "dimension 0 of \"shape\" is not a whole number >= 0"},
    {"{" T("a", "F32", "[1]", "0", "3") "}", 3, INPUT, "a", 9,
     "needs 4 bytes, \"data_offsets\" give 3"},
    {"{" T("a", "F32", "[1]", "0", "8") "}", 8, INPUT, "a", 9,
     "needs 4 bytes, \"data_offsets\" give 8"},
    {"{" T("a", "F32", "[1]", "4", "0") "}", 4, INPUT, "a", 9, "do not lie in the 4 bytes"},
    {"{" T("a", "F32", "[1]", "0", "4") "}", 3, INPUT, "a", 9, "do not lie in the 3 bytes"},
    {"{" T("a", "F32", "[1]", "-4", "0") "}", 4, INPUT, "a", 9, "two whole numbers"},
    {"{" T("a", "F32", "[1]", "0", "4,8") "}", 4, INPUT, "a", 9, "two whole numbers"},
    {"{" T("a", "F32", "[1]", "9223372036854775804", "9223372036854775807") "}", 4, INPUT, "a", 9,
     "do not lie"},
    {"{" T("a", "F32", "[1]", "0", "4") "}", 5, INPUT, "", 66, "1 bytes follow"},
    {"{" T("a", "F32", "[1]", "4", "8") "}", 8, INPUT, "a", 9, "leaves a hole"},
    {"{" T("a", "F32", "[1]", "0", "4") "," T("b", "F32", "[1]", "5", "9") "}", 9, INPUT, "b", 62,
     "leaves a hole"},
    {"{" T("a", "F32", "[1]", "0", "4") "," T("b", "F32", "[1]", "3", "7") "}", 7, INPUT, "b", 62,
     "overlaps \"a\""},
    {"{" T("a", "F32", "[1]", "0", "4") "," T("b", "F32", "[1]", "0", "4") "}", 4, INPUT, "b", 62,
     "overlaps"},
    {"{\"__metadata__\":[]}", 0, INPUT, "__metadata__", 9, "an array"},
    {"{\"__metadata__\":{\"n\":1}}", 0, INPUT, "__metadata__", 9, "\"n\" is an integer"},
};

static void crafted_safetensors(void **state) {
  (void)state;
  const Folder folder = folder_make();
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    size_t size;
    uint8_t *bytes = safetensors_bytes(headers[i].header, headers[i].data, &size);
    expect(&folder, "model.safetensors", bytes, size, headers[i].status, headers[i].field,
           headers[i].offset, headers[i].text);
    free(bytes);
  }
  expect(&folder, "model.safetensors", (const uint8_t *)"", 0, INPUT, "", 0,
         "the file has 0 bytes");
  expect(&folder, "model.safetensors", (const uint8_t *)"1234567", 7, INPUT, "", 0,
         "the file has 7 bytes");
  expect(&folder, "model.safetensors", (const uint8_t *)"\x03\0\0\0\0\0\0\0{}", 10, INPUT, "", 0,
         "is 3, but only 2");
  expect(&folder, "model.safetensors", (const uint8_t *)"\x01\xe1\xf5\x05\0\0\0\0{}", 10, INPUT, "",
         0, "is 100000001, at most");
  expect(&folder, "model.safetensors", (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
         INPUT, "", 0, "at most");
  folder_remove(&folder);
}

static void nesting_does_not_exhaust_the_stack(void **state) {
  (void)state;
  enum { DEPTH = 1 << 20 };
  const Folder folder = folder_make();
  uint8_t *bytes = malloc(DEPTH + 8);
  assert_non_null(bytes);
  memset(bytes, '[', DEPTH + 8);
  memcpy(bytes, "\0\0\x10\0\0\0\0\0{\"a\":", 13);
  xt_error error;
  assert_int_equal(try_file(&folder, "model.safetensors", bytes, DEPTH + 8, &error),
                   XT_STATUS_INPUT);
  free(bytes);
  folder_remove(&folder);
}

static void damaged_safetensors(void **state) {
  (void)state;
  size_t size;
  const char *header = "{\"__metadata__\":{\"k\":\"v\"}," T("w", "F32", "[2,1]", "0", "8") "," T(
      "x", "BF16", "[3]", "8", "14") "}";
  uint8_t *bytes = safetensors_bytes(header, 14, &size);
  const size_t accepted = damage("model.safetensors", bytes, size, 0, size - 14);
  assert_true(accepted < (size - 14) * 8 / 3); /* names and metadata may change; most else may
                                                  not */
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(crafted_safetensors),
                                     cmocka_unit_test(nesting_does_not_exhaust_the_stack),
                                     cmocka_unit_test(damaged_safetensors)};
  return cmocka_run_group_tests_name("broken weight files", tests, NULL, NULL);
}
