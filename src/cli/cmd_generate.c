/* SPDX-License-Identifier: Apache-2.0 */
/* generate: the untouched model's response to one prompt. */
#include "output.h"
#include "response.h"
#include "verbs.h"

typedef struct Arguments {
  ModelArguments model;
  const char *prompt_file;
  int line, max_new_tokens;
  bool ids;
  double penalty;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    {.name = "prompt-file", .letter = 'f', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, prompt_file),
     .value = "FILE", .required = true, .help = "the prompt, exactly as the file has it; - is stdin"},
    OPTION_LINE(Arguments, line, "line", LINE_HELP),
    OPTION_IDS(Arguments, ids),
    OPTION_MAX_NEW_TOKENS(Arguments, max_new_tokens),
    OPTION_PENALTY(Arguments, penalty),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

static xt_status print_response(const Response *response, const ModelArguments *model, double seconds, xt_error *error) {
  if (model->json) return json_print(response_json(response), error);
  /* The text as it is, not escaped: this is what a pipe wants. */
  if (response->text) fwrite(response->text, 1, response->length, stdout);
  else response_print(response);
  putchar('\n');
  cli_note(model->quiet, "%zu prompt tokens, %zu new ones%s in %.2f s, smallest margin %.3g", response->prompt->count,
           response->generation.count, response->generation.stopped ? " (to the end of text)" : "", seconds,
           (double)response_smallest_margin(response));
  return XT_STATUS_OK;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  LoadedModel model = {0};
  Prompt prompt = {0};
  Response response = {0};
  xt_generation generation = {0};
  xt_error error;
  xt_status status;
  TRY_DONE(prompt_read(arguments->prompt_file, arguments->line, arguments->ids, &prompt, &error));
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  TRY_DONE(prompt_encode(&prompt, &model, arguments->max_new_tokens, &error));
  TRY_DONE(model_load(&arguments->model, &model, &error));

  const xt_request request = {.ids = prompt.ids, .count = prompt.count};
  const xt_generate_options how = {.max_new_tokens = arguments->max_new_tokens, .repetition_penalty = arguments->penalty};
  const double begin = seconds_now();
  TRY_DONE(xt_session_generate(model.session, &request, 1, &how, &generation, &error));
  TRY_DONE(response_init(&response, &model, &prompt, &generation, &error));
  TRY_DONE(print_response(&response, &arguments->model, seconds_now() - begin, &error));
done:
  response_deinit(&response);
  prompt_deinit(&prompt);
  model_deinit(&model);
  return cli_exit(cli, status, &error);
}

const Verb verb_generate = {
    .name = "generate",
    .summary = "the untouched model's response to a prompt",
    .about = "Generates greedily from one prompt, given raw: no chat template, special tokens as the model's own tokenizer adds "
             "them. The file's bytes are the prompt, a last newline too. Prints the response without special tokens; with "
             "--json also the prompt's and the generated ids, and for every token the margin (best minus second-best logit), "
             "the entropy of its distribution in nats and its log-probability.",
    .example = "xtransplant generate -m Llama-2-7b-chat-hf --prompt-file split/en.json --line 3 --json",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
