#include "tensor/fused/norm_higher.h"
#include "tensor/fused/norm.h"

#include <math.h>

#include "base/parallel.h"
#include "tensor/tile.h"
#include "tensor/backend.h"
#include "tensor/fused/calls.h"
#include "tensor/fused/norm_impl.h"

typedef pc_norm_what kind;
static const struct {
  int given, results;
  const char *op;
} forms[] = {[PC_NORM_FIRST] = {1, 1, "layer_norm_first"},
             [PC_NORM_SECOND] = {2, 1, "layer_norm_second"},
             [PC_NORM_FIRST_BACKWARD] = {2, 2, "layer_norm_first_backward"},
             [PC_NORM_SECOND_BACKWARD] = {3, 3, "layer_norm_second_backward"}};

typedef pc_norm_higher higher;

/* What a row says: sums over its elements. */
typedef struct sums {
  double mean, r;
  double v[PC_NORM_VECTORS], vh[PC_NORM_VECTORS]; /* of v and v h */
  double vv[PC_NORM_VECTORS];                     /* of v_i v_j: pairs (0,1), (0,2), (1,2) */
} sums;

/* A result: sum of v[i] times the vectors, plus h times h, plus one. */
typedef struct combo {
  double v[PC_NORM_VECTORS], h, one;
} combo;

static int pair(int i, int j) { return i + j - 1; }

static void add(combo *to, double f, const combo *what) {
  for (int i = 0; i < PC_NORM_VECTORS; i++) to->v[i] += f * what->v[i];
  to->h += f * what->h;
  to->one += f * what->one;
}

/* The coefficients of all results of a row of n elements. */
static void solve(kind what, const sums *s, double n, combo *y) {
  double r = s->r, m[PC_NORM_VECTORS], t[PC_NORM_VECTORS], dot[PC_NORM_VECTORS]; /* dot: <i,P(j)> of pairs */
  combo p[PC_NORM_VECTORS] = {{{0}}}, b[PC_NORM_VECTORS] = {{{0}}};
  int given = forms[what].given;
  for (int i = 0; i < given; i++) {
    m[i] = s->v[i] / n;
    t[i] = s->vh[i] / n;
    p[i].v[i] = r;
    p[i].h = -r * t[i];
    p[i].one = -r * m[i];
  }
  for (int j = 1; j < given; j++)
    for (int i = 0; i < j; i++) {
      combo *to = &b[pair(i, j)];
      dot[pair(i, j)] = r * (s->vv[pair(i, j)] - n * (m[i] * m[j] + t[i] * t[j]));
      add(to, -r * t[i], &p[j]);
      add(to, -r * t[j], &p[i]);
      to->h -= r * dot[pair(i, j)] / n;
    }
  switch (what) {
    case PC_NORM_FIRST: y[0] = p[0]; break;
    case PC_NORM_SECOND: y[0] = b[0]; break;
    case PC_NORM_FIRST_BACKWARD:
      y[0] = p[0];
      y[1] = b[0];
      break;
    case PC_NORM_SECOND_BACKWARD:
      y[0] = b[pair(0, 2)];
      y[1] = b[pair(0, 1)];
      y[2] = (combo){{0}};
      for (int i = 0; i < PC_NORM_VECTORS; i++) { /* each vector with the pair of the two others */
        int others = pair(i == 0 ? 1 : 0, i == 2 ? 1 : 2);
        y[2].h += r * r / n * t[i] * dot[others];
        add(&y[2], -r / n * dot[others], &p[i]);
        add(&y[2], -r * t[i], &b[others]);
      }
      break;
  }
}

/* ---- plain loops ---- */

#define PC_TEMPLATE "tensor/fused/norm_higher.inc"
#include "base/float_types.inc"

/* ---- f32 ---- */

/* One vector of a row and what it adds; given is known where this is inlined. */
typedef struct parts {
  pc_vf v[PC_NORM_VECTORS], vh[PC_NORM_VECTORS], vv[PC_NORM_VECTORS];
} parts;

PC_INLINE void add_parts(parts *s, const float *x, const float *const *v, int64_t i, const int given, pc_vf mean,
                         pc_vf r, pc_vi lanes) {
  pc_vf h = (pc_vload(x + i) - mean) * r, w[PC_NORM_VECTORS];
  for (int q = 0; q < given; q++) {
    w[q] = only(pc_vload(v[q] + i), lanes);
    s->v[q] += w[q];
    s->vh[q] += w[q] * h;
    for (int o = 0; o < q; o++) s->vv[o + q - 1] += w[o] * w[q];
  }
}

PC_INLINE void put_parts(float *const *y, const combo *f, const float *x, const float *const *v, int64_t i,
                         const int given, const int results, pc_vf mean, pc_vf r) {
  pc_vf h = (pc_vload(x + i) - mean) * r, w[PC_NORM_VECTORS];
  for (int q = 0; q < given; q++) w[q] = pc_vload(v[q] + i);
  for (int o = 0; o < results; o++) {
    pc_vf sum = pc_vset((float)f[o].one) + pc_vset((float)f[o].h) * h;
    for (int q = 0; q < given; q++) sum += pc_vset((float)f[o].v[q]) * w[q];
    pc_vstore(y[o] + i, sum);
  }
}

