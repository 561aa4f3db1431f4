/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels' program: the files of kernels/, compiled in as text, those of the products once for
 * each kind. */
#include "backend/gpu/gpu.h"
#include "backend/gpu/kernel_assets.h"
#include "base/text_buffer.h"

#define NAME(name) #name,
const char *const gpu_kernel_names[GPU_KERNEL_COUNT] = {GPU_KERNELS(NAME)};

#define ADD(text, asset) text_buffer_add(text, asset_##asset, asset_##asset##_size)

/* One kind of product. `together`: the number of items that share a multiprocessor's registers, as
 * far as the compiler achieves it. The others: as product.cl has them. */
typedef struct Products {
  const char *type, *capital, *stored, *args, *of;
  int together, beyond;
} Products;

/* `vector`: of rows of whole quadruples. */
static void add_tiles(TextBuffer *t, const Products *p, bool vector) {
  static const struct {
    const char *name;
    int side, quads, quarters; /* quarters of `together`: an item of a medium tile reads twice as
                                  much in a step as one of the others */
  } sizes[] = {{"large", 16, 2, 4}, {"medium", 8, 2, 3}, {"small", 8, 1, 4}};
  const char *kind = vector ? "VECTOR" : "SINGLE";
  for (int i = 0; i < GPU_TILE_SIZES; i++) {
    text_buffer_format(t,
                       "#define PRODUCT product_%s_%s_%s\n#define LOAD_W LOAD_W_%s_%s\n#define "
                       "LOAD_X LOAD_X_%s\n#define WEIGHT %s\n#define ARGS %s\n#define OF "
                       "%s\n#define MAY_LIE_BEYOND %d\n"
                       "#define SIDE %d\n#define QUADS %d\n#define TOGETHER %d\n",
                       p->type, sizes[i].name, vector ? "vector" : "single", p->capital, kind, kind,
                       p->stored, p->args, p->of, p->beyond, sizes[i].side, sizes[i].quads,
                       p->together * sizes[i].quarters / 4);
    ADD(t, product_cl);
  }
}

/* Of weights of one type: tiles, and the product for few rows. */
static void add_products(TextBuffer *t, const char *type, const char *capital, const char *stored,
                         int together) {
  const Products p = {type, capital, stored, "GpuProduct", "AS_GIVEN", together, 0};
  for (int vector = 0; vector < 2; vector++) {
    const char *kind = vector ? "VECTOR" : "SINGLE";
    add_tiles(t, &p, vector);
    text_buffer_format(t,
                       "#define FEW few_%s_%s\n#define LOAD_W LOAD_W_%s_%s\n#define LOAD_X "
                       "LOAD_X_%s\n#define WEIGHT %s\n",
                       type, vector ? "vector" : "single", capital, kind, kind, stored);
    ADD(t, product_few_cl);
  }
}

xt_status gpu_source(char **out, xt_error *error) {
  static const Products scores = {"scores", "F32", "float", "GpuAttend", "OF_SCORES", 512, 1},
                        values = {"values", "F32", "float", "GpuAttend", "OF_VALUES", 512, 1};
  TextBuffer t = {0};
  ADD(&t, dialect_cl);
  ADD(&t, args_h);
  ADD(&t, numbers_cl);
  ADD(&t, loads_cl);
  add_products(&t, "f32", "F32", "float", 512);
  add_products(&t, "f16", "F16", "ushort", 512);
  add_products(&t, "bf16", "BF16", "ushort", 512);
  add_products(&t, "quantised", "QUANTISED", "uchar", 256);
  ADD(&t, rows_cl);
  ADD(&t, attend_cl);
  add_tiles(&t, &scores, false);
  add_tiles(&t, &scores, true);
  add_tiles(&t, &values, true);
  ADD(&t, choose_cl);
  ADD(&t, tensor_cl);
  *out = NULL;
  if (t.failed) {
    text_buffer_free(&t);
    return err_memory(error, t.size);
  }
  *out = t.data;
  return XT_STATUS_OK;
}
