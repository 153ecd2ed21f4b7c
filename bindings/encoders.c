/* encoders.c: percept.encoders: models from images to slots, bases that give tokens, heads that read them. */
#include <string.h>

#include "bindings/module.h"
#include "encoders/encoder.h"
#include "encoders/vit.h"

int luaopen_percept_encoders(lua_State *L);

static int per_stage(lua_State *L, const char *fn, const char *what, int at, int64_t *out, int *stages) {
  if (!at) return PC_OK;
  int n = (int)lua_objlen(L, at);
  if (n < 1 || n > 8 || (*stages && n != *stages))
    return pc_fail(PC_EARG, "%s: %s needs 1 to 8 entries, as many as the other lists, got %d", fn, what, n);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    out[i] = (int64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (out[i] < 1) return pc_fail(PC_EARG, "%s: entry %d of %s must be a number of at least 1", fn, i + 1, what);
  }
  *stages = n;
  return PC_OK;
}

static int stages_of(lua_State *L, const char *fn, pc_args *a, int64_t *channels, int64_t *kernel, int64_t *stride,
                     int64_t *count) {
  int stages = 0, rc = per_stage(L, fn, "conv_channels", pc_arg_at(a, "conv_channels"), channels, &stages);
  if (rc == PC_OK) rc = per_stage(L, fn, "conv_kernel", pc_arg_at(a, "conv_kernel"), kernel, &stages);
  if (rc == PC_OK) rc = per_stage(L, fn, "conv_stride", pc_arg_at(a, "conv_stride"), stride, &stages);
  *count = stages;
  return rc;
}

static int f_slots(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_slot_encoder_opts o = {
      .slots = pc_arg_int64(a, "slots"),
      .slot_dim = pc_arg_int64(a, "slot_dim"),
      .height = pc_arg_int64(a, "height"),
      .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
      .channels = pc_arg_int64(a, "channels"),
      .width = pc_arg_int64(a, "width"),
      .heads = pc_arg_int64(a, "heads"),
      .layers = pc_arg_int64(a, "layers"),
      .ff = pc_arg_int64(a, "ff"),
      .no_vae = !pc_arg_bool(a, "vae"),
      .token_maps = pc_arg_bool(a, "token_maps"),
      .position_sd = pc_arg_num(a, "position_sd"),
      .query_sd = pc_arg_num(a, "query_sd")};
  int rc = stages_of(L, "encoders.slots", a, o.conv_channels, o.conv_kernel, o.conv_stride, &o.stages);
  return pc_made_module(L, rc < 0 ? rc : pc_encoder_slots(&m, &o), &m);
}

static int f_cnn(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_cnn_opts o = {.height = pc_arg_int64(a, "height"),
                   .width_px = pc_arg_given(a, "width_px") ? pc_arg_int64(a, "width_px") : pc_arg_int64(a, "height"),
                   .channels = pc_arg_int64(a, "channels"),
                   .width = pc_arg_int64(a, "width"),
                   .token_maps = pc_arg_bool(a, "token_maps"),
                   .position_sd = pc_arg_num(a, "position_sd")};
  int rc = stages_of(L, "encoders.cnn", a, o.conv_channels, o.conv_kernel, o.conv_stride, &o.stages);
  return pc_made_module(L, rc < 0 ? rc : pc_encoder_cnn(&m, &o), &m);
}

