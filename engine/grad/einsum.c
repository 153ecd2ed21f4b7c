#include "grad/einsum.h"

#include <ctype.h>
#include <string.h>

#include "grad/ops_linalg.h"
#include "grad/ops_pointwise.h"
#include "grad/ops_reduce.h"
#include "grad/ops_shape.h"

/* Labels: a-z 26..51, A-Z 0..25 (so that they sort as letters do), 52.. the dimensions of
 * "...", the last one having the highest number. */
enum { LETTERS = 52, LABELS = LETTERS + PC_MAX_DIM, MAX_OPERANDS = 16 };

typedef struct term {
  pc_tensor *t;
  int n;
  int label[PC_MAX_DIM];
} term;

typedef struct plan {
  pc_scope *s;
  const char *eq;
  int n;
  term in[MAX_OPERANDS];
  int nout, out[PC_MAX_DIM], has_out;
  int64_t size[LABELS]; /* 0 entries are told apart by `seen` */
  uint8_t seen[LABELS];
} plan;

static int label_of(char c) { return c >= 'a' ? c - 'a' + 26 : c - 'A'; }
static char letter_of(int label) {
  return label >= LETTERS ? '.' : (char)(label >= 26 ? 'a' + label - 26 : 'A' + label);
}

static int bad(plan *p, const char *why) { return pc_note(p->s, pc_fail(PC_EARG, "einsum: '%s': %s", p->eq, why)); }

/* ---- reading ---- */

/* One run of letters and at most one "..." that stands for `dots` dimensions. Returns where it ends. */
static const char *read_labels(plan *p, const char *c, int dots, int *label, int *n) {
  int seen = 0;
  *n = 0;
  for (;; c++) {
    if (*c == ' ') continue;
    if (!strncmp(c, "...", 3)) {
      if (seen++) return bad(p, "'...' twice in one term"), NULL;
      for (int i = 0; i < dots; i++) {
        if (*n == PC_MAX_DIM) return bad(p, "more dimensions than a tensor can have"), NULL;
        label[(*n)++] = LABELS - dots + i;
      }
      c += 2;
    } else if (isalpha((unsigned char)*c)) {
      if (*n == PC_MAX_DIM) return bad(p, "more dimensions than a tensor can have"), NULL;
      label[(*n)++] = label_of(*c);
    } else {
      return c;
    }
  }
}

static int letters_in(const char *c) {
  int n = 0;
  for (; *c && *c != ',' && strncmp(c, "->", 2) != 0; c++) n += isalpha((unsigned char)*c) != 0;
  return n;
}

static int has_dots(const char *c) {
  for (; *c && *c != ',' && strncmp(c, "->", 2) != 0; c++)
    if (!strncmp(c, "...", 3)) return 1;
  return 0;
}

/* A label has one size; 1 stretches to it. */
static int note_size(plan *p, const term *t, int i, int which) {
  int l = t->label[i];
  int64_t n = t->t->size[i];
  if (!p->seen[l] || p->size[l] == 1) {
    p->size[l] = n;
    p->seen[l] = 1;
    return PC_OK;
  }
  if (n == 1 || n == p->size[l]) return PC_OK;
  return pc_note(
      p->s,
      pc_fail(PC_ESHAPE, "einsum: '%s': dimension %d of operand %d %s ('%c') has size %lld, elsewhere %lld", p->eq,
              i + PC_INDEX_BASE, which + 1, pc_shape_str(t->t), letter_of(l), (long long)n, (long long)p->size[l]));
}

