/* SPDX-License-Identifier: Apache-2.0 */
/* A row of the layer-by-layer table: layers MODEL SOURCE-TEXT TARGET-TEXT SITE SOURCE-LAYER
 *
 * Puts one value of the source into every layer of the target, all in one call: the target's
 * tokens are read once, and the rows are computed together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xtransplant/xt.h"

static xt_status encode(const xt_model *model, const char *text, int32_t **ids, xt_request *request,
                        xt_error *error) {
  const xt_status status = xt_tokenizer_encode(xt_model_tokenizer(model), text, strlen(text), true,
                                               ids, &request->count, error);
  if (!status) request->ids = *ids;
  return status;
}

static xt_status print_responses(const xt_model *model, const xt_generation *out, int layers,
                                 xt_error *error) {
  for (int layer = 0; layer < layers; layer++) {
    char *text;
    size_t length;
    const xt_status status = xt_tokenizer_decode(xt_model_tokenizer(model), out[layer].ids,
                                                 out[layer].count, true, &text, &length, error);
    if (status) return status;
    printf("%3d  %s\n", layer, text);
    free(text);
  }
  return XT_STATUS_OK;
}

static xt_status row(const xt_model *model, xt_session *session, char **argv, xt_error *error) {
  xt_model_info info;
  xt_model_get_info(model, &info);
  const size_t layers = (size_t)info.layers;
  int32_t *source_ids = NULL, *target_ids = NULL;
  xt_request source = {0}, target = {0};
  xt_taps *taps = NULL;
  xt_site site;
  xt_intervention *puts_at = calloc(layers, sizeof *puts_at);
  xt_request *requests = calloc(layers, sizeof *requests);
  xt_generation *out = calloc(layers, sizeof *out);
  xt_status status = puts_at && requests && out ? XT_STATUS_OK : XT_STATUS_MEMORY;

  if (!status) status = xt_site_parse(argv[4], &site, error);
  if (!status) status = encode(model, argv[2], &source_ids, &source, error);
  if (!status) status = encode(model, argv[3], &target_ids, &target, error);
  if (!status) status = xt_session_capture(session, &source, &taps, error);
  for (size_t layer = 0; !status && layer < layers; layer++) {
    puts_at[layer] = (xt_intervention){.write = site.write,
                                       .layer = (int)layer,
                                       .position = XT_POSITION_LAST,
                                       .value = xt_taps_get(taps, site.read, atoi(argv[5]))};
    requests[layer] = (xt_request){.ids = target.ids,
                                   .count = target.count,
                                   .interventions = &puts_at[layer],
                                   .intervention_count = 1};
  }
  if (!status) status = xt_session_generate(session, requests, layers, NULL, out, error);
  if (!status) status = print_responses(model, out, info.layers, error);

  for (size_t layer = 0; out && layer < layers; layer++) xt_generation_deinit(&out[layer]);
  free(out);
  free(requests);
  free(puts_at);
  xt_taps_free(taps);
  free(source_ids);
  free(target_ids);
  return status;
}

int main(int argc, char **argv) {
  xt_error error = {.message = "failed"};
  xt_model *model = NULL;
  xt_session *session = NULL;
  if (argc != 6) {
    fprintf(stderr, "usage: layers MODEL SOURCE-TEXT TARGET-TEXT SITE SOURCE-LAYER\n");
    return 2;
  }
  xt_status status = xt_model_open(argv[1], NULL, &model, &error);
  if (!status) status = xt_session_create(model, &session, &error);
  if (!status) status = row(model, session, argv, &error);
  xt_session_free(session);
  xt_model_close(model);
  char line[1400];
  if (status) fprintf(stderr, "layers: %s\n", xt_error_format(&error, line, sizeof line));
  return status != XT_STATUS_OK;
}
