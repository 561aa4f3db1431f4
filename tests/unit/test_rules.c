/* SPDX-License-Identifier: Apache-2.0 */
/* The ids that generation settings ban: in ascending order and each once, because a search and a
 * count rely on it. */
#include "engine/rules.h"
#include "support.h"

static ModelConfig config_of(const int32_t *never, int never_count, const int32_t *first,
                             int first_count) {
  ModelConfig c = {.vocab = 12, .rules = {.any = true, .forced_bos = -1}};
  GenerationRules *r = &c.rules;
  r->suppressed = (IdRange){0, never_count};
  r->begin_suppressed = (IdRange){never_count, first_count};
  memcpy(r->ids, never, (size_t)never_count * sizeof *never);
  memcpy(r->ids + never_count, first, (size_t)first_count * sizeof *first);
  r->id_count = never_count + first_count;
  return c;
}

/* Repeated pairs of tokens, EOS and both lists at once, some ids from several of them. */
static void lists_are_merged(void **state) {
  static const int32_t never[] = {3, 9}, first[] = {2, 4, 9}, prompt[] = {5, 8, 5, 1, 5},
                       wanted[] = {1, 2, 3, 4, 7, 8, 9}, later[] = {1, 3, 7, 8, 9};
  ModelConfig c = config_of(never, 2, first, 3);
  int32_t banned[32];
  RowText text = {.prompt = prompt, .prompt_count = 5, .max_new = 9};
  (void)state;
  c.rules.no_repeat_ngram = 2; /* 8 and 1 follow a 5 */
  c.rules.min_length = 9;
  c.eos_count = 2;
  c.eos[0] = 9;
  c.eos[1] = 7;
  Allowed a = rules_apply(&c, &text, banned);
  assert_int_equal(a.forced, 0);
  assert_int_equal(a.banned_count, 7);
  assert_memory_equal(banned, wanted, sizeof wanted);
  text.generated = prompt + 4; /* another 5: the list for the first token does not count */
  text.generated_count = 1;
  text.prompt_count = 4;
  a = rules_apply(&c, &text, banned);
  assert_int_equal(a.banned_count, 5);
  assert_memory_equal(banned, later, sizeof later);
}

/* A forced token that is banned as the first is not among those that are left. */
static void forced_tokens_are_searched(void **state) {
  static const int32_t never[] = {3, 9}, first[] = {2, 4}, prompt[] = {5}, ends[] = {4, 6, 2, 8};
  ModelConfig c = config_of(never, 2, first, 2);
  int32_t banned[32];
  const RowText text = {.prompt = prompt, .prompt_count = 1, .max_new = 1};
  (void)state;
  c.rules.forced_eos = (IdRange){c.rules.id_count, 4};
  memcpy(c.rules.ids + c.rules.id_count, ends, sizeof ends);
  const Allowed a = rules_apply(&c, &text, banned);
  assert_int_equal(a.forced, 2);
  assert_int_equal(a.id, 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(lists_are_merged),
                                     cmocka_unit_test(forced_tokens_are_searched)};
  return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
