#include "replay/mixture.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

void pc_cholesky_in_place(double *c, int m) {
  for (int j = 0; j < m; j++) {
    double d = c[j * m + j];
    for (int k = 0; k < j; k++) d -= c[j * m + k] * c[j * m + k];
    d = sqrt(fmax(d, 1e-12));
    c[j * m + j] = d;
    for (int i = j + 1; i < m; i++) {
      double s = c[i * m + j];
      for (int k = 0; k < j; k++) s -= c[i * m + k] * c[j * m + k];
      c[i * m + j] = s / d;
    }
  }
}

/* log w_c + log N(x; mean_c, L_c L_c^T); y: m numbers */
static double log_component(const pc_mixture *p, int c, const double *x, double *y) {
  int m = p->m;
  const double *mean = p->mean + (size_t)c * (size_t)m, *l = p->factor + (size_t)c * (size_t)(m * m);
  double sum = p->top[c];
  if (!(p->weight[c] > 0)) return -DBL_MAX;
  for (int i = 0; i < m; i++) { /* L y = x - mean */
    double v = x[i] - mean[i];
    for (int k = 0; k < i; k++) v -= l[i * m + k] * y[k];
    y[i] = v / l[i * m + i];
    sum -= 0.5 * y[i] * y[i];
  }
  return sum;
}

/* log sum exp of the components; share[c] becomes the responsibility of c */
static double responsibilities(const pc_mixture *p, const double *x, double *y, double *share) {
  double most = -DBL_MAX, sum = DBL_MIN; /* the largest share is exp(0) = 1 */
  for (int c = 0; c < p->components; c++) most = fmax(most, share[c] = log_component(p, c, x, y));
  for (int c = 0; c < p->components; c++) sum += share[c] = exp(share[c] - most);
  for (int c = 0; c < p->components; c++) share[c] /= sum;
  return most + log(sum);
}

double pc_mixture_log_density(const pc_mixture *p, const double *x, double *work) {
  return responsibilities(p, x, work, work + p->m);
}

static double distance(const double *a, const double *b, int m) {
  double s = 0;
  for (int i = 0; i < m; i++) s += (a[i] - b[i]) * (a[i] - b[i]);
  return s;
}

/* k-means++: each further centre is a point drawn with probability proportional to its squared distance. */
static void first_centres(pc_mixture *p, const double *x, int64_t n, double *near, pc_rng *g) {
  int m = p->m;
  size_t row = sizeof *x * (size_t)m;
  memcpy(p->mean, x + pc_rng_below(g, n) * m, row);
  for (int64_t i = 0; i < n; i++) near[i] = distance(x + i * m, p->mean, m);
  for (int c = 1; c < p->components; c++) {
    double total = 0, at;
    int64_t pick = pc_rng_below(g, n); /* all points are centres already */
    for (int64_t i = 0; i < n; i++) total += near[i];
    at = total * pc_rng_uniform(g);
    for (int64_t i = 0; i < n && total > 0; i++)
      if ((at -= near[i]) < 0) {
        pick = i;
        break;
      }
    double *centre = p->mean + (size_t)c * (size_t)m;
    memcpy(centre, x + pick * m, row);
    for (int64_t i = 0; i < n; i++) near[i] = fmin(near[i], distance(x + i * m, centre, m));
  }
}

/* Sends every point to its centre (share becomes 0 or 1), then centres to the mean of their points. */
static void k_means(pc_mixture *p, const double *x, int64_t n, double *share, int rounds) {
  int m = p->m, k = p->components;
  for (int r = 0; r <= rounds; r++) {
    memset(share, 0, sizeof *share * (size_t)(n * k));
    for (int64_t i = 0; i < n; i++) {
      int best = 0;
      double least = DBL_MAX;
      for (int c = 0; c < k; c++) {
        double d = distance(x + i * m, p->mean + (size_t)c * (size_t)m, m);
        if (d < least) least = d, best = c;
      }
      share[i * k + best] = 1;
    }
    if (r == rounds) return;
    for (int c = 0; c < k; c++) {
      double count = 0, *mean = p->mean + (size_t)c * (size_t)m;
      for (int64_t i = 0; i < n; i++) count += share[i * k + c];
      if (count < 1) continue;
      memset(mean, 0, sizeof *mean * (size_t)m);
      for (int64_t i = 0; i < n; i++)
        for (int j = 0; share[i * k + c] > 0 && j < m; j++) mean[j] += x[i * m + j] / count;
    }
  }
}

