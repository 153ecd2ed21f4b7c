/* overlay.h: masks as colours over pictures.
 *
 * Pictures are (N,H,W,C), C = 1, 3 or 4 (alpha is ignored): u8, or floats in [0,1].
 * Masks are either labels, u8 (N,H,W): label k has colour k (color.h), 0 leaves
 * the picture as it is; or weights, floats (N,h,w,K) with H and W multiples of h
 * and w: place (y,x) mixes the colours of its K slots by weight (NaN and
 * negative weights count as 0; where all are 0 the picture stays).
 * The result is u8 (N,H,W,3).
 */
#ifndef PC_IMAGES_OVERLAY_H
#define PC_IMAGES_OVERLAY_H

#include "base/options.h"
#include "tensor/tensor.h"

#define PC_OVERLAY_OPTIONS(X, S)                      \
  X(S, num, alpha, "0..1", 0.5, "", "of the colours") \
  X(S, bool, outline, "", 0, "", "border pixels of labels (of the strongest slot, for weights) in full colour")
PC_OPTIONS_STRUCT(pc_overlay_opts, PC_OVERLAY_OPTIONS);
#define PC_OVERLAY_OPTS_INIT \
  { PC_OVERLAY_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_overlay_options;

/* opts may be NULL. PC_ESHAPE, PC_EDTYPE, PC_EARG (alpha outside of [0,1]). */
int pc_overlay(pc_tensor **out, const pc_tensor *images, const pc_tensor *masks, const pc_overlay_opts *opts);

#endif