static int f_vit(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_vit_opts o = {0};
  int rc = pc_arg_at(a, "name") ? pc_vit_preset(&o, pc_arg_str(a, "name")) : PC_OK;
  const struct {
    const char *name;
    int64_t *to;
  } whole[] = {{"height", &o.height},      {"width_px", &o.width_px}, {"channels", &o.channels}, {"patch", &o.patch},
               {"depth", &o.depth},        {"width", &o.width},       {"heads", &o.heads},       {"ff", &o.ff},
               {"registers", &o.registers}};
  for (size_t k = 0; k < sizeof whole / sizeof *whole; k++)
    if (pc_arg_given(a, whole[k].name)) *whole[k].to = pc_arg_int64(a, whole[k].name);
  if (pc_arg_given(a, "height") && !pc_arg_given(a, "width_px"))
    o.width_px = o.height; /* a name may have said another size */
  if (pc_arg_given(a, "width") && !pc_arg_given(a, "heads")) o.heads = 0;
  if (pc_arg_given(a, "width") && !pc_arg_given(a, "ff")) o.ff = 0;
  if (pc_arg_given(a, "class_token")) o.no_class_token = !pc_arg_bool(a, "class_token");
  if (pc_arg_given(a, "class_position")) o.no_class_position = !pc_arg_bool(a, "class_position");
  if (pc_arg_given(a, "layer_scale")) o.layer_scale = pc_arg_num(a, "layer_scale");
  if (pc_arg_given(a, "pre_norm")) o.pre_norm = pc_arg_bool(a, "pre_norm");
  if (pc_arg_given(a, "final_norm")) o.no_final_norm = !pc_arg_bool(a, "final_norm");
  if (pc_arg_given(a, "qkv_bias")) o.no_qkv_bias = !pc_arg_bool(a, "qkv_bias");
  if (pc_arg_given(a, "patch_bias")) o.no_patch_bias = !pc_arg_bool(a, "patch_bias");
  if (rc == PC_OK && pc_arg_given(a, "activation")) rc = pc_vit_act_parse(&o.act, pc_arg_str(a, "activation"));
  o.sincos = pc_arg_at(a, "position") && !strcmp(pc_arg_str(a, "position"), "sincos");
  if (pc_arg_given(a, "eps")) o.eps = pc_arg_num(a, "eps");
  o.patches_only = pc_arg_at(a, "tokens") && !strcmp(pc_arg_str(a, "tokens"), "patches");
  if (pc_arg_given(a, "recompute")) o.recompute = pc_arg_bool(a, "recompute");
  return pc_made_module(L, rc < 0 ? rc : pc_encoder_vit(&m, &o), &m);
}

