/* SPDX-License-Identifier: Apache-2.0 */
/* The op table in plain loops: no blocking, no threads, sums in double. The other kernels are
 * tested against it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "files/dtype.h"
#include "base/mem.h"

struct Weight {
  int n, k;
  size_t bytes;
  float *data; /* [n][k] */
};
struct KvPrefix {
  KvShape shape;
  size_t capacity;
  float *data; /* [layer][position][key | value][kv_heads * head_dim] */
};
struct KvTail {
  KvPrefix store; /* a slot is a position */
};

static xt_status weight_create(Backend *b, const MatrixSource *parts, int n_parts, Weight **out,
                               xt_error *error) {
  *out = NULL;
  TRY(cpu_check_parts(parts, n_parts, error));
  const bool rounded = b->compute == XT_COMPUTE_BF16;
  TRY(cpu_find_not_finite(parts, n_parts, 0, INT32_MAX, b->compute, error));
  Weight *w;
  TRY(MEM_ALLOC(&w, 1, error));
  for (int p = 0; p < n_parts; p++) w->n += parts[p].rows;
  w->k = parts->cols;
  w->bytes = (size_t)w->n * (size_t)w->k * sizeof(float);
  const xt_status status = cpu_block_create(w->bytes, &w->data, error);
  if (status != XT_STATUS_OK) {
    free(w);
    return status;
  }
  float *to = w->data;
  for (int p = 0; p < n_parts; p++)
    for (int r = 0; r < parts[p].rows; r++, to += w->k) {
      const size_t place = (size_t)matrix_source_place(&parts[p], r);
      dtype_widen(parts[p].dtype,
                  (const char *)parts[p].data + place * dtype_bytes(parts[p].dtype, (size_t)w->k),
                  (size_t)w->k, to);
      for (int i = 0; rounded && i < w->k; i++) to[i] = dtype_from_bf16(dtype_to_bf16(to[i]));
    }
  *out = w;
  return XT_STATUS_OK;
}

static void weight_release(Backend *b, Weight *w) {
  (void)b;
  if (!w) return;
  cpu_block_free(w->data);
  free(w);
}

static size_t weight_bytes(const Weight *w) { return w->bytes; }

static void matmul(Backend *b, Dev y, Dev x, const Weight *w, Dev bias, int m) {
  for (int r = 0; r < m; r++)
    for (int n = 0; n < w->n; n++) {
      const float *a = cpu_floats(x) + (size_t)r * (size_t)w->k,
                  *c = w->data + (size_t)n * (size_t)w->k;
      double sum = 0;
      for (int k = 0; k < w->k; k++) {
        const float v = b->compute == XT_COMPUTE_BF16 ? dtype_from_bf16(dtype_to_bf16(a[k])) : a[k];
        sum += (double)v * (double)c[k];
      }
      if (!dev_is_none(bias)) sum += (double)cpu_floats(bias)[n];
      cpu_floats(y)[(size_t)r * (size_t)w->n + (size_t)n] = (float)sum;
    }
}

static void embed(Backend *b, Dev y, const Table *table, IndexList list, int m) {
  (void)b;
  const int32_t *ids = cpu_ints(list);
  const MatrixSource *s = &table->source;
  const size_t c = (size_t)s->cols;
  for (int r = 0; r < m; r++)
    dtype_widen(s->dtype, (const char *)s->data + (size_t)ids[r] * dtype_bytes(s->dtype, c), c,
                cpu_floats(y) + (size_t)r * c);
}

static void norm_group(const NormArgs *a, float *to, const float *from, const float *weight,
                       const float *bias) {
  const int c = a->width;
  double mean = 0, sum = 0;
  for (int i = 0; a->kind == NORM_LAYER && i < c; i++) mean += (double)from[i] / c;
  for (int i = 0; i < c; i++) sum += ((double)from[i] - mean) * ((double)from[i] - mean);
  const double factor = 1.0 / sqrt(sum / c + (double)a->eps);
  for (int i = 0; i < c; i++)
    to[i] = (float)(((double)from[i] - mean) * factor * (double)weight[i] +
                    (bias ? (double)bias[i] : 0));
}

static void norm(Backend *b, const NormArgs *a) {
  (void)b;
  const size_t width = (size_t)a->width;
  for (size_t r = 0; r < (size_t)a->rows; r++)
    for (size_t g = 0; g < (size_t)a->groups; g++) {
      const size_t own = a->weight_of_group ? g * width : 0;
      norm_group(a, cpu_floats(a->y) + r * (size_t)a->ld_y + g * width,
                 cpu_floats(a->x) + r * (size_t)a->ld_x + g * width, cpu_floats(a->weight) + own,
                 dev_is_none(a->bias) ? NULL : cpu_floats(a->bias) + own);
    }
}

