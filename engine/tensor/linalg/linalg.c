#include "tensor/linalg/linalg.h"

#include <float.h>
#include <lapacke.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/* A decomposition of one matrix: p[] are its operands and results, private and row-major. */
typedef struct la {
  const char *op;
  int64_t m, n, k; /* rows, columns; right-hand sides */
  int full;
  int finite;   /* so many of the operands must hold neither NaN nor infinity: LAPACK may never end on one */
  double rcond; /* < 0: the default */
} la;
typedef lapack_int core_fn(const la *k, void *const *p);

/* What LAPACK's info > 0 means, with the remedy. */
typedef enum trouble { SINGULAR, NOT_POSITIVE, NO_CONVERGENCE } trouble;

static int explain(const la *k, int64_t which, int64_t batch, lapack_int info, trouble t) {
  char matrix[64] = "the matrix";
  if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR)
    return pc_fail(PC_ENOMEM, "%s: out of memory", k->op);
  if (batch > 1) snprintf(matrix, sizeof matrix, "matrix %lld of the batch", (long long)which + PC_INDEX_BASE);
  if (info < 0)
    return pc_fail(PC_ENUM, "%s: %s%s contains NaN or infinity", k->op, info == -2 ? "the right-hand side of " : "",
                   matrix);
  if (t == SINGULAR)
    return pc_fail(PC_ENUM,
                   "%s: %s is singular (pivot %lld is zero); use pinv or lstsq, or add a small multiple of eye", k->op,
                   matrix, (long long)info);
  if (t == NOT_POSITIVE)
    return pc_fail(
        PC_ENUM,
        "%s: %s is not positive definite (its leading minor of order %lld is not); add a small multiple of eye", k->op,
        matrix, (long long)info);
  return pc_fail(PC_ENUM, "%s: no convergence for %s; is it badly scaled?", k->op, matrix);
}

/* ---- one matrix ---- */

#define LAPACKE(fn) PC_OF(LAPACKE_s##fn, LAPACKE_d##fn)
#define EPSILON     PC_OF(FLT_EPSILON, DBL_EPSILON)
#define PC_TEMPLATE "tensor/linalg/linalg.inc"
#include "base/float_types.inc"

/* ---- batches ---- */

enum { MAX_PARTS = 5 };

static int all_finite(const void *a, pc_dtype d, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (d == PC_F32 ? !isfinite(((const float *)a)[i]) : !isfinite(((const double *)a)[i])) return 0;
  return 1;
}

/* Runs core on every matrix: part i of matrix b begins at p[i] + b·each[i] elements. */
static int run(const la *k, pc_dtype d, core_fn *f32, core_fn *f64, int64_t batch, int parts, void *const *p,
               const int64_t *each, trouble t) {
  for (int64_t b = 0; b < batch; b++) {
    void *at[MAX_PARTS];
    for (int i = 0; i < parts; i++) at[i] = (char *)p[i] + (size_t)(b * each[i]) * pc_dtype_size(d);
    lapack_int info = 0;
    for (int i = 0; i < k->finite && !info; i++) info = all_finite(at[i], d, each[i]) ? 0 : -1 - i;
    if (!info) info = (d == PC_F32 ? f32 : f64)(k, at);
    if (info) return explain(k, b, batch, info, t);
  }
  return PC_OK;
}

static int64_t batch_of(const pc_tensor *a) {
  int64_t n = 1;
  for (int i = 0; i < a->ndim - 2; i++) n *= a->size[i];
  return n;
}

static int check_matrix(const char *op, const pc_tensor *a, int square) {
  if (a->ndim < 2) return pc_fail(PC_ESHAPE, "%s: a %s must be a matrix or a batch of matrices", op, pc_shape_str(a));
  if (square && a->size[a->ndim - 1] != a->size[a->ndim - 2])
    return pc_fail(PC_ESHAPE, "%s: the matrices of a %s are not square", op, pc_shape_str(a));
  return PC_OK;
}

static la shape_of(const char *op, const pc_tensor *a) {
  return (la){.op = op, .m = a->size[a->ndim - 2], .n = a->size[a->ndim - 1], .finite = 1, .rcond = -1};
}

/* A private contiguous copy in a float dtype. */
static int scratch(pc_tensor **out, const pc_tensor *a, pc_dtype d) {
  int rc = pc_tensor_empty(out, d, a->ndim, a->size);
  if (rc < 0) return rc;
  if ((rc = pc_copy_into(*out, a)) == PC_OK) return rc;
  pc_tensor_release(*out);
  *out = NULL;
  return rc;
}

