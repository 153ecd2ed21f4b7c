#include "plot/plot.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "formats/file.h"
#include "images/png.h"
#include "plot/draw.h"

static char *clean_copy(const char *text) { /* NULL for NULL and "" */
  char buf[PC_NAME_MAX];
  return text && *text ? pc_strdup(pc_text_clean(buf, sizeof buf, text)) : NULL;
}

/* n clean copies; entries of empty labels are NULL. *rc: PC_ENOMEM. */
static char **copy_labels(const char *const *label, int64_t given, int64_t n, int *rc) {
  char **out = pc_calloc((size_t)(n ? n : 1), sizeof *out);
  if (!out) *rc = PC_ENOMEM;
  for (int64_t i = 0; out && i < n && i < given; i++)
    if (label[i] && *label[i] && !(out[i] = clean_copy(label[i]))) *rc = PC_ENOMEM;
  return out;
}

static void free_labels(char **label, int64_t n) {
  for (int64_t i = 0; label && i < n; i++) pc_free(label[i]);
  pc_free(label);
}

static int check_limits(const char *name, const double lim[2], int log) {
  if (!(lim[0] < lim[1]) || !isfinite(lim[0]) || !isfinite(lim[1]))
    return pc_fail(PC_EARG, "plot: %s = {%g, %g}: the first must be below the second", name, lim[0], lim[1]);
  if (log && lim[0] <= 0)
    return pc_fail(PC_EARG, "plot: %s = {%g, %g}: a log axis begins above 0", name, lim[0], lim[1]);
  return PC_OK;
}

PC_OPTIONS_TABLE(pc_plot_options, "plot", pc_plot_opts, PC_PLOT_OPTIONS);

int pc_plot_new(pc_plot **out, const pc_plot_opts *opts) {
  const pc_plot_opts *o = opts ? opts : pc_plot_options.defaults;
  *out = NULL;
  int rc = pc_options_check(&pc_plot_options, "plot", o);
  if (rc == PC_OK && o->has_xlim) rc = check_limits("xlim", o->xlim, o->xscale == PC_SCALE_LOG);
  if (rc == PC_OK && o->has_ylim) rc = check_limits("ylim", o->ylim, o->yscale == PC_SCALE_LOG);
  if (rc < 0) return rc;
  pc_plot *p = pc_calloc(1, sizeof *p);
  if (!p) return PC_ENOMEM;
  p->o = *o;
  p->title = clean_copy(o->title);
  p->xlabel = clean_copy(o->xlabel);
  p->ylabel = clean_copy(o->ylabel);
  p->groups = copy_labels(o->groups, o->ngroups, o->ngroups, &rc);
  if (rc < 0 || (o->title && *o->title && !p->title) || (o->xlabel && *o->xlabel && !p->xlabel) ||
      (o->ylabel && *o->ylabel && !p->ylabel)) {
    pc_plot_free(p);
    return PC_ENOMEM;
  }
  *out = p;
  return PC_OK;
}

void pc_plot_free(pc_plot *p) {
  if (!p) return;
  for (int i = 0; i < p->nseries; i++) {
    pc_free(p->series[i].name);
    pc_free(p->series[i].x);
  }
  pc_free(p->series);
  if (p->heat) {
    free_labels(p->heat->row_label, p->heat->rows);
    free_labels(p->heat->col_label, p->heat->cols);
    pc_free(p->heat->frame_name);
    pc_free(p->heat->value);
    pc_free(p->heat->framed);
    pc_free(p->heat);
  }
  free_labels(p->groups, p->o.ngroups);
  pc_free(p->title);
  pc_free(p->xlabel);
  pc_free(p->ylabel);
  pc_free(p);
}

