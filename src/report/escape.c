/* SPDX-License-Identifier: Apache-2.0 */
#include "report/escape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "text/utf8.h"

/* ---- characters ------------------------------------------------------------------------------ */

#define REPLACEMENT 0xFFFDu
static const char replacement[] = "\xEF\xBF\xBD";

typedef struct Character {
  uint32_t code;
  const char *bytes;
  size_t length;
} Character;

/* Characters that are not visible but change how the text around them is read: directions, and
 * Unicode's line ends. */
static bool is_hidden(uint32_t code) {
  return (code >= 0x80 && code < 0xA0) || code == 0x061C || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) ||
         code == 0xFEFF || (code & 0xFFFE) == 0xFFFE;
}

/* The next character, with dangerous ones replaced; false at the end. The caller handles C0 control
 * characters. */
static bool next_character(const char **text, size_t *left, Character *out) {
  size_t at = 0, bad;
  if (*left == 0) return false;
  const size_t valid = utf8_valid_prefix(*text, *left < 4 ? *left : 4, &bad);
  if (valid == 0) {
    *out = (Character){REPLACEMENT, replacement, sizeof replacement - 1};
    at = bad ? bad : 1;
  } else {
    const char *from = *text;
    *out = (Character){utf8_next(from, &at), from, 0};
    out->length = at;
    if (is_hidden(out->code)) *out = (Character){REPLACEMENT, replacement, sizeof replacement - 1};
  }
  *text += at;
  *left -= at;
  return true;
}

/* U+2400 on: a control character's picture. */
static void add_picture(TextBuffer *out, uint32_t code) {
  char picture[4];
  text_buffer_add(out, picture, utf8_put(code == 0x7F ? 0x2421 : 0x2400 + code, picture));
}

static bool is_control(uint32_t code) { return code < ' ' || code == 0x7F; }

/* ---- HTML, SVG, terminal --------------------------------------------------------------------- */

void escape_html(TextBuffer *out, const char *text) {
  size_t left = strlen(text);
  for (Character c; next_character(&text, &left, &c);) {
    switch (c.code) {
      case '&': text_buffer_add_text(out, "&amp;"); break;
      case '<': text_buffer_add_text(out, "&lt;"); break;
      case '>': text_buffer_add_text(out, "&gt;"); break;
      case '"': text_buffer_add_text(out, "&quot;"); break;
      case '\'': text_buffer_add_text(out, "&#39;"); break;
      case '\n':
      case '\t': text_buffer_add(out, c.bytes, c.length); break;
      default:
        if (is_control(c.code))
          add_picture(out, c.code);
        else
          text_buffer_add(out, c.bytes, c.length);
    }
  }
}

void escape_terminal(TextBuffer *out, const char *text) {
  size_t left = strlen(text);
  for (Character c; next_character(&text, &left, &c);) {
    if (is_control(c.code))
      add_picture(out, c.code);
    else
      text_buffer_add(out, c.bytes, c.length);
  }
}

/* ---- comma-separated values ------------------------------------------------------------------ */

/* "-1.5", "+3", "1e-5" */
static bool is_number(const char *text) {
  static const char digits[] = "0123456789";
  if (*text == '+' || *text == '-') text++;
  const size_t whole = strspn(text, digits);
  text += whole;
  size_t part = 0;
  if (*text == '.') part = strspn(++text, digits);
  text += part;
  if (whole + part == 0) return false;
  if (*text == 'e' || *text == 'E') {
    text++;
    if (*text == '+' || *text == '-') text++;
    const size_t power = strspn(text, digits);
    if (power == 0) return false;
    text += power;
  }
  return *text == 0;
}

void escape_csv(TextBuffer *out, const char *text) {
  const bool formula = text[0] && strchr("=+-@\t\r", text[0]) && !is_number(text);
  const bool quoted = text[strcspn(text, ",\"\r\n")] != 0;
  if (quoted) text_buffer_add_text(out, "\"");
  if (formula) text_buffer_add_text(out, "'");
  for (; *text; text++) {
    if (*text == '"') text_buffer_add_text(out, "\"");
    text_buffer_add(out, text, 1);
  }
  if (quoted) text_buffer_add_text(out, "\"");
}

