/* SPDX-License-Identifier: Apache-2.0 */
/* Used instead of langid_model.cpp in a build without fastText: every model is refused with a
 * message that names fastText. */
#include <stdio.h>

#include "text/langid_model.h"

int langid_model_built(void) { return 0; }

LangidModel *langid_model_load(const void *data, size_t size, char *message, size_t message_size) {
  (void)data;
  (void)size;
  snprintf(message, message_size, "this build has no fastText");
  return NULL;
}

void langid_model_free(LangidModel *model) { (void)model; }

int langid_model_predict(const LangidModel *model, const char *line, size_t length, char *label,
                         size_t label_size, double *probability, char *message,
                         size_t message_size) {
  (void)model;
  (void)line;
  (void)length;
  if (label_size) label[0] = 0;
  *probability = 0;
  snprintf(message, message_size, "this build has no fastText");
  return -1;
}
