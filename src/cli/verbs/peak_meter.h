/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine gives while something is measured: on a machine that others share it is less
 * than the best of a quiet moment, and changes. */
#ifndef CLI_VERBS_PEAK_METER_H
#define CLI_VERBS_PEAK_METER_H

#include <stdbool.h>

#include <xtransplant/xt.h>

typedef struct PeakMeter {
  xt_session *session;
  double inverses; /* sum of seconds an operation */
  double best;     /* operations per second */
  int count;
  double spent, last; /* seconds in measurements; when the last ended */
  double processor;   /* processor time in measurements, in seconds */
} PeakMeter;

void meter_start(PeakMeter *meter, xt_session *session);
/* Measures once. */
void meter_read(PeakMeter *meter);
/* Measures when the last time is a quarter of a second ago. For xt_generate_options' cancel:
 * returns false. */
bool meter_ask(void *meter);
/* Operations a second: the harmonic mean, which is what a run of so long would have had. 0: never
 * measured. */
double meter_mean(const PeakMeter *meter);

#endif
