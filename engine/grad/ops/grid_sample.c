/* grid_sample.c: images read at places of a grid.
 *   y[n,i,j,c] = sum_ab wx_a(X) wy_b(Y) x[n, floor(Y) + b, floor(X) + a, c],   w_0(p) = 1 - frac p, w_1(p) = frac p
 * X, Y: grid[n,i,j], of [-1,1], in pixels. y is linear in x, and within a cell in X and in Y. So with
 *   S_de: the same with wx differentiated d times and wy e times;   A_de: the adjoint of S_de in x
 * a family closed under differentiation is at hand, and gradients of any order are:
 *   S_de(x, grid):  in x A_de(g, grid);  in grid (<g, S_d+1,e(x)>, <g, S_d,e+1(x)>)
 *   A_de(g, grid):  in g S_de(u, grid);  in grid (<g, S_d+1,e(u)>, <g, S_d,e+1(u)>)
 * Where a place is: NaN counts as -1, as in PyTorch; infinity lies beyond the edge. What is moved to the edge (NaN, and
 * with padding `border` all that lies outside) has no gradient in the grid. Pixels of weight 0 are not read. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "grad/compose.h"
#include "grad/ops_reduce.h"
#include "grad/rows.h"

typedef struct field {
  const char *op;
  int64_t n, h, w, c, oh, ow; /* images (n,h,w,c), places (n,oh,ow) */
  int nearest, border, align, dx, dy;
  pc_dtype d;
  const void *from, *grid;
  void *to;
} field;

/* Two pixels along an axis and their weights; 0 for a pixel that is not there. */
typedef struct tap {
  int64_t at[2];
  double w[2];
} tap;

static tap along(const field *f, double g, int64_t size, int derivative) {
  const double far = 1e12, last = (double)(size - 1);
  double scale = isnan(g) ? 0 : f->align ? last / 2 : (double)size / 2;
  g = isnan(g) ? -1 : g > far ? far : g < -far ? -far : g;
  double p = f->align ? (g + 1) / 2 * last : ((g + 1) * (double)size - 1) / 2;
  if (f->border && (p <= 0 || p >= last)) scale = 0, p = p <= 0 ? 0 : last;
  p = p < -2 ? -2 : p > last + 2 ? last + 2 : p;
  double low = f->nearest ? nearbyint(p) : floor(p), t = p - low;
  tap k = {.at = {(int64_t)low, (int64_t)low + 1}};
  if (f->nearest)
    k.w[0] = !derivative;
  else if (derivative == 0)
    k.w[0] = 1 - t, k.w[1] = t;
  else if (derivative == 1)
    k.w[0] = -scale, k.w[1] = scale;
  for (int i = 0; i < 2; i++)
    if (k.at[i] < 0 || k.at[i] >= size) k.w[i] = 0;
  return k;
}

/* to[0..c) += w from[0..c), pixel `a` of one array, pixel `b` of another. */
static void add(const field *f, int64_t a, double w, int64_t b) {
  if (f->d == PC_F32) {
    float *restrict to = (float *)f->to + a * f->c;
    const float *restrict from = (const float *)f->from + b * f->c, wf = (float)w;
    for (int64_t c = 0; c < f->c; c++) to[c] += wf * from[c];
  } else {
    double *restrict to = (double *)f->to + a * f->c;
    const double *restrict from = (const double *)f->from + b * f->c;
    for (int64_t c = 0; c < f->c; c++) to[c] += w * from[c];
  }
}

static void clear(const field *f, int64_t pixel, int64_t pixels) {
  size_t each = (size_t)f->c * (f->d == PC_F32 ? sizeof(float) : sizeof(double));
  if (pixels) memset((char *)f->to + (size_t)pixel * each, 0, (size_t)pixels * each);
}

/* Place i, with all its pixels: read from (back == 0) or added to. */
static void visit(const field *f, int64_t i, int back) {
  int single = f->d == PC_F32;
  double gx = single ? ((const float *)f->grid)[2 * i] : ((const double *)f->grid)[2 * i];
  double gy = single ? ((const float *)f->grid)[2 * i + 1] : ((const double *)f->grid)[2 * i + 1];
  tap x = along(f, gx, f->w, f->dx), y = along(f, gy, f->h, f->dy);
  int64_t image = i / (f->oh * f->ow);
  for (int k = 0; k < 4; k++) {
    double w = x.w[k % 2] * y.w[k / 2];
    if (w == 0) continue;
    int64_t pixel = (image * f->h + y.at[k / 2]) * f->w + x.at[k % 2];
    add(f, back ? pixel : i, w, back ? i : pixel);
  }
}

