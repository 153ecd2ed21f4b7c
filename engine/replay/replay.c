#include "replay/replay.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

int pc_marginal_parse(pc_marginal *out, const char *name) {
  static const char *const names[] = {"empirical", "gaussian", "prior"};
  for (int i = 0; i < 3; i++)
    if (!strcmp(name, names[i])) return *out = (pc_marginal)i, PC_OK;
  return pc_fail(PC_EARG, "replay: unknown marginals '%s': known are empirical, gaussian, prior", name);
}

static void empirical(pc_tensor *z, const pc_tensor *bank, pc_rng *g) {
  int64_t n = z->size[0], slots = z->size[1], rows = bank->size[0];
  size_t w = pc_dtype_size(z->dtype) * (size_t)z->size[2];
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < slots; k++) {
      int64_t from = pc_rng_below(g, rows);
      memcpy((char *)pc_data(z) + (size_t)(i * slots + k) * w, (char *)pc_data(bank) + (size_t)(from * slots + k) * w,
             w);
    }
}

/* Lower Cholesky factor of the (m,m) covariance in place; a small ridge keeps rank-deficient banks factorable. */
static void cholesky(double *c, int64_t m) {
  for (int64_t i = 0; i < m; i++) c[i * m + i] += 1e-8 + 1e-6 * c[i * m + i];
  for (int64_t j = 0; j < m; j++) {
    double d = c[j * m + j];
    for (int64_t k = 0; k < j; k++) d -= c[j * m + k] * c[j * m + k];
    d = sqrt(fmax(d, 1e-12));
    c[j * m + j] = d;
    for (int64_t i = j + 1; i < m; i++) {
      double s = c[i * m + j];
      for (int64_t k = 0; k < j; k++) s -= c[i * m + k] * c[j * m + k];
      c[i * m + j] = s / d;
    }
  }
}

static void fit(const pc_tensor *bank, int64_t k, double *mean, double *cov) {
  int64_t rows = bank->size[0], slots = bank->size[1], m = bank->size[2];
#define AT(i, j) \
  (bank->dtype == PC_F32 ? (double)pc_f32(bank)[((i)*slots + k) * m + (j)] : pc_f64(bank)[((i)*slots + k) * m + (j)])
  memset(mean, 0, sizeof *mean * (size_t)m);
  memset(cov, 0, sizeof *cov * (size_t)(m * m));
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < m; j++) mean[j] += AT(i, j) / (double)rows;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t a = 0; a < m; a++)
      for (int64_t b = 0; b <= a; b++) cov[a * m + b] += (AT(i, a) - mean[a]) * (AT(i, b) - mean[b]) / (double)rows;
#undef AT
}

static int gaussian(pc_tensor *z, const pc_tensor *bank, pc_rng *g) {
  int64_t n = z->size[0], slots = z->size[1], m = z->size[2];
  double *mean = pc_malloc(sizeof *mean * (size_t)(m * m + 2 * m));
  if (!mean) return PC_ENOMEM;
  double *cov = mean + m, *e = cov + m * m;
  for (int64_t k = 0; k < slots; k++) {
    fit(bank, k, mean, cov);
    cholesky(cov, m);
    for (int64_t i = 0; i < n; i++) {
      pc_rng_fill_normal_f64(g, e, m);
      for (int64_t a = 0; a < m; a++) {
        double v = mean[a];
        for (int64_t b = 0; b <= a; b++) v += cov[a * m + b] * e[b];
        if (z->dtype == PC_F32)
          pc_f32(z)[(i * slots + k) * m + a] = (float)v;
        else
          pc_f64(z)[(i * slots + k) * m + a] = v;
      }
    }
  }
  pc_free(mean);
  return PC_OK;
}

int pc_replay_sample(pc_tensor **out, const pc_tensor *bank, int64_t n, pc_marginal kind, pc_rng *g) {
  pc_tensor *b = NULL;
  *out = NULL;
  if (bank->ndim != 3 || bank->size[0] < 1 || !pc_dtype_is_float(bank->dtype))
    return pc_fail(PC_ESHAPE, "replay: the bank must be slots (N,K,m) of a float dtype with N at least 1, got %s %s",
                   pc_shape_str(bank), pc_dtype_name(bank->dtype));
  if (n < 0) return pc_fail(PC_EARG, "replay: cannot draw %lld slot sets", (long long)n);
  int rc = pc_contiguous(&b, bank);
  if (rc == PC_OK) rc = pc_tensor_empty(out, bank->dtype, 3, (int64_t[]){n, bank->size[1], bank->size[2]});
  if (rc == PC_OK) {
    if (kind == PC_MARGINAL_EMPIRICAL)
      empirical(*out, b, g);
    else if (kind == PC_MARGINAL_GAUSSIAN)
      rc = gaussian(*out, b, g);
    else if ((*out)->dtype == PC_F32)
      pc_rng_fill_normal_f32(g, pc_f32(*out), pc_numel(*out));
    else
      pc_rng_fill_normal_f64(g, pc_f64(*out), pc_numel(*out));
  }
  pc_tensor_release(b);
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}
