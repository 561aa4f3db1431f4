/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of one sweep are recognised by the name of the file or folder of its questions, without the
 * folders above it, which differ between machines, and by what else says which questions it has. */
#include "inputs/missing_shards.h"

#include <stdlib.h>
#include <string.h>

#include "inputs/shard.h"
#include "shell/output.h"

#define SHARDS_TEXT 240 /* more ranges than that are cut */

typedef struct Run {
  char *questions, *others; /* owned */
  Shard shard;              /* 1 of 1: the whole sweep */
} Run;

typedef struct Runs {
  Run *list;
  size_t count, capacity;
} Runs;

static int compare_sweeps(const Run *a, const Run *b) {
  const int order = strcmp(a->questions, b->questions);
  return order ? order : strcmp(a->others, b->others);
}

/* Runs that cut their sweep into the same shards. */
static int compare_cuts(const Run *a, const Run *b) {
  const int order = compare_sweeps(a, b);
  if (order) return order;
  if (a->shard.n != b->shard.n) return a->shard.n < b->shard.n ? -1 : 1;
  return (int)a->shard.deal - (int)b->shard.deal;
}

static int compare_runs(const void *x, const void *y) {
  const Run *a = x, *b = y;
  const int order = compare_cuts(a, b);
  return order ? order : (a->shard.k > b->shard.k) - (a->shard.k < b->shard.k);
}

static void runs_deinit(Runs *runs) {
  for (size_t i = 0; i < runs->count; i++) {
    free(runs->list[i].questions);
    free(runs->list[i].others);
  }
  free(runs->list);
}

/* ---- what the runs say ----------------------------------------------------------------------- */

/* The last part of a path; "" without one. */
static char *copy_name(const char *path) {
  size_t end = path ? strlen(path) : 0;
  while (end > 1 && path[end - 1] == '/') end--;
  size_t begin = end;
  while (begin > 0 && path[begin - 1] != '/') begin--;
  return strndup(path ? path + begin : "", end - begin);
}

static char *copy_others(const json_t *command) {
  static const char *const names[] = {"lang", "pivot", "source-langs", "limit"};
  json_t *values = json_object();
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    json_t *value = json_object_get(command, names[i]);
    if (value) json_object_set(values, names[i], value);
  }
  char *text = json_dumps(values, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(values);
  return text;
}

static xt_status add_run(Runs *runs, const json_t *command, const Shard *shard, xt_error *error) {
  const char *data = json_string_value(json_object_get(command, "data"));
  if (!data) data = json_string_value(json_object_get(command, "pairs"));
  if (runs->count == runs->capacity) {
    const size_t capacity = runs->capacity ? 2 * runs->capacity : 64;
    Run *list = realloc(runs->list, capacity * sizeof *list);
    if (!list) return error_memory(error);
    runs->list = list;
    runs->capacity = capacity;
  }
  Run *run = &runs->list[runs->count++];
  *run = (Run){.questions = copy_name(data), .others = copy_others(command), .shard = *shard};
  return run->questions && run->others ? XT_STATUS_OK : error_memory(error);
}

static xt_status read_run(void *user, const char *started, const char *provenance,
                          xt_error *error) {
  (void)started;
  Shard shard;
  json_t *command = shard_command(provenance);
  const char *verb = json_string_value(json_object_get(command, "verb"));
  xt_status status = XT_STATUS_OK;
  if (verb && strcmp(verb, "sweep") == 0 && shard_of_command(command, &shard))
    status = add_run(user, command, &shard, error);
  json_decref(command);
  return status;
}

/* ---- what is missing ------------------------------------------------------------------------- */

/* The numbers from 1 to `last` that no run of a cut has, as "2,5-7". */
static void write_missing(const Run *runs, size_t count, int last, char out[SHARDS_TEXT]) {
  size_t used = 0;
  int next = 1;
  out[0] = '\0';
  for (size_t i = 0; i <= count && used < SHARDS_TEXT - 40; i++) {
    const int there = i < count ? runs[i].shard.k : last + 1;
    if (there > next)
      used += (size_t)snprintf(out + used, SHARDS_TEXT - used, "%s%d", used ? "," : "", next);
    if (there > next + 1)
      used += (size_t)snprintf(out + used, SHARDS_TEXT - used, "-%d", there - 1);
    next = there + 1;
  }
  if (next <= last) snprintf(out + used, SHARDS_TEXT - used, ",...");
}

/* The last shard of a cut that has to be there. Shards have as many questions as one another, but
 * for one, and the first of them have it; those without questions write no file. So it is not known
 * whether there are any after the last that is there, if none of them has more than one. */
static int last_shard(const Run *runs, size_t count, int64_t questions) {
  int different = 0;
  for (size_t i = 0; i < count; i++) different += !i || runs[i].shard.k != runs[i - 1].shard.k;
  return questions > different ? runs[0].shard.n : runs[count - 1].shard.k;
}

static bool add_missing(json_t *out, const Run *run, const char *shards) {
  json_t *object = json_object();
  bool ok = json_add(object, "questions", json_string(run->questions));
  ok = json_add(object, "of", json_integer(run->shard.n)) && ok;
  ok = json_add(object, "shards", json_string(shards)) && ok;
  return json_array_append_new(out, object) == 0 && ok;
}

static size_t count_alike(const Run *runs, size_t count, int (*compare)(const Run *, const Run *)) {
  size_t n = 1;
  while (n < count && compare(&runs[n], &runs[0]) == 0) n++;
  return n;
}

/* `runs`: all of one sweep. Nothing is missing where they have all shards of one cut. */
static bool look_at_sweep(json_t *out, const Run *runs, size_t count, int64_t questions) {
  char text[SHARDS_TEXT];
  const size_t before = json_array_size(out);
  bool ok = true;
  for (size_t i = 0, n; i < count; i += n) {
    n = count_alike(runs + i, count - i, compare_cuts);
    write_missing(runs + i, n, last_shard(runs + i, n, questions), text);
    if (text[0]) {
      ok = add_missing(out, runs + i, text) && ok;
      continue;
    }
    while (json_array_size(out) > before) json_array_remove(out, json_array_size(out) - 1);
    break;
  }
  return ok;
}

xt_status missing_shards_find(xt_store *store, int64_t questions, json_t **out, xt_error *error) {
  Runs runs = {0};
  xt_status status = xt_store_read_runs(store, read_run, &runs, error);
  *out = json_array();
  bool ok = *out != NULL;
  if (!status && runs.count > 0) qsort(runs.list, runs.count, sizeof *runs.list, compare_runs);
  for (size_t i = 0, n; !status && i < runs.count; i += n) {
    n = count_alike(runs.list + i, runs.count - i, compare_sweeps);
    ok = look_at_sweep(*out, runs.list + i, n, questions) && ok;
  }
  runs_deinit(&runs);
  if (!status && !ok) status = error_memory(error);
  if (!status) return status;
  json_decref(*out);
  *out = NULL;
  return status;
}

void missing_shards_note(bool quiet, const json_t *missing) {
  for (size_t i = 0; i < json_array_size(missing); i++) {
    const json_t *one = json_array_get(missing, i);
    const char *questions = json_string_value(json_object_get(one, "questions"));
    const char *shards = json_string_value(json_object_get(one, "shards"));
    const bool several = strpbrk(shards, ",-") != NULL;
    cli_note(quiet, "A PART: %s%sshard%s %s of %lld %s missing", questions, *questions ? ": " : "",
             several ? "s" : "", shards, (long long)json_integer_value(json_object_get(one, "of")),
             several ? "are" : "is");
  }
}