/* mean and deviation over the S rows of column i, NaN left out */
static void column(const pc_tensor *y, int64_t i, double *mean, double *sd) {
  int64_t S = y->size[0], N = y->size[1], n = 0;
  double sum = 0, squares = 0;
  for (int64_t s = 0; s < S; s++) {
    double v = pc_at(y, s * N + i);
    if (isfinite(v)) sum += v, n++;
  }
  *mean = n ? sum / (double)n : NAN;
  for (int64_t s = 0; s < S; s++) {
    double v = pc_at(y, s * N + i);
    if (isfinite(v)) squares += (v - *mean) * (v - *mean);
  }
  *sd = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

static int check_length(const char *name, const char *what, const pc_tensor *t, int64_t n) {
  if (!t || (t->ndim == 1 && t->size[0] == n)) return PC_OK;
  return pc_fail(PC_ESHAPE, "plot: series '%s': %s has shape %s, y has %lld values", name ? name : "", what,
                 pc_shape_str(t), (long long)n);
}

static int check_series(const pc_plot *p, const pc_series_opts *s, int64_t *n) {
  const char *name = s->name ? s->name : "";
  int rc;
  if (p->heat) return pc_fail(PC_ESTATE, "plot: a heat map takes no series");
  if (!s->y || s->y->ndim < 1 || s->y->ndim > 2)
    return pc_fail(PC_ESHAPE, "plot: series '%s': y has shape %s; (N), or (seeds,N), is needed", name,
                   s->y ? pc_shape_str(s->y) : "()");
  *n = s->y->size[s->y->ndim - 1];
  if ((rc = check_length(name, "x", s->x, *n)) < 0 || (rc = check_length(name, "sd", s->sd, *n)) < 0 ||
      (rc = check_length(name, "low", s->low, *n)) < 0 || (rc = check_length(name, "high", s->high, *n)) < 0)
    return rc;
  if (!s->low != !s->high) return pc_fail(PC_EARG, "plot: series '%s': low and high belong together", name);
  if (s->kind == PC_SERIES_BARS && *n != p->o.ngroups)
    return pc_fail(PC_ESHAPE, "plot: series '%s' has %lld values for %d groups", name, (long long)*n, p->o.ngroups);
  return PC_OK;
}

static int grow(pc_plot *p) {
  if (p->nseries < p->room) return PC_OK;
  int room = p->room ? 2 * p->room : 8;
  pc_series *bigger = pc_realloc(p->series, (size_t)room * sizeof *bigger);
  if (!bigger) return PC_ENOMEM;
  p->series = bigger;
  p->room = room;
  return PC_OK;
}

int pc_plot_add(pc_plot *p, const pc_series_opts *o) {
  int64_t n = 0;
  int rc = check_series(p, o, &n);
  if (rc < 0 || (rc = grow(p)) < 0) return rc;
  pc_series s = {.kind = o->kind,
                 .n = n,
                 .dashed = o->dashed || p->nseries / PC_SERIES_COLORS % 2,
                 .color = (o->color.given ? o->color.value - 1 : p->nseries) % PC_SERIES_COLORS};
  s.band = o->sd || o->low || (o->y->ndim == 2 && o->y->size[0] > 1);
  s.x = pc_malloc((size_t)(4 * n + 1) * sizeof *s.x);
  s.name = clean_copy(o->name);
  if (!s.x || (o->name && *o->name && !s.name)) {
    pc_free(s.x);
    pc_free(s.name);
    return PC_ENOMEM;
  }
  s.y = s.x + n, s.low = s.y + n, s.high = s.low + n;
  for (int64_t i = 0; i < n; i++) {
    double sd = NAN;
    s.x[i] = o->x ? pc_at(o->x, i) : (double)(i + 1);
    if (o->y->ndim == 2)
      column(o->y, i, &s.y[i], &sd);
    else
      s.y[i] = pc_at(o->y, i);
    if (o->sd) sd = fabs(pc_at(o->sd, i));
    s.low[i] = o->low ? pc_at(o->low, i) : s.y[i] - sd;
    s.high[i] = o->high ? pc_at(o->high, i) : s.y[i] + sd;
  }
  p->series[p->nseries++] = s;
  return PC_OK;
}

static int check_heat(const pc_plot *p, const pc_heat_opts *o) {
  const pc_tensor *v = o->values;
  if (p->heat || p->nseries) return pc_fail(PC_ESTATE, "plot: a heat map is alone in its plot");
  if (!v || v->ndim != 2 || pc_numel(v) == 0 || v->size[0] > 400 || v->size[1] > 400)
    return pc_fail(PC_ESHAPE, "plot: heat map: values have shape %s; (rows,columns), 1 to 400 each, is needed",
                   v ? pc_shape_str(v) : "()");
  if (o->framed && !pc_same_shape(v, o->framed))
    return pc_fail(PC_ESHAPE, "plot: heat map: framed has shape %s, values %s", pc_shape_str(o->framed),
                   pc_shape_str(v));
  if (o->nrow_labels && o->nrow_labels != v->size[0])
    return pc_fail(PC_ESHAPE, "plot: heat map: %d row labels for %lld rows", o->nrow_labels, (long long)v->size[0]);
  if (o->ncol_labels && o->ncol_labels != v->size[1])
    return pc_fail(PC_ESHAPE, "plot: heat map: %d column labels for %lld columns", o->ncol_labels,
                   (long long)v->size[1]);
  return o->has_limits ? check_limits("limits", (double[]){o->low, o->high}, 0) : PC_OK;
}

int pc_plot_heat(pc_plot *p, const pc_heat_opts *o) {
  int rc = check_heat(p, o);
  if (rc < 0) return rc;
  pc_heat *h = pc_calloc(1, sizeof *h);
  if (!h) return PC_ENOMEM;
  p->heat = h; /* the plot lets go of it, whatever happens below */
  h->rows = o->values->size[0], h->cols = o->values->size[1];
  h->row_label = copy_labels(o->row_labels, o->nrow_labels, h->rows, &rc);
  h->col_label = copy_labels(o->col_labels, o->ncol_labels, h->cols, &rc);
  h->frame_name = clean_copy(o->frame_name);
  int64_t n = h->rows * h->cols;
  h->value = pc_malloc((size_t)n * sizeof *h->value);
  h->framed = pc_calloc((size_t)n, 1);
  if (rc < 0 || !h->value || !h->framed) return PC_ENOMEM;
  h->low = INFINITY, h->high = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    double v = h->value[i] = pc_at(o->values, i);
    if (o->framed) h->framed[i] = pc_at(o->framed, i) == 2 ? 2 : pc_at(o->framed, i) != 0;
    if (isfinite(v)) h->low = fmin(h->low, v), h->high = fmax(h->high, v);
  }
  if (o->has_limits) h->low = o->low, h->high = o->high;
  if (!(h->low <= h->high)) h->low = 0, h->high = 1;
  return PC_OK;
}

