#include "grad/checkpoint.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "grad/node.h"
#include "grad/ops_shape.h"

typedef struct piece { /* what backward needs of one call */
  pc_recompute f;
  pc_rng rng;    /* the generator when f ran */
  int nin, nall; /* arguments; and the leaves noticed besides */
  pc_tensor **in;
  int nout;
} piece;

static void piece_release(void *ctx) {
  piece *p = ctx;
  if (p->f.release) p->f.release(p->f.ctx);
  for (int i = 0; i < p->nall; i++) pc_tensor_release(p->in[i]);
  pc_free(p->in);
  pc_free(p);
}

/* Stand-ins for the arguments, so that the gradient stops at them: x[i] new references. When gradients
 * of gradients are wanted they are part of the graph, each behind a node of its own. */
static int stand_in(const piece *p, int create, pc_tensor **x) {
  int rc = PC_OK;
  for (int i = 0; i < p->nin && rc == PC_OK; i++) {
    pc_tensor *t = p->in[i];
    if (!t) continue;
    if (!pc_requires_grad(t)) {
      x[i] = pc_tensor_retain(t);
    } else if (create) {
      pc_scope s = {0};
      pc_tensor *v = pc_reshape(&s, t, t->ndim, t->size);
      rc = pc_scope_end(&s, &v, 1);
      x[i] = v;
    } else if ((rc = pc_detach(&x[i], t)) == PC_OK) {
      rc = pc_set_requires_grad(x[i], 1);
    }
  }
  return rc;
}

/* Gradients of the recorded results y to the targets x[at[k]]. */
static int differentiate(const piece *p, const pc_node *n, pc_tensor *const *x, pc_tensor *const *y,
                         pc_tensor *const *gout, int create, pc_tensor **gin) {
  pc_tensor *yk[PC_MAX_OUT], *gk[PC_MAX_OUT], **target = NULL, **g = NULL;
  int ny = 0, nt = 0, *at = NULL, rc = PC_ENOMEM;
  for (int k = 0; k < p->nout; k++)
    if (gout[k] && pc_requires_grad(y[k])) yk[ny] = y[k], gk[ny++] = gout[k];
  if (!ny) return PC_OK;
  target = pc_calloc((size_t)p->nall, sizeof *target);
  g = pc_calloc((size_t)p->nall, sizeof *g);
  at = pc_calloc((size_t)p->nall, sizeof *at);
  if (!target || !g || !at) goto done;
  for (int i = 0; i < p->nall; i++) {
    pc_tensor *t = i < p->nin ? x[i] : p->in[i];
    if (!t || !pc_needs(n, i) || !pc_requires_grad(t)) continue;
    target[nt] = t;
    at[nt++] = i;
  }
  rc = nt ? pc_grad(g, yk, gk, ny, target, nt, &(pc_grad_opts){.create_graph = create, .allow_unused = 1}) : PC_OK;
  for (int k = 0; k < nt && rc == PC_OK; k++) gin[at[k]] = g[k];
done:
  pc_free(target);
  pc_free(g);
  pc_free(at);
  return rc;
}

static int backward(void *ctx, const pc_node *n, pc_tensor *const *gout, pc_tensor **gin) {
  piece *p = ctx;
  int create = pc_grad_enabled(), nout = 0, rc;
  pc_tensor *y[PC_MAX_OUT] = {NULL}, **x = pc_calloc((size_t)p->nall + 1, sizeof *x);
  if (!x) return PC_ENOMEM;
  pc_rng now = *pc_rng_global();
  *pc_rng_global() = p->rng;
  pc_grad_set_enabled(1);
  rc = stand_in(p, create, x);
  if (rc == PC_OK) rc = p->f.run(p->f.ctx, x, p->nin, y, &nout);
  *pc_rng_global() = now;
  if (rc == PC_OK && nout != p->nout)
    rc = pc_fail(PC_ESTATE, "the function gave %d results, and %d when it ran again", p->nout, nout);
  for (int k = 0; k < nout && rc == PC_OK; k++) {
    const pc_shape *was = pc_node_out_shape(n, k);
    int same = y[k]->ndim == was->ndim;
    for (int d = 0; same && d < was->ndim; d++) same = y[k]->size[d] == was->size[d];
    if (!same)
      rc = pc_fail(PC_ESHAPE, "result %d had shape %s, and %s when the function ran again", k + 1,
                   pc_dims_str(was->ndim, was->size), pc_shape_str(y[k]));
  }
  if (rc == PC_OK) rc = differentiate(p, n, x, y, gout, create, gin);
  pc_grad_set_enabled(create);
  for (int k = 0; k < PC_MAX_OUT; k++) pc_tensor_release(y[k]);
  for (int i = 0; i < p->nin; i++) pc_tensor_release(x[i]);
  pc_free(x);
  return rc;
}

