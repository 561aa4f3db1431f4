/* SPDX-License-Identifier: Apache-2.0 */
/* Every op of every set of kernels against sums in double, with bounds from the error of float
 * arithmetic: u = 2^-24 is the unit roundoff. */
#include "op_sums.h"

static void test_embed(void **state) {
  (void)state;
  static const int32_t ids[] = {4, 0, 6, 4};
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
    for (int c = 1; c < 40; c += 6) {
      float *values;
      MatrixSource s = random_matrix((Dtype)type, 7, c, 5, &values);
      Table *t;
      xt_error error;
      ASSERT_OK(b->ops->table_create(b, &s, &t, &error));
      Dev y = to_device(b, NULL, (size_t)(4 * c));
      const IndexList list = to_indices(b, ids, 4);
      b->ops->embed(b, y, t, list, 4);
      float *got = to_host(b, y, (size_t)(4 * c));
      for (int r = 0; r < 4; r++)
        assert_memory_equal(got + r * c, values + ids[r] * c, (size_t)c * sizeof *got);
      free(got), free(values), free((void *)(uintptr_t)s.data);
      b->ops->release(b, y), b->ops->release(b, list.at), b->ops->table_release(b, t);
    }
}

/* One group of `c` floats: what a norm has to give for it. */
static void check_norm(const Backend *b, NormKind kind, const float *x, const float *w,
                       const float *bias, const float *got, int c) {
  double sum = 0, mean = 0, size = 0;
  for (int i = 0; kind == NORM_LAYER && i < c; i++)
    mean += (double)x[i] / c, size += fabs((double)x[i]) / c;
  for (int i = 0; i < c; i++) sum += ((double)x[i] - mean) * ((double)x[i] - mean);
  const double factor = 1 / sqrt(sum / c + (double)1e-5f);
  for (int i = 0; i < c; i++) {
    const double scaled = ((double)x[i] - mean) * factor * (double)w[i];
    /* Squares are positive: the sum's relative error is its additions', halved by the root; six
     * more. A mean is off by its additions, and so is what it is taken from. */
    double bound = (0.5 * (c / 64 + 9) + 6) * U * fabs(scaled);
    if (kind == NORM_LAYER)
      bound += (c / 64 + 9) * U * size * factor * fabs((double)w[i]) *
                   (1 + fabs(((double)x[i] - mean) * factor)) +
               2 * U *
                   (fabs((double)x[i]) * factor * fabs((double)w[i]) + fabs(scaled) +
                    (bias ? fabs((double)bias[i]) : 0));
    check("norm", b, (size_t)i, got[i], scaled + (bias ? (double)bias[i] : 0), bound);
  }
}

/* `groups` groups a row, with weights of their own or the same; rows apart; in place and not. */
static void norm_case(Backend *b, NormKind kind, int c, int groups, bool own, bool with_bias) {
  enum { M = 20 };
  const int ld = groups * c + (groups > 1 ? 3 : 0);
  const size_t n = (size_t)(M * ld), weights = (size_t)((own ? groups : 1) * c);
  float *x = random_floats(n, 2), *w = random_floats(weights, 3), *bias = random_floats(weights, 4);
  Dev dx = to_device(b, x, n), dw = to_device(b, w, weights), db = to_device(b, bias, weights),
      dy = to_device(b, x, n);
  NormArgs args = {.kind = kind,
                   .y = dy,
                   .x = dx,
                   .weight = dw,
                   .bias = with_bias ? db : (Dev){0},
                   .weight_of_group = own,
                   .rows = M,
                   .groups = groups,
                   .width = c,
                   .ld_y = ld,
                   .ld_x = ld,
                   .eps = 1e-5f};
  b->ops->norm(b, &args);
  float *apart = to_host(b, dy, n);
  args.y = dx;
  b->ops->norm(b, &args);
  float *in_place = to_host(b, dx, n);
  assert_memory_equal(apart, in_place, n * sizeof *apart);
  for (int r = 0; r < M; r++) {
    for (int g = 0; g < groups; g++) {
      const int at = r * ld + g * c, of = own ? g * c : 0;
      check_norm(b, kind, x + at, w + of, with_bias ? bias + of : NULL, apart + at, c);
    }
    for (int i = groups * c; i < ld; i++) assert_true(apart[r * ld + i] == x[r * ld + i]);
  }
  free(x), free(w), free(bias), free(apart), free(in_place);
  b->ops->release(b, dx), b->ops->release(b, dw), b->ops->release(b, db), b->ops->release(b, dy);
}

