#include "base/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static const char *const names[] = {"ref", "base", "avx2", "avx512"};
static int tier = -1;

pc_tier pc_cpu_best(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    return PC_TIER_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return PC_TIER_AVX2;
  return PC_TIER_BASE;
}

static int from_environment(void) {
  pc_tier best = pc_cpu_best();
  const char *e = getenv("PERCEPT_TIER");
  for (int i = 0; e && i <= (int)best; i++)
    if (!strcmp(e, names[i])) return i;
  return (int)best; /* unknown, or more than this CPU has */
}

pc_tier pc_cpu_tier(void) {
  if (tier < 0) tier = from_environment();
  return (pc_tier)tier;
}

int pc_cpu_set_tier(pc_tier t) {
  if ((int)t < 0 || t > pc_cpu_best())
    return pc_fail(PC_EARG, "tier %s: this CPU has %s at best", pc_tier_name(t), pc_tier_name(pc_cpu_best()));
  tier = (int)t;
  return PC_OK;
}

const char *pc_tier_name(pc_tier t) { return (unsigned)t < 4 ? names[t] : "?"; }
