/* SPDX-License-Identifier: Apache-2.0 */
/* What the fasttext package says (tools/make_langid_fixtures.py). */
#ifndef TESTS_LANGID_GOLDENS_H
#define TESTS_LANGID_GOLDENS_H

#include <jansson.h>
#include <math.h>

#include "support.h"
#include "xtransplant/langid.h"

#define LANGID_GOLDENS XT_SOURCE_DIR "/tests/golden/langid.json"
#define LANGID_TOLERANCE 1e-5 /* of probabilities: six digits are kept */

static inline void check_answer(const xt_langid *langid, const char *text, const json_t *wanted) {
  xt_error error;
  char lang[XT_LANGUAGE_SIZE];
  double probability;
  ASSERT_OK(xt_langid_identify(langid, text, strlen(text), lang, &probability, &error));
  if (strcmp(lang, json_string_value(json_array_get(wanted, 0))) != 0 ||
      fabs(probability - json_number_value(json_array_get(wanted, 1))) > LANGID_TOLERANCE)
    fail_msg("'%.60s' is %s (%g), the package says %s (%g)", text, lang, probability,
             json_string_value(json_array_get(wanted, 0)),
             json_number_value(json_array_get(wanted, 1)));
}

/* The caller frees the list. */
static inline json_t *goldens(const char *key, size_t least) {
  json_error_t wrong;
  json_t *root = json_load_file(LANGID_GOLDENS, 0, &wrong),
         *list = json_incref(json_object_get(root, key));
  assert_true(json_array_size(list) >= least);
  json_decref(root);
  return list;
}

#endif
