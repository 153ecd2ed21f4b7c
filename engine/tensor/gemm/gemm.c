#include "tensor/gemm/gemm.h"

#include <cblas.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"
#include "base/simd.h"
#include "tensor/backend.h"
#include "tensor/gemm/gemm_kernel.h"
#include "tensor/gemm/transpose.h"

enum {
  TILE_BYTES = 256 << 10, /* of the 512 KiB of L2 that every core has at least */
  SPLIT_MAX = 8,          /* parts of a split inner dimension */
  SPLIT_MIN = 512,        /* least inner length of a part */
  PANEL = 12288,          /* floats of a panel at work: it passes by from L2, the rows of A under it stay in L1 */
  LINE = 16,              /* between turned rows, so that they do not evict each other */
  BLOCK_B = 65536,        /* floats of B at work: 256 KiB of L2 */
  BLOCK_A = 49152,        /* floats of A at work under a panel: 192 KiB of L2 */
  STREAM_FROM = 1 << 20,  /* bytes of B that pass through the caches once a tile */
  STREAM_ROWS = 240,      /* least rows of a tile then */
  AHEAD = 16,             /* rows of B asked for while it is packed */
  ROWS = 480,             /* rows of A at work, a multiple of every mr */
};

int pc_mat_fits(int64_t rows, int64_t cols, int64_t rs, int64_t cs) {
  if (rows < 2 && cols < 2) return 1;
  if (rows == 1) return cs >= 1;
  if (cols == 1) return rs >= 1;
  return (cs == 1 && rs >= cols) || (rs == 1 && cs >= rows);
}

int64_t pc_tile_rows(int64_t rows, int64_t bytes) {
  int64_t t = bytes > 0 ? TILE_BYTES / bytes : rows;
  t = t < 48 ? 48 : t > 960 ? 960 : t / 48 * 48;
  return t < rows ? t : rows > 0 ? rows : 1;
}

/* ---- plain loops, and BLAS ---- */

#define PLAIN(T, name)                                                                                               \
  static void plain_##name(const pc_product *p) {                                                                    \
    const T *x = p->a.p, *y = p->b.p;                                                                                \
    T *z = p->c.p;                                                                                                   \
    for (int64_t i = 0; i < p->m; i++)                                                                               \
      for (int64_t j = 0; j < p->n; j++) {                                                                           \
        double s = 0;                                                                                                \
        for (int64_t l = 0; l < p->k; l++) s += (double)x[i * p->a.rs + l * p->a.cs] * y[l * p->b.rs + j * p->b.cs]; \
        T *o = &z[i * p->c.rs + j * p->c.cs];                                                                        \
        *o = (T)(p->alpha * s + (p->beta != 0 ? p->beta * *o : 0));                                                  \
      }                                                                                                              \
  }
PLAIN(float, f32)
PLAIN(double, f64)

/* Leading dimension and transposition of a matrix that fits. */
static CBLAS_TRANSPOSE lay(pc_mat m, int64_t rows, int64_t cols, blasint *ld) {
  int trans;
  if (rows == 1)
    trans = m.cs != 1; /* a row with a step is a column of that leading dimension */
  else if (cols == 1)
    trans = 0;
  else
    trans = !(m.cs == 1 && m.rs >= cols);
  int64_t need = trans ? rows : cols, have = trans ? m.cs : m.rs;
  *ld = (blasint)(have > need ? have : need > 0 ? need : 1);
  return trans ? CblasTrans : CblasNoTrans;
}

static void blas(pc_dtype d, int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c) {
  blasint lda, ldb, ldc;
  CBLAS_TRANSPOSE ta = lay(a, m, k, &lda), tb = lay(b, k, n, &ldb);
  lay(c, m, n, &ldc);
  if (d == PC_F32)
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, (float)alpha, a.p, lda, b.p, ldb,
                (float)beta, c.p, ldc);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, alpha, a.p, lda, b.p, ldb, beta, c.p, ldc);
}

