/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmarks as data: everything in which they differ. */
#ifndef TASKS_TASK_TABLE_H
#define TASKS_TASK_TABLE_H

#include "xtransplant/tasks.h"

typedef enum Scoring {
  SCORING_WORDS,   /* "(1)", "1" or the option's word, and nothing of the other options */
  SCORING_LETTERS, /* "(A)" or "A" whatever the case, and no other letter so */
  SCORING_CONTAINS /* the gold answer within the response, in any case of letters */
} Scoring;

typedef enum Gold {
  GOLD_ANSWER_FILE, /* ans/<file>: a JSON string per line */
  GOLD_LIKELIEST    /* the letter of the first largest of the split's "label" numbers */
} Gold;

typedef enum Raw { /* how the benchmark itself is published (raw.h) */
                   RAW_XNLI,
                   RAW_XQUAD,
                   RAW_OPINION,
                   RAW_XCOPA,
                   RAW_MKQA,
                   RAW_CULTURE
} Raw;

typedef struct TaskEntry {
  xt_task task;
  Scoring scoring;
  Gold gold;
  Raw raw;
  int options;       /* SCORING_WORDS: "1" to this */
  bool option_words; /* which have words in each language too, in ans_lang/<language>.json */
  const char *file;  /* "%s.json": a language's file name in each folder */
  const char *source_folder, *target_folder;
  const char *english_folder; /* the English of each language's own file, read where it is there;
                                 NULL: none */
  const char *culture_line;   /* of tasks that come from a language: the line of the released target
                                 prompts that names the culture, with {country}; NULL: not known */
} TaskEntry;

/* An XT_STATUS_ARGUMENT error for a task that only pairs can be of: nobody publishes it. */
xt_status task_check_published(const xt_task *task, xt_error *error);

#define TASK_PIVOT "en"
#define TASK_LETTERS 26

const TaskEntry *task_entry(const xt_task *task);

/* That each is one of the task's, and none comes twice. */
xt_status task_check_languages(const xt_task *task, const char *const *languages, size_t count,
                               xt_error *error);

/* The words of XNLI's options as released; NULL when the language has none. */
typedef struct TaskWords {
  const char *lang;
  const char *words[3]; /* of the options "1", "2", "3" */
} TaskWords;
const TaskWords *task_words(const char *lang);

/* The culture that a country's questions belong to, as the task's languages name it; NULL: none of
 * them. */
const char *opinion_culture(const char *country);
const char *bench_culture(const char *country);

/* Where a target prompt of a task that comes from a language names the culture, in the wording of
 * the release or of this project's template. The rest of the prompt is the question, which may be
 * asked of other cultures, too. *length 0: neither wording is there. */
size_t task_culture_name(const xt_task *task, const char *prompt, size_t *length);

/* What XCOPA asks about a premise: of "cause" or "effect"; NULL: another kind or language. */
const char *template_relation(const char *kind, const char *lang);

#endif
