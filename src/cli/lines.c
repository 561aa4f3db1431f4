/* SPDX-License-Identifier: Apache-2.0 */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

static const char byte_order_mark[] = "\xEF\xBB\xBF";

/* Bytes of a byte order mark that the text begins with: 3 or 0. */
static size_t mark_length(const char *text, size_t length) {
  return length >= 3 && memcmp(text, byte_order_mark, 3) == 0 ? 3 : 0;
}

const char *input_name(const char *path) {
  return strcmp(path, "-") == 0 ? "stdin" : path;
}

static xt_status system_error(const char *path, const char *doing, xt_error *error) {
  return error_set(error, XT_STATUS_IO, input_name(path), NULL, -1, "%s: %s", doing, strerror(errno));
}

static xt_status open_stream(const char *path, FILE **out, xt_error *error) {
  *out = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (!*out) return system_error(path, "cannot open", error);
  struct stat about; /* fopen opens a folder, and reading it then fails with an odd message */
  if (fstat(fileno(*out), &about) == 0 && S_ISDIR(about.st_mode)) {
    if (*out != stdin) fclose(*out);
    return error_set(error, XT_STATUS_IO, input_name(path), NULL, -1, "cannot read: is a directory");
  }
  return XT_STATUS_OK;
}

xt_status read_whole(const char *path, char **text, size_t *length, xt_error *error) {
  FILE *stream;
  xt_status status = open_stream(path, &stream, error);
  if (status) return status;
  char *buffer = NULL;
  size_t used = 0, capacity = 0;
  for (;;) {
    if (capacity - used < 2) { /* a byte to read and the NUL */
      capacity = capacity ? 2 * capacity : 64 * 1024;
      char *grown = realloc(buffer, capacity);
      if (!grown) {
        status = error_memory(error);
        break;
      }
      buffer = grown;
    }
    const size_t got = fread(buffer + used, 1, capacity - used - 1, stream);
    used += got;
    if (got == 0) {
      if (ferror(stream)) status = system_error(path, "cannot read", error);
      break;
    }
  }
  if (stream != stdin) fclose(stream);
  if (status) {
    free(buffer);
    return status;
  }
  const size_t mark = mark_length(buffer, used);
  memmove(buffer, buffer + mark, used - mark);
  buffer[used - mark] = 0;
  *text = buffer;
  *length = used - mark;
  return XT_STATUS_OK;
}

xt_status lines_open(const char *path, LineReader *out, xt_error *error) {
  *out = (LineReader){.name = input_name(path)};
  return open_stream(path, &out->stream, error);
}

xt_status lines_next(LineReader *reader, bool *more, xt_error *error) {
  errno = 0;
  const ssize_t got = getline(&reader->text, &reader->capacity, reader->stream);
  *more = got >= 0;
  if (got < 0) {
    if (ferror(reader->stream)) return system_error(reader->name, "cannot read", error);
    return errno == ENOMEM ? error_memory(error) : XT_STATUS_OK;
  }
  reader->length = (size_t)got;
  const size_t mark = reader->number == 0 ? mark_length(reader->text, reader->length) : 0;
  if (mark) {
    reader->length -= mark;
    memmove(reader->text, reader->text + mark, reader->length + 1);
  }
  while (reader->length && (reader->text[reader->length - 1] == '\n' || reader->text[reader->length - 1] == '\r'))
    reader->text[--reader->length] = 0;
  reader->number++;
  return XT_STATUS_OK;
}

void lines_close(LineReader *reader) {
  if (reader->stream && reader->stream != stdin) fclose(reader->stream);
  free(reader->text);
  *reader = (LineReader){0};
}
