/* SPDX-License-Identifier: Apache-2.0 */
/* The safetensors format:
 *
 *   0         8                     8 + N               8 + N + M = end of file
 *   +---------+---------------------+-------------------+
 *   | N, u64  | JSON, starts with { | bytes of tensors  |
 *   +---------+---------------------+-------------------+
 *
 * The JSON maps names to {"dtype", "shape", "data_offsets": [begin, end)} relative to 8 + N. The
 * intervals must tile the M bytes: no hole, no overlap, nothing left over. */
#define _GNU_SOURCE /* memmem */
#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "files/checkpoint_parts.h"

#define HEADER_MAX 100000000u /* the format's own limit */

typedef struct Header {
  const FileMap *map;
  const char *text; /* [size] */
  size_t size;
} Header;

typedef struct Interval {
  uint64_t begin, end;
  size_t tensor; /* index in the checkpoint */
} Interval;

/* Where a tensor's entry stands in the file, for messages: its quoted name followed by a colon. */
static long long entry_offset(const Header *header, const char *name) {
  const size_t length = strlen(name);
  const char *at = header->text, *end = at + header->size;
  while (length && (at = memmem(at, (size_t)(end - at), name, length)) != NULL) {
    const char *after = at + length;
    if (at > header->text && at[-1] == '"' && after < end && *after == '"') {
      do after++;
      while (after < end && (*after == ' ' || *after == '\n' || *after == '\r' || *after == '\t'));
      if (after < end && *after == ':') return at - 1 - (const char *)header->map->data;
    }
    at++;
  }
  return 8; /* spelled with escapes: the header as a whole */
}

#define ENTRY_ERROR(status, header, name, ...) \
  err_set(error, status, (header)->map->path, name, entry_offset(header, name), __VA_ARGS__)

static xt_status read_dtype(const Header *header, const char *name, const json_t *entry,
                            Tensor *tensor, xt_error *error) {
  static const char *const known[] = {"F4",      "F6_E2M3",     "F6_E3M2",     "F8_E5M2",
                                      "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "C64"};
  const json_t *value = json_object_get(entry, "dtype");
  if (!json_is_string(value))
    return ENTRY_ERROR(XT_STATUS_INPUT, header, name,
                       "\"dtype\" is %s, expected a string such as \"F32\"", json_type_name(value));
  const char *text = json_string_value(value);
  tensor->dtype = dtype_find(text);
  if (tensor->dtype != DTYPE_COUNT) return XT_STATUS_OK;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(text, known[i]) == 0)
      return ENTRY_ERROR(XT_STATUS_UNSUPPORTED, header, name,
                         "dtype \"%s\" is not handled; weights may be F32, F16 or BF16", text);
  return ENTRY_ERROR(XT_STATUS_INPUT, header, name, "dtype \"%.32s\" does not exist in the format",
                     text);
}

static xt_status read_shape(const Header *header, const char *name, const json_t *entry,
                            Tensor *tensor, xt_error *error) {
  const json_t *shape = json_object_get(entry, "shape");
  if (!json_is_array(shape))
    return ENTRY_ERROR(XT_STATUS_INPUT, header, name, "\"shape\" is %s, expected an array",
                       json_type_name(shape));
  const size_t dims = json_array_size(shape);
  if (dims > TENSOR_MAX_DIMS)
    return ENTRY_ERROR(XT_STATUS_UNSUPPORTED, header, name,
                       "has %zu dimensions, at most %d are handled", dims, TENSOR_MAX_DIMS);
  tensor->dims = (int)dims;
  for (size_t i = 0; i < dims; i++) {
    const json_t *value = json_array_get(shape, i);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
      return ENTRY_ERROR(XT_STATUS_INPUT, header, name,
                         "dimension %zu of \"shape\" is not a whole number >= 0", i);
    tensor->shape[i] = json_integer_value(value);
  }
  return XT_STATUS_OK;
}

static xt_status read_offsets(const Header *header, const char *name, const json_t *entry,
                              Interval *out, xt_error *error) {
  const json_t *offsets = json_object_get(entry, "data_offsets");
  const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !json_is_integer(begin) ||
      !json_is_integer(end) || json_integer_value(begin) < 0 || json_integer_value(end) < 0)
    return ENTRY_ERROR(XT_STATUS_INPUT, header, name,
                       "\"data_offsets\" must be two whole numbers >= 0");
  out->begin = (uint64_t)json_integer_value(begin);
  out->end = (uint64_t)json_integer_value(end);
  const uint64_t left = header->map->size - 8 - header->size;
  if (out->begin > out->end || out->end > left)
    return ENTRY_ERROR(
        XT_STATUS_INPUT, header, name,
        "\"data_offsets\" [%llu, %llu] do not lie in the %llu bytes after the header",
        (unsigned long long)out->begin, (unsigned long long)out->end, (unsigned long long)left);
  return XT_STATUS_OK;
}

