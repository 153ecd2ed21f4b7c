/* Lines, bands and points. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "plot/draw.h"

typedef struct frame { /* where things stand */
  pc_panel panel;
  pc_axis x, y;
} frame;

static double px(const frame *f, double v) { return f->panel.x + f->panel.w * pc_axis_map(&f->x, v); }
static double py(const frame *f, double v) { return f->panel.y + f->panel.h * (1 - pc_axis_map(&f->y, v)); }

static int x_range(const pc_plot *p, double *lo, double *hi, int64_t *hidden) {
  *lo = INFINITY, *hi = -INFINITY;
  for (int i = 0; i < p->nseries; i++)
    for (int64_t k = 0; k < p->series[i].n; k++) {
      double v = p->series[i].x[k];
      if (!isfinite(v)) continue;
      if ((p->o.xscale == PC_SCALE_LOG) && v <= 0) {
        ++*hidden;
        continue;
      }
      *lo = fmin(*lo, v), *hi = fmax(*hi, v);
    }
  return *lo <= *hi;
}

/* Axes from limits or data; the panel from the room that their labels leave. */
static int64_t lay_out(frame *f, const pc_plot *p, double top, int *empty) {
  double lo, hi, xlo, xhi;
  int64_t hidden = 0;
  int points = 0;
  for (int i = 0; i < p->nseries; i++) points |= p->series[i].kind != PC_SERIES_LINE;
  *empty = !pc_y_range(p, (p->o.yscale == PC_SCALE_LOG), &lo, &hi, &hidden);
  if (!x_range(p, &xlo, &xhi, &hidden)) *empty = 1;
  if (*empty) lo = xlo = (p->o.yscale == PC_SCALE_LOG) || (p->o.xscale == PC_SCALE_LOG) ? 0.1 : 0, hi = xhi = 1;
  if (p->o.zero && !(p->o.yscale == PC_SCALE_LOG)) lo = fmin(lo, 0), hi = fmax(hi, 0);
  if (p->o.has_ylim) lo = p->o.ylim[0], hi = p->o.ylim[1];
  if (p->o.has_xlim) xlo = p->o.xlim[0], xhi = p->o.xlim[1];
  f->panel.y = top;
  f->panel.h = fmax(p->o.height - top - PC_EDGE - PC_FONT - 8 - (p->xlabel ? PC_FONT + 6 : 0), 20);
  pc_axis_make(&f->y, lo, hi, (p->o.yscale == PC_SCALE_LOG), !p->o.has_ylim, (int)(f->panel.h / 45));
  f->panel.x = PC_EDGE + (p->ylabel || f->y.note[0] ? PC_FONT + 7 : 0) + pc_axis_width(&f->y) + 8;
  f->panel.w = fmax(p->o.width - PC_EDGE - 6 - f->panel.x, 20);
  /* points at the border stay whole */
  if (points && !p->o.has_xlim && !(p->o.xscale == PC_SCALE_LOG) && xhi > xlo) {
    double pad = (xhi - xlo) * 0.02;
    xlo -= pad, xhi += pad;
  }
  pc_axis_make(&f->x, xlo, xhi, (p->o.xscale == PC_SCALE_LOG), 0, (int)(f->panel.w / 78));
  if (f->x.note[0] && !p->xlabel) f->panel.h -= PC_FONT + 6;
  double over = f->x.n ? pc_label_width(f->x.label[f->x.n - 1], PC_FONT, 0) / 2 - PC_EDGE : 0;
  if (over > 0) f->panel.w -= over;
  return hidden;
}

/* The next run of shown points from *i on: their pixels into xy; returns how many. A gap ends it. */
static int64_t next_run(const frame *f, const pc_series *s, int64_t *i, double *xy) {
  int64_t n = 0;
  while (*i < s->n && !(isfinite(px(f, s->x[*i])) && isfinite(py(f, s->y[*i])))) ++*i;
  for (; *i < s->n; ++*i, n++) {
    xy[2 * n] = px(f, s->x[*i]);
    xy[2 * n + 1] = py(f, s->y[*i]);
    if (!isfinite(xy[2 * n]) || !isfinite(xy[2 * n + 1])) break;
  }
  return n;
}

/* Points that share a half-pixel column: the first, lowest, highest and last stay, in their order. */
static int64_t thin(double *xy, int64_t n) {
  int64_t out = 0, i = 0;
  if (n < 1000) return n;
  while (i < n) {
    double col = floor(2 * xy[2 * i]);
    int64_t end = i, keep[4] = {i, i, i, i};
    for (; end < n && floor(2 * xy[2 * end]) == col; end++) {
      if (xy[2 * end + 1] < xy[2 * keep[1] + 1]) keep[1] = end;
      if (xy[2 * end + 1] > xy[2 * keep[2] + 1]) keep[2] = end;
    }
    keep[3] = end - 1;
    if (keep[1] > keep[2]) {
      int64_t t = keep[1];
      keep[1] = keep[2], keep[2] = t;
    }
    for (int k = 0; k < 4; k++)
      if (k == 0 || keep[k] != keep[k - 1]) memmove(xy + 2 * out++, xy + 2 * keep[k], 2 * sizeof *xy);
    i = end;
  }
  return out;
}

