/* SPDX-License-Identifier: Apache-2.0 */
/* Benchmarks: their properties, their questions as pairs of prompts, and the scoring of responses.
 *
 * A question is a source prompt in one language and a target prompt in another; a sweep transplants
 * from the first into the second. Datasets own their questions and are immutable once open. */
#ifndef XTRANSPLANT_TASKS_H
#define XTRANSPLANT_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xtransplant/error.h"
#include "xtransplant/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xt_task_kind {
  XT_TASK_CHOICE = 0, /* the response names one of several options */
  XT_TASK_GENERATION  /* the response contains the answer */
} xt_task_kind;

typedef enum xt_direction {
  XT_DIRECTION_TO_LANGUAGE = 0, /* source: the pivot, usually English; target: the language */
  XT_DIRECTION_FROM_LANGUAGE    /* source: the language; target: English */
} xt_direction;

/* A benchmark. Tasks and their strings are static. */
typedef struct xt_task {
  const char *name;  /* "xnli" */
  const char *title; /* "XNLI" */
  xt_task_kind kind;
  xt_direction direction;
  const char *site;             /* that the paper uses, for xt_site_parse */
  const char *const *languages; /* NULL-terminated, English among them */
} xt_task;

/* The task with this name, in lower case; NULL if there is none. Besides the benchmarks there are
 * the tasks "facts" (sources in English) and "local-facts" (sources in the language), whose
 * questions can only be given as pairs; a response that contains the gold answer is right. */
XT_API const xt_task *xt_task_find(const char *name);
/* The index-th task; NULL past the last. */
XT_API const xt_task *xt_task_get(size_t index);

/* Their names, NULL-terminated; static. */
XT_API const char *const *xt_task_names(void);

/* ---- languages ------------------------------------------------------------------------------- */

/* How much text there is in a language, as the paper's tables group them. */
typedef enum xt_level {
  XT_LEVEL_UNKNOWN = 0, /* not a language of any task */
  XT_LEVEL_HIGH,
  XT_LEVEL_MID,
  XT_LEVEL_LOW
} xt_level;

/* By the language's code; the part after a hyphen is ignored ("zh-CN"). */
XT_API xt_level xt_language_level(const char *lang);
XT_API const char *xt_level_name(xt_level level); /* "High", "Mid", "Low"; "" for
                                                     XT_LEVEL_UNKNOWN */

/* "Let's think step by step." in the language, with a space before it in languages that use spaces.
 * NULL: not a language of any task. */
XT_API const char *xt_language_cot(const char *lang);

/* This project's own prompt template of a task in one of its languages, with {names} for the fields
 * of a question (docs/FORMATS.md); NULL: there is none in that language. */
XT_API const char *xt_task_template(const xt_task *task, const char *lang);

/* ---- questions ------------------------------------------------------------------------------- */

/* One of a question's options: its label and, if the task has words for options, its word in the
 * language. */
typedef struct xt_choice {
  const char *label; /* "1" */
  const char *text;  /* "Entail"; NULL: it has none */
} xt_choice;

/* Separates the answers of a question that has several, of which each is right: U+001E, which no
 * answer may contain. */
#define XT_GOLD_SEPARATOR "\x1e"

/* Borrowed from its dataset. Strings are UTF-8. */
typedef struct xt_question {
  const char *id;          /* the number of its line in the language's file, from 0; for --pairs,
                              the line's own id */
  size_t number;           /* the number of its line, from 0: the order within a language */
  const char *task;        /* the name of an xt_task, or "" if none was given */
  const char *lang;        /* the language, or culture, that is asked about */
  const char *source_lang; /* of the source prompt; "" if it is not known */
  const char *source, *target;
  const char *gold;         /* the label of the right option, or the right answers, separated by
                               XT_GOLD_SEPARATOR; NULL: not known */
  const xt_choice *choices; /* if the task's scoring needs them */
  size_t choice_count;
  const char *const
      *sources; /* the source prompt in each of xt_dataset_options.source_langs, in that
                                 order; NULL without them */
} xt_question;

typedef struct xt_dataset xt_dataset;

/* Zero-initialise for the defaults. Borrowed for the call. */
typedef struct xt_dataset_options {
  size_t size;                  /* sizeof this, or 0: see api.h */
  const char *const *languages; /* NULL: all of the task's */
  size_t language_count;
  const char *pivot; /* the source language of tasks that go to a language; NULL: "en" */
  size_t limit;      /* questions per language, the first ones; 0: all */
  bool cot;          /* add xt_language_cot to each prompt, in its language; ids then end in
                        "-cot" */
  bool others;       /* also keep the source prompts of the questions beyond `limit`, so that what a
                        job's controls take from other questions does not depend on it */
  /* Also read each question's source prompt in these languages, for sites that write the mean of
   * their values (XT_FROM_LANGS). Of a benchmark that goes to a language, the same line of each
   * language's file; of pairs, the members of "sources". */
  const char *const *source_langs;
  size_t source_lang_count; /* XT_SOURCE_LANGS_MOST at most */
} xt_dataset_options;

#define XT_SOURCE_LANGS_MOST 16

/* Opens a benchmark in the layout of its release: DIR/split, DIR/ans, DIR/ans_lang, DIR/translated,
 * DIR/en, with a file per language, whose lines are matched by their numbers (docs/FORMATS.md). A
 * missing file, files with different numbers of lines, or a gold answer that is not one of the
 * options is an error that names file and line. `options` may be NULL. The caller frees *out with
 * xt_dataset_close. */
