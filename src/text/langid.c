/* SPDX-License-Identifier: Apache-2.0 */
/* Language identification. Everything in the file that fastText's library trusts is checked here
 * before the library gets the file.
 *
 * The file, little-endian (fastText 0.9):
 *
 *     magic 793712314, version 12                           i32 each
 *     dim ws epoch minCount neg wordNgrams loss model
 *       bucket minn maxn rate                               i32 each, t f64
 *     size nwords nlabels   i32    ntokens pruned   i64     pruned -1: the dictionary is whole
 *     size x { word, 0   count i64   type i8 }              words first, then labels
 *     pruned x { n-gram i32, row i32 } quantised u8, input matrix; quantised u8, output matrix
 *
 *     plain matrix:      rows i64, columns i64, f32 x rows x columns
 *     quantised matrix:  norms u8, rows i64, columns i64, codes i32, u8 x codes, quantiser,
 *                        [norms: u8 x rows, quantiser]
 *     quantiser:         dim nsub dsub last   i32, f32 x 256 x dim */
#include "xtransplant/langid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include "base/cursor.h"
#include "base/file_map.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/langid_model.h"

#define MAGIC 793712314
#define VERSION 12
#define LABEL "__label__"
enum { LOSS_HIERARCHICAL = 1, LOSS_SOFTMAX = 3, MODEL_SUPERVISED = 3 };
#define CENTROIDS 256
#define COUNT_MAX 1000000000000 /* the Huffman tree takes 1e15 for "no count" */

struct xt_langid {
  LangidModel *model;
  char *path;
  char hash[HASH_TEXT_SIZE];
};

/* ---- checking the file ----------------------------------------------------------------------- */

typedef struct Reader {
  const FileMap *map;
  Cursor in;
  int32_t dim, bucket, words, labels;
  int64_t pruned, rows; /* rows: of the input matrix */
} Reader;

static xt_status bad(const Reader *r, size_t offset, const char *what, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, r->map->path, NULL, (long long)offset, "%s", what);
}

static int32_t read_i32(Reader *r) { return (int32_t)cursor_u32(&r->in); }
static int64_t read_i64(Reader *r) { return (int64_t)cursor_u64(&r->in); }

static xt_status whole(const Reader *r, xt_error *error) {
  if (!r->in.failed) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_INPUT, r->map->path, NULL, (long long)r->in.failed_at,
                 "the file ends here, in the middle of the model; it has %zu bytes and needs more",
                 r->map->size);
}

static xt_status check_header(Reader *r, xt_error *error) {
  const int32_t magic = read_i32(r), version = read_i32(r);
  if (r->in.failed || magic != MAGIC)
    return bad(r, 0, "is not a fastText model: expected a file such as lid.176.bin or lid.176.ftz",
               error);
  if (version != VERSION)
    return err_set(error, XT_STATUS_UNSUPPORTED, r->map->path, NULL, 4,
                   "fastText format %d; format %d can be read", version, VERSION);
  const size_t at = r->in.at;
  int32_t args[12];
  for (size_t i = 0; i < 12; i++) args[i] = read_i32(r);
  cursor_u64(&r->in);
  TRY(whole(r, error));
  r->dim = args[0];
  r->bucket = args[8];
  const int32_t ngrams = args[5], loss = args[6], model = args[7], longest = args[10];
  if (model != MODEL_SUPERVISED)
    return bad(r, at + 28, "is a model of word vectors, not one that tells languages apart", error);
  if (loss != LOSS_HIERARCHICAL && loss != LOSS_SOFTMAX)
    return bad(r, at + 24, "its loss is neither hierarchical softmax nor softmax", error);
  if (r->dim < 1 || r->dim > 65536)
    return bad(r, at, "the vectors' size is not in 1 to 65536", error);
  if (r->bucket < 0 || ((longest > 0 || ngrams > 1) && r->bucket == 0))
    return bad(r, at + 32, "n-grams are used but have no buckets", error);
  return XT_STATUS_OK;
}

static xt_status check_entry(Reader *r, int32_t index, xt_error *error) {
  const size_t at = r->in.at;
  const uint8_t *word = r->in.data + at, *end = memchr(word, 0, r->in.size - at);
  cursor_take(&r->in, end ? (size_t)(end - word) + 1 : r->in.size - at + 1);
  const int64_t count = read_i64(r);
  const uint8_t type = cursor_u8(&r->in);
  TRY(whole(r, error));
  if (count < 0 || count > COUNT_MAX)
    return bad(r, at, "a dictionary entry's count is out of range", error);
  if (type != (index >= r->words))
    return bad(r, at, "dictionary entries are not words first and labels after them", error);
  return XT_STATUS_OK;
}

