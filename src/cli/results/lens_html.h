/* SPDX-License-Identifier: Apache-2.0 */
/* The paper's figure 8 as one HTML page: what each layer would predict at each generated token, for
 * one run or several. */
#ifndef CLI_RESULTS_LENS_HTML_H
#define CLI_RESULTS_LENS_HTML_H

#include "results/response.h"

/* The layers of a response's lens that are shown. */
typedef struct LensView {
  const xt_tokenizer *tokenizer; /* NULL: tokens are shown as ids */
  bool *keep;                    /* [layers] */
  int layers, width;             /* width: columns of a terminal */
} LensView;

/* One token by itself. Caller frees *text. */
xt_status lens_token_text(const LensView *view, int32_t id, char **text, size_t *length,
                          xt_error *error);

typedef struct LensRun {
  const char *title, *mark; /* mark: what happens at marked_layer, or NULL */
  int marked_layer;
  const Response *response;
} LensRun;

/* Writes the page, which needs no other file; it is written completely or not at all. */
xt_status lens_write_html(const char *path, const LensView *view, const char *title,
                          const LensRun *runs, size_t count, xt_error *error);

#endif
