/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYNTH_SYNTH_TOKENIZER_H
#define SYNTH_SYNTH_TOKENIZER_H

#include "base/text_buffer.h"

typedef struct SynthTokenizer {
  bool qwen; /* special tokens behind the bytes, as Qwen2 has them; else before, as Llama */
  int vocab; /* the model's */
} SynthTokenizer;

/* The id of special token k: Llama's <unk>, <s>, </s>; Qwen2's <|endoftext|>, <|im_start|>,
 * <|im_end|>. */
int synth_special_id(const SynthTokenizer *tokenizer, int k);
/* Writes tokenizer.json and tokenizer_config.json. */
xt_status synth_tokenizer_write(const SynthTokenizer *tokenizer, const char *directory,
                                xt_error *error);
/* Writes a text into a file of the directory. */
xt_status synth_save(const char *directory, const char *name, const TextBuffer *text,
                     xt_error *error);

#endif
