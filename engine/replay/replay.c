#include "replay/replay.h"

#include <string.h>

#include "base/alloc.h"
#include "replay/mixture.h"
#include "replay/seen.h"

struct pc_replay {
  pc_replay_opts o;
  pc_dtype dtype;
  int64_t rows, slots, m;
  pc_tensor *bank;      /* empirical: a contiguous copy */
  pc_mixture *mixtures; /* gaussian (one component) and mixture: one a slot */
  pc_seen *seen;        /* combinations to leave out, or NULL */
};

PC_OPTIONS_TABLE(pc_replay_options, "replay", pc_replay_opts, PC_REPLAY_OPTIONS);

/* ---- fitting ---- */

/* Slot k of the bank as (N,m) doubles. */
static void gather(double *x, const pc_tensor *bank, int64_t k) {
  int64_t rows = bank->size[0], slots = bank->size[1], m = bank->size[2];
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < m; j++) {
      int64_t at = (i * slots + k) * m + j;
      x[i * m + j] = bank->dtype == PC_F32 ? (double)pc_f32(bank)[at] : pc_f64(bank)[at];
    }
}

static int fit_mixtures(pc_replay *r, const pc_tensor *bank) {
  int components = r->o.components.given ? r->o.components.value : PC_REPLAY_COMPONENTS, rc = PC_OK;
  if (components > r->rows) components = (int)r->rows;
  if (r->o.marginals == PC_MARGINAL_GAUSSIAN) components = 1;
  int iterations = components > 1 ? r->o.iterations : 0;
  double *x = pc_malloc(sizeof *x * (size_t)(r->rows * r->m));
  r->mixtures = pc_calloc((size_t)r->slots, sizeof *r->mixtures);
  if (!x || !r->mixtures) rc = PC_ENOMEM;
  for (int64_t k = 0; k < r->slots && rc == PC_OK; k++) {
    pc_rng g = {0};
    pc_rng_seed(&g, (uint64_t)r->o.seed + (uint64_t)k);
    gather(x, bank, k);
    rc = pc_mixture_fit(&r->mixtures[k], x, r->rows, (int)r->m, components, iterations, &g);
  }
  pc_free(x);
  return rc;
}

static int check(pc_replay *r, const pc_tensor *bank, const pc_replay_opts *o) {
  if (bank->ndim != 3 || bank->size[0] < 1 || !pc_dtype_is_float(bank->dtype))
    return pc_fail(PC_ESHAPE, "replay: the bank must be slots (N,K,m) of a float dtype with N at least 1, got %s %s",
                   pc_shape_str(bank), pc_dtype_name(bank->dtype));
  r->o = o ? *o : (pc_replay_opts)PC_REPLAY_OPTS_INIT;
  int rc = pc_options_check(&pc_replay_options, "replay", &r->o);
  if (rc < 0) return rc;
  if (r->o.components.given && r->o.components.value > bank->size[0] && r->o.marginals == PC_MARGINAL_MIXTURE)
    return pc_fail(PC_EARG, "replay: components: %d of a bank of %lld rows; at most one a row", r->o.components.value,
                   (long long)bank->size[0]);
  if (!r->o.labels && (r->o.seen || r->o.ngroups))
    return pc_fail(PC_EARG,
                   "replay: combinations are left out by the labels of the bank's slots (N,K): give labels, too");
  if (r->o.labels && r->o.marginals != PC_MARGINAL_EMPIRICAL)
    return pc_fail(
        PC_EARG, "replay: only empirical marginals draw slots with labels; combinations cannot be left out of others");
  r->dtype = bank->dtype;
  r->rows = bank->size[0], r->slots = bank->size[1], r->m = bank->size[2];
  return PC_OK;
}

int pc_replay_fit(pc_replay **out, const pc_tensor *bank, const pc_replay_opts *o) {
  pc_tensor *b = NULL;
  pc_replay *r = *out = pc_calloc(1, sizeof *r);
  int rc = r ? check(r, bank, o) : PC_ENOMEM;
  if (rc == PC_OK && r->o.marginals == PC_MARGINAL_EMPIRICAL) {
    rc = pc_clone(&r->bank, bank);
    if (rc == PC_OK && r->o.labels)
      rc = pc_seen_new(&r->seen, r->rows, r->slots, r->o.labels, r->o.seen, r->o.groups, r->o.ngroups);
  } else if (rc == PC_OK && r->o.marginals != PC_MARGINAL_PRIOR) {
    rc = pc_contiguous(&b, bank);
    if (rc == PC_OK) rc = fit_mixtures(r, b);
    pc_tensor_release(b);
  }
  if (r) r->o.labels = r->o.seen = NULL; /* borrowed; what is needed of them is kept */
  if (rc < 0) {
    pc_replay_free(r);
    *out = NULL;
  }
  return rc;
}

