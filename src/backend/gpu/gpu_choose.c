/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a token: the logits stay on the device. Sums of blocks of 1024 logits' weights are
 * added in double, and their logarithm is taken, when a choice is downloaded: by the host, so that
 * a device needs no double, and no logarithm that gives the host's bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/gpu/gpu_backend.h"
#include "base/mem.h"

/* ---- the repetition penalty's lists ---------------------------------------------------------- */

struct SeenIds {
  GpuBuffer *data;
  GpuPenalize places; /* of the lists in it */
};

xt_status gpu_seen_create(Backend *backend, const SeenSource *source, SeenIds **out,
                          xt_error *error) {
  GpuBackend *b = gpu_of(backend);
  const size_t prompts = (size_t)source->prompts, lists = (size_t)source->lists,
               ids = (size_t)source->start[prompts];
  SeenIds *s;
  *out = NULL;
  TRY(MEM_ALLOC(&s, 1, error));
  s->places = (GpuPenalize){.start = ids, .capacity = source->capacity};
  s->places.prompt = s->places.start + prompts + 1;
  s->places.added = s->places.prompt + lists;
  s->places.counts = s->places.added + lists * (size_t)source->capacity;
  const xt_status status =
      gpu_buffer(b->device, (size_t)(s->places.counts + lists) * sizeof(int32_t), &s->data, error);
  if (status) {
    free(s);
    return status;
  }
  gpu_write(&b->user, s->data, 0, source->ids, ids * sizeof(int32_t));
  gpu_write(&b->user, s->data, (size_t)s->places.start * sizeof(int32_t), source->start,
            (prompts + 1) * sizeof(int32_t));
  gpu_write(&b->user, s->data, (size_t)s->places.prompt * sizeof(int32_t), source->prompt,
            lists * sizeof(int32_t));
  *out = s;
  return XT_STATUS_OK;
}

void gpu_seen_release(Backend *backend, SeenIds *s) {
  if (!s) return;
  gpu_buffer_free(gpu_of(backend)->device, s->data);
  free(s);
}

static void penalize(GpuBackend *b, const ChooseArgs *a) {
  const GpuPlace logits = gpu_place(a->logits), lists = gpu_place(a->lists.at),
                 newest = gpu_place(a->newest.at);
  GpuPenalize args = a->seen->places;
  args.logits = logits.at;
  args.lists = lists.at;
  args.newest = newest.at;
  args.vocab = a->vocab;
  args.penalty = a->penalty;
  GPU_LAUNCH(b, penalize, (uint32_t)a->rows, 1, 1, 64, args, logits.buffer, a->seen->data,
             lists.buffer, newest.buffer);
}

/* ---- the choice ------------------------------------------------------------------------------ */

void gpu_choices_free(GpuBackend *b) {
  GpuChoices *c = &b->choices;
  gpu_buffer_free(b->device, c->room.buffer);
  free(c->host);
  free(c->pending);
}

/* What is left of p after its rows [begin, end) are gone. */
static xt_status cut_rows(GpuChoices *c, size_t which, size_t begin, size_t end, xt_error *error) {
  GpuPending *p = &c->pending[which], rest = *p;
  rest.first += end * sizeof(Choice);
  rest.rows -= end;
  rest.at += end * (CHOICE_WORDS + 2 * p->blocks);
  p->rows = begin;
  if (begin == 0) {
    *p = rest;
    if (rest.rows == 0) p->out = NULL;
    return XT_STATUS_OK;
  }
  if (rest.rows == 0) return XT_STATUS_OK;
  TRY(MEM_GROW(&c->pending, &c->capacity, c->count + 1, error));
  c->pending[c->count++] = rest;
  return XT_STATUS_OK;
}

