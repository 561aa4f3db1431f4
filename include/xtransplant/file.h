/* SPDX-License-Identifier: Apache-2.0 */
/* Files: writing a file as the library does, and finding out which files are mapped into memory. */
#ifndef XTRANSPLANT_FILE_H
#define XTRANSPLANT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xtransplant/error.h"

/* Writes `size` bytes to the file `path`, which is written completely or not at all: the bytes go
 * into a new file beside it, which is synced and renamed. A link stays a link, and the file that it
 * leads to is replaced. An existing file that is not regular (a device, a FIFO, /dev/stdout) is
 * written into and never replaced. On failure the status is XT_STATUS_IO, and an existing file is
 * unchanged. */
XT_API xt_status xt_file_write(const char *path, const void *data, size_t size, xt_error *error);

/* Weights and training texts are mapped into memory while they are read. When such a file is cut
 * short by another process, or its disk fails, the system sends SIGBUS to the thread that reads it,
 * and the library installs no handler for it. Your own handler may call this function with the
 * signal's si_addr; it only reads memory. True: `address` is in a mapped file at *offset, and the
 * file's name is in path[size], cut if it is longer. The library cannot be used after such a
 * signal: end the process. */
XT_API bool xt_mapped_file(const void *address, char *path, size_t size, uint64_t *offset);

#endif
