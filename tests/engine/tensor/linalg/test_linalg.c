/* test_linalg.c: what each decomposition promises, for tall, wide, square,
 * batched and strided matrices; matrices that have none; messages. */
#include "engine/tensor/brute.h"

#include "tensor/linalg/linalg.h"

static const pc_val none[4];

static pc_tensor *mul(const pc_tensor *a, const pc_tensor *b) {
  pc_tensor *c;
  must(pc_fwd_matmul(&c, (pc_tensor *[]){(pc_tensor *)a, (pc_tensor *)b}, 2, none));
  return c;
}

static pc_tensor *turned(const pc_tensor *a) {
  pc_tensor *v;
  int perm[PC_MAX_DIM];
  for (int i = 0; i < a->ndim; i++) perm[i] = i;
  perm[a->ndim - 1] = a->ndim - 2;
  perm[a->ndim - 2] = a->ndim - 1;
  must(pc_view_permute(&v, a, perm));
  return v;
}

/* a'a must be the identity. */
static void orthonormal(const pc_tensor *a, double tol) {
  pc_tensor *t = turned(a), *p = mul(t, a);
  int64_t n = p->size[p->ndim - 1];
  for (int64_t i = 0; i < pc_numel(p); i++) {
    double want = i / n % n == i % n;
    if (!(fabs(pc_at(p, i) - want) < tol)) ck_abort_msg("columns of %s are not orthonormal", pc_shape_str(a));
  }
  pc_tensor_release(t);
  pc_tensor_release(p);
}

/* columns of a scaled by w */
static pc_tensor *scaled(const pc_tensor *a, const pc_tensor *w) {
  pc_tensor *c;
  int64_t m = a->size[a->ndim - 2], n = a->size[a->ndim - 1];
  must(pc_tensor_empty(&c, PC_F64, a->ndim, a->size));
  for (int64_t i = 0; i < pc_numel(a); i++) pc_f64(c)[i] = pc_at(a, i) * pc_at(w, i / (m * n) * n + i % n);
  return c;
}

static pc_tensor *spd(int64_t b, int64_t n) {
  pc_tensor *a = rnd(PC_F64, SIZES(b, n, n)), *t = turned(a), *p = mul(a, t);
  for (int64_t i = 0; i < b * n; i++) pc_f64(p)[i / n * n * n + i % n * (n + 1)] += 1;
  pc_tensor_release(a);
  pc_tensor_release(t);
  return p;
}

static void drop(pc_tensor **t, int n) {
  for (int i = 0; i < n; i++) pc_tensor_release(t[i]);
}

START_TEST(svd_and_qr) {
  static const int64_t size[][3] = {{1, 5, 3}, {2, 3, 5}, {3, 4, 4}, {1, 63, 7}, {1, 1, 1}};
  for (int i = 0; i < 5; i++)
    for (int lay = 0; lay < 2; lay++) {
      pc_tensor *a = (lay ? rnd_t : rnd)(PC_F64, SIZES(size[i][0], size[i][1], size[i][2])), *o[3], *us, *p, *vt;
      must(pc_fwd_svd(o, &a, 1, none));
      us = scaled(o[0], o[1]);
      p = mul(us, o[2]);
      same(p, a, 1e-12, "u diag(s) vh");
      orthonormal(o[0], 1e-12);
      orthonormal(vt = turned(o[2]), 1e-12);
      for (int64_t k = 1; k < pc_numel(o[1]) && size[i][0] == 1; k++)
        ck_assert(pc_f64(o[1])[k - 1] >= pc_f64(o[1])[k] && pc_f64(o[1])[k] >= 0);
      drop((pc_tensor *[]){us, p, vt, o[0], o[1], o[2]}, 6);
      must(pc_fwd_qr(o, &a, 1, none));
      p = mul(o[0], o[1]);
      same(p, a, 1e-12, "q r");
      orthonormal(o[0], 1e-12);
      drop((pc_tensor *[]){p, o[0], o[1], a}, 4);
    }
}
END_TEST

