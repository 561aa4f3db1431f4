/* SPDX-License-Identifier: Apache-2.0 */
/* Dividing a sweep so that it fits into memory. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/options.h"
#include "engine/generate.h"
#include "model/flops.h"
#include "sweep/prompt_tokens.h"
#include "sweep/row_writes.h"

static int compare_ints(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static xt_status copy_layers(int **out, int *count, Arena *arena, const xt_model *model,
                             const int *list, size_t n, const char *field, xt_error *error) {
  const int layers = model->config.layers;
  *count = list ? (int)n : layers;
  if (list && (n == 0 || n > (size_t)layers))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "lists %zu layers; the model has %d",
                   n, layers);
  TRY(ARENA_ALLOC(arena, out, (size_t)*count, error));
  for (int i = 0; i < *count; i++) {
    (*out)[i] = list ? list[i] : i;
    if ((*out)[i] < 0 || (*out)[i] >= layers)
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1,
                     "layer %d is out of range; the model has layers 0 to %d", (*out)[i],
                     layers - 1);
  }
  qsort(*out, (size_t)*count, sizeof **out, compare_ints);
  for (int i = 1; i < *count; i++)
    if ((*out)[i] == (*out)[i - 1])
      return err_set(error, XT_STATUS_ARGUMENT, NULL, field, -1, "names layer %d twice", (*out)[i]);
  return XT_STATUS_OK;
}

xt_status sweep_config_init(SweepConfig *c, Arena *arena, const xt_model *model,
                            const xt_sweep_options *o, xt_error *error) {
  *c = (SweepConfig){.options = o,
                     .site_count = (int)o->site_count,
                     .max_new = o->max_new_tokens > 0 ? o->max_new_tokens : 20,
                     .pass_seconds = o->pass_seconds > 0 ? o->pass_seconds : SWEEP_PASS_SECONDS,
                     .speed = o->flops_per_second};
  if (o->site_count == 0 || o->site_count > XT_SWEEP_SITES_MOST)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "names %zu sites; 1 to %d are allowed", o->site_count, XT_SWEEP_SITES_MOST);
  for (size_t i = 0; i < o->site_count; i++) {
    TRY(site_check(&o->sites[i], error));
    TRY(site_check_heads(&o->sites[i], &model->config, error));
    const int heads = site_heads(&o->sites[i]),
              edits = (o->sites[i].span > 1 ? o->sites[i].span : 1) * (heads ? heads : 1);
    c->heads = c->heads || heads;
    c->alone[i] = o->sites[i].from != XT_FROM_PLAN && sweep_is_alone(&o->sites[i], NULL);
    c->alone_count += c->alone[i];
    if (edits > c->edits_most) c->edits_most = edits;
    c->controls.prompts += sweep_more_prompts(&o->sites[i]);
    if (o->sites[i].write == XT_TAP_MID && model->config.parallel)
      return err_set(
          error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
          "write at mid, but %s has no residual stream between its modules: both read the "
          "layer's input",
          model->config.architecture);
  }
  TRY(generation_check(o->max_new_tokens, o->repetition_penalty, error));
  c->penalty =
      (float)(o->repetition_penalty > 0 ? o->repetition_penalty : model->config.repetition_penalty);
  TRY(copy_layers(&c->sources, &c->source_count, arena, model, o->source_layers,
                  o->source_layer_count, "source layers", error));
  return copy_layers(&c->targets, &c->target_count, arena, model, o->target_layers,
                     o->target_layer_count, "target layers", error);
}

/* What the instances of a group have. */
typedef struct Load {
  int instances;
  uint64_t positions; /* prompt tokens in all */
  uint64_t computed;  /* those of them that are run, by what neighbours share */
  uint64_t untouched; /* rows */
  uint64_t tracked;   /* tokens of one instance, at most */
  uint64_t vectors;   /* rows of the vectors of plans */
} Load;

/* The same with instance `at` too; the group's first is instance `first`. */
static Load load_add(Load load, const xt_model *m, const SweepConfig *c,
                     const xt_instance *instances, size_t first, size_t at) {
  const xt_instance *in = &instances[at];
  load.instances++;
  load.positions += in->source_count + in->target_count + sweep_control_tokens(c, at);
  load.computed += more_prompt_tokens(at > first ? in - 1 : NULL, in) + sweep_control_tokens(c, at);
  load.untouched += 1 + in->run_source;
  load.vectors += sweep_vector_rows(c, m->config.layers, first, at);
  if (in->tracked_count > load.tracked) load.tracked = in->tracked_count;
  return load;
}

