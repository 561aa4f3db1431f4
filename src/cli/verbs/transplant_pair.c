/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/transplant_pair.h"

#include <stdlib.h>
#include <string.h>

#include "shell/output.h"
#include "verbs/sweep_job.h"

static bool has_empty_name(const char *list) {
  const size_t length = strlen(list);
  return !length || list[0] == ',' || list[length - 1] == ',' || strstr(list, ",,");
}

int pair_usage(const Cli *cli, const TransplantArguments *arguments) {
  static const char *const replaced[] = {"source",      "source-file", "target", "target-file",
                                         "source-line", "target-line", "ids",    "keep-newline",
                                         "sources",     "vector"};
  if (arguments->source_langs && !arguments->pairs)
    return cli_usage(cli, "--source-langs: needs --pairs, whose lines have the source prompt in "
                          "several languages");
  if (arguments->source_langs && has_empty_name(arguments->source_langs))
    return cli_usage(cli, "--source-langs: has an empty name; separate languages by one comma");
  for (size_t k = 0; arguments->pairs && k < sizeof replaced / sizeof *replaced; k++)
    if (option_is_given(cli, replaced[k]))
      return cli_usage(cli, "--%s: cannot be combined with --pairs, whose lines have both prompts",
                       replaced[k]);
  if (arguments->source_langs && arguments->ways.heads)
    return cli_usage(cli, "--heads: cannot be combined with --source-langs, which writes means of "
                          "whole taps");
  return arguments->pairs ? chat_usage(cli, &arguments->chat) : EXIT_OK;
}

/* The question of --line, or the only one. */
static xt_status find_question(const TransplantArguments *arguments, const xt_dataset *dataset,
                               const xt_question **out, xt_error *error) {
  const size_t count = xt_dataset_count(dataset);
  *out = NULL;
  if (!arguments->line && count > 1)
    return error_set(error, XT_STATUS_INPUT, input_name(arguments->pairs), NULL, -1,
                     "has %zu questions; choose one with --line", count);
  for (size_t i = 0; i < count && !*out; i++) {
    const xt_question *q = xt_dataset_get(dataset, i);
    if (!arguments->line || q->number + 1 == (size_t)arguments->line) *out = q;
  }
  if (*out) return XT_STATUS_OK;
  return error_set(error, XT_STATUS_INPUT, input_name(arguments->pairs), NULL, -1,
                   "has no line %d, or it repeats another one; it has %zu questions",
                   arguments->line, count);
}

static xt_status copy_prompt(const TransplantArguments *arguments, const char *text, Prompt *out,
                             xt_error *error) {
  *out = (Prompt){.name = input_name(arguments->pairs),
                  .chat = arguments->chat,
                  .text = strdup(text),
                  .length = strlen(text)};
  return out->text ? XT_STATUS_OK : error_memory(error);
}

/* The source prompts in the languages, which the dataset has in the order of the list. */
static xt_status copy_langs(const TransplantArguments *arguments, const xt_question *q,
                            Transplant *out, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (const char *at = arguments->source_langs; at && !status;) {
    status =
        copy_prompt(arguments, q->sources[out->lang_count], &out->langs[out->lang_count], error);
    out->lang_count++;
    at = strchr(at, ',');
    if (at) at++;
  }
  return status;
}

xt_status pair_read(const TransplantArguments *arguments, Transplant *out, xt_error *error) {
  const SweepArguments where = {.pairs = arguments->pairs, .source_langs = arguments->source_langs};
  const xt_question *q;
  SweepJob job = {0};
  xt_status status;
  TRY_DONE(job_read(&job, &where, error));
  TRY_DONE(find_question(arguments, job.dataset, &q, error));
  TRY_DONE(copy_prompt(arguments, q->source, &out->source_prompt, error));
  TRY_DONE(copy_prompt(arguments, q->target, &out->target_prompt, error));
  if (!arguments->source_langs) goto done;
  TRY_DONE(job_label_langs(arguments->source_langs, 1, &out->langs_site, error));
  TRY_DONE(copy_langs(arguments, q, out, error));
done:
  job_deinit(&job);
  return status;
}
