/* SPDX-License-Identifier: Apache-2.0 */
/* run: one transplant, and the responses to both prompts without it. */
#include "shell/output.h"
#include "verbs/transplant.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  TransplantArguments transplant;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),     OPTIONS_TRANSPLANT(Arguments, transplant, true),
    OPTIONS_COMPUTE(Arguments, model),  OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

static xt_status print_as_json(const TransplantArguments *arguments, const Transplant *transplant,
                               xt_error *error) {
  json_t *object = json_object();
  bool ok = json_add(object, "source", response_json(&transplant->source));
  ok = json_add(object, "vanilla", response_json(&transplant->vanilla)) && ok;
  ok = json_add(object, "transplanted", response_json(&transplant->transplanted)) && ok;
  ok = transplant_json(arguments, transplant, object) && ok;
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
  transplant_print_head(arguments, transplant);
  printf("%-13s %6s %10s  %s\n", "run", "tokens", "margin", "response");
  print_row("source", &transplant->source);
  print_row("untouched", &transplant->vanilla);
  print_row("transplanted", &transplant->transplanted);
  putchar('\n');
  transplant_print_verdict(transplant);
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  const TransplantArguments *how = &arguments->transplant;
  LoadedModel model = {0};
  Transplant transplant = {0};
  xt_error error;
  xt_status status;
  const int wrong = transplant_usage(cli, how);
  if (wrong) return wrong;
  TRY_DONE(transplant_read(how, &transplant, &error));
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  TRY_DONE(transplant_check(how, &model, &transplant, &error));
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
             "logit), and the last token of each prompt on stderr.",
    .example = "xtransplant run -m Llama-2-7b-chat-hf --source-file en.txt --target-file sw.txt "
               "--site ffn --source-layer first --target-layer first",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
