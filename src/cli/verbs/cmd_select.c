/* SPDX-License-Identifier: Apache-2.0 */
/* select: runs what strategies need, lets them choose layers for each question, and prints the
 * gain. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "results/response.h"
#include "results/store_model.h"
#include "shell/interrupt.h"
#include "shell/output.h"
#include "verbs/selection_compare.h"
#include "verbs/select_train.h"
#include "verbs/selection_row.h"
#include "verbs/verbs.h"

#define STRATEGY_LIST                                                                     \
  "coarse, entropy, mean-entropy, logprob, vote, logistic, stumps, calibrated, control, " \
  "weighted-vote, controller, sequence, neighbours, probe, contextual"

static const Option options[] = {
    OPTION_MODEL_OPTIONAL(SelectArguments, sweep.model,
                          "the model, which is needed as long as responses are missing"),
    {.name = "strategy",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SelectArguments, const char *, strategies),
     .value = "LIST",
     .help = "the strategies, separated by commas: " STRATEGY_LIST "; with --compare, all without "
             "it"},
    {.name = "compare",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(SelectArguments, bool, compare),
     .help = "print one table for each task, of all strategies that the results file has choices "
             "of: accuracy by level, gain, what is closed of the gap to the upper bound without "
             "noise, and cost"},
    {.name = "candidates",
     .letter = 'c',
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(SelectArguments, int, candidates),
     .value = "SET",
     .choices_from = xt_candidates_names,
     .help = "what to choose among; without it, ends for entropy and mean-entropy, as published, "
             "and target-first for the others"},
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SelectArguments, const char *, sweep.output),
     .value = "FILE",
     .required = true,
     .help = "the results file, to which missing responses are added"},
    {.name = "task",
     .letter = 't',
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(SelectArguments, int, sweep.task),
     .value = "T",
     .choices_from = xt_task_names,
     .help = "the benchmark to run; without it, the strategies choose for the questions of the "
             "results file, and nothing is run"},
    {.name = "data",
     .letter = 'd',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SelectArguments, const char *, sweep.data),
     .value = "DIR",
     .help = "the benchmark's folder as released"},
    {.name = "pairs",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SelectArguments, const char *, sweep.pairs),
     .value = "FILE",
     .help = "JSON lines {id, lang, source, target, gold, task}, instead of --task and --data"},
    {.name = "lang",
     .letter = 'l',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SelectArguments, const char *, sweep.languages),
     .value = "LIST",
     .help = "the languages to run, separated by commas; without it, all languages of the task"},
    {.name = "pivot",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SelectArguments, const char *, sweep.pivot),
     .value = "LANG",
     .help = "the language of the source prompts of xnli, xquad, xcopa and mkqa; without it, en"},
    {.name = "limit",
     .type = OPTION_INT,
     .field = OPTION_FIELD(SelectArguments, int, sweep.limit),
     .value = "N",
     .low = 1,
     .high = 1e9,
     .help = "run only the first N questions of each language"},
    {.name = "site",
     .letter = 's',
     .type = OPTION_SITES,
     .field = OPTION_FIELD(SelectArguments, SiteList, sweep.sites),
     .value = "SITE",
     .help = "the site (only one); without it, the site that the paper uses for the task"},
    {.name = "train",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(SelectArguments, const char *, train),
     .value = "FILE",
     .help = "for strategies that learn: the results file of a PilotSet, of the same task or "
             "another, to learn from, without the questions that the output file asks, too; "
             "without it, "
             "they are cross-validated on the output file"},
    {.name = "folds",
     .type = OPTION_INT,
     .field = OPTION_FIELD(SelectArguments, int, folds),
     .value = "K",
     .low = 2,
     .high = 1000,
     .preset = "5",
     .help = "the number of folds of the cross-validation"},
    {.name = "by-lang",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(SelectArguments, bool, by_language),
     .help = "print a row for each language, besides the one for all languages together"},
    OPTION_COT(SelectArguments, sweep.cot),
    OPTIONS_CHAT(SelectArguments, sweep.chat),
    OPTION_MAX_NEW_TOKENS(SelectArguments, sweep.max_new_tokens),
    OPTION_PENALTY(SelectArguments, sweep.penalty),
    {.name = "max-rows",
     .type = OPTION_INT,
     .field = OPTION_FIELD(SelectArguments, int, sweep.max_rows),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .help = "expert: the largest number of configurations that run together; without it, 4096, "
             "or as many as memory allows"},
    OPTIONS_COMPUTE(SelectArguments, sweep.model),
    {.name = "skip-long",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(SelectArguments, bool, sweep.skip_long),
     .help = "leave out and list the questions that are longer than the model's context"},
    OPTION_PROGRESS(SelectArguments, sweep.model.progress),
    OPTION_QUIET(SelectArguments, sweep.model.quiet),
    OPTION_JSON(SelectArguments, sweep.model.json),
};

static void add_strategy(const Cli *cli, Select *s, xt_strategy strategy) {
  xt_select_options *o = &s->strategies[s->count];
  *o = (xt_select_options){.strategy = strategy,
                           .candidates = xt_strategy_candidates(strategy),
                           .folds = s->arguments->folds,
                           .uncommitted = true};
  if (option_is_given(cli, "candidates")) o->candidates = (xt_candidates)s->arguments->candidates;
  if (s->arguments->sweep.sites.count) o->site = &s->arguments->sweep.sites.at[0];
  xt_strategy_format(o, s->names[s->count++]);
}

/* EXIT_OK, or EXIT_USAGE after naming the unknown name. */
static int read_strategies(const Cli *cli, Select *s) {
  const char *const *known = xt_strategy_names();
  for (const char *list = s->arguments->strategies; list && *list;) {
    char name[32];
    int which = 0;
    const size_t length = strcspn(list, ",");
    snprintf(name, sizeof name, "%.*s", (int)(length < 31 ? length : 31), list);
    while (known[which] && strcmp(known[which], name) != 0) which++;
    if (!known[which]) {
      const char *meant = nearest_name(name, known);
      return cli_usage(cli, "--strategy: unknown strategy '%s'%s%s; strategies are " STRATEGY_LIST,
                       name, meant ? "; did you mean " : "", meant ? meant : "");
    }
    if (s->count == STRATEGIES_MAX)
      return cli_usage(cli, "--strategy: at most %d at a time", STRATEGIES_MAX);
    add_strategy(cli, s, (xt_strategy)which);
    list += length + (list[length] == ',');
  }
  if (!s->arguments->strategies && !s->arguments->compare)
    return cli_usage(cli, "--strategy: missing; without it, --compare compares all");
  /* without a model there are no activations */
  for (int which = 0; known[which] && !s->arguments->strategies; which++)
    if (s->arguments->sweep.model.model || !xt_strategy_needs_states((xt_strategy)which))
      add_strategy(cli, s, (xt_strategy)which);
  return s->count ? EXIT_OK : cli_usage(cli, "--strategy: names no strategy");
}

