/* SPDX-License-Identifier: Apache-2.0 */
/* The fasttext package's answers with lid.176.ftz on released prompts. */
#include "langid_goldens.h"
#include "released.h"

/* Line `number` of a JSON-lines file: its text or its input_text, as jansson has it. */
static json_t *released_text(const char *name, size_t number) {
  char path[1500];
  char *line = NULL;
  size_t size = 0;
  snprintf(path, sizeof path, "%s/%s", released_path("data/xtransplant"), name);
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  for (size_t i = 0; i <= number; i++) assert_true(getline(&line, &size, file) > 0);
  fclose(file);
  json_t *value = json_loads(line, JSON_DECODE_ANY, NULL);
  free(line);
  assert_non_null(value);
  if (!json_is_object(value)) return value;
  json_t *text = json_incref(json_object_get(value, "input_text"));
  json_decref(value);
  return text;
}

static void test_released_prompts(void **state) {
  (void)state;
  xt_error error;
  xt_langid *langid;
  NEEDS_RELEASED("data/langid/lid.176.ftz");
  json_t *cases = goldens("released", 4000), *one;
  size_t i;
  ASSERT_OK(xt_langid_open(released_path("data/langid/lid.176.ftz"), &langid, &error));
  json_array_foreach(cases, i, one) {
    json_t *text = released_text(json_string_value(json_array_get(one, 0)),
                                 (size_t)json_integer_value(json_array_get(one, 1)));
    const json_int_t characters = json_integer_value(json_array_get(one, 2));
    char *copy = strdup(json_string_value(text)), *end = copy;
    for (json_int_t n = 0; *end && (characters < 0 || n < characters); n++) do
        end++;
      while (((unsigned char)*end & 0xC0) == 0x80);
    *end = 0;
    json_t *wanted = json_pack("[O,O]", json_array_get(one, 3), json_array_get(one, 4));
    check_answer(langid, copy, wanted);
    json_decref(wanted);
    json_decref(text);
    free(copy);
  }
  json_decref(cases);
  xt_langid_close(langid);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_released_prompts)};
  return cmocka_run_group_tests_name("langid on released prompts", tests, NULL, NULL);
}
