/* SPDX-License-Identifier: Apache-2.0 */
#include "text/pretokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/bpe.h"
#include "text/utf8.h"

xt_status pretokenizer_add(PreTokenizer *pre, PreStep *step, xt_error *error) {
  const xt_status status = MEM_GROW(&pre->steps, &pre->capacity, pre->count + 1, error);
  if (status == XT_STATUS_OK)
    pre->steps[pre->count++] = *step;
  else
    pattern_free(&step->pattern);
  *step = (PreStep){0};
  return status;
}

static xt_status add_word(WordList *list, Word word, xt_error *error) {
  if (!word.length) return XT_STATUS_OK; /* empty pieces vanish, as there */
  TRY(MEM_GROW(&list->words, &list->capacity, list->count + 1, error));
  list->words[list->count++] = word;
  return XT_STATUS_OK;
}

/* A word's pieces arrive alternating between match and gap, in order, and are joined by behaviour.
 * The last piece waits in `held`, since a later one may still join it. */
typedef struct Joiner {
  SplitBehavior behavior;
  WordList *out;
  Word held;
  bool holding, held_match; /* held_match: the last piece put was a delimiter */
} Joiner;

static xt_status put_piece(Joiner *j, Word piece, bool delimiter, xt_error *error) {
  bool joins = false;
  switch (j->behavior) {
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED: break;
    case SPLIT_CONTIGUOUS: joins = delimiter == j->held_match; break;
    case SPLIT_MERGED_WITH_PREVIOUS: joins = delimiter && !j->held_match; break;
    /* Seen from the right: a delimiter joins what follows it, unless that is a delimiter too. */
    case SPLIT_MERGED_WITH_NEXT: joins = !delimiter && j->held_match; break;
  }
  if (j->behavior == SPLIT_REMOVED && delimiter) return XT_STATUS_OK;
  if (j->holding && joins) {
    j->held.length += piece.length;
  } else {
    if (j->holding) TRY(add_word(j->out, j->held, error));
    j->held = piece;
    j->holding = true;
  }
  j->held_match = delimiter;
  return XT_STATUS_OK;
}

static xt_status split_word(const PreStep *step, PatternSearch *search, const TextBuffer *text,
                            Word word, WordList *out, xt_error *error) {
  Joiner joiner = {.behavior = step->behavior, .out = out};
  size_t from = 0, start = 0, end = 0;
  pattern_restart(search, text->data + word.start, word.length);
  for (bool found = true; found;) {
    TRY(pattern_next(search, &found, &start, &end, error));
    if (!found) start = end = word.length;
    if (start > from)
      TRY(put_piece(&joiner, (Word){word.start + from, start - from, word.first && from == 0},
                    step->invert, error));
    if (found)
      TRY(put_piece(&joiner, (Word){word.start + start, end - start, word.first && start == 0},
                    !step->invert, error));
    from = end;
  }
  return joiner.holding ? add_word(out, joiner.held, error) : XT_STATUS_OK;
}

static xt_status split_all(const PreStep *step, WordList *in, WordList *out, xt_error *error) {
  PatternSearch search = {.pattern = &step->pattern};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < in->count && status == XT_STATUS_OK; i++)
    status = split_word(step, &search, &in->text, in->words[i], out, error);
  pattern_search_free(&search);
  /* Only the words change: the text goes over as it is. */
  const TextBuffer text = in->text;
  in->text = out->text;
  out->text = text;
  return status;
}

static void add_marked(TextBuffer *out, const char *text, size_t length, const char *mark) {
  const size_t mark_length = strlen(mark);
  for (size_t from = 0; from < length;) {
    const char *space = memchr(text + from, ' ', length - from);
    const size_t end = space ? (size_t)(space - text) : length;
    text_buffer_add(out, text + from, end - from);
    if (space) text_buffer_add(out, mark, mark_length);
    from = end + (space != NULL);
  }
}

static xt_status mark_all(const PreStep *step, const WordList *in, WordList *out, xt_error *error) {
  const bool metaspace = step->kind == PRE_METASPACE;
  const char *mark = metaspace ? step->mark : " ";
  const size_t mark_length = strlen(mark);
  for (size_t i = 0; i < in->count; i++) {
    const Word word = in->words[i];
    const char *text = in->text.data + word.start;
    const bool marked = (metaspace && text[0] == ' ') ||
                        (word.length >= mark_length && memcmp(text, mark, mark_length) == 0);
    const bool wanted = !metaspace || step->scheme == PREPEND_ALWAYS ||
                        (step->scheme == PREPEND_FIRST && word.first);
    Word made = {out->text.size, 0, word.first};
    if (wanted && !marked) text_buffer_add(&out->text, mark, mark_length);
    add_marked(&out->text, text, word.length, mark);
    if (out->text.failed) return err_memory(error, in->text.size);
    made.length = out->text.size - made.start;
    TRY(add_word(out, made, error));
  }
  return XT_STATUS_OK;
}

static xt_status letters_all(const WordList *in, WordList *out, xt_error *error) {
  for (size_t i = 0; i < in->count; i++) {
    Word made = {out->text.size, 0, in->words[i].first};
    for (size_t k = 0; k < in->words[i].length; k++) {
      char letter[4];
      text_buffer_add(
          &out->text, letter,
          utf8_put(bpe_byte_letter((uint8_t)in->text.data[in->words[i].start + k]), letter));
    }
    if (out->text.failed) return err_memory(error, in->text.size);
    made.length = out->text.size - made.start;
    TRY(add_word(out, made, error));
  }
  return XT_STATUS_OK;
}

xt_status pretokenizer_apply(const PreTokenizer *pre, const char *text, size_t length, bool first,
                             WordList *out, WordList *scratch, xt_error *error) {
  out->count = out->text.size = 0;
  text_buffer_add(&out->text, text, length);
  if (out->text.failed) return err_memory(error, length);
  TRY(add_word(out, (Word){0, length, first}, error));
  for (size_t i = 0; i < pre->count; i++) {
    const WordList last = *out;
    *out = *scratch;
    *scratch = last;
    out->count = out->text.size = 0;
    if (pre->steps[i].kind == PRE_SPLIT)
      TRY(split_all(&pre->steps[i], scratch, out, error));
    else if (pre->steps[i].kind == PRE_LETTERS)
      TRY(letters_all(scratch, out, error));
    else
      TRY(mark_all(&pre->steps[i], scratch, out, error));
  }
  return XT_STATUS_OK;
}

void word_list_free(WordList *list) {
  text_buffer_free(&list->text);
  free(list->words);
  *list = (WordList){0};
}

void pretokenizer_free(PreTokenizer *pre) {
  for (size_t i = 0; i < pre->count; i++) pattern_free(&pre->steps[i].pattern);
  free(pre->steps);
  *pre = (PreTokenizer){0};
}
