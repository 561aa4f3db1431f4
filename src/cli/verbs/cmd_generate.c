/* SPDX-License-Identifier: Apache-2.0 */
/* generate: the untouched model's response to one prompt, or to each of many. */
#include <stdlib.h>

#include "inputs/prompt_list.h"
#include "results/response.h"
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  PromptInput prompt;
  const char *lines;
  int max_new_tokens, samples;
  double penalty, temperature, top_p;
  uint64_t seed;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    OPTION_PROMPT(Arguments, prompt),
    OPTION_PROMPT_FILE(Arguments, prompt, PROMPT_FILE_HELP),
    OPTION_LINE(Arguments, prompt.line, "line", LINE_HELP),
    OPTION_JSONL(Arguments, lines,
                 "print a line for every prompt of FILE, JSON lines as for --line: its response, "
                 "with line ends and the like escaped, or with --json as an object"),
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

/* Each response on its line. `number`: of a sample; below 0: it is none. */
static xt_status print_line(const Arguments *a, const LoadedModel *model, const Prompt *prompt,
                            xt_generation *generation, int number, xt_error *error) {
  Response response = {0};
  xt_status status = response_init(&response, model, prompt, generation, error);
  if (!status && a->model.json) {
    json_t *object = response_json(&response);
    status = object && (number < 0 || json_add(object, "sample", json_integer(number)))
                 ? json_print(object, error)
                 : error_memory(error);
  } else if (!status) {
    response_print(&response);
    putchar('\n');
  }
  response_deinit(&response);
  return status;
}

/* Generates `n` responses at once: samples of one prompt, or the greedy ones of n prompts. */
static xt_status run_many(const Arguments *a, const LoadedModel *model, const Prompt *prompts,
                          size_t n, xt_error *error) {
  const bool samples = a->samples > 0;
  xt_request *requests = calloc(n, sizeof *requests);
  xt_generation *out = calloc(n, sizeof *out);
  const xt_generate_options how = {.max_new_tokens = a->max_new_tokens,
                                   .repetition_penalty = a->penalty,
                                   .temperature = samples ? a->temperature : 0,
                                   .top_p = samples ? a->top_p : 0,
                                   .seed = samples ? a->seed : 0};
  xt_status status = requests && out ? XT_STATUS_OK : error_memory(error);
  for (size_t k = 0; k < n && !status; k++) {
    const Prompt *prompt = &prompts[samples ? 0 : k];
    requests[k] = (xt_request){
        .ids = prompt->ids, .count = prompt->count, .sample = samples ? (uint64_t)k : 0};
  }
  if (!status) status = xt_session_generate(model->session, requests, n, &how, out, error);
  for (size_t k = 0; k < n && !status; k++)
    status = print_line(a, model, &prompts[samples ? 0 : k], &out[k], samples ? (int)k : -1, error);
  for (size_t k = 0; out && k < n; k++) xt_generation_deinit(&out[k]);
  free(out);
  free(requests);
  return status;
}

#define PROMPTS_TOGETHER 1024 /* after which their lines are printed */

static xt_status run_lines(const Arguments *a, const LoadedModel *model, const PromptList *list,
                           xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t k = 0; k < list->count && !status; k += PROMPTS_TOGETHER) {
    const size_t left = list->count - k;
    status = run_many(a, model, list->prompts + k,
                      left < PROMPTS_TOGETHER ? left : PROMPTS_TOGETHER, error);
  }
  return status;
}

static xt_status run_one(const Arguments *a, const LoadedModel *model, const Prompt *prompt,
                         xt_error *error) {
  const xt_request request = {.ids = prompt->ids, .count = prompt->count};
  const xt_generate_options how = {.max_new_tokens = a->max_new_tokens,
                                   .repetition_penalty = a->penalty};
  Response response = {0};
  xt_generation generation = {0};
  const double begin = seconds_now();
  xt_status status = xt_session_generate(model->session, &request, 1, &how, &generation, error);
  if (!status) status = response_init(&response, model, prompt, &generation, error);
  if (!status) status = print_response(&response, &a->model, seconds_now() - begin, error);
  response_deinit(&response);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *a = opaque;
  LoadedModel model = {0};
  Prompt prompt = {0};
  PromptList list = {0};
  xt_error error;
  xt_status status;
  const int wrong =
      a->lines ? prompt_list_usage(cli, &a->prompt) : prompt_usage(cli, &a->prompt, "prompt");
  if (wrong) return wrong;
  if (a->lines && a->samples)
    return cli_usage(cli, "--samples: are of one prompt; with --jsonl each has one response");
  const int idle = sampling_usage(cli, a->samples);
  if (idle) return idle;
  if (a->lines)
    TRY_DONE(prompt_list_read(&a->prompt, a->lines, &list, &error));
  else
    TRY_DONE(prompt_read(&a->prompt, &prompt, &error));
  TRY_DONE(model_describe(&a->model, &model, &error));
  TRY_DONE(prompt_list_encode(&list, &model, a->max_new_tokens, &error));
  if (!a->lines) TRY_DONE(prompt_encode(&prompt, &model, a->max_new_tokens, &error));
  TRY_DONE(model_load(&a->model, &model, &error));
  status = a->lines     ? run_lines(a, &model, &list, &error)
           : a->samples ? run_many(a, &model, &prompt, (size_t)a->samples, &error)
                        : run_one(a, &model, &prompt, &error);
done:
  prompt_deinit(&prompt);
  prompt_list_deinit(&list);
  model_deinit(&model);
  return cli_exit(cli, status, &error);
}

const Verb verb_generate = {
    .name = "generate",
    .summary = "print the untouched model's response to a prompt",
    .about =
        "Generates a response to one prompt greedily, or draws several with --samples; or with "
        "--jsonl a response to every prompt of a file, which run together. A "
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
