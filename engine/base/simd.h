/* simd.h: PC_CLONES before a function has its loops compiled for AVX2, too; the
 * loader picks. Only for loops whose result does not depend on vector width
 * (no reductions; the compiler contracts nothing into fused multiply-adds), so
 * that every CPU gives the same bits. Left out under the address sanitizer,
 * which is not up yet when the loader asks. PC_IVDEP: operands are the same or
 * do not overlap. */
#ifndef PC_BASE_SIMD_H
#define PC_BASE_SIMD_H

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PC_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define PC_CLONES
#endif
#define PC_IVDEP _Pragma("GCC ivdep")

#endif
