/* simd.h: one body, compiled once a tier.
 *
 *   PC_TIERED(scale, (float *y, const float *x, int64_t n), (y, x, n)) { ...body... }
 * defines static void scale(...), which runs the body built for pc_cpu_tier():
 * AVX-512, AVX2 + FMA or the x86-64 baseline (also for the reference tier:
 * callers branch to their plain loop before). The body may use pc_vf, eight
 * floats.
 * Include last: it lets a*b+c contract to FMA in the file that includes it.
 */
#ifndef PC_TENSOR_SIMD_H
#define PC_TENSOR_SIMD_H

#include <string.h>

#include "base/cpu.h"

#if !defined(__clang__) /* contracts by itself */
#pragma GCC optimize("fp-contract=fast")
#endif
#pragma GCC diagnostic ignored "-Wpsabi"

/* Eight: a register of AVX2. Vectors wider than a tier's registers live in memory there, so
 * that AVX-512, whose wider ones would halve the work of some loops, is held to eight, too. */
typedef float pc_vf __attribute__((vector_size(32)));
typedef int pc_vi __attribute__((vector_size(32)));
enum { PC_LANES = 8 };

#define PC_INLINE static inline __attribute__((always_inline, unused))

PC_INLINE pc_vf pc_vload(const float *p) {
  pc_vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

#define pc_vstore(p, v)                \
  do {                                 \
    pc_vf pc_v_ = (v);                 \
    memcpy((p), &pc_v_, sizeof pc_v_); \
  } while (0)

PC_INLINE pc_vf pc_vset(float x) { return x - (pc_vf){0}; } /* one broadcast; eight times x may become eight inserts */

PC_INLINE float pc_vsum(const pc_vf *v) { /* by address: vectors are not passed across tiers */
  pc_vf s = *v + __builtin_shufflevector(*v, *v, 4, 5, 6, 7, 0, 1, 2, 3);
  s += __builtin_shufflevector(s, s, 2, 3, 0, 1, 6, 7, 4, 5);
  s += __builtin_shufflevector(s, s, 1, 0, 3, 2, 5, 4, 7, 6);
  return s[0];
}

#define PC_TIERED(name, params, args)                                                                       \
  PC_INLINE void name##_body params;                                                                        \
  __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))) static void name##_avx512 params { \
    name##_body args;                                                                                       \
  }                                                                                                         \
  __attribute__((target("avx2,fma"))) static void name##_avx2 params { name##_body args; }                  \
  static void name##_base params { name##_body args; }                                                      \
  static void name params {                                                                                 \
    switch (pc_cpu_tier()) {                                                                                \
      case PC_TIER_AVX512: name##_avx512 args; break;                                                       \
      case PC_TIER_AVX2: name##_avx2 args; break;                                                           \
      default: name##_base args;                                                                            \
    }                                                                                                       \
  }                                                                                                         \
  PC_INLINE void name##_body params

#endif
