#include "datasets/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

struct pc_dataset {
  int refs;
  const pc_dataset_class *cls;
  void *ctx;
  pc_dataset_facts f; /* our own copies */
  pc_licence licence;
};

/* ---- what is refused ---- */

static int refuse_member(const pc_dataset_class *cls, const char *member, const char *what, int64_t got) {
  return pc_fail(PC_EARG, "%s: %s: expected %s, got %lld", cls->kind, member, what, (long long)got);
}

static int check_sizes(const pc_dataset_class *cls, const pc_dataset_facts *f) {
  const struct {
    const char *name;
    int64_t value, most;
  } row[] = {{"count", f->count, INT64_MAX},
             {"height", f->height, 1 << 14},
             {"width", f->width, 1 << 14},
             {"channels", f->channels, 64}};
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    if (row[i].value < 1) return refuse_member(cls, row[i].name, "a whole number from 1", row[i].value);
    if (row[i].value > row[i].most) return refuse_member(cls, row[i].name, "fewer", row[i].value);
  }
  const char *const text[] = {"name", f->name, "digest", f->digest};
  for (int i = 0; i < 4; i += 2)
    if (!text[i + 1] || !*text[i + 1]) return pc_fail(PC_EARG, "%s: %s: a text is needed", cls->kind, text[i]);
  return cls->images ? PC_OK : pc_fail(PC_EARG, "%s: images: a function is needed", cls->kind);
}

static int check_values(const pc_dataset_class *cls, const pc_dataset_factor *f) {
  if (f->nvalues < 1 || !f->value) return pc_fail(PC_EARG, "%s: factor '%s' has no values", cls->kind, f->name);
  for (int64_t v = 0; v < f->nvalues; v++) {
    if (!f->value[v])
      return pc_fail(PC_EARG, "%s: factor '%s': value %lld has no name", cls->kind, f->name, (long long)v + 1);
    for (int64_t w = 0; f->nvalues <= 4096 && w < v; w++) /* sorted ones of a table beyond: distinct by construction */
      if (!strcmp(f->value[v], f->value[w]))
        return pc_fail(PC_EARG, "%s: factor '%s': values %lld and %lld are both named '%s'", cls->kind, f->name,
                       (long long)w + 1, (long long)v + 1, f->value[v]);
  }
  return PC_OK;
}

static int check_factor(const pc_dataset_class *cls, const pc_dataset_facts *all, const pc_dataset_factor *f) {
  if (!f->name || !*f->name) return pc_fail(PC_EARG, "%s: a factor has no name", cls->kind);
  int rc = check_values(cls, f);
  if (rc < 0) return rc;
  if (!f->index) return pc_fail(PC_EARG, "%s: factor '%s' has no index", cls->kind, f->name);
  for (int64_t i = 0; i < all->count; i++)
    if (f->index[i] < PC_INDEX_BASE || f->index[i] >= f->nvalues + PC_INDEX_BASE)
      return pc_fail(PC_EARG, "%s: factor '%s': image %lld has value %lld; its values are numbered from %d to %lld",
                     cls->kind, f->name, (long long)i + PC_INDEX_BASE, (long long)f->index[i], PC_INDEX_BASE,
                     (long long)f->nvalues - 1 + PC_INDEX_BASE);
  return PC_OK;
}

static int check_column(const pc_dataset_class *cls, const pc_dataset_facts *all, const pc_dataset_column *c) {
  if (!c->name || !*c->name || !c->value)
    return pc_fail(PC_EARG, "%s: a numeric column has no name or no values", cls->kind);
  for (int64_t i = 0; i < all->count; i++)
    if (!isfinite(c->value[i]))
      return pc_fail(PC_EARG, "%s: numeric column '%s': image %lld has %g; finite numbers are needed", cls->kind,
                     c->name, (long long)i + PC_INDEX_BASE, c->value[i]);
  return PC_OK;
}

static const char *column_name(const pc_dataset_facts *f, int i) {
  return i < f->nfactor ? f->factor[i].name : f->numeric[i - f->nfactor].name;
}

