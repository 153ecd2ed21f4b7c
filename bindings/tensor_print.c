/* tensor_print.c: what a tensor looks like at the prompt: a header with dtype
 * and shape, then the elements, the middle left out when there are many. The
 * number format is chosen from the finite elements that are shown. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bindings/tensor.h"

static struct { int precision, threshold, edge, width; } opts = {4, 1000, 3, 100};

typedef struct style {
  int width;     /* of one number */
  int precision; /* digits after the point */
  int kind;      /* 'd' integers, 'f' fixed, 'e' exponent */
} style;

/* Which positions of a dimension are shown: all, or `edge` at both ends. */
typedef struct window {
  int64_t n, edge; /* edge 0: all */
} window;

static int shown(const window *w) { return w->edge ? (int)(2 * w->edge) : (int)w->n; }
static int64_t position(const window *w, int k) { return !w->edge || k < w->edge ? k : w->n - 2 * w->edge + k; }

static int64_t place(const pc_tensor *t, const int64_t *idx) {
  int64_t linear = 0;
  for (int d = 0; d < t->ndim; d++) linear = linear * t->size[d] + idx[d];
  return linear;
}

typedef struct span {
  double lo, hi;               /* of |x|, finite and not 0 */
  double below;                /* largest |x| of negative ones */
  int integers, negative, odd; /* all integers; a minus sign; nan or inf */
} span;

static void scan(const pc_tensor *t, const window *w, int dim, int64_t *idx, span *s) {
  if (dim < t->ndim) {
    for (int k = 0; k < shown(&w[dim]); k++) {
      idx[dim] = position(&w[dim], k);
      scan(t, w, dim + 1, idx, s);
    }
    return;
  }
  double x = pc_at(t, place(t, idx)), m = fabs(x);
  if (signbit(x) && !isnan(x)) s->negative = 1;
  if (!isfinite(x)) {
    s->odd = 1;
    return;
  }
  if (x != floor(x)) s->integers = 0;
  if (m > 0 && m < s->lo) s->lo = m;
  if (m > s->hi) s->hi = m;
  if (x < 0 && m > s->below) s->below = m;
}

static int digits_of(double m) { return m >= 10 ? (int)floor(log10(m)) + 1 : 1; }

static style choose(const pc_tensor *t, const window *w) {
  span s = {INFINITY, 0, 0, 1, 0, 0};
  int64_t idx[PC_MAX_DIM] = {0};
  style st = {0, opts.precision, 'f'};
  scan(t, w, 0, idx, &s);
  int digits = digits_of(s.hi), sign = s.negative && digits_of(s.below) == digits;
  if (!pc_dtype_is_float((pc_dtype)t->dtype)) {
    st = (style){digits, 0, 'd'};
  } else if (s.hi >= 1e8 || (s.lo < 1e-4 && s.hi / s.lo > 1e3) || (s.hi > 0 && s.hi < 1e-3) ||
             (s.hi > 1e5 && !s.integers)) {
    st.kind = 'e';
    st.width = 1 + (st.precision > 0) + st.precision + 4;
  } else {
    if (s.integers) st.precision = 0;
    st.width = digits + 1 + st.precision; /* an integer keeps its point: 3. is a float */
  }
  st.width += st.kind == 'e' ? s.negative : sign;
  if (s.odd && st.width < 3 + s.negative) st.width = 3 + s.negative;
  return st;
}

/* Element `linear` of t; integers digit by digit: a double has 53 bits. */
static void put(luaL_Buffer *b, const style *st, const pc_tensor *t, int64_t linear) {
  char s[64];
  double x = pc_at(t, linear);
  if (st->kind == 'd')
    snprintf(s, sizeof s, "%*lld", st->width, (long long)pc_at_i64(t, linear));
  else if (isnan(x))
    snprintf(s, sizeof s, "%*s", st->width, "nan");
  else if (isinf(x))
    snprintf(s, sizeof s, "%*s", st->width, x < 0 ? "-inf" : "inf");
  else if (st->kind == 'e')
    snprintf(s, sizeof s, "%*.*e", st->width, st->precision, x);
  else if (st->precision == 0)
    snprintf(s, sizeof s, "%*.0f.", st->width - 1, x);
  else
    snprintf(s, sizeof s, "%*.*f", st->width, st->precision, x);
  luaL_addstring(b, s);
}

static void row(luaL_Buffer *b, const pc_tensor *t, const window *w, const style *st, int64_t *idx) {
  int d = t->ndim - 1;
  for (int k = 0; k < shown(&w[d]); k++) {
    if (w[d].edge && k == w[d].edge) luaL_addstring(b, "  ...");
    idx[d] = position(&w[d], k);
    luaL_addstring(b, "  ");
    put(b, st, t, place(t, idx));
  }
}

