/* tensor.h: the parts of the module percept.tensor, one file each. */
#ifndef PC_BINDINGS_TENSOR_H
#define PC_BINDINGS_TENSOR_H

#include "base/rng.h"
#include "bindings/args.h"

/* Applies an op of the table by name; PC_ENOTFOUND when there is no such row. */
int pc_apply_named(const char *name, pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v, int nv);
/* Opcode of a row, or -1. */
int pc_opcode_find(const char *name);
/* 1 when results of t have to be recorded. */
int pc_tracked(const pc_tensor *t);

/* Each registers its functions in the table T (at tf) and methods (at tm); absolute stack indices. */
void pc_open_ops(lua_State *L, int tf, int tm);
void pc_open_create(lua_State *L, int tf, int tm);
void pc_open_inplace(lua_State *L, int tf, int tm);
void pc_open_facts(lua_State *L, int tf, int tm);
void pc_open_print(lua_State *L, int tf, int tm);
void pc_open_grad(lua_State *L, int tf, int tm);
/* Registers fns in T, and those whose first argument is a tensor as methods, too. */
void pc_open_both(lua_State *L, int tf, int tm, const pc_luafn *fns);

/* ---- creation ---- */
pc_dtype pc_default_dtype(void);
/* A tensor of a Lua number, boolean or nested table at idx. */
int pc_tensor_of_lua(lua_State *L, const char *op, int idx, pc_dtype dtype, int dtype_given, pc_tensor **out);
/* PC_EARG when a number given for dtype d is none of its numbers: nothing is cut or wrapped behind a back. */
int pc_number_fits(const char *op, double value, pc_dtype d);
/* Pushes an element as a Lua number; PC_EARG for an i64 that a double does not hold. */
int pc_push_element(lua_State *L, const char *op, const pc_tensor *t, int64_t linear);
/* The argument "generator", or the global one. */
pc_rng *pc_arg_rng(const pc_args *a);

/* ---- indexing ---- metamethods; errors by return code */
int pc_index_get(lua_State *L, pc_tensor *t, int key); /* pushes the result */
int pc_index_set(lua_State *L, pc_tensor *t, int key, int value);

/* ---- printing ---- */
void pc_push_printed(lua_State *L, const pc_tensor *t);

#endif
