/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the analysis and the report. */
#ifndef ANALYSIS_ANALYSIS_PARTS_H
#define ANALYSIS_ANALYSIS_PARTS_H

#include <stdint.h>

#include "base/arena.h"
#include "xtransplant/analysis.h"
#include "xtransplant/metrics.h"

#define TEXT_ABSENT UINT32_MAX

typedef struct AnalysisText {
  int64_t number;   /* in the store */
  const char *text; /* NULL: the model had no tokenizer */
  size_t length, tokens;
  const char *language; /* from the store's text metrics; NULL: not known */
  double nll;           /* nats per token of the text alone; NaN: not known */
} AnalysisText;

typedef struct AnalysisInstance {
  int64_t number; /* of the question in the store */
  const char *id, *lang, *source_lang, *source, *target, *gold;
  const xt_choice *choices;
  size_t choice_count;
  uint32_t vanilla_text;                 /* TEXT_ABSENT: no untouched run */
  float vanilla_margin, vanilla_entropy; /* as in xt_store_row */
  uint32_t source_text; /* the response to the source prompt; TEXT_ABSENT: the store has none */
  const xt_tracked *tracked; /* [tracked_count] answers whose first tokens are tracked */
  size_t tracked_count;
  const float *vanilla_effects, *source_effects; /* numbers of the untouched run and of the source
                                                    prompt (xt_generation.effects); NULL: none */
  uint8_t vanilla_options;                       /* of the untouched run: as AnalysisSite.options */
  bool vanilla_correct;
  bool scored;       /* has a gold answer and an untouched run */
  uint32_t question; /* in [0, the group's questions): instances that ask the same question have
                        the same number */
} AnalysisInstance;

/* The choice of one strategy. */
typedef struct AnalysisSelection {
  const char *strategy; /* one object a name */
  size_t instance;
  int cell;                  /* ANALYSIS_VANILLA: the untouched run */
  int64_t responses, tokens; /* as in the store's Selection */
} AnalysisSelection;
#define ANALYSIS_VANILLA (-1)

#define OPTIONS_SCORED 0x80
typedef struct EffectSums EffectSums; /* effect_means.h */
typedef struct SiteMap SiteMap;       /* site_maps.h */

typedef struct AnalysisSite {
  const char *name;
  size_t capacity;            /* capacity in instances */
  uint32_t *texts;            /* [instances][cells]: index of the response's text, or TEXT_ABSENT */
  float *margins, *entropies; /* [instances][cells]: of each response that is present, as in
                                 xt_store_row */
  float **effects;            /* [effect_capacity] of an instance: [cells][XT_EFFECT_TRACKED +
                                 tracked], in the arena (effect_means.h); NULL: none */
  size_t effect_capacity;
  EffectSums *effect_sums;       /* [languages][cells]; NULL: none */
  xt_answer_effect *answer_sums; /* [languages][cells][answers of the group]: sums where there are
                                    means; NULL: none */
  uint8_t *options; /* [instances][cells]: bit r is set where the response is right by rule r of
                       xt_option_rule, OPTIONS_SCORED where its options are scored; NULL: none are */
  SiteMap *maps;    /* [map_count] */
  size_t map_count;
  uint64_t *right;             /* [instances][words of cells]: is right */
  uint64_t *correct, *present; /* [cells][words of instances]: of scored instances: is right, is
                                  present */
  AnalysisSelection *selections;
  size_t selection_count, selection_capacity;
} AnalysisSite;

/* The sampled responses of one kind. */
typedef struct AnalysisSamples {
  xt_sample_settings settings;
  struct {
    uint32_t drawn, right;
  } * counts; /* [instances] */
} AnalysisSamples;

typedef struct AnalysisGroup {
  xt_group group; /* languages and sites are in the arena */
  AnalysisInstance *instances;
  size_t instance_capacity;
  AnalysisSite *sites;
  size_t site_count, site_capacity;
  uint64_t *scored, *vanilla; /* [words of instances]: scored; and right untouched */
  AnalysisSamples *samples;
  size_t sample_count, sample_capacity;
  size_t questions;  /* in order of their first instance */
  uint32_t *stratum; /* [questions]: one stratum for all if some are parallel; else one per
                        language */
  size_t strata;
} AnalysisGroup;

struct xt_analysis {
  Arena arena; /* of strings, and of everything that public structs point to */
  AnalysisGroup *groups;
  size_t count, capacity, unscored; /* unscored groups are at the end, once they were moved */
  bool apart;
  AnalysisText *texts;
  size_t text_count, text_capacity;
  uint32_t *text_slots;          /* hash table: index of the text whose number in the store has
                                    this slot, or TEXT_ABSENT */
  size_t text_slot_count;        /* a power of two; 0: none yet */
  const char *const *strategies; /* names, each once */
  size_t strategy_count;
  int layers, cells;           /* cells: layers * layers */
  xt_analysis_options options; /* with the defaults filled in */
  uint64_t claimed;            /* bytes of tables that are in memory or will be next */
  bool has_perplexity, has_language;
  xt_coverage *coverage;
};

/* Called before a table of count * size bytes is made whose size depends on layers, questions or
 * languages, because a small file may have many of each. Fails if all tables together would exceed
 * options.memory. analysis_release takes back what is not kept. */
xt_status analysis_claim(xt_analysis *a, size_t count, size_t size, xt_error *error);
void analysis_release(xt_analysis *a, size_t count, size_t size);

