/* SPDX-License-Identifier: Apache-2.0 */
#include "files/safetensors_writer.h"
#include "files_support.h"

static void write_two(const char *path) {
  xt_error error;
  SafetensorsWriter *writer;
  const float a[6] = {0, 1, 2, 3, 4, 5};
  const uint16_t b[3] = {1, 2, 3};
  ASSERT_OK(safetensors_writer_open(path, &writer, &error));
  ASSERT_OK(safetensors_writer_metadata(writer, "format", "pt", &error));
  ASSERT_OK(safetensors_writer_declare(writer, "b", DTYPE_BF16, 1, (const int64_t[]){3}, &error));
  ASSERT_OK(safetensors_writer_declare(writer, "a \"quoted\" \xc3\xa9", DTYPE_F32, 2,
                                       (const int64_t[]){2, 3}, &error));
  ASSERT_OK(safetensors_writer_declare(writer, "scalar", DTYPE_U8, 0, NULL, &error));
  ASSERT_OK(safetensors_writer_declare(writer, "none", DTYPE_I64, 1, (const int64_t[]){0}, &error));
  ASSERT_OK(safetensors_writer_data(writer, b, 5, &error)); /* pieces need not end with a tensor */
  ASSERT_OK(safetensors_writer_data(writer, (const char *)b + 5, 1, &error));
  ASSERT_OK(safetensors_writer_data(writer, a, sizeof a, &error));
  ASSERT_OK(safetensors_writer_data(writer, "\x2a", 1, &error));
  ASSERT_OK(safetensors_writer_commit(writer, &error));
}

static void what_is_written_is_read(void **state) {
  (void)state;
  const Folder folder = folder_make();
  char path[100];
  xt_error error;
  Checkpoint *checkpoint;
  write_two(folder_file(&folder, "model.safetensors", path, sizeof path));
  assert_int_equal(chmod(path, 0400), 0);
  ASSERT_OK(checkpoint_open(folder.path, &checkpoint, &error));
  assert_int_equal(checkpoint_count(checkpoint), 4);
  assert_string_equal(checkpoint_format(checkpoint), "safetensors");
  assert_string_equal(checkpoint_metadata(checkpoint, "format"), "pt");
  assert_null(checkpoint_metadata(checkpoint, "absent"));
  const Tensor *a = checkpoint_find(checkpoint, "a \"quoted\" \xc3\xa9");
  assert_non_null(a);
  assert_int_equal(a->dtype, DTYPE_F32);
  assert_int_equal(a->dims, 2);
  assert_int_equal(a->shape[0], 2);
  assert_int_equal(a->shape[1], 3);
  float values[6];
  memcpy(values, a->data, sizeof values);
  for (int i = 0; i < 6; i++) assert_true(values[i] == (float)i);
  assert_int_equal(checkpoint_find(checkpoint, "scalar")->dims, 0);
  assert_int_equal(*(const uint8_t *)checkpoint_find(checkpoint, "scalar")->data, 42);
  assert_int_equal(checkpoint_find(checkpoint, "none")->bytes, 0);
  const Tensor *b = checkpoint_find(checkpoint, "b");
  assert_int_equal(tensor_offset(b) % 8, 0); /* the header was padded */
  assert_null(checkpoint_find(checkpoint, "c"));
  assert_null(checkpoint_get(checkpoint, 4));
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(checkpoint_file_bytes(checkpoint), info.st_size);
  checkpoint_touch(checkpoint);
  checkpoint_close(checkpoint);
  ASSERT_OK(checkpoint_open_file(path, &checkpoint, &error));
  assert_int_equal(checkpoint_files(checkpoint), 1);
  checkpoint_close(checkpoint);
  folder_remove(&folder);
}

static void an_unfinished_file_does_not_appear(void **state) {
  (void)state;
  const Folder folder = folder_make();
  char path[100];
  xt_error error;
  SafetensorsWriter *writer;
  folder_file(&folder, "x.safetensors", path, sizeof path);
  ASSERT_OK(safetensors_writer_open(path, &writer, &error));
  ASSERT_OK(safetensors_writer_declare(writer, "a", DTYPE_F32, 1, (const int64_t[]){2}, &error));
  ASSERT_OK(safetensors_writer_data(writer, "1234", 4, &error));
  assert_int_equal(safetensors_writer_commit(writer, &error), XT_STATUS_ARGUMENT);
  assert_true(access(path, F_OK) != 0);
  ASSERT_OK(safetensors_writer_open(path, &writer, &error));
  safetensors_writer_discard(writer);
  safetensors_writer_discard(NULL);
  assert_true(access(path, F_OK) != 0);
  assert_int_equal(rmdir(folder.path), 0); /* nothing was left behind */
}

