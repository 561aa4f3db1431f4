/* SPDX-License-Identifier: Apache-2.0 */
#include "text/text_file.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/text_buffer.h"
#include "text/utf8.h"

/* The size that a file may unpack to: this many times its own size, and this much in any case. Text
 * is packed to about a tenth of its size; a hostile file, to a thousandth. */
#define UNPACKED_TIMES 64
#define UNPACKED_FREE ((size_t)16 << 20)
#define UNPACKED_MOST ((size_t)1 << 30)

static xt_status gzip_error(const char *path, const z_stream *z, size_t size, const char *what,
                            xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, path, NULL, (long long)(size - z->avail_in),
                 "broken gzip: %s", what);
}

/* Every member of the file, one after the other. */
static xt_status unpack(const char *path, const uint8_t *data, size_t size, TextBuffer *out,
                        xt_error *error) {
  char chunk[1 << 15];
  z_stream z = {0};
  xt_status status = XT_STATUS_OK;
  int code = Z_OK;
  const size_t allowed = UNPACKED_FREE + UNPACKED_TIMES * size,
               most = allowed < UNPACKED_MOST ? allowed : UNPACKED_MOST;
  if (size > UINT_MAX)
    return err_set(error, XT_STATUS_INPUT, path, NULL, -1, "is too large: %zu packed bytes", size);
  /* 15: largest window; 16: gzip */
  if (inflateInit2(&z, 15 + 16) != Z_OK) return err_memory(error, 1 << 16);
  z.next_in = (Bytef *)(uintptr_t)data;
  z.avail_in = (uInt)size;
  while (!status) {
    z.next_out = (Bytef *)chunk;
    z.avail_out = sizeof chunk;
    code = inflate(&z, Z_NO_FLUSH);
    text_buffer_add(out, chunk, sizeof chunk - z.avail_out);
    if (out->failed || code == Z_MEM_ERROR)
      status = err_memory(error, out->size);
    else if (out->size > most)
      status = gzip_error(path, &z, size,
                          most == UNPACKED_MOST ? "unpacks to more than 1 GiB"
                                                : "unpacks to more than 64 times its size",
                          error);
    else if (code == Z_STREAM_END && z.avail_in == 0)
      break;
    else if (code == Z_STREAM_END)
      inflateReset(&z);
    else if (code == Z_BUF_ERROR)
      status = gzip_error(path, &z, size, "it ends too early", error);
    else if (code != Z_OK)
      status = gzip_error(path, &z, size, z.msg ? z.msg : "it cannot be unpacked", error);
  }
  inflateEnd(&z);
  return status;
}

static xt_status check(const TextFile *f, const char *path, xt_error *error) {
  size_t bad, line = 1;
  size_t at = utf8_valid_prefix(f->text, f->size, &bad);
  const char *nul = memchr(f->text, 0, at);
  if (!nul && bad == 0) return XT_STATUS_OK;
  if (nul) at = (size_t)(nul - f->text);
  for (const char *p = f->text; (p = memchr(p, '\n', (size_t)(f->text + at - p))); p++) line++;
  char field[40];
  snprintf(field, sizeof field, "line %zu", line);
  if (nul)
    return err_set(error, XT_STATUS_INPUT, path, field, (long long)at,
                   "is a NUL byte; expected UTF-8 text");
  return err_set(error, XT_STATUS_INPUT, path, field, (long long)at,
                 "is not valid UTF-8 (byte 0x%02X)", (unsigned)(unsigned char)f->text[at]);
}

xt_status text_file_parse(const void *from, size_t size, const char *path, TextFile *out,
                          xt_error *error) {
  static const char mark[] = "\xEF\xBB\xBF";
  const uint8_t *data = from;
  TextBuffer buffer = {0};
  *out = (TextFile){0};
  xt_status status = XT_STATUS_OK;
  if (size >= 2 && data[0] == 0x1F && data[1] == 0x8B)
    status = unpack(path, data, size, &buffer, error);
  else
    text_buffer_add(&buffer, (const char *)data, size);
  if (!status && buffer.failed) status = err_memory(error, buffer.size);
  if (!status) {
    *out = (TextFile){buffer.data, buffer.size};
    status = check(out, path, error);
  }
  if (status) {
    text_buffer_free(&buffer);
    *out = (TextFile){0};
    return status;
  }
  if (out->size >= 3 && memcmp(out->text, mark, 3) == 0) {
    out->size -= 3;
    memmove(out->text, out->text + 3, out->size + 1);
  }
  return XT_STATUS_OK;
}

xt_status text_file_read(const char *path, TextFile *out, xt_error *error) {
  FileMap map;
  *out = (TextFile){0};
  TRY(file_read(path, FILE_LARGE, &map, error));
  const xt_status status = text_file_parse(map.data, map.size, path, out, error);
  file_map_close(&map);
  return status;
}

void text_file_free(TextFile *file) {
  free(file->text);
  *file = (TextFile){0};
}

xt_status text_line_error(xt_error *error, const char *path, size_t line, const char *format, ...) {
  char message[400], field[40];
  va_list args;
  va_start(args, format);
  number_vprint(message, sizeof message, format, args);
  va_end(args);
  snprintf(field, sizeof field, "line %zu", line);
  return err_set(error, XT_STATUS_INPUT, path, field, -1, "%s", message);
}
