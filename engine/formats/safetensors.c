#include "formats/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "formats/file.h"
#include "formats/raw.h"

#define META       "__metadata__"
#define HEADER_MAX 100000000 /* as the format's reference implementation */

static const struct {
  const char *name;
  pc_raw kind;
} types[] = {{"F64", PC_RAW_F64}, {"F32", PC_RAW_F32}, {"F16", PC_RAW_F16}, {"BF16", PC_RAW_BF16},
             {"I64", PC_RAW_I64}, {"I32", PC_RAW_I32}, {"I16", PC_RAW_I16}, {"I8", PC_RAW_I8},
             {"U32", PC_RAW_U32}, {"U16", PC_RAW_U16}, {"U8", PC_RAW_U8},   {"BOOL", PC_RAW_BOOL}};

typedef struct entry {
  const char *name; /* in the JSON */
  pc_raw kind;
  int ndim;
  int64_t size[PC_MAX_DIM], begin, end;
} entry;

static int parse_entry(entry *e, const char *key, const json_t *v, int64_t room, const char *name) {
  const json_t *dtype = json_object_get(v, "dtype"), *shape = json_object_get(v, "shape"),
               *offsets = json_object_get(v, "data_offsets");
  size_t known = 0;
  int64_t bytes;
  char what[128];
  snprintf(what, sizeof what, "tensor '%.100s'", key);
  if (!json_is_object(v) || !json_is_string(dtype) || !json_is_array(shape) || !json_is_array(offsets) ||
      json_object_size(v) != 3)
    return pc_fail(PC_EFORMAT, "%s: %s: dtype, shape and data_offsets are needed, and nothing else", name, what);
  while (known < sizeof types / sizeof *types && strcmp(types[known].name, json_string_value(dtype))) known++;
  if (known == sizeof types / sizeof *types)
    return pc_fail(PC_EFORMAT, "%s: %s: dtype '%.40s' cannot be read", name, what, json_string_value(dtype));
  e->name = key;
  e->kind = types[known].kind;
  e->ndim = json_array_size(shape) > PC_MAX_DIM ? PC_MAX_DIM : (int)json_array_size(shape);
  for (int i = 0; i < e->ndim; i++) {
    const json_t *s = json_array_get(shape, (size_t)i);
    if (!json_is_integer(s)) return pc_fail(PC_EFORMAT, "%s: %s: a size of the shape is no integer", name, what);
    e->size[i] = json_integer_value(s);
  }
  int rc = pc_raw_bytes(&bytes, e->kind, (int64_t)json_array_size(shape), e->size, name, what);
  if (rc < 0) return rc;
  const json_t *b = json_array_get(offsets, 0), *f = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2 || !json_is_integer(b) || !json_is_integer(f))
    return pc_fail(PC_EFORMAT, "%s: %s: data_offsets are two integers", name, what);
  e->begin = json_integer_value(b);
  e->end = json_integer_value(f);
  if (e->begin < 0 || e->end < e->begin || e->end > room)
    return pc_fail(PC_EFORMAT, "%s: %s: data_offsets %lld..%lld lie outside the %lld bytes of data%s", name, what,
                   (long long)e->begin, (long long)e->end, (long long)room,
                   e->end > room ? ": the file is truncated" : "");
  if (e->end - e->begin != bytes)
    return pc_fail(PC_EFORMAT, "%s: %s: %s of shape %s needs %lld bytes, data_offsets give %lld", name, what,
                   types[known].name, pc_dims_str(e->ndim, e->size), (long long)bytes, (long long)(e->end - e->begin));
  return PC_OK;
}

static int by_begin(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return (x->end > y->end) - (x->end < y->end);
}

/* Sorts e; no gap, no overlap, nothing left. */
static int check_cover(entry *e, size_t n, int64_t room, const char *name) {
  int64_t at = 0;
  qsort(e, n, sizeof *e, by_begin);
  for (size_t i = 0; i < n; i++) {
    if (e[i].begin != at)
      return pc_fail(PC_EFORMAT, "%s: tensor '%.100s' %s", name, e[i].name,
                     e[i].begin < at ? "overlaps another one" : "leaves a gap before it");
    at = e[i].end;
  }
  if (at != room) return pc_fail(PC_EFORMAT, "%s: %lld bytes behind the last tensor", name, (long long)(room - at));
  return PC_OK;
}

