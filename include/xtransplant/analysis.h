/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of a sweep's responses: accuracies, comparisons with the untouched model, layer-wise
 * gains, upper bounds.
 *
 * Every figure is computed from a store's responses alone, and is the same on every machine: what
 * is drawn at random (bootstrap, sign flips) comes from a seed. Accuracies and gains are fractions,
 * not per cent. A figure that cannot be computed, such as the standard error of one instance, is
 * NaN.
 *
 * Instances that ask the same question in several languages are one question: their results agree
 * more often than those of different questions. Standard errors, intervals and tests are by
 * question. In tasks that go to a language, instances with the same id are one question, and so are
 * instances of several languages that share a source prompt, if no language has it twice. In tasks
 * that come from a language (cultures), instances are one question if their target prompts are the
 * same after the name of the culture, as a survey asks the same of many countries. That name is
 * found in the wording of the release and of xt_task_template; in prompts of another wording it
 * counts as part of the question.
 *
 * An analysis owns everything that its structs point to, and is immutable. */
#ifndef XTRANSPLANT_ANALYSIS_H
#define XTRANSPLANT_ANALYSIS_H

#include "xtransplant/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- statistics by themselves ---------------------------------------------------------------- */

/* Two-sided exact McNemar test: the binomial probability, at 1/2, of a split at least as uneven as
 * that of the instances on which two systems differ. 1 if there are none. Assumes that the
 * instances are independent. */
XT_API double xt_mcnemar_exact(size_t won, size_t lost);
/* Two-sided sign-flip permutation test (Fisher 1935) of `count` independent differences: the
 * probability, with each sign drawn anew, of a sum at least as far from 0 as theirs. 1 if all are
 * 0.
 *   Integers (`differences` are all whole): exact, by convolution (Pagano and Tritchler 1983), as
 *   long as that takes at most 2^24 steps (differences that are not 0 times twice the sum of their
 *   sizes). If they are all of one size it is xt_mcnemar_exact.
 *   Else, at most 16 that are not 0: exact, by enumeration.
 *   Else `draws` draws of the signs, (1 + as far) / (1 + draws): SplitMix64 begun with `seed`; each
 *   draw takes one number for every 64 differences that are not 0, in order; a set bit, lowest
 *   first, flips. */
XT_API xt_status xt_sign_flip(const double *differences, size_t count, int draws,
                              unsigned long long seed, double *p, xt_error *error);
/* The bootstrap interval of sum(sums) / sum(weights) over `count` independent questions: in each of
 * `samples` samples, `count` draws of SplitMix64 begun with `seed`, each next % count. Expanded
 * percentiles (xt_analysis_options). NaN: fewer than two questions. */
XT_API xt_status xt_bootstrap_ratio(const double *sums, const double *weights, size_t count,
                                    int samples, unsigned long long seed, double confidence,
                                    double *low, double *high, xt_error *error);
/* The chance that at least one of n answers is right, when `right` of `drawn` sampled ones are: 1 -
 * C(drawn - right, n) / C(drawn, n), unbiased (Chen et al. 2021, "pass@k"). NaN: fewer were
 * drawn. */
XT_API double xt_pass_at(size_t drawn, size_t right, size_t n);
/* Adjust `count` p-values for multiple comparisons, in place. Holm (1979) controls the probability
 * of any false rejection, and Benjamini and Hochberg (1995) the share of false rejections. */
XT_API xt_status xt_adjust_holm(double *p, size_t count, xt_error *error);
XT_API xt_status xt_adjust_bh(double *p, size_t count, xt_error *error);

/* ---- how much is present
 * ----------------------------------------------------------------------- */

/* How much a store has of what its sweeps were to run. Only this shows that a sweep was stopped, or
 * that some responses were not measured: all other figures are computed from the responses that are
 * present. */
typedef struct xt_coverage xt_coverage;

/* The responses at one site: "vanilla" (untouched), "source" (responses to source prompts), or
 * those of a transplant. */
typedef struct xt_coverage_site {
  const char *site;
  uint64_t planned;                           /* that sweeps were to compute */
  uint64_t present;                           /* of them, in the store */
  uint64_t standalone, conditional, language; /* of the present ones, measured (metrics.h) */
} xt_coverage_site;

