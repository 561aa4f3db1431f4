/* SPDX-License-Identifier: Apache-2.0 */
#ifndef XTRANSPLANT_VERSION_H
#define XTRANSPLANT_VERSION_H
#ifdef __cplusplus
extern "C" {
#endif
#define XT_VERSION "0.1.0"
/* The library's own XT_VERSION; static. */
const char *xt_version(void);
/* The commit that the library was built from, or "" where that is not known; static. */
const char *xt_git_hash(void);
#ifdef __cplusplus
}
#endif
#endif
