/* SPDX-License-Identifier: Apache-2.0 */
/* Language identification: the fasttext package's answers with our own tiny models
 * (tools/make_langid_fixtures.py); every way a model file can be cut short or damaged. */
#include <unistd.h>

#include "langid_goldens.h"
#include "text/langid_model.h"

#define NEEDS_FASTTEXT()                                              \
  do {                                                                \
    if (!langid_model_built()) {                                      \
      print_message("# needs a build with fastText (XT_FASTTEXT)\n"); \
      skip();                                                         \
    }                                                                 \
  } while (0)

#define TINY XT_SOURCE_DIR "/tests/data/langid/tiny."

static void test_tiny(void **state) {
  (void)state;
  NEEDS_FASTTEXT();
  static const char *const kinds[] = {"bin", "ftz"};
  json_t *cases = goldens("tiny", 40), *one;
  size_t i;
  for (size_t k = 0; k < 2; k++) {
    xt_error error;
    xt_langid *langid;
    char path[600];
    snprintf(path, sizeof path, "%s%s", TINY, kinds[k]);
    ASSERT_OK(xt_langid_open(path, &langid, &error));
    assert_int_equal(strlen(xt_langid_hash(langid)), 64);
    json_array_foreach(cases, i, one) check_answer(
        langid, json_string_value(json_object_get(one, "text")), json_object_get(one, kinds[k]));
    xt_langid_close(langid);
  }
  json_decref(cases);
}

/* ---- damaged files --------------------------------------------------------------------------- */

typedef struct Bytes {
  unsigned char *data;
  size_t size;
} Bytes;

static Bytes read_bytes(const char *kind) {
  char path[600];
  Bytes b = {malloc(1 << 20), 0};
  snprintf(path, sizeof path, "%s%s", TINY, kind);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  b.size = fread(b.data, 1, 1 << 20, file);
  fclose(file);
  return b;
}

/* Opens the bytes as a file; where that works, asks it. */
static xt_status try_bytes(const Bytes *b, xt_error *error) {
  char path[] = "/tmp/xt-langid-XXXXXX";
  xt_langid *langid;
  const int fd = mkstemp(path);
  assert_true(fd >= 0 && write(fd, b->data, b->size) == (ssize_t)b->size);
  close(fd);
  *error = (xt_error){0};
  const xt_status status = xt_langid_open(path, &langid, error);
  if (!status) {
    char lang[XT_LANGUAGE_SIZE];
    double probability;
    xt_langid_identify(langid, "house tree nyumba maji", 22, lang, &probability, error);
    xt_langid_close(langid);
  } else {
    assert_null(langid);
    assert_string_equal(error->file, path);
    assert_true(error->message[0]);
  }
  unlink(path);
  return status;
}

static void test_cut_short(void **state) {
  (void)state;
  NEEDS_FASTTEXT();
  static const char *const kinds[] = {"bin", "ftz"};
  for (size_t k = 0; k < 2; k++) {
    Bytes b = read_bytes(kinds[k]);
    const size_t whole = b.size;
    xt_error error;
    for (b.size = 0; b.size < whole; b.size += b.size < 2500 ? 1 : 97) {
      assert_int_equal(try_bytes(&b, &error), XT_STATUS_INPUT);
      if (b.size >= 4) assert_true(error.offset >= 0 && (size_t)error.offset <= b.size);
    }
    b.size = whole;
    assert_int_equal(try_bytes(&b, &error), XT_STATUS_OK);
    free(b.data);
  }
}

/* Each byte set to each of some values: refused or answered, nothing worse (the sanitizers
 * watch). */
