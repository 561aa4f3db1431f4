/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/parallel.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* The nanoseconds that a thread waits actively before it sleeps: about the cost of waking it. */
#define SPIN_LONGEST 60000
#define SPIN_SHORTEST 2000
/* Between two readings of the clock a waiting thread needs far less than this. A longer gap means
 * that another process had the processor, and that active waiting takes time from threads that
 * would do the work. */
#define SPIN_GAP 100000
#define SPIN_LOOKS 16 /* readings of the state per reading of the clock */

/* ThreadPool.state: the number of workers in the loop, whether more may enter, whether the caller
 * sleeps until the last has left, and the loop's number. */
#define STATE_WORKERS UINT64_C(0xFFFFFF)
#define STATE_OPEN (UINT64_C(1) << 24)
#define STATE_CALLER_SLEEPS (UINT64_C(1) << 25)
#define STATE_LOOP (UINT64_C(1) << 32)
#define STATE_LOOP_OF(state) ((uint32_t)((state) >> 32))

typedef struct Worker {
  ThreadPool *pool;
  pthread_t thread;
  int index;
} Worker;

struct ThreadPool {
  /* Only the caller writes these, before it opens a loop. */
  ParallelBody *body;
  void *context;
  size_t items;
  int threads, workers; /* running workers: fewer than threads - 1 if the system refused some */
  Worker *worker;       /* [threads - 1] */
  atomic_uint born;     /* fork_count + 1 when the workers were started; 0: not yet */
  pthread_mutex_t in_use;
  _Alignas(64) _Atomic uint64_t state;
  atomic_bool ended;
  _Alignas(64) atomic_size_t next;    /* item to hand out */
  _Alignas(64) _Atomic uint32_t bell; /* number of the loop, for workers that sleep until it
                                         changes */
  _Atomic uint32_t sleepers;
  _Alignas(64) _Atomic uint32_t left; /* changes when the last worker left a loop whose caller
                                         sleeps */
  _Atomic uint32_t spin;              /* nanoseconds that threads of this pool wait actively */
};

/* ---- waiting --------------------------------------------------------------------------------- */

static void futex_wait(_Atomic uint32_t *word, uint32_t while_it_is) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_it_is, NULL, NULL, 0);
}
static void futex_wake(_Atomic uint32_t *word, int most) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, most, NULL, NULL, 0);
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Waits actively until `is_over`; false: it is not over within the time. */
static bool spin_until(ThreadPool *p, bool (*is_over)(const ThreadPool *, uint32_t),
                       uint32_t loop) {
  const int64_t begin = now(), longest = atomic_load_explicit(&p->spin, memory_order_relaxed);
  for (int64_t before = begin;;) {
    for (int i = 0; i < SPIN_LOOKS; i++) {
      if (is_over(p, loop)) return true;
      relax();
    }
    const int64_t at = now();
    if (at - before > SPIN_GAP) { /* other processes need the processor: wait less */
      atomic_store_explicit(&p->spin, SPIN_SHORTEST, memory_order_relaxed);
      return is_over(p, loop);
    }
    if (at - begin > longest) return false;
    before = at;
  }
}

/* ---- workers --------------------------------------------------------------------------------- */

static void take_items(ThreadPool *p, int thread) {
  for (;;) {
    const size_t item = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
    if (item >= p->items) return;
    p->body(p->context, item, thread);
  }
}

/* Takes part in the open loop, if there is one newer than `seen`. */
static void join_loop(ThreadPool *p, int thread, uint32_t *seen) {
  uint64_t state = atomic_load_explicit(&p->state, memory_order_relaxed);
  do {
    if (!(state & STATE_OPEN) || STATE_LOOP_OF(state) == *seen) return;
  } while (!atomic_compare_exchange_weak_explicit(&p->state, &state, state + 1,
                                                  memory_order_acquire, memory_order_relaxed));
  *seen = STATE_LOOP_OF(state);
  take_items(p, thread);
  state = atomic_fetch_sub_explicit(&p->state, 1, memory_order_acq_rel) - 1;
  if ((state & STATE_WORKERS) == 0 && (state & STATE_CALLER_SLEEPS)) {
    atomic_fetch_add_explicit(&p->left, 1, memory_order_release);
    futex_wake(&p->left, 1);
  }
}

static bool has_rung(const ThreadPool *p, uint32_t loop) {
  return atomic_load_explicit(&p->bell, memory_order_acquire) != loop;
}

static void *work(void *argument) {
  const Worker *w = argument;
  ThreadPool *p = w->pool;
  uint32_t seen = 0; /* loops count from 1 */
  for (;;) {
    /* Before `ended`: a thread that reads the bell's last value sees what was written before it,
     * and does not wait for another. */
    const uint32_t bell = atomic_load_explicit(&p->bell, memory_order_acquire);
    if (atomic_load_explicit(&p->ended, memory_order_acquire)) return NULL;
    join_loop(p, w->index, &seen);
    if (spin_until(p, has_rung, bell)) continue;
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->bell) == bell) futex_wait(&p->bell, bell);
    atomic_fetch_sub(&p->sleepers, 1);
  }
}

/* ---- fork ------------------------------------------------------------------------------------ */

static atomic_uint fork_count; /* the number of forks that led to this process since the library
                                  was loaded: threads do not survive fork() */
static pthread_once_t fork_watched = PTHREAD_ONCE_INIT;

static void note_fork(void) { atomic_fetch_add_explicit(&fork_count, 1, memory_order_relaxed); }
static void watch_fork(void) { pthread_atfork(NULL, NULL, note_fork); }

/* ---- making and ending ----------------------------------------------------------------------- */

