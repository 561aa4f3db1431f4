/* SPDX-License-Identifier: Apache-2.0 */
/* The repetition penalty's lists: a prompt's distinct ids, shared by its lists, and those that each
 * list has got since. */
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/mem.h"

struct SeenIds {
  int lists, capacity;
  int32_t *ids, *start, *prompt, *added, *counts; /* as SeenSource has them; [lists, capacity],
                                                     [lists] */
};

xt_status cpu_seen_create(Backend *b, const SeenSource *source, SeenIds **out, xt_error *error) {
  (void)b;
  const size_t prompts = (size_t)source->prompts, lists = (size_t)source->lists,
               capacity = (size_t)source->capacity;
  const size_t ids = (size_t)source->start[prompts];
  SeenIds *s;
  *out = NULL;
  TRY(MEM_ALLOC(&s, 1, error));
  *s = (SeenIds){.lists = source->lists, .capacity = source->capacity};
  xt_status status = MEM_ALLOC(&s->ids, ids + 1, error);
  if (!status) status = MEM_ALLOC(&s->start, prompts + 1, error);
  if (!status) status = MEM_ALLOC(&s->prompt, lists + 1, error);
  if (!status) status = MEM_ALLOC(&s->added, lists * capacity + 1, error);
  if (!status) status = MEM_ALLOC(&s->counts, lists + 1, error);
  if (status) {
    cpu_seen_release(b, s);
    return status;
  }
  memcpy(s->ids, source->ids, ids * sizeof *s->ids);
  memcpy(s->start, source->start, (prompts + 1) * sizeof *s->start);
  memcpy(s->prompt, source->prompt, lists * sizeof *s->prompt);
  *out = s;
  return XT_STATUS_OK;
}

void cpu_seen_release(Backend *b, SeenIds *s) {
  (void)b;
  if (!s) return;
  free(s->ids);
  free(s->start);
  free(s->prompt);
  free(s->added);
  free(s->counts);
  free(s);
}

static bool listed(const int32_t *ids, int32_t count, int32_t id) {
  for (int32_t i = 0; i < count; i++)
    if (ids[i] == id) return true;
  return false;
}

static void lower(float *logits, const int32_t *ids, int32_t count, float penalty) {
  for (int32_t i = 0; i < count; i++) {
    float *s = &logits[ids[i]];
    *s = *s < 0 ? *s * penalty : *s / penalty;
  }
}

void cpu_penalize(const ChooseArgs *args, int row) {
  SeenIds *s = args->seen;
  if (!s) return;
  const int32_t list = cpu_ints(args->lists)[row], newest = cpu_ints(args->newest)[row],
                prompt = s->prompt[list];
  const int32_t *first = s->ids + s->start[prompt], count = s->start[prompt + 1] - s->start[prompt];
  int32_t *added = s->added + (size_t)list * (size_t)s->capacity;
  if (!listed(first, count, newest) && !listed(added, s->counts[list], newest) &&
      s->counts[list] < s->capacity)
    added[s->counts[list]++] = newest;
  float *logits = cpu_floats(args->logits) + (size_t)row * (size_t)args->vocab;
  lower(logits, first, count, args->penalty);
  lower(logits, added, s->counts[list], args->penalty);
}
