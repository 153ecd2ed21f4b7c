/* apply.c: running an op and recording its node. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "grad/checkpoint.h"
#include "grad/node.h"
#include "grad/profile.h"
#include "tensor/backend.h"

static int grad_on = 1, higher_order, anomaly;
static const char *(*where_hook)(void);
static uint64_t next_seq = 1;

int pc_grad_enabled(void) { return grad_on; }

int pc_grad_set_enabled(int on) {
  int was = grad_on;
  grad_on = on != 0;
  return was;
}

int pc_higher_order(void) { return grad_on && higher_order; }

int pc_set_higher_order(int on) {
  int was = higher_order;
  higher_order = on != 0;
  return was;
}

void pc_set_anomaly(int on) { anomaly = on; }
int pc_get_anomaly(void) { return anomaly; }
void pc_set_where_hook(const char *(*where)(void)) { where_hook = where; }

/* ---- life of nodes and their ads ---- */

const char *pc_node_name(const pc_node *n) { return n->op >= 0 ? pc_ops[n->op].name : n->custom.name; }

pc_node *pc_node_retain(pc_node *n) {
  if (n) n->refs++;
  return n;
}

void pc_node_forget(pc_node *n) {
  for (int i = 0; i < n->nin; i++) {
    pc_tensor_release(n->in[i].saved);
    n->in[i].saved = NULL;
  }
  for (int k = 0; k < n->nout; k++) {
    pc_tensor_release(n->out[k].saved);
    n->out[k].saved = NULL;
  }
  if (n->custom.release) n->custom.release(n->custom.ctx);
  n->custom.release = NULL;
  n->custom.ctx = NULL;
  n->freed = 1;
}

/* A chain of thousands of nodes must not recurse: nodes that die while another
 * one is being torn down wait on a list. */
static pc_node *dying;
static int tearing;

void pc_node_release(pc_node *n) {
  if (!n || --n->refs) return;
  n->dead = dying;
  dying = n;
  if (tearing) return;
  tearing = 1;
  while (dying) {
    n = dying;
    dying = n->dead;
    pc_node_forget(n);
    for (int i = 0; i < n->nin; i++) pc_autograd_release(n->in[i].edge);
    pc_free(n->in);
    for (int i = 0; i < n->nv; i++) pc_free((char *)n->v[i].s);
    pc_free(n->v);
    pc_free(n->where);
    pc_free(n);
  }
  tearing = 0;
}

void pc_autograd_release(struct pc_autograd *ad) {
  if (!ad || --ad->refs) return;
  pc_node_release(ad->node);
  pc_tensor_release(ad->grad);
  pc_free(ad);
}

static struct pc_autograd *ad_new(pc_node *node, int index) {
  struct pc_autograd *ad = pc_malloc(sizeof *ad);
  pc_tensor_ad_release = pc_autograd_release;
  if (ad) *ad = (struct pc_autograd){.refs = 1, .node = pc_node_retain(node), .index = index};
  return ad;
}

struct pc_autograd *pc_leaf_ad(pc_tensor *leaf) {
  if (!leaf->ad) leaf->ad = ad_new(NULL, 0);
  return leaf->ad;
}

/* ---- what a tensor says of itself ---- */

int pc_requires_grad(const pc_tensor *t) { return t && (t->requires_grad || (t->ad && t->ad->node)); }
int pc_is_leaf(const pc_tensor *t) { return !(t->ad && t->ad->node); }

int pc_set_requires_grad(pc_tensor *t, int on) {
  if (!pc_is_leaf(t))
    return on ? PC_OK : pc_fail(PC_ESTATE, "requires_grad: a result with history cannot be switched off; use detach()");
  if (on && !pc_dtype_is_float(t->dtype))
    return pc_fail(PC_EDTYPE, "requires_grad: only f32 and f64 tensors have gradients, this one is %s",
                   pc_dtype_name(t->dtype));
  t->requires_grad = on != 0;
  return PC_OK;
}

pc_tensor *pc_grad_get(const pc_tensor *leaf) { return leaf->ad ? leaf->ad->grad : NULL; }

int pc_grad_set(pc_tensor *leaf, pc_tensor *g) {
  if (g && !pc_same_shape(leaf, g))
    return pc_fail(PC_ESHAPE, "grad: shape %s for a tensor of shape %s", pc_shape_str(g), pc_shape_str(leaf));
  if (!pc_leaf_ad(leaf)) return PC_ENOMEM;
  pc_tensor_retain(g);
  pc_tensor_release(leaf->ad->grad);
  leaf->ad->grad = g;
  return PC_OK;
}

