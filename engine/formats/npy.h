/* npy.h: one array a file, NumPy's .npy format.
 *
 * Reads versions 1 to 3, C and Fortran order, little and big endian, of the
 * types in formats/raw.h; the tensor is contiguous. Structured, complex,
 * object and unsigned 64-bit arrays are refused by name. Writes version 1,
 * little endian, C order. Malformed files are PC_EFORMAT "path: reason",
 * types without a place here PC_EDTYPE.
 */
#ifndef PC_FORMATS_NPY_H
#define PC_FORMATS_NPY_H

#include <stddef.h>

#include "tensor/tensor.h"

int pc_npy_read(pc_tensor **out, const char *path);
int pc_npy_parse(pc_tensor **out, const void *data, size_t n, const char *name);
int pc_npy_write(const char *path, const pc_tensor *t);

/* The header for t (version 1, a multiple of 64 bytes). Returns its length. */
#define PC_NPY_HEADER_MAX 512
size_t pc_npy_header(char out[PC_NPY_HEADER_MAX], const pc_tensor *t);

#endif
