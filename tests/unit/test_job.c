/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: what is stored does not depend on where a job was stopped or how it was split, and nothing
 * is done twice. */
#include <sys/stat.h>

#include "job_fixture.h"

/* ---- what a store holds, as text ------------------------------------------------------------- */

typedef struct Text {
  char *data;
  size_t size;
} Text;

static xt_status add_row(void *user, const xt_store_row *r, xt_error *error) {
  (void)error;
  Text *t = user;
  t->data = realloc(t->data, t->size + 400 + r->text_length);
  assert_non_null(t->data);
  t->size += (size_t)sprintf(t->data + t->size, "%s %s %s %d %d %d %a %a %a %a ", r->id,
                             r->question->id, r->site, r->source_layer, r->target_layer, r->correct,
                             r->margin, r->entropy, r->mean_entropy, r->mean_logprob);
  t->size += (size_t)sprintf(t->data + t->size, "%.*s\n", (int)r->text_length, r->text);
  return XT_STATUS_OK;
}

static char *export_of(const char *name) {
  xt_error error;
  xt_store *store;
  Text text = {calloc(1, 1), 0};
  ASSERT_OK(xt_store_open(path_of(name), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_read(store, add_row, &text, &error));
  ASSERT_OK(xt_store_read_sources(store, add_row, &text, &error));
  xt_store_close(store);
  return text.data;
}

static void same_export(const char *a, const char *b) {
  char *x = export_of(a), *y = export_of(b);
  assert_string_equal(x, y);
  free(x);
  free(y);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void whole(void) {
  struct stat info;
  int patience = ALL;
  const xt_job_options o = options_for(&patience);
  xt_job_result result;
  if (stat(path_of("whole.db"), &info) == 0) return;
  assert_int_equal(run_once("whole.db", &o, &result), XT_STATUS_OK);
  assert_int_equal(result.responses, 4 * (1 + 2 * 6 * 6));
  assert_int_equal(result.questions, 4);
  assert_true(result.begun && result.stats.flops > 0);
}

/* Stopped again and again, each time a little later, until it is done. */
static void test_stopped(void **state) {
  (void)state;
  xt_job_result result;
  uint64_t sum = 0;
  int stops = 0;
  whole();
  for (int n = 3;; n += 4, stops++) {
    int patience = n;
    const xt_job_options o = options_for(&patience);
    const xt_status status = run_once("stopped.db", &o, &result);
    sum += result.responses;
    if (status == XT_STATUS_OK) break;
    assert_int_equal(status, XT_STATUS_CANCELLED);
    assert_true(result.begun);
  }
  assert_true(stops >= 3);
  assert_true(sum >= 4 * (1 + 2 * 6 * 6));
  same_export("whole.db", "stopped.db");
}

static void test_shards(void **state) {
  (void)state;
  xt_error error;
  char one[160], two[160];
  whole();
  for (int k = 1; k <= 2; k++) {
    int patience = ALL;
    xt_job_options o = options_for(&patience);
    o.shard = k;
    o.shards = 2;
    assert_int_equal(run_once(k == 1 ? "one.db" : "two.db", &o, NULL), XT_STATUS_OK);
  }
  strcpy(one, path_of("one.db"));
  strcpy(two, path_of("two.db"));
  ASSERT_OK(xt_store_merge(path_of("merged.db"), (const char *const[]){one, two}, 2, &error));
  same_export("whole.db", "merged.db");
}

/* The ids of the questions in the order in which they are run, one letter each. */
static void order_of(const char *text, char *out) {
  xt_dataset *of = parse(text, NULL);
  xt_error error;
  xt_job *job;
  ASSERT_OK(xt_job_create(model, of, &(xt_job_options){0}, &job, &error));
  for (size_t i = 0; xt_job_question(job, i); i++) *out++ = xt_job_question(job, i)->id[0];
  *out = 0;
  xt_job_free(job);
  xt_dataset_close(of);
}
#define ASKED(id, lang, source, target)                                                            \
  "{\"id\": \"" id "\", \"lang\": \"" lang "\", \"source\": \"" source "\", \"target\": \"" target \
  "\"}\n"

/* A question's languages follow one another where they have a prompt in common; questions of a
 * language stay together where their prompts begin with the same text, which is more. */
static void test_order(void **state) {
  (void)state;
  char ids[8];
  order_of(ASKED("a", "sw", "The first question", "Swali la kwanza")
               ASKED("b", "sw", "Another one", "Jingine")
                   ASKED("c", "tr", "The first question", "Ilk soru")
                       ASKED("d", "tr", "Another one", "Baska biri"),
           ids);
  assert_string_equal(ids, "acbd");
  order_of(ASKED("a", "sw", "Swali la kwanza", "The first question")
               ASKED("b", "sw", "Jingine", "Another one")
                   ASKED("c", "tr", "Ilk soru", "The first question")
                       ASKED("d", "tr", "Baska biri", "Another one"),
           ids);
  assert_string_equal(ids, "acbd");
#define TEXT "A long text about the rivers of the north and of the south. "
  order_of(
      ASKED("a", "sw", TEXT "Where?", "Maandishi marefu kuhusu mito ya kaskazini. Wapi?")
          ASKED("b", "sw", TEXT "When?", "Maandishi marefu kuhusu mito ya kaskazini. Lini?")
              ASKED("c", "tr", TEXT "Where?", "Kuzeyin nehirleri uzerine uzun metin. Nerede?")
                  ASKED("d", "tr", TEXT "When?", "Kuzeyin nehirleri uzerine uzun metin. Ne zaman?"),
      ids);
  assert_string_equal(ids, "abcd");
}

#define DEALT 41

/* Marks the questions of a shard in `seen`, counts them, and sums their prompts' tokens. */
static uint64_t take_shard(const xt_dataset *of, int k, int n, bool seen[DEALT], size_t *count,
                           uint64_t *longest) {
  xt_error error;
  xt_job *job;
  uint64_t sum = 0;
  const xt_question *before = NULL;
  ASSERT_OK(xt_job_create(model, of, &(xt_job_options){.shard = k, .shards = n}, &job, &error));
  *count = 0;
  for (const xt_question *q; (q = xt_job_question(job, *count)); before = q, ++*count) {
    const xt_instance *in = xt_job_instance(job, *count);
    const uint64_t tokens = in->source_count + in->target_count;
    assert_true(!before || before->number < q->number); /* in the dataset's order */
    assert_false(seen[q->number]);
    seen[q->number] = true;
    if (tokens > *longest) *longest = tokens;
    sum += tokens;
  }
  xt_job_free(job);
  return sum;
}

/* Every question is in one shard, and shards differ by one question and the longest one's tokens at
 * most; lengths come in an order in which dealing by turns would give one shard all long ones. */
static void test_deal(void **state) {
  (void)state;
  static const int shards[] = {1, 2, 3, 4, 7, DEALT, DEALT + 9};
  char text[DEALT * 400], *end = text;
  for (int i = 0; i < DEALT; i++)
    end += sprintf(end, "{\"id\": \"q%d\", \"source\": \"S\", \"target\": \"%.*s\"}\n", i,
                   i % 4 ? 3 + i % 5 : 90 - i,
                   "A long prompt of which more or less is taken, so that questions differ very "
                   "much in how long they are");
  xt_dataset *of = parse(text, NULL);
  assert_int_equal(xt_dataset_count(of), DEALT);
  for (size_t s = 0; s < sizeof shards / sizeof *shards; s++) {
    bool seen[DEALT] = {false};
    uint64_t least = UINT64_MAX, most = 0, longest = 0;
    size_t fewest = SIZE_MAX, largest = 0, all = 0;
    for (int k = 1; k <= shards[s]; k++) {
      size_t count;
      const uint64_t sum = take_shard(of, k, shards[s], seen, &count, &longest);
      least = sum < least ? sum : least;
      most = sum > most ? sum : most;
      fewest = count < fewest ? count : fewest;
      largest = count > largest ? count : largest;
      all += count;
    }
    assert_int_equal(all, DEALT);
    assert_true(largest - fewest <= 1 && most - least <= longest);
    if (shards[s] <= 4) assert_true(most < 2 * least);
  }
  xt_dataset_close(of);
}

/* A store with everything in it is not written to, and a second run of one job plans anew. */
static void test_nothing_to_do(void **state) {
  (void)state;
  xt_error error;
  xt_store_info before, after;
  xt_job_info info;
  xt_job_result result;
  int patience = ALL;
  whole();
  const xt_job_options o = options_for(&patience);
  xt_store *store = open_store("whole.db");
  xt_job *job = create(&o);
  ASSERT_OK(xt_store_get_info(store, &before, &error));
  ASSERT_OK(xt_job_plan(job, store, hash, &error));
  xt_job_get_info(job, &info);
  assert_true(!info.has_work && info.to_run == 0 && info.sources_to_run == 0);
  assert_int_equal(info.present, info.responses);
  for (int twice = 0; twice < 2; twice++) {
    ASSERT_OK(xt_job_run(job, session, store, &result, &error));
    assert_true(!result.begun && result.responses == 0 && result.questions == 0);
  }
  ASSERT_OK(xt_store_get_info(store, &after, &error));
  assert_int_equal(before.runs, after.runs);
  xt_job_free(job);
  xt_store_close(store);
  store = open_store("again.db");
  job = create(&o);
  ASSERT_OK(xt_job_run(job, session, store, &result, &error));
  assert_int_equal(result.responses, info.responses);
  ASSERT_OK(xt_job_run(job, session, store, &result, &error));
  assert_int_equal(result.responses, 0);
  xt_job_free(job);
  xt_store_close(store);
  same_export("whole.db", "again.db");
}

/* What is missing before there is a store, for a model whose weights were not read, and with the
 * defaults. */
static void test_plan(void **state) {
  (void)state;
  xt_error error;
  xt_model *inspected;
  xt_model_info about;
  xt_job_info info;
  xt_job_estimate estimate;
  xt_job *job;
  xt_model_get_info(model, &about);
  ASSERT_OK(xt_model_inspect(about.path, NULL, &inspected, &error));
  ASSERT_OK(xt_job_create(inspected, dataset, NULL, &job, &error));
  xt_model_close(inspected);
  ASSERT_OK(xt_job_plan(job, NULL, NULL, &error));
  xt_job_get_info(job, &info);
  assert_true(info.has_work && info.present == 0);
  assert_int_equal(info.site_count, 1);
  assert_int_equal(info.sites[0].read, XT_TAP_FFN); /* the paper's for xquad */
  assert_int_equal(info.max_new_tokens, XT_JOB_NEW_TOKENS);
  assert_int_equal(info.responses, 4 * 37);
  assert_int_equal(info.to_run, 4 * 37);
  assert_int_equal(info.sources_to_run, 4);
  ASSERT_OK(xt_job_get_estimate(job, model, 0, &estimate, &error));
  assert_int_equal(estimate.plan.responses, info.to_run);
  assert_true(estimate.prompt_flops > 0 && estimate.least_flops > 0 &&
              estimate.least_flops < estimate.most_flops);
  assert_string_equal(xt_job_question(job, 3)->id, "d");
  assert_null(xt_job_question(job, 4));
  assert_true(xt_job_instance(job, 0)->target_count > 0);
  xt_job_free(job);
}

typedef struct Told {
  char text[600];
  double last;
  int calls;
} Told;

static void hear(void *user, const char *message) {
  Told *t = user;
  snprintf(t->text + strlen(t->text), sizeof t->text - strlen(t->text), "%s|", message);
}

static void follow(void *user, const xt_job_progress *p) {
  Told *t = user;
  assert_true(p->share >= 0 && p->share <= 1 && p->responses <= (double)p->responses_in_all);
  assert_true(p->responses >= t->last);
  t->last = p->responses;
  t->calls++;
}

/* A question is left out with a word, and repeated lines are told; progress ends with
 * everything. */
static void test_told(void **state) {
  (void)state;
  static char text[sizeof pairs + 10000];
  xt_error error;
  xt_job *job;
  xt_job_info info;
  Told told = {0};
  const char *const last = strstr(pairs, "{\"id\": \"d\"");
  int used =
      sprintf(text, "%s%s{\"id\": \"long\", \"lang\": \"tr\", \"source\": \"x\", \"target\": \"",
              pairs, last);
  memset(text + used, 'y', 5000);
  strcpy(text + used + 5000, "\"}\n");
  xt_dataset *with = parse(text, NULL);
  xt_job_options o = {
      .max_new_tokens = 2, .name = "pairs", .warn = hear, .progress = follow, .user = &told};
  assert_int_equal(xt_job_create(model, with, &o, &job, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "; skip_long leaves such questions out"));
  assert_string_equal(error.file, "pairs");
  told.text[0] = 0;
  o.skip_long = true;
  ASSERT_OK(xt_job_create(model, with, &o, &job, &error));
  xt_job_get_info(job, &info);
  assert_int_equal(info.questions, 4);
  assert_int_equal(info.too_long, 1);
  assert_non_null(
      strstr(told.text, "pairs: line 5 is the same question as line 4; it is run once|"));
  assert_non_null(strstr(told.text, "left out: pairs: tr, line 6, target prompt: is too long"));
  assert_non_null(strstr(told.text, "1 of 5 questions are too long"));
  xt_store *store = open_store("told.db");
  ASSERT_OK(xt_job_run(job, session, store, NULL, &error));
  assert_true(told.calls > 2 && told.last == (double)info.responses);
  xt_store_close(store);
  xt_job_free(job);
  xt_dataset_close(with);
}

/* Edited questions are refused, or take the place of the old ones. */
static void test_edited(void **state) {
  (void)state;
  xt_error error;
  xt_job *job;
  xt_job_info info;
  char text[sizeof pairs];
  int patience = ALL;
  strcpy(text, pairs);
  memcpy(strstr(text, "Mji mkuu"), "Jim", 3);
  xt_dataset *edited = parse(text, NULL);
  xt_job_options o = options_for(&patience);
  assert_int_equal(run_once("edited.db", &o, NULL), XT_STATUS_OK);
  xt_store *store = open_store("edited.db");
  ASSERT_OK(xt_job_create(model, edited, &o, &job, &error));
  assert_int_equal(xt_job_plan(job, store, hash, &error), XT_STATUS_INPUT);
  assert_non_null(strstr(error.message, "has question a (xquad sw) with another prompt or gold "
                                        "answer than the questions. replace drops"));
  xt_job_free(job);
  o.replace = true;
  ASSERT_OK(xt_job_create(model, edited, &o, &job, &error));
  ASSERT_OK(xt_job_plan(job, store, hash, &error));
  xt_job_get_info(job, &info);
  assert_int_equal(info.edited, 1);
  assert_int_equal(info.questions_to_run, 1);
  ASSERT_OK(xt_job_run(job, session, store, NULL, &error));
  xt_job_free(job);
  xt_store_info about;
  ASSERT_OK(xt_store_get_info(store, &about, &error));
  assert_int_equal(about.questions, 4);
  assert_int_equal(about.vanilla, 4);
  xt_store_close(store);
  xt_dataset_close(edited);
}

static void refused(xt_job_options o, const char *field) {
  xt_error error;
  xt_job *job;
  assert_int_equal(xt_job_create(model, dataset, &o, &job, &error), XT_STATUS_ARGUMENT);
  assert_null(job);
  assert_string_equal(error.field, field);
}

static void test_bad_options(void **state) {
  (void)state;
  static const int outside[] = {0, 6}, twice[] = {1, 1};
  const xt_site same[] = {sites[0], sites[0]};
  refused((xt_job_options){.source_layers = outside, .source_layer_count = 2}, "source_layers");
  refused((xt_job_options){.target_layers = twice, .target_layer_count = 2}, "target_layers");
  refused((xt_job_options){.target_layers = twice}, "target_layers");
  refused((xt_job_options){.shard = 3, .shards = 2}, "shard");
  refused((xt_job_options){.shards = 2}, "shard");
  refused((xt_job_options){.deal = 7}, "deal");
  refused((xt_job_options){.sites = same, .site_count = 2}, "sites");
  refused((xt_job_options){.sites = same, .site_count = 33}, "sites");
  refused((xt_job_options){.max_new_tokens = -1}, "max_new_tokens");
  refused((xt_job_options){.samples = -1}, "samples");
  refused((xt_job_options){.samples = 1, .sampling = {.temperature = -1}}, "sampling");
  refused((xt_job_options){.samples = 1, .sampling = {.top_p = 1.5}}, "sampling");
}

/* A store of other settings, and a session of another model, are refused before anything is
 * written. */
static void test_others(void **state) {
  (void)state;
  xt_error error;
  xt_model *other;
  xt_session *others;
  int patience = ALL;
  whole();
  xt_job_options o = options_for(&patience);
  o.max_new_tokens = 5;
  assert_int_equal(run_once("whole.db", &o, NULL), XT_STATUS_ARGUMENT);
  models_open("tiny-qwen2", "f32", &(xt_model_options){.threads = 1}, &other, &others);
  xt_job *job = create(&o);
  xt_store *store = open_store("new.db");
  assert_int_equal(xt_job_run(job, others, store, NULL, &error), XT_STATUS_ARGUMENT);
  xt_job_free(job);
  xt_store_close(store);
  struct stat info;
  assert_int_not_equal(stat(path_of("new.db"), &info), 0);
  xt_session_free(others);
  xt_model_close(other);
}

static xt_status add_question(void *user, const xt_store_row *rows, size_t count, xt_error *error) {
  for (size_t k = 0; k < count; k++) {
    assert_ptr_equal(rows[k].question, rows->question);
    if (k && strcmp(rows[k].site, rows[k - 1].site) == 0)
      assert_ptr_equal(rows[k].site, rows[k - 1].site);
    for (size_t i = 0; i < k; i++)
      if (rows[i].text_number == rows[k].text_number) assert_ptr_equal(rows[i].text, rows[k].text);
    assert_int_equal(add_row(user, &rows[k], error), XT_STATUS_OK);
  }
  return XT_STATUS_OK;
}

typedef struct Wanted {
  const xt_store_read_options *only;
  Text text;
  size_t rows;
} Wanted;

static xt_status add_wanted(void *user, const xt_store_row *r, xt_error *error) {
  Wanted *w = user;
  const bool wanted = (!w->only->site || strcmp(w->only->site, r->site) == 0) &&
                      (!w->only->lang || strcmp(w->only->lang, r->question->lang) == 0) &&
                      (!w->only->task || strcmp(w->only->task, r->question->task) == 0);
  w->rows += wanted;
  return wanted ? add_row(&w->text, r, error) : XT_STATUS_OK;
}

/* By questions, and what is not wanted left out, the rows are those of the whole reading. */
static void test_read_questions(void **state) {
  (void)state;
  static const xt_store_read_options cases[] = {{0},
                                                {.lang = "sw"},
                                                {.task = "xquad", .lang = "tr", .site = "block"},
                                                {.site = "attn"},
                                                {.site = "vanilla", .lang = "tr"},
                                                {.site = "source"},
                                                {.site = "source", .lang = "sw"},
                                                {.task = "xnli"},
                                                {.lang = "xx"},
                                                {.site = "ffn"}};
  static const size_t rows[] = {292, 146, 72, 144, 2, 4, 2, 0, 0, 0};
  xt_error error;
  xt_store *store;
  whole();
  ASSERT_OK(xt_store_open(path_of("whole.db"), XT_STORE_READ, &store, &error));
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    Wanted wanted = {&cases[k], {calloc(1, 1), 0}, 0};
    Text text = {calloc(1, 1), 0};
    const bool sources = cases[k].site && strcmp(cases[k].site, "source") == 0;
    ASSERT_OK(
        (sources ? xt_store_read_sources : xt_store_read)(store, add_wanted, &wanted, &error));
    ASSERT_OK(xt_store_read_questions(store, &cases[k], add_question, &text, &error));
    assert_string_equal(text.data, wanted.text.data);
    assert_int_equal(wanted.rows, rows[k]);
    free(text.data);
    free(wanted.text.data);
  }
  const struct {
    xt_store_read_options known;
    int more;
  } later = {{.size = sizeof later}, 1};
  assert_int_equal(xt_store_read_questions(store, &later.known, add_question, NULL, &error),
                   XT_STATUS_UNSUPPORTED);
  xt_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stopped),       cmocka_unit_test(test_shards),
      cmocka_unit_test(test_order),         cmocka_unit_test(test_deal),
      cmocka_unit_test(test_nothing_to_do), cmocka_unit_test(test_plan),
      cmocka_unit_test(test_told),          cmocka_unit_test(test_edited),
      cmocka_unit_test(test_bad_options),   cmocka_unit_test(test_others),
      cmocka_unit_test(test_read_questions)};
  return cmocka_run_group_tests_name("job", tests, set_up, tear_down);
}
