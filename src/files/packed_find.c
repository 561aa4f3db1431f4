/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a checkpoint's tensors are quantised matrices: each becomes one more tensor, with the
 * name that the matrix has where it is not quantised, whose values are made when they are asked
 * for. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "files/checkpoint_parts.h"

typedef struct Finder {
  Checkpoint *checkpoint;
  const PackedFormat *packing;
  const Tensor *codes;
  const char *base; /* the module's name, up to its last point, of `length` bytes */
  int length;
  PackedMatrix m;
  xt_error *error;
} Finder;

#define PACKED_REFUSE(f, t, ...) \
  err_set((f)->error, XT_STATUS_INPUT, (t)->map->path, (t)->name, tensor_offset(t), __VA_ARGS__)

static const Tensor *sibling(const Finder *f, const char *suffix) {
  char name[512];
  snprintf(name, sizeof name, "%.*s.%s", f->length, f->base, suffix);
  return checkpoint_find(f->checkpoint, name);
}

static xt_status need(const Finder *f, const char *suffix, const Tensor **out) {
  *out = sibling(f, suffix);
  if (!*out)
    return PACKED_REFUSE(f, f->codes, "there is no tensor %.*s.%s beside it", f->length, f->base,
                         suffix);
  return XT_STATUS_OK;
}

static xt_status want_shape(const Finder *f, const Tensor *t, Dtype dtype, int64_t rows,
                            int64_t cols) {
  const bool vector = cols == 0;
  if (t->dtype == dtype && t->dims == (vector ? 1 : 2) && t->shape[0] == rows &&
      (vector || t->shape[1] == cols))
    return XT_STATUS_OK;
  if (vector)
    return PACKED_REFUSE(f, t, "must be %s of shape [%lld]", dtype_name(dtype), (long long)rows);
  return PACKED_REFUSE(f, t, "must be %s of shape [%lld, %lld]", dtype_name(dtype), (long long)rows,
                       (long long)cols);
}

static int64_t words(int64_t values, int bits) { return (values * bits + 31) / 32; }

static xt_status is_matrix(const Finder *f, const Tensor *t, Dtype dtype) {
  if (t->dtype != dtype || t->dims != 2 || t->shape[0] <= 0 || t->shape[1] <= 0 ||
      t->shape[0] > INT32_MAX / 64 || t->shape[1] > INT32_MAX / 64)
    return PACKED_REFUSE(f, t, "must be %s and a matrix", dtype_name(dtype));
  return XT_STATUS_OK;
}

static xt_status set_scales(Finder *f, const Tensor *t) {
  if (t->dtype > DTYPE_BF16)
    return PACKED_REFUSE(f, t, "has dtype %s; scales may be F32, F16 or BF16",
                         dtype_name(t->dtype));
  f->m.scale_dtype = t->dtype;
  f->m.stored[1] = t;
  return XT_STATUS_OK;
}

/* A list of each column's group. */
static xt_status set_order(Finder *f, const Tensor *t) {
  TRY(want_shape(f, t, DTYPE_I32, f->m.cols, 0));
  for (int k = 0; k < f->m.cols; k++) {
    int32_t group;
    memcpy(&group, (const uint8_t *)t->data + 4 * (size_t)k, sizeof group);
    if (group < 0 || group >= f->m.groups)
      return PACKED_REFUSE(f, t, "puts column %d into group %d of %d", k, (int)group, f->m.groups);
  }
  f->m.stored[3] = t;
  return XT_STATUS_OK;
}

/* GPTQ's and AWQ's: words of codes [.., N], scales [G, N]. */
static xt_status find_qweight(Finder *f) {
  const PackedFormat *p = f->packing;
  const Tensor *scales, *zeros, *order = p->kind == PACKING_GPTQ ? sibling(f, "g_idx") : NULL;
  const bool awq = p->kind == PACKING_AWQ;
  PackedMatrix *m = &f->m;
  TRY(is_matrix(f, f->codes, DTYPE_I32));
  TRY(need(f, "scales", &scales));
  TRY(need(f, "qzeros", &zeros));
  TRY(set_scales(f, scales));
  const int64_t high = f->codes->shape[0], wide = f->codes->shape[1],
                cols = awq ? high : high * 32 / p->bits, rows = awq ? wide * 8 : wide;
  if (cols * p->bits % 32 || rows * p->bits % 32)
    return PACKED_REFUSE(f, f->codes, "is no whole number of words of %d bits", p->bits);
  m->cols = (int)cols;
  m->rows = (int)rows;
  m->group = p->group ? p->group : m->cols;
  m->groups = (m->cols - 1) / m->group + 1;
  TRY(want_shape(f, scales, scales->dtype, m->groups, rows));
  TRY(want_shape(f, zeros, DTYPE_I32, m->groups, words(rows, p->bits)));
  if (order) TRY(set_order(f, order));
  m->scale_row = 1;
  m->scale_group = (size_t)rows;
  m->stored[2] = zeros;
  m->codes = (PackedCodes){.data = f->codes->data,
                           .word_stride = awq ? 4 : 4 * (size_t)wide,
                           .lane_stride = awq ? 4 * (size_t)wide : 4,
                           .bits = p->bits,
                           .by_column = awq,
                           .awq = awq};
  m->zeros = (PackedCodes){.data = zeros->data,
                           .word_stride = 4,
                           .lane_stride = 4 * (size_t)zeros->shape[1],
                           .bits = p->bits,
                           .by_column = true,
                           .awq = awq};
  m->zero_more = p->zero_more;
  return XT_STATUS_OK;
}