/* ---- our kernels ---- */

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Nearly equal parts of at most `most`, in multiples of `unit`. */
static int64_t part_of(int64_t n, int64_t most, int64_t unit) {
  int64_t parts = (n + most - 1) / most;
  int64_t p = parts > 1 ? round_up((n + parts - 1) / parts, unit) : n;
  return p < n ? p : n;
}

static void scale(float *x, int64_t n, float by) {
  for (int64_t i = 0; by != 1 && i < n; i++) x[i] *= by;
}

static void pack_columns(float *to, int64_t k, int64_t n, pc_mat b, float alpha) {
  for (int64_t j = 0; j < n; j++)
    for (int64_t l = 0; l < k; l++) to[j * k + l] = ((const float *)b.p)[l * b.rs + j * b.cs];
  scale(to, k * n, alpha);
}

/* k rows of a whole panel, of `nr` numbers each, `rs` apart */
#define COPY_ROWS(NR)                                                                                           \
  PC_CLONES static void copy_rows_##NR(float *restrict to, const float *restrict from, int64_t rs, int64_t k) { \
    for (int64_t l = 0; l < k; l++) {                                                                           \
      int64_t next = l + AHEAD < k ? l + AHEAD : k - 1;                                                         \
      for (int q = 0; q < NR; q += 16) __builtin_prefetch(from + next * rs + q);                                \
      for (int q = 0; q < NR; q++) to[l * NR + q] = from[l * rs + q];                                           \
    }                                                                                                           \
  }
COPY_ROWS(8)
COPY_ROWS(16)
COPY_ROWS(32)

static void pack_panels(float *to, int64_t nr, int64_t k, int64_t n, pc_mat b, float alpha) {
  for (int64_t j = 0; j < n; j += nr, to += k * nr) {
    int64_t cols = n - j < nr ? n - j : nr;
    const float *from = (const float *)b.p + j * b.cs;
    if (cols < nr) memset(to, 0, sizeof *to * (size_t)(k * nr));
    if (b.cs != 1 && b.rs == 1) {
      pc_transpose_f32(to, nr, from, b.cs, cols, k);
    } else if (b.cs == 1 && cols == nr) {
      (nr == 32 ? copy_rows_32 : nr == 16 ? copy_rows_16 : copy_rows_8)(to, from, b.rs, k);
    } else {
      for (int64_t l = 0; l < k; l++)
        for (int64_t q = 0; q < cols; q++) to[l * nr + q] = from[l * b.rs + q * b.cs];
    }
    scale(to, k * nr, alpha);
  }
}

int64_t pc_panels_size(int64_t nr, int64_t k, int64_t n) { return n <= PC_DOT_COLS ? k * n : k * round_up(n, nr); }

void pc_pack_panels(float *to, int64_t nr, int64_t k, int64_t n, pc_mat b, float alpha) {
  if (n <= PC_DOT_COLS)
    pack_columns(to, k, n, b, alpha);
  else
    pack_panels(to, nr, k, n, b, alpha);
}

/* Rows to ask for before they are needed: of `bytes` each, `step` bytes apart. An address past the end of
 * a matrix does no harm: often the next call goes on there. */
typedef struct ahead {
  uintptr_t at; /* row 0 */
  int64_t step, bytes;
} ahead;

static ahead ahead_of(pc_mat m, int64_t row, int64_t col, int64_t cols) {
  return (ahead){(uintptr_t)m.p + (uintptr_t)(4 * (row * m.rs + col)), 4 * m.rs, m.far ? 4 * cols : 0};
}

static void ask(const ahead *h, int64_t from, int64_t to) {
  for (int64_t q = from; q < to && h->bytes; q++)
    for (int64_t b = 0; b < h->bytes; b += 64)
      __builtin_prefetch((const void *)(h->at + (uintptr_t)(q * h->step + b)), 0, 2);
}