/* The questions of one task, pivot and language, or of all its languages together. */
typedef struct xt_coverage_row {
  const char *task, *title; /* "xnli", "XNLI" */
  const char *pivot;        /* source language of a task that goes to a language; "" elsewhere */
  bool cot;
  const char *lang; /* NULL: all together */
  bool known;       /* whether the store has the plans of its sweeps. If not (schema 1), what is
                       present counts as planned, and the largest number of configurations of a
                       site is taken for each question */
  size_t dataset;   /* questions in the dataset, before limits and shards; 0: not known */
  size_t planned;   /* questions to be run */
  size_t too_long;  /* questions left out of the plan as too long for the model */
  size_t present;   /* of the planned ones, with any response */
  size_t scored;    /* of them, with a gold answer and an untouched response */
  size_t site_count;
  const xt_coverage_site *sites; /* "vanilla", "source", then transplants by name */
} xt_coverage_row;

/* The caller frees *out with xt_coverage_free; the store may be closed earlier. */
XT_API xt_status xt_coverage_create(xt_store *store, xt_coverage **out, xt_error *error);
XT_API void xt_coverage_free(xt_coverage *coverage);

/* By task, pivot, languages in order of name, then their sum. */
XT_API size_t xt_coverage_count(const xt_coverage *coverage);
XT_API const xt_coverage_row *xt_coverage_get(const xt_coverage *coverage, size_t index);
/* The title of a row without its language, e.g. "XNLI, from zh, CoT". */
XT_API const char *xt_coverage_title(const xt_coverage_row *row, char *buffer, size_t size);
/* Whether everything that was planned is present. */
XT_API bool xt_coverage_is_whole(const xt_coverage *coverage);

/* One line in plain words for each thing that is missing: questions, by language; responses;
 * measurements that only some responses have. None if everything is present. */
XT_API size_t xt_coverage_note_count(const xt_coverage *coverage);
XT_API const char *xt_coverage_note(const xt_coverage *coverage, size_t index);

/* All of it as JSON (docs/FORMATS.md). The caller frees *text with xt_free. */
XT_API xt_status xt_coverage_json(const xt_coverage *coverage, char **text, xt_error *error);

/* ---- a store's figures ----------------------------------------------------------------------- */

/* The standard error is by question, from the linearised mean (Cochran 1977, 6.4 and 11.8): with u
 * the sum over a question's instances of (x - mean) / (their number), the error's square is the sum
 * over strata of n / (n - 1) times the squared deviations of u from its mean among the stratum's n
 * questions. Strata are those of the bootstrap (below). Of the proportion p of n independent
 * instances it is sqrt(p (1 - p) / (n - 1)). */
typedef struct xt_estimate {
  double value;
  double error;     /* standard error */
  size_t count;     /* number of instances or languages that the mean is over; 0: none, and value
                       is NaN */
  double low, high; /* of a proportion: Wilson's interval (1927), n being 1 + p (1 - p) /
                       error^2, or the number of questions where the error is 0; 0 and 0: not a
                       proportion */
} xt_estimate;

enum { XT_LEVEL_COUNT = 3 }; /* High, Mid, Low */

/* Accuracies of one system. The accuracy of a level is the unweighted mean over its languages, as
 * in the paper's tables; its count is the number of languages, and its error treats the languages
 * as fixed. `overall` is over instances. */
typedef struct xt_scores {
  xt_estimate overall, levels[XT_LEVEL_COUNT];
  xt_estimate average;          /* unweighted mean over all languages */
  const xt_estimate *languages; /* [languages of the group] */
} xt_scores;

/* How many configurations have more, as many, or fewer right instances than the untouched model. */
typedef struct xt_tally {
  int win, tie, lose;
} xt_tally;

/* One pair of layers against the untouched model, over the instances that have both. */
typedef struct xt_configuration {
  size_t count, correct, vanilla_correct;
  size_t won, lost;        /* instances right only with the transplant, only without */
  double gain;             /* of accuracy */
  double low, high;        /* of the gain: bootstrap over questions, paired */
  double p;                /* xt_sign_flip of won - lost, question by question */
  double mcnemar;          /* xt_mcnemar_exact */
  double holm, bh;         /* p adjusted over all configurations of the site */
  double holm_all, bh_all; /* p adjusted over all configurations of everything in the store:
                              tasks, pivots and sites */
} xt_configuration;

