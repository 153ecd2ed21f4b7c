/* decoders.c: percept.decoders: slots (B,K,m) -> images: a function for every row of the engine's registry. */
#include "decoders/decoder.h"

#include <string.h>

#include "base/alloc.h"
#include "bindings/module.h"

int luaopen_percept_decoders(lua_State *L);

static int f_make(lua_State *L, pc_args *a) {
  const pc_decoder_row *row = lua_touserdata(L, PC_UPVALUE);
  pc_module *m = NULL;
  void *opts = pc_malloc(row->options->bytes);
  if (!opts) return PC_ENOMEM;
  memcpy(opts, row->options->defaults, row->options->bytes);
  pc_args_options(a, opts);
  int rc = row->make(&m, opts);
  pc_free(opts);
  return pc_made_module(L, rc, &m);
}

int luaopen_percept_decoders(lua_State *L) {
  pc_module_class_open(L);
  lua_newtable(L);
  for (int i = 0; i < pc_ndecoders; i++) {
    const pc_decoder_row *row = &pc_decoders[i];
    const pc_luafn fn = {row->name, "@", f_make, row->help, 0, NULL, row->options};
    lua_pushlightuserdata(L, (void *)row);
    pc_declare(L, "decoders", &fn, -1, 1);
    lua_setfield(L, -2, row->name);
  }
  return 1;
}
