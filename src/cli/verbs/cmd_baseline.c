/* SPDX-License-Identifier: Apache-2.0 */
/* baseline: other published interventions on the same questions as a sweep. */
#include <stdlib.h>
#include <string.h>

#include "results/response.h"
#include "shell/interrupt.h"
#include "shell/layers.h"
#include "shell/output.h"
#include "verbs/baseline_rows.h"
#include "verbs/baseline_store.h"
#include "verbs/verbs.h"
#include "xtransplant/align.h"

typedef enum Method { SAME_LAYER = 0, INCLINE, ARITHMETIC, FORCING } Method;
static const char *const methods[] = {"same-layer", "incline", "arithmetic", "forcing", NULL};

typedef struct Arguments {
  SweepArguments sweep;
  const char *parallel, *layers, *lid;
  int method, tap;
  bool together;
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
    OPTIONS_QUESTIONS(Arguments, sweep.task, sweep.data, sweep.pairs, sweep.languages, sweep.pivot),
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
    {.name = "together",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, together),
     .help = "write at all these layers in one run, instead of at each by itself"},
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
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, sweep.output),
     .value = "FILE",
     .help =
         "store the responses in this results file, beside those of sweeps, instead of printing "
         "figures; report then has them as a site of its own. What is there is not run again"},
    OPTION_COT(Arguments, sweep.cot),
    OPTIONS_CHAT(Arguments, sweep.chat),
    OPTION_MAX_NEW_TOKENS(Arguments, sweep.max_new_tokens),
    OPTION_PENALTY(Arguments, sweep.penalty),
    {.name = "skip-long",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, sweep.skip_long),
     .help = "leave out and list the questions that are longer than the model's context"},
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
  bool begun;               /* some figures are printed */
  bool stopped;             /* by a signal, with what was stored */
  float *values;            /* [questions, layers, width] what is written at each; NULL: `states` */
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

static xt_request prompt_of(const Questions *questions, size_t i, bool source) {
  const xt_instance *ids = questions->asked[i].ids;
  return (xt_request){.ids = source ? ids->source : ids->target,
                      .count = source ? ids->source_count : ids->target_count};
}

/* The first question with the prompt of question i: one in several languages has the same source. */
static size_t first_with_prompt(const Questions *questions, size_t i, bool source) {
  const xt_request prompt = prompt_of(questions, i, source);
  for (size_t k = 0; k < i; k++) {
    const xt_request earlier = prompt_of(questions, k, source);
    if (earlier.count == prompt.count &&
        memcmp(earlier.ids, prompt.ids, prompt.count * sizeof *prompt.ids) == 0)
      return k;
  }
  return i;
}

#define PROMPTS_TOGETHER 64 /* whose taps are in memory at once */

/* Runs prompts `which`, and keeps the tap of all layers of each. */
static xt_status read_some(const Baseline *b, const Questions *questions, bool sources,
                           const size_t *which, size_t n, float *out, xt_error *error) {
  const size_t all = state_at(b, 1, 0);
  xt_request requests[PROMPTS_TOGETHER];
  xt_taps *read[PROMPTS_TOGETHER];
  for (size_t k = 0; k < n; k++) requests[k] = prompt_of(questions, which[k], sources);
  const xt_status status = xt_session_capture_all(b->model.session, requests, n, read, error);
  for (size_t k = 0; k < n && !status; k++) {
    memcpy(out + which[k] * all, xt_taps_get(read[k], (xt_tap)b->arguments->tap, 0),
           all * sizeof *out);
    xt_taps_free(read[k]);
  }
  return status;
}

/* Runs each different source or target prompt once, and keeps its tap of all layers in *out. */
static xt_status read_states(const Baseline *b, const Questions *questions, bool sources,
                             float **out, xt_error *error) {
  const size_t all = state_at(b, 1, 0), count = questions->count;
  size_t which[PROMPTS_TOGETHER], n = 0;
  *out = calloc(count * all + 1, sizeof **out);
  xt_status status = *out ? XT_STATUS_OK : error_memory(error);
  for (size_t i = 0; i < count && !status; i++) {
    if (first_with_prompt(questions, i, sources) == i) which[n++] = i;
    if (n < PROMPTS_TOGETHER && i + 1 < count) continue;
    status = read_some(b, questions, sources, which, n, *out, error);
    n = 0;
  }
  for (size_t i = 0; i < count && !status; i++) {
    const size_t first = first_with_prompt(questions, i, sources);
    if (first < i) memcpy(*out + i * all, *out + first * all, all * sizeof **out);
  }
  return status;
}

