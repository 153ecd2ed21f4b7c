/* registry.c: the encoders by name; see encoder.h. */
#include "encoders/encoder.h"
#include "encoders/vit.h"

#define MAKE(name, T) \
  static int make_##name(pc_module **out, const void *opts) { return pc_encoder_##name(out, (const T *)opts); }
MAKE(slots, pc_slot_encoder_opts)
MAKE(cnn, pc_cnn_opts)
MAKE(vit, pc_vit_opts)
MAKE(queries, pc_query_head_opts)
MAKE(slot_attention, pc_slot_attention_opts)

const pc_encoder_row pc_encoders[] = {
    {"slots", PC_ENCODER_WHOLE, &pc_slot_encoder_options, make_slots,
     "CNN -> learned-query slot Transformer: image (B,H,W,C) -> mean (B,K,m), log_std (B,K,m)"},
    {"cnn", PC_ENCODER_BASE, &pc_cnn_options, make_cnn,
     "base: image (B,H,W,C) -> tokens (B,T,width): convolutions with relu between them (channels, kernel, stride of "
     "each in lists), learned positions, norm, MLP. Buffers input_mean, input_scale standardise the image"},
    {"vit", PC_ENCODER_BASE, &pc_vit_options, make_vit,
     "base: image (B,H,W,C) -> tokens (B,T,width), a Vision Transformer (arXiv 2010.11929): class token, registers, "
     "then patches row by row. name: sizes as timm says them, vit_small_patch16_224; what is given besides goes before "
     "it. Buffers input_mean (H,W,C), input_scale (C)"},
    {"queries", PC_ENCODER_HEAD, &pc_query_head_options, make_queries,
     "head: tokens (B,T,tokens) -> mean (B,K,m), log_std (B,K,m): learned queries, layers of attention to the normed "
     "tokens, among slots, and an MLP (arXiv 2411.07784)"},
    {"slot_attention", PC_ENCODER_HEAD, &pc_slot_attention_options, make_slot_attention,
     "head: tokens (B,T,tokens) -> mean (B,K,m), log_std (B,K,m), attention (B,K,T): Slot Attention (arXiv 2006.15055) "
     "from a learned start for each slot; detach: gradients through one further step only (arXiv 2207.00787), start "
     "gets "
     "its slots' gradient"},
};
const int pc_nencoders = sizeof pc_encoders / sizeof *pc_encoders;
