/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <stdlib.h>

#include "xtransplant/api.h"

void xt_free(void *memory) { free(memory); }

xt_status options_check(const void *options, size_t size, size_t known, xt_error *error) {
  const unsigned char *bytes = options;
  if (size && size < known)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "size", -1,
                   "is %zu; it has to be 0 or sizeof the options, at least %zu", size, known);
  for (size_t i = known; i < size; i++)
    if (bytes[i])
      return err_set(error, XT_STATUS_UNSUPPORTED, NULL, "size", (long long)i,
                     "an option of a later version is set, which this version does not know");
  return XT_STATUS_OK;
}