int pc_detach(pc_tensor **out, const pc_tensor *t) { return pc_view_alias(out, t); }

int pc_inplace_begin(const char *op, pc_tensor *t) {
  if (grad_on && pc_requires_grad(t))
    return pc_fail(
        PC_ESTATE,
        "%s: changing a tensor of shape %s in place while the tape tracks it; wrap it in no_grad, or detach() "
        "or clone() first",
        op, pc_shape_str(t));
  t->storage->version++;
  return PC_OK;
}

/* ---- watching: which tensors that want gradients go into ops (checkpoint.h) ---- */

static pc_watch *watching; /* the innermost */

void pc_watch_begin(pc_watch *w) {
  *w = (pc_watch){.outer = watching};
  watching = w;
}

void pc_watch_end(pc_watch *w) { watching = w->outer; }

void pc_watch_release(pc_watch *w) {
  for (int i = 0; i < w->n; i++) pc_tensor_release(w->t[i]);
  pc_free(w->t);
  *w = (pc_watch){0};
}

static void watch(pc_tensor *const *in, int nin) {
  pc_watch *w = watching;
  for (int i = 0; i < nin; i++) {
    int known = !pc_requires_grad(in[i]);
    for (int k = 0; k < w->n && !known; k++) known = w->t[k] == in[i];
    if (known) continue;
    if (w->n == w->cap) {
      int cap = w->cap ? 2 * w->cap : 32;
      pc_tensor **t = pc_realloc(w->t, sizeof *t * (size_t)cap);
      if (!t) {
        w->rc = PC_ENOMEM;
        return;
      }
      w->t = t;
      w->cap = cap;
    }
    w->t[w->n++] = pc_tensor_retain(in[i]);
  }
}

/* ---- recording ---- */

static void shape_of(pc_shape *s, const pc_tensor *t) {
  s->ndim = t->ndim;
  memcpy(s->size, t->size, sizeof s->size);
}

static pc_node *node_new(int op, int nin, pc_tensor *const *in, int nout) {
  pc_node *n = pc_calloc(1, sizeof *n);
  if (!n) return NULL;
  n->refs = 1;
  n->op = op;
  n->seq = next_seq++;
  n->nout = nout;
  n->in = pc_calloc((size_t)(nin ? nin : 1), sizeof *n->in);
  if (!n->in) goto fail;
  n->nin = nin;
  for (int i = 0; i < nin; i++) {
    if (!in[i]) continue;
    shape_of(&n->in[i].shape, in[i]);
    n->in[i].dtype = in[i]->dtype;
    if (!pc_requires_grad(in[i])) continue;
    struct pc_autograd *ad = pc_leaf_ad(in[i]);
    if (!ad) goto fail;
    ad->refs++;
    n->in[i].edge = ad;
  }
  if (anomaly && where_hook) n->where = pc_strdup(where_hook());
  return n;
fail:
  pc_node_release(n);
  return NULL;
}

/* Where t > 0: a quarter of its bytes, and t itself can go. */
static int positive(pc_tensor **out, pc_tensor *t) {
  float zero = 0;
  pc_storage s = {.data = &zero, .bytes = sizeof zero, .refs = 1};
  pc_tensor number = {.storage = &s, .refs = 1, .dtype = PC_F32, .weak = 1};
  return pc_ops[PC_OP_gt].forward(out, (pc_tensor *[]){t, &number}, 2, NULL);
}

/* Gives the outputs their history. Fails only for lack of memory. */
static int node_attach(pc_node *n, pc_tensor **out, pc_tensor *const *in, int flags) {
  for (int k = 0; k < n->nout; k++) {
    pc_tensor *alias = NULL;
    for (int i = 0; i < n->nin; i++)
      if (out[k] == in[i]) alias = out[k];
    if (alias) { /* the forward handed its input through: history needs a handle of its own */
      if (pc_view_alias(&out[k], alias) < 0) return out[k] = alias, PC_ENOMEM;
      pc_tensor_release(alias);
    }
    shape_of(&n->out[k].shape, out[k]);
    n->out[k].dtype = out[k]->dtype;
    if (flags & PC_SAVE_OUT || (k == 1 && flags & PC_SAVE_OUT1)) {
      if (pc_view_alias(&n->out[k].saved, out[k]) < 0) return PC_ENOMEM;
      n->out[k].version = out[k]->storage->version;
    }
    if (k == 0 && flags & PC_SAVE_SIGN && positive(&n->out[k].saved, out[k]) < 0) return PC_ENOMEM;
    if (!pc_dtype_is_float(out[k]->dtype)) continue;
    if (!(out[k]->ad = ad_new(n, k))) return PC_ENOMEM;
  }
  return PC_OK;
}

