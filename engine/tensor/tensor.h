/* tensor.h: n-dimensional arrays over shared, reference-counted storage.
 *
 * Invariants
 *  - A tensor is a view: storage + element offset + sizes + strides (in
 *    elements; 0 for a broadcast dimension). Views of one storage share its
 *    bytes and its version counter; writing through any of them is seen by all.
 *  - 0 <= ndim <= PC_MAX_DIM; sizes may be 0; a 0-dim tensor is a scalar.
 *  - Images are (N,H,W,C). Row-major is "contiguous".
 *  - C counts dims and offsets from 0. Index *tensors* (gather, index_select,
 *    argmax, sort, class labels) hold positions counted from PC_INDEX_BASE,
 *    as the language above does: the one place where this is decided.
 *  - Booleans are u8 with 0 or 1.
 * Ownership: every pc_tensor* returned through `out` is a new reference of the
 * caller (pc_tensor_release). References are not atomic: handles belong to the
 * main thread; worker threads only touch data.
 * Nothing here knows of gradients: `ad` is an opaque slot for engine/grad.
 */
#ifndef PC_TENSOR_TENSOR_H
#define PC_TENSOR_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PC_MAX_DIM    8
#define PC_INDEX_BASE 1

/* enum name, C type, name, is float */
#define PC_DTYPE_MAP(X)        \
  X(PC_F32, float, "f32", 1)   \
  X(PC_F64, double, "f64", 1)  \
  X(PC_I64, int64_t, "i64", 0) \
  X(PC_I32, int32_t, "i32", 0) \
  X(PC_U8, uint8_t, "u8", 0)

typedef enum pc_dtype {
#define X(e, t, n, f) e,
  PC_DTYPE_MAP(X)
#undef X
      PC_DTYPE_COUNT
} pc_dtype;

size_t pc_dtype_size(pc_dtype d);
const char *pc_dtype_name(pc_dtype d);
int pc_dtype_is_float(pc_dtype d);
int pc_dtype_parse(pc_dtype *out, const char *name); /* "f32", also "float", "double", "long", "int", "byte", "bool" */
/* NumPy/PyTorch promotion: float beats int, wider beats narrower. */
pc_dtype pc_dtype_promote(pc_dtype a, pc_dtype b);

/* Whose memory it is. Only the host's is there; a backend that works in memory of its own registers it. */
typedef uint8_t pc_device;
enum { PC_CPU };
int pc_device_register(pc_device *out, const char *name); /* name outlives the program */
const char *pc_device_name(pc_device d);

typedef struct pc_storage {
  void *data;
  size_t bytes;
  int refs;
  uint32_t version;             /* +1 for each in-place change */
  void (*release)(void *owner); /* foreign memory (mmap): called instead of pc_free(data) */
  void *owner;
  pc_device device;
  uint8_t whole; /* a small tensor: storage, handle and data are one block (tensor.c) */
} pc_storage;

typedef struct pc_tensor {
  pc_storage *storage;
  int64_t offset; /* in elements */
  int64_t size[PC_MAX_DIM];
  int64_t stride[PC_MAX_DIM];
  int refs;
  uint8_t ndim;
  uint8_t dtype;          /* pc_dtype */
  uint8_t weak;           /* a number of the language above: takes no part in promotion within its kind */
  uint8_t requires_grad;  /* a leaf that wants a gradient */
  uint8_t within;         /* lies in the block of the storage it was made with */
  struct pc_autograd *ad; /* owned by engine/grad; NULL for a plain tensor */
} pc_tensor;

/* engine/grad sets this once; called when a tensor with ad != NULL dies. */
extern void (*pc_tensor_ad_release)(struct pc_autograd *ad);

/* ---- life ---- */
/* New contiguous tensor, contents undefined. Sizes must be >= 0. */
int pc_tensor_empty(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size);
int pc_tensor_zeros(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size);
int pc_tensor_full(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size, double value);
int pc_tensor_scalar(pc_tensor **out, pc_dtype d, double value); /* 0-dim */
/* Wraps memory that lives elsewhere (e.g. a mapped file); release(owner) at the end. */
int pc_tensor_wrap(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size, void *data, void (*release)(void *),
                   void *owner);
