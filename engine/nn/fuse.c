#include "nn/fuse.h"

#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"

/* Weights that many rows share stay in cache for all of them; a few rows under large weights are
 * better off as products that the threads split by columns. */
enum { NUMBERS_A_ROW = 4096 };

static int pays(const pc_mlp_form *f, const pc_tensor *x) {
  int64_t rows = 1, numbers = 0;
  for (int i = 0; i < x->ndim - 1; i++) rows *= x->size[i];
  for (int i = 0; i < f->n; i++) numbers += pc_numel(f->weight[i]);
  return numbers <= NUMBERS_A_ROW * rows;
}

/* As many of the parts as one op takes, into *f; returns how many. Not more than one kind of
 * activation: it follows every linear layer, or every one but the last. */
static int gather(pc_mlp_form *f, pc_module *const *parts, int n) {
  int i = 0;
  *f = (pc_mlp_form){.act = PC_ACTIVATION_none};
  if (i < n && parts[i]->cls == &pc_layer_norm_class) {
    const pc_module *m = parts[i++];
    f->norm = 1;
    f->norm_weight = m->nparams ? m->params[0].t : NULL;
    f->norm_bias = m->nparams > 1 ? m->params[1].t : NULL;
    f->eps = pc_layer_norm_eps(m);
  }
  while (i < n && f->n < PC_MLP_MAX && parts[i]->cls == &pc_linear_class) {
    if (f->n && !f->last_act && f->act != PC_ACTIVATION_none) break; /* the one before has none after it */
    const pc_module *m = parts[i++];
    f->weight[f->n] = m->params[0].t;
    f->bias[f->n++] = m->nparams > 1 ? m->params[1].t : NULL;
    int act = i < n ? pc_activation_of(parts[i]) : -1;
    f->last_act = act > PC_ACTIVATION_none && act < PC_ACTIVATION_KERNELS && (f->n == 1 || act == (int)f->act);
    if (!f->last_act) {
      if (f->act == PC_ACTIVATION_none) continue;
      break;
    }
    f->act = (pc_activation)act;
    i++;
  }
  return f->n ? i : 0;
}

pc_tensor *pc_fuse_sequence(pc_scope *s, pc_tensor *x, pc_module *const *parts, int n) {
  pc_mlp_form f;
  for (int i = 0; i < n && s->rc == PC_OK && x;) {
    int taken = gather(&f, parts + i, n - i);
    if (pc_is_conv(parts[i]) && i + 1 < n && pc_activation_of(parts[i + 1]) == PC_ACTIVATION_relu) {
      x = pc_nn_convolve(s, parts[i], x, 1);
      i += 2;
    } else if (taken > 1 && pays(&f, x)) {
      x = pc_mlp_run(s, x, &f);
      i += taken;
    } else {
      x = pc_run1(s, parts[i++], x);
    }
  }
  return s->rc == PC_OK ? x : NULL;
}

pc_tensor *pc_fuse_around(pc_scope *s, pc_tensor *x, pc_module *norm, pc_module *const *parts, int n, int recompute) {
  pc_module *all[PC_MLP_MAX * 2 + 1];
  pc_mlp_form f;
  if (!x || n < 1 || n > PC_MLP_MAX * 2) return NULL;
  all[0] = norm;
  for (int i = 0; i < n; i++) all[i + 1] = parts[i];
  if (gather(&f, all, n + 1) == n + 1 && pays(&f, x)) {
    f.residual = 1;
    f.recompute = recompute;
    return pc_mlp_run(s, x, &f);
  }
  return pc_add(s, x, pc_fuse_sequence(s, pc_run1(s, norm, x), parts, n));
}
