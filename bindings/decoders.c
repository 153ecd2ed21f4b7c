/* decoders.c: percept.decoders: slots (B,K,m) -> images. */
#include "decoders/decoder.h"

#include "bindings/module.h"

int luaopen_percept_decoders(lua_State *L);

static int f_decoder_cross(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_cross_decoder_opts o = {
      .slots = pc_arg_int64(a, "slots"),
      .slot_dim = pc_arg_int64(a, "slot_dim"),
      .height = pc_arg_int64(a, "height"),
      .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
      .channels = pc_arg_int64(a, "channels"),
      .patch = pc_arg_int64(a, "patch"),
      .width = pc_arg_int64(a, "width"),
      .width_kv = pc_arg_int64(a, "width_kv"),
      .heads = pc_arg_int64(a, "heads"),
      .layers = pc_arg_int64(a, "layers"),
      .ff = pc_arg_int64(a, "ff"),
      .octaves = pc_arg_int64(a, "octaves"),
      .slot_hidden = pc_arg_int64(a, "slot_hidden"),
      .qkv_bias = pc_arg_bool(a, "bias"),
      .tile = pc_arg_int64(a, "tile")};
  return pc_made_module(L, pc_decoder_cross(&m, &o), &m);
}

static int f_decoder_render(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_render_decoder_opts o = {
      .slots = pc_arg_int64(a, "slots"),
      .slot_dim = pc_arg_int64(a, "slot_dim"),
      .height = pc_arg_int64(a, "height"),
      .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
      .channels = pc_arg_int64(a, "channels"),
      .patch = pc_arg_int64(a, "patch"),
      .hidden = pc_arg_int64(a, "hidden"),
      .key_dim = pc_arg_int64(a, "key_dim"),
      .octaves = pc_arg_int64(a, "octaves"),
      .identity = pc_arg_num(a, "identity"),
      .background = pc_arg_num(a, "background"),
      .window = pc_arg_num(a, "window")};
  return pc_made_module(L, pc_decoder_render(&m, &o), &m);
}

static int f_decoder_broadcast(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_broadcast_decoder_opts o = {
      .slots = pc_arg_int64(a, "slots"),
      .slot_dim = pc_arg_int64(a, "slot_dim"),
      .height = pc_arg_int64(a, "height"),
      .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
      .channels = pc_arg_int64(a, "channels"),
      .hidden = pc_arg_int64(a, "hidden"),
      .doublings = pc_arg_int64(a, "doublings"),
      .kernel = pc_arg_int64(a, "kernel")};
  int rc = pc_nn_act_parse(&o.act, pc_arg_str(a, "act"));
  if (rc == PC_OK) rc = pc_masks_parse(&o.masks, pc_arg_str(a, "masks"));
  return rc < 0 ? rc : pc_made_module(L, pc_decoder_broadcast(&m, &o), &m);
}

static int f_decoder_pixel(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_pixel_decoder_opts o = {
      .slots = pc_arg_int64(a, "slots"),
      .slot_dim = pc_arg_int64(a, "slot_dim"),
      .height = pc_arg_int64(a, "height"),
      .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
      .channels = pc_arg_int64(a, "channels"),
      .patch = pc_arg_int64(a, "patch"),
      .hidden = pc_arg_int64(a, "hidden"),
      .layers = pc_arg_int64(a, "layers"),
      .octaves = pc_arg_int64(a, "octaves")};
  int rc = pc_nn_act_parse(&o.act, pc_arg_str(a, "act"));
  if (rc == PC_OK) rc = pc_masks_parse(&o.masks, pc_arg_str(a, "masks"));
  return rc < 0 ? rc : pc_made_module(L, pc_decoder_pixel(&m, &o), &m);
}

static int f_decoder_sprites(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_sprites_decoder_opts o = PC_SPRITES_DECODER_OPTS_INIT;
  pc_args_options(a, &o);
  return pc_made_module(L, pc_decoder_sprites(&m, &o), &m);
}

static int deconv(lua_State *L, pc_args *a, int (*make)(pc_module **, const pc_deconv_opts *)) {
  pc_module *m;
  pc_deconv_opts o = {.slots = pc_arg_int64(a, "slots"),
                      .slot_dim = pc_arg_int64(a, "slot_dim"),
                      .height = pc_arg_int64(a, "height"),
                      .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
                      .channels = pc_arg_int64(a, "channels"),
                      .hidden = pc_arg_int64(a, "hidden"),
                      .layers = pc_arg_int64(a, "layers"),
                      .features = pc_arg_int64(a, "features"),
                      .coarse = pc_arg_int64(a, "coarse")};
  int rc = pc_nn_act_parse(&o.act, pc_arg_str(a, "act"));
  return rc < 0 ? rc : pc_made_module(L, make(&m, &o), &m);
}

