/* SPDX-License-Identifier: Apache-2.0 */
/* The questions that a job's controls take: others of the same languages, the same ones whatever
 * the limit, the shard and what is missing. */
#include <sys/stat.h>

#include "models.h"

#define QUESTIONS 5 /* in Turkish; two more in Swahili */
#define LAYERS 6

static const char *const sources[QUESTIONS] = {"The capital of France is", "Two and two make",
                                               "Three and three", "A cow says", "Snow is"};
static const char *const targets[QUESTIONS] = {"Fransa", "Iki", "Uc arti uc", "Inek", "Kar"};

static xt_model *model;
static xt_session *session;
static char text[4000];

static int set_up(void **state) {
  (void)state;
  char *at = text;
  for (int i = 0; i < QUESTIONS; i++)
    at += sprintf(at,
                  "{\"id\": \"%d\", \"lang\": \"tr\", \"source_lang\": \"en\", \"source\": \"%s\", "
                  "\"target\": \"%s\", \"gold\": \"e\", \"task\": \"xquad\"}\n",
                  i, sources[i], targets[i]);
  for (int i = 0; i < 2; i++)
    at +=
        sprintf(at,
                "{\"id\": \"s%d\", \"lang\": \"sw\", \"source_lang\": \"en\", \"source\": \"%s\", "
                "\"target\": \"Swali %d\", \"gold\": \"e\", \"task\": \"xquad\"}\n",
                i, sources[i], i);
  models_open("tiny-llama", "f32", &(xt_model_options){.threads = 1}, &model, &session);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  xt_session_free(session);
  xt_model_close(model);
  return 0;
}

/* The responses of one store, by question. */
typedef struct Kept {
  char *text[QUESTIONS + 2][4][LAYERS][LAYERS]; /* by site: ffn, shuffled, mean, random */
  int count;
} Kept;

static const char *const names[4] = {"ffn", "ffn+shuffled", "ffn+mean", "ffn+random"};

static xt_status keep(void *user, const xt_store_row *r, xt_error *error) {
  (void)error;
  Kept *kept = user;
  const int q =
      r->question->id[0] == 's' ? QUESTIONS + r->question->id[1] - '0' : r->question->id[0] - '0';
  if (r->source_layer < 0) return XT_STATUS_OK;
  int s = 0;
  while (s < 4 && strcmp(names[s], r->site) != 0) s++;
  assert_true(s < 4);
  char **out = &kept->text[q][s][r->source_layer][r->target_layer];
  assert_null(*out);
  *out = malloc(r->text_length + 100);
  sprintf(*out, "%a %a %.*s", r->margin, r->mean_logprob, (int)r->text_length, r->text);
  kept->count++;
  return XT_STATUS_OK;
}

static void kept_free(Kept *kept) {
  char **all = &kept->text[0][0][0][0];
  for (size_t k = 0; k < sizeof kept->text / sizeof *all; k++) free(all[k]);
  free(kept);
}

/* Runs a job, and reads the whole store. */
static Kept *run(const char *name, size_t limit, int shard, int shards, bool with_ffn) {
  static const xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN};
  static const xt_site controls[] = {{.control = XT_CONTROL_SHUFFLED},
                                     {.control = XT_CONTROL_MEAN},
                                     {.control = XT_CONTROL_RANDOM}};
  xt_site mixed[3];
  xt_error error;
  xt_store *store;
  xt_dataset *dataset;
  xt_job *job;
  char path[200];
  const xt_dataset_options d = {.limit = limit, .others = true};
  for (int k = 0; k < 3; k++) {
    mixed[k] = site;
    mixed[k].control = controls[k].control;
  }
  xt_job_options o = {.max_new_tokens = 3, .shard = shard, .shards = shards};
  if (with_ffn) {
    o.sites = &site, o.site_count = 1, o.controls = controls, o.control_count = 3;
  } else {
    o.sites = mixed, o.site_count = 3;
  }
  snprintf(path, sizeof path, "%s/%s", models_folder, name);
  ASSERT_OK(xt_dataset_parse_pairs(text, strlen(text), "pairs", &d, &dataset, &error));
  ASSERT_OK(xt_store_open(path, XT_STORE_WRITE, &store, &error));
  ASSERT_OK(xt_job_create(model, dataset, &o, &job, &error));
  ASSERT_OK(xt_job_run(job, session, store, NULL, &error));
  Kept *kept = calloc(1, sizeof *kept);
  ASSERT_OK(xt_store_read(store, keep, kept, &error));
  xt_coverage *coverage;
  ASSERT_OK(xt_coverage_create(store, &coverage, &error));
  assert_true(xt_coverage_is_whole(coverage));
  xt_coverage_free(coverage);
  xt_job_free(job);
  xt_store_close(store);
  xt_dataset_close(dataset);
  return kept;
}

