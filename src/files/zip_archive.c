/* SPDX-License-Identifier: Apache-2.0 */
/* What is read, from the end of the file backwards:
 *
 *   local header + bytes of each entry ...
 *   central directory                      one record for each entry
 *   ZIP64 end record, ZIP64 locator        when a field of the end record is saturated
 *   end record, comment                    ends the file
 *
 * Sizes come from the central directory: the local headers of torch's files leave them zero. */
#include "files/zip_archive.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"

enum { END_SIZE = 22, LOCATOR_SIZE = 20, END64_SIZE = 56, CENTRAL_SIZE = 46, LOCAL_SIZE = 30 };
#define END_MAGIC 0x06054b50u
#define LOCATOR_MAGIC 0x07064b50u
#define END64_MAGIC 0x06064b50u
#define CENTRAL_MAGIC 0x02014b50u
#define LOCAL_MAGIC 0x04034b50u

typedef struct Directory {
  uint64_t count, size, offset;
  uint64_t limit; /* where the end records begin: the directory ends at or before it */
} Directory;

static Cursor cursor_at(const FileMap *map, uint64_t offset) {
  Cursor cursor = cursor_make(map->data, map->size);
  if (offset > map->size)
    cursor.failed = true;
  else
    cursor.at = (size_t)offset;
  return cursor;
}

#define ZIP_ERROR(status, map, offset, ...) \
  err_set(error, status, (map)->path, NULL, (long long)(offset), __VA_ARGS__)

static xt_status find_end(const FileMap *map, uint64_t *out, xt_error *error) {
  for (uint64_t back = END_SIZE; back <= map->size && back <= END_SIZE + 65535u; back++) {
    Cursor cursor = cursor_at(map, map->size - back);
    if (cursor_u32(&cursor) != END_MAGIC) continue;
    cursor_take(&cursor, 16);
    if (cursor_u16(&cursor) != back - END_SIZE) continue; /* the comment must end the file */
    *out = map->size - back;
    return XT_STATUS_OK;
  }
  return ZIP_ERROR(XT_STATUS_INPUT, map, map->size,
                   "no zip end record at the end of the file: cut short, or not a zip archive");
}

static xt_status read_end64(const FileMap *map, uint64_t end, Directory *out, xt_error *error) {
  if (end < LOCATOR_SIZE)
    return ZIP_ERROR(XT_STATUS_INPUT, map, end,
                     "the zip end record needs a ZIP64 one, which is missing");
  Cursor locator = cursor_at(map, end - LOCATOR_SIZE);
  if (cursor_u32(&locator) != LOCATOR_MAGIC)
    return ZIP_ERROR(XT_STATUS_INPUT, map, end,
                     "the zip end record needs a ZIP64 one, which is missing");
  const uint32_t disk = cursor_u32(&locator);
  const uint64_t at = cursor_u64(&locator);
  const uint32_t disks = cursor_u32(&locator);
  Cursor record = cursor_at(map, at);
  if (disk != 0 || disks > 1 || at > end - LOCATOR_SIZE || end - LOCATOR_SIZE - at < END64_SIZE ||
      cursor_u32(&record) != END64_MAGIC)
    return ZIP_ERROR(XT_STATUS_INPUT, map, end - LOCATOR_SIZE,
                     "the ZIP64 locator does not point at a ZIP64 end record");
  cursor_take(&record, 28); /* size, versions, disk numbers, entries on this disk */
  out->count = cursor_u64(&record);
  out->size = cursor_u64(&record);
  out->offset = cursor_u64(&record);
  out->limit = at;
  return XT_STATUS_OK;
}

static xt_status read_end(const FileMap *map, Directory *out, xt_error *error) {
  uint64_t end = 0;
  TRY(find_end(map, &end, error));
  Cursor cursor = cursor_at(map, end + 4);
  const uint16_t disk = cursor_u16(&cursor), first_disk = cursor_u16(&cursor);
  cursor_u16(&cursor);
  *out = (Directory){.limit = end};
  out->count = cursor_u16(&cursor);
  out->size = cursor_u32(&cursor);
  out->offset = cursor_u32(&cursor);
  if (out->count == UINT16_MAX || out->size == UINT32_MAX || out->offset == UINT32_MAX) {
    TRY(read_end64(map, end, out, error));
  } else if (disk != 0 || first_disk != 0) {
    return ZIP_ERROR(XT_STATUS_UNSUPPORTED, map, end, "the zip archive spans several files");
  }
  if (out->offset > out->limit || out->size > out->limit - out->offset)
    return ZIP_ERROR(XT_STATUS_INPUT, map, end,
                     "the zip directory at %llu, of %llu bytes, does not lie before byte %llu",
                     (unsigned long long)out->offset, (unsigned long long)out->size,
                     (unsigned long long)out->limit);
  if (out->count > out->size / CENTRAL_SIZE)
    return ZIP_ERROR(XT_STATUS_INPUT, map, end,
                     "%llu zip entries do not fit a directory of %llu bytes",
                     (unsigned long long)out->count, (unsigned long long)out->size);
  return XT_STATUS_OK;
}

