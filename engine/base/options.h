/* options.h: ranges of numbers, and options of a function as a table.
 *
 * An option is written once, as a row of an X-macro: type, name, range, default, unit, help. From the rows come
 *  - the fields of a struct            PC_OPTIONS_STRUCT(pc_walk_opts, PC_WALK_OPTIONS);
 *  - its initialiser, the defaults     #define PC_WALK_OPTS_INIT {PC_WALK_OPTIONS(PC_OPTION_INIT, )}
 *  - a table that checks, and that gives the signature and the help in the language above
 *                                      PC_OPTIONS_TABLE(pc_walk_options, "walk", pc_walk_opts, PC_WALK_OPTIONS);
 * where
 *   #define PC_WALK_OPTIONS(X, S)                                   \
 *     X(S, int64, steps, "1..", 100, "steps", "how far")            \
 *     X(S, num, lr, "0..", 1e-3, "", "step length")                 \
 *     X(S, choice, way, "back|forth", PC_WALK_FORTH, "", "where to")
 * The caller in C starts from the defaults and sets what differs:
 *   pc_walk_opts o = PC_WALK_OPTS_INIT;
 *   o.lr = 0;
 * and the function that takes them begins with pc_options_check(&pc_walk_options, "walk", &o).
 *
 * or writes what differs behind the defaults:
 *   walk(&PC_OPTIONS_WITH(pc_walk_opts, PC_WALK_OPTIONS, .lr = 0, .steps = 7))
 *
 * A value is obeyed or refused, never replaced: zero is a value. What may be left out without having a default is a
 * `maybe`: a value and whether it was given (PC_GIVEN(7); pc_int64_or(o.width, 64) reads it). What must be given has
 * the default PC_REQUIRED: zero or NULL, which its range should refuse; of a maybe that one function shares with
 * another: not given, which is refused.
 *
 * types    num double · int int · int64 int64_t · bool int · str const char* (borrowed; never empty unless the range
 *          is "any") · choice int (an enum: place among the words a|b|c of the range) · maybe_num, maybe_int,
 * maybe_int64, maybe_bool likewise · sizes up to 8 whole numbers, or not given
 * ranges   "0.." "1..100" "0<..<1" (bounds left out) "..inf" (infinity, too) · "" whatever is finite and
 * fits · "any" NaN and infinities, too; for int64: every whole number
 */
#ifndef PC_BASE_OPTIONS_H
#define PC_BASE_OPTIONS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* ---- ranges ---- */

typedef enum pc_number_kind { PC_NUMBER_REAL, PC_NUMBER_INT, PC_NUMBER_INT64 } pc_number_kind; /* int: fits a C int */

typedef struct pc_range {
  double lo, hi;
  uint8_t lo_open, hi_open; /* the bound itself is outside */
  uint8_t any;              /* everything, NaN, too */
  uint8_t whole;
} pc_range;

/* Reads a range as written; "" or NULL is the widest of its kind. PC_EARG when malformed. Whole numbers go up to 2^53.
 */
int pc_range_parse(pc_range *r, const char *text, pc_number_kind kind);
int pc_range_has(const pc_range *r, double x);
/* "a number >= 0", "an integer from 1 to 100", "a finite number"; one of 4 rotating buffers. */
const char *pc_range_text(const pc_range *r);
/* Fails with "<fn>: <name>: expected <range>, got <x>". */
int pc_range_fail(const char *fn, const char *name, const pc_range *r, double x);

/* ---- tables ---- */

typedef struct pc_maybe_num {
  int given;
  double value;
} pc_maybe_num;
typedef struct pc_maybe_int {
  int given, value;
} pc_maybe_int;
typedef struct pc_maybe_int64 {
  int given;
  int64_t value;
} pc_maybe_int64;

enum { PC_SIZES_MAX = 8 };
typedef struct pc_sizes {
  int given, n;
  int64_t v[PC_SIZES_MAX];
} pc_sizes;

#define PC_GIVEN(x) \
  { 1, x }
static inline int pc_int_or(pc_maybe_int x, int otherwise) { return x.given ? x.value : otherwise; }
static inline int64_t pc_int64_or(pc_maybe_int64 x, int64_t otherwise) { return x.given ? x.value : otherwise; }
static inline double pc_num_or(pc_maybe_num x, double otherwise) { return x.given ? x.value : otherwise; }

typedef enum pc_option_type {
  PC_OPTION_num,
  PC_OPTION_int,
  PC_OPTION_int64,
  PC_OPTION_bool,
  PC_OPTION_str,
  PC_OPTION_choice,
  PC_OPTION_maybe_num,
  PC_OPTION_maybe_int,
  PC_OPTION_maybe_int64,
  PC_OPTION_maybe_bool,
  PC_OPTION_sizes
} pc_option_type;

