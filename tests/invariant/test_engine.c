/* SPDX-License-Identifier: Apache-2.0 */
/* Self-checks of the engine that need no reference: on every architecture, bit for bit. */
#include "models.h"

#define PROMPTS 3
static const int32_t prompts[PROMPTS][40] = {
    {1,  75,  107, 104, 35, 102, 100, 115, 108, 119, 100, 111,
     35, 114, 105, 35,  78, 104, 113, 124, 100, 35,  108, 118},
    {1,   80, 109, 108, 35, 112, 110, 120, 120, 35,  122, 100, 35, 78, 104, 113, 124,
     100, 35, 113, 108, 9,  55,  201, 33,  77,  140, 31,  254, 60, 61, 62,  99},
    {40}};
static const size_t lengths[PROMPTS] = {24, 33, 1};

static const struct {
  const char *shape, *dtype;
} kinds[] = {{"tiny-llama", "f32"}, {"tiny-mistral", "bf16"}, {"tiny-qwen2", "f16"}};
#define KINDS (sizeof kinds / sizeof *kinds)

typedef struct Fixture {
  xt_model *model;
  xt_session *session;
  xt_taps *taps[PROMPTS];
  int layers;
} Fixture;

static Fixture fixture_open(size_t kind, const xt_model_options *options) {
  static const xt_model_options one = {.threads = 1}; /* tests that are not about threads leave
                                                         processors to others */
  if (!options) options = &one;
  Fixture f;
  xt_error error;
  xt_model_info info;
  models_open(kinds[kind].shape, kinds[kind].dtype, options, &f.model, &f.session);
  xt_model_get_info(f.model, &info);
  f.layers = info.layers;
  for (int p = 0; p < PROMPTS; p++) {
    const xt_request request = {.ids = prompts[p], .count = lengths[p]};
    ASSERT_OK(xt_session_capture(f.session, &request, &f.taps[p], &error));
  }
  return f;
}

static void fixture_close(Fixture *f) {
  for (int p = 0; p < PROMPTS; p++) xt_taps_free(f->taps[p]);
  xt_session_free(f->session);
  xt_model_close(f->model);
}

static xt_intervention put(const Fixture *f, int source, xt_site site, int i, int j) {
  return (xt_intervention){.write = site.write,
                           .layer = j,
                           .position = XT_POSITION_LAST,
                           .value = xt_taps_get(f->taps[source], site.read, i)};
}

static xt_generation generate_one(const Fixture *f, int prompt, const xt_intervention *ivs,
                                  size_t n, const xt_generate_options *o) {
  xt_error error;
  xt_generation out;
  const xt_request request = {.ids = prompts[prompt],
                              .count = lengths[prompt],
                              .interventions = ivs,
                              .intervention_count = n};
  ASSERT_OK(xt_session_generate(f->session, &request, 1, o, &out, &error));
  return out;
}

/* The same prompt at the same layer and tap: nothing changes. */
static void test_identity(void **state) {
  (void)state;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    for (int p = 0; p < PROMPTS; p++) {
      xt_generation untouched = generate_one(&f, p, NULL, 0, NULL);
      assert_true(untouched.count > 0);
      for (int tap = 0; tap < XT_TAP_COUNT; tap++)
        for (int l = 0; l < f.layers; l++) {
          const xt_intervention iv = put(&f, p, (xt_site){(xt_tap)tap, (xt_tap)tap}, l, l);
          xt_generation same = generate_one(&f, p, &iv, 1, NULL);
          models_same(&untouched, &same);
          xt_generation_deinit(&same);
        }
      xt_generation_deinit(&untouched);
    }
    fixture_close(&f);
  }
}

