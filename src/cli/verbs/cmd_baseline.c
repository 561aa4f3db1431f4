/* SPDX-License-Identifier: Apache-2.0 */
/* baseline: other published interventions on the same questions as a sweep. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/response.h"
#include "shell/layers.h"
#include "shell/output.h"
#include "verbs/baseline_questions.h"
#include "verbs/verbs.h"
#include "xtransplant/align.h"
#include "xtransplant/analysis.h"

typedef enum Method { SAME_LAYER = 0, INCLINE, ARITHMETIC, FORCING } Method;
static const char *const methods[] = {"same-layer", "incline", "arithmetic", "forcing", NULL};

typedef struct Arguments {
  SweepArguments sweep;
  const char *parallel, *layers, *lid;
  int method, tap;
  double alpha, ridge;
} Arguments;

static const char *const taps[] = {"attn", "mid", "ffn", "block", NULL};

static const Option options[] = {
    OPTION_MODEL(Arguments, sweep.model),
    {.name = "method",
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, method),
     .value = "NAME",
     .choices = methods,
     .required = true,
     .help = "what is written into the target prompt's run"},
    {.name = "parallel",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, parallel),
     .value = "FILE",
     .help = "parallel prompts to learn from, as JSON lines like those of --pairs: all methods but "
             "same-layer need some in every language; they should not be the questions"},
    {.name = "task",
     .letter = 't',
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, sweep.task),
     .value = "T",
     .choices_from = xt_task_names,
     .help = "the benchmark"},
    {.name = "data",
     .letter = 'd',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, sweep.data),
     .value = "DIR",
     .help = "the benchmark's folder as released"},
    {.name = "pairs",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, sweep.pairs),
     .value = "FILE",
     .help = "JSON lines {id, lang, source, target, gold, task}, instead of --task and --data"},
    {.name = "lang",
     .letter = 'l',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, sweep.languages),
     .value = "LIST",
     .help = "the languages to run, separated by commas; without it, all languages of the task"},
    {.name = "limit",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, sweep.limit),
     .value = "N",
     .low = 1,
     .high = 1e9,
     .help = "run only the first N questions of each language"},
    {.name = "tap",
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, tap),
     .value = "TAP",
     .choices = taps,
     .preset = "block",
     .help = "the activation that is learned from and written"},
    {.name = "layers",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, layers),
     .value = "LIST",
     .preset = "all",
     .help = "the layers, each of which is tried by itself: numbers, ranges (0-3), first, last or "
             "all"},
    {.name = "alpha",
     .type = OPTION_REAL,
     .field = OPTION_FIELD(Arguments, double, alpha),
     .value = "A",
     .low = -1000,
     .high = 1000,
     .preset = "1",
     .help = "the factor with which incline, arithmetic and forcing add"},
    {.name = "ridge",
     .type = OPTION_REAL,
     .field = OPTION_FIELD(Arguments, double, ridge),
     .value = "R",
     .low = 1e-9,
     .high = 1e9,
     .preset = "0.001",
     .help =
         "the penalty of incline's least squares, times the mean square of an activation's length"},
    {.name = "lid",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, lid),
     .value = "FILE",
     .help = "fastText's lid.176.bin or lid.176.ftz, to identify the languages of the responses"},
    OPTION_MAX_NEW_TOKENS(Arguments, sweep.max_new_tokens),
    OPTIONS_COMPUTE(Arguments, sweep.model),
    OPTION_QUIET(Arguments, sweep.model.quiet),
    OPTION_JSON(Arguments, sweep.model.json),
};

typedef struct Baseline {
  const Arguments *arguments;
  LoadedModel model;
  const xt_tokenizer *tokenizer;
  xt_langid *langid;
  Questions questions, parallel;
  SweepArguments parallel_arguments;
  /* The tap at all layers, [prompts, layers, width], at the last tokens of: */
  float *states;            /* what same-layer and incline read of each question */
  float *sources, *targets; /* the parallel prompts; NULL: nothing is learned */
  float *values;            /* [questions, width] what is written */
} Baseline;

/* ---- what is written ------------------------------------------------------------------------- */

static size_t width_of(const Baseline *b) { return (size_t)b->model.info.width; }

/* Where prompt i's state of a layer is. */
static size_t state_at(const Baseline *b, size_t i, int layer) {
  return (i * (size_t)b->model.info.layers + (size_t)layer) * width_of(b);
}

