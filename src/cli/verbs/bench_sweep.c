/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/bench_sweep.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "shell/layers.h"
#include "shell/output.h"
#include "verbs/bench_effects.h"
#include "verbs/peak_meter.h"

typedef struct Machine {
  double peak_flops;    /* per second */
  double most_resident; /* bytes this process took for the sweeps */
} Machine;

typedef struct LayerList {
  int *at;
  size_t count;
} LayerList;

/* One sweep, measured. */
typedef struct SweepSpeed {
  double seconds, peak_then; /* operations per second that the machine gave meanwhile */
  PeakMeter meter;
  xt_sweep_stats stats;
  int steps, layers;
  double *rows; /* [steps, layers]: distinct rows, summed over batches; owned */
} SweepSpeed;

static xt_status layer_list(const char *text, int layers, const char *option, LayerList *out,
                            xt_error *error) {
  bool *keep = calloc((size_t)layers, sizeof *keep);
  out->at = calloc((size_t)layers, sizeof *out->at);
  xt_status status =
      keep && out->at ? layers_resolve(text, layers, option, keep, error) : error_memory(error);
  for (int l = 0; l < layers && !status; l++)
    if (keep[l]) out->at[out->count++] = l;
  free(keep);
  return status;
}

static void add_step(void *user, const xt_sweep_step *step) {
  SweepSpeed *speed = user;
  for (int l = 0; l < step->layers; l++)
    speed->rows[(step->step - 1) * step->layers + l] += step->rows[l];
  if (step->step > speed->steps) speed->steps = step->step;
  meter_ask(&speed->meter);
}

static xt_status drop_response(void *user, const xt_sweep_response *response, xt_error *error) {
  (void)user;
  (void)response;
  (void)error;
  return XT_STATUS_OK;
}

/* Prompts of random ids, another for each source and target: [2 instances, prompt_tokens]. */
static int32_t *random_prompts(const SweepBench *bench) {
  const size_t count = 2 * (size_t)bench->instances * (size_t)bench->prompt_tokens;
  int32_t *ids = malloc(count * sizeof *ids);
  uint32_t state = 1;
  for (size_t i = 0; ids && i < count; i++) {
    state = state * 1664525u + 1013904223u; /* Numerical Recipes' generator */
    ids[i] = (int32_t)((uint64_t)state * (uint64_t)bench->model->info.vocab >> 32);
  }
  return ids;
}

static xt_status measure(const SweepBench *bench, const xt_instance *instances,
                         xt_sweep_options options, bool no_sharing, SweepSpeed *speed,
                         xt_error *error) {
  speed->layers = bench->model->info.layers;
  speed->rows = calloc((size_t)bench->new_tokens * (size_t)speed->layers, sizeof *speed->rows);
  if (!speed->rows) return error_memory(error);
  options.no_sharing = no_sharing;
  options.step = add_step;
  options.user = speed;
  cli_progress(bench->quiet, no_sharing ? "sweep with nothing shared ..." : "sweep ...");
  const double begin = seconds_now();
  meter_start(&speed->meter, bench->model->session);
  const xt_status status =
      xt_session_sweep(bench->model->session, instances, (size_t)bench->instances, &options,
                       drop_response, speed, &speed->stats, error);
  meter_read(&speed->meter);
  speed->seconds = seconds_now() - begin - speed->meter.spent;
  speed->peak_then = meter_mean(&speed->meter);
  return status;
}

static double of_peak(const Machine *machine, const SweepSpeed *speed) {
  return speed->stats.flops / speed->seconds / machine->peak_flops;
}
static double of_peak_then(const SweepSpeed *speed) {
  return speed->stats.flops / speed->seconds / speed->peak_then;
}

/* Rows x layers that were computed, of those that every response by itself would need. */
static double share_left(const SweepSpeed *speed) {
  return speed->stats.row_layers_alone
             ? (double)speed->stats.row_layers / (double)speed->stats.row_layers_alone
             : 1;
}

static double most_resident(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * (double)usage.ru_maxrss;
}

