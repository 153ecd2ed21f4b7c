/* Heat maps: a table whose cells are coloured, with frames around some. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot/draw.h"

enum { LONGEST = 140, KEY = 12 };

static double widest(char *const *label, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; i++)
    if (label[i]) most = fmax(most, pc_label_width(label[i], PC_FONT, 0));
  return fmin(most, LONGEST);
}

static uint32_t cell_rgb(const pc_heat *h, double v) {
  double span = h->high - h->low;
  return pc_colormap(span > 0 ? (v - h->low) / span : 0.5);
}

/* All numbers of a map have the same decimals; whole numbers have none. */
static void cell_text(char *buf, int size, const pc_plot *p, double v) {
  const pc_heat *h = p->heat;
  int whole = 1;
  for (int64_t i = 0; whole && i < h->rows * h->cols; i++)
    whole = !isfinite(h->value[i]) || h->value[i] == floor(h->value[i]);
  if (whole)
    pc_format_number(buf, size, v, 1);
  else
    pc_format_among(buf, size, v, fmax(fabs(h->low), fabs(h->high)), pc_int_or(p->o.digits, 2));
}

static void draw_cells(pc_canvas *c, const pc_plot *p, const pc_panel *a) {
  const pc_heat *h = p->heat;
  double cw = a->w / (double)h->cols, ch = a->h / (double)h->rows;
  double gap = cw > 12 && ch > 12 ? 1 : 0;
  for (int64_t i = 0; i < h->rows * h->cols; i++) {
    double v = h->value[i], x = a->x + cw * (double)(i % h->cols), y = a->y + ch * (double)(i / h->cols);
    char text[32] = "";
    uint32_t fill = isfinite(v) ? PC_INK_RGB | cell_rgb(h, v) : PC_INK_GRID;
    pc_canvas_rect(c, x + gap / 2, y + gap / 2, cw - gap, ch - gap, &(pc_pen){.fill = fill});
    if (!pc_int_or(p->o.numbers, 1) || ch < PC_FONT_SMALL + 2) continue;
    cell_text(text, sizeof text, p, v);
    if (pc_label_width(text, PC_FONT_SMALL, 0) > cw - 2) continue;
    pc_canvas_text(c, x + cw / 2, y + ch / 2 + 3.5,
                   &(pc_face){.size = PC_FONT_SMALL,
                              .anchor = PC_ANCHOR_MIDDLE,
                              .ink = isfinite(v) ? pc_contrast_ink(fill & 0xffffff) : PC_INK_MUTED},
                   text);
  }
  double in = fmin(2, fmin(cw, ch) / 6);
  for (int64_t i = 0; i < h->rows * h->cols; i++) { /* over all cells: red, with light around it for dark cells */
    double x = a->x + cw * (double)(i % h->cols), y = a->y + ch * (double)(i / h->cols);
    if (!h->framed[i]) continue;
    pc_canvas_rect(c, x + in, y + in, cw - 2 * in, ch - 2 * in,
                   &(pc_pen){.stroke = PC_INK_RGB | 0xffffff, .width = 2 * in});
    pc_canvas_rect(c, x + in, y + in, cw - 2 * in, ch - 2 * in,
                   &(pc_pen){.stroke = PC_INK_FRAME, .width = in, .dash = h->framed[i] == 2});
  }
}

static void draw_labels(pc_canvas *c, const pc_plot *p, const pc_panel *a, int slanted) {
  const pc_heat *h = p->heat;
  char text[PC_NAME_MAX + 8];
  double cw = a->w / (double)h->cols, ch = a->h / (double)h->rows;
  int64_t every_row = (int64_t)ceil((PC_FONT + 1) / ch), every_col = (int64_t)ceil((PC_FONT + 2) / cw);
  for (int64_t r = 0; r < h->rows; r += every_row) {
    if (!h->row_label[r]) continue;
    snprintf(text, sizeof text, "%s", h->row_label[r]);
    pc_text_fit(text, sizeof text, PC_FONT, 0, LONGEST);
    pc_canvas_text(c, a->x - 6, a->y + ch * ((double)r + 0.5) + 4,
                   &(pc_face){.size = PC_FONT, .ink = PC_INK_TEXT, .anchor = PC_ANCHOR_END}, text);
  }
  for (int64_t k = 0; k < h->cols; k += every_col) {
    double x = a->x + cw * ((double)k + 0.5), y = a->y + a->h + 5 + PC_FONT;
    if (!h->col_label[k]) continue;
    snprintf(text, sizeof text, "%s", h->col_label[k]);
    pc_text_fit(text, sizeof text, PC_FONT, 0, LONGEST);
    pc_canvas_text(c, slanted ? x + 4 : x, slanted ? y - 2 : y,
                   &(pc_face){.size = PC_FONT,
                              .ink = PC_INK_TEXT,
                              .anchor = slanted ? PC_ANCHOR_END : PC_ANCHOR_MIDDLE,
                              .angle = slanted ? 45 : 0},
                   text);
  }
}