static int check_latents(const pc_dataset_class *cls, const pc_dataset_facts *f) {
  const pc_tensor *const t[2] = {f->latents, f->unit};
  for (int i = 0; i < 2; i++) {
    if (!t[i]) continue;
    if (!pc_dtype_is_float((pc_dtype)t[i]->dtype) || t[i]->ndim != 3 || t[i]->size[0] != f->count)
      return pc_fail(PC_ESHAPE, "%s: %s: f32 or f64 (%lld,K,L) are needed for %lld images, got %s %s", cls->kind,
                     i ? "unit" : "latents", (long long)f->count, (long long)f->count,
                     pc_dtype_name((pc_dtype)t[i]->dtype), pc_shape_str(t[i]));
  }
  return PC_OK;
}

static int check_facts(const pc_dataset_class *cls, const pc_dataset_facts *f) {
  int rc = check_sizes(cls, f);
  for (int i = 0; rc == PC_OK && i < f->nfactor; i++) rc = check_factor(cls, f, &f->factor[i]);
  for (int i = 0; rc == PC_OK && i < f->nnumeric; i++) rc = check_column(cls, f, &f->numeric[i]);
  for (int i = 0; rc == PC_OK && i < f->nfactor + f->nnumeric; i++)
    for (int j = 0; j < i; j++)
      if (!strcmp(column_name(f, i), column_name(f, j)))
        return pc_fail(PC_EARG, "%s: two columns are named '%s'", cls->kind, column_name(f, i));
  return rc < 0 ? rc : check_latents(cls, f);
}

/* ---- making one ---- */

static int copy_text(const char **out, const char *s) {
  if (!s) return PC_OK;
  return (*out = pc_strdup(s)) ? PC_OK : PC_ENOMEM;
}

static int copy_bytes(void *out, const void *from, size_t n) {
  void *p = pc_malloc(n);
  if (!p) return PC_ENOMEM;
  memcpy(p, from, n);
  memcpy(out, &p, sizeof p);
  return PC_OK;
}

static int copy_factor(pc_dataset_factor *to, const pc_dataset_factor *from, int64_t count) {
  const char **value = pc_calloc((size_t)from->nvalues, sizeof *value);
  to->value = value;
  to->nvalues = value ? from->nvalues : 0;
  int rc = value ? copy_text(&to->name, from->name) : PC_ENOMEM;
  for (int64_t v = 0; rc == PC_OK && v < from->nvalues; v++) rc = copy_text(&value[v], from->value[v]);
  return rc < 0 ? rc : copy_bytes(&to->index, from->index, (size_t)count * sizeof *to->index);
}

static int copy_tensor(const pc_tensor **out, const pc_tensor *t) {
  pc_tensor *own = NULL;
  int rc = t ? pc_clone(&own, t) : PC_OK;
  *out = own;
  return rc;
}

static int copy_facts(pc_dataset *ds, const pc_dataset_facts *f) {
  pc_dataset_factor *factor = pc_calloc((size_t)f->nfactor + 1, sizeof *factor);
  pc_dataset_column *numeric = pc_calloc((size_t)f->nnumeric + 1, sizeof *numeric);
  pc_dataset_facts *own = &ds->f;
  *own = (pc_dataset_facts){.count = f->count, .height = f->height, .width = f->width, .channels = f->channels};
  own->factor = factor;
  own->numeric = numeric;
  if (!factor || !numeric) return PC_ENOMEM;
  own->nfactor = f->nfactor;
  own->nnumeric = f->nnumeric;
  int rc = copy_text(&own->name, f->name);
  if (rc == PC_OK) rc = copy_text(&own->dir, f->dir ? f->dir : "");
  if (rc == PC_OK) rc = copy_text(&own->digest, f->digest);
  if (rc == PC_OK) rc = copy_text(&own->note, f->note ? f->note : "");
  for (int i = 0; rc == PC_OK && i < f->nfactor; i++) rc = copy_factor(&factor[i], &f->factor[i], f->count);
  for (int i = 0; rc == PC_OK && i < f->nnumeric; i++) {
    rc = copy_text(&numeric[i].name, f->numeric[i].name);
    if (rc == PC_OK) rc = copy_bytes(&numeric[i].value, f->numeric[i].value, (size_t)f->count * sizeof(double));
  }
  if (rc == PC_OK) rc = copy_tensor(&own->latents, f->latents);
  if (rc == PC_OK) rc = copy_tensor(&own->unit, f->unit);
  if (rc < 0) return rc;
  return f->licence ? pc_licence_copy(&ds->licence, f->licence->name, f->licence->notice, f->licence->restricted)
                    : pc_licence_copy(&ds->licence, "unknown", "", 0);
}

