/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised matrices of safetensors files: the file that an input describes, so that the fuzzer
 * need not write headers whose shapes fit together, and the values that its codes stand for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/checkpoint_parts.h"
#include "files/model_config.h"
#include "fuzz.h"

/* ---- values ---------------------------------------------------------------------------------- */

enum { ROWS_MOST = 200 }; /* more than packed_expand has in one pass over the columns */

/* Every row by itself and all of them together, which must be the same bits. */
static void expand(const Tensor *t, Dtype dtype) {
  const int rows = t->shape[0] < ROWS_MOST ? (int)t->shape[0] : ROWS_MOST,
            first = (int)t->shape[0] - rows;
  const size_t row_bytes = (size_t)t->shape[1] * dtype_size(dtype);
  uint8_t *all = malloc((size_t)rows * row_bytes), *one = malloc(row_bytes);
  if (!all || !one) abort();
  packed_expand(t->packed, dtype, first, rows, all);
  for (int r = 0; r < rows; r++) {
    packed_expand(t->packed, dtype, first + r, 1, one);
    if (memcmp(one, all + (size_t)r * row_bytes, row_bytes) != 0) abort();
  }
  free(all);
  free(one);
}

static void expand_all(const Checkpoint *c) {
  for (size_t i = 0; i < c->unpacked_count; i++) {
    const Tensor *t = &c->unpacked[i];
    if (checkpoint_find(c, t->name) == NULL) abort();
    if ((uint64_t)t->shape[1] > 1 << 20) continue;
    expand(t, t->dtype);
    if (t->dtype == DTYPE_F32) expand(t, DTYPE_F16);
  }
}

/* Opens the file as the configuration has it, and expands what is packed in it. */
static void unpack(const char *path, const PackedFormat *format) {
  Checkpoint *checkpoint;
  xt_error error = {0};
  if (checkpoint_open_file(path, &checkpoint, &error)) return;
  const xt_status status = checkpoint_unpack(checkpoint, format, &error);
  fuzz_check(status, &error);
  if (!status) expand_all(checkpoint);
  checkpoint_close(checkpoint);
}

/* Any file's matrices as if they were of each kind, whatever a configuration would say. */
void fuzz_unpack_all(const char *path) {
  static const PackedFormat formats[] = {
      {.kind = PACKING_GPTQ, .bits = 4, .group = 16, .zero_more = 1},
      {.kind = PACKING_GPTQ, .bits = 3},
      {.kind = PACKING_AWQ, .bits = 4, .group = 4},
      {.kind = PACKING_FP8, .symmetric = true, .block_rows = 4, .block_cols = 4},
      {.kind = PACKING_PLAIN},
      {.kind = PACKING_WORDS, .bits = 3}};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) unpack(path, &formats[i]);
}

/* ---- a file from an input -------------------------------------------------------------------- */

/* The input: eight bytes of settings, four of what is wrong, then the values, which begin anew
 * where they end. */
enum { KIND, BITS, GROUP, ROWS, COLS, BLOCK_ROWS, BLOCK_COLS, SCALES, SETTINGS };
enum { WRONG_TENSOR = SETTINGS, WRONG_FIELD, WRONG_BY, WRONG_AGAIN, VALUES };

typedef struct Part {
  const char *suffix; /* NULL: none */
  int dtype;          /* of `dtypes` */
  int dims;
  int64_t shape[2];
} Part;

enum { I32, F16, BF16, F32, I8, F8, I64, DTYPES };
static const struct {
  const char *name;
  int bytes;
} dtypes[DTYPES] = {{"I32", 4}, {"F16", 2},     {"BF16", 2}, {"F32", 4},
                    {"I8", 1},  {"F8_E4M3", 1}, {"I64", 8}};

static int64_t over(int64_t n, int64_t by) { return (n + by - 1) / by; }

static int64_t rows_of(const uint8_t *in) { return 1 + in[ROWS] % 72; }
static int64_t cols_of(const uint8_t *in) { return 1 + in[COLS] % 48; }

static PackedFormat format_of(const uint8_t *in) {
  static const int groups[] = {0, 1, 4, 8, 16, 32, 128, 7}, bits[] = {4, 2, 3, 8, 5, 7, 6, 4};
  const PackedKind kind = (PackedKind)(PACKING_FP8 + in[KIND] % 5);
  const bool blocks = kind == PACKING_FP8 && in[BLOCK_ROWS]; /* a configuration has both or none */
  return (PackedFormat){.kind = kind,
                        .bits = kind == PACKING_AWQ    ? 4
                                : kind == PACKING_GPTQ ? bits[in[BITS] % 4]
                                                       : bits[in[BITS] % 8],
                        .group = groups[in[GROUP] % 8],
                        .block_rows = blocks ? 1 + in[BLOCK_ROWS] % 9 : 0,
                        .block_cols = blocks ? 1 + in[BLOCK_COLS] % 9 : 0,
                        .zero_more = in[BITS] >> 3 & 1,
                        .symmetric = kind == PACKING_FP8 || (in[BITS] & 16)};
}

