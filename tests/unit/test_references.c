/* SPDX-License-Identifier: Apache-2.0 */
/* Distributions that first tokens are compared with, of a vocabulary of several blocks: they are the
 * softmax of the logits, and their bits do not depend on the number of threads. */
#include <math.h>

#include "engine/references.h"
#include "model/model.h"
#include "support.h"

enum { VOCAB = 5 * BACKEND_COMPARE_BLOCK + 77, ASKED = 3 };

static const int32_t ids[ASKED] = {0, BACKEND_COMPARE_BLOCK, VOCAB - 1};

static void fill(float *logits, uint32_t state) {
  for (int v = 0; v < VOCAB; v++) {
    state = state * 1664525u + 1013904223u;
    logits[v] = (float)(state >> 8) * 0x1p-21f;
  }
}

/* What two references of so many threads hold, [2][2][VOCAB], and the numbers of the first. */
static void set_two(int threads, float *distributions, float *numbers) {
  xt_error error;
  Backend *be;
  static xt_model model;
  xt_session session = {.model = &model};
  References r = {0};
  float logits[2][VOCAB];
  Dev on_device;
  model.config.vocab = VOCAB;
  ASSERT_OK(backend_create("cpu", &(BackendOptions){.threads = threads}, &be, &error));
  session.backend = be;
  ASSERT_OK(references_create(&r, &session, 2, &error));
  ASSERT_OK(be->ops->alloc(be, sizeof logits[0], &on_device, &error));
  for (int k = 0; k < 2; k++) {
    double most = -1e30, mass = 0;
    fill(logits[k], (uint32_t)k + 1);
    be->ops->upload(be, on_device, logits[k], sizeof logits[k]);
    references_set(&r, k, on_device);
    for (int v = 0; v < VOCAB; v++) most = fmax(most, (double)logits[k][v]);
    for (int v = 0; v < VOCAB; v++) mass += exp((double)logits[k][v] - most);
    r.logprob[k] = (float)-log(mass);
  }
  be->ops->download(be, distributions, r.distributions, 4 * VOCAB * sizeof(float));
  references_numbers(&r, 0, &(RowQuestion){.ids = ids, .count = ASKED, .against = {0, 1}}, numbers);
  be->ops->release(be, on_device);
  references_release(&r);
  be->ops->destroy(be);
}

static void test_softmax(void **state) {
  (void)state;
  static float one[4 * VOCAB], more[4 * VOCAB];
  float numbers[XT_EFFECT_TRACKED + ASKED], again[XT_EFFECT_TRACKED + ASKED], logits[VOCAB];
  double divergence = 0;
  set_two(1, one, numbers);
  set_two(3, more, again);
  assert_memory_equal(one, more, sizeof one);
  assert_memory_equal(numbers, again, sizeof numbers);
  for (int k = 0; k < 2; k++) {
    const float *q = one + 2 * k * VOCAB, *s = q + VOCAB;
    double most = -1e30, mass = 0, sum = 0;
    fill(logits, (uint32_t)k + 1);
    for (int v = 0; v < VOCAB; v++) most = fmax(most, (double)logits[v]);
    for (int v = 0; v < VOCAB; v++) mass += exp((double)logits[v] - most);
    for (int v = 0; v < VOCAB; v++) {
      const double want = exp((double)logits[v] - most) / mass;
      assert_true(s[v] == logits[v] - (float)most);
      assert_true(fabs((double)q[v] - want) <= 1e-6 * want + 1e-40);
      sum += (double)q[v];
    }
    assert_true(fabs(sum - 1) < 1e-6);
  }
  /* of the second reference's distribution from the first's run */
  for (int v = 0; v < VOCAB; v++) {
    const double q = (double)one[2 * VOCAB + v], p = (double)one[v];
    if (q > 0 && p > 0) divergence += q * log(q / p);
  }
  assert_true(numbers[XT_EFFECT_KL_UNTOUCHED] == 0); /* from itself */
  assert_true(fabs((double)numbers[XT_EFFECT_KL_SOURCE] - divergence) < 1e-4 * divergence);
  for (int a = 0; a < ASKED; a++)
    assert_true(fabs(exp((double)numbers[XT_EFFECT_TRACKED + a]) / (double)one[ids[a]] - 1) < 1e-5);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_softmax)};
  return cmocka_run_group_tests_name("references", tests, NULL, NULL);
}
