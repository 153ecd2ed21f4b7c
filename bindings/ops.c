/* ops.c: every visible row of the op table becomes a function and a method. */
#include <string.h>

#include "bindings/tensor.h"

int pc_opcode_find(const char *name) {
  for (int i = 0; i < PC_OP_COUNT; i++)
    if (!strcmp(pc_ops[i].name, name)) return i;
  return -1;
}

int pc_apply_named(const char *name, pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v, int nv) {
  int op = pc_opcode_find(name);
  if (op < 0) return pc_fail(PC_ENOTFOUND, "there is no operation '%s'", name);
  return pc_apply((pc_opcode)op, out, in, nin, v, nv);
}

int pc_tracked(const pc_tensor *t) { return pc_grad_enabled() && pc_requires_grad(t); }

static int call_op(lua_State *L, pc_args *a) {
  const pc_decl *d = a->decl;
  pc_tensor *few[PC_MAX_ARGS], **in = few, *out[PC_MAX_OUT] = {NULL};
  pc_val v[PC_MAX_ARGS];
  int nin = 0, nv = 0;
  for (int i = 0; i < d->sig->n; i++) {
    if (d->sig->p[i].type == PC_T_TENSORS) {
      in = a->list;
      nin = a->nlist;
    } else if (d->sig->p[i].type <= PC_T_VALUE) {
      few[nin++] = a->a[i].t;
    } else {
      v[nv++] = a->a[i].v;
    }
  }
  int rc = pc_apply((pc_opcode)d->op, out, in, nin, v, nv), nout = pc_ops[d->op].nout;
  if (rc < 0) return rc;
  for (int k = 0; k < nout; k++) pc_push_tensor(L, out[k]);
  return nout;
}

/* A number as a 0-dim tensor that lives on the C stack: for a call that keeps no operand. */
typedef struct number {
  pc_tensor t;
  pc_storage storage;
  union {
    int64_t i;
    double d;
  } value;
} number;

static void number_set(number *n, double x) {
  int whole = pc_number_is_whole(x);
  if (whole)
    n->value.i = (int64_t)x;
  else
    n->value.d = x;
  n->storage = (pc_storage){.data = &n->value, .bytes = sizeof n->value, .refs = 1};
  n->t = (pc_tensor){.storage = &n->storage, .refs = 1, .dtype = whole ? PC_I64 : PC_F64, .weak = 1};
}

static int call_direct(lua_State *L, const pc_decl *d) {
  pc_tensor *in[4], *out[PC_MAX_OUT] = {NULL};
  number few[2];
  int nfew = 0, tracked = 0; /* of few; whether an operand has a gradient */
  for (int i = 0; i < d->sig->nin; i++) {
    if ((in[i] = pc_to_tensor(L, i + 1))) {
      tracked |= pc_requires_grad(in[i]);
      continue;
    }
    if (d->sig->p[i].type != PC_T_VALUE || nfew == 2 || lua_type(L, i + 1) != LUA_TNUMBER) return PC_NOT_DIRECT;
    number_set(&few[nfew], lua_tonumber(L, i + 1));
    in[i] = &few[nfew++].t;
  }
  if (nfew && tracked && pc_grad_enabled()) return PC_NOT_DIRECT; /* the tape may keep the number */
  int rc = pc_apply((pc_opcode)d->op, out, in, d->sig->nin, NULL, 0), nout = pc_ops[d->op].nout;
  if (rc < 0) return rc;
  for (int k = 0; k < nout; k++) pc_push_tensor(L, out[k]);
  return nout;
}

void pc_open_ops(lua_State *L, int tf, int tm) {
  for (int i = 0; i < PC_OP_COUNT; i++) {
    const pc_op_info *row = &pc_ops[i];
    if (row->flags & PC_HIDDEN) continue;
    pc_luafn fn = {row->name, row->sig, call_op, row->help, PC_RETRY, call_direct};
    pc_declare(L, NULL, &fn, i, 0);
    const pc_decl *d = pc_decl_of(L, -1);
    if (d->sig->n && d->sig->p[0].type <= PC_T_TENSORS) {
      lua_pushvalue(L, -1);
      lua_setfield(L, tm, row->name);
    }
    lua_setfield(L, tf, row->name);
  }
}

void pc_open_both(lua_State *L, int tf, int tm, const pc_luafn *fns) {
  for (; fns->name; fns++) {
    pc_declare(L, NULL, fns, -1, 0);
    const pc_decl *d = pc_decl_of(L, -1);
    if (d->sig->n && d->sig->p[0].type <= PC_T_TENSORS && !d->sig->p[0].optional) {
      lua_pushvalue(L, -1);
      lua_setfield(L, tm, fns->name);
    }
    lua_setfield(L, tf, fns->name);
  }
}
