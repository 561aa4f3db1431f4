/* SPDX-License-Identifier: Apache-2.0 */
/* NumPy's format for one array (numpy.lib.format), versions 1 to 3:
 *
 *   "\x93NUMPY", major u8, minor u8, length of the header (u16 in version 1, else u32, little-endian),
 *   header: a Python dictionary as text, with the keys descr, fortran_order and shape
 *   the array's bytes
 */
#ifndef FILES_NPY_H
#define FILES_NPY_H

#include "files/checkpoint_parts.h"

#define NPY_TENSOR "array" /* the name that the array gets */

/* A TensorReader of arrays of '<f2', '<f4' and '<f8', in C order. */
xt_status npy_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error);

#endif
