/* SPDX-License-Identifier: Apache-2.0 */
/* The answers whose first tokens are tracked: of a question with options each option's label and
 * text, of others the gold answers, and the words that were asked for. Each is tracked as it begins
 * directly and after a space, because a model may answer either way. Both tokens of a word are kept
 * as one number, since nothing tells them apart that is reported. */
#include "job/job_track.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena_text.h"
#include "base/mem.h"
#include "tasks/task_table.h"

#define GOLDS_MOST 8 /* answers of one question */

typedef struct Finder {
  xt_job *job;
  const xt_tokenizer *tokenizer;
  xt_tracked list[XT_TRACKED_MOST]; /* of the question at hand */
  size_t count;
  xt_status status;
  xt_error *error;
} Finder;

static const char *keep(Finder *f, const char *text, size_t length) {
  const char *copy = NULL;
  if (!f->status) f->status = arena_copy_text(&f->job->arena, text, length, &copy, f->error);
  return copy;
}

/* One spelling of an answer, whose first token it is. */
static void add_spelling(Finder *f, const char *kind, const char *answer, const char *spelling,
                         int32_t id) {
  if (f->count == XT_TRACKED_MOST)
    f->status = err_set(f->error, XT_STATUS_ARGUMENT, NULL, "words", -1,
                        "are too many: with the answers of a question, at most %d tokens can be "
                        "tracked",
                        XT_TRACKED_MOST);
  if (f->status) return;
  f->list[f->count] = (xt_tracked){
      .id = id, .kind = kind, .answer = answer, .spelling = keep(f, spelling, strlen(spelling))};
  f->count++;
}

/* `answer` is what the entry is called (NULL: the text), `text` (of `length` bytes) what is
 * tracked. */
static void add(Finder *f, const char *kind, const char *answer, const char *text, size_t length) {
  int32_t ids[2] = {-1, -1};
  char *spaced;
  if (length == 0) return;
  if (!f->status) f->status = ARENA_ALLOC(&f->job->arena, &spaced, length + 2, f->error);
  if (f->status) return;
  spaced[0] = ' ';
  memcpy(spaced + 1, text, length);
  f->status = xt_tokenizer_first_tokens(f->tokenizer, spaced + 1, ids, f->error);
  if (!answer) answer = spaced + 1;
  if (ids[0] >= 0) add_spelling(f, kind, answer, spaced + 1, ids[0]);
  if (ids[1] >= 0 && ids[1] != ids[0]) add_spelling(f, kind, answer, spaced, ids[1]);
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
  for (int i = 0; i < TASK_LETTERS; i++) {
    const char letter = (char)('A' + i), option[] = {'(', letter, ')', 0}, label[] = {letter, 0};
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

static size_t count_id(const Finder *f, int32_t id) {
  size_t n = 0;
  for (size_t i = 0; i < f->count; i++) n += f->list[i].id == id;
  return n;
}

/* Whether the i-th token and the next are a word's, directly and after a space, and no other answer
 * begins with either: what two answers begin with counts for neither, and stays apart. */
static bool is_pair(const Finder *f, size_t i) {
  const xt_tracked *a = &f->list[i], *b = a + 1;
  return i + 1 < f->count && strcmp(a->kind, "word") == 0 && strcmp(b->kind, "word") == 0 &&
         strcmp(a->answer, b->answer) == 0 && b->spelling[0] == ' ' &&
         strcmp(a->spelling, b->spelling + 1) == 0 && b->id > 0 && count_id(f, a->id) == 1 &&
         count_id(f, b->id) == 1;
}

static xt_status track_question(Finder *f, size_t index) {
  xt_job *job = f->job;
  const xt_question *q = job->questions[index];
  const xt_task *task = xt_task_find(q->task);
  JobTracked *out = &job->tracked[index];
  xt_tracked *list, *apart;
  int32_t *ids;
  size_t count = 0;
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
  TRY(ARENA_ALLOC(&job->arena, &apart, f->count, f->error));
  TRY(ARENA_ALLOC(&job->arena, &ids, f->count, f->error));
  for (size_t i = 0; i < f->count; i++) {
    apart[i] = f->list[i];
    ids[i] = apart[i].id;
  }
  for (size_t i = 0; i < f->count; i++) {
    list[count] = f->list[i];
    if (is_pair(f, i)) list[count].also = f->list[++i].id;
    count++;
  }
  *out = (JobTracked){.apart = {apart, f->count}, .together = {list, count}};
  job->instances[index].tracked = ids;
  job->instances[index].tracked_count = f->count;
  return XT_STATUS_OK;
}

xt_status job_copy_words(xt_job *job, xt_error *error) {
  xt_job_options *o = &job->options;
  const char **words;
  TRY(ARENA_ALLOC(&job->arena, &words, o->word_count, error));
  for (size_t w = 0; w < o->word_count; w++)
    TRY(arena_copy_text(&job->arena, o->words[w], strlen(o->words[w]), &words[w], error));
  o->words = words;
  return XT_STATUS_OK;
}

xt_status job_find_tracked(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error) {
  if (job->options.no_effects) return XT_STATUS_OK;
  Finder *f;
  TRY(MEM_ALLOC(&job->tracked, job->count, error));
  TRY(MEM_ALLOC(&f, 1, error));
  *f = (Finder){.job = job, .tokenizer = tokenizer, .error = error};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < job->count && !status; i++) status = track_question(f, i);
  free(f);
  return status;
}

const TrackedList *job_tracked(const xt_job *job, size_t index) {
  const JobTracked *t = &job->tracked[index];
  return t->keeps_apart ? &t->apart : &t->together;
}

xt_status job_check_tracked(xt_job *job, xt_store *store, size_t index, int64_t number,
                            xt_error *error) {
  const xt_question *q = job->questions[index];
  JobTracked *mine = &job->tracked[index];
  bool have, same;
  xt_store_info info;
  if (job->options.no_effects) return XT_STATUS_OK;
  mine->keeps_apart = false;
  if (number < 0) return XT_STATUS_OK;
  TRY(xt_store_find_tracked(store, number, mine->together.list, mine->together.count, &have, &same,
                            error));
  if (!have || same) return XT_STATUS_OK;
  TRY(xt_store_find_tracked(store, number, mine->apart.list, mine->apart.count, &have,
                            &mine->keeps_apart, error));
  if (mine->keeps_apart) return XT_STATUS_OK;
  TRY(xt_store_get_info(store, &info, error));
  return err_set(error, XT_STATUS_ARGUMENT, info.path, "tracked", -1,
                 "question %.60s (%.20s %.20s) is tracked with other answers than are asked for "
                 "now; ask for the same, for none, or give another results file",
                 q->id, q->task, q->lang);
}

/* ln of the sum of two probabilities. */
static float either(float a, float b) {
  const double high = fmax((double)a, (double)b), low = fmin((double)a, (double)b);
  return !isfinite(low) ? (float)high : (float)fmin(0, high + log1p(exp(low - high)));
}

size_t job_numbers(const xt_job *job, size_t index, const float *numbers,
                   float out[XT_EFFECT_TRACKED + XT_TRACKED_MOST]) {
  const TrackedList *t = job_tracked(job, index);
  const float *next = numbers + XT_EFFECT_TRACKED;
  memcpy(out, numbers, XT_EFFECT_TRACKED * sizeof *out);
  for (size_t i = 0; i < t->count; i++) {
    float *one = &out[XT_EFFECT_TRACKED + i];
    *one = *next++;
    if (t->list[i].also) *one = either(*one, *next++);
  }
  return XT_EFFECT_TRACKED + t->count;
}
