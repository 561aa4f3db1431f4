/* SPDX-License-Identifier: Apache-2.0 */
/* generate: the untouched model's response to one prompt. */
#include <stdlib.h>

#include "results/response.h"
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  PromptInput prompt;
  int max_new_tokens, samples;
  double penalty, temperature, top_p;
  uint64_t seed;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    OPTION_PROMPT(Arguments, prompt),
    OPTION_PROMPT_FILE(Arguments, prompt, PROMPT_FILE_HELP),
    OPTION_LINE(Arguments, prompt.line, "line", LINE_HELP),
    OPTION_KEEP_NEWLINE(Arguments, prompt.keep_newline),
    OPTION_IDS(Arguments, prompt.ids),
    OPTIONS_CHAT(Arguments, prompt.chat),
    OPTION_NO_SPECIAL(Arguments, prompt.chat.no_special),
    OPTION_MAX_NEW_TOKENS(Arguments, max_new_tokens),
    OPTION_PENALTY(Arguments, penalty),
    {.name = "samples",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, samples),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .help = "draw N responses at random instead of the greedy one; the prompt is run once for "
             "all"},
    OPTIONS_SAMPLING(Arguments),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

static xt_status print_response(const Response *response, const ModelArguments *model,
                                double seconds, xt_error *error) {
  if (model->json) return json_print(response_json(response), error);
  /* The text as it is, not escaped: this is what a pipe wants. */
  if (response->text)
    fwrite(response->text, 1, response->length, stdout);
  else
    response_print(response);
  putchar('\n');
  char *last = prompt_last_describe(response->prompt);
  if (!last) return error_memory(error);
  cli_note(model->quiet,
           "%zu prompt tokens, last token %s; %zu new ones%s in %.2f s, smallest margin %.3g",
           response->prompt->count, last, response->generation.count,
           response->generation.stopped ? " (up to the end of text)" : "", seconds,
           (double)response_smallest_margin(response));
  free(last);
  return XT_STATUS_OK;
}

/* Each sample on its line. */
static xt_status run_samples(const Arguments *a, const LoadedModel *model, const Prompt *prompt,
                             xt_error *error) {
  const size_t n = (size_t)a->samples;
  xt_request *requests = calloc(n, sizeof *requests);
  xt_generation *out = calloc(n, sizeof *out);
  const xt_generate_options how = {.max_new_tokens = a->max_new_tokens,
                                   .repetition_penalty = a->penalty,
                                   .temperature = a->temperature,
                                   .top_p = a->top_p,
                                   .seed = a->seed};
  xt_status status = requests && out ? XT_STATUS_OK : error_memory(error);
  for (size_t k = 0; k < n && !status; k++)
    requests[k] = (xt_request){.ids = prompt->ids, .count = prompt->count, .sample = k};
  if (!status) status = xt_session_generate(model->session, requests, n, &how, out, error);
  for (size_t k = 0; k < n && !status; k++) {
    Response response = {0};
    status = response_init(&response, model, prompt, &out[k], error);
    if (!status && a->model.json) {
      json_t *object = response_json(&response);
      status = object && json_add(object, "sample", json_integer((json_int_t)k))
                   ? json_print(object, error)
                   : error_memory(error);
    } else if (!status) {
      char *line = text_escape(response.text ? response.text : "", response.length);
      if (line)
        puts(line);
      else
        status = error_memory(error);
      free(line);
    }
    response_deinit(&response);
  }
  for (size_t k = 0; out && k < n; k++) xt_generation_deinit(&out[k]);
  free(out);
  free(requests);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  LoadedModel model = {0};
  Prompt prompt = {0};
  Response response = {0};
  xt_generation generation = {0};
  xt_error error;
  xt_status status;
  const int wrong = prompt_usage(cli, &arguments->prompt, "prompt");
  if (wrong) return wrong;
  const int idle = sampling_usage(cli, arguments->samples);
  if (idle) return idle;
  TRY_DONE(prompt_read(&arguments->prompt, &prompt, &error));
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  TRY_DONE(prompt_encode(&prompt, &model, arguments->max_new_tokens, &error));
  TRY_DONE(model_load(&arguments->model, &model, &error));

  if (arguments->samples) {
    TRY_DONE(run_samples(arguments, &model, &prompt, &error));
    goto done;
  }
  const xt_request request = {.ids = prompt.ids, .count = prompt.count};
  const xt_generate_options how = {.max_new_tokens = arguments->max_new_tokens,
                                   .repetition_penalty = arguments->penalty};
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
    .summary = "print the untouched model's response to a prompt",
    .about = "Generates a response to one prompt greedily, or draws several with --samples. The "
             "prompt is used as it is, with the special tokens that the model's own tokenizer "
             "adds, or with --chat in the model's chat template. Prints the response without "
             "special tokens, and the prompt's last token on stderr. With --json also prints the "
             "ids of the prompt and of the response, and for every generated token the margin "
             "(best minus second-best logit), the entropy of its distribution in nats and its "
             "log-probability.",
    .example =
        "xtransplant generate -m Llama-2-7b-chat-hf --prompt-file split/en.json --line 3 --json",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
