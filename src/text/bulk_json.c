/* SPDX-License-Identifier: Apache-2.0 */
#include "text/bulk_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/utf8.h"

/* A place in the text. The text is not NUL-terminated. */
typedef struct Reader {
  const char *text;
  size_t at, end;
  const char *file, *field; /* for messages */
} Reader;

static void skip_space(Reader *r) {
  while (r->at < r->end && (r->text[r->at] == ' ' || r->text[r->at] == '\n' ||
                            r->text[r->at] == '\r' || r->text[r->at] == '\t'))
    r->at++;
}

/* Passes over `c` and the space before it; false when something else stands there. */
static bool accept(Reader *r, char c) {
  skip_space(r);
  if (r->at >= r->end || r->text[r->at] != c) return false;
  r->at++;
  return true;
}

static xt_status malformed(const Reader *r, const char *wanted, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, r->file, r->field, (long long)r->at, "expected %s",
                 wanted);
}

/* ---- finding the two members ----------------------------------------------------------------- */

static bool skip_string(Reader *r, BulkSpan *inside) {
  if (!accept(r, '"')) return false;
  inside->start = r->at;
  while (r->at < r->end && r->text[r->at] != '"') r->at += r->text[r->at] == '\\' ? 2 : 1;
  if (r->at >= r->end) return false;
  inside->end = r->at++;
  return true;
}

/* Any value. Only brackets and strings are understood: the parser proper sees what is not right. */
static bool skip_value(Reader *r, BulkSpan *value) {
  size_t depth = 0;
  BulkSpan inside;
  skip_space(r);
  value->start = r->at;
  while (r->at < r->end) {
    const char c = r->text[r->at];
    if (c == '"') {
      if (!skip_string(r, &inside)) return false;
    } else if (c == '{' || c == '[') {
      depth++;
      r->at++;
    } else if (c == '}' || c == ']' || c == ',') {
      if (depth == 0) break;
      depth -= c != ',';
      r->at++;
      if (depth == 0) break;
    } else {
      r->at++;
    }
  }
  value->end = r->at;
  return depth == 0;
}

/* The value of a key in the object at `object`; an empty span when it is not there. */
static BulkSpan find_member(const char *text, BulkSpan object, const char *key) {
  Reader r = {.text = text, .at = object.start, .end = object.end};
  const BulkSpan none = {0, 0};
  if (!accept(&r, '{')) return none;
  do {
    BulkSpan name, value;
    if (!skip_string(&r, &name) || !accept(&r, ':') || !skip_value(&r, &value)) return none;
    if (name.end - name.start == strlen(key) &&
        memcmp(text + name.start, key, name.end - name.start) == 0)
      return value;
  } while (accept(&r, ','));
  return none;
}

/* Blanks what is inside the brackets, but for the ends of lines: places in error messages stay
 * right. */
static void blank(char *text, BulkSpan span) {
  for (size_t i = span.start + 1; i + 1 < span.end; i++)
    if (text[i] != '\n') text[i] = ' ';
}

static BulkSpan bracketed(const char *text, BulkSpan span, char open, char close) {
  if (span.end - span.start >= 2 && text[span.start] == open && text[span.end - 1] == close)
    return span;
  return (BulkSpan){0, 0};
}

xt_status bulk_open(const char *path, BulkFile *out, json_t **rest, xt_error *error) {
  char *copy = NULL;
  xt_status status;
  *rest = NULL;
  *out = (BulkFile){0};
  TRY(file_read(path, FILE_SMALL, &out->map, error));
  const char *text = (const char *)out->map.data;
  const BulkSpan model = find_member(text, (BulkSpan){0, out->map.size}, "model");
  out->vocab = bracketed(text, find_member(text, model, "vocab"), '{', '}');
  out->merges = bracketed(text, find_member(text, model, "merges"), '[', ']');
  TRY_DONE(mem_copy_text(&copy, text, out->map.size, error));
  if (out->vocab.end) blank(copy, out->vocab);
  if (out->merges.end) blank(copy, out->merges);
  status = json_parse(copy, out->map.size, path, rest, error);
done:
  free(copy);
  if (status != XT_STATUS_OK) bulk_close(out);
  return status;
}

void bulk_close(BulkFile *file) {
  file_map_close(&file->map);
  *file = (BulkFile){0};
}

/* ---- strings --------------------------------------------------------------------------------- */

