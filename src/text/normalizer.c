/* SPDX-License-Identifier: Apache-2.0 */
#include "text/normalizer.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>

#include "base/mem.h"
#include "text/bpe.h"
#include "text/utf8.h"

/* Hugging Face's forms have the data of Unicode 9, whatever ICU has: later characters stay as they
 * are, and nothing moves past them. */
struct UnicodeForm {
  USet *known;
  UNormalizer2 *normalizer; /* borrows `known` */
};

static void form_free(struct UnicodeForm *form) {
  if (!form) return;
  unorm2_close(form->normalizer);
  uset_close(form->known);
  free(form);
}

static void step_free(NormalizeStep *step) {
  pattern_free(&step->pattern);
  charsmap_free(&step->map);
  form_free(step->form);
  free(step->text);
}

static xt_status unicode_failed(UErrorCode code, size_t bytes, xt_error *error) {
  if (code == U_MEMORY_ALLOCATION_ERROR) return err_memory(error, bytes);
  return err_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "Unicode normalisation failed: %s",
                 u_errorName(code));
}

static const UNormalizer2 *whole_form(NormalizeKind kind, UErrorCode *code) {
  switch (kind) {
    case NORMALIZE_NFC: return unorm2_getNFCInstance(code);
    case NORMALIZE_NFD: return unorm2_getNFDInstance(code);
    case NORMALIZE_NFKC: return unorm2_getNFKCInstance(code);
    default: return unorm2_getNFKDInstance(code);
  }
}

static xt_status form_open(NormalizeKind kind, struct UnicodeForm **out, xt_error *error) {
  static const UChar age[] = u"[:Age=9.0:]";
  UErrorCode code = U_ZERO_ERROR;
  TRY(MEM_ALLOC(out, 1, error));
  struct UnicodeForm *form = *out;
  form->known = uset_openPattern(age, -1, &code);
  if (U_SUCCESS(code)) uset_freeze(form->known);
  const UNormalizer2 *whole = whole_form(kind, &code);
  form->normalizer = unorm2_openFiltered(whole, form->known, &code);
  return U_SUCCESS(code) ? XT_STATUS_OK : unicode_failed(code, 0, error);
}

xt_status normalizer_add(Normalizer *n, NormalizeStep *step, xt_error *error) {
  xt_status status = MEM_GROW(&n->steps, &n->capacity, n->count + 1, error);
  if (status == XT_STATUS_OK && step->kind <= NORMALIZE_NFKD)
    status = form_open(step->kind, &step->form, error);
  if (status == XT_STATUS_OK)
    n->steps[n->count++] = *step;
  else
    step_free(step);
  *step = (NormalizeStep){0};
  return status;
}

static bool is_ascii(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((uint8_t)text[i] >= 0x80) return false;
  return true;
}

/* ICU's forms work on UTF-16. */
static xt_status add_form(const UNormalizer2 *normalizer, const char *text, size_t length,
                          TextBuffer *out, xt_error *error) {
  if (is_ascii(text, length)) {
    text_buffer_add(out, text, length);
    return XT_STATUS_OK;
  }
  if (length > INT32_MAX / 64)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1, "the text is too long");
  UErrorCode code = U_ZERO_ERROR;
  UChar *wide = NULL, *normal = NULL;
  char *bytes = NULL;
  int32_t wide_size = 0, normal_size = 0, size = 0;
  xt_status status;
  TRY_DONE(MEM_ALLOC(&wide, length + 1, error));
  u_strFromUTF8(wide, (int32_t)length + 1, &wide_size, text, (int32_t)length, &code);
  if (U_SUCCESS(code) &&
      unorm2_spanQuickCheckYes(normalizer, wide, wide_size, &code) == wide_size &&
      U_SUCCESS(code)) {
    text_buffer_add(out, text, length);
    goto done;
  }
  if (U_SUCCESS(code)) {
    normal_size = unorm2_normalize(normalizer, wide, wide_size, NULL, 0, &code);
    if (code == U_BUFFER_OVERFLOW_ERROR) code = U_ZERO_ERROR;
  }
  TRY_DONE(MEM_ALLOC(&normal, (size_t)normal_size + 1, error));
  normal_size = unorm2_normalize(normalizer, wide, wide_size, normal, normal_size + 1, &code);
  TRY_DONE(MEM_ALLOC(&bytes, 3 * (size_t)normal_size + 1, error));
  u_strToUTF8(bytes, 3 * normal_size + 1, &size, normal, normal_size, &code);
  if (U_FAILURE(code))
    status = unicode_failed(code, length, error);
  else
    text_buffer_add(out, bytes, (size_t)size);