static int f_positions(lua_State *L, pc_args *a) {
  pc_tensor *t;
  pc_vit_grid_opts o = {.from_h = pc_arg_val(a, "from")->l[0],
                        .from_w = pc_arg_val(a, "from")->l[1],
                        .to_h = pc_arg_val(a, "to")->l[0],
                        .to_w = pc_arg_val(a, "to")->l[1],
                        .prefix = pc_arg_int64(a, "prefix"),
                        .antialias = pc_arg_bool(a, "antialias"),
                        .offset = pc_arg_num(a, "offset")};
  int rc = pc_vit_positions(&t, pc_arg_tensor(a, "table"), &o);
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_queries(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_query_head_opts o = {.slots = pc_arg_int64(a, "slots"),
                          .slot_dim = pc_arg_int64(a, "slot_dim"),
                          .tokens = pc_arg_int64(a, "tokens"),
                          .width = pc_arg_int64(a, "width"),
                          .heads = pc_arg_int64(a, "heads"),
                          .layers = pc_arg_int64(a, "layers"),
                          .ff = pc_arg_int64(a, "ff"),
                          .query_sd = pc_arg_num(a, "query_sd"),
                          .no_norm = !pc_arg_bool(a, "norm"),
                          .no_vae = !pc_arg_bool(a, "vae")};
  return pc_made_module(L, pc_encoder_queries(&m, &o), &m);
}

static int f_slot_attention(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_slot_attention_opts o = {.slots = pc_arg_int64(a, "slots"),
                              .slot_dim = pc_arg_int64(a, "slot_dim"),
                              .tokens = pc_arg_int64(a, "tokens"),
                              .width = pc_arg_int64(a, "width"),
                              .iterations = pc_arg_int64(a, "iterations"),
                              .hidden = pc_arg_int64(a, "hidden"),
                              .start_sd = pc_arg_num(a, "start_sd"),
                              .eps = pc_arg_num(a, "eps"),
                              .through = !pc_arg_bool(a, "detach"),
                              .no_vae = !pc_arg_bool(a, "vae")};
  return pc_made_module(L, pc_encoder_slot_attention(&m, &o), &m);
}

static const pc_luafn encoder_functions[] = {
    {"slots",
     "slots:int(1..), slot_dim:int(1..), height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, "
     "width:int(1..)=96, heads:int(1..)=4, layers:int(0..)=3, "
     "ff:int(0..)=0, "
     "vae:bool=true, conv_channels:table?, conv_kernel:table?, conv_stride:table?, token_maps:bool=false, "
     "position_sd:num(0..)=0.02, query_sd:num(0..)=0",
     f_slots, "CNN -> learned-query slot Transformer: image (B,H,W,C) -> mean (B,K,m), log_std (B,K,m)", 0},
    {"cnn",
     "height:int(1..)=64, width_px:int(1..)?, channels:int(1..)=3, width:int(1..)=96, conv_channels:table?, "
     "conv_kernel:table?, "
     "conv_stride:table?, token_maps:bool=false, position_sd:num(0..)=0.02",
     f_cnn,
     "base: image (B,H,W,C) -> tokens (B,T,width): convolutions with relu between them (channels, kernel, stride of "
     "each in lists), learned positions, norm, MLP (or token_maps: a matrix for every token). Buffers input_mean, "
     "input_scale standardise the image",
     0},
    {"vit",
     "name:str?, height:int(1..)?, width_px:int(1..)?, channels:int(1..)?, patch:int(1..)?, depth:int(0..)?, "
     "width:int(1..)?, heads:int(1..)?, ff:int(0..)?, "
     "registers:int(0..)?, class_token:bool?, class_position:bool?, layer_scale:num?, pre_norm:bool?, "
     "final_norm:bool?, "
     "qkv_bias:bool?, patch_bias:bool?, activation:str(gelu|gelu_tanh|quick_gelu)?, position:str(learned|sincos)?, "
     "eps:num(0..)?, tokens:str(all|patches)?, recompute:bool?",
     f_vit,
     "base: image (B,H,W,C) -> tokens (B,T,width), a Vision Transformer (arXiv 2010.11929): class token, registers, "
     "then patches row by row; tokens = patches leaves the first two out. name: sizes as timm says them, "
     "vit_small_patch16_224 (what nothing says is 224 pixels, patch 16, width 384, depth 12, heads width / 64, ff 4 "
     "width, eps 1e-6, biases, class token with a position, final norm). layer_scale: at birth; pre_norm: a norm "
     "before the blocks (CLIP); recompute: the feed-forward's inner layers are computed again in backward, not kept. "
     "Buffers input_mean (H,W,C), input_scale (C)",
     0},
    {"positions", "table:tensor, from:size2(1..), to:size2(1..), prefix:int(0..)=0, antialias:bool=false, offset:num=0",
     f_positions,
     "a position table (prefix + h w, width) of a grid {h,w} for another grid: bicubic between cell centres, as "
     "PyTorch's interpolate with antialias off (a = -0.75) or on (a = -0.5); offset 0.1 is DINO's: cell i of n looks "
     "at (i + 1/2) h / (n + offset)",
     0},
    {"queries",
     "slots:int(1..), slot_dim:int(1..), tokens:int(0..), width:int(1..)=96, heads:int(1..)=4, layers:int(0..)=5, "
     "ff:int(0..)=0, query_sd:num(0..)=0, "
     "norm:bool=true, vae:bool=true",
     f_queries,
     "head: tokens (B,T,tokens) -> mean (B,K,m), log_std (B,K,m): learned queries, layers of attention to the normed "
     "tokens, among slots, and an MLP (arXiv 2411.07784); query_sd 0: queries from U(0,1); ff 0: 2 width",
     0},
    {"slot_attention",
     "slots:int(1..), slot_dim:int(1..), tokens:int(0..), width:int(1..)=96, iterations:int(1..)=3, hidden:int(0..)=0, "
     "start_sd:num(0..)=1, "
     "eps:num(0..)=1e-8, detach:bool=true, vae:bool=true",
     f_slot_attention,
     "head: tokens (B,T,tokens) -> mean (B,K,m), log_std (B,K,m), attention (B,K,T): Slot Attention (arXiv "
     "2006.15055) from a learned start for each slot; detach: gradients through one further step only (arXiv "
     "2207.00787), start gets its slots' gradient; hidden 0: 2 width",
     0},
    {0}};

int luaopen_percept_encoders(lua_State *L) {
  pc_module_class_open(L);
  lua_newtable(L);
  pc_register(L, "encoders", encoder_functions);
  return 1;
}
