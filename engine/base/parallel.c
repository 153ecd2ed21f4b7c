#include "base/parallel.h"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"

static int threads; /* 0: not decided yet */

static int default_threads(void) {
  cpu_set_t set;
  const char *e = getenv("OMP_NUM_THREADS");
  if (e && atoi(e) > 0) return atoi(e);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  return omp_get_num_procs();
}

/* BLAS must be on one thread before the first product anywhere. */
__attribute__((constructor)) static void init(void) {
  if (!threads) pc_set_num_threads(default_threads());
}

int pc_num_threads(void) { return threads; }

int pc_set_num_threads(int n) {
  if (n < 1) n = 1;
  openblas_set_num_threads(1);
  return threads = n;
}

static int stoppable;       /* depth */
static atomic_int left_out; /* since the outermost began */

void pc_stoppable_begin(void) {
  if (!stoppable++) atomic_store_explicit(&left_out, 0, memory_order_relaxed);
}

int pc_stoppable_end(int rc) {
  stoppable--;
  if (!atomic_load_explicit(&left_out, memory_order_relaxed)) return rc;
  pc_check_interrupt();
  return pc_fail(PC_EINTR, "interrupted");
}

int pc_should_stop(void) {
  if (!stoppable) return 0;
  if (atomic_load_explicit(&left_out, memory_order_relaxed)) return 1;
  if (!pc_interrupted()) return 0;
  atomic_store_explicit(&left_out, 1, memory_order_relaxed);
  return 1;
}

/* Chunk c of so many. */
static void run_chunk(int64_t c, int64_t chunks, int64_t n, int64_t grain, pc_range_fn fn, void *ctx) {
  if (!pc_should_stop()) fn(c * grain, c == chunks - 1 ? n : (c + 1) * grain, ctx);
}

/* Threads inherit the mask of signals. A signal that lands on a worker would run its handler there, beside Lua: so
 * workers are made with everything blocked, by a region that does nothing, whenever the team grows. */
static void make_workers(int want) {
  static _Thread_local int made = 1;
  if (want > made) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
#pragma omp parallel num_threads(want)
    { /* a team of so many */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
  made = want; /* a smaller team lets the others go */
}

void pc_parallel_for(int64_t n, int64_t grain, pc_range_fn fn, void *ctx) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  int64_t chunks = (n - 1) / grain + 1;
  if (chunks == 1) {
    run_chunk(0, 1, n, grain, fn, ctx);
    return;
  }
  int want = chunks < threads ? (int)chunks : threads;
  if (want == 1 || omp_in_parallel()) {
    for (int64_t c = 0; c < chunks; c++) run_chunk(c, chunks, n, grain, fn, ctx);
    return;
  }
  make_workers(want);
  /* dynamic: a neighbour on one of the cores must not hold up the others */
#pragma omp parallel for schedule(dynamic, 1) num_threads(want)
  for (int64_t c = 0; c < chunks; c++) run_chunk(c, chunks, n, grain, fn, ctx);
}