/* compressed-tensors' words: [N, ..], scales [N, G]. The shape is in the file. */
static xt_status find_words(Finder *f) {
  const PackedFormat *p = f->packing;
  const Tensor *scales, *shape, *zeros, *order = sibling(f, "weight_g_idx");
  PackedMatrix *m = &f->m;
  int64_t sizes[2];
  TRY(is_matrix(f, f->codes, DTYPE_I32));
  TRY(need(f, "weight_scale", &scales));
  TRY(need(f, "weight_shape", &shape));
  TRY(set_scales(f, scales));
  TRY(want_shape(f, shape, DTYPE_I64, 2, 0));
  memcpy(sizes, shape->data, sizeof sizes);
  if (sizes[0] != f->codes->shape[0] || sizes[1] <= 0 || sizes[1] > INT32_MAX / 64 ||
      f->codes->shape[1] != words(sizes[1], p->bits))
    return PACKED_REFUSE(f, shape, "says [%lld, %lld], which does not fit %s", (long long)sizes[0],
                         (long long)sizes[1], f->codes->name);
  m->rows = (int)sizes[0];
  m->cols = (int)sizes[1];
  m->group = p->group ? p->group : m->cols;
  m->groups = (m->cols - 1) / m->group + 1;
  TRY(want_shape(f, scales, scales->dtype, m->rows, m->groups));
  if (order) TRY(set_order(f, order));
  m->scale_row = (size_t)m->groups;
  m->scale_group = 1;
  m->codes = (PackedCodes){.data = f->codes->data,
                           .word_stride = 4,
                           .lane_stride = 4 * (size_t)f->codes->shape[1],
                           .bits = p->bits};
  m->middle = 1 << (p->bits - 1);
  if (p->symmetric) return XT_STATUS_OK;
  TRY(need(f, "weight_zero_point", &zeros));
  TRY(want_shape(f, zeros, DTYPE_I32, words(m->rows, p->bits), m->groups));
  m->stored[2] = zeros;
  m->zeros = (PackedCodes){.data = zeros->data,
                           .word_stride = 4 * (size_t)m->groups,
                           .lane_stride = 4,
                           .bits = p->bits,
                           .by_column = true};
  return XT_STATUS_OK;
}

/* Which scale belongs to which value: one for all, or one of each block, whose size the
 * configuration says or the shapes. */
static xt_status grid_of(Finder *f, const Tensor *t) {
  const PackedFormat *p = f->packing;
  PackedMatrix *m = &f->m;
  const int64_t count = t->dims == 2 ? t->shape[0] * t->shape[1] : t->dims == 1 ? t->shape[0] : 1;
  int64_t high = t->dims ? t->shape[0] : 1, wide = t->dims == 2 ? t->shape[1] : 1;
  if (t->dims > 2 || high <= 0 || wide <= 0 || high > m->rows || wide > m->cols)
    return PACKED_REFUSE(f, t, "does not fit %s", f->codes->name);
  const bool blocks = p->block_rows && count > 1;
  m->block_rows = blocks ? p->block_rows : m->rows / (int)high;
  m->group = blocks ? p->block_cols : m->cols / (int)wide;
  m->groups = (int)wide;
  if ((m->rows - 1) / m->block_rows + 1 != high || (m->cols - 1) / m->group + 1 != wide ||
      (!blocks && (m->rows % high || m->cols % wide)))
    return PACKED_REFUSE(f, t, "its shape [%lld, %lld] does not divide %s, [%d, %d]",
                         (long long)high, (long long)wide, f->codes->name, m->rows, m->cols);
  m->scale_row = (size_t)wide;
  m->scale_group = 1;
  return XT_STATUS_OK;
}

