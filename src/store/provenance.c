/* SPDX-License-Identifier: Apache-2.0 */
/* The provenance of responses: enough to make them again, or to find out why others differ. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/system.h"
#include "files/model_files.h"
#include "model/model.h"
#include "store/store_parts.h"
#include "text/utf8.h"
#include "xtransplant/version.h"

/* Sets a member; on failure *object is freed and NULL, and further calls do nothing. */
static void put(json_t **object, const char *key, json_t *value) {
  if (!*object || json_object_set_new(*object, key, value) != 0) {
    if (!*object) json_decref(value);
    json_decref(*object);
    *object = NULL;
  }
}

static void put_text(json_t **object, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put_text(json_t **object, const char *key, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  number_vprint(text, sizeof text, format, args);
  va_end(args);
  json_t *value = json_string(text);
  if (!value) { /* a path that is not UTF-8, or was cut within a character */
    for (char *c = text; *c; c++)
      if ((unsigned char)*c >= 0x80) *c = '?';
    value = json_string(text);
  }
  put(object, key, value);
}

/* The GPU's name, for what is only promised on one kind of them. */
static void put_device(json_t **object, const char *id) {
  xt_device found[32];
  const int most = (int)(sizeof found / sizeof *found), all = xt_devices(found, most, NULL, 0);
  for (int i = 0; i < all && i < most; i++)
    if (strcmp(found[i].id, id) == 0) put_text(object, "device", "%s", found[i].name);
}

static json_t *processor(const xt_model *model) {
  static const char *const features[] = {
      "sse4_2",   "avx",      "avx2",        "fma",         "f16c",        "avx512f",  "avx512bw",
      "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile",
      "amx_bf16", "asimd",    "bf16",        "i8mm",        "sve"};
  char name[256], flags[8192], padded[8200];
  json_t *object = json_object(), *have = json_array();
  system_processor_line("model name", name, sizeof name);
  system_processor_line("flags", flags, sizeof flags);
  if (!flags[0]) system_processor_line("Features", flags, sizeof flags);
  snprintf(padded, sizeof padded, " %s ", flags);
  for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
    char word[32];
    snprintf(word, sizeof word, " %s ", features[i]);
    if (strstr(padded, word)) json_array_append_new(have, json_string(features[i]));
  }
  put_text(&object, "name", "%s", name);
  put(&object, "features", have);
  if (model->backend) put_text(&object, "kernels", "%s", model->backend->ops->name);
  if (model->backend && strcmp(model->backend->device, "cpu") != 0)
    put_device(&object, model->backend->device);
  if (model->backend && model->backend->compute == XT_COMPUTE_F32 &&
      !model->backend->limits.exact && strcmp(model->backend->device, "cpu") != 0)
    put_text(&object, "inexact", "%s", "the device does not promise the cpu's bits");
  if (model->backend) put(&object, "threads", json_integer(model->backend->threads));
  return object;
}

static json_t *libraries(void) {
  json_t *object = json_object();
  char nettle[32];
  hash_library_version(nettle, sizeof nettle);
  put_text(&object, "sqlite", "%s", sqlite3_libversion());
  put_text(&object, "jansson", "%s", JANSSON_VERSION);
  put_text(&object, "icu", "%s", utf8_icu_version());
  put_text(&object, "nettle", "%s", nettle);
  return object;
}

static json_t *build(void) {
  json_t *object = json_object();
  put_text(&object, "version", "%s", xt_version());
#if defined(__clang__)
  put_text(&object, "compiler", "clang %s", __clang_version__);
#elif defined(__GNUC__)
  put_text(&object, "compiler", "gcc %s", __VERSION__);
#endif
#if defined(__SANITIZE_ADDRESS__)
  put_text(&object, "sanitizer", "address");
#endif
  put_text(&object, "pointer_bits", "%zu", 8 * sizeof(void *));
  return object;
}

/* The weight files, each once, with name and size; the names of their tensors are in the model's
 * hash. */
static json_t *weight_files(const xt_model *model) {
  json_t *array = json_array();
  const FileMap *last = NULL;
  for (size_t i = 0; i < checkpoint_count(model->checkpoint); i++) {
    const FileMap *map = checkpoint_get(model->checkpoint, i)->map;
    if (map == last) continue;
    last = map;
    const char *slash = strrchr(map->path, '/'), *name = slash ? slash + 1 : map->path;
    bool known = false;
    for (size_t k = 0; k < json_array_size(array); k++)
      known = known || strcmp(json_string_value(json_object_get(json_array_get(array, k), "name")),
                              name) == 0;
    if (known) continue;
    json_t *file = json_object();
    put_text(&file, "name", "%s", name);
    put(&file, "bytes", json_integer((json_int_t)map->size));
    if (file) json_array_append_new(array, file);
  }
  return array;
}

/* What sha256sum prints for the files beside the weights. */
static json_t *small_files(const xt_model *model) {
  json_t *object = json_object();
  for (const char *const *name = model_files_small; *name; name++) {
    char *path = NULL, text[HASH_TEXT_SIZE];
    uint8_t digest[HASH_BYTES];
    FileMap map;
    Hash hash;
    if (file_join(model->path, *name, &path, NULL) == XT_STATUS_OK && file_exists(path) &&
        file_read(path, FILE_SMALL, &map, NULL) == XT_STATUS_OK) {
      hash_init(&hash);
      hash_raw(&hash, map.data, map.size);
      hash_finish(&hash, digest);
      hash_hex(digest, HASH_BYTES, text);
      put_text(&object, *name, "%s", text);
      file_map_close(&map);
    }
    free(path);
  }
  return object;
}

xt_status store_provenance(const xt_model *model, const char *hash,
                           const xt_store_settings *settings, const char *command, char **out,
                           xt_error *error) {
  xt_model_info info;
  json_t *root = json_object(), *about = json_object(), *how = json_object();
  xt_model_get_info(model, &info);
  put_text(&about, "path", "%s", info.path);
  put_text(&about, "hash", "%s", hash);
  put_text(&about, "architecture", "%s", info.architecture);
  put_text(&about, "weight_dtype", "%s", info.weight_dtype);
  put(&about, "parameters", json_integer((json_int_t)info.parameters));
  put(&about, "weight_files", weight_files(model));
  put(&about, "sha256", small_files(model));
  put_text(&how, "compute", "%s", xt_compute_name(settings->compute));
  put(&how, "max_new_tokens", json_integer(settings->max_new_tokens));
  put(&how, "repetition_penalty",
      json_real(settings->repetition_penalty > 0 ? settings->repetition_penalty
                                                 : info.repetition_penalty));
  put(&how, "ignore_eos", json_boolean(settings->ignore_eos));
  put(&root, "model", about);
  put(&root, "settings", how);
  put(&root, "build", build());
  put(&root, "processor", processor(model));
  put(&root, "libraries", libraries());
  put_text(&root, "command", "%s", command ? command : "");
  *out = root ? number_json(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(root);
  return *out ? XT_STATUS_OK : err_memory(error, 0);
}
