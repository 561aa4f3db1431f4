/* SPDX-License-Identifier: Apache-2.0 */
/* How the division of work would scale to more threads than this machine has.
 *
 * The library divides its loops for T threads, and one thread does all items and times each. Items
 * are handed to the thread that is free first, as the pool does it; a loop so takes as long as its
 * last thread, and a step as long as its loops, what lies between them, and the cost of opening a
 * loop, which is measured with two real threads. Each time is the least of several rounds. Threads
 * do not share caches and memory in this: where a step is bound by the memory's speed (one row),
 * the real limit is that speed.
 *
 * parallel_for is replaced by the linker (--wrap), so that the library has no code for this.
 * usage: bench_threads MODEL [THREADS,.. [ROUNDS]]
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/parallel.h"
#include "xtransplant/xt.h"

enum { MOST_THREADS = 1024, PROMPT = 512, NEW_TOKENS = 3, EMPTY_LOOPS = 2000 };

static const struct {
  const char *name;
  int rows,
      new_tokens; /* 1 new token: the prompt is what is timed; else the tokens after the first */
} cases[] = {{"prefill of 512 tokens", 1, 1},
             {"a step of 1 row", 1, NEW_TOKENS},
             {"of 8 rows", 8, NEW_TOKENS},
             {"of 64 rows", 64, NEW_TOKENS},
             {"of 256 rows", 256, NEW_TOKENS}};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- what is recorded ------------------------------------------------------------------------ */

typedef struct Loop {
  size_t items, first; /* first: of its items in Trace.seconds */
  double before;       /* seconds since the loop before it ended */
} Loop;

typedef struct Trace {
  Loop *loops;
  double *seconds; /* of each item */
  size_t loop_count, loop_room, item_count, item_room;
  size_t loop;  /* the next one, in a later round */
  double after; /* seconds since the last loop ended */
  bool again;   /* a later round: the least counts */
} Trace;

static Trace trace;
static bool recording, inside;
static double last; /* when the loop before ended */

