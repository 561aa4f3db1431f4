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
  double perplexity;    /* NaN: not known */
} AnalysisText;

typedef struct AnalysisInstance {
  int64_t number; /* of the question in the store */
  const char *id, *lang, *source_lang, *source, *target, *gold;
  const xt_choice *choices;
  size_t choice_count;
  uint32_t vanilla_text; /* TEXT_ABSENT: no untouched run */
  float vanilla_margin, vanilla_entropy; /* as in xt_store_row */
  uint32_t source_text;  /* the source prompt's own response; TEXT_ABSENT: the store has none */
  bool vanilla_correct;
  bool scored;           /* has a gold answer and an untouched run */
} AnalysisInstance;

/* The choice of one strategy. */
typedef struct AnalysisSelection {
  const char *strategy; /* one object a name */
  size_t instance;
  int cell;             /* ANALYSIS_VANILLA: the untouched run */
} AnalysisSelection;
#define ANALYSIS_VANILLA (-1)

typedef struct AnalysisSite {
  const char *name;
  size_t capacity;            /* instances that there is room for */
  uint32_t *texts;            /* [instances][cells]: index of the response's text, or TEXT_ABSENT */
  float *margins, *entropies; /* [instances][cells]: of each response that is there, as in xt_store_row */
  uint64_t *right;            /* [instances][words of cells]: is right */
  uint64_t *correct, *present;/* [cells][words of instances]: of scored instances, is right, is there */
  AnalysisSelection *selections;
  size_t selection_count, selection_capacity;
} AnalysisSite;

typedef struct AnalysisGroup {
  xt_group group; /* languages and sites lie in the arena */
  AnalysisInstance *instances;
  size_t instance_capacity;
  AnalysisSite *sites;
  size_t site_count, site_capacity;
  uint64_t *scored, *vanilla; /* [words of instances]: scored; and right untouched */
} AnalysisGroup;

struct xt_analysis {
  Arena arena; /* of strings, and of everything that public structs point to */
  AnalysisGroup *groups;
  size_t count, capacity, unscored; /* unscored groups lie behind the others, once they were set apart */
  bool apart;
  AnalysisText *texts;
  size_t text_count, text_capacity;
  uint32_t *text_slots; /* hash table: index of the text whose number in the store falls there, or TEXT_ABSENT */
  size_t text_slot_count; /* a power of two; 0: none yet */
  const char *const *strategies; /* names, each once */
  size_t strategy_count;
  int layers, cells;             /* cells: layers * layers */
  xt_analysis_options options;   /* with the defaults filled in */
  bool has_perplexity, has_language;
  xt_coverage *coverage;
};

xt_status analysis_text_copy(xt_analysis *a, const char *text, const char **out, xt_error *error);

/* Reads questions, responses, selections and metrics; puts what is right into bits. */
xt_status analysis_load(xt_analysis *a, xt_store *store, xt_error *error);

/* Each fills its part of a group, whose data is loaded. */
/* What can be said of a group without scores. */
xt_status analysis_texts(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_scores(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_bounds(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_significance(xt_analysis *a, AnalysisGroup *g, xt_error *error);
xt_status analysis_chance(xt_analysis *a, AnalysisGroup *g, xt_error *error);

/* Scores of a system that has the instances `correct` right among `present`. */
xt_status scores_of_bits(xt_analysis *a, const AnalysisGroup *g, const uint64_t *correct, const uint64_t *present, xt_scores *out, xt_error *error);
/* Levels from the languages' estimates. */
void scores_fill_levels(const xt_group *g, const xt_estimate *languages, xt_scores *out);

/* Bootstrap samples of a group: how often each instance was drawn, with replacement and within its language, as bits:
 * plane k of sample b, at (b * BOOTSTRAP_PLANES + k) * words, has the bit of value 2^k of each instance's count. */
#define BOOTSTRAP_PLANES 5
typedef struct Bootstrap {
  uint64_t *planes;
  int samples;
  size_t words;
} Bootstrap;
xt_status bootstrap_draw(const xt_analysis *a, const AnalysisGroup *g, Bootstrap *out, xt_error *error);
void bootstrap_free(Bootstrap *b);
/* The weight of those instances of a sample that are in `bits`. */
size_t bootstrap_weight(const Bootstrap *b, int sample, const uint64_t *bits);

#endif
