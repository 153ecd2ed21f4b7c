/* arrays.c: images in memory as a data set; files are arrays_file.c. */
#include "datasets/arrays.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "formats/file.h"

PC_OPTIONS_TABLE(pc_arrays_options, "arrays", pc_arrays_opts, PC_ARRAYS_OPTIONS);

typedef struct arrays {
  pc_dataset_class cls;      /* its kind is the caller's text, copied */
  char *kind;                /* the same, ours to free */
  pc_tensor *images, *masks; /* contiguous (N,H,W,C stored), (N,H,W) u8 or NULL */
  int64_t channels;          /* given out: the stored ones, or one repeated */
} arrays;

/* ---- reading ---- */

static void copy_images(void *to, const pc_tensor *t, int64_t pixels, int repeat, pc_dtype dtype) {
  const uint8_t *u = t->dtype == PC_U8 ? pc_u8(t) : NULL;
  const float *f = u ? NULL : pc_f32(t);
  for (int64_t i = 0; i < pixels; i++)
    for (int c = 0; c < repeat; c++) {
      int64_t at = i * repeat + c;
      if (dtype == PC_U8)
        ((uint8_t *)to)[at] = u ? u[i] : (uint8_t)(f[i] * 255.0f + 0.5f);
      else
        ((float *)to)[at] = u ? (float)u[i] / 255.0f : f[i];
    }
}

static int images(void *ctx, pc_tensor **out, const pc_tensor *index, pc_dtype dtype) {
  const arrays *a = ctx;
  pc_tensor *rows = NULL;
  int rc = pc_dataset_rows(&rows, a->images, index);
  int64_t size[4] = {0};
  if (rc == PC_OK) {
    memcpy(size, rows->size, sizeof size);
    size[3] = a->channels;
    rc = pc_tensor_empty(out, dtype, 4, size);
  }
  if (rc == PC_OK) copy_images(pc_data(*out), rows, pc_numel(rows), (int)(a->channels / a->images->size[3]), dtype);
  pc_tensor_release(rows);
  return rc;
}

static int masks(void *ctx, pc_tensor **out, const pc_tensor *index) {
  return pc_dataset_rows(out, ((arrays *)ctx)->masks, index);
}

static void release(void *ctx) {
  arrays *a = ctx;
  if (!a) return;
  pc_tensor_release(a->images);
  pc_tensor_release(a->masks);
  pc_free(a->kind);
  pc_free(a);
}

/* ---- what is given ---- */

/* u8 of which `white` is full. */
static int whiten(arrays *a, double white) {
  pc_tensor *t;
  int rc = pc_clone(&t, a->images);
  for (int64_t i = 0, n = rc == PC_OK ? pc_numel(t) : 0; rc == PC_OK && i < n; i++) {
    double v = pc_u8(t)[i];
    if (v > white)
      rc = pc_fail(PC_EARG, "%s: images: a pixel is %g and white is %g; pixels go from 0 to white", a->kind, v, white);
    else
      pc_u8(t)[i] = (uint8_t)(v * 255 / white + 0.5);
  }
  if (rc == PC_OK) pc_tensor_release(a->images), a->images = t;
  if (rc < 0) pc_tensor_release(t);
  return rc;
}

static int check_floats(const arrays *a) {
  for (int64_t i = 0, n = pc_numel(a->images); i < n; i++) {
    float v = pc_f32(a->images)[i];
    if (!(v >= 0 && v <= 1))
      return pc_fail(PC_EARG, "%s: images: number %lld is %g; f32 images lie in [0,1]", a->kind, (long long)i + 1,
                     (double)v);
  }
  return PC_OK;
}

static int take_images(arrays *a, const pc_arrays_parts *p) {
  const pc_tensor *t = p->images;
  pc_tensor *wide = NULL, *flat = NULL;
  if (!t) return pc_fail(PC_EARG, "%s: images: none were given; (N,H,W,C) are needed", a->kind);
  if (t->ndim != 3 && t->ndim != 4)
    return pc_fail(PC_ESHAPE, "%s: images are %s; (N,H,W,C), or (N,H,W) of one channel, are needed", a->kind,
                   pc_shape_str(t));
  if (t->dtype != PC_U8 && !pc_dtype_is_float((pc_dtype)t->dtype))
    return pc_fail(PC_EDTYPE, "%s: images are %s; u8, or f32 in [0,1], are needed", a->kind,
                   pc_dtype_name((pc_dtype)t->dtype));
  if (!pc_numel(t)) return pc_fail(PC_ESHAPE, "%s: images are %s: there are none", a->kind, pc_shape_str(t));
  int rc = pc_to_dtype(&wide, t, t->dtype == PC_U8 ? PC_U8 : PC_F32);
  if (rc == PC_OK) rc = pc_contiguous(&flat, wide);
  if (rc == PC_OK)
    rc = pc_view_reshape(&a->images, flat, 4,
                         (int64_t[]){t->size[0], t->size[1], t->size[2], t->ndim == 4 ? t->size[3] : 1});
  pc_tensor_release(wide);
  pc_tensor_release(flat);
  if (rc < 0) return rc;
  int64_t stored = a->images->size[3];
  a->channels = p->channels.given ? p->channels.value : stored == 1 ? 3 : stored;
  if (a->channels != stored && stored != 1)
    return pc_fail(PC_ESHAPE, "%s: images have %lld channels, %lld are asked for; only one channel can be repeated",
                   a->kind, (long long)stored, (long long)a->channels);
  if (a->images->dtype == PC_F32) return check_floats(a);
  return p->white == 255 ? PC_OK : whiten(a, p->white);
}