done:
  free(wide);
  free(normal);
  free(bytes);
  return status;
}

static void add_lowercase(const char *text, size_t length, TextBuffer *out) {
  for (size_t at = 0; at < length;) {
    const uint32_t c = utf8_next(text, &at);
    char bytes[4];
    text_buffer_add(out, bytes, utf8_put((uint32_t)u_tolower((UChar32)c), bytes));
    /* The one character whose full lower case is two: I with dot above. */
    if (c == 0x130) text_buffer_add(out, "\xCC\x87", 2);
  }
}

static void add_stripped(const NormalizeStep *step, const char *text, size_t length,
                         TextBuffer *out) {
  size_t start = 0, end = length;
  for (size_t next = 0; step->left && start < end; start = next)
    if (!utf8_is_space(utf8_next(text, &next))) break;
  while (step->right && end > start) {
    const size_t before = utf8_before(text, end);
    size_t at = before;
    if (!utf8_is_space(utf8_next(text, &at))) break;
    end = before;
  }
  text_buffer_add(out, text + start, end - start);
}

/* Marks as Unicode 9 has them, the data of Hugging Face's StripAccents: three characters have another
 * category since. */
static bool is_mark(UChar32 c) {
  UVersionInfo age;
  if (c == 0x1CF2 || c == 0x1CF3) return true;
  if (c == 0x111C9 || !(U_GET_GC_MASK(c) & U_GC_M_MASK)) return false;
  u_charAge(c, age);
  return age[0] <= 9;
}

static void add_without_accents(const char *text, size_t length, TextBuffer *out) {
  for (size_t at = 0; at < length;) {
    const size_t from = at;
    const uint32_t c = utf8_next(text, &at);
    if (!is_mark((UChar32)c)) text_buffer_add(out, text + from, at - from);
  }
}

static xt_status add_replaced(const NormalizeStep *step, const char *text, size_t length,
                              TextBuffer *out, xt_error *error) {
  PatternSearch search = {.pattern = &step->pattern, .text = text, .length = length};
  size_t from = 0, start = 0, end = 0;
  bool found;
  xt_status status;
  for (;;) {
    TRY_DONE(pattern_next(&search, &found, &start, &end, error));
    if (!found) break;
    text_buffer_add(out, text + from, start - from);
    text_buffer_add(out, step->text, step->length);
    from = end;
  }
  text_buffer_add(out, text + from, length - from);
done:
  pattern_search_free(&search);
  return status;
}

static xt_status add_step(const NormalizeStep *step, const char *text, size_t length,
                          TextBuffer *out, xt_error *error) {
  switch (step->kind) {
    case NORMALIZE_NFC:
    case NORMALIZE_NFD:
    case NORMALIZE_NFKC:
    case NORMALIZE_NFKD: return add_form(step->form->normalizer, text, length, out, error);
    case NORMALIZE_LOWERCASE: add_lowercase(text, length, out); break;
    case NORMALIZE_STRIP: add_stripped(step, text, length, out); break;
    case NORMALIZE_STRIP_ACCENTS: add_without_accents(text, length, out); break;
    case NORMALIZE_PREPEND:
      if (length) text_buffer_add(out, step->text, step->length);
      text_buffer_add(out, text, length);
      break;
    case NORMALIZE_REPLACE: return add_replaced(step, text, length, out, error);
    case NORMALIZE_CHARSMAP: return charsmap_apply(&step->map, text, length, out, error);
    case NORMALIZE_BYTE_LEVEL:
      for (size_t i = 0; i < length; i++) {
        char letter[4];
        text_buffer_add(out, letter, utf8_put(bpe_byte_letter((uint8_t)text[i]), letter));
      }
      break;
  }
  return XT_STATUS_OK;
}

xt_status normalizer_apply(const Normalizer *n, const char *text, size_t length, TextBuffer *out,
                           TextBuffer *scratch, xt_error *error) {
  out->size = 0;
  if (!n->count) text_buffer_add(out, text, length);
  for (size_t i = 0; i < n->count; i++) {
    if (i > 0) { /* what the last step wrote is read, the older buffer written */
      const TextBuffer written = *out;
      *out = *scratch;
      *scratch = written;
      out->size = 0;
      text = scratch->data;
      length = scratch->size;
    }
    TRY(add_step(&n->steps[i], text, length, out, error));
    if (out->failed) return err_memory(error, length);
  }
  return out->failed ? err_memory(error, length) : XT_STATUS_OK;
}

void normalizer_free(Normalizer *n) {
  for (size_t i = 0; i < n->count; i++) step_free(&n->steps[i]);
  free(n->steps);
  *n = (Normalizer){0};
}