START_TEST(full_svd) {
  pc_tensor *a = rnd(PC_F64, SIZES(5, 3)), *o[3], *v;
  must(pc_fwd_svd(o, &a, 1, (pc_val[]){PC_VI(1)}));
  ck_assert_str_eq(pc_shape_str(o[0]), "(5,5)");
  ck_assert_str_eq(pc_shape_str(o[2]), "(3,3)");
  orthonormal(o[0], 1e-12);
  orthonormal(v = turned(o[2]), 1e-12);
  drop((pc_tensor *[]){a, o[0], o[1], o[2], v}, 5);
}
END_TEST

START_TEST(symmetric) {
  pc_tensor *a = spd(3, 5), *l, *lt, *p, *o[2], *vs, *vt;
  must(pc_fwd_cholesky(&l, &a, 1, none));
  lt = turned(l);
  p = mul(l, lt);
  same(p, a, 1e-12, "l l'");
  for (int64_t i = 0; i < 75; i++)
    if (i % 5 > i / 5 % 5) ck_assert_double_eq(pc_f64(l)[i], 0);
  drop((pc_tensor *[]){l, lt, p}, 3);
  must(pc_fwd_eigh(o, &a, 1, none));
  vs = scaled(o[1], o[0]);
  vt = turned(o[1]);
  p = mul(vs, vt);
  same(p, a, 1e-12, "v diag(w) v'");
  orthonormal(o[1], 1e-12);
  for (int64_t i = 0; i < 15; i++)
    if (i % 5) ck_assert(pc_f64(o[0])[i] >= pc_f64(o[0])[i - 1]);
  drop((pc_tensor *[]){a, vs, vt, p, o[0], o[1]}, 6);
}
END_TEST

START_TEST(inverses) {
  pc_tensor *a = spd(2, 4), *b = rnd(PC_F64, SIZES(2, 4, 3)), *v = rnd(PC_F64, SIZES(4)), *x, *p, *inv, *det, *ld;
  must(pc_fwd_solve(&x, (pc_tensor *[]){a, b}, 2, none));
  p = mul(a, x);
  same(p, b, 1e-11, "a x = b");
  drop((pc_tensor *[]){x, p}, 2);
  must(pc_fwd_solve(&x, (pc_tensor *[]){a, v}, 2, none)); /* one vector for both */
  ck_assert_str_eq(pc_shape_str(x), "(2,4)");
  for (int64_t i = 0; i < 8; i++) {
    double s = 0;
    for (int64_t k = 0; k < 4; k++) s += pc_f64(a)[i * 4 + k] * pc_f64(x)[i / 4 * 4 + k];
    ck_assert_double_eq_tol(s, pc_f64(v)[i % 4], 1e-11);
  }
  must(pc_fwd_inverse(&inv, &a, 1, none));
  p = mul(a, inv);
  for (int64_t i = 0; i < 32; i++) ck_assert_double_eq_tol(pc_f64(p)[i], i / 4 % 4 == i % 4, 1e-11);
  must(pc_fwd_det(&det, &a, 1, none));
  must(pc_fwd_logdet(&ld, &a, 1, none));
  for (int64_t i = 0; i < 2; i++) ck_assert_double_eq_tol(log(pc_f64(det)[i]), pc_f64(ld)[i], 1e-11);
  drop((pc_tensor *[]){a, b, v, x, p, inv, det, ld}, 8);
  must(pc_tensor_from(&a, PC_F64, SIZES(2, 2), (double[]){1, 2, 3, 4}));
  must(pc_fwd_det(&det, &a, 1, none));
  ck_assert_double_eq_tol(pc_item(det), -2, 1e-14);
  must(pc_fwd_logdet(&ld, &a, 1, none));
  ck_assert(isnan(pc_item(ld)));
  drop((pc_tensor *[]){a, det, ld}, 3);
}
END_TEST

