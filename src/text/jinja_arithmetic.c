/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and products, as Python has them. */
#include <math.h>

#include "text/jinja_parts.h"

json_t *jinja_concatenated(Jinja *j, const json_t *a, const json_t *b) {
  TextBuffer text = {0};
  jinja_write(j, &text, a);
  jinja_write(j, &text, b);
  return jinja_buffer_text(j, &text);
}

static json_t *real_result(Jinja *j, double x, double y, char sign) {
  if (y == 0 && (sign == '/' || sign == '%' || sign == 'd')) {
    jinja_fail(j, XT_STATUS_INPUT, "a division by zero");
    return NULL;
  }
  switch (sign) {
    case '+': return jinja_made(j, json_real(x + y));
    case '-': return jinja_made(j, json_real(x - y));
    case '*': return jinja_made(j, json_real(x * y));
    case '/': return jinja_made(j, json_real(x / y));
    case 'd': return jinja_made(j, json_real(floor(x / y)));
    default: return jinja_made(j, json_real(x - y * floor(x / y)));
  }
}

static json_t *integer_result(Jinja *j, json_int_t x, json_int_t y, char sign) {
  json_int_t out = 0;
  bool over = false;
  if (sign == '/' || ((sign == 'd' || sign == '%') && y == 0))
    return real_result(j, (double)x, (double)y, sign);
  if (sign == '+')
    over = __builtin_add_overflow(x, y, &out);
  else if (sign == '-')
    over = __builtin_sub_overflow(x, y, &out);
  else if (sign == '*')
    over = __builtin_mul_overflow(x, y, &out);
  else if (y == -1)
    over = sign == 'd' && __builtin_sub_overflow(0, x, &out);
  else { /* rounded down, as in Python */
    const json_int_t rest = x % y, lower = rest != 0 && (rest < 0) != (y < 0);
    out = sign == '%' ? rest + (lower ? y : 0) : x / y - lower;
  }
  if (!over) return jinja_made(j, json_integer(out));
  jinja_fail(j, XT_STATUS_UNSUPPORTED, "a number beyond 64 bits");
  return NULL;
}

json_t *jinja_calculated(Jinja *j, const json_t *a, const json_t *b, char sign) {
  if (sign == '+' && json_is_string(a) && json_is_string(b)) return jinja_concatenated(j, a, b);
  if (sign == '+' && json_is_array(a) && json_is_array(b)) {
    json_t *both = jinja_made(j, json_copy((json_t *)(uintptr_t)a));
    if (both && json_array_extend(both, (json_t *)(uintptr_t)b)) jinja_made(j, NULL);
    return both;
  }
  if (json_is_integer(a) && json_is_integer(b))
    return integer_result(j, json_integer_value(a), json_integer_value(b), sign);
  if (json_is_number(a) && json_is_number(b))
    return real_result(j, json_number_value(a), json_number_value(b), sign);
  jinja_fail(j, XT_STATUS_INPUT, "\"%s\" of %s and %s",
             sign == 'd' ? "//" : (const char[]){sign, 0}, jinja_kind_name(a), jinja_kind_name(b));
  return NULL;
}
