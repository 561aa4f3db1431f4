/* SPDX-License-Identifier: Apache-2.0 */
/* A model against what transformers made of it: token ids of prompts, greedy tokens, their margins
 * and text, and transplants at three sites, made with hooks on what is added to the residual stream
 * (tools/make_gguf_goldens.py has the format). */
#ifndef TESTS_GGUF_CASES_H
#define TESTS_GGUF_CASES_H

#include <jansson.h>
#include <math.h>

#include "support.h"
#include "xtransplant/xt.h"

typedef struct Real {
  xt_model *model;
  xt_session *session;
  json_t *cases;
} Real;

/* Ten times what taps may differ by, as xt_session_verify has it, with logits of up to 60. */
#define CASES_MARGIN 3e-2

static inline void ids_are(const char *what, size_t index, const json_t *want, const int32_t *ids,
                           size_t count) {
  if (count != json_array_size(want))
    fail_msg("case %zu: %s: %zu ids, expected %zu", index, what, count, json_array_size(want));
  for (size_t i = 0; i < count; i++)
    if (ids[i] != json_integer_value(json_array_get(want, i)))
      fail_msg("case %zu: %s: id %zu is %d, expected %d", index, what, i, (int)ids[i],
               (int)json_integer_value(json_array_get(want, i)));
}

static inline int32_t *encode(const Real *r, size_t index, const json_t *one, const char *text_key,
                              const char *ids_key, size_t *count) {
  const json_t *text = json_object_get(one, text_key);
  int32_t *ids;
  xt_error error;
  ASSERT_OK(xt_tokenizer_encode(xt_model_tokenizer(r->model), json_string_value(text),
                                json_string_length(text), true, &ids, count, &error));
  ids_are(ids_key, index, json_object_get(one, ids_key), ids, *count);
  return ids;
}

static inline void generation_is(const char *what, size_t index, const json_t *ids,
                                 const json_t *margins, const xt_generation *g) {
  ids_are(what, index, ids, g->ids, g->count);
  for (size_t i = 0; i < g->count; i++)
    if (!(fabs((double)g->margins[i] - json_number_value(json_array_get(margins, i))) <
          CASES_MARGIN))
      fail_msg("case %zu: %s: margin %zu is %g, expected %g", index, what, i, (double)g->margins[i],
               json_number_value(json_array_get(margins, i)));
}

static inline void check_text(const Real *r, const json_t *one, const xt_generation *g) {
  char *text;
  size_t length;
  xt_error error;
  ASSERT_OK(xt_tokenizer_decode(xt_model_tokenizer(r->model), g->ids, g->count, true, &text,
                                &length, &error));
  assert_string_equal(text, json_string_value(json_object_get(one, "text")));
  free(text);
}

/* The untouched prompt and every transplant of a case, in one batch. */
static inline void check_case(const Real *r, size_t index) {
  const json_t *one = json_array_get(r->cases, index), *list = json_object_get(one, "transplants");
  const size_t n = json_array_size(list) + 1;
  xt_intervention *writes = calloc(n, sizeof *writes);
  xt_request *requests = calloc(n, sizeof *requests);
  xt_generation *out = calloc(n, sizeof *out);
  size_t source_count, target_count;
  xt_taps *taps;
  xt_error error;
  int32_t *source = encode(r, index, one, "source", "source_ids", &source_count),
          *target = encode(r, index, one, "target", "target_ids", &target_count);
  ASSERT_OK(xt_session_capture(r->session, &(xt_request){.ids = source, .count = source_count},
                               &taps, &error));
  for (size_t i = 0; i < n; i++) {
    requests[i] = (xt_request){.ids = target, .count = target_count};
    if (i == 0) continue;
    const json_t *t = json_array_get(list, i - 1);
    xt_site site;
    ASSERT_OK(xt_site_parse(json_string_value(json_object_get(t, "site")), &site, &error));
    writes[i] = (xt_intervention){
        .write = site.write,
        .layer = (int)json_integer_value(json_object_get(t, "target_layer")),
        .position = XT_POSITION_LAST,
        .value = xt_taps_get(taps, site.read,
                             (int)json_integer_value(json_object_get(t, "source_layer")))};
    requests[i].interventions = &writes[i];
    requests[i].intervention_count = 1;
  }
  ASSERT_OK(xt_session_generate(r->session, requests, n, NULL, out, &error));
  generation_is("untouched", index, json_object_get(one, "vanilla"),
                json_object_get(one, "vanilla_margins"), &out[0]);
  check_text(r, one, &out[0]);
  for (size_t i = 1; i < n; i++) {
    const json_t *t = json_array_get(list, i - 1);
    generation_is(json_string_value(json_object_get(t, "site")), index, json_object_get(t, "ids"),
                  json_object_get(t, "margins"), &out[i]);
  }
  for (size_t i = 0; i < n; i++) xt_generation_deinit(&out[i]);
  xt_taps_free(taps);
  free(source);
  free(target);
  free(writes);
  free(requests);
  free(out);
}

/* Every case of a file of goldens. `options` may be NULL. */
static inline void cases_check(const char *golden, const char *model,
                               const xt_model_options *options) {
  json_error_t wrong;
  xt_error error;
  json_t *root = json_load_file(golden, 0, &wrong);
  Real r = {.cases = json_object_get(root, "cases")};
  assert_true(json_array_size(r.cases) > 0);
  ASSERT_OK(xt_model_open(model, options, &r.model, &error));
  ASSERT_OK(xt_session_create(r.model, &r.session, &error));
  for (size_t i = 0; i < json_array_size(r.cases); i++) check_case(&r, i);
  xt_session_free(r.session);
  xt_model_close(r.model);
  json_decref(root);
}

#endif