/* Two systems compared over the instances that have both, for a language, a level or all. */
typedef struct xt_difference {
  size_t count, questions; /* count 0: there are none, and the other members are NaN */
  size_t won, lost;        /* instances right only with the first system, only with the second */
  double gain;             /* of accuracy; of a level: mean of its languages' gains */
  double low, high;        /* of the gain: bootstrap over questions, paired */
  double p;                /* xt_sign_flip, question by question, of what each adds to the gain */
  double mcnemar;          /* xt_mcnemar_exact over the instances */
  double holm, bh;         /* p adjusted over all comparisons of the store with the same kind of
                              baseline; those of languages, of levels and overall ones are
                              adjusted separately */
} xt_difference;

typedef struct xt_comparison {
  xt_difference overall, levels[XT_LEVEL_COUNT];
  const xt_difference *languages; /* [languages of the group] */
} xt_comparison;

/* A layer as source (with every target) or as target (with every source). */
typedef struct xt_layer_result {
  xt_estimate gain;                  /* mean over the other layer, then over instances */
  const xt_estimate *language_gains; /* [languages] */
  double candidates;                 /* mean number of candidates, over the instances that have
                                        one */
  size_t complete;                   /* scored instances that have all candidates; the following
                                        members are only over these */
  xt_scores bound;                   /* an instance counts if any of the candidates is right */
  xt_estimate vanilla;               /* of the untouched model, over the same instances */
  double bound_low, bound_high;      /* of bound.overall: bootstrap over questions */
  /* The same bound for guesses: the share of the other scored questions of the language whose gold
   * answer some candidate has, as a mean over instances that have such other questions. It is
   * exact: nothing is drawn. */
  xt_scores chance_scores;
  double chance, chance_low, chance_high; /* chance_scores.overall, and its bootstrap interval */
  double above, above_low, above_high;    /* bound - chance, over the instances that have both,
                                             with its bootstrap interval over questions */
} xt_layer_result;

/* How much of what was to be gained a strategy gained, over the scored instances for which it chose
 * and which have every candidate of the bound: every layer into the first, or, for strategies that
 * choose among more, the strategy's own.
 *
 * With V the share that is right untouched, B the share of which a candidate or the untouched run
 * is right. Of an instance i that is wrong untouched, b_i is 1 if some candidate is right, else 0;
 * c_i is what b_i would be on average if the candidates' answers were noise, that is, if they had
 * nothing to do with the question: the share that some candidate hits of the gold answers of the
 * language's other scored questions, without those that the wrong untouched response hits. Then
 *   noise     = V + (1 - V) mean(c)
 *   known     = sum(b - c) / sum(1 - c), as for kappa (Cohen 1960): what noise does not explain
 *   corrected = V + (1 - V) known
 *   closed    = (S - V) / (corrected - V), S being the share that is right as chosen.
 * Sums and means are over the instances that are wrong untouched and have such other questions. */
typedef struct xt_gap {
  size_t count, questions; /* count 0: the other members say nothing */
  double vanilla, selected, bound, noise, corrected;
  double gap, gap_low, gap_high;          /* corrected - vanilla */
  double closed, closed_low, closed_high; /* NaN unless gap > 0; their interval NaN unless
                                             gap_low > 0. Bootstrap over questions, paired */
  double responses, tokens; /* cost: the responses that the strategy needs for a question, and
                               their generated tokens */
} xt_gap;

/* The name that JSON has for the field-th of the numbers behind the counts, in their order, and its
 * value; NULL: there is none. */
XT_API const char *xt_gap_field(const xt_gap *gap, size_t field, double *value);

typedef struct xt_strategy_result {
  const char *name;
  xt_scores scores;
  xt_gap gap;
  xt_comparison vanilla, coarse; /* against the untouched model, and against the coarse strategy
                                    of the site */
} xt_strategy_result;

/* Perplexity and language of responses. Means are over responses, errors by question. */
typedef struct xt_text_summary {
  xt_estimate perplexity;  /* mean of e^nll, which single texts can dominate; count 0: the store
                              has none */
  xt_estimate geometric;   /* e^(mean nll); its error is the error of the mean times this value */
  double median;           /* of e^nll */
  xt_estimate consistency; /* share of responses in the requested language; a blank response is
                              in none */
} xt_text_summary;

