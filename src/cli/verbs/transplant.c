/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/transplant.h"

#include <stdlib.h>
#include <string.h>

#include "shell/layers.h"
#include "shell/output.h"

#define TAIL_COLUMNS 80

const char *const rule_names[] = {
    [XT_RULE_REPLACE] = "replace", [XT_RULE_ADD] = "add", [XT_RULE_BLEND] = "blend", NULL};

int transplant_usage(const Cli *cli, const TransplantArguments *arguments) {
  if (arguments->rule == XT_RULE_REPLACE && option_is_given(cli, "alpha"))
    return cli_usage(cli,
                     "--alpha: has no effect with --rule replace; give --rule add or --rule blend");
  PromptInput source = arguments->source; /* the rows below are of both */
  source.ids = arguments->ids;
  source.chat = arguments->chat;
  int wrong = prompt_usage(cli, &source, "source");
  if (!wrong) wrong = prompt_usage(cli, &arguments->target, "target");
  if (wrong) return wrong;
  if (arguments->source.file && arguments->target.file &&
      strcmp(arguments->source.file, "-") == 0 && strcmp(arguments->target.file, "-") == 0)
    return cli_usage(cli, "--target-file: stdin is the source prompt already");
  return EXIT_OK;
}

xt_status transplant_read(const TransplantArguments *arguments, Transplant *out, xt_error *error) {
  PromptInput source = arguments->source, target = arguments->target;
  source.ids = target.ids = arguments->ids;
  source.keep_newline = target.keep_newline = arguments->keep_newline;
  source.chat = target.chat = arguments->chat;
  if (!source.line) source.line = arguments->line;
  if (!target.line) target.line = arguments->line;
  *out = (Transplant){0};
  xt_status status = words_read(arguments->track, &out->words, error);
  if (!status) status = prompt_read(&source, &out->source_prompt, error);
  return status ? status : prompt_read(&target, &out->target_prompt, error);
}

xt_status transplant_check(const TransplantArguments *arguments, const LoadedModel *model,
                           Transplant *transplant, xt_error *error) {
  const int layers = model->info.layers;
  xt_status status = layer_resolve(arguments->source_layer, layers, "--source-layer",
                                   &transplant->source_layer, error);
  if (!status)
    status = layer_resolve(arguments->target_layer, layers, "--target-layer",
                           &transplant->target_layer, error);
  if (!status)
    status = prompt_encode(&transplant->source_prompt, model, arguments->max_new_tokens, error);
  if (!status)
    status = prompt_encode(&transplant->target_prompt, model, arguments->max_new_tokens, error);
  return status;
}

/* The tokens of the words, and those of them that exist as one list. */
static xt_status find_words(const LoadedModel *model, Transplant *transplant, int32_t **ids,
                            size_t *count, xt_error *error) {
  const xt_tokenizer *tokenizer = xt_model_tokenizer(model->model);
  const size_t words = transplant->words.count;
  *count = 0;
  *ids = calloc(2 * words + 1, sizeof **ids);
  transplant->word_ids = calloc(2 * words + 1, sizeof *transplant->word_ids);
  if (!*ids || !transplant->word_ids) return error_memory(error);
  if (words && !tokenizer)
    return error_set(error, XT_STATUS_ARGUMENT, NULL, "--track", -1,
                     "needs a tokenizer, which the model does not have");
  for (size_t w = 0; w < words; w++) {
    const xt_status status = xt_tokenizer_first_tokens(tokenizer, transplant->words.at[w],
                                                       transplant->word_ids + 2 * w, error);
    if (status) return status;
    for (size_t k = 2 * w; k < 2 * w + 2; k++)
      if (transplant->word_ids[k] >= 0) (*ids)[(*count)++] = transplant->word_ids[k];
  }
  return XT_STATUS_OK;
}

