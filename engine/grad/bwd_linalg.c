/* bwd_linalg.c: gradients of the matrix products. They close over themselves:
 * matmul_t, rows_product and matmul are each other's gradients. */
#include "grad/rows.h"

#include "grad/compose.h"
#include "grad/formula.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)
#define IN(i)     pc_node_in(n, i)

/* Folds broadcast dimensions, goes back to the input's dtype. */
static pc_tensor *fold(pc_scope *s, const pc_node *n, int i, pc_tensor *g) {
  return pc_to(s, pc_sum_to(s, g, pc_node_in_shape(n, i)), pc_node_in_dtype(n, i));
}

/* y = op(a) op(b), both at least 2-d. A single b under many a sums over all rows at once. */
static pc_tensor *left(pc_scope *s, pc_tensor *g, pc_tensor *b, int ta, int tb) {
  return ta ? pc_matmul_t(s, b, g, tb, 1) : pc_matmul_t(s, g, b, 0, !tb);
}

static pc_tensor *right(pc_scope *s, pc_tensor *g, pc_tensor *a, pc_tensor *b, int ta, int tb) {
  if (!ta && b->ndim == 2 && a->ndim > 2) return tb ? pc_rows_product(s, g, a) : pc_rows_product(s, a, g);
  return tb ? pc_matmul_t(s, g, a, 1, ta) : pc_matmul_t(s, a, g, !ta, 0);
}

static pc_tensor *reshaped(pc_scope *s, pc_tensor *t, const pc_shape *like) {
  return pc_reshape(s, t, like->ndim, like->size);
}

BWD(matmul) {
  const pc_shape *sa = pc_node_in_shape(n, 0), *sb = pc_node_in_shape(n, 1);
  pc_tensor *a = IN(0), *b = IN(1), *gy = g[0];
  if (sa->ndim == 1 || sb->ndim == 1) { /* as rows and columns */
    int64_t size[PC_MAX_DIM + 2];
    int d = gy->ndim - (sa->ndim > 1) - (sb->ndim > 1);
    for (int i = 0; i < d; i++) size[i] = gy->size[i];
    size[d++] = sa->ndim == 1 ? 1 : sa->size[sa->ndim - 2];
    size[d++] = sb->ndim == 1 ? 1 : sb->size[sb->ndim - 1];
    gy = pc_reshape(s, gy, d, size);
    if (sa->ndim == 1) a = pc_reshape(s, a, 2, (int64_t[]){1, sa->size[0]});
    if (sb->ndim == 1) b = pc_reshape(s, b, 2, (int64_t[]){sb->size[0], 1});
    if (s->rc < 0) return;
  }
  if (pc_needs(n, 0)) {
    pc_tensor *ga = left(s, gy, b, 0, 0);
    pc_shape row = {.ndim = 2, .size = {1, sa->size[0]}};
    if (sa->ndim == 1) ga = reshaped(s, pc_sum_to(s, ga, &row), sa);
    gin[0] = fold(s, n, 0, ga);
  }
  if (pc_needs(n, 1)) {
    pc_tensor *gb = right(s, gy, a, b, 0, 0);
    pc_shape column = {.ndim = 2, .size = {sb->size[0], 1}};
    if (sb->ndim == 1) gb = reshaped(s, pc_sum_to(s, gb, &column), sb);
    gin[1] = fold(s, n, 1, gb);
  }
}

BWD(matmul_t) {
  const pc_val *v = pc_node_val(n);
  int ta = v[0].i != 0, tb = v[1].i != 0;
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, left(s, g[0], IN(1), ta, tb));
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, right(s, g[0], IN(0), IN(1), ta, tb));
}

BWD(rows_product) {
  if (pc_needs(n, 0)) gin[0] = pc_to(s, pc_linear(s, IN(1), g[0], NULL), pc_node_in_dtype(n, 0));
  if (pc_needs(n, 1)) gin[1] = pc_to(s, pc_matmul(s, IN(0), g[0]), pc_node_in_dtype(n, 1));
}

BWD(outer) {
  if (pc_needs(n, 0)) gin[0] = pc_to(s, pc_matmul(s, g[0], IN(1)), pc_node_in_dtype(n, 0));
  if (pc_needs(n, 1)) gin[1] = pc_to(s, pc_matmul(s, IN(0), g[0]), pc_node_in_dtype(n, 1));
}

BWD(addmm) {
  const pc_val *v = pc_node_val(n);
  double beta = v[0].set ? v[0].d : 1, alpha = v[1].set ? v[1].d : 1;
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, beta == 1 ? g[0] : pc_mul_scalar(s, g[0], beta));
  pc_tensor *ga = alpha == 1 ? g[0] : pc_mul_scalar(s, g[0], alpha);
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, pc_matmul_t(s, ga, IN(2), 0, 1));
  if (pc_needs(n, 2)) gin[2] = fold(s, n, 2, pc_matmul_t(s, IN(1), ga, 1, 0));
}

BWD(linear) {
  if (!pc_grad_enabled()) {
    pc_bwd_by_row(s, n, gin, PC_OP_linear_backward, 1, g, 0);
    return;
  }
  if (pc_needs(n, 0)) gin[0] = fold(s, n, 0, pc_matmul(s, g[0], IN(1)));
  if (pc_needs(n, 1)) gin[1] = fold(s, n, 1, pc_rows_product(s, g[0], IN(0)));
  if (pc_needs(n, 2)) gin[2] = fold(s, n, 2, g[0]);
}
