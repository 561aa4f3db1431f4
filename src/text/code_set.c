/* SPDX-License-Identifier: Apache-2.0 */
#include "text/code_set.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>

#include "base/mem.h"
#include "text/unicode_data.h"

xt_status code_set_add(CodeSet *s, uint32_t start, uint32_t end, xt_error *error) {
  if (start >= end) return XT_STATUS_OK;
  if (s->count && s->ranges[s->count - 1].end == start) {
    s->ranges[s->count - 1].end = end;
    return XT_STATUS_OK;
  }
  TRY(MEM_GROW(&s->ranges, &s->capacity, s->count + 1, error));
  s->ranges[s->count++] = (CodeRange){start, end};
  return XT_STATUS_OK;
}

xt_status code_set_add_set(CodeSet *s, const CodeSet *other, xt_error *error) {
  for (size_t i = 0; i < other->count; i++)
    TRY(code_set_add(s, other->ranges[i].start, other->ranges[i].end, error));
  return XT_STATUS_OK;
}

static int by_start(const void *a, const void *b) {
  const CodeRange *x = a, *y = b;
  return (x->start > y->start) - (x->start < y->start);
}

void code_set_order(CodeSet *s) {
  size_t n = 0;
  if (s->count > 1) qsort(s->ranges, s->count, sizeof *s->ranges, by_start);
  for (size_t i = 0; i < s->count; i++) {
    if (n && s->ranges[i].start <= s->ranges[n - 1].end) {
      if (s->ranges[i].end > s->ranges[n - 1].end) s->ranges[n - 1].end = s->ranges[i].end;
    } else {
      s->ranges[n++] = s->ranges[i];
    }
  }
  s->count = n;
}

xt_status code_set_complement(CodeSet *s, xt_error *error) {
  CodeSet out = {0};
  uint32_t from = 0;
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < s->count && status == XT_STATUS_OK; i++) {
    status = code_set_add(&out, from, s->ranges[i].start, error);
    from = s->ranges[i].end;
  }
  if (status == XT_STATUS_OK) status = code_set_add(&out, from, UNICODE_END, error);
  free(s->ranges);
  *s = out;
  return status;
}

xt_status code_set_intersect(CodeSet *s, const CodeSet *other, xt_error *error) {
  CodeSet out = {0};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0, k = 0; i < s->count && k < other->count && status == XT_STATUS_OK;) {
    const CodeRange a = s->ranges[i], b = other->ranges[k];
    status = code_set_add(&out, a.start > b.start ? a.start : b.start,
                          a.end < b.end ? a.end : b.end, error);
    if (a.end < b.end)
      i++;
    else
      k++;
  }
  free(s->ranges);
  *s = out;
  return status;
}

bool code_set_has(const CodeSet *s, uint32_t code) {
  size_t low = 0, high = s->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (code < s->ranges[middle].start)
      high = middle;
    else if (code >= s->ranges[middle].end)
      low = middle + 1;
    else
      return true;
  }
  return false;
}

bool code_set_equal(const CodeSet *a, const CodeSet *b) {
  return a->count == b->count &&
         (!a->count || memcmp(a->ranges, b->ranges, a->count * sizeof *a->ranges) == 0);
}

/* ---- case ------------------------------------------------------------------------------------ */

/* What Unicode 16 added to the pairs; ICU may be older. */
static uint32_t folded(uint32_t code) {
  if (code >= 0x10D50 && code <= 0x10D65) return code + 0x20;
  if (code == 0x1C89 || code == 0xA7CC || code == 0xA7DA) return code + 1;
  if (code == 0xA7CB) return 0x264;
  if (code == 0xA7DC) return 0x19B;
  return (uint32_t)u_foldCase((UChar32)code, U_FOLD_CASE_DEFAULT);
}

/* Of ASCII alone, which is nearly always all there is: the long s and the Kelvin sign are letters'
 * other forms too. */
static xt_status fold_ascii(CodeSet *s, xt_error *error) {
  const size_t count = s->count;
  for (size_t i = 0; i < count; i++) {
    const CodeRange range = s->ranges[i];
    for (uint32_t code = range.start; code < range.end; code++) {
      const uint32_t letter = code | 0x20;
      if (letter < 'a' || letter > 'z') continue;
      TRY(code_set_add(s, code ^ 0x20, (code ^ 0x20) + 1, error));
      if (letter == 's') TRY(code_set_add(s, 0x17F, 0x180, error));
      if (letter == 'k') TRY(code_set_add(s, 0x212A, 0x212B, error));
    }
  }
  code_set_order(s);
  return XT_STATUS_OK;
}

