/* SPDX-License-Identifier: Apache-2.0 */
/* A host program's locale changes nothing: every writer gives the same bytes under a German and a
 * Turkish one, made here. */
#include <locale.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file_map.h"
#include "base/json.h"
#include "base/number.h"
#include "base/out_folder.h"
#include "base/text_buffer.h"
#include "models.h"

static const char *const locales[] = {"de_DE", "tr_TR"};
static char made[80];

/* localedef without a shell. */
static bool make_locale(const char *name) {
  char output[160];
  snprintf(output, sizeof output, "%s/%s.UTF-8", made, name);
  const pid_t child = fork();
  if (child == 0) {
    if (!freopen("/dev/null", "w", stderr)) _exit(1);
    execlp("localedef", "localedef", "-i", name, "-f", "UTF-8", output, (char *)NULL);
    _exit(127);
  }
  int code;
  waitpid(child, &code, 0);
  return access(output, F_OK) == 0;
}

static bool enter(const char *name) {
  char whole[40];
  snprintf(whole, sizeof whole, "%s.UTF-8", name);
  return setlocale(LC_ALL, whole) != NULL;
}

static int make_locales(void **state) {
  (void)state;
  strcpy(made, "/tmp/xt-locale-XXXXXX");
  assert_non_null(mkdtemp(made));
  for (size_t i = 0; i < 2; i++) {
    if (make_locale(locales[i])) continue;
    print_message("localedef cannot make %s; Debian has it in the packages libc-bin and locales\n",
                  locales[i]);
    return 0;
  }
  setenv("LOCPATH", made, 1);
  return 0;
}

static int remove_locales(void **state) {
  (void)state;
  setlocale(LC_ALL, "C");
  out_folder_remove(made);
  return 0;
}

/* What the test is about is really so: a German and a Turkish program writes commas. */
static void need_locales(void) {
  char text[8];
  for (size_t i = 0; i < 2; i++) {
    if (!enter(locales[i])) skip();
    snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5");
  }
  setlocale(LC_ALL, "C");
}

static void write_text(const char *path, const char *text) {
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  fputs(text, out);
  fclose(out);
}

static void write_opinions(const char *folder) {
  char path[240];
  mkdir(folder, 0777);
  snprintf(path, sizeof path, "%s/global_opinions.csv", folder);
  write_text(path, "question,selections,options\n\"a\",\"defaultdict(<class 'list'>, {'Germany': "
                   "[0.125, 0.875]})\",\"['x', 1.5]\"\n");
  snprintf(path, sizeof path, "%s/de.jsonl", folder);
  write_text(path, "{\"id\": \"0 Germany\", \"question\": \"f\", \"country\": \"D\", \"options\": "
                   "[\"x\", \"1.5\"]}\n");
}

/* A sweep of one question into a store, under a penalty that has a fraction. Its runs are dated, so
 * that its bytes differ. */
static void write_store(const char *model_path, const char *path) {
  xt_error error;
  xt_model *model;
  xt_store *store;
  int64_t number;
  char hash[XT_MODEL_HASH_SIZE];
  const int32_t ids[] = {1, 104, 35};
  const xt_instance instance = {.source = ids, .source_count = 3, .target = ids, .target_count = 2};
  const xt_question question = {.id = "0",
                                .task = "xquad",
                                .lang = "sw",
                                .source_lang = "en",
                                .source = "a",
                                .target = "b",
                                .gold = "e"};
  const xt_store_settings settings = {.max_new_tokens = 3, .repetition_penalty = 1.1};
  ASSERT_OK(xt_model_open(model_path, &(xt_model_options){.threads = 1}, &model, &error));
  ASSERT_OK(xt_model_hash(model, hash, &error));
  ASSERT_OK(xt_store_open(path, XT_STORE_WRITE, &store, &error));
  ASSERT_OK(xt_store_begin(store, model, hash, &settings, "test", &error));
  ASSERT_OK(xt_store_add_question(store, &question, &instance, &number, &error));
  for (int cell = -1; cell < 36; cell++) {
    int32_t tokens[] = {70 + cell % 7, 2};
    float numbers[] = {0.5f, 0.25f};
    const xt_generation g = {
        .count = 2, .ids = tokens, .margins = numbers, .entropies = numbers, .logprobs = numbers};
    const xt_site attn = {.read = XT_TAP_ATTN, .write = XT_TAP_ATTN};
    ASSERT_OK(xt_store_add_response(store, number, cell < 0 ? NULL : &attn, cell < 0 ? 0 : cell / 6,
                                    cell < 0 ? 0 : cell % 6, &g, &error));
  }
  ASSERT_OK(xt_store_commit(store, 0, &error));
  xt_store_close(store);
  ASSERT_OK(xt_store_open(path, XT_STORE_READ, &store, &error));
  xt_store_info info;
  ASSERT_OK(xt_store_get_info(store, &info, &error));
  assert_true(info.repetition_penalty == 1.1);
  /* the setting was written so that it is read as it was */
  ASSERT_OK(xt_store_check(store, model, hash, &settings, &error));
  xt_store_close(store);
  xt_model_close(model);
}

/* Everything that the library writes with fractions in it, into a folder. `store`: one whose report
 * is written. */
