/* hessian.h: blocks of second derivatives, slots i and j.
 *
 * Hessian (arXiv 2411.07784): the mean over outputs of |D2_ij f|^2, Frobenius; off the diagonal it is 0 for additive
 * decoders. E (u' D2_ij f v)^2 over normal u, v is that square: `probes` pairs of directions, or all pairs of slot
 * numbers. Tangent condition (arXiv 2512.08854, Eq. 3.4): blocks of J' D2_g J, J = Df(z) the tangents of the images,
 * mean over the latents of the encoder g; off the diagonal it is 0 at g = the inverse of an additive f. Differences:
 * four calls a pair. Exact: gradients of gradients, output by output.
 */
#ifndef PC_INTERACTION_HESSIAN_H
#define PC_INTERACTION_HESSIAN_H

#include "interaction/slots.h"

#define PC_HESSIAN_OPTIONS(X, S)                                                                                  \
  X(S, int, probes, "0..", 4, "", "pairs of random directions (global generator); 0: every pair of slot numbers") \
  X(S, maybe_int64, outputs, "1..", 0, "", "exact: of so many random outputs; left out: of all")
PC_OPTIONS_STRUCT(pc_hessian_opts, PC_HESSIAN_OPTIONS);
#define PC_HESSIAN_OPTS_INIT \
  { PC_HESSIAN_OPTIONS(PC_OPTION_INIT, ) }
extern const pc_options pc_hessian_options;

/* All f64; with a history where o->create_graph asks for it: any of them is a penalty. */
typedef struct pc_hessian_norms {
  pc_tensor *blocks; /* (B,K,K), symmetric: root mean square over outputs of the blocks' Frobenius norms */
  pc_tensor *within; /* (B) norm of the diagonal blocks */
  pc_tensor *mixed;  /* (B) of the others */
  pc_tensor *share;  /* (B) mixed^2 / (within^2 + mixed^2) */
} pc_hessian_norms;
void pc_hessian_norms_release(pc_hessian_norms *r);

/* At z (B,K,m). */
int pc_hessian_of(pc_hessian_norms *out, const pc_slot_function *decoder, pc_tensor *z, const pc_hessian_opts *h,
                  const pc_slot_opts *o);
/* x (B,...): images; NULL: decoder(z). */
int pc_tangent_of(pc_hessian_norms *out, const pc_slot_function *encoder, const pc_slot_function *decoder, pc_tensor *z,
                  pc_tensor *x, const pc_hessian_opts *h, const pc_slot_opts *o);

#endif
