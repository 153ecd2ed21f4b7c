/* stack.h: how much of the C stack is left: a script may recurse through C as deep as it likes, and gets an error.
 *
 * A callback costs C stack in the engine, in the bindings and in LuaJIT, and coroutines run on the same one. Lua's own
 * limit counts Lua's slots, not those bytes. So every way from Lua into C asks here, by the address of its frame.
 */
#ifndef PC_BINDINGS_STACK_H
#define PC_BINDINGS_STACK_H

#include <lua.h>

/* Lets the main thread's stack grow to what LuaJIT's own limit on nesting may need (a program's first act). */
void pc_stack_raise_limit(void);
/* Too little of this thread's stack is left for a call into the engine? */
int pc_stack_is_low(void);
/* PC_OK, or PC_ESTATE "<name>: recursion too deep (<levels> levels)". */
int pc_stack_check(const char *name, int levels);
/* Makes coroutine.resume and coroutine.wrap ask, too. */
void pc_stack_guard_coroutines(lua_State *L);

#endif
