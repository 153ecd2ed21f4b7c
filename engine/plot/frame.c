/* What surrounds the data: title, legend, axes, grid, notes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot/draw.h"

enum { SWATCH = 18, GAP = 16, ROW = 17, MOST_ROWS = 5 };

/* Title in one line, or two. Returns the y below. */
static double draw_title(pc_canvas *c, const pc_plot *p) {
  char line[PC_NAME_MAX + 8];
  const pc_face face = {.size = PC_FONT_TITLE, .bold = 1, .ink = PC_INK_TEXT};
  double room = p->o.width - 2 * PC_EDGE, y = PC_EDGE + PC_FONT_TITLE;
  if (!p->title) return PC_EDGE - 2;
  snprintf(line, sizeof line, "%s", p->title);
  if (pc_label_width(line, face.size, 1) > room) { /* the longest first line that ends at a blank */
    char *cut = NULL;
    for (char *b = strchr(line, ' '); b; b = strchr(b + 1, ' ')) {
      *b = '\0';
      int fits = pc_label_width(line, face.size, 1) <= room;
      *b = ' ';
      if (!fits) break;
      cut = b;
    }
    if (cut) {
      *cut = '\0';
      pc_canvas_text(c, PC_EDGE, y, &face, line);
      memmove(line, cut + 1, strlen(cut + 1) + 1);
      y += PC_FONT_TITLE + 4;
    }
    pc_text_fit(line, sizeof line, face.size, 1, room);
  }
  pc_canvas_text(c, PC_EDGE, y, &face, line);
  return y + 6;
}

static void draw_swatch(pc_canvas *c, const pc_series *s, double x, double y) {
  uint32_t ink = PC_INK_SERIES + (uint32_t)s->color;
  if (s->kind == PC_SERIES_BARS)
    pc_canvas_rect(c, x + 4, y - 5, 10, 10, &(pc_pen){.fill = ink});
  else if (s->kind != PC_SERIES_POINTS)
    pc_canvas_line(c, x, y, x + SWATCH - 2, y, &(pc_pen){.stroke = ink, .width = 2, .dash = s->dashed});
  if (s->kind == PC_SERIES_POINTS || s->kind == PC_SERIES_BOTH)
    pc_canvas_circle(c, x + SWATCH / 2. - 1, y, 3.2, &(pc_pen){.fill = ink});
}

/* Entries flow into at most MOST_ROWS rows; what does not fit is counted. */
static double draw_legend(pc_canvas *c, const pc_plot *p, double top) {
  double room = p->o.width - 2 * PC_EDGE, x = PC_EDGE, y = top + ROW / 2.;
  int named = 0, shown = 0, row = 1;
  for (int i = 0; i < p->nseries; i++) named += p->series[i].name != NULL;
  if (named < 2 - (p->nseries > 1) || !p->o.legend || p->heat) return top;
  for (int i = 0; i < p->nseries; i++) {
    char name[PC_NAME_MAX + 8], rest[40] = "";
    if (!p->series[i].name) continue;
    snprintf(name, sizeof name, "%s", p->series[i].name);
    pc_text_fit(name, sizeof name, PC_FONT, 0, room - SWATCH - 4);
    double w = SWATCH + 4 + pc_label_width(name, PC_FONT, 0);
    double tail = 0; /* room for "and 12 more" in the last row */
    if (row == MOST_ROWS && shown + 1 < named) {
      snprintf(rest, sizeof rest, "and %d more", named - shown);
      tail = pc_label_width(rest, PC_FONT, 0) + GAP;
    }
    if (x > PC_EDGE && x + w + tail > PC_EDGE + room) {
      if (row == MOST_ROWS) {
        pc_canvas_text(c, x, y + 4, &(pc_face){.size = PC_FONT, .ink = PC_INK_MUTED}, rest);
        break;
      }
      x = PC_EDGE, y += ROW, row++;
    }
    draw_swatch(c, &p->series[i], x, y);
    pc_canvas_text(c, x + SWATCH + 4, y + 4, &(pc_face){.size = PC_FONT, .ink = PC_INK_TEXT}, name);
    x += w + GAP;
    shown++;
  }
  return y + ROW / 2.;
}

double pc_draw_head(pc_canvas *c, const pc_plot *p) { return draw_legend(c, p, draw_title(c, p)) + 8; }

double pc_axis_width(const pc_axis *a) {
  double most = 0;
  for (int i = 0; i < a->n; i++) most = fmax(most, pc_label_width(a->label[i], PC_FONT, 0));
  return most;
}