/* ---- LaTeX ----------------------------------------------------------------------------------- */

const char escape_latex_head[] = "% \\xtchar{text}{code points}: pdfTeX has no letters for the "
                                 "text and prints its code points; XeTeX and LuaTeX "
                                 "print the text\n"
                                 "% in a font that has them. Redefine it to change either.\n"
                                 "\\ifdefined\\XeTeXversion\\providecommand{\\xtchar}[2]{#1}\\fi\n"
                                 "\\ifdefined\\directlua\\providecommand{\\xtchar}[2]{#1}\\fi\n"
                                 "\\providecommand{\\xtchar}[2]{{\\footnotesize\\texttt{#2}}}\n";

typedef struct LatexName {
  uint32_t code;
  const char *name;
} LatexName;

static const LatexName latex_names[] = {
    {'&', "\\&"},
    {'%', "\\%"},
    {'$', "\\$"},
    {'#', "\\#"},
    {'_', "\\_"},
    {'{', "\\{"},
    {'}', "\\}"},
    {'~', "\\textasciitilde{}"},
    {'^', "\\textasciicircum{}"},
    {'\\', "\\textbackslash{}"},
    {'<', "\\textless{}"},
    {'>', "\\textgreater{}"},
    {'|', "\\textbar{}"},
    {'"', "''"},
    {'[', "{[}"},
    {']', "{]}"},
    {'*', "{*}"},
    {'`', "\\textasciigrave{}"},
    {0xA0, "~"},
    {0xB0, "$^\\circ$"},
    {0xB1, "$\\pm$"},
    {0xB2, "$^2$"},
    {0xB3, "$^3$"},
    {0xB7, "$\\cdot$"},
    {0xD7, "$\\times$"},
    {0xF7, "$\\div$"},
    {0x0394, "$\\Delta$"},
    {0x03B1, "$\\alpha$"},
    {0x03C1, "$\\rho$"},
    {0x2013, "--"},
    {0x2014, "---"},
    {0x2018, "`"},
    {0x2019, "'"},
    {0x201C, "``"},
    {0x201D, "''"},
    {0x2026, "\\ldots{}"},
    {0x2190, "$\\leftarrow$"},
    {0x2192, "$\\rightarrow$"},
    {0x2212, "$-$"},
    {0x2260, "$\\neq$"},
    {0x2264, "$\\leq$"},
    {0x2265, "$\\geq$"},
    {0x2605, "$\\star$"},
    {0x2020, "$\\dagger$"},
    {0x2021, "$\\ddagger$"},
};

static const char *latex_name(uint32_t code) {
  for (size_t i = 0; i < sizeof latex_names / sizeof *latex_names; i++)
    if (latex_names[i].code == code) return latex_names[i].name;
  return NULL;
}

/* Latin letters with accents that every LaTeX since 2018 sets in its first font encoding: a base
 * letter of ASCII and one of the accents grave, acute, circumflex, tilde, dieresis, ring, caron,
 * cedilla, macron, breve, dot, double acute.
 * */
static bool latex_has(uint32_t code) {
  static const uint32_t lacking[] = {0xD0,  0xF0,  0xDE,  0xFE,  0x104, 0x105, 0x110, 0x111, 0x118,
                                     0x119, 0x126, 0x127, 0x12E, 0x12F, 0x132, 0x133, 0x138, 0x149,
                                     0x14A, 0x14B, 0x166, 0x167, 0x172, 0x173, 0x17F};
  if (code < 0xC0 || code > 0x17F || code == 0xD7 || code == 0xF7) return false;
  for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++)
    if (lacking[i] == code) return false;
  return true;
}

static void add_code_point(TextBuffer *codes, uint32_t code) {
  text_buffer_format(codes, "%sU+%04X", codes->size ? " " : "", code);
}

