/* bundle.h: named tensors in order, and a map of strings: what an npz, a
 * safetensors file or a checkpoint holds.
 *
 * Names and keys are distinct. The bundle holds a reference to each tensor
 * (no copy): what is written is what the tensor holds then.
 */
#ifndef PC_FORMATS_BUNDLE_H
#define PC_FORMATS_BUNDLE_H

#include <stdint.h>

#include "tensor/tensor.h"

typedef struct pc_bundle pc_bundle;

int pc_bundle_new(pc_bundle **out);
void pc_bundle_free(pc_bundle *b); /* accepts NULL */

int pc_bundle_add(pc_bundle *b, const char *name, pc_tensor *t); /* PC_EARG when the name is there already */
int64_t pc_bundle_count(const pc_bundle *b);
const char *pc_bundle_name(const pc_bundle *b, int64_t i);
pc_tensor *pc_bundle_tensor(const pc_bundle *b, int64_t i);               /* borrowed */
pc_tensor *pc_bundle_find(const pc_bundle *b, const char *name);          /* borrowed; NULL: none */
int pc_bundle_get(pc_tensor **out, const pc_bundle *b, const char *name); /* new reference; PC_ENOTFOUND lists names */

/* Metadata. Setting an existing key replaces its value. */
int pc_bundle_set(pc_bundle *b, const char *key, const char *value);
int pc_bundle_setf(pc_bundle *b, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int64_t pc_bundle_nmeta(const pc_bundle *b);
const char *pc_bundle_key(const pc_bundle *b, int64_t i);
const char *pc_bundle_value(const pc_bundle *b, int64_t i);
const char *pc_bundle_meta(const pc_bundle *b, const char *key); /* NULL: none */

/* Numbers in the metadata: "1 2 3"; f64 as %.17g, which reads back exactly.
 * The get forms: PC_ENOTFOUND without the key, PC_EFORMAT when it does not
 * hold exactly n numbers. */
int pc_bundle_set_u64(pc_bundle *b, const char *key, const uint64_t *v, int n);
int pc_bundle_get_u64(uint64_t *v, int n, const pc_bundle *b, const char *key);
int pc_bundle_set_f64(pc_bundle *b, const char *key, const double *v, int n);
int pc_bundle_get_f64(double *v, int n, const pc_bundle *b, const char *key);

#endif