static void draw_x(pc_canvas *c, const pc_panel *p, const pc_axis *x) {
  const pc_face face = {.size = PC_FONT, .ink = PC_INK_MUTED, .anchor = PC_ANCHOR_MIDDLE};
  double bottom = p->y + p->h, free_from = -1e9;
  for (int i = 0; i < x->n; i++) {
    double at = p->x + p->w * pc_axis_map(x, x->at[i]);
    double half = pc_label_width(x->label[i], PC_FONT, 0) / 2;
    pc_canvas_line(c, at, p->y, at, bottom, &(pc_pen){.stroke = PC_INK_GRID});
    pc_canvas_line(c, at, bottom, at, bottom + 4, &(pc_pen){.stroke = PC_INK_AXIS});
    if (at - half < free_from) continue; /* it would touch the label before */
    pc_canvas_text(c, at, bottom + 6 + PC_FONT, &face, x->label[i]);
    free_from = at + half + 6;
  }
}

static void draw_y(pc_canvas *c, const pc_panel *p, const pc_axis *y) {
  const pc_face face = {.size = PC_FONT, .ink = PC_INK_MUTED, .anchor = PC_ANCHOR_END};
  for (int i = 0; i < y->n; i++) {
    double at = p->y + p->h * (1 - pc_axis_map(y, y->at[i]));
    pc_canvas_line(c, p->x, at, p->x + p->w, at, &(pc_pen){.stroke = PC_INK_GRID});
    pc_canvas_text(c, p->x - 7, at + 4, &face, y->label[i]);
  }
}

/* An axis label, with the axis's power of ten. */
static void axis_label(char *buf, size_t size, const char *label, const pc_axis *a) {
  const char *note = a ? a->note : "";
  if (!*note)
    snprintf(buf, size, "%s", label ? label : "");
  else if (label)
    snprintf(buf, size, "%s (%s)", label, note);
  else
    snprintf(buf, size, "%s", note);
}

void pc_draw_axes(pc_canvas *c, const pc_plot *p, const pc_panel *panel, const pc_axis *x, const pc_axis *y) {
  char text[PC_NAME_MAX + 40];
  pc_face face = {.size = PC_FONT, .ink = PC_INK_TEXT, .anchor = PC_ANCHOR_MIDDLE};
  if (y) draw_y(c, panel, y);
  if (x) draw_x(c, panel, x);
  double bottom = panel->y + panel->h;
  pc_canvas_line(c, panel->x, bottom, panel->x + panel->w, bottom, &(pc_pen){.stroke = PC_INK_AXIS});
  axis_label(text, sizeof text, p->xlabel, x);
  pc_text_fit(text, sizeof text, PC_FONT, 0, panel->w);
  pc_canvas_text(c, panel->x + panel->w / 2, p->o.height - PC_EDGE + 1, &face, text);
  axis_label(text, sizeof text, p->ylabel, y);
  pc_text_fit(text, sizeof text, PC_FONT, 0, panel->h);
  face.angle = 90;
  pc_canvas_text(c, PC_EDGE + PC_FONT - 2, panel->y + panel->h / 2, &face, text);
}

static void widen(double v, int log, double *lo, double *hi, int64_t *hidden) {
  if (!isfinite(v)) return;
  if (log && v <= 0) {
    if (hidden) ++*hidden;
    return;
  }
  *lo = fmin(*lo, v);
  *hi = fmax(*hi, v);
}

int pc_y_range(const pc_plot *p, int log, double *lo, double *hi, int64_t *hidden) {
  *lo = INFINITY, *hi = -INFINITY;
  for (int i = 0; i < p->nseries; i++) {
    const pc_series *s = &p->series[i];
    for (int64_t k = 0; k < s->n; k++) {
      widen(s->y[k], log, lo, hi, hidden);
      if (!s->band || !isfinite(s->y[k])) continue;
      widen(s->low[k], log, lo, hi, NULL);
      widen(s->high[k], log, lo, hi, NULL);
    }
  }
  return *lo <= *hi;
}

void pc_draw_note(pc_canvas *c, const pc_plot *p, const pc_panel *panel, int64_t hidden, int empty) {
  char text[80];
  if (empty)
    pc_canvas_text(c, panel->x + panel->w / 2, panel->y + panel->h / 2,
                   &(pc_face){.size = PC_FONT + 1, .ink = PC_INK_MUTED, .anchor = PC_ANCHOR_MIDDLE}, "no data");
  if (hidden == 0) return;
  snprintf(text, sizeof text, "%lld value%s \xe2\x89\xa4 0 not shown", (long long)hidden, hidden == 1 ? "" : "s");
  pc_canvas_text(c, panel->x + panel->w - 4, panel->y + panel->h - 6,
                 &(pc_face){.size = PC_FONT_SMALL, .ink = PC_INK_MUTED, .anchor = PC_ANCHOR_END}, text);
}
