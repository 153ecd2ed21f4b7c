#include "tensor/gemm/matmul.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "tensor/gemm/gemm.h"

int pc_blas_operand(pc_tensor **out, const pc_tensor *t, pc_dtype d) {
  int n = t->ndim;
  if (t->dtype != d) return pc_to_dtype(out, t, d);
  if (!pc_mat_fits(t->size[n - 2], t->size[n - 1], t->stride[n - 2], t->stride[n - 1])) return pc_clone(out, t);
  *out = pc_tensor_retain((pc_tensor *)t);
  return PC_OK;
}

static pc_mat mat_of(const pc_tensor *t) {
  return (pc_mat){.p = pc_data(t), .rs = t->stride[t->ndim - 2], .cs = t->stride[t->ndim - 1]};
}

/* ---- matmul ---- */

static int inner_differ(const char *op, const pc_tensor *a, const pc_tensor *b, int64_t ka, int64_t kb) {
  char hint[120];
  if (b->ndim >= 2 && b->size[b->ndim - 1] == ka)
    snprintf(hint, sizeof hint, "did you mean b:t()?");
  else if (a->ndim >= 2 && a->size[a->ndim - 2] == kb)
    snprintf(hint, sizeof hint, "did you mean a:t()?");
  else
    snprintf(hint, sizeof hint, "b must have %lld rows", (long long)ka);
  return pc_fail(PC_ESHAPE, "%s: inner sizes differ: a %s has %lld columns, b %s has %lld rows; %s", op,
                 pc_shape_str(a), (long long)ka, pc_shape_str(b), (long long)kb, hint);
}

#define INT_PRODUCT(T)                                                                                         \
  static void product_##T(int64_t m, int64_t n, int64_t k, pc_mat a, int64_t ao, pc_mat b, int64_t bo, T *c) { \
    const T *x = (const T *)a.p + ao, *y = (const T *)b.p + bo;                                                \
    for (int64_t i = 0; i < m; i++)                                                                            \
      for (int64_t j = 0; j < n; j++) {                                                                        \
        uint64_t s = 0; /* wraps as NumPy does */                                                              \
        for (int64_t l = 0; l < k; l++)                                                                        \
          s += (uint64_t)(int64_t)x[i * a.rs + l * a.cs] * (uint64_t)(int64_t)y[l * b.rs + j * b.cs];          \
        c[i * n + j] = (T)s;                                                                                   \
      }                                                                                                        \
  }
INT_PRODUCT(int64_t)
INT_PRODUCT(int32_t)
INT_PRODUCT(uint8_t)

static void integer_products(const pc_gemm_job *j) {
  for (int64_t i = 0; i < j->batch; i++) {
    int64_t mn = j->m * j->n;
    if (j->d == PC_I64)
      product_int64_t(j->m, j->n, j->k, j->a, j->aoff[i], j->b, j->boff[i], (int64_t *)j->c.p + i * mn);
    else if (j->d == PC_I32)
      product_int32_t(j->m, j->n, j->k, j->a, j->aoff[i], j->b, j->boff[i], (int32_t *)j->c.p + i * mn);
    else
      product_uint8_t(j->m, j->n, j->k, j->a, j->aoff[i], j->b, j->boff[i], (uint8_t *)j->c.p + i * mn);
  }
}

/* Offsets of the matrices of t under the broadcast batch shape. */
static void batch_offsets(int64_t *off, const pc_tensor *t, int nb, const int64_t *size, int64_t batch) {
  int64_t at[PC_MAX_DIM] = {0}, o = 0;
  int lead = nb - (t->ndim - 2);
  for (int64_t i = 0; i < batch; i++) {
    off[i] = o;
    for (int d = nb - 1; d >= 0; d--) {
      int64_t st = d < lead || t->size[d - lead] == 1 ? 0 : t->stride[d - lead];
      o += st;
      if (++at[d] < size[d]) break;
      o -= st * size[d];
      at[d] = 0;
    }
  }
}