static int wants_node(pc_tensor *const *in, int nin) {
  if (!grad_on) return 0;
  for (int i = 0; i < nin; i++)
    if (pc_requires_grad(in[i])) return 1;
  return 0;
}

static int record(pc_opcode op, pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v, int nv) {
  const pc_op_info *row = &pc_ops[op];
  pc_node *n = node_new(op, nin, in, row->nout);
  int rc = PC_ENOMEM;
  if (!n) return rc;
  for (int i = 0; i < nin; i++) {
    int save = row->flags & PC_SAVE_IN || (i < 3 && row->flags & (PC_SAVE_IN0 << i));
    if (!save || !in[i]) continue;
    n->in[i].saved = pc_tensor_retain(in[i]);
    n->in[i].version = in[i]->storage->version;
  }
  if (nv) {
    if (!(n->v = pc_malloc(sizeof(pc_val) * (size_t)nv))) goto done;
    memcpy(n->v, v, sizeof(pc_val) * (size_t)nv);
    n->nv = nv;
    for (int i = 0; i < nv; i++) n->v[i].s = NULL;
    for (int i = 0; i < nv; i++) /* strings are the caller's, for the call only */
      if (v[i].s && !(n->v[i].s = pc_strdup(v[i].s))) goto done;
  }
  rc = node_attach(n, out, in, row->flags);
done:
  pc_node_release(n);
  return rc;
}

enum { NAN_BLOCK = 65536 }; /* elements between two looks for a signal */

/* An expanded dimension shows one place many times: it is looked at once. A signal ends the search, which then has
 * found nothing: the next operation says why. */
int pc_has_nan(const pc_tensor *t) {
  if (!t || !pc_dtype_is_float(t->dtype)) return 0;
  pc_tensor once = *t;
  for (int d = 0; d < once.ndim; d++)
    if (once.stride[d] == 0 && once.size[d] > 1) once.size[d] = 1;
  int64_t n = pc_numel(&once);
  int dense = pc_is_contiguous(&once);
  const float *f = dense && t->dtype == PC_F32 ? pc_f32(&once) : NULL;
  const double *g = dense && t->dtype == PC_F64 ? pc_f64(&once) : NULL;
  for (int64_t from = 0; from < n && !pc_interrupted(); from += NAN_BLOCK) {
    int64_t to = n - from < NAN_BLOCK ? n : from + NAN_BLOCK;
    for (int64_t i = from; i < to; i++)
      if (isnan(f ? (double)f[i] : g ? g[i] : pc_at(&once, i))) return 1;
  }
  return 0;
}

static int check_anomaly(const char *op, pc_tensor *const *out, int nout, pc_tensor *const *in, int nin) {
  for (int k = 0; k < nout; k++) {
    if (!pc_has_nan(out[k])) continue;
    for (int i = 0; i < nin; i++)
      if (pc_has_nan(in[i])) return PC_OK; /* not the first: it came in */
    const char *where = where_hook ? where_hook() : "";
    return pc_fail(PC_ENUM, "anomaly: %s made the first NaN (output %d, shape %s)%s%s", op, k + 1, pc_shape_str(out[k]),
                   *where ? " at " : "", where);
  }
  return PC_OK;
}

static void drop(pc_tensor **out, int nout) {
  for (int k = 0; k < nout; k++) {
    pc_tensor_release(out[k]);
    out[k] = NULL;
  }
}

/* The forward function, timed when somebody profiles. */
static int run_forward(pc_opcode op, pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  const pc_op_info *row = &pc_ops[op];
  pc_profile_mark mark;
  if (!pc_profiling) return row->forward(out, in, nin, v);
  pc_profile_enter(&mark);
  int rc = row->forward(out, in, nin, v);
  pc_profile_leave(&mark, op, 0);
  if (rc == PC_OK) pc_profile_bytes(op, in, nin, out, row->nout);
  return rc;
}

/* A signal may stop it halfway: its outputs are dropped then. */
static int forward(pc_opcode op, pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v) {
  pc_stoppable_begin();
  int done = run_forward(op, out, in, nin, v), rc = pc_stoppable_end(done);
  if (rc < 0 && done == PC_OK) drop(out, pc_ops[op].nout);
  return rc;
}

