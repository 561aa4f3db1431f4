/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of arguments that every backend shares; they run on the host. */
#ifndef CPU_CPU_CHECKS_H
#define CPU_CPU_CHECKS_H

#include "backend/backend.h"

xt_status cpu_check_parts(const MatrixSource *parts, int n_parts, xt_error *error);
xt_status cpu_check_kv(KvShape shape, int positions, xt_error *error);
/* Finds the first value that is not finite as what `compute` rounds it to, among the stacked
 * parts' rows [from, to) and reports it; OK when there is none. */
xt_status cpu_find_not_finite(const MatrixSource *parts, int n_parts, int from, int to,
                              xt_compute compute, xt_error *error);

#endif
