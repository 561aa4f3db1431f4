/* SPDX-License-Identifier: Apache-2.0 */
/* Real GGUF models on 40 pairs of released prompts, untouched and with a transplant at each site,
 * against transformers in float32 (tools/make_real_goldens.py). The prompts are in XT_TEST_DATA's
 * folder, the models in that of XT_TEST_MODELS. */
#include <math.h>
#include <unistd.h>

#include "base/hash.h"
#include "gguf_cases.h"
#include "released.h"
#include "xtransplant/tasks.h"

#define PER_CASE 5 /* the untouched response and one of each site */
#define FIRST 10   /* questions of a language, among which are those of the cases */
#define NEAR_TIE 1e-3

typedef struct Pairs {
  xt_model *model;
  xt_session *session;
  const json_t *cases;
  xt_dataset *tasks[3];
  int32_t **targets;         /* [cases] */
  xt_taps **taps;            /* [cases] of the source prompts */
  xt_request *requests;      /* [cases, PER_CASE] */
  xt_intervention *writes;   /* as many */
  xt_generation *generation; /* as many */
} Pairs;

static const char *text_of(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}
static int number_of(const json_t *object, const char *key) {
  return (int)json_integer_value(json_object_get(object, key));
}

static const xt_question *question_of(const Pairs *p, const json_t *one) {
  for (size_t t = 0; t < 3; t++)
    for (size_t i = 0; i < xt_dataset_count(p->tasks[t]); i++) {
      const xt_question *q = xt_dataset_get(p->tasks[t], i);
      if (strcmp(q->task, text_of(one, "task")) == 0 &&
          strcmp(q->lang, text_of(one, "lang")) == 0 && (int)q->number == number_of(one, "number"))
        return q;
    }
  fail_msg("%s %s %d is not among the questions", text_of(one, "task"), text_of(one, "lang"),
           number_of(one, "number"));
  return NULL;
}

/* The prompt's ids, whose digest is in the golden. */
static int32_t *ids_of(const Pairs *p, size_t index, const char *text, const char *key,
                       size_t *count) {
  const json_t *one = json_array_get(p->cases, index);
  uint8_t digest[HASH_BYTES];
  char hex[HASH_TEXT_SIZE];
  int32_t *ids;
  xt_error error;
  Hash hash;
  ASSERT_OK(xt_tokenizer_encode(xt_model_tokenizer(p->model), text, strlen(text), true, &ids, count,
                                &error));
  hash_init(&hash);
  hash_raw(&hash, ids, *count * sizeof *ids);
  hash_finish(&hash, digest);
  hash_hex(digest, 8, hex);
  if (strcmp(hex, text_of(one, key)) != 0)
    fail_msg("case %zu: the %s prompt's ids are not transformers'", index, key);
  return ids;
}

static void prepare(Pairs *p, size_t index) {
  const json_t *one = json_array_get(p->cases, index),
               *transplants = json_object_get(one, "transplants");
  const xt_question *q = question_of(p, one);
  xt_request source, target = {0}, *requests = p->requests + index * PER_CASE;
  xt_intervention *writes = p->writes + index * PER_CASE;
  xt_error error;
  int32_t *ids = ids_of(p, index, q->source, "source", &source.count);
  source = (xt_request){.ids = ids, .count = source.count};
  p->targets[index] = ids_of(p, index, q->target, "target", &target.count);
  target.ids = p->targets[index];
  ASSERT_OK(xt_session_capture(p->session, &source, &p->taps[index], &error));
  free(ids);
  assert_int_equal(json_array_size(transplants), PER_CASE - 1);
  requests[0] = target;
  for (size_t i = 1; i < PER_CASE; i++) {
    const json_t *t = json_array_get(transplants, i - 1);
    xt_site site;
    ASSERT_OK(xt_site_parse(text_of(t, "site"), &site, &error));
    writes[i] = (xt_intervention){
        .write = site.write,
        .layer = number_of(t, "target_layer"),
        .position = XT_POSITION_LAST,
        .value = xt_taps_get(p->taps[index], site.read, number_of(t, "source_layer"))};
    requests[i] = target;
    requests[i].interventions = &writes[i];
    requests[i].intervention_count = 1;
  }
}