/* Of the heads' values of prompts, and of those that are made. */
static uint64_t head_bytes(const ModelConfig *mc, const SweepConfig *c, uint64_t instances) {
  const uint64_t prompts = 2 + (uint64_t)c->controls.prompts;
  return (uint64_t)mc->layers * (prompts + (uint64_t)c->controls.made_heads) * instances *
         (uint64_t)mc->heads * (uint64_t)mc->head_dim * sizeof(float);
}

/* The largest memory, in bytes, of a group of instances, if `targets` target layers run at a time.
 * Each row has keys and values for each token that it generates, at every layer: its own above its
 * target layer, and those of its node below. */
static uint64_t group_bytes(const xt_model *m, const SweepConfig *c, Load load, int targets) {
  const ModelConfig *mc = &m->config;
  const uint64_t width = (uint64_t)mc->width * sizeof(float), max_new = (uint64_t)c->max_new,
                 n = (uint64_t)load.instances, prompts = (2 + (uint64_t)c->controls.prompts) * n;
  const uint64_t rows = n * (uint64_t)targets * (uint64_t)sweep_rows_per_target(c) + load.untouched;
  const uint64_t entries = 2 * rows + prompts;
  const uint64_t least = (uint64_t)m->limits.work_rows, batch = entries > least ? entries : least;
  uint64_t bytes = m->weight_bytes;
  bytes += sizes_activations(mc, &m->limits, (int)(batch < INT32_MAX ? batch : INT32_MAX)).total *
           sizeof(float);
  bytes += (load.positions + rows * max_new + prompts) * sizes_position_bytes(mc);
  bytes += ((uint64_t)mc->layers * XT_TAP_COUNT + 1) * prompts * width; /* captured taps */
  if (c->controls.made) /* values made from them, and on their way */
    bytes += (uint64_t)mc->layers * (((uint64_t)c->controls.made + 1) * n + prompts) * width;
  bytes += load.vectors * width;
  if (c->heads)
    bytes += head_bytes(mc, c, n) * (c->alone_count ? 2 : 1) +
             (c->controls.made_heads ? head_bytes(mc, c, n) : 0); /* on their way */
  if (c->alone_count)                                             /* on the host */
    bytes += (((uint64_t)mc->layers * XT_TAP_COUNT + 1) * prompts +
              (uint64_t)mc->layers * (uint64_t)c->controls.made * n + load.vectors) *
             width;
  /* responses, nodes, tables */
  bytes += rows * (uint64_t)c->edits_most * 8 * sizeof(int32_t);
  bytes += entries * (max_new * 4 * sizeof(int32_t) + 128) + rows * max_new * 32;
  if (c->options->effects)
    bytes += references_bytes(m, 2 * n) + rows_compare_bytes(m, rows, load.tracked) +
             rows * (load.tracked + XT_EFFECT_TRACKED) * sizeof(float);
  bytes += c->penalty != 1.0f ? (load.positions + rows * max_new) * sizeof(int32_t) : 0;
  return bytes;
}

/* The largest of its allocations: work buffers, taps, and keys and values of one layer. */
static uint64_t group_largest(const xt_model *m, const SweepConfig *c, Load load, int targets) {
  const ModelConfig *mc = &m->config;
  const uint64_t n = (uint64_t)load.instances, prompts = (2 + (uint64_t)c->controls.prompts) * n,
                 rows = n * (uint64_t)targets * (uint64_t)sweep_rows_per_target(c) + load.untouched,
                 batch = 2 * rows + prompts, layers = (uint64_t)mc->layers,
                 width = (uint64_t)mc->width * sizeof(float);
  const uint64_t sizes[] = {
      sizes_activations(mc, &m->limits, (int)(batch < INT32_MAX ? batch : INT32_MAX)).total *
          sizeof(float),
      ((layers * XT_TAP_COUNT + 1) * prompts + layers * (uint64_t)c->controls.made * n +
       load.vectors) *
          width,
      c->heads ? head_bytes(mc, c, n) : 0,
      (rows * (uint64_t)c->max_new + prompts) * sizes_position_bytes(mc) / layers};
  uint64_t largest = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (sizes[i] > largest) largest = sizes[i];
  return largest;
}

/* Whether a group fits into memory, all of it and each of its allocations. */
static bool fits(const xt_model *m, const SweepConfig *c, Load load, int targets, uint64_t bytes) {
  return bytes <= m->memory_limit &&
         (!m->limits.largest || group_largest(m, c, load, targets) <= m->limits.largest);
}

