/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* strtod_l, strerror_l */
#include "base/number.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C locale is part of the C library, so that this neither allocates nor fails. */
static locale_t c_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

locale_t number_enter(void) { return uselocale(c_locale()); }

void number_leave(locale_t was) { uselocale(was); }

int number_vprint(char *out, size_t size, const char *format, va_list args) {
  const locale_t was = number_enter();
  const int length = vsnprintf(out, size, format, args);
  number_leave(was);
  return length;
}

int number_print(char *out, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const int length = number_vprint(out, size, format, args);
  va_end(args);
  return length;
}

double number_read(const char *text, char **end) { return strtod_l(text, end, c_locale()); }

const char *number_error(int code) { return strerror_l(code, c_locale()); }

char *number_json(const json_t *value, size_t flags) {
  const locale_t was = number_enter();
  char *text = json_dumps(value, flags);
  number_leave(was);
  return text;
}
