#include "tensor/gemm/transpose.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/cpu.h"

enum { AHEAD = 16 }; /* rows */

static void plain(float *restrict to, int64_t ldt, const float *restrict from, int64_t ldf, int64_t rows,
                  int64_t cols) {
  for (int64_t j = 0; j < cols; j++)
    for (int64_t i = 0; i < rows; i++) to[j * ldt + i] = from[i * ldf + j];
}

#if defined(__x86_64__)
/* Pairs of rows are interleaved, then pairs of pairs, then halves are swapped. */
__attribute__((target("avx2"))) static void eight(float *to, int64_t ldt, const float *from, int64_t ldf) {
  __m256 r[8], t[8];
  for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(from + i * ldf);
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * ldt, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * ldt, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

__attribute__((target("avx2"))) static void blocks(float *to, int64_t ldt, const float *from, int64_t ldf, int64_t rows,
                                                   int64_t cols) {
  int64_t r8 = rows / 8 * 8, c8 = cols / 8 * 8;
  for (int64_t i = 0; i < r8; i += 8) {
    for (int64_t r = i + AHEAD; r < i + AHEAD + 8 && r < rows; r++) /* short rows far apart: no stream to foresee */
      for (int64_t j = 0; j < cols; j += 16) __builtin_prefetch(from + r * ldf + j);
    for (int64_t j = 0; j < c8; j += 8) eight(to + j * ldt + i, ldt, from + i * ldf + j, ldf);
  }
  plain(to + r8, ldt, from + r8 * ldf, ldf, rows - r8, cols);
  plain(to + c8 * ldt, ldt, from + c8, ldf, r8, cols - c8);
}
#endif

void pc_transpose_f32(float *to, int64_t ldt, const float *from, int64_t ldf, int64_t rows, int64_t cols) {
#if defined(__x86_64__)
  if (pc_cpu_tier() >= PC_TIER_AVX2) {
    blocks(to, ldt, from, ldf, rows, cols);
    return;
  }
#endif
  plain(to, ldt, from, ldf, rows, cols);
}