/* What is written for question i. */
static void find_value(Baseline *b, size_t i, const xt_alignment *alignment, int layer) {
  const Method method = (Method)b->arguments->method;
  const size_t at = state_at(b, i, layer);
  const float *difference = xt_alignment_difference(alignment);
  if (method == INCLINE) xt_alignment_map(alignment, b->states + at, b->values + at);
  for (size_t k = 0; k < width_of(b) && method != INCLINE; k++)
    b->values[at + k] = method == FORCING ? -difference[k] : difference[k];
}

/* Of all questions of a language at one layer. */
static xt_status language_values(Baseline *b, const char *lang, int layer, xt_error *error) {
  xt_alignment *alignment = NULL;
  const xt_status status = align(b, lang, layer, &alignment, error);
  for (size_t i = 0; i < b->questions.count && !status; i++)
    if (strcmp(b->questions.asked[i].question->lang, lang) == 0) find_value(b, i, alignment, layer);
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
  for (size_t i = 0; i < b->questions.count && b->values && !status; i++)
    if (is_first(b, i))
      status = language_values(b, b->questions.asked[i].question->lang, layer, error);
  return status;
}

/* How the method writes. */
static xt_site method_site(const Arguments *a) {
  const xt_tap tap = (xt_tap)a->tap;
  if (a->method == SAME_LAYER) return (xt_site){.read = tap, .write = tap};
  return (xt_site){.read = tap,
                   .write = tap,
                   .rule = XT_RULE_ADD,
                   .alpha = (float)a->alpha,
                   .positions = a->method == FORCING ? XT_POSITIONS_ALL : XT_POSITIONS_LAST};
}

/* ---- running --------------------------------------------------------------------------------- */

#define RESPONSES_TOGETHER 4096 /* runs of all questions are generated together up to so many */
#define UNTOUCHED (-1)          /* a run of all questions without a change; others are of a layer */

/* What run `run` writes into question i. `keep`: with --together, the layers. Returns how many. */
static size_t list_changes(const Baseline *b, int run, const bool *keep, size_t i,
                           xt_intervention *out) {
  const xt_site site = method_site(b->arguments);
  const float *values = b->values ? b->values : b->states;
  const bool together = b->arguments->together;
  size_t n = 0;
  for (int layer = 0; run != UNTOUCHED && layer < b->model.info.layers; layer++)
    if (together ? keep[layer] : layer == run)
      out[n++] = (xt_intervention){
          .write = site.write,
          .layer = layer,
          .position = site.positions == XT_POSITIONS_ALL ? XT_POSITION_ALL : XT_POSITION_LAST,
          .rule = site.rule,
          .alpha = site.alpha,
          .value = values + state_at(b, i, layer)};
  return n;
}

/* Generates `count` runs of all questions, out [count][questions], so that the prompts, which most
 * methods change in the last token alone, are run once for all. */
static xt_status generate_runs(const Baseline *b, const int *runs, size_t count, const bool *keep,
                               xt_generation *out, xt_error *error) {
  const size_t n = b->questions.count,
               each = b->arguments->together ? (size_t)b->model.info.layers : 1;
  xt_request *requests = calloc(count * n + 1, sizeof *requests);
  xt_intervention *changes = calloc(count * n * each + 1, sizeof *changes);
  xt_status status = requests && changes ? XT_STATUS_OK : error_memory(error);
  for (size_t k = 0; k < count * n && !status; k++) {
    xt_intervention *of = changes + k * each;
    requests[k] = prompt_of(&b->questions, k % n, false);
    requests[k].interventions = of;
    requests[k].intervention_count = list_changes(b, runs[k / n], keep, k % n, of);
  }
  if (!status)
    status = xt_session_generate(
        b->model.session, requests, count * n,
        &(xt_generate_options){.max_new_tokens = b->questions.job.info.max_new_tokens,
                               .repetition_penalty = b->arguments->sweep.penalty},
        out, error);
  free(requests);
  free(changes);
  return status;
}

