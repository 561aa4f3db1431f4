/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of responses beside right and wrong: perplexity in three senses, and language.
 * Values are kept in the store, a text's once however many responses have it.
 *
 *     standalone   the response's text by itself, tokenised as a prompt is, scored by the untouched
 *                  model. Where the tokenizer adds no BOS, the first token has nothing before it
 *                  and is not scored
 *     conditional  the response's tokens given the target prompt, scored by the untouched model
 *     self         the response's tokens under the run that made it: what generation wrote down, a
 *                  repetition penalty included
 *
 * A response's perplexity is e to the mean negative log-probability of its scored tokens; one
 * without such tokens has none. */
#ifndef XTRANSPLANT_METRICS_H
#define XTRANSPLANT_METRICS_H

#include "xtransplant/langid.h"
#include "xtransplant/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum xt_metric {
  XT_METRIC_STANDALONE = 0,
  XT_METRIC_CONDITIONAL,
  XT_METRIC_LANGUAGE
} xt_metric;
#define XT_METRIC_COUNT 3

/* How many texts (conditional: texts of a question) the store has no value of. */
XT_API xt_status xt_store_count_unmeasured(xt_store *store, xt_metric metric, uint64_t *count,
                                           xt_error *error);

/* `tick` (may be NULL) is called now and then with how many values were added; true stops with
 * XT_STATUS_CANCELLED, and what was added is kept. */
typedef struct xt_measure_options {
  size_t size; /* sizeof this, or 0: see api.h */
  bool (*tick)(void *user, uint64_t done);
  void *user;
} xt_measure_options;

/* Adds the values that the store has not: standalone or conditional, by a session of the store's
 * model (xt_store_check tells); or languages. The store has to be open for writing; all is
 * committed at the end. A store takes the languages of one identification file only. `options` may
 * be NULL. */
XT_API xt_status xt_store_measure_perplexity(xt_store *store, xt_session *session, xt_metric metric,
                                             const xt_measure_options *options, xt_error *error);
XT_API xt_status xt_store_measure_languages(xt_store *store, const xt_langid *langid,
                                            const xt_measure_options *options, xt_error *error);

/* Sums over the responses of one site in one language, or in all (lang NULL). Untouched runs have
 * the site "vanilla". */
typedef struct xt_metrics_row {
  const char *task, *lang, *site;
  uint64_t responses;
  struct {
    double mean;       /* of the responses' perplexities, as far as they were measured */
    uint64_t count;    /* of responses that have one */
    uint64_t measured; /* of responses that were measured, those with nothing to score among them */
  } standalone, conditional, self;
  uint64_t identified;      /* responses whose language was looked at */
  uint64_t consistent;      /* of them, in the language the task asks for
                          (xt_question_answer_language) */
  uint64_t too_short;       /* of them, xt_language_too_short */
  uint64_t consistent_long; /* consistent ones among those long enough to tell */
} xt_metrics_row;

/* Calls `row` for each task, language and site of the store, vanilla first, languages before their
 * sum. Strings are borrowed for the call. */
XT_API xt_status xt_store_summarize_metrics(xt_store *store,
                                            xt_status (*row)(void *user, const xt_metrics_row *row,
                                                             xt_error *error),
                                            void *user, xt_error *error);

/* The language that a question is to be answered in: that of its target prompt. */
XT_API const char *xt_question_answer_language(const xt_question *question);

#ifdef __cplusplus
}
#endif
#endif