/* Replaces saturated fields by those of the ZIP64 extra field (id 1), which holds just these, in
 * order. */
static bool widen(Cursor extra, uint64_t *size, uint64_t *stored, uint64_t *header) {
  const bool wide[] = {*size == UINT32_MAX, *stored == UINT32_MAX, *header == UINT32_MAX};
  if (!wide[0] && !wide[1] && !wide[2]) return true;
  while (extra.size - extra.at >= 4) {
    const uint16_t id = cursor_u16(&extra), length = cursor_u16(&extra);
    const uint8_t *data = cursor_take(&extra, length);
    if (!data) return false;
    if (id != 1) continue;
    Cursor field = cursor_make(data, length);
    if (wide[0]) *size = cursor_u64(&field);
    if (wide[1]) *stored = cursor_u64(&field);
    if (wide[2]) *header = cursor_u64(&field);
    return !field.failed;
  }
  return false;
}

/* Finds the entry's bytes through its local header. */
static xt_status locate(const FileMap *map, const Directory *directory, uint64_t size,
                        long long record, ZipEntry *entry, xt_error *error) {
  Cursor local = cursor_at(map, entry->header);
  if (entry->header > directory->offset || directory->offset - entry->header < LOCAL_SIZE ||
      cursor_u32(&local) != LOCAL_MAGIC)
    return ZIP_ERROR(XT_STATUS_INPUT, map, record,
                     "zip entry %.*s has no local header at byte %llu", (int)entry->name_length,
                     entry->name, (unsigned long long)entry->header);
  cursor_take(&local, 22);
  const uint16_t name_length = cursor_u16(&local), extra_length = cursor_u16(&local);
  const uint8_t *name = cursor_take(&local, name_length);
  if (!name || name_length != entry->name_length || memcmp(name, entry->name, name_length) != 0)
    return ZIP_ERROR(XT_STATUS_INPUT, map, entry->header,
                     "the local header of zip entry %.*s has another name", (int)entry->name_length,
                     entry->name);
  cursor_take(&local, extra_length);
  if (local.failed || local.at > directory->offset || size > directory->offset - local.at)
    return ZIP_ERROR(XT_STATUS_INPUT, map, record,
                     "zip entry %.*s of %llu bytes does not lie before the directory",
                     (int)entry->name_length, entry->name, (unsigned long long)size);
  entry->data = map->data + local.at;
  entry->size = (size_t)size;
  return XT_STATUS_OK;
}

static xt_status read_record(const FileMap *map, const Directory *directory, Cursor *cursor,
                             ZipEntry *entry, xt_error *error) {
  const long long record = (long long)cursor->at;
  const uint32_t magic = cursor_u32(cursor);
  cursor_take(cursor, 4); /* versions */
  const uint16_t flags = cursor_u16(cursor), method = cursor_u16(cursor);
  cursor_take(cursor, 4); /* time */
  entry->crc = cursor_u32(cursor);
  uint64_t stored = cursor_u32(cursor), size = cursor_u32(cursor);
  const uint16_t name_length = cursor_u16(cursor), extra_length = cursor_u16(cursor),
                 comment = cursor_u16(cursor);
  cursor_take(cursor, 8); /* disk, attributes */
  entry->header = cursor_u32(cursor);
  const uint8_t *name = cursor_take(cursor, name_length),
                *extra = cursor_take(cursor, extra_length);
  cursor_take(cursor, comment);
  if (cursor->failed || magic != CENTRAL_MAGIC)
    return ZIP_ERROR(XT_STATUS_INPUT, map, record, "not a whole record of the zip directory");
  entry->name = (const char *)name;
  entry->name_length = name_length < 255 ? name_length : 255; /* for messages; refused just below */
  if (name_length == 0 || name_length > 255 || memchr(name, 0, name_length))
    return ZIP_ERROR(XT_STATUS_INPUT, map, record,
                     "a zip entry's name is empty, too long or holds a NUL");
  if (!widen(cursor_make(extra, extra_length), &size, &stored, &entry->header))
    return ZIP_ERROR(XT_STATUS_INPUT, map, record, "zip entry %.*s has no valid ZIP64 field",
                     name_length, entry->name);
  if (flags & 1)
    return ZIP_ERROR(XT_STATUS_UNSUPPORTED, map, record, "zip entry %.*s is encrypted", name_length,
                     entry->name);
  if (method != 0)
    return ZIP_ERROR(
        XT_STATUS_UNSUPPORTED, map, record,
        "zip entry %.*s is compressed (method %u); torch.save stores entries as they are",
        name_length, entry->name, method);
  if (stored != size)
    return ZIP_ERROR(XT_STATUS_INPUT, map, record,
                     "zip entry %.*s is stored, but has two sizes: %llu and %llu", name_length,
                     entry->name, (unsigned long long)stored, (unsigned long long)size);
  return locate(map, directory, size, record, entry, error);
}

