/* decoder.h: models from slots to images.
 *
 * A decoder is a module: in z (B,K,m); out image (B,H,W,C) and, where it has
 * one, the slot attention (B,Q,K): for each of its Q output positions how much
 * it looks at each slot (rows sum to 1, averaged over layers and heads).
 * Output k of the attention of a decoder without one is NULL.
 *
 * A new decoder: its options and its constructor here, a file beside the others, a row in registry.c. From the row come
 * its function in the language above, with signature and help, and its name in studies.
 */
#ifndef PC_DECODERS_DECODER_H
#define PC_DECODERS_DECODER_H

#include "nn/rows.h"

/* Rows of options that several decoders have. */
#define PC_ROW_PATCH(X, S, n) \
  X(S, int64, patch, PC_RANGE_SIDE, n, "pixels", "side of what a query paints; divides the image")
#define PC_ROWS_PAINTER(X, S)     PC_ROWS_ANY_SLOTS(X, S) PC_ROWS_IMAGE(X, S)
#define PC_ROW_COARSE_PATCH(X, S) PC_ROW_PATCH(X, S, 4)
#define PC_ROW_NARROW(X, S)       PC_ROW_HIDDEN(X, S, 64)
#define PC_ROWS_DENSE(X, S)       PC_ROW_CODE(X, S) PC_ROW_SHALLOW(X, S)
#define PC_ROW_CODE(X, S)         PC_ROW_HIDDEN(X, S, 256)

/* The cross-attention Transformer decoder (arXiv 2411.07784): each
 * output position asks the slots, and only the slots; positions never see each
 * other, so how much slots interact in a pixel is readable from its attention.
 *   c = mlp_z(z): m -> slot_hidden -> width_kv
 *   x = mlp_p(fourier(position)): 4 octaves -> 2 width -> width
 *   layers times: x += attention(norm x, c); x += mlp(norm x)
 *   pixels = mlp_o(x): width -> width -> width -> patch*patch*channels
 * One query a patch of patch x patch pixels (1: a query a pixel).
 * Queries never see each other, so they may be decoded `tile` at a time, each tile recomputed in
 * backward (grad/checkpoint.h): the same image and gradients, memory for one tile, the decode
 * once more. Under a memory limit (pc_alloc_set_limit) a tile is by default what takes about a quarter of it. */
#define PC_CROSS_DECODER_OPTIONS(X, S)                                                                                \
  PC_ROWS_PAINTER(X, S)                                                                                               \
  PC_ROW_COARSE_PATCH(X, S)                                                                                           \
  X(S, int64, width, PC_RANGE_WIDTH, 64, "", "of the queries (180 in arXiv 2411.07784)")                              \
  X(S, maybe_int64, width_kv, PC_RANGE_WIDTH, 0, "", "of keys and values, split over heads; left out: 2 width (516)") \
  PC_ROW_HEADS(X, S)                                                                                                  \
  PC_ROW_SHALLOW(X, S)                                                                                                \
  PC_ROW_FF(X, S, "2 width")                                                                                          \
  PC_FOURIER_OPTIONS(X, S)                                                                                            \
  X(S, maybe_int64, slot_hidden, PC_RANGE_WIDTH, 0, "", "between slot and keys; left out: 4 width")                   \
  X(S, bool, bias, "", 0, "", "of the attention's q, k and v")                                                        \
  X(S, maybe_int64, tile, "1..", 0, "", "queries at a time; left out: all, or what the memory limit allows")
PC_OPTIONS_STRUCT(pc_cross_decoder_opts, PC_CROSS_DECODER_OPTIONS);
extern const pc_options pc_cross_decoder_options;
int pc_decoder_cross(pc_module **out, const pc_cross_decoder_opts *o);

