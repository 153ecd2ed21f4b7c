/* encoder.h: models from images to slots, whole or as a base that gives tokens and a head that reads them.
 *
 * An encoder is a module: in x (B,H,W,C) in [0,1]; out mean (B,K,m) and, with a
 * VAE head, log_std (B,K,m) (std = exp(log_std)); without, the second is NULL.
 * A base (here the CNN; vit.h) is a module x (B,H,W,C) -> tokens (B,T,width), a head one
 * tokens (B,T,width) -> mean, log_std: any base goes with any head.
 *
 * A new encoder: its options and its constructor here, a file beside the others, a row in registry.c. From the row
 * comes its function in the language above, with signature and help.
 */
#ifndef PC_ENCODERS_ENCODER_H
#define PC_ENCODERS_ENCODER_H

#include "nn/rows.h"

/* Rows of options that several encoders have. */
#define PC_ROW_TOKENS_WIDTH(X, S) X(S, int64, width, PC_RANGE_WIDTH, 96, "", "of tokens, queries and slots inside")
#define PC_ROW_TOKENS(X, S)       X(S, int64, tokens, PC_RANGE_WIDTH, PC_REQUIRED, "", "width of the base's tokens")
#define PC_ROW_QUERY_SD(X, S) \
  X(S, maybe_num, query_sd, "0..", 0, "", "queries start from N(0, query_sd^2); left out: from U(0,1)")
#define PC_ROW_VAE(X, S) X(S, bool, vae, "", 1, "", "log_std, too; false: means only")

/* Base: CNN -> tokens + position:
 *   tokens = mlp(norm(cnn(standardised x) + position)): (B,T,width)
 *     or, with token_maps, norm(M_t cnn(x)_t + position): a matrix for every token
 * Stages are convolutions with relu between them, padded by kernel / 2; the last has `width` channels.
 * x is standardised as (x - input_mean) / input_scale, buffers (H,W,C) and () that are
 * 0 and 1 at birth: a study sets them to the mean ID image and its spread. */
enum { PC_STEM_MAX = PC_SIZES_MAX };
#define PC_ROWS_STEM(X, S)                                                                              \
  X(S, sizes, conv_channels, "1..65536", 0, "", "of every convolution; left out: 32, 64, width, width") \
  X(S, sizes, conv_kernel, "1..255", 0, "pixels", "left out: 5, then 3")                                \
  X(S, sizes, conv_stride, "1..255", 0, "pixels", "left out: 2, 2, 2, then 1")                          \
  X(S, bool, token_maps, "", 0, "", "a matrix for every token in place of the shared MLP")              \
  PC_ROW_POSITION_SD(X, S, position_sd)
#define PC_CNN_OPTIONS(X, S) PC_ROWS_IMAGE(X, S) PC_ROW_TOKENS_WIDTH(X, S) PC_ROWS_STEM(X, S)
PC_OPTIONS_STRUCT(pc_cnn_opts, PC_CNN_OPTIONS);
extern const pc_options pc_cnn_options;
int pc_encoder_cnn(pc_module **out, const pc_cnn_opts *o);

/* Head: learned-query slot Transformer on tokens (B,T,tokens) (arXiv 2512.08854; 2411.07784: 5 layers, 4 heads):
 *   t = norm(tokens); q = learned queries (K,width)
 *   layers times: q += attention(norm q, t); q += self-attention(norm q); q += mlp(norm q)
 *   out = linear(norm q): width -> 2m; log_std = second half + log 0.5
 * The queries are told apart from the start, so that slot k means the same thing in
 * every image: replay recombines slots by their index. */
#define PC_QUERY_HEAD_OPTIONS(X, S)                                              \
  PC_ROWS_SLOTS(X, S)                                                            \
  PC_ROW_TOKENS(X, S)                                                            \
  PC_ROW_TOKENS_WIDTH(X, S)                                                      \
  PC_ROW_HEADS(X, S)                                                             \
  PC_ROW_LAYERS(X, S, 5)                                                         \
  PC_ROW_FF(X, S, "2 width")                                                     \
  PC_ROW_QUERY_SD(X, S)                                                          \
  X(S, bool, norm, "", 1, "", "of the tokens; false: they are read as they are") \
  PC_ROW_VAE(X, S)