/* a and b at least 2-d, of one dtype; c contiguous. */
static int products(pc_tensor *c, const pc_tensor *a, const pc_tensor *b, int nb, const int64_t *bsize) {
  pc_gemm_job j = {.d = (pc_dtype)c->dtype, .batch = 1, .alpha = 1, .a = mat_of(a), .b = mat_of(b)};
  int64_t *off = NULL, *boff, *coff;
  int rc;
  j.m = a->size[a->ndim - 2];
  j.k = a->size[a->ndim - 1];
  j.n = b->size[b->ndim - 1];
  j.c = PC_ROWS(pc_data(c), j.n);
  for (int i = 0; i < nb; i++) j.batch *= bsize[i];
  if (!(off = pc_malloc(3 * sizeof *off * (size_t)(j.batch ? j.batch : 1)))) return PC_ENOMEM;
  boff = off + j.batch;
  coff = boff + j.batch;
  batch_offsets(off, a, nb, bsize, j.batch);
  batch_offsets(boff, b, nb, bsize, j.batch);
  for (int64_t i = 0; i < j.batch; i++) coff[i] = i * j.m * j.n;
  j.aoff = off;
  j.boff = boff;
  j.coff = coff;
  if (pc_dtype_is_float(j.d)) {
    rc = pc_gemm_many(&j);
  } else {
    integer_products(&j);
    rc = PC_OK;
  }
  pc_free(off);
  return rc;
}

/* Many rows against one matrix: (..., m, k) (k, n) is one product of (...·m, k). */
static int fold_rows(pc_tensor **a, const pc_tensor *b) {
  pc_tensor *flat;
  if (b->ndim != 2 || (*a)->ndim <= 2 || pc_numel(*a) == 0) return 0;
  int64_t k = (*a)->size[(*a)->ndim - 1];
  if (!pc_is_contiguous(*a)) return 0;
  if (pc_view_reshape(&flat, *a, 2, (int64_t[]){pc_numel(*a) / k, k}) < 0) return 0;
  pc_tensor_release(*a);
  *a = flat;
  return 1;
}

static int as_matrix(pc_tensor **out, const pc_tensor *t, int dim) {
  if (t->ndim == 1) return pc_view_unsqueeze(out, t, dim);
  *out = pc_tensor_retain((pc_tensor *)t);
  return PC_OK;
}

static void replace(pc_tensor **t, pc_tensor *with) {
  pc_tensor_release(*t);
  *t = with;
}

