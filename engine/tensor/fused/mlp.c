/* mlp.c: the shape rule of mlp and of its gradients; kernels: mlp_plain.c, mlp_host.c. */
#include "tensor/fused/mlp.h"
#include "tensor/fused/norm.h"

#include <string.h>

#include "tensor/backend.h"
#include "tensor/fused/mlp_impl.h"
#include "tensor/tile.h"

/* ---- arguments ---- */

static int64_t width_of(const pc_tensor *t) { return t->ndim ? t->size[t->ndim - 1] : 0; }

static int check_vector(const char *what, const pc_tensor *t, int64_t n) {
  if (!t || (t->ndim == 1 && t->size[0] == n)) return PC_OK;
  return pc_fail(PC_ESHAPE, "mlp: %s %s must be (%lld): the width of x", what, pc_shape_str(t), (long long)n);
}

/* Shapes and options into *k. */
static int setup(pc_mlp *k, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_tensor *x = in[PC_MLP_X];
  int layers = (nin - PC_MLP_W) / 2, rc;
  if (layers < 1 || layers > PC_MLP_MAX || nin != PC_MLP_W + 2 * layers)
    return pc_fail(PC_EARG, "mlp: 1 to %d layers, each a weight and a bias or none, not %d tensors", PC_MLP_MAX,
                   nin - PC_MLP_W);
  *k = (pc_mlp){.layers = layers, .widest = width_of(x), .rows = 1};
  k->act = (pc_activation)v[PC_MLP_ACT].i;
  k->last_act = v[PC_MLP_LAST_ACT].i != 0;
  k->residual = v[PC_MLP_RESIDUAL].i != 0;
  k->norm = v[PC_MLP_NORM].i != 0;
  k->slopes = v[PC_MLP_KEEP].i == 2;
  k->eps = v[PC_MLP_EPS].set ? v[PC_MLP_EPS].d : PC_NORM_EPS;
  k->d = pc_float_dtype(x, in[PC_MLP_W]);
  k->es = pc_dtype_size(k->d);
  if (k->act >= PC_ACTIVATION_KERNELS) return pc_fail(PC_EARG, "mlp: no activation of number %d", (int)k->act);
  if (!x->ndim) return pc_fail(PC_ESHAPE, "mlp: x %s must be (...,in)", pc_shape_str(x));
  for (int i = 0; i < x->ndim - 1; i++) k->rows *= x->size[i];
  k->width[0] = width_of(x);
  for (int i = 0; i < layers; i++) {
    const pc_tensor *w = in[PC_MLP_W + 2 * i], *b = in[PC_MLP_W + 2 * i + 1];
    if (w->ndim == 2 && !i && w->size[1] != k->width[0])
      return pc_fail(PC_ESHAPE, "mlp: x %s must end in the %lld inputs of its first weight %s (out,in)",
                     pc_shape_str(x), (long long)w->size[1], pc_shape_str(w));
    if (w->ndim != 2 || w->size[1] != k->width[i])
      return pc_fail(PC_ESHAPE, "mlp: weight %d %s must be (out,%lld): what comes in is %lld wide", i + 1,
                     pc_shape_str(w), (long long)k->width[i], (long long)k->width[i]);
    if (b && (b->ndim != 1 || b->size[0] != w->size[0]))
      return pc_fail(PC_ESHAPE, "mlp: bias %d %s must be (%lld): the outputs of weight %s", i + 1, pc_shape_str(b),
                     (long long)w->size[0], pc_shape_str(w));
    k->width[i + 1] = w->size[0];
    if (w->size[0] > k->widest) k->widest = w->size[0];
  }
  if ((rc = check_vector("norm's weight", in[PC_MLP_GAMMA], k->width[0])) < 0 ||
      (rc = check_vector("norm's bias", in[PC_MLP_BETA], k->width[0])) < 0)
    return rc;
  if (k->residual && k->width[layers] != k->width[0])
    return pc_fail(PC_ESHAPE, "mlp: x %s goes around the layers, so they must end %lld wide, not %lld", pc_shape_str(x),
                   (long long)k->width[0], (long long)k->width[layers]);
  return PC_OK;
}

