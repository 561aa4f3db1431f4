/* SPDX-License-Identifier: Apache-2.0 */
/* Training of a byte-level BPE vocabulary (Sennrich et al. 2016, over GPT-2's words and bytes).
 *
 * Words are counted once; each pair of neighbours knows how often it occurs and in which words. The
 * most frequent pair is merged in those words, whose other pairs are then counted again. A heap
 * holds the pairs; an entry whose count has decreased since is put back with the right count when
 * it comes to the top (counts only decrease: pairs that gain occurrences are new). */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file_map.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/options.h"
#include "base/out_file.h"
#include "text/tokenizer_parts.h"
#include "text/utf8.h"
#include "xtransplant/train.h"

typedef struct TrainedWord {
  const char *text; /* in the arena, until its symbols are set */
  int32_t *symbols;
  int32_t length; /* symbols left */
  int64_t count;
} TrainedWord;

typedef struct Pair {
  int32_t left, right;
  int64_t count;
  uint32_t *words; /* that hold it, or held it */
  size_t word_count, word_capacity;
} Pair;

typedef struct HeapEntry {
  int64_t count;
  uint32_t pair;
} HeapEntry;

/* Open addressing; 0: empty, else index + 1. */
typedef struct Index {
  uint32_t *slots;
  size_t size; /* a power of two */
} Index;

typedef struct BpeTrainer {
  Arena arena;
  TrainedWord *words;
  size_t word_count, word_capacity;
  Index word_index;
  Pair *pairs;
  size_t pair_count, pair_capacity;
  Index pair_index;
  HeapEntry *heap;
  size_t heap_count, heap_capacity;
  int32_t (*merges)[2];
  int merge_count;
  int32_t first_byte, next_id;
  const char *const *special;
  size_t special_count;
} BpeTrainer;

/* ---- tables ---------------------------------------------------------------------------------- */

static uint64_t hash_bytes(const void *bytes, size_t size) {
  const uint64_t h = hash_fnv(bytes, size);
  return h ^ (h >> 29);
}

static uint64_t pair_hash(int32_t left, int32_t right) {
  uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
  return h ^ (h >> 29);
}

static uint64_t hash_of(const BpeTrainer *t, const Index *index, size_t i) {
  if (index == &t->pair_index) return pair_hash(t->pairs[i].left, t->pairs[i].right);
  return hash_bytes(t->words[i].text, (size_t)t->words[i].length);
}

/* Room for one more among `count`. */
static xt_status index_grow(const BpeTrainer *t, Index *index, size_t count, xt_error *error) {
  if (2 * (count + 1) <= index->size) return XT_STATUS_OK;
  Index larger = {.size = index->size ? 2 * index->size : 1024};
  TRY(MEM_ALLOC(&larger.slots, larger.size, error));
  for (size_t i = 0; i < count; i++) {
    size_t at = hash_of(t, index, i) & (larger.size - 1);
    while (larger.slots[at]) at = (at + 1) & (larger.size - 1);
    larger.slots[at] = (uint32_t)i + 1;
  }
  free(index->slots);
  *index = larger;
  return XT_STATUS_OK;
}

