/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts of the released evaluation, the released XQuAD set rebuilt from raw XQuAD, and every
 * published set read. */
#include "released.h"

#include <jansson.h>
#include <unistd.h>

#include "analysis/same_question.h"
#include "base/out_folder.h"
#include "scoring_lines.h"
#include "xtransplant/tasks.h"

/* ---- scoring --------------------------------------------------------------------------------- */

static void xnli_scores(void **state) {
  (void)state;
  NEEDS_RELEASED("goldens/scoring/xnli.jsonl");
  assert_true(check_scores("xnli", released_path("goldens/scoring/xnli.jsonl")) > 1000);
}
static void xquad_scores(void **state) {
  (void)state;
  NEEDS_RELEASED("goldens/scoring/xquad.jsonl");
  assert_true(check_scores("xquad", released_path("goldens/scoring/xquad.jsonl")) > 1000);
}
static void opinion_scores(void **state) {
  (void)state;
  NEEDS_RELEASED("goldens/scoring/globalopinionqa.jsonl");
  assert_true(check_scores("globalopinionqa",
                           released_path("goldens/scoring/globalopinionqa.jsonl")) > 400);
}

/* ---- PilotSets ------------------------------------------------------------------------------- */

/* The lines of two files, one by one. */
static size_t same_lines(const char *one, const char *other) {
  FILE *a = fopen(one, "rb"), *b = fopen(other, "rb");
  char *line_a = NULL, *line_b = NULL;
  size_t capacity_a = 0, capacity_b = 0, lines = 0;
  if (!a || !b) fail_msg("%s is not there", a ? other : one);
  for (;; lines++) {
    const ssize_t got_a = getline(&line_a, &capacity_a, a),
                  got_b = getline(&line_b, &capacity_b, b);
    if (got_a != got_b || (got_a > 0 && strcmp(line_a, line_b) != 0))
      fail_msg("%s, line %zu: %.200s", one, lines + 1, got_a > 0 ? line_a : "is missing");
    if (got_a <= 0) break;
  }
  free(line_a);
  free(line_b);
  fclose(a);
  fclose(b);
  return lines;
}

static void published_xquad(void **state) {
  (void)state;
  char folder[] = "/tmp/xt-pilotset-XXXXXX", one[700], other[700];
  xt_error error;
  xt_pilotset_info info;
  const xt_task *task = xt_task_find("xquad");
  NEEDS_RELEASED("data/templates/xquad.json");
  NEEDS_RELEASED("data/xquad/xquad.en.json");
  NEEDS_RELEASED("data/xtransplant/XQuAD/XQuAD_sample/split/xquad.en.json");
  assert_non_null(mkdtemp(folder));
  const xt_pilotset_options options = {
      .templates = released_path("data/templates/xquad.json"), .seed = 666, .count = 50};
  ASSERT_OK(xt_pilotset_build(task, released_path("data/xquad"), folder, &options, &info, &error));
  assert_int_equal(info.languages, 12);
  assert_int_equal(info.sample, 12 * 50);
  assert_int_equal(info.unseen, 12 * 1140);
  for (size_t i = 0; task->languages[i]; i++)
    for (int part = 0; part < 2; part++)
      for (int answers = 0; answers < 2; answers++) {
        const char *set = part ? "unseen" : "sample", *kind = answers ? "ans" : "split";
        snprintf(one, sizeof one, "%s/XQuAD_%s/%s/xquad.%s.json", folder, set, kind,
                 task->languages[i]);
        snprintf(other, sizeof other, "%s/XQuAD_%s/%s/xquad.%s.json",
                 released_path("data/xtransplant/XQuAD"), set, kind, task->languages[i]);
        assert_int_equal(same_lines(one, other), part ? 1140 : 50);
      }
  out_folder_remove(folder);
}

/* The published sets are read, and every question can be scored. Also with Chinese as the source,
 * and with reasoning. */
static void check_released(const char *name, const char *folder, const char *pivot, bool cot,
                           size_t want) {
  char path[600];
  xt_dataset *d;
  xt_error error;
  snprintf(path, sizeof path, "%s/%s", released_path("data/xtransplant"), folder);
  const xt_dataset_options options = {.pivot = pivot, .cot = cot};
  ASSERT_OK(xt_dataset_open(xt_task_find(name), path, &options, &d, &error));
  assert_int_equal(xt_dataset_count(d), want);
  for (size_t i = 0; i < want; i++) {
    const xt_question *q = xt_dataset_get(d, i);
    if (pivot) assert_string_equal(q->source_lang, pivot);
    if (pivot && strcmp(q->lang, pivot) == 0) assert_string_equal(q->source, q->target);
    const size_t size = strlen(q->source), end = cot ? strlen(xt_language_cot(q->source_lang)) : 0;
    if (cot) assert_string_equal(q->source + size - end, xt_language_cot(q->source_lang));
    if (cot) assert_string_equal(q->id + strlen(q->id) - 4, "-cot");
  }
  xt_dataset_close(d);
}

/* How many questions all cultures together are asked: prompts name a country, and most questions
 * are asked of several. */
static void check_cultures(const char *folder, size_t want) {
  char path[600];
  xt_dataset *d;
  xt_error error;
  snprintf(path, sizeof path, "%s/%s", released_path("data/xtransplant"), folder);
  ASSERT_OK(xt_dataset_open(xt_task_find("globalopinionqa"), path, NULL, &d, &error));
  const size_t count = xt_dataset_count(d);
  Asked *asked = calloc(count, sizeof *asked);
  size_t *first = calloc(count, sizeof *first), questions = 0;
  for (size_t i = 0; i < count; i++) asked[i] = asked_of(xt_dataset_get(d, i));
  ASSERT_OK(asked_join(asked, count, first, &error));
  for (size_t i = 0; i < count; i++) questions += first[i] == i;
  assert_int_equal(questions, want);
  free(asked);
  free(first);
  xt_dataset_close(d);
}

static void released_sets(void **state) {
  (void)state;
  NEEDS_RELEASED("data/xtransplant/XNLI/XNLI_sample/split/en.json");
  check_released("xnli", "XNLI/XNLI_sample", NULL, false, 14 * 50);
  check_released("xnli", "XNLI/XNLI_sample", "zh", false, 14 * 50);
  check_released("xnli", "XNLI/XNLI_sample", "zh", true, 14 * 50);
  check_released("xquad", "XQuAD/XQuAD_sample", "zh", false, 12 * 50);
  check_released("xquad", "XQuAD/XQuAD_unseen", NULL, false, 12 * 1140);
  check_released("globalopinionqa", "GlobalOpinionQA/GlobalOpinionQA_sample", NULL, false, 20 * 50);
  check_released("globalopinionqa", "GlobalOpinionQA/GlobalOpinionQA_unseen", NULL, true, 2928);
  check_cultures("GlobalOpinionQA/GlobalOpinionQA_sample", 429);
  check_cultures("GlobalOpinionQA/GlobalOpinionQA_unseen", 631);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(xnli_scores),    cmocka_unit_test(xquad_scores),
      cmocka_unit_test(opinion_scores), cmocka_unit_test(published_xquad),
      cmocka_unit_test(released_sets),
  };
  return cmocka_run_group_tests_name("tasks against the release", tests, NULL, NULL);
}