static void free_const(const void *p) {
  void *q;
  memcpy(&q, &p, sizeof q);
  pc_free(q);
}

static void release_const(const pc_tensor *t) {
  pc_tensor *q;
  memcpy(&q, &t, sizeof q);
  pc_tensor_release(q);
}

static void free_facts(pc_dataset_facts *f) {
  for (int i = 0; i < f->nfactor; i++) {
    for (int64_t v = 0; v < f->factor[i].nvalues; v++) free_const(f->factor[i].value[v]);
    free_const(f->factor[i].value);
    free_const(f->factor[i].name);
    free_const(f->factor[i].index);
  }
  for (int i = 0; i < f->nnumeric; i++) free_const(f->numeric[i].name), free_const(f->numeric[i].value);
  const void *const block[] = {f->factor, f->numeric, f->name, f->dir, f->digest, f->note};
  for (size_t i = 0; i < sizeof block / sizeof *block; i++) free_const(block[i]);
  release_const(f->latents);
  release_const(f->unit);
}

int pc_dataset_new(pc_dataset **out, const pc_dataset_class *cls, void *ctx, const pc_dataset_facts *facts) {
  *out = NULL;
  int rc = check_facts(cls, facts);
  if (rc < 0) return rc;
  pc_dataset *ds = pc_calloc(1, sizeof *ds);
  if (!ds) return PC_ENOMEM;
  ds->refs = 1;
  static const pc_dataset_class none = {.kind = ""};
  ds->cls = &none; /* while copying fails, ctx is not ours */
  if ((rc = copy_facts(ds, facts)) < 0) {
    pc_dataset_free(ds);
    return rc;
  }
  ds->cls = cls;
  ds->ctx = ctx;
  *out = ds;
  return PC_OK;
}

pc_dataset *pc_dataset_retain(pc_dataset *ds) {
  if (ds) __atomic_add_fetch(&ds->refs, 1, __ATOMIC_RELAXED);
  return ds;
}

void pc_dataset_free(pc_dataset *ds) {
  if (!ds || __atomic_sub_fetch(&ds->refs, 1, __ATOMIC_ACQ_REL)) return;
  if (ds->cls->free) ds->cls->free(ds->ctx);
  free_facts(&ds->f);
  pc_licence_clear(&ds->licence);
  pc_free(ds);
}

/* ---- facts ---- */

const char *pc_dataset_kind(const pc_dataset *ds) { return ds->cls->kind; }
const char *pc_dataset_name(const pc_dataset *ds) { return ds->f.name; }
const char *pc_dataset_dir(const pc_dataset *ds) { return ds->f.dir; }
const char *pc_dataset_digest(const pc_dataset *ds) { return ds->f.digest; }
const char *pc_dataset_note(const pc_dataset *ds) { return ds->f.note; }
const pc_licence *pc_dataset_licence(const pc_dataset *ds) { return &ds->licence; }
int64_t pc_dataset_count(const pc_dataset *ds) { return ds->f.count; }
int64_t pc_dataset_height(const pc_dataset *ds) { return ds->f.height; }
int64_t pc_dataset_width(const pc_dataset *ds) { return ds->f.width; }
int64_t pc_dataset_channels(const pc_dataset *ds) { return ds->f.channels; }
int pc_dataset_has_masks(const pc_dataset *ds) { return ds->cls->masks != NULL; }
int pc_dataset_has_latents(const pc_dataset *ds) { return ds->f.latents || ds->f.unit; }
const char *pc_dataset_filename(const pc_dataset *ds, int64_t i) {
  return ds->cls->filename ? ds->cls->filename(ds->ctx, i) : NULL;
}
int pc_dataset_nfactors(const pc_dataset *ds) { return ds->f.nfactor; }
int pc_dataset_nnumeric(const pc_dataset *ds) { return ds->f.nnumeric; }
const pc_dataset_factor *pc_dataset_factor_at(const pc_dataset *ds, int f) { return &ds->f.factor[f]; }
const pc_dataset_column *pc_dataset_numeric_at(const pc_dataset *ds, int c) { return &ds->f.numeric[c]; }

