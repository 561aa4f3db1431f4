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

void gpu_pending_free(GpuBackend *b) {
  for (size_t i = 0; i < b->pending_capacity; i++) {
    gpu_buffer_free(b->device, b->pending[i].mass.buffer);
    free(b->pending[i].host);
    free(b->pending[i].left);
  }
  free(b->pending);
}

/* What the host has for a row's record as the device left it, in the place of its token. */
enum { NOT_READ = -1, NOT_THERE = -2 };

/* Rows of choices that lie among `bytes` from `offset` on are no choices any more. */
void gpu_forget_choices(GpuBackend *b, const GpuBuffer *buffer, size_t offset, size_t bytes) {
  for (size_t i = 0; i < b->pending_count; i++) {
    GpuPending *p = &b->pending[i];
    if (!buffer || !bytes || p->out != buffer) continue;
    bool any = false;
    for (size_t r = 0; r < p->rows; r++) {
      const size_t at = p->first + r * sizeof(Choice);
      if (at + sizeof(Choice) > offset && (at < offset || at - offset < bytes))
        p->left[r].best = NOT_THERE;
      any = any || p->left[r].best != NOT_THERE;
    }
    if (!any) p->out = NULL;
  }
}

/* Room on the host for a choice of so many rows and numbers. */
static xt_status grow_host(GpuPending *p, size_t rows, size_t floats, xt_error *error) {
  if (p->host_floats < floats) {
    free(p->host);
    p->host_floats = 0;
    TRY(MEM_ALLOC(&p->host, floats, error));
    p->host_floats = floats;
  }
  return MEM_GROW(&p->left, &p->left_capacity, rows, error);
}

/* A place to record a choice in. Choices that were read are removed first, and their memory is used
 * again. NULL: memory ran out. */
static GpuPending *note_choice(GpuBackend *b, const ChooseArgs *a, size_t blocks) {
  const size_t rows = (size_t)a->rows, before = b->pending_capacity, floats = rows * blocks * 2;
  xt_error error;
  if (b->pending_read) b->pending_count = 0;
  b->pending_read = false;
  gpu_forget_choices(b, a->out.buffer, a->out.offset, rows * sizeof(Choice)); /* of older ones */
  xt_status status = MEM_GROW(&b->pending, &b->pending_capacity, b->pending_count + 1, &error);
  if (!status) memset(b->pending + before, 0, (b->pending_capacity - before) * sizeof *b->pending);
  GpuPending *p = status ? NULL : &b->pending[b->pending_count];
  if (p) status = grow_host(p, rows, floats, &error);
  if (status) gpu_fail(&b->user, &error);
  if (status || !gpu_room(b, &p->mass, floats * sizeof(float))) return NULL;
  p->out = a->out.buffer;
  p->first = a->out.offset;
  p->rows = rows;
  p->blocks = blocks;
  p->wanted = !index_is_none(a->wanted);
  p->read = false;
  for (size_t r = 0; r < rows; r++) p->left[r].best = NOT_READ;
  b->pending_count++;
  return p;
}

void gpu_choose(Backend *backend, const ChooseArgs *a) {
  GpuBackend *b = gpu_of(backend);
  if (a->rows <= 0 || a->vocab <= 0) return;
  const size_t blocks = (size_t)(a->vocab + GPU_MASS_BLOCK - 1) / GPU_MASS_BLOCK;
  const GpuPending *p = note_choice(b, a, blocks);
  if (!p) return;
  const GpuPlace logits = gpu_place(a->logits), wanted = gpu_place(a->wanted.at),
                 out = gpu_place(a->out);
  if (a->seen) penalize(b, a);
  const GpuChoose args = {.logits = logits.at,
                          .chosen = out.at,
                          .wanted = wanted.at,
                          .rows = a->rows,
                          .vocab = a->vocab,
                          .blocks = (int)blocks,
                          .has_wanted = wanted.buffer != NULL};
  GPU_LAUNCH(b, two_largest, (uint32_t)a->rows, 1, 1, 256, args, logits.buffer, out.buffer,
             wanted.buffer);
  GPU_LAUNCH(b, weigh, (uint32_t)((blocks + 3) / 4) * (uint32_t)a->rows, 1, 1, 64, args,
             logits.buffer, out.buffer, p->mass.buffer);
}

static void finish_choice(Choice *c, const float *mass, size_t blocks, bool wanted) {
  double sum = 0, moment = 0;
  for (size_t i = 0; i < blocks; i++) {
    sum += (double)mass[2 * i];
    moment += (double)mass[2 * i + 1];
  }
  c->logprob = (float)-log(sum);
  c->entropy = (float)(log(sum) - moment / sum);
  c->wanted_logprob = wanted ? c->wanted_logprob + c->logprob : 0;
}

void gpu_finish_choices(GpuBackend *b, const GpuBuffer *buffer, size_t offset, void *to,
                        size_t bytes) {
  for (size_t i = 0; i < b->pending_count; i++) {
    GpuPending *p = &b->pending[i];
    const size_t from = p->first > offset ? p->first : offset,
                 end = p->first + p->rows * sizeof(Choice);
    if (p->out != buffer || from >= offset + bytes || end <= offset) continue;
    if (!p->read)
      gpu_read(&b->user, p->host, p->mass.buffer, 0, p->rows * p->blocks * 2 * sizeof(float));
    p->read = b->pending_read = true;
    for (size_t r = (from - p->first + sizeof(Choice) - 1) / sizeof(Choice); r < p->rows; r++) {
      const size_t at = p->first + r * sizeof(Choice) - offset;
      Choice c;
      if (at + sizeof c > bytes) break;
      memcpy(&c, (char *)to + at, sizeof c);
      if (p->left[r].best == NOT_READ) p->left[r] = c;
      if (memcmp(&p->left[r], &c, sizeof c) != 0) continue; /* something else is there now */
      finish_choice(&c, p->host + 2 * p->blocks * r, p->blocks, p->wanted);
      memcpy((char *)to + at, &c, sizeof c);
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
