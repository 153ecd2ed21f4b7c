/* The last step of every split: sets of images to index tensors. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "datasets/split_impl.h"

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int emit(pc_tensor **out, int64_t *list, int64_t n) {
  qsort(list, (size_t)n, sizeof *list, ascending);
  return pc_tensor_from(out, PC_I64, 1, &n, list);
}

/* A share that was asked for has one image at least. */
static int64_t share(double v, int64_t n) {
  int64_t k = (int64_t)(v * (double)n + 0.5);
  return v > 0 && k == 0 ? 1 : k;
}

static int digest(pc_split *s) {
  pc_tensor *const part[5] = {s->id_train, s->id_val, s->id_test, s->pseudo_ood, s->ood};
  int64_t n = 5, at = 0;
  for (int i = 0; i < 5; i++) n += pc_numel(part[i]);
  int64_t *all = pc_malloc((size_t)n * sizeof *all);
  if (!all) return PC_ENOMEM;
  for (int i = 0; i < 5; i++) {
    int64_t m = all[at++] = pc_numel(part[i]);
    if (m) memcpy(all + at, pc_i64(part[i]), (size_t)m * sizeof *all);
    at += m;
  }
  pc_digest(s->digest, all, (size_t)n * sizeof *all);
  pc_free(all);
  return PC_OK;
}

int pc_split_divide(pc_split *s, const uint8_t *kind, int64_t n, double val, double test, uint64_t seed) {
  pc_rng g = {seed, PC_SPLIT_COUNTER(PC_SPLIT_STREAM_DIVIDE)};
  int64_t nid = 0, npseudo = 0, nood = 0, nval = 0, ntest = 0;
  int64_t *list = pc_malloc((size_t)(3 * n + 1) * sizeof *list), *order = NULL, *shuffled = NULL;
  int rc = list ? PC_OK : PC_ENOMEM;
  if (rc < 0) return rc;
  int64_t *id = list, *pseudo = list + n, *ood = list + 2 * n;
  for (int64_t i = 0; i < n; i++) {
    if (kind[i] == PC_CELL_ID) id[nid++] = i + PC_INDEX_BASE;
    if (kind[i] == PC_CELL_PSEUDO) pseudo[npseudo++] = i + PC_INDEX_BASE;
    if (kind[i] == PC_CELL_OOD) ood[nood++] = i + PC_INDEX_BASE;
  }
  nval = share(val, nid);
  ntest = share(test, nid);
  if (nood == 0) {
    rc = pc_fail(PC_EARG, "split: none of the %lld images is out-of-domain; hold out more, or move the offset",
                 (long long)n);
    goto done;
  }
  if (nid - nval - ntest < 1) {
    rc = pc_fail(PC_EARG, "split: no image is left to train on: %lld are ID, %lld go to validation, %lld to test",
                 (long long)nid, (long long)nval, (long long)ntest);
    goto done;
  }
  order = pc_malloc((size_t)nid * sizeof *order);
  shuffled = pc_malloc((size_t)nid * sizeof *shuffled);
  if (!order || !shuffled) {
    rc = PC_ENOMEM;
    goto done;
  }
  pc_rng_permutation(&g, order, nid);
  for (int64_t i = 0; i < nid; i++) shuffled[i] = id[order[i]];
  if ((rc = emit(&s->id_val, shuffled, nval)) < 0 || (rc = emit(&s->id_test, shuffled + nval, ntest)) < 0 ||
      (rc = emit(&s->id_train, shuffled + nval + ntest, nid - nval - ntest)) < 0 ||
      (rc = emit(&s->pseudo_ood, pseudo, npseudo)) < 0 || (rc = emit(&s->ood, ood, nood)) < 0)
    goto done;
  rc = digest(s);
done:
  pc_free(shuffled);
  pc_free(order);
  pc_free(list);
  return rc;
}
