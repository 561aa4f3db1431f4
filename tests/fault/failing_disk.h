/* SPDX-License-Identifier: Apache-2.0 */
/* A file system of SQLite (VFS) that loses power at a chosen operation: it keeps apart what was
 * synced and what was not. */
#ifndef TESTS_FAILING_DISK_H
#define TESTS_FAILING_DISK_H

#include <sqlite3.h>

#include "base/rng.h"
#include "support.h"

typedef struct Write {
  sqlite3_int64 at, size; /* size -1: the file was cut at `at` */
  uint8_t *bytes;
} Write;

typedef struct Shadow { /* a file as the disk has it */
  char path[512];
  bool there, removed; /* removed: since, without a sync of the folder */
  uint8_t *bytes;
  size_t size;
  Write *writes; /* since the last sync */
  size_t count;
} Shadow;

typedef struct ShimFile {
  sqlite3_file base;
  Shadow *shadow;
  sqlite3_file *real;
} ShimFile;

static sqlite3_vfs *disk, shim;
static Shadow shadows[16];
static size_t shadow_count;
static long operations, power_off_at = -1;

static inline bool power_is_off(void) { return power_off_at >= 0 && operations >= power_off_at; }
static inline bool next_operation(void) {
  const bool off = power_is_off();
  operations++;
  return !off;
}

static inline Shadow *shadow_of(const char *path) {
  for (size_t i = 0; i < shadow_count; i++)
    if (strcmp(shadows[i].path, path) == 0) return &shadows[i];
  assert_true(shadow_count < sizeof shadows / sizeof *shadows);
  Shadow *s = &shadows[shadow_count++];
  *s = (Shadow){0};
  snprintf(s->path, sizeof s->path, "%s", path);
  return s;
}

static inline void forget_writes(Shadow *s) {
  for (size_t i = 0; i < s->count; i++) free(s->writes[i].bytes);
  free(s->writes);
  s->writes = NULL;
  s->count = 0;
}

static inline void add_write(Shadow *s, const void *bytes, sqlite3_int64 at, sqlite3_int64 size) {
  s->writes = realloc(s->writes, (s->count + 1) * sizeof *s->writes);
  assert_non_null(s->writes);
  s->writes[s->count] = (Write){at, size, size > 0 ? malloc((size_t)size) : NULL};
  if (size > 0) memcpy(s->writes[s->count].bytes, bytes, (size_t)size);
  s->count++;
}

static inline void apply(Shadow *s, const Write *w, size_t size) {
  const size_t end = w->size < 0 ? (size_t)w->at : (size_t)w->at + size;
  if (w->size < 0 ? end < s->size : end > s->size) {
    s->bytes = realloc(s->bytes, end + 1);
    assert_non_null(s->bytes);
    if (end > s->size) memset(s->bytes + s->size, 0, end - s->size);
    s->size = end;
  }
  if (w->size > 0) memcpy(s->bytes + w->at, w->bytes, size);
}

static inline int shim_close(sqlite3_file *f) {
  ShimFile *s = (ShimFile *)f;
  const int code = s->real->pMethods ? s->real->pMethods->xClose(s->real) : SQLITE_OK;
  free(s->real);
  return code;
}
static inline int shim_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at) {
  sqlite3_file *r = ((ShimFile *)f)->real;
  return r->pMethods->xRead(r, out, n, at);
}
static inline int shim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at) {
  ShimFile *s = (ShimFile *)f;
  if (!next_operation()) return SQLITE_IOERR_WRITE;
  add_write(s->shadow, bytes, at, n);
  return s->real->pMethods->xWrite(s->real, bytes, n, at);
}
static inline int shim_truncate(sqlite3_file *f, sqlite3_int64 size) {
  ShimFile *s = (ShimFile *)f;
  if (!next_operation()) return SQLITE_IOERR_TRUNCATE;
  add_write(s->shadow, NULL, size, -1);
  return s->real->pMethods->xTruncate(s->real, size);
}
static inline int shim_sync(sqlite3_file *f, int flags) {
  Shadow *s = ((ShimFile *)f)->shadow;
  (void)flags;
  if (!next_operation()) return SQLITE_IOERR_FSYNC;
  for (size_t i = 0; i < s->count; i++)
    apply(s, &s->writes[i], (size_t)(s->writes[i].size > 0 ? s->writes[i].size : 0));
  forget_writes(s);
  s->there = true; /* SQLite syncs the folder with a new file's first sync */
  s->removed = false;
  return SQLITE_OK;
}
static inline int shim_size(sqlite3_file *f, sqlite3_int64 *out) {
  sqlite3_file *r = ((ShimFile *)f)->real;
  return r->pMethods->xFileSize(r, out);
}
static bool locks_fail; /* as of NFS without its lock service */
static inline int shim_lock(sqlite3_file *f, int level) {
  if (locks_fail) {
    errno = ENOLCK;
    return SQLITE_BUSY; /* what SQLite's own makes of it */
  }
  sqlite3_file *r = ((ShimFile *)f)->real;
  return r->pMethods->xLock(r, level);
}
static inline int shim_unlock(sqlite3_file *f, int level) {
  sqlite3_file *r = ((ShimFile *)f)->real;
  return r->pMethods->xUnlock(r, level);
}
static inline int shim_reserved(sqlite3_file *f, int *out) {
  sqlite3_file *r = ((ShimFile *)f)->real;
  return r->pMethods->xCheckReservedLock(r, out);
}
static inline int shim_control(sqlite3_file *f, int what, void *with) {
  sqlite3_file *r = ((ShimFile *)f)->real;
  return r->pMethods->xFileControl(r, what, with);
}
static inline int shim_sector(sqlite3_file *f) {
  (void)f;
  return 512;
}
static inline int shim_device(sqlite3_file *f) {
  (void)f;
  return 0;
} /* promises nothing */