static int check_usage(const Cli *cli, const SelectArguments *a) {
  const SweepArguments *s = &a->sweep;
  const int wrong_chat = chat_usage(cli, &s->chat);
  if (wrong_chat) return wrong_chat;
  if (s->chat.chat && !s->has_task && !s->pairs)
    return cli_usage(cli, "--chat: needs --task and --data, or --pairs; the questions of a results "
                          "file have the prompts that they were run with");
  if (s->pairs && (s->has_task || s->data))
    return cli_usage(cli, "--pairs: cannot be combined with --%s", s->has_task ? "task" : "data");
  if (s->pairs && s->pivot)
    return cli_usage(cli, "--pivot: cannot be combined with --pairs, whose lines have their own "
                          "source prompts");
  if (s->has_task && !s->data)
    return cli_usage(cli, "--data: missing; --task needs the folder with the benchmark's prompts");
  if (s->data && !s->has_task)
    return cli_usage(cli, "--task: missing; --data needs the name of the benchmark");
  if (s->sites.count > 1)
    return cli_usage(cli, "--site: give only one; a strategy chooses among the responses of one "
                          "site");
  return EXIT_OK;
}

/* ---- running what is missing ----------------------------------------------------------------- */

static const char *source_layers(const xt_select_need *need) {
  return need->source_all                          ? "all"
         : need->source_first && need->source_last ? "first,last"
         : need->source_last                       ? "last"
                                                   : "first";
}