/* C (+)= A B for at most ROWS rows. Panels are k_all rows long; k rows of them are used, from k0 on.
 * Rows of A stay in L1 while the panels pass by. */
typedef struct piece {
  const pc_kernel *kernel;
  const float *const *a; /* rows */
  float *const *c;
  int64_t rows, n, k, n_all, k_all;
  const float *panels; /* at k0 */
  const float *init;
  int64_t a_off;
  int add;
  ahead next_a, next_c;
} piece;

static void run_dots(const piece *p) {
  const pc_k_run run = {p->a_off, p->k};
  pc_block u = {
      .runs = &run, .nruns = 1, .b = p->panels, .ldb = p->k_all, .cols = (int)p->n, .init = p->init, .add = p->add};
  for (int64_t i = 0; i < p->rows; i += PC_DOT_ROWS) {
    u.a = p->a + i;
    u.c = p->c + i;
    p->kernel->dot[p->rows - i < PC_DOT_ROWS ? p->rows - i : PC_DOT_ROWS](&u);
  }
}

static void run_piece(const piece *p) {
  int64_t nr = p->kernel->nr, mr = p->kernel->mr;
  float pad[PC_NR_MAX] = {0};
  float *c[PC_MR_MAX];
  if (p->n_all <= PC_DOT_COLS) {
    run_dots(p);
    return;
  }
  const pc_k_run run = {p->a_off, p->k};
  int64_t edge = p->n / nr * nr;
  if (p->init && edge < p->n) memcpy(pad, p->init + edge, sizeof *pad * (size_t)(p->n - edge));
  pc_block u = {.c = c, .runs = &run, .nruns = 1, .add = p->add};
  for (int64_t i = 0; i < p->rows; i += mr) {
    int64_t rows = p->rows - i < mr ? p->rows - i : mr;
    u.a = p->a + i;
    u.b = p->panels;
    for (int64_t j = 0, at = i + mr; j < p->n; j += nr, u.b += p->k_all * nr) {
      int64_t to = i + mr + (j + nr < p->n ? (j + nr) * mr / p->n : mr); /* a share of the next rows a panel */
      ask(&p->next_a, at, to);
      ask(&p->next_c, at, to);
      at = to;
      u.cols = (int)(p->n - j < nr ? p->n - j : nr);
      u.init = !p->init ? NULL : j < edge ? p->init + j : pad;
      for (int64_t q = 0; q < rows; q++) c[q] = p->c[i + q] + j;
      p->kernel->run[rows](&u);
    }
  }
}

/* Rows a multiple of 4 KiB apart fall on the same lines of L1, and push each other out. */
static int collides(pc_mat a, int64_t k, int64_t n) { return k > 64 && n >= 64 && a.cs == 1 && a.rs % 1024 == 0; }

static void lay_rows(float *to, int64_t ld, pc_mat a, int64_t row, int64_t col, int64_t rows, int64_t cols) {
  const float *from = (const float *)a.p + row * a.rs + col * a.cs;
  if (a.cs != 1)
    pc_transpose_f32(to, ld, from, a.cs, cols, rows);
  else
    for (int64_t q = 0; q < rows; q++) memcpy(to + q * ld, from + q * a.rs, sizeof *to * (size_t)cols);
}

/* The same for any number of rows; panels hold all of k. A may be transposed: then rows are turned on the way, as
 * those that collide are copied. */
