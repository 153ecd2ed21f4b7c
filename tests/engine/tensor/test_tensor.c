/* test_tensor.c: life, views, reshape rules, broadcasting, promotion, copies. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/alloc.h"
#include "tensor/kernel.h"

#define SZ(...) \
  ((int)(sizeof((int64_t[]){__VA_ARGS__}) / 8)), (const int64_t[]) { __VA_ARGS__ }
/* The call fails with this code, and its message holds this text. */
/* 1, 2, 3, ... in row-major order */
static pc_tensor *count(pc_dtype d, int ndim, const int64_t *size) {
  pc_tensor *t, *c;
  must(pc_tensor_empty(&t, PC_F64, ndim, size));
  for (int64_t i = 0; i < pc_numel(t); i++) pc_f64(t)[i] = (double)(i + 1);
  must(pc_to_dtype(&c, t, d));
  pc_tensor_release(t);
  return c;
}

static void is(const pc_tensor *t, const char *shape, const double *v) {
  ck_assert_str_eq(pc_shape_str(t), shape);
  for (int64_t i = 0; i < pc_numel(t); i++)
    ck_assert_msg(pc_at(t, i) == v[i], "element %d is %g, not %g", (int)i, pc_at(t, i), v[i]);
}
#define IS(t, shape, ...) is(t, shape, (const double[]){__VA_ARGS__})

static int64_t live(void) {
  pc_alloc_stats st;
  pc_alloc_get_stats(&st);
  return st.live;
}

START_TEST(creation_and_references) {
  int64_t before = live();
  pc_tensor *t, *u;
  must(pc_tensor_full(&t, PC_I32, SZ(2, 3), 7));
  IS(t, "(2,3)", 7, 7, 7, 7, 7, 7);
  must(pc_view_alias(&u, t));
  ck_assert_ptr_eq(pc_data(t), pc_data(u));
  must(pc_fill(u, 3));
  IS(t, "(2,3)", 3, 3, 3, 3, 3, 3);
  ck_assert_uint_eq(t->storage->version, u->storage->version);
  pc_tensor_release(t);
  ck_assert(pc_at(u, 5) == 3);
  pc_tensor_release(u);
  must(pc_tensor_scalar(&t, PC_F32, 2.5));
  ck_assert_int_eq(pc_numel(t), 1);
  ck_assert(pc_item(t) == 2.5);
  pc_tensor_release(t);
  pc_tensor_release(NULL);
  must_fail(pc_tensor_empty(&t, PC_F32, SZ(2, -1)), PC_ESHAPE, "(2,-1)");
  ck_assert_ptr_null(t);
  must_fail(pc_tensor_empty(&t, PC_F32, SZ(1, 1, 1, 1, 1, 1, 1, 1, 1)), PC_ESHAPE, "8 dimensions");
  must_fail(pc_tensor_empty(&t, PC_F32, SZ((int64_t)1 << 40, (int64_t)1 << 40)), PC_ENOMEM, "too large");
  pc_alloc_set_limit(live() + 100000);
  must_fail(pc_tensor_empty(&t, PC_F32, SZ(1000, 1000)), PC_ENOMEM, "(1000,1000)");
  pc_alloc_set_limit(0);
  for (int n = 1; n <= 3; n++) { /* handle, storage, data */
    pc_alloc_fail_nth(n);
    ck_assert_int_lt(pc_tensor_zeros(&t, PC_F32, SZ(1000)), 0);
    ck_assert_ptr_null(t);
  }
  pc_alloc_fail_nth(1); /* small: one block */
  ck_assert_int_lt(pc_tensor_zeros(&t, PC_F32, SZ(4)), 0);
  ck_assert_ptr_null(t);
  pc_alloc_fail_nth(0);
  ck_assert_int_eq(live(), before);
}
END_TEST

/* A small tensor is one block: it must outlive a handle whose view lives on, and a handle that moved to another
 * storage. */
