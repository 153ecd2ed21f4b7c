/* signature.h: what a function takes, as one line of text and as a table.
 *
 * Grammar: comma-separated `name:type[(range)][?][=default]`; `?` or a default make the argument optional.
 *   "x:tensor, dim:dims?, keepdim:bool=false, lr:num(0..)=1e-3, mode:str(softmax|sigmoid)=softmax"
 *   tensor    a tensor
 *   value     a tensor or a number (0-dim, weak)
 *   tensors   tensors, or one list of them
 *   num       a finite number; num(0..) num(0<..<1) one in a range; num(..inf) infinity, too; num(any) NaN, too
 *   int       a whole number that fits a C int; int(1..) int(0..9) one in a range     -> i, d
 *   int64     likewise, up to 2^53: seeds, steps, counts of elements
 *   bool      true or false                                                           -> i
 *   str       a text that is not empty; str(any) any text; str(a|b|c) one of these    -> s
 *             (without NUL; str(bytes) any bytes, which the function takes from where they are)
 *   dim index counted from 1, negative from the end                 -> i from 0; negative stays (-1 is the last)
 *   dims      one or several dim, or a list                         -> l nl likewise; left out: all
 *   size      sizes, or one list of them; size(1..) in a range      -> l nl
 *   size2     a number or {a,b}; size2(1..) in a range              -> l, nl == 2
 *   dtype     "f32", "f64", "i64", "i32", "u8"                      -> i
 *   any table function      for the language above
 *   ...       last: further arguments of any kind
 *   another word: a class of objects of the language above
 *
 * A signature is parsed once, into memory of the caller's: rows of the op table (grad/op.h) and functions declared in
 * the language above (bindings/args.h) share it, so that both floors check, and fill in, the same.
 */
#ifndef PC_GRAD_SIGNATURE_H
#define PC_GRAD_SIGNATURE_H

#include "base/options.h"
#include "tensor/kernel.h"

#define PC_MAX_ARGS 24

typedef enum pc_type {
  PC_T_TENSOR, /* the first three are the tensors: type <= PC_T_TENSORS */
  PC_T_VALUE,
  PC_T_TENSORS,
  PC_T_INT,
  PC_T_NUM,
  PC_T_BOOL,
  PC_T_STR,
  PC_T_DIM,
  PC_T_DIMS,
  PC_T_INDEX,
  PC_T_SIZE,
  PC_T_SIZE2,
  PC_T_DTYPE,
  PC_T_ANY,
  PC_T_TABLE,
  PC_T_FUNCTION,
  PC_T_CLASS
} pc_type;

typedef struct pc_param {
  const char *name;
  const char *type_name;  /* as written: "tensor", "module" */
  const char *choices;    /* of str: "a|b|c", or NULL */
  const char *range_text; /* as written: "0..", or NULL */
  const char *text;       /* the default as written, or NULL */
  pc_range range;         /* of int, num, index, size, size2 */
  pc_type type;
  int optional;     /* may be left out */
  int blank, bytes; /* of str: "" is a value; NUL bytes may be inside */
  pc_val def;       /* the default; set == 0 */
} pc_param;

typedef struct pc_signature {
  int n, nin, nv;          /* all arguments; tensors among them; others */
  int variadic;            /* ends in `...` */
  int required;            /* of the others, how many must be given */
  const pc_param *p;       /* n */
  const pc_val *left_out;  /* nv: the others' defaults, in order */
  const pc_param **others; /* nv */
} pc_signature;

/* How many bytes a signature takes, aligned for any type. */
size_t pc_signature_bytes(const char *text);
/* Parses into `at`, of that many bytes; text is copied. PC_EARG for a malformed one. */
int pc_signature_parse(pc_signature **out, void *at, const char *text);
/* The place of an argument, or -1. */
int pc_signature_find(const pc_signature *s, const char *name);

/* Is v, which was given, in the range of p and one of its choices? fn is named in the message. */
int pc_param_check(const char *fn, const pc_param *p, const pc_val *v);
/* The other arguments, complete: v[i] where it is given, else the default. *out is v, s->left_out or full[], of nv
 * entries. Checks what is given; PC_EARG when something is missing. */
int pc_signature_complete(const char *fn, const pc_signature *s, const pc_val *v, int nv, pc_val *full,
                          const pc_val **out);
/* Is word one of "a|b|c"? */
int pc_one_of(const char *word, const char *choices);

/* A place counted from 1, negative from the end, to one counted from 0 (negative as it is). Returns 0 for 0. */
static inline int pc_from_position(int64_t one_based, int64_t *zero_based) {
  *zero_based = one_based > 0 ? one_based - 1 : one_based;
  return one_based != 0;
}

extern const char *const pc_type_names[PC_T_CLASS];

#endif
