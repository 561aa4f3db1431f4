/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files that compute coverage. */
#ifndef ANALYSIS_COVERAGE_H
#define ANALYSIS_COVERAGE_H

#include <jansson.h>

#include "base/arena.h"
#include "store/store_plans.h"
#include "xtransplant/analysis.h"

struct xt_coverage {
  Arena arena; /* of strings and sites */
  xt_coverage_row *rows;
  size_t count, capacity;
  const char **notes;
  size_t note_count, note_capacity;
};

typedef struct CoverageSite {
  xt_coverage_site out;
  uint64_t most; /* responses of the question that has the most */
} CoverageSite;

/* One task, pivot and language. */
typedef struct CoverageRow {
  xt_coverage_row out; /* without sites */
  CoverageSite *sites;
  size_t site_count, site_capacity;
} CoverageRow;

typedef struct CoverageQuestion {
  int64_t number;
  uint8_t digest[STORE_DIGEST_BYTES];
  size_t row;
  bool scored, present; /* present: has any response */
} CoverageQuestion;

/* Responses of a question at a site. */
typedef struct CoverageCount {
  size_t question, site; /* indices; of the question's row */
  uint64_t present;
} CoverageCount;

typedef struct CoveragePlan {
  size_t row;
  size_t question_count;
  uint8_t *questions; /* [question_count][STORE_DIGEST_BYTES] */
  size_t *sites;      /* [site_count]: of the row */
  size_t site_count;
  uint8_t *has_source, *has_target; /* [layers] */
} CoveragePlan;

typedef struct CoverageBuilder {
  xt_coverage *out;
  int layers;
  CoverageRow *rows;
  size_t row_count, row_capacity;
  CoverageQuestion *questions; /* by number */
  size_t question_count, question_capacity;
  CoverageCount *counts;
  size_t count_count, count_capacity;
  CoveragePlan *plans;
  size_t plan_count, plan_capacity;
} CoverageBuilder;

/* A plan of the row's questions. */
xt_status coverage_add_plan(CoverageBuilder *builder, const StoredPlan *plan, size_t row,
                            xt_error *error);
void coverage_plan_deinit(CoveragePlan *plan);
/* Fills in the planned questions and responses. */
xt_status coverage_count_planned(CoverageBuilder *builder, xt_error *error);

/* NULL when memory ran out. */
json_t *coverage_to_json(const xt_coverage *coverage);

/* Says in words what rows have. */
xt_status coverage_make_notes(xt_coverage *coverage, xt_error *error);

#endif