/* What is written is what the tap then holds; and most transplants do change the response. */
static void test_transplant_takes_effect(void **state) {
  (void)state;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_error error;
    xt_generation untouched = generate_one(&f, 1, NULL, 0, NULL);
    int changed = 0, total = 0;
    for (int tap = 0; tap < XT_TAP_COUNT; tap++)
      for (int j = 0; j < f.layers; j++, total++) {
        const xt_intervention iv = put(&f, 0, (xt_site){(xt_tap)tap, (xt_tap)tap}, 2, j);
        const xt_request request = {
            .ids = prompts[1], .count = lengths[1], .interventions = &iv, .intervention_count = 1};
        xt_taps *taps;
        ASSERT_OK(xt_session_capture(f.session, &request, &taps, &error));
        assert_memory_equal(xt_taps_get(taps, (xt_tap)tap, j), iv.value, 56 * sizeof(float));
        xt_taps_free(taps);
        xt_generation out = generate_one(&f, 1, &iv, 1, NULL);
        changed += out.count != untouched.count ||
                   memcmp(out.ids, untouched.ids, out.count * sizeof *out.ids) != 0;
        xt_generation_deinit(&out);
      }
    assert_true(changed * 2 > total);
    xt_generation_deinit(&untouched);
    fixture_close(&f);
  }
}

/* block at the last layer: the first token is the logit lens of the source at layer i. */
static void test_block_at_last_layer_is_lens(void **state) {
  (void)state;
  const xt_generate_options lens = {.lens = true, .repetition_penalty = 1};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_generation source = generate_one(&f, 0, NULL, 0, &lens);
    for (int i = 0; i < f.layers; i++) {
      const xt_intervention iv = put(&f, 0, (xt_site){XT_TAP_BLOCK, XT_TAP_BLOCK}, i, f.layers - 1);
      xt_generation out = generate_one(&f, 1, &iv, 1, &lens);
      assert_int_equal(out.ids[0], source.lens_ids[i]);
      assert_memory_equal(&out.logprobs[0], &source.lens_logprobs[i], sizeof(float));
      xt_generation_deinit(&out);
    }
    xt_generation_deinit(&source);
    fixture_close(&f);
  }
}

/* Below the target layer every tap is the untouched one; above it, not. */
static void test_taps_below_are_unchanged(void **state) {
  (void)state;
  xt_error error;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_model_info info;
    xt_model_get_info(f.model, &info);
    const size_t bytes = (size_t)info.width * sizeof(float);
    for (int j = 0; j < f.layers; j++) {
      const xt_intervention iv = put(&f, 0, (xt_site){XT_TAP_ATTN, XT_TAP_ATTN}, 3, j);
      const xt_request request = {
          .ids = prompts[1], .count = lengths[1], .interventions = &iv, .intervention_count = 1};
      xt_taps *taps;
      ASSERT_OK(xt_session_capture(f.session, &request, &taps, &error));
      for (int l = 0; l < f.layers; l++)
        for (int tap = 0; tap < XT_TAP_COUNT; tap++) {
          const int same = memcmp(xt_taps_get(taps, (xt_tap)tap, l),
                                  xt_taps_get(f.taps[1], (xt_tap)tap, l), bytes) == 0;
          assert_int_equal(same, l < j);
        }
      xt_taps_free(taps);
    }
    fixture_close(&f);
  }
}

#define MANY 1024
/* Request r of a mixed batch: prompt, site, layers, rule and position vary. */
static void mixed_request(const Fixture *f, size_t r, xt_intervention ivs[2], xt_request *out) {
  const int target = (int)(r % PROMPTS), source = (int)(r / 3 % PROMPTS);
  const xt_site site = {(xt_tap)(r / 2 % 4), (xt_tap)(r / 5 % 4)};
  ivs[0] = put(f, source, site, (int)(r % (size_t)f->layers), (int)(r / 7 % (size_t)f->layers));
  ivs[1] = put(f, (source + 1) % PROMPTS, site, 0, (int)(r / 11 % (size_t)f->layers));
  ivs[1].rule = r % 2 ? XT_RULE_ADD : XT_RULE_BLEND;
  ivs[1].alpha = 0.25f * (float)(r % 5);
  /* an inner prompt token */
  if (r % 13 == 0 && target == 1) ivs[1].position = 4;
  /* a generated token */
  if (r % 17 == 0) ivs[1].position = (int)lengths[target] + (int)(r % 5);
  *out = (xt_request){.ids = prompts[target],
                      .count = lengths[target],
                      .interventions = ivs,
                      .intervention_count = r % 4 == 3 ? 0 : 1 + r % 2};
}