static xt_status judge_run(Baseline *b, bool untouched, const xt_generation *out, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < b->questions.count && !status; i++) {
    Asked *a = &b->questions.asked[i];
    status = question_judge(a, b->tokenizer, b->langid, &out[i],
                            untouched ? &a->untouched : &a->changed, error);
  }
  return status;
}

/* ---- what is printed ------------------------------------------------------------------------- */

/* `layers`: how rows call them. */
static xt_status print_layers(const Baseline *b, const char *layers, xt_error *error) {
  const BaselineRow row = {.questions = &b->questions,
                           .method = methods[b->arguments->method],
                           .alpha = b->arguments->alpha,
                           .layers = layers,
                           .together = b->arguments->together,
                           .json = b->arguments->sweep.model.json};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < b->questions.count && !status; i++)
    if (is_first(b, i))
      status = baseline_print_row(&row, b->questions.asked[i].question->lang, error);
  return status ? status : baseline_print_row(&row, NULL, error);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static xt_status prepare(Baseline *b, xt_error *error) {
  const Arguments *a = b->arguments;
  xt_status status;
  TRY_DONE(model_load(&a->sweep.model, &b->model, error));
  b->tokenizer = xt_model_tokenizer(b->model.model);
  if (!b->tokenizer)
    TRY_DONE(
        error_set(error, XT_STATUS_INPUT, a->sweep.model.model, NULL, -1,
                  "has no tokenizer: put tokenizer.json or tokenizer.model beside the weights"));
  TRY_DONE(questions_read(&b->questions, &a->sweep, &b->model, error));
  b->parallel_arguments = (SweepArguments){.model = a->sweep.model,
                                           .pairs = a->parallel,
                                           .source_layers = a->sweep.source_layers,
                                           .target_layers = a->sweep.target_layers,
                                           .chat = a->sweep.chat,
                                           .cot = a->sweep.cot,
                                           .skip_long = a->sweep.skip_long};
  if (a->parallel && a->method != SAME_LAYER) {
    TRY_DONE(questions_read(&b->parallel, &b->parallel_arguments, &b->model, error));
    TRY_DONE(read_states(b, &b->parallel, true, &b->sources, error));
    TRY_DONE(read_states(b, &b->parallel, false, &b->targets, error));
  }
  if (a->lid) TRY_DONE(xt_langid_open(a->lid, &b->langid, error));
  if (a->method != SAME_LAYER) {
    b->values = calloc(state_at(b, b->questions.count, 0) + 1, sizeof *b->values);
    if (!b->values) TRY_DONE(error_memory(error));
  }
  if (a->method == SAME_LAYER || a->method == INCLINE)
    TRY_DONE(read_states(b, &b->questions, a->method == SAME_LAYER, &b->states, error));
done:
  return status;
}

/* Stores the responses of all kept layers. */
static xt_status store(Baseline *b, const bool *keep, xt_error *error) {
  const Arguments *a = b->arguments;
  const BaselineSite what = {.method = methods[a->method],
                             .site = method_site(a),
                             .values = b->values,
                             .ridge = a->method == INCLINE ? a->ridge : 0,
                             .layers = a->layers,
                             .together = a->together ? keep : NULL,
                             .questions = &b->questions,
                             .parallel = &b->parallel};
  return baseline_store(&what, &b->model, &b->stopped, error);
}

/* A run of a layer, or of all together. */
static xt_status print_run(Baseline *b, int run, const xt_generation *out, xt_error *error) {
  char name[12];
  snprintf(name, sizeof name, "%d", run);
  const xt_status status = judge_run(b, run == UNTOUCHED, out, error);
  if (status || run == UNTOUCHED) return status;
  if (!b->arguments->sweep.model.json && !b->begun) baseline_print_heading();
  b->begun = true;
  return print_layers(b, b->arguments->together ? b->arguments->layers : name, error);
}

static xt_status print_runs(Baseline *b, const int *runs, size_t count, const bool *keep,
                            xt_error *error) {
  const size_t n = b->questions.count;
  xt_generation *out = calloc(count * n + 1, sizeof *out);
  xt_status status = out ? generate_runs(b, runs, count, keep, out, error) : error_memory(error);
  for (size_t k = 0; k < count && !status; k++) status = print_run(b, runs[k], out + k * n, error);
  for (size_t k = 0; out && k < count * n; k++) xt_generation_deinit(&out[k]);
  free(out);
  return status;
}