/* given, results: known where this is inlined */
PC_INLINE void rows_of(int64_t begin, int64_t end, const higher *k, const int given, const int results) {
  int64_t c = k->c, odd = c % PC_LANES, last = c - PC_LANES;
  for (int64_t row = begin; row < end; row++) {
    const float *x = (const float *)k->x + row * c, *v[PC_NORM_VECTORS];
    float *y[PC_NORM_VECTORS];
    for (int q = 0; q < given; q++) v[q] = (const float *)k->v[q] + row * c;
    for (int o = 0; o < results; o++) y[o] = (float *)k->y[o] + row * c;
    sums s = {0};
    parts p = {{{0}}};
    pc_vf mean, r;
    careful_row_stats(x, c, (float)k->eps, &mean, &r);
    s.r = r[0];
    for (int64_t i = 0; i <= last; i += PC_LANES) add_parts(&p, x, v, i, given, mean, r, ALL);
    if (odd) add_parts(&p, x, v, last, given, mean, r, new_lanes(odd));
    for (int q = 0; q < given; q++) {
      s.v[q] = pc_vsum(&p.v[q]);
      s.vh[q] = pc_vsum(&p.vh[q]);
    }
    for (int q = 0; q < given * (given - 1) / 2; q++) s.vv[q] = pc_vsum(&p.vv[q]);
    combo f[PC_NORM_VECTORS];
    solve(k->what, &s, (double)c, f);
    for (int64_t i = 0; i <= last; i += PC_LANES) put_parts(y, f, x, v, i, given, results, mean, r);
    if (odd) put_parts(y, f, x, v, last, given, results, mean, r);
  }
}

PC_TIERED(rows, (int64_t begin, int64_t end, const higher *k), (begin, end, k)) {
  switch (k->what) {
    case PC_NORM_FIRST: rows_of(begin, end, k, 1, 1); break;
    case PC_NORM_SECOND: rows_of(begin, end, k, 2, 1); break;
    case PC_NORM_FIRST_BACKWARD: rows_of(begin, end, k, 2, 2); break;
    case PC_NORM_SECOND_BACKWARD: rows_of(begin, end, k, 3, 3); break;
  }
}
static void fast(int64_t begin, int64_t end, void *ctx) { rows(begin, end, ctx); }

static int run(higher *k, pc_range_fn f) {
  pc_parallel_for(k->rows, 16384 / k->c + 1, f, k);
  return PC_OK;
}
int pc_ref_norm_higher(higher *k) { return run(k, k->d == PC_F64 ? plain_f64 : plain_f32); }
int pc_host_norm_higher(higher *k) { return run(k, k->d == PC_F64 ? plain_f64 : k->c < PC_LANES ? plain_f32 : fast); }

/* ---- ops ---- */

static int call(pc_tensor **out, pc_tensor *const *in, const pc_val *val, kind what) {
  int given = forms[what].given, results = forms[what].results, dims = val[0].set ? (int)val[0].i : 1, rc;
  pc_tensor *t[PC_NORM_VECTORS + 1] = {NULL}, *x = in[given];
  pc_dtype d = pc_float_dtype(in[0], x);
  higher k = {.d = d, .what = what, .c = 1, .eps = val[1].set ? val[1].d : PC_NORM_EPS};
  for (int o = 0; o < results; o++) out[o] = NULL;
  if (dims < 1 || dims > x->ndim)
    return pc_fail(PC_EARG, "%s: dims = %d must be between 1 and the %d dimensions of x %s", forms[what].op, dims,
                   x->ndim, pc_shape_str(x));
  for (int i = 0; i < given; i++)
    if (!pc_same_shape(in[i], x))
      return pc_fail(PC_ESHAPE, "%s: input %d is %s, x %s", forms[what].op, i + 1, pc_shape_str(in[i]),
                     pc_shape_str(x));
  rc = pc_take(t, in, given + 1, d);
  for (int o = 0; o < results && rc == PC_OK; o++) rc = pc_tensor_empty(&out[o], d, x->ndim, x->size);
  if (rc == PC_OK && pc_numel(x)) {
    for (int i = x->ndim - dims; i < x->ndim; i++) k.c *= x->size[i];
    for (int i = 0; i < given; i++) k.v[i] = pc_data(t[i]);
    for (int o = 0; o < results; o++) k.y[o] = pc_data(out[o]);
    k.x = pc_data(t[given]);
    k.rows = pc_numel(x) / k.c;
    rc = pc_kernels_now()->norm_higher(&k);
  }
  pc_drop(t, given + 1);
  if (rc < 0) pc_drop(out, results);
  return rc;
}

#define OP(name, what)                                                                            \
  int pc_fwd_layer_norm_##name(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) { \
    (void)nin;                                                                                    \
    return call(out, in, v, what);                                                                \
  }
OP(first, PC_NORM_FIRST)
OP(second, PC_NORM_SECOND)
OP(first_backward, PC_NORM_FIRST_BACKWARD)
OP(second_backward, PC_NORM_SECOND_BACKWARD)
