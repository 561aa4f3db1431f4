/* SPDX-License-Identifier: Apache-2.0 */
/* Identification of a text's language by fastText's models (lid.176.bin, lid.176.ftz). */
#ifndef XTRANSPLANT_LANGID_H
#define XTRANSPLANT_LANGID_H

#include <stdbool.h>
#include <stddef.h>

#include "xtransplant/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_langid xt_langid;

/* Opens a supervised fastText model, plain (.bin) or quantised (.ftz). A file that is cut short,
 * damaged, or of another kind is an XT_STATUS_INPUT error that names the place; in a build without
 * fastText every file is an XT_STATUS_UNSUPPORTED error. The caller frees *out with
 * xt_langid_close. */
XT_API xt_status xt_langid_open(const char *path, xt_langid **out, xt_error *error);
XT_API void xt_langid_close(xt_langid *langid);

#define XT_LANGUAGE_SIZE 32

/* The most likely language of `length` bytes of UTF-8, as predict of the Python package fasttext
 * gives it; line breaks count as spaces. `lang` is the label without "__label__"; it is "" and the
 * probability 0 if the model gives none. May be called by several threads at once. */
XT_API xt_status xt_langid_identify(const xt_langid *langid, const char *text, size_t length,
                                    char lang[XT_LANGUAGE_SIZE], double *probability,
                                    xt_error *error);

/* SHA-256 of the file, in lower-case hexadecimal. Borrowed. */
XT_API const char *xt_langid_hash(const xt_langid *langid);

/* Whether an identified language is the requested one: codes are compared up to a hyphen or
 * underscore ("zh-CN" is "zh"), and "nb" counts as "no", "iw" as "he", "fil" as "tl". */
XT_API bool xt_language_is(const char *identified, const char *asked);

/* Whether a text is too short to identify its language: fewer than 4 letters, where those of
 * scripts that write syllables or words (Han, kana, Hangul) count as 2. */
XT_API bool xt_language_too_short(const char *text, size_t length);

#ifdef __cplusplus
}
#endif
#endif
