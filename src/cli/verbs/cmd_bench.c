/* SPDX-License-Identifier: Apache-2.0 */
/* bench: prefill and decode speed through the public API, compared with the machine's measured
 * peak. */
#include <math.h>
#include <stdlib.h>

#include "shell/output.h"
#include "verbs/bench_sweep.h"
#include "verbs/peak_meter.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  int prompt_tokens, new_tokens, repeats, instances, effects;
  IntList rows;
  SiteList sweep;
  const char *source_layers, *target_layers;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    {.name = "prompt-tokens",
     .letter = 'p',
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, prompt_tokens),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .preset = "512",
     .help = "the number of prompt tokens, which have random ids"},
    {.name = "rows",
     .type = OPTION_INTS,
     .field = OPTION_FIELD(Arguments, IntList, rows),
     .value = "LIST",
     .low = 1,
     .high = 65536,
     .preset = "1,8,64,256",
     .help = "the numbers of rows to decode together"},
    {.name = "new-tokens",
     .letter = 'n',
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, new_tokens),
     .value = "N",
     .low = 2,
     .high = 1e6,
     .preset = "20",
     .help = "the number of tokens that every row generates"},
    {.name = "repeats",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, repeats),
     .value = "N",
     .low = 1,
     .high = 1000,
     .preset = "3",
     .help = "measure everything N times and report the fastest"},
    {.name = "sweep",
     .type = OPTION_SITES,
     .field = OPTION_FIELD(Arguments, SiteList, sweep),
     .value = "SITES",
     .help = "measure a sweep at these sites instead, as it is and without shared computation"},
    {.name = "instances",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, instances),
     .value = "N",
     .low = 1,
     .high = 1e6,
     .preset = "1",
     .help = "of the sweep"},
    {.name = "effects",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, effects),
     .value = "N",
     .low = 1,
     .high = XT_TRACKED_MOST,
     .help =
         "measure what the numbers of first tokens, with N tracked ones, cost the sweep: without "
         "and with them in turn, --repeats times, by processor time"},
    OPTIONS_LAYER_LISTS(Arguments, "of the sweep: all, first, last, 3, 0-7 or 0,5,31",
                        "of the sweep"),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

typedef struct Bench {
  const Arguments *arguments;
  LoadedModel model;
  int32_t *prompt;               /* [prompt_tokens] */
  float *values;                 /* [most rows, width], one row's intervention each */
  double peak_flops, peak_bytes; /* per second */
} Bench;

typedef struct Speed {
  int rows; /* 0: prefill */
  double seconds, tokens_per_second;
  double processor;          /* seconds of processor time, of all threads */
  double flops, bytes;       /* that the time was spent on */
  double of_flops, of_bytes; /* of the machine's peak */
  double peak_then;          /* operations per second that the machine gave meanwhile */
} Speed;

static double of_peak_then(const Speed *speed) {
  return speed->flops / speed->seconds / speed->peak_then;
}