/* The store, open for writing. */
static xt_status open_store(Select *s, xt_error *error) {
  return s->store ? XT_STATUS_OK
                  : xt_store_open(s->arguments->sweep.output, XT_STORE_WRITE, &s->store, error);
}

static xt_status run_job(Select *s, SweepJob *job, xt_error *error) {
  xt_job_result result = {0};
  xt_status status;
  if (!s->loaded) TRY_DONE(model_load(&s->arguments->sweep.model, &s->model, error));
  s->loaded = true;
  status = job_run(job, &s->model, s->store, &result, error);
  s->added += result.responses;
  s->begun = s->begun || result.begun;
done:
  return status;
}

/* Runs the responses that one strategy lacks. */
static xt_status complete(Select *s, const xt_select_options *o, xt_error *error) {
  SweepArguments how = s->arguments->sweep;
  SweepJob job = {0};
  xt_select_need need;
  xt_status status;
  xt_select_get_need(o, "", &need);
  if (need.control) how.controls = "shuffled";
  TRY_DONE(job_read(&job, &how, error));
  xt_select_get_need(o, xt_dataset_get(job.dataset, 0)->task, &need);
  how.sites = (SiteList){.count = 1, .at = {need.site}};
  how.source_layers = source_layers(&need);
  how.target_layers = need.target_all ? "all" : "first";
  TRY_DONE(job_create(&job, &s->model, NULL, "{\"verb\": \"select\"}", error));
  TRY_DONE(open_store(s, error));
  TRY_DONE(job_plan(&job, s->store, s->hash, error));
  if (job.info.has_work) TRY_DONE(run_job(s, &job, error));
done:
  job_deinit(&job);
  return status;
}

/* ---- checks before anything is run ----------------------------------------------------------- */

/* Finds now, and not after everything was run, that there are fewer questions with a gold answer
 * than learning needs. The results file may have such questions too. */
static xt_status check_answers(Select *s, xt_error *error) {
  SweepJob job = {0};
  size_t answered = 0;
  bool learns = false;
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i < s->count; i++)
    learns = learns || (xt_strategy_learns(s->strategies[i].strategy) && !s->arguments->train);
  /* what is compared without being named may be left out */
  learns = learns && s->arguments->strategies;
  if (!learns || access(s->arguments->sweep.output, F_OK) == 0) return XT_STATUS_OK;
  TRY_DONE(job_read(&job, &s->arguments->sweep, error));
  for (size_t i = 0; i < xt_dataset_count(job.dataset); i++)
    answered += xt_dataset_get(job.dataset, i)->gold != NULL;
  if (answered < XT_SELECT_LEAST_QUESTIONS)
    TRY_DONE(error_set(
        error, XT_STATUS_INPUT, job_input(&s->arguments->sweep), NULL, -1,
        "%zu questions have a gold answer; learning needs %d, or another file with --train",
        answered, XT_SELECT_LEAST_QUESTIONS));
done:
  job_deinit(&job);
  return status;
}

/* ---- choosing -------------------------------------------------------------------------------- */

