/* parts.h: what the encoders share: the convolutional stem, the slot head of learned queries, the
 * end that gives mean and log_std. A part adds its parameters and children to the module it is built
 * into, so that their names are the same in every encoder that has it; it borrows them from there.
 */
#ifndef PC_ENCODERS_PARTS_H
#define PC_ENCODERS_PARTS_H

#include "encoders/encoder.h"

enum { PC_STEM_MAX = 8, PC_QUERY_LAYERS_MAX = 16 };

/* Takes the reference of a child just made, as pc_module_adopt, and keeps it in *slot, too. */
int pc_part_child(pc_module *m, const char *name, int rc, pc_module *part, pc_module **slot);
/* A buffer filled with a value, borrowed into *slot. */
int pc_part_buffer(pc_module *m, const char *name, int ndim, const int64_t *size, double value, pc_tensor **slot);
/* The error of an image that does not fit, or PC_OK. */
int pc_part_check_image(const pc_tensor *x, int64_t height, int64_t width, int64_t channels);

/* image (B,H,W,C) -> tokens (B,T,width): input_mean, input_scale, conv1.., position, norm_tokens, tokens | token_maps
 */
typedef struct pc_stem {
  pc_cnn_opts o;
  int64_t tokens;
  pc_module *convs[PC_STEM_MAX], *position, *norm_tokens, *mlp;
  pc_tensor *maps, *mean, *scale;
} pc_stem;
int pc_stem_check(const char *who, pc_cnn_opts *o); /* puts defaults in */
int pc_stem_build(pc_module *m, pc_stem *e);
pc_tensor *pc_stem_run(pc_scope *s, const pc_stem *e, pc_tensor *x);

/* tokens (B,T,tokens) -> slots: norm_tokens (with o.norm), queries, block1.., norm_out, head */
typedef struct pc_query_part {
  pc_query_head_opts o;
  pc_module *norm_tokens, *blocks[PC_QUERY_LAYERS_MAX], *norm_out, *head;
  pc_tensor *queries;
} pc_query_part;
int pc_query_check(const char *who, pc_query_head_opts *o);
int pc_query_build(pc_module *m, pc_query_part *e);
void pc_query_run(pc_scope *s, const pc_query_part *e, pc_tensor *tokens, pc_tensor **out);

/* h (B,K,m or 2m) -> out[0] mean, out[1] log_std = second half + log 0.5 (NULL without a VAE head). */
void pc_part_slots(pc_scope *s, pc_tensor *h, int64_t slot_dim, int no_vae, pc_tensor **out);

#endif
