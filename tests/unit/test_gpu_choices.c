/* SPDX-License-Identifier: Apache-2.0 */
/* The host finishes a choice's entropy when the choice is downloaded, and nothing else that lies in
 * the same memory, before or after. XT_TEST_GPU names a device. */
#include "gpu_sides.h"
#include "models.h"

enum { ROWS = 3, VOCAB = 40, FLOATS = ROWS * CHOICE_WORDS };

/* Chooses in new memory for choices, of which those of all rows are wanted. */
static Dev choose(void) {
  float *x = random_floats((size_t)ROWS * VOCAB, 3);
  const Dev logits = to_device(gpu, x, (size_t)ROWS * VOCAB), out = to_device(gpu, NULL, FLOATS);
  gpu->ops->choose(gpu, &(ChooseArgs){.rows = ROWS, .vocab = VOCAB, .logits = logits, .out = out});
  gpu->ops->release(gpu, logits);
  free(x);
  return out;
}

/* What lies in `at` is these numbers. */
static void holds(Dev at, const float *wanted, const char *when) {
  float *got = to_host(gpu, at, FLOATS);
  if (memcmp(got, wanted, FLOATS * sizeof *got) != 0) fail_msg("other bytes come back %s", when);
  free(got);
}

static void test_released(void **state) {
  NEEDS_GPU();
  enum { TRIES = 200 };
  float *known = random_floats(FLOATS, 9);
  int met = 0;
  for (int read = 0; read < 2; read++) {
    Dev others[TRIES];
    const Dev out = choose();
    if (read) free(to_host(gpu, out, FLOATS));
    const void *place = out.buffer;
    gpu->ops->release(gpu, out);
    const GpuChoices *c = &gpu_of(gpu)->choices;
    for (size_t i = 0; i < c->count; i++) assert_true(c->pending[i].out != place);
    for (int i = 0; i < TRIES; i++) {
      others[i] = to_device(gpu, known, FLOATS);
      met += others[i].buffer == place;
      holds(others[i], known, "from memory at a place where a choice was");
    }
    for (int i = 0; i < TRIES; i++) gpu->ops->release(gpu, others[i]);
  }
  print_message("# the place of a choice came again %d times\n", met);
  free(known);
}

static void test_overwritten(void **state) {
  NEEDS_GPU();
  float *known = random_floats(FLOATS, 9);
  for (int read = 0; read < 2; read++) {
    const Dev out = choose();
    if (read) free(to_host(gpu, out, FLOATS));
    gpu->ops->upload(gpu, out, known, FLOATS * sizeof *known);
    holds(out, known, "after an upload");
    gpu->ops->release(gpu, out);
  }
  free(known);
}

/* One row is overwritten: the other rows' choices are still finished; and so they are when they are
 * read once more, or chosen anew in part. */
static void test_rows(void **state) {
  NEEDS_GPU();
  float *known = random_floats(CHOICE_WORDS, 9), *x = random_floats((size_t)ROWS * VOCAB, 3);
  const Dev whole = choose(), out = choose();
  float *wanted = to_host(gpu, whole, FLOATS);
  for (int r = 0; r < ROWS; r++) assert_true(wanted[r * CHOICE_WORDS + 2] > 0); /* an entropy */
  holds(whole, wanted, "when a choice is read again");
  gpu->ops->upload(gpu, dev_at(out, CHOICE_WORDS), known, CHOICE_WORDS * sizeof *known);
  memcpy(wanted + CHOICE_WORDS, known, CHOICE_WORDS * sizeof *known);
  holds(out, wanted, "when one row was overwritten");
  /* the last row's logits, chosen into the second row of choices that nobody read */
  const Dev again = choose(), logits = to_device(gpu, x + (size_t)(ROWS - 1) * VOCAB, VOCAB);
  gpu->ops->choose(
      gpu, &(ChooseArgs){
               .rows = 1, .vocab = VOCAB, .logits = logits, .out = dev_at(again, CHOICE_WORDS)});
  memcpy(wanted + CHOICE_WORDS, wanted + (size_t)(ROWS - 1) * CHOICE_WORDS,
         CHOICE_WORDS * sizeof *known);
  holds(again, wanted, "when a row is chosen anew");
  const Dev used[] = {whole, out, again, logits};
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) gpu->ops->release(gpu, used[i]);
  free(known), free(wanted), free(x);
}

/* Responses and activations in turn in one session, whose memory comes and goes: always the
 * activations of the processor. */
static void test_captures(void **state) {
  NEEDS_GPU();
  static const int32_t ids[] = {1, 5, 9, 33, 20, 8, 14, 2};
  xt_model *models[2];
  xt_session *sessions[2];
  xt_model_info info;
  xt_error error;
  xt_taps *wanted = NULL;
  const xt_request request = {.ids = ids, .count = 6};
  for (int side = 0; side < 2; side++)
    models_open("tiny-llama", "f32",
                &(xt_model_options){.threads = 1, .device = side ? gpu->device : NULL},
                &models[side], &sessions[side]);
  xt_model_get_info(models[0], &info);
  ASSERT_OK(xt_session_capture(sessions[0], &request, &wanted, &error));
  for (int round = 0; round < 60; round++) {
    const xt_request requests[] = {{.ids = ids, .count = 3}, {.ids = ids + 2, .count = 5}};
    xt_generation out[2];
    xt_taps *got;
    ASSERT_OK(xt_session_generate(sessions[1], requests, 2,
                                  &(xt_generate_options){.max_new_tokens = 1 + round % 4}, out,
                                  &error));
    for (int i = 0; i < 2; i++) xt_generation_deinit(&out[i]);
    ASSERT_OK(xt_session_capture(sessions[1], &request, &got, &error));
    for (int tap = 0; tap < XT_TAP_COUNT; tap++)
      for (int layer = 0; layer < info.layers; layer++)
        if (memcmp(xt_taps_get(got, (xt_tap)tap, layer), xt_taps_get(wanted, (xt_tap)tap, layer),
                   (size_t)info.width * sizeof(float)) != 0)
          fail_msg("round %d: tap %d of layer %d differs from the processor's", round, tap, layer);
    xt_taps_free(got);
  }
  xt_taps_free(wanted);
  for (int side = 0; side < 2; side++)
    xt_session_free(sessions[side]), xt_model_close(models[side]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_released),
                                     cmocka_unit_test(test_overwritten),
                                     cmocka_unit_test(test_rows), cmocka_unit_test(test_captures)};
  return cmocka_run_group_tests_name("gpu choices", tests, set_up, tear_down);
}
