/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_STATEMENTS_H
#define TESTS_FUZZ_STATEMENTS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* From now on statements on `db`, whose schema must not change, are kept when they are finalized,
 * and lent again to who prepares the same text. */
void statements_keep(sqlite3 *db);
/* How many have been prepared and not finalized. */
size_t statements_lent(void);

#endif
