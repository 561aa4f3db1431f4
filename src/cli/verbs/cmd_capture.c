/* SPDX-License-Identifier: Apache-2.0 */
/* capture: the taps of one prompt's last token, into a safetensors file. */
#include <stdlib.h>

#include "inputs/prompt.h"
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  PromptInput prompt;
  const char *output;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    OPTION_PROMPT(Arguments, prompt),
    OPTION_PROMPT_FILE(Arguments, prompt, PROMPT_FILE_HELP),
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, output),
     .value = "FILE",
     .required = true,
     .help = "the safetensors file to write; an existing file is replaced"},
    OPTION_LINE(Arguments, prompt.line, "line", LINE_HELP),
    OPTION_KEEP_NEWLINE(Arguments, prompt.keep_newline),
    OPTION_IDS(Arguments, prompt.ids),
    OPTIONS_CHAT(Arguments, prompt.chat),
    OPTION_NO_SPECIAL(Arguments, prompt.chat.no_special),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

static xt_status print_summary(const Arguments *arguments, const LoadedModel *model,
                               const Prompt *prompt, xt_error *error) {
  const xt_model_info *info = &model->info;
  if (!arguments->model.json) {
    char *last = prompt_last_describe(prompt);
    if (!last) return error_memory(error);
    cli_note(arguments->model.quiet,
             "wrote %s: embed [%d], attn, mid, ffn and block [%d, %d], logits [%d] of the last of "
             "%zu tokens, last token %s",
             arguments->output, info->width, info->layers, info->width, info->vocab, prompt->count,
             last);
    free(last);
    return XT_STATUS_OK;
  }
  json_t *object = json_object();
  bool ok = json_add(object, "output", json_string(arguments->output));
  ok = json_add(object, "layers", json_integer(info->layers)) && ok;
  ok = json_add(object, "width", json_integer(info->width)) && ok;
  ok = json_add(object, "vocab", json_integer(info->vocab)) && ok;
  ok = json_add(object, "ids", json_ids(prompt->ids, prompt->count)) && ok;
  ok = json_add(object, "last_token", prompt_last_json(prompt)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  LoadedModel model = {0};
  Prompt prompt = {0};
  xt_taps *taps = NULL;
  xt_error error;
  xt_status status;
  const int wrong = prompt_usage(cli, &arguments->prompt, "prompt");
  if (wrong) return wrong;
  TRY_DONE(prompt_read(&arguments->prompt, &prompt, &error));
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  TRY_DONE(prompt_encode(&prompt, &model, 0, &error));
  TRY_DONE(model_load(&arguments->model, &model, &error));
  const xt_request request = {.ids = prompt.ids, .count = prompt.count};
  TRY_DONE(xt_session_capture(model.session, &request, &taps, &error));
  TRY_DONE(xt_taps_save(taps, arguments->output, &error));
  TRY_DONE(print_summary(arguments, &model, &prompt, &error));
done:
  xt_taps_free(taps);
  prompt_deinit(&prompt);
  model_deinit(&model);
  return cli_exit(cli, status, &error);
}

const Verb verb_capture = {
    .name = "capture",
    .summary = "write a prompt's last-token activations into a safetensors file",
    .about =
        "Runs one prompt and writes the values at its last token as float32 tensors: embed [C], "
        "the input of layer 0; attn (attention output), mid (residual stream between the "
        "modules), ffn (feed-forward output) and block (layer output), each [N, C]; and logits "
        "[V]. The file's metadata holds the prompt's ids under the name ids. The file is written "
        "completely or not at all.",
    .example = "xtransplant capture -m Qwen2-7B-Instruct --prompt-file en.txt -o taps.safetensors",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