typedef struct pc_option {
  pc_option_type type;
  const char *name;
  const char *range; /* as written; of a choice: the words */
  const char *def;   /* the default as written: 1e-3, "a", PC_REQUIRED */
  const char *unit;  /* "", "pixels" */
  const char *help;
  size_t at; /* offset in the struct */
} pc_option;

typedef struct pc_options {
  const char *name; /* "adam": what the group of options is called */
  const pc_option *rows;
  int n;
  const void *defaults; /* a struct of them */
  size_t bytes;         /* of the struct */
} pc_options;

/* Is every option in its range? fn is named in the message: "adam: lr: expected a number >= 0, got -1". */
int pc_options_check(const pc_options *t, const char *fn, const void *opts);
/* The row of that name, or NULL. */
const pc_option *pc_options_find(const pc_options *t, const char *name);
/* "lr:num(0..)=1e-3, nesterov:bool=false": the rows as a signature (grad/signature.h), cut off at `size`. Returns the
 * length it needs, as snprintf does. */
size_t pc_options_signature(const pc_options *t, char *buf, size_t size);
/* "lr: step length (number >= 0); ...": what help says of the rows that have help. Likewise. */
size_t pc_options_help(const pc_options *t, char *buf, size_t size);

/* The place of a word among "a|b|c", or -1. */
int pc_choice(const char *choices, const char *word);

/* Sets one option of a struct, of whichever type fits; the value is not checked. For front ends. */
void pc_option_set_num(const pc_option *o, void *opts, double x);
void pc_option_set_str(const pc_option *o, void *opts, const char *s); /* a choice: its place among the words */
void pc_option_set_sizes(const pc_option *o, void *opts, const int64_t *v, int n);

/* ---- from rows ---- */

#define PC_REQUIRED 0

#define PC_OPTION_C_num         double
#define PC_OPTION_C_int         int
#define PC_OPTION_C_int64       int64_t
#define PC_OPTION_C_bool        int
#define PC_OPTION_C_str         const char *
#define PC_OPTION_C_choice      int
#define PC_OPTION_C_maybe_num   pc_maybe_num
#define PC_OPTION_C_maybe_int   pc_maybe_int
#define PC_OPTION_C_maybe_int64 pc_maybe_int64
#define PC_OPTION_C_maybe_bool  pc_maybe_int
#define PC_OPTION_C_sizes       pc_sizes

#define PC_OPTION_I_num(x)    x
#define PC_OPTION_I_int(x)    x
#define PC_OPTION_I_int64(x)  x
#define PC_OPTION_I_bool(x)   x
#define PC_OPTION_I_str(x)    x
#define PC_OPTION_I_choice(x) x
#define PC_OPTION_I_maybe_num(x) \
  { 0, x }
#define PC_OPTION_I_maybe_int(x) \
  { 0, x }
#define PC_OPTION_I_maybe_int64(x) \
  { 0, x }
#define PC_OPTION_I_maybe_bool(x) \
  { 0, x }
#define PC_OPTION_I_sizes(x) \
  {                          \
    0, x, { 0 }              \
  }

#define PC_OPTION_FIELD(S, type, name, range, def, unit, help) PC_OPTION_C_##type name;
#define PC_OPTION_INIT(S, type, name, range, def, unit, help)  .name = PC_OPTION_I_##type(def),
#define PC_OPTION_ROW(S, type, name, range, def, unit, help) \
  {PC_OPTION_##type, #name, range, #def, unit, help, offsetof(S, name)},

#define PC_OPTIONS_STRUCT(S, LIST) \
  typedef struct S {               \
    LIST(PC_OPTION_FIELD, S)       \
  } S
/* The defaults, but for what is written behind them: `.lr = 0, .steps = 7`. */
#define PC_OPTIONS_WITH(S, LIST, ...) ((S){LIST(PC_OPTION_INIT, ) __VA_ARGS__})
/* Defines `const pc_options table`; several tables may have one struct. Declare it before: extern, or static. */
#define PC_OPTIONS_TABLE(table, name, S, LIST)                                                                        \
  static const pc_option table##_rows[] = {LIST(PC_OPTION_ROW, S)};                                                   \
  static const S table##_defaults = {LIST(PC_OPTION_INIT, S)};                                                        \
  const pc_options table = {name, table##_rows, (int)(sizeof table##_rows / sizeof *table##_rows), &table##_defaults, \
                            sizeof(S)}

#endif
