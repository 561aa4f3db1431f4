#include "files/checkpoint_parts.h"

xt_status torch_bin_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error) {
  (void)checkpoint;
  return err_set(error, XT_STATUS_UNSUPPORTED, map->path, NULL, -1, "torch checkpoints are not read yet");
}