START_TEST(life_of_small_tensors) {
  int64_t before = live();
  for (int64_t n = 1; n <= 1000; n += 333) { /* 1000: blocks of their own */
    pc_tensor *t, *v, *w;
    must(pc_tensor_full(&t, PC_F32, SZ(n), 3));
    ck_assert_int_eq((intptr_t)pc_data(t) % 64, 0);
    ck_assert(pc_is_sole(t));
    must(pc_view_alias(&v, t));
    ck_assert(!pc_is_sole(t) && !pc_is_sole(v));
    pc_tensor_release(t);
    ck_assert(pc_at(v, n - 1) == 3);
    must(pc_view_alias(&w, v));
    pc_tensor_release(v);
    ck_assert(pc_at(w, 0) == 3);
    pc_tensor_release(w);
    must(pc_tensor_full(&t, PC_F32, SZ(n), 1));
    must(pc_tensor_full(&v, PC_F32, SZ(n), 2));
    must(pc_view_alias(&w, t));
    pc_tensor_rebase(t, v->storage, 0);
    pc_tensor_release(v);
    ck_assert(pc_at(t, n - 1) == 2 && pc_at(w, n - 1) == 1 && pc_is_sole(t));
    pc_tensor_release(w);
    ck_assert(pc_at(t, 0) == 2);
    pc_tensor_release(t);
  }
  ck_assert_int_eq(live(), before);
}
END_TEST

START_TEST(names_of_dtypes) {
  pc_dtype d;
  must(pc_dtype_parse(&d, "double"));
  ck_assert_int_eq(d, PC_F64);
  must(pc_dtype_parse(&d, "bool"));
  ck_assert_int_eq(d, PC_U8);
  must_fail(pc_dtype_parse(&d, "f16"), PC_EDTYPE, "known are f32");
  static const pc_dtype want[5][5] = {{PC_F32, PC_F64, PC_F32, PC_F32, PC_F32},
                                      {PC_F64, PC_F64, PC_F64, PC_F64, PC_F64},
                                      {PC_F32, PC_F64, PC_I64, PC_I64, PC_I64},
                                      {PC_F32, PC_F64, PC_I64, PC_I32, PC_I32},
                                      {PC_F32, PC_F64, PC_I64, PC_I32, PC_U8}};
  for (int a = 0; a < 5; a++)
    for (int b = 0; b < 5; b++) ck_assert_int_eq(pc_dtype_promote((pc_dtype)a, (pc_dtype)b), want[a][b]);
}
END_TEST

START_TEST(views) {
  pc_tensor *t = count(PC_F32, SZ(2, 3)), *v, *w;
  must(pc_view_permute(&v, t, (int[]){1, 0}));
  IS(v, "(3,2)", 1, 4, 2, 5, 3, 6);
  ck_assert(!pc_is_contiguous(v));
  must(pc_view_narrow(&w, v, 0, 0, 2, 2));
  IS(w, "(2,2)", 1, 4, 3, 6);
  pc_tensor_release(w);
  must(pc_view_select(&w, v, 1, 1));
  IS(w, "(3)", 4, 5, 6);
  ck_assert(pc_is_contiguous(w));
  pc_tensor_release(w);
  must(pc_view_narrow(&w, t, 1, 3, 0, 1));
  ck_assert_int_eq(pc_numel(w), 0);
  pc_tensor_release(w);
  must(pc_view_unsqueeze(&w, t, 1));
  IS(w, "(2,1,3)", 1, 2, 3, 4, 5, 6);
  pc_tensor_release(v);
  must(pc_view_squeeze(&v, w, -1));
  ck_assert_str_eq(pc_shape_str(v), "(2,3)");
  pc_tensor_release(v);
  must(pc_view_squeeze(&v, w, 0)); /* not of size 1: stays */
  ck_assert_str_eq(pc_shape_str(v), "(2,1,3)");
  pc_tensor_release(v);
  pc_tensor_release(w);
  must_fail(pc_view_permute(&v, t, (int[]){0, 0}), PC_EARG, "not a permutation");
  must_fail(pc_view_narrow(&v, t, 1, 2, 2, 1), PC_EINDEX, "start 3, length 2, step 1 leave dimension 2 of shape (2,3)");
  must_fail(pc_view_narrow(&v, t, 2, 0, 1, 1), PC_EINDEX, "no dimension 3");
  must_fail(pc_view_select(&v, t, 0, 2), PC_EINDEX, "index 3 is outside dimension 1 of shape (2,3)");
  must_fail(pc_view_unsqueeze(&v, t, 4), PC_EINDEX, "position 5");
  ck_assert_ptr_null(v);
  pc_tensor_release(t);
}
END_TEST

