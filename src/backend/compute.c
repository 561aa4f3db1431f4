/* SPDX-License-Identifier: Apache-2.0 */
#include "xtransplant/model.h"

const char *xt_compute_name(xt_compute compute) {
  static const char *const names[] = {[XT_COMPUTE_F32] = "f32",
                                      [XT_COMPUTE_BF16] = "bf16",
                                      [XT_COMPUTE_F16] = "f16",
                                      [XT_COMPUTE_TF32] = "tf32"};
  return (size_t)compute < sizeof names / sizeof *names ? names[compute] : "?";
}
