/* SPDX-License-Identifier: Apache-2.0 */
/* What Unicode 16 says of code points, as tables that tools/make_unicode_tables.py writes. */
#ifndef TEXT_UNICODE_DATA_H
#define TEXT_UNICODE_DATA_H

#include <stddef.h>
#include <stdint.h>

#define UNICODE_END 0x110000u

/* General categories: a run begins at `run >> 8` and lasts to the next; its category's index is
 * `run & 0xFF`. */
enum { UNICODE_CATEGORIES = 30 };
extern const char unicode_category_names[UNICODE_CATEGORIES][3];
extern const uint32_t unicode_category_runs[];
extern const size_t unicode_category_count;

/* Scripts, likewise. The names are in lower case without "_": the long one, then ISO 15924's. */
extern const char *const unicode_script_names[][2];
extern const size_t unicode_scripts;
extern const uint32_t unicode_script_runs[];
extern const size_t unicode_script_count;

/* A property that a code point has or has not: it begins at the first, ends before the second, and
 * so on. */
typedef struct UnicodeBinary {
  const char *name;
  const uint32_t *toggles;
  size_t count;
} UnicodeBinary;
extern const UnicodeBinary unicode_binary[];
extern const size_t unicode_binaries;

#endif
