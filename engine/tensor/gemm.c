#include "tensor/gemm.h"

#include <cblas.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/parallel.h"

enum {
  TILE_BYTES = 384 << 10, /* of the 1 MiB of L2 a core has; BLAS packs into the rest */
  SPLIT_MAX = 8,          /* parts of a split inner dimension */
  SPLIT_MIN = 512,        /* least inner length of a part */
};
static const double serial_flops = 1.5e6; /* about 15 us: below, a second thread costs more than it brings */

int pc_mat_fits(int64_t rows, int64_t cols, int64_t rs, int64_t cs) {
  if (rows < 2 && cols < 2) return 1;
  if (rows == 1) return cs >= 1;
  if (cols == 1) return rs >= 1;
  return (cs == 1 && rs >= cols) || (rs == 1 && cs >= rows);
}

int64_t pc_tile_rows(int64_t rows, int64_t bytes) {
  int64_t t = bytes > 0 ? TILE_BYTES / bytes : rows;
  t = t < 64 ? 64 : t > 1024 ? 1024 : t / 16 * 16;
  return t < rows ? t : rows > 0 ? rows : 1;
}

/* ---- one product ---- */

#define PLAIN(T)                                                                                                    \
  static void plain_##T(int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c) { \
    const T *x = a.p, *y = b.p;                                                                                     \
    T *z = c.p;                                                                                                     \
    for (int64_t i = 0; i < m; i++)                                                                                 \
      for (int64_t j = 0; j < n; j++) {                                                                             \
        double s = 0;                                                                                               \
        for (int64_t l = 0; l < k; l++) s += (double)x[i * a.rs + l * a.cs] * y[l * b.rs + j * b.cs];               \
        T *o = &z[i * c.rs + j * c.cs];                                                                             \
        *o = (T)(alpha * s + (beta != 0 ? beta * *o : 0));                                                          \
      }                                                                                                             \
  }
PLAIN(float)
PLAIN(double)

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

/* One call, B and C row-major unless BLAS is told otherwise. */
static void call(pc_dtype d, int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c) {
  blasint lda, ldb, ldc;
  CBLAS_TRANSPOSE ta = lay(a, m, k, &lda), tb = lay(b, k, n, &ldb);
  lay(c, m, n, &ldc);
  if (d == PC_F32)
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, (float)alpha, a.p, lda, b.p, ldb,
                (float)beta, c.p, ldc);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, alpha, a.p, lda, b.p, ldb, beta, c.p, ldc);
}

/* OpenBLAS has AVX-512 kernels for m·n·k <= 100^3 that read their operands in place: 105-115
 * GFLOP/s on one core where its packing kernels reach 70-98. So larger products go to it in
 * blocks of that size. */
enum { SMALL = 1000000, BLOCK = 128, ROWS_MAX = 256 };

static int has_small_kernels(void) {
  static int known; /* racing threads write the same value */
  if (!known) {
    const char *core = openblas_get_corename();
    known =
        !strcasecmp(core, "SkylakeX") || !strcasecmp(core, "Cooperlake") || !strcasecmp(core, "SapphireRapids") ? 1 : 2;
  }
  return known == 1;
}

/* Nearly equal blocks of at most `most`, in sixteens. */
static int64_t block_of(int64_t n, int64_t most) {
  int64_t parts = (n + most - 1) / most, b = ((n + parts - 1) / parts + 15) / 16 * 16;
  return b < n ? b : n;
}

/* Strides that send the rows of a block to the same cache sets. */
static int clashes(int64_t stride) { return stride >= 512 && stride % 128 == 0; }

static int worth_blocking(int64_t m, int64_t n, int64_t k, pc_mat b, pc_mat c) {
  return m * n * k > SMALL && m >= 16 && b.cs == 1 && c.cs == 1 && !clashes(b.rs) && !clashes(c.rs) &&
         has_small_kernels();
}

static void blocks(int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c) {
  int64_t nb = block_of(n, BLOCK), kb = block_of(k, BLOCK), mb = SMALL / (nb * kb) / 16 * 16;
  mb = block_of(m, mb < ROWS_MAX ? mb : ROWS_MAX);
  while (mb * nb * kb > SMALL && mb > 16) mb -= 16; /* block_of may have rounded up */
  for (int64_t i = 0; i < m; i += mb)
    for (int64_t j = 0; j < n; j += nb)
      for (int64_t l = 0; l < k; l += kb) {
        pc_mat x = a, y = b, z = c;
        x.p = (float *)a.p + i * a.rs + l * a.cs;
        y.p = (float *)b.p + l * b.rs + j;
        z.p = (float *)c.p + i * c.rs + j;
        call(PC_F32, m - i < mb ? m - i : mb, n - j < nb ? n - j : nb, k - l < kb ? k - l : kb, alpha, x, y,
             l ? 1 : beta, z);
      }
}

