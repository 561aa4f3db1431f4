/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients, losses of ten steps and the clipped norm against PyTorch
 * (tools/make_train_goldens.py). */
#include <dirent.h>
#include <math.h>

#include "base/json.h"
#include "files/checkpoint.h"
#include "support.h"
#include "train/optimizer.h"
#include "train/pass.h"

#define GOLDENS XT_SOURCE_DIR "/tests/golden/train"

typedef struct Golden {
  ModelConfig config;
  Params params;
  Backend *backend;
  Pass *pass;
  json_t *record;
  float *weights, *gradients;
  int32_t ids[512], positions[512], targets[512], starts[16];
} Golden;

static void open_golden(Golden *g, const char *name, const char *kernels, int threads,
                        bool recompute) {
  xt_error error;
  char path[512];
  Checkpoint *checkpoint;
  const PassOptions options = {.tokens = 256, .length = 128, .recompute = recompute};
  memset(g, 0, sizeof *g);
  snprintf(path, sizeof path, "%s/%s", GOLDENS, name);
  ASSERT_OK(model_config_load(path, &g->config, &error));
  ASSERT_OK(params_create(&g->config, &g->params, &error));
  g->weights = calloc(g->params.total, sizeof *g->weights);
  g->gradients = calloc(g->params.total, sizeof *g->gradients);
  ASSERT_OK(checkpoint_open(path, &checkpoint, &error));
  ASSERT_OK(params_read(&g->params, checkpoint, path, g->weights, &error));
  checkpoint_close(checkpoint);
  ASSERT_OK(backend_create("cpu", &(BackendOptions){.kernels = kernels, .threads = threads},
                           &g->backend, &error));
  ASSERT_OK(pass_create(&g->params, cpu_of(g->backend), &options, &g->pass, &error));
  strcat(path, "/train.json");
  ASSERT_OK(json_parse_file(path, &g->record, &error));
}

static void close_golden(Golden *g) {
  pass_free(g->pass);
  g->backend->ops->destroy(g->backend);
  params_free(&g->params);
  json_decref(g->record);
  free(g->weights);
  free(g->gradients);
}

/* Sequences first, first + 1, .. of the record, around its end. */
static TokenBatch make_batch(Golden *g, size_t first, size_t count) {
  const json_t *all = json_object_get(g->record, "sequences");
  TokenBatch b = {.ids = g->ids,
                  .positions = g->positions,
                  .targets = g->targets,
                  .starts = g->starts,
                  .sequences = (int)count};
  g->starts[0] = 0;
  for (size_t s = 0; s < count; s++) {
    const json_t *one = json_array_get(all, (first + s) % json_array_size(all));
    const json_t *ids = json_object_get(one, "ids"), *counts = json_object_get(one, "counts");
    const size_t n = json_array_size(ids);
    for (size_t t = 0; t < n; t++, b.tokens++) {
      g->ids[b.tokens] = (int32_t)json_integer_value(json_array_get(ids, t));
      g->positions[b.tokens] = (int32_t)t;
      const bool has = t + 1 < n && json_integer_value(json_array_get(counts, t + 1));
      g->targets[b.tokens] = has ? (int32_t)json_integer_value(json_array_get(ids, t + 1)) : -1;
    }
    g->starts[s + 1] = b.tokens;
  }
  return b;
}