/* The residual of least squares is orthogonal to the columns; the least-norm solution lies in the rows. */
START_TEST(least_squares) {
  pc_tensor *a = rnd(PC_F64, SIZES(7, 3)), *b = rnd(PC_F64, SIZES(7, 2)), *x, *ax, *r, *at, *p;
  must(pc_fwd_lstsq(&x, (pc_tensor *[]){a, b}, 2, none));
  ax = mul(a, x);
  must(pc_clone(&r, b));
  for (int64_t i = 0; i < 14; i++) pc_f64(r)[i] -= pc_f64(ax)[i];
  at = turned(a);
  p = mul(at, r);
  for (int64_t i = 0; i < 6; i++) ck_assert_double_eq_tol(pc_f64(p)[i], 0, 1e-12);
  drop((pc_tensor *[]){x, ax, r, p}, 4);
  must(pc_fwd_pinv(&p, &at, 1, none)); /* (7,3) of a (3,7) matrix */
  must(pc_fwd_lstsq(&x, (pc_tensor *[]){at, r = rnd(PC_F64, SIZES(3))}, 2, none));
  for (int64_t i = 0; i < 7; i++) {
    double s = 0;
    for (int64_t k = 0; k < 3; k++) s += pc_f64(p)[i * 3 + k] * pc_f64(r)[k];
    ck_assert_double_eq_tol(pc_f64(x)[i], s, 1e-12);
  }
  drop((pc_tensor *[]){a, b, at, p, x, r}, 6);
  must(pc_tensor_full(&a, PC_F64, SIZES(3, 2), 1)); /* rank 1 */
  must(pc_fwd_pinv(&p, &a, 1, none));
  for (int64_t i = 0; i < 6; i++) ck_assert_double_eq_tol(pc_f64(p)[i], 1.0 / 6, 1e-14);
  drop((pc_tensor *[]){a, p}, 2);
}
END_TEST

START_TEST(messages) {
  pc_tensor *a, *two = rnd(PC_F64, SIZES(2, 3)), *vec = rnd(PC_F64, SIZES(3)), *nan, *batch = spd(3, 2),
                *bad = rnd(PC_F64, SIZES(4, 2));
  must(pc_tensor_full(&a, PC_F64, SIZES(2, 2), 1));
  must(pc_tensor_full(&nan, PC_F64, SIZES(2, 2), NAN));
  refuses(pc_fwd_inverse, 1, &a, none, PC_ENUM,
          "inverse: the matrix is singular (pivot 2 is zero); use pinv or lstsq, or add a small multiple of eye");
  pc_f64(batch)[4] = -5;
  refuses(pc_fwd_cholesky, 1, &batch, none, PC_ENUM,
          "cholesky: matrix 2 of the batch is not positive definite (its leading minor of order 1 is not); add a small "
          "multiple of eye");
  refuses(pc_fwd_inverse, 1, &two, none, PC_ESHAPE, "inverse: the matrices of a (2,3) are not square");
  refuses(pc_fwd_svd, 1, &vec, none, PC_ESHAPE, "svd: a (3) must be a matrix or a batch of matrices");
  refuses(pc_fwd_svd, 1, &nan, none, PC_ENUM, "svd: the matrix contains NaN or infinity");
  refuses(pc_fwd_solve, 2, (pc_tensor *[]){a, bad}, none, PC_ESHAPE, "solve: a (2,2) has 2 rows, b (4,2) has 4");
  refuses(pc_fwd_solve, 2, (pc_tensor *[]){a, a}, none, PC_ENUM,
          "solve: the matrix is singular (pivot 2 is zero); use pinv or lstsq, or add a small multiple of eye");
  drop((pc_tensor *[]){a, two, vec, nan, batch, bad}, 6);
}
END_TEST

int main(void) {
  Suite *s = suite_create("linalg");
  TCase *tc = tcase_create("linalg");
  tcase_set_timeout(tc, 60);
  tcase_add_test(tc, svd_and_qr);
  tcase_add_test(tc, full_svd);
  tcase_add_test(tc, symmetric);
  tcase_add_test(tc, inverses);
  tcase_add_test(tc, least_squares);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