/* A matrix of bytes. */
static xt_status find_bytes(Finder *f) {
  PackedMatrix *m = &f->m;
  const Tensor *scales = f->packing->kind == PACKING_FP8 ? sibling(f, "weight_scale_inv") : NULL,
               *zeros = sibling(f, "weight_zero_point");
  TRY(is_matrix(f, f->codes, f->codes->dtype));
  if (!scales) TRY(need(f, "weight_scale", &scales));
  m->rows = (int)f->codes->shape[0];
  m->cols = (int)f->codes->shape[1];
  TRY(set_scales(f, scales));
  TRY(grid_of(f, scales));
  m->fp8 = f->codes->dtype == DTYPE_F8_E4M3;
  m->codes =
      (PackedCodes){.data = f->codes->data, .word_stride = 1, .lane_stride = (size_t)m->cols};
  if (f->packing->symmetric || m->fp8) return XT_STATUS_OK;
  if (!zeros) TRY(need(f, "weight_zero_point", &zeros));
  if (zeros->dtype != DTYPE_I8 || zeros->dims != scales->dims ||
      zeros->bytes != scales->bytes / dtype_size(scales->dtype) || m->block_rows != 1)
    return PACKED_REFUSE(f, zeros, "must be I8 of the shape of the scales, which must be of rows");
  m->stored[2] = zeros;
  m->zeros = (PackedCodes){.data = zeros->data, .word_stride = 1, .lane_stride = (size_t)m->groups};
  return XT_STATUS_OK;
}

static bool ends_with(const char *name, const char *suffix) {
  const size_t length = strlen(name), end = strlen(suffix);
  return length > end && strcmp(name + length - end, suffix) == 0;
}

static bool is_codes(const PackedFormat *p, const Tensor *t) {
  switch (p->kind) {
    case PACKING_NONE: return false;
    case PACKING_GPTQ:
    case PACKING_AWQ: return ends_with(t->name, ".qweight");
    case PACKING_WORDS: return ends_with(t->name, ".weight_packed");
    case PACKING_FP8: return t->dtype == DTYPE_F8_E4M3 && ends_with(t->name, ".weight");
    case PACKING_PLAIN:
      return (t->dtype == DTYPE_F8_E4M3 || t->dtype == DTYPE_I8) && ends_with(t->name, ".weight");
  }
  return false;
}

static xt_status find_one(Finder *f, Tensor *out, PackedMatrix *matrix) {
  const PackedKind kind = f->packing->kind;
  const char *name = f->codes->name;
  f->base = name;
  f->length = (int)(strrchr(name, '.') - name);
  f->m = (PackedMatrix){.stored = {f->codes}, .block_rows = 1};
  if (f->length > 400) return PACKED_REFUSE(f, f->codes, "has a name of more than 400 bytes");
  TRY(kind == PACKING_GPTQ || kind == PACKING_AWQ ? find_qweight(f)
      : kind == PACKING_WORDS                     ? find_words(f)
                                                  : find_bytes(f));
  *out = *f->codes;
  out->dtype = kind == PACKING_FP8 ? DTYPE_F32 : f->m.scale_dtype;
  f->m.block_type = packed_block_type(&f->m, out->dtype);
  *matrix = f->m;
  out->dims = 2;
  out->shape[0] = f->m.rows;
  out->shape[1] = f->m.cols;
  out->bytes = (size_t)f->m.rows * (size_t)f->m.cols * dtype_size(out->dtype);
  out->packed = matrix;
  char *text;
  TRY(MEM_ALLOC(&text, (size_t)f->length + sizeof ".weight", f->error));
  memcpy(text, name, (size_t)f->length);
  memcpy(text + f->length, ".weight", sizeof ".weight");
  out->name = text;
  return XT_STATUS_OK;
}

static int compare_tensors(const void *a, const void *b) {
  const Tensor *x = a, *y = b;
  return strcmp(x->name, y->name);
}

xt_status checkpoint_unpack(Checkpoint *checkpoint, const PackedFormat *packing, xt_error *error) {
  size_t count = 0;
  Finder f = {.checkpoint = checkpoint, .packing = packing, .error = error};
  for (size_t i = 0; i < checkpoint->count; i++)
    count += is_codes(packing, &checkpoint->tensors[i]);
  if (count == 0) return XT_STATUS_OK;
  TRY(MEM_ALLOC(&checkpoint->packed, count, error));
  TRY(MEM_ALLOC(&checkpoint->unpacked, count, error));
  size_t found = 0;
  for (size_t i = 0; i < checkpoint->count; i++) {
    f.codes = &checkpoint->tensors[i];
    if (!is_codes(packing, f.codes)) continue;
    TRY(find_one(&f, &checkpoint->unpacked[found], &checkpoint->packed[found]));
    found++;
    checkpoint->made = found;
  }
  qsort(checkpoint->unpacked, found, sizeof *checkpoint->unpacked, compare_tensors);
  checkpoint->unpacked_count = found;
  return XT_STATUS_OK;
}
