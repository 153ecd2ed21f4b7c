/* Groups of bars with error bars. */
#include <math.h>
#include <stdio.h>

#include "plot/draw.h"

enum { SLANT = 35, LONGEST = 130 }; /* degrees; pixels of a slanted label */

static const char *group_name(const pc_plot *p, int g) { return p->groups[g] ? p->groups[g] : ""; }

static double widest_group(const pc_plot *p) {
  double most = 0;
  for (int g = 0; g < p->o.ngroups; g++) most = fmax(most, pc_label_width(group_name(p, g), PC_FONT, 0));
  return most;
}

/* Names of groups under the panel: level where they fit, else slanted. */
static void draw_groups(pc_canvas *c, const pc_plot *p, const pc_panel *a, int slanted) {
  double each = a->w / p->o.ngroups;
  /* more names than lines of text have room: every k-th */
  int every = (int)ceil((PC_FONT + 4) / each);
  for (int g = 0; g < p->o.ngroups; g += every) {
    char name[PC_NAME_MAX + 8];
    double x = a->x + each * (g + 0.5), y = a->y + a->h + 5 + PC_FONT;
    snprintf(name, sizeof name, "%s", group_name(p, g));
    if (slanted) {
      pc_text_fit(name, sizeof name, PC_FONT, 0, fmin(LONGEST, (x + 4) / cos(SLANT * 3.14159265 / 180)));
      pc_canvas_text(c, x + 4, y,
                     &(pc_face){.size = PC_FONT, .ink = PC_INK_TEXT, .anchor = PC_ANCHOR_END, .angle = SLANT}, name);
    } else {
      pc_canvas_text(c, x, y, &(pc_face){.size = PC_FONT, .ink = PC_INK_TEXT, .anchor = PC_ANCHOR_MIDDLE}, name);
    }
  }
}

static void draw_error_bar(pc_canvas *c, double x, double a, double b, double cap) {
  const pc_pen pen = {.stroke = PC_INK_TEXT, .width = 1.2};
  pc_canvas_line(c, x, a, x, b, &pen);
  pc_canvas_line(c, x - cap, a, x + cap, a, &pen);
  pc_canvas_line(c, x - cap, b, x + cap, b, &pen);
}

/* The size of the largest value. */
static double largest(const pc_plot *p) {
  double lo, hi;
  int64_t hidden = 0, whole = 1;
  if (!pc_y_range(p, 0, &lo, &hi, &hidden)) return 0;
  for (int i = 0; whole && i < p->nseries; i++)
    for (int64_t k = 0; whole && k < p->series[i].n; k++)
      whole = !isfinite(p->series[i].y[k]) || p->series[i].y[k] == floor(p->series[i].y[k]);
  double most = fmax(fabs(lo), fabs(hi));
  return whole && most > 1 ? INFINITY : most; /* whole numbers are written as such, ones and zeros may be shares */
}

/* One bar with its error bar and, if there is room, its number. */
static void draw_bar(pc_canvas *c, const pc_plot *p, const pc_panel *a, const pc_axis *y, const pc_series *s, int g,
                     double x, double w) {
  double zero = a->y + a->h * (1 - (y->log ? 0 : pc_axis_map(y, fmin(fmax(0, y->lo), y->hi))));
  double top = a->y + a->h * (1 - pc_axis_map(y, s->y[g]));
  if (!isfinite(top)) return;
  double end = top;
  pc_canvas_clip(c, a->x, a->y - 1, a->w, a->h + 1);
  pc_canvas_rect(c, x, fmin(zero, top), w, fabs(top - zero), &(pc_pen){.fill = PC_INK_SERIES + (uint32_t)s->color});
  if (s->band && isfinite(s->high[g]) && isfinite(s->low[g])) {
    double low = a->y + a->h * (1 - pc_axis_map(y, s->low[g])), high = a->y + a->h * (1 - pc_axis_map(y, s->high[g]));
    if (!isfinite(low)) low = a->y + a->h;
    draw_error_bar(c, x + w / 2, low, high, fmin(4, w / 3));
    end = s->y[g] < 0 ? low : high;
  }
  pc_canvas_unclip(c);
  if (!pc_int_or(p->o.numbers, 0)) return;
  char text[32];
  pc_format_among(text, sizeof text, s->y[g], largest(p), pc_int_or(p->o.digits, 3));
  if (pc_label_width(text, PC_FONT_SMALL, 0) > w + 8) return;
  double at = s->y[g] < 0 ? end + PC_FONT_SMALL + 2 : end - 4;
  pc_canvas_text(c, x + w / 2, fmax(at, a->y - 2),
                 &(pc_face){.size = PC_FONT_SMALL, .ink = PC_INK_MUTED, .anchor = PC_ANCHOR_MIDDLE}, text);
}

void pc_draw_bars(pc_canvas *c, const pc_plot *p, double top) {
  double lo, hi;
  int64_t hidden = 0;
  int empty = !pc_y_range(p, (p->o.yscale == PC_SCALE_LOG), &lo, &hi, &hidden) || p->o.ngroups == 0;
  if (empty) lo = (p->o.yscale == PC_SCALE_LOG) ? 0.1 : 0, hi = 1;
  if (!(p->o.yscale == PC_SCALE_LOG)) lo = fmin(lo, 0), hi = fmax(hi, 0);
  if ((p->o.yscale == PC_SCALE_LOG)) lo /= 1.5; /* the shortest bar is seen, too */
  if (p->o.has_ylim) lo = p->o.ylim[0], hi = p->o.ylim[1];
  double widest = widest_group(p), below = PC_FONT + 8;
  int slanted = widest > (p->o.width - 80) / fmax(p->o.ngroups, 1) - 6;
  if (slanted) below = fmin(widest, LONGEST) * sin(SLANT * 3.14159265 / 180) + PC_FONT + 8;
  pc_panel a = {.y = top + (pc_int_or(p->o.numbers, 0) ? 6 : 0)};
  a.h = fmax(p->o.height - a.y - PC_EDGE - below - (p->xlabel ? PC_FONT + 6 : 0), 20);
  pc_axis y;
  pc_axis_make(&y, lo, hi, (p->o.yscale == PC_SCALE_LOG), !p->o.has_ylim, (int)(a.h / 45));
  a.x = PC_EDGE + (p->ylabel || y.note[0] ? PC_FONT + 7 : 0) + pc_axis_width(&y) + 8;
  a.w = fmax(p->o.width - PC_EDGE - a.x, 20);
  pc_draw_axes(c, p, &a, NULL, &y);
  if (p->o.ngroups) draw_groups(c, p, &a, slanted);
  double each = a.w / fmax(p->o.ngroups, 1), gap = each * 0.18;
  double w = (each - gap) / fmax(p->nseries, 1);
  double bar = fmin(w * 0.92, 56); /* one bar alone is no wall */
  for (int g = 0; g < p->o.ngroups; g++)
    for (int i = 0; i < p->nseries; i++) {
      double middle = a.x + each * (g + 0.5) + (i - (p->nseries - 1) / 2.) * fmin(w, 60);
      draw_bar(c, p, &a, &y, &p->series[i], g, middle - bar / 2, bar);
    }
  if (!y.log && y.lo < 0 && y.hi > 0) {
    double zero = a.y + a.h * (1 - pc_axis_map(&y, 0));
    pc_canvas_line(c, a.x, zero, a.x + a.w, zero, &(pc_pen){.stroke = PC_INK_AXIS});
  }
  pc_draw_note(c, p, &a, hidden, empty);
}
