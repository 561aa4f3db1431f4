/* Benchmarks: what they are, their questions as pairs of prompts, and whether a response is right.
 *
 * A question is a source prompt in one language and a target prompt in another; a sweep transplants from
 * the first into the second. Datasets own their questions and are immutable once open. */
#ifndef XTRANSPLANT_TASKS_H
#define XTRANSPLANT_TASKS_H

#include <stdbool.h>
#include <stddef.h>

#include "xtransplant/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xt_task_kind {
  XT_TASK_CHOICE = 0, /* the response names one of several options */
  XT_TASK_GENERATION  /* the response holds the answer */
} xt_task_kind;

typedef enum xt_direction {
  XT_DIRECTION_TO_LANGUAGE = 0, /* source: the pivot, usually English; target: the language */
  XT_DIRECTION_FROM_LANGUAGE    /* source: the language; target: English */
} xt_direction;

/* A benchmark. All static. */
typedef struct xt_task {
  const char *name;             /* "xnli" */
  const char *title;            /* "XNLI" */
  xt_task_kind kind;
  xt_direction direction;
  const char *site;             /* the paper's, as xt_site_parse reads it */
  const char *const *languages; /* NULL-terminated, English among them */
} xt_task;

/* NULL when there is none of that name. */
const xt_task *xt_task_find(const char *name);
/* The index-th task; NULL past the last. */
const xt_task *xt_task_get(size_t index);

/* Their names, NULL-terminated; static. */
const char *const *xt_task_names(void);

/* One of a question's options: what it is called and, where a task has it, its word in the language. */
typedef struct xt_choice {
  const char *label; /* "1" */
  const char *text;  /* "Entail" */
} xt_choice;

/* Borrowed from its dataset. Strings are UTF-8. */
typedef struct xt_question {
  const char *id;          /* its line's number in the language's file, from 0; of --pairs, the line's own id */
  size_t number;           /* its line's number, from 0: the order within a language */
  const char *task;        /* an xt_task's name, or "" where none was given */
  const char *lang;        /* the language, or culture, that is asked about */
  const char *source_lang; /* of the source prompt; "" where it is not known */
  const char *source, *target;
  const char *gold;        /* the right option's label, or the right answer; NULL: not known */
  const xt_choice *choices;/* where the task's scoring needs them */
  size_t choice_count;
} xt_question;

typedef struct xt_dataset xt_dataset;

/* Zero-initialise for the defaults. Borrowed for the call. */
typedef struct xt_dataset_options {
  const char *const *languages; /* NULL: all of the task's */
  size_t language_count;
  const char *pivot;            /* the source language of tasks that go to a language; NULL: "en" */
  size_t limit;                 /* questions a language, the first ones; 0: all */
} xt_dataset_options;

/* Opens a benchmark in the layout of its release: DIR/split, DIR/ans, DIR/ans_lang, DIR/translated, a file
 * a language, pairs matched by line (docs/FORMATS.md). A file that is missing, another number of lines than its
 * partner has, or a gold answer that is none of the options is an error that names file and line.
 * `options` may be NULL. The caller frees *out with xt_dataset_close. */
xt_status xt_dataset_open(const xt_task *task, const char *directory, const xt_dataset_options *options, xt_dataset **out,
                          xt_error *error);
/* Opens a file of JSON lines {"id", "lang", "source", "target", "gold", "task"}; only source and target have to
 * be there. `options->languages` and `limit` choose among them; `pivot` is not used. */
xt_status xt_dataset_open_pairs(const char *path, const xt_dataset_options *options, xt_dataset **out, xt_error *error);
void xt_dataset_close(xt_dataset *dataset);

/* In order of language (as the options or the task list them), then number; of pairs, in the file's order. */
size_t xt_dataset_count(const xt_dataset *dataset);
const xt_question *xt_dataset_get(const xt_dataset *dataset, size_t index);

/* The options of a task in a language, as scoring needs them: read from `directory` where one is given and the
 * task keeps them there, else those of the release. None (0) for tasks that need none. The caller frees
 * *out with xt_choices_free. */
xt_status xt_task_choices(const xt_task *task, const char *directory, const char *lang, xt_choice **out, size_t *count,
                          xt_error *error);
void xt_choices_free(xt_choice *choices, size_t count);

/* Whether a response is right, exactly as the released evaluation has it. `response` has `length` bytes of UTF-8;
 * `gold` and `choices` are a question's. A gold that is none of the options is an XT_STATUS_INPUT error. */
xt_status xt_task_score(const xt_task *task, const xt_choice *choices, size_t choice_count, const char *response,
                        size_t length, const char *gold, bool *correct, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
