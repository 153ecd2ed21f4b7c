/* parts.h: what the encoders share: the convolutional stem, the slot head of learned queries, the
 * end that gives mean and log_std. A part adds its parameters and children to the module it is built
 * into, so that their names are the same in every encoder that has it; it borrows them from there.
 */
#ifndef PC_ENCODERS_PARTS_H
#define PC_ENCODERS_PARTS_H

#include "encoders/encoder.h"
#include "nn/build.h"

enum { PC_QUERY_LAYERS_MAX = 16 };

/* The error of an image that does not fit, or PC_OK. */
int pc_part_check_image(const pc_tensor *x, int64_t height, int64_t width, int64_t channels);

/* image (B,H,W,C) -> tokens (B,T,width): input_mean, input_scale, conv1.., position, norm_tokens, tokens | token_maps
 */
typedef struct pc_stem {
  pc_cnn_opts o;
  int64_t width_px, tokens;
  int stages;
  pc_module *convs[PC_STEM_MAX], *position, *norm_tokens, *mlp;
  pc_tensor *maps, *mean, *scale;
} pc_stem;
int pc_stem_check(const char *who, pc_stem *e, const pc_cnn_opts *o); /* fills e->o, which has every list then */
void pc_stem_build(pc_build *b, pc_stem *e);
pc_tensor *pc_stem_run(pc_scope *s, const pc_stem *e, pc_tensor *x);

/* tokens (B,T,tokens) -> slots: norm_tokens (with o.norm), queries, block1.., norm_out, head */
typedef struct pc_query_part {
  pc_query_head_opts o;
  pc_module *norm_tokens, *blocks[PC_QUERY_LAYERS_MAX], *norm_out, *head;
  pc_tensor *queries;
} pc_query_part;
void pc_query_build(pc_build *b, pc_query_part *e);
void pc_query_run(pc_scope *s, const pc_query_part *e, pc_tensor *tokens, pc_tensor **out);

/* h (B,K,m or 2m) -> out[0] mean, out[1] log_std = second half + log 0.5 (NULL without a VAE head). */
void pc_part_slots(pc_scope *s, pc_tensor *h, int64_t slot_dim, int vae, pc_tensor **out);

#endif
