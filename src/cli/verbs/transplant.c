/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/transplant.h"

#include <stdlib.h>
#include <string.h>

#include "shell/layers.h"
#include "shell/output.h"

#define TAIL_COLUMNS 80

/* Whether one prompt is the source. */
static bool has_source(const TransplantArguments *arguments) {
  return !arguments->vector && !arguments->sources;
}

int transplant_usage(const Cli *cli, TransplantArguments *arguments) {
  int wrong = ways_read(cli, &arguments->ways);
  if (wrong) return wrong;
  PromptInput source = arguments->source; /* the rows below are of both */
  source.ids = arguments->ids;
  source.chat = arguments->chat;
  if (arguments->ways.heads && (!has_source(arguments) || arguments->site.read != XT_TAP_ATTN ||
                                arguments->site.write != XT_TAP_ATTN))
    return cli_usage(cli, "--heads: needs the site attn and a source prompt");
  if (!has_source(arguments)) {
    if (source.text || source.file || (arguments->vector && arguments->sources))
      return cli_usage(cli, "--%s: takes the place of --source and --source-file%s",
                       arguments->vector ? "vector" : "sources",
                       arguments->sources && arguments->vector ? ", and of --sources" : "");
  } else {
    wrong = prompt_usage(cli, &source, "source");
    if (!wrong && !option_is_given(cli, "source-layer"))
      return cli_usage(cli, "--source-layer: missing; it is the layer that is read");
  }
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
  if (!status && has_source(arguments)) status = prompt_read(&source, &out->source_prompt, error);
  return status ? status : prompt_read(&target, &out->target_prompt, error);
}