static void rope(Backend *b, const RopeArgs *a) {
  (void)b;
  const int half = a->width / 2, step = a->style == ROPE_PAIRS ? 2 : 1,
            apart = a->style == ROPE_PAIRS ? 1 : half;
  for (int r = 0; r < a->rows; r++) {
    const float *table =
        cpu_floats(a->cos_sin) + (size_t)cpu_ints(a->positions)[r] * (size_t)a->width;
    for (int h = 0; h < a->heads; h++) {
      float *at = cpu_floats(a->x) + (size_t)r * (size_t)a->ld + (size_t)h * (size_t)a->head_dim;
      for (int i = 0; i < half; i++) {
        const double c = (double)table[i], s = (double)table[half + i];
        const double p = (double)at[step * i], q = (double)at[step * i + apart];
        at[step * i] = (float)(p * c - q * s);
        at[step * i + apart] = (float)(q * c + p * s);
      }
    }
  }
}

static double activation(const ActivateArgs *a, double x) {
  const double edge = (double)a->xielu.eps;
  switch (a->kind) {
    case ACTIVATION_SILU: return x / (1.0 + exp(-x));
    case ACTIVATION_GELU_TANH:
      return 0.5 * x *
             (1.0 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_GELU: return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case ACTIVATION_XIELU:
      if (x > 0) return (double)a->xielu.positive * x * x + (double)a->xielu.beta * x;
      return (double)a->xielu.negative * (expm1(x < edge ? x : edge) - x) +
             (double)a->xielu.beta * x;
    case ACTIVATION_COUNT: break;
  }
  return 0;
}

static void activate(Backend *b, const ActivateArgs *a) {
  (void)b;
  const size_t f = (size_t)a->width, step = a->gated ? 2 * f : f;
  for (size_t r = 0; r < (size_t)a->rows; r++)
    for (size_t i = 0; i < f; i++) {
      const float *at = cpu_floats(a->x) + r * step + i;
      cpu_floats(a->y)[r * f + i] =
          (float)(activation(a, (double)at[0]) * (a->gated ? (double)at[f] : 1));
    }
}

static double capped(double x, double cap) { return cap != 0 ? cap * tanh(x / cap) : x; }

static void scale(Backend *b, Dev x, size_t floats, float factor, float cap) {
  (void)b;
  for (size_t i = 0; i < floats; i++)
    cpu_floats(x)[i] = (float)capped((double)cpu_floats(x)[i] * (double)factor, (double)cap);
}

static void add(Backend *b, Dev x, Dev y, size_t floats) {
  (void)b;
  for (size_t i = 0; i < floats; i++) cpu_floats(x)[i] += cpu_floats(y)[i];
}

static void mix(Backend *b, const MixArgs *a) {
  (void)b;
  for (int e = 0; e < a->count; e++) {
    const MixEdit *edit = (const MixEdit *)cpu_ints(a->edits) + e;
    if (edit->row < a->first || edit->row >= a->first + a->rows) continue;
    for (int i = 0; i < a->width; i++) {
      const float from = cpu_floats(a->values)[(size_t)edit->value * (size_t)a->width + (size_t)i];
      float *to = cpu_floats(a->x) + (size_t)(edit->row - a->first) * (size_t)a->width + i;
      *to = edit->keep == 0.0f && edit->gain == 1.0f
                ? from
                : (float)((double)edit->keep * (double)*to + (double)edit->gain * (double)from);
    }
  }
}

/* ---- keys and values ------------------------------------------------------------------------- */

static size_t kv_width(const KvPrefix *p) {
  return (size_t)p->shape.kv_heads * (size_t)p->shape.head_dim;
}
static float *kv_at(const KvPrefix *p, int layer, int position) {
  return p->data + ((size_t)layer * p->capacity + (size_t)position) * 2 * kv_width(p);
}

static xt_status kv_create(KvShape shape, int capacity, KvPrefix *p, xt_error *error) {
  TRY(cpu_check_kv(shape, capacity, error));
  p->shape = shape;
  p->capacity = (size_t)capacity;
  const size_t each = 2 * kv_width(p) * sizeof(float);
  if (p->capacity > SIZE_MAX / 8 / each / (size_t)shape.layers) return err_memory(error, SIZE_MAX);
  return cpu_block_create(each * p->capacity * (size_t)shape.layers, &p->data, error);
}
static void kv_put(KvPrefix *p, int layer, Dev k, Dev v, int ld, int r, int position) {
  float *to = kv_at(p, layer, position);
  memcpy(to, cpu_floats(k) + (size_t)r * (size_t)ld, kv_width(p) * sizeof *to);
  memcpy(to + kv_width(p), cpu_floats(v) + (size_t)r * (size_t)ld, kv_width(p) * sizeof *to);
}

static void prefix_release(Backend *b, KvPrefix *p) {
  (void)b;
  if (!p) return;
  cpu_block_free(p->data);
  free(p);
}
static xt_status make_prefix(Backend *b, KvShape shape, int capacity, KvPrefix **out,
                             xt_error *error) {
  *out = NULL;
  KvPrefix *p;
  TRY(MEM_ALLOC(&p, 1, error));
  const xt_status status = kv_create(shape, capacity, p, error);
  if (status != XT_STATUS_OK)
    prefix_release(b, p);
  else
    *out = p;
  return status;
}
static xt_status prefix_create(Backend *b, KvShape shape, const int *capacities, int count,
                               KvPrefix **out, xt_error *error) {
  return cpu_each_prefix(b, shape, capacities, count, make_prefix, out, error);
}
static void prefix_store(Backend *b, KvPrefix *p, int layer, Dev k, Dev v, int ld, int m,
                         int first) {
  (void)b;
  for (int r = 0; r < m; r++) kv_put(p, layer, k, v, ld, r, first + r);
}
static void prefix_copy(Backend *b, KvPrefix *to, const KvPrefix *from, int count) {
  (void)b;
  for (int l = 0; l < to->shape.layers; l++)
    memcpy(kv_at(to, l, 0), kv_at(from, l, 0), (size_t)count * 2 * kv_width(to) * sizeof(float));
}
static void tail_release(Backend *b, KvTail *t) { prefix_release(b, (KvPrefix *)t); }
static xt_status tail_create(Backend *b, KvShape shape, const int32_t *slots, KvTail **out,
                             xt_error *error) {
  *out = NULL;
  int most = 1; /* every layer gets as many as the largest */
  for (int l = 0; l < shape.layers; l++) {
    if (slots[l] < 0)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "layer %d: %d slots", l,
                     (int)slots[l]);
    if (slots[l] > most) most = slots[l];
  }
  KvPrefix *p;
  TRY(make_prefix(b, shape, most, &p, error));
  *out = (KvTail *)p;
  return XT_STATUS_OK;
}
static void tail_store(Backend *b, KvTail *t, int layer, Dev k, Dev v, int ld, int m,
                       IndexList slots) {
  (void)b;
  for (int r = 0; r < m; r++) kv_put(&t->store, layer, k, v, ld, r, cpu_ints(slots)[r]);
}

