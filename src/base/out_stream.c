/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* fopencookie */
#include "base/out_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/out_name.h"

/* Writes everything, despite interruptions. */
static ssize_t put(void *cookie, const char *data, size_t size) {
  OutStream *out = cookie;
  size_t done = 0;
  while (done < size && !out->code) {
    const ssize_t got = write(out->fd, data + done, size - done);
    if (got > 0)
      done += (size_t)got;
    else if (got == 0)
      out->code = ENOSPC;
    else if (errno != EINTR)
      out->code = errno;
  }
  return out->code ? 0 : (ssize_t)done;
}

FILE *out_stream_open(int fd, OutStream *out) {
  *out = (OutStream){.fd = fd};
  out->stream = fopencookie(out, "w", (cookie_io_functions_t){.write = put});
  if (!out->stream) {
    close(fd);
    out->fd = -1;
  }
  return out->stream;
}

static void note(OutStream *out, bool fine) {
  if (!fine && !out->code) out->code = errno ? errno : EIO;
}

bool out_stream_close(OutStream *out, bool sync) {
  errno = 0;
  note(out, fflush(out->stream) == 0 && !ferror(out->stream));
  if (sync && !out->code) note(out, out_sync(out->fd));
  errno = 0;
  note(out, fclose(out->stream) == 0);
  errno = 0;
  note(out, close(out->fd) == 0 || errno == EINTR); /* after EINTR the descriptor is closed */
  out->stream = NULL;
  out->fd = -1;
  errno = out->code;
  return !out->code;
}

void out_stream_drop(OutStream *out) {
  if (!out->stream) return;
  out->code = ECANCELED;
  fclose(out->stream);
  close(out->fd);
  out->stream = NULL;
  out->fd = -1;
}

static int end(void *cookie) {
  OutStream *out = cookie;
  int code = out->code;
  if (close(out->fd) != 0 && errno != EINTR && !code) code = errno;
  free(out);
  errno = code;
  return code ? -1 : 0;
}

FILE *out_stream_stdio(int fd) {
  OutStream *out = malloc(sizeof *out);
  if (out) *out = (OutStream){.fd = fd};
  FILE *stream =
      out ? fopencookie(out, "w", (cookie_io_functions_t){.write = put, .close = end}) : NULL;
  if (stream) return stream;
  free(out);
  close(fd);
  return NULL;
}
