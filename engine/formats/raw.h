/* raw.h: the number types of files, and their bytes turned into tensors.
 *
 * A file's type that the engine lacks is widened without loss: f16, bf16 to
 * f32; i8, i16, u16 to i32; u32 to i64; bool to u8 (0 or 1). u64, complex and
 * 8-bit floats have no place to go and are refused by the readers.
 */
#ifndef PC_FORMATS_RAW_H
#define PC_FORMATS_RAW_H

#include <stdint.h>

#include "tensor/tensor.h"

typedef enum pc_raw {
  PC_RAW_F16,
  PC_RAW_BF16,
  PC_RAW_F32,
  PC_RAW_F64,
  PC_RAW_I8,
  PC_RAW_I16,
  PC_RAW_I32,
  PC_RAW_I64,
  PC_RAW_U8,
  PC_RAW_U16,
  PC_RAW_U32,
  PC_RAW_BOOL,
  PC_RAW_COUNT
} pc_raw;

int pc_raw_size(pc_raw kind);       /* bytes in the file */
pc_dtype pc_raw_dtype(pc_raw kind); /* what it becomes */
pc_raw pc_raw_of(pc_dtype d);       /* how a dtype is written */
/* n elements; `swap`: the file has the other byte order. src needs no alignment. */
void pc_raw_convert(void *dst, const void *src, int64_t n, pc_raw kind, int swap);
/* Bytes of a tensor of that shape in the file; PC_EFORMAT "name: what: reason"
 * when a size is negative, there are too many, or the product overflows. */
int pc_raw_bytes(int64_t *out, pc_raw kind, int64_t ndim, const int64_t *size, const char *name, const char *what);

float pc_f16_to_f32(uint16_t h);
float pc_bf16_to_f32(uint16_t h);

#endif
