/* loss.h: losses as formulas over ops. Results are 0-dim, differentiable to second order. */
#ifndef PC_NN_LOSS_H
#define PC_NN_LOSS_H

#include "base/options.h"
#include "grad/op.h"

typedef enum pc_reduction {
  PC_REDUCE_MEAN,      /* over all elements */
  PC_REDUCE_SUM,       /* over all elements */
  PC_REDUCE_BATCH_MEAN /* summed over an item, mean over the first dimension: the paper's "per image" */
} pc_reduction;

#define PC_ROW_REDUCTION(X, S, by)                       \
  X(S, choice, reduction, "mean|sum|batch_mean", by, "", \
    "batch_mean: summed over an item, mean over the first dimension")
#define PC_LOSS_OPTIONS(X, S) PC_ROW_REDUCTION(X, S, PC_REDUCE_MEAN)
#define PC_KL_OPTIONS(X, S)   PC_ROW_REDUCTION(X, S, PC_REDUCE_BATCH_MEAN)
#define PC_CROSS_ENTROPY_OPTIONS(X, S) \
  X(S, num, label_smoothing, "0..<1", 0, "", "share of the target spread over all classes") PC_LOSS_OPTIONS(X, S)
#define PC_GAUSSIAN_NLL_OPTIONS(X, S) X(S, num, eps, "0..", 1e-6, "", "least variance") PC_LOSS_OPTIONS(X, S)
PC_OPTIONS_STRUCT(pc_loss_opts, PC_LOSS_OPTIONS);
PC_OPTIONS_STRUCT(pc_cross_entropy_opts, PC_CROSS_ENTROPY_OPTIONS);
PC_OPTIONS_STRUCT(pc_gaussian_nll_opts, PC_GAUSSIAN_NLL_OPTIONS);
extern const pc_options pc_loss_options, pc_kl_options, pc_cross_entropy_options, pc_gaussian_nll_options;
#define PC_CROSS_ENTROPY_OPTS_INIT \
  { PC_CROSS_ENTROPY_OPTIONS(PC_OPTION_INIT, ) }
#define PC_GAUSSIAN_NLL_OPTS_INIT \
  { PC_GAUSSIAN_NLL_OPTIONS(PC_OPTION_INIT, ) }

/* sum or mean of (x - y)^2 */
pc_tensor *pc_loss_mse(pc_scope *s, pc_tensor *x, pc_tensor *y, pc_reduction r);
/* -sum_c q_c log softmax(logits)_c; logits (...,C), target (...) i64 classes counted from 1;
 * q = (1-e) one_hot + e/C with label smoothing e. Reduced over all but the class dimension. */
pc_tensor *pc_loss_cross_entropy(pc_scope *s, pc_tensor *logits, pc_tensor *target, double smoothing, pc_reduction r);
/* max(x,0) - x t + log(1 + e^{-|x|}), t in [0,1] */
pc_tensor *pc_loss_bce_logits(pc_scope *s, pc_tensor *x, pc_tensor *t, pc_reduction r);
/* 0.5 (log var + (x - mean)^2 / var), var clamped from below at eps (PyTorch's gaussian_nll, full = false) */
pc_tensor *pc_loss_gaussian_nll(pc_scope *s, pc_tensor *mean, pc_tensor *x, pc_tensor *var, double eps, pc_reduction r);
/* KL(N(mean, std^2) || N(0,1)) = -log std + (std^2 + mean^2)/2 - 1/2, with log_std given */
pc_tensor *pc_loss_kl(pc_scope *s, pc_tensor *mean, pc_tensor *log_std, pc_reduction r);

#endif
