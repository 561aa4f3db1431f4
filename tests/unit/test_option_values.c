/* SPDX-License-Identifier: Apache-2.0 */
/* Options under sites that write something other than values of a question's own prompts: the sums
 * have the bits of one text scored by itself, under interventions that are listed here by hand. */
#include <math.h>

#include "job/job.h"
#include "job_fixture.h"

#define LAYERS 6
#define SOURCE 2
#define TARGET 1

/* Two questions, so that what shuffled and mean take is the other one's. */
static const char *const own[2] = {"Two: (1) (2) (3)", "Three and three: (1) (2) (3)"},
                         *const german[2] = {"Zwei: (1) (2) (3)", "Drei: (1) (2) (3)"},
                         *const french[2] = {"Deux: (1) (2)", "Trois et trois: (1)"},
                         *const asked[2] = {"Swali", "Swali mbili"};

static const char *const names[] = {"attn+random2",
                                    "attn+shuffled",
                                    "ffn+mean",
                                    "attn+langs.de.fr+add2+span2",
                                    "attn+langs.de.fr+random",
                                    "block+vector.v.0+blend0.5+all",
                                    "plan.two.0",
                                    "attn",
                                    "attn+heads0.2+random3",
                                    "plan.two.0+random",
                                    "plan.two.0+shuffled",
                                    "plan.two.0+mean2",
                                    "plan.two.0+self"};
#define SITES (sizeof names / sizeof *names)
#define PLAN 6 /* which the job adds behind the others */
static xt_site ways[SITES];
static xt_plan_write writes[3];
static float *vector; /* [LAYERS][width] */
static size_t width, head_dim;
static xt_job *values; /* that gives what the sites write */

static xt_job_options job_options(void) {
  static int patience = ALL;
  static const int sources[] = {SOURCE}, targets[] = {TARGET};
  static xt_site given[SITES - 1];
  static const xt_job_plan_site plan = {.name = "two.0", .writes = writes, .write_count = 3};
  xt_job_options options = options_for(&patience);
  size_t n = 0;
  for (size_t s = 0; s < SITES; s++)
    if (s != PLAN) given[n++] = ways[s];
  options.sites = given;
  options.site_count = n;
  options.source_layers = sources;
  options.target_layers = targets;
  options.source_layer_count = options.target_layer_count = 1;
  options.vector = vector;
  options.plans = &plan;
  options.plan_count = 1;
  return options;
}

static int start(void **state) {
  static const char *const langs[] = {"de", "fr"};
  const xt_dataset_options with = {.source_langs = langs, .source_lang_count = 2, .others = true};
  xt_error error;
  xt_model_info info;
  char text[2000], *at = text;
  const int code = set_up(state);
  for (int q = 0; q < 2; q++)
    at += sprintf(at,
                  "{\"id\": \"%d\", \"lang\": \"sw\", \"source_lang\": \"en\", \"source\": "
                  "\"%s\", \"sources\": {\"de\": \"%s\", \"fr\": \"%s\"}, \"target\": \"%s\", "
                  "\"gold\": \"3\", \"task\": \"xnli\"}\n",
                  q, own[q], german[q], french[q], asked[q]);
  xt_dataset_close(dataset);
  dataset = parse(text, &with);
  for (size_t s = 0; s < SITES; s++) ASSERT_OK(xt_site_parse(names[s], &ways[s], &error));
  xt_model_get_info(model, &info);
  width = (size_t)info.width;
  head_dim = (size_t)info.head_dim;
  vector = malloc(LAYERS * width * sizeof *vector);
  for (size_t c = 0; c < LAYERS * width; c++) vector[c] = sinf((float)c);
  writes[0] = (xt_plan_write){.source_base = XT_LAYER_SOURCE, .target_base = XT_LAYER_TARGET};
  writes[1] = (xt_plan_write){.target_base = XT_LAYER_TARGET, .target = 2, .vector = vector};
  writes[1].source = 3;
  writes[2] = (xt_plan_write){.source = 4, .target_base = XT_LAYER_TARGET, .target = 3};
  ASSERT_OK(xt_site_parse("attn", &writes[0].site, &error));
  ASSERT_OK(xt_site_parse("block+add0.5", &writes[1].site, &error));
  writes[1].site.from = XT_FROM_VECTOR;
  strcpy(writes[1].site.label, "v");
  ASSERT_OK(xt_site_parse("ffn+self", &writes[2].site, &error));
  const xt_job_options options = job_options();
  xt_job_result result;
  remove(path_of("values.db"));
  assert_int_equal(run_once("values.db", &options, &result), XT_STATUS_OK);
  values = create(&options);
  return code;
}