xt_status transplant_check(const Cli *cli, const TransplantArguments *arguments,
                           const LoadedModel *model, Transplant *transplant, xt_error *error) {
  const int layers = model->info.layers;
  const int source =
      option_is_given(cli, "source-layer") ? arguments->source_layer : arguments->target_layer;
  xt_status status =
      layer_resolve(source, layers, "--source-layer", &transplant->source_layer, error);
  if (!status)
    status = layer_resolve(arguments->target_layer, layers, "--target-layer",
                           &transplant->target_layer, error);
  for (int h = model->info.heads; h < XT_SITE_HEADS && !status; h++)
    if (arguments->ways.at[0].heads[h / 64] >> h % 64 & 1)
      status = error_set(error, XT_STATUS_ARGUMENT, NULL, "--heads", -1,
                         "head %d is out of range: this model has heads 0 to %d", h,
                         model->info.heads - 1);
  if (!status && arguments->vector)
    status = vector_input_read(arguments->vector, &model->info, &transplant->vector, error);
  else if (!status && has_source(arguments))
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

/* The mean of what the site reads in each of the source prompts, summed in order. */
static xt_status measure_mean(const TransplantArguments *arguments, const LoadedModel *model,
                              Transplant *transplant, xt_error *error) {
  const PromptInput input = {.ids = arguments->ids, .chat = arguments->chat};
  const size_t size = (size_t)model->info.layers * (size_t)model->info.width;
  double *sums = calloc(size, sizeof *sums);
  size_t count = 0;
  LineReader reader;
  bool more = true;
  transplant->mean = calloc(size, sizeof *transplant->mean);
  xt_status status = sums && transplant->mean ? XT_STATUS_OK : error_memory(error);
  if (!status) status = lines_open(arguments->sources, &reader, error);
  if (status) {
    free(sums);
    return status;
  }
  while (!status && more) {
    Prompt prompt;
    xt_taps *taps = NULL;
    status = prompt_read_next(&reader, &input, &prompt, &more, error);
    if (!status && more) status = prompt_encode(&prompt, model, 0, error);
    const xt_request request = {.ids = prompt.ids, .count = prompt.count};
    if (!status && more) status = xt_session_capture(model->session, &request, &taps, error);
    for (size_t k = 0; taps && k < size; k++)
      sums[k] += (double)xt_taps_get(taps, arguments->site.read, 0)[k];
    count += taps != NULL;
    xt_taps_free(taps);
    prompt_deinit(&prompt);
  }
  if (!status && !count)
    status = error_set(error, XT_STATUS_INPUT, reader.name, NULL, -1, "has no prompts");
  for (size_t k = 0; k < size && !status; k++)
    transplant->mean[k] = (float)(sums[k] / (double)count);
  lines_close(&reader);
  free(sums);
  return status;
}

/* One intervention like `put` for each head. values: [heads][head_dim]. */
static void add_heads(const xt_model_info *info, const xt_site *way, const float *values,
                      xt_intervention put, xt_intervention *out, size_t *count) {
  put.write = XT_TAP_HEADS;
  for (put.head = 0; put.head < info->heads; put.head++) {
    put.value = values + (size_t)put.head * (size_t)info->head_dim;
    if (put.head < XT_SITE_HEADS && way->heads[put.head / 64] >> put.head % 64 & 1)
      out[(*count)++] = put;
  }
}

/* The interventions of one way, at most the model's layers, into `out`. `taps`: of the source. */
static xt_status list_writes(const TransplantArguments *arguments, const LoadedModel *model,
                             const Transplant *transplant, const xt_taps *taps, const xt_site *way,
                             xt_intervention *out, size_t *count, xt_error *error) {
  static const int positions[XT_POSITIONS_COUNT] = {[XT_POSITIONS_LAST] = XT_POSITION_LAST,
                                                    [XT_POSITIONS_ALL] = XT_POSITION_ALL,
                                                    [XT_POSITIONS_GENERATED] =
                                                        XT_POSITION_GENERATED};
  const int from = transplant->source_layer, to = transplant->target_layer,
            layers = model->info.layers, span = way->span > 1 ? way->span : 1;
  xt_status status = XT_STATUS_OK;
  *count = 0;
  for (int k = 0; !status && k < span && from + k < layers && to + k < layers; k++) {
    xt_intervention put = {.write = arguments->site.write,
                           .layer = to + k,
                           .position = positions[way->positions],
                           .rule = way->rule,
                           .alpha = way->alpha};
    if (arguments->ways.heads) {
      add_heads(&model->info, way, xt_taps_get(taps, XT_TAP_HEADS, from + k), put, out, count);
      continue;
    }
    if (transplant->mean)
      put.value = transplant->mean + (size_t)(from + k) * (size_t)model->info.width;
    else if (taps)
      put.value = xt_taps_get(taps, arguments->site.read, from + k);
    else
      status = vector_input_at(&transplant->vector, arguments->vector, from + k, &put.value, error);
    out[(*count)++] = put;
  }
  return status;
}

#define RUNS_MOST (2 + SITE_LIST_MAX) /* source, untouched, transplanted */

/* Requests: the source's, if there is one, the untouched one, and those of the ways. */
static xt_status run_all(const TransplantArguments *arguments, const LoadedModel *model, bool lens,
                         Transplant *transplant, const xt_request *requests, xt_error *error) {
  const Prompt *to = &transplant->target_prompt;
  const size_t first = has_source(arguments), count = first + 1 + arguments->ways.count;
  xt_generation generations[RUNS_MOST] = {{0}};
  const xt_generate_options how = {.max_new_tokens = arguments->max_new_tokens,
                                   .repetition_penalty = arguments->penalty,
                                   .lens = lens};
  xt_status status;
  TRY_DONE(xt_session_generate(model->session, requests, count, &how, generations, error));
  if (first)
    TRY_DONE(response_init(&transplant->source, model, &transplant->source_prompt, &generations[0],
                           error));
  TRY_DONE(response_init(&transplant->vanilla, model, to, &generations[first], error));
  for (; transplant->count < arguments->ways.count; transplant->count++)
    TRY_DONE(response_init(&transplant->transplanted[transplant->count], model, to,
                           &generations[first + 1 + transplant->count], error));
done:
  for (size_t i = 0; i < count; i++) xt_generation_deinit(&generations[i]);
  return status;
}

xt_status transplant_run(const TransplantArguments *arguments, const LoadedModel *model, bool lens,
                         Transplant *transplant, xt_error *error) {
  const Prompt *from = &transplant->source_prompt, *to = &transplant->target_prompt;
  const Ways *ways = &arguments->ways;
  const size_t most = (size_t)model->info.layers * (size_t)(ways->heads ? model->info.heads : 1);
  const xt_request source = {.ids = from->ids, .count = from->count},
                   target = {.ids = to->ids, .count = to->count};
  xt_request requests[RUNS_MOST], *next = requests;
  xt_intervention *writes = calloc(ways->count * most, sizeof *writes);
  xt_taps *taps = NULL;
  int32_t *tracked = NULL;
  size_t tracked_count;
  xt_status status = XT_STATUS_OK;
  if (!writes) return error_memory(error);
  TRY_DONE(find_words(model, transplant, &tracked, &tracked_count, error));
  if (arguments->sources) TRY_DONE(measure_mean(arguments, model, transplant, error));
  if (has_source(arguments)) {
    *next++ = source;
    TRY_DONE(xt_session_capture(model->session, &source, &taps, error));
  }
  *next++ = target;
  for (size_t k = 0; k < ways->count; k++, next++) {
    *next = target;
    next->interventions = writes + k * most;
    TRY_DONE(list_writes(arguments, model, transplant, taps, &ways->at[k], writes + k * most,
                         &next->intervention_count, error));
  }
  if (has_source(arguments))
    for (xt_request *r = requests; r < next; r++) {
      r->source = 1;
      r->untouched = 2;
      r->tracked = tracked;
      r->tracked_count = tracked_count;
    }
  status = run_all(arguments, model, lens, transplant, requests, error);
done:
  xt_taps_free(taps);
  free(tracked);
  free(writes);
  return status;
}

void transplant_deinit(Transplant *transplant) {
  vector_input_deinit(&transplant->vector);
  free(transplant->mean);
  response_deinit(&transplant->source);
  response_deinit(&transplant->vanilla);
  for (size_t k = 0; k < transplant->count; k++) response_deinit(&transplant->transplanted[k]);
  prompt_deinit(&transplant->source_prompt);
  prompt_deinit(&transplant->target_prompt);
  words_free(&transplant->words);
  free(transplant->word_ids);
}

long transplant_first_change(const Transplant *transplant, size_t k) {
  const xt_generation *a = &transplant->vanilla.generation,
                      *b = &transplant->transplanted[k].generation;
  size_t i = 0;
  while (i < a->count && i < b->count && a->ids[i] == b->ids[i]) i++;
  return i == a->count && i == b->count ? -1 : (long)i;
}

const char *transplant_name(const TransplantArguments *arguments, const Transplant *transplant,
                            size_t k, char name[XT_SITE_NAME_SIZE]) {
  xt_site site = arguments->ways.at[k];
  site.read = arguments->site.read;
  site.write = arguments->site.write;
  if (arguments->vector) {
    site.from = XT_FROM_VECTOR;
    strcpy(site.label, transplant->vector.label);
  }
  return xt_site_format(site, name);
}

bool transplant_way_json(const TransplantArguments *arguments, const Transplant *transplant,
                         size_t k, json_t *object) {
  const xt_site *way = &arguments->ways.at[k];
  bool ok = json_add(object, "rule", json_string(xt_rule_name(way->rule)));
  ok = json_add(object, "alpha",
                way->rule == XT_RULE_REPLACE ? json_null() : json_number((double)way->alpha)) &&
       ok;
  ok = json_add(object, "span", json_integer(way->span > 1 ? way->span : 1)) && ok;
  ok = json_add(object, "positions", json_string(xt_positions_name(way->positions))) && ok;
  return json_add(object, "changed", json_boolean(transplant_first_change(transplant, k) >= 0)) &&
         ok;
}

bool transplant_json(const TransplantArguments *arguments, const Transplant *transplant,
                     json_t *object) {
  char site[XT_SITE_NAME_SIZE];
  bool ok = json_add(object, "site", json_string(xt_site_format(arguments->site, site)));
  ok = json_add(object, "source_layer", json_integer(transplant->source_layer)) && ok;
  ok = json_add(object, "target_layer", json_integer(transplant->target_layer)) && ok;
  if (arguments->vector) ok = json_add(object, "vector", json_string(arguments->vector)) && ok;
  if (arguments->sources) ok = json_add(object, "sources", json_string(arguments->sources)) && ok;
  return transplant_way_json(arguments, transplant, 0, object) && ok;
}

xt_status transplant_note_last(bool quiet, const Transplant *transplant, xt_error *error) {
  const bool source = !transplant->vector.vector && !transplant->mean;
  const xt_status status =
      !source ? XT_STATUS_OK : prompt_note_last(quiet, "source", &transplant->source_prompt, error);
  return status ? status : prompt_note_last(quiet, "target", &transplant->target_prompt, error);
}

static void print_prompt(const char *label, const Prompt *prompt) {
  char size[32];
  snprintf(size, sizeof size, "%zu tokens", prompt->count);
  printf("%-8s %-12s ", label, size);
  prompt_print_tail(prompt, TAIL_COLUMNS);
  putchar('\n');
}

/* "add with alpha 2 at all positions", after a comma if it is not the first. */
static void print_way(const TransplantArguments *arguments, size_t k) {
  const xt_site *way = &arguments->ways.at[k];
  printf("%s%s", k ? ", " : "", xt_rule_name(way->rule));
  if (way->rule != XT_RULE_REPLACE) printf(" with alpha %g", (double)way->alpha);
  if (way->span > 1) printf(" over %d layers", way->span);
  if (arguments->ways.heads) printf(" in heads %s", arguments->ways.heads);
  if (way->positions == XT_POSITIONS_ALL) fputs(" at every token", stdout);
  if (way->positions == XT_POSITIONS_GENERATED) fputs(" at every generated token", stdout);
}

void transplant_print_head(const TransplantArguments *arguments, const Transplant *transplant) {
  char site[XT_SITE_NAME_SIZE];
  if (has_source(arguments)) print_prompt("source", &transplant->source_prompt);
  print_prompt("target", &transplant->target_prompt);
  printf("%s: layer %d of the %s into layer %d of the target, ",
         xt_site_format(arguments->site, site), transplant->source_layer,
         arguments->vector    ? "vector"
         : arguments->sources ? "sources' mean"
                              : "source",
         transplant->target_layer);
  for (size_t k = 0; k < arguments->ways.count; k++) print_way(arguments, k);
  fputs("\n\n", stdout);
}

void transplant_print_verdict(const Transplant *transplant) {
  if (transplant->count > 1) return; /* the rows show it */
  const long first = transplant_first_change(transplant, 0);
  if (first < 0)
    puts("The transplant did not change the response.");
  else
    printf("The transplant changed the response, from generated token %ld on.\n", first + 1);
}