static void misuse_of_the_writer_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int64_t shape[2];
  } bad[] = {{"a", {1, 1}},
             {"__metadata__", {1, 1}},
             {"n", {-1, 1}},
             {"o", {1LL << 40, 1LL << 40}},
             {"\xff", {1, 1}}};
  for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
    const Folder folder = folder_make();
    char path[100];
    xt_error error;
    SafetensorsWriter *writer;
    ASSERT_OK(
        safetensors_writer_open(folder_file(&folder, "x", path, sizeof path), &writer, &error));
    ASSERT_OK(safetensors_writer_declare(writer, "a", DTYPE_U8, 0, NULL, &error));
    if (i < sizeof bad / sizeof *bad) {
      assert_int_equal(
          safetensors_writer_declare(writer, bad[i].name, DTYPE_F32, 2, bad[i].shape, &error),
          XT_STATUS_ARGUMENT);
      assert_string_equal(error.field, bad[i].name);
      ASSERT_OK(safetensors_writer_data(writer, "x", 1, &error));
    } else {
      assert_int_equal(safetensors_writer_data(writer, "xy", 2, &error), XT_STATUS_ARGUMENT);
    }
    /* a failure sticks */
    assert_int_equal(safetensors_writer_commit(writer, &error), XT_STATUS_ARGUMENT);
    assert_int_equal(rmdir(folder.path), 0);
  }
}

#define SHARD(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"

static Folder make_shards(const char *map) {
  const Folder folder = folder_make();
  char index[600];
  folder_safetensors(&folder, "one.safetensors", SHARD("a"), 4);
  folder_safetensors(&folder, "two.safetensors", SHARD("b"), 4);
  snprintf(index, sizeof index, "{\"metadata\":{},\"weight_map\":%s}", map);
  folder_text(&folder, "model.safetensors.index.json", index);
  return folder;
}

static void shards_are_one_set(void **state) {
  (void)state;
  const Folder folder = make_shards("{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}");
  xt_error error;
  Checkpoint *checkpoint;
  ASSERT_OK(checkpoint_open(folder.path, &checkpoint, &error));
  assert_int_equal(checkpoint_files(checkpoint), 2);
  assert_int_equal(checkpoint_count(checkpoint), 2);
  assert_non_null(strstr(checkpoint_find(checkpoint, "b")->map->path, "two.safetensors"));
  checkpoint_close(checkpoint);
  folder_remove(&folder);
}

static void contradictory_indexes_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *map, *file, *field, *text;
  } cases[] = {
      {"{\"a\":\"one.safetensors\",\"b\":\"../two.safetensors\"}", "index.json", "b", "refused"},
      {"{\"a\":\"/etc/passwd\"}", "index.json", "a", "refused"},
      {"{\"a\":\"..\"}", "index.json", "a", "refused"},
      {"{\"a\":\"\"}", "index.json", "a", "refused"},
      {"{\"a\":\"one.safetensors\\u0000x\"}", "index.json", "a", "refused"},
      {"{\"a\":3}", "index.json", "a", "an integer"},
      {"{}", "index.json", "weight_map", "empty"},
      {"[]", "index.json", "weight_map", "an array"},
      {"{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}", "two.safetensors", "a",
       "but it is in"},
      {"{\"a\":\"one.safetensors\",\"b\":\"three\",\"c\":\"three\"}", "three", "b",
       "2 tensors need it: b, c"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const Folder folder = make_shards(cases[i].map);
    xt_error error;
    Checkpoint *checkpoint;
    assert_int_equal(checkpoint_open(folder.path, &checkpoint, &error), XT_STATUS_INPUT);
    assert_null(checkpoint);
    assert_non_null(strstr(error.file, cases[i].file));
    assert_string_equal(error.field, cases[i].field);
    assert_non_null(strstr(error.message, cases[i].text));
    folder_remove(&folder);
  }
}

/* Rotary tables that old files have beside their weights: the index names one too many, a shard has
 * one too many. */
static void an_index_and_its_shards_may_each_have_more(void **state) {
  (void)state;
  const Folder folder = make_shards(
      "{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"gone\":\"two.safetensors\"}");
  folder_safetensors(&folder, "one.safetensors",
                     "{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
                     "\"extra\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[1,2]}}",
                     2);
  xt_error error;
  Checkpoint *checkpoint;
  ASSERT_OK(checkpoint_open(folder.path, &checkpoint, &error));
  assert_non_null(checkpoint_find(checkpoint, "a"));
  assert_non_null(checkpoint_find(checkpoint, "extra"));
  assert_null(checkpoint_find(checkpoint, "gone"));
  checkpoint_close(checkpoint);
  folder_remove(&folder);
}

static void a_directory_without_weights_says_what_was_looked_for(void **state) {
  (void)state;
  const Folder folder = folder_make();
  xt_error error;
  Checkpoint *checkpoint;
  assert_int_equal(checkpoint_open(folder.path, &checkpoint, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "pytorch_model.bin.index.json"));
  folder_text(&folder, "model.safetensors",
              "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  assert_int_equal(checkpoint_open(folder.path, &checkpoint, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "git lfs pull"));
  folder_remove(&folder);
  assert_int_equal(checkpoint_open("/nonexistent", &checkpoint, &error), XT_STATUS_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read),
      cmocka_unit_test(an_unfinished_file_does_not_appear),
      cmocka_unit_test(misuse_of_the_writer_is_refused),
      cmocka_unit_test(shards_are_one_set),
      cmocka_unit_test(contradictory_indexes_are_refused),
      cmocka_unit_test(an_index_and_its_shards_may_each_have_more),
      cmocka_unit_test(a_directory_without_weights_says_what_was_looked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