static void test_norm(void **state) {
  (void)state;
  static const int widths[] = {1, 7, 16, 33, 64, 100, 2048, 2050};
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (size_t s = 0; s < sizeof widths / sizeof *widths; s++) {
    norm_case(b, NORM_RMS, widths[s], 1, false, false);
    norm_case(b, NORM_LAYER, widths[s], 1, false, false);
    norm_case(b, NORM_LAYER, widths[s], 1, false, true);
    norm_case(b, NORM_RMS, widths[s], 3, false, false);
    norm_case(b, NORM_LAYER, widths[s], 3, true, false);
  }
}

/* Heads of d floats of which the first `width` turn. */
static void rope_case(Backend *b, RopeStyle style, int d, int width) {
  static const int32_t positions[] = {3, 0, 4};
  const int heads = 3, ld = heads * d + 5;
  const size_t n = (size_t)(3 * ld);
  float *x = random_floats(n, 4), *table = random_floats((size_t)(5 * width), 5);
  Dev dx = to_device(b, x, n), dt = to_device(b, table, (size_t)(5 * width));
  const IndexList at = to_indices(b, positions, 3);
  b->ops->rope(b, &(RopeArgs){.style = style,
                              .x = dx,
                              .ld = ld,
                              .rows = 3,
                              .heads = heads,
                              .head_dim = d,
                              .width = width,
                              .positions = at,
                              .cos_sin = dt});
  float *got = to_host(b, dx, n);
  for (int r = 0; r < 3; r++)
    for (int i = 0; i < ld; i++) {
      const float *cs = table + positions[r] * width;
      const int in = i % d, half = width / 2, pair = style == ROPE_PAIRS ? in / 2 : in % half;
      const bool first = style == ROPE_PAIRS ? in % 2 == 0 : in < half;
      const int apart = style == ROPE_PAIRS ? 1 : half;
      double want = (double)x[r * ld + i], size = 0;
      if (i < heads * d && in < width) {
        const double other = (double)x[r * ld + (first ? i + apart : i - apart)];
        const double p = want * (double)cs[pair], q = other * (double)cs[half + pair];
        want = first ? p - q : p + q;
        size = fabs(p) + fabs(q);
      }
      check("rope", b, (size_t)(r * ld + i), got[r * ld + i], want, 2 * U * size);
    }
  free(x), free(table), free(got), b->ops->release(b, dx), b->ops->release(b, dt),
      b->ops->release(b, at.at);
}

static void test_rope(void **state) {
  (void)state;
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (int style = ROPE_HALVES; style <= ROPE_PAIRS; style++)
    for (int d = 2; d <= 128; d += d < 40 ? 6 : 24) {
      rope_case(b, (RopeStyle)style, d, d);
      if (d >= 8) rope_case(b, (RopeStyle)style, d, d / 8 * 2);
    }
}

static const XieluNumbers xielu = {0.75f, 1.3f, 0.5f, -1e-6f};

/* act(x) in double, and how far off a float's may be. */
static double activation_of(Activation act, double x, double *bound) {
  if (act == ACTIVATION_SILU) {
    /* exp within 2 u of a term that is at most the whole, sum, quotient, product; below e^-87 the
     * exponential is cut off, which shows as at most |x| e^-87. */
    *bound = 6 * U * fabs(x / (1 + exp(-x))) + fmin(fabs(x), 1e30) * 1.7e-38;
    return x / (1 + exp(-x));
  }
  if (act == ACTIVATION_GELU) {
    /* x / sqrt 2 is off by 1.5 u of itself, which erf passes on by its slope; erf by 2 u; sum and
     * products by u each. */
    *bound = 5 * U * fabs(x);
    return 0.5 * x * (1 + erf(x / sqrt(2)));
  }
  if (act == ACTIVATION_XIELU) {
    const double p = (double)xielu.positive, n = (double)xielu.negative, beta = (double)xielu.beta,
                 eps = (double)xielu.eps;
    /* Below zero expm1 is off by 8 u of itself (tanh by 3, sums and a quotient), and the difference
     * cancels near zero. */
    *bound = x > 0 ? 4 * U * (p * x * x + beta * x) : 12 * U * (n + beta) * (fabs(x) + fabs(eps));
    return x > 0 ? p * x * x + beta * x : n * (expm1(fmin(x, eps)) - x) + beta * x;
  }
  /* The argument of tanh is off by 4 u of itself and of its cube; tanh by 3 u; 1 + tanh cancels for
   * x < 0. */
  const double inner = sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x),
               t = tanh(inner);
  *bound = fabs(x) * (4 * U + 8 * U * fmin(fabs(inner) * (1 - t * t), 1));
  return 0.5 * x * (1 + t);
}

