/* slots.c: the CNN and the slot head of learned queries as one module; see encoder.h. */
#include <string.h>

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

int pc_encoder_slots(pc_module **out, const pc_slot_encoder_opts *o) {
  pc_cnn_opts c = {.height = o->height,
                   .width_px = o->width_px,
                   .channels = o->channels,
                   .stages = o->stages,
                   .width = o->width,
                   .token_maps = o->token_maps,
                   .position_sd = o->position_sd};
  pc_query_head_opts q = {.slots = o->slots,
                          .slot_dim = o->slot_dim,
                          .tokens = o->width ? o->width : 96,
                          .width = o->width,
                          .heads = o->heads,
                          .layers = o->layers ? o->layers : 3,
                          .ff = o->ff,
                          .query_sd = o->query_sd,
                          .no_norm = 1, /* the stem has one */
                          .no_vae = o->no_vae};
  memcpy(c.conv_channels, o->conv_channels, sizeof c.conv_channels);
  memcpy(c.conv_kernel, o->conv_kernel, sizeof c.conv_kernel);
  memcpy(c.conv_stride, o->conv_stride, sizeof c.conv_stride);
  *out = NULL;
  int rc = pc_query_check(slots_class.name, &q);
  if (rc == PC_OK) rc = pc_stem_check(slots_class.name, &c);
  if (rc < 0 || (rc = pc_module_new(out, &slots_class, sizeof(slots_self))) < 0) return rc;
  slots_self *e = (*out)->self;
  e->stem.o = c;
  e->head.o = q;
  rc = pc_stem_build(*out, &e->stem);
  if (rc == PC_OK) rc = pc_query_build(*out, &e->head);
  if (rc < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
  return rc;
}
