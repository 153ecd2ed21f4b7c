#include "nn/layers.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "grad/ops_linalg.h"
#include "grad/ops_nn.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"
#include "nn/fuse.h"

/* ---- activations ---- */

static const char *const act_names[] = {"none", "relu", "gelu", "silu", "elu", "leaky_relu", "tanh", "sigmoid"};

int pc_nn_act_parse(pc_nn_act *out, const char *name) {
  for (size_t i = 0; i < sizeof act_names / sizeof *act_names; i++)
    if (!strcmp(name, act_names[i])) return *out = (pc_nn_act)i, PC_OK;
  return pc_fail(PC_EARG, "activation: unknown '%s': known are none, relu, gelu, silu, elu, leaky_relu, tanh, sigmoid",
                 name);
}

pc_tensor *pc_activate(pc_scope *s, pc_nn_act act, pc_tensor *x) {
  switch (act) {
    case PC_NN_NONE: return x;
    case PC_NN_RELU: return pc_op1(s, PC_OP_relu, x);
    case PC_NN_GELU: return pc_op1(s, PC_OP_gelu, x);
    case PC_NN_SILU: return pc_op1(s, PC_OP_silu, x);
    case PC_NN_ELU: return pc_op1(s, PC_OP_elu, x);
    case PC_NN_LEAKY_RELU: return pc_op1(s, PC_OP_leaky_relu, x);
    case PC_NN_TANH: return pc_op1(s, PC_OP_tanh, x);
    case PC_NN_SIGMOID: return pc_op1(s, PC_OP_sigmoid, x);
  }
  return x;
}

static void fwd_activation(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  out[0] = pc_activate(s, *(pc_nn_act *)m->self, in[0]);
}

static const pc_module_class act_classes[] = {{"identity", 1, 1, 1, fwd_activation, NULL, "x -> x"},
                                              {"relu", 1, 1, 1, fwd_activation, NULL, "x -> max(x,0)"},
                                              {"gelu", 1, 1, 1, fwd_activation, NULL, "x -> x Phi(x)"},
                                              {"silu", 1, 1, 1, fwd_activation, NULL, "x -> x sigmoid(x)"},
                                              {"elu", 1, 1, 1, fwd_activation, NULL, "x -> x or e^x-1"},
                                              {"leaky_relu", 1, 1, 1, fwd_activation, NULL, "x -> x or x/100"},
                                              {"tanh", 1, 1, 1, fwd_activation, NULL, "x -> tanh x"},
                                              {"sigmoid", 1, 1, 1, fwd_activation, NULL, "x -> 1/(1+e^-x)"}};

int pc_activation_of(const pc_module *m) {
  for (int i = PC_NN_NONE; i <= PC_NN_SIGMOID; i++)
    if (m->cls == &act_classes[i]) return i; /* both enums count alike */
  return -1;
}

int pc_nn_activation(pc_module **out, pc_nn_act act) {
  int rc = pc_module_new(out, &act_classes[act], sizeof act);
  if (rc == PC_OK) *(pc_nn_act *)(*out)->self = act;
  return rc;
}

/* ---- finishing a constructor ---- */