/* S: a step is a place */
static void sample(int64_t begin, int64_t end, void *ctx) {
  const field *f = ctx;
  clear(f, begin, end - begin);
  for (int64_t i = begin; i < end; i++) visit(f, i, 0);
}

/* A: a step is an image, as places meet in its pixels */
static void spread(int64_t begin, int64_t end, void *ctx) {
  const field *f = ctx;
  int64_t places = f->oh * f->ow;
  clear(f, begin * f->h * f->w, (end - begin) * f->h * f->w);
  for (int64_t i = begin * places; i < end * places; i++) visit(f, i, 1);
}

static int ready(pc_tensor **out, const pc_tensor *t, pc_dtype d) {
  pc_tensor *c;
  int rc = pc_to_dtype(&c, t, d);
  *out = NULL;
  if (rc < 0) return rc;
  rc = pc_contiguous(out, c);
  pc_tensor_release(c);
  return rc;
}

static int run(pc_tensor **out, field *f, const pc_tensor *from, const pc_tensor *grid, int back) {
  pc_tensor *a = NULL, *b = NULL;
  int64_t size[4] = {f->n, back ? f->h : f->oh, back ? f->w : f->ow, f->c}, places = f->n * f->oh * f->ow;
  int rc;
  f->d = pc_float_dtype(from, grid);
  if ((rc = ready(&a, from, f->d)) < 0 || (rc = ready(&b, grid, f->d)) < 0 ||
      (rc = pc_tensor_empty(out, f->d, 4, size)) < 0)
    goto done;
  f->from = pc_data(a), f->grid = pc_data(b), f->to = pc_data(*out);
  int64_t price = (back ? places / (f->n ? f->n : 1) + f->h * f->w : 1) * (f->c + 8);
  if (pc_numel(*out))
    pc_parallel_for(back ? f->n : places, price >= 16384 ? 1 : 16384 / price + 1, back ? spread : sample, f);
done:
  pc_tensor_release(a);
  pc_tensor_release(b);
  return rc;
}

/* Options as S and A have them: mode, padding, align_corners; those of derivatives follow. */
static int prepare(field *f, const pc_tensor *a, const char *name, const pc_tensor *grid, const pc_val *v) {
  f->nearest = v[0].set && v[0].s && !strcmp(v[0].s, "nearest");
  f->border = v[1].set && v[1].s && !strcmp(v[1].s, "border");
  f->align = v[2].set && v[2].i;
  if (a->ndim != 4)
    return pc_fail(PC_ESHAPE, "%s: %s %s must be (N,H,W,C)%s", f->op, name, pc_shape_str(a),
                   a->ndim == 3 ? "; one image? unsqueeze(1) it" : "");
  if (grid->ndim != 4 || grid->size[3] != 2)
    return pc_fail(PC_ESHAPE, "%s: grid %s must be (N,h,w,2): x and y of each place in [-1,1]", f->op,
                   pc_shape_str(grid));
  if (a->size[0] != grid->size[0])
    return pc_fail(PC_ESHAPE, "%s: %s %s has %lld images, grid %s is for %lld; one for all? expand it", f->op, name,
                   pc_shape_str(a), (long long)a->size[0], pc_shape_str(grid), (long long)grid->size[0]);
  f->n = a->size[0], f->oh = grid->size[1], f->ow = grid->size[2], f->c = a->size[3];
  return PC_OK;
}

static int forward(pc_tensor **out, const char *op, pc_tensor *const *in, const pc_val *v, int dx, int dy) {
  field f = {.op = op, .dx = dx, .dy = dy};
  int rc = prepare(&f, in[0], "x", in[1], v);
  *out = NULL;
  if (rc < 0) return rc;
  f.h = in[0]->size[1], f.w = in[0]->size[2];
  if ((f.h < 1 || f.w < 1) && f.n * f.oh * f.ow * f.c > 0)
    return pc_fail(PC_ESHAPE, "%s: x %s has no pixels to read", op, pc_shape_str(in[0]));
  return run(out, &f, in[0], in[1], 0);
}

