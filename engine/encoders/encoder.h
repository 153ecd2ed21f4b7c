/* encoder.h: models from images to slots, whole or as a base that gives tokens and a head that reads them.
 *
 * An encoder is a module: in x (B,H,W,C) in [0,1]; out mean (B,K,m) and, with a
 * VAE head, log_std (B,K,m) (std = exp(log_std)); without, the second is NULL.
 * A base (here the CNN; vit.h) is a module x (B,H,W,C) -> tokens (B,T,width), a head one
 * tokens (B,T,width) -> mean, log_std: any base goes with any head.
 */
#ifndef PC_ENCODERS_ENCODER_H
#define PC_ENCODERS_ENCODER_H

#include "nn/layers.h"

/* Base: CNN -> tokens + position:
 *   tokens = mlp(norm(cnn(standardised x) + position)): (B,T,width)
 *     or, with token_maps, norm(M_t cnn(x)_t + position): a matrix for every token
 * Stages are convolutions with relu between them, padded by kernel / 2; the last has `width` channels.
 * x is standardised as (x - input_mean) / input_scale, buffers (H,W,C) and () that are
 * 0 and 1 at birth: a study sets them to the mean ID image and its spread. */
typedef struct pc_cnn_opts {
  int64_t height, width_px, channels; /* 0: 64, height, 3 */
  int64_t stages;                     /* convolutions in the stem; 0: 4 */
  int64_t conv_channels[8];           /* 0: 32, 64, width, width */
  int64_t conv_kernel[8];             /* 0: 5 then 3 */
  int64_t conv_stride[8];             /* 0: 2, 2, 2, 1 */
  int64_t width;                      /* of tokens; 0: 96 */
  int token_maps;                     /* 1: a matrix for every token in place of the shared MLP */
  double position_sd;                 /* of the position table at birth; 0: 0.02 */
} pc_cnn_opts;
int pc_encoder_cnn(pc_module **out, const pc_cnn_opts *o);

/* Head: learned-query slot Transformer on tokens (B,T,tokens) (arXiv 2512.08854; 2411.07784: 5 layers, 4 heads):
 *   t = norm(tokens); q = learned queries (K,width)
 *   layers times: q += attention(norm q, t); q += self-attention(norm q); q += mlp(norm q)
 *   out = linear(norm q): width -> 2m; log_std = second half + log 0.5
 * The queries are told apart from the start, so that slot k means the same thing in
 * every image: replay recombines slots by their index. */
typedef struct pc_query_head_opts {
  int64_t slots, slot_dim; /* K, m: required */
  int64_t tokens;          /* width of the tokens: required */
  int64_t width;           /* of queries and attention; 0: 96 */
  int64_t heads;           /* 0: 4 */
  int64_t layers;          /* 0: 5 */
  int64_t ff;              /* 0: 2 width */
  double query_sd;         /* learned queries from N(0, sd^2); 0: U(0,1) */
  int no_norm;             /* tokens are read as they are */
  int no_vae;              /* the head gives means only */
} pc_query_head_opts;
int pc_encoder_queries(pc_module **out, const pc_query_head_opts *o);

/* Head: Slot Attention on tokens (B,T,tokens) (Locatello et al. 2020, arXiv 2006.15055, Algorithm 1):
 *   t = norm(tokens); s = start (K,width), learned for every slot
 *   iterations times: A = softmax over slots of (Wq norm s)·(Wk t) / sqrt(width)
 *                     u_k = sum_t (A_kt + eps) Wv t / sum_t (A_kt + eps); s = gru(u, s); s += mlp(norm s)
 *   out = linear(norm s)
 * Unless `through`, gradients do not go through the iterations: one further step is made from s without its
 * history (Chang et al. 2022, arXiv 2207.00787), and start gets the gradient of that s (Jia et al. 2023,
 * arXiv 2210.08990). Third output: the last A, (B,K,T), which sums to 1 over slots. */
typedef struct pc_slot_attention_opts {
  int64_t slots, slot_dim; /* K, m: required */
  int64_t tokens;          /* width of the tokens: required */
  int64_t width;           /* of slots; 0: 96 */
  int64_t iterations;      /* 0: 3 */
  int64_t hidden;          /* of the MLP; 0: 2 width */
  double start_sd;         /* of the learned start at birth; 0: 1 */
  double eps;              /* 0: 1e-8 */
  int through;             /* gradients go through all iterations; no further step */
  int no_vae;
} pc_slot_attention_opts;
int pc_encoder_slot_attention(pc_module **out, const pc_slot_attention_opts *o);

/* The CNN above with 3 layers of queries on its tokens, as one module. */
typedef struct pc_slot_encoder_opts {
  int64_t slots, slot_dim;            /* K, m: required */
  int64_t height, width_px, channels; /* 0: 64, 64, 3 */
  int64_t stages;                     /* convolutions in the stem; 0: 4 */
  int64_t conv_channels[8];           /* 0: 32, 64, width, width */
  int64_t conv_kernel[8];             /* 0: 5 then 3 */
  int64_t conv_stride[8];             /* 0: 2, 2, 2, 1 */
  int64_t width;                      /* of tokens and queries; 0: 96 */
  int64_t heads;                      /* 0: 4 */
  int64_t layers;                     /* 0: 3 */
  int64_t ff;                         /* 0: 2 width */
  int token_maps;                     /* 1: a matrix for every token in place of the shared MLP */
  double position_sd;                 /* of the position table at birth; 0: 0.02 */
  double query_sd;                    /* learned queries from N(0, sd^2); 0: U(0,1) */
  int no_vae;                         /* the head gives means only */
} pc_slot_encoder_opts;
int pc_encoder_slots(pc_module **out, const pc_slot_encoder_opts *o);

#endif
