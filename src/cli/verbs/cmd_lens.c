/* SPDX-License-Identifier: Apache-2.0 */
/* lens: what each layer would predict at each generated token. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/lens_html.h"
#include "shell/layers.h"
#include "shell/output.h"
#include "verbs/transplant.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  PromptInput prompt; /* line, ids and keep_newline are those of the transplant */
  const char *layers, *html;
  int width;
  TransplantArguments transplant;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    {.name = "prompt",
     .letter = 'p',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, prompt.text),
     .value = "TEXT",
     .help = "a single prompt, which is run without a transplant"},
    OPTION_PROMPT_FILE(Arguments, prompt, "the file with that prompt; - is stdin"),
    OPTIONS_TRANSPLANT(Arguments, transplant),
    {.name = "layers",
     .type = OPTION_LAYERS,
     .field = OPTION_FIELD(Arguments, const char *, layers),
     .value = "LIST",
     .preset = "all",
     .help = "the layers to show: all, first, last, 3, 0-7 or 0,5,31"},
    {.name = "width",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, width),
     .value = "N",
     .low = 40,
     .high = 10000,
     .preset = "120",
     .help = "how many characters wide a printed table is; tokens that do not fit follow in "
             "further tables"},
    {.name = "html",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, html),
     .value = "FILE",
     .help = "write the tables as an HTML page with cells coloured by probability instead of "
             "printing them"},
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

#define LABEL_COLUMNS 6
#define TOKEN_COLUMNS 11
#define CELL_COLUMNS (TOKEN_COLUMNS + 7) /* a gap, and " 100%" */

static xt_status print_cell(const LensView *view, int32_t id, double logprob, xt_error *error) {
  char *text = NULL;
  size_t length;
  const xt_status status = lens_token_text(view, id, &text, &length, error);
  if (status) return status;
  char *line = text_escape(text, length);
  free(text);
  if (!line) return error_memory(error);
  fputs("  ", stdout);
  print_fitted(line, TOKEN_COLUMNS, false);
  printf(" %3.0f%%", 100 * exp(logprob));
  free(line);
  return XT_STATUS_OK;
}

/* Tokens first..first+count-1, the highest layer on top as in the model. */
static xt_status print_block(const LensView *view, const xt_generation *g, size_t first,
                             size_t count, xt_error *error) {
  printf("%*s", LABEL_COLUMNS, "token");
  for (size_t t = first; t < first + count; t++)
    printf("  %-*zu", t + 1 < first + count ? CELL_COLUMNS - 2 : 0, t + 1);
  printf("\n%*s", LABEL_COLUMNS, "chosen");
  xt_status status = XT_STATUS_OK;
  for (size_t t = first; !status && t < first + count; t++)
    status = print_cell(view, g->ids[t], (double)g->logprobs[t], error);
  putchar('\n');
  for (int layer = view->layers - 1; !status && layer >= 0; layer--) {
    if (!view->keep[layer]) continue;
    printf("%*d", LABEL_COLUMNS, layer);
    for (size_t t = first; !status && t < first + count; t++) {
      const size_t at = t * (size_t)g->layers + (size_t)layer;
      status = print_cell(view, g->lens_ids[at], (double)g->lens_logprobs[at], error);
    }
    putchar('\n');
  }
  putchar('\n');
  return status;
}

