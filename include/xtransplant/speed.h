/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine gives, beside which a program can state its speed. */
#ifndef XTRANSPLANT_SPEED_H
#define XTRANSPLANT_SPEED_H

#include "xtransplant/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Measures what this machine gives with the session's threads and compute type: operations per
 * second (a multiplication and an addition are two) of multiply-adds from registers, which no
 * matrix product can exceed - for bf16 products by oneDNN, of a large product - and bytes per
 * second read from memory; the best of several. Takes about a second and 512 MiB. bytes_per_second
 * may be NULL: then the former alone, once, in a few milliseconds, so that it can be asked for
 * between the steps of a run (in `cancel` or `step`) to see what the machine gives at that time. */
XT_API xt_status xt_session_peak(xt_session *session, double *flops_per_second,
                                 double *bytes_per_second, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
