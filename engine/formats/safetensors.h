/* safetensors.h: named tensors in one file: 8 bytes of header length (little
 * endian), a JSON header {name: {dtype, shape, data_offsets}, "__metadata__":
 * {string: string}}, then the bytes.
 *
 * Read: F64 F32 F16 BF16 I64 I32 I16 I8 U32 U16 U8 BOOL (see formats/raw.h for
 * what they become). The data offsets have to cover the bytes behind the header
 * without gap, overlap or excess, each fitting its shape; keys are distinct;
 * else PC_EFORMAT "path: reason". Written: F64 I64 F32 I32 U8, wider types first and the
 * header padded to 8, so that every tensor is aligned to its type.
 */
#ifndef PC_FORMATS_SAFETENSORS_H
#define PC_FORMATS_SAFETENSORS_H

#include <stddef.h>

#include "formats/bundle.h"

int pc_safetensors_read(pc_bundle **out, const char *path);
int pc_safetensors_parse(pc_bundle **out, const void *data, size_t n, const char *name);
int pc_safetensors_write(const char *path, const pc_bundle *b);

#endif