static void write_all(const char *folder, const char *store) {
  xt_error error;
  char model[200], path[200], data[200];
  const char *de = "de";
  mkdir(folder, 0777);
  snprintf(model, sizeof model, "%s/model", folder);
  ASSERT_OK(
      xt_model_synthesize(&(xt_synth_options){.shape = "tiny-qwen2", .seed = 3}, model, &error));
  snprintf(data, sizeof data, "%s/data.txt", folder);
  write_text(data, "one two three\nfour five six\n");
  snprintf(path, sizeof path, "%s/trained", folder);
  xt_train_options train;
  xt_train_options_init(&train);
  train.model = model;
  train.data = data;
  train.output = path;
  train.format = XT_TRAIN_LINES;
  train.batch = 1;
  train.steps = 2;
  train.threads = 1;
  train.rate = 1.5e-3;
  ASSERT_OK(xt_train(&train, NULL, &error));
  snprintf(path, sizeof path, "%s/tokenizer", folder);
  const char *files[] = {data};
  ASSERT_OK(xt_bpe_train(files, 1, &(xt_bpe_options){.vocab = 262}, path, NULL, &error));
  snprintf(data, sizeof data, "%s/opinions", folder);
  write_opinions(data);
  snprintf(path, sizeof path, "%s/pilotset", folder);
  ASSERT_OK(xt_pilotset_build(
      xt_task_find("globalopinionqa"), data, path,
      &(xt_pilotset_options){
          .languages = &de, .language_count = 1, .count = 1, .translations = data},
      NULL, &error));
  snprintf(path, sizeof path, "%s/report", folder);
  xt_report *report;
  ASSERT_OK(xt_report_create(store, NULL, &report, &error));
  ASSERT_OK(xt_report_write(report, path, NULL, &error));
  size_t length;
  char *shown;
  ASSERT_OK(xt_report_text(report, NULL, &shown, &length, &error));
  snprintf(path, sizeof path, "%s/report.txt", folder);
  write_text(path, shown);
  xt_free(shown);
  xt_report_free(report);
}

static char first_folder[160], other_folder[160];
static int compared;

static int compare_one(const char *path, const struct stat *info, int flag, struct FTW *ftw) {
  (void)info, (void)ftw;
  xt_error error;
  char other[400];
  FileMap a, b;
  if (flag != FTW_F) return 0;
  snprintf(other, sizeof other, "%s%s", other_folder, path + strlen(first_folder));
  ASSERT_OK(file_read(path, FILE_SMALL, &a, &error));
  ASSERT_OK(file_read(other, FILE_SMALL, &b, &error));
  if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
    fail_msg("%s differs from %s", other, path);
  file_map_close(&a);
  file_map_close(&b);
  compared++;
  return 0;
}

static void test_writers(void **state) {
  (void)state;
  char model[128], store[160];
  need_locales();
  models_make("tiny-llama", "f32", model);
  snprintf(store, sizeof store, "%s/store.db", models_folder);
  write_store(model, store);
  snprintf(first_folder, sizeof first_folder, "%s/C", models_folder);
  write_all(first_folder, store);
  for (size_t i = 0; i < 2; i++) {
    assert_true(enter(locales[i]));
    snprintf(other_folder, sizeof other_folder, "%s/%s", models_folder, locales[i]);
    write_all(other_folder, store);
    snprintf(store, sizeof store, "%s/%s.db", models_folder, locales[i]);
    write_store(model, store);
    char text[8];
    snprintf(text, sizeof text, "%.1f", 1.5); /* the host's locale is as it was */
    assert_string_equal(text, "1,5");
    setlocale(LC_ALL, "C");
    compared = 0;
    assert_int_equal(nftw(first_folder, compare_one, 16, FTW_PHYS), 0);
    assert_true(compared > 30);
    snprintf(store, sizeof store, "%s/store.db", models_folder);
  }
}

static void test_parts(void **state) {
  (void)state;
  need_locales();
  for (size_t i = 0; i < 2; i++) {
    xt_error error;
    char text[64], *end;
    json_t *value;
    double number = 0;
    TextBuffer buffer = {0};
    assert_true(enter(locales[i]));
    number_print(text, sizeof text, "%.9g %.1f %d", 1234567.5, 0.25, 12345678);
    assert_string_equal(text, "1234567.5 0.2 12345678");
    text_buffer_format(&buffer, "%g", 2.5);
    assert_string_equal(buffer.data, "2.5");
    text_buffer_free(&buffer);
    assert_true(number_read("1.75,", &end) == 1.75);
    assert_string_equal(end, ",");
    ASSERT_OK(json_parse("{\"x\": 0.5, \"y\": 1e-3}", 21, "x.json", &value, &error));
    assert_true(json_number_value(json_object_get(value, "x")) == 0.5);
    char *dumped = number_json(value, JSON_COMPACT);
    assert_string_equal(dumped, "{\"x\":0.5,\"y\":0.001}");
    free(dumped);
    assert_int_equal(json_get_real(value, "x", 1.5, 2, &number, "x.json", &error), XT_STATUS_INPUT);
    assert_string_equal(error.message, "is 0.5, expected 1.5 to 2");
    json_decref(value);
    assert_int_equal(file_read("/nowhere", 1, &(FileMap){0}, &error), XT_STATUS_IO);
    assert_string_equal(error.message, "cannot open: No such file or directory");
    setlocale(LC_ALL, "C");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts), cmocka_unit_test(test_writers)};
  return cmocka_run_group_tests_name("locale", tests, make_locales, remove_locales);
}
