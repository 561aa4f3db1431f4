/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/bench_effects.h"

#include <stdlib.h>
#include <string.h>

#include "shell/output.h"

/* The seconds of one sweep. */
typedef struct Time {
  double clock, processor;
} Time;

typedef struct Round {
  Time without, with;
} Round;

static xt_status drop_response(void *user, const xt_sweep_response *response, xt_error *error) {
  (void)user;
  (void)response;
  (void)error;
  return XT_STATUS_OK;
}

static xt_status run_sweep(const EffectsBench *bench, const xt_instance *instances, bool effects,
                           Time *out, uint64_t *responses, xt_error *error) {
  xt_sweep_options options = bench->options;
  xt_sweep_stats stats = {0};
  const double clock = seconds_now(), processor = processor_now();
  options.effects = effects;
  const xt_status status = xt_session_sweep(bench->model->session, instances, bench->count,
                                            &options, drop_response, NULL, &stats, error);
  *out = (Time){seconds_now() - clock, processor_now() - processor};
  *responses = stats.responses;
  return status;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The middle one of the rounds' ratios, less 1. */
static xt_status more_time(const Round *rounds, int count, bool clock, double *out,
                           xt_error *error) {
  const size_t n = (size_t)count;
  double *ratios = malloc(n * sizeof *ratios);
  if (!ratios) return error_memory(error);
  for (size_t k = 0; k < n; k++)
    ratios[k] = clock ? rounds[k].with.clock / rounds[k].without.clock
                      : rounds[k].with.processor / rounds[k].without.processor;
  qsort(ratios, n, sizeof *ratios, by_size);
  *out = (ratios[(n - 1) / 2] + ratios[n / 2]) / 2 - 1;
  free(ratios);
  return XT_STATUS_OK;
}

/* ---- output ---------------------------------------------------------------------------------- */

static json_t *time_json(const Time *t) {
  json_t *object = json_object();
  bool ok = json_add(object, "processor_seconds", json_number(t->processor));
  ok = json_add(object, "seconds", json_number(t->clock)) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

static xt_status print_as_json(const EffectsBench *bench, const Round *rounds, uint64_t responses,
                               double more, double more_clock, xt_error *error) {
  json_t *object = json_object(), *list = json_array();
  bool ok = json_add(object, "model", json_string(bench->model->info.path));
  ok = json_add(object, "vocabulary", json_integer(bench->model->info.vocab)) && ok;
  ok = json_add(object, "responses", json_integer((json_int_t)responses)) && ok;
  ok = json_add(object, "tracked", json_integer(bench->tracked)) && ok;
  ok = json_add(object, "more_processor_time", json_number(more)) && ok;
  ok = json_add(object, "more_time", json_number(more_clock)) && ok;
  for (int k = 0; k < bench->rounds; k++) {
    json_t *one = json_object();
    ok = json_add(one, "without", time_json(&rounds[k].without)) && ok;
    ok = json_add(one, "with", time_json(&rounds[k].with)) && ok;
    ok = json_array_append_new(list, one) == 0 && ok;
  }
  ok = json_add(object, "rounds", list) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static void print_as_text(const EffectsBench *bench, const Round *rounds, uint64_t responses,
                          double more, double more_clock) {
  printf("sweep: %zu instance%s, %llu responses, %d new tokens; a vocabulary of %d, %d tracked "
         "tokens a question\n",
         bench->count, bench->count == 1 ? "" : "s", (unsigned long long)responses,
         bench->options.max_new_tokens, bench->model->info.vocab, bench->tracked);
  printf("%-10s %22s %22s\n", "", "processor seconds", "seconds");
  printf("%-10s %10s %11s %10s %11s\n", "", "without", "with", "without", "with");
  for (int k = 0; k < bench->rounds; k++)
    printf("round %-4d %10.3f %11.3f %10.3f %11.3f\n", k + 1, rounds[k].without.processor,
           rounds[k].with.processor, rounds[k].without.clock, rounds[k].with.clock);
  printf("\nNumbers of first tokens take %+.1f%% processor time, %+.1f%% time: the middle one of "
         "the rounds' ratios.\n",
         100 * more, 100 * more_clock);
}

/* Tracked tokens that are spread over the vocabulary, the same for each instance. */
static xt_status track(const EffectsBench *bench, xt_instance *instances, int32_t **ids,
                       xt_error *error) {
  const size_t count = (size_t)bench->tracked;
  *ids = malloc((count + 1) * sizeof **ids);
  if (!*ids) return error_memory(error);
  for (size_t k = 0; k < count; k++)
    (*ids)[k] = (int32_t)(k * (size_t)bench->model->info.vocab / count);
  for (size_t n = 0; n < bench->count; n++) {
    instances[n] = bench->instances[n];
    instances[n].tracked = *ids;
    instances[n].tracked_count = count;
  }
  return XT_STATUS_OK;
}

xt_status bench_effects(const EffectsBench *bench, xt_error *error) {
  xt_instance *instances = calloc(bench->count, sizeof *instances);
  Round *rounds = calloc((size_t)bench->rounds, sizeof *rounds);
  int32_t *ids = NULL;
  uint64_t responses = 0;
  double more, more_clock;
  xt_status status = XT_STATUS_OK;
  if (!instances || !rounds) TRY_DONE(error_memory(error));
  TRY_DONE(track(bench, instances, &ids, error));
  for (int k = 0; k < bench->rounds; k++) {
    cli_progress(bench->quiet, "round %d of %d ...", k + 1, bench->rounds);
    TRY_DONE(run_sweep(bench, instances, false, &rounds[k].without, &responses, error));
    TRY_DONE(run_sweep(bench, instances, true, &rounds[k].with, &responses, error));
  }
  TRY_DONE(more_time(rounds, bench->rounds, false, &more, error));
  TRY_DONE(more_time(rounds, bench->rounds, true, &more_clock, error));
  if (bench->json)
    status = print_as_json(bench, rounds, responses, more, more_clock, error);
  else
    print_as_text(bench, rounds, responses, more, more_clock);
done:
  free(ids);
  free(rounds);
  free(instances);
  return status;
}
