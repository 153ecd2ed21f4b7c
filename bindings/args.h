/* args.h: declared arguments: one signature string validates calls and feeds help.
 *
 * The grammar of signatures is grad/signature.h's. `@` in a signature stands for the rows of the function's option
 * table (base/options.h): {"adam", "params:any, @", f_adam, "...", 0, &pc_adam_options}; the function fills the struct
 * from what was given with pc_args_options(a, &o).
 * dims and size swallow all numbers that follow, unless the next argument takes
 * a number itself.
 *
 * A call gives arguments by position, then at most one table of named ones:
 *   T.sum(x, {dim = 2, keepdim = true})   T.zeros{2, 3, dtype = "f64"}   T.cat{a, b, dim = 2}
 * (in the last two the list part is the positional argument). A table where the
 * signature says table or any is always positional. nil means left out. Unknown
 * names are errors that list the known ones.
 *
 * How a function of the bindings is written:
 *   static int f_seed(lua_State *L, pc_args *a) { pc_rng_seed(pc_rng_global(), (uint64_t)pc_arg_int64(a, "seed"));
 * return 0; } static const pc_luafn fns[] = {{"manual_seed", "seed:int", f_seed, "seeds the global generator"}, {0}};
 *   pc_register(L, NULL, fns);          // into the table on top of the stack
 * It returns the number of results it pushed, or a negative pc_err with the
 * error text set: the caller of the function raises it, after the function has
 * let go of everything it holds. Functions never call lua_error themselves and
 * run Lua callbacks through pc_callback().
 */
#ifndef PC_BINDINGS_ARGS_H
#define PC_BINDINGS_ARGS_H

#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>

#include "base/options.h"
#include "bindings/handle.h"
#include "grad/op.h"

typedef struct pc_arg {
  int at;       /* place of the value on the Lua stack; 0: left out */
  pc_tensor *t; /* borrowed; NULL: left out */
  void *p;      /* userdata of a class */
  pc_val v;     /* everything else; the default when left out (set == 0) */
} pc_arg;

typedef struct pc_decl pc_decl;

typedef struct pc_args {
  const pc_decl *decl;
  int n;                 /* of a[] = of the signature */
  pc_arg a[PC_MAX_ARGS]; /* in the order of the signature */
  pc_tensor **list;      /* of a `tensors` argument; borrowed */
  int nlist;
  int rest, nrest; /* stack place and number of the arguments for `...` */
  int nown;
  pc_tensor *own[PC_MAX_ARGS]; /* tensors made of numbers; released after the call */
} pc_args;

typedef int pc_call(lua_State *L, pc_args *a);

/* Runs a call that gives the function its tensors (or numbers for them), by position, and nothing else, without the
 * general parser. Returns what a pc_call does, or PC_NOT_DIRECT: the call is of another form (or wrong: the parser says
 * how). */
typedef int pc_call_direct(lua_State *L, const pc_decl *d);
#define PC_NOT_DIRECT INT_MAX

enum { PC_RETRY = 1 }; /* may be called again after a collection when memory ran out */

typedef struct pc_luafn {
  const char *name, *sig;
  pc_call *call;
  const char *help; /* one line */
  int flags;
  pc_call_direct *direct;    /* of an op, or NULL */
  const pc_options *options; /* what `@` in sig stands for */
} pc_luafn;

struct pc_decl {
  const char *name; /* "matmul", "nn.linear": what messages say */
  const char *help;
  pc_call *call;
  int flags;
  int op;                    /* pc_opcode, or -1 */
  pc_call_direct *direct;    /* of an op whose tensors alone make a call; else NULL */
  const pc_signature *sig;   /* of an op: the row's */
  const pc_options *options; /* or NULL */
};

/* Pushes a checked function. name, sig and help are copied. `module` (or NULL) goes before the
 * name in messages. The value on top of the stack when nup == 1 is popped and becomes
 * the function's upvalue PC_UPVALUE. Raises a Lua error for a malformed signature. */
void pc_declare(lua_State *L, const char *module, const pc_luafn *fn, int op, int nup);
#define PC_UPVALUE lua_upvalueindex(2)

/* A table that a function takes within an argument: a group of parameters, a piece of a schedule. Declared like a
 * function that is never called; name is what messages say. Lives as long as L does. */
const pc_decl *pc_declare_table(lua_State *L, const pc_luafn *fn);
/* Checks the named entries of the table at idx; those of its list part are the caller's. *a is to be released by
 * pc_args_release. Values stay on the Lua stack. */
int pc_read_table(lua_State *L, const pc_decl *d, int idx, pc_args *a);
void pc_args_release(pc_args *a);
/* Sets the fields of the declaration's option table that were given; the others stay as they are (an initialiser's,
 * or the group's around). */