static int draw(pc_canvas **out, const pc_plot *p, int svg, int dark, double scale) {
  int bars = 0;
  int rc = pc_canvas_new(out, svg, p->o.width, p->o.height, scale, dark, p->title);
  if (rc < 0) return rc;
  double top = pc_draw_head(*out, p);
  for (int i = 0; i < p->nseries; i++) bars |= p->series[i].kind == PC_SERIES_BARS;
  if (p->heat)
    pc_draw_heat(*out, p, top);
  else if (bars || p->o.ngroups)
    pc_draw_bars(*out, p, top);
  else
    pc_draw_xy(*out, p, top);
  return PC_OK;
}

int pc_plot_svg(char **out, const pc_plot *p, int dark) {
  pc_canvas *c;
  *out = NULL;
  int rc = draw(&c, p, 1, dark, 1);
  if (rc == PC_OK) rc = pc_canvas_svg(out, c);
  pc_canvas_free(c);
  return rc;
}

int pc_plot_pixels(pc_tensor **out, const pc_plot *p, int dark, double scale) {
  pc_canvas *c;
  *out = NULL;
  int rc = draw(&c, p, 0, dark, scale);
  if (rc == PC_OK) rc = pc_canvas_pixels(out, c);
  pc_canvas_free(c);
  return rc;
}

static int ends(const char *path, const char *with) {
  size_t n = strlen(path), m = strlen(with);
  return n > m && !strcmp(path + n - m, with);
}

static int write_text(const char *path, const char *text) {
  pc_file_writer w = {0};
  int rc = pc_file_begin(&w, path);
  if (rc == PC_OK) rc = pc_file_write(&w, text, strlen(text));
  if (rc == PC_OK) return pc_file_commit(&w);
  pc_file_abort(&w);
  return rc;
}

int pc_plot_save(const char *path, const pc_plot *p, int dark, double scale) {
  char *text;
  pc_tensor *t;
  int rc;
  if (ends(path, ".svg")) {
    if ((rc = pc_plot_svg(&text, p, dark)) < 0) return rc;
    rc = write_text(path, text);
    pc_free(text);
    return rc;
  }
  if (!ends(path, ".png")) return pc_fail(PC_EARG, "plot: save: %s ends in neither .svg nor .png", path);
  if ((rc = pc_plot_pixels(&t, p, dark, scale)) < 0) return rc;
  rc = pc_png_write(path, t, NULL);
  pc_tensor_release(t);
  return rc;
}

int pc_plot_css(char **out, int dark, const char *selector) {
  size_t room = 64 * (strlen(selector) + 48), at = 0;
  *out = pc_malloc(room);
  if (!*out) return PC_ENOMEM;
  for (uint32_t k = 0; k < PC_INK_FRAME + PC_SERIES_COLORS; k++) {
    uint32_t ink = k < PC_INK_FRAME ? k + 1 : PC_INK_SERIES + k - PC_INK_FRAME;
    unsigned rgb = pc_ink_rgb(ink, dark);
    at += (size_t)snprintf(*out + at, room - at, "%s .f-%s{fill:#%06x}%s .s-%s{stroke:#%06x}\n", selector,
                           pc_ink_name(ink), rgb, selector, pc_ink_name(ink), rgb);
  }
  return PC_OK;
}