static int finish(pc_module **out, int rc) {
  if (rc < 0) {
    pc_module_release(*out);
    *out = NULL;
  }
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

int pc_nn_linear(pc_module **out, int64_t in, int64_t features, const pc_linear_opts *opts) {
  pc_linear_opts o = opts ? *opts : (pc_linear_opts){0};
  int rc = check_width("linear", "in", in);
  *out = NULL;
  if (rc == PC_OK) rc = check_width("linear", "out", features);
  if (rc < 0 || (rc = pc_module_new(out, &pc_linear_class, 0)) < 0) return rc;
  pc_init init = o.zeros ? PC_INIT_ZEROS : o.init ? o.init : PC_INIT_FAN_IN;
  double gain = o.gain > 0 ? o.gain : 1;
  rc = pc_module_param(*out, "weight", 2, (int64_t[]){features, in}, init, gain, in, features);
  if (rc == PC_OK && !o.no_bias)
    rc = pc_module_param(*out, "bias", 1, &features, init == PC_INIT_FAN_IN ? PC_INIT_FAN_IN : PC_INIT_ZEROS, 1, in,
                         features);
  return finish(out, rc);
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

static int new_conv(pc_module **out, const pc_module_class *cls, int64_t in, int64_t channels, int64_t kernel,
                    const pc_nn_conv_opts *opts, int transposed) {
  pc_nn_conv_opts o = opts ? *opts : (pc_nn_conv_opts){0};
  *out = NULL;
  if (!o.stride) o.stride = 1;
  if (!o.dilation) o.dilation = 1;
  if (!o.groups) o.groups = 1;
  if (in < 1 || channels < 1 || kernel < 1 || o.groups < 1 || in % o.groups || channels % o.groups)
    return pc_fail(PC_EARG,
                   "%s: in %lld, out %lld, kernel %lld, groups %lld: all at least 1, groups must divide in and out",
                   cls->name, (long long)in, (long long)channels, (long long)kernel, (long long)o.groups);
  int rc = pc_module_new(out, cls, sizeof o);
  if (rc < 0) return rc;
  *(pc_nn_conv_opts *)(*out)->self = o;
  int64_t first = transposed ? in : channels, last = (transposed ? channels : in) / o.groups,
          fan = last * kernel * kernel;
  if (transposed) fan = channels / o.groups * kernel * kernel; /* as PyTorch counts it */
  rc = pc_module_param(*out, "weight", 4, (int64_t[]){first, kernel, kernel, last}, PC_INIT_FAN_IN, 1, fan, 0);
  if (rc == PC_OK && !o.no_bias) rc = pc_module_param(*out, "bias", 1, &channels, PC_INIT_FAN_IN, 1, fan, 0);
  return finish(out, rc);
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

static int new_norm(pc_module **out, const pc_module_class *cls, int64_t groups, int64_t width, double eps,
                    int no_affine) {
  int rc = check_width(cls->name, "width", width);
  *out = NULL;
  if (rc < 0 || (rc = pc_module_new(out, cls, sizeof(norm_self))) < 0) return rc;
  *(norm_self *)(*out)->self = (norm_self){groups, eps > 0 ? eps : 1e-5};
  if (!no_affine) {
    rc = pc_module_param(*out, "weight", 1, &width, PC_INIT_ONES, 1, 0, 0);
    if (rc == PC_OK) rc = pc_module_param(*out, "bias", 1, &width, PC_INIT_ZEROS, 1, 0, 0);
  }
  return finish(out, rc);
}

int pc_nn_layer_norm(pc_module **out, int64_t width, double eps, int no_affine) {
  return new_norm(out, &pc_layer_norm_class, 0, width, eps, no_affine);
}

int pc_nn_group_norm(pc_module **out, int64_t groups, int64_t channels, double eps) {
  *out = NULL;
  if (groups < 1 || channels % groups)
    return pc_fail(PC_EARG, "group_norm: %lld groups do not divide %lld channels", (long long)groups,
                   (long long)channels);
  return new_norm(out, &group_norm_class, groups, channels, eps, 0);
}

/* ---- dropout, flatten ---- */

static void fwd_dropout(pc_scope *s, pc_module *m, pc_tensor *const *in, int nin, pc_tensor **out) {
  double p = *(double *)m->self;
  pc_val v = PC_VD(p);
  out[0] = m->training && p > 0 ? pc_op(s, PC_OP_dropout, 1, in, 1, &v, 0) : in[0];
}

static const pc_module_class dropout_class = {
    "dropout", 1, 1, 1, fwd_dropout, NULL, "zeroes with probability p while training, scales by 1/(1-p)"};

int pc_nn_dropout(pc_module **out, double p) {
  *out = NULL;
  if (!(p >= 0 && p < 1)) return pc_fail(PC_EARG, "dropout: p must be in [0,1), not %g", p);
  int rc = pc_module_new(out, &dropout_class, sizeof p);
  if (rc == PC_OK) *(double *)(*out)->self = p;
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

static int append(pc_module *m, int rc, pc_module *child) {
  char name[24];
  snprintf(name, sizeof name, "%d", m->nkids + 1);
  return pc_module_adopt(m, name, rc, child);
}

int pc_nn_sequential(pc_module **out, int n, pc_module *const *parts) {
  int rc = pc_module_new(out, &sequential_class, 0);
  for (int i = 0; i < n && rc == PC_OK; i++) rc = append(*out, PC_OK, pc_module_retain(parts[i]));
  return finish(out, rc);
}

int pc_nn_mlp(pc_module **out, int n, const int64_t *widths, pc_nn_act act) {
  *out = NULL;
  if (n < 2) return pc_fail(PC_EARG, "mlp: needs at least two widths, in and out");
  int rc = pc_module_new(out, &mlp_class, 0);
  for (int i = 0; i + 1 < n && rc == PC_OK; i++) {
    pc_module *part = NULL;
    rc = pc_nn_linear(&part, widths[i], widths[i + 1], NULL);
    rc = append(*out, rc, part);
    if (rc == PC_OK && i + 2 < n) {
      part = NULL;
      rc = pc_nn_activation(&part, act);
      rc = append(*out, rc, part);
    }
  }
  return finish(out, rc);
}
