/* SPDX-License-Identifier: Apache-2.0 */
#include "xtransplant/version.h"

const char *xt_version(void) { return XT_VERSION; }
const char *xt_git_hash(void) { return XT_GIT_HASH; }