static int hex4(const char *p) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    const char c = p[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* \uXXXX, or two of them that are a surrogate pair; r->at is behind the 'u'. */
static bool read_unicode(Reader *r, uint32_t *code) {
  if (r->end - r->at < 4) return false;
  const int high = hex4(r->text + r->at);
  if (high < 0 || (high >= 0xDC00 && high < 0xE000)) return false;
  r->at += 4;
  *code = (uint32_t)high;
  if (high < 0xD800 || high >= 0xE000) return true;
  if (r->end - r->at < 6 || r->text[r->at] != '\\' || r->text[r->at + 1] != 'u') return false;
  const int low = hex4(r->text + r->at + 2);
  if (low < 0xDC00 || low >= 0xE000) return false;
  r->at += 6;
  *code = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
  return true;
}

static bool read_escape(Reader *r, TextBuffer *out) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (r->at >= r->end) return false;
  const char c = r->text[r->at++];
  const char *known = c ? strchr(from, c) : NULL;
  if (known) {
    text_buffer_add(out, &to[known - from], 1);
    return true;
  }
  uint32_t code;
  char bytes[4];
  if (c != 'u' || !read_unicode(r, &code)) return false;
  text_buffer_add(out, bytes, utf8_put(code, bytes));
  return true;
}

/* A string. *text points into the file where nothing is escaped, else into *buffer. */
static xt_status read_string(Reader *r, TextBuffer *buffer, const char **text, size_t *length,
                             xt_error *error) {
  if (!accept(r, '"')) return malformed(r, "a string", error);
  size_t from = r->at, bad;
  buffer->size = 0;
  for (;;) {
    while (r->at < r->end && (uint8_t)r->text[r->at] >= 0x20 && r->text[r->at] != '"' &&
           r->text[r->at] != '\\')
      r->at++;
    if (r->at >= r->end || (uint8_t)r->text[r->at] < 0x20)
      return malformed(r, "the end of a string", error);
    if (r->text[r->at] == '"') break;
    text_buffer_add(buffer, r->text + from, r->at - from);
    const size_t place = r->at++;
    if (!read_escape(r, buffer)) {
      r->at = place;
      return malformed(r, "an escape such as \\n or \\u00e9", error);
    }
    from = r->at;
  }
  *text = r->text + from;
  *length = r->at - from;
  if (buffer->size) {
    text_buffer_add(buffer, *text, *length);
    *text = buffer->data;
    *length = buffer->size;
  }
  r->at++;
  if (buffer->failed) return err_memory(error, *length);
  return utf8_valid_prefix(*text, *length, &bad) == *length ? XT_STATUS_OK
                                                            : malformed(r, "UTF-8", error);
}

/* ---- vocabulary ------------------------------------------------------------------------------ */

static xt_status read_id(Reader *r, int32_t *id, xt_error *error) {
  skip_space(r);
  const size_t from = r->at;
  int64_t value = 0;
  while (r->at < r->end && r->text[r->at] >= '0' && r->text[r->at] <= '9' && value < VOCAB_IDS_MAX)
    value = value * 10 + (r->text[r->at++] - '0');
  const char next = r->at < r->end ? r->text[r->at] : 0;
  const bool padded = r->at - from > 1 && r->text[from] == '0';
  if (r->at == from || padded || value >= VOCAB_IDS_MAX || next == '.' || next == 'e' ||
      next == 'E') {
    r->at = from;
    return malformed(r, "an id, an integer from 0 to 16777215", error);
  }
  *id = (int32_t)value;
  return XT_STATUS_OK;
}

static xt_status read_tokens(Reader *r, Vocab *out, TextBuffer *buffer, xt_error *error) {
  if (!accept(r, '{')) return malformed(r, "an object", error);
  if (accept(r, '}')) return XT_STATUS_OK;
  do {
    const char *text;
    size_t length;
    int32_t id = -1;
    VocabAdded added;
    TRY(read_string(r, buffer, &text, &length, error));
    if (!accept(r, ':')) return malformed(r, "a colon", error);
    TRY(read_id(r, &id, error));
    TRY(vocab_add(out, text, length, id, &added, error));
    if (added != VOCAB_NEW)
      return err_set(error, XT_STATUS_INPUT, r->file, r->field, (long long)r->at,
                     "%s %d occurs twice: at \"%.*s\"",
                     added == VOCAB_ID_TAKEN ? "the id" : "the token of id", id,
                     length < 60 ? (int)length : 60, text);
  } while (accept(r, ','));
  return accept(r, '}') ? XT_STATUS_OK : malformed(r, "a comma or a closing brace", error);
}