/* Means over responses' first tokens, of scored instances, or of all where none is scored
 * (xt_generation.effects). NaN: the store does not have it, or there is no gold answer, without
 * which only the divergences are known.
 *
 * The score of an answer is ln of the probability that the first token is one of the answer's
 * tracked ones, without tokens that another answer has too; answers are the question's options, or
 * the gold answer and the words of --track. A logit difference is the score of the gold answer
 * minus that of the best other one: the same as the difference of their logits, if each has one
 * token. `normalised` is (D - D_untouched) / (D_source - D_untouched), with D each time the mean
 * logit difference over the instances that have all three: 0 is the untouched run, 1 the source
 * prompt (Wang et al. 2022, 2211.00593; Zhang and Nanda 2024, 2309.16042; Heimersheim and Nanda
 * 2024, 2404.15255, there from the corrupted to the clean run).
 *
 * `choice` is the share of questions whose likeliest option is right. Of `calibrated` it is the
 * option with the largest p(option | question) / mean of p(option) over the questions of the
 * language under the same configuration, p being normalised over the question's options: batch
 * calibration (Zhou et al. 2024, 2309.17249); no gold answer is used.
 *
 * `tracked` is the probability that the first token is one of any answer's. A model that begins its
 * answers otherwise, as with the bracket of "(1)", leaves little for them: scores, differences and
 * choices are then about tokens that it all but never gives. Tables leave them blank where `tracked`
 * is below XT_TRACKED_LEAST, and `normalised` where it is so in the untouched run or the source
 * prompt's, too. */
#define XT_TRACKED_LEAST 0.1
typedef struct xt_effect_result {
  size_t count; /* responses */
  double logit_difference, normalised;
  double gold; /* probability that the first token is one of the gold answer's */
  double kl_untouched, kl_source;
  double choice, calibrated; /* NaN: questions without options */
  double tracked;
} xt_effect_result;

/* What effects are measured by: the members of xt_effect_result. */
typedef enum xt_effect_measure {
  XT_MEASURE_LOGIT_DIFFERENCE = 0,
  XT_MEASURE_NORMALISED,
  XT_MEASURE_GOLD,
  XT_MEASURE_KL_UNTOUCHED,
  XT_MEASURE_KL_SOURCE,
  XT_MEASURE_CHOICE,
  XT_MEASURE_CALIBRATED,
  XT_MEASURE_TRACKED
} xt_effect_measure;
#define XT_MEASURE_COUNT 8

/* A mean with its bootstrap interval over questions; NaN: there is none. */
typedef struct xt_interval {
  double value, low, high;
} xt_interval;

/* The means of xt_effect_result with their intervals. `normalised` has none, and is NaN, where the
 * interval of its denominator D_source - D_untouched contains 0; in differences it is NaN. Means of
 * calibration are held fixed while questions are drawn. */
typedef struct xt_effect_intervals {
  xt_interval means[XT_MEASURE_COUNT];
  xt_interval over_untouched[XT_MEASURE_COUNT]; /* less the untouched run's, question by question */
  xt_interval over_control[XT_MEASURE_COUNT];   /* of a control: what `transplant` has more than it,
                                                   over the responses that both have */
} xt_effect_intervals;

/* Of an answer to questions without a gold answer (an option by its label, or a word of --track):
 * its score (above) as a mean over responses, and less that of the untouched run. */
typedef struct xt_answer_effect {
  const char *answer;
  bool option;    /* else a word */
  size_t count;   /* responses */
  double logprob; /* NaN: none */
  size_t changes; /* those whose question has an untouched run's score */
  double change;  /* NaN: none */
} xt_answer_effect;

/* What chooses among a question's options, as xt_option_row has it (metrics.h). */
typedef enum xt_option_rule {
  XT_OPTION_GENERATED = 0,
  XT_OPTION_ACC,
  XT_OPTION_ACC_NORM,
  XT_OPTION_CALIBRATED,
  XT_OPTION_CALIBRATED_NORM
} xt_option_rule;
#define XT_OPTION_RULES 5

