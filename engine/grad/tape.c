/* tape.c: reverse mode over the recorded graph. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "grad/final.h"
#include "grad/node.h"
#include "grad/profile.h"
#include "tensor/inplace.h"

/* One node reached from the results, with the gradients of its outputs so far. */
typedef struct entry {
  pc_node *node;
  int needed; /* leads to something that wants a gradient */
  pc_tensor *g[PC_MAX_OUT];
  uint8_t mine[PC_MAX_OUT]; /* g[k] was made by a sum here: may be added to in place */
} entry;

typedef struct target { /* an x of pc_grad */
  const struct pc_autograd *leaf;
  const pc_node *node;
  int index;
  pc_tensor *g;
} target;

typedef struct pass {
  entry *e; /* by falling seq */
  int n, cap;
  int *table; /* open addressing: node -> index + 1 */
  int table_cap;
  target *targets; /* NULL: gradients go to the leaves */
  int ntargets;
  int create_graph, retain_graph;
} pass;

/* ---- the set of nodes ---- */

static unsigned slot_of(const pass *p, const pc_node *n) {
  uint64_t h = (uint64_t)(uintptr_t)n * 0x9E3779B97F4A7C15u;
  return (unsigned)(h >> 32) & (unsigned)(p->table_cap - 1);
}

static int find(const pass *p, const pc_node *n) {
  if (!p->table_cap) return -1;
  for (unsigned i = slot_of(p, n);; i = (i + 1) & (unsigned)(p->table_cap - 1)) {
    if (!p->table[i]) return -1;
    if (p->e[p->table[i] - 1].node == n) return p->table[i] - 1;
  }
}

static int rehash(pass *p, int cap) {
  int *t = pc_calloc((size_t)cap, sizeof *t);
  if (!t) return PC_ENOMEM;
  pc_free(p->table);
  p->table = t;
  p->table_cap = cap;
  for (int k = 0; k < p->n; k++) {
    unsigned i = slot_of(p, p->e[k].node);
    while (t[i]) i = (i + 1) & (unsigned)(cap - 1);
    t[i] = k + 1;
  }
  return PC_OK;
}

static int add_node(pass *p, pc_node *n) {
  if (find(p, n) >= 0) return PC_OK;
  if (p->n == p->cap) {
    int cap = p->cap ? 2 * p->cap : 64;
    entry *e = pc_realloc(p->e, sizeof *e * (size_t)cap);
    if (!e) return PC_ENOMEM;
    p->e = e;
    p->cap = cap;
  }
  p->e[p->n++] = (entry){.node = pc_node_retain(n)};
  if (2 * p->n > p->table_cap) return rehash(p, p->table_cap ? 2 * p->table_cap : 256);
  unsigned i = slot_of(p, n);
  while (p->table[i]) i = (i + 1) & (unsigned)(p->table_cap - 1);
  p->table[i] = p->n;
  return PC_OK;
}

