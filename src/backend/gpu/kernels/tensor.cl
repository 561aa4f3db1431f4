/* SPDX-License-Identifier: Apache-2.0 */
/* What is done around a product on tensor cores: its operands are rounded, and its result gets its
 * place and its bias. */

/* Nearest, ties to even. */
FUNCTION uint to_f16(float x) {
  const uint bits = as_uint(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return sign | 0x7e00u;
  if (size >= 0x477ff000u) return sign | 0x7c00u; /* 65520 and more */
  if (size < 0x38800000u) /* subnormal: 1/2 is 2^24 times as large as their steps */
    return sign | (as_uint(as_float(size) + 0.5f) - 0x3f000000u);
  return sign | (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13;
}
FUNCTION uint to_bf16(float x) {
  const uint bits = as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
FUNCTION uint to_tf32(float x) {
  const uint bits = as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bits;
  return (bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u;
}

KERNEL(256)
narrow(GLOBAL uint *to, GLOBAL const ushort *from, GLOBAL int *flag, GpuNarrow a) {
  const gpu_size each = EACH, row = each / (uint)a.ld;
  const int column = (int)(each % (uint)a.ld);
  if (row >= (gpu_size)a.all_rows) return;
  float x = 0.0f;
  if (row < (gpu_size)a.rows && column < a.cols)
    x = stored_number(from, a.from + row * a.row, column, a.cols, a.type, a.format);
  const uint largest = a.kind == GPU_TO_F16    ? 0x477ff000u
                       : a.kind == GPU_TO_BF16 ? 0x7f7f8000u
                                               : 0x7f7ff000u;
  const uint size = as_uint(x) & 0x7fffffffu;
  if (size >= largest && size < 0x7f800000u) RAISE(flag);
  if (a.kind == GPU_TO_TF32)
    to[a.to + each] = to_tf32(x);
  else
    ((GLOBAL ushort *)to)[a.to + each] = (ushort)(a.kind == GPU_TO_F16 ? to_f16(x) : to_bf16(x));
}

KERNEL(256)
settle(GLOBAL float *y, GLOBAL const float *from, GLOBAL const float *bias, GpuSettle a) {
  const gpu_size each = EACH, row = each / (uint)a.cols, column = each % (uint)a.cols;
  if (row >= (gpu_size)a.rows) return;
  const float x = from[a.from + row * a.ld + column];
  y[a.y + row * a.ldy + column] = a.has_bias ? x + bias[a.bias + column] : x;
}
