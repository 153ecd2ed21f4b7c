/* convert.h: one number from one dtype to another. To float: rounded. Float to
 * integer: cut towards zero; what does not fit is defined here, since C leaves
 * it open: NaN becomes 0, i64 and i32 take the nearest number they hold, u8
 * keeps the low 8 bits (as integers to narrower integers do, as in NumPy). Who
 * gives a number is told instead: pc_check_fits in tensor.h. */
#ifndef PC_TENSOR_CONVERT_H
#define PC_TENSOR_CONVERT_H

#include <stdint.h>

static inline int64_t pc_f64_to_i64(double x) {
  return x >= -0x1p63 ? x < 0x1p63 ? (int64_t)x : INT64_MAX : x < 0 ? INT64_MIN : 0;
}
static inline int32_t pc_f64_to_i32(double x) {
  return x > -0x1p31 - 1 ? x < 0x1p31 ? (int32_t)x : INT32_MAX : x < 0 ? INT32_MIN : 0;
}
/* The middle range covers every picture; it vectorises as one 32-bit conversion. */
static inline uint8_t pc_f32_to_u8(float x) {
  return (uint8_t)(x > -0x1p31f && x < 0x1p31f ? (int32_t)x : (int32_t)(uint8_t)pc_f64_to_i64((double)x));
}
static inline uint8_t pc_f64_to_u8(double x) { return (uint8_t)pc_f64_to_i64(x); }
static inline int64_t pc_f32_to_i64(float x) { return pc_f64_to_i64((double)x); }
static inline int32_t pc_f32_to_i32(float x) { return pc_f64_to_i32((double)x); }

#define PC_CAST(s, S, d, D) \
  static inline D pc_##s##_to_##d(S x) { return (D)x; }
PC_CAST(f32, float, f32, float)
PC_CAST(f32, float, f64, double)
PC_CAST(f64, double, f32, float)
PC_CAST(f64, double, f64, double)
PC_CAST(i64, int64_t, f32, float)
PC_CAST(i64, int64_t, f64, double)
PC_CAST(i64, int64_t, i64, int64_t)
PC_CAST(i64, int64_t, i32, int32_t)
PC_CAST(i64, int64_t, u8, uint8_t)
PC_CAST(i32, int32_t, f32, float)
PC_CAST(i32, int32_t, f64, double)
PC_CAST(i32, int32_t, i64, int64_t)
PC_CAST(i32, int32_t, i32, int32_t)
PC_CAST(i32, int32_t, u8, uint8_t)
PC_CAST(u8, uint8_t, f32, float)
PC_CAST(u8, uint8_t, f64, double)
PC_CAST(u8, uint8_t, i64, int64_t)
PC_CAST(u8, uint8_t, i32, int32_t)
PC_CAST(u8, uint8_t, u8, uint8_t)
#undef PC_CAST

#endif
