/* SPDX-License-Identifier: Apache-2.0 */
#include "results/lens_html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shell/output.h"

/* One hue for probability, mixed into the ground: 0 is the ground itself. The text changes to the
 * other colour where that has a better contrast (WCAG) with the mixed colour: from 80 % on in
 * light, from 65 % on in dark colours. */
static const char style[] =
    ":root{color-scheme:light "
    "dark;--ground:#fcfcfb;--panel:#fff;--ink:#1b1f24;--soft:#5b6570;--line:#d9dde2;--hue:#1f5fbf;-"
    "-on:#fff;--mark:#b4530a}\n"
    "@media(prefers-color-scheme:dark){:root{--ground:#14171b;--panel:#1a1e23;--ink:#e6e9ed;--soft:"
    "#98a2ad;--line:#333a43;--hue:#6fa8f5;--on:#0b1420;--mark:#f0a35c}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 "
    "auto;max-width:1500px;padding:24px;background:var(--ground);color:var(--ink);font:15px/1.45 "
    "system-ui,sans-serif}\n"
    "h1{font-size:1.35rem;margin:0 0 4px}h2{font-size:1.05rem;margin:28px 0 4px}\n"
    "p{margin:4px "
    "0;max-width:75ch}.soft{color:var(--soft)}.text{white-space:pre-wrap;overflow-wrap:anywhere}\n"
    "details{margin:4px 0}summary{cursor:pointer;color:var(--soft)}\n"
    ".scroll{overflow-x:auto;border:1px solid "
    "var(--line);border-radius:6px;background:var(--panel);margin-top:8px}\n"
    "table{border-collapse:separate;border-spacing:2px;font-size:12.5px;width:max-content}\n"
    "th{font-weight:600;color:var(--soft);padding:2px 6px;text-align:center}\n"
    "th[scope=row]{position:sticky;left:0;background:var(--panel);text-align:right;min-width:64px;"
    "z-index:1}\n"
    "thead th{border-bottom:1px solid var(--line)}thead .chosen{color:var(--ink)}\n"
    "td{height:22px;min-width:60px;max-width:110px;padding:1px "
    "6px;text-align:center;overflow:hidden;text-overflow:ellipsis;white-space:pre;border-radius:"
    "3px;"
    "background:color-mix(in srgb,var(--hue) calc(var(--p)*1%),var(--panel))}\n"
    "td.high{color:var(--on)}@media(prefers-color-scheme:dark){td.mid{color:var(--on)}}td.same{box-"
    "shadow:inset 0 0 0 1.5px var(--ink)}\n"
    "tr.marked th[scope=row]{color:var(--mark)}tr.marked td{border-top:2px solid "
    "var(--mark);border-bottom:2px solid var(--mark)}\n"
    ".key{display:flex;flex-wrap:wrap;gap:6px "
    "18px;align-items:center;margin-top:10px;color:var(--soft);font-size:13px}\n"
    ".ramp{width:140px;height:12px;border-radius:3px;border:1px solid "
    "var(--line);background:linear-gradient(90deg,var(--panel),var(--hue))}\n"
    ".box{display:inline-block;width:26px;height:14px;border-radius:3px;box-shadow:inset 0 0 0 "
    "1.5px var(--ink);vertical-align:-2px}\n";

xt_status lens_token_text(const LensView *view, int32_t id, char **text, size_t *length,
                          xt_error *error) {
  if (view->tokenizer)
    return xt_tokenizer_decode(view->tokenizer, &id, 1, false, text, length, error);
  *text = malloc(16);
  if (!*text) return error_memory(error);
  *length = (size_t)snprintf(*text, 16, "%d", (int)id);
  return XT_STATUS_OK;
}

/* Characters that HTML gives a meaning; control characters and invalid UTF-8 have been escaped
 * before (text_escape). */
static void put_escaped(FILE *to, const char *text) {
  for (const char *c = text; *c; c++) switch (*c) {
      case '&': fputs("&amp;", to); break;
      case '<': fputs("&lt;", to); break;
      case '>': fputs("&gt;", to); break;
      case '"': fputs("&quot;", to); break;
      case '\'': fputs("&#39;", to); break;
      default: fputc(*c, to);
    }
}

/* A title or a note, which may hold names of files. */
static xt_status put_line(FILE *to, const char *text, xt_error *error) {
  char *line = text_escape(text, strlen(text));
  if (!line) return error_memory(error);
  put_escaped(to, line);
  free(line);
  return XT_STATUS_OK;
}

/* A token as cell text: control characters by name, a space as an open box, so that it is
 * visible. */
static xt_status put_token(FILE *to, const LensView *view, int32_t id, xt_error *error) {
  char *text = NULL;
  size_t length;
  const xt_status status = lens_token_text(view, id, &text, &length, error);
  if (status) return status;
  char *line = text_escape(text, length);
  free(text);
  if (!line) return error_memory(error);
  fputs("<bdi>", to);
  if (strspn(line, " ") == strlen(line))
    fputs("␣", to);
  else
    put_escaped(to, line);
  fputs("</bdi>", to);
  free(line);
  return XT_STATUS_OK;
}

static xt_status put_cell(FILE *to, const LensView *view, const xt_generation *g, size_t t,
                          int layer, xt_error *error) {
  const size_t at = t * (size_t)g->layers + (size_t)layer;
  const double percent = 100 * exp((double)g->lens_logprobs[at]);
  const bool same = g->lens_ids[at] == g->ids[t];
  fprintf(to, "<td class=\"p%.0f%s%s\" title=\"layer %d, token %zu: %.1f%%\">",
          fmin(fmax(percent, 0), 100),
          percent > 80   ? " mid high"
          : percent > 65 ? " mid"
                         : "",
          same ? " same" : "", layer, t + 1, percent);
  const xt_status status = put_token(to, view, g->lens_ids[at], error);
  fputs("</td>", to);
  return status;
}

