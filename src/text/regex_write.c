/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of a translation: characters that every class treats alike become one kind, and
 * each kind becomes one byte. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/regex_syntax.h"
#include "text/unicode_data.h"

uint8_t alphabet_kind(const Alphabet *a, uint32_t code) {
  size_t low = a->page[code >> 8], high = a->page[(code >> 8) + 1];
  while (low < high) { /* the last start in [low, high] that is not above */
    const size_t middle = low + (high - low + 1) / 2;
    if (a->starts[middle] <= code)
      low = middle;
    else
      high = middle - 1;
  }
  return a->kinds[low];
}

void alphabet_free(Alphabet *a) {
  free(a->starts);
  free(a->kinds);
  a->starts = NULL;
  a->kinds = NULL;
}

static int by_number(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Where any set begins or ends, each place once, from 0. */
static xt_status find_borders(const RegexParser *p, uint32_t **out, size_t *count,
                              xt_error *error) {
  size_t most = 1, n = 0;
  for (size_t i = 0; i < p->set_count; i++) most += 2 * p->sets[i].count;
  TRY(MEM_ALLOC(out, most, error));
  uint32_t *borders = *out;
  borders[n++] = 0;
  for (size_t i = 0; i < p->set_count; i++)
    for (size_t k = 0; k < p->sets[i].count; k++) {
      borders[n++] = p->sets[i].ranges[k].start;
      borders[n++] = p->sets[i].ranges[k].end;
    }
  qsort(borders, n, sizeof *borders, by_number);
  *count = 0;
  for (size_t i = 0; i < n; i++)
    if (borders[i] < UNICODE_END && (!*count || borders[*count - 1] != borders[i]))
      borders[(*count)++] = borders[i];
  return XT_STATUS_OK;
}

/* The sets that a kind belongs to, one bit per set. */
typedef struct Kinds {
  uint64_t (*bits)[REGEX_SETS_MAX / 64];
  size_t count;
} Kinds;

static xt_status find_kinds(const RegexParser *p, Alphabet *a, Kinds *kinds, xt_error *error) {
  size_t at[REGEX_SETS_MAX] = {0}, n = 0;
  for (size_t i = 0; i < a->count; i++) {
    uint64_t bits[REGEX_SETS_MAX / 64] = {0};
    for (size_t s = 0; s < p->set_count; s++) {
      const CodeSet *set = &p->sets[s];
      while (at[s] < set->count && set->ranges[at[s]].end <= a->starts[i]) at[s]++;
      if (at[s] < set->count && set->ranges[at[s]].start <= a->starts[i])
        bits[s / 64] |= (uint64_t)1 << (s % 64);
    }
    size_t kind = 0;
    while (kind < kinds->count && memcmp(kinds->bits[kind], bits, sizeof bits) != 0) kind++;
    if (kind == REGEX_KINDS_MAX)
      return regex_refuse(p, XT_STATUS_UNSUPPORTED, p->length,
                          "more than 256 kinds of characters to tell apart, seen", error);
    if (kind == kinds->count) memcpy(kinds->bits[kinds->count++], bits, sizeof bits);
    if (n && a->kinds[n - 1] == kind) continue;
    a->starts[n] = a->starts[i];
    a->kinds[n++] = (uint8_t)kind;
  }
  a->count = n;
  return XT_STATUS_OK;
}

static void set_pages(Alphabet *a) {
  size_t i = 0;
  for (size_t page = 0; page < sizeof a->page / sizeof *a->page; page++) {
    while (i + 1 < a->count && a->starts[i + 1] <= page << 8) i++;
    a->page[page] = (uint32_t)i;
  }
}

static void write_set(const Kinds *kinds, size_t set, TextBuffer *out) {
  text_buffer_add_text(out, "[");
  size_t members = 0;
  for (size_t kind = 0; kind < kinds->count; kind++) {
    size_t last = kind;
    while (last < kinds->count && kinds->bits[last][set / 64] >> (set % 64) & 1) last++;
    if (last == kind) continue;
    text_buffer_format(out, "\\x%02x", (unsigned)kind);
    if (last - kind > 1) text_buffer_format(out, "-\\x%02x", (unsigned)last - 1);
    members += last - kind;
    kind = last;
  }
  if (members) {
    text_buffer_add_text(out, "]");
  } else { /* no character at all */
    out->size--;
    text_buffer_add_text(out, "(?!)");
  }
}

static void write_op(const RegexOp *op, const Kinds *kinds, TextBuffer *out) {
  switch (op->kind) {
    case REGEX_TEXT: text_buffer_add_text(out, op->text); break;
    case REGEX_SET: write_set(kinds, op->n, out); break;
    case REGEX_OPEN:
      for (size_t i = 0; i < op->n; i++) text_buffer_add_text(out, "(?:");
      break;
    case REGEX_COUNT:
      if (op->m == SIZE_MAX)
        text_buffer_format(out, "{%zu,}", op->n);
      else
        text_buffer_format(out, "{%zu,%zu}", op->n, op->m);
      break;
  }
}

xt_status regex_write(const RegexParser *p, TextBuffer *out, Alphabet *a, xt_error *error) {
  Kinds kinds = {0};
  xt_status status;
  TRY_DONE(MEM_ALLOC(&kinds.bits, REGEX_KINDS_MAX, error));
  TRY_DONE(find_borders(p, &a->starts, &a->count, error));
  TRY_DONE(MEM_ALLOC(&a->kinds, a->count, error));
  TRY_DONE(find_kinds(p, a, &kinds, error));
  set_pages(a);
  for (size_t i = 0; i < p->op_count && !out->failed && out->size <= REGEX_WRITTEN_MAX; i++)
    write_op(&p->ops[i], &kinds, out);
  if (out->failed)
    status = err_memory(error, out->size);
  else if (out->size > REGEX_WRITTEN_MAX)
    status = regex_refuse(p, XT_STATUS_UNSUPPORTED, p->length, "grown too long", error);
done:
  free(kinds.bits);
  return status;
}
