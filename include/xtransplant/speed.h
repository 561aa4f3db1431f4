/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's peak speed, with which a program can compare its own. */
#ifndef XTRANSPLANT_SPEED_H
#define XTRANSPLANT_SPEED_H

#include "xtransplant/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Measures the machine's peak speed with the session's threads and compute type: operations per
 * second (a multiplication and an addition are two) and bytes per second read from memory, each the
 * best of several measurements. The operations are multiply-adds from registers, which no matrix
 * product can exceed. Takes about a
 * second and 512 MiB. If bytes_per_second is NULL, only the operations are measured, once, in a few
 * milliseconds; this can be called between the steps of a run (in `cancel` or `step`) to measure
 * the speed at that time. */
XT_API xt_status xt_session_peak(xt_session *session, double *flops_per_second,
                                 double *bytes_per_second, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