static double prompt_flops(const ModelConfig *m, uint64_t tokens) {
  return flops_layer(m) * m->layers * (double)tokens;
}

double sweep_row_flops(const xt_model *m, const SweepConfig *c) {
  return c->max_new * (flops_layer(&m->config) * m->config.layers + flops_unembed(&m->config));
}

/* Whether prompts with this many tokens and this many rows take no longer than a pass should. A
 * small number of rows may take longer, but not the prompts before them. */
static bool in_time(const xt_model *m, const SweepConfig *c, uint64_t positions, int64_t rows) {
  if (!(c->speed > 0)) return true;
  const double prompts = prompt_flops(&m->config, positions) / c->speed,
               decoding = (double)rows * sweep_row_flops(m, c) / c->speed;
  return prompts <= c->pass_seconds &&
         (rows <= SWEEP_LEAST_ROWS || prompts + decoding <= c->pass_seconds);
}

/* As many instances as fit into memory and time with all their target layers; with one, as many
 * target layers as fit. */
xt_status sweep_plan_group(const xt_model *m, const SweepConfig *c, const xt_instance *instances,
                           size_t count, size_t first, SweepGroup *group, xt_error *error) {
  const int limit = c->options->max_rows > 0 ? c->options->max_rows : SWEEP_DEFAULT_ROWS;
  const int rows = sweep_rows_per_target(c) * c->target_count;
  Load load = {0};
  *group = (SweepGroup){.first = first, .targets_per_pass = c->target_count};
  while (first + (size_t)group->instances < count) {
    const Load more = load_add(load, m, c, instances, first, first + (size_t)group->instances);
    const uint64_t bytes = group_bytes(m, c, more, c->target_count);
    const int64_t all = (group->instances + 1) * (int64_t)rows;
    if (group->instances > 0 && (!fits(m, c, more, c->target_count, bytes) || all > limit ||
                                 !in_time(m, c, more.computed, all)))
      break;
    load = more;
    group->instances++;
    group->bytes = bytes;
  }
  while (group->instances == 1 && group->targets_per_pass > 1 &&
         (!fits(m, c, load, group->targets_per_pass, group->bytes) ||
          group->targets_per_pass * sweep_rows_per_target(c) > limit ||
          !in_time(m, c, 0, group->targets_per_pass * (int64_t)sweep_rows_per_target(c))))
    group->bytes = group_bytes(m, c, load, --group->targets_per_pass);
  if (group->bytes > m->memory_limit)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                   "one target layer of instance %zu needs %.2f GiB, weights included; the memory "
                   "limit is %.2f GiB",
                   first, (double)group->bytes / 0x1p30, (double)m->memory_limit / 0x1p30);
  if (!fits(m, c, load, group->targets_per_pass, group->bytes))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, NULL, -1,
                   "one target layer of instance %zu needs %.2f GiB at once; the device gives at "
                   "most %.2f GiB",
                   first, (double)group_largest(m, c, load, group->targets_per_pass) / 0x1p30,
                   (double)m->limits.largest / 0x1p30);
  return XT_STATUS_OK;
}

xt_status xt_sweep_make_plan(const xt_model *m, const xt_instance *instances, size_t count,
                             const xt_sweep_options *o, xt_sweep_plan *plan, xt_error *error) {
  Arena arena = {0};
  SweepConfig c;
  SweepGroup group;
  *plan = (xt_sweep_plan){0};
  TRY(OPTIONS_CHECK(o, error));
  xt_status status = sweep_config_init(&c, &arena, m, o, error);
  if (!status) status = sweep_check_controls(m, o, count, false, error);
  if (!status) sweep_measure_plans(&c, count);
  if (!status) sweep_count_made(&c, count);
  for (size_t first = 0; first < count && !status; first += (size_t)group.instances) {
    status = sweep_plan_group(m, &c, instances, count, first, &group, error);
    if (status) break;
    const int rows = group.instances * group.targets_per_pass * sweep_rows_per_target(&c);
    if (group.instances > plan->instances_together) plan->instances_together = group.instances;
    if (rows > plan->rows_together) plan->rows_together = rows;
    plan->passes += (c.target_count + group.targets_per_pass - 1) / group.targets_per_pass;
    if (group.bytes > plan->bytes) plan->bytes = group.bytes;
  }
  plan->alone =
      count * (uint64_t)c.alone_count * (uint64_t)c.source_count * (uint64_t)c.target_count;
  plan->responses =
      plan->alone + count * (1 + (uint64_t)c.target_count * (uint64_t)sweep_rows_per_target(&c));
  arena_free(&arena);
  return status;
}