xt_status pool_create(int threads, ThreadPool **out, xt_error *error) {
  *out = NULL;
  ThreadPool *p = aligned_alloc(64, sizeof *p);
  if (!p) return err_memory(error, sizeof *p);
  *p = (ThreadPool){.threads = threads > 1 ? threads : 1};
  pthread_mutex_init(&p->in_use, NULL);
  if (threads > 1) {
    const xt_status status = MEM_ALLOC(&p->worker, (size_t)threads - 1, error);
    if (status) {
      pool_free(p);
      return status;
    }
  }
  pthread_once(&fork_watched, watch_fork);
  *out = p;
  return XT_STATUS_OK;
}

/* Whether the started workers belong to this process. */
static bool has_workers(const ThreadPool *p) {
  return atomic_load_explicit(&p->born, memory_order_relaxed) ==
         atomic_load_explicit(&fork_count, memory_order_relaxed) + 1;
}

void pool_free(ThreadPool *p) {
  if (!p) return;
  if (has_workers(p)) {
    atomic_store(&p->ended, true);
    atomic_fetch_add(&p->bell, 1);
    futex_wake(&p->bell, INT_MAX);
    for (int i = 0; i < p->workers; i++) pthread_join(p->worker[i].thread, NULL);
  }
  pthread_mutex_destroy(&p->in_use);
  free(p->worker);
  free(p);
}

int pool_threads(const ThreadPool *p) { return p ? p->threads : 1; }

/* Signals that a thread sends to itself by what it does. A mapped file that is cut short gives
 * SIGBUS to whoever reads it; where that is blocked, the process ends without a word. */
static const int own_faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};

/* Starts the workers; also in a child process, which does not have its parent's. */
static void start_workers(ThreadPool *p) {
  sigset_t all, before;
  atomic_store(&p->state, 0);
  atomic_store(&p->bell, 0);
  atomic_store(&p->sleepers, 0);
  atomic_store(&p->spin, SPIN_LONGEST);
  atomic_store(&p->born, atomic_load(&fork_count) + 1);
  sigfillset(&all);
  for (size_t i = 0; i < sizeof own_faults / sizeof *own_faults; i++)
    sigdelset(&all, own_faults[i]);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (p->workers = 0; p->workers < p->threads - 1; p->workers++) {
    Worker *w = &p->worker[p->workers];
    *w = (Worker){.pool = p, .index = p->workers + 1};
    if (pthread_create(&w->thread, NULL, work, w) != 0) break; /* fewer workers do the loop */
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- loops ----------------------------------------------------------------------------------- */

static void do_alone(size_t items, ParallelBody *body, void *context) {
  for (size_t i = 0; i < items; i++) body(context, i, 0);
}

static void open_loop(ThreadPool *p, size_t items, ParallelBody *body, void *context) {
  p->body = body;
  p->context = context;
  p->items = items;
  atomic_store_explicit(&p->next, 0, memory_order_relaxed);
  const uint32_t loop = STATE_LOOP_OF(atomic_load_explicit(&p->state, memory_order_relaxed)) + 1;
  atomic_store_explicit(&p->state, (uint64_t)loop * STATE_LOOP | STATE_OPEN, memory_order_release);
  atomic_store(&p->bell, loop);
  const uint32_t sleepers = atomic_load(&p->sleepers);
  if (sleepers) futex_wake(&p->bell, sleepers < items - 1 ? (int)sleepers : (int)(items - 1));
}

static bool all_left(const ThreadPool *p, uint32_t ignored) {
  (void)ignored;
  return (atomic_load_explicit(&p->state, memory_order_acquire) & STATE_WORKERS) == 0;
}

/* Lets no more workers in, and waits for those in the loop. */
static void close_loop(ThreadPool *p) {
  const uint64_t state = atomic_fetch_and_explicit(&p->state, ~STATE_OPEN, memory_order_acq_rel);
  if ((state & STATE_WORKERS) == 0 || spin_until(p, all_left, 0)) {
    /* each loop without a long wait allows more active waiting */
    const uint32_t spin = atomic_load_explicit(&p->spin, memory_order_relaxed);
    if (spin < SPIN_LONGEST) atomic_store_explicit(&p->spin, spin + 200, memory_order_relaxed);
    return;
  }
  const uint32_t left = atomic_load_explicit(&p->left, memory_order_relaxed);
  if ((atomic_fetch_or_explicit(&p->state, STATE_CALLER_SLEEPS, memory_order_acq_rel) &
       STATE_WORKERS) == 0)
    return;
  while (atomic_load_explicit(&p->left, memory_order_acquire) == left) futex_wait(&p->left, left);
}

void parallel_for(ThreadPool *p, size_t items, ParallelBody *body, void *context) {
  if (!p || p->threads == 1 || items <= 1) {
    do_alone(items, body, context);
    return;
  }
  if (atomic_load_explicit(&p->born, memory_order_relaxed) && !has_workers(p))
    pthread_mutex_init(&p->in_use, NULL); /* a child process: the thread that held it is in the
                                             parent */
  if (pthread_mutex_trylock(&p->in_use) != 0) {
    do_alone(items, body, context);
    return;
  }
  if (!has_workers(p)) start_workers(p);
  if (p->workers == 0)
    do_alone(items, body, context);
  else {
    open_loop(p, items, body, context);
    take_items(p, 0);
    close_loop(p);
  }
  pthread_mutex_unlock(&p->in_use);
}

void parallel_for_once(int threads, size_t items, ParallelBody *body, void *context) {
  ThreadPool *p = NULL;
  /* no memory: alone */
  if (threads > 1 && items > 1)
    pool_create((size_t)threads < items ? threads : (int)items, &p, NULL);
  parallel_for(p, items, body, context);
  pool_free(p);
}
