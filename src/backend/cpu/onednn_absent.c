/* SPDX-License-Identifier: Apache-2.0 */
/* In place of onednn_matmul.c in a build without oneDNN: bfloat16 products are then our own
 * kernels'. */
#include "backend/cpu/onednn_matmul.h"

static xt_status absent(xt_error *error) {
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1,
                 "this build has no oneDNN (configured with XT_ONEDNN=OFF, or not found)");
}

bool onednn_version(int version[3]) {
  version[0] = version[1] = version[2] = 0;
  return false;
}

xt_status onednn_cache_create(ThreadPool *pool, OnednnCache **out, xt_error *error) {
  (void)pool;
  *out = NULL;
  return absent(error);
}

void onednn_cache_free(OnednnCache *cache) { (void)cache; }

bool onednn_has(OnednnCache *cache, Dtype type) {
  (void)cache;
  (void)type;
  return false;
}

xt_status onednn_keeps_order(ThreadPool *pool, Dtype type, bool *keeps, xt_error *error) {
  (void)pool;
  (void)type;
  *keeps = false;
  return absent(error);
}

xt_status onednn_weight_create(OnednnCache *cache, Dtype type, int n, int k, const void *rows,
                               OnednnWeight **out, xt_error *error) {
  (void)cache;
  (void)type;
  (void)n;
  (void)k;
  (void)rows;
  *out = NULL;
  return absent(error);
}

void onednn_weight_free(OnednnWeight *weight) { (void)weight; }

size_t onednn_weight_bytes(const OnednnWeight *weight) {
  (void)weight;
  return 0;
}

bool onednn_multiply(OnednnCache *cache, const OnednnWeight *weight, const void *x, float *y,
                     int m) {
  (void)cache;
  (void)weight;
  (void)x;
  (void)y;
  (void)m;
  return false;
}
