/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "backend/cpu/cpu.h"

void cpu_destroy(Backend *backend) {
  if (!backend) return;
  cpu_block_free(cpu_of(backend)->scratch);
  cpu_block_free(cpu_of(backend)->packed);
  pool_free(backend->pool);
  free(backend);
}
