/* SPDX-License-Identifier: Apache-2.0 */
/* A results file of any bytes. */
#include "store_reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  xt_store *store;
  xt_error error;
  if (store_open_bytes(data, size, &store, &error) != XT_STATUS_OK) return 0;
  read_everything(store);
  xt_store_close(store);
  return 0;
}
