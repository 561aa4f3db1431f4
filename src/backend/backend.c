/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend a device's name stands for. */
#include "backend/backend.h"

#include <string.h>

xt_status backend_create(const char *device, const BackendOptions *options, Backend **out, xt_error *error) {
  *out = NULL;
  if (!device || strcmp(device, "cpu") == 0) return backend_cpu_create(options, out, error);
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "no device \"%s\" in this build; there is cpu", device);
}

xt_status backend_create_alike(const Backend *like, Backend **out, xt_error *error) {
  return backend_create(like->device, &like->options, out, error);
}
