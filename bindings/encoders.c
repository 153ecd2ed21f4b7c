/* encoders.c: percept.encoders: models from images to slots. */
#include "bindings/module.h"
#include "encoders/encoder.h"

int luaopen_percept_encoders(lua_State *L);

#define I(k) a->a[k].v.i
#define D(k) a->a[k].v.d

static int per_stage(lua_State *L, const char *what, int at, int64_t *out, int *stages) {
  if (!at) return PC_OK;
  int n = (int)lua_objlen(L, at);
  if (n < 1 || n > 8 || (*stages && n != *stages))
    return pc_fail(PC_EARG, "encoders.slots: %s needs 1 to 8 entries, as many as the other lists, got %d", what, n);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, at, i + 1);
    out[i] = (int64_t)lua_tonumber(L, -1);
    lua_pop(L, 1);
    if (out[i] < 1)
      return pc_fail(PC_EARG, "encoders.slots: entry %d of %s must be a number of at least 1", i + 1, what);
  }
  *stages = n;
  return PC_OK;
}

static int f_encoder_slots(lua_State *L, pc_args *a) {
  pc_module *m;
  int stages = 0;
  pc_slot_encoder_opts o = {.slots = I(0),
                            .slot_dim = I(1),
                            .height = I(2),
                            .width_px = a->a[3].v.set ? I(3) : I(2),
                            .channels = I(4),
                            .width = I(5),
                            .heads = I(6),
                            .layers = I(7),
                            .ff = I(8),
                            .no_vae = !I(9),
                            .token_maps = (int)I(13),
                            .position_sd = D(14),
                            .query_sd = D(15)};
  int rc = per_stage(L, "conv_channels", a->a[10].at, o.conv_channels, &stages);
  if (rc == PC_OK) rc = per_stage(L, "conv_kernel", a->a[11].at, o.conv_kernel, &stages);
  if (rc == PC_OK) rc = per_stage(L, "conv_stride", a->a[12].at, o.conv_stride, &stages);
  o.stages = stages;
  return pc_made_module(L, rc < 0 ? rc : pc_encoder_slots(&m, &o), &m);
}

static const pc_luafn encoder_functions[] = {
    {"slots",
     "slots:int, slot_dim:int, height:int=64, width_px:int?, channels:int=3, width:int=96, heads:int=4, layers:int=3, "
     "ff:int=0, "
     "vae:bool=true, conv_channels:table?, conv_kernel:table?, conv_stride:table?, token_maps:bool=false, "
     "position_sd:num=0.02, query_sd:num=0",
     f_encoder_slots, "CNN -> learned-query slot Transformer: image (B,H,W,C) -> mean (B,K,m), log_std (B,K,m)", 0},
    {0}};

int luaopen_percept_encoders(lua_State *L) {
  pc_module_class_open(L);
  lua_newtable(L);
  pc_register(L, "encoders", encoder_functions);
  return 1;
}
