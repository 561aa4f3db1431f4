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

/* ---- options by likelihood ------------------------------------------------------------------- */

/* Of questions with options, the log-probability of each option's text after the target prompt is
 * the sum over its tokens, under the run of each stored response: the untouched one, or one
 * configuration's with its interventions. As in lm-evaluation-harness 0.4, the text follows a space
 * (nothing after a prompt that ends with white space), its tokens are those of prompt and text
 * together behind the prompt's, `acc` chooses the option with the largest sum, and `acc_norm` that
 * with the largest sum divided by the characters (code points) of its text; the first of equal ones. Calibrated,
 * each option's mean over the questions of the same configuration and language is subtracted first
 * (Zhou et al., 2024, arXiv:2309.17249). */

/* Which runs. Zero-initialise for all. Borrowed for the call. */
typedef struct xt_option_scoring {
  size_t size;                               /* sizeof this, or 0: see api.h */
  bool untouched;                            /* only untouched runs */
  const bool *source_layers, *target_layers; /* [layers of the store] transplants of these layers;
                                                NULL: of all */
  const xt_site *sites;                      /* [site_count] of these sites; NULL: of all */
  size_t site_count;
  bool (*tick)(void *user, uint64_t done); /* as in xt_measure_options; counts runs. May be NULL */
  void *user;
  /* A job (job.h) that has the store's questions and sites: it gives what is not the value of a
   * question's own prompts, that is controls other than self, the mean of several languages,
   * vectors and plans. What it has not is skipped, and without it all of these. It is used from
   * this thread alone, as in a run of it. */
  struct xt_job *job;
} xt_option_scoring;

typedef struct xt_option_work {
  uint64_t runs;    /* that have no scores yet */
  uint64_t options; /* texts to be scored, over all runs */
  uint64_t prompts; /* questions with such a run: their prompts are run again */
  uint64_t
      skipped; /* runs of sites that write anything but their own source prompt's values (or the
                       target's, as the control self does), and that the job does not have: they are
                       not scored */
} xt_option_work;

/* What xt_store_score_options would do. */
XT_API xt_status xt_store_count_unscored(xt_store *store, const xt_option_scoring *scoring,
                                         xt_option_work *work, xt_error *error);
/* Scores the options of the runs that are not scored yet, by a session of the store's model. The
 * store must be open for writing; everything is committed at the end. A run's numbers depend neither
 * on the other runs nor on the order. `scoring` may be NULL. */
XT_API xt_status xt_store_score_options(xt_store *store, xt_session *session,
                                        const xt_option_scoring *scoring, xt_error *error);

/* How many of the questions that have a gold answer are right, as shares; NaN: there are none. */
typedef struct xt_option_row {
  const char *task,
      *pivot; /* pivot: source language of a task that goes to a language; "" elsewhere */
  bool cot;   /* prompts that ask for reasoning */
  const char *lang, *site;
  int source_layer, target_layer; /* -1: of untouched runs, or over all scored configurations */
  uint64_t runs;                  /* scored ones */
  double generated;               /* of the same runs, by their generated text */
  double acc, acc_norm, calibrated, calibrated_norm;
} xt_option_row;

/* Calls `row` for each task, pivot, language and site of the scored runs, languages before their sum
 * (lang NULL): for the untouched runs, then for each site over all configurations and for each of them.
 * Strings are borrowed for the call. */
XT_API xt_status xt_store_summarize_options(xt_store *store,
                                            xt_status (*row)(void *user, const xt_option_row *row,
                                                             xt_error *error),
                                            void *user, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
