#include "plot/ink.h"

static const struct {
  const char *name;
  uint32_t light, dark;
} roles[] = {{"none", 0, 0},
             {"ground", 0xffffff, 0x0f1419},
             {"text", 0x1c2430, 0xe6e9ee},
             {"muted", 0x5b6675, 0x9aa5b4},
             {"axis", 0x8d97a5, 0x667080},
             {"grid", 0xe6e9ee, 0x262d37},
             {"frame", 0xd1242f, 0xff6b6b}};

static const struct {
  const char *name;
  uint32_t light, dark;
} series[PC_SERIES_COLORS] = {{"s0", 0x0072b2, 0x4fb0ee}, {"s1", 0xd55e00, 0xff8f4a}, {"s2", 0x009e73, 0x35cfa2},
                              {"s3", 0xcc79a7, 0xe9a1c9}, {"s4", 0xe69f00, 0xf5c04d}, {"s5", 0x56b4e9, 0xa3dcff},
                              {"s6", 0x6b7280, 0xaab2bf}};

uint32_t pc_ink_rgb(uint32_t ink, int dark) {
  if (ink & PC_INK_RGB) return ink & 0xffffff;
  if (ink >= PC_INK_SERIES) {
    uint32_t k = (ink - PC_INK_SERIES) % PC_SERIES_COLORS;
    return dark ? series[k].dark : series[k].light;
  }
  if (ink > PC_INK_FRAME) ink = PC_INK_NONE;
  return dark ? roles[ink].dark : roles[ink].light;
}

const char *pc_ink_name(uint32_t ink) {
  if (ink & PC_INK_RGB) return NULL;
  if (ink >= PC_INK_SERIES) return series[(ink - PC_INK_SERIES) % PC_SERIES_COLORS].name;
  return roles[ink <= PC_INK_FRAME ? ink : PC_INK_NONE].name;
}

uint32_t pc_contrast_ink(uint32_t rgb) { return PC_INK_RGB | pc_contrast_rgb(rgb); }