static xt_status choose(Select *s, int index, xt_error *error) {
  xt_select_counts *counts = &s->counts[index];
  const xt_status status = xt_store_select(s->store, &s->strategies[index], counts, error);
  if (status || counts->selected) return status;
  if (xt_strategy_needs_labels(s->strategies[index].strategy))
    return error_set(error, XT_STATUS_INPUT, s->arguments->sweep.output, NULL, -1,
                     "no question has what %s compares: every candidate with the log-probabilities "
                     "of its options' labels (sweep stores them of tasks with options, unless "
                     "--track none), and another such question in its language",
                     s->names[index]);
  return error_set(error, XT_STATUS_INPUT, s->arguments->sweep.output, NULL, -1,
                   "no question has the responses that %s chooses among; give --model with "
                   "--task and --data, or --pairs, to run them",
                   s->names[index]);
}

static void tell(const Select *s, int index) {
  const xt_select_counts *counts = &s->counts[index];
  cli_note(s->arguments->sweep.model.quiet,
           "%s: %s: %llu questions, %llu choices new, %llu untouched runs kept; %llu questions "
           "lack candidates",
           s->arguments->sweep.output, s->names[index], (unsigned long long)counts->selected,
           (unsigned long long)counts->changed, (unsigned long long)counts->kept,
           (unsigned long long)counts->incomplete);
}

/* The choices of all strategies, or of none; nothing is told of choices that are not kept. */
static xt_status choose_all(Select *s, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (int i = 0; i < s->count && !status; i++) {
    status = choose(s, i, error);
    if (status != XT_STATUS_INPUT || s->arguments->strategies) continue;
    cli_note(s->arguments->sweep.model.quiet, "%s left out: %s", s->names[i], error->message);
    status = XT_STATUS_OK;
  }
  if (!status) status = xt_store_commit(s->store, 0, error);
  for (int i = 0; i < s->count && !status; i++)
    if (s->counts[i].selected) tell(s, i);
  return status;
}

/* ---- what is printed ------------------------------------------------------------------------- */

static bool is_asked(const Select *s, const char *strategy) {
  for (int i = 0; i < s->count; i++)
    if (strcmp(s->names[i], strategy) == 0) return true;
  return false;
}

static xt_status print_row(void *user, const xt_selection_row *r, xt_error *error) {
  const Select *s = user;
  if (!is_asked(s, r->strategy) || (r->lang && !s->arguments->by_language)) return XT_STATUS_OK;
  if (s->arguments->sweep.model.json) return selection_row_json(r, error);
  selection_row_print(r);
  return XT_STATUS_OK;
}