/* Weights, means and factors of the shares (n,components). ridge: added to every variance. */
static void maximise(pc_mixture *p, const double *x, int64_t n, const double *share, double ridge) {
  int m = p->m, k = p->components;
  for (int c = 0; c < k; c++) {
    double count = 0, trace = 0, *mean = p->mean + (size_t)c * (size_t)m, *l = p->factor + (size_t)c * (size_t)(m * m);
    for (int64_t i = 0; i < n; i++) count += share[i * k + c];
    p->weight[c] = count / (double)n;
    if (count < 1e-9) {
      p->weight[c] = 0;
      continue;
    }
    memset(mean, 0, sizeof *mean * (size_t)m);
    memset(l, 0, sizeof *l * (size_t)(m * m));
    for (int64_t i = 0; i < n; i++)
      for (int j = 0; j < m; j++) mean[j] += share[i * k + c] * x[i * m + j] / count;
    for (int64_t i = 0; i < n; i++) {
      double s = share[i * k + c] / count;
      for (int a = 0; s > 1e-12 && a < m; a++)
        for (int b = 0; b <= a; b++) l[a * m + b] += s * (x[i * m + a] - mean[a]) * (x[i * m + b] - mean[b]);
    }
    for (int a = 0; a < m; a++) trace += l[a * m + a];
    double keep = k > 1 ? count / (count + m + 1) : 1; /* one Gaussian is the sample's own */
    for (int a = 0; a < m; a++) {
      for (int b = 0; b <= a; b++) l[a * m + b] *= keep;
      l[a * m + a] += (1 - keep) * trace / m + ridge;
    }
    pc_cholesky_in_place(l, m);
    p->top[c] = log(p->weight[c]) - 0.5 * m * log(2 * 3.14159265358979323846);
    for (int a = 0; a < m; a++) p->top[c] -= log(l[a * m + a]);
  }
}

static double mean_variance(const double *x, int64_t n, int m) {
  double sum = 0;
  for (int j = 0; j < m; j++) {
    double mean = 0, var = 0;
    for (int64_t i = 0; i < n; i++) mean += x[i * m + j] / (double)n;
    for (int64_t i = 0; i < n; i++) var += (x[i * m + j] - mean) * (x[i * m + j] - mean) / (double)n;
    sum += var / m;
  }
  return sum;
}

int pc_mixture_fit(pc_mixture *out, const double *x, int64_t n, int m, int components, int iterations, pc_rng *g) {
  pc_mixture p = {.components = components > n ? (int)n : components, .m = m};
  size_t k = (size_t)p.components, w = (size_t)m;
  double *work = pc_malloc(sizeof *work * ((size_t)n * (k + 1) + w));
  p.weight = pc_malloc(sizeof *p.weight * k * (2 + w + w * w));
  *out = (pc_mixture){0};
  if (!work || !p.weight) {
    pc_free(work);
    pc_free(p.weight);
    return PC_ENOMEM;
  }
  p.top = p.weight + k, p.mean = p.top + k, p.factor = p.mean + k * w;
  double *share = work, *near = share + (size_t)n * k, *y = near + n, before = -DBL_MAX;
  double ridge = 1e-8 + 1e-6 * mean_variance(x, n, m);
  first_centres(&p, x, n, near, g);
  k_means(&p, x, n, share, 5);
  maximise(&p, x, n, share, ridge);
  for (int t = 0; t < iterations; t++) {
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += responsibilities(&p, x + i * m, y, share + i * (int64_t)k) / (double)n;
    if (!(total - before > 1e-4)) break;
    before = total;
    maximise(&p, x, n, share, ridge);
  }
  pc_free(work);
  *out = p;
  return PC_OK;
}

void pc_mixture_draw(const pc_mixture *p, double *x, double *work, pc_rng *g) {
  double u = pc_rng_uniform(g);
  int c = 0, m = p->m;
  for (int i = 0; i < p->components; i++) {
    if (!(p->weight[i] > 0)) continue;
    c = i; /* the last one when rounding leaves something over */
    if ((u -= p->weight[i]) < 0) break;
  }
  pc_rng_fill_normal_f64(g, work, m);
  for (int a = 0; a < m; a++) {
    double v = p->mean[c * m + a];
    for (int b = 0; b <= a; b++) v += p->factor[(c * m + a) * m + b] * work[b];
    x[a] = v;
  }
}

void pc_mixture_free(pc_mixture *p) {
  if (p) pc_free(p->weight);
}
