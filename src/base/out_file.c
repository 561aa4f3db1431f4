/* SPDX-License-Identifier: Apache-2.0 */
#include "base/out_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

xt_status out_file_open(const char *path, OutFile *out, xt_error *error) {
  *out = (OutFile){0};
  const size_t size = strlen(path) + 32;
  xt_status status = mem_copy_text(&out->path, path, strlen(path), error);
  if (!status) status = mem_alloc(&out->temporary, size, 1, error);
  if (!status) {
    snprintf(out->temporary, size, "%s.%ld.partial", path, (long)getpid());
    out->stream = fopen(out->temporary, "wbe");
    if (!out->stream) status = err_io(error, path, "cannot write");
  }
  if (status) {
    free(out->path);
    free(out->temporary);
    *out = (OutFile){0};
  }
  return status;
}

xt_status out_file_write(OutFile *file, const void *data, size_t size, xt_error *error) {
  if (size && fwrite(data, 1, size, file->stream) != size) return err_io(error, file->path, "cannot write");
  return XT_STATUS_OK;
}

xt_status out_file_commit(OutFile *file, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  if (fflush(file->stream) != 0 || ferror(file->stream)) status = err_io(error, file->path, "cannot write");
  if (!status && rename(file->temporary, file->path) != 0) status = err_io(error, file->path, "cannot write");
  if (status) {
    out_file_discard(file);
    return status;
  }
  fclose(file->stream);
  free(file->path);
  free(file->temporary);
  *file = (OutFile){0};
  return XT_STATUS_OK;
}

void out_file_discard(OutFile *file) {
  if (file->stream) {
    fclose(file->stream);
    unlink(file->temporary);
  }
  free(file->path);
  free(file->temporary);
  *file = (OutFile){0};
}
