/* contrast.h: which slots an output depends on, from first derivatives.
 *
 * Slot Jacobian (arXiv 2411.07784): S_pk = sum over channels of pixel p and numbers a of slot k of |d x_p / d z_ka|.
 * Compositional contrast (arXiv 2305.14229): C = sum_p sum_{i<j} |J_pi| |J_pj|, J_pk the gradient of output p in slot
 * k: 0 when no output depends on two slots. With `image` p is a pixel, its channels together; its norms are divided by
 * their mean over slots, and weighted by that mean over the largest of the image.
 */
#ifndef PC_INTERACTION_CONTRAST_H
#define PC_INTERACTION_CONTRAST_H

#include "interaction/slots.h"

/* S (B,P,K) at z (B,K,m). normalise: divided by the sum over slots; a pixel that depends on nothing keeps 0. */
int pc_slot_jacobian(pc_tensor **out, const pc_slot_function *decoder, pc_tensor *z, int normalise,
                     const pc_slot_opts *o);
/* C of each image, (B). */
int pc_contrast(pc_tensor **out, const pc_slot_function *decoder, pc_tensor *z, int image, const pc_slot_opts *o);

#endif
