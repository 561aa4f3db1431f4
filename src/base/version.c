/* SPDX-License-Identifier: Apache-2.0 */
#include "xtransplant/version.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error \
    "xtransplant needs a little-endian processor: weights and results are used in the byte order in which they are stored"
#endif

const char *xt_version(void) { return XT_VERSION; }
const char *xt_git_hash(void) { return XT_GIT_HASH; }
