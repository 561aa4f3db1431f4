/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of GGUF files as a checkpoint. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "files/checkpoint_parts.h"
#include "files/gguf.h"

#define ALIGNMENT_MAX 65536
#define PARTS_MAX 99999

/* ggml's types by number. dtype DTYPE_COUNT: not handled. */
static const struct {
  const char *name;
  Dtype dtype;
} ggml_types[] = {
    [0] = {"F32", DTYPE_F32},        [1] = {"F16", DTYPE_F16},
    [2] = {"Q4_0", DTYPE_Q4_0},      [3] = {"Q4_1", DTYPE_Q4_1},
    [6] = {"Q5_0", DTYPE_Q5_0},      [7] = {"Q5_1", DTYPE_Q5_1},
    [8] = {"Q8_0", DTYPE_Q8_0},      [9] = {"Q8_1", DTYPE_COUNT},
    [10] = {"Q2_K", DTYPE_Q2_K},     [11] = {"Q3_K", DTYPE_Q3_K},
    [12] = {"Q4_K", DTYPE_Q4_K},     [13] = {"Q5_K", DTYPE_Q5_K},
    [14] = {"Q6_K", DTYPE_Q6_K},     [15] = {"Q8_K", DTYPE_COUNT},
    [16] = {"IQ2_XXS", DTYPE_COUNT}, [17] = {"IQ2_XS", DTYPE_COUNT},
    [18] = {"IQ3_XXS", DTYPE_COUNT}, [19] = {"IQ1_S", DTYPE_COUNT},
    [20] = {"IQ4_NL", DTYPE_IQ4_NL}, [21] = {"IQ3_S", DTYPE_COUNT},
    [22] = {"IQ2_S", DTYPE_COUNT},   [23] = {"IQ4_XS", DTYPE_IQ4_XS},
    [24] = {"I8", DTYPE_I8},         [25] = {"I16", DTYPE_I16},
    [26] = {"I32", DTYPE_I32},       [27] = {"I64", DTYPE_I64},
    [28] = {"F64", DTYPE_F64},       [29] = {"IQ1_M", DTYPE_COUNT},
    [30] = {"BF16", DTYPE_BF16},     [34] = {"TQ1_0", DTYPE_COUNT},
    [35] = {"TQ2_0", DTYPE_COUNT},   [39] = {"MXFP4", DTYPE_COUNT},
    [40] = {"NVFP4", DTYPE_COUNT},   [41] = {"Q1_0", DTYPE_COUNT},
};

/* Where the list of tensors is being read. */
typedef struct Entries {
  const FileMap *map;
  Cursor cursor;
  uint64_t next; /* offset that the next tensor's data have */
  uint64_t alignment;
} Entries;

#define ENTRY_ERROR(status, e, name, at, ...) \
  err_set(error, status, (e)->map->path, name, (long long)(at), __VA_ARGS__)

static xt_status read_name(Entries *e, char name[TENSOR_NAME_MAX], xt_error *error) {
  const size_t at = e->cursor.at;
  const uint64_t length = cursor_u64(&e->cursor);
  name[0] = 0;
  if (!e->cursor.failed && (length == 0 || length >= TENSOR_NAME_MAX))
    return ENTRY_ERROR(XT_STATUS_INPUT, e, NULL, at,
                       "a tensor's name has %llu bytes; 1 to %d are possible",
                       (unsigned long long)length, TENSOR_NAME_MAX - 1);
  const uint8_t *text = cursor_take(&e->cursor, (size_t)length);
  if (!text)
    return ENTRY_ERROR(XT_STATUS_INPUT, e, NULL, at,
                       "the file is cut short, within the list of tensors");
  if (memchr(text, 0, (size_t)length))
    return ENTRY_ERROR(XT_STATUS_INPUT, e, NULL, at, "a tensor's name holds a NUL");
  memcpy(name, text, (size_t)length);
  name[length] = 0;
  return XT_STATUS_OK;
}

