/* SPDX-License-Identifier: Apache-2.0 */
/* The thread pool: every item once whatever the pool does, and the hard cases around it. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sleep.h"
#include "support.h"

#include "base/parallel.h"

enum { MOST = 4096, THREADS = 4 };

typedef struct Count {
  atomic_int of[MOST];
  atomic_int inside[THREADS]; /* items that run as this thread: never two at once */
  atomic_int wrong;
  ThreadPool *pool;
} Count;

static void count_item(void *context, size_t item, int thread) {
  Count *c = context;
  if (thread < 0 || thread >= THREADS || atomic_fetch_add(&c->inside[thread], 1) != 0)
    atomic_fetch_add(&c->wrong, 1);
  atomic_fetch_add(&c->of[item], 1);
  if (thread >= 0 && thread < THREADS) atomic_fetch_sub(&c->inside[thread], 1);
}

static void check_once(Count *c, size_t items) {
  assert_int_equal(atomic_load(&c->wrong), 0);
  for (size_t i = 0; i < items; i++) {
    const int times = atomic_exchange(&c->of[i], 0);
    if (times != 1) fail_msg("item %zu of %zu: %d times", i, items, times);
  }
}

static ThreadPool *make_pool(int threads) {
  ThreadPool *pool;
  xt_error error;
  ASSERT_OK(pool_create(threads, &pool, &error));
  return pool;
}

static void doze(long nanoseconds) { nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL); }

static void test_each_item_once(void **state) {
  (void)state;
  static Count c;
  ThreadPool *pool = make_pool(THREADS), *one = make_pool(1);
  for (int round = 0; round < 2000; round++) {
    const size_t items = (size_t)(round % 7 ? round % 11 : round % 300);
    parallel_for(pool, items, count_item, &c);
    check_once(&c, items);
    if (round % 500 == 0) doze(3000000); /* the workers fall asleep */
  }
  parallel_for(pool, MOST, count_item, &c);
  check_once(&c, MOST);
  parallel_for(one, 100, count_item, &c);
  parallel_for(NULL, 0, count_item, &c);
  check_once(&c, 100);
  parallel_for(NULL, 100, count_item, &c);
  check_once(&c, 100);
  parallel_for_once(THREADS, 100, count_item, &c);
  check_once(&c, 100);
  pool_free(one);
  pool_free(pool);
  pool_free(NULL);
  for (int round = 0; round < 3000; round++) { /* ended while workers are about to look for work,
                                                  or to sleep */
    pool = make_pool(THREADS);
    parallel_for(pool, 8, count_item, &c);
    if (round % 4 == 0) doze(60000 + round * 10);
    pool_free(pool);
    check_once(&c, 8);
  }
  pool_free(make_pool(THREADS)); /* never used */
}

/* Plain memory written by the items is read after the loop, and the other way round: the thread
 * sanitizer looks on. */
typedef struct Sum {
  int values[64];
  int factor;
} Sum;
static void scale(void *context, size_t item, int thread) {
  (void)thread;
  Sum *s = context;
  s->values[item] = s->values[item] * s->factor % 1009;
}
static void test_memory_is_visible(void **state) {
  (void)state;
  ThreadPool *pool = make_pool(THREADS);
  Sum s;
  int wanted[64];
  for (int i = 0; i < 64; i++) s.values[i] = wanted[i] = i + 1;
  for (int round = 0; round < 1000; round++) {
    s.factor = round % 17 + 1;
    parallel_for(pool, 64, scale, &s);
    for (int i = 0; i < 64; i++) {
      wanted[i] = wanted[i] * s.factor % 1009;
      assert_int_equal(s.values[i], wanted[i]);
    }
  }
  pool_free(pool);
}

static void nested_item(void *context, size_t item, int thread) {
  (void)item, (void)thread;
  Count *c = context;
  static Count inner[8];
  parallel_for(c->pool, 50, count_item, &inner[item]);
  for (int i = 0; i < 50; i++)
    if (atomic_exchange(&inner[item].of[i], 0) != 1) atomic_fetch_add(&c->wrong, 1);
}

static void test_nested(void **state) {
  (void)state;
  static Count c;
  c.pool = make_pool(THREADS);
  for (int round = 0; round < 50; round++) parallel_for(c.pool, 8, nested_item, &c);
  assert_int_equal(atomic_load(&c.wrong), 0);
  pool_free(c.pool);
}

