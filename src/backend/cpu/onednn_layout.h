/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between oneDNN 2 and 3. */
#ifndef CPU_ONEDNN_LAYOUT_H
#define CPU_ONEDNN_LAYOUT_H

#include <dnnl.h>
#include <stdlib.h>

/* oneDNN 3 hands out descriptions of a memory's layout by pointer where oneDNN 2 has structures;
 * here they are pointers in both. Made by layout_by_tag and the like, freed with layout_free. */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t Layout;
typedef const_dnnl_memory_desc_t ConstLayout;

static inline dnnl_status_t layout_by_tag(Layout *out, const dnnl_dims_t dims,
                                          dnnl_data_type_t type, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_create_with_tag(out, 2, dims, type, tag);
}
static inline dnnl_status_t layout_by_strides(Layout *out, const dnnl_dims_t dims,
                                              dnnl_data_type_t type, const dnnl_dims_t strides) {
  return dnnl_memory_desc_create_with_strides(out, 2, dims, type, strides);
}
static inline dnnl_status_t layout_copy(Layout *out, ConstLayout from) {
  return dnnl_memory_desc_clone(out, from);
}
static inline void layout_free(Layout layout) {
  if (layout) dnnl_memory_desc_destroy(layout);
}
static inline dnnl_status_t matmul_desc(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                        ConstLayout src, ConstLayout weights, ConstLayout dst,
                                        const_dnnl_primitive_attr_t attr) {
  return dnnl_matmul_primitive_desc_create(out, engine, src, weights, NULL, dst, attr);
}
#else
typedef dnnl_memory_desc_t *Layout;
typedef const dnnl_memory_desc_t *ConstLayout;

static inline dnnl_status_t layout_by_tag(Layout *out, const dnnl_dims_t dims,
                                          dnnl_data_type_t type, dnnl_format_tag_t tag) {
  *out = malloc(sizeof **out);
  return *out ? dnnl_memory_desc_init_by_tag(*out, 2, dims, type, tag) : dnnl_out_of_memory;
}
static inline dnnl_status_t layout_by_strides(Layout *out, const dnnl_dims_t dims,
                                              dnnl_data_type_t type, const dnnl_dims_t strides) {
  *out = malloc(sizeof **out);
  return *out ? dnnl_memory_desc_init_by_strides(*out, 2, dims, type, strides) : dnnl_out_of_memory;
}
static inline dnnl_status_t layout_copy(Layout *out, ConstLayout from) {
  *out = malloc(sizeof **out);
  if (!*out) return dnnl_out_of_memory;
  **out = *from;
  return dnnl_success;
}
static inline void layout_free(Layout layout) { free(layout); }
static inline dnnl_status_t matmul_desc(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                        ConstLayout src, ConstLayout weights, ConstLayout dst,
                                        const_dnnl_primitive_attr_t attr) {
  dnnl_matmul_desc_t op;
  const dnnl_status_t status = dnnl_matmul_desc_init(&op, src, weights, NULL, dst);
  return status ? status : dnnl_primitive_desc_create(out, &op, attr, engine, NULL);
}
#endif

#endif
