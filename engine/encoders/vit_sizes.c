/* vit_sizes.c: Vision Transformers by name, and their positions on another grid; see vit.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "encoders/vit.h"

/* ---- names ---- */

static const struct {
  const char *name;
  int64_t width, depth, heads, ff;
} sizes[] = {{"tiny", 192, 12, 3, 768},    {"small", 384, 12, 6, 1536},   {"medium", 512, 12, 8, 2048},
             {"base", 768, 12, 12, 3072},  {"large", 1024, 24, 16, 4096}, {"so400m", 1152, 27, 16, 4304},
             {"huge", 1280, 32, 16, 5120}, {"giant", 1408, 40, 16, 6144}};

/* The number behind a word's letters, or -1 unless it is made of them and digits: number("patch16", "patch") is 16. */
static int64_t number(const char *word, const char *letters) {
  size_t n = strlen(letters), digits = strspn(word + (strncmp(word, letters, n) ? 0 : n), "0123456789");
  return strncmp(word, letters, n) || !digits || word[n + digits] || digits > 6 ? -1 : strtol(word + n, NULL, 10);
}

/* What a name has said so far. */
typedef struct said {
  int width, height;
} said;

static void set_side(pc_vit_opts *o, int64_t side) {
  o->height = side;
  o->width_px = (pc_maybe_int64){0, 0};
}

static int word_of_name(pc_vit_opts *o, const char *w, said *n) {
  int64_t k;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (!strcmp(w, sizes[i].name)) {
      o->width = sizes[i].width, o->depth = sizes[i].depth;
      o->heads = (pc_maybe_int64)PC_GIVEN(sizes[i].heads), o->ff = (pc_maybe_int64)PC_GIVEN(sizes[i].ff);
      n->width = 1;
      return PC_OK;
    }
  if ((k = number(w, "patch")) > 0) {
    o->patch = k;
  } else if ((k = number(w, "reg")) > 0) {
    o->registers = k, o->class_position = (pc_maybe_int)PC_GIVEN(0);
  } else if ((k = number(w, "")) > 0) {
    set_side(o, k);
    n->height = 1;
  } else if (!strcmp(w, "clip")) {
    o->pre_norm = 1, o->patch_bias = 0, o->eps = PC_NORM_EPS;
  } else if (!strcmp(w, "quickgelu")) {
    o->activation = PC_ACTIVATION_quick_gelu;
  } else if (!strcmp(w, "siglip") || !strcmp(w, "gap")) {
    o->class_token = 0;
  } else if (!strcmp(w, "dinov2")) {
    o->layer_scale = (pc_maybe_num)PC_GIVEN(1e-5);
    if (!n->height) set_side(o, 518);
  } else if (strcmp(w, "vit") && strcmp(w, "dino")) {
    return PC_ENOTFOUND;
  }
  return PC_OK;
}

int pc_vit_preset(pc_vit_opts *o, const char *name) {
  char word[32];
  said so_far = {0, 0};
  for (const char *at = name; *at;) {
    size_t n = strcspn(at, "_.");
    int rc = n < sizeof word ? PC_OK : PC_ENOTFOUND;
    if (rc == PC_OK) {
      memcpy(word, at, n);
      word[n] = 0;
      rc = word_of_name(o, word, &so_far);
    }
    if (rc < 0)
      return pc_fail(PC_EARG,
                     "vit: '%.*s' in the name '%s' is not understood; names are like vit_small_patch16_224, "
                     "vit_base_patch14_reg4_dinov2, vit_base_patch16_clip_224; sizes tiny, small, medium, base, large, "
                     "so400m, huge, giant",
                     (int)n, at, name);
    at += n + (at[n] != 0);
  }
  return so_far.width ? PC_OK
                      : pc_fail(PC_EARG, "vit: the name '%s' says no size, as vit_small_patch16_224 does", name);
}

/* ---- positions on another grid ---- */

