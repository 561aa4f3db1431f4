/* SPDX-License-Identifier: Apache-2.0 */
/* The report's tables of stores made for them: blank responses, pivots beside one another, several
 * models, grids that lack cells. */
#include <math.h>

#include "made_report.h"
#include "store/store_metrics.h"

#define LAYERS 6

/* One table as text; freed by the caller with xt_free. */
static char *table_text(xt_report *r, const char *name) {
  xt_error error;
  char *text;
  size_t length;
  ASSERT_OK(xt_report_text(r, &(xt_report_text_options){.table = name, .width = 200}, &text,
                           &length, &error));
  return text;
}

static size_t count_of(const char *text, const char *part) {
  size_t n = 0;
  for (; (text = strstr(text, part)); text += strlen(part)) n++;
  return n;
}

/* ---- blank responses ------------------------------------------------------------------------- */

/* What a store of an earlier version has: a language for every text, blank ones too. */
static void identify_all(Made *m, const char *lang) {
  xt_error error;
  MetricItems items = {0};
  int64_t after = 0;
  ASSERT_OK(metrics_make_tables(m->store, &error));
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
  ASSERT_OK(metrics_next(m->store, XT_METRIC_LANGUAGE, 100, &after, &items, &error));
  assert_true(items.count > 0);
  for (size_t i = 0; i < items.count; i++) {
    ASSERT_OK(metrics_add_language(m->store, &items.items[i], lang, 0.9, &error));
    ASSERT_OK(metrics_add_number(m->store, XT_METRIC_STANDALONE, &items.items[i], 1, &error));
  }
  metrics_free(&items);
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
}

static xt_status check_metrics(void *user, const xt_metrics_row *row, xt_error *error) {
  (void)error;
  if (row->lang) return XT_STATUS_OK;
  ++*(int *)user;
  assert_int_equal(row->identified, 4);
  assert_int_equal(row->consistent, 1); /* the other three are blank */
  return XT_STATUS_OK;
}

/* Empty, spaces, line ends: looked at, and in no language, whatever the store says; and they answer
 * nothing. */
static void test_blank(void **state) {
  (void)state;
  static const char *const texts[] = {"jibu ni gold", "   ", " \n\t ", ""};
  Made m;
  xt_error error;
  xt_report *report;
  int rows = 0;
  made_open(&m, "blank.db", "xquad");
  for (int i = 0; i < 4; i++) {
    const int64_t q = add_question(&m, i, "sw", "gold");
    add_response(&m, q, -1, -1, texts[i], 1, 1, -1);
    add_response(&m, q, 0, 0, texts[i], 1, 1, -1);
  }
  identify_all(&m, "sw");
  ASSERT_OK(xt_store_summarize_metrics(m.store, check_metrics, &rows, &error));
  assert_int_equal(rows, 2); /* vanilla, ffn */
  report_of(&m, NULL, &report);
  const xt_group *g = xt_analysis_get(xt_report_analysis(report), 0);
  const xt_text_summary *summaries[] = {&g->texts, &g->sites[0].texts};
  for (int i = 0; i < 2; i++) {
    assert_int_equal(summaries[i]->consistency.count, 4);
    assert_true(fabs(summaries[i]->consistency.value - 0.25) < 1e-12);
  }
  assert_int_equal(g->vanilla.overall.count, 4);
  assert_true(fabs(g->vanilla.overall.value - 0.25) < 1e-12);
  assert_int_equal(g->sites[0].configurations[0].correct, 1);
  char *text = table_text(report, "table1");
  assert_holds(text, "a blank response is in no", true);
  assert_int_equal(count_of(text, " 25.0 "), 2); /* consistency, untouched and transplanted */
  xt_free(text);
  xt_report_free(report);
}

