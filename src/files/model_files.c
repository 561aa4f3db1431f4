/* SPDX-License-Identifier: Apache-2.0 */
#include "files/model_files.h"

#include <stdlib.h>

#include "base/file_map.h"
#include "base/out_file.h"

const char *const model_files_tokenizer[] = {"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json",
                                             "special_tokens_map.json", "added_tokens.json", NULL};

xt_status model_files_copy(const char *from, const char *to, const char *name, xt_error *error) {
  char *source = NULL, *target = NULL;
  FileMap map = {0};
  OutFile file = {0};
  xt_status status;
  TRY_DONE(file_join(from, name, &source, error));
  if (!file_exists(source)) goto done;
  TRY_DONE(file_join(to, name, &target, error));
  TRY_DONE(file_map_open(source, &map, error));
  TRY_DONE(out_file_open(target, &file, error));
  status = out_file_write(&file, map.data, map.size, error);
  if (!status) status = out_file_commit(&file, error);
  else out_file_discard(&file);
done:
  file_map_close(&map);
  free(source);
  free(target);
  return status;
}
