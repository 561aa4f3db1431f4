/* SPDX-License-Identifier: Apache-2.0 */
/* The call of a sweep: it divides the instances into groups that fit memory and time, and runs the
 * prompts that the instances of a group share. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "sweep/row_writes.h"

/* ---- prompts --------------------------------------------------------------------------------- */

/* A prompt of an instance, for finding equal prompts. */
typedef struct PromptKey {
  PrefixKey prefix;
  int32_t last; /* id of the last token */
  int *index;   /* receives the prompt's index */
} PromptKey;

static int compare_prompts(const void *a, const void *b) {
  const PromptKey *x = a, *y = b;
  const int order = prefix_compare(&x->prefix, &y->prefix);
  return order ? order : (x->last > y->last) - (x->last < y->last);
}

static PromptKey prompt_key(const int32_t *ids, size_t count, int *index) {
  return (PromptKey){
      .prefix = {.ids = ids, .count = count - 1}, .last = ids[count - 1], .index = index};
}

static xt_status group_prompts(Group *g, xt_error *error) {
  const size_t count = (size_t)g->count, sites = (size_t)g->config->site_count,
               more = (size_t)g->config->controls.prompts, most = (2 + more) * count;
  PromptKey *keys, *last;
  TRY(ARENA_ALLOC(&g->arena, &keys, most, error));
  TRY(ARENA_ALLOC(&g->arena, &g->prompts, most, error));
  TRY(ARENA_ALLOC(&g->arena, &g->value_prompt, sites * count, error));
  TRY(ARENA_ALLOC(&g->arena, &g->plan_vectors, sites * count, error));
  TRY(ARENA_ALLOC(&g->arena, &g->more_prompts, more * count, error));
  TRY(ARENA_ALLOC(&g->arena, &g->target_prompt, count, error));
  TRY(ARENA_ALLOC(&g->arena, &g->source_prompt, count, error));
  last = keys;
  for (size_t w = 0; w < count; w++) {
    const xt_instance *in = &g->instances[w];
    *last++ = prompt_key(in->target, in->target_count, &g->target_prompt[w]);
    *last++ = prompt_key(in->source, in->source_count, &g->source_prompt[w]);
    for (size_t k = 0; k < more; k++) {
      const xt_prompt_ids other = sweep_more_prompt(g->config, g->first + w, (int)k);
      *last++ = prompt_key(other.ids, other.count, &g->more_prompts[w * more + k]);
    }
  }
  qsort(keys, most, sizeof *keys, compare_prompts);
  TRY(prefixes_create(&g->prefixes, g->session, most, error));
  for (size_t k = 0; k < most; k++) {
    const PrefixKey *key = &keys[k].prefix;
    if (k == 0 || compare_prompts(&keys[k], &keys[k - 1]) != 0)
      g->prompts[g->prompt_count++] = (SweepPrompt){
          .ids = key->ids, .count = key->count + 1, .prefix = prefixes_add(&g->prefixes, key)};
    *keys[k].index = g->prompt_count - 1;
  }
  sweep_value_prompts(g);
  sweep_place_vectors(g);
  return XT_STATUS_OK;
}

/* After each prefix. */
static xt_status count_prefix(void *user, size_t positions, xt_error *error) {
  Group *g = user;
  const double before = g->stats->flops;
  sweep_count_flops(g, positions, g->session->model->config.layers, false);
  g->prompt_flops += g->stats->flops - before;
  return sweep_pause(g, 0, error);
}