static double layer_mean(const SweepSpeed *speed, int step, int from, int to) {
  double sum = 0;
  for (int l = from; l < to; l++) sum += speed->rows[step * speed->layers + l];
  return sum / (to - from);
}

static void print_speed(const Machine *machine, const char *name, const SweepSpeed *s) {
  printf("%-22s %10.2f %12.1f %12.1f %9.1f%% %9.1f%% %11.0f%%\n", name, s->seconds,
         (double)s->stats.responses / s->seconds, (double)s->stats.tokens / s->seconds,
         100 * of_peak(machine, s), 100 * of_peak_then(s), 100 * share_left(s));
}

static void print_as_text(const SweepBench *bench, const Machine *machine,
                          const xt_sweep_plan *plan, const SweepSpeed *found,
                          const SweepSpeed *none) {
  const int layers = found->layers;
  printf("sweep: %d instance%s, prompts of %d tokens, %d new tokens; %llu responses, %d rows "
         "together\n",
         bench->instances, bench->instances == 1 ? "" : "s", bench->prompt_tokens,
         bench->new_tokens, (unsigned long long)plan->responses, plan->rows_together);
  printf("%-22s %10s %12s %12s %10s %10s %12s\n", "", "seconds", "responses/s", "tokens/s",
         "of peak", "as it was", "layers left");
  print_speed(machine, "as responses agree", found);
  print_speed(machine, "none agreeing", none);
  printf("memory: %.3f GB planned, %.3f GB used at most\n\n", (double)plan->bytes / 1e9,
         machine->most_resident / 1e9);
  printf("distinct rows   %10s %10s %10s %10s\n", "first", "lower half", "upper half",
         "last layer");
  for (int step = 0; step < found->steps; step++)
    printf("  token %-8d %10.0f %10.1f %10.1f %10.0f\n", step + 1, layer_mean(found, step, 0, 1),
           layer_mean(found, step, 0, (layers + 1) / 2),
           layer_mean(found, step, layers / 2, layers),
           layer_mean(found, step, layers - 1, layers));
  printf("\nof peak: the products that sharing leaves over, prompts included, over the best\n"
         "peak measured, %.1f GFLOP/s; as it was: over its mean while the sweep ran, %.1f and "
         "%.1f. layers left: rows x\n"
         "layers computed while decoding, of what the responses would need one by one. Random ids "
         "and no end of a\n"
         "response; how far responses agree is the model's, so the second line is what a sweep "
         "takes at most.\n",
         machine->peak_flops / 1e9, found->peak_then / 1e9, none->peak_then / 1e9);
}

