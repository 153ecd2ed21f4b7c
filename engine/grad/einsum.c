#include "grad/einsum.h"

#include <ctype.h>
#include <string.h>

#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

enum { MAX_OPERANDS = 16 };

typedef struct term {
  int n;
  char c[PC_MAX_DIM];
} term;

typedef struct plan {
  const char *equation;
  int n;
  term in[MAX_OPERANDS];
  term out;
} plan;

static int find(const term *t, char c) {
  for (int i = 0; i < t->n; i++)
    if (t->c[i] == c) return i;
  return -1;
}

/* ---- the equation ---- */

static int read_term(const plan *p, const char **at, term *t) {
  t->n = 0;
  for (;; (*at)++) {
    if (**at == ' ') continue;
    if (!isalpha((unsigned char)**at)) return PC_OK;
    if (t->n == PC_MAX_DIM)
      return pc_fail(PC_EARG, "einsum: '%s': more than %d letters for one operand", p->equation, PC_MAX_DIM);
    t->c[t->n++] = **at;
  }
}

static int implicit_output(plan *p) {
  p->out.n = 0;
  for (int c = 'A'; c <= 'z'; c++) {
    int count = 0;
    for (int k = 0; k < p->n; k++)
      for (int i = 0; i < p->in[k].n; i++) count += p->in[k].c[i] == c;
    if (count != 1) continue;
    if (p->out.n == PC_MAX_DIM)
      return pc_fail(PC_EARG, "einsum: '%s': the result has more than %d dimensions", p->equation, PC_MAX_DIM);
    p->out.c[p->out.n++] = (char)c;
  }
  return PC_OK;
}

static int read_equation(plan *p, const char *equation) {
  const char *at = equation;
  int rc;
  p->equation = equation;
  p->n = 0;
  for (;; at++) {
    if (p->n == MAX_OPERANDS) return pc_fail(PC_EARG, "einsum: '%s': more than %d operands", equation, MAX_OPERANDS);
    if ((rc = read_term(p, &at, &p->in[p->n++])) < 0) return rc;
    if (*at != ',') break;
  }
  if (!*at) return implicit_output(p);
  if (at[0] == '-' && at[1] == '>') {
    at += 2;
    if ((rc = read_term(p, &at, &p->out)) < 0) return rc;
  }
  if (*at == '.') return pc_fail(PC_EARG, "einsum: '%s': '...' is not known; give every dimension a letter", equation);
  if (*at) return pc_fail(PC_EARG, "einsum: '%s': unexpected '%c'; an equation looks like bij,bjk->bik", equation, *at);
  for (int i = 0; i < p->out.n; i++) {
    int there = 0;
    for (int k = 0; k < p->n; k++) there |= find(&p->in[k], p->out.c[i]) >= 0;
    if (!there) return pc_fail(PC_EARG, "einsum: '%s': '%c' is in no operand", equation, p->out.c[i]);
    if (find(&p->out, p->out.c[i]) != i)
      return pc_fail(PC_EARG, "einsum: '%s': '%c' is twice in the result", equation, p->out.c[i]);
  }
  return PC_OK;
}

static int check_sizes(const plan *p, int n, pc_tensor *const *x) {
  int64_t size[128];
  for (int i = 0; i < 128; i++) size[i] = -1;
  if (n != p->n)
    return pc_fail(PC_EARG, "einsum: '%s' speaks of %d operand%s, %d given", p->equation, p->n, p->n == 1 ? "" : "s",
                   n);
  for (int k = 0; k < n; k++) {
    const term *t = &p->in[k];
    if (!x[k]) return pc_fail(PC_EARG, "einsum: operand %d is missing", k + 1);
    if (t->n != x[k]->ndim)
      return pc_fail(PC_ESHAPE, "einsum: '%s': operand %d has %d letters and shape %s", p->equation, k + 1, t->n,
                     pc_shape_str(x[k]));
    for (int i = 0; i < t->n; i++) {
      int64_t *want = &size[(int)t->c[i]];
      if (*want >= 0 && *want != x[k]->size[i])
        return pc_fail(PC_ESHAPE, "einsum: '%s': '%c' is %lld before and %lld in operand %d of shape %s", p->equation,
                       t->c[i], (long long)*want, (long long)x[k]->size[i], k + 1, pc_shape_str(x[k]));
      *want = x[k]->size[i];
    }
  }
  return PC_OK;
}

/* ---- steps on one operand: tensor and letters change together ---- */

static pc_tensor *drop_dim(term *t, int i, pc_tensor *x) {
  memmove(t->c + i, t->c + i + 1, (size_t)(t->n - i - 1));
  t->n--;
  return x;
}

/* A letter twice in one term: its diagonal, which comes last. */
static pc_tensor *diagonals(pc_scope *s, pc_tensor *x, term *t) {
  for (int i = 0; x && i < t->n; i++)
    for (int j = i + 1; x && j < t->n; j++) {
      if (t->c[i] != t->c[j]) continue;
      char c = t->c[i];
      x = pc_diagonal(s, x, 0, i, j);
      drop_dim(t, j, x);
      drop_dim(t, i, x);
      t->c[t->n++] = c;
      i = -1;
      break;
    }
  return x;
}