static xt_status group_prefixes(Group *g, xt_error *error) {
  size_t longest = 0;
  for (int k = 0; k < g->prompt_count; k++)
    if (g->prompts[k].count > longest) longest = g->prompts[k].count;
  TRY(prefixes_run(&g->prefixes, (EditValues){0}, count_prefix, g, error));
  return forward_reserve(&g->session->forward, 1, (int)longest + g->config->max_new, error);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Gives back what the passes needed, but for the taps, which move to the host, and runs the rest. */
static xt_status run_alone(Group *g, size_t floats, xt_error *error) {
  Backend *be = g->session->backend;
  const size_t head_floats = g->config->heads ? sweep_head_floats(g) : 0;
  float *taps = NULL, *heads = NULL;
  xt_status status;
  TRY_DONE(MEM_ALLOC(&taps, floats, error));
  TRY_DONE(MEM_ALLOC(&heads, head_floats, error));
  be->ops->download(be, taps, g->taps, floats * sizeof *taps);
  if (head_floats) be->ops->download(be, heads, g->heads, head_floats * sizeof *heads);
  TRY_DONE(be->ops->status(be, error));
  prefixes_release(&g->prefixes);
  be->ops->release(be, g->taps);
  be->ops->release(be, g->heads);
  g->taps = g->heads = (Dev){0};
  status = sweep_run_alone(g, taps, heads, error);
done:
  free(taps);
  free(heads);
  return status;
}

static xt_status run_group(Group *g, const SweepGroup *plan, xt_error *error) {
  Backend *be = g->session->backend;
  const ModelConfig *c = &g->session->model->config;
  xt_status status = group_prompts(g, error);
  const size_t floats =
      (sweep_tap_rows(g) + sweep_made_rows(g) + g->vector_rows) * (size_t)c->width;
  if (!status) status = be->ops->alloc(be, floats * sizeof(float), &g->taps, error);
  if (!status && g->config->heads)
    status = be->ops->alloc(be, sweep_head_floats(g) * sizeof(float), &g->heads, error);
  if (!status) status = group_prefixes(g, error);
  if (!status && g->config->options->effects) status = sweep_reserve_references(g, error);
  const int targets = sweep_rows_per_target(g->config) ? g->config->target_count : 1;
  for (int t = 0; !status && t < targets; t += plan->targets_per_pass) {
    const int end = t + plan->targets_per_pass < g->config->target_count
                        ? t + plan->targets_per_pass
                        : g->config->target_count;
    status = sweep_run_pass(g, t, end, t == 0, error);
  }
  if (!status && g->config->alone_count) status = run_alone(g, floats, error);
  prefixes_release(&g->prefixes);
  references_release(&g->references);
  be->ops->release(be, g->taps);
  be->ops->release(be, g->heads);
  arena_free(&g->arena);
  return status;
}

static double speed_of(const xt_session *s, const xt_sweep_options *o) {
  if (s->sweep_speed > 0) return s->sweep_speed;
  return o->flops_per_second > 0 ? o->flops_per_second : SWEEP_GUESSED_SPEED * s->backend->threads;
}

xt_status xt_session_sweep(xt_session *s, const xt_instance *instances, size_t count,
                           const xt_sweep_options *options,
                           xt_status (*done)(void *user, const xt_sweep_response *, xt_error *),
                           void *user, xt_sweep_stats *stats, xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  xt_sweep_stats own;
  Arena arena = {0};
  SweepConfig config;
  SweepGroup plan;
  if (!stats) stats = &own;
  *stats = (xt_sweep_stats){0};
  xt_status status = sweep_config_init(&config, &arena, s->model, options, error);
  for (size_t i = 0; i < count && !status; i++) {
    const xt_request source = {.ids = instances[i].source, .count = instances[i].source_count};
    const xt_request target = {.ids = instances[i].target, .count = instances[i].target_count};
    status = request_check(s->model, &source, i, 1, error);
    if (!status) status = request_check(s->model, &target, i, config.max_new, error);
  }
  if (!status) status = sweep_check_controls(s->model, options, count, true, error);
  if (!status) sweep_measure_plans(&config, count);
  if (!status) sweep_count_made(&config, count);
  if (!status) status = sweep_check_tracked(s->model, options, instances, count, error);
  s->cancel = options->cancel;
  s->cancel_user = options->user;
  double prompt_flops = 0;
  for (size_t first = 0; first < count && !status; first += (size_t)plan.instances) {
    config.speed = speed_of(s, options);
    status = sweep_plan_group(s->model, &config, instances, count, first, &plan, error);
    if (!status && options->begin)
      status = options->begin(options->user, first, (size_t)plan.instances, error);
    if (status) break;
    Group group = {.session = s,
                   .config = &config,
                   .instances = instances + first,
                   .first = first,
                   .count = plan.instances,
                   .done = done,
                   .user = user,
                   .stats = stats,
                   .prompt_flops = prompt_flops};
    if (plan.bytes > stats->peak_bytes) stats->peak_bytes = plan.bytes;
    status = run_group(&group, &plan, error);
    prompt_flops = group.prompt_flops;
  }
  s->cancel = NULL;
  arena_free(&arena);
  return status;
}
