/* layers.h: the layers that ship. Each constructor returns a new reference.
 *
 * Parameters are named as in PyTorch (weight, bias); linear weights are
 * (out,in), convolution weights (O,kh,kw,I/groups), images (N,H,W,C).
 * B batch, T tokens, N queries, M keys, K slots.
 */
#ifndef PC_NN_LAYERS_H
#define PC_NN_LAYERS_H

#include "nn/module.h"

typedef enum pc_nn_act {
  PC_NN_NONE,
  PC_NN_RELU,
  PC_NN_GELU,
  PC_NN_SILU,
  PC_NN_ELU,
  PC_NN_LEAKY_RELU,
  PC_NN_TANH,
  PC_NN_SIGMOID
} pc_nn_act;
int pc_nn_act_parse(pc_nn_act *out, const char *name);
pc_tensor *pc_activate(pc_scope *s, pc_nn_act act, pc_tensor *x);

/* y = x W^T + b: (..., in) -> (..., out). */
typedef struct pc_linear_opts {
  int no_bias;
  pc_init init; /* 0 (zeros) means the default PC_INIT_FAN_IN with gain 1 */
  double gain;  /* 0: 1 */
  int zeros;    /* weights and bias start at 0 */
} pc_linear_opts;
int pc_nn_linear(pc_module **out, int64_t in, int64_t out_features, const pc_linear_opts *o);

/* (B,H,W,in) -> (B,H',W',out). */
typedef struct pc_nn_conv_opts {
  int64_t stride, padding, dilation, groups; /* 0: 1, 0, 1, 1 */
  int64_t output_padding;                    /* transposed only */
  int no_bias;
} pc_nn_conv_opts;
int pc_nn_conv2d(pc_module **out, int64_t in, int64_t out_channels, int64_t kernel, const pc_nn_conv_opts *o);
int pc_nn_conv_transpose2d(pc_module **out, int64_t in, int64_t out_channels, int64_t kernel, const pc_nn_conv_opts *o);

/* Either of them at work; relu: max(0, ·) in the same pass, as in a sequence of a convolution and relu. */
pc_tensor *pc_nn_convolve(pc_scope *s, pc_module *conv, pc_tensor *x, int relu);

int pc_nn_layer_norm(pc_module **out, int64_t width, double eps,
                     int no_affine); /* over the last dimension; eps 0: 1e-5 */
int pc_nn_group_norm(pc_module **out, int64_t groups, int64_t channels, double eps);
int pc_nn_dropout(pc_module **out, double p);
int pc_nn_activation(pc_module **out, pc_nn_act act);
int pc_nn_flatten(pc_module **out); /* (B,...) -> (B,n) */

/* Modules in a row, children named "1", "2", ...; retains them. */
int pc_nn_sequential(pc_module **out, int n, pc_module *const *parts);
/* linear, act, linear, act, ..., linear through the given widths (n >= 2). */
int pc_nn_mlp(pc_module **out, int n, const int64_t *widths, pc_nn_act act);

/* Multi-head attention: queries (B or 1,N,width_q), context (B,M,width_kv) -> (B,N,width_q),
 * and the weights (B,heads,N,M) as second output. Inner width `inner` (0: width_kv) is split
 * over heads; q, k, v projections without bias by default, output projection with.
 * softmax(q k^T / sqrt(inner / heads)) v. One input: self-attention. */
typedef struct pc_attention_opts {
  int64_t inner;
  int qkv_bias;
} pc_attention_opts;
int pc_nn_attention(pc_module **out, int64_t width_q, int64_t width_kv, int64_t heads, const pc_attention_opts *o);

/* (x +) attention of norm(x) to itself, m an attention: norm and projections as one op where they are plain. */
pc_tensor *pc_nn_self_attention(pc_scope *s, pc_module *m, pc_module *norm, pc_tensor *x, int around);

/* Pre-norm Transformer block: x += attn(norm(x), context); x += mlp(norm(x)).
 * self_attention adds x += attn(norm(x)) between. ff: inner width of the MLP. recompute: its inner layer, 4 x as
 * large as x by default, is not kept for backward but computed again, a tile of rows at a time.
 * in: x (B,N,width)[, context (B,M,width_kv)]; out: x and, of the cross-attention, the weights. */
typedef struct pc_block_opts {
  int64_t width_kv;   /* 0: no context, self-attention only */
  int self_attention; /* with context: a self-attention besides */
  int64_t ff;         /* 0: 4 * width */
  int64_t inner;      /* of the cross-attention; 0: width_kv */
  int qkv_bias;       /* of every attention */
  int recompute;
} pc_block_opts;
int pc_nn_block(pc_module **out, int64_t width, int64_t heads, const pc_block_opts *o);

/* GRU cell (Cho et al. 2014, PyTorch's gate order r, z, n): x (B,in), h (B,hidden) -> h'. */
int pc_nn_gru_cell(pc_module **out, int64_t in, int64_t hidden);

/* Position embeddings.
 * learned: adds a parameter (n,width) to x (B,n,width).
 * sincos_1d / sincos_2d: fixed tables (Vaswani et al. 2017; 2-d: half the width for rows, half for columns).
 * fourier: coordinates of an h x w grid in [0,1]^2 -> sin, cos of 2^o pi x, o < octaves: (h*w, 4*octaves). */
int pc_nn_position(pc_module **out, int64_t n, int64_t width, double sd);
int pc_embed_sincos_1d(pc_tensor **out, int64_t n, int64_t width);
int pc_embed_sincos_2d(pc_tensor **out, int64_t h, int64_t w, int64_t width);
int pc_embed_fourier(pc_tensor **out, int64_t h, int64_t w, int64_t octaves);

#endif