/* A run of characters that pdfTeX does not have. */
static void end_run(TextBuffer *out, TextBuffer *run, TextBuffer *codes) {
  if (run->size) {
    text_buffer_add_text(out, "\\xtchar{");
    text_buffer_add(out, run->data, run->size);
    text_buffer_add_text(out, "}{");
    text_buffer_add(out, codes->data, codes->size);
    text_buffer_add_text(out, "}");
  }
  out->failed = out->failed || run->failed || codes->failed;
  run->size = codes->size = 0;
}

void escape_latex(TextBuffer *out, const char *text, bool number) {
  TextBuffer run = {0}, codes = {0};
  size_t left = strlen(text);
  uint32_t before = 0;
  for (Character c; next_character(&text, &left, &c); before = c.code) {
    const char *name = latex_name(c.code);
    const bool plain = (c.code < 0x7F && !is_control(c.code)) || latex_has(c.code);
    if (!name && !plain && !is_control(c.code)) {
      text_buffer_add(&run, c.bytes, c.length);
      add_code_point(&codes, c.code);
      continue;
    }
    end_run(out, &run, &codes);
    if (name)
      text_buffer_add_text(out, name);
    else if (is_control(c.code))
      text_buffer_add_text(out, c.code == '\n' || c.code == '\t' ? " " : "?");
    else if (c.code == '-' && number)
      text_buffer_add_text(out, "$-$");
    /* or it becomes a dash */
    else if (c.code == '-' && before == '-')
      text_buffer_add_text(out, "{}-");
    else
      text_buffer_add(out, c.bytes, c.length);
  }
  end_run(out, &run, &codes);
  text_buffer_free(&run);
  text_buffer_free(&codes);
}

/* ---- identifiers, hashes --------------------------------------------------------------------- */

#define ID_MOST 72 /* characters of a text that are kept */

void escape_id(const char *text, char out[ESCAPE_ID_SIZE]) {
  uint8_t digest[HASH_BYTES];
  Hash hash;
  bool changed = text[0] == 0;
  size_t n = 0;
  for (const char *c = text; *c; c++) {
    const bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                      (*c >= '0' && *c <= '9') || *c == '_' || (*c == '-' && n);
    changed = changed || !good || n == ID_MOST;
    if (n < ID_MOST && (good || (n && out[n - 1] != '-'))) out[n++] = good ? *c : '-';
  }
  out[n] = 0;
  if (!changed) return;
  while (n && out[n - 1] == '-') out[--n] = 0;
  hash_init(&hash);
  hash_raw(&hash, text, strlen(text));
  hash_finish(&hash, digest);
  if (n) out[n++] = '-';
  hash_hex(digest, 4, out + n);
}

void escape_base64(TextBuffer *out, const unsigned char *bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char line[4 * 1024];
  size_t n = 0;
  for (size_t i = 0; i < size; i += 3) {
    const unsigned long group = (unsigned long)bytes[i] << 16 |
                                (i + 1 < size ? (unsigned long)bytes[i + 1] << 8 : 0) |
                                (i + 2 < size ? (unsigned long)bytes[i + 2] : 0);
    line[n++] = digits[group >> 18];
    line[n++] = digits[group >> 12 & 63];
    line[n++] = i + 1 < size ? digits[group >> 6 & 63] : '=';
    line[n++] = i + 2 < size ? digits[group & 63] : '=';
    if (n == sizeof line) {
      text_buffer_add(out, line, n);
      n = 0;
    }
  }
  text_buffer_add(out, line, n);
}

void escape_csp_hash(const void *bytes, size_t size, char out[ESCAPE_CSP_SIZE]) {
  uint8_t digest[HASH_BYTES];
  TextBuffer text = {0};
  Hash hash;
  hash_init(&hash);
  hash_raw(&hash, bytes, size);
  hash_finish(&hash, digest);
  escape_base64(&text, digest, sizeof digest);
  snprintf(out, ESCAPE_CSP_SIZE, "sha256-%s",
           text.data ? text.data : ""); /* if memory ran out, nothing is allowed to run */
  text_buffer_free(&text);
}