static int take_masks(arrays *a, const pc_arrays_parts *p) {
  const pc_tensor *t = p->masks;
  pc_tensor *wide = NULL, *flat = NULL, *narrow = NULL;
  if (!t) return PC_OK;
  if (pc_dtype_is_float((pc_dtype)t->dtype))
    return pc_fail(PC_EDTYPE, "%s: masks are %s; whole numbers are needed", a->kind, pc_dtype_name((pc_dtype)t->dtype));
  if (t->ndim != 3 || memcmp(t->size, a->images->size, 3 * sizeof *t->size))
    return pc_fail(PC_ESHAPE, "%s: masks are %s and images %s; (N,H,W) must be the same", a->kind, pc_shape_str(t),
                   pc_shape_str(a->images));
  int rc = pc_to_dtype(&wide, t, PC_I64);
  if (rc == PC_OK) rc = pc_contiguous(&flat, wide);
  for (int64_t i = 0, n = rc == PC_OK ? pc_numel(flat) : 0; rc == PC_OK && i < n; i++)
    if (pc_i64(flat)[i] < 0 || pc_i64(flat)[i] > 255)
      rc = pc_fail(PC_EARG, "%s: masks: a label is %lld; labels go from 0 to 255", a->kind, (long long)pc_i64(flat)[i]);
  if (rc == PC_OK) rc = pc_to_dtype(&narrow, t, PC_U8);
  if (rc == PC_OK) rc = pc_contiguous(&a->masks, narrow);
  pc_tensor_release(wide);
  pc_tensor_release(flat);
  pc_tensor_release(narrow);
  return rc;
}

/* ---- digest ---- */

enum { LINE = 160 };

static char *line_of(char *to, const char *name, const pc_tensor *t) {
  char hex[PC_DIGEST_SIZE] = "";
  pc_tensor *flat = NULL, *any = NULL;
  if (t && pc_to_dtype(&any, t, (pc_dtype)t->dtype) == PC_OK && pc_contiguous(&flat, any) == PC_OK)
    pc_digest(hex, pc_data(flat), (size_t)pc_numel(flat) * pc_dtype_size((pc_dtype)flat->dtype));
  int n = snprintf(to, LINE, "%.30s %s %s %s\n", name, t ? pc_dtype_name((pc_dtype)t->dtype) : "",
                   t ? pc_shape_str(t) : "", hex);
  pc_tensor_release(flat);
  pc_tensor_release(any);
  return to + n;
}

static char *line_of_bytes(char *to, const char *name, const void *data, size_t n) {
  char hex[PC_DIGEST_SIZE];
  pc_digest(hex, data, n);
  return to + snprintf(to, LINE, "%.80s %s\n", name, hex);
}

static int digest_of(char out[PC_DIGEST_SIZE], const arrays *a, const pc_dataset_facts *f) {
  size_t lines = 5 + (size_t)f->nnumeric;
  for (int i = 0; i < f->nfactor; i++) lines += 1 + (size_t)f->factor[i].nvalues;
  char *text = pc_malloc(lines * LINE), *at = text;
  if (!text) return PC_ENOMEM;
  at = line_of(at, "images", a->images);
  at = line_of(at, "masks", a->masks);
  at = line_of(at, "latents", f->latents);
  at = line_of(at, "unit", f->unit);
  at += snprintf(at, LINE, "channels %lld\n", (long long)a->channels);
  for (int i = 0; i < f->nfactor; i++) {
    at = line_of_bytes(at, f->factor[i].name, f->factor[i].index, (size_t)f->count * sizeof *f->factor[i].index);
    for (int64_t v = 0; v < f->factor[i].nvalues; v++)
      at = line_of_bytes(at, "value", f->factor[i].value[v], strlen(f->factor[i].value[v]));
  }
  for (int i = 0; i < f->nnumeric; i++)
    at = line_of_bytes(at, f->numeric[i].name, f->numeric[i].value, (size_t)f->count * sizeof *f->numeric[i].value);
  pc_digest(out, text, (size_t)(at - text));
  pc_free(text);
  return PC_OK;
}

int pc_arrays_new(pc_dataset **out, const pc_arrays_parts *p) {
  arrays *a = pc_calloc(1, sizeof *a);
  char digest[PC_DIGEST_SIZE];
  pc_dataset_facts f = p->facts;
  *out = NULL;
  if (!a || !(a->kind = pc_strdup(p->kind ? p->kind : "arrays"))) return release(a), PC_ENOMEM;
  int rc = take_images(a, p);
  if (rc == PC_OK) rc = take_masks(a, p);
  if (rc == PC_OK) {
    a->cls = (pc_dataset_class){a->kind, images, a->masks ? masks : NULL, NULL, release};
    f.count = a->images->size[0];
    f.height = a->images->size[1];
    f.width = a->images->size[2];
    f.channels = a->channels;
    rc = digest_of(digest, a, &f);
    f.digest = digest;
  }
  if (rc == PC_OK) rc = pc_dataset_new(out, &a->cls, a, &f);
  if (rc < 0) release(a);
  return rc;
}