static int read_terms(plan *p, pc_tensor *const *operands) {
  const char *c = p->eq;
  int most_dots = 0;
  for (int i = 0; i < p->n; i++) {
    term *t = &p->in[i];
    t->t = operands[i];
    int letters = letters_in(c), dots = has_dots(c) ? t->t->ndim - letters : 0;
    if (dots < 0) dots = 0;
    if (dots > most_dots) most_dots = dots;
    if (!(c = read_labels(p, c, dots, t->label, &t->n))) return PC_EARG;
    if (t->n != t->t->ndim)
      return pc_note(p->s, pc_fail(PC_ESHAPE, "einsum: '%s': term %d names %d dimensions, operand %d has shape %s",
                                   p->eq, i + 1, t->n, i + 1, pc_shape_str(t->t)));
    for (int d = 0; d < t->n; d++)
      if (note_size(p, t, d, i) < 0) return PC_ESHAPE;
    if (i < p->n - 1 && *c++ != ',') return bad(p, "fewer terms than operands");
  }
  if (*c == ',') return bad(p, "more terms than operands");
  if (!strncmp(c, "->", 2)) {
    p->has_out = 1;
    if (!(c = read_labels(p, c + 2, most_dots, p->out, &p->nout))) return PC_EARG;
  }
  if (*c) return bad(p, "only letters, ',', '...' and '->' are allowed");
  return PC_OK;
}

static int count(const plan *p, int label) {
  int n = 0;
  for (int i = 0; i < p->n; i++)
    for (int d = 0; d < p->in[i].n; d++) n += p->in[i].label[d] == label;
  return n;
}

static int settle_output(plan *p) {
  if (!p->has_out) {
    for (int k = 0; k < LABELS; k++) { /* "..." first */
      int l = (k + LETTERS) % LABELS;
      if (!p->seen[l] || (l < LETTERS && count(p, l) != 1)) continue;
      if (p->nout == PC_MAX_DIM) return bad(p, "more dimensions than a tensor can have");
      p->out[p->nout++] = l;
    }
    return PC_OK;
  }
  for (int i = 0; i < p->nout; i++) {
    if (!p->seen[p->out[i]]) return bad(p, "a letter of the result is in no operand");
    for (int j = 0; j < i; j++)
      if (p->out[j] == p->out[i]) return bad(p, "a letter occurs twice in the result");
  }
  return PC_OK;
}

/* ---- contracting ---- */

static int find(const term *t, int label) {
  for (int i = 0; i < t->n; i++)
    if (t->label[i] == label) return i;
  return -1;
}

static void diagonals(pc_scope *s, term *t) {
  for (int i = 0; i < t->n; i++)
    for (int j = i + 1; j < t->n; j++) {
      if (t->label[i] != t->label[j]) continue;
      int l = t->label[i];
      t->t = pc_diagonal(s, t->t, 0, i, j); /* the diagonal becomes the last dimension */
      memmove(t->label + j, t->label + j + 1, sizeof(int) * (size_t)(t->n - j - 1));
      memmove(t->label + i, t->label + i + 1, sizeof(int) * (size_t)(t->n - i - 2));
      t->label[--t->n - 1] = l;
      i = -1; /* positions have moved: start again */
      break;
    }
}

/* Sums over the labels that keep[] does not want. */
static void sum_out(pc_scope *s, term *t, const uint8_t *keep) {
  int dims[PC_MAX_DIM], nd = 0, n = 0;
  for (int i = 0; i < t->n; i++) {
    if (!keep[t->label[i]])
      dims[nd++] = i;
    else
      t->label[n++] = t->label[i];
  }
  t->n = n;
  if (nd) t->t = pc_sum(s, t->t, nd, dims, 0);
}

/* t with its dimensions in the order of label[0..n), stretched to the labels' sizes. */
static pc_tensor *arranged(plan *p, const term *t, int n, const int *label) {
  int perm[PC_MAX_DIM] = {0}, stretch = 0;
  int64_t size[PC_MAX_DIM];
  pc_tensor *r = t->t;
  for (int i = 0; i < n; i++) perm[i] = find(t, label[i]);
  r = pc_permute(p->s, r, perm);
  if (!r) return NULL;
  for (int i = 0; i < n; i++) {
    size[i] = p->size[label[i]];
    stretch |= r->size[i] != size[i];
  }
  return stretch ? pc_expand(p->s, r, n, size) : r;
}

static int64_t product(const plan *p, int n, const int *label) {
  int64_t k = 1;
  for (int i = 0; i < n; i++) k *= p->size[label[i]];
  return k;
}

static void append(int *to, int *n, const int *from, int k) {
  for (int i = 0; i < k; i++) to[(*n)++] = from[i];
}

