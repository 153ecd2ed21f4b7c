/* checkpoint.h: everything a run needs to go on: a safetensors file (so any
 * tool opens it) whose metadata carries a mark and a digest of its content.
 *
 * What goes in is the caller's: weights and optimiser moments as tensors;
 * step, learning-rate scalars, generators, data position as metadata. The file
 * is written under a temporary name, flushed and renamed: after a crash the
 * path holds the old checkpoint or the new one, whole. The digest covers all
 * names, shapes, bytes and metadata: a damaged file is an error, no model.
 */
#ifndef PC_FORMATS_CHECKPOINT_H
#define PC_FORMATS_CHECKPOINT_H

#include "base/rng.h"
#include "formats/bundle.h"

/* Adds the mark and the digest to b's metadata ("percept.format", "percept.digest"). */
int pc_checkpoint_write(const char *path, pc_bundle *b);
/* PC_EFORMAT when it is no checkpoint of ours, or damaged. */
int pc_checkpoint_read(pc_bundle **out, const char *path);

/* Copies tensors of b into tensors that exist: name[i] (prefixed by `prefix`,
 * or NULL) into dst[i]. Shapes and dtypes have to be equal, every name has to
 * be there, and b holds no other name with that prefix (unless `partial`).
 * All of it is checked first: on failure nothing was copied, and the message
 * names what is at odds (up to 8 lines, then a count). Bumps versions. */
int pc_checkpoint_restore(const pc_bundle *b, const char *prefix, const char *const *name, pc_tensor *const *dst,
                          int64_t n, int partial);

int pc_checkpoint_put_rng(pc_bundle *b, const char *key, const pc_rng *g);
int pc_checkpoint_get_rng(pc_rng *g, const pc_bundle *b, const char *key);

#endif