/* The response to a target with a value at layer j, as `keep` writes it. */
static void response(const char *target, const float *value, int j, char *out) {
  xt_error error;
  xt_generation g;
  int32_t *ids;
  char *decoded;
  size_t count, length;
  const xt_tokenizer *t = xt_model_tokenizer(model);
  ASSERT_OK(xt_tokenizer_encode(t, target, strlen(target), true, &ids, &count, &error));
  const xt_intervention iv = {
      .write = XT_TAP_FFN, .layer = j, .position = XT_POSITION_LAST, .value = value};
  const xt_request request = {
      .ids = ids, .count = count, .interventions = &iv, .intervention_count = 1};
  ASSERT_OK(xt_session_generate(session, &request, 1, &(xt_generate_options){.max_new_tokens = 3},
                                &g, &error));
  ASSERT_OK(xt_tokenizer_decode(t, g.ids, g.count, true, &decoded, &length, &error));
  double margin = g.margins[0], sum = 0;
  for (size_t k = 0; k < g.count; k++) {
    margin = g.margins[k] < margin ? g.margins[k] : margin;
    sum += g.logprobs[k];
  }
  sprintf(out, "%a %a %.*s", margin, sum / (double)g.count, (int)length, decoded);
  free(decoded);
  free(ids);
  xt_generation_deinit(&g);
}

static xt_taps *taps_of(int source) {
  xt_error error;
  xt_taps *taps;
  xt_request request = {0};
  int32_t *ids;
  ASSERT_OK(xt_tokenizer_encode(xt_model_tokenizer(model), sources[source], strlen(sources[source]),
                                true, &ids, &request.count, &error));
  request.ids = ids;
  ASSERT_OK(xt_session_capture(session, &request, &taps, &error));
  free(ids);
  return taps;
}

/* shuffled: one other question at all layers; mean: of the four others. */
static void test_values(void **state) {
  (void)state;
  xt_model_info info;
  xt_model_get_info(model, &info);
  const size_t width = (size_t)info.width;
  Kept *kept = run("values.db", 0, 0, 0, true);
  assert_int_equal(kept->count, (QUESTIONS + 2) * 4 * LAYERS * LAYERS);
  xt_taps *taps[QUESTIONS];
  float *mean = calloc(width, sizeof *mean);
  char out[1000];
  for (int q = 0; q < QUESTIONS; q++) taps[q] = taps_of(q);
  for (int q = 0; q < QUESTIONS; q++) {
    int other = -1;
    for (int o = 0; o < QUESTIONS; o++) {
      response(targets[q], xt_taps_get(taps[o], XT_TAP_FFN, 5), 0, out);
      if (strcmp(out, kept->text[q][1][5][0]) == 0) other = o;
    }
    assert_true(other >= 0 && other != q);
    for (int i = 0; i < LAYERS; i++) {
      response(targets[q], xt_taps_get(taps[other], XT_TAP_FFN, i), 2, out);
      assert_string_equal(out, kept->text[q][1][i][2]);
      for (size_t c = 0; c < width; c++) {
        double sum = 0; /* the order of these sums is another: float64 makes up for it */
        for (int o = 0; o < QUESTIONS; o++)
          sum += o == q ? 0 : (double)xt_taps_get(taps[o], XT_TAP_FFN, i)[c];
        mean[c] = (float)(sum / (QUESTIONS - 1));
      }
      response(targets[q], mean, 1, out);
      assert_string_equal(out, kept->text[q][2][i][1]);
    }
    assert_string_not_equal(kept->text[q][0][5][0], kept->text[q][3][5][0]);
  }
  /* The two in Swahili have source prompts of the Turkish ones: the mean of the others is the other. */
  for (int i = 0; i < LAYERS; i++) {
    response("Swali 0", xt_taps_get(taps[1], XT_TAP_FFN, i), 1, out);
    assert_string_equal(out, kept->text[QUESTIONS][2][i][1]);
    response("Swali 1", xt_taps_get(taps[0], XT_TAP_FFN, i), 1, out);
    assert_string_equal(out, kept->text[QUESTIONS + 1][2][i][1]);
  }
  for (int q = 0; q < QUESTIONS; q++) xt_taps_free(taps[q]);
  free(mean);
  kept_free(kept);
}

/* How far a run says that it is. */
typedef struct Told {
  uint64_t prompts;
  int calls, reading;
  bool responses;
} Told;

