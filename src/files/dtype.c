/* SPDX-License-Identifier: Apache-2.0 */
#include "files/dtype.h"

#include <stdbool.h>

typedef struct DtypeEntry {
  const char *name;
  size_t size, block;
} DtypeEntry;

static const DtypeEntry dtype_table[] = {
    [DTYPE_F32] = {"F32", 4, 1},         [DTYPE_F16] = {"F16", 2, 1},
    [DTYPE_BF16] = {"BF16", 2, 1},       [DTYPE_F64] = {"F64", 8, 1},
    [DTYPE_I64] = {"I64", 8, 1},         [DTYPE_I32] = {"I32", 4, 1},
    [DTYPE_I16] = {"I16", 2, 1},         [DTYPE_I8] = {"I8", 1, 1},
    [DTYPE_U64] = {"U64", 8, 1},         [DTYPE_U32] = {"U32", 4, 1},
    [DTYPE_U16] = {"U16", 2, 1},         [DTYPE_U8] = {"U8", 1, 1},
    [DTYPE_BOOL] = {"BOOL", 1, 1},       [DTYPE_F8_E4M3] = {"F8_E4M3", 1, 1},
    [DTYPE_Q4_0] = {"Q4_0", 18, 32},     [DTYPE_Q4_1] = {"Q4_1", 20, 32},
    [DTYPE_Q5_0] = {"Q5_0", 22, 32},     [DTYPE_Q5_1] = {"Q5_1", 24, 32},
    [DTYPE_Q8_0] = {"Q8_0", 34, 32},     [DTYPE_Q2_K] = {"Q2_K", 84, 256},
    [DTYPE_Q3_K] = {"Q3_K", 110, 256},   [DTYPE_Q4_K] = {"Q4_K", 144, 256},
    [DTYPE_Q5_K] = {"Q5_K", 176, 256},   [DTYPE_Q6_K] = {"Q6_K", 210, 256},
    [DTYPE_IQ4_NL] = {"IQ4_NL", 18, 32}, [DTYPE_IQ4_XS] = {"IQ4_XS", 136, 256},
    [DTYPE_G4_F16] = {"G4_F16", 20, 32}, [DTYPE_G4_BF16] = {"G4_BF16", 20, 32},
    [DTYPE_G8_F16] = {"G8_F16", 36, 32}, [DTYPE_G8_BF16] = {"G8_BF16", 36, 32},
    [DTYPE_F8_F32] = {"F8_F32", 36, 32}, [DTYPE_F8_BF16] = {"F8_BF16", 34, 32},
};
_Static_assert(sizeof dtype_table / sizeof *dtype_table == DTYPE_COUNT,
               "one entry for every dtype");
_Static_assert(DTYPE_COUNT == 32, "a new dtype needs its sizes in dtype_table");
_Static_assert(sizeof(float) == 4 && sizeof(double) == 8,
               "F32 and F64 are this machine's float and double");

size_t dtype_size(Dtype dtype) {
  return (unsigned)dtype < DTYPE_COUNT ? dtype_table[dtype].size : 0;
}

size_t dtype_block(Dtype dtype) {
  return (unsigned)dtype < DTYPE_COUNT ? dtype_table[dtype].block : 1;
}

const char *dtype_name(Dtype dtype) {
  return (unsigned)dtype < DTYPE_COUNT ? dtype_table[dtype].name : "unknown";
}

Dtype dtype_find(const char *name) {
  for (int i = 0; i < DTYPE_COUNT; i++)
    if (dtype_table[i].block == 1 && strcmp(dtype_table[i].name, name) == 0) return (Dtype)i;
  return DTYPE_COUNT;
}

/* value >> shift, rounded to nearest, ties to even. 0 < shift < 32 */
static uint32_t shift_round(uint32_t value, unsigned shift) {
  const uint32_t kept = value >> shift, rest = value & ((1u << shift) - 1),
                 half = 1u << (shift - 1);
  return kept + (rest + (kept & 1) > half); /* no branch, since it could not be predicted */
}

uint16_t dtype_to_f16(float value) {
  const uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000u,
                 magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
  /* 65520 and above round to infinity */
  if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
  if (magnitude >=
      0x38800000u) /* 2^-14: normal; a carry out of the fraction correctly raises the exponent */
    return (uint16_t)(sign | shift_round(magnitude - (112u << 23), 13));
  if (magnitude < 0x33000000u) return (uint16_t)sign; /* below 2^-25, half the least subnormal */
  const unsigned exponent = magnitude >> 23;
  return (uint16_t)(sign | shift_round((magnitude & 0x7fffffu) | 0x800000u, 126 - exponent));
}
