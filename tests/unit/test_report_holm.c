/* SPDX-License-Identifier: Apache-2.0 */
/* Holm's adjusted p-values in the report's tables. */
#include <math.h>

#include "made_report.h"

#define LAYERS 6

/* The next cell of a line of CSV into `out`, without its quotes; what follows it, or NULL. */
static const char *csv_cell(const char *at, char *out, size_t size) {
  const bool quoted = *at == '"';
  size_t n = 0;
  for (at += quoted; *at && (quoted ? *at != '"' : *at != ',' && *at != '\n'); at++)
    if (n + 1 < size) out[n++] = *at;
  out[n] = 0;
  at += quoted;
  return *at == ',' ? at + 1 : NULL;
}

/* The columns' numbers of every line into out[lines][count]; NaN: the cell is empty. Returns the
 * number of lines below the heading. */
static size_t csv_columns(const char *text, const char *const *columns, size_t count, double *out) {
  size_t places[8], lines = 0, found = 0;
  char cell[200];
  assert_true(count <= 8);
  for (size_t c = 0; c < count; c++) {
    size_t at = 0;
    for (const char *from = text; from; at++) {
      from = csv_cell(from, cell, sizeof cell);
      if (strcmp(cell, columns[c]) == 0) places[found++] = at;
    }
  }
  assert_int_equal(found, count);
  for (text = strchr(text, '\n'); text && text[1]; text = strchr(text + 1, '\n'), lines++) {
    size_t at = 0;
    for (const char *from = text + 1; from; at++) {
      from = csv_cell(from, cell, sizeof cell);
      for (size_t c = 0; c < count; c++)
        if (places[c] == at) out[lines * count + c] = cell[0] ? strtod(cell, NULL) : (double)NAN;
    }
  }
  return lines;
}

/* Twelve questions. Layer 0 is right for ten, layer 1 for nine and so on, the control "self" never,
 * "shuffled" now and then. */
static void fill_many(Made *m, const char *name) {
  static const char *const sites[] = {"ffn", "ffn+self", "ffn+shuffled"};
  xt_error error;
  made_open(m, name, "xquad");
  for (int i = 0; i < 12; i++) {
    const int64_t q = add_question(m, i, "sw", "gold");
    add_response(m, q, -1, -1, "plain", 2, 2, -1);
    for (int s = 0; s < 3; s++) {
      ASSERT_OK(xt_site_parse(sites[s], &m->site, &error));
      for (int l = 0; l < LAYERS; l++) {
        const bool right = s == 0 ? i < 10 - l : s == 2 && (i + l) % 5 == 0;
        add_response(m, q, l, 0, right ? "gold" : "tin", 1 + 0.1f * (float)l, 1,
                     -1 - 0.1f * (float)l);
      }
    }
  }
  ASSERT_OK(xt_site_parse("ffn", &m->site, &error));
  for (int s = XT_STRATEGY_COARSE; s <= XT_STRATEGY_VOTE; s++)
    ASSERT_OK(xt_store_select(
        m->store,
        &(xt_select_options){.strategy = (xt_strategy)s, .candidates = XT_CANDIDATES_TARGET_FIRST},
        NULL, &error));
}

/* Tables with a p-value in each row have Holm's beside it, over all of them. */
static void test_holm_columns(void **state) {
  (void)state;
  static const char *const controls[] = {
      "Over the untouched model p",     "Over the untouched model Holm",
      "Transplant over this control p", "Transplant over this control Holm",
      "The same, coarse layers p",      "The same, coarse layers Holm"};
  static const char *const strategies[] = {"Gain p", "Gain Holm"};
  double got[8 * 6], p[8];
  Made m;
  xt_error error;
  xt_report *report;
  fill_many(&m, "holm.db");
  report_of(&m, NULL, &report);
  char *text = csv_of(report, "holm", "controls.csv");
  assert_int_equal(csv_columns(text, controls, 6, got), 3); /* ffn, self, shuffled */
  free(text);
  for (int i = 0; i < 3; i++) p[i] = got[6 * i];
  ASSERT_OK(xt_adjust_holm(p, 3, &error));
  for (int i = 0; i < 3; i++) assert_true(fabs(got[6 * i + 1] - p[i]) < 1e-9);
  for (int i = 0; i < 4; i++) p[i] = got[6 * (1 + i % 2) + (i < 2 ? 2 : 4)];
  assert_true(p[0] < 0.01); /* so that something is adjusted */
  ASSERT_OK(xt_adjust_holm(p, 4, &error));
  for (int i = 0; i < 4; i++)
    assert_true(fabs(got[6 * (1 + i % 2) + (i < 2 ? 3 : 5)] - p[i]) < 1e-9);
  assert_true(got[6 * 1 + 3] > 2 * got[6 * 1 + 2]);

  text = csv_of(report, "holm-strategies", "strategies-xquad.csv");
  assert_int_equal(csv_columns(text, strategies, 2, got), 6); /* untouched, five strategies */
  free(text);
  xt_report_free(report);
  for (int i = 0; i < 5; i++) p[i] = got[2 * (i + 1)];
  p[5] = p[0]; /* the coarse choice, of table 3 */
  ASSERT_OK(xt_adjust_holm(p, 6, &error));
  for (int i = 0; i < 5; i++) assert_true(fabs(got[2 * (i + 1) + 1] - p[i]) < 1e-9);
  assert_true(got[3] > 2 * got[2]);

  /* what select --compare prints */
  const xt_report_options alone = {
      .strategies = true,
      .analysis = &(xt_analysis_options){.bootstrap = 20, .permutations = 20, .threads = 1}};
  ASSERT_OK(xt_report_create(m.path, &alone, &report, &error));
  const xt_group *g = xt_analysis_get(xt_report_analysis(report), 0);
  assert_int_equal(g->sites[0].strategy_count, 5);
  for (size_t k = 0; k < 5; k++)
    assert_true(fabs(g->sites[0].strategies[k].vanilla.overall.holm - p[k]) < 1e-9);
  xt_report_free(report);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_holm_columns)};
  return cmocka_run_group_tests_name("holm columns", tests, NULL, NULL);
}