static xt_status check_dictionary(Reader *r, xt_error *error) {
  const size_t at = r->in.at;
  const int32_t size = read_i32(r);
  r->words = read_i32(r);
  r->labels = read_i32(r);
  read_i64(r);
  r->pruned = read_i64(r);
  TRY(whole(r, error));
  if (r->words < 0 || r->labels < 1 || (int64_t)r->words + r->labels != size)
    return bad(r, at, "the dictionary's counts contradict each other", error);
  if (r->pruned < -1 || r->pruned > INT32_MAX)
    return bad(r, at + 20, "the number of kept n-grams is out of range", error);
  for (int32_t i = 0; i < size; i++) TRY(check_entry(r, i, error));
  for (int64_t i = 0; i < r->pruned; i++) {
    read_i32(r);
    const size_t row_at = r->in.at;
    const int32_t row = read_i32(r);
    TRY(whole(r, error));
    if (row < 0 || row >= r->pruned)
      return bad(r, row_at, "an n-gram's row is out of range", error);
  }
  return XT_STATUS_OK;
}

/* `count` floats, which have to be finite. */
static xt_status check_floats(Reader *r, uint64_t count, xt_error *error) {
  const size_t at = r->in.at;
  const uint8_t *data = cursor_take(&r->in, count > SIZE_MAX / 4 ? SIZE_MAX : (size_t)count * 4);
  TRY(whole(r, error));
  for (size_t i = 0; i < count; i++) {
    float value;
    memcpy(&value, data + 4 * i, sizeof value);
    if (!isfinite(value)) return bad(r, at + 4 * i, "a weight is not finite", error);
  }
  return XT_STATUS_OK;
}

static xt_status check_quantiser(Reader *r, int32_t wanted, int32_t *nsub, xt_error *error) {
  const size_t at = r->in.at;
  const int32_t dim = read_i32(r), n = read_i32(r), each = read_i32(r), last = read_i32(r);
  TRY(whole(r, error));
  if (dim != wanted || n < 1 || each < 1 || last < 1 || last > each ||
      (int64_t)(n - 1) * each + last != dim)
    return bad(r, at, "a quantiser's sizes contradict each other", error);
  *nsub = n;
  return check_floats(r, (uint64_t)dim * CENTROIDS, error);
}

static xt_status check_quantised(Reader *r, int64_t rows, xt_error *error) {
  const size_t at = r->in.at;
  const uint8_t norms = cursor_u8(&r->in);
  const int64_t m = read_i64(r), n = read_i64(r);
  const int32_t codes = read_i32(r);
  int32_t nsub;
  TRY(whole(r, error));
  if (norms > 1 || m != rows || n != r->dim || codes < 0)
    return bad(r, at, "a matrix's sizes do not fit the dictionary", error);
  cursor_take(&r->in, (size_t)codes);
  TRY(whole(r, error));
  TRY(check_quantiser(r, r->dim, &nsub, error));
  if ((int64_t)codes != m * nsub) return bad(r, at, "a matrix's codes do not fit its size", error);
  if (!norms) return XT_STATUS_OK;
  cursor_take(&r->in, (size_t)m);
  TRY(whole(r, error));
  return check_quantiser(r, 1, &nsub, error);
}

static xt_status check_plain(Reader *r, int64_t rows, xt_error *error) {
  const size_t at = r->in.at;
  const int64_t m = read_i64(r), n = read_i64(r);
  TRY(whole(r, error));
  if (m != rows || n != r->dim)
    return bad(r, at, "a matrix's sizes do not fit the dictionary", error);
  return check_floats(r, (uint64_t)m * (uint64_t)n, error);
}

static xt_status check_file(Reader *r, xt_error *error) {
  TRY(check_header(r, error));
  TRY(check_dictionary(r, error));
  size_t at = r->in.at;
  const uint8_t quantised = cursor_u8(&r->in);
  TRY(whole(r, error));
  if (quantised > 1) return bad(r, at, "is neither a plain nor a quantised matrix", error);
  if (!quantised && r->pruned >= 0)
    return bad(r, at, "the dictionary is pruned, but the matrix is not quantised", error);
  r->rows = (int64_t)r->words + (r->pruned >= 0 ? r->pruned : r->bucket);
  TRY(quantised ? check_quantised(r, r->rows, error) : check_plain(r, r->rows, error));
  at = r->in.at;
  const uint8_t output = cursor_u8(&r->in);
  TRY(whole(r, error));
  if (output > 1) return bad(r, at, "is neither a plain nor a quantised matrix", error);
  return quantised && output ? check_quantised(r, r->labels, error)
                             : check_plain(r, r->labels, error);
}

