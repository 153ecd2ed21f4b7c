#include "base/rng.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/simd.h"

/* Philox4x32-10: Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
 * as 1, 2, 3", SC'11. Multipliers, key increments and 10 rounds from there. */
void pc_rng_philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]) {
  uint32_t k0 = key[0], k1 = key[1], c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];
  for (int r = 0; r < 10; r++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void pc_rng_block(uint64_t seed, uint64_t counter, uint32_t out[4]) {
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const uint32_t ctr[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
  pc_rng_philox(key, ctr, out);
}

static pc_rng global;

pc_rng *pc_rng_global(void) { return &global; }
void pc_rng_seed(pc_rng *g, uint64_t seed) { *g = (pc_rng){.seed = seed}; }

/* ---- single numbers: a block each ---- */

static uint64_t join(uint32_t lo, uint32_t hi) { return (uint64_t)hi << 32 | lo; }

uint64_t pc_rng_next(pc_rng *g) {
  uint32_t o[4];
  pc_rng_block(g->seed, g->counter++, o);
  return join(o[0], o[1]);
}

static double unit53(uint64_t u) { return (double)(u >> 11) * 0x1p-53; } /* [0,1) */
static float unit24(uint32_t u) { return (float)(u >> 8) * 0x1p-24f; }   /* [0,1) */

double pc_rng_uniform(pc_rng *g) { return unit53(pc_rng_next(g)); }

/* Lemire's multiply-shift; the few values that would make it uneven are drawn again. */
int64_t pc_rng_below(pc_rng *g, int64_t n) {
  uint64_t un = (uint64_t)n, floor_ = (0 - un) % un;
  for (;;) {
    unsigned __int128 m = (unsigned __int128)pc_rng_next(g) * un;
    if ((uint64_t)m >= floor_) return (int64_t)(m >> 64);
  }
}

void pc_rng_permutation(pc_rng *g, int64_t *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    if ((i & 0xffff) == 0 && pc_should_stop()) return;
    x[i] = i;
  }
  for (int64_t i = n - 1; i > 0; i--) {
    if ((i & 0xffff) == 0 && pc_should_stop()) return;
    int64_t j = pc_rng_below(g, i + 1), t = x[i];
    x[i] = x[j];
    x[j] = t;
  }
}

/* ---- arrays: 4 floats or 2 wide numbers a block, the last block perhaps cut ---- */

typedef struct fill {
  pc_rng g;
  void *x;
  int64_t n, lo;
  uint64_t range;
} fill;

enum { GRAIN = 4096 }; /* blocks */

static void run(pc_rng *g, void *x, int64_t n, int per, fill *f, pc_range_fn fn) {
  int64_t blocks = (n + per - 1) / per;
  f->g = *g;
  f->x = x;
  f->n = n;
  pc_parallel_for(blocks, GRAIN, fn, f);
  g->counter += (uint64_t)blocks;
}

/* What a block makes of its 4 words. */
static void uniform_f32(float *v, const uint32_t *o, const fill *f) {
  for (int k = 0; k < 4; k++) v[k] = unit24(o[k]);
}

static void uniform_f64(double *v, const uint32_t *o, const fill *f) {
  v[0] = unit53(join(o[0], o[1])), v[1] = unit53(join(o[2], o[3]));
}

/* Uneven by range / 2^64 at most, which buys a fixed number of blocks. */
static void below_i64(int64_t *v, const uint32_t *o, const fill *f) {
  for (int k = 0; k < 2; k++)
    v[k] = f->lo + (int64_t)((unsigned __int128)join(o[2 * k], o[2 * k + 1]) * f->range >> 64);
}

/* Box-Muller: u in (0,1] for the radius, v in [0,1) for the angle. */
static void normal_f32(float *v, const uint32_t *o, const fill *f) {
  for (int k = 0; k < 4; k += 2) {
    float r = sqrtf(-2 * logf(unit24(o[k]) + 0x1p-24f)), t = 6.28318530718f * unit24(o[k + 1]);
    v[k] = r * cosf(t);
    v[k + 1] = r * sinf(t);
  }
}

static void normal_f64(double *v, const uint32_t *o, const fill *f) {
  double r = sqrt(-2 * log(unit53(join(o[0], o[1])) + 0x1p-53));
  double t = 6.283185307179586476925 * unit53(join(o[2], o[3]));
  v[0] = r * cos(t), v[1] = r * sin(t);
}

/* Blocks counter .. counter + BATCH - 1, word by word: o[w][i] is word w of block i. Loops over i are vectors. */
enum { BATCH = 32 };
static PC_CLONES void batch(uint64_t seed, uint64_t counter, uint32_t o[4][BATCH]) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < BATCH; i++) {
    uint64_t c = counter + (uint64_t)i;
    o[0][i] = (uint32_t)c, o[1][i] = (uint32_t)(c >> 32), o[2][i] = 0, o[3][i] = 0;
  }
  for (int r = 0; r < 10; r++) {
    for (int i = 0; i < BATCH; i++) {
      uint64_t p0 = (uint64_t)0xD2511F53u * o[0][i], p1 = (uint64_t)0xCD9E8D57u * o[2][i];
      o[0][i] = (uint32_t)(p1 >> 32) ^ o[1][i] ^ k0;
      o[2][i] = (uint32_t)(p0 >> 32) ^ o[3][i] ^ k1;
      o[1][i] = (uint32_t)p1;
      o[3][i] = (uint32_t)p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

#define FILL(name, type, per)                                                \
  static void fill_##name(int64_t begin, int64_t end, void *ctx) {           \
    const fill *f = ctx;                                                     \
    type *x = f->x, v[per];                                                  \
    uint32_t w[4][BATCH];                                                    \
    for (int64_t b = begin; b < end; b += BATCH) {                           \
      batch(f->g.seed, f->g.counter + (uint64_t)b, w);                       \
      for (int i = 0; i < BATCH && b + i < end; i++) {                       \
        const uint32_t o[4] = {w[0][i], w[1][i], w[2][i], w[3][i]};          \
        int64_t at = (b + i) * per, left = f->n - at;                        \
        name(v, o, f);                                                       \
        memcpy(x + at, v, sizeof(type) * (size_t)(left < per ? left : per)); \
      }                                                                      \
    }                                                                        \
  }
FILL(uniform_f32, float, 4)
FILL(uniform_f64, double, 2)
FILL(below_i64, int64_t, 2)
FILL(normal_f32, float, 4)
FILL(normal_f64, double, 2)

void pc_rng_fill_uniform_f32(pc_rng *g, float *x, int64_t n) { run(g, x, n, 4, &(fill){0}, fill_uniform_f32); }
void pc_rng_fill_uniform_f64(pc_rng *g, double *x, int64_t n) { run(g, x, n, 2, &(fill){0}, fill_uniform_f64); }
void pc_rng_fill_normal_f32(pc_rng *g, float *x, int64_t n) { run(g, x, n, 4, &(fill){0}, fill_normal_f32); }
void pc_rng_fill_normal_f64(pc_rng *g, double *x, int64_t n) { run(g, x, n, 2, &(fill){0}, fill_normal_f64); }
void pc_rng_fill_below_i64(pc_rng *g, int64_t *x, int64_t n, int64_t lo, int64_t hi) {
  run(g, x, n, 2, &(fill){.lo = lo, .range = (uint64_t)(hi - lo)}, fill_below_i64);
}
