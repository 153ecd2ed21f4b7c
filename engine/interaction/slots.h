/* slots.h: functions of slots, and their derivatives in the directions of one slot.
 *
 * A function takes slots z (b,K,m) to images (b,H,W,C), or to anything (b,...,C) or (b,D); its pixels are the places
 * P = H*W (of (b,D): D, of one channel). Derivatives are central differences, decodes without gradients that serve any
 * function, or exact ones, for which it has to be differentiable once more.
 * Results are differentiable themselves when create_graph is set and gradients are on: measures are penalties then.
 */
#ifndef PC_INTERACTION_SLOTS_H
#define PC_INTERACTION_SLOTS_H

#include "base/options.h"
#include "grad/op.h"

/* y = f(z): a new reference, with history when gradients are on. */
typedef int pc_slot_fn(void *ctx, pc_tensor *z, pc_tensor **y);

typedef struct pc_slot_function {
  pc_slot_fn *f;
  void *ctx;
  const char *what; /* "decoder", "encoder": for messages */
} pc_slot_function;

#define PC_SLOT_OPTIONS(X, S)                                                         \
  X(S, maybe_num, eps, "0<..", 0, "",                                                 \
    "step of the differences; left out: what suits the measure and the slots' dtype") \
  X(S, choice, method, "differences|exact", PC_SLOT_DIFFERENCES, "", "")              \
  X(S, int64, batch, "1..", 64, "", "slot sets decoded at once")
enum { PC_SLOT_DIFFERENCES, PC_SLOT_EXACT };

typedef struct pc_slot_opts {
  PC_SLOT_OPTIONS(PC_OPTION_FIELD, )
  const char *name; /* of the measure, for messages: "interaction.jacobian" */
  pc_tensor *scale; /* (K,m) or (m): derivatives with respect to z / scale; NULL: 1 */
  int create_graph; /* results have a history */
} pc_slot_opts;
#define PC_SLOT_OPTS_INIT \
  { PC_SLOT_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_slot_options;

/* z is (B,K,m) with B > 0, and the options are in range; or the error says what is wrong. */
int pc_slots_check(const pc_slot_opts *o, const pc_tensor *z);
/* y = f(z), checked: (n,...) for n slot sets. */
pc_tensor *pc_slots_call(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, pc_tensor *z);
/* f of each z[i] (all of one shape), o->batch slot sets at once. */
void pc_slots_apply(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, int n, pc_tensor *const *z,
                    pc_tensor **y);
/* The scale as (K,m) of z's dtype. */
pc_tensor *pc_slots_scale(pc_scope *s, const pc_slot_opts *o, pc_tensor *z);
/* The step: o->eps, or coarse, in f64 fine. */
double pc_slots_step(const pc_slot_opts *o, const pc_tensor *z, double coarse, double fine);
/* A zero tensor like z but for slot k, which holds values (m) or (B,m). */
pc_tensor *pc_slots_in(pc_scope *s, pc_tensor *z, int64_t k, pc_tensor *values);
/* z itself where results need a history and it has one; else a leaf like it. */
pc_tensor *pc_slots_leaf(pc_scope *s, const pc_slot_opts *o, pc_tensor *z);
/* J v at z, exactly; zero where f does not depend on z. */
pc_tensor *pc_slots_jvp(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, pc_tensor *z, pc_tensor *v);
/* y (B,...) as (B,P,C). */
pc_tensor *pc_slots_pixels(pc_scope *s, pc_tensor *y);

/* Calls each(s, ctx, k, d) with d (B,P,C), the derivative in direction a of slot k, for all k and a; what each returns
 * is summed over the directions of a slot and stacked: (B,P,K). pixels: of outputs as they are; else each output for
 * itself. */
typedef pc_tensor *pc_slots_reduce(pc_scope *s, pc_tensor *d);
pc_tensor *pc_slots_sums(pc_scope *s, const pc_slot_function *f, const pc_slot_opts *o, pc_tensor *z, int pixels,
                         pc_slots_reduce *each);

/* part(s, ctx, from, n) for parts of at most o->batch of z's B slot sets, joined along the first dimension. */
typedef pc_tensor *pc_slots_part(pc_scope *s, void *ctx, int64_t from, int64_t n);
pc_tensor *pc_slots_by_parts(pc_scope *s, int64_t count, int64_t batch, pc_slots_part *part, void *ctx);

#endif
