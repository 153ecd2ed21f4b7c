/* test_ops.c: one table drives every op through its cases: first- and second-
 * order gradients against differences in float64, and fast tiers against the
 * reference in float32. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
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

enum { MAX_IN = 8, MAX_V = 8 };

typedef struct call {
  pc_opcode op;
  int which; /* the output looked at */
  int nin, nv;
  pc_tensor *in[MAX_IN];
  pc_val v[MAX_V];
} call;

static void must(int rc) { ck_assert_msg(rc == PC_OK, "%s", pc_error_text()); }

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

static int run_op(void *ctx, pc_tensor *const *x, int nx, pc_tensor **y) {
  call *c = ctx;
  pc_tensor *out[PC_MAX_OUT];
  int rc = pc_apply(c->op, out, x, nx, c->v, c->nv);
  *y = NULL;
  if (rc < 0) return rc;
  for (int k = 0; k < pc_ops[c->op].nout; k++) {
    if (k == c->which)
      *y = out[k];
    else
      pc_tensor_release(out[k]);
  }
  return PC_OK;
}

static int output_is_float(call *c) {
  pc_tensor *y;
  must(run_op(c, c->in, c->nin, &y));
  int f = y->dtype == PC_F64; /* differences need it */
  pc_tensor_release(y);
  return f;
}

START_TEST(gradients) {
  pc_opcode op = (pc_opcode)_i;
  const pc_op_info *row = &pc_ops[op];
  for (int k = 0; k < table[op].n; k++) {
    call c;
    build(&c, op, &table[op].cases[k], PC_F64, !(row->flags & PC_NODIFF));
    for (c.which = 0; c.which < row->nout; c.which++) {
      if (!output_is_float(&c) || row->flags & PC_NODIFF) continue;
      pc_gradcheck_opts o = {.rtol = row->tol, .second_order = (row->flags & PC_SMOOTH) != 0};
      int rc = pc_gradcheck(run_op, &c, c.in, c.nin, &o);
      ck_assert_msg(rc == PC_OK, "%s, case %d, output %d: %s", row->name, k + 1, c.which + 1, pc_error_text());
    }
    drop(&c);
  }
}
END_TEST

/* Every tier this CPU has against the plain loops. */
START_TEST(tiers) {
  pc_opcode op = (pc_opcode)_i;
  const pc_op_info *row = &pc_ops[op];
  if (!strcmp(row->name, "dropout")) return; /* random */
  for (int k = 0; k < table[op].n; k++) {
    call c;
    build(&c, op, &table[op].cases[k], PC_F32, 0);
    pc_tensor *ref[PC_MAX_OUT], *fast[PC_MAX_OUT];
    must(pc_cpu_set_tier(PC_TIER_REF));
    must(pc_apply(op, ref, c.in, c.nin, c.v, c.nv));
    for (int tier = PC_TIER_BASE; tier <= (int)pc_cpu_best(); tier++) {
      must(pc_cpu_set_tier((pc_tier)tier));
      must(pc_apply(op, fast, c.in, c.nin, c.v, c.nv));
      for (int o = 0; o < row->nout; o++) {
        ck_assert_msg(pc_same_shape(ref[o], fast[o]), "%s: shapes differ between tiers", row->name);
        for (int64_t i = 0; i < pc_numel(ref[o]); i++) {
          double a = pc_at(ref[o], i), b = pc_at(fast[o], i);
          ck_assert_msg((isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 2e-5 + 2e-4 * fabs(a),
                        "%s, case %d: tier %s gives %.8g, ref %.8g", row->name, k + 1, pc_tier_name((pc_tier)tier), b,
                        a);
        }
        pc_tensor_release(fast[o]);
      }
    }
    for (int o = 0; o < row->nout; o++) pc_tensor_release(ref[o]);
    drop(&c);
  }
  must(pc_cpu_set_tier(pc_cpu_best()));
}
END_TEST

int main(void) {
  Suite *s = suite_create("ops");
  TCase *tc = tcase_create("table");
  tcase_set_timeout(tc, 120);
  tcase_add_loop_test(tc, gradients, 0, PC_OP_COUNT);
  tcase_add_loop_test(tc, tiers, 0, PC_OP_COUNT);
  suite_add_tcase(s, tc);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
