/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels' texts, embedded when the library is built (cmake/embed.cmake). */
#ifndef GPU_KERNEL_ASSETS_H
#define GPU_KERNEL_ASSETS_H

#define GPU_ASSET(name)                      \
  extern const unsigned char asset_##name[]; \
  extern const unsigned long asset_##name##_size
GPU_ASSET(dialect_cl);
GPU_ASSET(args_h);
GPU_ASSET(numbers_cl);
GPU_ASSET(loads_cl);
GPU_ASSET(product_cl);
GPU_ASSET(product_few_cl);
GPU_ASSET(rows_cl);
GPU_ASSET(attend_cl);
GPU_ASSET(choose_cl);
GPU_ASSET(tensor_cl);

#endif