/* The tokens up to one that is nearly tied, behind which a response may differ. */
static int same_response(size_t index, const char *what, const json_t *want,
                         const xt_generation *got) {
  const json_t *ids = json_object_get(want, "ids"), *margins = json_object_get(want, "margins");
  for (size_t i = 0; i < json_array_size(ids); i++) {
    const double margin = json_number_value(json_array_get(margins, i));
    const int id = (int)json_integer_value(json_array_get(ids, i));
    if (i < got->count && got->ids[i] == id) {
      if (!(fabs((double)got->margins[i] - margin) < CASES_MARGIN))
        fail_msg("case %zu: %s: margin %zu is %g, expected %g", index, what, i,
                 (double)got->margins[i], margin);
      continue;
    }
    if (margin < NEAR_TIE) return 1;
    fail_msg("case %zu: %s: token %zu is %d, expected %d, whose margin is %g", index, what, i,
             i < got->count ? (int)got->ids[i] : -1, id, margin);
  }
  assert_int_equal(got->count, json_array_size(ids));
  return 0;
}

static void open_pairs(Pairs *p, const char *model) {
  static const char *const names[3][2] = {
      {"xnli", "data/xtransplant/XNLI/XNLI_sample"},
      {"xquad", "data/xtransplant/XQuAD/XQuAD_sample"},
      {"globalopinionqa", "data/xtransplant/GlobalOpinionQA/GlobalOpinionQA_sample"}};
  const xt_dataset_options options = {.limit = FIRST};
  const size_t count = json_array_size(p->cases);
  xt_error error;
  for (size_t t = 0; t < 3; t++)
    ASSERT_OK(xt_dataset_open(xt_task_find(names[t][0]), released_path(names[t][1]), &options,
                              &p->tasks[t], &error));
  ASSERT_OK(xt_model_open(model, NULL, &p->model, &error));
  ASSERT_OK(xt_session_create(p->model, &p->session, &error));
  p->targets = calloc(count, sizeof *p->targets);
  p->taps = calloc(count, sizeof *p->taps);
  p->requests = calloc(count * PER_CASE, sizeof *p->requests);
  p->writes = calloc(count * PER_CASE, sizeof *p->writes);
  p->generation = calloc(count * PER_CASE, sizeof *p->generation);
}

static void close_pairs(Pairs *p) {
  const size_t count = json_array_size(p->cases);
  for (size_t i = 0; i < count * PER_CASE; i++) xt_generation_deinit(&p->generation[i]);
  for (size_t i = 0; i < count; i++) {
    xt_taps_free(p->taps[i]);
    free(p->targets[i]);
  }
  for (size_t t = 0; t < 3; t++) xt_dataset_close(p->tasks[t]);
  xt_session_free(p->session);
  xt_model_close(p->model);
  free(p->targets);
  free(p->taps);
  free(p->requests);
  free(p->writes);
  free(p->generation);
}

static void check_pairs(const char *name) {
  char path[1200], golden[600];
  const char *folder = getenv("XT_TEST_MODELS");
  NEEDS_RELEASED("data/xtransplant/XNLI/XNLI_sample/split/en.json");
  snprintf(path, sizeof path, "%s/%s.gguf", folder ? folder : "", name);
  if (!folder || access(path, R_OK) != 0) {
    print_message("# needs XT_TEST_MODELS: a folder with %s.gguf\n", name);
    skip();
  }
  snprintf(golden, sizeof golden, XT_SOURCE_DIR "/tests/golden/real/%s.json", name);
  json_error_t wrong;
  xt_error error;
  json_t *root = json_load_file(golden, 0, &wrong);
  Pairs p = {.cases = json_object_get(root, "cases")};
  const size_t count = json_array_size(p.cases);
  int near_ties = 0;
  assert_int_equal(count, 40);
  open_pairs(&p, path);
  for (size_t i = 0; i < count; i++) prepare(&p, i);
  const xt_generate_options options = {.max_new_tokens = number_of(root, "tokens")};
  ASSERT_OK(
      xt_session_generate(p.session, p.requests, count * PER_CASE, &options, p.generation, &error));
  for (size_t i = 0; i < count * PER_CASE; i++) {
    const json_t *one = json_array_get(p.cases, i / PER_CASE);
    const json_t *want = i % PER_CASE
                             ? json_array_get(json_object_get(one, "transplants"), i % PER_CASE - 1)
                             : json_object_get(one, "vanilla");
    near_ties += same_response(i / PER_CASE, i % PER_CASE ? text_of(want, "site") : "untouched",
                               want, &p.generation[i]);
  }
  if (near_ties) print_message("# %d responses differ behind a near-tie\n", near_ties);
  close_pairs(&p);
  json_decref(root);
}

static void smollm2(void **state) {
  (void)state;
  check_pairs("SmolLM2-135M-Instruct.Q4_1");
}
static void gemma3(void **state) {
  (void)state;
  check_pairs("gemma-3-270m-q4_k_m");
}
static void qwen2_coder(void **state) {
  (void)state;
  check_pairs("qwen2.5-coder-0.5b-instruct-q4_k_m");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(smollm2), cmocka_unit_test(gemma3),
                                     cmocka_unit_test(qwen2_coder)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
