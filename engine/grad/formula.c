#include "grad/formula.h"

#include <assert.h>
#include <string.h>

#include "grad/compose.h"

/* Inputs go into the formula as views of their own: the inner pass ends at those and finds nothing
 * that lies behind, even where an input (a shared weight) is also part of another's history. */
void pc_bwd_by_formula(pc_scope *s, const pc_node *n, pc_tensor *const *g, pc_tensor **gin, pc_formula_fn *f) {
  int nin = pc_node_nin(n), nx = 0, ny = 0, place[PC_FORMULA_INPUTS], create = pc_grad_set_enabled(1);
  pc_tensor *in[PC_FORMULA_INPUTS], *x[PC_FORMULA_INPUTS], *gx[PC_FORMULA_INPUTS] = {NULL}, *out[PC_MAX_OUT] = {NULL},
                                                           *y[PC_MAX_OUT], *gy[PC_MAX_OUT];
  for (int i = 0; i < nin; i++) {
    in[i] = pc_node_in(n, i);
    if (!in[i] || !pc_needs(n, i)) continue;
    in[i] = pc_reshape(s, in[i], in[i]->ndim, in[i]->size);
    place[nx] = i;
    x[nx++] = in[i];
  }
  if (s->rc == PC_OK) f(s, pc_node_val(n), in, nin, out);
  for (int k = 0; k < PC_MAX_OUT; k++)
    if (g[k] && out[k]) y[ny] = out[k], gy[ny++] = g[k];
  if (s->rc == PC_OK && ny && nx)
    pc_note(s, pc_grad(gx, y, gy, ny, x, nx, &(pc_grad_opts){.create_graph = create, .allow_unused = 1}));
  pc_grad_set_enabled(create);
  for (int k = 0; k < nx; k++) { /* all of them, whatever happens: they are ours now */
    if (!gx[k] && s->rc == PC_OK) pc_note(s, pc_tensor_zeros(&gx[k], (pc_dtype)x[k]->dtype, x[k]->ndim, x[k]->size));
    if (gx[k]) gin[place[k]] = pc_own(s, gx[k]);
  }
}

void pc_bwd_by_row(pc_scope *s, const pc_node *n, pc_tensor **gin, pc_opcode op, int nfirst, pc_tensor *const *first,
                   int nv) {
  pc_tensor *in[PC_FORMULA_INPUTS + PC_MAX_OUT], *out[PC_MAX_GRADS];
  pc_val v[PC_ROW_VALUES] = {{0}};
  int nin = pc_node_nin(n);
  uint64_t need = 0;
  if (s->rc < 0) return;
  assert(nin <= PC_FORMULA_INPUTS && nfirst <= PC_MAX_OUT && nv < PC_ROW_VALUES && nin <= pc_ops[op].nout);
  for (int i = 0; i < nfirst; i++) in[i] = first[i];
  for (int i = 0; i < nin; i++) {
    in[nfirst + i] = pc_node_in(n, i);
    if (pc_needs(n, i)) need |= (uint64_t)1 << i;
  }
  if (nv) memcpy(v, pc_node_val(n), sizeof(pc_val) * (size_t)nv);
  v[nv] = PC_VI((int64_t)need);
  if (pc_note(s, pc_apply(op, out, in, nfirst + nin, v, nv + 1)) < 0) return;
  for (int i = 0; i < nin; i++)
    if (out[i]) gin[i] = pc_to(s, pc_own(s, out[i]), pc_node_in_dtype(n, i));
}