/* One layer of cross-attention with one head, whose value map differs by position:
 *   h_k = gelu(W z_k + b + e_k)               e_k: a learned identity of slot k
 *   a_pk = softmax_k(q_p . (W_key h_k) / sqrt(key_dim) + b_k),  q_p = mlp(fourier(p))
 *   patch_p = mean_p + sum_k a_pk (V_p h_k + c_p)
 * i.e. every slot renders a whole image and attention composes them. It learns in
 * thousands of steps what the deeper decoder learns in hundreds of thousands, at a
 * fraction of the cost; interaction is read from its attention in the same way.
 * b_k starts at 0, but for the last slot at `background`: a slot that starts out holding the
 * whole image leaves the others what stands out from it.
 * With `window` w > 0 the score of every slot but the last is less by w |p - c_k|^2, p in [-1,1]^2 and the centre
 * c_k linear in the slot's code: objects are compact, as in the attention windows of AIR (arXiv 1603.08575); a
 * slot is then one thing rather than two that stand apart. 1 / sqrt(2 w) is the window's sd in half images.
 * The buffer `mean` (H,W,C) is the image that no slot needs to explain (0 at birth). */
#define PC_RENDER_DECODER_OPTIONS(X, S)                                       \
  PC_ROWS_SLOTS(X, S)                                                         \
  PC_ROWS_IMAGE(X, S)                                                         \
  PC_ROW_COARSE_PATCH(X, S)                                                   \
  PC_ROW_CODE(X, S)                                                           \
  X(S, int64, key_dim, PC_RANGE_WIDTH, 96, "", "")                            \
  PC_ROW_OCTAVES(X, S, 4)                                                     \
  X(S, num, identity, "0..", 0.3, "", "sd of the slots' identities at birth") \
  X(S, num, background, "", 0, "", "logit of the last slot at birth")         \
  X(S, num, window, "0..", 0, "", "compactness of every slot but the last; 0: no window, and no parameters of one")
PC_OPTIONS_STRUCT(pc_render_decoder_opts, PC_RENDER_DECODER_OPTIONS);
extern const pc_options pc_render_decoder_options;
int pc_decoder_render(pc_module **out, const pc_render_decoder_opts *o);

/* Spatial broadcast (arXiv 1901.07017), one shared network for every slot, as the additive decoders of
 * arXiv 2310.05327 and 2209.15430 have it:
 *   x_k(p) = z_k + W p + b on a coarse grid of places p in [-1,1]^2
 *   y_k = net(x_k): `doublings` transposed convolutions of stride 2, then one of stride 1 to colours
 *         (and a mask's logit)
 *   image = sum_k mask_k * colours_k   (tensor/composite.h), or the plain sum of colours
 * With masks `sigmoid` or `none` slots do not interact by construction; `softmax` masks couple them. */
typedef enum pc_masks { PC_MASKS_SOFTMAX, PC_MASKS_SIGMOID, PC_MASKS_NONE } pc_masks;
#define PC_ROW_MASKS(X, S) \
  X(S, choice, masks, "softmax|sigmoid|none", PC_MASKS_SOFTMAX, "", "none: paintings are added, no slot attention")
#define PC_BROADCAST_DECODER_OPTIONS(X, S)                                              \
  PC_ROWS_PAINTER(X, S)                                                                 \
  PC_ROW_NARROW(X, S)                                                                   \
  X(S, int64, doublings, "1..8", 3, "", "of the grid: 8 x 8 places for 64 x 64 pixels") \
  X(S, int64, kernel, "3..255", 5, "pixels", "odd")                                     \
  PC_ROW_ACT(X, S, act, PC_ACTIVATION_relu)                                             \
  PC_ROW_MASKS(X, S)
PC_OPTIONS_STRUCT(pc_broadcast_decoder_opts, PC_BROADCAST_DECODER_OPTIONS);
extern const pc_options pc_broadcast_decoder_options;
int pc_decoder_broadcast(pc_module **out, const pc_broadcast_decoder_opts *o);

/* One MLP that every slot and every position goes through alone (arXiv 1901.07017 without the convolutions):
 *   h = act(W_z z_k + W_p fourier(p) + b);  y_k(p) = mlp(h): patch*patch colours (and masks' logits)
 *   image = sum_k mask_k * colours_k, as broadcast has it
 * A query a patch of patch x patch pixels. Positions never see each other. */
