/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

uint64_t rng_unpredictable(void) {
  uint64_t value;
  if (getrandom(&value, sizeof value, 0) == (ssize_t)sizeof value) return value;
  struct timespec now = {0}; /* a kernel before 3.17 */
  clock_gettime(CLOCK_REALTIME, &now);
  Rng rng = {(uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid() << 40 ^
             (uint64_t)(uintptr_t)&now};
  return rng_next(&rng);
}
