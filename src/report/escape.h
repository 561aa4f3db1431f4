/* SPDX-License-Identifier: Apache-2.0 */
/* Text from stores and prompts inside of other formats: the one place for each of them. Any bytes
 * may come in: what is no UTF-8 becomes U+FFFD, and so do characters that turn the direction of
 * what stands around them, which a label could hide behind. */
#ifndef REPORT_ESCAPE_H
#define REPORT_ESCAPE_H

#include <stdbool.h>

#include "base/text_buffer.h"

/* Between tags and inside of double quotes of HTML, SVG and XML. Control characters, which XML has
 * not, become their pictures. */
void escape_html(TextBuffer *out, const char *text);
/* Running text of LaTeX, for pdfTeX, XeTeX and LuaTeX. What pdfTeX has no letter for goes through
 * \xtchar{text}{code points}, which escape_latex_head defines. A minus sign is a minus, not a
 * hyphen, where `number`. */
void escape_latex(TextBuffer *out, const char *text, bool number);
extern const char escape_latex_head[];
/* A cell of comma-separated values (RFC 4180). What a spreadsheet would take for a formula gets an
 * apostrophe before it. */
void escape_csv(TextBuffer *out, const char *text);
/* One line on a terminal: control characters, line ends too, become their pictures. */
void escape_terminal(TextBuffer *out, const char *text);

#define ESCAPE_ID_SIZE 96
/* An identifier, and a part of a file's name: [A-Za-z0-9_-]. A text that is no such thing, or is
 * long, is changed and gets a part of its hash, so that two texts have two identifiers. */
void escape_id(const char *text, char out[ESCAPE_ID_SIZE]);

/* "sha256-...", as a Content-Security-Policy names a script or a style. */
#define ESCAPE_CSP_SIZE 64
void escape_csp_hash(const void *bytes, size_t size, char out[ESCAPE_CSP_SIZE]);
void escape_base64(TextBuffer *out, const unsigned char *bytes, size_t size);

#endif
