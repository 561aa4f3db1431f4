/* SPDX-License-Identifier: Apache-2.0 */
/* run: one transplant, and the responses to both prompts without it. */
#include "shell/output.h"
#include "verbs/sweep_job.h"
#include "verbs/transplant.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  TransplantArguments transplant;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    OPTIONS_TRANSPLANT(Arguments, transplant),
    {.name = "sources",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, transplant.sources),
     .value = "FILE",
     .help =
         "in place of a source prompt: the prompts of FILE, JSON lines as for --line, such as one "
         "question in several languages; the mean of their values is written"},
    {.name = "pairs",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, transplant.pairs),
     .value = "FILE",
     .help = "in place of both prompts: JSON lines {source, target, ...} as sweep's --pairs has "
             "them, of which --line takes one; - reads standard input"},
    OPTION_SOURCE_LANGS(Arguments, transplant.source_langs),
    {.name = "track",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, transplant.track),
     .value = "LIST|FILE",
     .help = "words whose log-probability as the first token is printed with --json, separated "
             "by commas or on the lines of a file"},
    OPTION_VECTOR(Arguments, transplant.vector),
    OPTION_PLAN(Arguments, transplant.plan,
                "in place of --site and how it writes: a JSON list of interventions by name, each "
                "of several transplants at once; each is run"),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

/* {"kl_untouched", "kl_source", "tracked": [[word, spelling, log-probability], ..]} */
static json_t *effects_json(const Transplant *transplant, const xt_generation *g) {
  if (!g->effect_count) return json_null();
  json_t *object = json_object(), *list = json_array();
  const float *next = g->effects + XT_EFFECT_TRACKED;
  bool ok =
      json_add(object, "kl_untouched", json_number((double)g->effects[XT_EFFECT_KL_UNTOUCHED]));
  ok = json_add(object, "kl_source", json_number((double)g->effects[XT_EFFECT_KL_SOURCE])) && ok;
  for (size_t k = 0; k < 2 * transplant->words.count && list; k++) {
    const char *word = transplant->words.at[k / 2];
    if (transplant->word_ids[k] < 0) continue;
    ok = json_array_append_new(list, json_pack("[s, s+, o]", word, k % 2 ? " " : "", word,
                                               json_number((double)*next))) == 0 &&
         ok;
    next++;
  }
  if (json_add(object, "tracked", list) && ok) return object;
  json_decref(object);
  return NULL;
}

/* A response with the numbers of its first token. */
static json_t *with_effects(const Transplant *transplant, const Response *response) {
  json_t *object = response_json(response);
  if (object && json_add(object, "effects", effects_json(transplant, &response->generation)))
    return object;
  json_decref(object);
  return NULL;
}

/* One of several: of the options, with its "site", or of a plan, with its "name". NULL: memory ran
 * out. */
static json_t *way_json(const TransplantArguments *arguments, const Transplant *transplant,
                        size_t k) {
  char name[XT_SITE_NAME_SIZE];
  json_t *object = json_object();
  bool ok = json_add(object, arguments->plan ? "name" : "site",
                     json_string(transplant_name(arguments, transplant, k, name)));
  ok = transplant_way_json(arguments, transplant, k, object) && ok;
  ok = json_add(object, "transplanted", with_effects(transplant, &transplant->transplanted[k])) &&
       ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

static xt_status print_as_json(const TransplantArguments *arguments, const Transplant *transplant,
                               xt_error *error) {
  json_t *object = json_object();
  const bool source = transplant_has_source(arguments);
  bool ok = json_add(object, "source",
                     source ? with_effects(transplant, &transplant->source) : json_null());
  ok = json_add(object, "vanilla", with_effects(transplant, &transplant->vanilla)) && ok;
  if (arguments->plan) {
    ok = json_add(object, "plan", json_string(arguments->plan)) && ok;
  } else {
    ok = json_add(object, "transplanted", with_effects(transplant, &transplant->transplanted[0])) &&
         ok;
    ok = transplant_json(arguments, transplant, object) && ok;
  }
  if (arguments->plan || transplant->count > 1) {
    json_t *ways = json_array();
    for (size_t k = 0; k < transplant->count; k++)
      ok = json_array_append_new(ways, way_json(arguments, transplant, k)) == 0 && ok;
    ok = json_add(object, arguments->plan ? "interventions" : "ways", ways) && ok;
  }
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static void print_row(const char *label, const Response *response) {
  printf("%-13s %6zu %10.3g  ", label, response->generation.count,
         (double)response_smallest_margin(response));
  response_print(response);
  putchar('\n');
}

static void print_as_text(const TransplantArguments *arguments, const Transplant *transplant) {
  char name[XT_SITE_NAME_SIZE];
  transplant_print_head(arguments, transplant);
  printf("%-13s %6s %10s  %s\n", "run", "tokens", "margin", "response");
  if (transplant_has_source(arguments)) print_row("source", &transplant->source);
  print_row("untouched", &transplant->vanilla);
  for (size_t k = 0; k < transplant->count; k++)
    print_row(transplant->count == 1 && !arguments->plan
                  ? "transplanted"
                  : transplant_name(arguments, transplant, k, name),
              &transplant->transplanted[k]);
  putchar('\n');
  transplant_print_verdict(transplant);
}

static int run(const Cli *cli, void *opaque) {
  Arguments *arguments = opaque;
  TransplantArguments *how = &arguments->transplant;
  LoadedModel model = {0};
  Transplant transplant = {0};
  xt_error error;
  xt_status status;
  const int wrong = transplant_usage(cli, how);
  if (wrong) return wrong;
  TRY_DONE(transplant_read(how, &transplant, &error));
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  TRY_DONE(transplant_check(cli, how, &model, &transplant, &error));
  TRY_DONE(model_load(&arguments->model, &model, &error));
  TRY_DONE(transplant_run(how, &model, false, &transplant, &error));
  if (arguments->model.json) {
    TRY_DONE(print_as_json(how, &transplant, &error));
  } else {
    TRY_DONE(transplant_note_last(arguments->model.quiet, &transplant, &error));
    print_as_text(how, &transplant);
  }
done:
  transplant_deinit(&transplant);
  model_deinit(&model);
  return cli_exit(cli, status, &error);
}

const Verb verb_run = {
    .name = "run",
    .summary = "run one transplant and print the source, untouched and transplanted responses",
    .about = "Runs the source prompt, reads the activation of the site at layer I of its last "
             "token, and runs the target prompt with that activation written at layer J of its "
             "last token. The tokens that follow are generated without further change. Prints "
             "the responses to the source prompt alone, to the untouched target prompt and to "
             "the transplanted one, each with its smallest margin (best minus second-best "
             "logit), and the last token of each prompt on stderr. With --json also the numbers of "
             "each run's first token: the Kullback-Leibler divergences from the untouched run "
             "and from the source prompt's, and the log-probabilities of the words of --track.",
    .example = "xtransplant run -m Llama-2-7b-chat-hf --source-file en.txt --target-file sw.txt "
               "--site ffn --source-layer first --target-layer first",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