static xt_status read_entry(Checkpoint *checkpoint, const Header *header, const char *name,
                            const json_t *entry, Interval *interval, xt_error *error) {
  if (!json_is_object(entry))
    return ENTRY_ERROR(XT_STATUS_INPUT, header, name, "is %s, expected an object",
                       json_type_name(entry));
  Tensor tensor = {.map = header->map};
  TRY(read_dtype(header, name, entry, &tensor, error));
  TRY(read_shape(header, name, entry, &tensor, error));
  TRY(read_offsets(header, name, entry, interval, error));
  uint64_t bytes;
  if (!tensor_byte_count(tensor.shape, tensor.dims, dtype_size(tensor.dtype), &bytes))
    return ENTRY_ERROR(XT_STATUS_INPUT, header, name, "the product of \"shape\" overflows");
  if (bytes != interval->end - interval->begin)
    return ENTRY_ERROR(XT_STATUS_INPUT, header, name,
                       "\"shape\" of %s needs %llu bytes, \"data_offsets\" give %llu",
                       dtype_name(tensor.dtype), (unsigned long long)bytes,
                       (unsigned long long)(interval->end - interval->begin));
  tensor.bytes = (size_t)bytes;
  tensor.data = header->map->data + 8 + header->size + interval->begin;
  interval->tensor = checkpoint->count;
  return checkpoint_add(checkpoint, &tensor, name, strlen(name), error);
}

static int compare_intervals(const void *a, const void *b) {
  const Interval *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

/* The sorted intervals follow each other from 0 to the end of the file. */
static xt_status check_tiling(const Checkpoint *checkpoint, const Header *header,
                              Interval *intervals, size_t count, xt_error *error) {
  const uint64_t left = header->map->size - 8 - header->size;
  uint64_t at = 0;
  qsort(intervals, count, sizeof *intervals, compare_intervals);
  for (size_t i = 0; i < count; i++) {
    const char *name = checkpoint->tensors[intervals[i].tensor].name;
    if (intervals[i].begin > at)
      return ENTRY_ERROR(XT_STATUS_INPUT, header, name,
                         "leaves a hole: its data begin at %llu, the data before end at %llu",
                         (unsigned long long)intervals[i].begin, (unsigned long long)at);
    if (intervals[i].begin < at)
      return ENTRY_ERROR(XT_STATUS_INPUT, header, name,
                         "overlaps \"%.64s\": its data begin at %llu, before %llu",
                         checkpoint->tensors[intervals[i - 1].tensor].name,
                         (unsigned long long)intervals[i].begin, (unsigned long long)at);
    at = intervals[i].end;
  }
  if (at != left)
    return err_set(error, XT_STATUS_INPUT, header->map->path, NULL,
                   (long long)(8 + header->size + at), "%llu bytes follow that belong to no tensor",
                   (unsigned long long)(left - at));
  return XT_STATUS_OK;
}

static xt_status check_metadata(const Header *header, json_t *metadata, xt_error *error) {
  if (!json_is_object(metadata))
    return ENTRY_ERROR(XT_STATUS_INPUT, header, "__metadata__",
                       "is %s, expected an object of strings", json_type_name(metadata));
  const char *key;
  json_t *value;
  json_object_foreach(metadata, key, value) if (!json_is_string(value)) return ENTRY_ERROR(
      XT_STATUS_INPUT, header, "__metadata__", "\"%.64s\" is %s, expected a string", key,
      json_type_name(value));
  return XT_STATUS_OK;
}

static xt_status read_root(Checkpoint *checkpoint, const Header *header, json_t *root,
                           xt_error *error) {
  Interval *intervals = NULL;
  xt_status status;
  size_t count = 0;
  const char *name;
  json_t *entry;
  TRY_DONE(MEM_ALLOC(&intervals, json_object_size(root), error));
  json_object_foreach(root, name, entry) {
    if (strcmp(name, "__metadata__") == 0) {
      TRY_DONE(check_metadata(header, entry, error));
      if (checkpoint->file_count == 1) checkpoint->metadata = json_incref(entry);
    } else {
      TRY_DONE(read_entry(checkpoint, header, name, entry, &intervals[count], error));
      count++;
    }
  }
  TRY_DONE(check_tiling(checkpoint, header, intervals, count, error));
done:
  free(intervals);
  return status;
}

xt_status safetensors_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error) {
  Cursor cursor = cursor_make(map->data, map->size);
  const uint64_t size = cursor_u64(&cursor);
  if (cursor.failed)
    return err_set(error, XT_STATUS_INPUT, map->path, NULL, 0,
                   "the file has %zu bytes; a safetensors file begins with 8 bytes that give its "
                   "header's length",
                   map->size);
  if (size > HEADER_MAX)
    return err_set(error, XT_STATUS_INPUT, map->path, NULL, 0,
                   "the header's length is %llu, at most %u is allowed: not a safetensors file?",
                   (unsigned long long)size, HEADER_MAX);
  if (size > map->size - 8)
    return err_set(error, XT_STATUS_INPUT, map->path, NULL, 0,
                   "the header's length is %llu, but only %zu bytes follow: the file is cut short",
                   (unsigned long long)size, map->size - 8);
  const Header header = {map, (const char *)map->data + 8, (size_t)size};
  if (size == 0 || header.text[0] != '{')
    return err_set(error, XT_STATUS_INPUT, map->path, NULL, 8,
                   "the header does not begin with '{'");
  json_t *root;
  const xt_status parsed = json_parse(header.text, header.size, map->path, &root, error);
  if (parsed) {
    if (error && error->offset >= 0)
      error->offset += 8; /* json_parse counts from the header's start */
    return parsed;
  }
  const xt_status status = read_root(checkpoint, &header, root, error);
  json_decref(root);
  return status;
}