#define PC_PIXEL_DECODER_OPTIONS(X, S)      \
  PC_ROWS_PAINTER(X, S)                     \
  PC_ROW_PATCH(X, S, 1)                     \
  PC_ROW_NARROW(X, S)                       \
  PC_ROW_THREE_LAYERS(X, S)                 \
  PC_ROW_OCTAVES(X, S, 6)                   \
  PC_ROW_ACT(X, S, act, PC_ACTIVATION_gelu) \
  PC_ROW_MASKS(X, S)
PC_OPTIONS_STRUCT(pc_pixel_decoder_opts, PC_PIXEL_DECODER_OPTIONS);
extern const pc_options pc_pixel_decoder_options;
int pc_decoder_pixel(pc_module **out, const pc_pixel_decoder_opts *o);

/* What and where, as in AIR (arXiv 1603.08575) and its descendants. A slot is a place and a code:
 *   z_k = (x, y, l, code): the middle of its picture in the view, x to the right and y down in [-1,1]; the log of its
 *         scale, which 2 tanh(l/2) holds within -2 and 2; from the fourth number on what it looks like
 *   picture_k = mlp(code): `picture` x `picture` colours and alphas, `size` of the view high and wide at l = 0, moved
 *         and scaled by affine_grid and grid_sample, nothing outside
 *   image = sum_k alpha_k through_k colours_k + rest behind
 * order given: slot 1 in front, through_k = prod_{j<k} (1 - alpha_j). learned: who is in front is asked pairwise of a
 * depth that is linear in the code, through_k = prod_{j!=k} (1 - alpha_j sigmoid(depth_j - depth_k)); the masks alpha
 * through never sum to more than 1, and rest is what is left of it.
 * Behind is what the world's slot, the last, paints: a picture `wide` times as wide as the view, shifted and scaled by
 * the slot's place, its border going on outside; its mask is the rest. Without a world: a colour that is learned. */
enum { PC_SPRITES_ORDER_LEARNED, PC_SPRITES_ORDER_GIVEN };
enum { PC_SPRITES_WORLD_LAST, PC_SPRITES_WORLD_NONE };
enum { PC_SPRITES_DECODER_SLOTS = 64 }; /* at most */
#define PC_SPRITES_DECODER_OPTIONS(X, S)                                                                \
  X(S, maybe_int64, slots, "1..64", 0, "", "how many; left out: any number")                            \
  X(S, int64, slot_dim, "4..1048576", PC_REQUIRED, "", "x, y, log scale, and a code")                   \
  PC_ROWS_IMAGE(X, S)                                                                                   \
  X(S, int64, picture, "1..512", 16, "pixels", "a side of a slot's picture")                            \
  X(S, num, size, "0<..", 0.5, "", "share of the view that a picture of log scale 0 covers")            \
  PC_ROW_HIDDEN(X, S, 128)                                                                              \
  X(S, int64, layers, "0..16", 2, "", "how many of them")                                               \
  X(S, choice, order, "learned|given", PC_SPRITES_ORDER_LEARNED, "", "what is in front; given: slot 1") \
  X(S, choice, world, "last|none", PC_SPRITES_WORLD_LAST, "", "the slot that paints what is behind")    \
  X(S, num, wide, "0<..", 1.5, "", "width of the world's picture in views")
