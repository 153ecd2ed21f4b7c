/* encoders.c: percept.encoders.c: models from images to slots, bases that give tokens, heads that read them: a function
 * for every row of the engine's registry. */
#include <string.h>

#include "base/alloc.h"
#include "bindings/module.h"
#include "encoders/encoder.h"
#include "encoders/vit.h"

int luaopen_percept_encoders(lua_State *L);

/* vit: a name's sizes first; then what is said besides goes before it. */
static int begin_vit(pc_args *a, pc_vit_opts *o) {
  int rc = pc_arg_given(a, "name") ? pc_vit_preset(o, pc_arg_str(a, "name")) : PC_OK;
  if (pc_arg_given(a, "height") && !pc_arg_given(a, "width_px")) o->width_px.given = 0;
  if (pc_arg_given(a, "width") && !pc_arg_given(a, "heads")) o->heads.given = 0;
  if (pc_arg_given(a, "width") && !pc_arg_given(a, "ff")) o->ff.given = 0;
  return rc;
}

static int f_make(lua_State *L, pc_args *a) {
  const pc_encoder_row *row = lua_touserdata(L, PC_UPVALUE);
  pc_module *m = NULL;
  void *opts = pc_malloc(row->options->bytes);
  if (!opts) return PC_ENOMEM;
  memcpy(opts, row->options->defaults, row->options->bytes);
  int rc = row->options == &pc_vit_options ? begin_vit(a, opts) : PC_OK;
  pc_args_options(a, opts);
  if (rc == PC_OK) rc = row->make(&m, opts);
  pc_free(opts);
  return pc_made_module(L, rc, &m);
}

static int f_positions(lua_State *L, pc_args *a) {
  pc_tensor *t;
  pc_vit_grid_opts o = PC_OPTIONS_WITH(pc_vit_grid_opts, PC_VIT_GRID_OPTIONS, );
  pc_args_options(a, &o);
  int rc = pc_vit_positions(&t, pc_arg_tensor(a, "table"), pc_arg_val(a, "from")->l, pc_arg_val(a, "to")->l, &o);
  if (rc < 0) return rc;
  pc_push_tensor(L, t);
  return 1;
}

static const pc_luafn functions[] = {
    {"positions", "table:tensor, from:size2(1..4096), to:size2(1..4096), @", f_positions,
     "a position table (prefix + h w, width) of a grid {h,w} for another grid: bicubic between cell centres, as "
     "PyTorch's interpolate with antialias off (a = -0.75) or on (a = -0.5); offset 0.1 is DINO's: cell i of n looks "
     "at (i + 1/2) h / (n + offset)",
     0, NULL, &pc_vit_grid_options},
    {0}};

int luaopen_percept_encoders(lua_State *L) {
  pc_module_class_open(L);
  lua_newtable(L);
  pc_register(L, "encoders", functions);
  for (int i = 0; i < pc_nencoders; i++) {
    const pc_encoder_row *row = &pc_encoders[i];
    const char *sig = row->options == &pc_vit_options ? "name:str?, @" : "@";
    const pc_luafn fn = {row->name, sig, f_make, row->help, 0, NULL, row->options};
    lua_pushlightuserdata(L, (void *)row);
    pc_declare(L, "encoders", &fn, -1, 1);
    lua_setfield(L, -2, row->name);
  }
  return 1;
}