/* a := a and b contracted; keep: labels that the result or a later operand needs. */
static int contract(plan *p, term *a, term *b, const uint8_t *keep) {
  int batch[PC_MAX_DIM], con[PC_MAX_DIM], fa[PC_MAX_DIM], fb[PC_MAX_DIM], nb = 0, nc = 0, na = 0, nf = 0;
  uint8_t mine[LABELS], theirs[LABELS];
  memcpy(mine, keep, sizeof mine);
  memcpy(theirs, keep, sizeof theirs);
  for (int i = 0; i < b->n; i++) mine[b->label[i]] = 1;
  for (int i = 0; i < a->n; i++) theirs[a->label[i]] = 1;
  sum_out(p->s, a, mine);
  sum_out(p->s, b, theirs);
  if (p->s->rc < 0) return p->s->rc;
  for (int i = 0; i < a->n; i++) {
    int l = a->label[i];
    if (find(b, l) < 0)
      fa[na++] = l;
    else if (keep[l])
      batch[nb++] = l;
    else
      con[nc++] = l;
  }
  for (int i = 0; i < b->n; i++)
    if (find(a, b->label[i]) < 0) fb[nf++] = b->label[i];
  if (nb + na + nf > PC_MAX_DIM) return bad(p, "an intermediate result has more dimensions than a tensor can have");
  int left[PC_MAX_DIM], nl = 0, right[PC_MAX_DIM], nr = 0, out[PC_MAX_DIM], no = 0;
  append(left, &nl, batch, nb), append(left, &nl, fa, na), append(left, &nl, con, nc);
  append(right, &nr, batch, nb), append(right, &nr, con, nc), append(right, &nr, fb, nf);
  append(out, &no, batch, nb), append(out, &no, fa, na), append(out, &no, fb, nf);
  int64_t B = product(p, nb, batch), M = product(p, na, fa), K = product(p, nc, con), N = product(p, nf, fb);
  int64_t ls[3] = {B, M, K}, rs[3] = {B, K, N}, size[PC_MAX_DIM];
  int skip = nb == 0; /* no batch: plain matrices */
  pc_tensor *x = pc_reshape(p->s, arranged(p, a, nl, left), 3 - skip, ls + skip);
  pc_tensor *y = pc_reshape(p->s, arranged(p, b, nr, right), 3 - skip, rs + skip);
  for (int i = 0; i < no; i++) size[i] = p->size[out[i]];
  a->t = pc_reshape(p->s, pc_matmul(p->s, x, y), no, size);
  a->n = no;
  memcpy(a->label, out, sizeof out);
  return p->s->rc;
}

pc_tensor *pc_einsum(pc_scope *s, const char *equation, int n, pc_tensor *const *operands) {
  plan p = {.s = s, .eq = equation, .n = n};
  uint8_t keep[LABELS];
  if (s->rc < 0) return NULL;
  if (n < 1 || n > MAX_OPERANDS) return bad(&p, "1 to 16 operands"), NULL;
  for (int i = 0; i < n; i++)
    if (!operands[i]) return bad(&p, "an operand is missing"), NULL;
  if (read_terms(&p, operands) < 0 || settle_output(&p) < 0) return NULL;
  for (int i = 0; i < n; i++) diagonals(s, &p.in[i]);
  for (int i = 1; i < n && s->rc == PC_OK; i++) {
    memset(keep, 0, sizeof keep);
    for (int d = 0; d < p.nout; d++) keep[p.out[d]] = 1;
    for (int j = i + 1; j < n; j++)
      for (int d = 0; d < p.in[j].n; d++) keep[p.in[j].label[d]] = 1;
    contract(&p, &p.in[0], &p.in[i], keep);
  }
  if (s->rc < 0) return NULL;
  memset(keep, 0, sizeof keep);
  for (int d = 0; d < p.nout; d++) keep[p.out[d]] = 1;
  sum_out(s, &p.in[0], keep);
  pc_tensor *y = s->rc < 0 ? NULL : arranged(&p, &p.in[0], p.nout, p.out);
  return y && n == 1 && y->storage == operands[0]->storage ? pc_cloned(s, y) : y; /* changing it changes no operand */
}
