#include "formats/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "formats/file.h"
#include "formats/npy.h"

/* Zip records (APPNOTE 6.3): signatures and fixed lengths. */
enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50 };
enum { LOCAL_LEN = 30, CENTRAL_LEN = 46, END_LEN = 22, END64_LEN = 56, LOCATOR64_LEN = 20 };

static uint64_t get(const uint8_t *p, int bytes) {
  uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; i--) v = v << 8 | p[i];
  return v;
}

static voidpf z_alloc(voidpf ctx, uInt n, uInt size) { return pc_calloc(n, size); }
static void z_free(voidpf ctx, voidpf p) { pc_free(p); }

/* ---- reading ---- */

typedef struct archive {
  const uint8_t *data;
  uint64_t size;
  const char *name;
} archive;

typedef struct member {
  char *name; /* owned; with .npy cut off */
  int method, is_npy;
  uint32_t crc;
  uint64_t packed, unpacked, header; /* header: where its local record starts */
  uint64_t data, end;                /* of the packed bytes */
} member;

static int damaged(const archive *a, const char *what) {
  return pc_fail(PC_EFORMAT, "%s: damaged npz: %s", a->name, what);
}

/* Where the directory is: entries, first byte, bytes. */
static int find_directory(const archive *a, uint64_t *count, uint64_t *start, uint64_t *bytes) {
  const uint8_t *p = NULL;
  if (a->size < 4 || (get(a->data, 4) != LOCAL && get(a->data, 4) != END))
    return pc_fail(PC_EFORMAT, "%s: not an npz file", a->name);
  for (uint64_t back = END_LEN; back <= a->size && back <= END_LEN + 65535 && !p; back++) {
    const uint8_t *q = a->data + a->size - back;
    if (get(q, 4) == END && get(q + 20, 2) == back - END_LEN) p = q;
  }
  if (!p) return pc_fail(PC_EFORMAT, "%s: the npz file is truncated: it has no directory", a->name);
  uint64_t at = (uint64_t)(p - a->data);
  if (get(p + 4, 2) || get(p + 6, 2)) {
    if (get(p + 4, 2) != 0xffff) return damaged(a, "split archives cannot be read");
  }
  *count = get(p + 10, 2);
  *bytes = get(p + 12, 4);
  *start = get(p + 16, 4);
  if (*count == 0xffff || *bytes == 0xffffffff || *start == 0xffffffff) {
    if (at >= LOCATOR64_LEN && get(p - LOCATOR64_LEN, 4) == LOCATOR64) {
      uint64_t end64 = get(p - LOCATOR64_LEN + 8, 8);
      if (at < LOCATOR64_LEN + END64_LEN || end64 > at - LOCATOR64_LEN - END64_LEN || get(a->data + end64, 4) != END64)
        return damaged(a, "its 64-bit directory is not where it should be");
      *count = get(a->data + end64 + 32, 8);
      *bytes = get(a->data + end64 + 40, 8);
      *start = get(a->data + end64 + 48, 8);
      at = end64;
    }
  }
  if (*start > at || *bytes > at - *start) return damaged(a, "the directory lies outside the file");
  if (*count > *bytes / CENTRAL_LEN) return damaged(a, "the directory is too short for its entries");
  return PC_OK;
}

/* Sizes that did not fit 32 bits stand in the extra field with id 1, in this order. */
static int zip64_extra(const archive *a, member *m, const uint8_t *extra, uint64_t n) {
  uint64_t *wide[3] = {&m->unpacked, &m->packed, &m->header};
  const uint8_t *p = NULL;
  uint64_t left = 0;
  if (m->unpacked != 0xffffffff && m->packed != 0xffffffff && m->header != 0xffffffff) return PC_OK;
  while (n >= 4) {
    uint64_t len = get(extra + 2, 2);
    if (len > n - 4) return damaged(a, "an extra field is cut");
    if (get(extra, 2) == 1) p = extra + 4, left = len;
    extra += 4 + len;
    n -= 4 + len;
  }
  for (int i = 0; i < 3; i++) {
    if (*wide[i] != 0xffffffff) continue;
    if (!p || left < 8) return damaged(a, "a 64-bit size is missing");
    *wide[i] = get(p, 8);
    p += 8;
    left -= 8;
  }
  return PC_OK;
}