/* Dimensions come innermost first. */
static xt_status read_shape(Entries *e, const char *name, Tensor *out, xt_error *error) {
  const size_t at = e->cursor.at;
  const uint32_t dims = cursor_u32(&e->cursor);
  if (!e->cursor.failed && (dims == 0 || dims > 4))
    return ENTRY_ERROR(XT_STATUS_INPUT, e, name, at, "has %u dimensions; 1 to 4 are possible",
                       dims);
  out->dims = (int)dims;
  for (uint32_t d = 0; d < dims && !e->cursor.failed; d++) {
    const uint64_t size = cursor_u64(&e->cursor);
    if (!e->cursor.failed && (size == 0 || size > INT64_MAX))
      return ENTRY_ERROR(XT_STATUS_INPUT, e, name, e->cursor.at - 8, "dimension %u is %llu", d,
                         (unsigned long long)size);
    out->shape[dims - 1 - d] = (int64_t)size;
  }
  return XT_STATUS_OK;
}

static xt_status read_dtype(Entries *e, const char *name, Tensor *out, xt_error *error) {
  const size_t at = e->cursor.at, known = sizeof ggml_types / sizeof *ggml_types;
  const uint32_t type = cursor_u32(&e->cursor);
  if (e->cursor.failed)
    return ENTRY_ERROR(XT_STATUS_INPUT, e, name, at,
                       "the file is cut short, within the list of tensors");
  if (type >= known || !ggml_types[type].name)
    return ENTRY_ERROR(XT_STATUS_UNSUPPORTED, e, name, at,
                       "has type %u, which is no type of ggml's that is known", type);
  out->dtype = ggml_types[type].dtype;
  if (out->dtype == DTYPE_COUNT)
    return ENTRY_ERROR(XT_STATUS_UNSUPPORTED, e, name, at,
                       "has type %s, which is not handled; F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, "
                       "Q8_0, Q2_K to Q6_K, IQ4_NL and IQ4_XS are",
                       ggml_types[type].name);
  const int64_t row = out->shape[out->dims - 1], block = (int64_t)dtype_block(out->dtype);
  if (row % block)
    return ENTRY_ERROR(XT_STATUS_INPUT, e, name, at,
                       "its rows of %lld values are not whole blocks of %s, which have %lld",
                       (long long)row, ggml_types[type].name, (long long)block);
  return XT_STATUS_OK;
}

/* Data follow one another in the order of the list, as every writer has them. */
static xt_status read_place(Entries *e, const char *name, Tensor *out, uint64_t *offset,
                            xt_error *error) {
  const size_t at = e->cursor.at;
  uint64_t bytes, values;
  *offset = cursor_u64(&e->cursor);
  if (e->cursor.failed)
    return ENTRY_ERROR(XT_STATUS_INPUT, e, name, at,
                       "the file is cut short, within the list of tensors");
  if (!tensor_byte_count(out->shape, out->dims, 1, &values) ||
      values / dtype_block(out->dtype) > (uint64_t)INT64_MAX / 2 / dtype_size(out->dtype))
    return ENTRY_ERROR(XT_STATUS_INPUT, e, name, at, "the product of its dimensions overflows");
  bytes = values / dtype_block(out->dtype) * dtype_size(out->dtype);
  if (*offset != e->next)
    return ENTRY_ERROR(XT_STATUS_INPUT, e, name, at,
                       "its data are said to begin at %llu, but those before end at %llu",
                       (unsigned long long)*offset, (unsigned long long)e->next);
  if (bytes > UINT64_MAX / 4 - e->next)
    return ENTRY_ERROR(XT_STATUS_INPUT, e, name, at, "its data would lie beyond any file");
  e->next += (bytes + e->alignment - 1) / e->alignment * e->alignment;
  out->bytes = (size_t)bytes;
  return XT_STATUS_OK;
}

static xt_status read_entries(Checkpoint *checkpoint, const Gguf *gguf, Entries *e,
                              xt_error *error) {
  const size_t first = checkpoint->count;
  for (uint64_t i = 0; i < gguf->tensors; i++) {
    char name[TENSOR_NAME_MAX];
    Tensor tensor = {.map = e->map};
    uint64_t offset;
    TRY(read_name(e, name, error));
    TRY(read_shape(e, name, &tensor, error));
    TRY(read_dtype(e, name, &tensor, error));
    TRY(read_place(e, name, &tensor, &offset, error));
    tensor.data = (const void *)(uintptr_t)offset; /* from the data's begin, which is known after
                                                      the last entry */
    TRY(checkpoint_add(checkpoint, &tensor, name, strlen(name), error));
  }
  const uint64_t begin = (e->cursor.at + e->alignment - 1) / e->alignment * e->alignment;
  for (size_t i = first; i < checkpoint->count; i++) {
    Tensor *t = &checkpoint->tensors[i];
    const uint64_t at = begin + (uintptr_t)t->data;
    if (at > e->map->size || t->bytes > e->map->size - at)
      return ENTRY_ERROR(
          XT_STATUS_INPUT, e, t->name, at,
          "its %zu bytes reach beyond the end of the file, which has %zu: the file is cut short",
          t->bytes, e->map->size);
    t->data = e->map->data + at;
  }
  return XT_STATUS_OK;
}

