/* SPDX-License-Identifier: Apache-2.0 */
#include "files/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"

#define TEXT_MAX ((uint64_t)16 << 20) /* bytes of one string */

static const struct {
  const char *name;
  size_t size; /* 0: it varies */
} types[GGUF_TYPES] = {
    [GGUF_U8] = {"u8", 1},          [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},        [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},        [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"a string", 0},
    [GGUF_ARRAY] = {"an array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

bool gguf_is_file(const char *path) {
  FileMap map;
  if (!file_exists(path) || file_map_open(path, &map, NULL)) return false;
  const size_t length = strlen(path);
  const bool named = length > 5 && strcmp(path + length - 5, ".gguf") == 0;
  const bool is = named || (map.size >= 4 && memcmp(map.data, "GGUF", 4) == 0);
  file_map_close(&map);
  return is;
}

/* ---- the header ------------------------------------------------------------------------------ */

#define BROKEN(map, at, ...) \
  err_set(error, XT_STATUS_INPUT, (map)->path, NULL, (long long)(at), __VA_ARGS__)

/* Skips a string of at least `least` bytes. */
static xt_status take_text(const FileMap *map, Cursor *c, const char *what, const char **text,
                           size_t *length, xt_error *error) {
  const size_t at = c->at;
  const uint64_t size = cursor_u64(c);
  if (c->failed) return BROKEN(map, at, "the file is cut short, within %s", what);
  if (size > TEXT_MAX || size > c->size - c->at)
    return BROKEN(map, at,
                  "%s has a length of %llu bytes, and %zu follow: the file is cut short or damaged",
                  what, (unsigned long long)size, c->size - c->at);
  *text = (const char *)cursor_take(c, (size_t)size);
  *length = (size_t)size;
  return XT_STATUS_OK;
}

/* Skips `count` values of `type`. */
static xt_status skip_items(const FileMap *map, Cursor *c, GgufType type, uint64_t count,
                            xt_error *error) {
  const size_t at = c->at, size = types[type].size, least = size ? size : 8;
  const char *text;
  size_t length;
  if (count > (c->size - c->at) / least)
    return BROKEN(map, at, "%llu items are said to follow, for which the file is too short",
                  (unsigned long long)count);
  if (size) {
    (void)cursor_take(c, size * (size_t)count);
    return XT_STATUS_OK;
  }
  for (uint64_t i = 0; i < count; i++) TRY(take_text(map, c, "a string", &text, &length, error));
  return XT_STATUS_OK;
}

static xt_status read_type(const FileMap *map, Cursor *c, GgufType *out, xt_error *error) {
  const size_t at = c->at;
  const uint32_t type = cursor_u32(c);
  if (c->failed) return BROKEN(map, at, "the file is cut short, within a value");
  if (type >= GGUF_TYPES)
    return BROKEN(map, at, "a value has type %u, which the format does not know", type);
  *out = (GgufType)type;
  return XT_STATUS_OK;
}

static xt_status read_value(const FileMap *map, Cursor *c, GgufValue *out, xt_error *error) {
  *out = (GgufValue){.count = 1};
  const size_t begin = c->at;
  TRY(take_text(map, c, "a key", &out->key, &out->key_length, error));
  if (out->key_length == 0 || out->key_length > 65535 || memchr(out->key, 0, out->key_length))
    return BROKEN(map, begin, "a key is empty or no name");
  TRY(read_type(map, c, &out->type, error));
  if (out->type == GGUF_ARRAY) {
    out->array = true;
    TRY(read_type(map, c, &out->type, error));
    const size_t at = c->at;
    out->count = cursor_u64(c);
    if (c->failed) return BROKEN(map, at, "the file is cut short, within an array");
    if (out->type == GGUF_ARRAY)
      return err_set(error, XT_STATUS_UNSUPPORTED, map->path, NULL, (long long)at,
                     "arrays of arrays are not handled");
  }
  out->at = c->at;
  TRY(skip_items(map, c, out->type, out->count, error));
  out->size = c->at - out->at;
  return XT_STATUS_OK;
}

static xt_status read_begin(const FileMap *map, Cursor *c, Gguf *out, uint64_t *values,
                            xt_error *error) {
  const uint8_t *magic = cursor_take(c, 4);
  if (!magic || memcmp(magic, "GGUF", 4) != 0)
    return BROKEN(map, 0, "is not a GGUF file: it does not begin with \"GGUF\"");
  out->version = cursor_u32(c);
  if (!c->failed && (out->version & 0xffff) == 0 && out->version)
    return err_set(
        error, XT_STATUS_UNSUPPORTED, map->path, NULL, 4,
        "is a big-endian GGUF file; convert it to little-endian (gguf's gguf-convert-endian)");
  if (!c->failed && out->version != 2 && out->version != 3)
    return err_set(error, XT_STATUS_UNSUPPORTED, map->path, NULL, 4,
                   "has version %u of GGUF; 2 and 3 are handled", out->version);
  out->tensors = cursor_u64(c);
  *values = cursor_u64(c);
  if (c->failed)
    return BROKEN(map, c->failed_at, "the file is cut short, within its first 24 bytes");
  /* A key is 8 bytes and a name, then a type and a value; a tensor's entry takes no less than
   * 24. */
  if (*values > (c->size - c->at) / 13)
    return BROKEN(map, 16, "says that it has %llu values, for which it is too short",
                  (unsigned long long)*values);
  if (out->tensors > (c->size - c->at) / 24)
    return BROKEN(map, 8, "says that it has %llu tensors, for which it is too short",
                  (unsigned long long)out->tensors);
  return XT_STATUS_OK;
}

static int compare_keys(const void *a, const void *b) {
  const GgufValue *x = a, *y = b;
  const size_t least = x->key_length < y->key_length ? x->key_length : y->key_length;
  const int order = memcmp(x->key, y->key, least);
  return order ? order : (x->key_length > y->key_length) - (x->key_length < y->key_length);
}

xt_status gguf_read(const FileMap *map, Gguf *out, xt_error *error) {
  Cursor c = cursor_make(map->data, map->size);
  uint64_t values = 0;
  *out = (Gguf){.map = map};
  TRY(read_begin(map, &c, out, &values, error));
  TRY(MEM_ALLOC(&out->values, (size_t)values, error));
  xt_status status = XT_STATUS_OK;
  for (; out->count < values; out->count++)
    TRY_DONE(read_value(map, &c, &out->values[out->count], error));
  out->tensors_at = c.at;
  if (out->count) qsort(out->values, out->count, sizeof *out->values, compare_keys);
  for (size_t i = 1; i < out->count; i++) {
    const GgufValue *v = &out->values[i];
    if (compare_keys(v - 1, v) == 0)
      TRY_DONE(BROKEN(map, v->at, "the key \"%.*s\" occurs twice",
                      v->key_length < 100 ? (int)v->key_length : 100, v->key));
  }
done:
  if (status) gguf_free(out);
  return status;
}

void gguf_free(Gguf *gguf) {
  free(gguf->values);
  *gguf = (Gguf){0};
}

/* ---- values ---------------------------------------------------------------------------------- */

const GgufValue *gguf_find(const Gguf *gguf, const char *key) {
  const GgufValue wanted = {.key = key, .key_length = strlen(key)};
  return gguf->count ? bsearch(&wanted, gguf->values, gguf->count, sizeof wanted, compare_keys)
                     : NULL;
}

static xt_status wrong_type(const Gguf *gguf, const char *key, const GgufValue *v,
                            const char *wanted, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, gguf->map->path, key, (long long)v->at,
                 "is %s%s, expected %s", v->array ? "an array of " : "", types[v->type].name,
                 wanted);
}

static uint64_t load(const uint8_t *at, size_t bytes) {
  uint64_t v = 0;
  for (size_t i = 0; i < bytes; i++) v |= (uint64_t)at[i] << (8 * i);
  return v;
}

/* A whole number; false: the type is another, or the number is above INT64_MAX. */
static bool whole(GgufType type, const uint8_t *at, int64_t *out) {
  const uint64_t bits = load(at, types[type].size);
  switch (type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32: *out = (int64_t)bits; return true;
    case GGUF_I8: *out = (int8_t)bits; return true;
    case GGUF_I16: *out = (int16_t)bits; return true;
    case GGUF_I32: *out = (int32_t)bits; return true;
    case GGUF_I64: *out = (int64_t)bits; return true;
    case GGUF_U64: *out = (int64_t)bits; return bits <= INT64_MAX;
    default: return false;
  }
}

xt_status gguf_int(const Gguf *gguf, const char *key, int64_t low, int64_t high, int64_t *out,
                   xt_error *error) {
  const GgufValue *v = gguf_find(gguf, key);
  int64_t value;
  if (!v) return XT_STATUS_OK;
  if (v->array || types[v->type].size == 0 || !whole(v->type, gguf->map->data + v->at, &value))
    return wrong_type(gguf, key, v, "a whole number", error);
  if (value < low || value > high)
    return err_set(error, XT_STATUS_INPUT, gguf->map->path, key, (long long)v->at,
                   "is %lld, expected %lld to %lld", (long long)value, (long long)low,
                   (long long)high);
  *out = value;
  return XT_STATUS_OK;
}

xt_status gguf_real(const Gguf *gguf, const char *key, double *out, xt_error *error) {
  const GgufValue *v = gguf_find(gguf, key);
  if (!v) return XT_STATUS_OK;
  if (v->array || (v->type != GGUF_F32 && v->type != GGUF_F64))
    return wrong_type(gguf, key, v, "f32", error);
  const uint64_t bits = load(gguf->map->data + v->at, types[v->type].size);
  double value;
  memcpy(&value, &bits, sizeof value);
  if (v->type == GGUF_F32) value = (double)float_of_bits((uint32_t)bits);
  if (!isfinite(value))
    return err_set(error, XT_STATUS_INPUT, gguf->map->path, key, (long long)v->at,
                   "is not a finite number");
  *out = value;
  return XT_STATUS_OK;
}

xt_status gguf_bool(const Gguf *gguf, const char *key, bool *out, xt_error *error) {
  const GgufValue *v = gguf_find(gguf, key);
  if (!v) return XT_STATUS_OK;
  if (v->array || v->type != GGUF_BOOL) return wrong_type(gguf, key, v, "bool", error);
  *out = gguf->map->data[v->at] != 0;
  return XT_STATUS_OK;
}

xt_status gguf_text(const Gguf *gguf, const char *key, char **out, xt_error *error) {
  const GgufValue *v = gguf_find(gguf, key);
  *out = NULL;
  if (!v) return XT_STATUS_OK;
  if (v->array || v->type != GGUF_STRING) return wrong_type(gguf, key, v, "a string", error);
  return mem_copy_text(out, (const char *)gguf->map->data + v->at + 8, v->size - 8, error);
}

xt_status gguf_array(const Gguf *gguf, const char *key, GgufType type, const GgufValue **out,
                     xt_error *error) {
  char wanted[48];
  *out = NULL;
  const GgufValue *v = gguf_find(gguf, key);
  if (!v) return XT_STATUS_OK;
  snprintf(wanted, sizeof wanted, "an array of %s",
           type == GGUF_STRING ? "strings" : types[type].name);
  if (!v->array || v->type != type) return wrong_type(gguf, key, v, wanted, error);
  *out = v;
  return XT_STATUS_OK;
}

const char *gguf_next_text(const Gguf *gguf, size_t *at, size_t *length) {
  const uint8_t *p = gguf->map->data + *at;
  *length = (size_t)load(p, 8);
  *at += 8 + *length;
  return (const char *)p + 8;
}

int32_t gguf_item_i32(const Gguf *gguf, const GgufValue *value, uint64_t index) {
  return (int32_t)load(gguf->map->data + value->at + 4 * index, 4);
}
float gguf_item_f32(const Gguf *gguf, const GgufValue *value, uint64_t index) {
  return float_of_bits((uint32_t)load(gguf->map->data + value->at + 4 * index, 4));
}

/* ---- parts ----------------------------------------------------------------------------------- */

xt_status gguf_part_path(const char *first, int number, int count, char **out, xt_error *error) {
  char end[40];
  const int size = snprintf(end, sizeof end, "-00001-of-%05d.gguf", count);
  const size_t length = strlen(first);
  *out = NULL;
  if (size < 0 || length < (size_t)size || strcmp(first + length - (size_t)size, end) != 0)
    return XT_STATUS_OK;
  TRY(mem_copy_text(out, first, length, error));
  snprintf(*out + length - (size_t)size, (size_t)size + 1, "-%05d-of-%05d.gguf", number, count);
  return XT_STATUS_OK;
}