static double seconds_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double now(void) { return seconds_of(CLOCK_MONOTONIC); }
/* Items run on one thread, whose processor time other programs do not lengthen. */
static double spent(void) { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

static void *grown(void *array, size_t *room, size_t needed, size_t size) {
  if (needed <= *room) return array;
  *room = 2 * needed + 1024;
  array = realloc(array, *room * size);
  if (array) return array;
  fprintf(stderr, "no memory\n");
  exit(1);
}

static void keep(double *least, double seconds) {
  if (!trace.again || seconds < *least) *least = seconds;
}

static const Loop *open_loop(size_t items, double before) {
  if (trace.again) {
    if (trace.loop == trace.loop_count || trace.loops[trace.loop].items != items) {
      fprintf(stderr, "two rounds had different loops\n");
      exit(1);
    }
  } else {
    trace.loops = grown(trace.loops, &trace.loop_room, trace.loop_count + 1, sizeof *trace.loops);
    trace.seconds =
        grown(trace.seconds, &trace.item_room, trace.item_count + items, sizeof *trace.seconds);
    trace.loops[trace.loop_count++] = (Loop){.items = items, .first = trace.item_count};
    trace.item_count += items;
  }
  Loop *loop = &trace.loops[trace.loop++];
  keep(&loop->before, before);
  return loop;
}

void __real_parallel_for(ThreadPool *pool, size_t items, ParallelBody *body, void *context);
void __wrap_parallel_for(ThreadPool *pool, size_t items, ParallelBody *body, void *context);

void __wrap_parallel_for(ThreadPool *pool, size_t items, ParallelBody *body, void *context) {
  if (!recording || inside || !pool) {
    for (size_t i = 0; i < items; i++) body(context, i, 0);
    return;
  }
  const int threads = pool_threads(pool);
  double free_at[MOST_THREADS] = {0}, at = spent();
  const Loop *loop = open_loop(items, at - last);
  inside = true;
  for (size_t i = 0; i < loop->items; i++) {
    int first = 0;
    for (int t = 1; t < threads; t++)
      if (free_at[t] < free_at[first]) first = t;
    body(context, i, first);
    const double end = spent();
    keep(&trace.seconds[loop->first + i], end - at);
    free_at[first] += end - at;
    at = end;
  }
  inside = false;
  last = spent();
}

/* ---- a step by T threads --------------------------------------------------------------------- */

typedef struct Step {
  double seconds, serial, busy, opening; /* seconds; outside of loops; of all items; of opening */
} Step;

/* `slow`: the last half of the threads take twice as long for an item. */
static double loop_seconds(const Loop *loop, int threads, bool slow) {
  double free_at[MOST_THREADS] = {0}, end = 0;
  for (size_t i = 0; i < loop->items; i++) {
    int first = 0;
    for (int t = 1; t < threads; t++)
      if (free_at[t] < free_at[first]) first = t;
    free_at[first] += trace.seconds[loop->first + i] * (slow && first >= (threads + 1) / 2 ? 2 : 1);
    if (free_at[first] > end) end = free_at[first];
  }
  return end;
}

static Step simulate(int threads, bool slow, double opening, double parts) {
  Step step = {.serial = trace.after};
  for (size_t l = 0; l < trace.loop_count; l++) {
    const Loop *loop = &trace.loops[l];
    step.serial += loop->before;
    step.seconds += loop_seconds(loop, threads, slow);
    if (threads > 1 && loop->items > 1) step.opening += opening;
    for (size_t i = 0; i < loop->items; i++) step.busy += trace.seconds[loop->first + i];
  }
  step.seconds += step.serial + step.opening;
  return (Step){step.seconds / parts, step.serial / parts, step.busy / parts, step.opening / parts};
}

/* Both threads wait for one another, for 100 microseconds at most. */
static void meet(void *context, size_t item, int thread) {
  atomic_int *there = context;
  const double begin = now();
  (void)item, (void)thread;
  atomic_fetch_add(there, 1);
  while (atomic_load(there) < 2)
    if (now() - begin > 1e-4) return;
}

/* From opening a loop until a second thread has done an item of it and the loop is over, the least
 * of many: what a loop costs besides its items when the workers are awake. */
static double measure_opening(void) {
  ThreadPool *pool;
  double least = 1e-4;
  if (pool_create(2, &pool, NULL) != XT_STATUS_OK) return 0;
  for (int i = 0; i < EMPTY_LOOPS; i++) {
    atomic_int there = 0;
    const double begin = now();
    __real_parallel_for(pool, 2, meet, &there);
    const double took = now() - begin;
    if (took < least) least = took;
  }
  pool_free(pool);
  return least;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void check(xt_status status, const xt_error *error) {
  char text[1024];
  if (!status) return;
  fprintf(stderr, "%s\n", xt_error_format(error, text, sizeof text));
  exit(1);
}

typedef struct Clock {
  int steps, new_tokens;
} Clock;

static void begin_recording(void) {
  trace.loop = 0;
  recording = true;
  last = spent();
}

static void end_recording(void) {
  keep(&trace.after, spent() - last);
  recording = false;
}

/* After the first token the prompt is done. */
static void note_step(void *user, double requests) {
  Clock *clock = user;
  (void)requests;
  if (clock->new_tokens == 1) return;
  clock->steps++;
  if (clock->steps == 1) begin_recording();
  if (clock->steps == clock->new_tokens) end_recording();
}

/* Rows differ by a value at the first layer, so that they share nothing but the prompt. */
static void run_case(xt_session *session, const xt_model_info *info, int c, int rounds) {
  const size_t rows = (size_t)cases[c].rows, width = (size_t)info->width;
  int32_t prompt[PROMPT];
  float *values = calloc(rows * width, sizeof *values);
  xt_intervention *changes = calloc(rows, sizeof *changes);
  xt_request *requests = calloc(rows, sizeof *requests);
  xt_generation *made = calloc(rows, sizeof *made);
  xt_error error;
  if (!values || !changes || !requests || !made) exit(1);
  for (int i = 0; i < PROMPT; i++) prompt[i] = (int32_t)((i * 7919L + 3) % info->vocab);
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < width; i++) values[r * width + i] = (float)((r * 31 + i * 17) % 13) - 6;
    changes[r] = (xt_intervention){
        .write = XT_TAP_BLOCK, .position = XT_POSITION_LAST, .value = values + r * width};
    requests[r] = (xt_request){
        .ids = prompt, .count = PROMPT, .interventions = &changes[r], .intervention_count = 1};
  }
  trace.loop_count = trace.item_count = 0;
  for (int round = 0; round < rounds; round++) {
    Clock clock = {.new_tokens = cases[c].new_tokens};
    trace.again = round > 0;
    if (clock.new_tokens == 1) begin_recording();
    check(xt_session_generate(session, requests, rows,
                              &(xt_generate_options){.max_new_tokens = clock.new_tokens,
                                                     .ignore_eos = true,
                                                     .progress = note_step,
                                                     .user = &clock},
                              made, &error),
          &error);
    if (clock.new_tokens == 1) end_recording();
    for (size_t r = 0; r < rows; r++) xt_generation_deinit(&made[r]);
  }
  free(values);
  free(changes);
  free(requests);
  free(made);
}