static void run_mixed(const Fixture *f, size_t n, const xt_generate_options *o,
                      xt_generation *out) {
  static xt_intervention ivs[MANY][2];
  static xt_request requests[MANY];
  xt_error error;
  for (size_t r = 0; r < n; r++) mixed_request(f, r, ivs[r], &requests[r]);
  ASSERT_OK(xt_session_generate(f->session, requests, n, o, out, &error));
}

/* Alone, or among 1, 36 or 1023 others: the same bits. */
static void test_rows_do_not_matter(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 37, MANY};
  static xt_generation many[MANY], some[MANY];
  const xt_generate_options o = {.max_new_tokens = 12};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    run_mixed(&f, MANY, &o, many);
    for (size_t k = 0; k < 3; k++) {
      run_mixed(&f, sizes[k], &o, some);
      for (size_t r = 0; r < sizes[k]; r++) {
        models_same(&many[r], &some[r]);
        xt_generation_deinit(&some[r]);
      }
    }
    for (size_t r = 0; r < MANY; r += 61) { /* each wholly alone */
      xt_intervention ivs[2];
      xt_request request;
      xt_error error;
      mixed_request(&f, r, ivs, &request);
      ASSERT_OK(xt_session_generate(f.session, &request, 1, &o, some, &error));
      models_same(&many[r], some);
      xt_generation_deinit(some);
    }
    for (size_t r = 0; r < MANY; r++) xt_generation_deinit(&many[r]);
    fixture_close(&f);
  }
}

/* Options that must not change a bit: threads, and a memory limit that cuts the rows into waves. */
static void check_same_under(size_t kind, const xt_model_options *a, const xt_model_options *b) {
  static xt_generation x[MANY], y[MANY];
  const size_t n = 200;
  const xt_generate_options o = {.max_new_tokens = 12};
  Fixture f = fixture_open(kind, a), g = fixture_open(kind, b);
  run_mixed(&f, n, &o, x);
  run_mixed(&g, n, &o, y);
  for (size_t r = 0; r < n; r++) {
    models_same(&x[r], &y[r]);
    xt_generation_deinit(&x[r]);
    xt_generation_deinit(&y[r]);
  }
  fixture_close(&f);
  fixture_close(&g);
}

static void test_threads_do_not_matter(void **state) {
  (void)state;
  for (size_t kind = 0; kind < KINDS; kind++)
    check_same_under(kind, &(xt_model_options){.threads = 1}, &(xt_model_options){.threads = 2});
}

static void test_memory_does_not_matter(void **state) {
  (void)state;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_model_info info;
    xt_model_get_info(f.model, &info);
    const uint64_t tight = info.weight_bytes + xt_model_session_bytes(f.model, 60, 9, 12);
    fixture_close(&f);
    check_same_under(kind, NULL, &(xt_model_options){.memory_limit = tight});
  }
}

/* Every kernel set stays close to the plain loops. */
static void test_kernels_agree(void **state) {
  (void)state;
  static const char *const names[] = {"avx512", "avx2", "neon", "portable"};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture plain = fixture_open(kind, &(xt_model_options){.cpu_kernels = "reference"});
    xt_model_info info;
    xt_model_get_info(plain.model, &info);
    for (size_t k = 0; k < 4; k++) {
      char path[128];
      xt_model *model;
      xt_error error;
      const xt_model_options o = {.cpu_kernels = names[k]};
      const xt_status status = xt_model_open(
          models_make(kinds[kind].shape, kinds[kind].dtype, path), &o, &model, &error);
      if (status == XT_STATUS_UNSUPPORTED) continue; /* not on this processor */
      assert_int_equal(status, XT_STATUS_OK);
      xt_model_close(model);
      Fixture f = fixture_open(kind, &o);
      for (int p = 0; p < PROMPTS; p++)
        for (int tap = 0; tap < XT_TAP_COUNT; tap++)
          for (int l = 0; l < f.layers; l++)
            for (int c = 0; c < info.width; c++) {
              const float a = xt_taps_get(plain.taps[p], (xt_tap)tap, l)[c],
                          b = xt_taps_get(f.taps[p], (xt_tap)tap, l)[c];
              /* values lie within about 30; sums of 168 float32 products in another order */
              assert_true(a - b < 2e-4f && b - a < 2e-4f);
            }
      fixture_close(&f);
    }
    fixture_close(&plain);
  }
}

