/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/writes.h"

static bool has_head(const xt_site *site, int head) {
  return head < XT_SITE_HEADS && site->heads[head / 64] >> head % 64 & 1;
}

bool writes_heads(const xt_site *site) {
  bool any = false;
  for (int word = 0; word < XT_SITE_HEAD_WORDS; word++) any = any || site->heads[word];
  return any;
}

xt_status writes_check_heads(const xt_site *site, const xt_model_info *info, const char *field,
                             xt_error *error) {
  for (int h = info->heads; h < XT_SITE_HEADS; h++)
    if (has_head(site, h))
      return error_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                       "head %d is out of range: this model has heads 0 to %d", h, info->heads - 1);
  return XT_STATUS_OK;
}

size_t writes_most(const xt_site *site, const xt_model_info *info) {
  const size_t span = site->span > 1 ? (size_t)site->span : 1, layers = (size_t)info->layers;
  return (span < layers ? span : layers) * (writes_heads(site) ? (size_t)info->heads : 1);
}

/* One intervention like `put` for each head. values: [heads][head_dim]. */
static void add_heads(const xt_model_info *info, const xt_site *site, const float *values,
                      xt_intervention put, xt_intervention *out, size_t *count) {
  put.write = XT_TAP_HEADS;
  for (put.head = 0; put.head < info->heads; put.head++) {
    put.value = values + (size_t)put.head * (size_t)info->head_dim;
    if (has_head(site, put.head)) out[(*count)++] = put;
  }
}

xt_status writes_list(const xt_site *site, const xt_model_info *info, const WriteValues *values,
                      int from, int to, xt_intervention *out, size_t *count, xt_error *error) {
  static const int positions[XT_POSITIONS_COUNT] = {[XT_POSITIONS_LAST] = XT_POSITION_LAST,
                                                    [XT_POSITIONS_ALL] = XT_POSITION_ALL,
                                                    [XT_POSITIONS_GENERATED] =
                                                        XT_POSITION_GENERATED};
  const int layers = info->layers, span = site->span > 1 ? site->span : 1;
  xt_status status = XT_STATUS_OK;
  for (int k = 0; !status && k < span && from + k < layers && to + k < layers; k++) {
    xt_intervention put = {.write = site->write,
                           .layer = to + k,
                           .position = positions[site->positions],
                           .rule = site->rule,
                           .alpha = site->alpha};
    if (writes_heads(site)) {
      add_heads(info, site, xt_taps_get(values->taps, XT_TAP_HEADS, from + k), put, out, count);
      continue;
    }
    if (values->mean)
      put.value = values->mean + (size_t)(from + k) * (size_t)info->width;
    else if (values->vector)
      status = vector_input_at(values->vector, values->vector_name, from + k, &put.value, error);
    else
      put.value = xt_taps_get(values->taps, site->read, from + k);
    out[(*count)++] = put;
  }
  return status;
}
