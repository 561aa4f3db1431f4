/* SPDX-License-Identifier: Apache-2.0 */
/* Files: writing one as every part of the library does, and which ones are mapped into memory. */
#ifndef XTRANSPLANT_FILE_H
#define XTRANSPLANT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xtransplant/error.h"

/* Writes `size` bytes to the file `path`, which appears whole or not at all: they go into a new
 * file beside it, which is synced and renamed. A link stays a link, and what it leads to is
 * replaced. What exists and is no regular file (a device, a FIFO, /dev/stdout) is written into and
 * never replaced.
 * XT_STATUS_IO when that fails; then nothing new is there, and what was there stays. */
XT_API xt_status xt_file_write(const char *path, const void *data, size_t size, xt_error *error);

/* Weights and training texts are mapped into memory while they are read. When such a file is cut
 * short by another process, or its disk fails, the system sends SIGBUS to the thread that reads it,
 * and the library installs no handler for it. A handler of yours may call this with the signal's
 * si_addr; it only reads memory. True: `address` lies in the mapped file whose name goes into
 * path[size], cut where it is longer, at *offset. Nothing of the library can be used after such a
 * signal: end the process. */
XT_API bool xt_mapped_file(const void *address, char *path, size_t size, uint64_t *offset);

#endif
