#include "tensor/pw.h"

#include <math.h>
#include <string.h>

#include "tensor/backend.h"
#include "tensor/convert.h"
#include "tensor/iter.h"

enum { BUF = 512, NARROW = 16 };

typedef struct job {
  int nin;
  int64_t esz[PC_PW_MAXIN + 1];
  const pc_vec *f;
  const void *ctx;
} job;

#define MOVE(T, dst, src)          \
  for (int64_t j = 0; j < n1; j++) \
    for (int64_t i = 0; i < n0; i++) dst = src;

/* A strided n1 x n0 piece into / out of a dense buffer. */
static void gather(void *buf, const char *p, int64_t s0, int64_t s1, int64_t n0, int64_t n1, int64_t esz) {
  if (esz == 4) {
    MOVE(uint32_t, ((uint32_t *)buf)[j * n0 + i], *(const uint32_t *)(p + j * s1 + i * s0))
  } else if (esz == 8) {
    MOVE(uint64_t, ((uint64_t *)buf)[j * n0 + i], *(const uint64_t *)(p + j * s1 + i * s0))
  } else {
    MOVE(uint8_t, ((uint8_t *)buf)[j * n0 + i], *(const uint8_t *)(p + j * s1 + i * s0))
  }
}

static void scatter(char *p, const void *buf, int64_t s0, int64_t s1, int64_t n0, int64_t n1, int64_t esz) {
  if (esz == 4) {
    MOVE(uint32_t, *(uint32_t *)(p + j * s1 + i * s0), ((const uint32_t *)buf)[j * n0 + i])
  } else if (esz == 8) {
    MOVE(uint64_t, *(uint64_t *)(p + j * s1 + i * s0), ((const uint64_t *)buf)[j * n0 + i])
  } else {
    MOVE(uint8_t, *(uint8_t *)(p + j * s1 + i * s0), ((const uint8_t *)buf)[j * n0 + i])
  }
}

/* At most BUF elements, as n1 rows of n0, through buffers where an operand is not dense. */
static void piece(const job *g, char *const *p, const int64_t *s0, const int64_t *s1, int64_t n0, int64_t n1) {
  int64_t buf[PC_PW_MAXIN + 1][BUF];
  const void *x[PC_PW_MAXIN];
  int dense[PC_PW_MAXIN + 1] = {0};
  for (int k = 0; k <= g->nin; k++) dense[k] = s0[k] == g->esz[k] && (n1 == 1 || s1[k] == n0 * g->esz[k]);
  for (int k = 1; k <= g->nin; k++) {
    x[k - 1] = dense[k] ? (const void *)p[k] : (const void *)buf[k];
    if (!dense[k]) gather(buf[k], p[k], s0[k], s1[k], n0, n1, g->esz[k]);
  }
  g->f->vv(dense[0] ? (void *)p[0] : (void *)buf[0], x, n0 * n1, g->ctx);
  if (!dense[0]) scatter(p[0], buf[0], s0[0], s1[0], n0, n1, g->esz[0]);
}

/* The form of the function that takes this row as it is, or NULL. */
static pc_vec_fn *direct(const job *g, const int64_t *s0) {
  const int64_t *e = g->esz;
  if (s0[0] != e[0]) return NULL;
  int dense = 1;
  for (int k = 1; k <= g->nin; k++) dense &= s0[k] == e[k];
  if (dense) return g->f->vv;
  if (g->nin != 2) return NULL;
  if (s0[1] == e[1] && s0[2] == 0) return g->f->vs;
  if (s0[2] == e[2] && s0[1] == 0) return g->f->sv;
  return NULL;
}

static void loop(char *const *p, const int64_t *s0, const int64_t *s1, int64_t n0, int64_t n1, void *ctx) {
  const job *g = ctx;
  pc_vec_fn *f = direct(g, s0);
  char *q[PC_PW_MAXIN + 1];
  if (n0 < NARROW && n1 > 1) { /* many short rows: several at a time */
    int64_t step = BUF / n0;
    for (int64_t j = 0; j < n1; j += step) {
      for (int k = 0; k <= g->nin; k++) q[k] = p[k] + j * s1[k];
      piece(g, q, s0, s1, n0, n1 - j < step ? n1 - j : step);
    }
    return;
  }
  for (int64_t j = 0; j < n1; j++) {
    for (int k = 0; k <= g->nin; k++) q[k] = p[k] + j * s1[k];
    if (f) {
      f(q[0], (const void *const *)(q + 1), n0, g->ctx);
      continue;
    }
    for (int64_t i = 0; i < n0; i += BUF) {
      char *r[PC_PW_MAXIN + 1];
      for (int k = 0; k <= g->nin; k++) r[k] = q[k] + i * s0[k];
      piece(g, r, s0, s1, n0 - i < BUF ? n0 - i : BUF, 1);
    }
  }
}