/* One directory entry at *at, moved on; also looks at the local record. */
static int read_member(const archive *a, member *m, uint64_t *at, uint64_t end) {
  const uint8_t *p = a->data + *at;
  if (end - *at < CENTRAL_LEN || get(p, 4) != CENTRAL) return damaged(a, "a directory entry is cut");
  uint64_t nlen = get(p + 28, 2), elen = get(p + 30, 2), clen = get(p + 32, 2);
  if (nlen + elen + clen > end - *at - CENTRAL_LEN) return damaged(a, "a directory entry is cut");
  *m = (member){.method = (int)get(p + 10, 2),
                .crc = (uint32_t)get(p + 16, 4),
                .packed = get(p + 20, 4),
                .unpacked = get(p + 24, 4),
                .header = get(p + 42, 4)};
  if (!(m->name = pc_malloc(nlen + 1))) return PC_ENOMEM;
  memcpy(m->name, p + CENTRAL_LEN, nlen);
  m->name[nlen] = '\0';
  if (memchr(m->name, 0, nlen)) return damaged(a, "a zero byte in a name");
  int rc = zip64_extra(a, m, p + CENTRAL_LEN + nlen, elen);
  if (rc < 0) return rc;
  *at += CENTRAL_LEN + nlen + elen + clen;
  m->is_npy = nlen >= 4 && !strcmp(m->name + nlen - 4, ".npy");
  if (m->is_npy) m->name[nlen - 4] = '\0';
  if (get(p + 8, 2) & 1) return pc_fail(PC_EFORMAT, "%s: entry '%.100s' is encrypted", a->name, m->name);
  if (m->is_npy && m->method != 0 && m->method != 8)
    return pc_fail(PC_EFORMAT, "%s: entry '%.100s' is packed by method %d; stored and deflated entries can be read",
                   a->name, m->name, m->method);
  if (a->size < LOCAL_LEN || m->header > a->size - LOCAL_LEN || get(a->data + m->header, 4) != LOCAL)
    return pc_fail(PC_EFORMAT, "%s: damaged npz: entry '%.100s' lies outside the file", a->name, m->name);
  const uint8_t *l = a->data + m->header;
  m->data = m->header + LOCAL_LEN + get(l + 26, 2) + get(l + 28, 2);
  if (m->data > a->size || m->packed > a->size - m->data)
    return pc_fail(PC_EFORMAT, "%s: damaged npz: entry '%.100s' lies outside the file", a->name, m->name);
  m->end = m->data + m->packed;
  if ((m->method == 0 && m->packed != m->unpacked) || m->unpacked > 1100 * m->packed + 64)
    return pc_fail(PC_EFORMAT, "%s: damaged npz: entry '%.100s' claims %llu bytes from %llu", a->name, m->name,
                   (unsigned long long)m->unpacked, (unsigned long long)m->packed);
  return PC_OK;
}

static int inflate_member(const archive *a, const member *m, uint8_t *to) {
  z_stream z = {.zalloc = z_alloc, .zfree = z_free};
  uint64_t in = 0, out = 0;
  int rc = inflateInit2(&z, -15);
  if (rc != Z_OK) return pc_fail(PC_ENOMEM, "%s: out of memory", a->name);
  while (rc == Z_OK) {
    uint64_t ni = m->packed - in, no = m->unpacked - out;
    z.next_in = (Bytef *)(a->data + m->data + in);
    z.next_out = to + out;
    uInt ci = z.avail_in = ni > 1 << 30 ? 1 << 30 : (uInt)ni, co = z.avail_out = no > 1 << 30 ? 1 << 30 : (uInt)no;
    rc = inflate(&z, Z_NO_FLUSH);
    in += ci - z.avail_in;
    out += co - z.avail_out;
  }
  inflateEnd(&z);
  if (rc == Z_MEM_ERROR) return pc_fail(PC_ENOMEM, "%s: out of memory", a->name);
  if (rc != Z_STREAM_END || out != m->unpacked || in != m->packed)
    return pc_fail(PC_EFORMAT, "%s: damaged npz: entry '%.100s' does not unpack", a->name, m->name);
  return PC_OK;
}

