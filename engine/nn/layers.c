#include "nn/layers.h"

#include "base/alloc.h"
#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/build.h"
#include "nn/fuse.h"

/* ---- activations ---- */

static void fwd_activation(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = pc_activation_op(s, *(pc_activation *)m->self, in[0]);
}

static const pc_module_class act_classes[] = {
#define X(name) {#name, 1, 1, 1, fwd_activation, NULL, "x -> " #name "(x)"},
    {"identity", 1, 1, 1, fwd_activation, NULL, "x -> x"}, PC_ACTIVATION_SOME(X) PC_ACTIVATION_OPS(X)
#undef X
};

int pc_activation_of(const pc_module *m) {
  for (int i = 0; i < PC_ACTIVATION_COUNT; i++)
    if (m->cls == &act_classes[i]) return i;
  return -1;
}

PC_OPTIONS_TABLE(pc_activation_options, "activation", pc_activation_opts, PC_ACTIVATION_OPTIONS);

int pc_nn_activation(pc_module **out, pc_activation act) {
  *out = NULL;
  int rc = pc_options_check(&pc_activation_options, "activation", &(pc_activation_opts){act});
  if (rc == PC_OK) rc = pc_module_new(out, &act_classes[act], sizeof act);
  if (rc == PC_OK) *(pc_activation *)(*out)->self = act;
  return rc;
}

static int check_width(const char *layer, const char *what, int64_t n) {
  return n >= 1 ? PC_OK : pc_fail(PC_EARG, "%s: %s must be at least 1, not %lld", layer, what, (long long)n);
}

/* ---- linear ---- */

static void fwd_linear(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = pc_linear(s, in[0], m->params[0].t, m->nparams > 1 ? m->params[1].t : NULL);
}

const pc_module_class pc_linear_class = {"linear", 1, 1, 1, fwd_linear, NULL, "(..., in) -> (..., out): x W^T + b"};

PC_OPTIONS_TABLE(pc_linear_options, "linear", pc_linear_opts, PC_LINEAR_OPTIONS);
PC_OPTIONS_TABLE(pc_init_options, "init", pc_init_opts, PC_INIT_OPTIONS);

int pc_nn_linear(pc_module **out, int64_t in, int64_t features, const pc_linear_opts *o) {
  pc_build b;
  int rc = check_width("linear", "in", in);
  *out = NULL;
  if (!o) o = pc_linear_options.defaults;
  if (rc == PC_OK) rc = check_width("linear", "out", features);
  if (rc == PC_OK) rc = pc_options_check(&pc_linear_options, "linear", o);
  if (rc < 0) return rc;
  const pc_init init = (pc_init)o->init, bias = init == PC_INIT_FAN_IN ? PC_INIT_FAN_IN : PC_INIT_ZEROS;
  pc_build_begin(&b, &pc_linear_class, 0);
  pc_build_param(&b, "weight", 2, (int64_t[]){features, in}, init, o->gain, in, features);
  if (o->bias) pc_build_param(&b, "bias", 1, &features, bias, 1, in, features);
  return pc_build_end(&b, out);
}

/* ---- convolutions ---- */

static pc_conv_opts op_options(const pc_nn_conv_opts *o) {
  return (pc_conv_opts){.stride = {o->stride, o->stride},
                        .padding = {o->padding, o->padding},
                        .dilation = {o->dilation, o->dilation},
                        .output_padding = {o->output_padding, o->output_padding},
                        .groups = o->groups};
}

static void fwd_conv(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = pc_nn_convolve(s, m, in[0], 0);
}

static const pc_module_class conv_class = {"conv2d", 1, 1, 1, fwd_conv, NULL, "(B,H,W,in) -> (B,H',W',out)"};
static const pc_module_class conv_transpose_class = {
    "conv_transpose2d", 1, 1, 1, fwd_conv, NULL, "(B,H,W,in) -> (B,H',W',out), the transpose of conv2d"};

int pc_is_conv(const pc_module *m) { return m->cls == &conv_class || m->cls == &conv_transpose_class; }

pc_tensor *pc_nn_convolve(pc_scope *s, pc_module *m, pc_tensor *x, int relu) {
  pc_conv_opts o = op_options(m->self);
  o.relu = relu;
  return (m->cls == &conv_class ? pc_conv2d : pc_conv_transpose2d)(s, x, m->params[0].t,
                                                                   m->nparams > 1 ? m->params[1].t : NULL, &o);
}

