/* args_read.c: checked arguments, read by name. A name that the signature lacks is a mistake of ours, not of the
 * caller's: it ends the program here, with both names, so that no test passes over it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/args_impl.h"

static int find(const pc_args *a, const char *name) { return pc_signature_find(a->decl->sig, name); }

static _Noreturn void misread(const pc_args *a, const char *name, const char *why) {
  fprintf(stderr, "percept: %s: reads argument '%s': %s\n", a->decl->name, name, why);
  abort();
}

/* The argument of that name, whose type must be one of the set of bits 1 << pc_type. */
static const pc_arg *get(const pc_args *a, const char *name, unsigned types) {
  int i = find(a, name);
  if (i < 0) misread(a, name, "not in the signature");
  if (!(types >> a->decl->sig->p[i].type & 1)) misread(a, name, "declared with another type");
  return &a->a[i];
}

#define BIT(type) (1u << PC_T_##type)
enum { INTEGERS = BIT(INT) | BIT(DIM) | BIT(INDEX), LISTS = BIT(DIMS) | BIT(SIZE) | BIT(SIZE2) };

int pc_arg_has(const pc_args *a, const char *name) { return find(a, name) >= 0; }
int pc_arg_given(const pc_args *a, const char *name) { return get(a, name, ~0u)->at != 0; }
int pc_arg_at(const pc_args *a, const char *name) { return get(a, name, ~0u)->at; }
int64_t pc_arg_int64(const pc_args *a, const char *name) { return get(a, name, INTEGERS)->v.i; }
double pc_arg_num(const pc_args *a, const char *name) { return get(a, name, BIT(NUM))->v.d; }
int pc_arg_bool(const pc_args *a, const char *name) { return get(a, name, BIT(BOOL))->v.i != 0; }
const char *pc_arg_str(const pc_args *a, const char *name) { return get(a, name, BIT(STR))->v.s; }
pc_dtype pc_arg_dtype(const pc_args *a, const char *name) { return (pc_dtype)get(a, name, BIT(DTYPE))->v.i; }
pc_tensor *pc_arg_tensor(const pc_args *a, const char *name) { return get(a, name, BIT(TENSOR) | BIT(VALUE))->t; }
const pc_val *pc_arg_val(const pc_args *a, const char *name) { return &get(a, name, LISTS)->v; }
void *pc_arg_object(const pc_args *a, const char *name) { return get(a, name, BIT(CLASS))->p; }

/* Never cut to its low bits: what is too large for the C type is too large for whatever it counts. */
int pc_arg_int(const pc_args *a, const char *name) {
  int64_t v = pc_arg_int64(a, name);
  return v > INT_MAX ? INT_MAX : v < INT_MIN ? INT_MIN : (int)v;
}

int pc_arg_place(const pc_args *a, const char *name) {
  int i = find(a, name);
  if (i < 0) misread(a, name, "not in the signature");
  return i + 1;
}

int pc_arg_fail(lua_State *L, const pc_args *a, const char *name, const char *what) {
  return pc_arg_fail_at(L, a, pc_arg_place(a, name) - 1, what);
}
