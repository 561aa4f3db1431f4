/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/transplant.h"

#include <stdlib.h>
#include <string.h>

#include "inputs/prompt_sums.h"
#include "shell/layers.h"
#include "shell/output.h"
#include "verbs/transplant_pair.h"

#define TAIL_COLUMNS 80

bool transplant_has_source(const TransplantArguments *arguments) {
  if (arguments->pairs) return true;
  if (arguments->plan) return arguments->source.text || arguments->source.file;
  return !arguments->vector && !arguments->sources;
}

/* The number of transplants. */
static size_t count_of(const TransplantArguments *arguments, const Transplant *transplant) {
  return arguments->plan ? transplant->plan.count : arguments->ways.count;
}

/* The k-th way with its taps. */
static xt_site site_of(const TransplantArguments *arguments, size_t k) {
  xt_site site = arguments->ways.at[k];
  site.read = arguments->site.read;
  site.write = arguments->site.write;
  return site;
}

/* Which options are needed, and which --plan takes the place of. */
static int check_plan(const Cli *cli, const TransplantArguments *arguments) {
  static const char *const replaced[] = {"site",  "rule",   "alpha",   "span",        "positions",
                                         "heads", "vector", "sources", "source-langs"};
  for (size_t k = 0; arguments->plan && k < sizeof replaced / sizeof *replaced; k++)
    if (option_is_given(cli, replaced[k]))
      return cli_usage(cli, "--%s: cannot be combined with --plan, whose file says it",
                       replaced[k]);
  if (!arguments->plan && !option_is_given(cli, "site"))
    return cli_usage(cli, "--site: missing; it is what is read and written");
  if (!arguments->plan && !option_is_given(cli, "target-layer"))
    return cli_usage(cli, "--target-layer: missing; it is the layer that is written");
  return EXIT_OK;
}

/* Where the prompts are. */
static int check_prompts(const Cli *cli, const TransplantArguments *arguments) {
  int wrong = EXIT_OK;
  PromptInput source = arguments->source; /* the rows below are of both */
  source.ids = arguments->ids;
  source.chat = arguments->chat;
  if (arguments->plan && !transplant_has_source(arguments)) {
    /* a plan may read no source prompt, which plan_check sees */
  } else if (!transplant_has_source(arguments)) {
    if (source.text || source.file || (arguments->vector && arguments->sources))
      return cli_usage(cli, "--%s: takes the place of --source and --source-file%s",
                       arguments->vector ? "vector" : "sources",
                       arguments->sources && arguments->vector ? ", and of --sources" : "");
  } else {
    wrong = prompt_usage(cli, &source, "source");
  }
  if (!wrong) wrong = prompt_usage(cli, &arguments->target, "target");
  if (wrong) return wrong;
  if (arguments->source.file && arguments->target.file &&
      strcmp(arguments->source.file, "-") == 0 && strcmp(arguments->target.file, "-") == 0)
    return cli_usage(cli, "--target-file: stdin is the source prompt already");
  return EXIT_OK;
}

int transplant_usage(const Cli *cli, TransplantArguments *arguments) {
  int wrong = check_plan(cli, arguments);
  if (!wrong) wrong = ways_read(cli, &arguments->ways);
  if (!wrong) wrong = pair_usage(cli, arguments);
  if (wrong) return wrong;
  if (arguments->ways.heads &&
      (!transplant_has_source(arguments) || arguments->site.read != XT_TAP_ATTN ||
       arguments->site.write != XT_TAP_ATTN))
    return cli_usage(cli, "--heads: needs the site attn and a source prompt");
  if (!arguments->pairs) wrong = check_prompts(cli, arguments);
  if (wrong) return wrong;
  if (transplant_has_source(arguments) && !arguments->plan && !option_is_given(cli, "source-layer"))
    return cli_usage(cli, "--source-layer: missing; it is the layer that is read");
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
  if (!status && arguments->plan) status = plan_read(arguments->plan, &out->plan, error);
  if (arguments->pairs) return status ? status : pair_read(arguments, out, error);
  if (!status && transplant_has_source(arguments))
    status = prompt_read(&source, &out->source_prompt, error);
  return status ? status : prompt_read(&target, &out->target_prompt, error);
}

/* The layers from which a plan counts are needed where it does. */
static xt_status check_bases(const Cli *cli, const Plan *plan, xt_error *error) {
  static const char *const options[] = {
      [XT_LAYER_SOURCE] = "source-layer", [XT_LAYER_TARGET] = "target-layer"};
  for (size_t e = 0; e < plan->count; e++)
    for (int base = XT_LAYER_SOURCE; base <= XT_LAYER_TARGET; base++)
      if (plan_names(&plan->entries[e], (xt_layer_base)base) &&
          !option_is_given(cli, options[base]))
        return error_set(error, XT_STATUS_ARGUMENT, plan->file, plan->entries[e].name, -1,
                         "has layers that are counted from --%s, which is missing", options[base]);
  return XT_STATUS_OK;
}