PC_OPTIONS_TABLE(pc_conv_options, "conv2d", pc_nn_conv_opts, PC_CONV_OPTIONS);
PC_OPTIONS_TABLE(pc_conv_transpose_options, "conv_transpose2d", pc_nn_conv_opts, PC_CONV_TRANSPOSE_OPTIONS);

static int new_conv(pc_module **out, const pc_module_class *cls, int64_t in, int64_t channels, int64_t kernel,
                    const pc_nn_conv_opts *o, int transposed) {
  const pc_options *table = transposed ? &pc_conv_transpose_options : &pc_conv_options;
  pc_build b;
  *out = NULL;
  if (!o) o = table->defaults;
  int rc = pc_options_check(table, cls->name, o);
  if (rc < 0) return rc;
  if (in < 1 || channels < 1 || kernel < 1 || in % o->groups || channels % o->groups)
    return pc_fail(PC_EARG,
                   "%s: in %lld, out %lld, kernel %lld, groups %d: all at least 1, groups must divide in and out",
                   cls->name, (long long)in, (long long)channels, (long long)kernel, o->groups);
  int64_t first = transposed ? in : channels, last = (transposed ? channels : in) / o->groups;
  int64_t fan = channels / o->groups * kernel * kernel; /* as PyTorch counts it, transposed */
  if (!transposed) fan = last * kernel * kernel;
  pc_nn_conv_opts *kept = pc_build_begin(&b, cls, sizeof *kept);
  if (kept) *kept = *o;
  pc_build_param(&b, "weight", 4, (int64_t[]){first, kernel, kernel, last}, PC_INIT_FAN_IN, 1, fan, 0);
  if (o->bias) pc_build_param(&b, "bias", 1, &channels, PC_INIT_FAN_IN, 1, fan, 0);
  return pc_build_end(&b, out);
}

int pc_nn_conv2d(pc_module **out, int64_t in, int64_t channels, int64_t kernel, const pc_nn_conv_opts *o) {
  return new_conv(out, &conv_class, in, channels, kernel, o, 0);
}

int pc_nn_conv_transpose2d(pc_module **out, int64_t in, int64_t channels, int64_t kernel, const pc_nn_conv_opts *o) {
  return new_conv(out, &conv_transpose_class, in, channels, kernel, o, 1);
}

/* ---- norms ---- */

typedef struct norm_self {
  int64_t groups;
  double eps;
} norm_self;

static void fwd_layer_norm(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const norm_self *o = m->self;
  pc_tensor *w = m->nparams ? m->params[0].t : NULL, *b = m->nparams > 1 ? m->params[1].t : NULL;
  out[0] = pc_layer_norm(s, in[0], w, b, 1, o->eps);
}

double pc_layer_norm_eps(const pc_module *m) { return ((const norm_self *)m->self)->eps; }

static void fwd_group_norm(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  const norm_self *o = m->self;
  out[0] = pc_group_norm(s, in[0], (int)o->groups, m->params[0].t, m->params[1].t, o->eps);
}

const pc_module_class pc_layer_norm_class = {
    "layer_norm", 1, 1, 1, fwd_layer_norm, NULL, "(..., width): (x - mean) / sd * weight + bias"};
static const pc_module_class group_norm_class = {
    "group_norm", 1, 1, 1, fwd_group_norm, NULL, "(B,...,C): normalised over each group of channels"};

PC_OPTIONS_TABLE(pc_layer_norm_options, "layer_norm", pc_layer_norm_opts, PC_LAYER_NORM_OPTIONS);
PC_OPTIONS_TABLE(pc_group_norm_options, "group_norm", pc_group_norm_opts, PC_GROUP_NORM_OPTIONS);

static int new_norm(pc_module **out, const pc_module_class *cls, int64_t groups, int64_t width, double eps,
                    int affine) {
  pc_build b;
  int rc = check_width(cls->name, "width", width);
  *out = NULL;
  if (rc < 0) return rc;
  norm_self *self = pc_build_begin(&b, cls, sizeof *self);
  if (self) *self = (norm_self){groups, eps};
  if (affine) {
    pc_build_param(&b, "weight", 1, &width, PC_INIT_ONES, 1, 0, 0);
    pc_build_param(&b, "bias", 1, &width, PC_INIT_ZEROS, 1, 0, 0);
  }
  return pc_build_end(&b, out);
}