/* Few elements, all operands alike and dense, or one of two a number: no walk to plan. Returns 0 when it is not so. */
static int run_dense(pc_tensor *out, int nin, pc_tensor *const *in, const pc_vec *f, const void *ctx) {
  const void *x[PC_PW_MAXIN];
  int64_t n = pc_numel(out);
  int number = -1;
  if (n > BUF || n == 0 || !pc_is_contiguous(out)) return 0;
  for (int k = 0; k < nin; k++) {
    x[k] = pc_data(in[k]);
    if (pc_same_shape(in[k], out) && pc_is_contiguous(in[k])) continue;
    if (nin != 2 || number >= 0 || pc_numel(in[k]) != 1) return 0;
    number = k;
  }
  pc_vec_fn *form = number < 0 ? f->vv : number ? f->vs : f->sv;
  if (!form) return 0;
  form(pc_data(out), x, n, ctx);
  return 1;
}

int pc_ref_pointwise(pc_pw_call *c) {
  if (run_dense(c->out, c->nin, c->in, c->f, c->ctx)) return PC_OK;
  job g = {.nin = c->nin, .f = c->f, .ctx = c->ctx};
  pc_tensor *op[PC_PW_MAXIN + 1] = {c->out};
  pc_iter it;
  for (int k = 0; k < c->nin; k++) op[k + 1] = c->in[k];
  for (int k = 0; k <= c->nin; k++) g.esz[k] = (int64_t)pc_dtype_size((pc_dtype)op[k]->dtype);
  pc_iter_init(&it, c->out->ndim, c->out->size, c->nin + 1, op);
  pc_iter_run(&it, c->grain, loop, &g);
  return PC_OK;
}

void pc_pw_run(pc_tensor *out, int nin, pc_tensor *const *in, const pc_vec *f, const void *ctx, int64_t grain) {
  pc_kernels_now()->pointwise(&(pc_pw_call){out, nin, in, f, ctx, grain});
}

/* ---- operands ---- */

static int is_whole(const pc_tensor *t) {
  if (!pc_dtype_is_float((pc_dtype)t->dtype)) return 1;
  double v = pc_at(t, 0);
  return v == floor(v) && isfinite(v);
}

static pc_dtype with_number(pc_dtype d, const pc_tensor *number) {
  return pc_dtype_is_float(d) || is_whole(number) ? d : PC_F32;
}

pc_dtype pc_pw_promote(const pc_tensor *a, const pc_tensor *b) {
  if (a->weak && b->weak) return PC_F32;
  if (a->weak) return with_number((pc_dtype)b->dtype, a);
  if (b->weak) return with_number((pc_dtype)a->dtype, b);
  return pc_dtype_promote((pc_dtype)a->dtype, (pc_dtype)b->dtype);
}

static void set_scalar(void *at, pc_dtype d, double v) {
  switch (d) {
    case PC_F32: *(float *)at = (float)v; break;
    case PC_F64: *(double *)at = v; break;
    case PC_I64: *(int64_t *)at = pc_f64_to_i64(v); break;
    case PC_I32: *(int32_t *)at = pc_f64_to_i32(v); break;
    default: *(uint8_t *)at = pc_f64_to_u8(v);
  }
}

int pc_operand_get(pc_operand *slot, pc_tensor *t, pc_dtype d) {
  slot->own = NULL;
  slot->t = t;
  if (t->dtype == d) return PC_OK;
  if (t->ndim == 0) {
    set_scalar(&slot->bits, d, pc_at(t, 0));
    slot->storage = (pc_storage){.data = &slot->bits, .bytes = sizeof slot->bits, .refs = 1};
    slot->scalar = (pc_tensor){.storage = &slot->storage, .refs = 1, .dtype = (uint8_t)d};
    slot->t = &slot->scalar;
    return PC_OK;
  }
  int rc = pc_to_dtype(&slot->own, t, d);
  slot->t = slot->own;
  return rc;
}

void pc_operand_done(pc_operand *slot) {
  pc_tensor_release(slot->own);
  slot->own = NULL;
}

int pc_pw_out(pc_tensor **out, const char *op, pc_dtype d, int nin, pc_tensor *const *in) {
  int64_t size[PC_MAX_DIM];
  int ndim = in[0]->ndim, rc = PC_OK;
  *out = NULL;
  memcpy(size, in[0]->size, sizeof size);
  for (int k = 1; k < nin && rc == PC_OK; k++) {
    if (in[k]->ndim == ndim && !memcmp(in[k]->size, size, sizeof(int64_t) * (size_t)ndim)) continue;
    pc_tensor so_far = {.ndim = (uint8_t)ndim};
    memcpy(so_far.size, size, sizeof size);
    rc = pc_broadcast_shape(op, &so_far, in[k], &ndim, size);
  }
  return rc < 0 ? rc : pc_tensor_empty(out, d, ndim, size);
}
