#include "grad/final.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "grad/node.h"

typedef struct waiting {
  struct pc_autograd *ad;
  const pc_storage *storage;
  int64_t from, to; /* elements of the storage */
  int left;         /* uses by nodes that have not run */
  int taken;
} waiting;

static int set; /* how many leaves have a pc_final */

int pc_finals_wanted(void) { return set > 0; }

int pc_final_on(const pc_final *f) {
  struct pc_autograd *ad = pc_leaf_ad(f->leaf);
  if (!ad) return PC_ENOMEM;
  if (ad->final)
    return pc_fail(PC_ESTATE,
                   "a parameter of shape %s is stepped during backward by an optimiser already; let go of that one, "
                   "or make this one without during_backward",
                   pc_shape_str(f->leaf));
  ad->final = f;
  set++;
  return PC_OK;
}

void pc_final_off(const pc_final *f) {
  struct pc_autograd *ad = f->leaf ? f->leaf->ad : NULL;
  if (!ad || ad->final != f) return;
  ad->final = NULL;
  set--;
}

/* ---- which node uses which leaf ---- */

/* First and last element + 1 that t reaches. */
static void reach(const pc_tensor *t, int64_t *from, int64_t *to) {
  *from = *to = t->offset;
  if (!pc_numel(t)) return;
  for (int d = 0; d < t->ndim; d++) {
    int64_t way = (t->size[d] - 1) * t->stride[d];
    if (way < 0)
      *from += way;
    else
      *to += way;
  }
  ++*to;
}

static int compare(const void *a, const void *b) {
  const waiting *x = a, *y = b;
  if (x->storage != y->storage) return (uintptr_t)x->storage < (uintptr_t)y->storage ? -1 : 1;
  return x->from < y->from ? -1 : x->from > y->from;
}

static int is_waiting(const struct pc_autograd *edge) { return edge && !edge->node && edge->final; }

/* The distinct leaves that wait, in order. */
static int gather(pc_finals *f, pc_node *const *nodes, int n) {
  int all = 0, distinct = 0;
  for (int k = 0; k < n; k++)
    for (int i = 0; i < nodes[k]->nin; i++) all += is_waiting(nodes[k]->in[i].edge);
  if (!all) return PC_OK;
  if (!(f->leaf = pc_calloc((size_t)all, sizeof *f->leaf))) return PC_ENOMEM;
  all = 0;
  for (int k = 0; k < n; k++)
    for (int i = 0; i < nodes[k]->nin; i++) {
      struct pc_autograd *edge = nodes[k]->in[i].edge;
      if (!is_waiting(edge)) continue;
      waiting *w = &f->leaf[all++];
      *w = (waiting){.ad = edge, .storage = edge->final->leaf->storage};
      reach(edge->final->leaf, &w->from, &w->to);
    }
  qsort(f->leaf, (size_t)all, sizeof *f->leaf, compare);
  for (int k = 0; k < all; k++) { /* leaves of equal memory stand together: an empty one may share its place */
    int known = 0;
    for (int j = distinct - 1; j >= 0 && !known && !compare(&f->leaf[j], &f->leaf[k]); j--)
      known = f->leaf[j].ad == f->leaf[k].ad;
    if (!known) f->leaf[distinct++] = f->leaf[k];
  }
  f->n = distinct;
  return PC_OK;
}

static int use(pc_finals *f, int leaf) {
  if (f->nuse == f->cap) {
    int cap = f->cap ? 2 * f->cap : 256, *more = pc_realloc(f->use, sizeof *more * (size_t)cap);
    if (!more) return PC_ENOMEM;
    f->use = more;
    f->cap = cap;
  }
  f->use[f->nuse++] = leaf;
  f->leaf[leaf].left++;
  return PC_OK;
}

/* t: saved by a node, or a leaf that it adds to. Leaves do not overlap one another, so they stand by their ends, too.
 */
static int use_memory(pc_finals *f, const pc_tensor *t) {
  waiting w = {.storage = t ? t->storage : NULL};
  if (!t) return PC_OK;
  reach(t, &w.from, &w.to);
  int low = 0, high = f->n, rc = PC_OK;
  while (low < high) { /* the first leaf of this storage that ends behind w.from */
    int mid = (low + high) / 2;
    const waiting *l = &f->leaf[mid];
    if ((uintptr_t)l->storage < (uintptr_t)w.storage ||
        (l->storage == w.storage && l->to <= w.from && l->from < w.from))
      low = mid + 1;
    else
      high = mid;
  }
  for (int k = low; k < f->n && f->leaf[k].storage == w.storage && f->leaf[k].from <= w.to && rc == PC_OK; k++)
    rc = use(f, k);
  return rc;
}

int pc_finals_plan(pc_finals *f, pc_node *const *nodes, int n) {
  *f = (pc_finals){0};
  int rc = gather(f, nodes, n);
  if (rc < 0 || !f->n) return rc;
  if (!(f->at = pc_calloc((size_t)n + 1, sizeof *f->at))) return PC_ENOMEM;
  for (int k = 0; k < n; k++) {
    const pc_node *node = nodes[k];
    for (int i = 0; i < node->nin && rc == PC_OK; i++) {
      if (is_waiting(node->in[i].edge)) rc = use_memory(f, node->in[i].edge->final->leaf);
      if (rc == PC_OK) rc = use_memory(f, node->in[i].saved);
    }
    for (int o = 0; o < node->nout && rc == PC_OK; o++) rc = use_memory(f, node->out[o].saved);
    if (rc < 0) return rc;
    f->at[k + 1] = f->nuse;
  }
  return PC_OK;
}

int pc_finals_ran(pc_finals *f, int k) {
  if (!f->n) return PC_OK;
  for (int u = f->at[k]; u < f->at[k + 1]; u++) {
    waiting *w = &f->leaf[f->use[u]];
    if (--w->left || !w->ad->final || !w->ad->grad) continue;
    int rc = w->ad->final->take(w->ad->final->ctx, w->ad->final->index);
    w->taken = 1;
    if (rc < 0) return rc;
  }
  return PC_OK;
}

void pc_finals_end(pc_finals *f) {
  for (int k = 0; k < f->n; k++)
    if (f->leaf[k].taken && f->leaf[k].ad->final) f->leaf[k].ad->final->leaf->storage->version++;
  pc_free(f->leaf);
  pc_free(f->use);
  pc_free(f->at);
  *f = (pc_finals){0};
}
