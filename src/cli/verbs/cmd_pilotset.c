/* SPDX-License-Identifier: Apache-2.0 */
/* pilotset: divides a published benchmark into a PilotSet and an unseen set. */
#include <stdlib.h>
#include <string.h>

#include "shell/output.h"
#include "verbs/verbs.h"

#define LANGUAGES_MOST 64

typedef struct Arguments {
  int task, count;
  const char *raw, *templates, *templates_from, *translations, *english, *split, *languages,
      *output;
  uint64_t seed;
  bool quiet, json;
} Arguments;

static const Option options[] = {
    {.name = "task",
     .letter = 't',
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, task),
     .value = "T",
     .required = true,
     .choices_from = xt_task_names,
     .help = "the benchmark that the raw files belong to"},
    {.name = "raw",
     .letter = 'r',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, raw),
     .value = "DIR",
     .required = true,
     .help = "the folder with the benchmark's files as its makers publish them, or the file where "
             "there is only one"},
    {.name = "templates",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, templates),
     .value = "FILE",
     .help = "a JSON object that maps each language to the text of its prompt, with {context}, "
             "{question} and so on as placeholders; without it, the prompts have this project's "
             "wording"},
    {.name = "templates-from",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, templates_from),
     .value = "DIR",
     .help = "your copy of the paper's released prompts (XQuAD, XNLI or GlobalOpinionQA): each "
             "template is derived from them as the text that surrounds a question's own text, "
             "and every released prompt is compared with the prompt that the template makes"},
    {.name = "translations",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, translations),
     .value = "DIR",
     .help = "a folder with your translations: for globalopinionqa and culturalbench, the "
             "translated fields/<language>.jsonl; for xcopa, the English version of each "
             "language in <language>/test.<language>.jsonl"},
    {.name = "english",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, english),
     .value = "LANG",
     .help = "for xcopa, which has no English file: use the machine translation (data-gmt) of this "
             "language's file; the paper most likely used that of zh"},
    {.name = "split",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, split),
     .value = "NAME",
     .help = "the part of the benchmark: test, dev (xnli) or val (xcopa); without it, test"},
    {.name = "lang",
     .letter = 'l',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, languages),
     .value = "LIST",
     .help = "languages, separated by commas; without it, all languages of the task"},
    {.name = "seed",
     .type = OPTION_U64,
     .field = OPTION_FIELD(Arguments, uint64_t, seed),
     .value = "N",
     .preset = "666",
     .help = "the seed of the sample; the sample is the one that Python's random.sample draws"},
    {.name = "count",
     .letter = 'n',
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, count),
     .value = "N",
     .preset = "50",
     .high = 1e9,
     .help = "how many questions of each language the PilotSet gets; with 0, all questions are in "
             "the unseen set"},
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, output),
     .value = "DIR",
     .required = true,
     .help = "the folder to make; an existing folder must be empty"},
    OPTION_QUIET(Arguments, quiet),
    OPTION_JSON(Arguments, json),
};

#define MISFITS_SHOWN 20

/* Released prompts that do not fit. */
typedef struct Misfits {
  bool quiet;
  size_t count;
} Misfits;

static void report_misfit(void *user, const char *file, size_t line, const char *what) {
  Misfits *m = user;
  if (m->count++ < MISFITS_SHOWN) cli_note(m->quiet, "%s: line %zu: %s", file, line, what);
}

