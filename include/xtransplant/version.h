/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XTRANSPLANT_VERSION_H
#define XTRANSPLANT_VERSION_H
#include "xtransplant/api.h"

#ifdef __cplusplus
extern "C" {
#endif
/* Of these headers. Before 1.0 a new minor version may change the interface. */
#define XT_VERSION "0.1.0"
#define XT_VERSION_MAJOR 0
#define XT_VERSION_MINOR 1
#define XT_VERSION_PATCH 0
/* The library's own XT_VERSION; static. A program can compare it with the XT_VERSION that it was
 * compiled with. */
XT_API const char *xt_version(void);
/* The commit that the library was built from, or "" if it is not known; static. */
XT_API const char *xt_git_hash(void);
#ifdef __cplusplus
}
#endif
#endif
