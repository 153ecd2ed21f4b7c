#include "tensor/gemm/gemm_kernel.h"

#include <stddef.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/cpu.h"
#include "base/simd.h"

#define ROWS6(X)  X(1) X(2) X(3) X(4) X(5) X(6)
#define ROWS12(X) ROWS6(X) X(7) X(8) X(9) X(10) X(11) X(12)

#define ROWS         ROWS6
#define MR_OF_TIER   6
#define W            4
#define N(name)      base_##name
#define FMA(a, b, c) ((a) * (b) + (c))
#include "tensor/gemm/gemm_kernel.inc"
#undef W
#undef N
#undef FMA

#if defined(__x86_64__)
PC_AVX2_BEGIN
#define W             8
#define N(name)       avx2_##name
#define FMA(a, b, c)  ((N(vf))_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define HALF(a, b, c) ((N(vh))_mm_fmadd_ps((__m128)(a), (__m128)(b), (__m128)(c)))
#include "tensor/gemm/gemm_kernel.inc"
#undef W
#undef N
#undef FMA
#undef HALF
#undef ROWS
#undef MR_OF_TIER
PC_TARGET_END

PC_AVX512_BEGIN
#define ROWS          ROWS12
#define MR_OF_TIER    12
#define W             16
#define N(name)       avx512_##name
#define FMA(a, b, c)  ((N(vf))_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define HALF(a, b, c) ((N(vh))_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#include "tensor/gemm/gemm_kernel.inc"
PC_TARGET_END
#endif

const pc_kernel *pc_gemm_kernel(void) { return PC_BY_TIER(kernel); }
