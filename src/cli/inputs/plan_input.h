/* SPDX-License-Identifier: Apache-2.0 */
/* --plan FILE: interventions by name, each of several transplants at once (docs/FORMATS.md). */
#ifndef CLI_INPUTS_PLAN_INPUT_H
#define CLI_INPUTS_PLAN_INPUT_H

#include "inputs/writes.h"

#define PLAN_WRITES_MOST 256 /* of an intervention */
#define PLAN_NAME_SIZE 64

/* One transplant. */
typedef struct PlanWrite {
  xt_site site; /* of XT_FROM_SOURCE, with or without XT_CONTROL_SELF; or of XT_FROM_VECTOR */
  int source_layer, target_layer;
  char *file; /* of the vector, as given; NULL: a prompt is read */
  VectorInput vector;
} PlanWrite;

typedef struct PlanEntry {
  char name[PLAN_NAME_SIZE];
  PlanWrite *writes;
  size_t count;
} PlanEntry;

typedef struct Plan {
  const char *file;
  PlanEntry entries[SITE_LIST_MAX];
  size_t count;
} Plan;

/* Reads it; an error names the file, and the intervention's and the key's place. */
xt_status plan_read(const char *path, Plan *out, xt_error *error);
/* Checks layers and heads against a described model, and reads the vectors. `source`: whether there
 * is a source prompt. */
xt_status plan_check(Plan *plan, const xt_model_info *info, bool source, xt_error *error);
/* Whether some write is of the target prompt's own value. */
bool plan_reads_target(const Plan *plan);
/* The most interventions of an entry. */
size_t plan_most(const PlanEntry *entry, const xt_model_info *info);
/* The interventions of an entry, in the order of its writes. source, target: what these prompts
 * have; NULL where plan_check and plan_reads_target say that it is not read. */
xt_status plan_list(const PlanEntry *entry, const xt_model_info *info, const xt_taps *source,
                    const xt_taps *target, xt_intervention *out, size_t *count, xt_error *error);
/* "attn+add2: layer 3 of the source into layer 1 of the target" */
void plan_describe(const PlanWrite *write, char *out, size_t size);
void plan_deinit(Plan *plan);

#endif