int pc_fwd_grid_sample(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return forward(out, "grid_sample", in, v, 0, 0);
}

int pc_fwd_grid_sample_part(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  return forward(out, "grid_sample_part", in, v, (int)v[3].i, (int)v[4].i);
}

int pc_fwd_grid_sample_adjoint(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  field f = {.op = "grid_sample_adjoint", .dx = (int)v[3].i, .dy = (int)v[4].i};
  int rc = prepare(&f, in[0], "g", in[1], v);
  *out = NULL;
  if (rc < 0) return rc;
  f.h = v[5].l[0], f.w = v[5].l[1];
  if (in[0]->size[1] != f.oh || in[0]->size[2] != f.ow)
    return pc_fail(PC_ESHAPE, "%s: g %s is not of the places of grid %s", f.op, pc_shape_str(in[0]),
                   pc_shape_str(in[1]));
  return run(out, &f, in[0], in[1], 1);
}

/* ---- gradients ---- */

static int next(int64_t derivative) { return derivative < 1 ? 1 : 2; }

/* The values of S_de, or A_de with the size of x. */
static void options(pc_val *w, const pc_val *v, int64_t d, int64_t e, const pc_shape *x) {
  memcpy(w, v, 3 * sizeof *v);
  w[3] = PC_VI(d), w[4] = PC_VI(e);
  if (x) w[5] = pc_vlist(2, x->size + 1);
}

static pc_tensor *part(pc_scope *s, pc_tensor *x, pc_tensor *grid, const pc_val *v, int64_t d, int64_t e) {
  pc_val w[5];
  options(w, v, d, e, NULL);
  return pc_op(s, d || e ? PC_OP_grid_sample_part : PC_OP_grid_sample, 2, (pc_tensor *[]){x, grid}, d || e ? 5 : 3, w,
               0);
}

/* The gradient in the grid of <g, S_de(x, grid)>. */
static pc_tensor *in_grid(pc_scope *s, const pc_node *n, pc_tensor *g, pc_tensor *x, int64_t d, int64_t e) {
  const pc_val *v = pc_node_val(n);
  pc_tensor *grid = pc_node_in(n, 1), *to[2] = {part(s, x, grid, v, next(d), e), part(s, x, grid, v, d, next(e))};
  for (int i = 0; i < 2; i++) to[i] = pc_sum(s, pc_mul(s, g, to[i]), 1, (int[]){3}, 0);
  return pc_to(s, pc_stack(s, 2, to, 3), pc_node_in_dtype(n, 1));
}

static void sampled(pc_scope *s, const pc_node *n, pc_tensor *g, pc_tensor **gin, int64_t d, int64_t e) {
  pc_val w[6];
  options(w, pc_node_val(n), d, e, pc_node_in_shape(n, 0));
  if (pc_needs(n, 0)) {
    gin[0] = pc_op(s, PC_OP_grid_sample_adjoint, 2, (pc_tensor *[]){g, pc_node_in(n, 1)}, 6, w, 0);
    gin[0] = pc_to(s, gin[0], pc_node_in_dtype(n, 0));
  }
  if (pc_needs(n, 1)) gin[1] = in_grid(s, n, g, pc_node_in(n, 0), d, e);
}

void pc_bwd_grid_sample(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  sampled(s, n, g[0], gin, 0, 0);
}

void pc_bwd_grid_sample_part(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin) {
  sampled(s, n, g[0], gin, pc_node_val(n)[3].i, pc_node_val(n)[4].i);
}

void pc_bwd_grid_sample_adjoint(pc_scope *s, const pc_node *n, pc_tensor *const *u, pc_tensor **gin) {
  const pc_val *v = pc_node_val(n);
  if (pc_needs(n, 0)) gin[0] = pc_to(s, part(s, u[0], pc_node_in(n, 1), v, v[3].i, v[4].i), pc_node_in_dtype(n, 0));
  if (pc_needs(n, 1)) gin[1] = in_grid(s, n, pc_node_in(n, 0), u[0], v[3].i, v[4].i);
}
