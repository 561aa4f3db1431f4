/* SPDX-License-Identifier: Apache-2.0 */
/* The answers whose first tokens are tracked: of a question with options each option's label and
 * text, of others the gold answers, and the words that were asked for. Each is tracked as it begins
 * directly and after a space, because a model may answer either way. */
#include "job/job_track.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tasks/task_table.h"

#define GOLDS_MOST 8 /* answers of one question */

typedef struct Finder {
  xt_job *job;
  const xt_tokenizer *tokenizer;
  int32_t *line; /* the tokens of a new line, which spellings are tokenised after */
  size_t line_count;
  xt_tracked list[XT_TRACKED_MOST]; /* of the question at hand */
  size_t count;
  xt_status status;
  xt_error *error;
} Finder;

/* The first token of the text in a line of its own, or -1 where the line's beginning is not
 * separate. */
static int32_t first_token(Finder *f, const char *text) {
  int32_t *ids, first = -1;
  size_t count;
  if (f->status) return -1;
  f->status = xt_tokenizer_encode(f->tokenizer, text, strlen(text), false, &ids, &count, f->error);
  if (f->status) return -1;
  if (count > f->line_count && memcmp(ids, f->line, f->line_count * sizeof *ids) == 0)
    first = ids[f->line_count];
  xt_free(ids);
  return first;
}

static const char *keep(Finder *f, const char *text, size_t length) {
  char *copy;
  if (!f->status) f->status = ARENA_ALLOC(&f->job->arena, &copy, length + 1, f->error);
  return f->status ? NULL : memcpy(copy, text, length);
}

/* `answer` is what the entry is called, `text` (of `length` bytes) what is tracked. */
static void add(Finder *f, const char *kind, const char *answer, const char *text, size_t length) {
  char *spelling;
  int32_t before = -1;
  if (length == 0) return;
  if (!f->status) f->status = MEM_ALLOC(&spelling, length + 3, f->error);
  if (f->status) return;
  for (int space = 0; space < 2; space++) {
    spelling[0] = '\n';
    spelling[1] = ' ';
    memcpy(spelling + 1 + (size_t)space, text, length);
    spelling[1 + (size_t)space + length] = 0;
    const int32_t id = first_token(f, spelling);
    if (id < 0 || id == before) continue;
    before = id;
    if (f->count == XT_TRACKED_MOST) {
      f->status = err_set(f->error, XT_STATUS_ARGUMENT, NULL, "words", -1,
                          "are too many: with the answers of a question, at most %d tokens can be "
                          "tracked",
                          XT_TRACKED_MOST);
      break;
    }
    f->list[f->count] = (xt_tracked){.id = id,
                                     .kind = kind,
                                     .answer = answer ? answer : keep(f, text, length),
                                     .spelling = keep(f, spelling + 1, length + (size_t)space)};
    if (!f->status) f->count++;
  }
  free(spelling);
}

static void add_options(Finder *f, const xt_question *q) {
  for (size_t i = 0; i < q->choice_count; i++) {
    const xt_choice *choice = &q->choices[i];
    add(f, "label", choice->label, choice->label, strlen(choice->label));
    if (choice->text) add(f, "text", choice->label, choice->text, strlen(choice->text));
  }
}

/* The options of a prompt that lists them as "(A)", "(B)" and so on. */
static void add_letters(Finder *f, const xt_question *q) {
  for (char letter = 'A'; letter < 'A' + TASK_LETTERS; letter++) {
    const char option[] = {'(', letter, ')', 0}, label[] = {letter, 0};
    if (!strstr(q->target, option)) return;
    add(f, "label", NULL, label, 1);
  }
}

static void add_golds(Finder *f, const xt_question *q) {
  const char *at = q->gold ? q->gold : "";
  for (int n = 0; n < GOLDS_MOST && *at; n++) {
    const size_t length = strcspn(at, XT_GOLD_SEPARATOR);
    add(f, "gold", NULL, at, length);
    at += length + (at[length] != 0);
  }
}

static xt_status track_question(Finder *f, size_t index) {
  xt_job *job = f->job;
  const xt_question *q = job->questions[index];
  const xt_task *task = xt_task_find(q->task);
  JobTracked *out = &job->tracked[index];
  xt_tracked *list;
  int32_t *ids;
  f->count = 0;
  if (q->choice_count)
    add_options(f, q);
  else if (task && task_entry(task)->scoring == SCORING_LETTERS)
    add_letters(f, q);
  if (f->count == 0) add_golds(f, q);
  for (size_t w = 0; w < job->options.word_count; w++)
    add(f, "word", job->options.words[w], job->options.words[w], strlen(job->options.words[w]));
  if (f->status) return f->status;
  TRY(ARENA_ALLOC(&job->arena, &list, f->count, f->error));
  TRY(ARENA_ALLOC(&job->arena, &ids, f->count, f->error));
  for (size_t i = 0; i < f->count; i++) {
    list[i] = f->list[i];
    ids[i] = list[i].id;
  }
  *out = (JobTracked){list, f->count};
  job->instances[index].tracked = ids;
  job->instances[index].tracked_count = f->count;
  return XT_STATUS_OK;
}

xt_status job_copy_words(xt_job *job, xt_error *error) {
  xt_job_options *o = &job->options;
  const char **words;
  TRY(ARENA_ALLOC(&job->arena, &words, o->word_count, error));
  for (size_t w = 0; w < o->word_count; w++) {
    char *copy;
    TRY(ARENA_ALLOC(&job->arena, &copy, strlen(o->words[w]) + 1, error));
    words[w] = strcpy(copy, o->words[w]);
  }
  o->words = words;
  return XT_STATUS_OK;
}

xt_status job_find_tracked(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error) {
  if (job->options.no_effects) return XT_STATUS_OK;
  Finder *f;
  TRY(MEM_ALLOC(&job->tracked, job->count, error));
  TRY(MEM_ALLOC(&f, 1, error));
  *f = (Finder){.job = job, .tokenizer = tokenizer, .error = error};
  xt_status status =
      xt_tokenizer_encode(tokenizer, "\n", 1, false, &f->line, &f->line_count, error);
  for (size_t i = 0; i < job->count && !status; i++) status = track_question(f, i);
  xt_free(f->line);
  free(f);
  return status;
}

xt_status job_check_tracked(const xt_job *job, xt_store *store, size_t index, int64_t number,
                            xt_error *error) {
  const xt_question *q = job->questions[index];
  const JobTracked *mine = &job->tracked[index];
  bool have, same;
  xt_store_info info;
  if (job->options.no_effects) return XT_STATUS_OK;
  TRY(xt_store_find_tracked(store, number, mine->list, mine->count, &have, &same, error));
  if (!have || same) return XT_STATUS_OK;
  TRY(xt_store_get_info(store, &info, error));
  return err_set(error, XT_STATUS_ARGUMENT, info.path, "tracked", -1,
                 "question %.60s (%.20s %.20s) is tracked with other answers than are asked for "
                 "now; ask for the same, for none, or give another results file",
                 q->id, q->task, q->lang);
}
