/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a Python pickle into a tree of plain values, running nothing. The caller names the globals
 * that may occur; any other is an error. */
#ifndef FILES_PICKLE_H
#define FILES_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef enum PickleKind {
  PICKLE_NONE = 0, PICKLE_BOOL, PICKLE_INT, PICKLE_REAL, PICKLE_TEXT, PICKLE_BYTES,
  PICKLE_TUPLE, PICKLE_LIST, PICKLE_DICT, /* a dict's items: key, value, key, value, ... */
  PICKLE_GLOBAL,     /* text: "module.name" is `text` "module", `name` */
  PICKLE_CALL,       /* items[0]: the global called, items[1]: the tuple of arguments */
  PICKLE_MAPPING,    /* a collections.OrderedDict; items as a dict's */
  PICKLE_PERSISTENT  /* items[0]: the persistent id */
} PickleKind;

/* Values may be shared, and a list may hold itself: walk to a fixed depth only. */
typedef struct PickleValue {
  PickleKind kind;
  size_t offset;     /* of the opcode that made it, in the pickle */
  int64_t number;    /* BOOL, INT */
  const char *text;  /* TEXT, BYTES: [length]; GLOBAL: the module. Borrowed from the pickle, no NUL */
  size_t length;
  const char *name;  /* GLOBAL: [name_length] */
  size_t name_length;
  uint32_t *items;   /* indices of values */
  size_t count, capacity;
} PickleValue;

typedef struct Pickle {
  PickleValue *values;
  size_t count, capacity;
  uint32_t root;
} Pickle;

typedef struct PickleSource {
  const uint8_t *data;
  size_t size;
  const char *file; /* for messages */
  long long base;   /* where the pickle begins in the file, for offsets in messages */
  bool (*allowed)(const char *module, size_t module_length, const char *name, size_t name_length);
} PickleSource;

xt_status pickle_read(const PickleSource *source, Pickle *out, xt_error *error);
void pickle_free(Pickle *pickle); /* accepts a zeroed one */

static inline const PickleValue *pickle_item(const Pickle *pickle, const PickleValue *value, size_t index) {
  return &pickle->values[value->items[index]];
}
/* Whether a text or a global's module is exactly `expected`. */
bool pickle_is_text(const PickleValue *value, const char *expected);
bool pickle_is_global(const PickleValue *value, const char *module, const char *name);
const char *pickle_kind_name(PickleKind kind); /* "a tuple", ... */

#endif
