#include "base/peak.h"

#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/cpu.h"
#include "base/simd.h"
#include "base/parallel.h"

/* Twelve chains, so that two units of latency four never wait for a result, and the factors
 * still fit into sixteen registers. a <- a m + c stays near c / (1 - m): no denormals, no overflow. */
#define CHAINS 12
#define KERNEL(name, VF, FMA)                                     \
  static float name(int64_t n) {                                  \
    VF a[CHAINS], m = (VF){0} + 0.5f, c = (VF){0} + 1.0f;         \
    float sum = 0;                                                \
    for (int k = 0; k < CHAINS; k++) a[k] = (VF){0} + (float)k;   \
    __asm__("" : "+x"(m), "+x"(c)); /* unknown to the compiler */ \
    for (int64_t i = 0; i < n; i++)                               \
      for (int k = 0; k < CHAINS; k++) a[k] = FMA(a[k], m, c);    \
    for (int k = 0; k < CHAINS; k++) sum += a[k][0];              \
    return sum;                                                   \
  }

typedef float v4 __attribute__((vector_size(16)));
#define MUL_ADD(a, m, c) ((a) * (m) + (c))
KERNEL(base_chains, v4, MUL_ADD)

#if defined(__x86_64__)
PC_AVX2_BEGIN
#define FMA256(a, m, c) _mm256_fmadd_ps(a, m, c)
KERNEL(avx2_chains, __m256, FMA256)
PC_TARGET_END

PC_AVX512_BEGIN
#define FMA512(a, m, c) _mm512_fmadd_ps(a, m, c)
KERNEL(avx512_chains, __m512, FMA512)
PC_TARGET_END
#endif

typedef struct job {
  double seconds, gflops; /* asked for; the sum over threads */
} job;

static double thread_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float chains(pc_tier tier, int64_t n, int *lanes) {
#if defined(__x86_64__)
  if (tier == PC_TIER_AVX512) return *lanes = 16, avx512_chains(n);
  if (tier == PC_TIER_AVX2) return *lanes = 8, avx2_chains(n);
#endif
  return *lanes = 4, base_chains(n);
}

/* The best of many short stretches: an interrupt or a change of clock spoils only one. */
static void measure(int64_t begin, int64_t end, void *ctx) {
  enum { STRETCH = 200000 };
  job *j = ctx;
  double start = thread_seconds(), last = start, now = start, best = 0;
  pc_tier tier = pc_cpu_tier();
  volatile float keep = 0;
  int lanes;
  while (now - start < j->seconds || best == 0) {
    keep += chains(tier, STRETCH, &lanes);
    now = thread_seconds();
    double rate = now > last ? 2.0 * CHAINS * lanes * STRETCH / (now - last) * 1e-9 : 0;
    if (rate > best) best = rate;
    last = now;
  }
  (void)keep;
#pragma omp atomic
  j->gflops += best;
}

double pc_fma_peak(double seconds) {
  job j = {seconds > 0 ? seconds : 0.1, 0};
  pc_parallel_for(pc_num_threads(), 1, measure, &j);
  return j.gflops;
}