/* The layers and heads of the options. */
static xt_status check_layers(const Cli *cli, const TransplantArguments *arguments,
                              const xt_model_info *info, Transplant *transplant, xt_error *error) {
  const int source =
      option_is_given(cli, "source-layer") ? arguments->source_layer : arguments->target_layer;
  xt_status status =
      layer_resolve(source, info->layers, "--source-layer", &transplant->source_layer, error);
  if (!status)
    status = layer_resolve(arguments->target_layer, info->layers, "--target-layer",
                           &transplant->target_layer, error);
  return status ? status : writes_check_heads(&arguments->ways.at[0], info, "--heads", error);
}

xt_status transplant_check(const Cli *cli, const TransplantArguments *arguments,
                           const LoadedModel *model, Transplant *transplant, xt_error *error) {
  const bool source = transplant_has_source(arguments);
  xt_status status = check_layers(cli, arguments, &model->info, transplant, error);
  if (!status) status = plan_check(&transplant->plan, &model->info, source, error);
  if (!status) status = check_bases(cli, &transplant->plan, error);
  if (!status && arguments->vector)
    status = vector_input_read(arguments->vector, &model->info, &transplant->vector, error);
  else if (!status && source)
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
  const size_t size = (size_t)model->info.layers * (size_t)model->info.width;
  double *sums = calloc(size, sizeof *sums);
  size_t count = transplant->lang_count, more = 0;
  const PromptInput input = {.ids = arguments->ids, .chat = arguments->chat};
  const xt_tap tap = arguments->site.read;
  xt_status status;
  transplant->mean = calloc(size, sizeof *transplant->mean);
  if (!sums || !transplant->mean) TRY_DONE(error_memory(error));
  TRY_DONE(prompt_sums_add(model, tap, transplant->langs, count, sums, error));
  if (arguments->sources)
    TRY_DONE(prompt_sums_add_file(model, &input, arguments->sources, tap, sums, &more, error));
  count += more;
  for (size_t k = 0; k < size; k++) transplant->mean[k] = (float)(sums[k] / (double)count);
  status = XT_STATUS_OK;
done:
  free(sums);
  return status;
}

/* The most interventions of a transplant. */
static size_t most_writes(const TransplantArguments *arguments, const LoadedModel *model,
                          const Transplant *transplant) {
  size_t most = 1;
  for (size_t k = 0; k < count_of(arguments, transplant); k++) {
    const size_t own = arguments->plan ? plan_most(&transplant->plan.entries[k], &model->info)
                                       : writes_most(&arguments->ways.at[k], &model->info);
    if (own > most) most = own;
  }
  return most;
}

/* The interventions of the k-th transplant. source, target: what the prompts have. */
static xt_status list_writes(const TransplantArguments *arguments, const LoadedModel *model,
                             const Transplant *transplant, const xt_taps *source,
                             const xt_taps *target, size_t k, xt_intervention *out, size_t *count,
                             xt_error *error) {
  const xt_site site = site_of(arguments, k);
  const WriteValues values = {.mean = transplant->mean,
                              .vector = arguments->vector ? &transplant->vector : NULL,
                              .vector_name = arguments->vector,
                              .taps = source};
  *count = 0;
  if (arguments->plan)
    return plan_list(&transplant->plan.entries[k], &model->info, source, target,
                     transplant->source_layer, transplant->target_layer, out, count, error);
  return writes_list(&site, &model->info, &values, transplant->source_layer,
                     transplant->target_layer, out, count, error);
}

#define RUNS_MOST (2 + SITE_LIST_MAX) /* source, untouched, transplanted */

/* Requests: the source's, if there is one, the untouched one, and those of the ways. */
static xt_status run_all(const TransplantArguments *arguments, const LoadedModel *model, bool lens,
                         Transplant *transplant, const xt_request *requests, xt_error *error) {
  const Prompt *to = &transplant->target_prompt;
  const size_t first = transplant_has_source(arguments), made = count_of(arguments, transplant),
               count = first + 1 + made;
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
  for (; transplant->count < made; transplant->count++)
    TRY_DONE(response_init(&transplant->transplanted[transplant->count], model, to,
                           &generations[first + 1 + transplant->count], error));
done:
  for (size_t i = 0; i < count; i++) xt_generation_deinit(&generations[i]);
  return status;
}

