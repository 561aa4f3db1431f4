/* SPDX-License-Identifier: Apache-2.0 */
/* Measures of responses besides accuracy: three perplexities, and language. The values are stored,
 * once for each text, however many responses have that text.
 *
 *     standalone   the response's text alone, tokenised like a prompt and scored by the untouched
 *                  model. If the tokenizer adds no BOS, the first token has no context and is not
 *                  scored
 *     conditional  the response's tokens given the target prompt, scored by the untouched model
 *     self         the response's tokens under the run that made it, as recorded during generation,
 *                  including a repetition penalty
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

/* The number of texts (conditional: of texts of a question) that have no value in the store. */
XT_API xt_status xt_store_count_unmeasured(xt_store *store, xt_metric metric, uint64_t *count,
                                           xt_error *error);

/* `tick` (may be NULL) is called from time to time with the number of values that were added; true
 * stops with XT_STATUS_CANCELLED, and the added values are kept. */
typedef struct xt_measure_options {
  size_t size; /* sizeof this, or 0: see api.h */
  bool (*tick)(void *user, uint64_t done);
  void *user;
} xt_measure_options;

/* Adds the values that the store does not have: standalone or conditional perplexities, by a
 * session of the store's model (xt_store_check), or languages. The store must be open for writing;
 * everything is committed at the end. A store accepts languages of only one identification file.
 * `options` may be NULL. */
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
    double mean;       /* of the responses' perplexities that were measured */
    uint64_t count;    /* of responses that have one */
    uint64_t measured; /* of responses that were measured, including those with nothing to score */
  } standalone, conditional, self;
  uint64_t identified;      /* responses whose language was identified */
  uint64_t consistent;      /* of them, in the language that the task asks for
                               (xt_question_answer_language) */
  uint64_t too_short;       /* of them, xt_language_too_short */
  uint64_t consistent_long; /* consistent ones among those that are not too short */
} xt_metrics_row;

/* Calls `row` for each task, language and site of the store, vanilla first, languages before their
 * sum. Strings are borrowed for the call. */
XT_API xt_status xt_store_summarize_metrics(xt_store *store,
                                            xt_status (*row)(void *user, const xt_metrics_row *row,
                                                             xt_error *error),
                                            void *user, xt_error *error);

/* The language in which a question should be answered: that of its target prompt. */
XT_API const char *xt_question_answer_language(const xt_question *question);

#ifdef __cplusplus
}
#endif
#endif