/* Blending with 1 replaces, with 0 changes nothing; adding 0 times changes nothing. */
/* A change at a generated token is the same as one at the last token of the prompt with what came
 * before it. Each position is changed in turn; the other requests of the call have changes
 * elsewhere or none. */
static void test_generated_positions(void **state) {
  (void)state;
  enum { NEW = 8, AT = 4 };
  const xt_generate_options o = {
      .max_new_tokens = NEW, .repetition_penalty = 1, .ignore_eos = true};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_intervention ivs[AT];
    xt_request requests[AT + 1];
    xt_generation out[AT + 1];
    xt_error error;
    int changed = 0;
    for (int k = 0; k <= AT; k++) {
      requests[k] = (xt_request){.ids = prompts[1], .count = lengths[1]};
      if (k == AT) break;
      ivs[k] = put(&f, 0, (xt_site){XT_TAP_BLOCK, XT_TAP_BLOCK}, 1, k);
      ivs[k].position = (int)lengths[1] + k;
      requests[k].interventions = &ivs[k];
      requests[k].intervention_count = 1;
    }
    ASSERT_OK(xt_session_generate(f.session, requests, AT + 1, &o, out, &error));
    for (int k = 0; k < AT; k++) {
      int32_t longer[64];
      const size_t count = lengths[1] + (size_t)k + 1;
      memcpy(longer, prompts[1], lengths[1] * sizeof *longer);
      memcpy(longer + lengths[1], out[AT].ids, ((size_t)k + 1) * sizeof *longer);
      /* before it, the untouched run's */
      assert_memory_equal(out[k].ids, out[AT].ids, ((size_t)k + 1) * sizeof *longer);
      ivs[k].position = XT_POSITION_LAST;
      const xt_request request = {
          .ids = longer, .count = count, .interventions = &ivs[k], .intervention_count = 1};
      xt_generation same;
      ASSERT_OK(xt_session_generate(f.session, &request, 1, &o, &same, &error));
      assert_memory_equal(out[k].ids + k + 1, same.ids, (size_t)(NEW - k - 1) * sizeof *longer);
      changed += memcmp(out[k].ids, out[AT].ids, NEW * sizeof *longer) != 0;
      xt_generation_deinit(&same);
    }
    assert_true(changed > 0);
    for (int k = 0; k <= AT; k++) xt_generation_deinit(&out[k]);
    fixture_close(&f);
  }
}

/* Changes inside the prompt: only prompts with the very same ones may share their beginning. */
static void test_inner_changes_are_not_shared(void **state) {
  (void)state;
  enum { VALUES = 24, MANY_INNER = VALUES + 24 };
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_intervention ivs[MANY_INNER];
    xt_request requests[MANY_INNER];
    static xt_generation out[MANY_INNER];
    xt_error error;
    for (int r = 0; r < MANY_INNER; r++) { /* other values at one place, then one value at other
                                              places */
      const bool values = r < VALUES;
      const xt_tap read = r / 2 % 2 ? XT_TAP_FFN : XT_TAP_ATTN;
      ivs[r] = put(&f, values ? r % 2 : 0, (xt_site){values ? read : XT_TAP_FFN, XT_TAP_FFN},
                   values ? r / 4 : 2, values ? 1 : r % 6);
      ivs[r].position = values ? 3 : 3 + 7 * (r / 6 - VALUES / 6);
      requests[r] = (xt_request){.ids = prompts[1],
                                 .count = lengths[1],
                                 .interventions = &ivs[r],
                                 .intervention_count = 1};
    }
    ASSERT_OK(xt_session_generate(f.session, requests, MANY_INNER, NULL, out, &error));
    for (int r = 0; r < MANY_INNER; r++) {
      xt_generation alone;
      ASSERT_OK(xt_session_generate(f.session, &requests[r], 1, NULL, &alone, &error));
      models_same(&alone, &out[r]);
      xt_generation_deinit(&alone);
      xt_generation_deinit(&out[r]);
    }
    fixture_close(&f);
  }
}

