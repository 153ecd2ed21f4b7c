/* encoders.c: percept.encoders: models from images to slots, bases that give tokens, heads that read them. */
#include <string.h>

#include "bindings/module.h"
#include "encoders/encoder.h"
#include "encoders/vit.h"

int luaopen_percept_encoders(lua_State *L);

#define I(k)   a->a[k].v.i
#define D(k)   a->a[k].v.d
#define S(k)   a->a[k].v.s
#define SET(k) a->a[k].v.set

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

/* conv_channels, conv_kernel, conv_stride: arguments from `first` on */
static int stages_of(lua_State *L, const char *fn, pc_args *a, int first, int64_t *channels, int64_t *kernel,
                     int64_t *stride, int64_t *count) {
  int stages = 0, rc = per_stage(L, fn, "conv_channels", a->a[first].at, channels, &stages);
  if (rc == PC_OK) rc = per_stage(L, fn, "conv_kernel", a->a[first + 1].at, kernel, &stages);
  if (rc == PC_OK) rc = per_stage(L, fn, "conv_stride", a->a[first + 2].at, stride, &stages);
  *count = stages;
  return rc;
}

static int f_slots(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_slot_encoder_opts o = {.slots = I(0),
                            .slot_dim = I(1),
                            .height = I(2),
                            .width_px = SET(3) ? I(3) : I(2),
                            .channels = I(4),
                            .width = I(5),
                            .heads = I(6),
                            .layers = I(7),
                            .ff = I(8),
                            .no_vae = !I(9),
                            .token_maps = (int)I(13),
                            .position_sd = D(14),
                            .query_sd = D(15)};
  int rc = stages_of(L, "encoders.slots", a, 10, o.conv_channels, o.conv_kernel, o.conv_stride, &o.stages);
  return pc_made_module(L, rc < 0 ? rc : pc_encoder_slots(&m, &o), &m);
}

static int f_cnn(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_cnn_opts o = {.height = I(0),
                   .width_px = SET(1) ? I(1) : I(0),
                   .channels = I(2),
                   .width = I(3),
                   .token_maps = (int)I(7),
                   .position_sd = D(8)};
  int rc = stages_of(L, "encoders.cnn", a, 4, o.conv_channels, o.conv_kernel, o.conv_stride, &o.stages);
  return pc_made_module(L, rc < 0 ? rc : pc_encoder_cnn(&m, &o), &m);
}

static int f_vit(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_vit_opts o = {0};
  int rc = a->a[0].at ? pc_vit_preset(&o, S(0)) : PC_OK;
  int64_t *whole[] = {&o.height, &o.width_px, &o.channels, &o.patch, &o.depth, &o.width, &o.heads, &o.ff, &o.registers};
  for (int k = 0; k < 9; k++)
    if (SET(1 + k)) *whole[k] = I(1 + k);
  if (SET(1) && !SET(2)) o.width_px = o.height; /* a name may have said another size */
  if (SET(6) && !SET(7)) o.heads = 0;
  if (SET(6) && !SET(8)) o.ff = 0;
  if (SET(10)) o.no_class_token = !I(10);
  if (SET(11)) o.no_class_position = !I(11);
  if (SET(12)) o.layer_scale = D(12);
  if (SET(13)) o.pre_norm = (int)I(13);
  if (SET(14)) o.no_final_norm = !I(14);
  if (SET(15)) o.no_qkv_bias = !I(15);
  if (SET(16)) o.no_patch_bias = !I(16);
  if (rc == PC_OK && SET(17)) rc = pc_vit_act_parse(&o.act, S(17));
  o.sincos = a->a[18].at && !strcmp(S(18), "sincos");
  if (SET(19)) o.eps = D(19);
  o.patches_only = a->a[20].at && !strcmp(S(20), "patches");
  if (SET(21)) o.recompute = (int)I(21);
  return pc_made_module(L, rc < 0 ? rc : pc_encoder_vit(&m, &o), &m);
}

