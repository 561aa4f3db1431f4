/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/peak_meter.h"

#include "shell/cli.h"
#include "shell/output.h"

void meter_start(PeakMeter *meter, xt_session *session) {
  *meter = (PeakMeter){.session = session};
  meter_read(meter);
}

void meter_read(PeakMeter *meter) {
  const double begin = seconds_now(), busy = processor_now();
  double flops;
  if (xt_session_peak(meter->session, &flops, NULL, NULL) == XT_STATUS_OK && flops > 0) {
    meter->inverses += 1 / flops;
    if (flops > meter->best) meter->best = flops;
    meter->count++;
  }
  meter->last = seconds_now();
  meter->spent += meter->last - begin;
  meter->processor += processor_now() - busy;
}

bool meter_ask(void *opaque) {
  PeakMeter *meter = opaque;
  if (seconds_now() - meter->last >= 0.25) meter_read(meter);
  return false;
}

double meter_mean(const PeakMeter *meter) {
  return meter->count ? meter->count / meter->inverses : 0;
}