/* The alignment of one language; the caller frees *out. */
static xt_status align(const Baseline *b, const char *lang, int layer, xt_alignment **out,
                       xt_error *error) {
  const float **some = calloc(2 * b->parallel.count + 1, sizeof *some),
              **targets = some + b->parallel.count;
  size_t n = 0;
  xt_status status = some ? XT_STATUS_OK : error_memory(error);
  for (size_t i = 0; i < b->parallel.count && !status; i++) {
    if (strcmp(b->parallel.asked[i].question->lang, lang) != 0) continue;
    some[n] = b->sources + state_at(b, i, layer);
    targets[n++] = b->targets + state_at(b, i, layer);
  }
  if (!status && n == 0)
    status = error_set(error, XT_STATUS_INPUT, b->arguments->parallel, "lang", -1,
                       "has no prompts in %s, in which questions are asked", lang);
  if (!status)
    status = xt_alignment_create(some, targets, n, width_of(b), b->arguments->method == INCLINE,
                                 b->arguments->ridge, out, error);
  free(some);
  return status;
}

/* Runs each source or target prompt once, and keeps its tap of all layers in *out. */
static xt_status read_states(const Baseline *b, const Questions *questions, bool sources,
                             float **out, xt_error *error) {
  const size_t all = state_at(b, 1, 0);
  *out = calloc(questions->count * all + 1, sizeof **out);
  xt_status status = *out ? XT_STATUS_OK : error_memory(error);
  for (size_t i = 0; i < questions->count && !status; i++) {
    const xt_instance *ids = &questions->asked[i].ids;
    const xt_request request = {.ids = sources ? ids->source : ids->target,
                                .count = sources ? ids->source_count : ids->target_count};
    xt_taps *read;
    status = xt_session_capture(b->model.session, &request, &read, error);
    if (status) break;
    memcpy(*out + i * all, xt_taps_get(read, (xt_tap)b->arguments->tap, 0), all * sizeof **out);
    xt_taps_free(read);
  }
  return status;
}

/* What is written for question i. */
static void find_value(const Baseline *b, size_t i, const xt_alignment *alignment, int layer,
                       float *out) {
  const size_t width = width_of(b), at = state_at(b, i, layer);
  const Method method = (Method)b->arguments->method;
  if (method == SAME_LAYER) memcpy(out, b->states + at, width * sizeof *out);
  if (method == INCLINE) xt_alignment_map(alignment, b->states + at, out);
  if (method == SAME_LAYER || method == INCLINE) return;
  const float *difference = xt_alignment_difference(alignment);
  for (size_t k = 0; k < width; k++) out[k] = method == FORCING ? -difference[k] : difference[k];
}

/* Of all questions of a language at one layer. */
static xt_status language_values(Baseline *b, const char *lang, int layer, xt_error *error) {
  xt_alignment *alignment = NULL;
  xt_status status = XT_STATUS_OK;
  if (b->arguments->method != SAME_LAYER) TRY_DONE(align(b, lang, layer, &alignment, error));
  for (size_t i = 0; i < b->questions.count; i++) {
    if (strcmp(b->questions.asked[i].question->lang, lang) != 0) continue;
    find_value(b, i, alignment, layer, b->values + i * width_of(b));
  }
done:
  xt_alignment_free(alignment);
  return status;
}

/* Whether a question is the first of its language, in the order of the file. */
static bool is_first(const Baseline *b, size_t question) {
  const Asked *asked = b->questions.asked;
  for (size_t i = 0; i < question; i++)
    if (strcmp(asked[i].question->lang, asked[question].question->lang) == 0) return false;
  return true;
}

static xt_status find_values(Baseline *b, int layer, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < b->questions.count && !status; i++)
    if (is_first(b, i))
      status = language_values(b, b->questions.asked[i].question->lang, layer, error);
  return status;
}

/* ---- running --------------------------------------------------------------------------------- */

/* layer < 0: untouched. */
static xt_status run_all(Baseline *b, int layer, xt_error *error) {
  const size_t n = b->questions.count;
  const Method method = (Method)b->arguments->method;
  xt_request *requests = calloc(n + 1, sizeof *requests);
  xt_intervention *changes = calloc(n + 1, sizeof *changes);
  xt_generation *out = calloc(n + 1, sizeof *out);
  xt_status status = requests && changes && out ? XT_STATUS_OK : error_memory(error);
  for (size_t i = 0; i < n && !status; i++) {
    const Asked *a = &b->questions.asked[i];
    changes[i] =
        (xt_intervention){.write = (xt_tap)b->arguments->tap,
                          .layer = layer,
                          .position = method == FORCING ? XT_POSITION_ALL : XT_POSITION_LAST,
                          .rule = method == SAME_LAYER ? XT_RULE_REPLACE : XT_RULE_ADD,
                          .alpha = (float)b->arguments->alpha,
                          .value = b->values + i * width_of(b)};
    requests[i] = (xt_request){.ids = a->ids.target,
                               .count = a->ids.target_count,
                               .interventions = layer < 0 ? NULL : &changes[i],
                               .intervention_count = layer >= 0};
  }
  if (!status)
    status = xt_session_generate(
        b->model.session, requests, n,
        &(xt_generate_options){.max_new_tokens = b->arguments->sweep.max_new_tokens}, out, error);
  for (size_t i = 0; i < n && !status; i++) {
    Asked *a = &b->questions.asked[i];
    status = question_judge(a, b->tokenizer, b->langid, &out[i],
                            layer < 0 ? &a->untouched : &a->changed, error);
  }
  for (size_t i = 0; out && i < n; i++) xt_generation_deinit(&out[i]);
  free(requests);
  free(changes);
  free(out);
  return status;
}

