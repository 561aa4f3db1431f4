/* SPDX-License-Identifier: Apache-2.0 */
/* --plan FILE: interventions by name, each of several transplants at once (docs/FORMATS.md). */
#ifndef CLI_INPUTS_PLAN_INPUT_H
#define CLI_INPUTS_PLAN_INPUT_H

#include "inputs/writes.h"

#define PLAN_NAME_SIZE 40 /* with it and a part of the digest a site's label is full */

/* What the library does not know of a write. */
typedef struct PlanVector {
  char *file; /* as given; NULL: a prompt is read */
  VectorInput vector;
} PlanVector;

typedef struct PlanEntry {
  char name[PLAN_NAME_SIZE];
  xt_plan_write *writes;
  PlanVector *vectors; /* of the writes */
  size_t count;
  char label[XT_LABEL_SIZE]; /* NAME.DIGEST, of a sweep's site */
} PlanEntry;

typedef struct Plan {
  const char *file;
  PlanEntry entries[SITE_LIST_MAX];
  size_t count;
} Plan;

/* clang-format off */
#define OPTION_PLAN(Arguments, member, text) \
  {.name = "plan", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member), .value = "FILE", .help = text}
/* clang-format on */

/* Reads it; an error names the file, and the intervention's and the key's place. */
xt_status plan_read(const char *path, Plan *out, xt_error *error);
/* Checks layers and heads against a described model, and reads the vectors. `source`: whether there
 * is a source prompt. */
xt_status plan_check(Plan *plan, const xt_model_info *info, bool source, xt_error *error);
/* Whether some write is of the target prompt's own value. */
bool plan_reads_target(const Plan *plan);
/* Whether some transplant changes every token of the prompt, so that responses share nothing. */
bool plan_is_alone(const PlanEntry *entry);
/* Whether an entry has a layer that is counted from this one. */
bool plan_names(const PlanEntry *entry, xt_layer_base base);
/* The most interventions of an entry. */
size_t plan_most(const PlanEntry *entry, const xt_model_info *info);
/* The interventions of an entry at source layer i and target layer j, in the order of its writes.
 * source, target: what these prompts have; NULL where plan_check and plan_reads_target say that it is
 * not read. */
xt_status plan_list(const PlanEntry *entry, const xt_model_info *info, const xt_taps *source,
                    const xt_taps *target, int i, int j, xt_intervention *out, size_t *count,
                    xt_error *error);
/* "attn+add2: layer 3 of the source into layer j+1 of the target" */
void plan_describe(const PlanEntry *entry, size_t write, char *out, size_t size);
void plan_deinit(Plan *plan);

#endif