static double number(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

/* Every tensor's gradient within 1e-4 of its largest value: float32 sums in another order give some
 * 1e-6. */
static void check_gradients(Golden *g, const char *name, double *worst) {
  xt_error error;
  char path[512], tensor[ARCH_NAME_SIZE];
  Checkpoint *want;
  size_t counted;
  snprintf(path, sizeof path, "%s/%s/gradients.safetensors", GOLDENS, name);
  ASSERT_OK(checkpoint_open_file(path, &want, &error));
  const TokenBatch batch =
      make_batch(g, 0, json_array_size(json_object_get(g->record, "sequences")));
  memset(g->gradients, 0, g->params.total * sizeof *g->gradients);
  const double loss = pass_run(g->pass, g->weights, g->gradients, &batch, &counted);
  assert_true(fabs(loss - number(g->record, "loss_sum")) <= 1e-5 * loss);
  for (size_t i = 0; i < g->params.count; i++) {
    const Param *p = &g->params.list[i];
    arch_tensor_name(&g->config, p->role, p->layer, tensor);
    const Tensor *t = checkpoint_find(want, tensor);
    assert_non_null(t);
    double scale = 0, largest = 0;
    for (size_t k = 0; k < p->count; k++) {
      float value;
      memcpy(&value, (const char *)t->data + 4 * k, 4);
      scale = fmax(scale, fabs((double)value));
      largest = fmax(largest, fabs((double)value - (double)g->gradients[p->at + k]));
    }
    /* a key's bias shifts all scores of a row alike: its gradient is rounding and nothing else */
    if (p->role == ARCH_K_BIAS) scale = fmax(scale, 1.0);
    if (largest > 1e-4 * scale)
      print_error("%s %s: differs by %g of %g\n", name, tensor, largest, scale);
    assert_true(largest <= 1e-4 * scale);
    *worst = fmax(*worst, largest / scale);
  }
  checkpoint_close(want);
}

static void check_steps(Golden *g, const char *name) {
  const json_t *s = json_object_get(g->record, "settings"),
               *losses = json_object_get(g->record, "losses"),
               *norms = json_object_get(g->record, "norms");
  const size_t steps = json_array_size(losses),
               batch_size = (size_t)json_integer_value(json_object_get(g->record, "batch"));
  const OptimizerSettings settings = {.rate = number(s, "lr"),
                                      .beta1 = number(s, "beta1"),
                                      .beta2 = number(s, "beta2"),
                                      .eps = number(s, "eps"),
                                      .weight_decay = number(s, "weight_decay"),
                                      .clip = number(s, "clip"),
                                      .schedule = XT_TRAIN_COSINE,
                                      .warmup = (uint64_t)number(s, "warmup"),
                                      .total = steps};
  OptimizerState state = {.weights = g->weights,
                          .first = calloc(g->params.total, sizeof(float)),
                          .second = calloc(g->params.total, sizeof(float))};
  assert_true(steps >= 10);
  for (size_t i = 0; i < steps; i++) {
    size_t counted;
    const TokenBatch batch = make_batch(g, i * batch_size, batch_size);
    memset(g->gradients, 0, g->params.total * sizeof *g->gradients);
    const double loss =
        pass_run(g->pass, g->weights, g->gradients, &batch, &counted) / (double)counted;
    const double norm =
        optimizer_step(&settings, cpu_of(g->backend), &g->params, &state, g->gradients, counted);
    const double want = json_number_value(json_array_get(losses, i)),
                 want_norm = json_number_value(json_array_get(norms, i));
    if (fabs(loss - want) > 1e-4 * want || fabs(norm - want_norm) > 1e-3 * want_norm)
      fail_msg("%s, step %zu: loss %.8f, expected %.8f; norm %.8f, expected %.8f", name, i, loss,
               want, norm, want_norm);
  }
  free(state.first);
  free(state.second);
}

static void check_all(const char *kernels, int threads, bool recompute) {
  DIR *folder = opendir(GOLDENS);
  int count = 0;
  double worst = 0;
  assert_non_null(folder);
  for (const struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    Golden *g = malloc(sizeof *g);
    open_golden(g, entry->d_name, kernels, threads, recompute);
    check_gradients(g, entry->d_name, &worst);
    check_steps(g, entry->d_name);
    close_golden(g);
    free(g);
    count++;
  }
  closedir(folder);
  assert_true(count >= 10);
  print_message("largest relative difference of a gradient: %.1e\n", worst);
}

static void test_torch(void **state) {
  (void)state;
  check_all(NULL, 2, false);
}

static void test_torch_portable(void **state) {
  (void)state;
  check_all("portable", 1, true);
}

/* Directional derivatives by central differences: the loss's own rounding, some 1e-6 of it, over
 * the step bounds what they can show, so the step is large and the bound 1e-2. */
static void test_finite_differences(void **state) {
  (void)state;
  static const char *const names[] = {"llama3", "mistral-window", "qwen2", "qwen3",
                                      "olmo2",  "olmo3",          "gemma3"};
  for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
    Golden *g = malloc(sizeof *g);
    size_t counted;
    open_golden(g, names[n], NULL, 2, false);
    const TokenBatch batch = make_batch(g, 0, 4);
    pass_run(g->pass, g->weights, g->gradients, &batch, &counted);
    float *at = malloc(g->params.total * sizeof *at);
    for (size_t i = 0; i < g->params.count; i++) {
      const Param *p = &g->params.list[i];
      double squares = 0;
      for (size_t k = 0; k < p->count; k++)
        squares += (double)g->gradients[p->at + k] * (double)g->gradients[p->at + k];
      const double length = sqrt(squares);
      if (p->role == ARCH_K_BIAS || length == 0) continue;
      double sides[2];
      const double step = 2e-2 / (1 + length / 10);
      for (int side = 0; side < 2; side++) {
        memcpy(at, g->weights, g->params.total * sizeof *at);
        for (size_t k = 0; k < p->count; k++)
          at[p->at + k] +=
              (float)((side ? -step : step) * (double)g->gradients[p->at + k] / length);
        sides[side] = pass_run(g->pass, at, NULL, &batch, &counted);
      }
      const double slope = (sides[0] - sides[1]) / (2 * step);
      if (fabs(slope - length) > 1e-2 * length)
        fail_msg("%s, role %d of layer %d: slope %g, gradient %g", names[n], (int)p->role, p->layer,
                 slope, length);
    }
    free(at);
    close_golden(g);
    free(g);
  }
}