void pc_args_options(const pc_args *a, void *opts);

/* Sets each function of the list (ended by name NULL) in the table on top of the stack. */
void pc_register(lua_State *L, const char *module, const pc_luafn *fns);

/* Calls a declared function with what is on the stack, as Lua would: for metamethods, which get their arguments from
 * Lua, too. Raises its errors. Something else must keep d. */
int pc_call_declared(lua_State *L, const pc_decl *d);

/* Out of memory says where: op stands before the error's text, unless it is named there. Returns rc. */
int pc_named(const char *op, int rc);

/* The declaration of the function at idx, or NULL. */
const pc_decl *pc_decl_of(lua_State *L, int idx);

/* "sum(x, dim?, keepdim=false)" */
void pc_push_usage(lua_State *L, const pc_decl *d);

/* ---- arguments, read by name (bindings/args_read.c) ----
 * A name that the signature lacks, or has with another type, ends the program: it is a mistake of ours. */
int pc_arg_has(const pc_args *a, const char *name);   /* in the signature at all? for what several functions share */
int pc_arg_place(const pc_args *a, const char *name); /* 1, 2, ... in the signature: for messages */
int pc_arg_given(const pc_args *a, const char *name); /* by the caller; otherwise the values below are defaults */
int pc_arg_at(const pc_args *a, const char *name);    /* place on the Lua stack; 0: left out */
int pc_arg_int(const pc_args *a, const char *name);   /* int, dim, index */
int64_t pc_arg_int64(const pc_args *a, const char *name);
double pc_arg_num(const pc_args *a, const char *name);
int pc_arg_bool(const pc_args *a, const char *name);
const char *pc_arg_str(const pc_args *a, const char *name); /* borrowed; NULL: left out, without a default */
pc_dtype pc_arg_dtype(const pc_args *a, const char *name);
pc_tensor *pc_arg_tensor(const pc_args *a, const char *name); /* tensor, value; borrowed; NULL: left out */
const pc_val *pc_arg_val(const pc_args *a, const char *name); /* dims, size, size2: ->l, ->nl */
void *pc_arg_object(const pc_args *a, const char *name);      /* of a class; NULL: left out */
/* ---- texts ---- */
/* The string at idx for C; NULL if the value is none (numbers are none: turned into strings in place they break
 * lua_next, and what keeps them?) or has a NUL byte, at which C would cut it. Valid as long as Lua keeps the value. */
const char *pc_text(lua_State *L, int idx);
/* The same, a number written out, which lives until the state ends: for lists of names. */
const char *pc_text_or_number(lua_State *L, int idx);

/* The texts of the list at `at` (0: none), numbers written out -> how many; `what` names them in messages. */
int pc_each_text(lua_State *L, const char *what, int at, const char **out, int max);

/* ---- messages ---- */
/* What the value at idx is: "f32 tensor (2,3)", "string \"abc\"", "nil". One of 4 rotating buffers. */
const char *pc_describe(lua_State *L, int idx);
/* Fails with "<function>: argument <i> (<name>): expected <what>, got <value>". */
int pc_arg_fail(lua_State *L, const pc_args *a, const char *name, const char *what);
/* The most similar of n words, or NULL when none is near. */
const char *pc_nearest(const char *word, const char *const *words, int n);

/* Is a number of Lua an integer to us (-0 is none)? */
int pc_number_is_whole(double x);

/* ---- the way out ---- */
/* Raises the last engine error as a Lua string with the caller's position. Never returns. */
int pc_raise(lua_State *L, int rc);
/* lua_pcall for callbacks: 0, or PC_ECALLBACK with the message kept as error text. Refused when the C stack ends. */
int pc_callback(lua_State *L, int nargs, int nresults);
/* Pops an error value that was caught inside of so many calls: PC_ECALLBACK, for pc_raise to throw it again. */
int pc_caught(lua_State *L, int levels);
/* The coroutine whose call runs now: callbacks from the engine use it. NULL when none does. */
lua_State *pc_lua_now(void);
/* What a function that pushes nothing returns for an engine call: its error, or 0. An engine function may answer with a
 * count, which must not become a number of results. */
static inline int pc_done(int rc) { return rc < 0 ? rc : 0; }
/* Lua line that runs now: "file.lua:12" or "". */
const char *pc_lua_where(void);
/* Advances the collector in proportion to the bytes allocated since the last call. */
void pc_gc_pace(lua_State *L);

/* ---- classes ---- */
/* Makes class "percept.<name>" with methods and a __gc (may be NULL); leaves its metatable on the stack. The class's gc
 * is called once, with an object of the class; after it the object is of no class: whatever uses it fails in words. */
void pc_class(lua_State *L, const char *name, const pc_luafn *methods, lua_CFunction gc);

#endif
