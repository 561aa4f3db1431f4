/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the machine. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdint.h>

/* Bytes that can be had without swapping (MemAvailable, bounded by the control group's limit);
 * UINT64_MAX when the system does not tell. */
uint64_t system_available_memory(void);

#endif
