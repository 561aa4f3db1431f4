/* SPDX-License-Identifier: Apache-2.0 */
/* Reading benchmarks as their makers publish them (docs/FORMATS.md) into the fields of prompts. */
#ifndef TASKS_RAW_H
#define TASKS_RAW_H

#include "base/json.h"
#include "tasks/task_table.h"

typedef struct RawOptions {
  const char *directory;        /* or, of benchmarks that are one file, the file */
  const char *split;            /* "test": part of the file names of XNLI and XCOPA */
  const char *translations;     /* folder of <language>.jsonl (cultures), or of XCOPA's English;
                                   NULL: none */
  const char *english;          /* XCOPA: the language whose file's translation is the English of
                                   all; NULL: each its own */
  const char *const *languages; /* NULL-terminated */
} RawOptions;

/* Objects from language to array, an item a question. An item is {"id", "gold", "fields": {name:
 * text}}, "gold" a string or an array of answers, of which any is right; one of GlobalOpinionQA has
 * "label" and "country" in place of "gold". */
typedef struct RawSet {
  json_t *items;   /* the prompt of the split folder: the language's, or English for cultures */
  json_t *sources; /* arrays of "fields" alone, parallel to items': of the prompt that the
                      transplant comes from, where it is not another language's split; a language
                      without is absent */
  size_t left_out; /* questions that the task cannot ask: without an answer, or without a
                      probability for each option */
} RawSet;

xt_status raw_read(const TaskEntry *entry, const RawOptions *options, RawSet *out, xt_error *error);
void raw_free(RawSet *set);

/* A culture's item as --translations has to give it: {"id", "question", "options", "country"}. The
 * caller frees *out with json_decref. */
xt_status raw_translation_line(const json_t *item, json_t **out, xt_error *error);

/* ---- for the readers ------------------------------------------------------------------------- */

xt_status raw_read_xquad(const RawOptions *options, RawSet *out, xt_error *error);
xt_status raw_read_xcopa(const RawOptions *options, RawSet *out, xt_error *error);
xt_status raw_read_mkqa(const RawOptions *options, RawSet *out, xt_error *error);
xt_status raw_read_xnli(const RawOptions *options, RawSet *out, xt_error *error);
xt_status raw_read_opinion(const RawOptions *options, RawSet *out, xt_error *error);
xt_status raw_read_culture(const RawOptions *options, RawSet *out, xt_error *error);

bool raw_wants(const RawOptions *options, const char *lang);

typedef struct RawField {
  const char *name, *text;
} RawField;

/* {"id", "gold", "fields"}; `gold` may be NULL. NULL when memory runs out. */
json_t *raw_item(const char *id, const char *gold, const RawField *fields, size_t count);

/* Appends `value` (taken over; NULL: memory ran out) to the array of `lang`. */
xt_status raw_add(json_t *by_language, const char *lang, json_t *value, xt_error *error);

/* "directory/name" if it exists, else NULL in *path. The caller frees it. */
xt_status raw_find(const char *directory, const char *name, char **path, xt_error *error);

/* The file itself, or the first of `names` in the directory; an error that lists them if there is
 * none. */
xt_status raw_locate(const char *directory, const char *const *names, size_t count, char **path,
                     xt_error *error);

/* A string member of a line that is no blank; `line` is from 1. */
xt_status raw_text(const json_t *object, const char *key, const char *path, size_t line,
                   const char **out, xt_error *error);

/* "(A) first\n(B) second" of an array of strings. The caller frees *out. */
xt_status raw_lettered(const json_t *options, char **out, xt_error *error);

#endif
