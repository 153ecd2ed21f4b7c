/* sprites_dataset.c: sprites as a data set, with shapes and colours as factors. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "datasets/arrays.h"
#include "datasets/sprites_impl.h"

static const char *const colours[PC_SPRITES_COLOURS] = {"red", "yellow", "green", "cyan", "blue", "magenta"};
static const char *const latent_names[PC_SPRITES_LATENTS] = {"shape", "x", "y", "scale", "hue", "angle"};

/* The columns of one world: per object a shape, a colour and five numbers. */
typedef struct columns {
  int64_t n, k;
  pc_dataset_factor factor[2 * PC_SPRITES_MAX_OBJECTS];
  pc_dataset_column numeric[(PC_SPRITES_LATENTS - 1) * PC_SPRITES_MAX_OBJECTS];
  int nfactor, nnumeric;
  const char *value[2 * PC_SPRITES_MAX_OBJECTS][PC_SHAPE_KINDS]; /* 8, more than the colours */
  char name[(2 + PC_SPRITES_LATENTS) * PC_SPRITES_MAX_OBJECTS][16];
  int64_t *index; /* (2 k, n) */
  double *number; /* (5 k, n) */
} columns;

static double latent(const pc_tensor *t, int64_t i, int64_t k, int l) {
  int64_t at = (i * t->size[1] + k) * PC_SPRITES_LATENTS + l;
  return t->dtype == PC_F32 ? (double)pc_f32(t)[at] : pc_f64(t)[at];
}

/* The colour a hue is nearest to; red lies at both ends. */
static int colour_of(double hue) { return (int)(hue * PC_SPRITES_COLOURS + 0.5) % PC_SPRITES_COLOURS; }

/* A factor of classes 0..m-1 in index[0..n): values are the classes that occur, in order. */
static void add_factor(columns *c, const char *what, int64_t object, int64_t *index, const char *const *names, int m) {
  int at[PC_SHAPE_KINDS] = {0}, f = c->nfactor++, nvalues = 0;
  for (int64_t i = 0; i < c->n; i++) at[index[i]] = 1;
  for (int v = 0; v < m; v++)
    if (at[v]) {
      c->value[f][nvalues] = names[v];
      at[v] = nvalues++;
    }
  for (int64_t i = 0; i < c->n; i++) index[i] = at[index[i]] + PC_INDEX_BASE;
  snprintf(c->name[f], sizeof c->name[f], "%s%d", what, (int)object + 1);
  c->factor[f] = (pc_dataset_factor){c->name[f], nvalues, c->value[f], index};
}

static void fill(columns *c, const pc_sprites_world *w, const pc_tensor *latents) {
  const char *shapes[PC_SHAPE_KINDS];
  for (int s = 0; s < w->nshapes; s++) shapes[s] = pc_sprites_shape_names[w->shape[s]];
  for (int64_t k = 0; k < c->k; k++) {
    int64_t *shape = c->index + 2 * k * c->n, *colour = shape + c->n;
    for (int64_t i = 0; i < c->n; i++) {
      shape[i] = (int64_t)latent(latents, i, k, PC_SPRITES_SHAPE) - PC_INDEX_BASE;
      colour[i] = colour_of(latent(latents, i, k, PC_SPRITES_HUE));
    }
    add_factor(c, "shape", k, shape, shapes, w->nshapes);
    add_factor(c, "color", k, colour, colours, PC_SPRITES_COLOURS);
    for (int l = PC_SPRITES_X; l < PC_SPRITES_LATENTS; l++) {
      double *v = c->number + c->nnumeric * c->n;
      char *name = c->name[2 * PC_SPRITES_MAX_OBJECTS + c->nnumeric];
      for (int64_t i = 0; i < c->n; i++) v[i] = latent(latents, i, k, l);
      snprintf(name, sizeof c->name[0], "%s%d", latent_names[l], (int)k + 1);
      c->numeric[c->nnumeric++] = (pc_dataset_column){name, v};
    }
  }
}

int pc_sprites_dataset(pc_dataset **out, int64_t n, const pc_sprites_opts *opts) {
  pc_sprites_world w;
  pc_tensor *unit = NULL, *latents = NULL, *images = NULL, *masks = NULL;
  pc_licence licence = {0};
  columns *c = NULL;
  *out = NULL;
  int rc = pc_sprites_resolve(&w, opts);
  if (rc == PC_OK) rc = pc_sprites_sample(&unit, n, opts);
  if (rc == PC_OK) rc = pc_sprites_latents(&latents, unit, opts);
  if (rc == PC_OK) rc = pc_sprites_render(&images, &masks, latents, PC_U8, opts);
  if (rc == PC_OK && (c = pc_calloc(1, sizeof *c))) {
    c->n = n;
    c->k = w.K;
    c->index = pc_malloc((size_t)(2 * w.K * n) * sizeof *c->index);
    c->number = pc_malloc((size_t)((PC_SPRITES_LATENTS - 1) * w.K * n) * sizeof *c->number);
  }
  if (rc == PC_OK && (!c || !c->index || !c->number)) rc = PC_ENOMEM;
  if (rc == PC_OK) rc = pc_licence_copy(&licence, "drawn by the program", "", 0);
  if (rc == PC_OK) {
    fill(c, &w, latents);
    pc_arrays_parts p = {.kind = "sprites", .images = images, .masks = masks, .white = 255};
    p.facts = (pc_dataset_facts){.name = "sprites",
                                 .licence = &licence,
                                 .factor = c->factor,
                                 .nfactor = c->nfactor,
                                 .numeric = c->numeric,
                                 .nnumeric = c->nnumeric,
                                 .latents = latents,
                                 .unit = unit};
    rc = pc_arrays_new(out, &p);
  }
  pc_tensor *const all[] = {unit, latents, images, masks};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
  if (c) pc_free(c->index), pc_free(c->number);
  pc_free(c);
  pc_licence_clear(&licence);
  return rc;
}
