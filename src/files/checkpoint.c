/* SPDX-License-Identifier: Apache-2.0 */
#include "files/checkpoint.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/text_buffer.h"
#include "files/checkpoint_parts.h"
#include "files/gguf.h"
#include "files/npy.h"

typedef struct Format {
  const char *name, *single, *index;
  TensorReader read;
} Format;

static const Format formats[] = {
    {"safetensors", "model.safetensors", "model.safetensors.index.json", safetensors_read},
    {"pytorch .bin", "pytorch_model.bin", "pytorch_model.bin.index.json", torch_bin_read},
};

/* qsort has no context argument in C11, so what is sorted carries the name. */
typedef struct NameEntry {
  const char *name;
  size_t index;
} NameEntry;

static int compare_names(const void *a, const void *b) {
  const NameEntry *x = a, *y = b;
  const int order = strcmp(x->name, y->name);
  return order ? order : (x->index > y->index) - (x->index < y->index);
}

static xt_status sort_names(Checkpoint *checkpoint, xt_error *error) {
  NameEntry *entries;
  TRY(MEM_ALLOC(&entries, checkpoint->count, error));
  xt_status status;
  TRY_DONE(MEM_ALLOC(&checkpoint->by_name, checkpoint->count, error));
  for (size_t i = 0; i < checkpoint->count; i++)
    entries[i] = (NameEntry){checkpoint->tensors[i].name, i};
  qsort(entries, checkpoint->count, sizeof *entries, compare_names);
  for (size_t i = 0; i < checkpoint->count; i++) {
    checkpoint->by_name[i] = entries[i].index;
    if (i == 0 || strcmp(entries[i].name, entries[i - 1].name) != 0) continue;
    const Tensor *first = &checkpoint->tensors[entries[i - 1].index],
                 *second = &checkpoint->tensors[entries[i].index];
    status = err_set(error, XT_STATUS_INPUT, second->map->path, second->name, tensor_offset(second),
                     "the tensor is stored twice; the other is in %.200s", first->map->path);
    goto done;
  }
done:
  free(entries);
  return status;
}

/* A shard is named by an untrusted file: it may only be a file of the same directory. */
static bool safe_file_name(const char *name) {
  if (!name[0] || strlen(name) > 255 || strpbrk(name, "/\\")) return false;
  return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Names the tensors that would have to be in the missing shard. */
static xt_status missing_shard(const char *path, const char *shard, const json_t *map,
                               xt_error *error) {
  TextBuffer names = {0};
  const char *name, *first = NULL;
  json_t *value;
  size_t count = 0;
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    if (strcmp(json_string_value(value), shard) != 0) continue;
    if (!first) first = name;
    if (count++ < 5) text_buffer_format(&names, "%s%.80s", count > 1 ? ", " : "", name);
  }
  const xt_status status =
      err_set(error, XT_STATUS_INPUT, path, first, -1, "the shard is missing; %zu tensor%s: %s%s",
              count, count == 1 ? " needs it" : "s need it", names.data ? names.data : "",
              count > 5 ? ", ..." : "");
  text_buffer_free(&names);
  return status;
}

/* Opens every shard the map names, each once, in order of appearance. */
static xt_status open_shards(Checkpoint *checkpoint, const Format *format, const char *directory,
                             const char *index, const json_t *map, json_t *opened,
                             xt_error *error) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    if (!json_is_string(value))
      return err_set(error, XT_STATUS_INPUT, index, name, -1, "is %s, expected the name of a file",
                     json_type_name(value));
    const char *shard = json_string_value(value);
    if (strlen(shard) != json_string_length(value) || !safe_file_name(shard))
      return err_set(
          error, XT_STATUS_INPUT, index, name, -1,
          "\"%.200s\" is refused: a shard must be the plain name of a file in the same directory",
          shard);
  }
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    const char *shard = json_string_value(value);
    if (json_object_get(opened, shard)) continue;
    char *path;
    TRY(file_join(directory, shard, &path, error));
    xt_status status = file_exists(path)
                           ? checkpoint_add_file(checkpoint, path, format->read, error)
                           : missing_shard(path, shard, map, error);
    free(path);
    TRY(status);
    if (json_object_set_new(opened, shard, json_integer((json_int_t)(checkpoint->file_count - 1))))
      return err_memory(error, sizeof(json_t));
  }
  return XT_STATUS_OK;
}

/* A tensor that both have is in the shard that the index names. Either may have more: whoever needs
 * a tensor asks for it by name. */
static xt_status check_map(const Checkpoint *checkpoint, const json_t *map, const json_t *opened,
                           xt_error *error) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    const size_t at = (size_t)json_integer_value(json_object_get(opened, json_string_value(value)));
    const FileMap *file = checkpoint->files[at];
    const Tensor *tensor = checkpoint_find(checkpoint, name);
    if (tensor && tensor->map != file)
      return err_set(error, XT_STATUS_INPUT, file->path, name, -1,
                     "the index places the tensor in this shard, but it is in %.200s",
                     tensor->map->path);
  }
  return XT_STATUS_OK;
}

static xt_status read_sharded(Checkpoint *checkpoint, const Format *format, const char *directory,
                              const char *index, xt_error *error) {
  json_t *root = NULL, *opened = NULL;
  xt_status status;
  TRY_DONE(json_parse_file(index, &root, error));
  const json_t *map = json_object_get(root, "weight_map");
  if (!json_is_object(map) || json_object_size(map) == 0) {
    status = err_set(error, XT_STATUS_INPUT, index, "weight_map", -1,
                     "is %s, expected an object of tensor names and the files that hold them",
                     json_is_object(map) ? "empty" : json_type_name(map));
    goto done;
  }
  opened = json_object();
  if (!opened) {
    status = err_memory(error, sizeof(json_t));
    goto done;
  }
  TRY_DONE(open_shards(checkpoint, format, directory, index, map, opened, error));
  TRY_DONE(sort_names(checkpoint, error));
  TRY_DONE(check_map(checkpoint, map, opened, error));
done:
  json_decref(opened);
  json_decref(root);
  return status;
}

