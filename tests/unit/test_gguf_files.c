/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files: values, tensors, split files, damaged ones. */
#include "gguf_support.h"

/* A file with one value of each kind and two tensors. */
static GgufPart small_file(void) {
  static const float row[4] = {1, 2, 3, 4};
  static const char *const texts[] = {"one", "", "three"};
  uint8_t block[34] = {0, 0x3c, 1, 2, 255}; /* scale 1: 1, 2, -1, 0.. */
  GgufBytes b = {.architecture = "llama"};
  gguf_put_int(&b, "block_count", 7);
  gguf_put_real(&b, "rope.freq_base", 10000);
  gguf_put_text(&b, "name", "a name");
  gguf_put_texts(&b, "texts", texts, 3);
  gguf_put_key(&b, "flag", true, GGUF_BOOL);
  gguf_number(&b.keys, 1, 1);
  gguf_put_key(&b, "negative", true, GGUF_I16);
  gguf_number(&b.keys, (uint64_t)-5, 2);
  gguf_put_key(&b, "double", true, GGUF_F64);
  gguf_number(&b.keys, 0x3ff8000000000000u, 8);
  gguf_add_tensor(&b, "floats", 0, 2, (const int64_t[]){2, 2}, row, sizeof row);
  gguf_add_tensor(&b, "bytes", 8, 2, (const int64_t[]){1, 32}, block, sizeof block);
  return gguf_whole(&b);
}

static void values_of_every_kind(void **state) {
  (void)state;
  const Folder folder = folder_make();
  GgufPart file = small_file();
  char path[200];
  FileMap map;
  Gguf gguf;
  xt_error error;
  folder_write(&folder, "a.gguf", file.data, file.size);
  assert_true(gguf_is_file(folder_file(&folder, "a.gguf", path, sizeof path)));
  ASSERT_OK(file_map_open(path, &map, &error));
  ASSERT_OK(gguf_read(&map, &gguf, &error));
  int64_t whole = 0;
  double real = 0;
  bool flag = false;
  char *text;
  const GgufValue *texts;
  ASSERT_OK(gguf_int(&gguf, "llama.block_count", 0, 100, &whole, &error));
  assert_int_equal(whole, 7);
  ASSERT_OK(gguf_int(&gguf, "negative", -10, 0, &whole, &error));
  assert_int_equal(whole, -5);
  ASSERT_OK(gguf_int(&gguf, "absent", 0, 1, &whole, &error));
  assert_int_equal(whole, -5);
  ASSERT_OK(gguf_real(&gguf, "llama.rope.freq_base", &real, &error));
  assert_true(real == 10000);
  ASSERT_OK(gguf_real(&gguf, "double", &real, &error));
  assert_true(real == 1.5);
  ASSERT_OK(gguf_bool(&gguf, "flag", &flag, &error));
  assert_true(flag);
  ASSERT_OK(gguf_text(&gguf, "llama.name", &text, &error));
  assert_string_equal(text, "a name");
  free(text);
  ASSERT_OK(gguf_array(&gguf, "texts", GGUF_STRING, &texts, &error));
  assert_int_equal(texts->count, 3);
  size_t at = texts->at, length;
  assert_memory_equal(gguf_next_text(&gguf, &at, &length), "one", 3);
  (void)gguf_next_text(&gguf, &at, &length);
  assert_int_equal(length, 0);
  assert_memory_equal(gguf_next_text(&gguf, &at, &length), "three", 5);
  assert_int_equal(gguf_int(&gguf, "flag", 0, 1, &whole, &error), XT_STATUS_INPUT);
  assert_int_equal(gguf_int(&gguf, "llama.block_count", 0, 6, &whole, &error), XT_STATUS_INPUT);
  assert_int_equal(gguf_real(&gguf, "negative", &real, &error), XT_STATUS_INPUT);
  assert_int_equal(gguf_text(&gguf, "texts", &text, &error), XT_STATUS_INPUT);
  assert_int_equal(gguf_array(&gguf, "texts", GGUF_F32, &texts, &error), XT_STATUS_INPUT);
  gguf_free(&gguf);
  file_map_close(&map);
  free(file.data);
  folder_remove(&folder);
}