static const sqlite3_io_methods shim_methods = {.iVersion = 1,
                                                .xClose = shim_close,
                                                .xRead = shim_read,
                                                .xWrite = shim_write,
                                                .xTruncate = shim_truncate,
                                                .xSync = shim_sync,
                                                .xFileSize = shim_size,
                                                .xLock = shim_lock,
                                                .xUnlock = shim_unlock,
                                                .xCheckReservedLock = shim_reserved,
                                                .xFileControl = shim_control,
                                                .xSectorSize = shim_sector,
                                                .xDeviceCharacteristics = shim_device};

static inline int shim_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *f, int flags,
                            int *out) {
  ShimFile *s = (ShimFile *)f;
  (void)vfs;
  *s = (ShimFile){.real = calloc(1, (size_t)disk->szOsFile)};
  assert_non_null(s->real);
  const int code = disk->xOpen(disk, path, s->real, flags, out);
  if (code != SQLITE_OK) {
    free(s->real);
    return code;
  }
  if (path)
    s->shadow = shadow_of(path);
  else
    s->shadow = shadow_of("temporary");
  s->base.pMethods = &shim_methods;
  return SQLITE_OK;
}
static inline int shim_delete(sqlite3_vfs *vfs, const char *path, int sync_folder) {
  (void)vfs;
  if (!next_operation()) return SQLITE_IOERR_DELETE;
  Shadow *s = shadow_of(path);
  if (sync_folder) {
    s->there = false;
    s->size = 0; /* another file, if one of the name comes */
    forget_writes(s);
  } else {
    s->removed = true;
  }
  return disk->xDelete(disk, path, sync_folder);
}

static inline void install_shim(void) {
  disk = sqlite3_vfs_find(NULL);
  shim = *disk;
  shim.zName = "power";
  shim.szOsFile = sizeof(ShimFile);
  shim.xOpen = shim_open;
  shim.xDelete = shim_delete;
  sqlite3_vfs_register(&shim, 1);
}

/* The disk after the power came back: of what was not synced some is there, some not, some in
 * part. */
static inline void lose_power(Rng *rng) {
  for (size_t i = 0; i < shadow_count; i++) {
    Shadow *s = &shadows[i];
    bool there = s->there && !(s->removed && rng_next(rng) % 2);
    if (!s->there && s->count && rng_next(rng) % 2) there = true;
    for (size_t w = 0; w < s->count; w++) {
      const Write *write = &s->writes[w];
      switch (rng_next(rng) % 3) {
        case 0: break;
        case 1: apply(s, write, (size_t)(write->size > 0 ? write->size : 0)); break;
        default: apply(s, write, write->size > 0 ? (size_t)write->size / 2 : 0); break;
      }
    }
    unlink(s->path);
    if (there && s->path[0] == '/') {
      FILE *file = fopen(s->path, "wb");
      assert_non_null(file);
      if (s->size) assert_int_equal(fwrite(s->bytes, 1, s->size, file), s->size);
      fclose(file);
    }
    forget_writes(s);
    free(s->bytes);
  }
  shadow_count = 0;
}

#endif
