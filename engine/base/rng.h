/* rng.h: Philox 4x32-10 counter-based generators (Salmon et al., SC'11).
 *
 * A generator is (seed, counter): 16 bytes that can be saved and put back.
 * Filling n f32 numbers consumes exactly ceil(n/4) counter values, n f64 or i64
 * numbers ceil(n/2), a single draw one (pc_rng_below: more when it has to draw
 * again), whatever the number of threads; element i is a function of (seed,
 * counter, i) alone: results do not depend on threads.
 */
#ifndef PC_BASE_RNG_H
#define PC_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct pc_rng {
  uint64_t seed;    /* the Philox key */
  uint64_t counter; /* next block; advances by the blocks consumed */
} pc_rng;

pc_rng *pc_rng_global(void); /* what `manual_seed` sets; seed 0 at start */
void pc_rng_seed(pc_rng *g, uint64_t seed);

void pc_rng_block(uint64_t seed, uint64_t counter, uint32_t out[4]); /* the block `counter` of stream `seed` */
void pc_rng_philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]); /* the raw function */

uint64_t pc_rng_next(pc_rng *g);                               /* 64 random bits */
double pc_rng_uniform(pc_rng *g);                              /* [0,1) */
int64_t pc_rng_below(pc_rng *g, int64_t n);                    /* 0..n-1, unbiased; n >= 1 */
void pc_rng_fill_uniform_f32(pc_rng *g, float *x, int64_t n);  /* [0,1) */
void pc_rng_fill_uniform_f64(pc_rng *g, double *x, int64_t n); /* [0,1) */
void pc_rng_fill_normal_f32(pc_rng *g, float *x, int64_t n);   /* N(0,1), Box-Muller */
void pc_rng_fill_normal_f64(pc_rng *g, double *x, int64_t n);
void pc_rng_fill_below_i64(pc_rng *g, int64_t *x, int64_t n, int64_t lo, int64_t hi); /* lo..hi-1 */
void pc_rng_permutation(pc_rng *g, int64_t *x, int64_t n);                            /* Fisher-Yates of 0..n-1 */

#endif