typedef struct Host {
  ThreadPool *shared;
  Count own, common;
} Host;

static void *host_thread(void *argument) {
  Host *h = argument;
  ThreadPool *pool = make_pool(THREADS);
  for (int round = 0; round < 300; round++) {
    parallel_for(pool, 20, count_item, &h->own);
    parallel_for(h->shared, 20, count_item, &h->common);
  }
  pool_free(pool);
  return NULL;
}

static void test_several_host_threads(void **state) {
  (void)state;
  static Host hosts[3];
  pthread_t threads[3];
  ThreadPool *shared = make_pool(THREADS);
  for (int i = 0; i < 3; i++) {
    hosts[i].shared = shared;
    assert_int_equal(pthread_create(&threads[i], NULL, host_thread, &hosts[i]), 0);
  }
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], NULL);
    for (int k = 0; k < 20; k++)
      assert_int_equal(atomic_load(&hosts[i].own.of[k]) + atomic_load(&hosts[i].common.of[k]), 600);
  }
  pool_free(shared);
}

/* In a child the workers are gone; a loop there ends all the same, also after the parent's pool was
 * made and used. */
static void test_fork(void **state) {
  (void)state;
  if (!CAN_FORK_THREADS) skip();
  static Count c;
  ThreadPool *pool = make_pool(THREADS);
  parallel_for(pool, 1000, count_item, &c);
  check_once(&c, 1000);
  fflush(NULL);
  wait_for_sleep();
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    int right = 1;
    for (int round = 0; round < 20; round++) {
      parallel_for(pool, 1000, count_item, &c);
      for (int i = 0; i < 1000; i++) right &= atomic_exchange(&c.of[i], 0) == 1;
    }
    pool_free(pool);
    _exit(right ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  parallel_for(pool, 1000, count_item, &c); /* the parent's goes on */
  check_once(&c, 1000);
  pool_free(pool);
}

#define MANY 100

typedef struct Meeting {
  atomic_int there; /* threads that hold an item */
  atomic_int of[MANY];
} Meeting;

/* Holds its item until every thread has one, for ten seconds at most. */
static void meet(void *context, size_t item, int thread) {
  Meeting *m = context;
  (void)item;
  atomic_fetch_add(&m->of[thread], 1);
  atomic_fetch_add(&m->there, 1);
  for (int i = 0; i < 10000 && atomic_load(&m->there) < MANY; i++) doze(1000000);
}

/* More threads than a machine word has bits: each of them works, under a number of its own. */
static void test_many_threads(void **state) {
  (void)state;
  static Meeting m;
  ThreadPool *pool = make_pool(MANY);
  assert_int_equal(pool_threads(pool), MANY);
  parallel_for(pool, MANY, meet, &m);
  for (int i = 0; i < MANY; i++) assert_int_equal(atomic_load(&m.of[i]), 1);
  pool_free(pool);
}

/* Signals go to the host's threads: a handler of its own never runs in a worker. */
static pthread_t main_thread;
static volatile sig_atomic_t elsewhere;
static void on_signal(int number) {
  (void)number;
  if (!pthread_equal(pthread_self(), main_thread)) elsewhere = 1;
}
static void raise_item(void *context, size_t item, int thread) {
  (void)context, (void)item, (void)thread;
  kill(getpid(), SIGUSR2);
}
static void test_signals(void **state) {
  (void)state;
  ThreadPool *pool = make_pool(THREADS);
  main_thread = pthread_self();
  signal(SIGUSR2, on_signal);
  for (int round = 0; round < 50; round++) parallel_for(pool, 8, raise_item, NULL);
  signal(SIGUSR2, SIG_DFL);
  assert_int_equal(elsewhere, 0);
  pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_item_once), cmocka_unit_test(test_memory_is_visible),
      cmocka_unit_test(test_nested),         cmocka_unit_test(test_several_host_threads),
      cmocka_unit_test(test_many_threads),   cmocka_unit_test(test_fork),
      cmocka_unit_test(test_signals),
  };
  return cmocka_run_group_tests_name("parallel", tests, NULL, NULL);
}
