/* SPDX-License-Identifier: Apache-2.0 */
/* stdio's buffering over a descriptor, for writing in sequence. Unlike stdio's own streams it
 * continues after interrupted writes, and keeps the error number of the first write that failed. */
#ifndef BASE_OUT_STREAM_H
#define BASE_OUT_STREAM_H

#include <stdbool.h>
#include <stdio.h>

typedef struct OutStream {
  FILE *stream;
  int fd;   /* owned */
  int code; /* errno of the first write that failed; 0: none */
} OutStream;

/* Takes ownership of `fd`; on failure, for which only missing memory can be the reason, it is
 * closed and NULL returned. *out is used by the stream and must not be moved. */
FILE *out_stream_open(int fd, OutStream *out);
/* Flushes, syncs if asked, and closes. False, with errno: something was not written. */
bool out_stream_close(OutStream *out, bool sync);
/* Closes without writing what is still buffered. Accepts a closed one. */
void out_stream_drop(OutStream *out);

/* The same as a plain stream, which fclose ends: it fails, with errno, when any write did. Takes
 * ownership of `fd`; NULL: memory ran out, and `fd` is closed. */
FILE *out_stream_stdio(int fd);

#endif
