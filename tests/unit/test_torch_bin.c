/* SPDX-License-Identifier: Apache-2.0 */
#include "files_support.h"

static const char fixture[] = XT_SOURCE_DIR "/tests/data/torch_small.bin";

static Checkpoint *open_small(Folder *folder) {
  xt_error error;
  Checkpoint *checkpoint;
  size_t size;
  *folder = folder_make();
  uint8_t *bytes = read_whole(fixture, &size);
  folder_write(folder, "pytorch_model.bin", bytes, size);
  free(bytes);
  ASSERT_OK(checkpoint_open(folder->path, &checkpoint, &error));
  return checkpoint;
}

static void check(const Checkpoint *checkpoint, const char *name, Dtype dtype, int dims, int64_t d0,
                  int64_t d1) {
  const Tensor *tensor = checkpoint_find(checkpoint, name);
  assert_non_null(tensor);
  assert_int_equal(tensor->dtype, dtype);
  assert_int_equal(tensor->dims, dims);
  if (dims > 0) assert_int_equal(tensor->shape[0], d0);
  if (dims > 1) assert_int_equal(tensor->shape[1], d1);
}

/* The values that tools/make_torch_fixtures.py put in. */
static void a_state_dict_is_read(void **state) {
  (void)state;
  Folder folder;
  Checkpoint *checkpoint = open_small(&folder);
  assert_string_equal(checkpoint_format(checkpoint), "pytorch .bin");
  assert_int_equal(checkpoint_count(checkpoint), 8);
  check(checkpoint, "embed.weight", DTYPE_F16, 2, 2, 3);
  check(checkpoint, "rows", DTYPE_F32, 2, 2, 4);
  check(checkpoint, "parameter", DTYPE_BF16, 1, 2, 0);
  check(checkpoint, "scalar", DTYPE_I64, 0, 0, 0);
  check(checkpoint, "mask", DTYPE_BOOL, 1, 2, 0);
  check(checkpoint, "empty", DTYPE_F32, 2, 0, 3);
  check(checkpoint, "short", DTYPE_U16, 1, 2, 0);
  const Tensor *embed = checkpoint_find(checkpoint, "embed.weight");
  for (size_t i = 0; i < 6; i++) {
    uint16_t bits;
    memcpy(&bits, (const uint8_t *)embed->data + 2 * i, 2);
    assert_true(dtype_from_f16(bits) == (float)i);
  }
  assert_ptr_equal(checkpoint_find(checkpoint, "head.weight")->data, embed->data); /* tied */
  float row;
  memcpy(&row, checkpoint_find(checkpoint, "rows")->data, 4);
  assert_true(row == 4); /* the view begins at the second row */
  uint16_t bits;
  memcpy(&bits, checkpoint_find(checkpoint, "parameter")->data, 2);
  assert_true(dtype_from_bf16(bits) == 1.5f);
  int64_t scalar;
  memcpy(&scalar, checkpoint_find(checkpoint, "scalar")->data, 8);
  assert_int_equal(scalar, 7);
  checkpoint_touch(checkpoint);
  checkpoint_close(checkpoint);
  folder_remove(&folder);
}

#define TORCH_DIR XT_SOURCE_DIR "/tests/data/torch/"

/* A tied f16 Llama in two .bin shards holds the same bytes as the safetensors file of it. */
static void shards_equal_safetensors(void **state) {
  (void)state;
  xt_error error;
  Checkpoint *bin, *safe;
  ASSERT_OK(checkpoint_open(TORCH_DIR "llama-bin", &bin, &error));
  ASSERT_OK(checkpoint_open(TORCH_DIR "llama-safetensors", &safe, &error));
  assert_int_equal(checkpoint_files(bin), 2);
  assert_true(checkpoint_count(safe) > 10);
  for (size_t i = 0; i < checkpoint_count(safe); i++) {
    const Tensor *want = checkpoint_get(safe, i), *got = checkpoint_find(bin, want->name);
    assert_non_null(got);
    assert_int_equal(got->dtype, want->dtype);
    assert_int_equal(got->dims, want->dims);
    assert_memory_equal(got->shape, want->shape, sizeof got->shape);
    assert_int_equal(got->bytes, want->bytes);
    assert_memory_equal(got->data, want->data, want->bytes);
  }
  checkpoint_close(bin);
  checkpoint_close(safe);
}

static void expect(const char *directory, xt_status status, const char *field, const char *text) {
  xt_error error = {0};
  Checkpoint *checkpoint;
  assert_int_equal(checkpoint_open(directory, &checkpoint, &error), status);
  assert_null(checkpoint);
  assert_string_equal(error.field, field);
  if (!strstr(error.message, text)) fail_msg("\"%s\" is not in \"%s\"", text, error.message);
}

static void what_is_no_state_dict_is_refused(void **state) {
  (void)state;
  expect(TORCH_DIR "evil", XT_STATUS_INPUT, "", "refused: posix.system at byte 13 ");
  expect(TORCH_DIR "transposed", XT_STATUS_UNSUPPORTED, "a",
         "not contiguous: stride 1 is 3, expected 1");
  expect(TORCH_DIR "trainer", XT_STATUS_UNSUPPORTED, "state", "is a dict, expected a tensor");
  expect(TORCH_DIR "legacy", XT_STATUS_UNSUPPORTED, "", "before version 1.6");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_state_dict_is_read),
      cmocka_unit_test(shards_equal_safetensors),
      cmocka_unit_test(what_is_no_state_dict_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