static int f_decoder_additive(lua_State *L, pc_args *a) { return deconv(L, a, pc_decoder_additive); }
static int f_decoder_cnn(lua_State *L, pc_args *a) { return deconv(L, a, pc_decoder_cnn); }

static int f_decoder_mlp(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_mlp_decoder_opts o = {
      .slots = pc_arg_int64(a, "slots"),
      .slot_dim = pc_arg_int64(a, "slot_dim"),
      .height = pc_arg_int64(a, "height"),
      .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
      .channels = pc_arg_int64(a, "channels"),
      .hidden = pc_arg_int64(a, "hidden"),
      .layers = pc_arg_int64(a, "layers")};
  return pc_made_module(L, pc_decoder_mlp(&m, &o), &m);
}

static const pc_luafn decoder_functions[] = {
    {"cross",
     "slots:int(1..), slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "patch:int(1..)=4, width:int(1..)=64, "
     "width_kv:int(0..)=0, heads:int(1..)=4, "
     "layers:int(0..)=2, ff:int(0..)=0, octaves:int(0..)=8, slot_hidden:int(0..)=0, bias:bool=false, tile:int(0..)=0",
     f_decoder_cross,
     "cross-attention Transformer: slots (B,K,m) -> image (B,H,W,C), slot attention (B,Q,K) (arXiv 2411.07784); tile: "
     "queries decoded at a time, recomputed in backward (0: all, or what a memory limit allows)",
     0},
    {"render",
     "slots:int(1..), slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "patch:int(1..)=4, hidden:int(1..)=256, "
     "key_dim:int(1..)=96, "
     "octaves:int(0..)=4, identity:num=0.3, background:num=0, window:num(0..)=0",
     f_decoder_render,
     "one cross-attention layer with a value map for every position: each slot renders an image, attention composes "
     "them",
     0},
    {"broadcast",
     "slots:int(0..)=0, slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "hidden:int(1..)=64, doublings:int(0..)=3, "
     "kernel:int(1..)=5, act:str=relu, masks:str(softmax|sigmoid|none)=softmax",
     f_decoder_broadcast,
     "spatial broadcast: every slot paints alone, masks put the paintings together: slots (B,K,m) -> image (B,H,W,C), "
     "masks (B,H*W,K)",
     0},
    {"pixel",
     "slots:int(0..)=0, slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "patch:int(1..)=1, hidden:int(1..)=64, "
     "layers:int(0..)=3, octaves:int(0..)=6, act:str=gelu, masks:str(softmax|sigmoid|none)=softmax",
     f_decoder_pixel,
     "one MLP over (slot, Fourier position), masks put the slots' answers together: slots (B,K,m) -> image (B,H,W,C), "
     "masks (B,H*W,K)",
     0},
    {"sprites", "@", f_decoder_sprites,
     "what and where: each slot (x, y, log scale, code) paints a picture, moved and scaled, laid over those behind it: "
     "slots (B,K,m) -> image (B,H,W,C), masks (B,H*W,K)",
     0, NULL, &pc_sprites_decoder_options},
    {"additive",
     "slots:int(0..)=0, slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "hidden:int(1..)=256, layers:int(0..)=2, "
     "features:int(1..)=32, coarse:int(0..)=0, act:str=elu",
     f_decoder_additive,
     "image = mean + sum over slots of one shared CNN (linear layers, then transposed convolutions 4 x 4 of stride 2 "
     "from a grid of about 4 x 4): slots (B,K,m) -> image (B,H,W,C) (arXiv 2310.05327); coarse: channels of the "
     "coarsest grid, halved by every doubling down to features",
     0},
    {"cnn",
     "slots:int(1..), slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "hidden:int(1..)=256, layers:int(0..)=2, "
     "features:int(1..)=32, coarse:int(0..)=0, act:str=elu",
     f_decoder_cnn,
     "unstructured control: the CNN of decoders.additive over all slots at once: slots (B,K,m) -> image (B,H,W,C)", 0},
    {"mlp",
     "slots:int(1..), slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "hidden:int(1..)=256, layers:int(0..)=2",
     f_decoder_mlp, "unstructured control: all slots through one MLP -> image (B,H,W,C)", 0},
    {0}};

int luaopen_percept_decoders(lua_State *L) {
  pc_module_class_open(L);
  lua_newtable(L);
  pc_register(L, "decoders", decoder_functions);
  return 1;
}