/* ---- what is printed ------------------------------------------------------------------------- */

typedef struct Row {
  const char *lang; /* NULL: all */
  int layer;
  size_t count, questions, looked;
  double untouched, changed, gain, low, high, p; /* accuracies */
  double untouched_language, language, forced;   /* shares in the language asked for; and the
                                                    harmonic mean of the latter and accuracy */
} Row;

static double ratio(double sum, size_t count) { return count ? sum / (double)count : (double)NAN; }

static xt_status fill_row(const Baseline *b, Row *r, xt_error *error) {
  const size_t n = b->questions.count;
  double *sums = calloc(2 * n + 1, sizeof *sums), *weights = sums + n;
  if (!sums) return error_memory(error);
  for (size_t i = 0; i < n; i++) {
    const Asked *a = &b->questions.asked[i];
    if (r->lang && strcmp(r->lang, a->question->lang) != 0) continue;
    if (a->changed.in_language >= 0) {
      r->looked++;
      r->untouched_language += a->untouched.in_language;
      r->language += a->changed.in_language;
    }
    if (a->changed.right < 0) continue;
    r->count++;
    r->untouched += a->untouched.right;
    r->changed += a->changed.right;
    sums[a->kin] += a->changed.right - a->untouched.right;
    weights[a->kin]++;
  }
  for (size_t i = 0; i < n; i++) { /* the questions that are there come first */
    if (weights[i] <= 0) continue;
    sums[r->questions] = sums[i];
    weights[r->questions++] = weights[i];
  }
  r->untouched = ratio(r->untouched, r->count);
  r->changed = ratio(r->changed, r->count);
  r->gain = r->changed - r->untouched;
  r->untouched_language = ratio(r->untouched_language, r->looked);
  r->language = ratio(r->language, r->looked);
  r->forced = r->language + r->changed > 0
                  ? 2 * r->language * r->changed / (r->language + r->changed)
                  : r->language + r->changed;
  xt_status status =
      xt_bootstrap_ratio(sums, weights, r->questions, 2000, 1, 0.95, &r->low, &r->high, error);
  if (!status) status = xt_sign_flip(sums, r->questions, 9999, 1, &r->p, error);
  free(sums);
  return status;
}

