/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as text in the C locale (a point, no grouping), whatever locale the host program has set.
 * The locale of the host and of other threads is not changed. Every number with a fraction that
 * src/ writes or reads goes through here. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <jansson.h>
#include <locale.h>
#include <stdarg.h>
#include <stddef.h>

/* snprintf and vsnprintf. */
int number_print(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int number_vprint(char *out, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* strtod. */
double number_read(const char *text, char **end);

/* The meaning of a system call's error number, in English; valid until the thread's next call. */
const char *number_error(int code);

/* json_dumps, which by itself would use the host's locale. The caller frees the result; NULL:
 * memory ran out, or text is not UTF-8. */
char *number_json(const json_t *value, size_t flags);

/* Puts this thread into the C locale; give the result to number_leave. For calls into other
 * libraries. */
locale_t number_enter(void);
void number_leave(locale_t was);

#endif