static int read_array(const archive *a, const member *m, pc_bundle *b) {
  const uint8_t *bytes = a->data + m->data;
  uint8_t *block = NULL;
  pc_tensor *t = NULL;
  char where[600];
  int rc = PC_OK;
  if (m->method == 8) {
    if (!(block = pc_malloc(m->unpacked + 1)))
      return pc_error_prefix(PC_ENOMEM, "%s: entry '%.100s'", a->name, m->name);
    if ((rc = inflate_member(a, m, block)) < 0) goto done;
    bytes = block;
  }
  if (crc32_z(0, bytes, m->unpacked) != m->crc) {
    rc = pc_fail(PC_EFORMAT, "%s: damaged npz: entry '%.100s' has the wrong checksum", a->name, m->name);
    goto done;
  }
  snprintf(where, sizeof where, "%.400s(%.100s)", a->name, m->name);
  if ((rc = pc_npy_parse(&t, bytes, m->unpacked, where)) < 0) goto done;
  if ((rc = pc_bundle_add(b, m->name, t)) == PC_EARG)
    rc = pc_fail(PC_EFORMAT, "%s: two entries are named '%.100s'", a->name, m->name);
done:
  pc_tensor_release(t);
  pc_free(block);
  return rc;
}

static int by_header(const void *x, const void *y) {
  const member *const *a = x, *const *b = y;
  return ((*a)->header > (*b)->header) - ((*a)->header < (*b)->header);
}

/* Overlapping entries are how a small archive unpacks to anything. */
static int check_overlap(const archive *a, member *m, uint64_t n) {
  member **order = pc_malloc(n * sizeof *order);
  int rc = order ? PC_OK : PC_ENOMEM;
  for (uint64_t i = 0; order && i < n; i++) order[i] = &m[i];
  if (order) qsort(order, n, sizeof *order, by_header);
  for (uint64_t i = 1; order && i < n && rc == PC_OK; i++)
    if (order[i]->header < order[i - 1]->end)
      rc = pc_fail(PC_EFORMAT, "%s: damaged npz: entries '%.100s' and '%.100s' overlap", a->name, order[i - 1]->name,
                   order[i]->name);
  pc_free(order);
  return rc;
}

/* "a, b" in the metadata grows by a name. */
static int leave_out(pc_bundle *b, const char *name) {
  const char *have = pc_bundle_meta(b, "left_out");
  return pc_bundle_setf(b, "left_out", "%s%s%s", have ? have : "", have ? ", " : "", name);
}

/* known: arrays of other types are left out. */
static int parse(pc_bundle **out, const void *data, size_t n, const char *name, int known) {
  archive a = {data, n, name};
  uint64_t count = 0, at = 0, bytes = 0;
  *out = NULL;
  int rc = find_directory(&a, &count, &at, &bytes);
  if (rc < 0) return rc;
  uint64_t end = at + bytes;
  member *m = pc_calloc(count + 1, sizeof *m);
  if (!m) return PC_ENOMEM;
  for (uint64_t i = 0; i < count && rc == PC_OK; i++) rc = read_member(&a, &m[i], &at, end);
  if (rc == PC_OK) rc = check_overlap(&a, m, count);
  if (rc == PC_OK) rc = pc_bundle_new(out);
  for (uint64_t i = 0; i < count && rc == PC_OK; i++) {
    if (!m[i].is_npy) continue;
    rc = read_array(&a, &m[i], *out);
    if (known && rc == PC_EDTYPE) rc = leave_out(*out, m[i].name);
  }
  for (uint64_t i = 0; i < count; i++) pc_free(m[i].name);
  pc_free(m);
  if (rc < 0) {
    pc_bundle_free(*out);
    *out = NULL;
  }
  return rc;
}

int pc_npz_parse(pc_bundle **out, const void *data, size_t n, const char *name) { return parse(out, data, n, name, 0); }

static int read_file(pc_bundle **out, const char *path, int known) {
  char *data;
  size_t n;
  *out = NULL;
  int rc = pc_file_read(&data, &n, path, 0);
  if (rc < 0) return rc;
  rc = parse(out, data, n, path, known);
  pc_free(data);
  return rc;
}

int pc_npz_read(pc_bundle **out, const char *path) { return read_file(out, path, 0); }

int pc_npz_read_known(pc_bundle **out, const char *path) { return read_file(out, path, 1); }

/* ---- writing ---- */