static void product(const pc_kernel *kr, int64_t m, int64_t n, int64_t k, pc_mat a, const float *panels, int64_t k_all,
                    const float *init, int add, pc_mat c) {
  const float *ar[ROWS];
  float *cr[ROWS];
  _Alignas(64) float laid[BLOCK_A];
  int64_t kc = part_of(k, PANEL / kr->nr, 8), ld = kc + LINE, rows = kc > 0 ? BLOCK_A / ld / kr->mr * kr->mr : ROWS;
  int64_t nc = kc > 0 ? part_of(n, BLOCK_B / kc / kr->nr * kr->nr, kr->nr) : n;
  int lay = (k > 1 && a.cs != 1) || collides(a, k, n);
  if (rows > ROWS) rows = ROWS;
  rows = part_of(m, rows, kr->mr);
  for (int64_t i = 0; i < m; i += rows) {
    int64_t here = m - i < rows ? m - i : rows, l = 0;
    for (int64_t q = 0; q < here; q++) ar[q] = lay ? laid + q * ld : (const float *)a.p + (i + q) * a.rs;
    do { /* also once for k == 0: C is the bias then */
      if (pc_should_stop()) return;
      int64_t len = k - l < kc ? k - l : kc;
      if (lay) lay_rows(laid, ld, a, i, l, here, len);
      for (int64_t j = 0; j < n; j += nc) {
        for (int64_t q = 0; q < here; q++) cr[q] = (float *)c.p + (i + q) * c.rs + j;
        run_piece(&(piece){.kernel = kr,
                           .a = ar,
                           .c = cr,
                           .rows = here,
                           .n = n - j < nc ? n - j : nc,
                           .k = len,
                           .n_all = n,
                           .k_all = k_all,
                           .panels = panels + j * k_all + l * (n <= PC_DOT_COLS ? 1 : kr->nr),
                           .init = init ? init + j : NULL,
                           .a_off = lay ? 0 : l,
                           .add = add || l > 0,
                           .next_a = ahead_of(a, i, l, lay || j ? 0 : len),
                           .next_c = ahead_of(c, i, j,
                                              l            ? 0
                                              : n - j < nc ? n - j
                                                           : nc)});
      }
      l += len;
    } while (l < k);
  }
}

static void scale_c(int64_t m, int64_t n, double beta, pc_mat c) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) ((float *)c.p)[i * c.rs + j] *= (float)beta;
}

/* B is packed block by block on the stack. */
static void unpacked(int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c) {
  const pc_kernel *kr = pc_gemm_kernel();
  _Alignas(64) float block[BLOCK_B];
  int64_t kc = part_of(k, PANEL / kr->nr, 8), nc = kc > 0 ? BLOCK_B / kc / kr->nr * kr->nr : n;
  if (beta != 0 && beta != 1) scale_c(m, n, beta, c);
  nc = part_of(n, nc, kr->nr);
  for (int64_t l = 0; l < k; l += kc)
    for (int64_t j = 0; j < n; j += nc) {
      int64_t len = k - l < kc ? k - l : kc, cols = n - j < nc ? n - j : nc;
      pc_mat x = a, y = b, z = c;
      x.p = (float *)a.p + l * a.cs;
      y.p = (float *)b.p + l * b.rs + j * b.cs;
      z.p = (float *)c.p + j;
      pc_pack_panels(block, kr->nr, len, cols, y, (float)alpha);
      product(kr, m, cols, len, x, block, len, NULL, l > 0 || beta != 0, z);
    }
}

int pc_ref_product(pc_product *p) {
  (p->d == PC_F32 ? plain_f32 : plain_f64)(p);
  return PC_OK;
}

int pc_host_product(pc_product *p) {
  int64_t m = p->m, n = p->n;
  pc_mat a = p->a, b = p->b, c = p->c;
  if ((n > 1 && c.cs != 1) || (n == 1 && c.rs < 1)) { /* kernels and BLAS write rows: C' = B' A' */
    pc_mat t = a;
    a = (pc_mat){.p = b.p, .rs = b.cs, .cs = b.rs};
    b = (pc_mat){.p = t.p, .rs = t.cs, .cs = t.rs};
    c = (pc_mat){.p = c.p, .rs = c.cs, .cs = c.rs, .far = c.far};
    int64_t s = m;
    m = n;
    n = s;
  }
  if (p->d == PC_F32 && m >= 4 && n > 1)
    unpacked(m, n, p->k, p->alpha, a, b, p->beta, c);
  else
    blas(p->d, m, n, p->k, p->alpha, a, b, p->beta, c);
  return PC_OK;
}