/* Copies host data of ndim sizes, contiguous, same dtype. */
int pc_tensor_from(pc_tensor **out, pc_dtype d, int ndim, const int64_t *size, const void *data);
pc_tensor *pc_tensor_retain(pc_tensor *t);
void pc_tensor_release(pc_tensor *t); /* accepts NULL */

/* ---- facts ---- */
int64_t pc_numel(const pc_tensor *t);
int pc_is_sole(const pc_tensor *t); /* one reference, and nobody else sees its elements */
int pc_is_contiguous(const pc_tensor *t);
int pc_same_shape(const pc_tensor *a, const pc_tensor *b);
/* The dtype two operands of a float-only op meet in (b NULL: one operand): integers go to f32. */
pc_dtype pc_float_dtype(const pc_tensor *a, const pc_tensor *b);
void *pc_data(const pc_tensor *t); /* address of element 0 (of the view) */
static inline void *pc_data_or_null(const pc_tensor *t) { return t ? pc_data(t) : NULL; }
#define pc_f32(t) ((float *)pc_data(t))
#define pc_f64(t) ((double *)pc_data(t))
#define pc_i64(t) ((int64_t *)pc_data(t))
#define pc_u8(t)  ((uint8_t *)pc_data(t))
/* "(2,3)"; returns one of 8 rotating thread-local buffers, for messages. */
const char *pc_shape_str(const pc_tensor *t);
const char *pc_dims_str(int ndim, const int64_t *size);

/* ---- views (share storage) ---- each returns a new tensor without gradient history */
int pc_view_alias(pc_tensor **out, const pc_tensor *t); /* same view, new handle: detach */
int pc_view_strided(pc_tensor **out, const pc_tensor *t, int ndim, const int64_t *size, const int64_t *stride,
                    int64_t offset);
int pc_view_permute(pc_tensor **out, const pc_tensor *t, const int *perm);
int pc_view_narrow(pc_tensor **out, const pc_tensor *t, int dim, int64_t start, int64_t length, int64_t step);
int pc_view_select(pc_tensor **out, const pc_tensor *t, int dim, int64_t index);
int pc_view_expand(pc_tensor **out, const pc_tensor *t, int ndim, const int64_t *size); /* -1 keeps a size */
int pc_view_unsqueeze(pc_tensor **out, const pc_tensor *t, int dim);
int pc_view_squeeze(pc_tensor **out, const pc_tensor *t, int dim); /* dim -1: all of size 1 */
/* One size may be -1. PC_ESHAPE when the strides allow no view (remedy: reshape). */
int pc_view_reshape(pc_tensor **out, const pc_tensor *t, int ndim, const int64_t *size);
/* Resolves one -1 in size[] against numel; checks the product. */
int pc_resolve_shape(const char *op, const pc_tensor *t, int ndim, int64_t *size);

/* ---- copies ---- */
int pc_copy_into(pc_tensor *dst, const pc_tensor *src); /* broadcasts src, converts dtype, bumps dst's version */
int pc_clone(pc_tensor **out, const pc_tensor *t);      /* contiguous copy, same dtype */
int pc_contiguous(pc_tensor **out, const pc_tensor *t); /* itself (retained) when contiguous */
int pc_to_dtype(pc_tensor **out, const pc_tensor *t, pc_dtype d); /* itself when equal */
int pc_fill(pc_tensor *t, double value);                          /* bumps version */
double pc_item(const pc_tensor *t);                               /* numel 1, as double; asserts */
double pc_at(const pc_tensor *t, int64_t linear);                 /* element in row-major order, slow */
int64_t pc_at_i64(const pc_tensor *t, int64_t linear);            /* the same of an integer tensor, exact */
/* PC_EARG names an element that integers of dtype d cannot hold (NaN, too large, with !cut fractions, too); op NULL: no
 * prefix. */
int pc_check_fits(const char *op, const pc_tensor *t, pc_dtype d, int cut);

/* NumPy broadcasting of two shapes; PC_ESHAPE names op and both shapes. */
int pc_broadcast_shape(const char *op, const pc_tensor *a, const pc_tensor *b, int *ndim, int64_t *size);

/* Makes t look at `elements` of another storage (nn's flat buffers). */
void pc_tensor_rebase(pc_tensor *t, pc_storage *storage, int64_t offset);

#endif