static int matmul(const char *op, pc_tensor **out, const pc_tensor *pa, const pc_tensor *pb) {
  pc_tensor *a = NULL, *b = NULL, *t;
  int64_t size[PC_MAX_DIM + 2], bsize[PC_MAX_DIM];
  int nb = 0, n = 0, rc;
  pc_dtype d = pc_dtype_promote(pa->dtype, pb->dtype);
  *out = NULL;
  if (!pa->ndim || !pb->ndim)
    return pc_fail(PC_ESHAPE, "%s: %s is 0-dim: a %s, b %s; use * to multiply by a number", op, pa->ndim ? "b" : "a",
                   pc_shape_str(pa), pc_shape_str(pb));
  int64_t ka = pa->size[pa->ndim - 1], kb = pb->size[pb->ndim == 1 ? 0 : pb->ndim - 2];
  if (ka != kb) return inner_differ(op, pa, pb, ka, kb);
  if ((rc = as_matrix(&a, pa, 0)) < 0 || (rc = as_matrix(&b, pb, 1)) < 0) goto done;
  if ((rc = pc_blas_operand(&t, a, d)) < 0) goto done;
  replace(&a, t);
  if ((rc = pc_blas_operand(&t, b, d)) < 0) goto done;
  replace(&b, t);

  pc_tensor la = *a, lb = *b; /* the batch dimensions alone, for their broadcasting */
  la.ndim = (uint8_t)(a->ndim - 2);
  lb.ndim = (uint8_t)(b->ndim - 2);
  if (pc_broadcast_shape(op, &la, &lb, &nb, bsize) < 0) {
    rc = pc_fail(PC_ESHAPE, "%s: batch dimensions do not broadcast: a %s, b %s (all but the last two must)", op,
                 pc_shape_str(pa), pc_shape_str(pb));
    goto done;
  }
  for (; n < nb; n++) size[n] = bsize[n];
  if (pa->ndim > 1) size[n++] = pa->size[pa->ndim - 2];
  if (pb->ndim > 1) size[n++] = pb->size[pb->ndim - 1];
  if ((rc = pc_tensor_empty(out, d, n, size)) < 0) goto done;
  if (fold_rows(&a, b)) nb = 0;
  if ((rc = products(*out, a, b, nb, bsize)) < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
done:
  pc_tensor_release(a);
  pc_tensor_release(b);
  return rc;
}

int pc_fwd_matmul(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return matmul("matmul", out, in[0], in[1]);
}

/* A view with the last two dimensions swapped, or the tensor itself. */
static int swapped(pc_tensor **out, const pc_tensor *t, int swap) {
  int perm[PC_MAX_DIM];
  if (!swap) {
    *out = pc_tensor_retain((pc_tensor *)t);
    return PC_OK;
  }
  for (int i = 0; i < t->ndim; i++) perm[i] = i;
  perm[t->ndim - 2] = t->ndim - 1;
  perm[t->ndim - 1] = t->ndim - 2;
  return pc_view_permute(out, t, perm);
}

int pc_fwd_matmul_t(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *a = NULL, *b = NULL;
  int rc;
  *out = NULL;
  if (in[0]->ndim < 2 || in[1]->ndim < 2)
    return pc_fail(PC_ESHAPE, "matmul_t: a %s and b %s must be matrices", pc_shape_str(in[0]), pc_shape_str(in[1]));
  if ((rc = swapped(&a, in[0], v[0].i != 0)) == PC_OK && (rc = swapped(&b, in[1], v[1].i != 0)) == PC_OK)
    rc = matmul("matmul_t", out, a, b);
  pc_tensor_release(a);
  pc_tensor_release(b);
  return rc;
}

int pc_fwd_bmm(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *a = in[0], *b = in[1];
  if (a->ndim != 3 || b->ndim != 3 || a->size[0] != b->size[0])
    return pc_fail(PC_ESHAPE,
                   "bmm: a %s and b %s: both must be (batch,rows,columns) with equal batch; matmul broadcasts",
                   pc_shape_str(a), pc_shape_str(b));
  return matmul("bmm", out, a, b);
}

int pc_fwd_dot(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *a = in[0], *b = in[1];
  if (a->ndim != 1 || b->ndim != 1 || a->size[0] != b->size[0])
    return pc_fail(PC_ESHAPE, "dot: a %s and b %s: both must be 1-d with equal size; matmul takes matrices",
                   pc_shape_str(a), pc_shape_str(b));
  return matmul("dot", out, a, b);
}

int pc_fwd_outer(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *a = NULL, *b = NULL;
  int rc;
  *out = NULL;
  if (in[0]->ndim != 1 || in[1]->ndim != 1)
    return pc_fail(PC_ESHAPE, "outer: a %s and b %s: both must be 1-d; flatten() them", pc_shape_str(in[0]),
                   pc_shape_str(in[1]));
  if ((rc = pc_view_unsqueeze(&a, in[0], 1)) == PC_OK && (rc = pc_view_unsqueeze(&b, in[1], 0)) == PC_OK)
    rc = matmul("outer", out, a, b);
  pc_tensor_release(a);
  pc_tensor_release(b);
  return rc;
}

int pc_fwd_addmm(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *c = in[0];
  pc_tensor *a = NULL, *b = NULL;
  pc_dtype d = pc_float_dtype(in[1], in[2]);
  int rc;
  *out = NULL;
  if (in[1]->ndim != 2 || in[2]->ndim != 2)
    return pc_fail(PC_ESHAPE, "addmm: mat1 %s and mat2 %s: both must be matrices", pc_shape_str(in[1]),
                   pc_shape_str(in[2]));
  if (in[1]->size[1] != in[2]->size[0]) return inner_differ("addmm", in[1], in[2], in[1]->size[1], in[2]->size[0]);
  if (!c->weak) d = pc_dtype_promote(d, c->dtype);
  if ((rc = pc_blas_operand(&a, in[1], d)) < 0 || (rc = pc_blas_operand(&b, in[2], d)) < 0) goto done;
  if ((rc = pc_tensor_empty(out, d, 2, (int64_t[]){a->size[0], b->size[1]})) < 0) goto done;
  if ((rc = pc_copy_into(*out, c)) < 0) {
    pc_error_prefix(rc, "addmm: input");
    goto done;
  }
  rc = pc_gemm_many(&(pc_gemm_job){.d = d,
                                   .batch = 1,
                                   .m = a->size[0],
                                   .n = b->size[1],
                                   .k = a->size[1],
                                   .alpha = v[1].set ? v[1].d : 1,
                                   .beta = v[0].set ? v[0].d : 1,
                                   .a = mat_of(a),
                                   .b = mat_of(b),
                                   .c = mat_of(*out)});
done:
  pc_tensor_release(a);
  pc_tensor_release(b);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

/* ---- linear ---- */

/* (rows, k) of all but the last dimension; a copy when the strides ask for one. */
static int flat_rows(pc_tensor **out, const pc_tensor *t, pc_dtype d) {
  pc_tensor *c = NULL;
  int64_t k = t->size[t->ndim - 1], rows = 1;
  int rc = t->dtype == d ? PC_OK : pc_to_dtype(&c, t, d);
  *out = NULL;
  if (rc < 0) return rc;
  if (c) t = c;
  for (int i = 0; i < t->ndim - 1; i++) rows *= t->size[i];
  if (t->ndim == 2) {
    rc = pc_blas_operand(out, t, d);
  } else {
    pc_tensor *whole;
    if ((rc = pc_contiguous(&whole, t)) == PC_OK) {
      rc = pc_view_strided(out, whole, 2, (int64_t[]){rows, k}, (int64_t[]){k, 1}, whole->offset);
      pc_tensor_release(whole);
    }
  }
  pc_tensor_release(c);
  return rc;
}

static int check_linear(const pc_tensor *x, const pc_tensor *w, const pc_tensor *b) {
  if (w->ndim != 2) return pc_fail(PC_ESHAPE, "linear: weight %s must be (out,in)", pc_shape_str(w));
  if (!x->ndim || x->size[x->ndim - 1] != w->size[1])
    return pc_fail(PC_ESHAPE, "linear: x %s must end in the %lld inputs of weight %s (out,in)%s", pc_shape_str(x),
                   (long long)w->size[1], pc_shape_str(w),
                   x->ndim && x->size[x->ndim - 1] == w->size[0] ? "; did you mean weight:t()?" : "");
  if (b && (b->ndim != 1 || b->size[0] != w->size[0]))
    return pc_fail(PC_ESHAPE, "linear: bias %s must be (%lld): the outputs of weight %s", pc_shape_str(b),
                   (long long)w->size[0], pc_shape_str(w));
  return PC_OK;
}

int pc_fwd_linear(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0], *w = in[1], *b = nin > 2 ? in[2] : NULL;
  pc_tensor *xf = NULL, *wf = NULL, *bf = NULL, *bd = NULL;
  int64_t size[PC_MAX_DIM];
  int rc = check_linear(x, w, b);
  *out = NULL;
  if (rc < 0) return rc;
  pc_dtype d = pc_float_dtype(x, w);
  if ((rc = flat_rows(&xf, x, d)) < 0 || (rc = pc_blas_operand(&wf, w, d)) < 0) goto done;
  if (b && ((rc = pc_to_dtype(&bd, b, d)) < 0 || (rc = pc_contiguous(&bf, bd)) < 0)) goto done;
  memcpy(size, x->size, sizeof size);
  size[x->ndim - 1] = w->size[0];
  if ((rc = pc_tensor_empty(out, d, x->ndim, size)) < 0) goto done;
  rc = pc_gemm_many(&(pc_gemm_job){.d = d,
                                   .batch = 1,
                                   .m = xf->size[0],
                                   .n = w->size[0],
                                   .k = w->size[1],
                                   .alpha = 1,
                                   .a = mat_of(xf),
                                   .b = {pc_data(wf), wf->stride[1], wf->stride[0]},
                                   .c = PC_ROWS(pc_data(*out), w->size[0]),
                                   .bias = bf ? pc_data(bf) : NULL});
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
done:
  pc_tensor_release(xf);
  pc_tensor_release(wf);
  pc_tensor_release(bd);
  pc_tensor_release(bf);
  return rc;
}

int pc_fwd_rows_product(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[0], *y = in[1];
  pc_tensor *xf = NULL, *yf = NULL;
  pc_dtype d = pc_float_dtype(x, y);
  int rc;
  *out = NULL;
  if (!x->ndim || x->ndim != y->ndim || memcmp(x->size, y->size, sizeof(int64_t) * (size_t)(x->ndim - 1)))
    return pc_fail(PC_ESHAPE, "rows_product: x %s and y %s must agree in all but the last dimension", pc_shape_str(x),
                   pc_shape_str(y));
  int64_t k = x->size[x->ndim - 1], n = y->size[y->ndim - 1];
  if ((rc = flat_rows(&xf, x, d)) < 0 || (rc = flat_rows(&yf, y, d)) < 0 ||
      (rc = pc_tensor_empty(out, d, 2, (int64_t[]){k, n})) < 0)
    goto done;
  rc = pc_gemm_many(&(pc_gemm_job){.d = d,
                                   .batch = 1,
                                   .m = k,
                                   .n = n,
                                   .k = xf->size[0],
                                   .alpha = 1,
                                   .a = {pc_data(xf), xf->stride[1], xf->stride[0]},
                                   .b = mat_of(yf),
                                   .c = PC_ROWS(pc_data(*out), n)});
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
done:
  pc_tensor_release(xf);
  pc_tensor_release(yf);
  return rc;
}

/* ---- column sums ---- */

typedef struct sums {
  const void *x;
  const uint8_t *mask; /* NULL: everything counts */
  void *part;          /* (chunks, n) */
  int64_t n, grain;
} sums;

#define PC_TEMPLATE "tensor/gemm/column_sums.inc"
#include "base/float_types.inc"

int pc_fwd_column_sums(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *t = in[0], *mask = nin > 1 ? in[1] : NULL;
  *out = NULL;
  if (!t->ndim || !pc_dtype_is_float((pc_dtype)t->dtype) || (mask && !pc_same_shape(mask, t)))
    return pc_fail(PC_ESHAPE, "column_sums: t %s %s must be (...,n) of floats, a mask of its shape",
                   pc_dtype_name((pc_dtype)t->dtype), pc_shape_str(t));
  int64_t n = t->size[t->ndim - 1], rows = 1;
  pc_tensor *c = NULL, *m = NULL;
  int rc = pc_contiguous(&c, t);
  if (rc == PC_OK && mask) rc = pc_contiguous(&m, mask);
  if (rc < 0) {
    pc_tensor_release(c);
    return rc;
  }
  for (int i = 0; i < t->ndim - 1; i++) rows *= t->size[i];
  sums s = {.x = pc_data(c), .mask = m ? pc_u8(m) : NULL, .n = n};
  s.grain = n > 0 ? 32768 / n + 64 : 1;
  int64_t chunks = (rows + s.grain - 1) / s.grain;
  s.part = pc_malloc((size_t)(chunks * n + 1) * pc_dtype_size(t->dtype));
  rc = s.part ? pc_tensor_empty(out, t->dtype, 1, &n) : PC_ENOMEM;
  if (rc == PC_OK && t->dtype == PC_F32) {
    pc_parallel_for(rows, s.grain, sum_chunk_f32, &s);
    add_chunks_f32(pc_f32(*out), s.part, chunks, n);
  } else if (rc == PC_OK) {
    pc_parallel_for(rows, s.grain, sum_chunk_f64, &s);
    add_chunks_f64(pc_f64(*out), s.part, chunks, n);
  }
  pc_free(s.part);
  pc_tensor_release(c);
  pc_tensor_release(m);
  return rc;
}

static int check_backward(const pc_tensor *g, const pc_tensor *x, const pc_tensor *w) {
  if (g->ndim && x->ndim && w->ndim == 2 && g->size[g->ndim - 1] == w->size[0] && x->size[x->ndim - 1] == w->size[1] &&
      pc_dtype_is_float((pc_dtype)g->dtype))
    return PC_OK;
  return pc_fail(PC_ESHAPE, "linear_backward: g %s must be (...,out), x %s (...,in), weight %s (out,in)",
                 pc_shape_str(g), pc_shape_str(x), pc_shape_str(w));
}

static int linear_input(pc_tensor **gx, const pc_tensor *g, const pc_tensor *rows, const pc_tensor *w) {
  pc_tensor *wf = NULL;
  pc_dtype d = (pc_dtype)g->dtype;
  int64_t size[PC_MAX_DIM];
  memcpy(size, g->size, sizeof size);
  size[g->ndim - 1] = w->size[1];
  int rc = pc_blas_operand(&wf, w, d);
  if (rc == PC_OK) rc = pc_tensor_empty(gx, d, g->ndim, size);
  if (rc == PC_OK)
    rc = pc_gemm_many(&(pc_gemm_job){.d = d,
                                     .batch = 1,
                                     .m = rows->size[0],
                                     .n = w->size[1],
                                     .k = rows->size[1],
                                     .alpha = 1,
                                     .a = mat_of(rows),
                                     .b = mat_of(wf),
                                     .c = PC_ROWS(pc_data(*gx), w->size[1])});
  pc_tensor_release(wf);
  return rc;
}

static int linear_weight(pc_tensor **gw, const pc_tensor *g, const pc_tensor *rows, const pc_tensor *x) {
  pc_tensor *xf = NULL;
  pc_dtype d = (pc_dtype)g->dtype;
  int64_t n = rows->size[1], k = x->size[x->ndim - 1];
  int rc = flat_rows(&xf, x, d);
  if (rc == PC_OK) rc = pc_tensor_empty(gw, d, 2, (int64_t[]){n, k});
  if (rc == PC_OK)
    rc = pc_gemm_many(&(pc_gemm_job){.d = d,
                                     .batch = 1,
                                     .m = n,
                                     .n = k,
                                     .k = rows->size[0],
                                     .alpha = 1,
                                     .a = {pc_data(rows), rows->stride[1], rows->stride[0]},
                                     .b = mat_of(xf),
                                     .c = PC_ROWS(pc_data(*gw), k)});
  pc_tensor_release(xf);
  return rc;
}

int pc_fwd_linear_backward(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *g = in[0], *x = in[1], *w = in[2];
  pc_tensor *rows = NULL; /* g as a matrix */
  out[0] = out[1] = out[2] = NULL;
  int rc = check_backward(g, x, w);
  if (rc < 0 || (rc = flat_rows(&rows, g, (pc_dtype)g->dtype)) < 0) return rc;
  if (v[0].i & 1) rc = linear_input(&out[0], g, rows, w);
  if (rc == PC_OK && v[0].i & 2) rc = linear_weight(&out[1], g, rows, x);
  if (rc == PC_OK && v[0].i & 4) rc = pc_fwd_column_sums(&out[2], &rows, 1, NULL);
  pc_tensor_release(rows);
  for (int i = 0; rc < 0 && i < 3; i++) {
    pc_tensor_release(out[i]);
    out[i] = NULL;
  }
  return rc;
}