void pc_gemm(pc_dtype d, int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c) {
  pc_product p = {.d = d, .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta, .a = a, .b = b, .c = c};
  if (m == 0 || n == 0) return;
  (m * n * k <= 32 ? pc_ref_product : pc_kernels_now()->product)(&p);
}

/* ---- packed once ---- */

static void pack_part(int64_t begin, int64_t end, void *ctx) {
  const struct {
    const pc_packed *p;
    pc_mat b;
  } *w = ctx;
  int64_t nr = w->p->n <= PC_DOT_COLS ? PC_DOT_COLS : w->p->kernel->nr, j = begin * nr,
          n = end * nr < w->p->n ? end * nr : w->p->n;
  pc_mat b = w->b;
  b.p = (float *)b.p + j * b.cs;
  if (w->p->n <= PC_DOT_COLS)
    pack_columns(w->p->p, w->p->k, n, b, 1);
  else
    pack_panels((float *)w->p->p + begin * w->p->k * nr, nr, w->p->k, n - j, b, 1);
}

int pc_ref_pack(pc_pack_call *c) {
  pc_packed *out = c->out;
  pc_mat b = c->b;
  if (!(out->p = pc_malloc((size_t)(out->k * out->n) * pc_dtype_size(out->d)))) return PC_ENOMEM;
  for (int64_t l = 0; l < out->k; l++)
    for (int64_t j = 0; j < out->n; j++) {
      int64_t from = l * b.rs + j * b.cs;
      if (out->d == PC_F32)
        ((float *)out->p)[l * out->n + j] = ((const float *)b.p)[from];
      else
        ((double *)out->p)[l * out->n + j] = ((const double *)b.p)[from];
    }
  return PC_OK;
}

int pc_host_pack(pc_pack_call *c) {
  pc_packed *out = c->out;
  if (out->d != PC_F32) return pc_ref_pack(c);
  out->kernel = pc_gemm_kernel();
  int64_t size = pc_panels_size(out->kernel->nr, out->k, out->n);
  if (!(out->p = pc_malloc((size_t)size * sizeof(float)))) return PC_ENOMEM;
  struct {
    const pc_packed *p;
    pc_mat b;
  } w = {out, c->b};
  int64_t panels = out->n <= PC_DOT_COLS ? out->n > 0 : round_up(out->n, out->kernel->nr) / out->kernel->nr;
  pc_parallel_for(panels, size < 1 << 16 ? panels : 4, pack_part, &w);
  return PC_OK;
}

int pc_pack(pc_packed *out, pc_dtype d, int64_t k, int64_t n, pc_mat b) {
  const pc_kernels *run = pc_kernels_now();
  *out = (pc_packed){.d = d, .k = k, .n = n, .product = run->packed_product};
  return run->pack(&(pc_pack_call){out, b});
}

void pc_pack_free(pc_packed *p) {
  pc_free(p->p);
  p->p = NULL;
}

/* Fills rows of C with the bias, so that the product can be added. */
static void lay_bias(const void *bias, size_t es, pc_mat c, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i++) memcpy((char *)c.p + (size_t)(i * c.rs) * es, bias, (size_t)cols * es);
}

int pc_ref_packed_product(pc_packed_call *p) {
  const pc_packed *b = p->b;
  if (p->bias) lay_bias(p->bias, pc_dtype_size(b->d), p->c, p->m, b->n);
  pc_gemm(b->d, p->m, b->n, b->k, 1, p->a, PC_ROWS(b->p, b->n), p->bias ? 1 : p->beta, p->c);
  return PC_OK;
}

int pc_host_packed_product(pc_packed_call *p) {
  const pc_packed *b = p->b;
  if (!b->kernel) return pc_ref_packed_product(p);
  if (p->beta != 0 && p->beta != 1) scale_c(p->m, b->n, p->beta, p->c);
  product(b->kernel, p->m, b->n, b->k, p->a, b->p, b->k, p->bias, p->beta != 0, p->c);
  return PC_OK;
}