static xt_status put_table(FILE *to, const LensView *view, const LensRun *run, xt_error *error) {
  const xt_generation *g = &run->response->generation;
  xt_status status = XT_STATUS_OK;
  fputs("<div class=\"scroll\"><table><thead><tr><th scope=\"row\">layer</th>", to);
  for (size_t t = 0; t < g->count && !status; t++) {
    fprintf(to, "<th scope=\"col\" class=\"chosen\" title=\"generated token %zu, %.1f%%\">", t + 1,
            100 * exp((double)g->logprobs[t]));
    status = put_token(to, view, g->ids[t], error);
    fputs("</th>", to);
  }
  fputs("</tr></thead><tbody>\n", to);
  for (int layer = view->layers - 1; layer >= 0 && !status; layer--) {
    if (!view->keep[layer]) continue;
    const bool marked = run->mark && layer == run->marked_layer;
    fprintf(to, "<tr%s><th scope=\"row\">%d%s</th>", marked ? " class=\"marked\"" : "", layer,
            marked ? " ◂" : "");
    for (size_t t = 0; t < g->count && !status; t++)
      status = put_cell(to, view, g, t, layer, error);
    fputs("</tr>\n", to);
  }
  fputs("</tbody></table></div>\n", to);
  return status;
}

static xt_status put_text(FILE *to, const char *element, const char *text, size_t length,
                          xt_error *error) {
  char *copy = malloc(length + 1);
  if (!copy) return error_memory(error);
  memcpy(copy, text, length);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)copy[i] < ' ' && copy[i] != '\n' && copy[i] != '\t') copy[i] = ' ';
  copy[length] = 0;
  fprintf(to, "<%s class=\"text\" dir=\"auto\">", element);
  put_escaped(to, copy);
  fprintf(to, "</%s>\n", element);
  free(copy);
  return XT_STATUS_OK;
}

static xt_status put_run(FILE *to, const LensView *view, const LensRun *run, xt_error *error) {
  const Response *r = run->response;
  xt_status status = XT_STATUS_OK;
  fputs("<section><h2>", to);
  status = put_line(to, run->title, error);
  fputs("</h2>\n", to);
  if (run->mark && !status) {
    fputs("<p class=\"soft\">", to);
    status = put_line(to, run->mark, error);
    fputs("</p>\n", to);
  }
  if (r->text && !status) status = put_text(to, "p", r->text, r->length, error);
  if (!status && r->prompt && r->prompt->text) {
    fputs("<details><summary>prompt</summary>", to);
    status = put_text(to, "p", r->prompt->text, r->prompt->length, error);
    fputs("</details>\n", to);
  }
  if (!status) status = put_table(to, view, run, error);
  fputs("</section>\n", to);
  return status;
}

/* The style, with a class for each per cent of probability: the page's policy allows only this
 * style and no style attributes. */
static char *make_style(void) {
  char *out = malloc(sizeof style + 101 * 20);
  if (!out) return NULL;
  char *to = out + sprintf(out, "\n%s", style);
  for (int p = 0; p <= 100; p++) to += sprintf(to, ".p%d{--p:%d}", p, p);
  return out;
}

/* SHA-256 in the form of a Content-Security-Policy: base64 of its 32 bytes. */
static void put_hash(FILE *to, const char *text) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char hex[XT_TEXT_HASH_SIZE];
  unsigned bits = 0, count = 0;
  xt_text_hash(text, strlen(text), hex);
  for (const char *c = hex; *c; c++) { /* four bits a digit, six a character */
    bits = bits << 4 | (unsigned)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    count += 4;
    if (count < 6) continue;
    count -= 6;
    fputc(digits[bits >> count & 63], to);
    bits &= (1u << count) - 1;
  }
  fputc(digits[bits << (6 - count) & 63], to); /* 256 bits are 42 characters and four bits */
  fputc('=', to);
}

static xt_status put_page(FILE *to, const LensView *view, const char *title, const LensRun *runs,
                          size_t count, xt_error *error) {
  char *whole = make_style();
  if (!whole) return error_memory(error);
  fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'sha256-",
        to);
  put_hash(to, whole);
  fputs("'; base-uri 'none'; form-action 'none'\">\n<title>", to);
  xt_status status = put_line(to, title, error);
  fprintf(to, "</title>\n<style>%s</style></head><body>\n<h1>", whole);
  free(whole);
  if (!status) status = put_line(to, title, error);
  fputs("</h1>\n<p class=\"soft\">Intermediate decoding: final norm and unembedding applied to "
        "every layer's output, at every generated token. Rows are layers, counted from 0, the last "
        "on top; columns are generated tokens, which head them. A cell has the layer's most likely "
        "token.</p>\n"
        "<div class=\"key\"><span>probability 0</span><span "
        "class=\"ramp\"></span><span>1</span><span><span class=\"box\"></span> the token that was "
        "generated</span></div>\n",
        to);
  for (size_t i = 0; i < count && !status; i++) status = put_run(to, view, &runs[i], error);
  fputs("</body></html>\n", to);
  return status;
}

xt_status lens_write_html(const char *path, const LensView *view, const char *title,
                          const LensRun *runs, size_t count, xt_error *error) {
  char *page = NULL;
  size_t size = 0;
  FILE *to = open_memstream(&page, &size);
  if (!to) return error_memory(error);
  xt_status status = put_page(to, view, title, runs, count, error);
  const bool failed = ferror(to) != 0;
  /* nothing else ends a stream in memory */
  if ((fclose(to) != 0 || failed) && !status) status = error_memory(error);
  if (!status) status = xt_file_write(path, page, size, error);
  free(page);
  return status;
}