static xt_status print_all(Select *s, xt_error *error) {
  const ModelArguments *how = &s->arguments->sweep.model;
  if (s->arguments->compare)
    return selection_compare(s->arguments->sweep.output, how->threads, how->json, error);
  if (!how->json) selection_row_heading();
  return xt_store_summarize_selections(
      s->store, &(xt_analysis_options){.threads = s->arguments->sweep.model.threads}, print_row, s,
      error);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static xt_status execute(Select *s, xt_error *error) {
  const SweepArguments *a = &s->arguments->sweep;
  xt_status status = XT_STATUS_OK;
  const bool runs = a->has_task || a->pairs;
  if (runs && !a->model.model)
    return error_set(error, XT_STATUS_ARGUMENT, NULL, "--model", -1,
                     "missing: responses that %s lacks may have to be run", a->output);
  if (!runs && access(a->output, F_OK) != 0)
    return xt_store_open(a->output, XT_STORE_READ, &s->store, error);
  if (runs) status = check_answers(s, error);
  if (!status && runs) status = select_describe(s, error);
  if (!status && !runs) status = xt_store_open(a->output, XT_STORE_WRITE, &s->store, error);
  if (!status && runs) status = select_train(s, NULL, error);
  for (int i = 0; i < s->count && runs && !status; i++)
    status = complete(s, &s->strategies[i], error);
  if (!status) store_report_waiting(s->store, a->model.quiet);
  if (s->added)
    cli_note(a->model.quiet, "%s: %llu responses added", a->output, (unsigned long long)s->added);
  if (!status) status = select_train(s, s->store, error);
  if (!status) status = select_read_states(s, error);
  if (!status) status = choose_all(s, error);
  if (!status) status = store_note_coverage(s->store, a->model.quiet, error);
  return status ? status : print_all(s, error);
}

static int run(const Cli *cli, void *opaque) {
  Select s = {.arguments = opaque};
  xt_error error;
  s.arguments->sweep.has_task = option_is_given(cli, "task");
  s.arguments->sweep.commit_seconds = 1;
  if (s.arguments->sweep.cot && !option_is_given(cli, "max-new-tokens"))
    s.arguments->sweep.max_new_tokens = XT_JOB_COT_TOKENS;
  int code = check_usage(cli, s.arguments);
  if (code == EXIT_OK) code = read_strategies(cli, &s);
  if (code != EXIT_OK) return code;
  const xt_status status = execute(&s, &error);
  if (status == XT_STATUS_CANCELLED && s.begun) {
    fprintf(stderr, "xtransplant %s: stopped\n", cli->verb->name);
    cli_note(s.arguments->sweep.model.quiet,
             "%s keeps the finished work; the same command continues from there",
             s.arguments->sweep.output);
    code = interrupt_exit_code();
  } else {
    code = cli_exit(cli, status, &error);
  }
  for (int i = 0; i < s.count; i++) xt_selector_free(s.selectors[i]);
  xt_store_close(s.store);
  xt_store_close(s.pilot);
  xt_states_free(s.states);
  xt_states_free(s.pilot_states);
  model_deinit(&s.model);
  return code;
}

const Verb verb_select = {
    .name = "select",
    .summary = "choose layers for each question and print how much accuracy that gains",
    .about =
        "A strategy chooses one transplant for each question among several candidates. This "
        "verb runs the candidates that the results file does not have yet, lets each strategy "
        "choose, stores the choices in the file, and prints the accuracy of the untouched "
        "responses, of the chosen ones, and of two upper bounds (bound: some candidate is "
        "right; N bound: some source layer is right when written into the first layer), with "
        "the share of the gap between untouched and bound that the choices close. The next line "
        "gives the gain of the choices over the untouched model (minus vanilla) and over the "
        "coarse strategy (minus coarse) in percentage points, with the 95% bootstrap interval "
        "and the p-value of a sign-flip test. Both are by question: the same question in "
        "several languages counts as one. These p-values are not adjusted for the number of "
        "comparisons; --compare and the verb report have Holm's beside them. Strategies: coarse "
        "uses fixed layers that depend on the kind of task; entropy, mean-entropy and logprob "
        "choose the candidate that the model is most certain of; vote chooses the answer that "
        "most candidates give, calibrated counts a vote less if its configuration gives the "
        "same answer to other questions, and control counts only votes that are others with the "
        "control's source; contextual chooses the option that is likelier than it is for other "
        "questions under the same configuration, and needs the log-probabilities of options' "
        "labels, which sweep stores. The others learn from questions with known answers, those "
        "of --train or of the other folds, and never from the ones that they choose for. They "
        "may also choose the untouched run: logistic, stumps and controller what a right "
        "response looks like, weighted-vote and sequence which candidates are accurate "
        "(sequence runs only as many as can change the vote), neighbours and probe, from the "
        "source prompt's activations, which candidate to run at all. Candidates: ends (first or "
        "last layer into the first layer), target-first (every layer into the first), "
        "source-last (the last layer into every layer), all (every layer into every layer).",
    .example = "xtransplant select -m Llama-2-7b-chat-hf --task xnli --data XNLI/XNLI_unseen "
               "--strategy coarse,entropy,vote -o unseen.db",
    OPTION_TABLE(options),
    .arguments_size = sizeof(SelectArguments),
    .run = run,
};