/* New tensor: a's batch dimensions, then `tail`. */
static int batched(pc_tensor **out, const pc_tensor *a, pc_dtype d, int n, const int64_t *tail) {
  int64_t size[PC_MAX_DIM + 2];
  int lead = a->ndim - 2;
  for (int i = 0; i < lead; i++) size[i] = a->size[i];
  for (int i = 0; i < n; i++) size[lead + i] = tail[i];
  return pc_tensor_empty(out, d, lead + n, size);
}

static int finish(int rc, pc_tensor **out, int n) {
  for (int i = 0; i < n && rc < 0; i++) {
    pc_tensor_release(out[i]);
    out[i] = NULL;
  }
  return rc;
}

static int in_place(const char *op, pc_tensor **out, const pc_tensor *a, core_fn *f32, core_fn *f64, trouble t) {
  int rc = check_matrix(op, a, 1);
  pc_dtype d = pc_float_dtype(a, NULL);
  *out = NULL;
  if (rc < 0 || (rc = scratch(out, a, d)) < 0) return rc;
  la k = shape_of(op, a);
  if (k.n) rc = run(&k, d, f32, f64, batch_of(a), 1, (void *[]){pc_data(*out)}, (int64_t[]){k.n * k.n}, t);
  return finish(rc, out, 1);
}

int pc_fwd_inverse(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return in_place("inverse", out, in[0], inverse_f32, inverse_f64, SINGULAR);
}

int pc_fwd_cholesky(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return in_place("cholesky", out, in[0], cholesky_f32, cholesky_f64, NOT_POSITIVE);
}

int pc_fwd_eigh(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *a = in[0];
  int rc = check_matrix("eigh", a, 1);
  pc_dtype d = pc_float_dtype(a, NULL);
  out[0] = out[1] = NULL;
  if (rc < 0) return rc;
  la k = shape_of("eigh", a);
  if ((rc = scratch(&out[1], a, d)) < 0 || (rc = batched(&out[0], a, d, 1, &k.n)) < 0) return finish(rc, out, 2);
  if (k.n)
    rc = run(&k, d, eigh_f32, eigh_f64, batch_of(a), 2, (void *[]){pc_data(out[1]), pc_data(out[0])},
             (int64_t[]){k.n * k.n, k.n}, NO_CONVERGENCE);
  return finish(rc, out, 2);
}

/* The determinant of an empty matrix is 1. */
static int to_number(const char *op, pc_tensor **out, const pc_tensor *a, core_fn *f32, core_fn *f64, double empty) {
  pc_tensor *c = NULL;
  int rc = check_matrix(op, a, 1);
  pc_dtype d = pc_float_dtype(a, NULL);
  *out = NULL;
  if (rc < 0) return rc;
  la k = shape_of(op, a);
  k.finite = 0; /* LU ends on anything, and a determinant may be infinite */
  if ((rc = scratch(&c, a, d)) == PC_OK && (rc = batched(out, a, d, 0, NULL)) == PC_OK) {
    if (k.n)
      rc = run(&k, d, f32, f64, batch_of(a), 2, (void *[]){pc_data(c), pc_data(*out)}, (int64_t[]){k.n * k.n, 1},
               SINGULAR);
    else
      rc = pc_fill(*out, empty);
  }
  pc_tensor_release(c);
  return finish(rc, out, 1);
}

int pc_fwd_det(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return to_number("det", out, in[0], det_f32, det_f64, 1);
}

int pc_fwd_logdet(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return to_number("logdet", out, in[0], logdet_f32, logdet_f64, 0);
}

/* ---- right-hand sides ---- */

/* Whether b is one vector for each matrix of a. */
static int is_vector(const pc_tensor *a, const pc_tensor *b) {
  return b->ndim == 1 || (b->ndim == a->ndim - 1 && !memcmp(b->size, a->size, sizeof(int64_t) * (size_t)b->ndim));
}

typedef struct sides {
  pc_tensor *a, *b; /* private copies, batch dimensions alike; b (...,rows,k) */
  int vector;
} sides;