START_TEST(expand) {
  pc_tensor *t = count(PC_F32, SZ(3, 1)), *v;
  must(pc_view_expand(&v, t, SZ(2, -1, 2)));
  IS(v, "(2,3,2)", 1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3);
  must_fail(pc_fill(v, 1), PC_EARG, "clone() it");
  pc_tensor_release(v);
  must(pc_view_expand(&v, t, SZ(3, 0)));
  ck_assert_int_eq(pc_numel(v), 0);
  pc_tensor_release(v);
  must_fail(pc_view_expand(&v, t, SZ(4, 2)), PC_ESHAPE, "shape (3,1) does not expand to (4,2)");
  must_fail(pc_view_expand(&v, t, SZ(3)), PC_ESHAPE, "does not expand");
  pc_tensor_release(t);
}
END_TEST

static void reshapes(pc_tensor *t, int ndim, const int64_t *size, const char *shape) {
  pc_tensor *v, *c;
  must(pc_view_reshape(&v, t, ndim, size));
  ck_assert_str_eq(pc_shape_str(v), shape);
  ck_assert_ptr_eq(v->storage, t->storage);
  must(pc_clone(&c, t)); /* what the elements must be, from a copy */
  for (int64_t i = 0; i < pc_numel(t); i++) ck_assert(pc_at(v, i) == pc_f32(c)[i]);
  pc_tensor_release(v);
  pc_tensor_release(c);
}

START_TEST(reshape) {
  pc_tensor *t = count(PC_F32, SZ(2, 3, 4)), *p, *n, *v;
  reshapes(t, SZ(24), "(24)");
  reshapes(t, SZ(4, -1), "(4,6)");
  reshapes(t, SZ(1, 2, 1, 12, 1), "(1,2,1,12,1)");
  must(pc_view_permute(&p, t, (int[]){1, 2, 0})); /* (3,4,2): the first two still run as one */
  reshapes(p, SZ(12, 2), "(12,2)");
  reshapes(p, SZ(2, 6, 1, 2), "(2,6,1,2)");
  must_fail(pc_view_reshape(&v, p, SZ(24)), PC_ESHAPE, "use reshape, which copies");
  must_fail(pc_view_reshape(&v, p, SZ(3, 8)), PC_ESHAPE, "the strides of (3,4,2) allow no view of shape (3,8)");
  must(pc_view_narrow(&n, t, 2, 0, 2, 2)); /* every second: (2,3,2), still one run with stride 2 */
  reshapes(n, SZ(12), "(12)");
  reshapes(n, SZ(3, 4), "(3,4)");
  pc_tensor_release(n);
  must(pc_view_narrow(&n, t, 1, 0, 2, 1)); /* (2,2,4) of (2,3,4) */
  reshapes(n, SZ(2, 8), "(2,8)");
  must_fail(pc_view_reshape(&v, n, SZ(16)), PC_ESHAPE, "view:");
  must_fail(pc_view_reshape(&v, t, SZ(5, -1)), PC_ESHAPE, "has 24 elements");
  must_fail(pc_view_reshape(&v, t, SZ(-1, -1)), PC_ESHAPE, "at most one size may be -1");
  must_fail(pc_view_reshape(&v, t, SZ(25)), PC_ESHAPE, "(2,3,4) has 24 elements, they do not fill shape (25)");
  pc_tensor_release(n);
  pc_tensor_release(p);
  pc_tensor_release(t);
  must(pc_tensor_empty(&t, PC_F32, SZ(0, 3)));
  reshapes(t, SZ(3, 0, 5), "(3,0,5)");
  must_fail(pc_view_reshape(&v, t, SZ(0, -1)), PC_ESHAPE, "do not fill");
  pc_tensor_release(t);
  must(pc_tensor_scalar(&t, PC_F32, 4));
  reshapes(t, SZ(1, 1), "(1,1)");
  must(pc_view_reshape(&v, t, 0, NULL));
  ck_assert_int_eq(v->ndim, 0);
  pc_tensor_release(v);
  pc_tensor_release(t);
}
END_TEST

START_TEST(broadcasting) {
  pc_tensor *a = count(PC_F32, SZ(4, 1, 3)), *b = count(PC_F32, SZ(2, 1)), *c = count(PC_F32, SZ(2));
  int64_t size[PC_MAX_DIM];
  int n;
  must(pc_broadcast_shape("add", a, b, &n, size));
  ck_assert_str_eq(pc_dims_str(n, size), "(4,2,3)");
  must(pc_broadcast_shape("add", b, a, &n, size));
  ck_assert_str_eq(pc_dims_str(n, size), "(4,2,3)");
  must_fail(pc_broadcast_shape("add", a, c, &n, size), PC_ESHAPE,
            "add: shapes (4,1,3) and (2) do not broadcast: dimension 1 from the right is 3 and 2");
  pc_tensor_release(a), pc_tensor_release(b), pc_tensor_release(c);
}
END_TEST

