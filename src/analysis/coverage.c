/* SPDX-License-Identifier: Apache-2.0 */
/* How much of what sweeps set out to do is there.
 *
 * Questions are known by their keys, so that plans that overlap (a limit that was raised, shards,
 * the same sweep again) count each once. What is there without a plan, such as from a store of
 * schema 1, counts as planned. */
#include <stdlib.h>
#include <string.h>

#include "analysis/coverage.h"
#include "analysis/groups.h"
#include "base/arena_text.h"
#include "base/mem.h"
#include "store/store_plans.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static xt_status copy_text(CoverageBuilder *b, const char *text, const char **out,
                           xt_error *error) {
  return arena_copy_text(&b->out->arena, text, strlen(text), out, error);
}

static xt_status find_site(CoverageBuilder *b, CoverageRow *row, const char *name,
                           CoverageSite **out, xt_error *error) {
  for (size_t i = 0; i < row->site_count; i++)
    if (strcmp(row->sites[i].out.site, name) == 0) {
      *out = &row->sites[i];
      return XT_STATUS_OK;
    }
  TRY(MEM_GROW(&row->sites, &row->site_capacity, row->site_count + 1, error));
  CoverageSite *site = &row->sites[row->site_count];
  *site = (CoverageSite){0};
  TRY(copy_text(b, name, &site->out.site, error));
  row->site_count++;
  *out = site;
  return XT_STATUS_OK;
}

static xt_status find_row(CoverageBuilder *b, const char *task, const char *source_lang, bool cot,
                          const char *lang, size_t *out, xt_error *error) {
  const char *pivot = group_pivot(task, source_lang);
  for (size_t i = b->row_count; i-- > 0;) {
    const xt_coverage_row *r = &b->rows[i].out;
    *out = i;
    if (strcmp(r->lang, lang) == 0 && strcmp(r->task, task) == 0 && strcmp(r->pivot, pivot) == 0 &&
        r->cot == cot)
      return XT_STATUS_OK;
  }
  CoverageSite *site;
  TRY(MEM_GROW(&b->rows, &b->row_capacity, b->row_count + 1, error));
  CoverageRow *row = &b->rows[b->row_count];
  *row = (CoverageRow){.out = {.cot = cot}};
  *out = b->row_count++;
  TRY(copy_text(b, task, &row->out.task, error));
  TRY(copy_text(b, group_title(task), &row->out.title, error));
  TRY(copy_text(b, pivot, &row->out.pivot, error));
  TRY(copy_text(b, lang, &row->out.lang, error));
  TRY(find_site(b, row, "vanilla", &site, error));
  return find_site(b, row, "source", &site, error);
}

/* ---- what is there --------------------------------------------------------------------------- */

static xt_status add_question(void *user, const StoredQuestion *q, xt_error *error) {
  CoverageBuilder *b = user;
  TRY(MEM_GROW(&b->questions, &b->question_capacity, b->question_count + 1, error));
  CoverageQuestion *question = &b->questions[b->question_count];
  *question = (CoverageQuestion){.number = q->number};
  memcpy(question->digest, q->digest, STORE_DIGEST_BYTES);
  TRY(find_row(b, q->task, q->source_lang, group_is_cot(q->id), q->lang, &question->row, error));
  question->scored = q->gold && q->vanilla_decoded && xt_task_find(q->task);
  b->question_count++;
  return XT_STATUS_OK;
}

static int by_number(const void *a, const void *b) {
  const int64_t x = ((const CoverageQuestion *)a)->number,
                y = ((const CoverageQuestion *)b)->number;
  return (x > y) - (x < y);
}

static xt_status add_count(void *user, const StoredCount *c, xt_error *error) {
  CoverageBuilder *b = user;
  CoverageQuestion *q = NULL;
  if (b->question_count)
    q = bsearch(&(CoverageQuestion){.number = c->question}, b->questions, b->question_count,
                sizeof *b->questions, by_number);
  CoverageSite *site;
  if (!q) return XT_STATUS_OK; /* a response without its question is not in other figures either */
  CoverageRow *row = &b->rows[q->row];
  TRY(find_site(b, row, c->site, &site, error));
  site->out.present += c->present;
  site->out.standalone += c->standalone;
  site->out.conditional += c->conditional;
  site->out.language += c->language;
  if (c->present > site->most) site->most = c->present;
  q->present = true;
  TRY(MEM_GROW(&b->counts, &b->count_capacity, b->count_count + 1, error));
  b->counts[b->count_count++] =
      (CoverageCount){(size_t)(q - b->questions), (size_t)(site - row->sites), c->present};
  return XT_STATUS_OK;
}

static void sum_questions(CoverageBuilder *b) {
  for (size_t i = 0; i < b->question_count; i++) {
    const CoverageQuestion *q = &b->questions[i];
    if (!q->present) continue;
    b->rows[q->row].out.present++;
    b->rows[q->row].out.scored += q->scored;
  }
}

/* ---- the order of rows, and their sums ------------------------------------------------------- */

static int compare_rows(const void *a, const void *b) {
  const xt_coverage_row *x = &((const CoverageRow *)a)->out, *y = &((const CoverageRow *)b)->out;
  const int group = compare_groups(x->task, x->pivot, x->cot, y->task, y->pivot, y->cot);
  return group ? group : strcmp(x->lang, y->lang);
}

static int site_rank(const char *site) {
  return strcmp(site, "vanilla") == 0 ? 0 : strcmp(site, "source") == 0 ? 1 : 2;
}

