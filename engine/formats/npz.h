/* npz.h: named arrays in one file: a zip archive of .npy files, as
 * numpy.savez and savez_compressed write it.
 *
 * Reads stored and deflated entries, zip64 where sizes demand it; entries that
 * are no .npy files are passed over. Checked: the directory and every entry lie
 * inside the file, entries do not overlap, names are distinct, sizes and CRC-32 agree,
 * no entry claims more than deflate can unpack. Encrypted, split and other
 * archives are refused. Errors are PC_EFORMAT "path: reason".
 */
#ifndef PC_FORMATS_NPZ_H
#define PC_FORMATS_NPZ_H

#include <stddef.h>

#include "formats/bundle.h"

typedef struct pc_npz_opts {
  int deflate; /* compress */
  int zip64;   /* use the 64-bit records even where sizes do not demand them */
} pc_npz_opts;

int pc_npz_read(pc_bundle **out, const char *path);
/* Arrays of types that cannot be read (Python objects, complex numbers) are left out, and named, "a, b", in the
 * bundle's metadata "left_out". */
int pc_npz_read_known(pc_bundle **out, const char *path);
int pc_npz_parse(pc_bundle **out, const void *data, size_t n, const char *name);
/* Metadata of the bundle has no place in an npz and is left out. Same bundle, same bytes. opts may be NULL. */
int pc_npz_write(const char *path, const pc_bundle *b, const pc_npz_opts *opts);

#endif