PC_OPTIONS_STRUCT(pc_sprites_decoder_opts, PC_SPRITES_DECODER_OPTIONS);
#define PC_SPRITES_DECODER_OPTS_INIT \
  { PC_SPRITES_DECODER_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_sprites_decoder_options;
int pc_decoder_sprites(pc_module **out, const pc_sprites_decoder_opts *o);

/* Fully connected layers to a small grid, doubled by transposed convolutions of 4 x 4, stride 2:
 *   g(c) = up(reshape(net(c))), net: width -> hidden, `layers` times -> grid, the activation after each
 *   additive (arXiv 2310.05327): image = mean + sum_k g(z_k), one g for all slots: d2 image / dz_i dz_j = 0, i != j
 *   cnn, the unstructured control: image = mean + g(z_1, ..., z_K), the slots in a row
 * The grid is the image halved while both sides are even and at least 8: 4 x 4 for 32, 64, 128 pixels. Neither
 * has slot attention. The buffer `mean` (H,W,C) is the image that no slot needs to explain (0 at birth). */
#define PC_DECONV_REST(X, S)                                                                        \
  PC_ROW_SLOT_DIM(X, S)                                                                             \
  PC_ROWS_IMAGE(X, S)                                                                               \
  PC_ROWS_DENSE(X, S)                                                                               \
  X(S, int64, features, "1..65536", 32, "", "channels of the grids")                                \
  X(S, maybe_int64, coarse, "1..65536", 0, "",                                                      \
    "channels of the coarsest grid, halved by every doubling down to features; left out: features") \
  PC_ROW_ACT(X, S, act, PC_ACTIVATION_elu)
#define PC_ADDITIVE_DECODER_OPTIONS(X, S) PC_ROW_ANY_SLOTS(X, S) PC_DECONV_REST(X, S)
#define PC_CNN_DECODER_OPTIONS(X, S)      X(S, maybe_int64, slots, PC_RANGE_WIDTH, PC_REQUIRED, "", "") PC_DECONV_REST(X, S)
PC_OPTIONS_STRUCT(pc_deconv_opts, PC_ADDITIVE_DECODER_OPTIONS);
extern const pc_options pc_additive_decoder_options, pc_cnn_decoder_options;
int pc_decoder_additive(pc_module **out, const pc_deconv_opts *o);
int pc_decoder_cnn(pc_module **out, const pc_deconv_opts *o);

/* A fully connected decoder of all slots at once: the unstructured control.
 * z (B,K*m) -> hidden... -> H*W*C. */
#define PC_MLP_DECODER_OPTIONS(X, S) PC_ROWS_SLOTS(X, S) PC_ROWS_IMAGE(X, S) PC_ROWS_DENSE(X, S)
PC_OPTIONS_STRUCT(pc_mlp_decoder_opts, PC_MLP_DECODER_OPTIONS);
extern const pc_options pc_mlp_decoder_options;
int pc_decoder_mlp(pc_module **out, const pc_mlp_decoder_opts *o);

/* The Jacobian of a decoder in closed form: z (b,K,m) -> d image / d z (b,K*m,H*W*C), new reference,
 * without history; *units: its price in decodes of one image. */
typedef int pc_jacobian_fn(void *ctx, pc_tensor *z, pc_tensor **jacobian, double *units);
/* That of a module (ctx: the module), or NULL when its class has none. */
pc_jacobian_fn *pc_decoder_jacobian(const pc_module *decoder);

/* (B,gh*gw,patch*patch*C) <-> (B,gh*patch,gw*patch,C) */
pc_tensor *pc_unpatch(pc_scope *s, pc_tensor *x, int64_t gh, int64_t gw, int64_t patch, int64_t channels);

/* Paintings y (B,K,H,W,C+1), the last channel the masks' logits, or (B,K,H,W,C) without masks ->
 * out[0] image (B,H,W,C), out[1] masks (B,H*W,K), left alone without masks. */
void pc_put_together(pc_scope *s, pc_tensor *y, pc_masks how, pc_tensor **out);

/* Options that have the rows of an image and `patch`: do patches tile it? */
#define PC_CHECK_PATCHES(who, o) pc_check_patches(who, (o)->patch, (o)->height, PC_WIDTH_PX(o))
int pc_check_patches(const char *who, int64_t patch, int64_t height, int64_t width);

/* Notes an error and gives 0 unless z is (B,slots,dim); slots not given: any number. */
int pc_check_slots(pc_scope *s, const char *who, const pc_tensor *z, pc_maybe_int64 slots, int64_t dim);

/* ---- the registry (registry.c) ---- */
typedef struct pc_decoder_row {
  const char *name; /* "cross" */
  const pc_options *options;
  int (*make)(pc_module **out, const void *opts); /* opts: the struct of `options` */
  const char *help;                               /* what it is: shapes, source */
} pc_decoder_row;
extern const pc_decoder_row pc_decoders[];
extern const int pc_ndecoders;

#endif