/* Only what changes under folding, and what it changes to, has a counterpart. */
xt_status code_set_fold(CodeSet *s, xt_error *error) {
  CodeSet targets = {0}, out = {0};
  xt_status status = XT_STATUS_OK;
  if (!s->count) return status;
  if (s->ranges[s->count - 1].end <= 0x80) return fold_ascii(s, error);
  for (uint32_t code = 0; code < 0x1E944 && status == XT_STATUS_OK; code++) {
    const uint32_t to = folded(code);
    if (to == code) continue;
    if (code_set_has(s, code) || code_set_has(s, to))
      status = code_set_add(&targets, to, to + 1, error);
  }
  code_set_order(&targets);
  for (uint32_t code = 0; code < 0x1E944 && status == XT_STATUS_OK && targets.count; code++)
    if (code_set_has(&targets, folded(code))) status = code_set_add(&out, code, code + 1, error);
  if (status == XT_STATUS_OK) status = code_set_add_set(s, &out, error);
  code_set_order(s);
  free(targets.ranges);
  free(out.ranges);
  return status;
}

/* ---- properties ------------------------------------------------------------------------------ */

static xt_status add_runs(CodeSet *s, const uint32_t *runs, size_t count, uint64_t wanted[4],
                          xt_error *error) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t value = runs[i] & 0xFF;
    if (wanted[value / 64] >> (value % 64) & 1)
      TRY(code_set_add(s, runs[i] >> 8, i + 1 < count ? runs[i + 1] >> 8 : UNICODE_END, error));
  }
  return XT_STATUS_OK;
}

/* All categories whose names begin with one of the prefixes: "L Mn" is every letter and the
 * nonspacing marks. */
static xt_status add_categories(CodeSet *s, const char *prefixes, xt_error *error) {
  uint64_t wanted[4] = {0};
  for (const char *p = prefixes; *p;) {
    const size_t length = strcspn(p, " ");
    for (size_t i = 0; i < UNICODE_CATEGORIES; i++)
      if (memcmp(unicode_category_names[i], p, length) == 0) wanted[0] |= (uint64_t)1 << i;
    p += length + (p[length] == ' ');
  }
  return add_runs(s, unicode_category_runs, unicode_category_count, wanted, error);
}

static xt_status add_binary(CodeSet *s, const char *name, bool *known, xt_error *error) {
  for (size_t i = 0; i < unicode_binaries; i++) {
    const UnicodeBinary *b = &unicode_binary[i];
    if (strcmp(b->name, name) != 0) continue;
    *known = true;
    for (size_t k = 0; k + 1 < b->count; k += 2)
      TRY(code_set_add(s, b->toggles[k], b->toggles[k + 1], error));
  }
  return XT_STATUS_OK;
}

static xt_status add_script(CodeSet *s, const char *name, bool *known, xt_error *error) {
  for (size_t i = 0; i < unicode_scripts; i++) {
    if (strcmp(unicode_script_names[i][0], name) != 0 &&
        strcmp(unicode_script_names[i][1], name) != 0)
      continue;
    uint64_t wanted[4] = {0};
    wanted[i / 64] |= (uint64_t)1 << (i % 64);
    *known = true;
    return add_runs(s, unicode_script_runs, unicode_script_count, wanted, error);
  }
  return XT_STATUS_OK;
}

typedef struct Named {
  const char *name, *categories, *binary; /* the union of both; NULL: nothing of it */
  CodeRange more[3];                      /* and of these */
} Named;

#define SPACES                         \
  {                                    \
    {0x9, 0xE}, {0x85, 0x86}, { 0, 0 } \
  }
