/* SPDX-License-Identifier: Apache-2.0 */
/* Text from stores and prompts inside other formats: all escaping is done here. Any bytes may come
 * in: what is not UTF-8 becomes U+FFFD, and so do characters that change the direction of the text
 * around them, which could disguise a label. */
#ifndef REPORT_ESCAPE_H
#define REPORT_ESCAPE_H

#include <stdbool.h>

#include "base/text_buffer.h"

/* Between tags and inside double quotes of HTML, SVG and XML. Control characters, which XML does
 * not allow, become their pictures. */
void escape_html(TextBuffer *out, const char *text);
/* Running text of LaTeX, for pdfTeX, XeTeX and LuaTeX. Characters that pdfTeX does not have are
 * written as \xtchar{text}{code points}, which escape_latex_head defines. With `number`, a minus
 * sign is a minus, not a hyphen. */
void escape_latex(TextBuffer *out, const char *text, bool number);
extern const char escape_latex_head[];
/* A cell of comma-separated values (RFC 4180). A text that a spreadsheet would read as a formula
 * gets an apostrophe before it. */
void escape_csv(TextBuffer *out, const char *text);
/* One line on a terminal: control characters, including line ends, become their pictures. */
void escape_terminal(TextBuffer *out, const char *text);

#define ESCAPE_ID_SIZE 96
/* An identifier, and a part of a file's name: [A-Za-z0-9_-]. A text with other characters, or a
 * long one, is changed and gets a part of its hash, so that different texts have different
 * identifiers. */
void escape_id(const char *text, char out[ESCAPE_ID_SIZE]);

/* "sha256-...", the form in which a Content-Security-Policy names a script or a style. */
#define ESCAPE_CSP_SIZE 64
void escape_csp_hash(const void *bytes, size_t size, char out[ESCAPE_CSP_SIZE]);
void escape_base64(TextBuffer *out, const unsigned char *bytes, size_t size);

#endif
