/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_progress.h"

#include "cli.h"

void sweep_progress_begin(SweepProgress *p, int mode, bool quiet, const SweepWork *work) {
  *p = (SweepProgress){.work = *work};
  progress_begin(&p->line, mode, quiet);
}

static double share_done(const SweepProgress *p, double responses) {
  const double prompts = p->before.prompt_flops + p->now.prompt_flops, rows = p->before.row_flops + p->now.row_flops;
  const double part = p->work.responses ? responses / (double)p->work.responses : 0;
  const double expected = part > 0 ? rows / part : 0.5 * (p->work.least_flops + p->work.most_flops);
  const double all = p->work.prompt_flops + (expected > rows ? expected : rows);
  return all > 0 ? (prompts + rows) / all : 0;
}

void sweep_progress_show(SweepProgress *p, const xt_sweep_progress *now) {
  p->now = *now;
  if (!progress_due(&p->line)) return;
  const double responses = p->before.responses + now->responses, share = share_done(p, responses);
  progress_print(&p->line, share, "%.1f%%  %.0f/%llu responses  %llu/%llu instances  %.1f/s  %.2f GB", 100 * (share < 1 ? share : 1), responses,
                 (unsigned long long)p->work.responses, (unsigned long long)p->instances, (unsigned long long)p->work.instances,
                 responses / (seconds_now() - p->line.began + 1e-9), (double)resident_bytes() / 1e9);
}

void sweep_progress_next(SweepProgress *p) {
  p->before.responses += p->now.responses;
  p->before.prompt_flops += p->now.prompt_flops;
  p->before.row_flops += p->now.row_flops;
  p->now = (xt_sweep_progress){0};
}