void gpu_choices_forget(GpuBackend *b, const GpuBuffer *buffer, size_t offset, size_t bytes) {
  GpuChoices *c = &b->choices;
  xt_error error;
  if (!buffer || !bytes) return;
  for (size_t i = 0; i < c->count; i++) {
    const GpuPending *p = &c->pending[i];
    const size_t end = p->first + p->rows * sizeof(Choice),
                 until = offset < end && bytes < end - offset ? offset + bytes : end,
                 begin = offset < p->first ? p->first : offset;
    if (p->out != buffer || begin >= until) continue;
    if (cut_rows(c, i, (begin - p->first) / sizeof(Choice),
                 (until - p->first + sizeof(Choice) - 1) / sizeof(Choice), &error))
      gpu_fail(&b->user, &error);
  }
}

/* Reads what is pending and was not read yet. */
static void read_pending(GpuBackend *b) {
  GpuChoices *c = &b->choices;
  if (c->read < c->words)
    gpu_read(&b->user, c->host + c->read, c->room.buffer, c->read * sizeof(float),
             (c->words - c->read) * sizeof(float));
  c->read = c->words;
}

/* Room for so many words more. What lies in it is read first where it has to grow, which it no
 * longer does when the largest step has been. */
static bool make_room(GpuBackend *b, size_t words) {
  GpuChoices *c = &b->choices;
  const size_t bytes = (c->words + words) * sizeof(float);
  xt_error error;
  if (bytes > c->room.bytes) read_pending(b);
  if (MEM_GROW(&c->host, &c->on_host, c->words + words, &error)) {
    gpu_fail(&b->user, &error);
    return false;
  }
  return bytes <= c->room.bytes || gpu_room(b, &c->room, bytes);
}

/* A place to record choices in, after those that a download finished are forgotten. NULL: memory ran
 * out. */
static const GpuPending *note_choices(GpuBackend *b, const ChooseArgs *a, size_t blocks) {
  GpuChoices *c = &b->choices;
  const size_t rows = (size_t)a->rows, words = rows * (CHOICE_WORDS + 2 * blocks);
  xt_error error;
  if (c->done) c->count = c->words = c->read = 0;
  c->done = false;
  gpu_choices_forget(b, a->out.buffer, a->out.offset, rows * sizeof(Choice)); /* of older ones */
  if (MEM_GROW(&c->pending, &c->capacity, c->count + 1, &error)) {
    gpu_fail(&b->user, &error);
    return NULL;
  }
  if (!make_room(b, words)) return NULL;
  GpuPending *p = &c->pending[c->count++];
  *p = (GpuPending){.out = a->out.buffer,
                    .first = a->out.offset,
                    .rows = rows,
                    .wanted = !index_is_none(a->wanted),
                    .blocks = blocks,
                    .at = c->words};
  c->words += words;
  return p;
}

void gpu_choose(Backend *backend, const ChooseArgs *a) {
  GpuBackend *b = gpu_of(backend);
  if (a->rows <= 0 || a->vocab <= 0) return;
  const size_t blocks = (size_t)(a->vocab + GPU_MASS_BLOCK - 1) / GPU_MASS_BLOCK;
  const GpuPending *p = note_choices(b, a, blocks);
  if (!p) return;
  const GpuPlace logits = gpu_place(a->logits), wanted = gpu_place(a->wanted.at),
                 out = gpu_place(a->out);
  if (a->seen) penalize(b, a);
  const GpuChoose args = {.logits = logits.at,
                          .chosen = out.at,
                          .wanted = wanted.at,
                          .all = p->at,
                          .rows = a->rows,
                          .vocab = a->vocab,
                          .blocks = (int)blocks,
                          .has_wanted = wanted.buffer != NULL};
  GPU_LAUNCH(b, two_largest, (uint32_t)a->rows, 1, 1, 256, args, logits.buffer, out.buffer,
             wanted.buffer);
  GPU_LAUNCH(b, weigh, (uint32_t)((blocks + 3) / 4) * (uint32_t)a->rows, 1, 1, 64, args,
             logits.buffer, out.buffer, b->choices.room.buffer);
}

