/* error.h: how every fallible function of the engine reports failure.
 *
 * A fallible function returns 0 or a negative pc_err; what went wrong is a
 * sentence in a thread-local buffer: pc_error_text(). The sentence names the
 * op, the argument, the shapes at odds and, where there is one, the remedy:
 *   return pc_fail(PC_ESHAPE, "matmul: inner sizes differ: a %s, b %s", ...);
 * Nobody prints, exits or aborts for a user's mistake; `assert` is for broken
 * invariants of our own. Callers that add context use pc_error_prefix().
 */
#ifndef PC_BASE_ERROR_H
#define PC_BASE_ERROR_H

/* code, name, meaning */
#define PC_ERR_MAP(X)                        \
  X(-1, ENOMEM, "out of memory")             \
  X(-2, EARG, "invalid argument")            \
  X(-3, ESHAPE, "shapes do not fit")         \
  X(-4, EDTYPE, "wrong dtype")               \
  X(-5, EINDEX, "index out of bounds")       \
  X(-6, EIO, "input/output error")           \
  X(-7, EFORMAT, "malformed file")           \
  X(-8, ENOTFOUND, "not found")              \
  X(-9, ESTATE, "not allowed in this state") \
  X(-10, EINTR, "interrupted")               \
  X(-11, ENUM, "numerical failure")          \
  X(-12, ECALLBACK, "error in a callback")

typedef enum pc_err {
  PC_OK = 0,
#define X(code, name, text) PC_##name = code,
  PC_ERR_MAP(X)
#undef X
} pc_err;

/* Records the formatted sentence as this thread's last error; returns code. */
int pc_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " in front of the last error; returns code unchanged. */
int pc_error_prefix(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last error of this thread; "" if none. Valid until the next pc_fail. */
const char *pc_error_text(void);
int pc_error_code(void);
void pc_error_clear(void);

/* "ENOMEM" and the like; "unknown" for a code that is not in the map. */
const char *pc_error_name(int code);

/* Ctrl-C: the front end sets the flag (from a signal handler), op entries and
 * long loops of the engine poll it with pc_interrupted() and give up with
 * PC_EINTR. pc_check_interrupt() = poll + clear + pc_fail. */
void pc_interrupt_set(void);
int pc_interrupted(void);
int pc_check_interrupt(void);

#endif
