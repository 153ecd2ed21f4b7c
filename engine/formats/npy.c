#include "formats/npy.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "formats/file.h"
#include "formats/raw.h"

/* The header is a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
typedef struct parser {
  const char *p, *end, *name;
} parser;

typedef struct description {
  pc_raw kind;
  int swap, fortran;
  int ndim;
  int64_t size[PC_MAX_DIM];
} description;

static int bad(const parser *s, const char *what) {
  return pc_fail(PC_EFORMAT, "%s: malformed npy header: %s", s->name, what);
}

static int look(parser *s) {
  while (s->p < s->end && isspace((unsigned char)*s->p)) s->p++;
  return s->p < s->end ? (unsigned char)*s->p : 0;
}

static int eat(parser *s, char c) { return look(s) == (unsigned char)c ? (s->p++, 1) : 0; }

static int word(parser *s, const char *w) {
  size_t n = strlen(w);
  look(s);
  if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n)) return 0;
  s->p += n;
  return 1;
}

/* A quoted string without escapes, cut to cap. */
static int quoted(parser *s, char *out, size_t cap) {
  int q = look(s);
  size_t n = 0;
  if (q != '\'' && q != '"') return 0;
  for (s->p++; s->p < s->end && *s->p != q; s->p++)
    if (n + 1 < cap) out[n++] = *s->p;
  out[n] = '\0';
  return s->p < s->end ? (s->p++, 1) : 0;
}

static int parse_descr(parser *s, description *d) {
  static const struct {
    const char *name;
    pc_raw kind;
  } known[] = {{"f2", PC_RAW_F16}, {"f4", PC_RAW_F32}, {"f8", PC_RAW_F64}, {"i1", PC_RAW_I8},
               {"i2", PC_RAW_I16}, {"i4", PC_RAW_I32}, {"i8", PC_RAW_I64}, {"u1", PC_RAW_U8},
               {"u2", PC_RAW_U16}, {"u4", PC_RAW_U32}, {"b1", PC_RAW_BOOL}};
  char t[64];
  if (look(s) == '[') return pc_fail(PC_EDTYPE, "%s: structured arrays cannot be read; save one field alone", s->name);
  if (!quoted(s, t, sizeof t)) return bad(s, "descr is no string");
  const char *p = t;
  if (*p && strchr("<>=|", *p)) p++;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(p, known[i].name)) {
      d->kind = known[i].kind;
      d->swap = t[0] == '>';
      return PC_OK;
    }
  return pc_fail(PC_EDTYPE, "%s: arrays of type '%s' cannot be read; f2 f4 f8 i1 i2 i4 i8 u1 u2 u4 b1 can", s->name, t);
}

static int parse_shape(parser *s, description *d) {
  if (!eat(s, '(')) return bad(s, "shape is no tuple");
  for (d->ndim = 0; !eat(s, ')');) {
    int64_t v = 0;
    if (!isdigit(look(s))) return bad(s, "shape holds something that is no size");
    while (s->p < s->end && isdigit((unsigned char)*s->p))
      if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s->p++ - '0', &v))
        return bad(s, "a size of the shape overflows");
    if (s->p < s->end && *s->p == 'L') s->p++; /* Python 2 wrote long integers so */
    if (d->ndim == PC_MAX_DIM) return pc_fail(PC_EFORMAT, "%s: more than %d dimensions", s->name, PC_MAX_DIM);
    d->size[d->ndim++] = v;
    if (!eat(s, ',') && look(s) != ')') return bad(s, "shape is not closed");
  }
  return PC_OK;
}

static int parse_header(parser *s, description *d) {
  int seen[3] = {0}, rc = PC_OK;
  char key[32];
  if (!eat(s, '{')) return bad(s, "no dictionary");
  while (!eat(s, '}')) {
    if (!quoted(s, key, sizeof key) || !eat(s, ':')) return bad(s, "a key is missing");
    int k = !strcmp(key, "descr") ? 0 : !strcmp(key, "fortran_order") ? 1 : !strcmp(key, "shape") ? 2 : -1;
    if (k < 0) return pc_fail(PC_EFORMAT, "%s: malformed npy header: unknown key '%s'", s->name, key);
    if (seen[k]++) return pc_fail(PC_EFORMAT, "%s: malformed npy header: key '%s' twice", s->name, key);
    if (k == 0) rc = parse_descr(s, d);
    if (k == 2) rc = parse_shape(s, d);
    if (k == 1) {
      d->fortran = word(s, "True");
      if (!d->fortran && !word(s, "False")) rc = bad(s, "fortran_order is neither True nor False");
    }
    if (rc < 0) return rc;
    if (!eat(s, ',') && look(s) != '}') return bad(s, "the dictionary is not closed");
  }
  if (look(s)) return bad(s, "something follows the dictionary");
  if (!seen[0] || !seen[1] || !seen[2]) return bad(s, "descr, fortran_order or shape is missing");
  return PC_OK;
}