/* Runs f unrecorded on arguments without history; what else wants a gradient is in w. */
static int run_quietly(const pc_recompute *f, pc_tensor *const *in, int nin, pc_tensor **out, int *nout, pc_watch *w) {
  pc_tensor **x = pc_calloc((size_t)nin + 1, sizeof *x);
  int rc = x ? PC_OK : PC_ENOMEM;
  for (int i = 0; i < nin && rc == PC_OK; i++)
    if (in[i]) rc = pc_detach(&x[i], in[i]);
  pc_grad_set_enabled(0);
  pc_watch_begin(w);
  if (rc == PC_OK) rc = f->run(f->ctx, x, nin, out, nout);
  pc_watch_end(w);
  pc_grad_set_enabled(1);
  if (rc == PC_OK) rc = w->rc;
  for (int k = 0; k < *nout && rc == PC_OK; k++) { /* handles of our own: f may have returned a weight */
    pc_tensor *alias = NULL;
    if ((rc = pc_view_alias(&alias, out[k])) < 0) break;
    pc_tensor_release(out[k]);
    out[k] = alias;
  }
  for (int i = 0; x && i < nin; i++) pc_tensor_release(x[i]);
  pc_free(x);
  for (int i = 0; i < w->n && rc == PC_OK; i++)
    if (!pc_is_leaf(w->t[i]))
      rc = pc_fail(PC_EARG,
                   "checkpoint: the function uses a result with history of shape %s that is none of its arguments; "
                   "pass it as one (weights may be used as they are)",
                   pc_shape_str(w->t[i]));
  return rc;
}

int pc_checkpoint(pc_tensor **out, int *nout, pc_tensor *const *in, int nin, pc_recompute f) {
  piece *p = pc_calloc(1, sizeof *p);
  pc_watch w = {0};
  int rc = PC_ENOMEM, wants = 0;
  for (int k = 0; k < PC_MAX_OUT; k++) out[k] = NULL;
  *nout = 0;
  if (!p) {
    if (f.release) f.release(f.ctx);
    return rc;
  }
  p->f = f;
  p->rng = *pc_rng_global();
  rc = pc_grad_enabled() ? run_quietly(&f, in, nin, out, nout, &w) : f.run(f.ctx, in, nin, out, nout);
  for (int i = 0; i < nin && pc_grad_enabled(); i++) wants |= pc_requires_grad(in[i]);
  if (rc == PC_OK && (wants || w.n)) {
    int total = nin + w.n;
    if ((p->in = pc_calloc((size_t)total + 1, sizeof *p->in))) {
      for (int i = 0; i < total; i++) p->in[i] = pc_tensor_retain(i < nin ? in[i] : w.t[i - nin]);
      p->nin = nin;
      p->nall = total;
      p->nout = *nout;
      pc_custom c = {.name = "checkpoint", .ctx = p, .release = piece_release, .node_backward = backward};
      rc = pc_record_custom(out, *nout, p->in, total, &c);
      p = NULL; /* the node's, also on error */
    } else {
      rc = PC_ENOMEM;
    }
  }
  if (p) piece_release(p);
  pc_watch_release(&w);
  for (int k = 0; rc < 0 && k < PC_MAX_OUT; k++) {
    pc_tensor_release(out[k]);
    out[k] = NULL;
  }
  return rc;
}