void pc_gemm(pc_dtype d, int64_t m, int64_t n, int64_t k, double alpha, pc_mat a, pc_mat b, double beta, pc_mat c) {
  if (m == 0 || n == 0) return;
  if (pc_cpu_tier() == PC_TIER_REF || m * n * k <= 32) {
    (d == PC_F32 ? plain_float : plain_double)(m, n, k, alpha, a, b, beta, c);
    return;
  }
  if ((n > 1 && c.cs != 1) || (n == 1 && c.rs < 1)) { /* BLAS writes rows: C' = B' A' */
    pc_mat t = a;
    a = (pc_mat){b.p, b.cs, b.rs};
    b = (pc_mat){t.p, t.cs, t.rs};
    c = (pc_mat){c.p, c.cs, c.rs};
    int64_t s = m;
    m = n;
    n = s;
  }
  if (d == PC_F32 && worth_blocking(m, n, k, b, c))
    blocks(m, n, k, alpha, a, b, beta, c);
  else
    call(d, m, n, k, alpha, a, b, beta, c);
}

/* ---- many, on all threads ---- */

typedef struct plan {
  const pc_gemm_job *j;
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

/* Fills rows of C with the bias, so that the product can be added (beta 1): BLAS clears C otherwise anyway. */
static void lay_bias(const pc_gemm_job *j, size_t es, pc_mat c, int64_t rows, int64_t col, int64_t cols) {
  const char *bias = (const char *)j->bias + (size_t)col * es;
  for (int64_t i = 0; i < rows; i++) memcpy((char *)c.p + (size_t)(i * c.rs) * es, bias, (size_t)cols * es);
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
    if (j->bias) lay_bias(j, p->es, c, m, p->by_cols ? at : 0, n);
    pc_gemm(j->d, m, n, j->k, j->alpha, a, b, j->bias ? 1 : j->beta, c);
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

static int many(const pc_gemm_job *j) {
  plan p = {.j = j, .es = pc_dtype_size(j->d)};
  double each = 2.0 * (double)j->m * (double)j->n * (double)j->k, all = each * (double)j->batch;
  if (j->batch == 0 || j->m == 0 || j->n == 0) return PC_OK;
  if (all > serial_flops && j->batch == 1 && j->k >= 2 * SPLIT_MIN && j->m * j->n <= 1 << 18 &&
      j->k >= 4 * (j->m > j->n ? j->m : j->n))
    return split_inner(&p);
  p.tile = j->m;
  if (all > serial_flops && each > serial_flops / 4) {
    int64_t most = j->batch > 1 ? j->m : (j->m + 3) / 4; /* at least four pieces for two threads */
    p.by_cols = j->m < 128 && j->n >= 512;
    if (p.by_cols) most = (j->n + 3) / 4;
    p.tile = pc_tile_rows(p.by_cols ? j->n : j->m, (int64_t)p.es * ((p.by_cols ? j->m : j->n) + j->k));
    most = (most + 15) / 16 * 16;
    if (p.tile > most) p.tile = most < 64 ? 64 : most;
  }
  p.tiles = ((p.by_cols ? j->n : j->m) + p.tile - 1) / p.tile;
  int64_t tasks = j->batch * p.tiles, grain = tasks;
  if (all > serial_flops) { /* small products go to a thread in bunches */
    double per = all / (double)tasks;
    grain = per >= serial_flops / 4 ? 1 : (int64_t)(serial_flops / 4 / per) + 1;
  }
  pc_parallel_for(tasks, grain, run_tiles, &p);
  return PC_OK;
}

void pc_transpose_f32(float *restrict to, const float *restrict from, int64_t rows, int64_t cols, int64_t ld) {
  enum { T = 16 };
  for (int64_t r = 0; r < rows; r += T)
    for (int64_t q = 0; q < cols; q += T) {
      int64_t re = rows - r < T ? rows : r + T, qe = cols - q < T ? cols : q + T;
      for (int64_t j = q; j < qe; j++)
        for (int64_t i = r; i < re; i++) to[j * rows + i] = from[i * ld + j];
    }
}

int pc_gemm_wants_rows(pc_dtype d, int64_t m) {
  return d == PC_F32 && m >= 128 && has_small_kernels() && pc_cpu_tier() != PC_TIER_REF;
}

/* Many rows against one transposed matrix (x W'): turning the matrix round once lets the small kernels run. */
int pc_gemm_many(const pc_gemm_job *j) {
  if (j->batch != 1 || j->b.cs == 1 || j->b.rs != 1 || j->n < 2 || j->k < 2 || !pc_gemm_wants_rows(j->d, j->m))
    return many(j);
  pc_gemm_job turned = *j;
  float *b = pc_malloc(sizeof *b * (size_t)(j->n * j->k));
  if (!b) return PC_ENOMEM;
  pc_transpose_f32(b, (const float *)j->b.p + (j->boff ? j->boff[0] : 0), j->n, j->k, j->b.cs);
  turned.b = PC_ROWS(b, j->n);
  turned.boff = NULL;
  int rc = many(&turned);
  pc_free(b);
  return rc;
}
