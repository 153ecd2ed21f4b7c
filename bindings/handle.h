/* handle.h: userdata that hold engine objects: tensors, and objects of classes "percept.<name>".
 *
 * The lowest part of the bindings: it knows nothing of declared arguments. (A class with methods is made by pc_class(),
 * args.h.)
 */
#ifndef PC_BINDINGS_HANDLE_H
#define PC_BINDINGS_HANDLE_H

#include <lauxlib.h>
#include <lua.h>

#include "tensor/tensor.h"

/* Pushes a userdata that takes over the reference t. NULL pushes nil. */
void pc_push_tensor(lua_State *L, pc_tensor *t);
pc_tensor *pc_to_tensor(lua_State *L, int idx); /* borrowed; NULL if the value is none */
/* Pushes the metatable of tensors, made by the first call. */
void pc_push_tensor_class(lua_State *L);

/* Makes class "percept.<name>" with a __gc (may be NULL); leaves its metatable on the stack. */
void pc_plain_class(lua_State *L, const char *name, lua_CFunction gc);
/* Pushes a zeroed object of a class. */
void *pc_new_object(lua_State *L, const char *name, size_t bytes);
void *pc_to_object(lua_State *L, int idx, const char *name); /* NULL if the value is none */

/* A thread that lives as long as L's state: for luaL_unref when an engine object dies. It is kept by the object, which
 * may have been made in a coroutine that is gone by then. */
lua_State *pc_lua_home(lua_State *L);

#endif
