/* layers.h: the layers that ship. Each constructor returns a new reference.
 *
 * Parameters are named as in PyTorch (weight, bias); linear weights are
 * (out,in), convolution weights (O,kh,kw,I/groups), images (N,H,W,C).
 * B batch, T tokens, N queries, M keys, K slots.
 */
#ifndef PC_NN_LAYERS_H
#define PC_NN_LAYERS_H

#include "base/options.h"
#include "nn/module.h"
#include "tensor/fused/norm.h"
#include "tensor/pointwise/act.h"

/* y = x W^T + b: (..., in) -> (..., out). A bias starts as the weight does with fan_in, else at 0. */
#define PC_ROW_GAIN(X, S) X(S, num, gain, "0..", 1, "", "scale of the initial values")
#define PC_ROW_BIAS(X, S) X(S, bool, bias, "", 1, "", "")
#define PC_LINEAR_OPTIONS(X, S)                                      \
  PC_ROW_BIAS(X, S)                                                  \
  X(S, choice, init, PC_INITS, PC_INIT_FAN_IN, "", "initial weight") \
  PC_ROW_GAIN(X, S)
PC_OPTIONS_STRUCT(pc_linear_opts, PC_LINEAR_OPTIONS);
extern const pc_options pc_linear_options;
/* Filling a tensor that is there (pc_init_fill). */
#define PC_INIT_OPTIONS(X, S) X(S, choice, kind, PC_INITS, PC_REQUIRED, "", "") PC_ROW_GAIN(X, S)
PC_OPTIONS_STRUCT(pc_init_opts, PC_INIT_OPTIONS);
extern const pc_options pc_init_options;
/* o NULL: the defaults, here and below. */
int pc_nn_linear(pc_module **out, int64_t in, int64_t out_features, const pc_linear_opts *o);

/* (B,H,W,in) -> (B,H',W',out). output_padding: of the transposed one only. */
#define PC_CONV_STEPS(X, S)                 \
  X(S, int, stride, "1..", 1, "pixels", "") \
  X(S, int, padding, "0..", 0, "pixels", "of zeros on each side")
#define PC_CONV_REST(X, S)                                       \
  X(S, int, dilation, "1..", 1, "pixels", "between taps")        \
  X(S, int, groups, "1..", 1, "", "of channels, each by itself") \
  PC_ROW_BIAS(X, S)
#define PC_CONV_OPTIONS(X, S) PC_CONV_STEPS(X, S) PC_CONV_REST(X, S)
#define PC_CONV_TRANSPOSE_OPTIONS(X, S)                                        \
  PC_CONV_STEPS(X, S)                                                          \
  X(S, int, output_padding, "0..", 0, "pixels", "rows and columns more below") \
  PC_CONV_REST(X, S)
PC_OPTIONS_STRUCT(pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS);
extern const pc_options pc_conv_options, pc_conv_transpose_options;
int pc_nn_conv2d(pc_module **out, int64_t in, int64_t out_channels, int64_t kernel, const pc_nn_conv_opts *o);
int pc_nn_conv_transpose2d(pc_module **out, int64_t in, int64_t out_channels, int64_t kernel, const pc_nn_conv_opts *o);

/* Either of them at work; relu: max(0, ·) in the same pass, as in a sequence of a convolution and relu. */
pc_tensor *pc_nn_convolve(pc_scope *s, pc_module *conv, pc_tensor *x, int relu);

/* Layer norm over the last dimension, group norm over groups of channels. */
#define PC_ROW_NORM_EPS(X, S, by)   X(S, num, eps, "0..", by, "", "added to the variance")
#define PC_GROUP_NORM_OPTIONS(X, S) PC_ROW_NORM_EPS(X, S, PC_NORM_EPS)
#define PC_LAYER_NORM_OPTIONS(X, S) PC_GROUP_NORM_OPTIONS(X, S) X(S, bool, affine, "", 1, "", "weight and bias")
PC_OPTIONS_STRUCT(pc_layer_norm_opts, PC_LAYER_NORM_OPTIONS);
PC_OPTIONS_STRUCT(pc_group_norm_opts, PC_GROUP_NORM_OPTIONS);
extern const pc_options pc_layer_norm_options, pc_group_norm_options;
int pc_nn_layer_norm(pc_module **out, int64_t width, const pc_layer_norm_opts *o);
int pc_nn_group_norm(pc_module **out, int64_t groups, int64_t channels, const pc_group_norm_opts *o);

#define PC_DROPOUT_OPTIONS(X, S) X(S, num, p, "0..<1", 0.5, "", "share that becomes 0")
PC_OPTIONS_STRUCT(pc_dropout_opts, PC_DROPOUT_OPTIONS);
extern const pc_options pc_dropout_options;
int pc_nn_dropout(pc_module **out, const pc_dropout_opts *o);

#define PC_ACTIVATION_OPTIONS(X, S) X(S, choice, kind, PC_ACTIVATIONS, PC_REQUIRED, "", "")
PC_OPTIONS_STRUCT(pc_activation_opts, PC_ACTIVATION_OPTIONS);
extern const pc_options pc_activation_options;
int pc_nn_activation(pc_module **out, pc_activation act);
int pc_nn_flatten(pc_module **out); /* (B,...) -> (B,n) */

