/* SPDX-License-Identifier: Apache-2.0 */
#include "shell/json_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_escaped(unsigned char c) {
  static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
  const char *known = c ? strchr(from, c) : NULL;
  if (known)
    printf("\\%c", to[known - from]);
  else
    printf("\\u%04X", c);
}

void print_json_text(const char *text, size_t length) {
  size_t from = 0;
  if (!text) {
    fputs("null", stdout);
    return;
  }
  putchar('"');
  for (size_t i = 0; i < length; i++) {
    const unsigned char c = (unsigned char)text[i];
    if (c >= ' ' && c != '"' && c != '\\') continue;
    fwrite(text + from, 1, i - from, stdout);
    print_escaped(c);
    from = i + 1;
  }
  fwrite(text + from, 1, length - from, stdout);
  putchar('"');
}

/* A real has a point or an exponent, and the exponent neither a plus nor zeros in front. */
void print_json_real(double value) {
  char digits[32];
  if (!isfinite(value)) {
    fputs("null", stdout);
    return;
  }
  const size_t length = (size_t)snprintf(digits, sizeof digits, "%.9g", value);
  const char *exponent = memchr(digits, 'e', length);
  if (!exponent) {
    fwrite(digits, 1, length, stdout);
    if (!memchr(digits, '.', length)) fputs(".0", stdout);
    return;
  }
  const char *rest = exponent + 1;
  fwrite(digits, 1, (size_t)(rest - digits), stdout);
  if (*rest == '-') putchar('-');
  rest += 1 + strspn(rest + 1, "0");
  fputs(rest, stdout);
}

void print_json_int(int value) {
  char digits[16];
  size_t at = sizeof digits;
  unsigned left = value < 0 ? 0 - (unsigned)value : (unsigned)value;
  do digits[--at] = (char)('0' + left % 10);
  while ((left /= 10) != 0);
  if (value < 0) digits[--at] = '-';
  fwrite(digits + at, 1, sizeof digits - at, stdout);
}