static xt_status print_info(const Arguments *a, const xt_task *task, const xt_pilotset_info *info,
                            xt_error *error) {
  cli_note(a->quiet, "%s: %zu questions in %s_sample and %zu in %s_unseen, %zu language%s",
           a->output, info->sample, task->title, info->unseen, task->title, info->languages,
           info->languages == 1 ? "" : "s");
  if (info->misfits > MISFITS_SHOWN)
    cli_note(a->quiet, "and %zu more that do not fit", info->misfits - MISFITS_SHOWN);
  if (a->templates_from)
    cli_note(a->quiet, "%s: %zu template%s, which reproduce %zu of %zu released prompts exactly",
             a->templates_from, info->templates, info->templates == 1 ? "" : "s",
             info->checked - info->misfits, info->checked);
  if (info->left_out)
    cli_note(a->quiet,
             "%zu question%s left out: without an answer, or without one probability per option",
             info->left_out, info->left_out == 1 ? "" : "s");
  if (info->untranslated && task->direction == XT_DIRECTION_FROM_LANGUAGE)
    cli_note(a->quiet,
             "%zu language%s without source prompts: translate the files of %s/fields and give "
             "the folder with --translations",
             info->untranslated, info->untranslated == 1 ? "" : "s", a->output);
  else if (info->untranslated)
    cli_note(a->quiet,
             "%zu language%s without their own English version: their source is split/en.json, "
             "or another --pivot",
             info->untranslated, info->untranslated == 1 ? "" : "s");
  if (!a->json) return XT_STATUS_OK;
  json_t *object = json_object();
  bool ok = json_add(object, "output", json_string(a->output));
  ok = json_add(object, "task", json_string(task->name)) && ok;
  ok = json_add(object, "languages", json_integer((json_int_t)info->languages)) && ok;
  ok = json_add(object, "sample", json_integer((json_int_t)info->sample)) && ok;
  ok = json_add(object, "unseen", json_integer((json_int_t)info->unseen)) && ok;
  ok = json_add(object, "left_out", json_integer((json_int_t)info->left_out)) && ok;
  ok = json_add(object, "untranslated", json_integer((json_int_t)info->untranslated)) && ok;
  if (a->templates_from) {
    ok = json_add(object, "templates", json_integer((json_int_t)info->templates)) && ok;
    ok = json_add(object, "checked", json_integer((json_int_t)info->checked)) && ok;
    ok = json_add(object, "misfits", json_integer((json_int_t)info->misfits)) && ok;
  }
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *a = opaque;
  const xt_task *task = xt_task_get((size_t)a->task);
  const char *languages[LANGUAGES_MOST];
  char *copy = a->languages ? strdup(a->languages) : NULL, *save = NULL;
  Misfits misfits = {.quiet = a->quiet};
  xt_pilotset_info info;
  xt_error error;
  xt_status status;
  size_t count = 0;
  if (a->english && strcmp(task->name, "xcopa") != 0)
    return cli_usage(cli, "--english: only xcopa uses it; %s has an English file or is English",
                     task->title);
  if (a->templates && a->templates_from)
    return cli_usage(cli, "--templates-from: cannot be combined with --templates");
  if (a->languages && !copy) return cli_exit(cli, error_memory(&error), &error);
  for (char *name = copy ? strtok_r(copy, ",", &save) : NULL; name && count < LANGUAGES_MOST;
       name = strtok_r(NULL, ",", &save))
    languages[count++] = name;
  if (copy && count == 0) {
    free(copy);
    return cli_usage(cli, "--lang: names no language");
  }
  const xt_pilotset_options how = {.languages = copy ? languages : NULL,
                                   .language_count = count,
                                   .templates = a->templates,
                                   .templates_from = a->templates_from,
                                   .misfit = report_misfit,
                                   .user = &misfits,
                                   .translations = a->translations,
                                   .english = a->english,
                                   .split = a->split,
                                   .seed = a->seed,
                                   .count = (size_t)a->count};
  TRY_DONE(xt_pilotset_build(task, a->raw, a->output, &how, &info, &error));
  TRY_DONE(print_info(a, task, &info, &error));
done:
  free(copy);
  return cli_exit(cli, status, &error);
}

const Verb verb_pilotset = {
    .name = "pilotset",
    .summary = "make a PilotSet and an unseen set from a benchmark's own files",
    .about = "Reads a benchmark as its makers publish it, makes prompts of its questions, and "
             "writes a sample of each language (the PilotSet) and the rest (the unseen set) in "
             "the layout that sweep --task reads. Unless you give templates, the prompts have "
             "this project's wording, which is not the paper's. With the templates of the "
             "paper's release (--templates-from), seed 666 and 50 questions, the result is the "
             "published XQuAD set. The folder is written completely or not at all.",
    .example = "xtransplant pilotset --task xquad --raw xquad -o XQuAD",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
