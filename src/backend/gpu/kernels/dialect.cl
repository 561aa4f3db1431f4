/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL C and CUDA C++: the few words that differ. The rest of the kernels is common to both.
 *
 * The bits are the CPU's: nothing is contracted, fma is written where the CPU has one, division and
 * square root are correctly rounded, reductions run in 16 lanes that are folded 8, 4, 2, 1. */
#define GPU_DEVICE_CODE
#define UNROLL _Pragma("unroll")
#define UNROLL_BY_2 _Pragma("unroll 2")
#ifndef __CUDACC__
#pragma OPENCL FP_CONTRACT OFF
#define KERNEL(items) __kernel __attribute__((reqd_work_group_size(items, 1, 1))) void
#define KERNEL_OF(items, together) KERNEL(items)
#define FUNCTION static inline
#define GLOBAL __global
#define LOCAL __local
#define LOCAL_POINTER(type) __local type *
#define RESTRICT restrict
#define ALIGNED __attribute__((aligned(16)))
#define BARRIER() barrier(CLK_LOCAL_MEM_FENCE)
#define RAISE(flag) atomic_or(flag, 1)
#define AT_MOST(place, value) atomic_min(place, value)
#define AT_LEAST(place, value) atomic_max(place, value)
#define AGAIN(number) (number)
#define ITEM ((int)get_local_id(0))
#define GROUP_X get_group_id(0)
#define GROUP_Y get_group_id(1)
#define GROUP_Z get_group_id(2)
#else
#define KERNEL(items) extern "C" __global__ void __launch_bounds__(items)
/* so many work-groups share the registers */
#define KERNEL_OF(items, together) extern "C" __global__ void __launch_bounds__(items, together)
#define FUNCTION static __device__ __forceinline__
#define GLOBAL
#define LOCAL __shared__
#define LOCAL_POINTER(type) type *
#define RESTRICT __restrict__
#define ALIGNED __align__(16)
#define BARRIER() __syncthreads()
#define RAISE(flag) atomicOr(flag, 1)
#define AT_MOST(place, value) atomicMin(place, value)
#define AT_LEAST(place, value) atomicMax(place, value)
/* The same number, of which the compiler does not know that: it computes again what is made of it. */
FUNCTION int again(int number) {
  asm volatile("" : "+r"(number));
  return number;
}
#define AGAIN(number) again(number)
#define ITEM ((int)threadIdx.x)
#define GROUP_X blockIdx.x
#define GROUP_Y blockIdx.y
#define GROUP_Z blockIdx.z
#define as_uint(x) __float_as_uint(x)
#define as_float(x) __uint_as_float(x)
#define INFINITY __int_as_float(0x7f800000)
typedef unsigned int uint;
typedef unsigned short ushort;
typedef unsigned char uchar;
typedef unsigned long ulong;
#endif
