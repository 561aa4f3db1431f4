/* SPDX-License-Identifier: Apache-2.0 */
/* The GGUF format of llama.cpp, versions 2 and 3, little-endian:
 *
 *   "GGUF", version u32, number of tensors u64, number of values u64
 *   values   key, type u32, value (a string: length u64, bytes; an array: type u32, count u64,
 *            items)
 *   tensors  name, dimensions u32, each u64 with the innermost first, type u32, offset u64 from the
 *            data's begin
 *   data     begins at a multiple of general.alignment, as every tensor's do
 *
 * A header is a list of places in the mapped file: it takes 56 bytes for each value, of which a
 * file has one in 13 bytes at most. */
#ifndef FILES_GGUF_H
#define FILES_GGUF_H

#include <stdbool.h>

#include "files/checkpoint.h"

typedef enum GgufType {
  GGUF_U8 = 0,
  GGUF_I8,
  GGUF_U16,
  GGUF_I16,
  GGUF_U32,
  GGUF_I32,
  GGUF_F32,
  GGUF_BOOL,
  GGUF_STRING,
  GGUF_ARRAY,
  GGUF_U64,
  GGUF_I64,
  GGUF_F64,
  GGUF_TYPES
} GgufType;

typedef struct GgufValue {
  const char *key; /* in the file, not NUL-terminated */
  size_t key_length;
  GgufType type; /* of an array: of its items, which are no arrays */
  bool array;
  uint64_t count;  /* of an array; else 1 */
  size_t at, size; /* the bytes of the value or items in the file */
} GgufValue;

typedef struct Gguf {
  const FileMap *map; /* borrowed */
  uint32_t version;
  uint64_t tensors;
  GgufValue *values; /* in the order of the file */
  size_t count;
  size_t tensors_at; /* where the tensors' list begins */
} Gguf;

/* Whether a path names a GGUF file, by its name or by its first bytes. */
bool gguf_is_file(const char *path);

/* Reads the values of a mapped file's header. The caller frees *out with gguf_free, before the map
 * is closed. */
xt_status gguf_read(const FileMap *map, Gguf *out, xt_error *error);
void gguf_free(Gguf *gguf);

/* NULL when absent. */
const GgufValue *gguf_find(const Gguf *gguf, const char *key);

/* Typed values. An absent one keeps *out and succeeds; another type, or a value outside [low,
 * high], is an XT_STATUS_INPUT error naming file, key and offset. Any type of whole number is
 * accepted. */
xt_status gguf_int(const Gguf *gguf, const char *key, int64_t low, int64_t high, int64_t *out,
                   xt_error *error);
xt_status gguf_real(const Gguf *gguf, const char *key, double *out, xt_error *error);
xt_status gguf_bool(const Gguf *gguf, const char *key, bool *out, xt_error *error);
/* A copy, which the caller frees with free(); *out stays NULL when absent. */
xt_status gguf_text(const Gguf *gguf, const char *key, char **out, xt_error *error);
/* An array of items of that type, or NULL when absent. */
xt_status gguf_array(const Gguf *gguf, const char *key, GgufType type, const GgufValue **out,
                     xt_error *error);

/* Items of arrays, in order: the next string, in the file; a number by its place. */
/* *at begins as value->at */
const char *gguf_next_text(const Gguf *gguf, size_t *at, size_t *length);
int32_t gguf_item_i32(const Gguf *gguf, const GgufValue *value, uint64_t index);
float gguf_item_f32(const Gguf *gguf, const GgufValue *value, uint64_t index);

/* The path of part `number` (from 1) of `count`: "NAME-00001-of-00003.gguf" for the first's path;
 * NULL in *out when that is not the first's name. The caller frees. */
xt_status gguf_part_path(const char *first, int number, int count, char **out, xt_error *error);

#endif