static void tensors_have_rows_first(void **state) {
  (void)state;
  const Folder folder = folder_make();
  GgufPart file = small_file();
  char path[200];
  Checkpoint *checkpoint;
  xt_error error;
  float values[32];
  folder_write(&folder, "a.gguf", file.data, file.size);
  ASSERT_OK(
      checkpoint_open(folder_file(&folder, "a.gguf", path, sizeof path), &checkpoint, &error));
  assert_string_equal(checkpoint_format(checkpoint), "GGUF");
  assert_int_equal(checkpoint_count(checkpoint), 2);
  const Tensor *t = checkpoint_find(checkpoint, "bytes");
  assert_int_equal(t->dtype, DTYPE_Q8_0);
  assert_int_equal(t->shape[0], 1);
  assert_int_equal(t->shape[1], 32);
  assert_int_equal(t->bytes, 34);
  dtype_widen(t->dtype, t->data, 32, values);
  assert_true(values[0] == 1 && values[1] == 2 && values[2] == -1 && values[3] == 0);
  checkpoint_close(checkpoint);
  free(file.data);
  folder_remove(&folder);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static xt_status open_bytes(const Folder *folder, const void *data, size_t size, xt_error *error) {
  char path[200];
  Checkpoint *checkpoint = NULL;
  folder_write(folder, "a.gguf", data, size);
  const xt_status status =
      checkpoint_open(folder_file(folder, "a.gguf", path, sizeof path), &checkpoint, error);
  assert_int_equal(status == XT_STATUS_OK, checkpoint != NULL);
  checkpoint_close(checkpoint);
  return status;
}

/* Every length but the whole is an error with a message. */
static void cut_short_anywhere(void **state) {
  (void)state;
  const Folder folder = folder_make();
  GgufPart file = small_file();
  xt_error error;
  assert_int_equal(open_bytes(&folder, file.data, file.size, &error), XT_STATUS_OK);
  for (size_t size = 0; size < file.size - 30; size++) { /* what pads the last tensor may be
                                                            missing */
    error.message[0] = 0;
    if (open_bytes(&folder, file.data, size, &error) != XT_STATUS_INPUT)
      fail_msg("%zu bytes: no error of input", size);
    assert_true(error.message[0] != 0);
  }
  free(file.data);
  folder_remove(&folder);
}

typedef struct Damage {
  size_t at, size;
  uint64_t value;
  xt_status status;
  const char *message;
} Damage;

static void refused(const Folder *folder, const GgufPart *file, Damage d) {
  uint8_t *copy = malloc(file->size);
  xt_error error = {0};
  assert_non_null(copy);
  memcpy(copy, file->data, file->size);
  for (size_t i = 0; i < d.size; i++) copy[d.at + i] = (uint8_t)(d.value >> (8 * i));
  const xt_status status = open_bytes(folder, copy, file->size, &error);
  if (status != d.status || !strstr(error.message, d.message))
    fail_msg("%s: got status %d, \"%s\"", d.message, (int)status, error.message);
  free(copy);
}

static size_t find_text(const GgufPart *file, const char *text) {
  for (size_t i = 0; i + strlen(text) <= file->size; i++)
    if (memcmp(file->data + i, text, strlen(text)) == 0) return i;
  fail();
  return 0;
}

static void damaged_headers(void **state) {
  (void)state;
  const Folder folder = folder_make();
  GgufPart file = small_file();
  /* dims u32, sizes u64, type u32, offset u64 */
  const size_t floats = find_text(&file, "floats") + 6, bytes = find_text(&file, "bytes") + 5;
  const size_t count = find_text(&file, "llama.block_count") + 17;
  const Damage damages[] = {
      {0, 1, 'g', XT_STATUS_INPUT, "does not begin with \"GGUF\""},
      {4, 4, 1, XT_STATUS_UNSUPPORTED, "version 1 of GGUF"},
      {4, 4, 0x03000000, XT_STATUS_UNSUPPORTED, "big-endian"},
      {8, 8, 1u << 20, XT_STATUS_INPUT, "1048576 tensors, for which it is too short"},
      {8, 8, 3, XT_STATUS_INPUT, ""},
      {16, 8, UINT64_MAX, XT_STATUS_INPUT, "values, for which it is too short"},
      {24, 8, UINT64_MAX / 2, XT_STATUS_INPUT, "a key has a length of"},
      {count, 4, 77, XT_STATUS_INPUT, "type 77, which the format does not know"},
      {count, 4, GGUF_ARRAY, XT_STATUS_INPUT, ""},
      {floats, 4, 0, XT_STATUS_INPUT, "has 0 dimensions"},
      {floats, 4, 5, XT_STATUS_INPUT, "has 5 dimensions"},
      {floats + 4, 8, 0, XT_STATUS_INPUT, "dimension 0 is 0"},
      {floats + 4, 8, INT64_MAX, XT_STATUS_INPUT, "overflows"},
      {floats + 20, 4, 16, XT_STATUS_UNSUPPORTED, "type IQ2_XXS, which is not handled"},
      {floats + 20, 4, 5000, XT_STATUS_UNSUPPORTED, "no type of ggml's"},
      {floats + 20, 4, 12, XT_STATUS_INPUT, "not whole blocks of Q4_K"},
      {floats + 24, 8, 32, XT_STATUS_INPUT, "said to begin at 32, but those before end at 0"},
      {floats + 12, 8, 1 << 20, XT_STATUS_INPUT,
       "said to begin at 32, but those before end at 8388608"},
      {bytes + 12, 8, 1 << 20, XT_STATUS_INPUT, "reach beyond the end of the file"},
      {bytes + 24, 8, UINT64_MAX, XT_STATUS_INPUT, "said to begin at"},
  };
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) refused(&folder, &file, damages[i]);
  free(file.data);
  GgufBytes twice = {.architecture = "llama"};
  gguf_put_int(&twice, "x", 1);
  gguf_put_int(&twice, "x", 1);
  file = gguf_whole(&twice);
  refused(&folder, &file, (Damage){0, 1, 'G', XT_STATUS_INPUT, "\"llama.x\" occurs twice"});
  free(file.data);
  folder_remove(&folder);
}