/* The colours and what they stand for, along the right side. */
static void draw_key(pc_canvas *c, const pc_plot *p, const pc_panel *a, const pc_axis *key) {
  double x = a->x + a->w + 14;
  enum { STEPS = 48 };
  for (int i = 0; i < STEPS; i++) /* each reaches under its neighbour: no seam */
    pc_canvas_rect(c, x, a->y + a->h * i / STEPS, KEY, a->h / STEPS + (i + 1 < STEPS ? 0.8 : 0),
                   &(pc_pen){.fill = PC_INK_RGB | pc_colormap(1 - (i + 0.5) / STEPS)});
  for (int i = 0; i < key->n; i++) {
    double y = a->y + a->h * (1 - pc_axis_map(key, key->at[i]));
    pc_canvas_line(c, x + KEY, y, x + KEY + 3, y, &(pc_pen){.stroke = PC_INK_AXIS});
    pc_canvas_text(c, x + KEY + 6, y + 4, &(pc_face){.size = PC_FONT, .ink = PC_INK_MUTED}, key->label[i]);
  }
  if (key->note[0])
    pc_canvas_text(c, x + KEY + 6, a->y + a->h + 5 + PC_FONT, &(pc_face){.size = PC_FONT, .ink = PC_INK_MUTED},
                   key->note);
}

/* What a frame means, over the panel. */
static double draw_frame_legend(pc_canvas *c, const pc_plot *p, double top) {
  char text[PC_NAME_MAX + 8];
  if (!p->heat->frame_name) return top;
  snprintf(text, sizeof text, "%s", p->heat->frame_name);
  pc_text_fit(text, sizeof text, PC_FONT, 0, p->o.width - 2 * PC_EDGE - 20);
  pc_canvas_rect(c, PC_EDGE + 1, top - 1, 12, 12, &(pc_pen){.stroke = PC_INK_FRAME, .width = 2});
  pc_canvas_text(c, PC_EDGE + 20, top + 9, &(pc_face){.size = PC_FONT, .ink = PC_INK_TEXT}, text);
  return top + 20;
}

void pc_draw_heat(pc_canvas *c, const pc_plot *p, double top) {
  const pc_heat *h = p->heat;
  pc_axis key;
  top = draw_frame_legend(c, p, top);
  double rows = widest(h->row_label, h->rows), cols = widest(h->col_label, h->cols);
  pc_panel a = {.x = PC_EDGE + (p->ylabel ? PC_FONT + 7 : 0) + (rows > 0 ? rows + 6 : 0), .y = top};
  pc_axis_make(&key, h->low, h->high, 0, 0, 5);
  a.w = fmax(p->o.width - a.x - 14 - KEY - 8 - pc_axis_width(&key) - PC_EDGE, 20);
  int slanted = cols > a.w / (double)h->cols - 4;
  double below = cols == 0 ? 4 : slanted ? cols * 0.7071 + PC_FONT + 6 : PC_FONT + 8;
  if (slanted) { /* the first name leans out to the left */
    double out = cols * 0.7071 - (a.x - 2) - a.w / (double)h->cols / 2;
    if (out > 0) a.x += out, a.w = fmax(a.w - out, 20);
  }
  a.h = fmax(p->o.height - top - PC_EDGE - below - (p->xlabel ? PC_FONT + 6 : 0), 20);
  draw_cells(c, p, &a);
  draw_labels(c, p, &a, slanted);
  draw_key(c, p, &a, &key);
  pc_face face = {.size = PC_FONT, .ink = PC_INK_MUTED, .anchor = PC_ANCHOR_MIDDLE};
  if (p->xlabel) pc_canvas_text(c, a.x + a.w / 2, p->o.height - PC_EDGE + 1, &face, p->xlabel);
  face.angle = 90;
  if (p->ylabel) pc_canvas_text(c, PC_EDGE + PC_FONT - 2, a.y + a.h / 2, &face, p->ylabel);
}
