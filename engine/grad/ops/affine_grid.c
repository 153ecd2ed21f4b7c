/* affine_grid.c: the places of a moved picture, for grid_sample.
 *   grid[n,i,j] = theta[n] (x_j, y_i, 1),  x_j = (2j + 1)/w - 1, with align_corners 2j/(w - 1) - 1 (0 where w is 1)
 * Linear in theta: the adjoint is the gradient, and its gradient is the map itself. */
#include "base/parallel.h"
#include "grad/compose.h"
#include "grad/rows.h"

typedef struct places {
  int64_t h, w;
  int align;
  pc_dtype d;
  const void *from;
  void *to;
} places;

static double centre(int64_t i, int64_t n, int align) {
  if (!align) return (2 * (double)i + 1) / (double)n - 1;
  return n > 1 ? 2 * (double)i / (double)(n - 1) - 1 : 0;
}

static double get(const places *p, int64_t i) {
  return p->d == PC_F32 ? (double)((const float *)p->from)[i] : ((const double *)p->from)[i];
}

static void set(const places *p, int64_t i, double v) {
  if (p->d == PC_F32)
    ((float *)p->to)[i] = (float)v;
  else
    ((double *)p->to)[i] = v;
}

/* A step is a row of places. */
static void place(int64_t begin, int64_t end, void *ctx) {
  const places *p = ctx;
  for (int64_t row = begin; row < end; row++) {
    double y = centre(row % p->h, p->h, p->align);
    int64_t t = row / p->h * 6;
    for (int64_t j = 0; j < p->w; j++)
      for (int k = 0; k < 2; k++)
        set(p, (row * p->w + j) * 2 + k,
            get(p, t + 3 * k) * centre(j, p->w, p->align) + get(p, t + 3 * k + 1) * y + get(p, t + 3 * k + 2));
  }
}

/* A step is an image. */
static void collect(int64_t begin, int64_t end, void *ctx) {
  const places *p = ctx;
  for (int64_t n = begin; n < end; n++) {
    double sum[6] = {0};
    for (int64_t i = 0; i < p->h; i++)
      for (int64_t j = 0; j < p->w; j++)
        for (int k = 0; k < 2; k++) {
          double g = get(p, ((n * p->h + i) * p->w + j) * 2 + k);
          sum[3 * k] += g * centre(j, p->w, p->align);
          sum[3 * k + 1] += g * centre(i, p->h, p->align);
          sum[3 * k + 2] += g;
        }
    for (int k = 0; k < 6; k++) set(p, n * 6 + k, sum[k]);
  }
}

static int run(pc_tensor **out, places *p, const pc_tensor *from, int ndim, const int64_t *size, pc_range_fn f,
               int64_t steps, int64_t price) {
  pc_tensor *t, *a = NULL;
  p->d = pc_float_dtype(from, NULL);
  int rc = pc_to_dtype(&t, from, p->d);
  if (rc < 0) return rc;
  if ((rc = pc_contiguous(&a, t)) < 0 || (rc = pc_tensor_empty(out, p->d, ndim, size)) < 0) goto done;
  p->from = pc_data(a), p->to = pc_data(*out);
  if (pc_numel(*out)) pc_parallel_for(steps, price >= 4096 ? 1 : 4096 / (price + 1) + 1, f, p);
done:
  pc_tensor_release(a);
  pc_tensor_release(t);
  return rc;
}

int pc_fwd_affine_grid(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *theta = in[0];
  places p = {.h = v[0].l[0], .w = v[0].l[1], .align = v[1].set && v[1].i};
  *out = NULL;
  if (theta->ndim != 3 || theta->size[1] != 2 || theta->size[2] != 3)
    return pc_fail(PC_ESHAPE, "affine_grid: theta %s must be (N,2,3)", pc_shape_str(theta));
  return run(out, &p, theta, 4, (int64_t[]){theta->size[0], p.h, p.w, 2}, place, theta->size[0] * p.h, p.w);
}

int pc_fwd_affine_grid_adjoint(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *g = in[0];
  *out = NULL;
  if (g->ndim != 4 || g->size[3] != 2)
    return pc_fail(PC_ESHAPE, "affine_grid_adjoint: g %s must be (N,h,w,2)", pc_shape_str(g));
  places p = {.h = g->size[1], .w = g->size[2], .align = v[0].set && v[0].i};
  return run(out, &p, g, 3, (int64_t[]){g->size[0], 2, 3}, collect, g->size[0], p.h * p.w);
}

void pc_bwd_affine_grid(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  if (pc_needs(n, 0)) gin[0] = pc_op(s, PC_OP_affine_grid_adjoint, 1, g, 1, pc_node_val(n) + 1, 0);
}

void pc_bwd_affine_grid_adjoint(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  const pc_val v[2] = {pc_vlist(2, pc_node_in_shape(n, 0)->size + 1), pc_node_val(n)[0]};
  if (pc_needs(n, 0)) gin[0] = pc_op(s, PC_OP_affine_grid, 1, g, 2, v, 0);
}