xt_status gguf_tensors_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error) {
  Gguf gguf;
  int64_t alignment = 32;
  xt_status status;
  TRY(gguf_read(map, &gguf, error));
  TRY_DONE(gguf_int(&gguf, "general.alignment", 1, ALIGNMENT_MAX, &alignment, error));
  if (alignment & (alignment - 1))
    TRY_DONE(err_set(error, XT_STATUS_INPUT, map->path, "general.alignment", -1,
                     "is %lld, expected a power of two", (long long)alignment));
  Entries e = {
      .map = map, .cursor = cursor_make(map->data, map->size), .alignment = (uint64_t)alignment};
  e.cursor.at = gguf.tensors_at;
  TRY_DONE(read_entries(checkpoint, &gguf, &e, error));
done:
  gguf_free(&gguf);
  return status;
}

/* ---- split files ----------------------------------------------------------------------------- */

/* What a part says about itself. A file that is whole says nothing, and counts as part 0 of 1. */
typedef struct Split {
  int64_t number, count, tensors;
} Split;

static xt_status read_split(const FileMap *map, Split *out, xt_error *error) {
  Gguf gguf;
  xt_status status;
  *out = (Split){0, 1, -1};
  TRY(gguf_read(map, &gguf, error));
  TRY_DONE(gguf_int(&gguf, "split.count", 0, PARTS_MAX, &out->count, error));
  TRY_DONE(gguf_int(&gguf, "split.no", 0, PARTS_MAX, &out->number, error));
  TRY_DONE(gguf_int(&gguf, "split.tensors.count", 0, INT32_MAX, &out->tensors, error));
  if (out->count == 0) out->count = 1;
done:
  gguf_free(&gguf);
  return status;
}

static xt_status add_part(Checkpoint *checkpoint, const char *first, int number, int count,
                          xt_error *error) {
  char *path;
  Split split;
  xt_status status;
  TRY(gguf_part_path(first, number + 1, count, &path, error));
  if (!path)
    return err_set(
        error, XT_STATUS_INPUT, first, "split.count", -1,
        "is one of %d parts, but is not called NAME-00001-of-%05d.gguf: the others cannot be found",
        count, count);
  if (!file_exists(path))
    TRY_DONE(err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "the part is missing; all %d parts have to be in one folder", count));
  TRY_DONE(checkpoint_add_file(checkpoint, path, gguf_tensors_read, error));
  TRY_DONE(read_split(checkpoint->files[checkpoint->file_count - 1], &split, error));
  if (split.number != number || split.count != count)
    TRY_DONE(err_set(error, XT_STATUS_INPUT, path, "split.no", -1,
                     "says that it is part %lld of %lld; its name says %d of %d",
                     (long long)split.number + 1, (long long)split.count, number + 1, count));
done:
  free(path);
  return status;
}

xt_status gguf_files_read(Checkpoint *checkpoint, const char *path, xt_error *error) {
  Split split;
  TRY(checkpoint_add_file(checkpoint, path, gguf_tensors_read, error));
  TRY(read_split(checkpoint->files[0], &split, error));
  if (split.number != 0)
    return err_set(
        error, XT_STATUS_INPUT, path, "split.no", -1,
        "is part %lld of %lld; give the first, which is called NAME-00001-of-%05lld.gguf",
        (long long)split.number + 1, (long long)split.count, (long long)split.count);
  for (int i = 1; i < split.count; i++) TRY(add_part(checkpoint, path, i, (int)split.count, error));
  if (split.tensors >= 0 && (size_t)split.tensors != checkpoint->count)
    return err_set(error, XT_STATUS_INPUT, path, "split.tensors.count", -1,
                   "is %lld, but the parts hold %zu tensors", (long long)split.tensors,
                   checkpoint->count);
  return XT_STATUS_OK;
}