/* A copy of a text in the arena. */
xt_status analysis_text_copy(xt_analysis *a, const char *text, const char **out, xt_error *error);

/* Reads questions, responses, selections and metrics; stores in bits which responses are right. */
xt_status analysis_load(xt_analysis *a, xt_store *store, xt_error *error);

/* Reads which responses are right by their options' likelihoods. */
xt_status analysis_options_scored(xt_analysis *a, xt_store *store, xt_error *error);
/* Fills the members of the group and its sites; after analysis_significance. */
xt_status analysis_option_intervals(xt_analysis *a, AnalysisGroup *g, xt_error *error);

/* Finds which instances ask the same question (analysis.h), and the strata. */
xt_status analysis_questions(xt_analysis *a, AnalysisGroup *g, xt_error *error);

/* Whether a text whose language was identified is in the one that is asked for. A blank response is
 * in none. */
bool analysis_text_consistent(const xt_group *g, const AnalysisInstance *instance,
                              const AnalysisText *text);

/* Computes what is possible for a group without scores. */
xt_status analysis_texts(xt_analysis *a, AnalysisGroup *g, xt_error *error);

/* Each computes its part of a group whose data is loaded; they are called in this order. */
xt_status analysis_scores(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_significance(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_bounds(xt_analysis *a, AnalysisGroup *g, xt_error *error);
/* Adjusts p-values over all groups. */
xt_status analysis_adjust(xt_analysis *a, xt_error *error);
/* The same of strategies, the coarse choice and answers to source prompts alone. */
xt_status analysis_adjust_strategies(xt_analysis *a, xt_error *error);

/* ---- means by question ----------------------------------------------------------------------- */

/* A weighted mean over instances: the sum of `sums` over the sum of `weights`, both [instances];
 * weight 0: left out. */
typedef struct Measured {
  const double *sums, *weights;
} Measured;

/* Scores with errors by question; `proportion`: with Wilson's intervals. Counts are sums of
 * weights. */
xt_status scores_of(xt_analysis *a, const AnalysisGroup *g, Measured m, bool proportion,
                    xt_scores *out, xt_error *error);
/* Scores of a system that answers the instances `correct` among `present` right. */
xt_status scores_of_bits(xt_analysis *a, const AnalysisGroup *g, const uint64_t *correct,
                         const uint64_t *present, xt_scores *out, xt_error *error);

/* The number of questions and strata of some instances. */
typedef struct Extent {
  size_t questions, strata;
} Extent;

/* ---- the bootstrap --------------------------------------------------------------------------- */

typedef struct Bootstrap {
  uint8_t *weights; /* [samples][questions]: how often each is drawn; at most 255 */
  int samples;
  size_t questions;
} Bootstrap;
xt_status bootstrap_draw(const xt_analysis *a, const AnalysisGroup *g, Bootstrap *out,
                         xt_error *error);
void bootstrap_free(Bootstrap *b);

/* Two systems compared, [instances]: present (both have a response), and right by each. */
xt_status compare_systems(xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                          const uint64_t *present, const uint64_t *right, const uint64_t *baseline,
                          xt_comparison *out, xt_error *error);
/* The same with any differences and, 1 or 0, whether both systems have the instance; a difference
 * is 0 where they have not. */
xt_status compare_values(xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                         const double *gained, const double *there, xt_comparison *out,
                         xt_error *error);
/* One that has nothing. */
xt_status comparison_none(xt_analysis *a, const AnalysisGroup *g, xt_comparison *out,
                          xt_error *error);

/* A weighted mean over the instances [first, first + count) in each sample, into out [samples]; NaN
 * if none is drawn. */
xt_status bootstrap_means(const AnalysisGroup *g, const Bootstrap *b, Measured m, size_t first,
                          size_t count, double *out, xt_error *error);
/* The interval of sampled means, for instances of that extent; sorts `samples`, without NaN. */
void samples_interval(const xt_analysis *a, double *samples, size_t count, Extent extent,
                      double *low, double *high);
/* Both; `samples` has room for the samples' means. NaN if there is no interval. */
xt_status bootstrap_interval(const xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                             Measured m, size_t first, size_t count, double *samples, double *low,
                             double *high, xt_error *error);
/* Questions and strata of the instances of [first, first + count) that have a weight; seen:
 * [questions + strata]. */
Extent extent_of(const AnalysisGroup *g, const double *weights, size_t first, size_t count,
                 uint8_t *seen);

/* The response to the source prompt, the oracle of two, sampled responses. */
xt_status analysis_baselines(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, xt_error *error);
/* Coarse and strategies against the untouched model. */
xt_status analysis_comparisons(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b,
                               xt_error *error);

/* For which scored instances a strategy's choice is present, and right; [words of instances]. */
void strategy_bits(const AnalysisGroup *g, const AnalysisSite *site, const char *strategy,
                   uint64_t *present, uint64_t *right);
/* What strategies close of the gap to the bounds; after analysis_comparisons. */
xt_status analysis_gaps(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, xt_error *error);

/* The site of that name; NULL: the group does not have it. */
const AnalysisSite *analysis_find_site(const AnalysisGroup *g, const char *name);

/* Sites against the untouched model over all configurations, and against their controls. */
xt_status analysis_controls(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, xt_error *error);

/* An analysis with only what analysis_comparisons and analysis_baselines compute, which takes a small part of the time of
 * a whole one. */
xt_status analysis_create_comparisons(xt_store *store, const xt_analysis_options *options,
                                      xt_analysis **out, xt_error *error);

#endif
