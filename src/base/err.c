/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "base/number.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy_text(char *to, size_t size, const char *from) {
  snprintf(to, size, "%s", from ? from : "");
}

xt_status err_set(xt_error *error, xt_status status, const char *file, const char *field,
                  long long offset, const char *format, ...) {
  if (!error) return status;
  error->status = status;
  error->offset = offset;
  copy_text(error->file, sizeof error->file, file);
  copy_text(error->field, sizeof error->field, field);
  va_list args;
  va_start(args, format);
  number_vprint(error->message, sizeof error->message, format, args);
  va_end(args);
  return status;
}

xt_status err_memory(xt_error *error, size_t bytes) {
  return err_set(error, XT_STATUS_MEMORY, NULL, NULL, -1,
                 "out of memory: %zu bytes could not be allocated", bytes);
}

const char *err_system_text(int code, char buffer[ERR_SYSTEM_TEXT]) {
  snprintf(buffer, ERR_SYSTEM_TEXT, "%s", number_error(code));
  return buffer;
}

xt_status err_io(xt_error *error, const char *file, const char *doing) {
  char text[ERR_SYSTEM_TEXT];
  return err_set(error, XT_STATUS_IO, file, NULL, -1, "%s: %s", doing,
                 err_system_text(errno, text));
}

const char *xt_error_format(const xt_error *error, char *buffer, size_t size) {
  if (size == 0) return buffer;
  char offset[48] = "";
  if (error->offset >= 0) snprintf(offset, sizeof offset, "at byte %lld: ", error->offset);
  snprintf(buffer, size, "%s%s%s%s%s%s", error->file, error->file[0] ? ": " : "", error->field,
           error->field[0] ? ": " : "", offset, error->message);
  return buffer;
}