XT_API xt_status xt_dataset_open(const xt_task *task, const char *directory,
                                 const xt_dataset_options *options, xt_dataset **out,
                                 xt_error *error);
/* Opens a file of JSON lines {"id", "lang", "source_lang", "source", "target", "gold", "task"};
 * only source and target are required. `options->languages` and `limit` choose among the lines;
 * `pivot` is not used. "gold" may be an array, of which each answer is right. A line that repeats
 * an earlier one is left out (xt_dataset_repeats); a line with the id, languages and task of an
 * earlier one but different prompts or a different answer is an XT_STATUS_INPUT error. */
XT_API xt_status xt_dataset_open_pairs(const char *path, const xt_dataset_options *options,
                                       xt_dataset **out, xt_error *error);
/* The same for `size` bytes in memory, e.g. from standard input; messages use `name`. */
XT_API xt_status xt_dataset_parse_pairs(const void *data, size_t size, const char *name,
                                        const xt_dataset_options *options, xt_dataset **out,
                                        xt_error *error);
/* Puts every prompt into the chat template of a model's tokenizer (xt_tokenizer_chat), after
 * `system` unless that is NULL; `now` is the date that a template may write. The prompts are then
 * encoded without BOS and EOS, which the template contains. May be called only once; after a
 * failure the dataset can only be closed. */
XT_API xt_status xt_dataset_chat(xt_dataset *dataset, const xt_tokenizer *tokenizer,
                                 const char *system, int64_t now, xt_error *error);
XT_API bool xt_dataset_is_chat(const xt_dataset *dataset);
XT_API void xt_dataset_close(xt_dataset *dataset);

/* In order of language (as the options or the task list them), then number; pairs in the file's
 * order. */
XT_API size_t xt_dataset_count(const xt_dataset *dataset);
XT_API const xt_question *xt_dataset_get(const xt_dataset *dataset, size_t index);
/* The number of lines of pairs that were left out because they repeat an earlier one. For the first
 * of them, *line is its number and *first the number of the line that it repeats, both from 1 (0:
 * there is none). */
XT_API size_t xt_dataset_repeats(const xt_dataset *dataset, size_t *line, size_t *first);

/* The options of a task in a language, as scoring needs them: read from `directory` if it is given
 * and the task has them there, else those of the release. 0 for tasks that need none. The caller
 * frees *out with xt_choices_free. */
XT_API xt_status xt_task_choices(const xt_task *task, const char *directory, const char *lang,
                                 xt_choice **out, size_t *count, xt_error *error);
XT_API void xt_choices_free(xt_choice *choices, size_t count);

/* Decides whether a response is right, exactly like the released evaluation. `response` has
 * `length` bytes of UTF-8; `gold` and `choices` are a question's; if there are several answers,
 * each of them is right. A gold answer that is not one of the options is an XT_STATUS_INPUT
 * error. */
XT_API xt_status xt_task_score(const xt_task *task, const xt_choice *choices, size_t choice_count,
                               const char *response, size_t length, const char *gold, bool *correct,
                               xt_error *error);

/* ---- PilotSets ------------------------------------------------------------------------------- */

/* Called with a released prompt that the derived template makes from no question: its file, its
 * line (from 1) and what is wrong. */
typedef void (*xt_pilotset_misfit)(void *user, const char *file, size_t line, const char *what);

/* Borrowed for the call. */
typedef struct xt_pilotset_options {
  size_t size;                  /* sizeof this, or 0: see api.h */
  const char *const *languages; /* NULL: all of the task's */
  size_t language_count;
  const char *templates;      /* file: a JSON object from each language to its prompt's text;
                                 NULL: xt_task_template's */
  const char *templates_from; /* instead: a folder of released prompts, from which each
                                 language's template is derived as the text around the questions'
                                 own text; OUTPUT/templates.json then has the templates */
  xt_pilotset_misfit misfit;  /* called for each released prompt that does not fit; NULL: they
                                 are only counted */
  void *user;                 /* of misfit */
  const char *translations;   /* folder of the user's translations of questions about cultures;
                                 NULL: none */
  const char *english;        /* XCOPA: the language whose file's English translation becomes
                                 split/en.json; NULL: the raw data's own English file, and also
                                 the English version of each language's own file if it exists */
  const char *split;          /* part of XNLI and XCOPA; NULL: "test" */
  unsigned long long seed;    /* of the sample: Python's random.seed(seed),
                                 random.sample(range(all), count) */
  size_t count;               /* questions per language in the sample, in the file's order; 0:
                                 all are unseen */
} xt_pilotset_options;

typedef struct xt_pilotset_info {
  size_t languages, sample, unseen;   /* questions, of all languages */
  size_t left_out;                    /* questions of the benchmark that the task cannot ask
                                         (docs/FORMATS.md) */
  size_t untranslated;                /* languages whose source prompts are not written, because
                                         their translations are missing */
  size_t templates, checked, misfits; /* derived; released prompts compared with them; those that
                                         do not fit */
} xt_pilotset_info;

/* Makes OUTPUT/<title>_sample and OUTPUT/<title>_unseen, as xt_dataset_open reads them, from a
 * benchmark as its makers publish it. OUTPUT is written completely or not at all; a folder that is
 * not empty is refused. `options` NULL: 50 questions by seed 666, all languages. `info` may be
 * NULL. */
XT_API xt_status xt_pilotset_build(const xt_task *task, const char *raw, const char *output,
                                   const xt_pilotset_options *options, xt_pilotset_info *info,
                                   xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