int pc_apply(pc_opcode op, pc_tensor **out, pc_tensor *const *in, int nin, const pc_val *v, int nv) {
  pc_val full[PC_MAX_ARGS];
  const pc_op_info *row = &pc_ops[op];
  const pc_signature *sig = pc_op_signature(op);
  int rc;
  for (int k = 0; k < row->nout; k++) out[k] = NULL;
  if (watching) watch(in, nin);
  if ((rc = pc_check_devices(row->name, in, nin)) < 0) return rc;
  if (pc_interrupted() && (rc = pc_check_interrupt()) < 0) return rc;
  if (!sig) return PC_ENOMEM;
  if ((rc = pc_signature_complete(row->name, sig, v, nv, full, &v)) < 0) return rc;
  if ((rc = forward(op, out, in, nin, v)) < 0) {
    if (rc == PC_ENOMEM && pc_error_code() != PC_ENOMEM) /* a worker thread's: its text stayed with it */
      pc_fail(rc, "%s: out of memory for a thread's work; %lld bytes are the memory limit (0: none)", row->name,
              (long long)pc_alloc_limit());
    return rc;
  }
  if (anomaly && (rc = check_anomaly(row->name, out, row->nout, in, nin)) < 0) goto fail;
  if (row->flags & PC_NODIFF || !wants_node(in, nin)) return PC_OK;
  if ((rc = record(op, out, in, nin, v, sig->nv)) < 0) goto fail;
  return PC_OK;
fail:
  drop(out, row->nout);
  return rc;
}

int pc_record_custom(pc_tensor **out, int nout, pc_tensor *const *in, int nin, const pc_custom *c) {
  if (watching) watch(in, nin);
  if (!wants_node(in, nin) || nout > PC_MAX_OUT) {
    if (c->release) c->release(c->ctx);
    return nout > PC_MAX_OUT ? pc_fail(PC_EARG, "%s: at most %d outputs", c->name, PC_MAX_OUT) : PC_OK;
  }
  pc_node *n = node_new(-1, nin, in, nout);
  if (!n) {
    if (c->release) c->release(c->ctx);
    return PC_ENOMEM;
  }
  n->custom = *c;
  for (int i = 0; i < nin; i++) { /* so that a change in place is seen: the callback holds its own references */
    if (!in[i]) continue;
    if (pc_view_alias(&n->in[i].saved, in[i]) < 0) break;
    n->in[i].version = in[i]->storage->version;
  }
  int rc = node_attach(n, out, in, 0);
  pc_node_release(n);
  return rc;
}

/* ---- what backward functions ask ---- */

int pc_needs(const pc_node *n, int i) { return i < n->nin && n->in[i].edge != NULL && (i >= 64 || (n->want >> i & 1)); }
const pc_shape *pc_node_in_shape(const pc_node *n, int i) { return &n->in[i].shape; }
pc_dtype pc_node_in_dtype(const pc_node *n, int i) { return n->in[i].dtype; }
const pc_shape *pc_node_out_shape(const pc_node *n, int k) { return &n->out[k].shape; }
int pc_node_nin(const pc_node *n) { return n->nin; }
const pc_val *pc_node_val(const pc_node *n) { return n->v; }

pc_tensor *pc_node_in(const pc_node *n, int i) { return n->in[i].saved; }
pc_tensor *pc_node_sign(const pc_node *n) { return n->out[0].saved; }

void pc_node_done(const pc_node *n, int i) {
  if (!n->last) return;
  ((pc_node *)n)->freed = 1; /* should backward fail from here on, the graph is gone, and says so */
  pc_tensor_release(n->in[i].saved);
  n->in[i].saved = NULL;
}

pc_tensor *pc_node_out(pc_scope *s, const pc_node *n, int k) {
  pc_tensor *t;
  if (!n->out[k].saved) return pc_note(s, pc_fail(PC_ESTATE, "%s: output not saved", pc_node_name(n))), NULL;
  if (pc_note(s, pc_view_alias(&t, n->out[k].saved)) < 0) return NULL;
  if (grad_on && !(t->ad = ad_new((pc_node *)n, k))) { /* joins the graph again: grad of grad flows through it */
    pc_tensor_release(t);
    pc_note(s, PC_ENOMEM);
    return NULL;
  }
  return pc_own(s, t);
}
