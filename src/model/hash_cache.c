/* SPDX-License-Identifier: Apache-2.0 */
/* A model's hash, kept beside so that the many processes of a cluster do not each read all weights
 * for it.
 *
 * What is kept is named by what the system says of each file: path, inode, size, and the times of
 * its last change to the nanosecond, that of its inode among them, which no program can set. When
 * any of it differs, the name differs, and nothing is found. A file that changed within the last
 * seconds may change again within one tick of its clock, so that its hash is neither kept nor
 * trusted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file_map.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/out_file.h"
#include "base/out_folder.h"
#include "files/model_files.h"
#include "model/model.h"

#define SETTLED_SECONDS 2
#define HASH_DIGITS (XT_MODEL_HASH_SIZE - 1)

/* *settled: false where the file is too young. */
static void add_stat(Hash *key, const struct stat *of, bool *settled) {
  const time_t latest = time(NULL) - SETTLED_SECONDS;
  hash_number(key, (uint64_t)of->st_ino);
  hash_number(key, (uint64_t)of->st_size);
  hash_number(key, (uint64_t)of->st_mtim.tv_sec);
  hash_number(key, (uint64_t)of->st_mtim.tv_nsec);
  hash_number(key, (uint64_t)of->st_ctim.tv_sec);
  hash_number(key, (uint64_t)of->st_ctim.tv_nsec);
  if (of->st_mtim.tv_sec > latest || of->st_ctim.tv_sec > latest) *settled = false;
}

static void add_path(Hash *key, const char *path) {
  char *whole = realpath(path, NULL);
  hash_text(key, whole ? whole : path);
  free(whole);
}

/* The open file, as another may have come to its name; one that is not open is not settled. */
static void add_weights(Hash *key, const FileMap *map, bool *settled) {
  struct stat of;
  add_path(key, map->path);
  if (map->owned || map->size == 0 || fstat(map->fd, &of) != 0)
    *settled = false;
  else
    add_stat(key, &of, settled);
}

static xt_status add_small(const xt_model *m, const char *name, Hash *key, bool *settled,
                           xt_error *error) {
  struct stat of;
  char *path;
  TRY(file_join(m->path, name, &path, error));
  hash_text(key, name);
  if (stat(path, &of) == 0) {
    add_path(key, path);
    add_stat(key, &of, settled);
  }
  free(path);
  return XT_STATUS_OK;
}

/* FOLDER/hash-...; NULL where the hash is not to be kept. The caller frees *out with free(). */
static xt_status cache_path(const xt_model *m, const char *folder, char **out, xt_error *error) {
  Hash key;
  uint8_t digest[HASH_BYTES];
  char name[HASH_TEXT_SIZE + 8] = "hash-";
  bool settled = true;
  const FileMap *before = NULL;
  *out = NULL;
  hash_init(&key);
  hash_text(&key, "xtransplant model 1");
  for (const char *const *file = model_files_small; *file && m->config.names != NAMES_GGUF; file++)
    TRY(add_small(m, *file, &key, &settled, error));
  for (size_t i = 0; i < checkpoint_count(m->checkpoint); i++) {
    const FileMap *map = checkpoint_get(m->checkpoint, i)->map;
    if (map != before) add_weights(&key, map, &settled);
    before = map;
  }
  hash_finish(&key, digest);
  hash_hex(digest, HASH_BYTES, name + strlen(name));
  return settled ? file_join(folder, name, out, error) : XT_STATUS_OK;
}

static bool read_kept(const char *path, char out[XT_MODEL_HASH_SIZE]) {
  FileMap map;
  if (file_read(path, HASH_DIGITS, &map, NULL)) return false;
  bool good = map.size == HASH_DIGITS;
  for (size_t i = 0; i < HASH_DIGITS && good; i++)
    good = map.data[i] && strchr("0123456789abcdef", map.data[i]);
  if (good) {
    memcpy(out, map.data, HASH_DIGITS);
    out[HASH_DIGITS] = '\0';
  }
  file_map_close(&map);
  return good;
}

xt_status xt_model_hash_kept(const xt_model *model, const char *folder,
                             char out[XT_MODEL_HASH_SIZE], xt_error *error) {
  char *before = NULL, *after = NULL;
  xt_status status = folder ? cache_path(model, folder, &before, error) : XT_STATUS_OK;
  if (!status && !(before && read_kept(before, out))) {
    status = xt_model_hash(model, out, error);
    /* a file that changed while it was read has another name now */
    if (!status && before && !cache_path(model, folder, &after, NULL) && after &&
        strcmp(before, after) == 0) {
      out_private_folders(after);
      (void)out_file_save(after, out, HASH_DIGITS, NULL); /* it is not needed */
    }
  }
  free(before);
  free(after);
  return status;
}
