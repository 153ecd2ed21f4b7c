/* module.h: modules of engine/nn as userdata of class "module". */
#ifndef PC_BINDINGS_MODULE_H
#define PC_BINDINGS_MODULE_H

#include "bindings/args.h"
#include "nn/module.h"

typedef struct pc_module_handle {
  pc_module *m;
} pc_module_handle;

/* Pushes a userdata that takes over the reference. */
void pc_push_module(lua_State *L, pc_module *m);
/* A constructor's end: pushes the module (1), or returns rc. */
int pc_made_module(lua_State *L, int rc, pc_module *const *m);
/* The module at idx, borrowed, or NULL. */
pc_module *pc_to_module(lua_State *L, int idx);
#define PC_MODULE(a, name) (((pc_module_handle *)pc_arg_object(a, name))->m)

/* Makes the class; called by every luaopen that needs it; idempotent. */
void pc_module_class_open(lua_State *L);

#endif
