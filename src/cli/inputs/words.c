/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inputs/lines.h"
#include "shell/cli.h"

/* Cuts the text at the separators; empty words are left out. */
static xt_status cut(WordList *w, const char *separators, xt_error *error) {
  char *save = NULL;
  w->at = calloc(strlen(w->text) / 2 + 2, sizeof *w->at);
  if (!w->at) return error_memory(error);
  for (char *word = strtok_r(w->text, separators, &save); word;
       word = strtok_r(NULL, separators, &save))
    w->at[w->count++] = word;
  return XT_STATUS_OK;
}

xt_status words_read(const char *text, WordList *out, xt_error *error) {
  size_t length;
  *out = (WordList){.none = text && strcmp(text, "none") == 0};
  if (!text || out->none || strcmp(text, "answers") == 0) return XT_STATUS_OK;
  const bool file = strcmp(text, "-") == 0 || access(text, F_OK) == 0;
  if (file) {
    const xt_status status = read_whole(text, &out->text, &length, error);
    if (status) return status;
    if (strlen(out->text) != length)
      return error_set(error, XT_STATUS_INPUT, input_name(text), NULL, (long long)strlen(out->text),
                       "has a NUL; a file of words has one on each line");
  } else if (!(out->text = strdup(text))) {
    return error_memory(error);
  }
  return cut(out, file ? "\r\n" : ",", error);
}

void words_free(WordList *words) {
  free(words->text);
  free(words->at);
  *words = (WordList){0};
}
