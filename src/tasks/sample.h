/* SPDX-License-Identifier: Apache-2.0 */
/* Python's random.seed(seed) and random.sample(range(population), count), number for number. */
#ifndef TASKS_SAMPLE_H
#define TASKS_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The `count` numbers in the order Python gives them into out[count]. count <= population <
 * 2^32. */
xt_status sample_draw(uint64_t seed, size_t population, size_t count, size_t *out, xt_error *error);

#endif