/* Fortran order is C order of the reversed shape. */
static int build(pc_tensor **out, const description *d, const void *data, int64_t n) {
  int64_t size[PC_MAX_DIM];
  int perm[PC_MAX_DIM];
  pc_tensor *t, *v = NULL;
  for (int i = 0; i < d->ndim; i++) {
    size[i] = d->fortran ? d->size[d->ndim - 1 - i] : d->size[i];
    perm[i] = d->ndim - 1 - i;
  }
  int rc = pc_tensor_empty(&t, pc_raw_dtype(d->kind), d->ndim, size);
  if (rc < 0) return rc;
  pc_raw_convert(pc_data(t), data, n, d->kind, d->swap);
  if (!d->fortran || d->ndim < 2) return *out = t, PC_OK;
  if ((rc = pc_view_permute(&v, t, perm)) == PC_OK) rc = pc_clone(out, v);
  pc_tensor_release(v);
  pc_tensor_release(t);
  return rc;
}

int pc_npy_parse(pc_tensor **out, const void *data, size_t n, const char *name) {
  const uint8_t *b = data;
  description d = {0};
  int64_t bytes;
  *out = NULL;
  if (n < 6 || memcmp(b, "\x93NUMPY", 6)) return pc_fail(PC_EFORMAT, "%s: not an npy file", name);
  if (n < 12) return pc_fail(PC_EFORMAT, "%s: the npy file is truncated: its header is cut", name);
  if (b[6] < 1 || b[6] > 3 || b[7] != 0)
    return pc_fail(PC_EFORMAT, "%s: npy version %d.%d; 1.0, 2.0 and 3.0 can be read", name, b[6], b[7]);
  size_t at = b[6] == 1 ? 10 : 12, len = (size_t)b[8] | (size_t)b[9] << 8;
  if (b[6] > 1) len |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
  if (len > n - at) return pc_fail(PC_EFORMAT, "%s: the npy file is truncated: its header is cut", name);
  if (len > 1 << 20) return pc_fail(PC_EFORMAT, "%s: an npy header of %zu bytes", name, len);
  parser s = {(const char *)b + at, (const char *)b + at + len, name};
  int rc = parse_header(&s, &d);
  if (rc < 0 || (rc = pc_raw_bytes(&bytes, d.kind, d.ndim, d.size, name, "the array")) < 0) return rc;
  if ((uint64_t)bytes != n - at - len)
    return pc_fail(PC_EFORMAT, "%s: shape %s needs %lld bytes, the npy file has %zu%s", name,
                   pc_dims_str(d.ndim, d.size), (long long)bytes, n - at - len,
                   (uint64_t)bytes > n - at - len ? ": it is truncated" : "");
  rc = build(out, &d, b + at + len, bytes / pc_raw_size(d.kind));
  return rc < 0 ? pc_error_prefix(rc, "%s", name) : rc;
}

int pc_npy_read(pc_tensor **out, const char *path) {
  char *data;
  size_t n;
  *out = NULL;
  int rc = pc_file_read(&data, &n, path, 0);
  if (rc < 0) return rc;
  rc = pc_npy_parse(out, data, n, path);
  pc_free(data);
  return rc;
}

size_t pc_npy_header(char out[PC_NPY_HEADER_MAX], const pc_tensor *t) {
  static const char *const descr[PC_DTYPE_COUNT] = {
      [PC_F32] = "<f4", [PC_F64] = "<f8", [PC_I64] = "<i8", [PC_I32] = "<i4", [PC_U8] = "|u1"};
  int n =
      snprintf(out + 10, PC_NPY_HEADER_MAX - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[t->dtype]);
  for (int i = 0; i < t->ndim; i++)
    n += snprintf(out + 10 + n, (size_t)(PC_NPY_HEADER_MAX - 10 - n), "%s%lld%s", i ? ", " : "", (long long)t->size[i],
                  t->ndim == 1 ? "," : "");
  n += snprintf(out + 10 + n, (size_t)(PC_NPY_HEADER_MAX - 10 - n), "), }");
  size_t total = ((size_t)n + 10 + 1 + 63) / 64 * 64, len = total - 10;
  memset(out + 10 + n, ' ', total - 10 - (size_t)n);
  out[total - 1] = '\n';
  memcpy(out, "\x93NUMPY\x01\x00", 8);
  out[8] = (char)(len & 255);
  out[9] = (char)(len >> 8);
  return total;
}

int pc_npy_write(const char *path, const pc_tensor *t) {
  char head[PC_NPY_HEADER_MAX];
  pc_file_writer w;
  pc_tensor *flat;
  int rc = pc_contiguous(&flat, t);
  if (rc < 0) return rc;
  if ((rc = pc_file_begin(&w, path)) == PC_OK) {
    rc = pc_file_write(&w, head, pc_npy_header(head, flat));
    if (rc == PC_OK) rc = pc_file_write(&w, pc_data(flat), (size_t)pc_numel(flat) * pc_dtype_size((pc_dtype)t->dtype));
    if (rc == PC_OK)
      rc = pc_file_commit(&w);
    else
      pc_file_abort(&w);
  }
  pc_tensor_release(flat);
  return rc;
}