xt_status transplant_run(const TransplantArguments *arguments, const LoadedModel *model, bool lens,
                         Transplant *transplant, xt_error *error) {
  const Prompt *from = &transplant->source_prompt, *to = &transplant->target_prompt;
  Response *const responses[3] = {&transplant->source, &transplant->vanilla,
                                  &transplant->transplanted};
  const Prompt *const prompts[3] = {from, to, to};
  xt_generation generations[3] = {{0}};
  xt_taps *taps = NULL;
  int32_t *tracked = NULL;
  size_t tracked_count;
  const xt_request source = {.ids = from->ids, .count = from->count};
  xt_status status;
  TRY_DONE(find_words(model, transplant, &tracked, &tracked_count, error));
  TRY_DONE(xt_session_capture(model->session, &source, &taps, error));
  const xt_intervention put = {
      .write = arguments->site.write,
      .layer = transplant->target_layer,
      .position = XT_POSITION_LAST,
      .rule = (xt_rule)arguments->rule,
      .alpha = (float)arguments->alpha,
      .value = xt_taps_get(taps, arguments->site.read, transplant->source_layer)};
  xt_request requests[3] = {
      source,
      {.ids = to->ids, .count = to->count},
      {.ids = to->ids, .count = to->count, .interventions = &put, .intervention_count = 1}};
  for (int i = 0; i < 3; i++) {
    requests[i].source = 1;
    requests[i].untouched = 2;
    requests[i].tracked = tracked;
    requests[i].tracked_count = tracked_count;
  }
  const xt_generate_options how = {.max_new_tokens = arguments->max_new_tokens,
                                   .repetition_penalty = arguments->penalty,
                                   .lens = lens};
  TRY_DONE(xt_session_generate(model->session, requests, 3, &how, generations, error));
  for (int i = 0; i < 3; i++)
    TRY_DONE(response_init(responses[i], model, prompts[i], &generations[i], error));
done:
  for (int i = 0; i < 3; i++) xt_generation_deinit(&generations[i]);
  xt_taps_free(taps);
  free(tracked);
  return status;
}

void transplant_deinit(Transplant *transplant) {
  response_deinit(&transplant->source);
  response_deinit(&transplant->vanilla);
  response_deinit(&transplant->transplanted);
  prompt_deinit(&transplant->source_prompt);
  prompt_deinit(&transplant->target_prompt);
  words_free(&transplant->words);
  free(transplant->word_ids);
}

long transplant_first_change(const Transplant *transplant) {
  const xt_generation *a = &transplant->vanilla.generation,
                      *b = &transplant->transplanted.generation;
  size_t i = 0;
  while (i < a->count && i < b->count && a->ids[i] == b->ids[i]) i++;
  return i == a->count && i == b->count ? -1 : (long)i;
}

bool transplant_json(const TransplantArguments *arguments, const Transplant *transplant,
                     json_t *object) {
  char site[XT_SITE_NAME_SIZE];
  bool ok = json_add(object, "site", json_string(xt_site_format(arguments->site, site)));
  ok = json_add(object, "source_layer", json_integer(transplant->source_layer)) && ok;
  ok = json_add(object, "target_layer", json_integer(transplant->target_layer)) && ok;
  ok = json_add(object, "rule", json_string(rule_names[arguments->rule])) && ok;
  ok = json_add(object, "alpha",
                arguments->rule == XT_RULE_REPLACE ? json_null() : json_number(arguments->alpha)) &&
       ok;
  return json_add(object, "changed", json_boolean(transplant_first_change(transplant) >= 0)) && ok;
}

xt_status transplant_note_last(bool quiet, const Transplant *transplant, xt_error *error) {
  const xt_status status = prompt_note_last(quiet, "source", &transplant->source_prompt, error);
  return status ? status : prompt_note_last(quiet, "target", &transplant->target_prompt, error);
}

static void print_prompt(const char *label, const Prompt *prompt) {
  char size[32];
  snprintf(size, sizeof size, "%zu tokens", prompt->count);
  printf("%-8s %-12s ", label, size);
  prompt_print_tail(prompt, TAIL_COLUMNS);
  putchar('\n');
}

void transplant_print_head(const TransplantArguments *arguments, const Transplant *transplant) {
  char site[XT_SITE_NAME_SIZE];
  print_prompt("source", &transplant->source_prompt);
  print_prompt("target", &transplant->target_prompt);
  printf("%s: layer %d of the source into layer %d of the target, %s",
         xt_site_format(arguments->site, site), transplant->source_layer, transplant->target_layer,
         rule_names[arguments->rule]);
  if (arguments->rule != XT_RULE_REPLACE) printf(" with alpha %g", arguments->alpha);
  fputs("\n\n", stdout);
}

void transplant_print_verdict(const Transplant *transplant) {
  const long first = transplant_first_change(transplant);
  if (first < 0)
    puts("The transplant did not change the response.");
  else
    printf("The transplant changed the response, from generated token %ld on.\n", first + 1);
}