/* Tensors that fit together: those of [rows, cols], about which the input says the rest. */
static void parts_of(const uint8_t *in, const PackedFormat *f, Part parts[4]) {
  const int64_t whole = f->kind == PACKING_GPTQ ? 32 : 1, /* words along both sides */
      rows = whole * over(rows_of(in), whole), cols = whole * over(cols_of(in), whole),
                groups = f->group ? over(cols, f->group) : 1;
  const int scales = 1 + in[SCALES] % 3;
  const bool order = in[SCALES] & 4;
  memset(parts, 0, 4 * sizeof *parts);
  switch (f->kind) {
    case PACKING_GPTQ:
      parts[0] = (Part){"qweight", I32, 2, {over(cols * f->bits, 32), rows}};
      parts[1] = (Part){"scales", scales, 2, {groups, rows}};
      parts[2] = (Part){"qzeros", I32, 2, {groups, over(rows * f->bits, 32)}};
      if (order) parts[3] = (Part){"g_idx", I32, 1, {cols, 1}};
      break;
    case PACKING_AWQ:
      parts[0] = (Part){"qweight", I32, 2, {cols, over(rows, 8)}};
      parts[1] = (Part){"scales", scales, 2, {groups, 8 * over(rows, 8)}};
      parts[2] = (Part){"qzeros", I32, 2, {groups, over(rows, 8)}};
      break;
    case PACKING_WORDS:
      parts[0] = (Part){"weight_packed", I32, 2, {rows, over(cols * f->bits, 32)}};
      parts[1] = (Part){"weight_scale", scales, 2, {rows, groups}};
      parts[2] = (Part){"weight_shape", I64, 1, {2, 1}};
      parts[3] = order ? (Part){"weight_g_idx", I32, 1, {cols, 1}}
                       : (Part){"weight_zero_point", I32, 2, {over(rows * f->bits, 32), groups}};
      break;
    default: {
      const int64_t high = f->block_rows ? over(rows, f->block_rows)
                           : order       ? 1
                                         : rows,
                    wide = f->block_cols ? over(cols, f->block_cols) : 1;
      parts[0] =
          (Part){"weight", f->kind == PACKING_FP8 || (in[SCALES] & 8) ? F8 : I8, 2, {rows, cols}};
      parts[1] =
          (Part){f->kind == PACKING_FP8 && (in[SCALES] & 16) ? "weight_scale_inv" : "weight_scale",
                 scales,
                 2,
                 {high, wide}};
      if (in[SCALES] & 32) parts[1].dims = (int)(in[SCALES] >> 6) % 2;
      parts[2] = (Part){"weight_zero_point", I8, parts[1].dims, {high, wide}};
    }
  }
}

/* Another type, another size, another number of sizes, or no such tensor. */
static void spoil(const uint8_t *wrong, Part parts[4]) {
  Part *p = &parts[wrong[0] % 4];
  switch (wrong[1] % 8) {
    case 1: p->dtype = wrong[2] % DTYPES; break;
    case 2: p->shape[0] = wrong[2]; break;
    case 3: p->shape[1] = wrong[2]; break;
    case 4: p->dims = wrong[2] % 3; break;
    case 5: p->suffix = NULL; break;
    case 6: p->shape[0] += (int8_t)wrong[2]; break;
    default: break;
  }
  if (p->shape[0] < 0) p->shape[0] = 0;
}

static size_t bytes_of(const Part *p) {
  size_t bytes = (size_t)dtypes[p->dtype].bytes;
  for (int i = 0; i < p->dims; i++) bytes *= (size_t)p->shape[i];
  return bytes;
}

/* weight_shape says what is right, or what the input says; groups are small numbers. */
static void fill(const Part *p, const uint8_t *in, size_t size, size_t *at, uint8_t *to) {
  const bool shape = strcmp(p->suffix, "weight_shape") == 0 && !(in[WRONG_AGAIN] & 1),
             order = strstr(p->suffix, "g_idx") && !(in[WRONG_AGAIN] & 2);
  const size_t bytes = bytes_of(p);
  const int64_t sizes[2] = {rows_of(in), cols_of(in)};
  for (size_t i = 0; i < bytes; i++) {
    to[i] = size > VALUES ? in[VALUES + (*at)++ % (size - VALUES)] : (uint8_t)i;
    if (order) to[i] = i % 4 ? 0 : to[i] % 2;
  }
  if (shape && bytes == sizeof sizes) memcpy(to, sizes, sizeof sizes);
}

static size_t write_file(const Part parts[4], const uint8_t *in, size_t size, uint8_t **out) {
  char header[1024] = "{";
  size_t length = 1, offset = 0, at = 0, total = sizeof header + 8;
  for (int i = 0; i < 4; i++) total += parts[i].suffix ? bytes_of(&parts[i]) : 0;
  uint8_t *file = malloc(total), *data;
  if (!file) abort();
  for (int i = 0; i < 4; i++) {
    const Part *p = &parts[i];
    if (!p->suffix) continue;
    char shape[64] = "";
    if (p->dims) snprintf(shape, sizeof shape, "%lld", (long long)p->shape[0]);
    if (p->dims == 2) sprintf(shape + strlen(shape), ",%lld", (long long)p->shape[1]);
    length +=
        (size_t)snprintf(header + length, sizeof header - length,
                         "%s\"m.%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                         length > 1 ? "," : "", p->suffix, dtypes[p->dtype].name, shape, offset,
                         offset + bytes_of(p));
    offset += bytes_of(p);
  }
  header[length++] = '}';
  for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)length >> (8 * i));
  memcpy(file + 8, header, length);
  data = file + 8 + length;
  for (int i = 0; i < 4; i++) {
    if (!parts[i].suffix) continue;
    fill(&parts[i], in, size, &at, data);
    data += bytes_of(&parts[i]);
  }
  *out = file;
  return (size_t)(data - file);
}

void fuzz_packed(const uint8_t *data, size_t size) {
  Part parts[4];
  uint8_t *file;
  if (size < VALUES) return;
  const PackedFormat format = format_of(data);
  parts_of(data, &format, parts);
  spoil(data + WRONG_TENSOR, parts);
  const size_t bytes = write_file(parts, data, size, &file);
  unpack(fuzz_file(file, bytes), &format);
  free(file);
}