/* ---- opening and asking ---------------------------------------------------------------------- */

static xt_status load(xt_langid *l, const FileMap *map, xt_error *error) {
  Reader r = {.map = map, .in = cursor_make(map->data, map->size)};
  Hash hash;
  uint8_t digest[HASH_BYTES];
  char message[256];
  TRY(check_file(&r, error));
  TRY(mem_copy_text(&l->path, map->path, strlen(map->path), error));
  hash_init(&hash);
  hash_raw(&hash, map->data, map->size);
  hash_finish(&hash, digest);
  hash_hex(digest, HASH_BYTES, l->hash);
  l->model = langid_model_load(map->data, map->size, message, sizeof message);
  if (l->model) return XT_STATUS_OK;
  return message[0] ? err_set(error, XT_STATUS_INPUT, map->path, NULL, -1, "%s", message)
                    : err_memory(error, map->size);
}

xt_status xt_langid_open(const char *path, xt_langid **out, xt_error *error) {
  xt_langid *l;
  FileMap map;
  *out = NULL;
  if (!langid_model_built())
    return err_set(error, XT_STATUS_UNSUPPORTED, path, NULL, -1,
                   "this build cannot tell languages apart: it has no fastText library. Install it "
                   "(Debian: libfasttext-dev) and build again");
  TRY(file_read(path, FILE_LARGE, &map, error));
  xt_status status = MEM_ALLOC(&l, 1, error);
  if (!status) {
    status = load(l, &map, error);
    if (status)
      xt_langid_close(l);
    else
      *out = l;
  }
  file_map_close(&map);
  return status;
}

void xt_langid_close(xt_langid *l) {
  if (!l) return;
  langid_model_free(l->model);
  free(l->path);
  free(l);
}

const char *xt_langid_hash(const xt_langid *l) { return l->hash; }

xt_status xt_langid_identify(const xt_langid *l, const char *text, size_t length,
                             char lang[XT_LANGUAGE_SIZE], double *probability, xt_error *error) {
  char *line, label[sizeof LABEL + XT_LANGUAGE_SIZE], message[256];
  TRY(MEM_ALLOC(&line, length + 2, error));
  for (size_t i = 0; i < length; i++) line[i] = text[i] == '\n' ? ' ' : text[i];
  line[length] = '\n';
  const int failed = langid_model_predict(l->model, line, length + 1, label, sizeof label,
                                          probability, message, sizeof message);
  free(line);
  if (failed)
    return message[0] ? err_set(error, XT_STATUS_INPUT, l->path, NULL, -1, "%s", message)
                      : err_memory(error, length);
  const size_t skip = strncmp(label, LABEL, sizeof LABEL - 1) == 0 ? sizeof LABEL - 1 : 0;
  snprintf(lang, XT_LANGUAGE_SIZE, "%.*s", XT_LANGUAGE_SIZE - 1, label + skip);
  return XT_STATUS_OK;
}

/* ---- what an answer means -------------------------------------------------------------------- */

static size_t primary(const char *code) { return strcspn(code, "-_"); }

bool xt_language_is(const char *identified, const char *asked) {
  static const char *const others[][2] = {{"nb", "no"}, {"iw", "he"}, {"fil", "tl"}};
  const size_t length = primary(asked);
  if (!identified[0]) return false;
  if (strlen(identified) == length && strncmp(identified, asked, length) == 0) return true;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strlen(others[i][0]) == length && strncmp(others[i][0], asked, length) == 0 &&
        strcmp(identified, others[i][1]) == 0)
      return true;
  return false;
}

#define LETTERS_TO_TELL 4

static int letter_weight(UChar32 c) {
  UErrorCode code = U_ZERO_ERROR;
  if (!u_isUAlphabetic(c)) return 0; /* letters, and the vowel signs of Indic scripts */
  switch (uscript_getScript(c, &code)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_HANGUL: return 2;
    default: return 1;
  }
}

bool xt_language_too_short(const char *text, size_t length) {
  int letters = 0;
  for (size_t at = 0; at < length && letters < LETTERS_TO_TELL;) {
    UChar32 c;
    U8_NEXT((const uint8_t *)text, at, length, c);
    if (c >= 0) letters += letter_weight(c);
  }
  return letters < LETTERS_TO_TELL;
}