/* The shares of scored runs that are right by each rule, like the means of xt_effect_intervals. */
typedef struct xt_option_intervals {
  size_t runs;        /* 0: no options are scored, and all else is NaN */
  int configurations; /* of these runs; 0: they are no site's */
  xt_interval means[XT_OPTION_RULES], over_untouched[XT_OPTION_RULES],
      over_control[XT_OPTION_RULES];
} xt_option_intervals;

typedef struct xt_site_result {
  const char *site;
  size_t responses;                       /* that are present; at most instances * layers *
                                             layers */
  const xt_configuration *configurations; /* [layers * layers], at source * layers + target;
                                             count 0: none is present */
  int configuration_count;                /* those that are present */
  /* [languages][layers * layers] */
  const int32_t *language_correct, *language_count, *language_vanilla;
  xt_tally all;
  const xt_tally *languages;
  xt_scores mean; /* accuracy averaged over the configurations */
  /* The gain of that accuracy over the untouched model; of a control, over the configurations that
   * `transplant` has too. In this comparison and those with a control, an instance's difference is
   * a mean over the configurations that both have; it is won if that is above 0, and `mcnemar` is
   * the sign test of won and lost */
  xt_comparison mean_gain;
  const char *transplant; /* the site that this one is a control of (xt_site.control); NULL: it is
                             no control, or the group does not have that site */
  /* Of a control: accuracies of it and of `transplant` over the responses that both have, question
   * by question and configuration by configuration; these are in so many configurations */
  int shared_configurations;
  xt_scores shared_mean, transplant_mean;
  xt_comparison over_control;        /* the gain of `transplant` over it, over the same */
  xt_comparison coarse_over_control; /* the same of xt_coarse's layers alone */
  int best;          /* the configuration with the largest gain, the first of several; -1: there
                        is none */
  double best_fresh; /* the gain, on instances left out of a bootstrap sample, of the
                        configuration that is best in the sample: the best gain without the bias
                        of choosing it on the same instances */
  const xt_layer_result *sources, *targets; /* [layers] */
  size_t strategy_count;
  const xt_strategy_result *strategies; /* from the store's selections */
  xt_text_summary texts;                /* over all responses */
  xt_estimate changed;                  /* share of responses that differ from the untouched one,
                                           over questions that have one */
  const xt_effect_result *effects;      /* [layers * layers] like `configurations`; NULL: none */
  xt_effect_result mean_effects;        /* over the responses of all configurations */
  xt_effect_intervals effect_intervals; /* of `mean_effects` */
  int best_effects; /* the configuration with the largest `gold`, the first of several; -1: none */
  xt_effect_intervals best_effect_intervals; /* of it */
  /* [layers * layers][xt_group.answer_count], and over all configurations [answer_count]; NULL:
   * none, or the group has gold answers */
  const xt_answer_effect *answers, *mean_answers;
  xt_option_intervals options; /* over all configurations */
  int best_options; /* the configuration with the largest acc_norm, the first of several; -1: none */
  xt_option_intervals best_option_intervals; /* of it */
} xt_site_result;

/* The chance that at least one of n sampled responses is right (xt_pass_at), as a mean over the
 * instances that have at least n samples with these settings. */
typedef struct xt_pass_result {
  double temperature, top_p;
  unsigned long long seed;
  size_t n;
  xt_scores scores;
} xt_pass_result;

typedef struct xt_group_language {
  const char *name;
  int level;           /* 0 High, 1 Mid, 2 Low; -1: no level */
  size_t first, count; /* its instances */
} xt_group_language;