static int read_metadata(pc_bundle *b, json_t *meta, const char *name) {
  const char *key;
  json_t *v;
  int rc = PC_OK;
  if (!json_is_object(meta)) return pc_fail(PC_EFORMAT, "%s: " META " is no object", name);
  json_object_foreach(meta, key, v) {
    if (!json_is_string(v)) return pc_fail(PC_EFORMAT, "%s: metadata '%.100s' is no string", name, key);
    if ((rc = pc_bundle_set(b, key, json_string_value(v))) < 0) return rc;
  }
  return rc;
}

static int read_tensors(pc_bundle *b, json_t *root, const uint8_t *data, int64_t room, const char *name) {
  size_t n = 0;
  const char *key;
  json_t *v;
  int rc = PC_OK;
  entry *e = pc_calloc(json_object_size(root) + 1, sizeof *e);
  if (!e) return PC_ENOMEM;
  json_object_foreach(root, key, v) {
    if (!strcmp(key, META))
      rc = read_metadata(b, v, name);
    else
      rc = parse_entry(&e[n++], key, v, room, name);
    if (rc < 0) goto done;
  }
  if ((rc = check_cover(e, n, room, name)) < 0) goto done;
  for (size_t i = 0; i < n && rc == PC_OK; i++) {
    pc_tensor *t;
    if ((rc = pc_tensor_empty(&t, pc_raw_dtype(e[i].kind), e[i].ndim, e[i].size)) < 0) {
      pc_error_prefix(rc, "%s: tensor '%.100s'", name, e[i].name);
      break;
    }
    pc_raw_convert(pc_data(t), data + e[i].begin, pc_numel(t), e[i].kind, 0);
    rc = pc_bundle_add(b, e[i].name, t);
    pc_tensor_release(t);
  }
done:
  pc_free(e);
  return rc;
}

int pc_safetensors_parse(pc_bundle **out, const void *data, size_t n, const char *name) {
  const uint8_t *p = data;
  uint64_t len = 0;
  json_error_t err;
  *out = NULL;
  if (n < 8) return pc_fail(PC_EFORMAT, "%s: not a safetensors file: %zu bytes", name, n);
  for (int i = 7; i >= 0; i--) len = len << 8 | p[i];
  if (len > HEADER_MAX)
    return pc_fail(PC_EFORMAT, "%s: not a safetensors file: a header of %llu bytes", name, (unsigned long long)len);
  if (len > n - 8) return pc_fail(PC_EFORMAT, "%s: the safetensors file is truncated: its header is cut", name);
  if (len < 2 || p[8] != '{') return pc_fail(PC_EFORMAT, "%s: not a safetensors file: no JSON header", name);
  json_t *root = json_loadb((const char *)p + 8, (size_t)len, JSON_REJECT_DUPLICATES, &err);
  if (!root) return pc_fail(PC_EFORMAT, "%s: malformed safetensors header: %s", name, err.text);
  int rc = json_is_object(root) ? pc_bundle_new(out) : pc_fail(PC_EFORMAT, "%s: the header is no object", name);
  if (rc == PC_OK) rc = read_tensors(*out, root, p + 8 + len, (int64_t)(n - 8 - len), name);
  if (rc < 0) {
    pc_bundle_free(*out);
    *out = NULL;
  }
  json_decref(root);
  return rc;
}

int pc_safetensors_read(pc_bundle **out, const char *path) {
  char *data;
  size_t n;
  *out = NULL;
  int rc = pc_file_read(&data, &n, path, 0);
  if (rc < 0) return rc;
  rc = pc_safetensors_parse(out, data, n, path);
  pc_free(data);
  return rc;
}

/* ---- writing ---- */

