#include "interaction/contrast.h"

#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

#define DIM(d) \
  1, (int[]) { d }

typedef struct measure {
  const pc_slot_function *f;
  const pc_slot_opts *o;
  pc_tensor *z;
  int flag; /* normalise; image */
} measure;

/* Runs a measure part by part; gradients are off unless its result wants a history. */
static int by_parts(pc_tensor **out, measure *q, pc_slots_part *part) {
  *out = NULL;
  int rc = pc_slots_check(q->o, q->z);
  if (rc < 0) return rc;
  pc_scope s = {0};
  int was = pc_grad_enabled();
  if (!q->o->create_graph) pc_grad_set_enabled(0);
  *out = pc_slots_by_parts(&s, q->z->size[0], q->o->batch, part, q);
  pc_grad_set_enabled(was);
  return pc_scope_end(&s, out, 1);
}

/* ---- slot Jacobian ---- */

static pc_tensor *absolute(pc_scope *s, pc_tensor *d) { return pc_sum(s, pc_abs(s, d), DIM(2), 0); }

static pc_tensor *jacobian_part(pc_scope *s, void *ctx, int64_t from, int64_t n) {
  const measure *q = ctx;
  pc_tensor *sums = pc_slots_sums(s, q->f, q->o, pc_narrow(s, q->z, 0, from, n, 1), 1, absolute);
  return q->flag ? pc_div(s, sums, pc_add_scalar(s, pc_sum(s, sums, DIM(2), 1), 1e-30)) : sums;
}

int pc_slot_jacobian(pc_tensor **out, const pc_slot_function *decoder, pc_tensor *z, int normalise,
                     const pc_slot_opts *o) {
  measure q = {decoder, o, z, normalise};
  return by_parts(out, &q, jacobian_part);
}

/* ---- compositional contrast ---- */

static pc_tensor *squares(pc_scope *s, pc_tensor *d) { return pc_sum(s, pc_square(s, d), DIM(2), 0); }

/* sum_{i<j} n_i n_j of norms (B,P,K): (B,P) */
static pc_tensor *pairs(pc_scope *s, pc_tensor *n) {
  pc_tensor *all = pc_square(s, pc_sum(s, n, DIM(2), 0));
  return pc_mul_scalar(s, pc_sub(s, all, pc_sum(s, pc_square(s, n), DIM(2), 0)), 0.5);
}

static pc_tensor *contrast_part(pc_scope *s, void *ctx, int64_t from, int64_t n) {
  const measure *q = ctx;
  pc_tensor *square = pc_slots_sums(s, q->f, q->o, pc_narrow(s, q->z, 0, from, n, 1), q->flag, squares);
  if (!square) return NULL;
  /* no dependence is 0, and has a gradient */
  pc_tensor *some = pc_to(s, pc_gt(s, square, pc_number(s, 0)), (pc_dtype)square->dtype);
  pc_tensor *norm = pc_mul(s, pc_sqrt(s, pc_add_scalar(s, square, 1e-20)), some);
  if (!q->flag) return pc_sum(s, pairs(s, norm), DIM(1), 0);
  pc_tensor *mean = pc_mean(s, norm, DIM(2), 1), *most[2] = {NULL};
  if (s->rc < 0 || pc_note(s, pc_apply(PC_OP_max, most, &mean, 1, (pc_val[]){PC_VI(1), PC_VI(1)}, 2)) < 0) return NULL;
  for (int i = 0; i < 2; i++) pc_own(s, most[i]);
  pc_tensor *weight = pc_div(s, mean, pc_add_scalar(s, most[0], 1e-20));
  pc_tensor *relative = pairs(s, pc_div(s, norm, pc_add_scalar(s, mean, 1e-20)));
  return pc_sum(s, pc_mul(s, relative, pc_squeeze(s, weight, 2)), DIM(1), 0);
}

int pc_contrast(pc_tensor **out, const pc_slot_function *decoder, pc_tensor *z, int image, const pc_slot_opts *o) {
  measure q = {decoder, o, z, image};
  return by_parts(out, &q, contrast_part);
}
