/* SPDX-License-Identifier: Apache-2.0 */
/* What an open tokenizer consists of, and the loaders that fill it. */
#ifndef TEXT_TOKENIZER_PARTS_H
#define TEXT_TOKENIZER_PARTS_H

#include "base/json.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/unigram.h"
#include "xtransplant/tokenizer.h"

/* The template that turns a chat into a prompt; text NULL: none. */
typedef struct ChatTemplate {
  char *text, *file; /* owned; the file is for messages */
  size_t length;
  const char *field; /* of the file, or NULL */
  json_t *tokens;    /* "bos_token": "<s>" and so on, which templates may ask for; or NULL */
} ChatTemplate;

struct xt_tokenizer {
  Bpe bpe;         /* its vocabulary is that of a Unigram model too */
  Unigram unigram; /* in place of the merges, where it is on */
  AddedTokens added;
  Normalizer normalizer;
  PreTokenizer pre;
  Decoder decoder;
  IdList prefix, suffix; /* ids that add_special puts around the text */
  ChatTemplate chat;
  const char *source;
};

/* Which of Hugging Face's tokenizer classes a directory asks for: it decides defaults. */
typedef enum TokenizerClass {
  TOKENIZER_CLASS_UNKNOWN, /* nothing says */
  TOKENIZER_CLASS_GENERIC, /* the tokenizer.json is all there is to it */
  TOKENIZER_CLASS_LLAMA,
  TOKENIZER_CLASS_QWEN2,
  TOKENIZER_CLASS_GPT2
} TokenizerClass;

/* The small JSON files beside the vocabulary. The JSON values are owned; NULL where a file is
 * absent. */
typedef struct TokenizerConfig {
  char *config_path, *map_path, *added_path; /* owned */
  json_t *config, *map, *added;
  TokenizerClass class;
  char class_name[64]; /* as written, "" when nothing says */
  bool legacy, add_bos, add_eos, add_prefix_space, split_special;
  bool fix_mistral_regex; /* the first pre-tokeniser is wrong in the file, and replaced */
} TokenizerConfig;

xt_status tokenizer_config_read(const char *directory, TokenizerConfig *out, xt_error *error);
void tokenizer_config_free(TokenizerConfig *config);

/* Adds the tokens the configuration names, and sets BOS and EOS where the class does so itself. */
xt_status tokenizer_config_apply(const TokenizerConfig *config, xt_tokenizer *tokenizer,
                                 xt_error *error);

/* The chat template of a directory, if there is one; or of any other place, as text. */
xt_status tokenizer_read_chat(xt_tokenizer *tokenizer, const char *directory,
                              const TokenizerConfig *config, xt_error *error);
xt_status tokenizer_set_chat(xt_tokenizer *tokenizer, const char *text, size_t length,
                             const char *file, const char *field, xt_error *error);
/* What the template finds under the name of a special token ("bos_token"). */
xt_status tokenizer_set_chat_token(xt_tokenizer *tokenizer, const char *name, const char *text,
                                   size_t length, xt_error *error);
void chat_free(ChatTemplate *chat);

/* The three forms a vocabulary comes in. `path` names the file for messages too. */
xt_status tokenizer_read_json(xt_tokenizer *tokenizer, const TokenizerConfig *config,
                              const char *path, xt_error *error);
xt_status tokenizer_read_sentencepiece(xt_tokenizer *tokenizer, const TokenizerConfig *config,
                                       const char *path, xt_error *error);
xt_status tokenizer_read_vocab_json(xt_tokenizer *tokenizer, const TokenizerConfig *config,
                                    const char *vocab_path, const char *merges_path,
                                    xt_error *error);

/* The tokenizer in a GGUF file, with nothing beside it. */
xt_status tokenizer_read_gguf(xt_tokenizer *tokenizer, const char *path, xt_error *error);

/* Shared by the loaders. */

/* A token of SentencePiece's. */
typedef struct Piece {
  const char *text; /* in the file; not NUL-terminated */
  size_t length;
  float score;
  uint64_t type;
} Piece;
enum { PIECE_BYTES_MAX = 4096 };

/* Every cut of a piece into two that are in the vocabulary becomes a merge. */
xt_status sentencepiece_merges(Bpe *bpe, const Piece *pieces, size_t count, xt_error *error);
/* Old ("legacy") form: every stretch of text gets a mark in front, even an added one. New form:
 * only the beginning of the whole text, and only where it has none. Without `prefix`, none gets
 * any. */
xt_status sentencepiece_space_rules(xt_tokenizer *tokenizer, bool legacy, bool prefix,
                                    xt_error *error);
xt_status sentencepiece_decoder(Decoder *decoder, bool prefix, xt_error *error);

/* The normaliser, pre-tokeniser, decoder and post-processor of a tokenizer.json. NULL and null:
 * none. The vocabulary must be there already for the post-processor. */
xt_status tokenizer_read_normalizer(Normalizer *out, const json_t *object, const char *file,
                                    xt_error *error);
/* Matches of a regular expression become the text. */
xt_status normalizer_add_replacement(Normalizer *out, const char *regex, const char *text,
                                     xt_error *error);
xt_status tokenizer_read_pretokenizer(PreTokenizer *out, const json_t *object,
                                      const TokenizerConfig *config, const char *file,
                                      xt_error *error);
xt_status tokenizer_read_decoder(Decoder *out, const json_t *object, const char *file,
                                 xt_error *error);
xt_status tokenizer_read_postprocessor(xt_tokenizer *out, const json_t *object, const char *file,
                                       xt_error *error);

/* {"String": ...} or {"Regex": ...}. */
xt_status tokenizer_read_pattern(Pattern *out, const json_t *object, const char *file,
                                 const char *field, xt_error *error);

/* A member that has to be there, of the right kind. */
xt_status tokenizer_member_text(const json_t *object, const char *key, const char *file,
                                const char *field, const char **text, size_t *length,
                                xt_error *error);

/* The usual chains, as if read from a file. */
xt_status pretokenizer_add_gpt2(PreTokenizer *pre, xt_error *error);
/* matches are words, and what is between */
xt_status pretokenizer_add_split(PreTokenizer *pre, const char *regex, xt_error *error);
xt_status pretokenizer_add_metaspace(PreTokenizer *pre, const char *mark, PrependScheme scheme,
                                     bool split, xt_error *error);

#endif