void pc_gemm_packed(int64_t m, pc_mat a, const pc_packed *b, const void *bias, double beta, pc_mat c) {
  if (m == 0 || b->n == 0) return;
  b->product(&(pc_packed_call){.m = m, .b = b, .bias = bias, .beta = beta, .a = a, .c = c});
}

/* ---- many, on all threads ---- */

typedef struct plan {
  const pc_gemm_job *j;
  pc_packed shared; /* B, when every task reads the same one */
  int is_shared;
  size_t es;
  int64_t tile, tiles; /* of rows, or of columns when by_cols */
  int by_cols;
  int64_t part; /* inner length of a part when split */
  char *partial;
} plan;

static pc_mat shift(pc_mat m, size_t es, int64_t elements) {
  m.p = (char *)m.p + (int64_t)es * elements;
  return m;
}

static void run_tiles(int64_t begin, int64_t end, void *ctx) {
  const plan *p = ctx;
  const pc_gemm_job *j = p->j;
  for (int64_t t = begin; t < end; t++) {
    int64_t i = t / p->tiles, at = t % p->tiles * p->tile;
    int64_t m = j->m, n = j->n, len = (p->by_cols ? n : m) - at;
    pc_mat a = shift(j->a, p->es, j->aoff ? j->aoff[i] : 0), b = shift(j->b, p->es, j->boff ? j->boff[i] : 0),
           c = shift(j->c, p->es, j->coff ? j->coff[i] : 0);
    if (len > p->tile) len = p->tile;
    if (p->by_cols) {
      b = shift(b, p->es, at * b.cs);
      c = shift(c, p->es, at * c.cs);
      n = len;
    } else {
      a = shift(a, p->es, at * a.rs);
      c = shift(c, p->es, at * c.rs);
      m = len;
    }
    const char *bias = j->bias ? (const char *)j->bias + (p->by_cols ? at : 0) * (int64_t)p->es : NULL;
    a.far = c.far = 1;
    if (p->is_shared) {
      pc_gemm_packed(m, a, &p->shared, bias, j->beta, c);
      continue;
    }
    if (bias) lay_bias(bias, p->es, c, m, n);
    pc_gemm(j->d, m, n, j->k, j->alpha, a, b, bias ? 1 : j->beta, c);
  }
}

/* Part t of the inner dimension, into its own buffer, in slices that stay in cache. */
static void run_parts(int64_t begin, int64_t end, void *ctx) {
  const plan *p = ctx;
  const pc_gemm_job *j = p->j;
  for (int64_t t = begin; t < end; t++) {
    pc_mat c = PC_ROWS(p->partial + (size_t)(t * j->m * j->n) * p->es, j->n);
    int64_t stop = (t + 1) * p->part < j->k ? (t + 1) * p->part : j->k;
    for (int64_t k = t * p->part; k < stop; k += 1024) {
      int64_t len = stop - k < 1024 ? stop - k : 1024;
      pc_gemm(j->d, j->m, j->n, len, j->alpha, shift(j->a, p->es, k * j->a.cs), shift(j->b, p->es, k * j->b.rs),
              k > t * p->part, c);
    }
  }
}

#define ADD_PARTS(T)                                                                  \
  static void add_parts_##T(const pc_gemm_job *j, const T *part, int64_t parts) {     \
    int64_t mn = j->m * j->n;                                                         \
    for (int64_t r = 0; r < j->m; r++)                                                \
      for (int64_t q = 0; q < j->n; q++) {                                            \
        T *o = (T *)j->c.p + (j->coff ? j->coff[0] : 0) + r * j->c.rs + q * j->c.cs;  \
        T s = j->beta != 0 ? (T)j->beta * *o : j->bias ? ((const T *)j->bias)[q] : 0; \
        for (int64_t t = 0; t < parts; t++) s += part[t * mn + r * j->n + q];         \
        *o = s;                                                                       \
      }                                                                               \
  }
