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

typedef struct Listing {
  const xt_site *site;
  const xt_model_info *info;
  const WriteValues *values;
  xt_intervention *out;
  size_t *count;
  xt_status status; /* the first failure's */
  xt_error *error;
} Listing;

static void add_write(void *user, const xt_intervention *put, int source_layer) {
  Listing *w = user;
  const WriteValues *from = w->values;
  xt_intervention *one = &w->out[*w->count];
  if (w->status) return;
  *one = *put;
  if (put->write == XT_TAP_HEADS)
    one->value = xt_taps_get(from->taps, XT_TAP_HEADS, source_layer) +
                 (size_t)put->head * (size_t)w->info->head_dim;
  else if (from->mean)
    one->value = from->mean + (size_t)source_layer * (size_t)w->info->width;
  else if (from->vector)
    w->status =
        vector_input_at(from->vector, from->vector_name, source_layer, &one->value, w->error);
  else
    one->value = xt_taps_get(from->taps, w->site->read, source_layer);
  ++*w->count;
}

xt_status writes_list(const xt_site *site, const xt_model_info *info, const WriteValues *values,
                      int from, int to, xt_intervention *out, size_t *count, xt_error *error) {
  Listing w = {site, info, values, out, count, XT_STATUS_OK, error};
  xt_site_each_write(site, info->layers, info->heads, from, to, add_write, &w);
  return w.status;
}
