/* simd.h: one body, compiled once a tier.
 *
 *   PC_TIERED(scale, (float *y, const float *x, int64_t n), (y, x, n)) { ...body... }
 * defines static void scale(...), which runs the body built for pc_cpu_tier():
 * AVX-512, AVX2 + FMA or the x86-64 baseline (also for the reference tier:
 * callers branch to their plain loop before). The body may use pc_vf, sixteen
 * floats, which the compiler maps to whatever registers the tier has.
 * Include last: it lets a*b+c contract to FMA in the file that includes it.
 */
#ifndef PC_TENSOR_SIMD_H
#define PC_TENSOR_SIMD_H

#include <string.h>

#include "base/cpu.h"

#pragma GCC optimize("fp-contract=fast")
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float pc_vf __attribute__((vector_size(64)));
typedef float pc_vhalf __attribute__((vector_size(32)));
enum { PC_LANES = 16 };

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

PC_INLINE pc_vf pc_vset(float x) { return (pc_vf){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

PC_INLINE float pc_vsum(const pc_vf *v) { /* by address: vectors are not passed across tiers */
  pc_vhalf h[2];
  memcpy(h, v, sizeof h);
  h[0] += h[1];
  float s[PC_LANES / 2];
  memcpy(s, h, sizeof s);
  return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
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