xt_status bulk_read_vocab(const FileMap *map, BulkSpan span, const char *field, Vocab *out,
                          xt_error *error) {
  Reader r = {(const char *)map->data, span.start, span.end, map->path, field};
  TextBuffer buffer = {0};
  TRY(vocab_reserve(out, (span.end - span.start) / 18, error)); /* about what a token takes */
  xt_status status = read_tokens(&r, out, &buffer, error);
  skip_space(&r);
  if (status == XT_STATUS_OK && r.at < r.end) status = malformed(&r, "nothing more", error);
  text_buffer_free(&buffer);
  return status;
}

/* ---- merges ---------------------------------------------------------------------------------- */

typedef struct MergeText {
  TextBuffer left, right, joined; /* buffers; the texts may be elsewhere */
  const char *a, *b;
  size_t a_length, b_length;
} MergeText;

static xt_status read_merge(Reader *r, MergeText *m, xt_error *error) {
  if (accept(r, '[')) {
    TRY(read_string(r, &m->left, &m->a, &m->a_length, error));
    if (!accept(r, ',')) return malformed(r, "a second token", error);
    TRY(read_string(r, &m->right, &m->b, &m->b_length, error));
    return accept(r, ']') ? XT_STATUS_OK : malformed(r, "two tokens and a closing bracket", error);
  }
  skip_space(r);
  const size_t from = r->at;
  TRY(read_string(r, &m->left, &m->a, &m->a_length, error));
  const char *space = memchr(m->a, ' ', m->a_length);
  if (m->a_length >= 8 && memcmp(m->a, "#version", 8) == 0) {
    m->a = NULL;
    return XT_STATUS_OK;
  }
  if (space) {
    m->b = space + 1;
    m->b_length = (size_t)(m->a + m->a_length - m->b);
    m->a_length = (size_t)(space - m->a);
    if (!memchr(m->b, ' ', m->b_length)) return XT_STATUS_OK;
  }
  r->at = from;
  return malformed(r, "two tokens with a space between them", error);
}

static xt_status add_merge(const Reader *r, Bpe *bpe, MergeText *m, uint32_t rank,
                           xt_error *error) {
  m->joined.size = 0;
  text_buffer_add(&m->joined, m->a, m->a_length);
  text_buffer_add(&m->joined, m->b, m->b_length);
  if (m->joined.failed) return err_memory(error, m->a_length + m->b_length);
  const int32_t left = vocab_find(&bpe->vocab, m->a, m->a_length),
                right = vocab_find(&bpe->vocab, m->b, m->b_length);
  const int32_t id = vocab_find(&bpe->vocab, m->joined.data, m->joined.size);
  if (left < 0 || right < 0 || id < 0)
    return err_set(error, XT_STATUS_INPUT, r->file, r->field, (long long)r->at,
                   "merge %u, of \"%.*s\" and \"%.*s\": one of them, or what it makes, is not in "
                   "the vocabulary",
                   rank, m->a_length < 60 ? (int)m->a_length : 60, m->a,
                   m->b_length < 60 ? (int)m->b_length : 60, m->b);
  return bpe_add_merge(bpe, left, right, id, rank, true, error);
}

xt_status bulk_read_merges(const FileMap *map, BulkSpan span, const char *field, Bpe *out,
                           xt_error *error) {
  Reader r = {(const char *)map->data, span.start, span.end, map->path, field};
  MergeText m = {0};
  uint32_t rank = 0;
  xt_status status;
  TRY(bpe_reserve_merges(out, (span.end - span.start) / 20, error));
  status = accept(&r, '[') ? XT_STATUS_OK : malformed(&r, "an array", error);
  if (status == XT_STATUS_OK && !accept(&r, ']')) {
    do {
      TRY_DONE(read_merge(&r, &m, error));
      if (m.a) TRY_DONE(add_merge(&r, out, &m, rank++, error));
    } while (accept(&r, ','));
    if (!accept(&r, ']')) status = malformed(&r, "a comma or a closing bracket", error);
  }
done:
  text_buffer_free(&m.left);
  text_buffer_free(&m.right);
  text_buffer_free(&m.joined);
  return status;
}