static void point(pc_mlp *k, pc_tensor *const *t) {
  k->x = pc_data(t[PC_MLP_X]);
  k->gamma = pc_data_or_null(t[PC_MLP_GAMMA]);
  k->beta = pc_data_or_null(t[PC_MLP_BETA]);
  for (int i = 0; i < k->layers; i++) {
    k->w[i] = pc_data(t[PC_MLP_W + 2 * i]);
    k->b[i] = pc_data_or_null(t[PC_MLP_W + 2 * i + 1]);
  }
}

int pc_fwd_mlp(pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_tensor *t[PC_MLP_W + 2 * PC_MLP_MAX] = {NULL};
  pc_mlp k;
  out[0] = out[1] = NULL;
  int rc = setup(&k, in, nin, v);
  if (rc < 0) return rc;
  const pc_tensor *x = in[PC_MLP_X];
  int64_t size[PC_MAX_DIM], kept = 0;
  memcpy(size, x->size, sizeof size);
  size[x->ndim - 1] = k.width[k.layers];
  for (int i = 0; v[PC_MLP_KEEP].i && i < k.layers; i++)
    if (pc_mlp_has_act(&k, i)) kept += k.rows * k.width[i + 1];
  if ((rc = pc_take(t, in, nin, k.d)) < 0 || (rc = pc_tensor_empty(&out[0], k.d, x->ndim, size)) < 0 ||
      (rc = pc_tensor_empty(&out[1], k.d, 1, &kept)) < 0)
    goto done;
  point(&k, t);
  k.y = pc_data(out[0]);
  k.kept = kept ? pc_data(out[1]) : NULL;
  if (k.rows) rc = pc_kernels_now()->mlp_forward(&k);
done:
  pc_drop(t, nin);
  if (rc < 0) pc_drop(out, 2);
  return rc;
}

/* The gradients that are wanted, and where they go. */
static int make_grads(pc_tensor **out, pc_mlp *k, pc_tensor *const *in, int nin, uint64_t need) {
  if (!k->norm) need &= ~((uint64_t)1 << PC_MLP_GAMMA | (uint64_t)1 << PC_MLP_BETA);
  for (int i = 0; i < nin; i++) {
    if (!in[i] || !(need >> i & 1)) continue;
    int rc = (k->rows ? pc_tensor_empty : pc_tensor_zeros)(&out[i], k->d, in[i]->ndim, in[i]->size);
    if (rc < 0) return rc;
  }
  k->gx = pc_data_or_null(out[PC_MLP_X]);
  k->ggamma = pc_data_or_null(out[PC_MLP_GAMMA]);
  k->gbeta = pc_data_or_null(out[PC_MLP_BETA]);
  for (int i = 0; i < k->layers; i++) {
    k->gw[i] = pc_data_or_null(out[PC_MLP_W + 2 * i]);
    k->gb[i] = pc_data_or_null(out[PC_MLP_W + 2 * i + 1]);
  }
  return PC_OK;
}

/* Slopes do not say what came into a layer, which the gradient of its weight needs. */
static int wants_values(const pc_mlp *k) {
  for (int i = 1; i < k->layers; i++)
    if (k->gw[i]) return 1;
  return 0;
}

int pc_fwd_mlp_backward(pc_tensor **out, pc_tensor *const *all, int nall, const pc_val *v) {
  pc_tensor *t[PC_MLP_W + 2 * PC_MLP_MAX] = {NULL}, *g = NULL;
  pc_tensor *const *in = all + 2, *gy = all[0], *kept = all[1];
  int nin = nall - 2;
  pc_mlp k;
  for (int i = 0; i < nin; i++) out[i] = NULL;
  int rc = setup(&k, in, nin, v);
  if (rc < 0) return rc;
  if ((rc = pc_take(t, in, nin, k.d)) < 0 || (rc = pc_take(&g, &gy, 1, k.d)) < 0 ||
      (rc = make_grads(out, &k, in, nin, (uint64_t)v[PC_MLP_NEED].i)) < 0)
    goto done;
  point(&k, t);
  k.gy = pc_data(g);
  k.kept = kept && pc_numel(kept) && !(k.slopes && wants_values(&k)) ? pc_data(kept) : NULL;
  if (k.rows) rc = pc_kernels_now()->mlp_backward(&k);
done:
  pc_drop(t, nin);
  pc_tensor_release(g);
  if (rc < 0) pc_drop(out, nin);
  return rc;
}