PC_OPTIONS_STRUCT(pc_query_head_opts, PC_QUERY_HEAD_OPTIONS);
extern const pc_options pc_query_head_options;
int pc_encoder_queries(pc_module **out, const pc_query_head_opts *o);

/* Head: Slot Attention on tokens (B,T,tokens) (Locatello et al. 2020, arXiv 2006.15055, Algorithm 1):
 *   t = norm(tokens); s = start (K,width), learned for every slot
 *   iterations times: A = softmax over slots of (Wq norm s)·(Wk t) / sqrt(width)
 *                     u_k = sum_t (A_kt + eps) Wv t / sum_t (A_kt + eps); s = gru(u, s); s += mlp(norm s)
 *   out = linear(norm s)
 * With `detach`, gradients do not go through the iterations: one further step is made from s without its
 * history (Chang et al. 2022, arXiv 2207.00787), and start gets the gradient of that s (Jia et al. 2023,
 * arXiv 2210.08990). Third output: the last A, (B,K,T), which sums to 1 over slots. */
#define PC_SLOT_ATTENTION_OPTIONS(X, S)                                                          \
  PC_ROWS_SLOTS(X, S)                                                                            \
  PC_ROW_TOKENS(X, S)                                                                            \
  PC_ROW_TOKENS_WIDTH(X, S)                                                                      \
  X(S, int64, iterations, "1..1000000", 3, "", "")                                               \
  X(S, maybe_int64, hidden, PC_RANGE_WIDTH, 0, "", "width inside of the MLP; left out: 2 width") \
  X(S, num, start_sd, "0..", 1, "", "sd of the learned start at birth")                          \
  X(S, num, eps, "0..", 1e-8, "", "added to every weight of the mean")                           \
  X(S, bool, detach, "", 1, "", "gradients through one further step only")                       \
  PC_ROW_VAE(X, S)
PC_OPTIONS_STRUCT(pc_slot_attention_opts, PC_SLOT_ATTENTION_OPTIONS);
extern const pc_options pc_slot_attention_options;
int pc_encoder_slot_attention(pc_module **out, const pc_slot_attention_opts *o);

/* The CNN above with 3 layers of queries on its tokens, as one module. */
#define PC_SLOT_ENCODER_OPTIONS(X, S) \
  PC_ROWS_SLOTS(X, S)                 \
  PC_ROWS_IMAGE(X, S)                 \
  PC_ROW_TOKENS_WIDTH(X, S)           \
  PC_ROW_HEADS(X, S)                  \
  PC_ROW_THREE_LAYERS(X, S)           \
  PC_ROW_FF(X, S, "2 width")          \
  PC_ROW_VAE(X, S)                    \
  PC_ROWS_STEM(X, S)                  \
  PC_ROW_QUERY_SD(X, S)
PC_OPTIONS_STRUCT(pc_slot_encoder_opts, PC_SLOT_ENCODER_OPTIONS);
extern const pc_options pc_slot_encoder_options;
int pc_encoder_slots(pc_module **out, const pc_slot_encoder_opts *o);

/* ---- the registry (registry.c) ---- */
typedef enum pc_encoder_kind {
  PC_ENCODER_WHOLE, /* image -> slots */
  PC_ENCODER_BASE,  /* image -> tokens */
  PC_ENCODER_HEAD   /* tokens -> slots */
} pc_encoder_kind;
typedef struct pc_encoder_row {
  const char *name; /* "slots" */
  pc_encoder_kind kind;
  const pc_options *options;
  int (*make)(pc_module **out, const void *opts); /* opts: the struct of `options` */
  const char *help;                               /* what it is: shapes, source */
} pc_encoder_row;
extern const pc_encoder_row pc_encoders[];
extern const int pc_nencoders;

#endif