/* Modules in a row, children named "1", "2", ...; retains them. */
int pc_nn_sequential(pc_module **out, int n, pc_module *const *parts);
/* linear, act, linear, act, ..., linear through the given widths (n >= 2). */
#define PC_MLP_OPTIONS(X, S) X(S, choice, activation, PC_ACTIVATIONS, PC_ACTIVATION_gelu, "", "between the layers")
PC_OPTIONS_STRUCT(pc_mlp_opts, PC_MLP_OPTIONS);
extern const pc_options pc_mlp_options;
int pc_nn_mlp(pc_module **out, int n, const int64_t *widths, pc_activation act);

/* Multi-head attention: queries (B or 1,N,width), context (B,M,context) -> (B,N,width), and the weights
 * (B,heads,N,M) as second output: softmax(q k^T / sqrt(inner / heads)) v. The inner width is split over heads. One
 * input: self-attention. */
#define PC_ATTENTION_INNER(X, S)                                                                             \
  X(S, maybe_int64, inner, "1..", 0, "", "width of q, k and v, all heads together; left out: the context's") \
  X(S, bool, bias, "", 0, "", "of q, k and v; the output's is always there")
#define PC_ROW_CONTEXT(X, S, help) X(S, maybe_int64, context, "1..", 0, "", help)
#define PC_ATTENTION_OPTIONS(X, S) PC_ROW_CONTEXT(X, S, "width of the context; left out: as x") PC_ATTENTION_INNER(X, S)
PC_OPTIONS_STRUCT(pc_attention_opts, PC_ATTENTION_OPTIONS);
extern const pc_options pc_attention_options;
int pc_nn_attention(pc_module **out, int64_t width, int64_t heads, const pc_attention_opts *o);

/* (x +) attention of norm(x) to itself, m an attention: norm and projections as one op where they are plain. */
pc_tensor *pc_nn_self_attention(pc_scope *s, pc_module *m, pc_module *norm, pc_tensor *x, int around);

/* Pre-norm Transformer block: x += attn(norm(x), context); x += mlp(norm(x)).
 * self_attention adds x += attn(norm(x)) between. recompute: the inner layer of the MLP, 4 x as
 * large as x by default, is not kept for backward but computed again, a tile of rows at a time.
 * in: x (B,N,width)[, context (B,M,context)]; out: x and, of the cross-attention, the weights. */
#define PC_ROW_RECOMPUTE(X, S) \
  X(S, bool, recompute, "", 0, "", "backward computes the feed-forward's inner layer again, it is not kept")
#define PC_ROW_FF(X, S, by) X(S, maybe_int64, ff, "1..1048576", 0, "", "inner width of the feed-forward; left out: " by)
#define PC_BLOCK_OPTIONS(X, S)                                                      \
  PC_ROW_CONTEXT(X, S, "width of the context; left out: none, self-attention only") \
  X(S, bool, self_attention, "", 0, "", "with a context: self-attention besides")   \
  PC_ROW_FF(X, S, "4 width") PC_ATTENTION_INNER(X, S) PC_ROW_RECOMPUTE(X, S)
PC_OPTIONS_STRUCT(pc_block_opts, PC_BLOCK_OPTIONS);
extern const pc_options pc_block_options;
int pc_nn_block(pc_module **out, int64_t width, int64_t heads, const pc_block_opts *o);

/* GRU cell (Cho et al. 2014, PyTorch's gate order r, z, n): x (B,in), h (B,hidden) -> h'. */
int pc_nn_gru_cell(pc_module **out, int64_t in, int64_t hidden);

/* Position embeddings.
 * learned: adds a parameter (n,width) to x (B,n,width), N(0, sd^2) at birth.
 * sincos_1d / sincos_2d: fixed tables (Vaswani et al. 2017; 2-d: half the width for rows, half for columns).
 * fourier: coordinates of an h x w grid in [0,1]^2 -> sin, cos of 2^o pi x, o < octaves: (h*w, 4*octaves). */
#define PC_ROW_POSITION_SD(X, S, name) X(S, num, name, "0..", 0.02, "", "sd of the position table at birth")
#define PC_POSITION_OPTIONS(X, S)      PC_ROW_POSITION_SD(X, S, sd)
PC_OPTIONS_STRUCT(pc_position_opts, PC_POSITION_OPTIONS);
extern const pc_options pc_position_options;
int pc_nn_position(pc_module **out, int64_t n, int64_t width, double sd);
int pc_embed_sincos_1d(pc_tensor **out, int64_t n, int64_t width);
int pc_embed_sincos_2d(pc_tensor **out, int64_t h, int64_t w, int64_t width);
#define PC_ROW_OCTAVES(X, S, by) X(S, int64, octaves, "1..24", by, "", "of the positions' Fourier features")
#define PC_FOURIER_OPTIONS(X, S) PC_ROW_OCTAVES(X, S, 8)
PC_OPTIONS_STRUCT(pc_fourier_opts, PC_FOURIER_OPTIONS);
extern const pc_options pc_fourier_options;
int pc_embed_fourier(pc_tensor **out, int64_t h, int64_t w, int64_t octaves);

#endif