static void test_activate(void **state) {
  (void)state;
  static const float special[] = {0,   -0.0f, 87,    -87,    88.5f, -88.5f,
                                  200, -200,  1e30f, -1e30f, 1e-30f};
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (int act = 0; act < ACTIVATION_COUNT; act++)
    for (int gated = 0; gated < 2; gated++)
      for (int f = 1; f < 12000; f = f * 3 + 1) {
        enum { M = 5 };
        const int ld = (1 + gated) * f;
        float *x = random_floats((size_t)(M * ld), 6);
        for (int i = 0; i < M * ld; i++) x[i] *= 20;
        for (size_t i = 0; i < sizeof special / sizeof *special && (int)i < f; i++)
          x[i] = act && fabsf(special[i]) > 1e9f ? 100 : special[i];
        Dev dx = to_device(b, x, (size_t)(M * ld)), dy = to_device(b, NULL, (size_t)(M * f));
        b->ops->activate(b, &(ActivateArgs){.kind = (Activation)act,
                                            .gated = gated,
                                            .y = dy,
                                            .x = dx,
                                            .rows = M,
                                            .width = f,
                                            .xielu = xielu});
        float *y = to_host(b, dy, (size_t)(M * f));
        for (int r = 0; r < M; r++)
          for (int i = 0; i < f; i++) {
            double bound;
            const double u = gated ? (double)x[r * ld + f + i] : 1,
                         want = activation_of((Activation)act, (double)x[r * ld + i], &bound) * u;
            check("activate", b, (size_t)i, y[r * f + i], want, bound * fabs(u) + U * fabs(want));
          }
        free(x), free(y), b->ops->release(b, dx), b->ops->release(b, dy);
      }
}

static void test_scale(void **state) {
  (void)state;
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (int capped = 0; capped < 2; capped++)
    for (size_t n = 1; n < 100000; n = n * 5 + 2) {
      float *x = random_floats(n, 1);
      for (size_t i = 0; i < n; i++) x[i] *= i % 3 ? 40 : 0.01f;
      Dev d = to_device(b, x, n);
      b->ops->scale(b, d, n, 1.75f, capped ? 30 : 0);
      float *y = to_host(b, d, n);
      for (size_t i = 0; i < n; i++) {
        const double scaled = (double)x[i] * 1.75, want = capped ? 30 * tanh(scaled / 30) : scaled;
        /* Scaling, division, tanh within 3 u of itself, product; tanh passes an error on at most
           * as it is. */
        check("scale", b, i, y[i], want, (capped ? 7 : 1) * U * fabs(want));
      }
      free(x), free(y), b->ops->release(b, d);
    }
}

static void test_add(void **state) {
  (void)state;
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (size_t n = 1; n < 100000; n = n * 7 + 3) {
    float *x = random_floats(n, 1), *y = random_floats(n, 2);
    Dev dx = to_device(b, x, n), dy = to_device(b, y, n);
    b->ops->add(b, dx, dy, n);
    float *sum = to_host(b, dx, n);
    for (size_t i = 0; i < n; i++) assert_true(sum[i] == x[i] + y[i]);
    free(x), free(y), free(sum), b->ops->release(b, dx), b->ops->release(b, dy);
  }
}