static json_t *speed_json(const Machine *machine, const SweepSpeed *s) {
  json_t *object = json_object(), *steps = json_array();
  bool ok = json_add(object, "seconds", json_number(s->seconds));
  ok = json_add(object, "responses_per_second",
                json_number((double)s->stats.responses / s->seconds)) &&
       ok;
  ok = json_add(object, "tokens_per_second", json_number((double)s->stats.tokens / s->seconds)) &&
       ok;
  ok = json_add(object, "flops", json_number(s->stats.flops)) && ok;
  ok = json_add(object, "fraction_of_peak_flops", json_number(of_peak(machine, s))) && ok;
  ok = json_add(object, "peak_flops_per_second_then", json_number(s->peak_then)) && ok;
  ok = json_add(object, "fraction_of_peak_then", json_number(of_peak_then(s))) && ok;
  ok = json_add(object, "layers_left", json_number(share_left(s))) && ok;
  for (int step = 0; step < s->steps; step++) {
    json_t *rows = json_array();
    for (int l = 0; l < s->layers; l++)
      ok = json_array_append_new(rows, json_integer((json_int_t)s->rows[step * s->layers + l])) ==
               0 &&
           ok;
    ok = json_array_append_new(steps, rows) == 0 && ok;
  }
  ok = json_add(object, "distinct_rows", steps) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

static xt_status print_as_json(const SweepBench *bench, const Machine *machine,
                               const xt_sweep_plan *plan, const SweepSpeed *found,
                               const SweepSpeed *none, xt_error *error) {
  json_t *object = json_object();
  bool ok = json_add(object, "model", json_string(bench->model->info.path));
  ok = json_add(object, "instances", json_integer(bench->instances)) && ok;
  ok = json_add(object, "prompt_tokens", json_integer(bench->prompt_tokens)) && ok;
  ok = json_add(object, "new_tokens", json_integer(bench->new_tokens)) && ok;
  ok = json_add(object, "responses", json_integer((json_int_t)plan->responses)) && ok;
  ok = json_add(object, "rows_together", json_integer(plan->rows_together)) && ok;
  ok = json_add(object, "passes", json_integer(plan->passes)) && ok;
  ok = json_add(object, "peak_flops_per_second", json_number(machine->peak_flops)) && ok;
  ok = json_add(object, "planned_bytes", json_integer((json_int_t)plan->bytes)) && ok;
  ok = json_add(object, "most_resident_bytes", json_number(machine->most_resident)) && ok;
  ok = json_add(object, "as_responses_agree", speed_json(machine, found)) && ok;
  ok = json_add(object, "none_agreeing", speed_json(machine, none)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static xt_status measure_effects(const SweepBench *bench, const xt_instance *instances,
                                 xt_sweep_options options, xt_error *error) {
  return bench_effects(&(EffectsBench){.model = bench->model,
                                       .instances = instances,
                                       .count = (size_t)bench->instances,
                                       .options = options,
                                       .tracked = bench->tracked,
                                       .rounds = bench->rounds,
                                       .json = bench->json,
                                       .quiet = bench->quiet},
                       error);
}

xt_status bench_sweep(const SweepBench *bench, xt_error *error) {
  const size_t length = (size_t)bench->prompt_tokens;
  const int layers = bench->model->info.layers;
  LayerList sources = {0}, targets = {0};
  SweepSpeed found = {0}, none = {0};
  Machine machine;
  double bytes_per_second;
  xt_sweep_plan plan;
  xt_status status = XT_STATUS_OK;
  int32_t *ids = random_prompts(bench);
  xt_instance *instances = calloc((size_t)bench->instances, sizeof *instances);
  if (!ids || !instances) TRY_DONE(error_memory(error));
  for (size_t n = 0; n < (size_t)bench->instances; n++)
    instances[n] = (xt_instance){.source = ids + 2 * n * length,
                                 .target = ids + (2 * n + 1) * length,
                                 .source_count = length,
                                 .target_count = length};
  TRY_DONE(layer_list(bench->source_layers, layers, "--source-layers", &sources, error));
  TRY_DONE(layer_list(bench->target_layers, layers, "--target-layers", &targets, error));
  const xt_sweep_options options = {.sites = bench->sites->at,
                                    .site_count = (size_t)bench->sites->count,
                                    .source_layers = sources.at,
                                    .source_layer_count = sources.count,
                                    .target_layers = targets.at,
                                    .target_layer_count = targets.count,
                                    .max_new_tokens = bench->new_tokens,
                                    .ignore_eos = true};
  if (bench->tracked) {
    status = measure_effects(bench, instances, options, error);
    goto done;
  }
  TRY_DONE(xt_sweep_make_plan(bench->model->model, instances, (size_t)bench->instances, &options,
                              &plan, error));
  TRY_DONE(measure(bench, instances, options, false, &found, error));
  TRY_DONE(measure(bench, instances, options, true, &none, error));
  machine.most_resident = most_resident(); /* before the measurement of the peak takes some */
  cli_progress(bench->quiet, "measuring the machine's peak ...");
  TRY_DONE(xt_session_peak(bench->model->session, &machine.peak_flops, &bytes_per_second, error));
  if (found.meter.best > machine.peak_flops) machine.peak_flops = found.meter.best;
  if (none.meter.best > machine.peak_flops) machine.peak_flops = none.meter.best;
  if (bench->json)
    status = print_as_json(bench, &machine, &plan, &found, &none, error);
  else
    print_as_text(bench, &machine, &plan, &found, &none);
done:
  free(found.rows);
  free(none.rows);
  free(sources.at);
  free(targets.at);
  free(instances);
  free(ids);
  return status;
}
