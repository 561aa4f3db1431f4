/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the op table on a GPU share. */
#ifndef GPU_GPU_BACKEND_H
#define GPU_GPU_BACKEND_H

#include "backend/backend.h"
#include "backend/gpu/gpu.h"

/* Memory that grows as it is needed and is used by one op at a time. */
typedef struct GpuRoom {
  GpuBuffer *buffer;
  size_t bytes;
} GpuRoom;

/* Choices whose entropy and log-probabilities the host still has to compute: where they are, and
 * where they are again, with the sums of their weights. */
typedef struct GpuPending {
  GpuBuffer *out;     /* NULL: others have been written there */
  size_t first, rows; /* Choices of `out`, from its byte `first` on */
  bool wanted;
  size_t blocks, at; /* [rows][CHOICE_WORDS + 2 blocks] of GpuChoices, from its word `at` on */
} GpuPending;
/* All that is pending, so that one copy reads it. */
typedef struct GpuChoices {
  GpuRoom room;
  float *host;                 /* the same words, the first `read` of which have been read */
  size_t words, read, on_host; /* so many words are used; on_host: there is room for */
  GpuPending *pending;
  size_t count, capacity;
  bool done; /* a download has finished some: the next choice begins anew */
} GpuChoices;

typedef struct GpuBackend {
  Backend base; /* first: a Backend* is a GpuBackend* */
  BackendOps ops;
  GpuDevice *device;
  GpuUser user;           /* of the device: whose commands this backend's are */
  GpuRoom scores, shared; /* attention's scores of a launch, and the shared part of a call */
  size_t score_bytes;     /* what attention's scores may take; more rows are worked on in parts */
  GpuRoom slopes;
  float *slopes_host; /* what `slopes` holds */
  int slope_count;
  GpuChoices choices;
  unsigned tiles; /* which sizes products take: 1 << size */
  /* of products on tensor cores alone */
  GpuNarrowKind narrow;
  GpuRoom rounded, rest; /* rounded rows; the result of rows that are not whole tiles */
  GpuBuffer *flag;       /* one int: a number was too large for the type */
  char name[80];         /* the device's, and the library's */
} GpuBackend;

static inline GpuBackend *gpu_of(Backend *b) { return (GpuBackend *)b; }

/* Where a Dev is: a buffer, and an element of four bytes in it. */
typedef struct GpuPlace {
  GpuBuffer *buffer; /* NULL: none */
  gpu_size at;
} GpuPlace;
static inline GpuPlace gpu_place(Dev d) { return (GpuPlace){d.buffer, d.offset / sizeof(float)}; }

/* Makes room for `bytes`; the contents are not kept. False: there is none, and the user's failure
 * says so. */
bool gpu_room(GpuBackend *b, GpuRoom *room, size_t bytes);

/* Work-groups of 256 with an item for each of `count`. */
static inline uint32_t gpu_groups(uint64_t count) { return (uint32_t)((count + 255) / 256); }
/* So many parts of `each` cover `count`. */
static inline uint32_t gpu_parts(int count, int each) {
  return (uint32_t)(count / each + (count % each != 0));
}

#define GPU_LAUNCH(b, name, gx, gy, gz, item_count, arguments, ...)                          \
  gpu_launch(&(b)->user,                                                                     \
             &(GpuLaunch){.kernel = KERNEL_##name,                                           \
                          .groups = {gx, gy, gz},                                            \
                          .items = item_count,                                               \
                          .buffers = {__VA_ARGS__},                                          \
                          .buffer_count = (int)(sizeof((const GpuBuffer *[]){__VA_ARGS__}) / \
                                                sizeof(GpuBuffer *)),                        \
                          .args = &(arguments),                                              \
                          .args_size = sizeof(arguments)})

/* gpu_product.c */
typedef enum GpuType {
  GPU_F32 = 0,
  GPU_F16,
  GPU_BF16,
  GPU_QUANTISED,
  GPU_SCORES,
  GPU_VALUES
} GpuType;
/* Rows of one stored type in the device's memory: quantised ones as their blocks (GPU_FORMAT). */
typedef struct GpuMatrix {
  GpuType type;
  int format, rows;
  size_t row; /* elements from one row to the next; bytes of quantised ones */
  GpuBuffer *data;
} GpuMatrix;
/* The rows of the parts, which are of one type, one after the other. They pass through a few
 * megabytes of the host's memory: the device's stage, where it has one. */
xt_status gpu_matrix(GpuBackend *b, const MatrixSource *parts, int n_parts, GpuMatrix *out,
                     xt_error *error);