/* Edits of rows 2 to 4 of a batch, in order; those of other rows are passed over. */
static void test_mix(void **state) {
  (void)state;
  static const MixEdit edits[] = {{3, 1, 0, 1},    {1, 0, 0, 1}, {2, 2, 0.25f, -3},
                                  {3, 0, 1, 0.5f}, {5, 1, 0, 1}, {4, 0, 1, 1}};
  enum { COUNT = sizeof edits / sizeof *edits };
  EACH_BACKEND(b, 2, XT_COMPUTE_F32)
  for (int width = 1; width < 5000; width = width * 6 + 1) {
    const size_t n = 3 * (size_t)width;
    float *x = random_floats(n, 1), *values = random_floats(n, 2);
    Dev dx = to_device(b, x, n), dv = to_device(b, values, n);
    const IndexList list = to_indices(b, (const int32_t *)edits, 4 * COUNT);
    const MixArgs all = {.x = dx,
                         .first = 2,
                         .rows = 3,
                         .width = width,
                         .values = dv,
                         .edits = index_at(list, 4),
                         .count = COUNT - 1};
    b->ops->mix(b, &(MixArgs){.x = dx,
                              .first = 2,
                              .rows = 3,
                              .width = width,
                              .values = dv,
                              .edits = list,
                              .count = 1});
    float *copied = to_host(b, dx, n);
    assert_memory_equal(copied, x, (size_t)width * sizeof *x);
    assert_memory_equal(copied + width, values + width, (size_t)width * sizeof *x);
    b->ops->mix(b, &all);
    float *got = to_host(b, dx, n);
    for (int i = 0; i < width; i++) {
      const double first = (double)x[i], third = (double)x[2 * width + i], v0 = (double)values[i];
      check("mix", b, (size_t)i, got[i], 0.25 * first - 3 * (double)values[2 * width + i],
            3 * U * 3.25);
      check("mix in order", b, (size_t)i, got[width + i], (double)values[width + i] + 0.5 * v0,
            3 * U * 1.5);
      check("mix", b, (size_t)i, got[2 * width + i], third + v0, 3 * U * 2);
    }
    free(x), free(values), free(copied), free(got);
    b->ops->release(b, dx), b->ops->release(b, dv), b->ops->release(b, list.at);
  }
}

static void test_copy_rows(void **state) {
  (void)state;
  EACH_BACKEND(b, 2, XT_COMPUTE_F32) {
    enum { W = 30000 };
    static const int32_t to[] = {4, 0, 2}, from[] = {1, 1, 5};
    float *x = random_floats(6 * W, 1), zero[W] = {0};
    Dev dx = to_device(b, x, 6 * W), dy = to_device(b, NULL, 6 * W);
    const IndexList list_to = to_indices(b, to, 3), list_from = to_indices(b, from, 3);
    b->ops->copy_rows(b, dy, list_to, dx, list_from, 3, W);
    float *y = to_host(b, dy, 6 * W);
    for (int r = 0; r < 6; r++) {
      const float *want = zero;
      for (int i = 0; i < 3; i++)
        if (to[i] == r) want = x + from[i] * W;
      assert_memory_equal(y + r * W, want, W * sizeof *y);
    }
    free(y);
    b->ops->copy_rows(b, dy, (IndexList){0}, dx, list_from, 3, W);
    y = to_host(b, dy, 6 * W);
    assert_memory_equal(y, x + W, W * sizeof *y);
    free(y), free(x), b->ops->release(b, dx), b->ops->release(b, dy),
        b->ops->release(b, list_to.at), b->ops->release(b, list_from.at);
  }
}

/* ---- choice ---------------------------------------------------------------------------------- */

enum { CHOICES = 5 };

/* What a row of logits, after the penalty, has to give. */
static void check_choice(const Backend *b, const float *row, int v, const Choice *got, int wanted) {
  int want = 0;
  double second = -(double)INFINITY, mass = 0, moment = 0;
  for (int i = 1; i < v; i++)
    if (row[i] > row[want]) want = i;
  for (int i = 0; i < v; i++) {
    const double t = (double)row[i] - (double)row[want];
    if (i != want) second = fmax(second, (double)row[i]);
    mass += exp(t), moment += exp(t) * t;
  }
  assert_int_equal(got->best, want);
  if (v > 1) assert_true(got->margin == row[want] - (float)second);
  /* Blocks of 1024 in 16 lanes: 64 + 4 additions, exp 2 u and x - best 1 u of |t| <= 100. */
  check("logprob", b, 0, got->logprob, -log(mass), 2e-5);
  check("entropy", b, 0, got->entropy, log(mass) - moment / mass, 2e-5 * (1 + fabs(moment / mass)));
  check("wanted", b, 0, got->wanted_logprob, (double)row[wanted] - (double)row[want] - log(mass),
        4e-5);
}

