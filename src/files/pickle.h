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
  PICKLE_NONE = 0,
  PICKLE_BOOL,
  PICKLE_INT,
  PICKLE_REAL,
  PICKLE_TEXT,
  PICKLE_BYTES,
  PICKLE_TUPLE,
  PICKLE_LIST,
  PICKLE_DICT,      /* a dict's items: key, value, key, value, ... */
  PICKLE_GLOBAL,    /* text: "module.name" is `text` "module", `name` */
  PICKLE_CALL,      /* items[0]: the global called, items[1]: the tuple of arguments */
  PICKLE_MAPPING,   /* a collections.OrderedDict; items as a dict's */
  PICKLE_PERSISTENT /* items[0]: the persistent id */
} PickleKind;

/* Values may be shared, and a list may hold itself: walk to a fixed depth only. They are small,
 * because a pickle may make one from every byte; which members are used depends on the kind. */
typedef struct PickleValue {
  uint32_t kind;   /* a PickleKind */
  uint32_t offset; /* of the opcode that made it, in the pickle */
  union {
    int64_t number; /* BOOL, INT */
    struct {
      const char *text, *name; /* TEXT, BYTES: text[length]; GLOBAL: the module, and
                                  name[name_length]. Borrowed, no NUL */
      uint32_t length, name_length;
    };
    struct {
      uint32_t *items; /* indices of values */
      uint32_t count, capacity;
    };
  };
} PickleValue;

/* A state_dict takes about a hundred bytes of pickle for each tensor. */
#define PICKLE_MOST ((size_t)32 << 20)

typedef struct Pickle {
  PickleValue *values;
  size_t count, capacity;
  uint32_t root;
} Pickle; /* takes at most 80 times the pickle's bytes */

typedef struct PickleSource {
  const uint8_t *data;
  size_t size;
  const char *file; /* for messages */
  long long base;   /* where the pickle begins in the file, for offsets in messages */
  bool (*allowed)(const char *module, size_t module_length, const char *name, size_t name_length);
} PickleSource;

xt_status pickle_read(const PickleSource *source, Pickle *out, xt_error *error);
void pickle_free(Pickle *pickle); /* accepts a zeroed one */

static inline const PickleValue *pickle_item(const Pickle *pickle, const PickleValue *value,
                                             size_t index) {
  return &pickle->values[value->items[index]];
}
/* Whether a text or a global's module is exactly `expected`. */
bool pickle_is_text(const PickleValue *value, const char *expected);
bool pickle_is_global(const PickleValue *value, const char *module, const char *name);
const char *pickle_kind_name(PickleKind kind); /* "a tuple", ... */

#endif