static void test_damaged(void **state) {
  (void)state;
  NEEDS_FASTTEXT();
  static const char *const kinds[] = {"bin", "ftz"};
  static const unsigned char values[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
  for (size_t k = 0; k < 2; k++) {
    Bytes b = read_bytes(kinds[k]);
    xt_error error;
    size_t refused = 0;
    for (size_t at = 0; at < b.size; at += at < 600 ? 1 : getenv("XT_TEST_BRIEF") ? 37 : 5)
      for (size_t v = 0; v < sizeof values; v++) {
        const unsigned char before = b.data[at];
        if (before == values[v]) continue;
        b.data[at] = values[v];
        refused += try_bytes(&b, &error) != XT_STATUS_OK;
        b.data[at] = before;
      }
    assert_true(refused > 100);
    free(b.data);
  }
}

static void refuse(Bytes *b, size_t at, uint32_t value, const char *part) {
  xt_error error;
  uint32_t before;
  memcpy(&before, b->data + at, 4);
  memcpy(b->data + at, &value, 4);
  if (try_bytes(b, &error) == XT_STATUS_OK || !strstr(error.message, part))
    fail_msg("at %zu: '%s' does not say '%s'", at, error.message, part);
  memcpy(b->data + at, &before, 4);
}

static void test_messages(void **state) {
  (void)state;
  NEEDS_FASTTEXT();
  xt_error error;
  xt_langid *langid;
  Bytes b = read_bytes("ftz");
  refuse(&b, 0, 7, "is not a fastText model");
  refuse(&b, 4, 11, "format 11");
  refuse(&b, 8, 0, "vectors' size");
  refuse(&b, 8 + 24, 2, "its loss");
  refuse(&b, 8 + 28, 1, "word vectors");
  refuse(&b, 8 + 32, 0, "no buckets");
  refuse(&b, 64, 0x7FFFFFFF, "contradict");
  refuse(&b, 72, 0, "contradict");
  b.size = 100;
  refuse(&b, 4, 12, "the file ends here");
  free(b.data);
  assert_int_equal(xt_langid_open("/nonexistent/lid.bin", &langid, &error), XT_STATUS_IO);
  assert_int_equal(xt_langid_open("/tmp", &langid, &error), XT_STATUS_INPUT);
}

/* A build without fastText refuses every model by name. */
static void test_not_built(void **state) {
  (void)state;
  xt_error error;
  xt_langid *langid;
  if (langid_model_built()) {
    ASSERT_OK(xt_langid_open(TINY "ftz", &langid, &error));
    xt_langid_close(langid);
    return;
  }
  assert_int_equal(xt_langid_open(TINY "ftz", &langid, &error), XT_STATUS_UNSUPPORTED);
  assert_null(langid);
  assert_non_null(strstr(error.message, "has no fastText library"));
}

static void test_asked(void **state) {
  (void)state;
  assert_true(xt_language_is("zh", "zh"));
  assert_true(xt_language_is("zh", "zh-CN"));
  assert_true(xt_language_is("zh", "zh_cn"));
  assert_true(xt_language_is("no", "nb"));
  assert_true(xt_language_is("tl", "fil"));
  assert_false(xt_language_is("nn", "no"));
  assert_false(xt_language_is("", ""));
  assert_false(xt_language_is("en", "e"));
  assert_false(xt_language_is("e", "en"));
}

static void test_too_short(void **state) {
  (void)state;
  static const char *const shorts[] = {"",   "(1)",       "B",        "1991", "abc",
                                       "是", "  a b c  ", "\xff\xfe", "१२३४५"};
  static const char *const longs[] = {"abcd", "是的", "a b c d", "नहीं है", "예요", "yes 1 no"};
  for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
    assert_true(xt_language_too_short(shorts[i], strlen(shorts[i])));
  for (size_t i = 0; i < sizeof longs / sizeof *longs; i++)
    assert_false(xt_language_too_short(longs[i], strlen(longs[i])));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tiny),      cmocka_unit_test(test_cut_short),
      cmocka_unit_test(test_damaged),   cmocka_unit_test(test_messages),
      cmocka_unit_test(test_not_built), cmocka_unit_test(test_asked),
      cmocka_unit_test(test_too_short),
  };
  return cmocka_run_group_tests_name("langid", tests, NULL, NULL);
}