/* Prompts that begin alike, one of which goes on from the other's keys and values, and an
 * intervention behind or before the place where they part: each generates what it does alone. */
static void test_shared_beginnings(void **state) {
  (void)state;
  enum { N = 8 };
  xt_error error;
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    int32_t ids[N][40];
    size_t counts[N] = {24, 24, 24, 12, 31, 5, 24, 24};
    xt_request requests[N];
    xt_generation together[N];
    xt_intervention ivs[N] = {
        {.write = XT_TAP_BLOCK, .layer = 1, .value = xt_taps_get(f.taps[1], XT_TAP_BLOCK, 1)}};
    for (int r = 0; r < N; r++) {
      for (size_t i = 0; i < counts[r]; i++)
        ids[r][i] = i < lengths[0] ? prompts[0][i] : (int32_t)(40 + i);
      requests[r] = (xt_request){.ids = ids[r], .count = counts[r]};
      ivs[r] = ivs[0];
    }
    ids[1][20] = 77; /* parts from request 0 near the end */
    ids[2][2] = 9;   /* near the beginning */
    ivs[6].position = 12, ivs[7].position = 3, ivs[0].position = XT_POSITION_LAST;
    for (int r = 0; r < N; r += r ? 1 : 6)
      requests[r].interventions = &ivs[r], requests[r].intervention_count = 1;
    ASSERT_OK(xt_session_generate(f.session, requests, N, NULL, together, &error));
    for (int r = 0; r < N; r++) {
      xt_generation alone;
      ASSERT_OK(xt_session_generate(f.session, &requests[r], 1, NULL, &alone, &error));
      models_same(&alone, &together[r]);
      xt_generation_deinit(&alone), xt_generation_deinit(&together[r]);
    }
    fixture_close(&f);
  }
}

/* A change of all positions is the same change at each of them, and is shared by none but its
 * equals. */
static void test_all_positions(void **state) {
  (void)state;
  enum { NEW = 8, EACH = 40, N = 4 };
  const xt_generate_options o = {.max_new_tokens = NEW, .ignore_eos = true};
  for (size_t kind = 0; kind < KINDS; kind++) {
    Fixture f = fixture_open(kind, NULL);
    xt_intervention all[2], each[2 * EACH];
    xt_generation together[N], listed;
    xt_error error;
    const size_t reach = lengths[1] + NEW - 1;
    assert_true(reach <= EACH);
    for (int k = 0; k < 2; k++) {
      all[k] = put(&f, 0, (xt_site){XT_TAP_FFN, XT_TAP_BLOCK}, 2, 1);
      all[k].position = XT_POSITION_ALL, all[k].rule = XT_RULE_ADD, all[k].alpha = k ? 0.25f : 0.5f;
      for (size_t p = 0; p < reach; p++)
        each[2 * p + (size_t)k] = all[k], each[2 * p + (size_t)k].position = (int)p;
    }
    const xt_request changed = {
        .ids = prompts[1], .count = lengths[1], .interventions = all, .intervention_count = 2};
    xt_request requests[N] = {changed, changed, changed, changed};
    requests[1].intervention_count = 1;
    requests[2].intervention_count = 0;
    ASSERT_OK(xt_session_generate(f.session, requests, N, &o, together, &error));
    const xt_request by_one = {.ids = prompts[1],
                               .count = lengths[1],
                               .interventions = each,
                               .intervention_count = 2 * reach};
    ASSERT_OK(xt_session_generate(f.session, &by_one, 1, &o, &listed, &error));
    models_same(&listed, &together[0]);
    models_same(&listed, &together[3]);
    assert_memory_not_equal(together[0].margins, together[1].margins, NEW * sizeof(float));
    assert_memory_not_equal(together[1].margins, together[2].margins, NEW * sizeof(float));
    xt_taps *by_all, *by_each;
    xt_request captured = by_one;
    captured.intervention_count = 2 * lengths[1]; /* a capture goes no further */
    ASSERT_OK(xt_session_capture(f.session, &changed, &by_all, &error));
    ASSERT_OK(xt_session_capture(f.session, &captured, &by_each, &error));
    xt_model_info info;
    xt_model_get_info(f.model, &info);
    assert_memory_equal(xt_taps_logits(by_all), xt_taps_logits(by_each),
                        (size_t)info.vocab * sizeof(float));
    for (int l = 0; l < info.layers; l++) /* [layers, width] lies as one piece */
      assert_ptr_equal(xt_taps_get(by_all, XT_TAP_FFN, l),
                       xt_taps_get(by_all, XT_TAP_FFN, 0) + l * info.width);
    xt_taps_free(by_all), xt_taps_free(by_each);
    xt_generation_deinit(&listed);
    for (int r = 0; r < N; r++) xt_generation_deinit(&together[r]);
    fixture_close(&f);
  }
}