static xt_status count_word(BpeTrainer *t, const char *text, size_t length, xt_error *error) {
  TRY(index_grow(t, &t->word_index, t->word_count, error));
  size_t at = hash_bytes(text, length) & (t->word_index.size - 1);
  for (; t->word_index.slots[at]; at = (at + 1) & (t->word_index.size - 1)) {
    TrainedWord *w = &t->words[t->word_index.slots[at] - 1];
    if ((size_t)w->length != length || memcmp(w->text, text, length) != 0) continue;
    w->count++;
    return XT_STATUS_OK;
  }
  char *copy;
  TRY(ARENA_ALLOC(&t->arena, &copy, length, error));
  memcpy(copy, text, length);
  TRY(MEM_GROW(&t->words, &t->word_capacity, t->word_count + 1, error));
  t->words[t->word_count++] = (TrainedWord){.text = copy, .length = (int32_t)length, .count = 1};
  t->word_index.slots[at] = (uint32_t)t->word_count;
  return XT_STATUS_OK;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static xt_status find_pair(BpeTrainer *t, int32_t left, int32_t right, uint32_t *out,
                           xt_error *error) {
  TRY(index_grow(t, &t->pair_index, t->pair_count, error));
  size_t at = pair_hash(left, right) & (t->pair_index.size - 1);
  for (; t->pair_index.slots[at]; at = (at + 1) & (t->pair_index.size - 1)) {
    *out = t->pair_index.slots[at] - 1;
    if (t->pairs[*out].left == left && t->pairs[*out].right == right) return XT_STATUS_OK;
  }
  TRY(MEM_GROW(&t->pairs, &t->pair_capacity, t->pair_count + 1, error));
  *out = (uint32_t)t->pair_count;
  t->pairs[t->pair_count++] = (Pair){.left = left, .right = right};
  t->pair_index.slots[at] = (uint32_t)t->pair_count;
  return XT_STATUS_OK;
}

/* Adds the word's pairs to their counts, `sign` times; with +1 the pairs also record the word. */
static xt_status count_pairs(BpeTrainer *t, uint32_t word, int sign, xt_error *error) {
  const TrainedWord *w = &t->words[word];
  for (int32_t i = 0; i + 1 < w->length; i++) {
    uint32_t at;
    TRY(find_pair(t, w->symbols[i], w->symbols[i + 1], &at, error));
    Pair *p = &t->pairs[at];
    p->count += sign * w->count;
    if (sign < 0 || (p->word_count && p->words[p->word_count - 1] == word)) continue;
    TRY(MEM_GROW(&p->words, &p->word_capacity, p->word_count + 1, error));
    p->words[p->word_count++] = word;
  }
  return XT_STATUS_OK;
}

/* Whether a stands above b: more frequent, or as frequent with lower ids. */
static bool above(const BpeTrainer *t, HeapEntry a, HeapEntry b) {
  const Pair *p = &t->pairs[a.pair], *q = &t->pairs[b.pair];
  if (a.count != b.count) return a.count > b.count;
  return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static xt_status heap_push(BpeTrainer *t, uint32_t pair, xt_error *error) {
  TRY(MEM_GROW(&t->heap, &t->heap_capacity, t->heap_count + 1, error));
  const HeapEntry entry = {t->pairs[pair].count, pair};
  size_t at = t->heap_count++;
  for (; at > 0 && above(t, entry, t->heap[(at - 1) / 2]); at = (at - 1) / 2)
    t->heap[at] = t->heap[(at - 1) / 2];
  t->heap[at] = entry;
  return XT_STATUS_OK;
}

static HeapEntry heap_pop(BpeTrainer *t) {
  const HeapEntry top = t->heap[0], last = t->heap[--t->heap_count];
  size_t at = 0;
  for (size_t child = 1; child < t->heap_count; child = 2 * at + 1) {
    if (child + 1 < t->heap_count && above(t, t->heap[child + 1], t->heap[child])) child++;
    if (!above(t, t->heap[child], last)) break;
    t->heap[at] = t->heap[child];
    at = child;
  }
  t->heap[at] = last;
  return top;
}

static void merge_in_word(TrainedWord *w, int32_t left, int32_t right, int32_t id) {
  int32_t to = 0;
  for (int32_t i = 0; i < w->length; to++) {
    const bool here = i + 1 < w->length && w->symbols[i] == left && w->symbols[i + 1] == right;
    w->symbols[to] = here ? id : w->symbols[i];
    i += here ? 2 : 1;
  }
  w->length = to;
}

static bool word_has(const TrainedWord *w, int32_t left, int32_t right) {
  for (int32_t i = 0; i + 1 < w->length; i++)
    if (w->symbols[i] == left && w->symbols[i + 1] == right) return true;
  return false;
}

static xt_status merge_pair(BpeTrainer *t, uint32_t pair, xt_error *error) {
  const int32_t left = t->pairs[pair].left, right = t->pairs[pair].right, id = t->next_id++;
  const size_t known = t->pair_count;
  t->merges[t->merge_count][0] = left;
  t->merges[t->merge_count++][1] = right;
  for (size_t i = 0; i < t->pairs[pair].word_count; i++) {
    const uint32_t word = t->pairs[pair].words[i];
    if (!word_has(&t->words[word], left, right)) continue;
    TRY(count_pairs(t, word, -1, error));
    merge_in_word(&t->words[word], left, right, id);
    TRY(count_pairs(t, word, 1, error));
  }
  for (size_t p = known; p < t->pair_count; p++) TRY(heap_push(t, (uint32_t)p, error));
  return XT_STATUS_OK;
}

static xt_status learn(BpeTrainer *t, int vocab, int min_count, xt_error *error) {
  for (size_t p = 0; p < t->pair_count; p++) TRY(heap_push(t, (uint32_t)p, error));
  while (t->next_id < vocab && t->heap_count) {
    const HeapEntry top = heap_pop(t);
    const int64_t now = t->pairs[top.pair].count;
    if (now < min_count) continue;
    if (now == top.count)
      TRY(merge_pair(t, top.pair, error));
    else
      TRY(heap_push(t, top.pair, error));
  }
  return XT_STATUS_OK;
}

/* ---- input ----------------------------------------------------------------------------------- */

static xt_status count_file(BpeTrainer *t, const PreTokenizer *pre, const char *path,
                            xt_error *error) {
  FileMap map;
  WordList list = {0}, scratch = {0};
  xt_error inner;
  TRY(file_map_open(path, &map, error));
  xt_status status = XT_STATUS_OK;
  const char *text = (const char *)map.data;
  for (size_t at = file_map_mark(&map), bad; at < map.size && !status;) {
    const char *end = memchr(text + at, '\n', map.size - at);
    const size_t size = end ? (size_t)(end - text) - at : map.size - at,
                 fine = utf8_valid_prefix(text + at, size, &bad);
    if (fine != size) {
      status = err_set(error, XT_STATUS_INPUT, path, NULL, (long long)(at + fine), "is not UTF-8");
      break;
    }
    status = pretokenizer_apply(pre, text + at, size, true, &list, &scratch, &inner);
    for (size_t i = 0; i < list.count && !status; i++)
      status = count_word(t, list.text.data + list.words[i].start, list.words[i].length, &inner);
    if (status && error) *error = inner;
    at += size + 1;
  }
  word_list_free(&list);
  word_list_free(&scratch);
  file_map_close(&map);
  return status;
}

/* Every word's bytes become its symbols. */
static xt_status begin_symbols(BpeTrainer *t, xt_error *error) {
  for (size_t i = 0; i < t->word_count; i++) {
    TrainedWord *w = &t->words[i];
    TRY(ARENA_ALLOC(&t->arena, &w->symbols, (size_t)w->length, error));
    for (int32_t k = 0; k < w->length; k++)
      w->symbols[k] = t->first_byte + (unsigned char)w->text[k];
  }
  for (size_t i = 0; i < t->word_count; i++) TRY(count_pairs(t, (uint32_t)i, 1, error));
  return XT_STATUS_OK;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void add_token(const BpeTrainer *t, int32_t id, TextBuffer *out) {
  const int32_t merge = id - t->first_byte - 256;
  if (merge < 0) {
    char letter[4];
    text_buffer_add(out, letter, utf8_put(bpe_byte_letter((uint8_t)(id - t->first_byte)), letter));
    return;
  }
  add_token(t, t->merges[merge][0], out);
  add_token(t, t->merges[merge][1], out);
}

static bool add_vocabulary(const BpeTrainer *t, json_t *vocab, json_t *merges) {
  bool ok = true;
  for (int32_t id = t->first_byte; id < t->next_id && ok; id++) {
    TextBuffer token = {0};
    add_token(t, id, &token);
    ok = !token.failed && json_object_set_new(vocab, token.data, json_integer(id)) == 0;
    text_buffer_free(&token);
  }
  for (int m = 0; m < t->merge_count && ok; m++) {
    TextBuffer line = {0};
    add_token(t, t->merges[m][0], &line);
    text_buffer_add_text(&line, " ");
    add_token(t, t->merges[m][1], &line);
    ok = !line.failed && json_array_append_new(merges, json_string(line.data)) == 0;
    text_buffer_free(&line);
  }
  return ok;
}

static json_t *make_tokenizer(const BpeTrainer *t) {
  json_t *added = json_array(), *vocab = json_object(), *merges = json_array();
  bool ok = added && vocab && merges;
  for (size_t i = 0; i < t->special_count && ok; i++) {
    ok =
        json_array_append_new(added, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (int)i,
                                               "content", t->special[i], "single_word", 0, "lstrip",
                                               0, "rstrip", 0, "normalized", 0, "special", 1)) == 0;
    if (ok) ok = json_object_set_new(vocab, t->special[i], json_integer((json_int_t)i)) == 0;
  }
  ok = ok && add_vocabulary(t, vocab, merges);
  if (!ok) {
    json_decref(added);
    json_decref(vocab);
    json_decref(merges);
    return NULL;
  }
  return json_pack("{s:s, s:n, s:n, s:o, s:n, s:{s:s, s:b, s:b, s:b}, s:n, s:{s:s, s:b, s:b, s:b}, "
                   "s:{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:o, s:o}}",
                   "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer",
                   "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1,
                   "use_regex", 1, "post_processor", "decoder", "type", "ByteLevel",
                   "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type", "BPE",
                   "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                   "fuse_unk", 0, "byte_fallback", 0, "vocab", vocab, "merges", merges);
}

static xt_status write_json(const char *directory, const char *name, json_t *value,
                            xt_error *error) {
  char *path = NULL, *text = value ? number_json(value, JSON_INDENT(1)) : NULL;
  OutFile file;
  xt_status status = text ? file_join(directory, name, &path, error) : err_memory(error, 0);
  if (!status) status = out_file_open(path, &file, error);
  if (!status) {
    status = out_file_write(&file, text, strlen(text), error);
    if (!status) status = out_file_write(&file, "\n", 1, error);
    if (!status)
      status = out_file_commit(&file, error);
    else
      out_file_discard(&file);
  }
  free(path);
  free(text);
  json_decref(value);
  return status;
}

static xt_status write_tokenizer(const BpeTrainer *t, const char *directory, xt_error *error) {
  mkdir(directory,
        0777); /* a folder that exists is fine; other problems show when a file is written */
  TRY(write_json(directory, "tokenizer.json", make_tokenizer(t), error));
  return write_json(directory, "tokenizer_config.json",
                    json_pack("{s:s, s:b, s:n, s:s}", "tokenizer_class", "PreTrainedTokenizerFast",
                              "clean_up_tokenization_spaces", 0, "bos_token", "eos_token",
                              t->special[0]),
                    error);
}

static void release(BpeTrainer *t) {
  for (size_t p = 0; p < t->pair_count; p++) free(t->pairs[p].words);
  free(t->words);
  free(t->word_index.slots);
  free(t->pairs);
  free(t->pair_index.slots);
  free(t->heap);
  free(t->merges);
  arena_free(&t->arena);
}

xt_status xt_bpe_train(const char *const *files, size_t count, const xt_bpe_options *options,
                       const char *directory, int *learned, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  static const char *const end_of_text[] = {"<|endoftext|>"};
  const xt_bpe_options o = options ? *options : (xt_bpe_options){0};
  BpeTrainer t = {.special = o.special ? o.special : end_of_text,
                  .special_count = o.special ? o.special_count : 1};
  PreTokenizer pre = {0};
  const int vocab = o.vocab ? o.vocab : 4096, least = (int)t.special_count + 256;
  xt_status status;
  if (t.special_count < 1)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "special", -1,
                   "names no token; the first is the EOS");
  if (vocab < least || vocab > 1 << 24)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "vocab", -1,
                   "is %d; %d (bytes and special tokens) to %d is possible", vocab, least, 1 << 24);
  t.first_byte = (int32_t)t.special_count;
  t.next_id = least;
  TRY_DONE(MEM_ALLOC(&t.merges, (size_t)(vocab - least) + 1, error));
  TRY_DONE(pretokenizer_add_gpt2(&pre, error));
  for (size_t i = 0; i < count; i++) TRY_DONE(count_file(&t, &pre, files[i], error));
  TRY_DONE(begin_symbols(&t, error));
  TRY_DONE(learn(&t, vocab, o.min_count ? o.min_count : 2, error));
  TRY_DONE(write_tokenizer(&t, directory, error));
  if (learned) *learned = t.merge_count;
done:
  pretokenizer_free(&pre);
  release(&t);
  return status;
}
