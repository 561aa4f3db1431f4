/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens with which a text begins where it does not begin the whole text: it is tokenised after
 * a new line, because tokenizers treat the beginning of a text in a way of its own. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "xtransplant/tokenizer.h"

static xt_status first_after(const xt_tokenizer *t, const char *text, const int32_t *line,
                             size_t line_count, int32_t *out, xt_error *error) {
  int32_t *ids;
  size_t count;
  *out = -1;
  TRY(xt_tokenizer_encode(t, text, strlen(text), false, &ids, &count, error));
  if (count > line_count && memcmp(ids, line, line_count * sizeof *ids) == 0)
    *out = ids[line_count];
  xt_free(ids);
  return XT_STATUS_OK;
}

xt_status xt_tokenizer_first_tokens(const xt_tokenizer *t, const char *text, int32_t out[2],
                                    xt_error *error) {
  const size_t size = strlen(text) + 3;
  int32_t *line = NULL;
  size_t line_count;
  char *spelling;
  out[0] = out[1] = -1;
  TRY(MEM_ALLOC(&spelling, size, error));
  xt_status status = xt_tokenizer_encode(t, "\n", 1, false, &line, &line_count, error);
  for (int space = 0; space < 2 && !status && text[0]; space++) {
    spelling[0] = '\n';
    spelling[1] = ' ';
    memcpy(spelling + 1 + (size_t)space, text, size - 2);
    status = first_after(t, spelling, line, line_count, &out[space], error);
  }
  xt_free(line);
  free(spelling);
  return status;
}