typedef struct Followed {
  double last;
  int told, stop_after;
} Followed;
static void follow(void *user, double requests) {
  Followed *f = user;
  assert_true(requests > f->last);
  f->last = requests;
  f->told++;
}
static bool enough(void *user) {
  return ((Followed *)user)->told == ((Followed *)user)->stop_after;
}

/* Progress rises to the number of requests, a step at a time, and cancel stops between two. */
static void test_progress(void **state) {
  (void)state;
  enum { N = 3, NEW = 5 };
  Fixture f = fixture_open(0, NULL);
  xt_request requests[N];
  xt_generation out[N];
  xt_error error;
  Followed followed = {.stop_after = -1};
  for (int r = 0; r < N; r++) requests[r] = (xt_request){.ids = prompts[r], .count = lengths[r]};
  xt_generate_options o = {.max_new_tokens = NEW,
                           .ignore_eos = true,
                           .progress = follow,
                           .cancel = enough,
                           .user = &followed};
  ASSERT_OK(xt_session_generate(f.session, requests, N, &o, out, &error));
  assert_int_equal(followed.told, NEW);
  assert_true(followed.last == N);
  for (int r = 0; r < N; r++) xt_generation_deinit(&out[r]);
  followed = (Followed){.stop_after = 2};
  assert_int_equal(xt_session_generate(f.session, requests, N, &o, out, &error),
                   XT_STATUS_CANCELLED);
  assert_int_equal(followed.told, 2);
  assert_null(out[0].ids);
  fixture_close(&f);
}

static void test_rules(void **state) {
  (void)state;
  Fixture f = fixture_open(0, NULL);
  xt_generation untouched = generate_one(&f, 1, NULL, 0, NULL);
  xt_intervention iv = put(&f, 0, (xt_site){XT_TAP_FFN, XT_TAP_FFN}, 2, 1);
  xt_generation replaced = generate_one(&f, 1, &iv, 1, NULL);
  iv.rule = XT_RULE_BLEND;
  iv.alpha = 1;
  xt_generation blended = generate_one(&f, 1, &iv, 1, NULL);
  iv.alpha = 0;
  xt_generation kept = generate_one(&f, 1, &iv, 1, NULL);
  iv.rule = XT_RULE_ADD;
  xt_generation added = generate_one(&f, 1, &iv, 1, NULL);
  models_same(&replaced, &blended);
  models_same(&untouched, &kept);
  models_same(&untouched, &added);
  xt_generation *const all[] = {&untouched, &replaced, &blended, &kept, &added};
  for (size_t i = 0; i < 5; i++) xt_generation_deinit(all[i]);
  fixture_close(&f);
}

static void expect_refused(const Fixture *f, const xt_request *request,
                           const xt_generate_options *o, const char *part) {
  xt_error error;
  xt_generation out;
  assert_int_equal(xt_session_generate(f->session, request, 1, o, &out, &error),
                   XT_STATUS_ARGUMENT);
  assert_null(out.ids);
  if (!strstr(error.message, part)) fail_msg("'%s' does not say '%s'", error.message, part);
}