static const char *type_name(pc_dtype d) {
  pc_raw k = pc_raw_of(d);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].kind == k) return types[i].name;
  return "F32";
}

static size_t bytes_of(const pc_tensor *t) { return (size_t)pc_numel(t) * pc_dtype_size((pc_dtype)t->dtype); }

/* Tensors in file order: element sizes 8, 4, 1; within a size the bundle's order. */
#define FOREACH_SORTED(b, i)                         \
  for (int size_ = 8; size_ >= 1; size_ /= 2)        \
    for (int64_t i = 0; i < pc_bundle_count(b); i++) \
      if ((int)pc_dtype_size((pc_dtype)pc_bundle_tensor(b, i)->dtype) == size_)

static int add_entry(json_t *root, const char *name, const pc_tensor *t, int64_t begin) {
  json_t *shape = json_array();
  for (int k = 0; shape && k < t->ndim; k++) json_array_append_new(shape, json_integer(t->size[k]));
  json_t *e = json_pack("{s:s, s:o, s:[I,I]}", "dtype", type_name((pc_dtype)t->dtype), "shape", shape, "data_offsets",
                        (json_int_t)begin, (json_int_t)(begin + (int64_t)bytes_of(t)));
  return e ? json_object_set_new(root, name, e) : -1;
}

/* The JSON text (json_dumps: to be freed with free). */
static int make_header(char **out, const pc_bundle *b, const char *path) {
  json_t *root = json_object(), *meta = json_object();
  int64_t at = 0;
  int bad = !root || !meta;
  *out = NULL;
  for (int64_t i = 0; !bad && i < pc_bundle_nmeta(b); i++)
    if (json_object_set_new(meta, pc_bundle_key(b, i), json_string(pc_bundle_value(b, i)))) {
      json_decref(root);
      json_decref(meta);
      return pc_fail(PC_EARG, "%s: metadata '%.100s' is not UTF-8 text", path, pc_bundle_key(b, i));
    }
  if (!bad && json_object_size(meta)) bad |= json_object_set(root, META, meta);
  FOREACH_SORTED(b, i) {
    const char *name = pc_bundle_name(b, i);
    if (bad) break;
    if (!strcmp(name, META) || add_entry(root, name, pc_bundle_tensor(b, i), at)) {
      json_decref(root);
      json_decref(meta);
      return pc_fail(PC_EARG, "%s: '%.100s' cannot name a tensor: UTF-8 text other than " META " can", path, name);
    }
    at += (int64_t)bytes_of(pc_bundle_tensor(b, i));
  }
  if (!bad) *out = json_dumps(root, JSON_COMPACT);
  json_decref(root);
  json_decref(meta);
  return *out ? PC_OK : pc_fail(PC_ENOMEM, "%s: out of memory for the header", path);
}

static int write_tensor(pc_file_writer *w, const pc_tensor *t) {
  pc_tensor *flat;
  int rc = pc_contiguous(&flat, t);
  if (rc < 0) return rc;
  rc = pc_file_write(w, pc_data(flat), bytes_of(flat));
  pc_tensor_release(flat);
  return rc;
}

int pc_safetensors_write(const char *path, const pc_bundle *b) {
  pc_file_writer w = {0};
  char *json;
  uint8_t len[8];
  int rc = make_header(&json, b, path);
  if (rc < 0) return rc;
  size_t n = strlen(json), padded = (n + 7) & ~(size_t)7;
  for (int i = 0; i < 8; i++) len[i] = (uint8_t)(padded >> 8 * i);
  if ((rc = pc_file_begin(&w, path)) == PC_OK && (rc = pc_file_write(&w, len, 8)) == PC_OK &&
      (rc = pc_file_write(&w, json, n)) == PC_OK)
    rc = pc_file_write(&w, "        ", padded - n);
  FOREACH_SORTED(b, i) {
    if (rc == PC_OK) rc = write_tensor(&w, pc_bundle_tensor(b, i));
  }
  if (rc == PC_OK)
    rc = pc_file_commit(&w);
  else
    pc_file_abort(&w);
  free(json);
  return rc;
}
