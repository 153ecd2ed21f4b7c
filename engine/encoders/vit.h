/* vit.h: Vision Transformers as an encoder's base (Dosovitskiy et al. 2020, arXiv 2010.11929), in the variants
 * that DINO, DINOv2 (registers, layer scale), I-JEPA (no class token), CLIP (norm before the blocks) and
 * SigLIP publish weights of.
 *
 *   p = patch convolution of (x - input_mean) / input_scale + position: (B,T,width), patches row by row
 *   t = [class token, registers, p];   t = norm_pre(t) with pre_norm
 *   depth times: t += s1 attention(norm1 t);  t += s2 fc2(act(fc1(norm2 t)));   s1, s2 (width) with layer_scale
 *   tokens = norm_out(t) (with final_norm): (B,T',width)
 * input_mean (H,W,C) and input_scale (C) are buffers, 0 and 1 at birth.
 */
#ifndef PC_ENCODERS_VIT_H
#define PC_ENCODERS_VIT_H

#include "nn/rows.h"

/* What nothing says is ViT-S of 224 pixels. */
#define PC_VIT_SIZES(X, S)                                                      \
  PC_ROW_HEIGHT(X, S, 224)                                                      \
  PC_ROWS_IMAGE_REST(X, S)                                                      \
  X(S, int64, patch, PC_RANGE_SIDE, 16, "pixels", "divides height and width")   \
  X(S, int64, depth, "1..1000", 12, "blocks", "")                               \
  X(S, int64, width, PC_RANGE_WIDTH, 384, "", "of tokens")                      \
  X(S, maybe_int64, heads, PC_RANGE_WIDTH, 0, "", "left out: width / 64, or 1") \
  PC_ROW_FF(X, S, "4 width")                                                    \
  X(S, int64, registers, "0..65536", 0, "", "tokens between class token and patches")
#define PC_VIT_FORM(X, S)                                                                                             \
  X(S, bool, class_token, "", 1, "", "")                                                                              \
  X(S, maybe_bool, class_position, "", 0, "", "a row of positions for the class token; left out: where there is one") \
  X(S, maybe_num, layer_scale, "", 0, "", "scale of every branch at birth; left out: no scales")                      \
  X(S, bool, pre_norm, "", 0, "", "a norm before the blocks (CLIP)")                                                  \
  X(S, bool, final_norm, "", 1, "", "")                                                                               \
  X(S, bool, qkv_bias, "", 1, "", "")                                                                                 \
  X(S, bool, patch_bias, "", 1, "", "")                                                                               \
  PC_ROW_ACT(X, S, activation, PC_ACTIVATION_gelu)                                                                    \
  X(S, choice, position, "learned|sincos", PC_VIT_LEARNED, "", "sincos: a fixed sine-cosine table, for patches only") \
  PC_ROW_NORM_EPS(X, S, 1e-6)                                                                                         \
  X(S, choice, tokens, "all|patches", PC_VIT_ALL, "", "patches: class token and registers do not leave")              \
  PC_ROW_RECOMPUTE(X, S)
#define PC_VIT_OPTIONS(X, S) PC_VIT_SIZES(X, S) PC_VIT_FORM(X, S)
enum { PC_VIT_LEARNED, PC_VIT_SINCOS };
enum { PC_VIT_ALL, PC_VIT_PATCHES };
PC_OPTIONS_STRUCT(pc_vit_opts, PC_VIT_OPTIONS);
#define PC_VIT_OPTS_INIT \
  { PC_VIT_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_vit_options;

/* Linear weights and the patch convolution start Xavier uniform, biases 0, tokens and positions N(0, 0.02^2). */
int pc_encoder_vit(pc_module **out, const pc_vit_opts *o);

/* Sizes by a name as timm has them: vit_{tiny,small,medium,base,large,so400m,huge,giant}_patch{P}[_reg{R}][_clip|
 * _siglip|_gap][_quickgelu]_{size}, in any order after the patch, with dinov2 and dino known, too. Fields the
 * name says nothing about stay as they are; to be called with the defaults, before other options. PC_EARG for a name
 * that is not understood. */
int pc_vit_preset(pc_vit_opts *o, const char *name);

/* A position table for another grid: table (prefix + gh gw, width) -> (prefix + h w, width), patches row by row.
 * Cubic convolution between cell centres, separable (Keys 1981): a = -0.75, places beyond the border repeat
 * it; with antialias a = -0.5, weights beyond the border are left out, the kernel widened by the scale when the grid
 * shrinks. These are PyTorch's interpolate(mode = "bicubic", align_corners = false) with antialias off and on.
 * Cell i of n new ones looks at (i + 1/2) g / (n + offset) - 1/2 of g old ones: offset 0.1 is what DINO's own
 * code has, 0 what timm and transformers have. An unchanged grid is a copy. */
#define PC_VIT_GRID_OPTIONS(X, S)                                  \
  X(S, int64, prefix, "0..65536", 0, "", "rows before the grid's") \
  X(S, bool, antialias, "", 0, "", "")                             \
  X(S, num, offset, "", 0, "cells", "0.1 is DINO's")
PC_OPTIONS_STRUCT(pc_vit_grid_opts, PC_VIT_GRID_OPTIONS);
extern const pc_options pc_vit_grid_options;
/* from, to: rows and columns. */
int pc_vit_positions(pc_tensor **out, pc_tensor *table, const int64_t from[2], const int64_t to[2],
                     const pc_vit_grid_opts *o);

#endif