START_TEST(copies_between_all_dtypes) {
  for (int from = 0; from < PC_DTYPE_COUNT; from++)
    for (int to = 0; to < PC_DTYPE_COUNT; to++) {
      pc_tensor *s = count((pc_dtype)from, SZ(5, 7)), *st, *d, *dt;
      must(pc_tensor_zeros(&d, (pc_dtype)to, SZ(7, 5)));
      uint32_t version = d->storage->version;
      must(pc_view_permute(&st, s, (int[]){1, 0}));
      must(pc_copy_into(d, st)); /* across the rows */
      ck_assert_uint_gt(d->storage->version, version);
      for (int i = 0; i < 7; i++)
        for (int j = 0; j < 5; j++) ck_assert(pc_at(d, i * 5 + j) == pc_at(s, j * 7 + i));
      must(pc_view_permute(&dt, d, (int[]){1, 0}));
      must(pc_fill(d, 0));
      must(pc_copy_into(dt, s)); /* into a transposed destination */
      for (int k = 0; k < 35; k++) ck_assert(pc_at(dt, k) == pc_at(s, k));
      pc_tensor_release(s), pc_tensor_release(st), pc_tensor_release(d), pc_tensor_release(dt);
    }
}
END_TEST

START_TEST(conversion_of_odd_numbers) {
  const double v[] = {NAN, INFINITY, -INFINITY, 1e30, -1e30, -1.7, 300, 2.9};
  const double i64[] = {0, 0x1p63, -0x1p63, 0x1p63, -0x1p63, -1, 300, 2};
  const double i32[] = {0, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, -1, 300, 2};
  pc_tensor *t, *c;
  must(pc_tensor_from(&t, PC_F64, SZ(8), v));
  must(pc_to_dtype(&c, t, PC_I64));
  is(c, "(8)", i64);
  pc_tensor_release(c);
  must(pc_to_dtype(&c, t, PC_I32));
  is(c, "(8)", i32);
  pc_tensor_release(c);
  must(pc_to_dtype(&c, t, PC_U8));
  ck_assert(pc_at(c, 5) == 255 && pc_at(c, 6) == 44 && pc_at(c, 7) == 2 && pc_at(c, 0) == 0);
  pc_tensor_release(c);
  must(pc_to_dtype(&c, t, PC_F64));
  ck_assert_ptr_eq(c, t); /* nothing to convert: the same handle */
  pc_tensor_release(c);
  pc_tensor_release(t);
}
END_TEST

START_TEST(copy_broadcasts_and_overlaps) {
  pc_tensor *t = count(PC_F32, SZ(2, 3)), *row = count(PC_I32, SZ(3)), *col = count(PC_F64, SZ(2, 1)), *a, *b;
  must(pc_copy_into(t, row));
  IS(t, "(2,3)", 1, 2, 3, 1, 2, 3);
  must(pc_copy_into(t, col));
  IS(t, "(2,3)", 1, 1, 1, 2, 2, 2);
  must_fail(pc_copy_into(row, t), PC_ESHAPE, "shape (2,3) does not broadcast to the destination's (3)");
  must_fail(pc_copy_into(col, t), PC_ESHAPE, "does not broadcast");
  pc_tensor_release(t), pc_tensor_release(col), pc_tensor_release(row);
  t = count(PC_F32, SZ(6));
  must(pc_view_narrow(&a, t, 0, 1, 5, 1));
  must(pc_view_narrow(&b, t, 0, 0, 5, 1));
  must(pc_copy_into(a, b)); /* shifts by one */
  IS(t, "(6)", 1, 1, 2, 3, 4, 5);
  pc_tensor_release(a), pc_tensor_release(b), pc_tensor_release(t);
  t = count(PC_F32, SZ(3, 3));
  must(pc_view_permute(&a, t, (int[]){1, 0}));
  must(pc_copy_into(t, a)); /* transposes in place */
  IS(t, "(3,3)", 1, 4, 7, 2, 5, 8, 3, 6, 9);
  pc_tensor_release(a), pc_tensor_release(t);
}
END_TEST