/* Columns from..to by name: factors, then numeric ones. */
static int find(int *out, const pc_dataset *ds, const char *name, int from, int to, const char *what) {
  char list[1200];
  size_t n = 0;
  list[0] = '\0';
  for (int i = from; i < to; i++) {
    if (!strcmp(column_name(&ds->f, i), name)) return *out = i - from, PC_OK;
    if (n < sizeof list)
      n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i > from ? ", " : "", column_name(&ds->f, i));
  }
  return pc_fail(PC_ENOTFOUND, "%s: no %s '%s'; there are: %s", ds->cls->kind, what, name, to > from ? list : "none");
}

int pc_dataset_factor_find(int *f, const pc_dataset *ds, const char *name) {
  return find(f, ds, name, 0, ds->f.nfactor, "factor");
}

int pc_dataset_numeric_find(int *c, const pc_dataset *ds, const char *name) {
  return find(c, ds, name, ds->f.nfactor, ds->f.nfactor + ds->f.nnumeric, "numeric column");
}

/* ---- by index ---- */

int pc_dataset_index(pc_tensor **out, const char *what, int64_t count, const pc_tensor *index) {
  pc_tensor *wide = NULL;
  *out = NULL;
  if (!index) return PC_OK;
  if (index->ndim != 1 || pc_dtype_is_float((pc_dtype)index->dtype) || index->dtype == PC_U8)
    return pc_fail(index->ndim != 1 ? PC_ESHAPE : PC_EDTYPE,
                   "%s: indices are a tensor of shape %s, dtype %s; i64 or i32 of shape (B) is needed", what,
                   pc_shape_str(index), pc_dtype_name((pc_dtype)index->dtype));
  int rc = pc_to_dtype(&wide, index, PC_I64);
  if (rc == PC_OK) rc = pc_contiguous(out, wide);
  pc_tensor_release(wide);
  for (int64_t i = 0, n = rc == PC_OK ? pc_numel(*out) : 0; rc == PC_OK && i < n; i++) {
    int64_t v = pc_i64(*out)[i];
    if (v < PC_INDEX_BASE || v >= count + PC_INDEX_BASE)
      rc = pc_fail(PC_EINDEX, "%s: index %lld at position %lld: the dataset has %lld images", what, (long long)v,
                   (long long)i + PC_INDEX_BASE, (long long)count);
  }
  if (rc < 0) pc_tensor_release(*out), *out = NULL;
  return rc;
}

int pc_dataset_rows(pc_tensor **out, const pc_tensor *t, const pc_tensor *index) {
  if (!index) return pc_clone(out, t);
  int64_t size[PC_MAX_DIM], n = pc_numel(index);
  for (int d = 0; d < t->ndim; d++) size[d] = d ? t->size[d] : n;
  int rc = pc_tensor_empty(out, (pc_dtype)t->dtype, t->ndim, size);
  if (rc < 0 || !t->size[0]) return rc;
  size_t row = (size_t)(pc_numel(t) / t->size[0]) * pc_dtype_size((pc_dtype)t->dtype);
  for (int64_t i = 0; i < n; i++)
    memcpy((char *)pc_data(*out) + row * (size_t)i,
           (const char *)pc_data(t) + row * (size_t)(pc_i64(index)[i] - PC_INDEX_BASE), row);
  return PC_OK;
}

