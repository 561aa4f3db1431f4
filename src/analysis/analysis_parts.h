/* SPDX-License-Identifier: Apache-2.0 */
/* What the analysis' own files, and the report, share. */
#ifndef ANALYSIS_ANALYSIS_PARTS_H
#define ANALYSIS_ANALYSIS_PARTS_H

#include <stdint.h>

#include "base/arena.h"
#include "xtransplant/analysis.h"

#define TEXT_ABSENT UINT32_MAX

typedef struct AnalysisText {
  int64_t number;   /* in the store */
  const char *text; /* NULL: the model had no tokenizer */
  size_t length;
  const char *language; /* from the store's text metrics; NULL: not known */
  double nll;           /* nats per token, by itself; NaN: not known */
} AnalysisText;

typedef struct AnalysisInstance {
  int64_t number; /* of the question in the store */
  const char *id, *lang, *source_lang, *source, *target, *gold;
  const xt_choice *choices;
  size_t choice_count;
  uint32_t vanilla_text;                 /* TEXT_ABSENT: no untouched run */
  float vanilla_margin, vanilla_entropy; /* as in xt_store_row */
  uint32_t source_text; /* the source prompt's own response; TEXT_ABSENT: the store has none */
  bool vanilla_correct;
  bool scored;       /* has a gold answer and an untouched run */
  uint32_t question; /* in [0, the group's questions): instances that ask the same have the
                            same */
} AnalysisInstance;

/* The choice of one strategy. */
typedef struct AnalysisSelection {
  const char *strategy; /* one object a name */
  size_t instance;
  int cell; /* ANALYSIS_VANILLA: the untouched run */
} AnalysisSelection;
#define ANALYSIS_VANILLA (-1)

typedef struct AnalysisSite {
  const char *name;
  size_t capacity;            /* instances that there is room for */
  uint32_t *texts;            /* [instances][cells]: index of the response's text, or TEXT_ABSENT */
  float *margins, *entropies; /* [instances][cells]: of each response that is there, as in
                                 xt_store_row */
  uint64_t *right;            /* [instances][words of cells]: is right */
  uint64_t *correct, *present; /* [cells][words of instances]: of scored instances, is right, is
                                 there */
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
  xt_group group; /* languages and sites lie in the arena */
  AnalysisInstance *instances;
  size_t instance_capacity;
  AnalysisSite *sites;
  size_t site_count, site_capacity;
  uint64_t *scored, *vanilla; /* [words of instances]: scored; and right untouched */
  AnalysisSamples *samples;
  size_t sample_count, sample_capacity;
  size_t questions;  /* in order of their first instance */
  uint32_t *stratum; /* [questions]: where some are parallel all are in one; else the
                            language */
  size_t strata;
} AnalysisGroup;

struct xt_analysis {
  Arena arena; /* of strings, and of everything that public structs point to */
  AnalysisGroup *groups;
  size_t count, capacity, unscored; /* unscored groups lie behind the others, once they were set
                                       apart */
  bool apart;
  AnalysisText *texts;
  size_t text_count, text_capacity;
  uint32_t *text_slots;   /* hash table: index of the text whose number in the store falls there,
                           or TEXT_ABSENT */
  size_t text_slot_count; /* a power of two; 0: none yet */
  const char *const *strategies; /* names, each once */
  size_t strategy_count;
  int layers, cells;           /* cells: layers * layers */
  xt_analysis_options options; /* with the defaults filled in */
  uint64_t claimed;            /* bytes of tables that are in memory or about to be */
  bool has_perplexity, has_language;
  xt_coverage *coverage;
};

/* Before a table of count * size bytes is made whose size goes by layers, questions or languages: a
 * small file may have many of each. Fails where all tables together would be above options.memory.
 * What does not stay is given back by analysis_release. */
xt_status analysis_claim(xt_analysis *a, size_t count, size_t size, xt_error *error);
void analysis_release(xt_analysis *a, size_t count, size_t size);

xt_status analysis_text_copy(xt_analysis *a, const char *text, const char **out, xt_error *error);

/* Reads questions, responses, selections and metrics; puts what is right into bits. */
xt_status analysis_load(xt_analysis *a, xt_store *store, xt_error *error);

/* Which instances ask the same question (analysis.h), and the strata. */
xt_status analysis_questions(xt_analysis *a, AnalysisGroup *g, xt_error *error);

/* What can be said of a group without scores. */
xt_status analysis_texts(xt_analysis *a, AnalysisGroup *g, xt_error *error);

/* Each fills its part of a group, whose data is loaded; in this order. */
xt_status analysis_scores(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_significance(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_bounds(xt_analysis *a, AnalysisGroup *g, xt_error *error);
/* Adjusts p-values over all groups. */
xt_status analysis_adjust(xt_analysis *a, xt_error *error);

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
/* Of a system that has the instances `correct` right among `present`. */
xt_status scores_of_bits(xt_analysis *a, const AnalysisGroup *g, const uint64_t *correct,
                         const uint64_t *present, xt_scores *out, xt_error *error);

/* How many questions, and strata, some instances are in. */
typedef struct Extent {
  size_t questions, strata;
} Extent;

/* ---- the bootstrap --------------------------------------------------------------------------- */

typedef struct Bootstrap {
  uint8_t *weights; /* [samples][questions]: how often each was drawn; at most 255 */
  int samples;
  size_t questions;
} Bootstrap;
xt_status bootstrap_draw(const xt_analysis *a, const AnalysisGroup *g, Bootstrap *out,
                         xt_error *error);
void bootstrap_free(Bootstrap *b);

/* A system against another, [instances]: present (both are there), and right by each. */
xt_status compare_systems(xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                          const uint64_t *present, const uint64_t *right, const uint64_t *baseline,
                          xt_comparison *out, xt_error *error);
/* One that has nothing. */
xt_status comparison_none(xt_analysis *a, const AnalysisGroup *g, xt_comparison *out,
                          xt_error *error);

/* A weighted mean over the instances [first, first + count) in each sample, into out [samples]; NaN
 * where none is drawn. */
xt_status bootstrap_means(const AnalysisGroup *g, const Bootstrap *b, Measured m, size_t first,
                          size_t count, double *out, xt_error *error);
/* The interval of sampled means, of instances of that extent; sorts `samples`, leaving NaN out. */
void samples_interval(const xt_analysis *a, double *samples, size_t count, Extent extent,
                      double *low, double *high);
/* Both; `samples` has room for the samples' means. NaN where there is no interval. */
xt_status bootstrap_interval(const xt_analysis *a, const AnalysisGroup *g, const Bootstrap *b,
                             Measured m, size_t first, size_t count, double *samples, double *low,
                             double *high, xt_error *error);
/* Questions and strata of the instances of [first, first + count) that have a weight; seen:
 * [questions + strata]. */
Extent extent_of(const AnalysisGroup *g, const double *weights, size_t first, size_t count,
                 uint8_t *seen);

/* The source prompt's own answer, the oracle of two, sampled answers. */
xt_status analysis_baselines(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b, xt_error *error);
/* Coarse and strategies against the untouched model. */
xt_status analysis_comparisons(xt_analysis *a, AnalysisGroup *g, const Bootstrap *b,
                               xt_error *error);

/* An analysis in which only what analysis_comparisons fills in is there, which takes a small part
 * of the time of the whole. */
xt_status analysis_create_comparisons(xt_store *store, const xt_analysis_options *options,
                                      xt_analysis **out, xt_error *error);

#endif
