/* calls.h: the cases of every op as calls that can be run: random inputs by
 * the case's description, the same ones each time. */
#ifndef PC_TESTS_CALLS_H
#define PC_TESTS_CALLS_H

#include <check.h>

#include "check_main.h"
#include "base/rng.h"
#include "engine/grad/cases.h"

#include "engine/grad/cases_linalg.h"
#include "engine/grad/cases_nn.h"
#include "engine/grad/cases_pointwise.h"
#include "engine/grad/cases_reduce.h"
#include "engine/grad/cases_shape.h"

static const struct {
  const op_case *cases;
  int n;
} table[] = {
#define OP(name, ...) {cases_##name, ncases_##name},
#include "grad/ops.def"
#undef OP
};

enum { MAX_IN = 16, MAX_V = 8 };

typedef struct call {
  pc_opcode op;
  int which; /* the output looked at */
  int nin, nv;
  pc_tensor *in[MAX_IN];
  pc_val v[MAX_V];
} call;

static pc_tensor *spd(const spec *a, pc_rng *g) {
  pc_tensor *t;
  must(pc_tensor_empty(&t, PC_F64, a->n, a->s));
  int64_t n = a->s[a->n - 1], batch = n ? pc_numel(t) / (n * n) : 0;
  for (int64_t b = 0; b < batch; b++) {
    double *m = pc_f64(t) + b * n * n, r[64];
    pc_rng_fill_normal_f64(g, r, n * n);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        double s = i == j ? (double)(n + i) : 0;
        for (int64_t k = 0; k < n; k++) s += r[i * n + k] * r[j * n + k];
        m[i * n + j] = s;
      }
  }
  return t;
}

/* A transposed, strided view: last two dims swapped, every second element. */
static pc_tensor *strided(const spec *a, pc_rng *g) {
  int64_t size[8], n = a->n;
  pc_tensor *t, *v, *w;
  for (int i = 0; i < n; i++) size[i] = a->s[i];
  if (n >= 2) size[n - 1] = a->s[n - 2], size[n - 2] = a->s[n - 1];
  size[n - 1] *= 2;
  must(pc_tensor_empty(&t, PC_F64, (int)n, size));
  pc_rng_fill_normal_f64(g, pc_f64(t), pc_numel(t));
  must(pc_view_narrow(&v, t, (int)n - 1, 0, size[n - 1] / 2, 2));
  int perm[8];
  for (int i = 0; i < n; i++) perm[i] = i;
  if (n >= 2) perm[n - 1] = (int)n - 2, perm[n - 2] = (int)n - 1;
  must(pc_view_permute(&w, v, perm));
  pc_tensor_release(t);
  pc_tensor_release(v);
  return w;
}

static pc_tensor *input(const spec *a, pc_rng *g, pc_dtype d) {
  pc_tensor *t = NULL, *c;
  if (a->kind == K_TN) return NULL;
  if (a->kind == K_SPD) {
    t = spd(a, g);
  } else if (a->kind == K_TT) {
    t = strided(a, g);
  } else if (a->kind == K_TI || a->kind == K_TB) {
    must(pc_tensor_empty(&t, a->kind == K_TI ? PC_I64 : PC_U8, a->n, a->s));
    for (int64_t i = 0; i < pc_numel(t); i++) {
      if (a->kind == K_TI)
        pc_i64(t)[i] = PC_INDEX_BASE + pc_rng_below(g, a->hi);
      else
        pc_u8(t)[i] = (uint8_t)pc_rng_below(g, 2);
    }
    return t;
  } else {
    must(pc_tensor_empty(&t, PC_F64, a->n, a->s));
    pc_rng_fill_normal_f64(g, pc_f64(t), pc_numel(t));
    if (a->kind == K_TP)
      for (int64_t i = 0; i < pc_numel(t); i++) pc_f64(t)[i] = 0.5 + 1.5 * pc_rng_uniform(g);
    if (a->kind == K_TU)
      for (int64_t i = 0; i < pc_numel(t); i++) pc_f64(t)[i] = 1.8 * pc_rng_uniform(g) - 0.9;
  }
  if (d != PC_F64) {
    must(pc_to_dtype(&c, t, d));
    pc_tensor_release(t);
    t = c;
  }
  return t;
}

static void build(call *c, pc_opcode op, const op_case *oc, pc_dtype d, int grad) {
  pc_rng g = {0};
  pc_rng_seed(&g, 1234 + (uint64_t)op);
  *c = (call){.op = op};
  for (const spec *a = oc->a; a->kind != K_END; a++) {
    if (a->kind <= K_SPD) {
      ck_assert_int_lt(c->nin, MAX_IN);
      pc_tensor *t = input(a, &g, d);
      if (grad && t && t->dtype == PC_F64) must(pc_set_requires_grad(t, 1));
      c->in[c->nin++] = t;
      continue;
    }
    pc_val v = {.set = a->kind != K_VNO, .i = a->hi, .d = a->d, .s = a->str, .nl = a->n};
    for (int i = 0; i < a->n; i++) v.l[i] = a->s[i];
    c->v[c->nv++] = v;
  }
}

static void drop(call *c) {
  for (int i = 0; i < c->nin; i++) pc_tensor_release(c->in[i]);
}

#endif