ADD_PARTS(float)
ADD_PARTS(double)

static int split_inner(plan *p) {
  const pc_gemm_job *j = p->j;
  int64_t parts = j->k / SPLIT_MIN < SPLIT_MAX ? j->k / SPLIT_MIN : SPLIT_MAX;
  pc_gemm_job one = *j;
  p->part = (j->k + parts - 1) / parts;
  parts = (j->k + p->part - 1) / p->part;
  p->partial = pc_malloc((size_t)(parts * j->m * j->n) * p->es);
  if (!p->partial) return PC_ENOMEM;
  one.a = shift(j->a, p->es, j->aoff ? j->aoff[0] : 0);
  one.b = shift(j->b, p->es, j->boff ? j->boff[0] : 0);
  p->j = &one;
  pc_parallel_for(parts, 1, run_parts, p);
  p->j = j;
  if (j->d == PC_F32)
    add_parts_float(j, (const float *)p->partial, parts);
  else
    add_parts_double(j, (const double *)p->partial, parts);
  pc_free(p->partial);
  return PC_OK;
}

/* Rows of C can be cut, and B packed once for all of them. */
static int shares_b(const plan *p) {
  const pc_gemm_job *j = p->j;
  return j->batch == 1 && j->d == PC_F32 && !p->by_cols && j->m >= 24 && j->n > 1 && j->c.cs == 1 && j->alpha == 1;
}

static int run_plan(plan *p, int64_t grain) {
  const pc_gemm_job *j = p->j;
  if ((p->is_shared = shares_b(p))) {
    int rc = pc_pack(&p->shared, j->d, j->k, j->n, shift(j->b, p->es, j->boff ? j->boff[0] : 0));
    if (rc < 0) return rc;
  }
  pc_parallel_for(j->batch * p->tiles, grain, run_tiles, p);
  if (p->is_shared) pc_pack_free(&p->shared);
  return PC_OK;
}

int pc_gemm_many(const pc_gemm_job *j) {
  plan p = {.j = j, .es = pc_dtype_size(j->d)};
  double each = 2.0 * (double)j->m * (double)j->n * (double)j->k, all = each * (double)j->batch;
  if (j->batch == 0 || j->m == 0 || j->n == 0) return PC_OK;
  if (all > PC_SERIAL_FLOPS && j->batch == 1 && j->k >= 2 * SPLIT_MIN && j->m * j->n <= 1 << 18 &&
      j->k >= 4 * (j->m > j->n ? j->m : j->n))
    return split_inner(&p);
  p.tile = j->m;
  if (all > PC_SERIAL_FLOPS && each > PC_SERIAL_FLOPS / 4) {
    int64_t most = j->batch > 1 ? j->m : (j->m + 3) / 4; /* at least four pieces for two threads */
    p.by_cols = j->m < 128 && j->n >= 512;
    if (p.by_cols) most = (j->n + 3) / 4;
    p.tile = pc_tile_rows(p.by_cols ? j->n : j->m, (int64_t)p.es * ((p.by_cols ? j->m : j->n) + j->k));
    most = (most + 47) / 48 * 48;
    if (!p.by_cols && j->k * j->n * (int64_t)p.es > STREAM_FROM && p.tile < STREAM_ROWS) p.tile = STREAM_ROWS;
    if (p.tile > most) p.tile = most;
  }
  p.tiles = ((p.by_cols ? j->n : j->m) + p.tile - 1) / p.tile;
  int64_t tasks = j->batch * p.tiles, grain = tasks;
  if (all > PC_SERIAL_FLOPS) { /* small products go to a thread in bunches */
    double per = all / (double)tasks;
    grain = per >= PC_SERIAL_FLOPS / 4 ? 1 : (int64_t)(PC_SERIAL_FLOPS / 4 / per) + 1;
  }
  return run_plan(&p, grain);
}