/* Keys' kernel: 1 at 0, 0 at the other whole numbers. */
static double cubic(double x, double a) {
  x = fabs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* r (to,from): weights of the old cells in each new one. */
static void axis(double *r, int64_t from, int64_t to, const pc_vit_grid_opts *o) {
  double scale = (double)from / ((double)to + o->offset);
  memset(r, 0, sizeof *r * (size_t)(from * to));
  for (int64_t i = 0; i < to; i++, r += from) {
    double at = scale * ((double)i + 0.5), sum = 0;
    if (!o->antialias) {
      int64_t first = (int64_t)floor(at - 0.5) - 1;
      for (int64_t j = first; j < first + 4; j++)
        r[j < 0 ? 0 : j < from ? j : from - 1] += cubic(at - 0.5 - (double)j, -0.75);
      continue;
    }
    double wide = scale > 1 ? scale : 1;
    int64_t lo = (int64_t)floor(at - 2 * wide + 0.5), hi = (int64_t)floor(at + 2 * wide + 0.5);
    if (lo < 0) lo = 0;
    if (hi > from) hi = from;
    for (int64_t j = lo; j < hi; j++) sum += r[j] = cubic(((double)j + 0.5 - at) / wide, -0.5);
    for (int64_t j = lo; j < hi; j++) r[j] /= sum;
  }
}

/* y (to_h,to_w,d) = rows x columns^T for every number of a cell; t (to_h,from_w,d) between */
static void blend(float *y, const float *x, double *t, const double *rows, const double *columns, const int64_t from[2],
                  const int64_t to[2], int64_t d) {
  int64_t line = from[1] * d;
  for (int64_t i = 0; i < to[0]; i++)
    for (int64_t j = 0; j < from[0]; j++) {
      double w = rows[i * from[0] + j];
      for (int64_t k = 0; k < line && w != 0; k++) t[i * line + k] += w * x[j * line + k];
    }
  for (int64_t i = 0; i < to[0]; i++)
    for (int64_t j = 0; j < to[1]; j++)
      for (int64_t c = 0; c < d; c++) {
        double sum = 0;
        for (int64_t k = 0; k < from[1]; k++) sum += columns[j * from[1] + k] * t[i * line + k * d + c];
        y[(i * to[1] + j) * d + c] = (float)sum;
      }
}

PC_OPTIONS_TABLE(pc_vit_grid_options, "positions", pc_vit_grid_opts, PC_VIT_GRID_OPTIONS);

int pc_vit_positions(pc_tensor **out, pc_tensor *table, const int64_t from[2], const int64_t to[2],
                     const pc_vit_grid_opts *o) {
  *out = NULL;
  int rc = pc_options_check(&pc_vit_grid_options, "positions", o);
  if (rc < 0) return rc;
  if (from[0] < 1 || from[1] < 1 || to[0] < 1 || to[1] < 1 || to[0] > 4096 || to[1] > 4096 || from[0] > 4096 ||
      from[1] > 4096)
    return pc_fail(PC_EARG, "positions: grids of %lld x %lld and %lld x %lld cells: 1 to 4096 a side",
                   (long long)from[0], (long long)from[1], (long long)to[0], (long long)to[1]);
  if (table->ndim != 2 || table->dtype != PC_F32 || table->size[0] != o->prefix + from[0] * from[1])
    return pc_fail(PC_ESHAPE, "positions: an f32 table (%lld + %lld x %lld, width) is expected, got %s",
                   (long long)o->prefix, (long long)from[0], (long long)from[1], pc_shape_str(table));
  int64_t d = table->size[1], n = to[0] * to[1], head = o->prefix * d;
  pc_tensor *x = NULL;
  rc = pc_contiguous(&x, table);
  if (rc == PC_OK) rc = pc_tensor_empty(out, PC_F32, 2, (int64_t[]){o->prefix + n, d});
  double *rows = pc_malloc(sizeof *rows * (size_t)(from[0] * to[0])),
         *columns = pc_malloc(sizeof *columns * (size_t)(from[1] * to[1])),
         *between = pc_calloc((size_t)(to[0] * from[1] * (d ? d : 1)), sizeof *between);
  if (rc == PC_OK && (!rows || !columns || !between)) rc = PC_ENOMEM;
  if (rc == PC_OK && from[0] == to[0] && from[1] == to[1]) {
    rc = pc_copy_into(*out, x);
  } else if (rc == PC_OK) {
    axis(rows, from[0], to[0], o);
    axis(columns, from[1], to[1], o);
    memcpy(pc_f32(*out), pc_f32(x), sizeof(float) * (size_t)head);
    blend(pc_f32(*out) + head, pc_f32(x) + head, between, rows, columns, from, to, d);
  }
  pc_free(rows);
  pc_free(columns);
  pc_free(between);
  pc_tensor_release(x);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}