void pc_replay_free(pc_replay *r) {
  if (!r) return;
  pc_tensor_release(r->bank);
  for (int64_t k = 0; r->mixtures && k < r->slots; k++) pc_mixture_free(&r->mixtures[k]);
  pc_free(r->mixtures);
  pc_seen_free(r->seen);
  pc_free(r);
}

/* ---- drawing ---- */

/* from (n,K): rows counted from 0 */
static int draw_rows(const pc_replay *r, int64_t *from, int64_t n, pc_rng *g) {
  for (int64_t i = 0; i < n; i++, from += r->slots) {
    int t = 0;
    do {
      if (t++ == r->o.tries)
        return pc_fail(PC_EARG,
                       "replay: %d draws in a row were combinations that occurred in ID: nothing new is left to draw. "
                       "Leave out fewer combinations, or none",
                       r->o.tries);
      for (int64_t k = 0; k < r->slots; k++) from[k] = pc_rng_below(g, r->rows);
    } while (r->seen && pc_seen_has(r->seen, from));
  }
  return PC_OK;
}

static int draw_empirical(const pc_replay *r, pc_tensor *z, pc_tensor **rows, pc_rng *g) {
  int64_t n = z->size[0];
  size_t w = pc_dtype_size(z->dtype) * (size_t)r->m;
  pc_tensor *from;
  int rc = pc_tensor_empty(&from, PC_I64, 2, (int64_t[]){n, r->slots});
  if (rc == PC_OK && (rc = draw_rows(r, pc_i64(from), n, g)) < 0) pc_tensor_release(from);
  if (rc < 0) return rc;
  for (int64_t i = 0; i < n * r->slots; i++) {
    int64_t *row = pc_i64(from) + i;
    memcpy((char *)pc_data(z) + (size_t)i * w, (char *)pc_data(r->bank) + (size_t)(*row * r->slots + i % r->slots) * w,
           w);
    *row += PC_INDEX_BASE;
  }
  if (rows)
    *rows = from;
  else
    pc_tensor_release(from);
  return PC_OK;
}

static int draw_mixtures(const pc_replay *r, pc_tensor *z, pc_rng *g) {
  int64_t n = z->size[0], m = r->m;
  double *x = pc_malloc(sizeof *x * (size_t)(2 * m));
  if (!x) return PC_ENOMEM;
  for (int64_t k = 0; k < r->slots; k++)
    for (int64_t i = 0; i < n; i++) {
      pc_mixture_draw(&r->mixtures[k], x, x + m, g);
      for (int64_t j = 0, at = (i * r->slots + k) * m; j < m; j++, at++) {
        if (z->dtype == PC_F32)
          pc_f32(z)[at] = (float)x[j];
        else
          pc_f64(z)[at] = x[j];
      }
    }
  pc_free(x);
  return PC_OK;
}

int pc_replay_draw(const pc_replay *r, pc_tensor **out, pc_tensor **rows, int64_t n, pc_rng *g) {
  *out = NULL;
  if (rows) *rows = NULL;
  if (n < 0) return pc_fail(PC_EARG, "replay: cannot draw %lld slot sets", (long long)n);
  int rc = pc_tensor_empty(out, r->dtype, 3, (int64_t[]){n, r->slots, r->m});
  if (rc < 0) return rc;
  if (r->bank)
    rc = draw_empirical(r, *out, rows, g);
  else if (r->mixtures)
    rc = draw_mixtures(r, *out, g);
  else if (r->dtype == PC_F32)
    pc_rng_fill_normal_f32(g, pc_f32(*out), pc_numel(*out));
  else
    pc_rng_fill_normal_f64(g, pc_f64(*out), pc_numel(*out));
  if (rc < 0) {
    pc_tensor_release(*out);
    *out = NULL;
  }
  return rc;
}

int pc_replay_sample(pc_tensor **out, const pc_tensor *bank, int64_t n, pc_marginal kind, pc_rng *g) {
  pc_replay *r;
  *out = NULL;
  pc_replay_opts o = PC_REPLAY_OPTS_INIT;
  o.marginals = (int)kind;
  int rc = pc_replay_fit(&r, bank, &o);
  if (rc == PC_OK) rc = pc_replay_draw(r, out, NULL, n, g);
  pc_replay_free(r);
  return rc;
}