/* Runs each kept layer, or all together, and prints what comes of it. */
static xt_status print_all(Baseline *b, const bool *keep, xt_error *error) {
  const int layers = b->model.info.layers;
  const size_t n = b->questions.count, most = n ? RESPONSES_TOGETHER / n + 1 : 1;
  int *runs = calloc((size_t)layers + 1, sizeof *runs);
  size_t count = 0;
  if (!runs) return error_memory(error);
  runs[count++] = UNTOUCHED;
  for (int layer = 0; layer < layers; layer++)
    if (keep[layer] && (count == 1 || !b->arguments->together)) runs[count++] = layer;
  xt_status status = XT_STATUS_OK;
  for (size_t at = 0; at < count && !status; at += most)
    status = print_runs(b, runs + at, count - at < most ? count - at : most, keep, error);
  free(runs);
  return status;
}

static xt_status execute(Baseline *b, xt_error *error) {
  bool *keep = NULL;
  xt_status status;
  TRY_DONE(model_describe(&b->arguments->sweep.model, &b->model, error));
  keep = calloc((size_t)b->model.info.layers, sizeof *keep);
  if (!keep) TRY_DONE(error_memory(error));
  TRY_DONE(layers_resolve(b->arguments->layers, b->model.info.layers, "--layers", keep, error));
  TRY_DONE(prepare(b, error));
  for (int layer = 0; layer < b->model.info.layers; layer++)
    if (keep[layer]) TRY_DONE(find_values(b, layer, error));
  status = b->arguments->sweep.output ? store(b, keep, error) : print_all(b, keep, error);
done:
  free(keep);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  Arguments *a = opaque;
  Baseline b = {.arguments = a};
  xt_error error;
  a->sweep.has_task = option_is_given(cli, "task");
  const int wrong = job_usage(cli, &a->sweep),
            wrong_chat = wrong ? 0 : chat_usage(cli, &a->sweep.chat);
  if (wrong || wrong_chat) return wrong ? wrong : wrong_chat;
  if (a->method != SAME_LAYER && !a->parallel)
    return cli_usage(cli, "--parallel: missing; %s learns from parallel prompts",
                     methods[a->method]);
  if (!layers_check(a->layers))
    return cli_usage(cli, "--layers: '%s' is not a list of layers", a->layers);
  if (a->sweep.output && a->lid)
    return cli_usage(cli, "--lid: has no effect with --output; the metrics verb then measures");
  a->sweep.source_layers = "first"; /* what is read is counted from the target layer */
  a->sweep.target_layers = a->together ? "first" : a->layers;
  const xt_status status = execute(&b, &error);
  questions_deinit(&b.questions);
  questions_deinit(&b.parallel);
  xt_langid_close(b.langid);
  free(b.states);
  free(b.sources);
  free(b.targets);
  free(b.values);
  model_deinit(&b.model);
  if (!b.stopped) return cli_exit(cli, status, &error);
  fprintf(stderr, "xtransplant %s: stopped\n", cli->verb->name);
  return interrupt_exit_code();
}

const Verb verb_baseline = {
    .name = "baseline",
    .summary = "run interventions that others have published on the same questions",
    .about =
        "Runs an intervention that others have published on the questions of a task, at each layer "
        "by itself or at several together, and prints accuracy beside the untouched model's, by "
        "language: the gain with "
        "its 95% bootstrap interval by question and the p-value of a sign-flip test and, with "
        "--lid, the share of responses in the language that is asked for, untouched and changed, "
        "and the harmonic mean of that share and accuracy (forced). same-layer replaces the last "
        "token's activation by the source prompt's at the same layer. incline adds alpha times a "
        "linear map of the target prompt's own activation, learned by least squares from targets "
        "to sources of parallel prompts. arithmetic adds alpha times the mean of the sources less "
        "the mean of the targets; forcing adds alpha times the opposite, at every token. "
        "With -o, nothing is judged: the responses are stored in a results file, as a site of its "
        "own, and report has them beside those of sweeps. "
        "docs/BASELINES.md has the formulas and their sources.",
    .example = "xtransplant baseline -m Llama-2-7b-chat-hf --method incline --parallel "
               "parallel.jsonl --pairs questions.jsonl --layers last --alpha 0.5",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