static int f_positions(lua_State *L, pc_args *a) {
  pc_tensor *t;
  pc_grid_opts o = {.from_h = a->a[1].v.l[0],
                    .from_w = a->a[1].v.l[1],
                    .to_h = a->a[2].v.l[0],
                    .to_w = a->a[2].v.l[1],
                    .prefix = I(3),
                    .antialias = (int)I(4),
                    .offset = D(5)};
  int rc = pc_vit_positions(&t, a->a[0].t, &o);
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static int f_queries(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_query_opts o = {.slots = I(0),
                     .slot_dim = I(1),
                     .tokens = I(2),
                     .width = I(3),
                     .heads = I(4),
                     .layers = I(5),
                     .ff = I(6),
                     .query_sd = D(7),
                     .no_norm = !I(8),
                     .no_vae = !I(9)};
  return pc_made_module(L, pc_encoder_queries(&m, &o), &m);
}

static int f_slot_attention(lua_State *L, pc_args *a) {
  pc_module *m;
  pc_slot_attention_opts o = {.slots = I(0),
                              .slot_dim = I(1),
                              .tokens = I(2),
                              .width = I(3),
                              .iterations = I(4),
                              .hidden = I(5),
                              .start_sd = D(6),
                              .eps = D(7),
                              .through = !I(8),
                              .no_vae = !I(9)};
  return pc_made_module(L, pc_encoder_slot_attention(&m, &o), &m);
}

static const pc_luafn encoder_functions[] = {
    {"slots",
     "slots:int, slot_dim:int, height:int=64, width_px:int?, channels:int=3, width:int=96, heads:int=4, layers:int=3, "
     "ff:int=0, "
     "vae:bool=true, conv_channels:table?, conv_kernel:table?, conv_stride:table?, token_maps:bool=false, "
     "position_sd:num=0.02, query_sd:num=0",
     f_slots, "CNN -> learned-query slot Transformer: image (B,H,W,C) -> mean (B,K,m), log_std (B,K,m)", 0},
    {"cnn",
     "height:int=64, width_px:int?, channels:int=3, width:int=96, conv_channels:table?, conv_kernel:table?, "
     "conv_stride:table?, token_maps:bool=false, position_sd:num=0.02",
     f_cnn,
     "base: image (B,H,W,C) -> tokens (B,T,width): convolutions with relu between them (channels, kernel, stride of "
     "each in lists), learned positions, norm, MLP (or token_maps: a matrix for every token). Buffers input_mean, "
     "input_scale standardise the image",
     0},
    {"vit",
     "name:str?, height:int?, width_px:int?, channels:int?, patch:int?, depth:int?, width:int?, heads:int?, ff:int?, "
     "registers:int?, class_token:bool?, class_position:bool?, layer_scale:num?, pre_norm:bool?, final_norm:bool?, "
     "qkv_bias:bool?, patch_bias:bool?, activation:str(gelu|gelu_tanh|quick_gelu)?, position:str(learned|sincos)?, "
     "eps:num?, tokens:str(all|patches)?, recompute:bool?",
     f_vit,
     "base: image (B,H,W,C) -> tokens (B,T,width), a Vision Transformer (arXiv 2010.11929): class token, registers, "
     "then patches row by row; tokens = patches leaves the first two out. name: sizes as timm says them, "
     "vit_small_patch16_224 (what nothing says is 224 pixels, patch 16, width 384, depth 12, heads width / 64, ff 4 "
     "width, eps 1e-6, biases, class token with a position, final norm). layer_scale: at birth; pre_norm: a norm "
     "before the blocks (CLIP); recompute: the feed-forward's inner layers are computed again in backward, not kept. "
     "Buffers input_mean (H,W,C), input_scale (C)",
     0},
    {"positions", "table:tensor, from:size2, to:size2, prefix:int=0, antialias:bool=false, offset:num=0", f_positions,
     "a position table (prefix + h w, width) of a grid {h,w} for another grid: bicubic between cell centres, as "
     "PyTorch's interpolate with antialias off (a = -0.75) or on (a = -0.5); offset 0.1 is DINO's: cell i of n looks "
     "at (i + 1/2) h / (n + offset)",
     0},
    {"queries",
     "slots:int, slot_dim:int, tokens:int, width:int=96, heads:int=4, layers:int=5, ff:int=0, query_sd:num=0, "
     "norm:bool=true, vae:bool=true",
     f_queries,
     "head: tokens (B,T,tokens) -> mean (B,K,m), log_std (B,K,m): learned queries, layers of attention to the normed "
     "tokens, among slots, and an MLP (arXiv 2411.07784); query_sd 0: queries from U(0,1); ff 0: 2 width",
     0},
    {"slot_attention",
     "slots:int, slot_dim:int, tokens:int, width:int=96, iterations:int=3, hidden:int=0, start_sd:num=1, "
     "eps:num=1e-8, detach:bool=true, vae:bool=true",
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
