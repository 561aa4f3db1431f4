/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell/cli.h"

static const char byte_order_mark[] = "\xEF\xBB\xBF";

/* Bytes of a byte order mark that the text begins with: 3 or 0. */
static size_t mark_length(const char *text, size_t length) {
  return length >= 3 && memcmp(text, byte_order_mark, 3) == 0 ? 3 : 0;
}

const char *input_name(const char *path) { return strcmp(path, "-") == 0 ? "stdin" : path; }

static xt_status system_error(const char *path, const char *doing, xt_error *error) {
  return error_set(error, XT_STATUS_IO, input_name(path), NULL, -1, "%s: %s", doing,
                   strerror(errno));
}

static xt_status open_stdin(FILE **out, xt_error *error) {
  struct stat about;
  *out = stdin;
  if (fstat(STDIN_FILENO, &about) != 0 || !S_ISDIR(about.st_mode)) return XT_STATUS_OK;
  return error_set(error, XT_STATUS_IO, "stdin", NULL, -1, "cannot read: is a directory");
}

/* Opened without waiting, then read with waiting. A FIFO without a writer is at its end at once,
 * and would otherwise count as an empty text. */
static xt_status prepare(const char *path, int fd, unsigned char *first, size_t *begun,
                         xt_error *error) {
  struct stat about;
  *begun = 0;
  if (fstat(fd, &about) != 0) return system_error(path, "cannot stat", error);
  if (S_ISDIR(about.st_mode))
    return error_set(error, XT_STATUS_IO, path, NULL, -1, "cannot read: is a directory");
  if (S_ISFIFO(about.st_mode)) {
    const ssize_t got = read(fd, first, 1);
    if (got == 0)
      return error_set(error, XT_STATUS_INPUT, path, NULL, -1,
                       "is an empty pipe, or one that nobody writes into");
    *begun = got == 1;
  }
  return fcntl(fd, F_SETFL, 0) == 0 ? XT_STATUS_OK : system_error(path, "cannot open", error);
}

static xt_status open_stream(const char *path, FILE **out, xt_error *error) {
  unsigned char first = 0;
  size_t begun;
  if (strcmp(path, "-") == 0) return open_stdin(out, error);
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return system_error(path, "cannot open", error);
  xt_status status = prepare(path, fd, &first, &begun, error);
  if (!status && !(*out = fdopen(fd, "rb"))) status = error_memory(error);
  if (status)
    close(fd);
  else if (begun)
    ungetc(first, *out);
  return status;
}

static xt_status too_large(const char *name, const char *field, xt_error *error) {
  return error_set(error, XT_STATUS_INPUT, name, field, -1, "is too large: more than %zu MiB",
                   LINES_MOST >> 20);
}

xt_status read_whole(const char *path, char **text, size_t *length, xt_error *error) {
  FILE *stream = NULL;
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
    if (used > LINES_MOST)
      status = too_large(input_name(path), NULL, error);
    else if (got == 0 && ferror(stream))
      status = system_error(path, "cannot read", error);
    if (status || got == 0) break;
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

static xt_status add_byte(LineReader *reader, int byte, xt_error *error) {
  if (reader->length + 1 >= reader->capacity) {
    const size_t capacity = reader->capacity ? 2 * reader->capacity : 1024;
    char *grown = realloc(reader->text, capacity);
    if (!grown) return error_memory(error);
    reader->text = grown;
    reader->capacity = capacity;
  }
  reader->text[reader->length++] = (char)byte;
  reader->text[reader->length] = 0;
  if (reader->length <= LINES_MOST) return XT_STATUS_OK;
  char field[32];
  snprintf(field, sizeof field, "line %zu", reader->number + 1);
  return too_large(reader->name, field, error);
}

xt_status lines_next(LineReader *reader, bool *more, xt_error *error) {
  int byte = EOF;
  xt_status status = XT_STATUS_OK;
  reader->length = 0;
  while (!status && (byte = getc_unlocked(reader->stream)) != EOF && byte != '\n')
    status = add_byte(reader, byte, error);
  if (!status && ferror(reader->stream)) status = system_error(reader->name, "cannot read", error);
  *more = !status && (byte == '\n' || reader->length > 0);
  if (!*more) return status;
  const size_t mark = reader->number == 0 ? mark_length(reader->text, reader->length) : 0;
  if (mark) {
    reader->length -= mark;
    memmove(reader->text, reader->text + mark, reader->length + 1);
  }
  while (reader->length && reader->text[reader->length - 1] == '\r') reader->length--;
  if (!reader->length) { /* an empty line has a text, too */
    status = add_byte(reader, 0, error);
    reader->length = 0;
  }
  if (!status) reader->text[reader->length] = 0;
  reader->number++;
  return status;
}

void lines_close(LineReader *reader) {
  if (reader->stream && reader->stream != stdin) fclose(reader->stream);
  free(reader->text);
  *reader = (LineReader){0};
}