static int compare_places(const void *a, const void *b) {
  const ZipEntry *x = a, *y = b;
  return (x->header > y->header) - (x->header < y->header);
}

static int compare_texts(const char *a, size_t a_length, const char *b, size_t b_length) {
  const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
  return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_names(const void *a, const void *b) {
  const ZipEntry *x = a, *y = b;
  return compare_texts(x->name, x->name_length, y->name, y->name_length);
}

/* No two entries share bytes or a name. Leaves them sorted by name. */
static xt_status check_distinct(const ZipArchive *archive, xt_error *error) {
  ZipEntry *entries = archive->entries;
  qsort(entries, archive->count, sizeof *entries, compare_places);
  for (size_t i = 1; i < archive->count; i++)
    if (entries[i - 1].data + entries[i - 1].size > archive->map->data + entries[i].header)
      return ZIP_ERROR(XT_STATUS_INPUT, archive->map, entries[i].header,
                       "zip entry %.*s overlaps the one before it", (int)entries[i].name_length,
                       entries[i].name);
  qsort(entries, archive->count, sizeof *entries, compare_names);
  for (size_t i = 1; i < archive->count; i++)
    if (compare_names(&entries[i - 1], &entries[i]) == 0)
      return ZIP_ERROR(XT_STATUS_INPUT, archive->map, entries[i].header,
                       "zip entry %.*s occurs twice", (int)entries[i].name_length, entries[i].name);
  return XT_STATUS_OK;
}

xt_status zip_archive_open(const FileMap *map, ZipArchive *out, xt_error *error) {
  Directory directory;
  *out = (ZipArchive){.map = map};
  TRY(read_end(map, &directory, error));
  TRY(MEM_ALLOC(&out->entries, (size_t)directory.count, error));
  xt_status status = XT_STATUS_OK;
  Cursor cursor = cursor_make(map->data, (size_t)(directory.offset + directory.size));
  cursor.at = (size_t)directory.offset;
  for (; out->count < directory.count; out->count++)
    TRY_DONE(read_record(map, &directory, &cursor, &out->entries[out->count], error));
  if (cursor.at != cursor.size) {
    status = ZIP_ERROR(XT_STATUS_INPUT, map, cursor.at,
                       "the zip directory has bytes after its %zu entries", out->count);
    goto done;
  }
  status = check_distinct(out, error);
done:
  if (status) zip_archive_close(out);
  return status;
}

void zip_archive_close(ZipArchive *archive) {
  free(archive->entries);
  *archive = (ZipArchive){0};
}

const ZipEntry *zip_archive_find(const ZipArchive *archive, const char *name, size_t length) {
  size_t low = 0, high = archive->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const ZipEntry *entry = &archive->entries[middle];
    const int order = compare_texts(name, length, entry->name, entry->name_length);
    if (order == 0) return entry;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

/* Four bits at a time: only small entries are checked, so a bigger table would not pay. */
static uint32_t crc32_of(const uint8_t *data, size_t size) {
  static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                     0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                     0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

xt_status zip_archive_check(const ZipArchive *archive, const ZipEntry *entry, xt_error *error) {
  const uint32_t crc = crc32_of(entry->data, entry->size);
  if (crc == entry->crc) return XT_STATUS_OK;
  return ZIP_ERROR(XT_STATUS_INPUT, archive->map, entry->data - archive->map->data,
                   "zip entry %.*s is damaged: its CRC-32 is %08x, the directory says %08x",
                   (int)entry->name_length, entry->name, crc, entry->crc);
}