typedef struct record {
  uint8_t b[128];
  size_t n;
} record;

static void put(record *r, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++) r->b[r->n++] = (uint8_t)(v >> 8 * i);
}

typedef struct written {
  uint64_t packed, unpacked, header;
  uint32_t crc;
  int wide;
} written;

static uint64_t low32(uint64_t v, int wide) { return wide ? 0xffffffff : v; }

static void local_record(record *r, const written *e, int method, size_t nlen) {
  put(r, LOCAL, 4);
  put(r, e->wide ? 45 : 20, 2);
  put(r, 0x800, 2); /* UTF-8 names */
  put(r, (uint64_t)method, 2);
  put(r, 0, 2);
  put(r, 0x21, 2); /* 1980-01-01: the same bundle gives the same bytes */
  put(r, e->crc, 4);
  put(r, low32(e->packed, e->wide), 4);
  put(r, low32(e->unpacked, e->wide), 4);
  put(r, nlen, 2);
  put(r, e->wide ? 20 : 0, 2);
}

static void central_record(record *r, const written *e, int method, size_t nlen) {
  put(r, CENTRAL, 4);
  put(r, 3 << 8 | 45, 2); /* made on Unix */
  put(r, e->wide ? 45 : 20, 2);
  put(r, 0x800, 2);
  put(r, (uint64_t)method, 2);
  put(r, 0, 2);
  put(r, 0x21, 2);
  put(r, e->crc, 4);
  put(r, low32(e->packed, e->wide), 4);
  put(r, low32(e->unpacked, e->wide), 4);
  put(r, nlen, 2);
  put(r, e->wide ? 28 : 0, 2);
  put(r, 0, 6); /* comment, disk, internal attributes */
  put(r, (uint64_t)0100644 << 16, 4);
  put(r, low32(e->header, e->wide), 4);
}

/* Raw deflate of head and body together into *out (pc_malloc). */
static int deflate_parts(uint8_t **out, uint64_t *packed, const void *head, size_t nhead, const void *body,
                         size_t nbody) {
  z_stream z = {.zalloc = z_alloc, .zfree = z_free};
  const uint8_t *part[2] = {head, body};
  size_t len[2] = {nhead, nbody};
  *out = NULL;
  if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return pc_fail(PC_ENOMEM, "npz: out of memory");
  uint64_t room = deflateBound(&z, nhead + nbody) + 64, n = 0;
  int rc = Z_OK;
  if (!(*out = pc_malloc(room))) {
    deflateEnd(&z);
    return PC_ENOMEM;
  }
  for (int i = 0; i < 2; i++)
    for (size_t at = 0; rc == Z_OK;) {
      size_t in = len[i] - at > 1 << 30 ? 1 << 30 : len[i] - at;
      uInt space = z.avail_out = room - n > 1 << 30 ? 1 << 30 : (uInt)(room - n);
      int last = i == 1 && at + in == len[1];
      z.next_in = (Bytef *)(part[i] + at);
      z.avail_in = (uInt)in;
      z.next_out = *out + n;
      rc = deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
      at += in - z.avail_in;
      n += space - z.avail_out;
      if (!last && at == len[i]) break;
    }
  deflateEnd(&z);
  *packed = n;
  return rc == Z_STREAM_END ? PC_OK : pc_fail(PC_ESTATE, "npz: deflate failed (%d)", rc);
}

