/* SPDX-License-Identifier: Apache-2.0 */
/* Text <-> token ids, exactly like Hugging Face's fast tokenizers.
 *
 * A tokenizer is immutable after opening: any number of threads may use one at once. */
#ifndef XTRANSPLANT_TOKENIZER_H
#define XTRANSPLANT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xtransplant/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_tokenizer xt_tokenizer;

/* Opens the tokenizer of a GGUF file, or that of a directory, from the first of: tokenizer.json;
 * tokenizer.model (SentencePiece, BPE or unigram); vocab.json + merges.txt; each together with
 * tokenizer_config.json, special_tokens_map.json and added_tokens.json if they exist. The caller
 * frees *out with xt_tokenizer_close. */
XT_API xt_status xt_tokenizer_open(const char *path, xt_tokenizer **out, xt_error *error);
XT_API void xt_tokenizer_close(xt_tokenizer *tokenizer);

/* Encodes `length` bytes of UTF-8. `add_special`: add BOS/EOS as the model's own tokenizer
 * does. Text that spells a special token becomes that token, as in Hugging Face.
 * The caller frees *ids with xt_free. Invalid UTF-8 is an XT_STATUS_INPUT error with its offset. */
XT_API xt_status xt_tokenizer_encode(const xt_tokenizer *tokenizer, const char *text, size_t length,
                                     bool add_special, int32_t **ids, size_t *count,
                                     xt_error *error);

/* The first token of a text in a line of its own, and of the same after a space. -1: there is none,
 * because the text is empty or its beginning belongs to the token of the line's. */
XT_API xt_status xt_tokenizer_first_tokens(const xt_tokenizer *tokenizer, const char *text,
                                           int32_t out[2], xt_error *error);

/* Whether the model has a chat template. */
XT_API bool xt_tokenizer_has_chat(const xt_tokenizer *tokenizer);

/* Puts a prompt into the model's own chat template, as the user's message, after `system` unless
 * that is NULL, up to where the assistant begins, like Hugging Face's
 * apply_chat_template(add_generation_prompt=True, tokenize=False). The text contains its special
 * tokens: encode it without add_special. `now`, in seconds since 1970, is the date that a template
 * may write (Llama 3's does), in the local time zone. A template that is not understood, or that
 * refuses the messages, is an error with the template's line; a model without a template is
 * XT_STATUS_UNSUPPORTED. The caller frees *text (NUL-terminated) with xt_free. */
XT_API xt_status xt_tokenizer_chat(const xt_tokenizer *tokenizer, const char *system,
                                   const char *prompt, size_t length, int64_t now, char **text,
                                   size_t *text_length, xt_error *error);

/* Decodes ids to UTF-8 as Hugging Face's decode(clean_up_tokenization_spaces=False): invalid
 * byte sequences become U+FFFD. Ids outside the vocabulary decode to nothing, as there.
 * The caller frees *text (NUL-terminated; *length excludes the NUL) with xt_free. */
XT_API xt_status xt_tokenizer_decode(const xt_tokenizer *tokenizer, const int32_t *ids,
                                     size_t count, bool skip_special, char **text, size_t *length,
                                     xt_error *error);

/* Number of ids: one more than the largest id of vocabulary and added tokens. */
XT_API int32_t xt_tokenizer_vocab_size(const xt_tokenizer *tokenizer);

/* Whether a token has this id; vocabularies may have gaps. */
XT_API bool xt_tokenizer_has_id(const xt_tokenizer *tokenizer, int32_t id);

/* The id of a token's exact text ("</s>"), or -1. */
XT_API int32_t xt_tokenizer_token_id(const xt_tokenizer *tokenizer, const char *token);

/* "tokenizer.json", "tokenizer.model", "vocab.json" or "GGUF": the file that it was loaded from.
 * Borrowed. */
XT_API const char *xt_tokenizer_source(const xt_tokenizer *tokenizer);

/* The BOS id that xt_tokenizer_encode adds at the beginning, or -1 if it adds none. */
XT_API int32_t xt_tokenizer_bos(const xt_tokenizer *tokenizer);

#ifdef __cplusplus
}
#endif
#endif
