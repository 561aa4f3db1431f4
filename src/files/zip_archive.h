/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a zip archive whose entries are stored, not compressed: each is a view into the
 * mapped file. Reads ZIP64. Everything is checked against the file before it is given out. */
#ifndef FILES_ZIP_ARCHIVE_H
#define FILES_ZIP_ARCHIVE_H

#include "base/file_map.h"

typedef struct ZipEntry {
  const char *name; /* [name_length], borrowed from the map; no NUL after it */
  size_t name_length;
  uint64_t header; /* offset of its local header */
  const uint8_t *data;
  size_t size;
  uint32_t crc;
} ZipEntry;

typedef struct ZipArchive {
  const FileMap *map; /* borrowed */
  ZipEntry *entries;  /* [count], sorted by name */
  size_t count;
} ZipArchive;

xt_status zip_archive_open(const FileMap *map, ZipArchive *out, xt_error *error);
void zip_archive_close(ZipArchive *archive); /* accepts a zeroed one */

/* NULL when absent. */
const ZipEntry *zip_archive_find(const ZipArchive *archive, const char *name, size_t length);

/* Compares the entry's bytes with its CRC-32. */
xt_status zip_archive_check(const ZipArchive *archive, const ZipEntry *entry, xt_error *error);

#endif