/* Each id of a row's list is lowered once, whether its prompt has it or it came as the newest, and
 * however often it comes. */
static void choose_case(Backend *b, int v) {
  const size_t n = (size_t)(CHOICES * v);
  /* distinct; the third prompt has none */
  const int32_t ids[] = {0, v - 1, v / 2}, second = v < 3 ? 2 : 3, start[] = {0, 1, second, second};
  const int32_t prompt[] = {2, 0, 1, 0, 2}, list[CHOICES] = {4, 1, 2, 3, 0},
                wanted[CHOICES] = {0, v - 1, v / 2, v / 3, 0};
  const int32_t newest[3][CHOICES] = {{v / 4, 0, v / 3, v / 3, v / 5},
                                      {v / 4, v / 7, 0, v / 3, v / 5},
                                      {v - 1, v / 7, v / 3, v / 2, 0}};
  SeenIds *seen;
  xt_error error;
  ASSERT_OK(b->ops->seen_create(
      b,
      &(SeenSource){
          .ids = ids, .start = start, .prompts = 3, .prompt = prompt, .lists = 5, .capacity = 3},
      &seen, &error));
  float *x = random_floats(n, 11), *row = malloc((size_t)v * sizeof *row);
  for (size_t i = 0; i < n; i++) x[i] *= 12;
  x[4 * v + v / 2] = x[4 * v + v - 1] = 50; /* a tie: the lower id, margin 0 */
  Dev d = to_device(b, x, n), out = to_device(b, NULL, CHOICES * CHOICE_WORDS);
  const IndexList lists = to_indices(b, list, CHOICES), asked = to_indices(b, wanted, CHOICES);
  for (int round = 0; round < 3; round++) {
    Choice got[CHOICES];
    const IndexList latest = to_indices(b, newest[round], CHOICES);
    b->ops->upload(b, d, x, n * sizeof *x);
    b->ops->choose(b, &(ChooseArgs){.rows = CHOICES,
                                    .vocab = v,
                                    .logits = d,
                                    .penalty = 1.3f,
                                    .seen = seen,
                                    .lists = lists,
                                    .newest = latest,
                                    .wanted = asked,
                                    .out = out});
    b->ops->download(b, got, out, sizeof got);
    ASSERT_OK(b->ops->status(b, &error));
    float *after = to_host(b, d, n);
    for (int r = 0; r < CHOICES; r++) {
      bool listed[32003] = {false};
      const int p = prompt[list[r]];
      for (int i = start[p]; i < start[p + 1]; i++) listed[ids[i]] = true;
      for (int k = 0; k <= round; k++) listed[newest[k][r]] = true;
      for (int i = 0; i < v; i++) {
        const float s = x[r * v + i];
        row[i] = !listed[i] ? s : s < 0 ? s * 1.3f : s / 1.3f;
      }
      assert_memory_equal(row, after + r * v, (size_t)v * sizeof *row);
      check_choice(b, row, v, &got[r], wanted[r]);
    }
    free(after), b->ops->release(b, latest.at);
  }
  free(x), free(row), b->ops->release(b, d), b->ops->release(b, out), b->ops->release(b, lists.at),
      b->ops->release(b, asked.at);
  b->ops->seen_release(b, seen);
}

static void test_choose(void **state) {
  (void)state;
  static const int vocabs[] = {1, 2, 15, 16, 17, 33, 1000, 32003};
  EACH_BACKEND(b, 2, XT_COMPUTE_F32) {
    for (size_t s = 0; s < sizeof vocabs / sizeof *vocabs; s++) choose_case(b, vocabs[s]);
    b->ops->seen_release(b, NULL);
  }
}

/* ---- comparing ------------------------------------------------------------------------------- */

enum { COMPARED_ROWS = 5, ASKED = 3, DISTRIBUTIONS = 3 };