xt_status transplant_run(const TransplantArguments *arguments, const LoadedModel *model, bool lens,
                         Transplant *transplant, xt_error *error) {
  const Prompt *from = &transplant->source_prompt, *to = &transplant->target_prompt;
  const size_t most = most_writes(arguments, model, transplant),
               count = count_of(arguments, transplant);
  const xt_request source = {.ids = from->ids, .count = from->count},
                   target = {.ids = to->ids, .count = to->count};
  xt_request requests[RUNS_MOST], *next = requests;
  xt_intervention *writes = calloc(count * most, sizeof *writes);
  xt_taps *taps = NULL, *own = NULL;
  int32_t *tracked = NULL;
  size_t tracked_count;
  xt_status status = XT_STATUS_OK;
  if (!writes) return error_memory(error);
  TRY_DONE(find_words(model, transplant, &tracked, &tracked_count, error));
  if (arguments->sources || transplant->lang_count)
    TRY_DONE(measure_mean(arguments, model, transplant, error));
  if (transplant_has_source(arguments)) {
    *next++ = source;
    TRY_DONE(xt_session_capture(model->session, &source, &taps, error));
  }
  if (plan_reads_target(&transplant->plan))
    TRY_DONE(xt_session_capture(model->session, &target, &own, error));
  *next++ = target;
  for (size_t k = 0; k < count; k++, next++) {
    *next = target;
    next->interventions = writes + k * most;
    TRY_DONE(list_writes(arguments, model, transplant, taps, own, k, writes + k * most,
                         &next->intervention_count, error));
  }
  if (transplant_has_source(arguments))
    for (xt_request *r = requests; r < next; r++) {
      r->source = 1;
      r->untouched = 2;
      r->tracked = tracked;
      r->tracked_count = tracked_count;
    }
  status = run_all(arguments, model, lens, transplant, requests, error);
done:
  xt_taps_free(taps);
  xt_taps_free(own);
  free(tracked);
  free(writes);
  return status;
}

void transplant_deinit(Transplant *transplant) {
  plan_deinit(&transplant->plan);
  vector_input_deinit(&transplant->vector);
  free(transplant->mean);
  response_deinit(&transplant->source);
  response_deinit(&transplant->vanilla);
  for (size_t k = 0; k < transplant->count; k++) response_deinit(&transplant->transplanted[k]);
  prompt_deinit(&transplant->source_prompt);
  prompt_deinit(&transplant->target_prompt);
  for (size_t l = 0; l < transplant->lang_count; l++) prompt_deinit(&transplant->langs[l]);
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
  if (arguments->plan) return transplant->plan.entries[k].name;
  xt_site site = site_of(arguments, k);
  if (arguments->vector) {
    site.from = XT_FROM_VECTOR;
    strcpy(site.label, transplant->vector.label);
  }
  if (transplant->lang_count) {
    site.from = transplant->langs_site.from;
    strcpy(site.label, transplant->langs_site.label);
  }
  return xt_site_format(site, name);
}

bool transplant_way_json(const TransplantArguments *arguments, const Transplant *transplant,
                         size_t k, json_t *object) {
  const xt_site *way = &arguments->ways.at[k];
  bool ok = true;
  if (arguments->plan)
    return json_add(object, "changed", json_boolean(transplant_first_change(transplant, k) >= 0));
  ok = json_add(object, "rule", json_string(xt_rule_name(way->rule)));
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
  if (arguments->source_langs)
    ok = json_add(object, "source_langs", json_string(arguments->source_langs)) && ok;
  return transplant_way_json(arguments, transplant, 0, object) && ok;
}

xt_status transplant_note_last(bool quiet, const Transplant *transplant, xt_error *error) {
  const bool source = transplant->source_prompt.count > 0;
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

static void print_entry(const PlanEntry *entry) {
  char write[256];
  for (size_t k = 0; k < entry->count; k++) {
    plan_describe(entry, k, write, sizeof write);
    printf("%s%s%s", k ? "; " : entry->name, k ? "" : ": ", write);
  }
  putchar('\n');
}

void transplant_print_head(const TransplantArguments *arguments, const Transplant *transplant) {
  char site[XT_SITE_NAME_SIZE];
  if (transplant_has_source(arguments)) print_prompt("source", &transplant->source_prompt);
  print_prompt("target", &transplant->target_prompt);
  for (size_t e = 0; e < transplant->plan.count; e++) print_entry(&transplant->plan.entries[e]);
  if (arguments->plan) {
    putchar('\n');
    return;
  }
  printf("%s: layer %d of the %s into layer %d of the target, ",
         xt_site_format(arguments->site, site), transplant->source_layer,
         arguments->vector         ? "vector"
         : arguments->sources      ? "sources' mean"
         : arguments->source_langs ? "languages' mean"
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
