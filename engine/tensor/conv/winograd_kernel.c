#include "tensor/conv/winograd_kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/cpu.h"
#include "base/simd.h"

/* The points a and b, what their transforms are made of, and the norms of G (winograd_kernel.inc). */
#define PA   0.75f
#define PB   1.5f
#define AA   (PA * PA)
#define BB   (PB * PB)
#define AABB (AA * BB)
#define NA   (2 * AA * (AA - BB))
#define NB   (2 * BB * (BB - AA))

#define W            4
#define N(name)      base_##name
#define FMA(a, b, c) ((a) * (b) + (c))
#define KEEP(v, m)   ((base_vf)((base_vi)(v) & ((base_vi){(m)[0], (m)[1], (m)[2], (m)[3]} != 0)))
#include "tensor/conv/winograd_kernel.inc"
#undef W
#undef N
#undef FMA
#undef KEEP

#if defined(__x86_64__)
PC_AVX2_BEGIN
#define W            8
#define N(name)      avx2_##name
#define FMA(a, b, c) ((N(vf))_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define KEEP(v, m)   ((N(vf))((N(vi))(v) & ((N(vi))_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(m))) != 0)))
#include "tensor/conv/winograd_kernel.inc"
#undef W
#undef N
#undef FMA
#undef KEEP
PC_TARGET_END

PC_AVX512_BEGIN
#define W            16
#define N(name)      avx512_##name
#define FMA(a, b, c) ((N(vf))_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define LANES(m)     _mm_cmpneq_epi8_mask(_mm_loadu_si128((const __m128i *)(m)), _mm_setzero_si128())
#define KEEP(v, m)   ((N(vf))_mm512_maskz_mov_ps(LANES(m), (__m512)(v)))
#include "tensor/conv/winograd_kernel.inc"
PC_TARGET_END
#endif

const pc_wg_kernel *pc_winograd_kernel(void) { return PC_BY_TIER(kernel); }