static int wanted_later(const plan *p, int from, char c) {
  if (find(&p->out, c) >= 0) return 1;
  for (int k = from; k < p->n; k++)
    if (find(&p->in[k], c) >= 0) return 1;
  return 0;
}

/* Sums the letters that neither `other` nor later operands nor the result have. */
static pc_tensor *sum_unwanted(pc_scope *s, const plan *p, int later, pc_tensor *x, term *t, const term *other) {
  int dims[PC_MAX_DIM], n = 0;
  term kept = {0};
  for (int i = 0; i < t->n; i++) {
    if (wanted_later(p, later, t->c[i]) || (other && find(other, t->c[i]) >= 0))
      kept.c[kept.n++] = t->c[i];
    else
      dims[n++] = i;
  }
  *t = kept;
  return n ? pc_sum(s, x, n, dims, 0) : x;
}

static pc_tensor *arrange(pc_scope *s, pc_tensor *x, const term *from, const term *to) {
  int perm[PC_MAX_DIM], same = 1;
  for (int i = 0; i < to->n; i++) {
    perm[i] = find(from, to->c[i]);
    same &= perm[i] == i;
  }
  return same ? x : pc_permute(s, x, perm);
}

static void append(term *t, const term *more) {
  memcpy(t->c + t->n, more->c, (size_t)more->n);
  t->n += more->n;
}

static int64_t product(const pc_tensor *x, const term *of, const term *letters) {
  int64_t n = 1;
  for (int i = 0; i < letters->n; i++) n *= x->size[find(of, letters->c[i])];
  return n;
}

/* x and y to one tensor over batch + x's own + y's own letters: a batched matrix product. */
static pc_tensor *contract(pc_scope *s, const plan *p, int later, pc_tensor *x, term *tx, pc_tensor *y, term *ty) {
  term batch = {0}, sum = {0}, own_x = {0}, own_y = {0};
  for (int i = 0; i < tx->n; i++) {
    char c = tx->c[i];
    term *into = find(ty, c) < 0 ? &own_x : wanted_later(p, later, c) ? &batch : &sum;
    into->c[into->n++] = c;
  }
  for (int i = 0; i < ty->n; i++)
    if (find(tx, ty->c[i]) < 0) own_y.c[own_y.n++] = ty->c[i];
  if (batch.n + own_x.n + own_y.n > PC_MAX_DIM)
    return pc_note(s, pc_fail(PC_ESHAPE, "einsum: '%s': an intermediate result has more than %d dimensions",
                              p->equation, PC_MAX_DIM)),
           NULL;
  int64_t nb = product(x, tx, &batch), nx = product(x, tx, &own_x), ny = product(y, ty, &own_y),
          ns = product(x, tx, &sum), size[PC_MAX_DIM];
  term order_x = batch, order_y = batch, result = batch;
  append(&order_x, &own_x);
  append(&order_x, &sum);
  append(&order_y, &sum);
  append(&order_y, &own_y);
  append(&result, &own_x);
  append(&result, &own_y);
  for (int i = 0; i < result.n; i++) {
    int k = find(tx, result.c[i]);
    size[i] = k >= 0 ? x->size[k] : y->size[find(ty, result.c[i])];
  }
  x = arrange(s, x, tx, &order_x);
  y = arrange(s, y, ty, &order_y);
  *tx = result;
  if (!x || !y) return NULL;
  if (nb == 1) {
    x = pc_matmul(s, pc_reshape(s, x, 2, (int64_t[]){nx, ns}), pc_reshape(s, y, 2, (int64_t[]){ns, ny}));
  } else {
    x = pc_bmm(s, pc_reshape(s, x, 3, (int64_t[]){nb, nx, ns}), pc_reshape(s, y, 3, (int64_t[]){nb, ns, ny}));
  }
  return pc_reshape(s, x, result.n, size);
}

pc_tensor *pc_einsum(pc_scope *s, const char *equation, int n, pc_tensor *const *operands) {
  plan p;
  if (s->rc < 0) return NULL;
  if (pc_note(s, read_equation(&p, equation)) < 0 || pc_note(s, check_sizes(&p, n, operands)) < 0) return NULL;
  term t = p.in[0];
  pc_tensor *x = diagonals(s, operands[0], &t);
  for (int k = 1; x && k < n; k++) {
    term ty = p.in[k];
    pc_tensor *y = diagonals(s, operands[k], &ty);
    if (y) y = sum_unwanted(s, &p, k + 1, y, &ty, &t);
    if (y) x = sum_unwanted(s, &p, k + 1, x, &t, &ty);
    if (!x || !y) return NULL;
    x = contract(s, &p, k + 1, x, &t, y, &ty);
  }
  if (x) x = sum_unwanted(s, &p, n, x, &t, NULL);
  if (x) x = arrange(s, x, &t, &p.out);
  if (x && n == 1 && x == operands[0]) x = pc_op1(s, PC_OP_clone, x); /* "ij->ij" */
  return x;
}
