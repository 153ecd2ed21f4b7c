/* vit.h: Vision Transformers as an encoder's base (Dosovitskiy et al. 2020, arXiv 2010.11929), in the variants
 * that DINO, DINOv2 (registers, layer scale), I-JEPA (no class token), CLIP (norm before the blocks) and
 * SigLIP publish weights of.
 *
 *   p = patch convolution of (x - input_mean) / input_scale + position: (B,T,width), patches row by row
 *   t = [class token, registers, p];   t = norm_pre(t) with pre_norm
 *   depth times: t += s1 attention(norm1 t);  t += s2 fc2(act(fc1(norm2 t)));   s1, s2 (width) with layer_scale
 *   tokens = norm_out(t) (unless no_final_norm): (B,T',width)
 * input_mean (H,W,C) and input_scale (C) are buffers, 0 and 1 at birth.
 */
#ifndef PC_ENCODERS_VIT_H
#define PC_ENCODERS_VIT_H

#include "nn/module.h"

typedef enum pc_vit_act { PC_VIT_GELU, PC_VIT_GELU_TANH, PC_VIT_QUICK_GELU } pc_vit_act;
int pc_vit_act_parse(pc_vit_act *out, const char *name); /* "gelu", "gelu_tanh", "quick_gelu": x sigmoid(1.702 x) */

typedef struct pc_vit_opts {
  int64_t height, width_px, channels; /* 0: 224, height, 3 */
  int64_t patch;                      /* 0: 16; divides height and width */
  int64_t width, depth, heads;        /* 0: 384, 12, width / 64 */
  int64_t ff;                         /* 0: 4 width */
  int64_t registers;                  /* tokens that stand between class token and patches */
  int no_class_token;
  int no_class_position; /* the position table has rows for patches only; else for the class token, first */
  int sincos;            /* positions are a fixed sine-cosine table of the grid, for patches only */
  double layer_scale;    /* at birth; 0: none */
  double eps;            /* of the norms; 0: 1e-6 */
  int pre_norm, no_final_norm, no_qkv_bias, no_patch_bias;
  pc_vit_act act;
  int patches_only; /* class token and registers do not leave */
  int recompute;    /* inner layers of the feed-forward are computed again in backward, not kept */
} pc_vit_opts;

/* Linear weights and the patch convolution start Xavier uniform, biases 0, tokens and positions N(0, 0.02^2). */
int pc_encoder_vit(pc_module **out, const pc_vit_opts *o);

/* Sizes by a name as timm has them: vit_{tiny,small,medium,base,large,so400m,huge,giant}_patch{P}[_reg{R}][_clip|
 * _siglip|_gap][_quickgelu]_{size}, in any order after the patch, with dinov2 and dino known, too. Fields the
 * name says nothing about stay as they are. PC_EARG for a name that is not understood. */
int pc_vit_preset(pc_vit_opts *o, const char *name);

/* A position table for another grid: table (prefix + gh gw, width) -> (prefix + h w, width), patches row by row.
 * Cubic convolution between cell centres, separable (Keys 1981): a = -0.75, places beyond the border repeat
 * it; with antialias a = -0.5, weights beyond the border are left out, the kernel widened by the scale when the grid
 * shrinks. These are PyTorch's interpolate(mode = "bicubic", align_corners = false) with antialias off and on.
 * Cell i of n new ones looks at (i + 1/2) g / (n + offset) - 1/2 of g old ones: offset 0.1 is what DINO's own
 * code has, 0 what timm and transformers have. An unchanged grid is a copy. */
typedef struct pc_vit_grid_opts {
  int64_t prefix, from_h, from_w, to_h, to_w;
  int antialias;
  double offset;
} pc_vit_grid_opts;
int pc_vit_positions(pc_tensor **out, pc_tensor *table, const pc_vit_grid_opts *o);

#endif