/* What row r sees: positions of a prefix, then its own. */
typedef struct VisiblePositions {
  const KvPrefix *prefix, *own;
  int begin, shared;    /* of the prefix */
  const int32_t *slots; /* from the first that it sees */
  int count, after;     /* own positions; the first one's place in the sequence */
} VisiblePositions;
static VisiblePositions visible_positions(const AttendArgs *a, const KvPrefix *prefix, int r) {
  const int begin = index_is_none(a->prefix_begin) ? 0 : cpu_ints(a->prefix_begin)[r],
            end = index_is_none(a->prefix_end) ? 0 : cpu_ints(a->prefix_end)[r];
  VisiblePositions s = {.prefix = prefix,
                        .begin = begin,
                        .shared = prefix && end > begin ? end - begin : 0,
                        .after = end};
  if (!a->tail) return s;
  const int first = index_is_none(a->tail_begin) ? 0 : cpu_ints(a->tail_begin)[r],
            last = cpu_ints(a->tail_end)[r];
  s.own = &a->tail->store;
  s.slots = cpu_ints(a->tail_slots) + (size_t)r * (size_t)a->tail_ld + first;
  s.count = last > first ? last - first : 0;
  s.after += first;
  return s;
}

typedef struct Position {
  const float *key, *value;
  int at; /* in the sequence */
} Position;
static Position position_of(const VisiblePositions *s, int layer, int i) {
  const bool shared = i < s->shared;
  const KvPrefix *p = shared ? s->prefix : s->own;
  const float *key = kv_at(p, layer, shared ? s->begin + i : s->slots[i - s->shared]);
  return (Position){key, key + kv_width(p), shared ? s->begin + i : s->after + i - s->shared};
}
static double score(const AttendArgs *a, const float *q, Position p, size_t kv, int h, int d) {
  double sum = 0;
  for (int i = 0; i < d; i++) sum += (double)q[i] * (double)p.key[kv + (size_t)i];
  return capped(sum * (double)a->scale, (double)a->cap) +
         (a->slopes ? (double)a->slopes[h] * p.at : 0);
}

