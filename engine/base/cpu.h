/* cpu.h: which SIMD tier runs. Chosen once: the best the CPU has, or what the
 * environment asks for (PERCEPT_TIER=ref|base|avx2|avx512), so that a user can
 * ask "does it happen with ref?". `ref` also selects the plain reference loop
 * of every heavy op. */
#ifndef PC_BASE_CPU_H
#define PC_BASE_CPU_H

typedef enum pc_tier { PC_TIER_REF, PC_TIER_BASE, PC_TIER_AVX2, PC_TIER_AVX512 } pc_tier;

pc_tier pc_cpu_tier(void);
pc_tier pc_cpu_best(void); /* the best this CPU can run */
/* For tests: forces a tier; PC_EARG if the CPU cannot run it. */
int pc_cpu_set_tier(pc_tier tier);
const char *pc_tier_name(pc_tier tier); /* "ref", "base", "avx2", "avx512" */

#endif