int pc_dataset_pixels(pc_tensor **out, const pc_tensor *t, pc_dtype dtype) {
  pc_tensor *flat = NULL, *own = NULL;
  int real = pc_dtype_is_float((pc_dtype)t->dtype);
  *out = NULL;
  int rc = pc_to_dtype(&own, t, real ? PC_F32 : t->dtype == PC_U8 ? PC_U8 : PC_I64);
  if (rc == PC_OK) rc = pc_contiguous(&flat, own);
  if (rc == PC_OK && flat->dtype == dtype) *out = pc_tensor_retain(flat);
  if (rc == PC_OK && !*out) rc = pc_tensor_empty(out, dtype, flat->ndim, flat->size);
  for (int64_t i = 0, n = rc == PC_OK && flat->dtype != dtype ? pc_numel(flat) : 0; rc == PC_OK && i < n; i++) {
    double v = real ? (double)pc_f32(flat)[i] : flat->dtype == PC_U8 ? pc_u8(flat)[i] : (double)pc_i64(flat)[i];
    if (!(v >= 0 && v <= (real ? 1 : 255)))
      rc = pc_fail(PC_EARG, "a value of %g; %s is needed", v, real ? "[0,1]" : "0..255");
    else if (dtype == PC_U8)
      pc_u8(*out)[i] = (uint8_t)(real ? v * 255 + 0.5 : v);
    else
      pc_f32(*out)[i] = (float)v / 255.0f;
  }
  pc_tensor_release(own);
  pc_tensor_release(flat);
  if (rc < 0) pc_tensor_release(*out), *out = NULL;
  return rc;
}

/* v (count) of 8-byte numbers at an index. */
static int pick(pc_tensor **out, const pc_dataset *ds, const void *v, pc_dtype dtype, const pc_tensor *index) {
  pc_tensor *at;
  *out = NULL;
  int rc = pc_dataset_index(&at, ds->cls->kind, ds->f.count, index);
  if (rc < 0) return rc;
  int64_t n = at ? pc_numel(at) : ds->f.count;
  if ((rc = pc_tensor_empty(out, dtype, 1, &n)) == PC_OK)
    for (int64_t i = 0; i < n; i++)
      memcpy((char *)pc_data(*out) + 8 * i, (const char *)v + 8 * (at ? pc_i64(at)[i] - PC_INDEX_BASE : i), 8);
  pc_tensor_release(at);
  return rc;
}

int pc_dataset_factor_of(pc_tensor **out, const pc_dataset *ds, int f, const pc_tensor *index) {
  return pick(out, ds, ds->f.factor[f].index, PC_I64, index);
}

int pc_dataset_numeric_of(pc_tensor **out, const pc_dataset *ds, int c, const pc_tensor *index) {
  return pick(out, ds, ds->f.numeric[c].value, PC_F64, index);
}

int pc_dataset_latents(pc_tensor **out, const pc_dataset *ds, const pc_tensor *index, int unit) {
  const pc_tensor *t = unit ? ds->f.unit : ds->f.latents;
  pc_tensor *at;
  *out = NULL;
  if (!t)
    return pc_fail(PC_ESTATE, "%s %s: there are no %s", ds->cls->kind, ds->f.name, unit ? "unit latents" : "latents");
  int rc = pc_dataset_index(&at, ds->cls->kind, ds->f.count, index);
  if (rc == PC_OK) rc = pc_dataset_rows(out, t, at);
  pc_tensor_release(at);
  return rc;
}

/* Is what a class gave what was asked for? */
static int check_given(const pc_dataset *ds, const char *member, const pc_tensor *t, int64_t n, int masks,
                       pc_dtype dtype) {
  const int64_t size[4] = {n, ds->f.height, ds->f.width, ds->f.channels};
  int ndim = masks ? 3 : 4, same = t && t->ndim == ndim && t->dtype == dtype;
  for (int d = 0; same && d < ndim; d++) same = t->size[d] == size[d];
  if (same) return PC_OK;
  char want[80], got[120] = "nothing";
  if (masks)
    snprintf(want, sizeof want, "(%lld,%lld,%lld)", (long long)n, (long long)size[1], (long long)size[2]);
  else
    snprintf(want, sizeof want, "(%lld,%lld,%lld,%lld)", (long long)n, (long long)size[1], (long long)size[2],
             (long long)size[3]);
  if (t) snprintf(got, sizeof got, "%s %s", pc_dtype_name((pc_dtype)t->dtype), pc_shape_str(t));
  return pc_fail(PC_ESHAPE, "%s %s: %s of %lld indices are to be %s %s, got %s", ds->cls->kind, ds->f.name, member,
                 (long long)n, pc_dtype_name(dtype), want, got);
}