static int compare_sites(const void *a, const void *b) {
  const char *x = ((const CoverageSite *)a)->out.site, *y = ((const CoverageSite *)b)->out.site;
  const int rank = site_rank(x) - site_rank(y);
  return rank ? rank : strcmp(x, y);
}

static xt_status report_row(CoverageBuilder *b, const CoverageRow *row, xt_error *error) {
  xt_coverage *c = b->out;
  xt_coverage_site *sites;
  TRY(ARENA_ALLOC(&c->arena, &sites, row->site_count, error));
  for (size_t i = 0; i < row->site_count; i++) sites[i] = row->sites[i].out;
  TRY(MEM_GROW(&c->rows, &c->capacity, c->count + 1, error));
  c->rows[c->count] = row->out;
  c->rows[c->count].site_count = row->site_count;
  c->rows[c->count++].sites = sites;
  return XT_STATUS_OK;
}

static xt_status add_to_sum(CoverageBuilder *b, CoverageRow *sum, const CoverageRow *row,
                            xt_error *error) {
  const xt_coverage_row *r = &row->out;
  sum->out.known = sum->out.known && r->known;
  sum->out.dataset += r->dataset;
  sum->out.planned += r->planned;
  sum->out.too_long += r->too_long;
  sum->out.present += r->present;
  sum->out.scored += r->scored;
  for (size_t i = 0; i < row->site_count; i++) {
    const xt_coverage_site *from = &row->sites[i].out;
    CoverageSite *to;
    TRY(find_site(b, sum, from->site, &to, error));
    to->out.planned += from->planned;
    to->out.present += from->present;
    to->out.standalone += from->standalone;
    to->out.conditional += from->conditional;
    to->out.language += from->language;
  }
  return XT_STATUS_OK;
}

static bool same_group(const xt_coverage_row *x, const xt_coverage_row *y) {
  return compare_groups(x->task, x->pivot, x->cot, y->task, y->pivot, y->cot) == 0;
}

/* Rows of one group, [at, end), and after them their sum. */
static xt_status report_group(CoverageBuilder *b, size_t at, size_t end, xt_error *error) {
  CoverageRow sum = {.out = b->rows[at].out};
  xt_status status = XT_STATUS_OK;
  sum.out.lang = NULL;
  sum.out.known = true;
  sum.out.dataset = sum.out.planned = sum.out.too_long = sum.out.present = sum.out.scored = 0;
  for (size_t i = at; i < end && !status; i++) {
    CoverageRow *row = &b->rows[i];
    qsort(row->sites, row->site_count, sizeof *row->sites, compare_sites);
    status = report_row(b, row, error);
    if (!status) status = add_to_sum(b, &sum, row, error);
  }
  if (!status) {
    qsort(sum.sites, sum.site_count, sizeof *sum.sites, compare_sites);
    status = report_row(b, &sum, error);
  }
  free(sum.sites);
  return status;
}

static xt_status report_rows(CoverageBuilder *b, xt_error *error) {
  if (b->row_count) qsort(b->rows, b->row_count, sizeof *b->rows, compare_rows);
  for (size_t at = 0, end; at < b->row_count; at = end) {
    for (end = at + 1; end < b->row_count && same_group(&b->rows[at].out, &b->rows[end].out);)
      end++;
    TRY(report_group(b, at, end, error));
  }
  return XT_STATUS_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static xt_status add_plan(void *user, const StoredPlan *plan, xt_error *error) {
  CoverageBuilder *b = user;
  size_t row;
  TRY(find_row(b, plan->task, plan->source_lang, plan->cot, plan->lang, &row, error));
  return coverage_add_plan(b, plan, row, error);
}

static xt_status build(CoverageBuilder *b, xt_store *store, xt_error *error) {
  TRY(plans_read_questions(store, add_question, b, error));
  TRY(plans_count_responses(store, add_count, b, error));
  TRY(plans_read(store, add_plan, b, error));
  sum_questions(b);
  TRY(coverage_count_planned(b, error));
  TRY(report_rows(b, error));
  return coverage_make_notes(b->out, error);
}

static void builder_deinit(CoverageBuilder *b) {
  for (size_t i = 0; i < b->row_count; i++) free(b->rows[i].sites);
  for (size_t i = 0; i < b->plan_count; i++) coverage_plan_deinit(&b->plans[i]);
  free(b->rows);
  free(b->questions);
  free(b->counts);
  free(b->plans);
}

xt_status xt_coverage_create(xt_store *store, xt_coverage **out, xt_error *error) {
  CoverageBuilder b = {0};
  xt_store_info info;
  *out = NULL;
  TRY(xt_store_get_info(store, &info, error));
  TRY(MEM_ALLOC(&b.out, 1, error));
  b.layers = info.layers;
  const xt_status status = build(&b, store, error);
  builder_deinit(&b);
  if (status)
    xt_coverage_free(b.out);
  else
    *out = b.out;
  return status;
}

void xt_coverage_free(xt_coverage *c) {
  if (!c) return;
  free(c->rows);
  free(c->notes);
  arena_free(&c->arena);
  free(c);
}

size_t xt_coverage_count(const xt_coverage *c) { return c->count; }
const xt_coverage_row *xt_coverage_get(const xt_coverage *c, size_t index) {
  return index < c->count ? &c->rows[index] : NULL;
}
size_t xt_coverage_note_count(const xt_coverage *c) { return c->note_count; }
const char *xt_coverage_note(const xt_coverage *c, size_t index) {
  return index < c->note_count ? c->notes[index] : NULL;
}
