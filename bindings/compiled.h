/* compiled.h: out of compiled Lua code, from a signal handler.
 *
 * A debug hook stops interpreted Lua alone: a loop that LuaJIT has compiled never
 * looks at it. pc_compiled_leave() makes such a loop take an exit of its own, so
 * that the interpreter goes on behind it, where the hook is waiting. Whoever
 * calls it sets a hook that raises an error at the first instruction: the exit
 * may be one whose condition did not hold. */
#ifndef PC_BINDINGS_COMPILED_H
#define PC_BINDINGS_COMPILED_H

/* Once: an address on the stack of the thread of Lua, below which it will run Lua. */
void pc_compiled_start(void *bottom);

/* The hook has been called: a way out that is still being looked for is not taken. */
void pc_compiled_enough(void);

/* context: the third argument of a handler with SA_SIGINFO that runs on the thread
 * of Lua. Does nothing when that thread is not in compiled code
 * or in a function called from there. Async-signal-safe. */
void pc_compiled_leave(void *context);

#endif
