/* SPDX-License-Identifier: Apache-2.0 */
/* What was planned: the union of all plans, question by question. */
#include <stdlib.h>
#include <string.h>

#include "analysis/coverage.h"
#include "base/arena_text.h"
#include "base/mem.h"

/* ---- plans ----------------------------------------------------------------------------------- */

void coverage_plan_deinit(CoveragePlan *plan) {
  free(plan->questions);
  free(plan->sites);
  free(plan->has_source);
  free(plan->has_target);
}

/* The row's site with this name, which is made if it is new. */
static xt_status site_index(CoverageBuilder *b, size_t row_index, const char *name, size_t *out,
                            xt_error *error) {
  CoverageRow *row = &b->rows[row_index];
  const char *copy;
  for (*out = 0; *out < row->site_count; (*out)++)
    if (strcmp(row->sites[*out].out.site, name) == 0) return XT_STATUS_OK;
  TRY(MEM_GROW(&row->sites, &row->site_capacity, row->site_count + 1, error));
  TRY(arena_copy_text(&b->out->arena, name, strlen(name), &copy, error));
  row->sites[row->site_count++] = (CoverageSite){.out = {.site = copy}};
  return XT_STATUS_OK;
}

xt_status coverage_add_plan(CoverageBuilder *b, const StoredPlan *from, size_t row,
                            xt_error *error) {
  xt_coverage_row *out = &b->rows[row].out;
  TRY(MEM_GROW(&b->plans, &b->plan_capacity, b->plan_count + 1, error));
  CoveragePlan *plan = &b->plans[b->plan_count++];
  *plan = (CoveragePlan){
      .row = row, .question_count = from->question_count, .site_count = from->site_count};
  TRY(mem_alloc(&plan->questions, from->question_count + 1, STORE_DIGEST_BYTES, error));
  TRY(MEM_ALLOC(&plan->sites, from->site_count, error));
  TRY(MEM_ALLOC(&plan->has_source, (size_t)b->layers, error));
  TRY(MEM_ALLOC(&plan->has_target, (size_t)b->layers, error));
  if (from->question_count)
    memcpy(plan->questions, from->questions, from->question_count * STORE_DIGEST_BYTES);
  for (size_t i = 0; i < from->site_count; i++)
    TRY(site_index(b, row, from->sites[i], &plan->sites[i], error));
  for (size_t i = 0; i < from->source_layer_count; i++)
    plan->has_source[from->source_layers[i]] = 1;
  for (size_t i = 0; i < from->target_layer_count; i++)
    plan->has_target[from->target_layers[i]] = 1;
  if (from->dataset > out->dataset) out->dataset = from->dataset;
  if (from->too_long > out->too_long) out->too_long = from->too_long;
  return XT_STATUS_OK;
}

/* ---- questions, each with the plans that name it --------------------------------------------- */

#define THE_STORE SIZE_MAX /* instead of a plan: the store has the question */

typedef struct Mention {
  const uint8_t *digest;
  size_t row, plan, question; /* question: index; of THE_STORE only */
} Mention;

static int compare_mentions(const void *a, const void *b) {
  const Mention *x = a, *y = b;
  if (x->row != y->row) return x->row < y->row ? -1 : 1;
  const int order = memcmp(x->digest, y->digest, STORE_DIGEST_BYTES);
  if (order) return order;
  return (x->plan > y->plan) - (x->plan < y->plan);
}

static bool same_question(const Mention *x, const Mention *y) {
  return x->row == y->row && memcmp(x->digest, y->digest, STORE_DIGEST_BYTES) == 0;
}

static xt_status list_mentions(const CoverageBuilder *b, Mention **out, size_t *count,
                               xt_error *error) {
  size_t all = b->question_count, n = 0;
  for (size_t p = 0; p < b->plan_count; p++) all += b->plans[p].question_count;
  TRY(MEM_ALLOC(out, all + 1, error));
  for (size_t p = 0; p < b->plan_count; p++)
    for (size_t q = 0; q < b->plans[p].question_count; q++)
      (*out)[n++] =
          (Mention){b->plans[p].questions + q * STORE_DIGEST_BYTES, b->plans[p].row, p, 0};
  for (size_t q = 0; q < b->question_count; q++)
    if (b->questions[q].present)
      (*out)[n++] = (Mention){b->questions[q].digest, b->questions[q].row, THE_STORE, q};
  qsort(*out, n, sizeof **out, compare_mentions);
  *count = n;
  return XT_STATUS_OK;
}

/* ---- responses of one question --------------------------------------------------------------- */

typedef struct Cells {
  uint64_t *planned; /* [sites of the row]: by the plans alone */
  uint64_t *wanted;  /* the same, and what is present */
  size_t capacity, wanted_capacity;
  uint8_t *cells; /* [layers][layers], work space */
} Cells;