static int finish(void **state) {
  xt_job_free(values);
  free(vector);
  return tear_down(state);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void value_of(const char *prompt, xt_tap tap, int layer, float *out) {
  xt_error error;
  xt_taps *taps;
  const Encoded e = encode(prompt);
  ASSERT_OK(
      xt_session_capture(session, &(xt_request){.ids = e.ids, .count = e.count}, &taps, &error));
  memcpy(out, xt_taps_get(taps, tap, layer),
         (tap == XT_TAP_HEADS ? 3 * head_dim : width) * sizeof *out);
  xt_taps_free(taps);
  free(e.ids);
}

static void mean_of(const char *a, const char *b, xt_tap tap, int layer, float *out) {
  float *other = malloc(width * sizeof *other);
  value_of(a, tap, layer, out);
  value_of(b, tap, layer, other);
  for (size_t c = 0; c < width; c++) out[c] = (float)(((double)out[c] + (double)other[c]) / 2);
  free(other);
}

static uint64_t next(uint64_t *state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static double length_of(const float *value, size_t size) {
  double sum = 0;
  for (size_t c = 0; c < size; c++) sum += (double)value[c] * (double)value[c];
  return sqrt(sum);
}

/* docs/REPRODUCE.md says which numbers: of tap t, from number 4 l + t of the seed's stream on. */
static void draw(int q, size_t s, int place, float *value, size_t parts, size_t size) {
  uint64_t state = values->controls[(size_t)q * SITES + s - (s > PLAN)].seed;
  for (int k = 0; k < place; k++) next(&state);
  uint64_t stream = next(&state);
  for (; parts-- > 0; value += size) {
    const double length = length_of(value, size);
    for (size_t c = 0; c < size; c++) value[c] = (float)(__builtin_popcountll(next(&stream)) - 32);
    const double drawn = length_of(value, size);
    for (size_t c = 0; c < size; c++) value[c] = (float)((double)value[c] * (length / drawn));
  }
}

static void random_of(int q, size_t s, int layer, float *value) {
  draw(q, s, 4 * layer, value, 1, width);
}

/* Of the plan: shuffled and mean take the other question's, self the target's in place of the vector's,
 * too. */
static size_t list_plan(int q, size_t s, float *room, xt_intervention *out) {
  float *second = room + width, *third = second + width;
  value_of(s == 12 ? asked[q] : own[s == 10 || s == 11 ? !q : q], XT_TAP_ATTN, SOURCE, room);
  value_of(asked[q], XT_TAP_FFN, 4, third);
  if (s == 12)
    value_of(asked[q], XT_TAP_BLOCK, 3, second);
  else
    memcpy(second, vector + 3 * width, width * sizeof *second);
  if (s == 9) random_of(q, 9, SOURCE, room);
  if (s == 9) draw(q, 9, 4 * 3 + 3, second, 1, width);
  out[1] = (xt_intervention){.write = XT_TAP_BLOCK, .layer = TARGET + 2, .rule = XT_RULE_ADD};
  out[1].position = out[2].position = XT_POSITION_LAST;
  out[1].alpha = 0.5F;
  out[1].value = second;
  out[2] = (xt_intervention){.write = XT_TAP_FFN, .layer = TARGET + 3, .value = third};
  out[2].position = XT_POSITION_LAST;
  return 3;
}

/* The interventions of question q at a site, with values in room. */
static size_t list(int q, size_t s, float *room, xt_intervention *out) {
  float *second = room + width;
  *out = (xt_intervention){.layer = TARGET, .position = XT_POSITION_LAST, .value = room};
  switch (s) {
    case 0:
      value_of(own[q], XT_TAP_ATTN, SOURCE, room);
      random_of(q, 0, SOURCE, room);
      return 1;
    case 1: value_of(own[!q], XT_TAP_ATTN, SOURCE, room); return 1;
    case 2:
      value_of(own[!q], XT_TAP_FFN, SOURCE, room);
      out->write = XT_TAP_FFN;
      return 1;
    case 3:
      mean_of(german[q], french[q], XT_TAP_ATTN, SOURCE, room);
      mean_of(german[q], french[q], XT_TAP_ATTN, SOURCE + 1, second);
      out->rule = XT_RULE_ADD;
      out->alpha = 2;
      out[1] = out[0];
      out[1].layer++;
      out[1].value = second;
      return 2;
    case 4:
      mean_of(german[q], french[q], XT_TAP_ATTN, SOURCE, room);
      random_of(q, 4, SOURCE, room);
      return 1;
    case 5:
      *out = (xt_intervention){.write = XT_TAP_BLOCK, .layer = TARGET, .rule = XT_RULE_BLEND};
      out->position = XT_POSITION_ALL;
      out->alpha = 0.5F;
      out->value = vector + SOURCE * width;
      return 1;
    case 8:
      value_of(own[q], XT_TAP_HEADS, SOURCE, room);
      draw(q, 8, 4 * SOURCE, room, 3, head_dim);
      out->write = XT_TAP_HEADS;
      out[1] = out[0];
      out[1].head = 2;
      out[1].value = room + 2 * head_dim;
      return 2;
    case PLAN:
    case 9:
    case 10:
    case 11:
    case 12: return list_plan(q, s, room, out);
    default: value_of(own[q], XT_TAP_ATTN, SOURCE, room); return 1;
  }
}

static double by_hand(int q, size_t s, const char *option) {
  xt_error error;
  xt_intervention iv[3] = {0};
  char text[256];
  float logprobs[64];
  double sum = 0;
  float *room = malloc(3 * width * sizeof *room);
  const size_t count = s < SITES ? list(q, s, room, iv) : 0;
  snprintf(text, sizeof text, "%s %s", asked[q], option);
  const Encoded whole = encode(text), prompt = encode(asked[q]);
  const xt_score_request request = {.ids = whole.ids,
                                    .count = whole.count,
                                    .first = prompt.count,
                                    .interventions = iv,
                                    .intervention_count = count,
                                    .logprobs = logprobs};
  ASSERT_OK(xt_session_score(session, &request, 1, NULL, NULL, &error));
  for (size_t k = 0; k < whole.count - prompt.count; k++) sum += (double)logprobs[k];
  free(room);
  free(whole.ids);
  free(prompt.ids);
  return sum;
}

/* ---- what the store has ---------------------------------------------------------------------- */

typedef struct Seen {
  int rows, scored;
  double sums[2][SITES + 1];
} Seen;

static xt_status check_row(void *user, const xt_store_row *row, xt_error *error) {
  Seen *seen = user;
  const int q = row->question->id[0] - '0';
  size_t s = 0;
  (void)error;
  while (s < SITES && strcmp(names[s], row->site) != 0) s++;
  assert_true(s < SITES || row->source_layer < 0);
  seen->rows++;
  if (!row->option_sums) return XT_STATUS_OK;
  seen->scored++;
  assert_int_equal(row->option_count, 3);
  for (int o = 0; o < 3; o++)
    assert_true(row->option_sums[o] == by_hand(q, s, row->options[o].text));
  seen->sums[q][s] = row->option_sums[0];
  return XT_STATUS_OK;
}

static Seen look_at(void) {
  xt_error error;
  xt_store *store;
  Seen seen = {0};
  ASSERT_OK(xt_store_open(path_of("values.db"), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_read(store, check_row, &seen, &error));
  xt_store_close(store);
  assert_int_equal(seen.rows, 2 * (1 + SITES));
  return seen;
}

static xt_option_work work_of(const xt_option_scoring *scoring) {
  xt_error error;
  xt_store *store;
  xt_option_work work;
  ASSERT_OK(xt_store_open(path_of("values.db"), XT_STORE_READ, &store, &error));
  ASSERT_OK(xt_store_count_unscored(store, scoring, &work, &error));
  xt_store_close(store);
  return work;
}

static void score(const xt_option_scoring *scoring) {
  xt_error error;
  xt_store *store = open_store("values.db");
  const xt_store_settings settings = {.max_new_tokens = 4};
  ASSERT_OK(xt_store_begin(store, model, hash, &settings, "", &error));
  ASSERT_OK(xt_store_score_options(store, session, scoring, &error));
  xt_store_close(store);
}

static void are_those_of_one_text(void **state) {
  (void)state;
  const xt_option_scoring with = {.job = values};
  assert_int_equal(work_of(NULL).runs, 2 * 2);
  assert_int_equal(work_of(NULL).skipped, 2 * (SITES - 1));
  score(NULL);
  assert_int_equal(look_at().scored, 2 * 2);
  assert_int_equal(work_of(&with).runs, 2 * (SITES - 1));
  assert_int_equal(work_of(&with).skipped, 0);
  score(&with);
  const Seen seen = look_at();
  assert_int_equal(seen.scored, 2 * (1 + SITES));
  for (int q = 0; q < 2; q++) /* so that the comparison says something */
    for (size_t s = 0; s < SITES; s++)
      for (size_t o = 0; o < s; o++) /* of two questions, mean takes what shuffled takes */
        assert_true((seen.sums[q][s] != seen.sums[q][o]) == !(s == 11 && o == 10));
  assert_int_equal(work_of(&with).runs, 0);
}

/* The job has other questions, or others of its sites: what it has is scored, the rest is counted. */
static void what_a_job_lacks(void **state) {
  (void)state;
  xt_job_options options = job_options();
  xt_job_result result;
  remove(path_of("values.db"));
  assert_int_equal(run_once("values.db", &options, &result), XT_STATUS_OK);
  options.sites = &ways[3];
  options.site_count = 1;
  options.plan_count = 0;
  xt_job *some = create(&options);
  assert_int_equal(work_of(&(xt_option_scoring){.job = some}).runs, 2 * 3);
  assert_int_equal(work_of(&(xt_option_scoring){.job = some}).skipped, 2 * (SITES - 2));
  score(&(xt_option_scoring){.job = some});
  assert_int_equal(look_at().scored, 2 * 3);
  xt_job_free(some);
  xt_dataset *mine = dataset, *others = parse(pairs, NULL);
  options.sites = &ways[5];
  dataset = others;
  some = create(&options);
  dataset = mine;
  assert_int_equal(work_of(&(xt_option_scoring){.job = some}).skipped, 2 * (SITES - 2));
  xt_job_free(some);
  xt_dataset_close(others);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(are_those_of_one_text),
                                     cmocka_unit_test(what_a_job_lacks)};
  return cmocka_run_group_tests(tests, start, finish);
}
