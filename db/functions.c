/* functions.c: what our connections know beyond plain SQLite.
 *   aggregates  stddev(x) with n-1, median(x), quantile(x, q) with linear interpolation (type 7, as R and NumPy)
 *   scalars     digest(x) XXH3-128 of a text or blob, unzstd(body) text of a source
 * NULLs are left out; of nothing the answer is NULL. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/alloc.h"
#include "db/digest.h"
#include "db/internal.h"

typedef struct moments {
  int64_t n;
  double mean, m2;
} moments;

/* Welford: no difference of large squares */
static void stddev_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  moments *m = sqlite3_aggregate_context(ctx, sizeof *m);
  double x, d;
  if (!m || sqlite3_value_type(argv[0]) == SQLITE_NULL) return;
  x = sqlite3_value_double(argv[0]);
  d = x - m->mean;
  m->n++;
  m->mean += d / (double)m->n;
  m->m2 += d * (x - m->mean);
}

static void stddev_final(sqlite3_context *ctx) {
  moments *m = sqlite3_aggregate_context(ctx, 0);
  if (m && m->n > 1)
    sqlite3_result_double(ctx, sqrt(m->m2 / (double)(m->n - 1)));
  else
    sqlite3_result_null(ctx);
}

typedef struct sample {
  double *x, q;
  size_t n, cap;
} sample;

static void quantile_step(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  sample *s = sqlite3_aggregate_context(ctx, sizeof *s);
  if (!s || sqlite3_value_type(argv[0]) == SQLITE_NULL) return;
  s->q = argc > 1 ? sqlite3_value_double(argv[1]) : 0.5;
  if (!(s->q >= 0 && s->q <= 1)) {
    sqlite3_result_error(ctx, "quantile(x, q): q must be within 0 and 1", -1);
    return;
  }
  if (s->n == s->cap) {
    size_t cap = s->cap ? 2 * s->cap : 64;
    double *x = pc_realloc(s->x, cap * sizeof *x);
    if (!x) {
      sqlite3_result_error_nomem(ctx);
      return;
    }
    s->x = x;
    s->cap = cap;
  }
  s->x[s->n++] = sqlite3_value_double(argv[0]);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void quantile_final(sqlite3_context *ctx) {
  sample *s = sqlite3_aggregate_context(ctx, 0);
  double at, low;
  size_t i;
  if (!s || !s->n) {
    sqlite3_result_null(ctx);
  } else {
    qsort(s->x, s->n, sizeof *s->x, by_value);
    at = s->q * (double)(s->n - 1);
    low = floor(at);
    i = (size_t)low;
    sqlite3_result_double(ctx, i + 1 < s->n ? s->x[i] + (at - low) * (s->x[i + 1] - s->x[i]) : s->x[i]);
  }
  if (s) pc_free(s->x);
}

static void digest_fn(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  char out[PC_DIGEST_SIZE];
  const void *data;
  if (sqlite3_value_type(argv[0]) == SQLITE_NULL) return;
  data = sqlite3_value_blob(argv[0]);
  pc_digest_bytes(out, data ? data : "", (size_t)sqlite3_value_bytes(argv[0]));
  sqlite3_result_text(ctx, out, -1, SQLITE_TRANSIENT);
}

static void unzstd_fn(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  const void *data = sqlite3_value_blob(argv[0]);
  size_t packed = (size_t)sqlite3_value_bytes(argv[0]), n;
  unsigned long long size;
  char *text;
  if (!data) return;
  size = ZSTD_getFrameContentSize(data, packed);
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > 1u << 30) {
    sqlite3_result_error(ctx, "unzstd: not a zstd text of known size below 1 GiB", -1);
    return;
  }
  text = sqlite3_malloc64(size + 1);
  if (!text) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  n = ZSTD_decompress(text, size, data, packed);
  if (ZSTD_isError(n)) {
    sqlite3_free(text);
    sqlite3_result_error(ctx, ZSTD_getErrorName(n), -1);
    return;
  }
  sqlite3_result_text64(ctx, text, n, sqlite3_free, SQLITE_UTF8);
}

int pc_sql_functions(sqlite3 *h) {
  int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
  int rc = sqlite3_create_function(h, "stddev", 1, flags, NULL, NULL, stddev_step, stddev_final);
  if (rc == SQLITE_OK) rc = sqlite3_create_function(h, "median", 1, flags, NULL, NULL, quantile_step, quantile_final);
  if (rc == SQLITE_OK) rc = sqlite3_create_function(h, "quantile", 2, flags, NULL, NULL, quantile_step, quantile_final);
  if (rc == SQLITE_OK) rc = sqlite3_create_function(h, "digest", 1, flags, NULL, digest_fn, NULL, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_create_function(h, "unzstd", 1, flags, NULL, unzstd_fn, NULL, NULL);
  return rc;
}