/* The pairs of layers that any of the plans asks for at a site. */
static uint64_t count_union(const CoverageBuilder *b, const Mention *mentions, size_t count,
                            size_t site, uint8_t *cells) {
  const size_t layers = (size_t)b->layers;
  uint64_t n = 0;
  memset(cells, 0, layers * layers);
  for (size_t m = 0; m < count; m++) {
    const CoveragePlan *plan = &b->plans[mentions[m].plan];
    bool wants = false;
    for (size_t s = 0; s < plan->site_count; s++) wants = wants || plan->sites[s] == site;
    for (size_t i = 0; i < layers && wants; i++)
      for (size_t j = 0; j < layers && plan->has_source[i]; j++) {
        if (!plan->has_target[j]) continue;
        n += !cells[i * layers + j];
        cells[i * layers + j] = 1;
      }
  }
  return n;
}

/* What the plans (none: a store without plans) ask for a question. The first two sites are
 * "vanilla" and "source". */
static void count_cells(const CoverageBuilder *b, const CoverageRow *row, const Mention *mentions,
                        size_t count, Cells *cells) {
  for (size_t s = 0; s < row->site_count; s++) {
    if (s < 2)
      cells->planned[s] = count > 0 || s == 0;
    else
      cells->planned[s] =
          count ? count_union(b, mentions, count, s, cells->cells) : row->sites[s].most;
  }
}

static bool same_plans(const Mention *x, const Mention *y, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (x[i].plan != y[i].plan) return false;
  return x[0].row == y[0].row;
}

static int by_question(const void *a, const void *b) {
  const CoverageCount *x = a, *y = b;
  return (x->question > y->question) - (x->question < y->question);
}

/* The first count of a question; they are in order. */
static size_t first_count(const CoverageBuilder *b, size_t question) {
  size_t low = 0, high = b->count_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (b->counts[middle].question < question)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* One question: `plans` mentions by plans, then perhaps one by the store. */
static void add_question(CoverageBuilder *b, const Mention *mentions, size_t plans, bool stored,
                         Cells *cells) {
  CoverageRow *row = &b->rows[mentions[0].row];
  row->out.planned++;
  if (plans == 0) row->out.known = false;
  memcpy(cells->wanted, cells->planned, row->site_count * sizeof *cells->wanted);
  const size_t question = mentions[plans].question;
  for (size_t c = stored ? first_count(b, question) : b->count_count;
       c < b->count_count && b->counts[c].question == question; c++)
    if (b->counts[c].present > cells->wanted[b->counts[c].site])
      cells->wanted[b->counts[c].site] = b->counts[c].present;
  for (size_t s = 0; s < row->site_count; s++) row->sites[s].out.planned += cells->wanted[s];
}

static xt_status count_mentions(CoverageBuilder *b, const Mention *mentions, size_t count,
                                Cells *cells, xt_error *error) {
  const Mention *before = NULL; /* that `cells->planned` is of */
  size_t before_plans = 0;
  for (size_t at = 0, end; at < count; at = end) {
    const CoverageRow *row = &b->rows[mentions[at].row];
    size_t plans = 0;
    for (end = at; end < count && same_question(&mentions[at], &mentions[end]); end++)
      plans += mentions[end].plan != THE_STORE;
    TRY(MEM_GROW(&cells->planned, &cells->capacity, row->site_count, error));
    TRY(MEM_GROW(&cells->wanted, &cells->wanted_capacity, row->site_count, error));
    if (!before || before_plans != plans || before->row != mentions[at].row ||
        !same_plans(before, &mentions[at], plans))
      count_cells(b, row, mentions + at, plans, cells);
    before = &mentions[at];
    before_plans = plans;
    add_question(b, mentions + at, plans, end - at > plans, cells);
  }
  return XT_STATUS_OK;
}

xt_status coverage_count_planned(CoverageBuilder *b, xt_error *error) {
  Mention *mentions = NULL;
  Cells cells = {0};
  size_t count;
  xt_status status;
  for (size_t r = 0; r < b->row_count; r++) b->rows[r].out.known = true;
  if (b->count_count) qsort(b->counts, b->count_count, sizeof *b->counts, by_question);
  TRY_DONE(MEM_ALLOC(&cells.cells, (size_t)b->layers * (size_t)b->layers, error));
  TRY_DONE(list_mentions(b, &mentions, &count, error));
  TRY_DONE(count_mentions(b, mentions, count, &cells, error));
  for (size_t r = 0; r < b->row_count; r++) {
    xt_coverage_row *row = &b->rows[r].out;
    if (row->dataset && row->dataset < row->planned + row->too_long)
      row->dataset = row->planned + row->too_long;
  }
done:
  free(mentions);
  free(cells.planned);
  free(cells.wanted);
  free(cells.cells);
  return status;
}