/* The instances of one task under one pivot language. */
typedef struct xt_group {
  const char *task, *title; /* "xnli", "XNLI" */
  const xt_task *benchmark; /* NULL: none */
  const char *pivot;        /* source language of a task that goes to a language; "" elsewhere */
  bool cot;                 /* prompts that ask for reasoning */
  int layers;
  size_t instances; /* all; scored: those with a gold answer and an untouched run */
  size_t scored;
  size_t language_count;
  const xt_group_language *languages;
  size_t questions; /* questions of the scored instances: fewer than these if several ask the
                       same one */
  bool parallel;    /* whether some instances ask the same question */
  xt_scores vanilla;
  xt_scores coarse;          /* xt_coarse's configuration; count 0: the store does not have it */
  xt_comparison coarse_gain; /* over the untouched model */
  xt_scores coarse_released; /* the same layers at "attn-released", if xt_coarse's site is "attn" */
  xt_comparison coarse_released_gain;
  /* Scores that need no transplant: of the untouched model's response to the source prompt, scored
   * as the same question in the source's language if the group has it, else as the instance; and
   * whether that response or the untouched one to the target prompt is right (the oracle of two
   * candidates). Over the instances whose source prompt was run; count 0: none was. */
  xt_scores source, oracle;
  xt_comparison source_gain, oracle_gain; /* over the untouched model */
  size_t pass_count;
  const xt_pass_result *passes;    /* by settings, then n: 1, 2, 4 and so on, the number of
                                      layers, and the number of samples */
  xt_scores vanilla_chance_scores; /* like those of xt_layer_result, for the single response of
                                      the untouched run */
  double vanilla_chance, vanilla_above, vanilla_above_low, vanilla_above_high; /* likewise */
  xt_text_summary texts;                              /* of the untouched runs */
  xt_effect_result untouched_effects, source_effects; /* of the two runs that the others are
                                                         compared with */
  xt_effect_intervals untouched_effect_intervals, source_effect_intervals;
  /* of questions without gold answers, at most XT_TRACKED_MOST of their answers */
  size_t answer_count;
  const xt_answer_effect *untouched_answers, *source_answers; /* [answer_count] */
  xt_option_intervals untouched_options;
  size_t site_count;
  const xt_site_result *sites;
} xt_group;

typedef struct xt_analysis xt_analysis;

/* Zero-initialise for the defaults.
 *
 * Bootstrap: a sample draws as many questions as there are, with replacement. If no two instances
 * are one question, it draws as many questions within each language as the language has, because
 * the number of questions per language is a design of the benchmark. Intervals are expanded
 * percentiles (Hesterberg 2015): each end cuts off Phi(-t sqrt(n / (n - h))), n questions in h
 * strata, t Student's quantile for n - h degrees of freedom, since plain percentiles are too narrow
 * for few questions. */
typedef struct xt_analysis_options {
  size_t size;             /* sizeof this, or 0: see api.h */
  int bootstrap;           /* samples; 0: 2000 */
  int permutations;        /* draws of a sign-flip test that is not exact; 0: 9999 */
  unsigned long long seed; /* 0: 1 */
  double confidence;       /* of intervals; 0: 0.95 */
  int threads;     /* 0: one per processor that the process may use; figures do not depend on the
                      number */
  uint64_t memory; /* the largest memory of tables by question and configuration, in bytes; 0:
                      512 MiB plus 64 times the store's size */
} xt_analysis_options;

/* Reads the store, which may be closed afterwards. A store without untouched runs is an
 * XT_STATUS_INPUT error, and so is one whose tables would take more than `memory`; if nothing can
 * be scored, xt_analysis_count is 0. The caller frees *out with xt_analysis_free. */
XT_API xt_status xt_analysis_create(xt_store *store, const xt_analysis_options *options,
                                    xt_analysis **out, xt_error *error);
XT_API void xt_analysis_free(xt_analysis *analysis);

/* The groups in order of task and pivot, those with prompts that ask for reasoning last. Groups
 * without a scored instance are not among them: xt_analysis_get_unscored gives these. Only their
 * names, `instances`, `languages`, `texts`, effects and answers and, for each site, `site`,
 * `responses`, `changed`, `texts`, effects and answers are filled in. NULL if there is no such
 * index. */
XT_API size_t xt_analysis_count(const xt_analysis *analysis);
XT_API const xt_group *xt_analysis_get(const xt_analysis *analysis, size_t index);
XT_API size_t xt_analysis_unscored(const xt_analysis *analysis);
XT_API const xt_group *xt_analysis_get_unscored(const xt_analysis *analysis, size_t index);
/* Owned by the analysis. */
XT_API const xt_coverage *xt_analysis_coverage(const xt_analysis *analysis);

/* The coarse strategy's site and layers for a benchmark (the paper's table 2). */
XT_API void xt_coarse(const xt_task *task, int layers, const char **site, int *source_layer,
                      int *target_layer);

#ifdef __cplusplus
}
#endif
#endif