/* Distributions as CompareArgs has them: probabilities, then logits minus the largest. */
static float *random_distributions(int v) {
  float *x = random_floats((size_t)(2 * DISTRIBUTIONS * v), 5);
  for (int d = 0; d < DISTRIBUTIONS; d++) {
    float *q = x + 2 * d * v, *s = q + v;
    double mass = 0, most = -1e9;
    for (int i = 0; i < v; i++) most = fmax(most, s[i] *= 9);
    for (int i = 0; i < v; i++) mass += exp((double)(s[i] = (float)((double)s[i] - most)));
    for (int i = 0; i < v; i++) q[i] = (float)(exp((double)s[i]) / mass);
  }
  return x;
}

static void compare_case(Backend *b, int v) {
  const int blocks = compare_blocks(v), width = compare_width(v, ASKED);
  const int32_t ids[COMPARED_ROWS * ASKED] = {0, v - 1, v / 2, v / 3, 0, 0, v - 1};
  const int32_t against[COMPARED_ROWS * 2] = {0, 1, -1, 2, 1, -1, 2, 2, 0, 2};
  float *x = random_floats((size_t)(COMPARED_ROWS * v), 12), *of = random_distributions(v);
  Choice chosen[COMPARED_ROWS] = {{0}};
  for (int i = 0; i < COMPARED_ROWS * v; i++) x[i] *= 12;
  memcpy(x + 4 * v, of + v, (size_t)v * sizeof *x); /* the row is distribution 0 */
  for (int r = 0; r < COMPARED_ROWS; r++)
    for (int i = 0; i < v; i++)
      if (x[r * v + i] > x[r * v + chosen[r].best]) chosen[r].best = i;
  Dev logits = to_device(b, x, (size_t)(COMPARED_ROWS * v)),
      choices = to_device(b, (float *)chosen, COMPARED_ROWS * CHOICE_WORDS),
      with = to_device(b, of, (size_t)(2 * DISTRIBUTIONS * v)),
      out = to_device(b, NULL, (size_t)(COMPARED_ROWS * width));
  const IndexList asked = to_indices(b, ids, COMPARED_ROWS * ASKED),
                  list = to_indices(b, against, COMPARED_ROWS * 2);
  b->ops->compare(b, &(CompareArgs){.rows = COMPARED_ROWS,
                                    .vocab = v,
                                    .asked = ASKED,
                                    .logits = logits,
                                    .chosen = choices,
                                    .ids = asked,
                                    .against = list,
                                    .distributions = with,
                                    .out = out});
  float *got = to_host(b, out, (size_t)(COMPARED_ROWS * width));
  for (int r = 0; r < COMPARED_ROWS; r++) {
    const float *row = x + r * v, *mine = got + r * width, best = row[chosen[r].best];
    for (int k = 0; k < 2; k++) {
      const int d = against[2 * r + k];
      double sum = 0, want = 0;
      for (int i = 0; i < blocks; i++) sum += (double)mine[k * blocks + i];
      for (int i = 0; i < v && d >= 0; i++)
        want += (double)of[2 * d * v + i] *
                ((double)of[(2 * d + 1) * v + i] - ((double)row[i] - (double)best));
      /* terms of at most 24 times a probability: the sum's are at most 24 */
      check("compare", b, (size_t)r, (float)sum, want, 24 * 4e-6);
      if (r == 4 && d == 0) assert_true(sum == 0);
    }
    for (int k = 0; k < ASKED; k++)
      assert_true(mine[2 * blocks + k] == row[ids[r * ASKED + k]] - best);
  }
  free(x), free(of), free(got), b->ops->release(b, logits), b->ops->release(b, choices);
  b->ops->release(b, with), b->ops->release(b, out), b->ops->release(b, asked.at),
      b->ops->release(b, list.at);
}

static void test_compare(void **state) {
  (void)state;
  static const int vocabs[] = {1, 2, 15, 17, 1000, 1024, 1025, 32003};
  EACH_BACKEND(b, 2, XT_COMPUTE_F32) {
    for (size_t s = 0; s < sizeof vocabs / sizeof *vocabs; s++) compare_case(b, vocabs[s]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_embed),  cmocka_unit_test(test_norm),
      cmocka_unit_test(test_rope),   cmocka_unit_test(test_activate),
      cmocka_unit_test(test_scale),  cmocka_unit_test(test_add),
      cmocka_unit_test(test_mix),    cmocka_unit_test(test_copy_rows),
      cmocka_unit_test(test_choose), cmocka_unit_test(test_compare)};
  return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
