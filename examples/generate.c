/* SPDX-License-Identifier: Apache-2.0 */
/* Generates from a prompt file: generate MODEL PROMPT-FILE
 *
 * Link with -lxtransplant. Every call returns a status; what went wrong is in an xt_error. */
#include <stdio.h>
#include <stdlib.h>

#include "xtransplant/xt.h"

static int fail(const xt_error *error) {
  char line[1400];
  fprintf(stderr, "generate: %s\n", xt_error_format(error, line, sizeof line));
  return 1;
}

/* The whole file; the caller frees it. NULL: not readable. */
static char *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  char *text = malloc(1 << 20);
  if (file && text) *length = fread(text, 1, 1 << 20, file);
  const int bad = !file || !text || ferror(file);
  if (file) fclose(file);
  if (!bad) return text;
  free(text);
  return NULL;
}

/* Everything that needs the session. */
static xt_status respond(const xt_model *model, xt_session *session, const char *text,
                         size_t length, xt_error *error) {
  const xt_tokenizer *tokenizer = xt_model_tokenizer(model);
  xt_generation out = {0};
  int32_t *ids = NULL;
  size_t count;
  char *response = NULL;
  xt_status status = xt_tokenizer_encode(tokenizer, text, length, true, &ids, &count, error);
  if (!status) {
    const xt_request request = {.ids = ids, .count = count};
    status = xt_session_generate(session, &request, 1, NULL, &out, error); /* NULL: 20 new tokens */
  }
  if (!status)
    status = xt_tokenizer_decode(tokenizer, out.ids, out.count, true, &response, &length, error);
  if (!status) puts(response);
  free(response);
  xt_generation_deinit(&out);
  free(ids);
  return status;
}

int main(int argc, char **argv) {
  xt_error error;
  xt_model *model = NULL;
  xt_session *session = NULL;
  size_t length = 0;
  if (argc != 3) {
    fprintf(stderr, "usage: generate MODEL PROMPT-FILE\n");
    return 2;
  }
  char *text = read_file(argv[2], &length);
  if (!text) {
    perror(argv[2]);
    return 1;
  }
  int code = 0;
  if (xt_model_open(argv[1], NULL, &model, &error))
    code = fail(&error);
  else if (!xt_model_tokenizer(model))
    fprintf(stderr, "generate: %s has no tokenizer\n", argv[1]), code = 1;
  else if (xt_session_create(model, &session, &error))
    code = fail(&error);
  else if (respond(model, session, text, length, &error))
    code = fail(&error);
  xt_session_free(session);
  xt_model_close(model);
  free(text);
  return code;
}