/* Broadcasts the batches of a and b; b gets `rows` rows (at least its own). */
static int take_sides(const char *op, sides *s, const pc_tensor *a, const pc_tensor *b, int64_t rows) {
  pc_tensor *ea = NULL, *eb = NULL, *bm = NULL, *into = NULL;
  int64_t size[PC_MAX_DIM + 2];
  int nb, rc;
  pc_dtype d = pc_float_dtype(a, b);
  *s = (sides){.vector = is_vector(a, b)};
  if ((rc = s->vector ? pc_view_unsqueeze(&bm, b, b->ndim) : pc_view_alias(&bm, b)) < 0) return rc;
  int64_t m = a->size[a->ndim - 2], k = bm->size[bm->ndim - 1], n = a->size[a->ndim - 1];
  if (bm->size[bm->ndim - 2] != m) {
    rc = pc_fail(PC_ESHAPE, "%s: a %s has %lld rows, b %s has %lld", op, pc_shape_str(a), (long long)m, pc_shape_str(b),
                 (long long)bm->size[bm->ndim - 2]);
    goto done;
  }
  pc_tensor la_ = *a, lb = *bm;
  la_.ndim = (uint8_t)(a->ndim - 2);
  lb.ndim = (uint8_t)(bm->ndim - 2);
  if ((rc = pc_broadcast_shape(op, &la_, &lb, &nb, size)) < 0) goto done;
  size[nb] = m;
  size[nb + 1] = n;
  if ((rc = pc_view_expand(&ea, a, nb + 2, size)) < 0 || (rc = scratch(&s->a, ea, d)) < 0) goto done;
  size[nb + 1] = k;
  if ((rc = pc_view_expand(&eb, bm, nb + 2, size)) < 0) goto done;
  size[nb] = rows;
  if ((rc = pc_tensor_zeros(&s->b, d, nb + 2, size)) < 0) goto done;
  if ((rc = pc_view_narrow(&into, s->b, nb, 0, m, 1)) < 0) goto done;
  rc = pc_copy_into(into, eb);
done:
  pc_tensor_release(ea);
  pc_tensor_release(eb);
  pc_tensor_release(bm);
  pc_tensor_release(into);
  return rc;
}

/* The first n rows of s->b, without the column dimension of a vector. */
static int give_sides(pc_tensor **out, sides *s, int64_t n) {
  pc_tensor *top = NULL, *col = NULL;
  int nd = s->b->ndim;
  int rc = pc_view_narrow(&top, s->b, nd - 2, 0, n, 1);
  if (rc == PC_OK && s->vector) {
    rc = pc_view_select(&col, top, nd - 1, 0);
    pc_tensor_release(top);
    top = col;
  }
  if (rc == PC_OK) rc = pc_contiguous(out, top);
  pc_tensor_release(top);
  return rc;
}

int pc_fwd_solve(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  sides s = {0};
  int rc = check_matrix("solve", in[0], 1);
  *out = NULL;
  if (rc < 0) return rc;
  if (!in[1]->ndim) return pc_fail(PC_ESHAPE, "solve: b () must be a vector or a matrix");
  la k = shape_of("solve", in[0]);
  k.finite = 2;
  if ((rc = take_sides("solve", &s, in[0], in[1], k.m)) == PC_OK) {
    k.k = s.b->size[s.b->ndim - 1];
    if (k.n && k.k)
      rc = run(&k, (pc_dtype)s.a->dtype, solve_f32, solve_f64, batch_of(s.a), 2, (void *[]){pc_data(s.a), pc_data(s.b)},
               (int64_t[]){k.n * k.n, k.n * k.k}, SINGULAR);
    if (rc == PC_OK) rc = give_sides(out, &s, k.n);
  }
  pc_tensor_release(s.a);
  pc_tensor_release(s.b);
  return rc;
}

int pc_fwd_lstsq(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  sides s = {0};
  int rc = check_matrix("lstsq", in[0], 0);
  *out = NULL;
  if (rc < 0) return rc;
  if (!in[1]->ndim) return pc_fail(PC_ESHAPE, "lstsq: b () must be a vector or a matrix");
  la k = shape_of("lstsq", in[0]);
  k.finite = 2;
  int64_t rows = k.m > k.n ? k.m : k.n;
  if (v[0].set) k.rcond = v[0].d;
  if ((rc = take_sides("lstsq", &s, in[0], in[1], rows)) == PC_OK) {
    k.k = s.b->size[s.b->ndim - 1];
    if (k.m && k.n && k.k)
      rc = run(&k, (pc_dtype)s.a->dtype, lstsq_f32, lstsq_f64, batch_of(s.a), 2, (void *[]){pc_data(s.a), pc_data(s.b)},
               (int64_t[]){k.m * k.n, rows * k.k}, NO_CONVERGENCE);
    if (rc == PC_OK) rc = give_sides(out, &s, k.n);
  }
  pc_tensor_release(s.a);
  pc_tensor_release(s.b);
  return rc;
}

