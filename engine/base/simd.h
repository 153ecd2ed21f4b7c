/* simd.h: what is compiled for more than the baseline, for gcc and clang.
 * PC_CLONES before a function has its loops compiled for AVX2, too; the
 * loader picks. Only for loops whose result does not depend on vector width
 * (no reductions; the compiler contracts nothing into fused multiply-adds), so
 * that every CPU gives the same bits. Left out under the address sanitizer,
 * which is not up yet when the loader asks, and under clang 14, which gives
 * static functions of one name in two files one resolver. PC_IVDEP: operands
 * are the same or do not overlap. */
#ifndef PC_BASE_SIMD_H
#define PC_BASE_SIMD_H

#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PC_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define PC_CLONES
#endif
#if defined(__clang__)
#define PC_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* a loop that stays as it is */
#else
#define PC_IVDEP _Pragma("GCC ivdep")
#endif

/* PC_AVX2_BEGIN ... PC_TARGET_END: functions between are compiled for that tier; only code that
 * asked pc_cpu_tier() may call them. */
#if defined(__clang__)
#define PC_AVX2_BEGIN _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to=function)")
// clang-format off
#define PC_AVX512_BEGIN _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512dq,avx512bw,avx512vl,avx2,fma\"))), apply_to=function)")
// clang-format on
#define PC_TARGET_END _Pragma("clang attribute pop")
#else
#define PC_AVX2_BEGIN _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,fma\")")
#define PC_AVX512_BEGIN \
  _Pragma("GCC push_options") _Pragma("GCC target(\"avx512f,avx512dq,avx512bw,avx512vl,avx2,fma\")")
#define PC_TARGET_END _Pragma("GCC pop_options")
#endif

/* &avx512_x, &avx2_x or &base_x: what the current tier runs; with base/cpu.h. */
#if defined(__x86_64__)
#define PC_BY_TIER(x) \
  (pc_cpu_tier() == PC_TIER_AVX512 ? &avx512_##x : pc_cpu_tier() == PC_TIER_AVX2 ? &avx2_##x : &base_##x)
#else
#define PC_BY_TIER(x) (&base_##x)
#endif

#endif