static void listen(void *user, const xt_job_progress *now) {
  Told *told = user;
  told->calls++;
  assert_int_equal(now->prompts_in_all, 5); /* the two in Swahili have those of the Turkish ones */
  assert_true(now->prompts >= told->prompts && now->prompts <= told->prompts + 1);
  told->prompts = now->prompts;
  assert_int_equal(now->responses_in_all, 7 * (1 + LAYERS * LAYERS));
  if (now->prompts == now->prompts_in_all) {
    told->responses = told->responses || now->responses > 0;
    return;
  }
  told->reading++;
  assert_true(now->share == 0 && now->responses == 0 && !told->responses);
}

/* The prompts of a mean are counted, each once, before the first response. */
static void test_progress(void **state) {
  (void)state;
  static const xt_site site = {.read = XT_TAP_FFN, .write = XT_TAP_FFN, .control = XT_CONTROL_MEAN};
  xt_error error;
  xt_store *store;
  xt_dataset *dataset;
  xt_job *job;
  char path[200];
  Told told = {0};
  const xt_dataset_options d = {.others = true};
  const xt_job_options o = {
      .sites = &site, .site_count = 1, .max_new_tokens = 3, .progress = listen, .user = &told};
  snprintf(path, sizeof path, "%s/progress.db", models_folder);
  remove(path);
  ASSERT_OK(xt_dataset_parse_pairs(text, strlen(text), "pairs", &d, &dataset, &error));
  ASSERT_OK(xt_store_open(path, XT_STORE_WRITE, &store, &error));
  ASSERT_OK(xt_job_create(model, dataset, &o, &job, &error));
  ASSERT_OK(xt_job_run(job, session, store, NULL, &error));
  assert_int_equal(told.reading, 5); /* with none, and with one to four */
  assert_true(told.calls > told.reading && told.responses);
  xt_job_free(job);
  xt_store_close(store);
  xt_dataset_close(dataset);
}

static void same(const Kept *a, const Kept *b, int sites_from) {
  int compared = 0;
  for (int q = 0; q < QUESTIONS + 2; q++)
    for (int s = sites_from; s < 4; s++)
      for (int c = 0; c < LAYERS * LAYERS; c++) {
        const char *x = (&a->text[q][s][0][0])[c], *y = (&b->text[q][s][0][0])[c];
        if (y) assert_string_equal(x, y);
        compared += y != NULL;
      }
  assert_true(compared > 0);
}

/* Whatever is run: the same values. */
static void test_limit_and_shards(void **state) {
  (void)state;
  Kept *whole = run("whole.db", 0, 0, 0, true), *first = run("first.db", 1, 0, 0, true),
       *shard = run("shard.db", 0, 2, 2, true), *alone = run("alone.db", 2, 0, 0, false);
  assert_int_equal(first->count, 2 * 4 * LAYERS * LAYERS);
  assert_int_equal(alone->count, 4 * 3 * LAYERS * LAYERS);
  same(whole, first, 0);
  same(whole, shard, 0);
  same(whole, alone, 1);
  kept_free(alone);
  alone = run("alone.db", 0, 0, 0, true); /* the rest */
  same(whole, alone, 0);
  assert_int_equal(alone->count, whole->count);
  kept_free(alone);
  kept_free(shard);
  kept_free(first);
  kept_free(whole);
}

static void refused(const char *pairs, xt_site control, const char *message) {
  xt_error error;
  xt_dataset *dataset;
  xt_job *job;
  ASSERT_OK(xt_dataset_parse_pairs(pairs, strlen(pairs), "pairs", NULL, &dataset, &error));
  const xt_job_options o = {.controls = &control, .control_count = 1, .name = "pairs"};
  assert_true(xt_job_create(model, dataset, &o, &job, &error) != XT_STATUS_OK);
  assert_null(job);
  if (!strstr(error.message, message)) fail_msg("%s", error.message);
  xt_dataset_close(dataset);
}

static void test_refused(void **state) {
  (void)state;
  static const char alone[] =
      "{\"id\": \"a\", \"lang\": \"tr\", \"source\": \"One\", \"target\": \"Bir\"}\n"
      "{\"id\": \"b\", \"lang\": \"tr\", \"source\": \"One\", \"target\": \"Biri\"}\n";
  refused(alone, (xt_site){.control = XT_CONTROL_SHUFFLED}, "there is one only in tr");
  refused(alone, (xt_site){.control = XT_CONTROL_MEAN}, "there is one only in tr");
  refused(alone, (xt_site){.control = XT_CONTROL_SELF, .seed = 1}, "draws nothing");
  refused(alone, (xt_site){.control = (xt_control)9}, "no such control");
  refused(alone, (xt_site){.control = XT_CONTROL_NONE}, "names a site twice");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_progress),
                                     cmocka_unit_test(test_limit_and_shards),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests_name("job_controls", tests, set_up, tear_down);
}
