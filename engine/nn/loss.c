#include "nn/loss.h"

#include <string.h>

#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

PC_OPTIONS_TABLE(pc_loss_options, "loss", pc_loss_opts, PC_LOSS_OPTIONS);
PC_OPTIONS_TABLE(pc_kl_options, "kl", pc_loss_opts, PC_KL_OPTIONS);
PC_OPTIONS_TABLE(pc_cross_entropy_options, "cross_entropy", pc_cross_entropy_opts, PC_CROSS_ENTROPY_OPTIONS);
PC_OPTIONS_TABLE(pc_gaussian_nll_options, "gaussian_nll", pc_gaussian_nll_opts, PC_GAUSSIAN_NLL_OPTIONS);

/* sum: over all elements of x's shape */
static pc_tensor *scaled(pc_scope *s, pc_tensor *sum, const pc_tensor *x, pc_reduction r) {
  double n = (double)pc_numel(x), batch = x->ndim ? (double)x->size[0] : 1;
  if (r == PC_REDUCE_SUM) return sum;
  return pc_mul_scalar(s, sum, 1 / (r == PC_REDUCE_MEAN ? n : batch));
}

static pc_tensor *reduce(pc_scope *s, pc_tensor *x, pc_reduction r) {
  return x ? scaled(s, pc_sum(s, x, 0, NULL, 0), x, r) : NULL;
}

pc_tensor *pc_loss_mse(pc_scope *s, pc_tensor *x, pc_tensor *y, pc_reduction r) {
  if (x && y && !pc_same_shape(x, y)) {
    pc_note(s, pc_fail(PC_ESHAPE, "mse: prediction %s and target %s must have the same shape", pc_shape_str(x),
                       pc_shape_str(y)));
    return NULL;
  }
  return x && y ? scaled(s, pc_op2(s, PC_OP_squared_error, x, y), x, r) : NULL;
}

pc_tensor *pc_loss_cross_entropy(pc_scope *s, pc_tensor *logits, pc_tensor *target, double smoothing, pc_reduction r) {
  if (!logits || !target) return NULL;
  int last = logits->ndim - 1, fits = logits->ndim == target->ndim + 1 && last >= 0;
  for (int d = 0; fits && d < last; d++) fits = logits->size[d] == target->size[d];
  if (!fits) {
    pc_note(s,
            pc_fail(PC_ESHAPE, "cross_entropy: logits %s need targets of shape %s without the last dimension, got %s",
                    pc_shape_str(logits), pc_shape_str(logits), pc_shape_str(target)));
    return NULL;
  }
  if (target->dtype != PC_I64 && target->dtype != PC_I32) {
    pc_note(
        s,
        pc_fail(PC_EDTYPE,
                "cross_entropy: targets are classes counted from 1, i64 or i32, not %s; convert them with :to('i64')",
                pc_dtype_name((pc_dtype)target->dtype)));
    return NULL;
  }
  if (pc_note(s, pc_options_check(&pc_cross_entropy_options, "cross_entropy", &(pc_cross_entropy_opts){smoothing, r})) <
      0)
    return NULL;
  pc_tensor *lp = pc_log_softmax(s, logits, last), *picked = pc_gather(s, lp, last, pc_unsqueeze(s, target, last));
  if (lp && !picked) pc_error_prefix(s->rc, "cross_entropy: targets are class numbers from 1");
  pc_tensor *loss = pc_op1(s, PC_OP_neg, pc_squeeze(s, picked, last));
  if (smoothing > 0) {
    pc_tensor *flat = pc_op1(s, PC_OP_neg, pc_mean(s, lp, 1, &last, 0));
    loss = pc_add(s, pc_mul_scalar(s, loss, 1 - smoothing), pc_mul_scalar(s, flat, smoothing));
  }
  return reduce(s, loss, r);
}

pc_tensor *pc_loss_bce_logits(pc_scope *s, pc_tensor *x, pc_tensor *t, pc_reduction r) {
  if (x && t && !pc_same_shape(x, t)) {
    pc_note(s, pc_fail(PC_ESHAPE, "bce_with_logits: logits %s and targets %s must have the same shape", pc_shape_str(x),
                       pc_shape_str(t)));
    return NULL;
  }
  /* softplus(x) - x t, which softplus computes without overflow */
  return reduce(s, pc_sub(s, pc_op1(s, PC_OP_softplus, x), pc_mul(s, x, t)), r);
}

pc_tensor *pc_loss_gaussian_nll(pc_scope *s, pc_tensor *mean, pc_tensor *x, pc_tensor *var, double eps,
                                pc_reduction r) {
  int rc = pc_options_check(&pc_gaussian_nll_options, "gaussian_nll", &(pc_gaussian_nll_opts){eps, r});
  if (pc_note(s, rc) < 0 || !mean || !x || !var) return NULL;
  pc_val lim[2] = {PC_VD(eps), PC_VNONE};
  pc_tensor *v = pc_op(s, PC_OP_clamp, 1, &var, 2, lim, 0);
  pc_tensor *d = pc_op1(s, PC_OP_square, pc_sub(s, mean, x));
  return reduce(s, pc_mul_scalar(s, pc_add(s, pc_op1(s, PC_OP_log, v), pc_div(s, d, v)), 0.5), r);
}

pc_tensor *pc_loss_kl(pc_scope *s, pc_tensor *mean, pc_tensor *log_std, pc_reduction r) {
  pc_tensor *var = pc_op1(s, PC_OP_exp, pc_mul_scalar(s, log_std, 2));
  pc_tensor *half = pc_mul_scalar(s, pc_add(s, var, pc_op1(s, PC_OP_square, mean)), 0.5);
  return reduce(s, pc_add_scalar(s, pc_sub(s, half, log_std), -0.5), r);
}
