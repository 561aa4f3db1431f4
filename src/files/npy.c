/* SPDX-License-Identifier: Apache-2.0 */
#include "files/npy.h"

#include <string.h>

#include "base/cursor.h"

#define HEADER_MOST 65536 /* NumPy's own arrays of numbers have less than 300 bytes */

/* The dictionary, while it is read. */
typedef struct Header {
  const FileMap *map;
  Cursor c;
  size_t end;
  Tensor tensor;
  bool descr, order, shape;
} Header;

#define HEADER_ERROR(status, h, field, ...) \
  err_set(error, status, (h)->map->path, field, (long long)(h)->c.at, __VA_ARGS__)

static void skip_blanks(Header *h) {
  while (h->c.at < h->end && memchr(" \t\r\n", h->map->data[h->c.at], 4)) h->c.at++;
}

/* The next letter that is no blank; 0 at the end. */
static char peek(Header *h) {
  skip_blanks(h);
  return h->c.at < h->end ? (char)h->map->data[h->c.at] : 0;
}

static bool take(Header *h, char letter) {
  if (peek(h) != letter) return false;
  h->c.at++;
  return true;
}

static bool take_word(Header *h, const char *word) {
  const size_t length = strlen(word);
  skip_blanks(h);
  if (h->end - h->c.at < length || memcmp(h->map->data + h->c.at, word, length) != 0) return false;
  h->c.at += length;
  return true;
}

/* A string in quotes of either kind, without escapes; false: there is none. */
static bool take_string(Header *h, char *out, size_t size) {
  const char quote = peek(h);
  size_t n = 0;
  if (quote != '\'' && quote != '"') return false;
  for (h->c.at++; h->c.at < h->end && n + 1 < size; h->c.at++) {
    const char letter = (char)h->map->data[h->c.at];
    if (letter == quote) {
      out[n] = 0;
      h->c.at++;
      return true;
    }
    if (letter == '\\' || !letter) return false;
    out[n++] = letter;
  }
  return false;
}

static xt_status read_descr(Header *h, xt_error *error) {
  static const struct {
    const char *name;
    Dtype dtype;
  } known[] = {{"<f2", DTYPE_F16}, {"<f4", DTYPE_F32}, {"<f8", DTYPE_F64}};
  char text[32];
  if (!take_string(h, text, sizeof text))
    return HEADER_ERROR(XT_STATUS_UNSUPPORTED, h, "descr",
                        "is no plain type; '<f2', '<f4' and '<f8' are read");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].name, text) == 0) {
      h->tensor.dtype = known[i].dtype;
      h->descr = true;
      return XT_STATUS_OK;
    }
  return HEADER_ERROR(XT_STATUS_UNSUPPORTED, h, "descr",
                      "is '%s'; '<f2', '<f4' and '<f8', floats with the least byte first, are read",
                      text);
}

static xt_status read_order(Header *h, xt_error *error) {
  h->order = true;
  if (take_word(h, "False")) return XT_STATUS_OK;
  if (take_word(h, "True"))
    return HEADER_ERROR(XT_STATUS_UNSUPPORTED, h, "fortran_order",
                        "is True; save the array in C order (numpy.ascontiguousarray)");
  return HEADER_ERROR(XT_STATUS_INPUT, h, "fortran_order", "is neither True nor False");
}

static xt_status read_shape(Header *h, xt_error *error) {
  h->shape = true;
  if (!take(h, '('))
    return HEADER_ERROR(XT_STATUS_INPUT, h, "shape", "is not a tuple of whole numbers");
  while (!take(h, ')')) {
    int64_t size = 0;
    if (h->tensor.dims == TENSOR_MAX_DIMS)
      return HEADER_ERROR(XT_STATUS_UNSUPPORTED, h, "shape", "has more than %d dimensions",
                          TENSOR_MAX_DIMS);
    if (peek(h) < '0' || peek(h) > '9')
      return HEADER_ERROR(XT_STATUS_INPUT, h, "shape", "is not a tuple of whole numbers");
    for (; h->c.at < h->end && h->map->data[h->c.at] >= '0' && h->map->data[h->c.at] <= '9';
         h->c.at++) {
      if (size > INT64_MAX / 10 - 1)
        return HEADER_ERROR(XT_STATUS_INPUT, h, "shape", "has a dimension that is too large");
      size = 10 * size + (h->map->data[h->c.at] - '0');
    }
    h->tensor.shape[h->tensor.dims++] = size;
    if (!take(h, ',') && peek(h) != ')')
      return HEADER_ERROR(XT_STATUS_INPUT, h, "shape", "is not a tuple of whole numbers");
  }
  return XT_STATUS_OK;
}

