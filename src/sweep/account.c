/* SPDX-License-Identifier: Apache-2.0 */
/* Counting a sweep's work and reporting its progress. */
#include "model/flops.h"
#include "sweep/runner.h"

void sweep_count_flops(const Group *g, uint64_t rows, int layers, bool unembed) {
  const ModelConfig *c = &g->session->model->config;
  g->stats->flops += (double)rows * (flops_layer(c) * layers + (unembed ? flops_unembed(c) : 0));
}

xt_status sweep_pause(const Group *g, double growing, xt_error *error) {
  const xt_sweep_options *o = g->config->options;
  const xt_sweep_progress progress = {.responses = (double)g->stats->responses + growing,
                                      .prompt_flops = g->prompt_flops,
                                      .row_flops = g->stats->flops - g->prompt_flops};
  if (o->progress) o->progress(o->user, &progress);
  if (o->cancel && o->cancel(o->user))
    return err_set(error, XT_STATUS_CANCELLED, NULL, NULL, -1, "stopped");
  return XT_STATUS_OK;
}