/* ---- split files ----------------------------------------------------------------------------- */

static void write_part(const Folder *folder, const char *file, const char *tensor, int number,
                       int count, int tensors) {
  static const float row[8] = {0};
  GgufBytes b = {.architecture = "llama"};
  gguf_put_key(&b, "split.no", true, GGUF_U16);
  gguf_number(&b.keys, (uint64_t)number, 2);
  gguf_put_key(&b, "split.count", true, GGUF_U16);
  gguf_number(&b.keys, (uint64_t)count, 2);
  gguf_put_key(&b, "split.tensors.count", true, GGUF_I32);
  gguf_number(&b.keys, (uint64_t)tensors, 4);
  gguf_add_tensor(&b, tensor, 0, 1, (const int64_t[]){8}, row, sizeof row);
  gguf_save(&b, folder, file);
}

static void split_files(void **state) {
  (void)state;
  const Folder folder = folder_make();
  char path[200];
  Checkpoint *checkpoint;
  xt_error error;
  write_part(&folder, "m-00001-of-00002.gguf", "a", 0, 2, 2);
  folder_file(&folder, "m-00001-of-00002.gguf", path, sizeof path);
  assert_int_equal(checkpoint_open(path, &checkpoint, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "the part is missing"));
  write_part(&folder, "m-00002-of-00002.gguf", "b", 1, 2, 2);
  ASSERT_OK(checkpoint_open(path, &checkpoint, &error));
  assert_int_equal(checkpoint_count(checkpoint), 2);
  assert_int_equal(checkpoint_files(checkpoint), 2);
  assert_non_null(checkpoint_find(checkpoint, "b"));
  checkpoint_close(checkpoint);
  write_part(&folder, "m-00002-of-00002.gguf", "b", 0, 2, 2);
  assert_int_equal(checkpoint_open(path, &checkpoint, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "says that it is part 1 of 2"));
  write_part(&folder, "m-00002-of-00002.gguf", "a", 1, 2, 2);
  assert_int_equal(checkpoint_open(path, &checkpoint, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "stored twice"));
  write_part(&folder, "m-00002-of-00002.gguf", "b", 1, 2, 3);
  write_part(&folder, "m-00001-of-00002.gguf", "a", 0, 2, 3);
  assert_int_equal(checkpoint_open(path, &checkpoint, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "is 3, but the parts hold 2 tensors"));
  folder_file(&folder, "m-00002-of-00002.gguf", path, sizeof path);
  assert_int_equal(checkpoint_open(path, &checkpoint, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "give the first"));
  folder_remove(&folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_of_every_kind), cmocka_unit_test(tensors_have_rows_first),
      cmocka_unit_test(cut_short_anywhere), cmocka_unit_test(damaged_headers),
      cmocka_unit_test(split_files)};
  return cmocka_run_group_tests_name("gguf files", tests, NULL, NULL);
}