static int write_member(pc_file_writer *w, written *e, uint64_t *at, const char *name, const pc_tensor *t,
                        const pc_npz_opts *o) {
  char head[PC_NPY_HEADER_MAX];
  record r = {.n = 0};
  uint8_t *block = NULL;
  pc_tensor *flat;
  int rc = pc_contiguous(&flat, t);
  if (rc < 0) return rc;
  size_t nhead = pc_npy_header(head, flat), nbody = (size_t)pc_numel(flat) * pc_dtype_size((pc_dtype)flat->dtype);
  size_t nlen = strlen(name) + 4;
  e->unpacked = e->packed = nhead + nbody;
  e->crc = (uint32_t)crc32_z(crc32_z(0, (const Bytef *)head, nhead), pc_data(flat), nbody);
  e->header = *at;
  if (o->deflate && (rc = deflate_parts(&block, &e->packed, head, nhead, pc_data(flat), nbody)) < 0) goto done;
  e->wide = o->zip64 || e->unpacked >= 0xffffffff || e->packed >= 0xffffffff || e->header >= 0xffffffff;
  local_record(&r, e, o->deflate ? 8 : 0, nlen);
  if ((rc = pc_file_write(w, r.b, r.n)) < 0 || (rc = pc_file_write(w, name, nlen - 4)) < 0 ||
      (rc = pc_file_write(w, ".npy", 4)) < 0)
    goto done;
  record x = {.n = 0};
  if (e->wide) put(&x, 1, 2), put(&x, 16, 2), put(&x, e->unpacked, 8), put(&x, e->packed, 8);
  if ((rc = pc_file_write(w, x.b, x.n)) < 0) goto done;
  if (o->deflate)
    rc = pc_file_write(w, block, e->packed);
  else if ((rc = pc_file_write(w, head, nhead)) == PC_OK)
    rc = pc_file_write(w, pc_data(flat), nbody);
  *at += r.n + nlen + x.n + e->packed;
done:
  pc_free(block);
  pc_tensor_release(flat);
  return rc;
}

static int write_directory(pc_file_writer *w, const written *e, uint64_t start, const pc_bundle *b,
                           const pc_npz_opts *o) {
  uint64_t n = (uint64_t)pc_bundle_count(b), at = start;
  int rc = PC_OK;
  for (uint64_t i = 0; i < n && rc == PC_OK; i++) {
    const char *name = pc_bundle_name(b, (int64_t)i);
    record r = {.n = 0}, x = {.n = 0};
    central_record(&r, &e[i], o->deflate ? 8 : 0, strlen(name) + 4);
    if (e[i].wide)
      put(&x, 1, 2), put(&x, 24, 2), put(&x, e[i].unpacked, 8), put(&x, e[i].packed, 8), put(&x, e[i].header, 8);
    if ((rc = pc_file_write(w, r.b, r.n)) == PC_OK && (rc = pc_file_write(w, name, strlen(name))) == PC_OK &&
        (rc = pc_file_write(w, ".npy", 4)) == PC_OK)
      rc = pc_file_write(w, x.b, x.n);
    at += r.n + strlen(name) + 4 + x.n;
  }
  int wide = o->zip64 || n >= 0xffff || at >= 0xffffffff;
  record r = {.n = 0};
  if (wide) {
    put(&r, END64, 4), put(&r, END64_LEN - 12, 8), put(&r, 3 << 8 | 45, 2), put(&r, 45, 2), put(&r, 0, 8);
    put(&r, n, 8), put(&r, n, 8), put(&r, at - start, 8), put(&r, start, 8);
    put(&r, LOCATOR64, 4), put(&r, 0, 4), put(&r, at, 8), put(&r, 1, 4);
  }
  put(&r, END, 4), put(&r, 0, 4), put(&r, wide ? 0xffff : n, 2), put(&r, wide ? 0xffff : n, 2);
  put(&r, low32(at - start, wide), 4), put(&r, low32(start, wide), 4), put(&r, 0, 2);
  return rc == PC_OK ? pc_file_write(w, r.b, r.n) : rc;
}

int pc_npz_write(const char *path, const pc_bundle *b, const pc_npz_opts *opts) {
  static const pc_npz_opts none;
  const pc_npz_opts *o = opts ? opts : &none;
  int64_t n = pc_bundle_count(b);
  pc_file_writer w = {0};
  uint64_t at = 0;
  for (int64_t i = 0; i < n; i++)
    if (strlen(pc_bundle_name(b, i)) > 65000) return pc_fail(PC_EARG, "%s: a name of more than 65000 bytes", path);
  written *e = pc_calloc((size_t)n + 1, sizeof *e);
  if (!e) return PC_ENOMEM;
  int rc = pc_file_begin(&w, path);
  for (int64_t i = 0; i < n && rc == PC_OK; i++)
    rc = write_member(&w, &e[i], &at, pc_bundle_name(b, i), pc_bundle_tensor(b, i), o);
  if (rc == PC_OK) rc = write_directory(&w, e, at, b, o);
  if (rc == PC_OK)
    rc = pc_file_commit(&w);
  else
    pc_file_abort(&w);
  pc_free(e);
  return rc;
}
