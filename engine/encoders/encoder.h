/* encoder.h: models from images to slots.
 *
 * An encoder is a module: in x (B,H,W,C) in [0,1]; out mean (B,K,m) and, with a
 * VAE head, log_std (B,K,m) (std = exp(log_std)); without, the second is NULL.
 */
#ifndef PC_ENCODERS_ENCODER_H
#define PC_ENCODERS_ENCODER_H

#include "nn/layers.h"

/* CNN -> tokens + position -> learned-query slot Transformer (arXiv 2512.08854):
 *   tokens = mlp(norm(cnn(standardised x) + position)): (B,T,width)
 *     or, with token_maps, norm(M_t cnn(x)_t + position): a matrix for every token
 *   q = learned queries (K,width); layers times: q += attention(norm q, tokens);
 *   q += self-attention(norm q); q += mlp(norm q)
 *   out = linear(norm q): width -> 2m; log_std = second half + log_std_shift
 * x is standardised as (x - input_mean) / input_scale, buffers (H,W,C) and () that are
 * 0 and 1 at birth: a study sets them to the mean ID image and its spread.
 * The queries are told apart from the start, so that slot k means the same thing in
 * every image: replay recombines slots by their index. */
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
