/* SPDX-License-Identifier: Apache-2.0 */
/* The two big members of a tokenizer's JSON - some hundred thousand tokens and merges - read
 * straight from the text: as JSON values they would take longer than all the rest of opening a
 * tokenizer. */
#ifndef TEXT_BULK_JSON_H
#define TEXT_BULK_JSON_H

#include "base/file_map.h"
#include "base/json.h"
#include "base/text_buffer.h"
#include "text/bpe.h"

/* Part of a file, from its first byte to its last: an object or an array with its brackets. */
typedef struct BulkSpan {
  size_t start, end; /* equal: not there */
} BulkSpan;

/* A whole JSON file, and where in it model.vocab and model.merges are. */
typedef struct BulkFile {
  FileMap map;
  BulkSpan vocab, merges;
} BulkFile;

/* Maps a tokenizer.json and parses all but the insides of the two, which stay empty in *rest.
 * The caller frees *rest with json_decref, and closes with bulk_close. */
xt_status bulk_open(const char *path, BulkFile *out, json_t **rest, xt_error *error);
void bulk_close(BulkFile *file);

/* Adds every "text": id of the object at the span; bytes outside it are not looked at. `field` is
 * for messages. */
xt_status bulk_read_vocab(const FileMap *map, BulkSpan span, const char *field, Vocab *out,
                          xt_error *error);

/* Adds every merge of the array at the span, "a b" or ["a", "b"], in falling order of
 * precedence. */
xt_status bulk_read_merges(const FileMap *map, BulkSpan span, const char *field, Bpe *out,
                           xt_error *error);

#endif