static const Named named[] = {
    {"any", NULL, NULL, {{0, UNICODE_END}}},
    {"assigned", "L M N P S Z Cc Cf Cs Co", NULL, {{0, 0}}},
    {"ascii", NULL, NULL, {{0, 0x80}}},
    {"alnum", "Nd", "alphabetic", {{0, 0}}},
    {"alpha", NULL, "alphabetic", {{0, 0}}},
    {"blank", "Zs", NULL, {{0x9, 0xA}}},
    {"cntrl", "Cc", NULL, {{0, 0}}},
    {"digit", "Nd", NULL, {{0, 0}}},
    {"graph", "L M N P S Cf Co", NULL, {{0, 0}}},
    {"lower", NULL, "lowercase", {{0, 0}}},
    {"print", "L M N P S Cf Co Zs", NULL, {{0, 0}}},
    {"space", "Z", NULL, SPACES},
    {"whitespace", "Z", NULL, SPACES},
    {"upper", NULL, "uppercase", {{0, 0}}},
    {"word", "M Nd Pc", "alphabetic", {{0, 0}}},
    {"xdigit", NULL, NULL, {{'0', '9' + 1}, {'A', 'F' + 1}, {'a', 'f' + 1}}},
    {"punct", "P", NULL, {{0, 0}}},
    {"l", "L", NULL, {{0, 0}}},
    {"letter", "L", NULL, {{0, 0}}},
    {"m", "M", NULL, {{0, 0}}},
    {"mark", "M", NULL, {{0, 0}}},
    {"combiningmark", "M", NULL, {{0, 0}}},
    {"n", "N", NULL, {{0, 0}}},
    {"number", "N", NULL, {{0, 0}}},
    {"p", "P", NULL, {{0, 0}}},
    {"punctuation", "P", NULL, {{0, 0}}},
    {"s", "S", NULL, {{0, 0}}},
    {"symbol", "S", NULL, {{0, 0}}},
    {"z", "Z", NULL, {{0, 0}}},
    {"separator", "Z", NULL, {{0, 0}}},
    {"c", "C", NULL, {{0, 0}}},
    {"other", "C", NULL, {{0, 0}}},
    {"lc", "Lu Ll Lt", NULL, {{0, 0}}},
    {"casedletter", "Lu Ll Lt", NULL, {{0, 0}}},
    {"uppercaseletter", "Lu", NULL, {{0, 0}}},
    {"lowercaseletter", "Ll", NULL, {{0, 0}}},
    {"titlecaseletter", "Lt", NULL, {{0, 0}}},
    {"modifierletter", "Lm", NULL, {{0, 0}}},
    {"otherletter", "Lo", NULL, {{0, 0}}},
    {"nonspacingmark", "Mn", NULL, {{0, 0}}},
    {"spacingmark", "Mc", NULL, {{0, 0}}},
    {"enclosingmark", "Me", NULL, {{0, 0}}},
    {"decimalnumber", "Nd", NULL, {{0, 0}}},
    {"letternumber", "Nl", NULL, {{0, 0}}},
    {"othernumber", "No", NULL, {{0, 0}}},
    {"connectorpunctuation", "Pc", NULL, {{0, 0}}},
    {"dashpunctuation", "Pd", NULL, {{0, 0}}},
    {"openpunctuation", "Ps", NULL, {{0, 0}}},
    {"closepunctuation", "Pe", NULL, {{0, 0}}},
    {"initialpunctuation", "Pi", NULL, {{0, 0}}},
    {"finalpunctuation", "Pf", NULL, {{0, 0}}},
    {"otherpunctuation", "Po", NULL, {{0, 0}}},
    {"mathsymbol", "Sm", NULL, {{0, 0}}},
    {"currencysymbol", "Sc", NULL, {{0, 0}}},
    {"modifiersymbol", "Sk", NULL, {{0, 0}}},
    {"othersymbol", "So", NULL, {{0, 0}}},
    {"spaceseparator", "Zs", NULL, {{0, 0}}},
    {"lineseparator", "Zl", NULL, {{0, 0}}},
    {"paragraphseparator", "Zp", NULL, {{0, 0}}},
    {"control", "Cc", NULL, {{0, 0}}},
    {"format", "Cf", NULL, {{0, 0}}},
    {"privateuse", "Co", NULL, {{0, 0}}},
    {"unassigned", "Cn", NULL, {{0, 0}}},
};

static xt_status add_named(CodeSet *s, const Named *n, xt_error *error) {
  bool known;
  if (n->categories) TRY(add_categories(s, n->categories, error));
  if (n->binary) TRY(add_binary(s, n->binary, &known, error));
  for (size_t i = 0; i < 3; i++) TRY(code_set_add(s, n->more[i].start, n->more[i].end, error));
  return XT_STATUS_OK;
}

xt_status code_set_add_property(CodeSet *s, const char *name, size_t length, bool *known,
                                xt_error *error) {
  char plain[40];
  size_t n = 0;
  *known = false;
  for (size_t i = 0; i < length; i++) {
    if (strchr(" _-", name[i]) && name[i]) continue;
    if (n + 1 >= sizeof plain) return XT_STATUS_OK;
    plain[n++] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
  }
  plain[n] = 0;
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
    if (strcmp(named[i].name, plain) != 0) continue;
    *known = true;
    return add_named(s, &named[i], error);
  }
  if (n == 2) { /* a category by its short name; "Cs" holds what no text has */
    const char short_name[3] = {(char)(plain[0] - 32), plain[1], 0};
    for (size_t i = 0; i < UNICODE_CATEGORIES; i++)
      *known = *known || strcmp(unicode_category_names[i], short_name) == 0;
    if (*known) return add_categories(s, short_name, error);
  }
  TRY(add_binary(s, plain, known, error));
  return *known ? XT_STATUS_OK : add_script(s, plain, known, error);
}

xt_status code_set_add_posix(CodeSet *s, const char *name, size_t length, bool *known,
                             xt_error *error) {
  static const char *const posix[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                      "digit", "graph", "lower", "print", "punct",
                                      "space", "upper", "word",  "xdigit"};
  *known = false;
  for (size_t i = 0; i < sizeof posix / sizeof *posix; i++) {
    if (strlen(posix[i]) != length || memcmp(posix[i], name, length) != 0) continue;
    if (strcmp(posix[i], "punct") == 0) TRY(add_categories(s, "S", error));
    return code_set_add_property(s, name, length, known, error);
  }
  return XT_STATUS_OK;
}