static xt_status print_json(const Baseline *b, const Row *r, xt_error *error) {
  const struct {
    const char *name;
    double value;
  } numbers[] = {{"untouched", r->untouched},
                 {"accuracy", r->changed},
                 {"gain", r->gain},
                 {"low", r->low},
                 {"high", r->high},
                 {"p", r->count ? r->p : (double)NAN},
                 {"untouched_language", r->untouched_language},
                 {"language", r->language},
                 {"forced", r->forced}};
  json_t *object = json_object();
  bool ok = json_add(object, "method", json_string(methods[b->arguments->method]));
  ok = json_add(object, "layer", json_integer(r->layer)) && ok;
  ok = json_add(object, "alpha", json_number(b->arguments->alpha)) && ok;
  ok = json_add(object, "lang", r->lang ? json_string(r->lang) : json_null()) && ok;
  ok = json_add(object, "count", json_integer((json_int_t)r->count)) && ok;
  ok = json_add(object, "questions", json_integer((json_int_t)r->questions)) && ok;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    ok = json_add(object, numbers[i].name, json_number(numbers[i].value)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static void print_share(double value) {
  if (isnan(value))
    printf(" %9s", "-");
  else
    printf(" %9.2f", 100 * value);
}

static xt_status print_row(const Baseline *b, const char *lang, int layer, xt_error *error) {
  Row r = {.lang = lang, .layer = layer};
  const xt_status status = fill_row(b, &r, error);
  if (status) return status;
  if (b->arguments->sweep.model.json) return print_json(b, &r, error);
  const double shares[] = {r.untouched,          r.changed,  r.gain,  r.low, r.high,
                           r.untouched_language, r.language, r.forced};
  printf("%5d ", layer);
  print_name(lang ? lang : "all", 8);
  printf(" %9zu", r.count);
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) print_share(shares[i]);
  printf(" %9.3g\n", r.p);
  return XT_STATUS_OK;
}

static void print_heading(void) {
  printf("%5s %-8s %9s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "layer", "lang", "questions",
         "untouched", "changed", "gain", "low", "high", "in lang", "changed", "forced", "p");
}

static xt_status print_layer(const Baseline *b, int layer, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < b->questions.count && !status; i++)
    if (is_first(b, i)) status = print_row(b, b->questions.asked[i].question->lang, layer, error);
  return status ? status : print_row(b, NULL, layer, error);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static xt_status prepare(Baseline *b, xt_error *error) {
  const Arguments *a = b->arguments;
  xt_status status;
  TRY_DONE(model_describe(&a->sweep.model, &b->model, error));
  TRY_DONE(model_load(&a->sweep.model, &b->model, error));
  b->tokenizer = xt_model_tokenizer(b->model.model);
  if (!b->tokenizer)
    TRY_DONE(
        error_set(error, XT_STATUS_INPUT, a->sweep.model.model, NULL, -1,
                  "has no tokenizer: put tokenizer.json or tokenizer.model beside the weights"));
  TRY_DONE(questions_read(&b->questions, &a->sweep, b->tokenizer, error));
  b->parallel_arguments =
      (SweepArguments){.model = a->sweep.model, .pairs = a->parallel, .languages = NULL};
  if (a->parallel && a->method != SAME_LAYER) {
    TRY_DONE(questions_read(&b->parallel, &b->parallel_arguments, b->tokenizer, error));
    TRY_DONE(read_states(b, &b->parallel, true, &b->sources, error));
    TRY_DONE(read_states(b, &b->parallel, false, &b->targets, error));
  }
  if (a->lid) TRY_DONE(xt_langid_open(a->lid, &b->langid, error));
  b->values = calloc(b->questions.count * width_of(b) + 1, sizeof *b->values);
  if (!b->values) TRY_DONE(error_memory(error));
  if (a->method == SAME_LAYER || a->method == INCLINE)
    TRY_DONE(read_states(b, &b->questions, a->method == SAME_LAYER, &b->states, error));
done:
  return status;
}

static xt_status execute(Baseline *b, xt_error *error) {
  bool *keep = NULL, begun = false;
  xt_status status;
  TRY_DONE(prepare(b, error));
  keep = calloc((size_t)b->model.info.layers, sizeof *keep);
  if (!keep) TRY_DONE(error_memory(error));
  TRY_DONE(layers_resolve(b->arguments->layers, b->model.info.layers, "--layers", keep, error));
  TRY_DONE(run_all(b, -1, error));
  for (int layer = 0; layer < b->model.info.layers; layer++) {
    if (!keep[layer]) continue;
    TRY_DONE(find_values(b, layer, error));
    TRY_DONE(run_all(b, layer, error));
    if (!b->arguments->sweep.model.json && !begun) print_heading();
    begun = true;
    TRY_DONE(print_layer(b, layer, error));
  }
done:
  free(keep);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  Arguments *a = opaque;
  Baseline b = {.arguments = a};
  xt_error error;
  a->sweep.has_task = option_is_given(cli, "task");
  if (!a->sweep.pairs && (!a->sweep.has_task || !a->sweep.data))
    return cli_usage(cli, "give --task and --data, or --pairs");
  if (a->sweep.pairs && (a->sweep.has_task || a->sweep.data))
    return cli_usage(cli, "--pairs: cannot be combined with --task and --data");
  if (a->method != SAME_LAYER && !a->parallel)
    return cli_usage(cli, "--parallel: missing; %s learns from parallel prompts",
                     methods[a->method]);
  if (!layers_check(a->layers))
    return cli_usage(cli, "--layers: '%s' is not a list of layers", a->layers);
  const xt_status status = execute(&b, &error);
  questions_deinit(&b.questions);
  questions_deinit(&b.parallel);
  xt_langid_close(b.langid);
  free(b.states);
  free(b.sources);
  free(b.targets);
  free(b.values);
  model_deinit(&b.model);
  return cli_exit(cli, status, &error);
}

const Verb verb_baseline = {
    .name = "baseline",
    .summary = "run interventions that others have published on the same questions",
    .about =
        "Runs an intervention that others have published on the questions of a task, at each layer "
        "by itself, and prints accuracy beside the untouched model's, by language: the gain with "
        "its 95% bootstrap interval by question and the p-value of a sign-flip test and, with "
        "--lid, the share of responses in the language that is asked for, untouched and changed, "
        "and the harmonic mean of that share and accuracy (forced). same-layer replaces the last "
        "token's activation by the source prompt's at the same layer. incline adds alpha times a "
        "linear map of the target prompt's own activation, learned by least squares from targets "
        "to sources of parallel prompts. arithmetic adds alpha times the mean of the sources less "
        "the mean of the targets; forcing adds alpha times the opposite, at every token. "
        "docs/BASELINES.md has the formulas and their sources.",
    .example = "xtransplant baseline -m Llama-2-7b-chat-hf --method incline --parallel "
               "parallel.jsonl --pairs questions.jsonl --layers last --alpha 0.5",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