/* ---- rectangular ---- */

static void eye(pc_tensor *t) { /* a batch of square identities */
  int64_t n = t->size[t->ndim - 1], cells = n * n;
  pc_fill(t, 0);
  for (int64_t i = 0; i < pc_numel(t); i += n + 1) {
    if (t->dtype == PC_F32)
      pc_f32(t)[i] = 1;
    else
      pc_f64(t)[i] = 1;
    if (i % cells == cells - 1) i -= n; /* on to the next matrix */
  }
}

int pc_fwd_svd(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *a = in[0];
  pc_tensor *c = NULL;
  int rc = check_matrix("svd", a, 0);
  pc_dtype d = pc_float_dtype(a, NULL);
  out[0] = out[1] = out[2] = NULL;
  if (rc < 0) return rc;
  la k = shape_of("svd", a);
  k.full = v[0].set && v[0].i;
  int64_t r = k.m < k.n ? k.m : k.n, uc = k.full ? k.m : r, vr = k.full ? k.n : r;
  if ((rc = scratch(&c, a, d)) < 0 || (rc = batched(&out[0], a, d, 2, (int64_t[]){k.m, uc})) < 0 ||
      (rc = batched(&out[1], a, d, 1, &r)) < 0 || (rc = batched(&out[2], a, d, 2, (int64_t[]){vr, k.n})) < 0)
    goto done;
  if (r) {
    rc = run(&k, d, svd_f32, svd_f64, batch_of(a), 4,
             (void *[]){pc_data(c), pc_data(out[0]), pc_data(out[1]), pc_data(out[2])},
             (int64_t[]){k.m * k.n, k.m * uc, r, vr * k.n}, NO_CONVERGENCE);
  } else if (k.full) {
    if (pc_numel(out[0])) eye(out[0]);
    if (pc_numel(out[2])) eye(out[2]);
  }
done:
  pc_tensor_release(c);
  return finish(rc, out, 3);
}

int pc_fwd_qr(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *a = in[0];
  pc_tensor *c = NULL;
  int rc = check_matrix("qr", a, 0);
  pc_dtype d = pc_float_dtype(a, NULL);
  out[0] = out[1] = NULL;
  if (rc < 0) return rc;
  la k = shape_of("qr", a);
  int64_t r = k.m < k.n ? k.m : k.n;
  if ((rc = scratch(&c, a, d)) < 0 || (rc = batched(&out[0], a, d, 2, (int64_t[]){k.m, r})) < 0 ||
      (rc = batched(&out[1], a, d, 2, (int64_t[]){r, k.n})) < 0)
    goto done;
  if (r)
    rc = run(&k, d, qr_f32, qr_f64, batch_of(a), 3, (void *[]){pc_data(c), pc_data(out[0]), pc_data(out[1])},
             (int64_t[]){k.m * k.n, k.m * r, r * k.n}, NO_CONVERGENCE);
done:
  pc_tensor_release(c);
  return finish(rc, out, 2);
}

int pc_fwd_pinv(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *a = in[0];
  pc_tensor *c = NULL;
  char *work = NULL;
  int rc = check_matrix("pinv", a, 0);
  pc_dtype d = pc_float_dtype(a, NULL);
  *out = NULL;
  if (rc < 0) return rc;
  la k = shape_of("pinv", a);
  if (v[0].set) k.rcond = v[0].d;
  int64_t r = k.m < k.n ? k.m : k.n;
  size_t es = pc_dtype_size(d);
  if ((rc = scratch(&c, a, d)) < 0 || (rc = batched(out, a, d, 2, (int64_t[]){k.n, k.m})) < 0) goto done;
  if (!(work = pc_malloc(es * (size_t)(r * (k.m + 1 + k.n) + 1)))) {
    rc = PC_ENOMEM;
    goto done;
  }
  char *s = work + es * (size_t)(r * k.m), *vh = s + es * (size_t)r;
  if (r)
    rc = run(&k, d, pinv_f32, pinv_f64, batch_of(a), 5, (void *[]){pc_data(c), work, s, vh, pc_data(*out)},
             (int64_t[]){k.m * k.n, 0, 0, 0, k.m * k.n}, NO_CONVERGENCE);
done:
  pc_free(work);
  pc_tensor_release(c);
  return finish(rc, out, 1);
}