static void attend_head(const AttendArgs *a, const VisiblePositions *seen, KvShape shape, int r,
                        int h) {
  const int d = shape.head_dim, count = seen->shared + seen->count;
  const size_t kv = (size_t)(h / (a->heads / shape.kv_heads)) * (size_t)d;
  const float *q = cpu_floats(a->q) + (size_t)r * (size_t)a->ld_q + (size_t)h * (size_t)d;
  float *out = cpu_floats(a->out) + ((size_t)r * (size_t)a->heads + (size_t)h) * (size_t)d;
  double largest = -INFINITY, sum = 0;
  for (int i = 0; i < count; i++)
    largest = fmax(largest, score(a, q, position_of(seen, a->layer, i), kv, h, d));
  for (int i = 0; i < count; i++)
    sum += exp(score(a, q, position_of(seen, a->layer, i), kv, h, d) - largest);
  /* Elements in groups of 64, the scores computed again for each: nothing needs to be kept. */
  for (int first = 0; first < d; first += 64) {
    const int n = d - first < 64 ? d - first : 64;
    double value[64] = {0};
    for (int i = 0; i < count; i++) {
      const Position p = position_of(seen, a->layer, i);
      const double weight = exp(score(a, q, p, kv, h, d) - largest);
      for (int c = 0; c < n; c++) value[c] += weight * (double)p.value[kv + (size_t)(first + c)];
    }
    for (int c = 0; c < n; c++) out[first + c] = count ? (float)(value[c] / sum) : 0.0f;
  }
}

static void attend(Backend *b, const AttendArgs *a) {
  (void)b;
  for (int s = 0; s < a->span_count; s++) {
    const AttendSpan *span = &a->spans[s];
    if (!span->prefix && !a->tail) continue;
    const KvShape shape = span->prefix ? span->prefix->shape : a->tail->store.shape;
    for (int r = span->first; r < span->first + span->rows; r++) {
      const VisiblePositions seen = visible_positions(a, span->prefix, r);
      for (int h = 0; h < a->heads; h++) attend_head(a, &seen, shape, r, h);
    }
  }
}

static void choose(Backend *b, const ChooseArgs *a) {
  (void)b;
  for (int r = 0; r < a->rows; r++) {
    const float *s = cpu_floats(a->logits) + (size_t)r * (size_t)a->vocab;
    cpu_penalize(a, r);
    int32_t best = 0;
    float second = -INFINITY;
    double mass = 0, moment = 0;
    for (int32_t i = 1; i < a->vocab; i++)
      if (s[i] > s[best]) best = i;
    for (int32_t i = 0; i < a->vocab; i++) {
      const double t = (double)s[i] - (double)s[best];
      if (i != best && s[i] > second) second = s[i];
      if (t < -700) continue;
      mass += exp(t);
      moment += exp(t) * t;
    }
    const float wanted =
        index_is_none(a->wanted) ? 0 : s[cpu_ints(a->wanted)[r]] - s[best] + (float)-log(mass);
    ((Choice *)cpu_floats(a->out))[r] = (Choice){
        best, s[best] - second, (float)(log(mass) - moment / mass), (float)-log(mass), wanted};
  }
}

const BackendOps cpu_reference_ops = {
    .name = "cpu:reference",
    .destroy = cpu_destroy,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_upload,
    .download = cpu_download,
    .status = cpu_status,
    .copy_rows = cpu_copy_rows,
    .weight_create = weight_create,
    .weight_release = weight_release,
    .weight_bytes = weight_bytes,
    .matmul = matmul,
    .table_create = cpu_table_create,
    .table_release = cpu_table_release,
    .embed = embed,
    .norm = norm,
    .rope = rope,
    .activate = activate,
    .scale = scale,
    .add = add,
    .mix = mix,
    .prefix_create = prefix_create,
    .prefix_release = prefix_release,
    .prefix_store = prefix_store,
    .prefix_copy = prefix_copy,
    .tail_create = tail_create,
    .tail_release = tail_release,
    .tail_store = tail_store,
    .attend = attend,
    .seen_create = cpu_seen_create,
    .seen_release = cpu_seen_release,
    .choose = choose,
    .compare = cpu_compare,
    .peak = cpu_peak,
};
