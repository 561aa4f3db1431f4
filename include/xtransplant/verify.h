/* SPDX-License-Identifier: Apache-2.0 */
/* A model compared with dumps from Hugging Face transformers. */
#ifndef XTRANSPLANT_VERIFY_H
#define XTRANSPLANT_VERIFY_H

#include "xtransplant/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One line of a comparison. `largest` is the largest absolute difference, `scale` the tap's largest
 * absolute reference value; for greedy tokens `largest` counts the differing sequences. */
typedef struct xt_verify_row {
  char name[96];
  double largest, scale;
  bool pass; /* largest <= 5e-5 * scale, ten times that for margins; greedy: no difference */
} xt_verify_row;

/* Compares with every case of `directory`/reference.json (docs/FORMATS.md). Calls `row` for each
 * line. *passed says whether all lines pass. */
XT_API xt_status xt_session_verify(xt_session *session, const char *directory,
                                   void (*row)(void *user, const xt_verify_row *row), void *user,
                                   bool *passed, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