static void test_bad_requests(void **state) {
  (void)state;
  Fixture f = fixture_open(0, NULL);
  static int32_t far[2100];
  static const int32_t unknown[] = {5, 320};
  xt_intervention iv = put(&f, 0, (xt_site){XT_TAP_FFN, XT_TAP_FFN}, 2, 6);
  xt_request request = {
      .ids = prompts[0], .count = lengths[0], .interventions = &iv, .intervention_count = 1};
  expect_refused(&f, &request, NULL, "layers 0 to 5");
  iv.layer = 5;
  iv.position = 24 + 19;
  expect_refused(&f, &request, NULL, "never reached");
  iv.position = -3;
  expect_refused(&f, &request, NULL, "never reached");
  iv.position = 3;
  iv.value = NULL;
  expect_refused(&f, &request, NULL, "no value");
  request = (xt_request){.ids = far, .count = 2040};
  expect_refused(&f, &request, NULL, "the model has 2048");
  request = (xt_request){.ids = unknown, .count = 2};
  expect_refused(&f, &request, NULL, "ids 0 to 319");
  request.count = 0;
  expect_refused(&f, &request, NULL, "no tokens");
  request.count = 1;
  expect_refused(&f, &request, &(xt_generate_options){.max_new_tokens = -1}, "negative");
  fixture_close(&f);
}

/* Rotary angles that go by the length of the sequence: prompts that begin alike, on both sides of
 * the length, are as if each were alone. */
static void test_angles_by_length(void **state) {
  (void)state;
  enum { REQUESTS = 4, LONGEST = 44 };
  static const struct {
    const char *name;
    size_t counts[REQUESTS];
  } cases[] = {{"llama-dynamic", {20, 30, 36, 36}}, {"phi3-longrope", {20, 30, 40, 44}}};
  int32_t ids[LONGEST];
  for (int i = 0; i < LONGEST; i++) ids[i] = 1 + 37 * i % 290;
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    xt_request requests[REQUESTS] = {{0}};
    xt_generation together[REQUESTS], alone;
    const xt_generate_options o = {.max_new_tokens = 6, .ignore_eos = true};
    xt_model *model;
    xt_session *session;
    xt_error error;
    char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/models/%s", XT_SOURCE_DIR, cases[k].name);
    ASSERT_OK(xt_model_open(path, NULL, &model, &error));
    ASSERT_OK(xt_session_create(model, &session, &error));
    for (int r = 0; r < REQUESTS; r++)
      requests[r] = (xt_request){.ids = ids, .count = cases[k].counts[r]};
    ASSERT_OK(xt_session_generate(session, requests, REQUESTS, &o, together, &error));
    for (int r = 0; r < REQUESTS; r++) {
      ASSERT_OK(xt_session_generate(session, &requests[r], 1, &o, &alone, &error));
      models_same(&alone, &together[r]);
      xt_generation_deinit(&alone);
      xt_generation_deinit(&together[r]);
    }
    if (k == 1) { /* 36 positions: 30 tokens and 7 new ones need them all */
      const xt_generate_options most = {.max_new_tokens = 7}, beyond = {.max_new_tokens = 8};
      ASSERT_OK(xt_session_generate(session, &requests[1], 1, &most, &alone, &error));
      xt_generation_deinit(&alone);
      assert_int_equal(xt_session_generate(session, &requests[1], 1, &beyond, &alone, &error),
                       XT_STATUS_ARGUMENT);
      assert_non_null(strstr(error.message, "at most 7 new tokens"));
    }
    xt_session_free(session);
    xt_model_close(model);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_angles_by_length),
      cmocka_unit_test(test_identity),
      cmocka_unit_test(test_transplant_takes_effect),
      cmocka_unit_test(test_block_at_last_layer_is_lens),
      cmocka_unit_test(test_taps_below_are_unchanged),
      cmocka_unit_test(test_rows_do_not_matter),
      cmocka_unit_test(test_threads_do_not_matter),
      cmocka_unit_test(test_memory_does_not_matter),
      cmocka_unit_test(test_kernels_agree),
      cmocka_unit_test(test_generated_positions),
      cmocka_unit_test(test_inner_changes_are_not_shared),
      cmocka_unit_test(test_shared_beginnings),
      cmocka_unit_test(test_all_positions),
      cmocka_unit_test(test_progress),
      cmocka_unit_test(test_rules),
      cmocka_unit_test(test_bad_requests),
  };
  return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
