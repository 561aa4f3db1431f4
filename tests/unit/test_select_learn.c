/* SPDX-License-Identifier: Apache-2.0 */
/* The two classifiers on simulated data, whose truth is known. */
#include <math.h>

#include "analysis/select_learn.h"
#include "base/rng.h"
#include "support.h"

#define WIDTH 6

typedef struct Data {
  Examples examples;
  size_t rows[20000];
  double truth[20000]; /* the probability that each was drawn with */
} Data;

static double sigmoid(double t) { return 1 / (1 + exp(-t)); }

static double linear(const float *x) {
  return 0.4 + 1.5 * (double)x[0] - 2.0 * (double)x[1] + 0.7 * (double)x[2];
}
/* steps and a bump, which no linear function follows */
static double steps(const float *x) {
  return (x[0] > 0.3f ? 2.0 : -1.0) + (fabsf(x[1]) < 0.4f ? 1.5 : -1.5);
}

/* Features 3 is noise, 4 a constant, 5 of another size than the rest (a copy of 0 times 1000 plus
 * noise). */
static void draw(Data *d, size_t n, uint64_t seed, double (*log_odds)(const float *x)) {
  xt_error error;
  Rng rng = {seed};
  memset(d, 0, sizeof *d);
  d->examples.width = WIDTH;
  for (size_t i = 0; i < n; i++) {
    float x[WIDTH];
    for (int k = 0; k < WIDTH; k++) x[k] = rng_symmetric(&rng);
    x[4] = 3;
    x[5] = 1000 * x[5];
    d->truth[i] = sigmoid(log_odds(x));
    d->rows[i] = i;
    ASSERT_OK(
        examples_add(&d->examples, x, (double)rng_symmetric(&rng) / 2 + 0.5 < d->truth[i], &error));
  }
}

/* Mean absolute distance from the true probabilities, on other data. */
static double distance(const Learner *l, double (*log_odds)(const float *x)) {
  static Data d;
  double sum = 0;
  draw(&d, 4000, 99, log_odds);
  for (size_t i = 0; i < d.examples.count; i++)
    sum += fabs(learner_probability(l, d.examples.features + i * WIDTH) - d.truth[i]);
  examples_free(&d.examples);
  return sum / 4000;
}

static Learner *train(LearnerKind kind, const Data *d, size_t n) {
  xt_error error;
  Learner *l;
  ASSERT_OK(learner_train(kind, &d->examples, d->rows, n, &l, &error));
  return l;
}

static Data data;

static void test_logistic(void **state) {
  (void)state;
  draw(&data, 20000, 5, linear);
  Learner *l = train(LEARNER_LOGISTIC, &data, 20000);
  /* 20,000 examples leave each of 4 weights a standard error of about 0.03, a probability of about
   * 0.01 */
  assert_true(distance(l, linear) < 0.015);
  /* the bias and slopes themselves, from probabilities at points along the axes */
  static const float zero[WIDTH] = {0, 0, 0, 0, 3, 0}, one[WIDTH] = {0, 1, 0, 0, 3, 0};
  const double bias = learner_probability(l, zero), with = learner_probability(l, one);
  assert_true(fabs(log(bias / (1 - bias)) - 0.4) < 0.1);
  assert_true(fabs(log(with / (1 - with)) - (0.4 - 2.0)) < 0.15);
  learner_free(l);
  examples_free(&data.examples);
}

static void test_stumps(void **state) {
  (void)state;
  draw(&data, 20000, 5, steps);
  Learner *stumps = train(LEARNER_STUMPS, &data, 20000),
          *logistic = train(LEARNER_LOGISTIC, &data, 20000);
  const double by_stumps = distance(stumps, steps), by_logistic = distance(logistic, steps);
  assert_true(by_stumps < 0.04);
  assert_true(by_logistic > 0.1); /* the truth is not linear, so the test can tell the two apart */
  learner_free(stumps);
  learner_free(logistic);
  examples_free(&data.examples);
  draw(&data, 4000, 6, linear);
  stumps = train(LEARNER_STUMPS, &data, 4000);
  assert_true(distance(stumps, linear) < 0.06);
  learner_free(stumps);
  examples_free(&data.examples);
}

/* Twice the same bits; and only the rows that are named count. */
static void test_deterministic(void **state) {
  (void)state;
  draw(&data, 3000, 7, linear);
  for (int kind = 0; kind < 2; kind++) {
    Learner *a = train((LearnerKind)kind, &data, 1500), *b = train((LearnerKind)kind, &data, 1500);
    for (size_t i = 0; i < 100; i++) {
      const double x = learner_probability(a, data.examples.features + i * WIDTH),
                   y = learner_probability(b, data.examples.features + i * WIDTH);
      assert_memory_equal(&x, &y, sizeof x);
    }
    learner_free(b);
    for (size_t i = 1500; i < 3000; i++) data.examples.right[i] ^= 1;
    b = train((LearnerKind)kind, &data, 1500);
    const double x = learner_probability(a, data.examples.features),
                 y = learner_probability(b, data.examples.features);
    assert_memory_equal(&x, &y, sizeof x);
    learner_free(a);
    learner_free(b);
  }
  examples_free(&data.examples);
}

/* Separable, tiny, and one-sided data stay finite. */
static void test_extremes(void **state) {
  (void)state;
  xt_error error;
  memset(&data, 0, sizeof data);
  data.examples.width = 2;
  for (size_t i = 0; i < 40; i++) {
    const float x[2] = {(float)i, 1e30f};
    data.rows[i] = i;
    ASSERT_OK(examples_add(&data.examples, x, i >= 20, &error));
  }
  for (int kind = 0; kind < 2; kind++)
    for (size_t n = 2; n <= 40; n += 38) {
      Learner *l = train((LearnerKind)kind, &data, n);
      const double low = learner_probability(l, (const float[]){0, 1e30f}),
                   high = learner_probability(l, (const float[]){39, 1e30f});
      assert_true(low >= 0 && low <= 1 && high >= 0 && high <= 1);
      if (n == 40) assert_true(low < 0.1 && high > 0.9);
      learner_free(l);
    }
  examples_free(&data.examples);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_logistic), cmocka_unit_test(test_stumps),
                                     cmocka_unit_test(test_deterministic),
                                     cmocka_unit_test(test_extremes)};
  return cmocka_run_group_tests_name("select_learn", tests, NULL, NULL);
}
