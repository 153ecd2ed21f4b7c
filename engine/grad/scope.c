#include <string.h>

#include "base/alloc.h"
#include "grad/op.h"

pc_val pc_vlist(int n, const int64_t *l) {
  pc_val v = {.set = 1, .nl = n < PC_MAX_DIM ? n : PC_MAX_DIM};
  for (int i = 0; i < v.nl; i++) v.l[i] = l[i];
  return v;
}

static int scope_grow(pc_scope *s) {
  if (!s->own) {
    s->own = s->few;
    s->cap = (int)(sizeof s->few / sizeof *s->few);
  }
  if (s->n < s->cap) return PC_OK;
  size_t bytes = sizeof(pc_tensor *) * (size_t)s->cap;
  pc_tensor **more = pc_malloc(2 * bytes);
  if (!more) return PC_ENOMEM;
  memcpy(more, s->own, bytes);
  if (s->own != s->few) pc_free(s->own);
  s->own = more;
  s->cap *= 2;
  return PC_OK;
}

int pc_note(pc_scope *s, int rc) {
  if (rc < 0 && s->rc == PC_OK) s->rc = rc;
  return rc;
}

pc_tensor *pc_own(pc_scope *s, pc_tensor *t) {
  if (!t) {
    pc_note(s, pc_error_code() < 0 ? pc_error_code() : PC_EARG);
    return NULL;
  }
  if (scope_grow(s) < 0) {
    pc_tensor_release(t);
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  return s->own[s->n++] = t;
}

int pc_scope_end(pc_scope *s, pc_tensor **keep, int n) {
  for (int i = 0; i < n; i++) {
    if (s->rc < 0)
      keep[i] = NULL;
    else
      pc_tensor_retain(keep[i]);
  }
  while (s->n > 0) pc_tensor_release(s->own[--s->n]);
  if (s->own != s->few) pc_free(s->own);
  s->own = NULL;
  s->cap = 0;
  return s->rc;
}

pc_tensor *pc_scope_pop(pc_scope *s, int mark, pc_tensor *keep) {
  pc_tensor_retain(keep);
  while (s->n > mark) pc_tensor_release(s->own[--s->n]);
  return keep ? pc_own(s, keep) : NULL;
}

pc_tensor *pc_op(pc_scope *s, pc_opcode op, int nin, pc_tensor *const *in, int nv, const pc_val *v, unsigned optional) {
  pc_tensor *out[PC_MAX_OUT] = {NULL};
  if (s->rc < 0) return NULL;
  for (int i = 0; i < nin; i++)
    if (!in[i] && !(optional >> i & 1)) {
      pc_note(s, pc_fail(PC_EARG, "%s: operand %d is missing", pc_ops[op].name, i + 1));
      return NULL;
    }
  if (pc_note(s, pc_apply(op, out, in, nin, v, nv)) < 0) return NULL;
  for (int k = 1; k < pc_ops[op].nout; k++) pc_tensor_release(out[k]);
  return pc_own(s, out[0]);
}

pc_tensor *pc_op1(pc_scope *s, pc_opcode op, pc_tensor *a) { return pc_op(s, op, 1, &a, 0, NULL, 0); }

pc_tensor *pc_op2(pc_scope *s, pc_opcode op, pc_tensor *a, pc_tensor *b) {
  pc_tensor *in[2] = {a, b};
  return pc_op(s, op, 2, in, 0, NULL, 0);
}
