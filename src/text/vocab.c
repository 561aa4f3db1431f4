/* SPDX-License-Identifier: Apache-2.0 */
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* The seed is random for each table, so that nobody can write a vocabulary whose tokens all fall
 * into one slot. */
static uint32_t hash_text(uint64_t seed, const char *text, size_t length) {
  uint64_t h = (seed ^ length) * 0x9E3779B97F4A7C15u;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, text, 8);
    h = (h ^ word) * 0xFF51AFD7ED558CCDu;
    h ^= h >> 32;
    text += 8;
    length -= 8;
  }
  uint64_t tail = 0;
  for (size_t i = 0; i < length; i++) tail |= (uint64_t)(uint8_t)text[i] << (8 * i);
  h = (h ^ tail) * 0xC4CEB9FE1A85EC53u;
  return (uint32_t)(h ^ (h >> 32));
}

/* A slot has the upper bits of its text's hash, so that other texts are passed over without a look
 * at their entries, which are seldom in the cache. */
#define SLOT_ENTRY (2u * VOCAB_IDS_MAX - 1)
static uint32_t slot_of(size_t entry, uint32_t hash) {
  return ((uint32_t)entry + 1) | (hash & ~SLOT_ENTRY);
}

/* The slot that holds the text, or the empty one where it belongs. */
static size_t find_slot(const Vocab *v, const char *text, size_t length, uint32_t hash) {
  const size_t mask = v->slot_count - 1;
  for (size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    if (!v->slots[slot]) return slot;
    if ((v->slots[slot] ^ hash) & ~SLOT_ENTRY) continue;
    const VocabEntry *e = &v->entries[(v->slots[slot] & SLOT_ENTRY) - 1];
    if (e->hash == hash && e->length == length && memcmp(v->bytes + e->at, text, length) == 0)
      return slot;
  }
}

static xt_status set_slots(Vocab *v, size_t count, xt_error *error) {
  uint32_t *slots;
  if (!v->slots) v->seed = rng_unpredictable();
  TRY(MEM_ALLOC(&slots, count, error));
  for (size_t i = 0; i < v->count; i++) {
    size_t slot = v->entries[i].hash & (count - 1);
    while (slots[slot]) slot = (slot + 1) & (count - 1);
    slots[slot] = slot_of(i, v->entries[i].hash);
  }
  free(v->slots);
  v->slots = slots;
  v->slot_count = count;
  return XT_STATUS_OK;
}

xt_status vocab_reserve(Vocab *v, size_t count, xt_error *error) {
  if (count >= VOCAB_IDS_MAX) return XT_STATUS_OK; /* adding will say so */
  TRY(MEM_GROW(&v->bytes, &v->capacity, 8 * count, error));
  TRY(MEM_GROW(&v->entries, &v->entry_capacity, count, error));
  TRY(MEM_GROW(&v->by_id, &v->id_capacity, count, error));
  size_t slots = 1024;
  while (slots < 2 * count) slots *= 2;
  return slots > v->slot_count ? set_slots(v, slots, error) : XT_STATUS_OK;
}

xt_status vocab_add(Vocab *v, const char *text, size_t length, int32_t id, VocabAdded *added,
                    xt_error *error) {
  const size_t end = (size_t)id + 1;
  *added = VOCAB_ID_TAKEN;
  if (end <= v->id_end && v->by_id[id]) return XT_STATUS_OK;
  if (v->size + length > UINT32_MAX) return err_memory(error, v->size + length);
  if (v->count * 2 >= v->slot_count)
    TRY(set_slots(v, v->slot_count ? v->slot_count * 2 : 1024, error));
  const uint32_t hash = hash_text(v->seed, text, length);
  const size_t slot = find_slot(v, text, length, hash);
  *added = VOCAB_TEXT_TAKEN;
  if (v->slots[slot]) return XT_STATUS_OK;

  TRY(MEM_GROW(&v->bytes, &v->capacity, v->size + length + 1, error));
  TRY(MEM_GROW(&v->entries, &v->entry_capacity, v->count + 1, error));
  if (end > v->id_end) {
    TRY(MEM_GROW(&v->by_id, &v->id_capacity, end, error));
    memset(v->by_id + v->id_end, 0, (end - v->id_end) * sizeof *v->by_id);
    v->id_end = end;
  }
  if (length) memcpy(v->bytes + v->size, text, length);
  v->entries[v->count] = (VocabEntry){(uint32_t)v->size, (uint32_t)length, hash, id};
  v->size += length;
  v->slots[slot] = slot_of(v->count++, hash);
  v->by_id[id] = (uint32_t)v->count;
  *added = VOCAB_NEW;
  return XT_STATUS_OK;
}

int32_t vocab_find(const Vocab *v, const char *text, size_t length) {
  if (!v->count) return -1;
  const uint32_t slot = v->slots[find_slot(v, text, length, hash_text(v->seed, text, length))];
  return slot ? v->entries[(slot & SLOT_ENTRY) - 1].id : -1;
}

const char *vocab_text(const Vocab *v, int32_t id, size_t *length) {
  *length = 0;
  if (id < 0 || (size_t)id >= v->id_end || !v->by_id[id]) return NULL;
  const VocabEntry *e = &v->entries[v->by_id[id] - 1];
  *length = e->length;
  return v->bytes + e->at;
}

void vocab_free(Vocab *v) {
  free(v->bytes);
  free(v->entries);
  free(v->slots);
  free(v->by_id);
  *v = (Vocab){0};
}
