/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/prompt_sums.h"

#include <stdlib.h>

#include "shell/cli.h"

#define PROMPTS_TOGETHER 64 /* whose taps are in memory at once */

static xt_status add_some(const LoadedModel *model, xt_tap tap, const Prompt *prompts, size_t n,
                          double *sums, xt_error *error) {
  xt_request requests[PROMPTS_TOGETHER];
  xt_taps *taps[PROMPTS_TOGETHER];
  const size_t size = (size_t)model->info.layers * (size_t)model->info.width;
  for (size_t i = 0; i < n; i++)
    requests[i] = (xt_request){.ids = prompts[i].ids, .count = prompts[i].count};
  const xt_status status = xt_session_capture_all(model->session, requests, n, taps, error);
  if (status) return status;
  for (size_t i = 0; i < n; i++) {
    const float *values = xt_taps_get(taps[i], tap, 0);
    for (size_t k = 0; k < size; k++) sums[k] += (double)values[k];
    xt_taps_free(taps[i]);
  }
  return XT_STATUS_OK;
}

xt_status prompt_sums_add(const LoadedModel *model, xt_tap tap, Prompt *prompts, size_t n,
                          double *sums, xt_error *error) {
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < n && !status; i++) status = prompt_encode(&prompts[i], model, 0, error);
  for (size_t i = 0; i < n && !status; i += PROMPTS_TOGETHER)
    status = add_some(model, tap, prompts + i, n - i < PROMPTS_TOGETHER ? n - i : PROMPTS_TOGETHER,
                      sums, error);
  return status;
}

xt_status prompt_sums_add_file(const LoadedModel *model, const PromptInput *input, const char *path,
                               xt_tap tap, double *sums, size_t *count, xt_error *error) {
  Prompt prompts[PROMPTS_TOGETHER];
  LineReader reader;
  bool more = true;
  xt_status status = lines_open(path, &reader, error);
  if (status) return status;
  for (*count = 0; !status && more;) {
    size_t n = 0;
    while (n < PROMPTS_TOGETHER && !status && more)
      status = prompt_read_next(&reader, input, &prompts[n++], &more, error);
    const size_t whole = more ? n : n - 1;
    if (!status) status = prompt_sums_add(model, tap, prompts, whole, sums, error);
    for (size_t i = 0; i < n; i++) prompt_deinit(&prompts[i]);
    *count += whole;
  }
  if (!status && *count == 0)
    status = error_set(error, XT_STATUS_INPUT, reader.name, NULL, -1, "has no prompts");
  lines_close(&reader);
  return status;
}
