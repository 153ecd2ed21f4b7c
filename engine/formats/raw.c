#include "formats/raw.h"

#include <string.h>

static const struct {
  int8_t size, dtype;
} kinds[PC_RAW_COUNT] = {
    [PC_RAW_F16] = {2, PC_F32}, [PC_RAW_BF16] = {2, PC_F32}, [PC_RAW_F32] = {4, PC_F32}, [PC_RAW_F64] = {8, PC_F64},
    [PC_RAW_I8] = {1, PC_I32},  [PC_RAW_I16] = {2, PC_I32},  [PC_RAW_I32] = {4, PC_I32}, [PC_RAW_I64] = {8, PC_I64},
    [PC_RAW_U8] = {1, PC_U8},   [PC_RAW_U16] = {2, PC_I32},  [PC_RAW_U32] = {4, PC_I64}, [PC_RAW_BOOL] = {1, PC_U8},
};

int pc_raw_size(pc_raw kind) { return kinds[kind].size; }
pc_dtype pc_raw_dtype(pc_raw kind) { return (pc_dtype)kinds[kind].dtype; }

pc_raw pc_raw_of(pc_dtype d) {
  switch (d) {
    case PC_F64: return PC_RAW_F64;
    case PC_I64: return PC_RAW_I64;
    case PC_I32: return PC_RAW_I32;
    case PC_U8: return PC_RAW_U8;
    default: return PC_RAW_F32;
  }
}

static float bits_f32(uint32_t u) {
  float f;
  memcpy(&f, &u, sizeof f);
  return f;
}

float pc_bf16_to_f32(uint16_t h) { return bits_f32((uint32_t)h << 16); }

/* 1 sign, 5 exponent (bias 15), 10 fraction -> 1, 8 (bias 127), 23 */
float pc_f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 31) return bits_f32(sign | 0x7f800000 | fraction << 13);
  if (exponent) return bits_f32(sign | (exponent + 112) << 23 | fraction << 13);
  float v = (float)fraction * 0x1p-24f; /* subnormal: exact in f32 */
  return sign ? -v : v;
}

static void load(uint8_t *to, const uint8_t *from, int size, int swap) {
  for (int k = 0; k < size; k++) to[k] = from[swap ? size - 1 - k : k];
}

void pc_raw_convert(void *dst, const void *src, int64_t n, pc_raw kind, int swap) {
  int size = kinds[kind].size, same = size == (int)pc_dtype_size(pc_raw_dtype(kind)) && kind != PC_RAW_BOOL;
  const uint8_t *p = src;
  if (same && (!swap || size == 1)) {
    if (n) memcpy(dst, src, (size_t)n * (size_t)size);
    return;
  }
  for (int64_t i = 0; i < n; i++, p += size) {
    if (same) {
      load((uint8_t *)dst + i * size, p, size, swap);
      continue;
    }
    uint8_t b[4] = {0};
    uint16_t half;
    uint32_t word;
    load(b, p, size, swap);
    memcpy(&half, b, 2);
    memcpy(&word, b, 4);
    switch (kind) {
      case PC_RAW_F16: ((float *)dst)[i] = pc_f16_to_f32(half); break;
      case PC_RAW_BF16: ((float *)dst)[i] = pc_bf16_to_f32(half); break;
      case PC_RAW_I8: ((int32_t *)dst)[i] = (int8_t)b[0]; break;
      case PC_RAW_I16: ((int32_t *)dst)[i] = (int16_t)half; break;
      case PC_RAW_U16: ((int32_t *)dst)[i] = half; break;
      case PC_RAW_U32: ((int64_t *)dst)[i] = word; break;
      default: ((uint8_t *)dst)[i] = b[0] != 0; break; /* bool */
    }
  }
}

int pc_raw_bytes(int64_t *out, pc_raw kind, int64_t ndim, const int64_t *size, const char *name, const char *what) {
  int64_t n = pc_raw_size(kind), wide = 8;
  *out = 0;
  if (ndim > PC_MAX_DIM)
    return pc_fail(PC_EFORMAT, "%s: %s has %lld dimensions; at most %d can be read", name, what, (long long)ndim,
                   PC_MAX_DIM);
  for (int64_t i = 0; i < ndim; i++) {
    if (size[i] < 0)
      return pc_fail(PC_EFORMAT, "%s: %s has a negative size: %s", name, what, pc_dims_str((int)ndim, size));
    /* zeros are left out of the check product: (0, huge, huge) has to fail as well */
    int64_t s = size[i] ? size[i] : 1;
    if (__builtin_mul_overflow(wide, s, &wide) || wide > INT64_MAX / 4)
      return pc_fail(PC_EFORMAT, "%s: %s: shape %s is too large to address", name, what, pc_dims_str((int)ndim, size));
    n *= size[i];
  }
  *out = n;
  return PC_OK;
}