/* The same bits for any number of threads, and with layers run again on the way back. */
static void test_same_bits(void **state) {
  (void)state;
  static const struct {
    int threads;
    bool recompute;
  } ways[] = {{1, false}, {2, false}, {3, true}, {5, false}, {1, true}};
  float *first = NULL;
  for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
    Golden *g = malloc(sizeof *g);
    size_t counted;
    open_golden(g, "mistral-window", NULL, ways[w].threads, ways[w].recompute);
    const TokenBatch batch = make_batch(g, 0, 6);
    pass_run(g->pass, g->weights, g->gradients, &batch, &counted);
    const size_t bytes = g->params.total * sizeof *g->gradients;
    if (!first) {
      first = malloc(bytes);
      memcpy(first, g->gradients, bytes);
    }
    assert_memory_equal(first, g->gradients, bytes);
    close_golden(g);
    free(g);
  }
  free(first);
}

/* Random weights: a norm begins as one that changes nothing, whichever way its weight is stored. */
static void test_random_norms(void **state) {
  (void)state;
  static const struct {
    const char *name;
    float norm;
  } models[] = {{"gemma3", 0}, {"olmo3", 1}};
  for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
    Golden *g = malloc(sizeof *g);
    open_golden(g, models[m].name, NULL, 1, false);
    params_randomize(&g->params, 1, g->weights);
    for (size_t i = 0; i < g->params.count; i++)
      if (arch_role_is_norm(g->params.list[i].role))
        assert_float_equal(g->weights[g->params.list[i].at], models[m].norm, 0);
    close_golden(g);
    free(g);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_torch), cmocka_unit_test(test_torch_portable),
      cmocka_unit_test(test_finite_differences), cmocka_unit_test(test_same_bits),
      cmocka_unit_test(test_random_norms)};
  return cmocka_run_group_tests_name("training goldens", tests, NULL, NULL);
}