static xt_status read_directory(Checkpoint *checkpoint, const char *directory, xt_error *error) {
  struct stat info;
  if (stat(directory, &info) != 0) return err_io(error, directory, "cannot open");
  if (S_ISREG(info.st_mode) && gguf_is_file(directory)) {
    checkpoint->format = "GGUF";
    TRY(gguf_files_read(checkpoint, directory, error));
    return sort_names(checkpoint, error);
  }
  if (!S_ISDIR(info.st_mode))
    return err_set(error, XT_STATUS_INPUT, directory, NULL, -1,
                   "is a file, expected a model directory");
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    for (int sharded = 0; sharded < 2; sharded++) {
      char *path;
      TRY(file_join(directory, sharded ? formats[i].index : formats[i].single, &path, error));
      if (!file_exists(path)) {
        free(path);
        continue;
      }
      checkpoint->format = formats[i].name;
      xt_status status;
      if (sharded) {
        status = read_sharded(checkpoint, &formats[i], directory, path, error);
      } else {
        status = checkpoint_add_file(checkpoint, path, formats[i].read, error);
        if (!status) status = sort_names(checkpoint, error);
      }
      free(path);
      return status;
    }
  }
  return err_set(error, XT_STATUS_INPUT, directory, NULL, -1,
                 "no weights here: looked for %s, %s, %s and %s", formats[0].single,
                 formats[0].index, formats[1].single, formats[1].index);
}

/* Gives the checkpoint out, or closes it when reading it failed. */
static xt_status finish_open(Checkpoint *checkpoint, xt_status status, Checkpoint **out) {
  if (status)
    checkpoint_close(checkpoint);
  else
    *out = checkpoint;
  return status;
}

xt_status checkpoint_open(const char *directory, Checkpoint **out, xt_error *error) {
  Checkpoint *checkpoint;
  *out = NULL;
  TRY(MEM_ALLOC(&checkpoint, 1, error));
  return finish_open(checkpoint, read_directory(checkpoint, directory, error), out);
}

static xt_status open_one(const char *path, const char *format, TensorReader read, Checkpoint **out,
                          xt_error *error) {
  Checkpoint *checkpoint;
  *out = NULL;
  TRY(MEM_ALLOC(&checkpoint, 1, error));
  checkpoint->format = format;
  xt_status status = checkpoint_add_file(checkpoint, path, read, error);
  if (!status) status = sort_names(checkpoint, error);
  return finish_open(checkpoint, status, out);
}

xt_status checkpoint_open_file(const char *path, Checkpoint **out, xt_error *error) {
  return open_one(path, formats[0].name, formats[0].read, out, error);
}

xt_status checkpoint_open_npy(const char *path, Checkpoint **out, xt_error *error) {
  return open_one(path, "npy", npy_read, out, error);
}

void checkpoint_close(Checkpoint *checkpoint) {
  if (!checkpoint) return;
  for (size_t i = 0; i < checkpoint->count; i++)
    free((void *)(uintptr_t)checkpoint->tensors[i].name);
  for (size_t i = 0; i < checkpoint->file_count; i++) {
    file_map_close(checkpoint->files[i]);
    free(checkpoint->files[i]);
  }
  for (size_t i = 0; i < checkpoint->made; i++)
    free((void *)(uintptr_t)checkpoint->unpacked[i].name);
  free(checkpoint->unpacked);
  free(checkpoint->packed);
  free(checkpoint->tensors);
  free(checkpoint->files);
  free(checkpoint->by_name);
  json_decref(checkpoint->metadata);
  free(checkpoint);
}

xt_status checkpoint_check(const Checkpoint *checkpoint, xt_error *error) {
  for (size_t i = 0; i < checkpoint->file_count; i++)
    TRY(file_map_check(checkpoint->files[i], error));
  return XT_STATUS_OK;
}

size_t checkpoint_count(const Checkpoint *checkpoint) { return checkpoint->count; }

const Tensor *checkpoint_get(const Checkpoint *checkpoint, size_t index) {
  return index < checkpoint->count ? &checkpoint->tensors[index] : NULL;
}

static int compare_name(const void *name, const void *tensor) {
  return strcmp(name, ((const Tensor *)tensor)->name);
}

const Tensor *checkpoint_find(const Checkpoint *checkpoint, const char *name) {
  const size_t made = checkpoint->unpacked_count;
  const Tensor *unpacked =
      made ? bsearch(name, checkpoint->unpacked, made, sizeof *checkpoint->unpacked, compare_name)
           : NULL;
  if (unpacked) return unpacked;
  size_t low = 0, high = checkpoint->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const Tensor *tensor = &checkpoint->tensors[checkpoint->by_name[middle]];
    const int order = strcmp(name, tensor->name);
    if (order == 0) return tensor;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

const char *checkpoint_format(const Checkpoint *checkpoint) { return checkpoint->format; }

int checkpoint_files(const Checkpoint *checkpoint) { return (int)checkpoint->file_count; }

const FileMap *checkpoint_first_file(const Checkpoint *checkpoint) { return checkpoint->files[0]; }

uint64_t checkpoint_file_bytes(const Checkpoint *checkpoint) {
  uint64_t total = 0;
  for (size_t i = 0; i < checkpoint->file_count; i++) total += checkpoint->files[i]->size;
  return total;
}

const char *checkpoint_metadata(const Checkpoint *checkpoint, const char *key) {
  return json_string_value(json_object_get(checkpoint->metadata, key));
}
