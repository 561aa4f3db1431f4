/* SPDX-License-Identifier: Apache-2.0 */
#include "files/hub_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file_map.h"
#include "base/json.h"
#include "base/mem.h"
#include "files/gguf.h"
#include "xtransplant/model.h"

#define NAMES_SHOWN 400 /* bytes of a list of folders within a message */

static bool is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

/* The commit that refs/main names, or "" where there is none. */
static xt_status read_main(const char *folder, char out[80], xt_error *error) {
  FileMap map;
  char *path;
  out[0] = 0;
  TRY(file_join(folder, "refs/main", &path, error));
  xt_status status = XT_STATUS_OK;
  if (file_exists(path)) {
    status = file_map_open(path, &map, error);
    if (!status) {
      size_t n = 0;
      while (n < map.size && n < 79 && map.data[n] > ' ' && map.data[n] != '/') n++;
      memcpy(out, map.data, n);
      out[n] = 0;
      file_map_close(&map);
    }
  }
  free(path);
  return status;
}

/* The folders of `snapshots`: how many, one of their names, and a list for messages. */
static xt_status list_snapshots(const char *snapshots, size_t *count, char only[256],
                                char list[NAMES_SHOWN], xt_error *error) {
  DIR *directory = opendir(snapshots);
  if (!directory) return err_io(error, snapshots, "cannot open");
  *count = 0;
  only[0] = list[0] = 0;
  for (const struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.') continue;
    snprintf(only, 256, "%s", entry->d_name);
    const size_t used = strlen(list);
    snprintf(list + used, NAMES_SHOWN - used, "%s%s", *count ? ", " : "", entry->d_name);
    ++*count;
  }
  closedir(directory);
  return XT_STATUS_OK;
}

/* The snapshot of a folder of the cache: the one that refs/main names, else the only one. */
static xt_status find_snapshot(const char *folder, char **out, xt_error *error) {
  char commit[80], only[256], list[NAMES_SHOWN], *snapshots;
  size_t count = 0;
  TRY(file_join(folder, "snapshots", &snapshots, error));
  xt_status status;
  *out = NULL;
  TRY_DONE(read_main(folder, commit, error));
  if (commit[0]) {
    TRY_DONE(file_join(snapshots, commit, out, error));
    if (is_folder(*out)) goto done;
    free(*out);
    *out = NULL;
  }
  TRY_DONE(list_snapshots(snapshots, &count, only, list, error));
  if (count == 1)
    TRY_DONE(file_join(snapshots, only, out, error));
  else if (count == 0)
    TRY_DONE(err_set(error, XT_STATUS_INPUT, snapshots, NULL, -1,
                     "holds no snapshot: the download is not complete"));
  else
    TRY_DONE(err_set(error, XT_STATUS_INPUT, snapshots, NULL, -1,
                     "holds %zu snapshots and refs/main names none of them; give one of them: %s",
                     count, list));
done:
  free(snapshots);
  return status;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* "name" or "org/name", of the characters that the hub allows. */
static bool is_hub_id(const char *name) {
  int slashes = 0;
  if (!*name || *name == '.' || *name == '/' || *name == '-') return false;
  for (const char *c = name; *c; c++) {
    const bool letter =
        (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
    if (*c == '/')
      slashes++;
    else if (!letter && *c != '.' && *c != '_' && *c != '-')
      return false;
  }
  return slashes <= 1 && name[strlen(name) - 1] != '/';
}

/* CACHE/models--ORG--NAME */
static xt_status cache_folder(const char *cache, const char *id, char **out, xt_error *error) {
  const size_t size = strlen(cache) + strlen(id) + 16;
  const char *slash = strchr(id, '/');
  TRY(MEM_ALLOC(out, size, error));
  if (slash)
    snprintf(*out, size, "%s/models--%.*s--%s", cache, (int)(slash - id), id, slash + 1);
  else
    snprintf(*out, size, "%s/models--%s", cache, id);
  return XT_STATUS_OK;
}

static xt_status refuse_file(const char *path, xt_error *error) {
  const char *what = "is a file";
  if (file_name_ends(path, ".safetensors") || file_name_ends(path, ".bin") ||
      file_name_ends(path, ".pt") || file_name_ends(path, ".pth"))
    what = "is a file of weights";
  if (file_name_ends(path, ".json")) what = "is one file of a model";
  return err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                 "%s; give the folder that holds it, with config.json and the weights", what);
}

/* ---- folders with a GGUF file ---------------------------------------------------------------- */

/* Whether the name is that of a GGUF file that can be opened, which the second and later parts of a
 * split file cannot. */
static bool is_gguf_name(const char *name) {
  const char *of = strstr(name, "-of-");
  return file_name_ends(name, ".gguf") &&
         (!of || of - name < 6 || of[-6] != '-' || memcmp(of - 5, "00001", 5) == 0);
}

/* A folder without config.json: the one GGUF file in it takes its place. */
static xt_status enter_folder(char **path, xt_error *error) {
  char list[NAMES_SHOWN] = "", only[256] = "", *config, *file = NULL;
  size_t count = 0;
  TRY(file_join(*path, "config.json", &config, error));
  const bool found = file_exists(config);
  free(config);
  DIR *directory = found ? NULL : opendir(*path);
  for (const struct dirent *entry; directory && (entry = readdir(directory));) {
    if (!is_gguf_name(entry->d_name)) continue;
    const size_t used = strlen(list);
    snprintf(only, sizeof only, "%s", entry->d_name);
    snprintf(list + used, NAMES_SHOWN - used, "%s%s", count++ ? ", " : "", entry->d_name);
  }
  if (directory) closedir(directory);
  if (count > 1)
    return err_set(error, XT_STATUS_INPUT, *path, NULL, -1,
                   "holds %zu GGUF files; give one of them: %s", count, list);
  if (count == 0) return XT_STATUS_OK;
  TRY(file_join(*path, only, &file, error));
  free(*path);
  *path = file;
  return XT_STATUS_OK;
}

xt_status xt_model_locate(const char *name, const char *cache, char **path, xt_error *error) {
  char *folder = NULL, *snapshots = NULL;
  xt_status status;
  if (!name || !path)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, name ? "path" : "name", -1, "is NULL");
  *path = NULL;
  if (gguf_is_file(name)) return mem_copy_text(path, name, strlen(name), error);
  if (file_exists(name) && !is_folder(name)) return refuse_file(name, error);
  if (is_folder(name)) {
    TRY_DONE(file_join(name, "snapshots", &snapshots, error));
    if (is_folder(snapshots))
      TRY_DONE(find_snapshot(name, path, error));
    else
      TRY_DONE(mem_copy_text(path, name, strlen(name), error));
    goto done;
  }
  if (cache && is_hub_id(name)) {
    TRY_DONE(cache_folder(cache, name, &folder, error));
    if (is_folder(folder)) {
      TRY_DONE(find_snapshot(folder, path, error));
      goto done;
    }
  }
  if (is_hub_id(name) && strchr(name, '/'))
    TRY_DONE(err_set(error, XT_STATUS_IO, name, NULL, -1,
                     "there is no such folder%s%s%s; download the model (hf download %s), or give "
                     "the folder that it is in",
                     cache ? ", and the Hugging Face cache, " : "", cache ? cache : "",
                     cache ? ", has no model of that name" : "", name));
  errno = ENOENT;
  TRY_DONE(err_io(error, name, "cannot open the model's folder"));
done:
  if (!status && *path) status = enter_folder(path, error);
  if (status) {
    free(*path);
    *path = NULL;
  }
  free(folder);
  free(snapshots);
  return status;
}