START_TEST(size_zero_and_contiguous) {
  pc_tensor *t, *c, *p;
  must(pc_tensor_zeros(&t, PC_F32, SZ(0, 3)));
  must(pc_clone(&c, t));
  ck_assert_str_eq(pc_shape_str(c), "(0,3)");
  must(pc_copy_into(c, t));
  must(pc_fill(c, 1));
  pc_tensor_release(c), pc_tensor_release(t);
  t = count(PC_F32, SZ(64, 50));
  must(pc_contiguous(&c, t));
  ck_assert_ptr_eq(c, t);
  pc_tensor_release(c);
  must(pc_view_permute(&p, t, (int[]){1, 0}));
  must(pc_contiguous(&c, p));
  ck_assert(pc_is_contiguous(c) && c->storage != t->storage);
  for (int i = 0; i < 50; i++)
    for (int j = 0; j < 64; j++) ck_assert(pc_f32(c)[i * 64 + j] == pc_f32(t)[j * 50 + i]);
  pc_tensor_release(c), pc_tensor_release(p), pc_tensor_release(t);
}
END_TEST

/* Every order of three dimensions, through the tiled copies and their edges. */
START_TEST(permuted_copies) {
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  static const pc_dtype kinds[4][2] = {{PC_F32, PC_F32}, {PC_I32, PC_F32}, {PC_F64, PC_F64}, {PC_U8, PC_I64}};
  for (int k = 0; k < 4; k++) {
    pc_tensor *t = count(kinds[k][0], SZ(9, 37, 42)), *v, *c;
    for (int o = 0; o < 6; o++) {
      must(pc_view_permute(&v, t, orders[o]));
      must(pc_tensor_empty(&c, kinds[k][1], v->ndim, v->size));
      must(pc_copy_into(c, v));
      for (int64_t i = 0; i < pc_numel(c); i++) ck_assert(pc_at(c, i) == pc_at(v, i));
      pc_tensor_release(v), pc_tensor_release(c);
    }
    pc_tensor_release(t);
  }
}
END_TEST

static void forget(void *owner) { ++*(int *)owner; }
START_TEST(foreign_memory_and_rebase) {
  float data[6] = {1, 2, 3, 4, 5, 6};
  int released = 0;
  pc_tensor *t, *v, *flat;
  must(pc_tensor_wrap(&t, PC_F32, SZ(2, 3), data, forget, &released));
  must(pc_view_select(&v, t, 0, 1));
  pc_tensor_release(t);
  ck_assert_int_eq(released, 0);
  IS(v, "(3)", 4, 5, 6);
  must(pc_tensor_zeros(&flat, PC_F32, SZ(10)));
  pc_tensor_rebase(v, flat->storage, 7);
  ck_assert_int_eq(released, 1);
  must(pc_fill(v, 9));
  ck_assert(pc_f32(flat)[6] == 0 && pc_f32(flat)[7] == 9 && pc_f32(flat)[9] == 9);
  pc_tensor_release(v), pc_tensor_release(flat);
}
END_TEST

START_TEST(lists) {
  pc_val v = pc_vlist(3, (const int64_t[]){4, 5, 6});
  ck_assert(v.set && v.nl == 3 && v.l[0] == 4 && v.l[2] == 6);
  ck_assert_int_eq(pc_vlist(20, (const int64_t[20]){0}).nl, PC_MAX_DIM);
}
END_TEST

int main(void) {
  Suite *s = suite_create("tensor");
  TCase *tc = tcase_create("all");
  tcase_add_test(tc, creation_and_references);
  tcase_add_test(tc, names_of_dtypes);
  tcase_add_test(tc, life_of_small_tensors);
  tcase_add_test(tc, views);
  tcase_add_test(tc, expand);
  tcase_add_test(tc, reshape);
  tcase_add_test(tc, broadcasting);
  tcase_add_test(tc, copies_between_all_dtypes);
  tcase_add_test(tc, conversion_of_odd_numbers);
  tcase_add_test(tc, copy_broadcasts_and_overlaps);
  tcase_add_test(tc, size_zero_and_contiguous);
  tcase_add_test(tc, permuted_copies);
  tcase_add_test(tc, foreign_memory_and_rebase);
  tcase_add_test(tc, lists);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
