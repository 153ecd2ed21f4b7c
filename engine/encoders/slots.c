/* slots.c: the CNN and the slot head of learned queries as one module; see encoder.h. */
#include "encoders/parts.h"

typedef struct slots_self {
  pc_stem stem;
  pc_query_part head;
} slots_self;

static void fwd_slots(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const slots_self *e = m->self;
  pc_query_run(s, &e->head, pc_stem_run(s, &e->stem, in[0]), out);
}

static const pc_module_class slots_class = {
    "slot_encoder", 1, 1, 2, fwd_slots, NULL, "image (B,H,W,C) -> slot means (B,K,m), log_std (B,K,m)"};

PC_OPTIONS_TABLE(pc_slot_encoder_options, "slot_encoder", pc_slot_encoder_opts, PC_SLOT_ENCODER_OPTIONS);

int pc_encoder_slots(pc_module **out, const pc_slot_encoder_opts *o) {
  const pc_cnn_opts c = {.height = o->height,
                         .width_px = o->width_px,
                         .channels = o->channels,
                         .width = o->width,
                         .conv_channels = o->conv_channels,
                         .conv_kernel = o->conv_kernel,
                         .conv_stride = o->conv_stride,
                         .token_maps = o->token_maps,
                         .position_sd = o->position_sd};
  pc_build b;
  pc_stem stem = {.stages = 0};
  *out = NULL;
  int rc = pc_options_check(&pc_slot_encoder_options, slots_class.name, o);
  if (rc == PC_OK) rc = pc_stem_check(slots_class.name, &stem, &c);
  if (rc < 0) return rc;
  slots_self *e = pc_build_begin(&b, &slots_class, sizeof *e);
  if (!e) return pc_build_end(&b, out);
  e->stem = stem;
  e->head.o = (pc_query_head_opts){.slots = o->slots,
                                   .slot_dim = o->slot_dim,
                                   .tokens = o->width,
                                   .width = o->width,
                                   .heads = o->heads,
                                   .layers = o->layers,
                                   .ff = o->ff,
                                   .query_sd = o->query_sd,
                                   .norm = 0, /* the stem has one */
                                   .vae = o->vae};
  pc_stem_build(&b, &e->stem);
  pc_query_build(&b, &e->head);
  return pc_build_end(&b, out);
}
