/* The benchmarks as data: everything that tells one from another. */
#ifndef TASKS_TASK_TABLE_H
#define TASKS_TASK_TABLE_H

#include "xtransplant/tasks.h"

typedef enum Scoring {
  SCORING_WORDS,   /* "(1)", "1" or the option's word, and nothing of the other options */
  SCORING_LETTERS, /* "(A)" or "A" whatever the case, and no other letter so */
  SCORING_CONTAINS /* the gold answer within the response, whatever the case */
} Scoring;

typedef enum Gold {
  GOLD_ANSWER_FILE, /* ans/<file>: a JSON string a line */
  GOLD_LIKELIEST    /* the letter of the first largest of the split's "label" numbers */
} Gold;

typedef struct TaskEntry {
  xt_task task;
  Scoring scoring;
  Gold gold;
  const char *file;        /* "%s.json": a language's file name in each folder */
  const char *source_folder, *target_folder;
} TaskEntry;

#define TASK_PIVOT "en"
#define TASK_LETTERS 26

const TaskEntry *task_entry(const xt_task *task);

/* The words of a SCORING_WORDS task's options as released; NULL when the language has none. */
typedef struct TaskWords {
  const char *lang;
  const char *words[3]; /* of the options "1", "2", "3" */
} TaskWords;
const TaskWords *task_words(const char *lang);

#endif