static int pixels(pc_tensor **out, const pc_dataset *ds, const pc_tensor *index, int masks, pc_dtype dtype) {
  pc_tensor *at;
  *out = NULL;
  int rc = pc_dataset_index(&at, ds->cls->kind, ds->f.count, index);
  if (rc < 0) return rc;
  rc = masks ? ds->cls->masks(ds->ctx, out, at) : ds->cls->images(ds->ctx, out, at, dtype);
  if (rc == PC_OK)
    rc = check_given(ds, masks ? "masks" : "images", *out, at ? pc_numel(at) : ds->f.count, masks, dtype);
  pc_tensor_release(at);
  if (rc < 0) pc_tensor_release(*out), *out = NULL;
  return rc;
}

int pc_dataset_images(pc_tensor **out, const pc_dataset *ds, const pc_tensor *index, pc_dtype dtype) {
  *out = NULL;
  if (dtype != PC_U8 && dtype != PC_F32)
    return pc_fail(PC_EDTYPE, "%s: images come as u8 or f32, not %s", ds->cls->kind, pc_dtype_name(dtype));
  return pixels(out, ds, index, 0, dtype);
}

int pc_dataset_masks(pc_tensor **out, const pc_dataset *ds, const pc_tensor *index) {
  *out = NULL;
  if (!ds->cls->masks) return pc_fail(PC_ESTATE, "%s %s: there are no masks", ds->cls->kind, ds->f.name);
  return pixels(out, ds, index, 1, PC_U8);
}

/* ---- the whole protocol ---- */

static int in_unit(const pc_dataset *ds, const pc_tensor *x) {
  pc_tensor *flat;
  int rc = pc_contiguous(&flat, x);
  for (int64_t i = 0, n = rc == PC_OK ? pc_numel(flat) : 0; rc == PC_OK && i < n; i++)
    if (!(pc_f32(flat)[i] >= 0 && pc_f32(flat)[i] <= 1))
      rc = pc_fail(PC_EARG, "%s %s: an image has a pixel of %g; f32 images lie in [0,1]", ds->cls->kind, ds->f.name,
                   (double)pc_f32(flat)[i]);
  pc_tensor_release(flat);
  return rc;
}

/* The same twice? */
static int twice(const pc_dataset *ds, const pc_tensor *index, int masks, pc_dtype dtype) {
  pc_tensor *a = NULL, *b = NULL, *x = NULL, *y = NULL;
  int rc = pixels(&a, ds, index, masks, dtype);
  if (rc == PC_OK) rc = pixels(&b, ds, index, masks, dtype);
  if (rc == PC_OK && dtype == PC_F32) rc = in_unit(ds, a);
  if (rc == PC_OK) rc = pc_contiguous(&x, a);
  if (rc == PC_OK) rc = pc_contiguous(&y, b);
  if (rc == PC_OK && memcmp(pc_data(x), pc_data(y), (size_t)pc_numel(x) * pc_dtype_size(dtype)))
    rc = pc_fail(PC_EARG, "%s %s: %s of the same indices differ from call to call", ds->cls->kind, ds->f.name,
                 masks ? "masks" : "images");
  pc_tensor *const all[] = {a, b, x, y};
  for (int i = 0; i < 4; i++) pc_tensor_release(all[i]);
  return rc;
}

int pc_dataset_check(const pc_dataset *ds) {
  pc_tensor *index;
  int64_t n = 3, list[3] = {PC_INDEX_BASE, ds->f.count - 1 + PC_INDEX_BASE, PC_INDEX_BASE};
  int rc = pc_tensor_from(&index, PC_I64, 1, &n, list);
  if (rc == PC_OK) rc = twice(ds, index, 0, PC_F32);
  if (rc == PC_OK) rc = twice(ds, index, 0, PC_U8);
  if (rc == PC_OK && ds->cls->masks) rc = twice(ds, index, 1, PC_U8);
  pc_tensor_release(index);
  return rc;
}
