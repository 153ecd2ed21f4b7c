/* bwd_product.c: gradients of products of all and of running products, through zeros and in every order.
 *
 * d prod / dx_i is the product of the others: y / x_i as long as y is a normal number. Where it is
 * not (a factor is 0, or y left the range on the way) nothing is divided. Running products
 * c_k = x_0 ... x_k obey c_k = x_k c_{k-1}; their gradient goes back by the same kind of recurrence,
 *   u_k = g_k + x_{k+1} u_{k+1},   dx_k = c_{k-1} u_k   (c_{-1} = 1),
 * and the product of the others is two running products, one from each end. All of it is made of
 * `recurrence` and products, whose gradients are recurrences again. */
#include <math.h>

#include "grad/rows.h"
#include "grad/compose.h"
#include "grad/ops_reduce.h"
#include "tensor/reduce/reduce.h"

#define BWD(name) void pc_bwd_##name(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin)

int pc_all_normal(const pc_tensor *y) {
  for (int64_t i = 0; y && i < pc_numel(y); i++)
    if (!(y->dtype == PC_F32 ? isnormal((float)pc_at(y, i)) : isnormal(pc_at(y, i)))) return 0;
  return 1;
}

static pc_tensor *along(pc_scope *s, pc_opcode op, pc_tensor *x, int dim) {
  pc_val v = PC_VI(dim);
  return pc_op(s, op, 1, &x, 1, &v, 0);
}

static pc_tensor *recurrence(pc_scope *s, pc_tensor *g, pc_tensor *x, int dim, int reverse) {
  pc_tensor *in[2] = {g, x};
  pc_val v[2] = {PC_VI(dim), PC_VI(reverse)};
  return pc_op(s, PC_OP_recurrence, 2, in, 2, v, 0);
}

/* t moved one place along dim, later (by = 1) or earlier (-1), `fill` where nothing comes from. */
static pc_tensor *moved(pc_scope *s, pc_tensor *t, int dim, int by, double fill) {
  if (!t || s->rc < 0 || t->ndim == 0 || t->size[dim] == 0) return t;
  int64_t pad[2 * PC_MAX_DIM] = {0};
  int last = 2 * (t->ndim - 1 - dim);
  pad[last + (by < 0)] = 1;
  return pc_pad(s, pc_narrow(s, t, dim, by < 0, t->size[dim] - 1, 1), last + 2, pad, fill);
}

/* x's gradient where c = cumprod(x, dim) has g */
static pc_tensor *through_cumprod(pc_scope *s, pc_tensor *x, pc_tensor *c, pc_tensor *g, int dim) {
  return pc_mul(s, moved(s, c, dim, 1, 1), recurrence(s, g, x, dim, 1));
}

static int real_dim(const pc_node *n) {
  const pc_val *v = pc_node_val(n);
  int nd = pc_node_in_shape(n, 0)->ndim;
  int64_t d = v[0].set ? v[0].i : -1;
  return (int)(d < 0 ? d + nd : d);
}

BWD(cumprod) {
  pc_tensor *x = pc_node_in(n, 0), *y = pc_node_out(s, n, 0);
  int dim = real_dim(n);
  if (pc_node_in_shape(n, 0)->ndim == 0)
    gin[0] = g[0];
  else if (pc_all_normal(y)) /* dy_j/dx_i = y_j / x_i for j >= i */
    gin[0] = pc_div(s, along(s, PC_OP_cumsum_reverse, pc_mul(s, g[0], y), dim), x);
  else
    gin[0] = through_cumprod(s, x, y, g[0], dim);
}

/* y_k = g_k + x_k y_{k-1}, or in reverse g_k + x_{k+1} y_{k+1}: the one is the other's transpose. */
BWD(recurrence) {
  int dim = real_dim(n), reverse = pc_node_val(n)[1].set && pc_node_val(n)[1].i;
  pc_tensor *u = recurrence(s, g[0], pc_node_in(n, 1), dim, !reverse), *y = pc_node_out(s, n, 0);
  gin[0] = u;
  if (pc_needs(n, 1)) gin[1] = reverse ? pc_mul(s, moved(s, u, dim, 1, 0), y) : pc_mul(s, u, moved(s, y, dim, 1, 0));
}

/* others = before * behind, both running products */
BWD(prod_others) {
  int dim = real_dim(n);
  const int64_t d = dim;
  pc_tensor *x = pc_node_in(n, 0), *back = pc_flip(s, x, 1, &d);
  pc_tensor *c = along(s, PC_OP_cumprod, x, dim), *cb = along(s, PC_OP_cumprod, back, dim);
  pc_tensor *before = moved(s, c, dim, 1, 1), *behind = moved(s, cb, dim, 1, 1); /* behind: flipped */
  pc_tensor *gc = moved(s, pc_mul(s, g[0], pc_flip(s, behind, 1, &d)), dim, -1, 0);
  pc_tensor *gb = moved(s, pc_flip(s, pc_mul(s, g[0], before), 1, &d), dim, -1, 0);
  gin[0] = pc_add(s, through_cumprod(s, x, c, gc, dim), pc_flip(s, through_cumprod(s, back, cb, gb, dim), 1, &d));
}

/* x with the dims that were reduced at the end, as rows; *back: the way back; size: of x in that order */
static pc_tensor *as_rows(pc_scope *s, pc_tensor *x, const uint8_t *reduced, int *back, int64_t *size) {
  int perm[PC_MAX_DIM], k = 0;
  int64_t rows[2] = {1, 1};
  if (!x) return NULL;
  for (int pass = 0; pass < 2; pass++)
    for (int d = 0; d < x->ndim; d++) {
      if (reduced[d] != pass) continue;
      rows[pass] *= x->size[d];
      size[k] = x->size[d];
      back[d] = k;
      perm[k++] = d;
    }
  return pc_reshape(s, pc_permute(s, x, perm), 2, rows);
}

BWD(prod) {
  const pc_shape *in = pc_node_in_shape(n, 0);
  pc_tensor *x = pc_node_in(n, 0), *y = pc_node_out(s, n, 0);
  uint8_t reduced[PC_MAX_DIM];
  int back[PC_MAX_DIM];
  int64_t kept[PC_MAX_DIM], size[PC_MAX_DIM];
  if (!x || pc_note(s, pc_reduced_dims("prod", x, &pc_node_val(n)[0], reduced)) < 0) return;
  for (int d = 0; d < in->ndim; d++) kept[d] = reduced[d] ? 1 : in->size[d];
  pc_tensor *gy = pc_reshape(s, g[0], in->ndim, kept);
  if (pc_all_normal(y)) {
    gin[0] = pc_div(s, pc_mul(s, gy, pc_reshape(s, y, in->ndim, kept)), x);
    return;
  }
  pc_tensor *others = along(s, PC_OP_prod_others, as_rows(s, x, reduced, back, size), 1);
  gin[0] = pc_mul(s, gy, pc_permute(s, pc_reshape(s, others, in->ndim, size), back));
}