/* Parts of one type that follow one another are one matrix. */
struct Weight {
  int n, k, count;
  GpuMatrix parts[];
};
xt_status gpu_weight_create(Backend *, const MatrixSource *parts, int n_parts, Weight **out,
                            xt_error *error);
void gpu_weight_release(Backend *, Weight *);
size_t gpu_weight_bytes(const Weight *);
void gpu_matmul(Backend *, Dev y, Dev x, const Weight *, Dev bias, int m);
/* A kernel that multiplies, its work-items, and the rows and columns that a work-group of it has. */
typedef struct GpuTiles {
  GpuKernel kernel;
  uint32_t items;
  int rows, columns;
} GpuTiles;
/* The sizes of tiles, largest first. A device takes those that it has local memory and work-items
 * for, a processor the smallest alone. */
typedef struct GpuTileSize {
  int side;       /* rows, and columns */
  uint32_t items; /* of a work-group */
  uint64_t local; /* bytes that a device has at least: room for two work-groups or more */
  int beyond;     /* a product has more rows and more columns */
} GpuTileSize;
extern const GpuTileSize gpu_tile_sizes[GPU_TILE_SIZES];
unsigned gpu_tiles_of(const GpuInfo *info);
/* For `count` products of m rows and n columns in one launch: the largest of the device's tiles of
 * which there is one for three quarters of its compute units. No size changes a bit. `few`: the kernel for few
 * rows, of which attention's products have none. `quadruples`: rows are multiples of four elements
 * at aligned places; those of GPU_VALUES are. */
GpuTiles gpu_tiles(const GpuBackend *b, GpuType type, bool few, bool quadruples, int m, int n,
                   int count);

/* gpu_tensor.c */
/* Makes products of `b` those of `compute`, which is not float32. */
xt_status gpu_tensor_begin(GpuBackend *b, xt_compute compute, const GpuOptions *options,
                           xt_error *error);
/* An error if the flag is up, which is lowered: what comes after is well again. */
xt_status gpu_tensor_check(GpuBackend *b, xt_error *error);
void gpu_tensor_end(GpuBackend *b);
/* Operations a second of a large product. */
xt_status gpu_tensor_peak(GpuBackend *b, double *flops, xt_error *error);

/* gpu_rows.c */
xt_status gpu_table_create(Backend *, const MatrixSource *source, Table **out, xt_error *error);
void gpu_table_release(Backend *, Table *);
void gpu_embed(Backend *, Dev y, const Table *, IndexList ids, int m);
void gpu_norm(Backend *, const NormArgs *);
void gpu_rope(Backend *, const RopeArgs *);
void gpu_activate(Backend *, const ActivateArgs *);
void gpu_scale(Backend *, Dev x, size_t floats, float factor, float cap);
void gpu_add(Backend *, Dev x, Dev y, size_t floats);
void gpu_mix(Backend *, const MixArgs *);
void gpu_copy_rows(Backend *, Dev to, IndexList to_rows, Dev from, IndexList from_rows, int m,
                   int width);

/* gpu_attend.c */
xt_status gpu_prefix_create(Backend *, KvShape, const int *capacities, int count, KvPrefix **out,
                            xt_error *error);
void gpu_prefix_release(Backend *, KvPrefix *);
void gpu_prefix_store(Backend *, KvPrefix *, int layer, Dev k, Dev v, int ld, int m, int first);
void gpu_prefix_copy(Backend *, KvPrefix *to, const KvPrefix *from, int count);
xt_status gpu_tail_create(Backend *, KvShape, const int32_t *slots, KvTail **out, xt_error *error);
void gpu_tail_release(Backend *, KvTail *);
void gpu_tail_store(Backend *, KvTail *, int layer, Dev k, Dev v, int ld, int m, IndexList slots);
void gpu_attend(Backend *, const AttendArgs *);

/* gpu_choose.c */
xt_status gpu_seen_create(Backend *, const SeenSource *source, SeenIds **out, xt_error *error);
void gpu_seen_release(Backend *, SeenIds *);
void gpu_choose(Backend *, const ChooseArgs *);
void gpu_compare(Backend *, const CompareArgs *);
/* Reads `bytes` of the buffer from `offset` on, the choices among them finished. */
void gpu_read_choices(GpuBackend *b, void *to, const GpuBuffer *buffer, size_t offset,
                      size_t bytes);
/* Something else is in these bytes from now on, or they are released: no choice is there. */
void gpu_choices_forget(GpuBackend *b, const GpuBuffer *buffer, size_t offset, size_t bytes);
void gpu_choices_free(GpuBackend *b);

#endif