int pc_nn_layer_norm(pc_module **out, int64_t width, const pc_layer_norm_opts *o) {
  *out = NULL;
  if (!o) o = pc_layer_norm_options.defaults;
  int rc = pc_options_check(&pc_layer_norm_options, "layer_norm", o);
  return rc < 0 ? rc : new_norm(out, &pc_layer_norm_class, 0, width, o->eps, o->affine);
}

int pc_nn_group_norm(pc_module **out, int64_t groups, int64_t channels, const pc_group_norm_opts *o) {
  *out = NULL;
  if (!o) o = pc_group_norm_options.defaults;
  int rc = pc_options_check(&pc_group_norm_options, "group_norm", o);
  if (rc < 0) return rc;
  if (groups < 1 || channels % groups)
    return pc_fail(PC_EARG, "group_norm: %lld groups do not divide %lld channels", (long long)groups,
                   (long long)channels);
  return new_norm(out, &group_norm_class, groups, channels, o->eps, 1);
}

/* ---- dropout, flatten ---- */

static void fwd_dropout(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  double p = *(double *)m->self;
  pc_val v = PC_VD(p);
  out[0] = m->training && p > 0 ? pc_op(s, PC_OP_dropout, 1, in, 1, &v, 0) : in[0];
}

static const pc_module_class dropout_class = {
    "dropout", 1, 1, 1, fwd_dropout, NULL, "zeroes with probability p while training, scales by 1/(1-p)"};

PC_OPTIONS_TABLE(pc_dropout_options, "dropout", pc_dropout_opts, PC_DROPOUT_OPTIONS);

int pc_nn_dropout(pc_module **out, const pc_dropout_opts *o) {
  *out = NULL;
  if (!o) o = pc_dropout_options.defaults;
  int rc = pc_options_check(&pc_dropout_options, "dropout", o);
  if (rc == PC_OK) rc = pc_module_new(out, &dropout_class, sizeof o->p);
  if (rc == PC_OK) *(double *)(*out)->self = o->p;
  return rc;
}

static void fwd_flatten(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  if (!in[0] || in[0]->ndim < 1) {
    pc_note(s, pc_fail(PC_ESHAPE, "flatten: needs a batch dimension"));
    return;
  }
  int64_t rest = 1;
  for (int d = 1; d < in[0]->ndim; d++) rest *= in[0]->size[d];
  out[0] = pc_reshape(s, in[0], 2, (int64_t[]){in[0]->size[0], rest});
}

static const pc_module_class flatten_class = {"flatten", 1, 1, 1, fwd_flatten, NULL, "(B,...) -> (B,n)"};

int pc_nn_flatten(pc_module **out) { return pc_module_new(out, &flatten_class, 0); }

/* ---- containers ---- */

static void fwd_sequential(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  pc_module *few[16] = {NULL}, **parts = m->nkids <= 16 ? few : pc_malloc(sizeof *parts * (size_t)m->nkids);
  if (!parts) {
    pc_note(s, PC_ENOMEM);
    return;
  }
  for (int i = 0; i < m->nkids; i++) parts[i] = m->kids[i].m;
  out[0] = pc_fuse_sequence(s, in[0], parts, m->nkids);
  if (parts != few) pc_free(parts);
}

static const pc_module_class sequential_class = {"sequential", 1, 1, 1, fwd_sequential, NULL, "its children in a row"};
static const pc_module_class mlp_class = {"mlp", 1, 1, 1, fwd_sequential, NULL, "(..., first) -> (..., last)"};

int pc_nn_sequential(pc_module **out, int n, pc_module *const *parts) {
  pc_build b;
  pc_build_begin(&b, &sequential_class, 0);
  for (int i = 0; i < n; i++) pc_build_child(&b, NULL, PC_OK, &(pc_module *){pc_module_retain(parts[i])});
  return pc_build_end(&b, out);
}

PC_OPTIONS_TABLE(pc_mlp_options, "mlp", pc_mlp_opts, PC_MLP_OPTIONS);

int pc_nn_mlp(pc_module **out, int n, const int64_t *widths, pc_activation act) {
  pc_build b;
  *out = NULL;
  if (n < 2) return pc_fail(PC_EARG, "mlp: needs at least two widths, in and out");
  int rc = pc_options_check(&pc_mlp_options, "mlp", &(pc_mlp_opts){act});
  if (rc < 0) return rc;
  pc_build_begin(&b, &mlp_class, 0);
  for (int i = 0; i + 1 < n; i++) {
    pc_build_linear(&b, NULL, widths[i], widths[i + 1]);
    if (i + 2 < n) pc_build_activation(&b, NULL, act);
  }
  return pc_build_end(&b, out);
}
