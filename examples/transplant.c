/* SPDX-License-Identifier: Apache-2.0 */
/* One transplant: transplant MODEL SOURCE-TEXT TARGET-TEXT SITE SOURCE-LAYER TARGET-LAYER
 *
 *     transplant Llama-2-7b-chat-hf "The capital of France is" "Mji mkuu wa Ufaransa ni" ffn 0 0
 *
 * Takes the site's value at the source's last token and puts it at the target's last token. */
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

static xt_status print_response(const xt_model *model, const char *label,
                                const xt_generation *generation, xt_error *error) {
  char *text;
  size_t length;
  const xt_status status = xt_tokenizer_decode(xt_model_tokenizer(model), generation->ids,
                                               generation->count, true, &text, &length, error);
  if (status) return status;
  printf("%-13s %s\n", label, text);
  free(text);
  return XT_STATUS_OK;
}

static xt_status transplant(const xt_model *model, xt_session *session, char **argv,
                            xt_error *error) {
  int32_t *source_ids = NULL, *target_ids = NULL;
  xt_request source = {0}, requests[2] = {{0}}; /* the target untouched, and transplanted */
  xt_generation out[2] = {{0}};
  xt_taps *taps = NULL;
  xt_site site;
  xt_intervention put = {
      .layer = atoi(argv[6]), .position = XT_POSITION_LAST, .rule = XT_RULE_REPLACE};

  xt_status status = xt_site_parse(argv[4], &site, error);
  if (!status) status = encode(model, argv[2], &source_ids, &source, error);
  if (!status) status = encode(model, argv[3], &target_ids, &requests[0], error);
  if (!status) status = xt_session_capture(session, &source, &taps, error);
  if (!status) {
    put.write = site.write;
    /* NULL out of range: the run says so */
    put.value = xt_taps_get(taps, site.read, atoi(argv[5]));
    requests[1] = requests[0];
    requests[1].interventions = &put;
    requests[1].intervention_count = 1;
    status = xt_session_generate(session, requests, 2, NULL, out, error);
  }
  if (!status) status = print_response(model, "untouched", &out[0], error);
  if (!status) status = print_response(model, "transplanted", &out[1], error);

  xt_generation_deinit(&out[0]);
  xt_generation_deinit(&out[1]);
  xt_taps_free(taps);
  free(source_ids);
  free(target_ids);
  return status;
}

int main(int argc, char **argv) {
  xt_error error = {0};
  xt_model *model = NULL;
  xt_session *session = NULL;
  if (argc != 7) {
    fprintf(stderr,
            "usage: transplant MODEL SOURCE-TEXT TARGET-TEXT SITE SOURCE-LAYER TARGET-LAYER\n");
    return 2;
  }
  xt_status status = xt_model_open(argv[1], NULL, &model, &error);
  if (!status && !xt_model_tokenizer(model)) {
    fprintf(stderr, "transplant: %s has no tokenizer\n", argv[1]);
    xt_model_close(model);
    return 1;
  }
  if (!status) status = xt_session_create(model, &session, &error);
  if (!status) status = transplant(model, session, argv, &error);
  xt_session_free(session);
  xt_model_close(model);
  char line[1400];
  if (status) fprintf(stderr, "transplant: %s\n", xt_error_format(&error, line, sizeof line));
  return status != XT_STATUS_OK;
}