static xt_status print_table(const LensView *view, const char *label, const Response *response,
                             xt_error *error) {
  const xt_generation *g = &response->generation;
  const size_t fit = (size_t)((view->width - LABEL_COLUMNS) / CELL_COLUMNS);
  printf("%s: ", label);
  response_print(response);
  putchar('\n');
  xt_status status = XT_STATUS_OK;
  for (size_t first = 0; !status && first < g->count; first += fit)
    status = print_block(view, g, first, g->count - first < fit ? g->count - first : fit, error);
  return status;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *text_json(const LensView *view, int32_t id) {
  char *text = NULL;
  size_t length;
  xt_error ignored;
  if (lens_token_text(view, id, &text, &length, &ignored) != XT_STATUS_OK) return NULL;
  json_t *value = json_text(text, length);
  free(text);
  return value;
}

/* G with "lens": arrays with a row per generated token, which has an item per shown layer. */
static json_t *lens_json(const LensView *view, const Response *response) {
  const xt_generation *g = &response->generation;
  json_t *object = response_json(response), *lens = json_object();
  json_t *layers = json_array(), *ids = json_array(), *texts = json_array(),
         *logprobs = json_array();
  bool ok = object && layers && ids && texts && logprobs;
  for (int layer = 0; layer < view->layers && ok; layer++)
    if (view->keep[layer]) ok = json_array_append_new(layers, json_integer(layer)) == 0;
  for (size_t t = 0; t < g->count && ok; t++) {
    json_t *row_ids = json_array(), *row_texts = json_array(), *row_logprobs = json_array();
    for (int layer = 0; layer < view->layers && ok; layer++) {
      if (!view->keep[layer]) continue;
      const size_t at = t * (size_t)g->layers + (size_t)layer;
      ok = json_array_append_new(row_ids, json_integer(g->lens_ids[at])) == 0;
      ok = json_array_append_new(row_texts, text_json(view, g->lens_ids[at])) == 0 && ok;
      ok =
          json_array_append_new(row_logprobs, json_number((double)g->lens_logprobs[at])) == 0 && ok;
    }
    ok = json_array_append_new(ids, row_ids) == 0 && ok;
    ok = json_array_append_new(texts, row_texts) == 0 && ok;
    ok = json_array_append_new(logprobs, row_logprobs) == 0 && ok;
  }
  ok = json_add(lens, "layers", layers) && ok;
  ok = json_add(lens, "ids", ids) && ok;
  ok = json_add(lens, "texts", texts) && ok;
  ok = json_add(lens, "logprobs", logprobs) && ok;
  ok = json_add(object, "lens", lens) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static xt_status draw_transplant(const Arguments *arguments, const LensView *view,
                                 const Transplant *t, xt_error *error) {
  char site[XT_SITE_NAME_SIZE], title[240], taken[80], put[120];
  xt_site_format(arguments->transplant.site, site);
  snprintf(title, sizeof title, "%s: layer %d of the source into layer %d of the target", site,
           t->source_layer, t->target_layer);
  snprintf(taken, sizeof taken, "layer %d: the last prompt token's activation is taken here",
           t->source_layer);
  snprintf(put, sizeof put,
           "layer %d: the source's activation is put here, at the last prompt token (%s)",
           t->target_layer, xt_rule_name(arguments->transplant.ways.at[0].rule));
  const LensRun runs[] = {
      {.title = "Source", .mark = taken, .marked_layer = t->source_layer, .response = &t->source},
      {.title = "Target, untouched", .response = &t->vanilla},
      {.title = "Target, transplanted",
       .mark = put,
       .marked_layer = t->target_layer,
       .response = &t->transplanted[0]}};
  return lens_write_html(arguments->html, view, title, runs, 3, error);
}

static xt_status show_transplant(const Arguments *arguments, const LensView *view,
                                 const Transplant *transplant, xt_error *error) {
  if (arguments->html) {
    const xt_status drawn = draw_transplant(arguments, view, transplant, error);
    if (drawn || !arguments->model.json) return drawn;
  }
  if (arguments->model.json) {
    json_t *object = json_object();
    bool ok = json_add(object, "source", lens_json(view, &transplant->source));
    ok = json_add(object, "vanilla", lens_json(view, &transplant->vanilla)) && ok;
    ok = json_add(object, "transplanted", lens_json(view, &transplant->transplanted[0])) && ok;
    ok = transplant_json(&arguments->transplant, transplant, object) && ok;
    if (ok) return json_print(object, error);
    json_decref(object);
    return error_memory(error);
  }
  transplant_print_head(&arguments->transplant, transplant);
  xt_status status = print_table(view, "source", &transplant->source, error);
  if (!status) status = print_table(view, "untouched", &transplant->vanilla, error);
  if (!status) status = print_table(view, "transplanted", &transplant->transplanted[0], error);
  if (!status) transplant_print_verdict(transplant);
  return status;
}

static xt_status show_prompt(const Arguments *arguments, const LensView *view,
                             const Response *response, xt_error *error) {
  if (arguments->html) {
    const LensRun run = {.title = "Untouched", .response = response};
    const xt_status drawn =
        lens_write_html(arguments->html, view, "Intermediate decoding", &run, 1, error);
    if (drawn || !arguments->model.json) return drawn;
  }
  if (!arguments->model.json) return print_table(view, "untouched", response, error);
  json_t *object = json_object();
  if (json_add(object, "vanilla", lens_json(view, response))) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status run_prompt(const Arguments *arguments, const LoadedModel *model,
                            const Prompt *prompt, Response *response, xt_error *error) {
  const xt_request request = {.ids = prompt->ids, .count = prompt->count};
  const xt_generate_options how = {.max_new_tokens = arguments->transplant.max_new_tokens,
                                   .repetition_penalty = arguments->transplant.penalty,
                                   .lens = true};
  xt_generation generation = {0};
  const xt_status status =
      xt_session_generate(model->session, &request, 1, &how, &generation, error);
  if (status) return status;
  return response_init(response, model, prompt, &generation, error);
}

/* Either one prompt or a whole transplant; 0, or an exit code after saying what is missing. */
static int check_arguments(const Cli *cli, Arguments *arguments) {
  static const char *const needed[] = {"site", "source-layer", "target-layer"};
  static const char *const prompts[] = {"source", "source-file", "target", "target-file"};
  const char *missing = NULL, *given = NULL;
  const bool single = arguments->prompt.text || arguments->prompt.file;
  for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++)
    if (option_is_given(cli, prompts[i])) given = prompts[i];
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
    if (option_is_given(cli, needed[i]))
      given = needed[i];
    else if (!missing)
      missing = needed[i];
  }
  if (single && given)
    return cli_usage(cli, "--%s: cannot be combined with --prompt%s", given,
                     arguments->prompt.file ? "-file" : "");
  PromptInput input = arguments->prompt; /* the transplant's options also belong to a single
                                            prompt */
  input.ids = arguments->transplant.ids;
  input.chat = arguments->transplant.chat;
  if (single) return prompt_usage(cli, &input, "prompt");
  if (!given)
    return cli_usage(cli, "--prompt-file: missing; give it, or --source-file, --target-file, "
                          "--site, --source-layer and --target-layer");
  if (missing)
    return cli_usage(cli, "--%s: missing; a transplant needs it beside --%s", missing, given);
  const int wrong = transplant_usage(cli, &arguments->transplant);
  if (!wrong && arguments->transplant.ways.count > 1)
    return cli_usage(cli,
                     "--rule, --alpha, --positions: lens shows one transplant; give one of each");
  return wrong;
}

static int run(const Cli *cli, void *opaque) {
  Arguments *arguments = opaque;
  const TransplantArguments *how = &arguments->transplant;
  const int wrong = check_arguments(cli, arguments);
  if (wrong) return wrong;
  PromptInput input = arguments->prompt;
  const bool single = input.text || input.file;
  LoadedModel model = {0};
  Transplant transplant = {0};
  Prompt prompt = {0};
  Response response = {0};
  LensView view = {.width = arguments->width};
  xt_error error;
  xt_status status;
  input.line = how->line;
  input.ids = how->ids;
  input.chat = how->chat;
  input.keep_newline = how->keep_newline;
  if (single)
    TRY_DONE(prompt_read(&input, &prompt, &error));
  else
    TRY_DONE(transplant_read(how, &transplant, &error));
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  view.layers = model.info.layers;
  view.keep = calloc((size_t)view.layers, sizeof *view.keep);
  if (!view.keep) TRY_DONE(error_memory(&error));
  TRY_DONE(layers_resolve(arguments->layers, view.layers, "--layers", view.keep, &error));
  if (single)
    TRY_DONE(prompt_encode(&prompt, &model, how->max_new_tokens, &error));
  else
    TRY_DONE(transplant_check(cli, how, &model, &transplant, &error));
  TRY_DONE(model_load(&arguments->model, &model, &error));
  view.tokenizer = xt_model_tokenizer(model.model);
  if (single) {
    TRY_DONE(run_prompt(arguments, &model, &prompt, &response, &error));
    TRY_DONE(show_prompt(arguments, &view, &response, &error));
    if (!arguments->model.json)
      TRY_DONE(prompt_note_last(arguments->model.quiet, "prompt", &prompt, &error));
  } else {
    TRY_DONE(transplant_run(how, &model, true, &transplant, &error));
    TRY_DONE(show_transplant(arguments, &view, &transplant, &error));
    if (!arguments->model.json)
      TRY_DONE(transplant_note_last(arguments->model.quiet, &transplant, &error));
  }
done:
  free(view.keep);
  response_deinit(&response);
  prompt_deinit(&prompt);
  transplant_deinit(&transplant);
  model_deinit(&model);
  return cli_exit(cli, status, &error);
}

const Verb verb_lens = {
    .name = "lens",
    .summary = "show what each layer would predict, with and without a transplant",
    .about = "Shows the intermediate decoding (logit lens): the model's final norm and unembedding "
             "are applied to the output of every layer, at every generated token. Prints one table "
             "for each run: of the source prompt, of the untouched target prompt and of the "
             "transplant, or of one prompt alone. A table's rows are layers, with the last on top, "
             "and its columns are generated tokens. Each cell shows the most likely token and its "
             "probability. The row \"chosen\" shows the tokens that were generated; a repetition "
             "penalty can make them differ from those of the last layer.",
    .example = "xtransplant lens -m Qwen2-7B-Instruct --source-file en.txt --target-file sw.txt "
               "--site attn --source-layer last --target-layer first -n 5",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