/* splitmix64 (Vigna): the same prompt and values in every run of the program. */
static uint64_t random_next(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* Of one token, in all layers. */
static double layers_flops(const Bench *bench) {
  return bench->model.info.layers * bench->model.info.layer_flops;
}

static xt_status make_inputs(Bench *bench, xt_error *error) {
  const Arguments *arguments = bench->arguments;
  const xt_model_info *info = &bench->model.info;
  int most = 1;
  for (int i = 0; i < arguments->rows.count; i++)
    if (arguments->rows.at[i] > most) most = arguments->rows.at[i];
  const size_t floats = (size_t)most * (size_t)info->width;
  bench->prompt = malloc((size_t)arguments->prompt_tokens * sizeof *bench->prompt);
  bench->values = malloc(floats * sizeof *bench->values);
  if (!bench->prompt || !bench->values) return error_memory(error);
  uint64_t state = 1;
  for (int i = 0; i < arguments->prompt_tokens; i++)
    bench->prompt[i] = (int32_t)(random_next(&state) % (uint64_t)info->vocab);
  for (size_t i = 0; i < floats; i++)
    bench->values[i] = (float)ldexp((double)(random_next(&state) >> 40), -23) - 1;
  return XT_STATUS_OK;
}

/* A run's steps; after the first one, the prompt and the first tokens of the rows are done. */
typedef struct StepClock {
  PeakMeter meter;
  int steps;
  double first, spent;    /* seconds_now; in measurements of the peak until then */
  double busy, processor; /* the same of processor_now */
} StepClock;

static void note_step(void *user, double requests) {
  StepClock *clock = user;
  (void)requests;
  if (clock->steps++ > 0) return;
  clock->first = seconds_now();
  clock->spent = clock->meter.spent;
  clock->busy = processor_now();
  clock->processor = clock->meter.processor;
}

/* Measures the peak now and then; never stops. */
static bool ask_meter(void *user) { return meter_ask(&((StepClock *)user)->meter); }

/* The seconds of `rows` rows that generate n tokens each from one prompt: for the prompt and the
 * first token (n 1), or for the tokens after it, which the same run measures separately. The
 * smallest of the repeats, of processor time too, and the peak at that time. The first layer's
 * output at the last token is different in each row, so that rows cannot share the layers above. */
static xt_status measure(Bench *bench, int rows, int n, bool changed, Speed *speed,
                         xt_error *error) {
  const Arguments *arguments = bench->arguments;
  const size_t count = (size_t)rows, width = (size_t)bench->model.info.width;
  xt_intervention *changes = calloc(count, sizeof *changes);
  xt_request *requests = calloc(count, sizeof *requests);
  xt_generation *generations = calloc(count, sizeof *generations);
  xt_status status = XT_STATUS_OK;
  if (!changes || !requests || !generations) TRY_DONE(error_memory(error));
  for (size_t r = 0; r < count; r++) {
    changes[r] = (xt_intervention){
        .write = XT_TAP_BLOCK, .position = XT_POSITION_LAST, .value = bench->values + r * width};
    requests[r] = (xt_request){.ids = bench->prompt,
                               .count = (size_t)arguments->prompt_tokens,
                               .interventions = &changes[r],
                               .intervention_count = changed};
  }
  StepClock clock;
  const xt_generate_options how = {.max_new_tokens = n,
                                   .ignore_eos = true,
                                   .cancel = ask_meter,
                                   .progress = note_step,
                                   .user = &clock};
  speed->seconds = speed->processor = INFINITY;
  for (int i = 0; i < arguments->repeats; i++) {
    const double begin = seconds_now(), busy = processor_now();
    clock = (StepClock){0};
    meter_start(&clock.meter, bench->model.session);
    TRY_DONE(xt_session_generate(bench->model.session, requests, count, &how, generations, error));
    const double end = seconds_now(), spent = clock.meter.spent;
    const double worked =
        n > 1 ? processor_now() - clock.busy - (clock.meter.processor - clock.processor)
              : processor_now() - busy - clock.meter.processor;
    meter_read(&clock.meter);
    if (clock.meter.best > bench->peak_flops) bench->peak_flops = clock.meter.best;
    if (n > 1 && clock.steps != n) {
      status = error_set(error, XT_STATUS_ARGUMENT, NULL, "--rows", -1,
                         "%d rows together do not fit into memory; try fewer", rows);
      goto done;
    }
    const double took = n > 1 ? end - clock.first - (spent - clock.spent) : end - begin - spent;
    speed->processor = fmin(speed->processor, worked);
    if (took < speed->seconds) {
      speed->seconds = took;
      speed->peak_then = meter_mean(&clock.meter);
    }
    for (size_t r = 0; r < count; r++) xt_generation_deinit(&generations[r]);
  }
done:
  free(generations);
  free(requests);
  free(changes);
  return status;
}

/* Keeps the largest measurement. */
static xt_status measure_peak(Bench *bench, xt_error *error) {
  double flops, bytes;
  cli_progress(bench->arguments->model.quiet, "measuring the machine's peak ...");
  const xt_status status = xt_session_peak(bench->model.session, &flops, &bytes, error);
  if (status) return status;
  if (flops > bench->peak_flops) bench->peak_flops = flops;
  if (bytes > bench->peak_bytes) bench->peak_bytes = bytes;
  return XT_STATUS_OK;
}

static void relate(const Bench *bench, Speed *speed) {
  speed->of_flops = speed->flops / speed->seconds / bench->peak_flops;
  speed->of_bytes = speed->bytes / speed->seconds / bench->peak_bytes;
}

static xt_status bench_prefill(Bench *bench, Speed *speed, xt_error *error) {
  const double tokens = bench->arguments->prompt_tokens;
  const xt_status status = measure(bench, 1, 1, false, speed, error);
  if (status) return status;
  speed->tokens_per_second = tokens / speed->seconds;
  /* only the last token is unembedded */
  speed->flops = tokens * layers_flops(bench) + bench->model.info.unembed_flops;
  return XT_STATUS_OK;
}

static xt_status bench_decode(Bench *bench, int rows, Speed *speed, xt_error *error) {
  const xt_status status = measure(bench, rows, bench->arguments->new_tokens, true, speed, error);
  if (status) return status;
  const xt_model_info *info = &bench->model.info;
  const double steps = bench->arguments->new_tokens - 1,
               flops = layers_flops(bench) + info->unembed_flops;
  speed->rows = rows;
  speed->tokens_per_second = steps * rows / speed->seconds;
  speed->flops = flops * steps * rows;
  /* a step reads every matrix once, for any number of rows */
  speed->bytes = (double)info->weight_bytes * flops / 2 / (double)info->parameters * steps;
  return XT_STATUS_OK;
}

/* ---- output ---------------------------------------------------------------------------------- */

static json_t *speed_json(const Speed *speed) {
  json_t *object = json_object();
  bool ok = true;
  if (speed->rows) ok = json_add(object, "rows", json_integer(speed->rows));
  ok = json_add(object, "seconds", json_number(speed->seconds)) && ok;
  ok = json_add(object, "processor_seconds", json_number(speed->processor)) && ok;
  ok = json_add(object, "tokens_per_second", json_number(speed->tokens_per_second)) && ok;
  ok = json_add(object, "fraction_of_peak_flops", json_number(speed->of_flops)) && ok;
  ok = json_add(object, "peak_flops_per_second_then", json_number(speed->peak_then)) && ok;
  ok = json_add(object, "fraction_of_peak_then", json_number(of_peak_then(speed))) && ok;
  if (speed->rows)
    ok = json_add(object, "fraction_of_memory_bandwidth", json_number(speed->of_bytes)) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

static xt_status print_as_json(const Bench *bench, const Speed *speeds, xt_error *error) {
  const Arguments *arguments = bench->arguments;
  json_t *object = json_object(), *decode = json_array();
  bool ok = json_add(object, "model", json_string(bench->model.info.path));
  for (int i = 0; i < arguments->rows.count; i++)
    ok = json_array_append_new(decode, speed_json(&speeds[i + 1])) == 0 && ok;
  ok = json_add(object, "kernels", json_string(bench->model.info.kernels)) && ok;
  ok = json_add(object, "compute", json_string(compute_names[arguments->model.compute])) && ok;
  ok = json_add(object, "prompt_tokens", json_integer(arguments->prompt_tokens)) && ok;
  ok = json_add(object, "new_tokens", json_integer(arguments->new_tokens)) && ok;
  ok = json_add(object, "peak_flops_per_second", json_number(bench->peak_flops)) && ok;
  ok = json_add(object, "memory_bytes_per_second", json_number(bench->peak_bytes)) && ok;
  ok = json_add(object, "prefill", speed_json(&speeds[0])) && ok;
  ok = json_add(object, "decode", decode) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static void print_as_text(const Bench *bench, const Speed *speeds) {
  const Arguments *arguments = bench->arguments;
  printf("%s: %s, %s kernels, compute %s\n", bench->model.info.path, bench->model.info.weight_dtype,
         bench->model.info.kernels, compute_names[arguments->model.compute]);
  printf("peak measured here: %.1f GFLOP/s, %.1f GB/s read from memory\n\n",
         bench->peak_flops / 1e9, bench->peak_bytes / 1e9);
  printf("%-28s %10s %12s %10s %10s %10s\n", "", "seconds", "tokens/s", "of peak", "as it was",
         "of memory");
  char label[64];
  snprintf(label, sizeof label, "prefill, %d tokens", arguments->prompt_tokens);
  printf("%-28s %10.3f %12.1f %9.1f%% %9.1f%%\n", label, speeds[0].seconds,
         speeds[0].tokens_per_second, 100 * speeds[0].of_flops, 100 * of_peak_then(&speeds[0]));
  for (int i = 1; i <= arguments->rows.count; i++) {
    snprintf(label, sizeof label, "decode, %d row%s", speeds[i].rows,
             speeds[i].rows == 1 ? "" : "s");
    printf("%-28s %10.3f %12.1f %9.1f%% %9.1f%% %9.1f%%\n", label, speeds[i].seconds,
           speeds[i].tokens_per_second, 100 * speeds[i].of_flops, 100 * of_peak_then(&speeds[i]),
           100 * speeds[i].of_bytes);
  }
  printf("\nof peak: 2 x parameters in matrix products x tokens, the unembedding only where it is "
         "computed, over the\n"
         "best peak measured; as it was: over its mean meanwhile, which others on the machine "
         "lower. of memory: one\n"
         "reading of the weights a step. Decoding: the tokens after the first, of %d a row. "
         "Fastest of %d.\n",
         arguments->new_tokens, arguments->repeats);
}

static xt_status check_length(const Arguments *arguments, const xt_model_info *info,
                              xt_error *error) {
  if (arguments->prompt_tokens <= info->max_positions - (arguments->new_tokens - 1))
    return XT_STATUS_OK;
  return error_set(error, XT_STATUS_ARGUMENT, NULL, "--prompt-tokens", -1,
                   "%d, and %d new tokens, are more than the model's %d positions",
                   arguments->prompt_tokens, arguments->new_tokens, info->max_positions);
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  const bool quiet = arguments->model.quiet;
  Bench bench = {.arguments = arguments};
  Speed speeds[INT_LIST_MAX + 1] = {{0}};
  xt_error error;
  xt_status status;
  if (arguments->effects && !arguments->sweep.count)
    return cli_usage(cli, "--effects is about a sweep; give its sites with --sweep");
  TRY_DONE(model_describe(&arguments->model, &bench.model, &error));
  TRY_DONE(check_length(arguments, &bench.model.info, &error));
  TRY_DONE(model_load(&arguments->model, &bench.model, &error));
  TRY_DONE(make_inputs(&bench, &error));
  if (arguments->sweep.count) {
    const SweepBench sweep = {.model = &bench.model,
                              .sites = &arguments->sweep,
                              .source_layers = arguments->source_layers,
                              .target_layers = arguments->target_layers,
                              .prompt_tokens = arguments->prompt_tokens,
                              .new_tokens = arguments->new_tokens,
                              .instances = arguments->instances,
                              .tracked = arguments->effects,
                              .rounds = arguments->repeats,
                              .json = arguments->model.json,
                              .quiet = quiet};
    status = bench_sweep(&sweep, &error);
    goto done;
  }
  TRY_DONE(measure_peak(&bench, &error));
  cli_progress(quiet, "prefill ...");
  TRY_DONE(bench_prefill(&bench, &speeds[0], &error));
  for (int i = 0; i < arguments->rows.count; i++) {
    cli_progress(quiet, "decode, %d rows ...", arguments->rows.at[i]);
    TRY_DONE(bench_decode(&bench, arguments->rows.at[i], &speeds[i + 1], &error));
  }
  TRY_DONE(measure_peak(&bench, &error)); /* measured again, because the speed of a shared
                                             machine changes */
  for (int i = 0; i <= arguments->rows.count; i++) relate(&bench, &speeds[i]);
  if (arguments->model.json)
    TRY_DONE(print_as_json(&bench, speeds, &error));
  else
    print_as_text(&bench, speeds);
done:
  free(bench.prompt);
  free(bench.values);
  model_deinit(&bench.model);
  return cli_exit(cli, status, &error);
}

const Verb verb_bench = {
    .name = "bench",
    .summary = "measure prefill, decode and sweep speed, as a share of the machine's peak",
    .about = "Measures how many prompt tokens are processed per second, and how many tokens are "
             "generated per second for several numbers of rows, with random ids. Also prints these "
             "speeds as a share of the float32 operations and of the memory reads per second that "
             "this machine reaches with the same number of threads. All rows have the same prompt, "
             "with a different activation written at its last token.",
    .example = "xtransplant bench -m TinyLlama-1.1B --rows 1,64,256 --json",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