static void run_threads(const char *path, int threads, int rounds, double opening,
                        double alone[CASES]) {
  xt_model *model;
  xt_session *session;
  xt_model_info info;
  xt_error error;
  check(xt_model_open(path, &(xt_model_options){.threads = threads}, &model, &error), &error);
  check(xt_session_create(model, &session, &error), &error);
  xt_model_get_info(model, &info);
  for (int c = 0; c < CASES; c++) {
    run_case(session, &info, c, rounds);
    const double parts = cases[c].new_tokens == 1 ? 1 : cases[c].new_tokens - 1;
    const Step step = simulate(threads, false, opening, parts),
               mixed = simulate(threads, true, opening, parts);
    if (alone[c] == 0) alone[c] = step.seconds;
    const double times = alone[c] / step.seconds, even = step.busy / threads;
    const int slow = threads / 2;
    printf("| %s | %d | %.2f | %.1f | %.0f %% | %.1f %% | %.1f %% | %.1f %% | %.0f %% |\n",
           cases[c].name, threads, 1e3 * step.seconds, times, 100 * times / threads,
           100 * step.serial / step.seconds, 100 * step.opening / step.seconds,
           100 * (step.seconds - step.serial - step.opening - even) / step.seconds,
           100 * alone[c] / mixed.seconds / (threads - 0.5 * slow));
    fflush(stdout);
  }
  xt_session_free(session);
  xt_model_close(model);
}

int main(int argc, char **argv) {
  const char *list = argc > 2 ? argv[2] : "1,2,4,8,16,32,64";
  const int rounds = argc > 3 ? atoi(argv[3]) : 3;
  const double opening = measure_opening();
  double alone[CASES] = {0};
  if (argc < 2 || argc > 4 || rounds < 1) {
    fprintf(stderr, "usage: bench_threads MODEL [THREADS,.. [ROUNDS]]\n");
    return 2;
  }
  printf("Opening a loop: %.1f us.\n\n", 1e6 * opening);
  printf(
      "| | threads | ms | times one | efficiency | one thread alone | opening loops | waiting for "
      "the last | efficiency, half of them at half speed "
      "|\n|---|---|---|---|---|---|---|---|---|\n");
  for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
    const int threads = atoi(at);
    if (threads < 1 || threads > MOST_THREADS) return 2;
    run_threads(argv[1], threads, rounds, opening, alone);
  }
  free(trace.loops);
  free(trace.seconds);
  return 0;
}