static xt_status read_dictionary(Header *h, xt_error *error) {
  if (!take(h, '{'))
    return HEADER_ERROR(XT_STATUS_INPUT, h, NULL, "the header is not a dictionary");
  while (!take(h, '}')) {
    char key[32];
    xt_status status;
    if (!take_string(h, key, sizeof key) || !take(h, ':'))
      return HEADER_ERROR(XT_STATUS_INPUT, h, NULL, "the header has no key of its dictionary here");
    if (strcmp(key, "descr") == 0 && !h->descr)
      status = read_descr(h, error);
    else if (strcmp(key, "fortran_order") == 0 && !h->order)
      status = read_order(h, error);
    else if (strcmp(key, "shape") == 0 && !h->shape)
      status = read_shape(h, error);
    else
      status = HEADER_ERROR(XT_STATUS_INPUT, h, NULL,
                            "the header has the key '%s'; once each descr, fortran_order and shape "
                            "are expected",
                            key);
    TRY(status);
    if (!take(h, ',') && peek(h) != '}')
      return HEADER_ERROR(XT_STATUS_INPUT, h, key, "is not followed by a comma or a brace");
  }
  if (!h->descr || !h->order || !h->shape)
    return HEADER_ERROR(XT_STATUS_INPUT, h, NULL, "the header lacks %s",
                        !h->descr   ? "descr"
                        : !h->order ? "fortran_order"
                                    : "shape");
  if (peek(h)) return HEADER_ERROR(XT_STATUS_INPUT, h, NULL, "the header goes on after its brace");
  return XT_STATUS_OK;
}

xt_status npy_read(Checkpoint *checkpoint, const FileMap *map, xt_error *error) {
  Header h = {.map = map, .c = cursor_make(map->data, map->size), .tensor = {.map = map}};
  const uint8_t *magic = cursor_take(&h.c, 6);
  if (!magic || memcmp(magic, "\x93NUMPY", 6) != 0)
    return err_set(error, XT_STATUS_INPUT, map->path, NULL, 0,
                   "is not an array of NumPy: it does not begin with \\x93NUMPY");
  const uint8_t major = cursor_u8(&h.c);
  cursor_u8(&h.c);
  if (!h.c.failed && (major < 1 || major > 3))
    return err_set(error, XT_STATUS_UNSUPPORTED, map->path, NULL, 6,
                   "has version %u of the format; 1 to 3 are read", major);
  const uint64_t length = major == 1 ? cursor_u16(&h.c) : cursor_u32(&h.c);
  if (h.c.failed || length > map->size - h.c.at || length > HEADER_MOST)
    return err_set(error, XT_STATUS_INPUT, map->path, NULL, (long long)h.c.at,
                   "the header's length does not fit into the file's %zu bytes", map->size);
  h.end = h.c.at + (size_t)length;
  TRY(read_dictionary(&h, error));
  uint64_t bytes;
  const size_t left = map->size - h.end;
  if (!tensor_byte_count(h.tensor.shape, h.tensor.dims, dtype_size(h.tensor.dtype), &bytes) ||
      bytes != left)
    return err_set(error, XT_STATUS_INPUT, map->path, "shape", (long long)h.end,
                   "does not fit the %zu bytes that follow the header", left);
  h.tensor.data = map->data + h.end;
  h.tensor.bytes = (size_t)bytes;
  return checkpoint_add(checkpoint, &h.tensor, NPY_TENSOR, strlen(NPY_TENSOR), error);
}