/* Table 1 has the same row under each measure: in a file a column says which. */
static void test_table1_rows(void **state) {
  (void)state;
  Made m;
  xt_report *report;
  made_open(&m, "table1.db", "xquad");
  for (int i = 0; i < 4; i++)
    add_response(&m, add_question(&m, i, "sw", "gold"), -1, -1, i % 2 ? "gold" : "tin", 1, 1, -1);
  identify_all(&m, "sw");
  report_of(&m, NULL, &report);
  char *csv = csv_of(report, "table1", "table1.csv");
  assert_non_null(csv);
  static const char *const rows[] = {
      "Vanilla (no transplant),perplexity,", "Vanilla (no transplant),\"perplexity, geometric\",",
      "Vanilla (no transplant),\"perplexity, median\",", "Vanilla (no transplant),consistency,"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(count_of(csv, rows[i]), 1);
  assert_int_equal(count_of(csv, "Vanilla (no transplant),"), 4);
  free(csv);
  xt_report_free(report);
}

/* ---- table 8 --------------------------------------------------------------------------------- */

/* Two pivots of three languages each, of which English is not the first in the store's order. */
static void fill_pivots(Made *m, const char *name, bool same) {
  static const char *const languages[] = {"ar", "en", "zh"};
  made_open(m, name, "xquad");
  for (int pivot = 0; pivot < 2; pivot++)
    for (int l = 0; l < 3; l++)
      for (int i = 0; i < 4; i++) {
        const int64_t q =
            add_pivot_question(m, 10 * pivot + i, pivot ? "zh" : "en", languages[l], "gold");
        add_response(m, q, -1, -1, i < 1 + l + (same ? 0 : pivot) ? "gold" : "tin", 1, 1, -1);
        add_response(m, q, 0, 0, i < 2 + pivot ? "gold" : "tin", 1, 1, -1);
      }
}

static void test_table8(void **state) {
  (void)state;
  Made m, other;
  xt_report *report;
  fill_pivots(&m, "pivots.db", true);
  report_of(&m, NULL, &report);
  char *csv = csv_of(report, "pivots", "table8-xquad.csv");
  /* English first, as in the paper, then the store's order; the untouched model once, as its
   * prompts do not depend on the pivot */
  assert_non_null(csv);
  assert_ptr_equal(strstr(csv, "XQuAD,en,en se,ar,ar se,zh,zh se,Avg.,Avg. se\n"), csv);
  assert_int_equal(count_of(csv, "\nvanilla,0.5,"), 1);
  assert_int_equal(count_of(csv, "\nvanilla"), 1);
  const char *english = strstr(csv, "\ncoarse (en),0.5,"),
             *chinese = strstr(csv, "\ncoarse (zh),0.75,");
  assert_true(english && chinese && english < chinese);
  free(csv);
  xt_report_free(report);

  fill_pivots(&m, "differ.db", false);
  report_of(&m, NULL, &report);
  csv = csv_of(report, "differ", "table8-xquad.csv");
  assert_int_equal(count_of(csv, "\nvanilla (en),0.5,") + count_of(csv, "\nvanilla (zh),0.75,"), 2);
  assert_int_equal(count_of(csv, "\nvanilla"), 2);
  free(csv);
  xt_report_free(report);

  /* another model: rows of one name are told apart, in the terminal by the model above them, in the
   * file by a column */
  fill_pivots(&other, "other.db", true);
  xt_error error;
  ASSERT_OK(xt_store_commit(other.store, 0, &error));
  made_close(&other);
  fill_pivots(&m, "pivots.db", true);
  const char *const more[] = {other.path};
  report_of(&m, &(xt_report_options){.more = more, .more_count = 1}, &report);
  csv = csv_of(report, "models", "table8-xquad.csv");
  assert_ptr_equal(strstr(csv, "XQuAD,en,en se,ar,ar se,zh,zh se,Avg.,Avg. se,model\n"), csv);
  assert_int_equal(count_of(csv, "\nvanilla,"), 2);
  assert_int_equal(count_of(csv, ",tiny-llama-bf16\n"), 6);
  free(csv);
  xt_report_free(report);
}

/* ---- models beside one another --------------------------------------------------------------- */

/* A store of `task` in Swahili: one configuration at `site`, which is right where vanilla is and at
 * `more` further questions; closed. */
static void made_model(Made *m, const char *name, const char *task, const char *hash,
                       const char *site, int more) {
  xt_error error;
  made_open_of(m, name, task, hash);
  ASSERT_OK(xt_site_parse(site, &m->site, &error));
  for (int i = 0; i < 4; i++) {
    const int64_t q = add_question(m, i, "sw", "gold");
    add_response(m, q, -1, -1, i < 1 ? "gold" : "tin", 1, 1, -1);
    add_response(m, q, 0, 0, i < 1 + more ? "gold" : "tin", 1, 1, -1);
  }
  ASSERT_OK(xt_store_commit(m->store, 0, &error));
  made_close(m);
}

/* Stores of one model that have different tasks or sites are one row, another model is another, and
 * the same cell twice too; what a row has not is empty, and named. */
static void test_models(void **state) {
  (void)state;
  Made m, second, other, again;
  xt_report *report;
  made_model(&second, "site.db", "xquad", NULL, "attn", 2);
  made_model(&other, "other-model.db", "mkqa", "other", "ffn", 1);
  made_model(&again, "again.db", "xquad", NULL, "attn", 0);
  made_open(&m, "models.db", "xquad");
  for (int i = 0; i < 4; i++) {
    const int64_t q = add_question(&m, i, "sw", "gold");
    add_response(&m, q, -1, -1, i < 1 ? "gold" : "tin", 1, 1, -1);
    add_response(&m, q, 0, 0, i < 2 ? "gold" : "tin", 1, 1, -1);
  }
  const char *const more[] = {second.path, other.path, again.path};
  report_of(&m, &(xt_report_options){.more = more, .more_count = 3}, &report);
  char *csv = csv_of(report, "compared", "models.csv");
  assert_non_null(csv);
  assert_ptr_equal(strstr(csv, "Model,figure,XQuAD untouched,XQuAD untouched se,XQuAD ffn,"
                               "XQuAD ffn se,XQuAD attn,XQuAD attn se,MKQA untouched,"),
                   csv);
  char row[512];
  const struct {
    const char *file, *cells; /* the label's, and how the row of accuracies goes on */
  } rows[] = {{m.path, "0.25,0.25,0.5,0.2886751346,0.75,0.25,,,,\n"},
              {other.path, ",,,,,,0.25,0.25,0.5,0.2886751346\n"},
              {again.path, "0.25,0.25,,,0.25,0.25,,,,\n"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    snprintf(row, sizeof row, "\ntiny-llama-bf16 (%s),accuracy,%s", rows[i].file, rows[i].cells);
    assert_holds(csv, row, true);
  }
  assert_int_equal(count_of(csv, ",accuracy,"), 3);
  snprintf(row, sizeof row, "\ntiny-llama-bf16 (%s),better,,,1,,1,,,,,\n", m.path);
  assert_holds(csv, row, true);
  free(csv);
  csv = csv_of(report, "compared", "models-lacks.csv");
  snprintf(row, sizeof row, "(%s),%s,MKQA,all,no results\n", m.path, m.path);
  assert_holds(csv, row, true);
  snprintf(row, sizeof row, "(%s),%s,XQuAD,attn,1 of 36 configurations\n", m.path, second.path);
  assert_holds(csv, row, true);
  snprintf(row, sizeof row, "(%s),%s,XQuAD,all,no results\n", other.path, other.path);
  assert_holds(csv, row, true);
  snprintf(row, sizeof row, "(%s),%s,XQuAD,ffn,no responses\n", again.path, again.path);
  assert_holds(csv, row, true);
  free(csv);
  char *text = table_text(report, "models");
  snprintf(row, sizeof row, "tiny-llama-bf16 (%s).", m.path);
  assert_holds(text, row, true);
  xt_free(text);
  xt_report_free(report);
}

/* Questions that another model has: by language, else by their number. */
static void test_models_questions(void **state) {
  (void)state;
  Made m, fewer;
  xt_error error;
  xt_report *report;
  for (int lacks_language = 0; lacks_language < 2; lacks_language++) {
    made_open_of(&fewer, "fewer.db", "xquad", "other");
    made_open(&m, "every.db", "xquad");
    for (int i = 0; i < 8; i++) {
      const char *lang = i % 2 ? "sw" : "hi";
      add_response(&m, add_question(&m, i, lang, "gold"), -1, -1, "gold", 1, 1, -1);
      if (lacks_language ? i % 2 : i < 6)
        add_response(&fewer, add_question(&fewer, i, lang, "gold"), -1, -1, "gold", 1, 1, -1);
    }
    ASSERT_OK(xt_store_commit(fewer.store, 0, &error));
    made_close(&fewer);
    const char *const more[] = {fewer.path};
    report_of(&m, &(xt_report_options){.more = more, .more_count = 1}, &report);
    char *csv = csv_of(report, "fewer", "models-lacks.csv");
    assert_holds(csv, ",XQuAD,all,no questions in hi; another model has some\n", lacks_language);
    assert_holds(csv, ",XQuAD,all,6 scored questions; another model has 8\n", !lacks_language);
    assert_int_equal(count_of(csv, "\n"), 2);
    free(csv);
    xt_report_free(report);
  }
}

/* ---- grids that lack cells ------------------------------------------------------------------- */

static void fill_grid(Made *m, const char *name, bool first_is_whole) {
  made_open(m, name, "xquad");
  for (int i = 0; i < 5; i++) {
    const int64_t q = add_question(m, i, "sw", "gold");
    add_response(m, q, -1, -1, "tin", 1, 1, -1);
    for (int layer = 0; layer < (first_is_whole && i < 3 ? LAYERS : LAYERS - 1); layer++) {
      /* TargetFirst */
      add_response(m, q, layer, 0, layer == i ? "gold" : "tin", 1, 1, -1);
      /* SourceLast, but for the first layer */
      if (layer) add_response(m, q, LAYERS - 1, layer, layer == i ? "gold" : "tin", 1, 1, -1);
    }
  }
}

/* A bound is of the questions that have all candidates; without any it is left out, and both are
 * said. */
static void test_bounds_of_incomplete_grids(void **state) {
  (void)state;
  Made m;
  xt_report *report;
  fill_grid(&m, "none.db", false);
  report_of(&m, NULL, &report);
  char *text = table_text(report, "table4");
  assert_holds(text, "SourceLast of XQuAD (ffn) is left out: of 6 candidates there are 4.0 ", true);
  assert_holds(text, "TargetFirst of XQuAD (ffn) is left out: of 6 candidates there are 5.0 ",
               true);
  assert_holds(text, "\nSourceLast  ", false);
  assert_holds(text, "\nTargetFirst  ", false);
  xt_free(text);
  const xt_site_result *site = &xt_analysis_get(xt_report_analysis(report), 0)->sites[0];
  assert_int_equal(site->targets[0].complete, 0);
  assert_true(isnan(site->targets[0].bound.overall.value));
  xt_report_free(report);

  fill_grid(&m, "some.db", true);
  report_of(&m, NULL, &report);
  text = table_text(report, "table4");
  assert_holds(text,
               "TargetFirst of XQuAD (ffn) is of the 3 of 5 questions that have all 6 candidates",
               true);
  assert_holds(text, "\nTargetFirst  ", true);
  assert_holds(text, "by chance", true);
  xt_free(text);
  site = &xt_analysis_get(xt_report_analysis(report), 0)->sites[0];
  assert_int_equal(site->targets[0].complete, 3);
  /* each of the three has one right layer */
  assert_true(fabs(site->targets[0].bound.overall.value - 1) < 1e-12);
  xt_report_free(report);
}

/* ---- controls of fewer pairs of layers ------------------------------------------------------- */

/* Eight questions, half of them right untouched. Transplants of four pairs, right at the first of
 * them alone; controls of some of these, and of one that the transplants lack. */
static void fill_controls(Made *m) {
  xt_error error;
  made_open(m, "controls.db", "xquad");
  for (int i = 0; i < 8; i++) {
    const int64_t q = add_question(m, i, "sw", "gold");
    add_response(m, q, -1, -1, i < 4 ? "gold" : "tin", 1, 1, -1);
    ASSERT_OK(xt_site_parse("attn", &m->site, &error));
    for (int target = 0; target < 4; target++)
      add_response(m, q, 0, target, target == 0 ? "gold" : "tin", 1, 1, -1);
    ASSERT_OK(xt_site_parse("attn+random", &m->site, &error));
    add_response(m, q, 0, 0, "gold", 1, 1, -1); /* as much as the transplant has there */
    ASSERT_OK(xt_site_parse("attn+shuffled", &m->site, &error));
    add_response(m, q, 0, 0, i < 2 ? "gold" : "tin", 1, 1, -1);
    add_response(m, q, 0, 1, i < 6 ? "gold" : "tin", 1, 1, -1);
    add_response(m, q, 5, 5, "gold", 1, 1, -1);
  }
}

/* What is compared is over what both sites have. */
static void test_controls_of_other_pairs(void **state) {
  (void)state;
  static const struct {
    const char *row;   /* its pairs of layers, then the accuracy */
    double there;      /* the transplant's accuracy over the same */
    double gain, over; /* over the untouched model; of the transplant over it */
  } rows[] = {{"\n\"XQuAD, attn\",4,0.25,", NAN, -0.25, NAN},
              {"\n\"XQuAD, attn+random\",1,1,", 1, 0.5, 0},
              {"\n\"XQuAD, attn+shuffled\",2,0.5,", 0.5, 0, 0}};
  Made m;
  xt_report *report;
  fill_controls(&m);
  report_of(&m, NULL, &report);
  char *csv = csv_of(report, "unequal", "controls.csv");
  assert_non_null(csv);
  assert_holds(csv, "Layer pairs,Accuracy,Accuracy se,Transplant there,Transplant there se,", true);
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    const xt_site_result *site = &xt_analysis_get(xt_report_analysis(report), 0)->sites[k];
    assert_holds(csv, rows[k].row, true);
    assert_true(site->mean_gain.overall.gain == rows[k].gain);
    assert_int_equal(site->transplant != NULL, k > 0);
    if (k == 0) continue;
    assert_true(site->transplant_mean.overall.value == rows[k].there);
    assert_true(site->over_control.overall.gain == rows[k].over);
  }
  free(csv);
  csv = csv_of(report, "unequal", "controls-xquad.csv");
  assert_holds(csv, "\nattn where attn+random is,1,0,", true);
  free(csv);
  xt_report_free(report);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_blank),
                                     cmocka_unit_test(test_table1_rows),
                                     cmocka_unit_test(test_table8),
                                     cmocka_unit_test(test_models),
                                     cmocka_unit_test(test_models_questions),
                                     cmocka_unit_test(test_bounds_of_incomplete_grids),
                                     cmocka_unit_test(test_controls_of_other_pairs)};
  return cmocka_run_group_tests_name("report_tables", tests, NULL, NULL);
}