void hub_folder_name(const char *path, char out[HUB_NAME_SIZE]) {
  static const char prefix[] = "/models--";
  const char *snapshots = strstr(path, "/snapshots/"), *model = NULL;
  for (const char *at = path; snapshots && (at = strstr(at, prefix)) && at < snapshots; at++)
    model = at + strlen(prefix);
  if (model) { /* ORG--NAME, or NAME */
    for (const char *at = model; (at = strstr(at, "--")) && at < snapshots;) model = at += 2;
    snprintf(out, HUB_NAME_SIZE, "%.*s",
             (int)(snapshots - model < HUB_NAME_SIZE ? snapshots - model : HUB_NAME_SIZE - 1),
             model);
    return;
  }
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') end--;
  size_t begin = end;
  while (begin > 0 && path[begin - 1] != '/') begin--;
  snprintf(out, HUB_NAME_SIZE, "%.*s",
           (int)(end - begin < HUB_NAME_SIZE ? end - begin : HUB_NAME_SIZE - 1), path + begin);
}

xt_status hub_folder_refuse_adapter(const char *directory, xt_error *error) {
  json_t *root = NULL;
  char *path;
  xt_error ignored;
  TRY(file_join(directory, "adapter_config.json", &path, error));
  xt_status status = XT_STATUS_OK;
  if (file_exists(path)) {
    const char *base = json_parse_file(path, &root, &ignored) == XT_STATUS_OK
                           ? json_string_value(json_object_get(root, "base_model_name_or_path"))
                           : NULL;
    status =
        err_set(error, XT_STATUS_UNSUPPORTED, path, NULL, -1,
                "the folder holds a LoRA adapter%s%.150s, not a whole model; merge it into its "
                "base model (PEFT: merge_and_unload(), save_pretrained(..)) and give that folder",
                base ? " of " : "", base ? base : "");
    json_decref(root);
  }
  free(path);
  return status;
}
