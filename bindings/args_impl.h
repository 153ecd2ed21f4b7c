/* args_impl.h: what declaring functions and checking their calls share. */
#ifndef PC_BINDINGS_ARGS_IMPL_H
#define PC_BINDINGS_ARGS_IMPL_H

#include "bindings/args.h"

typedef struct pc_arg_type {
  const char *expected;
  char number; /* takes a number: a varargs list before it stops after one */
} pc_arg_type;

extern const pc_arg_type pc_arg_types[PC_T_CLASS]; /* by pc_type */

int pc_arg_fail_at(lua_State *L, const pc_args *a, int i, const char *what); /* pc_arg_fail, by place */

#endif
