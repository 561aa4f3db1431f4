/* SPDX-License-Identifier: Apache-2.0 */
/* C functions for libfasttext, the only part of the project in C++. No exception leaves them. A
 * build without the library has langid_absent.c in place of langid_model.cpp. */
#ifndef TEXT_LANGID_MODEL_H
#define TEXT_LANGID_MODEL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LangidModel LangidModel;

/* 0: this build has no fastText, and the functions below fail. */
int langid_model_built(void);

/* Loads a model from memory, which has been checked (langid.c): the library trusts every count in
 * it. NULL on failure, with why in `message` ("" when memory ran out). */
LangidModel *langid_model_load(const void *data, size_t size, char *message, size_t message_size);
void langid_model_free(LangidModel *model);

/* The most likely label of one line, which ends in '\n'. `label` is cut to its size; "" if there is
 * none. Returns 0, or -1 with why in `message`. */
int langid_model_predict(const LangidModel *model, const char *line, size_t length, char *label,
                         size_t label_size, double *probability, char *message,
                         size_t message_size);

#ifdef __cplusplus
}
#endif
#endif
