/* SPDX-License-Identifier: Apache-2.0 */
/* capture: the taps of the last token of one prompt, or of many, into a safetensors file; or a steering
 * vector, the mean of a tap over prompts, into a file of vectors. */
#include <stdlib.h>
#include <string.h>

#include "inputs/prompt_list.h"
#include "inputs/prompt_sums.h"
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  PromptInput prompt;
  const char *output, *lines, *mean, *minus;
  int tap;
} Arguments;

static const char *const tap_names[] = {"attn", "mid", "ffn", "block",
                                        NULL}; /* as xt_tap has them */

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
     .help = "the safetensors file to write (of --mean, by the end of its name, .safetensors, .npy "
             "or, a control vector, .gguf); an existing file is replaced"},
    OPTION_JSONL(
        Arguments, lines,
        "write the values of every prompt of FILE, JSON lines as for --line; each tensor's "
        "first dimension is then the prompts"),
    {.name = "mean",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, mean),
     .value = "FILE",
     .help =
         "instead of one prompt's values, write the mean of a tap at each layer over the prompts "
         "of FILE, JSON lines as for --line: a steering vector for --vector"},
    {.name = "minus",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, minus),
     .value = "FILE",
     .help = "subtract the mean over the prompts of this file from that of --mean"},
    {.name = "tap",
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, tap),
     .value = "TAP",
     .choices = tap_names,
     .preset = "block",
     .help = "the tap of --mean"},
    OPTION_LINE(Arguments, prompt.line, "line", LINE_HELP),
    OPTION_KEEP_NEWLINE(Arguments, prompt.keep_newline),
    OPTION_IDS(Arguments, prompt.ids),
    OPTIONS_CHAT(Arguments, prompt.chat),
    OPTION_NO_SPECIAL(Arguments, prompt.chat.no_special),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