/* `from`: CHOICE_WORDS of the device, and the sums of blocks. */
static Choice finished_choice(const float *from, size_t blocks, bool wanted) {
  double sum = 0, moment = 0;
  Choice c;
  memcpy(&c, from, sizeof c);
  for (const float *mass = from + CHOICE_WORDS; mass < from + CHOICE_WORDS + 2 * blocks;
       mass += 2) {
    sum += (double)mass[0];
    moment += (double)mass[1];
  }
  c.logprob = (float)-log(sum);
  c.entropy = (float)(log(sum) - moment / sum);
  c.wanted_logprob = wanted ? c.wanted_logprob + c.logprob : 0;
  return c;
}

/* Whether so many bytes, from `offset` on, are whole choices that are pending. */
static bool all_pending(const GpuChoices *c, const GpuBuffer *buffer, size_t offset, size_t bytes) {
  const size_t end = offset + bytes;
  for (size_t i = 0; offset < end && i < c->count;) {
    const GpuPending *p = &c->pending[i++];
    const size_t until = p->first + p->rows * sizeof(Choice);
    if (p->out != buffer || offset < p->first || offset >= until) continue;
    if ((offset - p->first) % sizeof(Choice)) return false;
    if (end < until) return (end - p->first) % sizeof(Choice) == 0;
    offset = until;
    i = 0; /* what follows may have been chosen before */
  }
  return offset >= end;
}

void gpu_read_choices(GpuBackend *b, void *to, const GpuBuffer *buffer, size_t offset,
                      size_t bytes) {
  GpuChoices *c = &b->choices;
  if (!all_pending(c, buffer, offset, bytes)) gpu_read(&b->user, to, buffer, offset, bytes);
  for (size_t i = 0; i < c->count; i++) {
    const GpuPending *p = &c->pending[i];
    const size_t from = p->first > offset ? p->first : offset,
                 end = p->first + p->rows * sizeof(Choice);
    if (p->out != buffer || from >= offset + bytes || end <= offset) continue;
    read_pending(b);
    c->done = true;
    for (size_t r = (from - p->first + sizeof(Choice) - 1) / sizeof(Choice); r < p->rows; r++) {
      const size_t at = p->first + r * sizeof(Choice) - offset;
      if (at + sizeof(Choice) > bytes) break;
      const Choice choice = finished_choice(c->host + p->at + r * (CHOICE_WORDS + 2 * p->blocks),
                                            p->blocks, p->wanted);
      memcpy((char *)to + at, &choice, sizeof choice);
    }
  }
}

/* ---- comparing ------------------------------------------------------------------------------- */

_Static_assert(BACKEND_COMPARE_BLOCK == GPU_MASS_BLOCK && BACKEND_COMPARED == 2 &&
                   CHOICE_WORDS == 5,
               "as the kernel has them");

void gpu_compare(Backend *backend, const CompareArgs *a) {
  GpuBackend *b = gpu_of(backend);
  if (a->rows <= 0 || a->vocab <= 0) return;
  const GpuPlace logits = gpu_place(a->logits), chosen = gpu_place(a->chosen),
                 ids = gpu_place(a->ids.at), against = gpu_place(a->against.at),
                 distributions = gpu_place(a->distributions), out = gpu_place(a->out);
  const GpuCompare args = {.logits = logits.at,
                           .chosen = chosen.at,
                           .ids = ids.at,
                           .against = against.at,
                           .distributions = distributions.at,
                           .out = out.at,
                           .vocab = a->vocab,
                           .blocks = compare_blocks(a->vocab),
                           .asked = a->asked,
                           .width = compare_width(a->vocab, a->asked)};
  GPU_LAUNCH(b, compare, (uint32_t)((args.blocks + 3) / 4) * 2 * (uint32_t)a->rows, 1, 1, 64, args,
             logits.buffer, chosen.buffer, ids.buffer, against.buffer, distributions.buffer,
             out.buffer);
}