static int by_falling_seq(const void *a, const void *b) {
  uint64_t x = ((const entry *)a)->node->seq, y = ((const entry *)b)->node->seq;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* All nodes behind the roots; the list itself is the queue of the walk. */
static int collect(pass *p, pc_tensor *const *y, int ny) {
  int rc;
  for (int k = 0; k < ny; k++)
    if (y[k]->ad && y[k]->ad->node && (rc = add_node(p, y[k]->ad->node)) < 0) return rc;
  for (int k = 0; k < p->n; k++) {
    pc_node *n = p->e[k].node;
    for (int i = 0; i < n->nin; i++)
      if (n->in[i].edge && n->in[i].edge->node && (rc = add_node(p, n->in[i].edge->node)) < 0) return rc;
  }
  if (p->n) qsort(p->e, (size_t)p->n, sizeof *p->e, by_falling_seq);
  return p->n ? rehash(p, p->table_cap) : PC_OK;
}

static const target *match(const pass *p, const struct pc_autograd *edge) {
  for (int t = 0; t < p->ntargets; t++) {
    const target *x = &p->targets[t];
    if (edge->node ? x->node == edge->node && x->index == edge->index : x->leaf == edge) return x;
  }
  return NULL;
}

static void mark_needed(pass *p) {
  for (int k = p->n - 1; k >= 0; k--) { /* rising seq: inputs first */
    pc_node *n = p->e[k].node;
    for (int i = 0; i < n->nin && !p->e[k].needed; i++) {
      const struct pc_autograd *edge = n->in[i].edge;
      if (!edge) continue;
      if (p->targets)
        p->e[k].needed = match(p, edge) || (edge->node && p->e[find(p, edge->node)].needed);
      else
        p->e[k].needed = 1;
    }
  }
}

/* ---- adding up ---- */

/* *sum += g. `mine` tells whether *sum belongs to this pass alone. */
static int accumulate(const pass *p, pc_tensor **sum, uint8_t *mine, pc_tensor *g) {
  if (!*sum) {
    *sum = pc_tensor_retain(g);
    *mine = 0;
    return PC_OK;
  }
  if (*mine && !p->create_graph) return pc_add_into(*sum, g, 1.0);
  pc_tensor *in[2] = {*sum, g}, *out;
  int rc = pc_apply(PC_OP_add, &out, in, 2, NULL, 0);
  if (rc < 0) return rc;
  pc_tensor_release(*sum);
  *sum = out;
  *mine = 1;
  return PC_OK;
}

static int to_leaf(const pass *p, struct pc_autograd *leaf, pc_tensor *g) {
  int rc;
  if (leaf->grad && !p->create_graph) return pc_add_into(leaf->grad, g, 1.0);
  if (leaf->grad) {
    uint8_t mine = 0;
    return accumulate(p, &leaf->grad, &mine, g);
  }
  int ours = g->refs == 1 && g->storage->refs == 1 && !g->ad && pc_is_contiguous(g); /* nobody else has it */
  if (p->create_graph || ours) return leaf->grad = pc_tensor_retain(g), PC_OK;
  pc_tensor *own; /* g may be a view of something else */
  if ((rc = pc_clone(&own, g)) < 0) return rc;
  leaf->grad = own;
  return PC_OK;
}

/* ---- one node ---- */

static int check_versions(const pc_node *n) {
  if (n->freed)
    return pc_fail(
        PC_ESTATE,
        "backward: the graph behind %s was freed by an earlier backward; pass {retain_graph=true} to the first",
        pc_node_name(n));
  for (int i = 0; i < n->nin; i++)
    if (n->in[i].saved && n->in[i].saved->storage->version != n->in[i].version)
      return pc_fail(PC_ESTATE,
                     "backward of %s: input %d of shape %s was changed in place after the tape saved it "
                     "(version %u, saved %u); clone() it before changing it",
                     pc_node_name(n), i + 1, pc_shape_str(n->in[i].saved), n->in[i].saved->storage->version,
                     n->in[i].version);
  for (int k = 0; k < n->nout; k++)
    if (n->out[k].saved && n->out[k].saved->storage->version != n->out[k].version)
      return pc_fail(PC_ESTATE,
                     "backward of %s: its result of shape %s was changed in place after the tape saved it; "
                     "clone() it before changing it",
                     pc_node_name(n), pc_shape_str(n->out[k].saved));
  return PC_OK;
}

/* The gradient must look like the input: same shape, same dtype. */
static int conform(const pc_node *n, int i, pc_tensor **g) {
  const pc_input *in = &n->in[i];
  int same = (*g)->ndim == in->shape.ndim;
  for (int d = 0; same && d < in->shape.ndim; d++) same = (*g)->size[d] == in->shape.size[d];
  if (!same)
    return pc_fail(PC_ESHAPE, "backward of %s: gradient of input %d has shape %s, the input %s", pc_node_name(n), i + 1,
                   pc_shape_str(*g), pc_dims_str(in->shape.ndim, in->shape.size));
  if ((*g)->dtype == in->dtype) return PC_OK;
  pc_val v = PC_VI(in->dtype);
  pc_tensor *out;
  int rc = pc_apply(PC_OP_to, &out, g, 1, &v, 1);
  if (rc < 0) return rc;
  pc_tensor_release(*g);
  *g = out;
  return PC_OK;
}

/* Which inputs lead to something this pass is after: frozen or pruned branches cost nothing. */
static uint64_t wanted(const pass *p, const pc_node *n) {
  uint64_t want = 0;
  for (int i = 0; i < n->nin && i < 64; i++) {
    const struct pc_autograd *edge = n->in[i].edge;
    if (edge && (!p->targets || match(p, edge) || (edge->node && p->e[find(p, edge->node)].needed)))
      want |= (uint64_t)1 << i;
  }
  return want;
}

static int backward_of(pass *p, entry *e, pc_tensor **gin) {
  pc_node *n = e->node;
  n->want = wanted(p, n);
  n->last = !p->retain_graph;
  pc_scope s = {0};
  int rc = check_versions(n);
  if (rc < 0) return rc;
  if (n->op < 0) {
    rc = n->custom.node_backward ? n->custom.node_backward(n->custom.ctx, n, e->g, gin)
                                 : n->custom.backward(n->custom.ctx, e->g, n->nout, gin, n->nin);
    return rc < 0 ? pc_error_prefix(rc, "backward of %s", n->custom.name) : rc;
  }
  pc_ops[n->op].backward(&s, n, e->g, gin);
  if (s.rc == PC_OK)
    for (int i = 0; i < n->nin; i++)
      if (!pc_needs(n, i)) gin[i] = NULL;
  rc = pc_scope_end(&s, gin, n->nin);
  return rc < 0 && rc != PC_EINTR ? pc_error_prefix(rc, "backward of %s", pc_node_name(n)) : rc;
}

/* Gradients that a signal stopped halfway are delivered to nobody. A custom function is the user's: not torn. */
static int stoppable_backward_of(pass *p, entry *e, pc_tensor **gin) {
  if (e->node->op < 0) return backward_of(p, e, gin);
  pc_stoppable_begin();
  return pc_stoppable_end(backward_of(p, e, gin));
}

static int run_node(pass *p, entry *e, pc_tensor **gin) {
  pc_profile_mark mark;
  if (!pc_profiling) return stoppable_backward_of(p, e, gin);
  pc_profile_enter(&mark);
  int rc = stoppable_backward_of(p, e, gin);
  pc_profile_leave(&mark, e->node->op, 1);
  return rc;
}

static int nan_check(const pc_node *n, pc_tensor *const *gin) {
  for (int i = 0; i < n->nin; i++)
    if (gin[i] && pc_has_nan(gin[i]))
      return pc_fail(PC_ENUM, "anomaly: backward of %s made the first NaN (gradient of input %d)%s%s", pc_node_name(n),
                     i + 1, n->where && *n->where ? "; the op ran at " : "", n->where ? n->where : "");
  return PC_OK;
}

static int deliver(pass *p, pc_node *n, int i, pc_tensor *g) {
  struct pc_autograd *edge = n->in[i].edge;
  if (edge->node) {
    entry *to = &p->e[find(p, edge->node)];
    return accumulate(p, &to->g[edge->index], &to->mine[edge->index], g);
  }
  if (!p->targets) return to_leaf(p, edge, g);
  for (int t = 0; t < p->ntargets; t++) { /* the same x may be asked for twice */
    uint8_t mine = 0;
    int rc;
    if (p->targets[t].leaf == edge && (rc = accumulate(p, &p->targets[t].g, &mine, g)) < 0) return rc;
  }
  return PC_OK;
}

static int step(pass *p, entry *e) {
  pc_node *n = e->node;
  enum { FEW = 8 };
  pc_tensor *few[FEW] = {NULL}, **gin = n->nin <= FEW ? few : NULL;
  int rc = PC_OK, any = 0;
  for (int t = 0; t < p->ntargets; t++)
    if (p->targets[t].node == n) p->targets[t].g = pc_tensor_retain(e->g[p->targets[t].index]);
  for (int k = 0; k < n->nout; k++) any |= e->g[k] != NULL;
  if (!any || !e->needed) goto done;
  if (!gin && !(gin = pc_calloc((size_t)n->nin, sizeof *gin))) return PC_ENOMEM;
  if ((rc = run_node(p, e, gin)) < 0) goto done;
  if (pc_get_anomaly() && (rc = nan_check(n, gin)) < 0) goto done;
  if (!p->retain_graph) pc_node_forget(n);
  for (int i = 0; i < n->nin && rc == PC_OK; i++)
    if (gin[i] && pc_needs(n, i) && (rc = conform(n, i, &gin[i])) == PC_OK) rc = deliver(p, n, i, gin[i]);
done:
  for (int i = 0; gin && i < n->nin; i++) pc_tensor_release(gin[i]);
  if (gin != few) pc_free(gin);
  for (int k = 0; k < n->nout; k++) {
    pc_tensor_release(e->g[k]);
    e->g[k] = NULL;
  }
  return rc;
}

/* ---- a whole pass ---- */

static int seed(pass *p, pc_tensor *y, pc_tensor *gy) {
  pc_tensor *one = NULL;
  int rc = PC_OK;
  if (!pc_requires_grad(y))
    return pc_fail(
        PC_ESTATE,
        "backward: the result of shape %s has no history: no input wants a gradient (requires_grad), or it was "
        "computed under no_grad",
        pc_shape_str(y));
  if (!gy) {
    if (pc_numel(y) != 1)
      return pc_fail(
          PC_ESHAPE,
          "backward: a result of shape %s needs a gradient of the same shape; only one-element results start "
          "from 1",
          pc_shape_str(y));
    if ((rc = pc_tensor_full(&one, y->dtype, y->ndim, y->size, 1.0)) < 0) return rc;
    gy = one;
  } else if (!pc_same_shape(y, gy)) {
    return pc_fail(PC_ESHAPE, "backward: the gradient has shape %s, the result %s", pc_shape_str(gy), pc_shape_str(y));
  }
  if (y->ad && y->ad->node) {
    entry *e = &p->e[find(p, y->ad->node)];
    rc = accumulate(p, &e->g[y->ad->index], &e->mine[y->ad->index], gy);
  } else if (!pc_leaf_ad(y)) {
    rc = PC_ENOMEM;
  } else if (!p->targets) {
    rc = to_leaf(p, y->ad, gy);
  } else {
    for (int t = 0; t < p->ntargets && rc == PC_OK; t++) {
      uint8_t mine = 0;
      if (p->targets[t].leaf == y->ad) rc = accumulate(p, &p->targets[t].g, &mine, gy);
    }
  }
  pc_tensor_release(one);
  return rc;
}

/* What waits for the gradients of this pass. */
static int plan_finals(const pass *p, pc_finals *f) {
  pc_node **nodes = pc_malloc(sizeof *nodes * (size_t)(p->n + 1));
  if (!nodes) return PC_ENOMEM;
  for (int k = 0; k < p->n; k++) nodes[k] = p->e[k].node;
  int rc = pc_finals_plan(f, nodes, p->n);
  pc_free(nodes);
  return rc;
}

static int depth; /* passes under way: a backward function may start one */

static int run(pass *p, pc_tensor *const *y, pc_tensor *const *gy, int ny) {
  int was = pc_grad_set_enabled(p->create_graph);
  int rc = collect(p, y, ny);
  pc_finals finals = {0};
  if (!depth++ && rc == PC_OK && !p->targets && pc_finals_wanted()) rc = plan_finals(p, &finals);
  if (rc == PC_OK) mark_needed(p);
  for (int k = 0; k < ny && rc == PC_OK; k++) rc = seed(p, y[k], gy ? gy[k] : NULL);
  for (int k = 0; k < p->n && rc == PC_OK; k++) {
    if (pc_interrupted()) rc = pc_check_interrupt();
    if (rc == PC_OK) rc = step(p, &p->e[k]);
    if (rc == PC_OK) rc = pc_finals_ran(&finals, k);
  }
  pc_finals_end(&finals);
  depth--;
  for (int k = 0; k < p->n; k++) {
    for (int o = 0; o < PC_MAX_OUT; o++) pc_tensor_release(p->e[k].g[o]);
    pc_node_release(p->e[k].node);
  }
  pc_free(p->e);
  pc_free(p->table);
  pc_grad_set_enabled(was);
  return rc;
}

int pc_backward(pc_tensor *y, pc_tensor *gy, int retain_graph) {
  pass p = {.retain_graph = retain_graph};
  return run(&p, &y, gy ? &gy : NULL, 1);
}

int pc_grad(pc_tensor **gx, pc_tensor *const *y, pc_tensor *const *gy, int ny, pc_tensor *const *x, int nx,
            const pc_grad_opts *opts) {
  static const pc_grad_opts defaults;
  if (!opts) opts = &defaults;
  pass p = {
      .create_graph = opts->create_graph, .retain_graph = opts->create_graph || opts->retain_graph, .ntargets = nx};
  int rc = PC_OK;
  for (int i = 0; i < nx; i++) gx[i] = NULL;
  if (nx < 1) return pc_fail(PC_EARG, "grad: no tensor to differentiate by");
  if (!(p.targets = pc_calloc((size_t)nx, sizeof *p.targets))) return PC_ENOMEM;
  for (int i = 0; i < nx && rc == PC_OK; i++) {
    if (!pc_requires_grad(x[i]))
      rc = pc_fail(PC_ESTATE,
                   "grad: input %d of shape %s does not want a gradient; call requires_grad_() before using it", i + 1,
                   pc_shape_str(x[i]));
    else if (!pc_leaf_ad(x[i]))
      rc = PC_ENOMEM;
    else
      p.targets[i] =
          x[i]->ad->node ? (target){.node = x[i]->ad->node, .index = x[i]->ad->index} : (target){.leaf = x[i]->ad};
  }
  if (rc == PC_OK) rc = run(&p, y, gy, ny);
  for (int i = 0; i < nx && rc == PC_OK; i++)
    if (!p.targets[i].g && !opts->allow_unused)
      rc = pc_fail(PC_ESTATE,
                   "grad: the result does not depend on input %d of shape %s; pass {allow_unused=true} for nil", i + 1,
                   pc_shape_str(x[i]));
  for (int i = 0; i < nx; i++) {
    if (rc == PC_OK)
      gx[i] = p.targets[i].g;
    else
      pc_tensor_release(p.targets[i].g);
  }
  pc_free(p.targets);
  return rc;
}
