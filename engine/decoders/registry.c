/* registry.c: the decoders by name; see decoder.h. */
#include "decoders/decoder.h"

#define MAKE(name, T) \
  static int make_##name(pc_module **out, const void *opts) { return pc_decoder_##name(out, (const T *)opts); }
MAKE(cross, pc_cross_decoder_opts)
MAKE(render, pc_render_decoder_opts)
MAKE(broadcast, pc_broadcast_decoder_opts)
MAKE(pixel, pc_pixel_decoder_opts)
MAKE(sprites, pc_sprites_decoder_opts)
MAKE(additive, pc_deconv_opts)
MAKE(cnn, pc_deconv_opts)
MAKE(mlp, pc_mlp_decoder_opts)

const pc_decoder_row pc_decoders[] = {
    {"cross", &pc_cross_decoder_options, make_cross,
     "cross-attention Transformer: slots (B,K,m) -> image (B,H,W,C), slot attention (B,Q,K) (arXiv 2411.07784); tile: "
     "recomputed in backward"},
    {"render", &pc_render_decoder_options, make_render,
     "one cross-attention layer with a value map for every position: each slot renders an image, attention composes "
     "them: slots (B,K,m) -> image (B,H,W,C), slot attention (B,Q,K)"},
    {"broadcast", &pc_broadcast_decoder_options, make_broadcast,
     "spatial broadcast: every slot paints alone, masks put the paintings together: slots (B,K,m) -> image (B,H,W,C), "
     "masks (B,H*W,K) (arXiv 1901.07017)"},
    {"pixel", &pc_pixel_decoder_options, make_pixel,
     "one MLP over (slot, Fourier position), masks put the slots' answers together: slots (B,K,m) -> image (B,H,W,C), "
     "masks (B,H*W,K)"},
    {"sprites", &pc_sprites_decoder_options, make_sprites,
     "what and where: each slot (x, y, log scale, code) paints a picture, moved and scaled, laid over those behind it: "
     "slots (B,K,m) -> image (B,H,W,C), masks (B,H*W,K)"},
    {"additive", &pc_additive_decoder_options, make_additive,
     "image = mean + sum over slots of one shared CNN (linear layers, then transposed convolutions 4 x 4 of stride 2 "
     "from a grid of about 4 x 4): slots (B,K,m) -> image (B,H,W,C) (arXiv 2310.05327)"},
    {"cnn", &pc_cnn_decoder_options, make_cnn,
     "unstructured control: the CNN of decoders.additive over all slots at once: slots (B,K,m) -> image (B,H,W,C)"},
    {"mlp", &pc_mlp_decoder_options, make_mlp,
     "unstructured control: all slots through one MLP: slots (B,K,m) -> image (B,H,W,C)"},
};
const int pc_ndecoders = sizeof pc_decoders / sizeof *pc_decoders;