/* Where the taps are, and the sizes of what they are of. */
static bool add_shape(json_t *object, const Arguments *arguments, const xt_model_info *info) {
  bool ok = json_add(object, "output", json_string(arguments->output));
  ok = json_add(object, "layers", json_integer(info->layers)) && ok;
  ok = json_add(object, "width", json_integer(info->width)) && ok;
  return json_add(object, "vocab", json_integer(info->vocab)) && ok;
}

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
  bool ok = add_shape(object, arguments, info);
  ok = json_add(object, "ids", json_ids(prompt->ids, prompt->count)) && ok;
  ok = json_add(object, "last_token", prompt_last_json(prompt)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

/* ---- a mean over prompts --------------------------------------------------------------------- */

/* The mean over one file, minus that over the other, as float32. */
static xt_status measure(const Arguments *arguments, const LoadedModel *model, float *out,
                         size_t counts[2], xt_error *error) {
  const size_t size = (size_t)model->info.layers * (size_t)model->info.width;
  double *sums = calloc(2 * size, sizeof *sums);
  xt_status status = sums ? XT_STATUS_OK : error_memory(error);
  const xt_tap tap = (xt_tap)arguments->tap;
  if (!status)
    status = prompt_sums_add_file(model, &arguments->prompt, arguments->mean, tap, sums, &counts[0],
                                  error);
  if (!status && arguments->minus)
    status = prompt_sums_add_file(model, &arguments->prompt, arguments->minus, tap, sums + size,
                                  &counts[1], error);
  for (size_t k = 0; !status && k < size; k++)
    out[k] = (float)(sums[k] / (double)counts[0] -
                     (arguments->minus ? sums[size + k] / (double)counts[1] : 0));
  free(sums);
  return status;
}

static xt_status capture_mean(const Arguments *arguments, const LoadedModel *model,
                              xt_error *error) {
  const xt_model_info *info = &model->info;
  size_t counts[2] = {0};
  float *values = calloc((size_t)info->layers * (size_t)info->width, sizeof *values);
  xt_status status = values ? XT_STATUS_OK : error_memory(error);
  if (!status) status = measure(arguments, model, values, counts, error);
  if (!status)
    status = xt_vector_save(arguments->output, values, info->layers, info->width,
                            info->architecture, error);
  free(values);
  if (status) return status;
  if (!arguments->model.json) {
    cli_note(arguments->model.quiet, "wrote %s: %s [%d, %d], the mean over %zu prompts%s",
             arguments->output, tap_names[arguments->tap], info->layers, info->width, counts[0],
             arguments->minus ? " minus that over the others" : "");
    return XT_STATUS_OK;
  }
  json_t *object = json_object();
  bool ok = json_add(object, "output", json_string(arguments->output));
  ok = json_add(object, "tap", json_string(tap_names[arguments->tap])) && ok;
  ok = json_add(object, "layers", json_integer(info->layers)) && ok;
  ok = json_add(object, "width", json_integer(info->width)) && ok;
  ok = json_add(object, "prompts", json_integer((json_int_t)counts[0])) && ok;
  ok = json_add(object, "prompts_minus", json_integer((json_int_t)counts[1])) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

/* ---- every prompt of a file ------------------------------------------------------------------ */

static xt_status print_lines(const Arguments *arguments, const LoadedModel *model, size_t n,
                             xt_error *error) {
  const xt_model_info *info = &model->info;
  if (!arguments->model.json) {
    cli_note(arguments->model.quiet,
             "wrote %s: embed [%zu, %d], attn, mid, ffn and block [%zu, %d, %d], logits [%zu, %d] "
             "of the last tokens of %zu prompts",
             arguments->output, n, info->width, n, info->layers, info->width, n, info->vocab, n);
    return XT_STATUS_OK;
  }
  json_t *object = json_object();
  bool ok = add_shape(object, arguments, info);
  ok = json_add(object, "prompts", json_integer((json_int_t)n)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status capture_lines(const Arguments *arguments, const LoadedModel *model,
                               const PromptList *list, xt_error *error) {
  const size_t n = list->count;
  xt_request *requests = calloc(n, sizeof *requests);
  xt_taps **taps = calloc(n, sizeof *taps);
  xt_status status = requests && taps ? XT_STATUS_OK : error_memory(error);
  for (size_t i = 0; i < n && !status; i++)
    requests[i] = (xt_request){.ids = list->prompts[i].ids, .count = list->prompts[i].count};
  if (!status) status = xt_session_capture_all(model->session, requests, n, taps, error);
  if (!status) status = xt_taps_save_all(taps, n, arguments->output, error);
  if (!status) status = print_lines(arguments, model, n, error);
  for (size_t i = 0; taps && i < n; i++) xt_taps_free(taps[i]);
  free(taps);
  free(requests);
  return status;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int check_usage(const Cli *cli, const Arguments *arguments) {
  if (!arguments->mean && arguments->minus)
    return cli_usage(cli, "--minus: needs --mean, from which it is subtracted");
  if (!arguments->mean && option_is_given(cli, "tap"))
    return cli_usage(cli, "--tap: chooses what --mean is of; without that, every tap is written");
  if (arguments->mean && arguments->lines)
    return cli_usage(cli, "--jsonl: cannot be combined with --mean, which has a file of prompts");
  if (arguments->lines) return prompt_list_usage(cli, &arguments->prompt);
  if (!arguments->mean) return prompt_usage(cli, &arguments->prompt, "prompt");
  if (arguments->prompt.text || arguments->prompt.file || arguments->prompt.line)
    return cli_usage(cli, "--mean: takes the place of --prompt, --prompt-file and --line");
  if (arguments->minus && strcmp(arguments->mean, "-") == 0 && strcmp(arguments->minus, "-") == 0)
    return cli_usage(cli, "--minus: stdin is the prompts of --mean already");
  return chat_usage(cli, &arguments->prompt.chat);
}

static xt_status capture_one(const Arguments *arguments, const LoadedModel *model,
                             const Prompt *prompt, xt_error *error) {
  const xt_request request = {.ids = prompt->ids, .count = prompt->count};
  xt_taps *taps;
  xt_status status = xt_session_capture(model->session, &request, &taps, error);
  if (status) return status;
  status = xt_taps_save(taps, arguments->output, error);
  if (!status) status = print_summary(arguments, model, prompt, error);
  xt_taps_free(taps);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  const bool one = !arguments->mean && !arguments->lines;
  LoadedModel model = {0};
  Prompt prompt = {0};
  PromptList list = {0};
  xt_error error;
  xt_status status;
  const int wrong = check_usage(cli, arguments);
  if (wrong) return wrong;
  if (one) TRY_DONE(prompt_read(&arguments->prompt, &prompt, &error));
  if (arguments->lines)
    TRY_DONE(prompt_list_read(&arguments->prompt, arguments->lines, &list, &error));
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  if (one) TRY_DONE(prompt_encode(&prompt, &model, 0, &error));
  TRY_DONE(prompt_list_encode(&list, &model, 0, &error));
  TRY_DONE(model_load(&arguments->model, &model, &error));
  if (arguments->mean)
    status = capture_mean(arguments, &model, &error);
  else if (arguments->lines)
    status = capture_lines(arguments, &model, &list, &error);
  else
    status = capture_one(arguments, &model, &prompt, &error);
done:
  prompt_deinit(&prompt);
  prompt_list_deinit(&list);
  model_deinit(&model);
  return cli_exit(cli, status, &error);
}

const Verb verb_capture = {
    .name = "capture",
    .summary = "write a prompt's last-token activations, or a steering vector, into a file",
    .about =
        "Runs one prompt and writes the values at its last token as float32 tensors: embed [C], "
        "the input of layer 0; attn (attention output), mid (residual stream between the "
        "modules), ffn (feed-forward output) and block (layer output), each [N, C]; and logits "
        "[V]. The file's metadata holds the prompt's ids under the name ids. The file is written "
        "completely or not at all. With --jsonl it runs every prompt of a file, many at a time, "
        "and "
        "each tensor has the prompts as its first dimension, as in block [prompts, N, C]; all "
        "values "
        "are in memory together. With --mean it writes the mean of one tap over many prompts, "
        "or, with --minus, the difference of two such means: a steering vector for each "
        "layer, for --vector of run and sweep, llama.cpp or repeng.",
    .example = "xtransplant capture -m Qwen2-7B-Instruct --prompt-file en.txt -o taps.safetensors",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
