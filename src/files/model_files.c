/* SPDX-License-Identifier: Apache-2.0 */
#include "files/model_files.h"

#include <stdlib.h>

#include "base/file_map.h"
#include "base/out_file.h"

const char *const model_files_small[] = {"config.json",
                                         "generation_config.json",
                                         "tokenizer.json",
                                         "tokenizer.model",
                                         "vocab.json",
                                         "merges.txt",
                                         "tokenizer_config.json",
                                         "special_tokens_map.json",
                                         "added_tokens.json",
                                         NULL};
const char *const *const model_files_tokenizer = model_files_small + 2;

xt_status model_files_check(const char *from, const char *name, xt_error *error) {
  char *path;
  bool leaves = false;
  TRY(file_join(from, name, &path, error));
  xt_status status = file_exists(path) ? file_leaves(from, name, &leaves, error) : XT_STATUS_OK;
  if (leaves && !status)
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "is a link to a file outside the model's folder, which is not copied; put the "
                     "file itself there");
  free(path);
  return status;
}

xt_status model_files_copy(const char *from, const char *to, const char *name, xt_error *error) {
  char *source = NULL, *target = NULL;
  FileMap map = {0};
  xt_status status;
  TRY_DONE(file_join(from, name, &source, error));
  if (!file_exists(source)) goto done;
  TRY_DONE(model_files_check(from, name, error));
  TRY_DONE(file_join(to, name, &target, error));
  TRY_DONE(file_read(source, FILE_SMALL, &map, error));
  status = out_file_save(target, map.data, map.size, error);
done:
  file_map_close(&map);
  free(source);
  free(target);
  return status;
}