static void block(luaL_Buffer *b, const pc_tensor *t, const window *w, const style *st, int dim, int64_t *idx) {
  char head[128];
  if (dim == t->ndim - 1) {
    luaL_addchar(b, '\n');
    row(b, t, w, st, idx);
    return;
  }
  if (dim == t->ndim - 2 && t->ndim > 2) {
    int n = snprintf(head, sizeof head, "\n[");
    for (int d = 0; d < dim; d++) n += snprintf(head + n, sizeof head - (size_t)n, "%lld,", (long long)idx[d] + 1);
    snprintf(head + n, sizeof head - (size_t)n, ":,:]");
    luaL_addstring(b, head);
  }
  for (int k = 0; k < shown(&w[dim]); k++) {
    if (w[dim].edge && k == w[dim].edge) luaL_addstring(b, "\n  ...");
    idx[dim] = position(&w[dim], k);
    block(b, t, w, st, dim + 1, idx);
  }
}

/* Columns that do not fit into a line are left out, too. */
static style layout(const pc_tensor *t, window *w) {
  int64_t many = pc_numel(t) > opts.threshold;
  for (int d = 0; d < t->ndim; d++) w[d] = (window){t->size[d], many && t->size[d] > 2 * opts.edge + 1 ? opts.edge : 0};
  style st = choose(t, w);
  window *last = &w[t->ndim - 1];
  int fit = (opts.width - 5) / (st.width + 2);
  if (t->ndim && !last->edge && last->n > fit) {
    if (t->ndim == 1 && last->n <= opts.threshold) return st; /* one row: it wraps instead */
    last->edge = fit / 2 > 0 ? fit / 2 : 1;
    if (2 * last->edge >= last->n) last->edge = 0;
    st = choose(t, w);
  }
  return st;
}

static void wrapped(luaL_Buffer *b, const pc_tensor *t, const style *st) {
  int fit = (opts.width - 2) / (st->width + 2);
  if (fit < 1) fit = 1;
  for (int64_t i = 0; i < t->size[0]; i++) {
    luaL_addstring(b, i % fit ? "  " : "\n  ");
    put(b, st, t, i);
  }
}

void pc_push_printed(lua_State *L, const pc_tensor *t) {
  window w[PC_MAX_DIM + 1] = {{0}};
  int64_t idx[PC_MAX_DIM] = {0}, n = pc_numel(t);
  char head[256];
  luaL_Buffer b;
  const char *grad = !pc_requires_grad(t) ? "" : pc_is_leaf(t) ? " requires_grad" : " with history";
  luaL_buffinit(L, &b);
  snprintf(head, sizeof head, "%s %s%s", pc_dtype_name((pc_dtype)t->dtype), pc_shape_str(t), grad);
  luaL_addstring(&b, head);
  if (n == 0) {
    luaL_addstring(&b, " empty");
  } else if (t->ndim == 0) {
    if (pc_dtype_is_float((pc_dtype)t->dtype))
      snprintf(head, sizeof head, " %.*g", opts.precision + 2, pc_item(t));
    else
      snprintf(head, sizeof head, " %lld", (long long)pc_at_i64(t, 0));
    luaL_addstring(&b, head);
  } else {
    style st = layout(t, w);
    if (t->ndim == 1 && !w[0].edge)
      wrapped(&b, t, &st);
    else
      block(&b, t, w, &st, 0, idx);
  }
  luaL_pushresult(&b);
}

static int f_printoptions(lua_State *L, pc_args *a) {
  static const char *const names[] = {"precision", "threshold", "edgeitems", "linewidth"};
  static int *const at_of[] = {&opts.precision, &opts.threshold, &opts.edge, &opts.width};
  lua_newtable(L);
  for (int i = 0; i < 4; i++) {
    if (pc_arg_given(a, names[i])) *at_of[i] = pc_arg_int(a, names[i]);
    lua_pushinteger(L, *at_of[i]);
    lua_setfield(L, -2, names[i]);
  }
  return 1;
}

static const pc_luafn fns[] = {
    {"printoptions",
     "precision:int(0..17)?, threshold:int(0..16777216)?, edgeitems:int(1..1000)?, linewidth:int(20..10000)?",
     f_printoptions,
     "how tensors print: digits, elements above which the middle is left out, how many stay at each end, line width"},
    {0}};

void pc_open_print(lua_State *L, int tf, int tm) {
  (void)tm;
  lua_pushvalue(L, tf);
  pc_register(L, NULL, fns);
  lua_pop(L, 1);
}
