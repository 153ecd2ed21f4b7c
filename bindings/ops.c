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
  for (int i = 0; i < d->n; i++) {
    if (d->p[i].type == PC_T_TENSORS) {
      in = a->list;
      nin = a->nlist;
    } else if (d->p[i].type <= PC_T_VALUE) {
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

void pc_open_ops(lua_State *L, int tf, int tm) {
  for (int i = 0; i < PC_OP_COUNT; i++) {
    const pc_op_info *row = &pc_ops[i];
    if (row->flags & PC_HIDDEN) continue;
    pc_luafn fn = {row->name, row->sig, call_op, row->help, PC_RETRY};
    pc_declare(L, NULL, &fn, i, 0);
    const pc_decl *d = pc_decl_of(L, -1);
    if (d->n && d->p[0].type <= PC_T_TENSORS) {
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
    if (d->n && d->p[0].type <= PC_T_TENSORS && !d->p[0].optional) {
      lua_pushvalue(L, -1);
      lua_setfield(L, tm, fns->name);
    }
    lua_setfield(L, tf, fns->name);
  }
}
