/* SPDX-License-Identifier: Apache-2.0 */
/* What is done around a product on tensor cores: its operands are rounded, and its result gets its
 * place and its bias. */

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
