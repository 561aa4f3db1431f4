/* SPDX-License-Identifier: Apache-2.0 */
/* JSON printed without a value for each part: where there are millions of lines, building values
 * takes most of the time. What is printed is, byte for byte, what json_print prints of them. */
#ifndef CLI_SHELL_JSON_PRINT_H
#define CLI_SHELL_JSON_PRINT_H

#include <stddef.h>

/* A string with its quotes, or null. `text` is UTF-8, which is not checked here. */
void print_json_text(const char *text, size_t length);
/* With 9 digits; null unless finite: JSON has no infinity. */
void print_json_real(double value);
void print_json_int(int value);

#endif