static void draw_band(pc_canvas *c, const frame *f, const pc_series *s, double *xy) {
  const pc_pen pen = {.fill = PC_INK_SERIES + (uint32_t)s->color, .alpha = 0.2};
  int64_t step = s->n / 1000 + 1; /* a band is smooth: a thousand of its points do */
  for (int64_t i = 0; i < s->n;) {
    int64_t n = 0, from = i;
    for (; i < s->n; i++) {
      double x = px(f, s->x[i]), high = py(f, s->high[i]);
      if (!isfinite(x) || !isfinite(py(f, s->y[i])) || !isfinite(high)) break;
      if ((i - from) % step && i + 1 < s->n) continue;
      xy[2 * n] = x, xy[2 * n++ + 1] = high;
    }
    int64_t last = i;
    for (int64_t k = last - 1; k >= from; k--) {
      if ((k - from) % step && k + 1 < s->n) continue;
      double low = py(f, s->low[k]); /* below a log axis: its end */
      xy[2 * n] = px(f, s->x[k]), xy[2 * n++ + 1] = isfinite(low) ? low : f->panel.y + f->panel.h;
    }
    if (last - from > 1) pc_canvas_path(c, n, xy, 1, &pen);
    if (i == from) i++;
  }
}

static void draw_error_bars(pc_canvas *c, const frame *f, const pc_series *s) {
  const pc_pen pen = {.stroke = PC_INK_SERIES + (uint32_t)s->color, .width = 1.2};
  for (int64_t i = 0; i < s->n; i++) {
    double x = px(f, s->x[i]), a = py(f, s->low[i]), b = py(f, s->high[i]);
    if (!isfinite(x) || !isfinite(py(f, s->y[i])) || !isfinite(b)) continue;
    if (!isfinite(a)) a = f->panel.y + f->panel.h;
    pc_canvas_line(c, x, a, x, b, &pen);
    pc_canvas_line(c, x - 3, a, x + 3, a, &pen);
    pc_canvas_line(c, x - 3, b, x + 3, b, &pen);
  }
}

static void draw_series(pc_canvas *c, const frame *f, const pc_series *s, double *xy) {
  uint32_t ink = PC_INK_SERIES + (uint32_t)s->color;
  if (s->kind == PC_SERIES_LINE || s->kind == PC_SERIES_BOTH)
    for (int64_t i = 0; i < s->n;) {
      int64_t n = next_run(f, s, &i, xy);
      if (n == 1) { /* between two gaps: a line would not be seen */
        pc_canvas_circle(c, xy[0], xy[1], 2.5, &(pc_pen){.fill = ink});
      } else {
        n = thin(xy, n);
        pc_canvas_path(c, n, xy, 0, &(pc_pen){.stroke = ink, .width = 1.8, .dash = s->dashed});
      }
    }
  if (s->kind == PC_SERIES_POINTS || s->kind == PC_SERIES_BOTH) {
    if (s->band && s->kind == PC_SERIES_POINTS) draw_error_bars(c, f, s);
    double r = s->n > 400 ? 2 : 3.4;
    for (int64_t i = 0; i < s->n; i++) {
      double x = px(f, s->x[i]), y = py(f, s->y[i]);
      if (isfinite(x) && isfinite(y))
        pc_canvas_circle(c, x, y, r, &(pc_pen){.fill = ink, .alpha = s->n > 60 ? 0.65 : 0.9});
    }
  }
}

void pc_draw_xy(pc_canvas *c, const pc_plot *p, double top) {
  frame f;
  int empty;
  int64_t most = 1;
  int64_t hidden = lay_out(&f, p, top, &empty);
  for (int i = 0; i < p->nseries; i++) most = p->series[i].n > most ? p->series[i].n : most;
  double *xy = pc_malloc((size_t)(4 * most + 8) * sizeof *xy);
  pc_draw_axes(c, p, &f.panel, &f.x, &f.y);
  if (!xy) {
    pc_canvas_fail(c, PC_ENOMEM);
    return;
  }
  /* lines may stand on the border with half their width */
  pc_canvas_clip(c, f.panel.x - 3, f.panel.y - 3, f.panel.w + 6, f.panel.h + 6);
  for (int i = 0; i < p->nseries; i++)
    if (p->series[i].band && p->series[i].kind != PC_SERIES_POINTS) draw_band(c, &f, &p->series[i], xy);
  for (int i = 0; i < p->nseries; i++) draw_series(c, &f, &p->series[i], xy);
  pc_canvas_unclip(c);
  pc_free(xy);
  pc_draw_note(c, p, &f.panel, hidden, empty);
}
