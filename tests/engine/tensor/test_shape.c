/* test_shape.c: views, joining, repeating, padding against values worked out by hand. */
#include <stdlib.h>

#include "check_main.h"
#include "engine/tensor/shape_help.h"

static pc_tensor *m23(void) { return counting(PC_F32, DIMS(2, 3)); }

START_TEST(views_share_storage) {
  pc_tensor *x = m23(), *y = NULL;
  struct {
    pc_forward_fn *f;
    pc_val v[4];
  } all[] = {{pc_fwd_view, {LIST(6)}},
             {pc_fwd_permute, {LIST(1, 0)}},
             {pc_fwd_transpose, {PC_VI(0), PC_VI(1)}},
             {pc_fwd_t, {PC_VNONE}},
             {pc_fwd_narrow, {PC_VI(0), PC_VI(0), PC_VI(2), PC_VNONE}},
             {pc_fwd_select, {PC_VI(0), PC_VI(0)}},
             {pc_fwd_expand, {LIST(4, 2, 3)}},
             {pc_fwd_squeeze, {PC_VNONE}},
             {pc_fwd_unsqueeze, {PC_VI(-1)}},
             {pc_fwd_unfold, {PC_VI(1), PC_VI(2), PC_VI(1)}},
             {pc_fwd_diagonal, {PC_VNONE}}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    must(all[i].f(&y, &x, 1, all[i].v));
    ck_assert_ptr_eq(y->storage, x->storage);
    ck_assert_double_eq(pc_at(y, 0), 1);
    pc_tensor_release(y);
  }
  ck_assert(pc_is_sole(x));
  pc_tensor_release(x);
}
END_TEST

START_TEST(views) {
  DONE(RUN(view, VALUES(LIST(3, -1)), m23()), "(3,2)", 1, 2, 3, 4, 5, 6);
  DONE(RUN(permute, VALUES(LIST(-1, 0)), m23()), "(3,2)", 1, 4, 2, 5, 3, 6);
  DONE(RUN(transpose, NULL, m23()), "(3,2)", 1, 4, 2, 5, 3, 6);
  DONE(RUN(t, NULL, m23()), "(3,2)", 1, 4, 2, 5, 3, 6);
  DONE(RUN(narrow, VALUES(PC_VI(1), PC_VI(0), PC_VI(2), PC_VI(2)), m23()), "(2,2)", 1, 3, 4, 6);
  DONE(RUN(narrow, VALUES(PC_VI(-1), PC_VI(-2), PC_VI(2)), m23()), "(2,2)", 2, 3, 5, 6);
  DONE(RUN(select, VALUES(PC_VI(1), PC_VI(-1)), m23()), "(2)", 3, 6);
  DONE(RUN(expand, VALUES(LIST(2, -1, 3)), m23()), "(2,2,3)", 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6);
  DONE(RUN(squeeze, NULL, counting(PC_F32, DIMS(1, 2, 1))), "(2)", 1, 2);
  DONE(RUN(squeeze, VALUES(PC_VI(-1)), counting(PC_F32, DIMS(1, 2, 1))), "(1,2)", 1, 2);
  DONE(RUN(unsqueeze, VALUES(PC_VI(-1)), m23()), "(2,3,1)", 1, 2, 3);
  DONE(RUN(unsqueeze, VALUES(PC_VI(-3)), m23()), "(1,2,3)", 1, 2, 3);
  DONE(RUN(unfold, VALUES(PC_VI(0), PC_VI(3), PC_VI(2)), counting(PC_I64, DIMS(7))), "(3,3)", 1, 2, 3, 3, 4, 5, 5, 6,
       7);
  DONE(RUN(unfold, VALUES(PC_VI(1), PC_VI(2)), m23()), "(2,2,2)", 1, 2, 2, 3, 4, 5, 5, 6);
  DONE(RUN(diagonal, NULL, m23()), "(2)", 1, 5);
  DONE(RUN(diagonal, VALUES(PC_VI(1)), m23()), "(2)", 2, 6);
  DONE(RUN(diagonal, VALUES(PC_VI(-1)), m23()), "(1)", 4);
  DONE(RUN(diagonal, VALUES(PC_VI(7)), m23()), "(0)", 0);
}
END_TEST

START_TEST(reshapes) {
  DONE(RUN(reshape, VALUES(LIST(6)), scattered(PC_F32, 2, 3)), "(6)", 1, 2, 3, 4, 5, 6);
  DONE(RUN(reshape, VALUES(LIST(0, 7)), counting(PC_F32, DIMS(3, 0))), "(0,7)", 0);
  DONE(RUN(flatten, NULL, scattered(PC_I32, 2, 2)), "(4)", 1, 2, 3, 4);
  DONE(RUN(flatten, VALUES(PC_VI(1), PC_VI(2)), counting(PC_F32, DIMS(1, 2, 2, 1))), "(1,4,1)", 1, 2, 3, 4);
  DONE(RUN(flatten, NULL, counting(PC_F32, 0, NULL)), "(1)", 1);
  pc_tensor *x = m23(), *y = NULL;
  must(pc_fwd_reshape(&y, &x, 1, VALUES(LIST(3, 2))));
  ck_assert_ptr_eq(x->storage, y->storage); /* no copy where a view does */
  pc_tensor_release(x);
  pc_tensor_release(y);
}
END_TEST

START_TEST(joins) {
  DONE(RUN(cat, NULL, m23(), counting(PC_F32, DIMS(1, 3))), "(3,3)", 1, 2, 3, 4, 5, 6, 1, 2, 3);
  DONE(RUN(cat, VALUES(PC_VI(-1)), scattered(PC_F32, 2, 2), counting(PC_F32, DIMS(2, 1))), "(2,3)", 1, 2, 1, 3, 4, 2);
  DONE(RUN(cat, VALUES(PC_VI(0)), counting(PC_F32, DIMS(0, 3)), m23()), "(2,3)", 1, 2, 3, 4, 5, 6);
  DONE(RUN(stack, VALUES(PC_VI(1)), counting(PC_U8, DIMS(2)), counting(PC_U8, DIMS(2))), "(2,2)", 1, 1, 2, 2);
  DONE(RUN(stack, NULL, counting(PC_F32, 0, NULL), counting(PC_F32, 0, NULL)), "(2)", 1, 1);
  pc_tensor *y = RUN(cat, NULL, counting(PC_I64, DIMS(1)), counting(PC_F32, DIMS(1)), counting(PC_U8, DIMS(1)));
  ck_assert_int_eq(y->dtype, PC_F32);
  DONE(y, "(3)", 1, 1, 1);
}
END_TEST

START_TEST(repeats) {
  DONE(RUN(tile, VALUES(LIST(2)), counting(PC_F64, DIMS(2, 2))), "(2,4)", 1, 2, 1, 2, 3, 4, 3, 4);
  DONE(RUN(tile, VALUES(LIST(2, 2)), counting(PC_F64, DIMS(2))), "(2,4)", 1, 2, 1, 2, 1, 2, 1, 2);
  DONE(RUN(tile, VALUES(LIST(2, 2)), scattered(PC_F64, 2, 2)), "(4,4)", 1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4);
  DONE(RUN(tile, VALUES(LIST(0)), counting(PC_F64, DIMS(2))), "(0)", 0);
  DONE(RUN(repeat_, VALUES(LIST(2, 1)), counting(PC_I32, DIMS(2))), "(2,2)", 1, 2, 1, 2);
  DONE(RUN(repeat_interleave, VALUES(PC_VI(2)), counting(PC_U8, DIMS(1, 3))), "(6)", 1, 1, 2, 2, 3, 3);
  DONE(RUN(repeat_interleave, VALUES(PC_VI(2), PC_VI(0)), m23()), "(4,3)", 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6);
  DONE(RUN(repeat_interleave, VALUES(PC_VI(2), PC_VI(1)), scattered(PC_F32, 2, 2)), "(2,4)", 1, 1, 2, 2, 3, 3, 4, 4);
}
END_TEST

START_TEST(pads) {
  DONE(RUN(pad, VALUES(LIST(1, 2), PC_VD(9)), counting(PC_F32, DIMS(2, 2))), "(2,5)", 9, 1, 2, 9, 9, 9, 3, 4, 9, 9);
  DONE(RUN(pad, VALUES(LIST(0, 0, 1, 0)), scattered(PC_F32, 2, 2)), "(3,2)", 0, 0, 1, 2, 3, 4);
  DONE(RUN(pad, VALUES(LIST(-1, 1)), m23()), "(2,3)", 2, 3, 0, 5, 6, 0);
  DONE(RUN(pad, VALUES(LIST(-1, -1, -1, 0)), m23()), "(1,1)", 5);
  DONE(RUN(pad, VALUES(LIST(1, 1), PC_VD(2)), counting(PC_I64, DIMS(0))), "(2)", 2, 2);
}
END_TEST

START_TEST(turns) {
  DONE(RUN(flip, VALUES(LIST(1)), m23()), "(2,3)", 3, 2, 1, 6, 5, 4);
  DONE(RUN(flip, NULL, scattered(PC_F64, 2, 3)), "(2,3)", 6, 5, 4, 3, 2, 1);
  DONE(RUN(flip, VALUES(LIST(0)), counting(PC_U8, DIMS(0, 2))), "(0,2)", 0);
  DONE(RUN(roll, VALUES(PC_VI(1)), m23()), "(2,3)", 6, 1, 2, 3, 4, 5);
  DONE(RUN(roll, VALUES(PC_VI(-1), PC_VI(1)), scattered(PC_F32, 2, 3)), "(2,3)", 2, 3, 1, 5, 6, 4);
  DONE(RUN(roll, VALUES(PC_VI(7), PC_VI(0)), m23()), "(2,3)", 4, 5, 6, 1, 2, 3);
  DONE(RUN(roll, VALUES(PC_VI(1)), counting(PC_F32, DIMS(0))), "(0)", 0);
}
END_TEST

START_TEST(triangles) {
  DONE(RUN(diag, NULL, counting(PC_F32, DIMS(2))), "(2,2)", 1, 0, 0, 2);
  DONE(RUN(diag, VALUES(PC_VI(-1)), counting(PC_F32, DIMS(2))), "(3,3)", 0, 0, 0, 1, 0, 0, 0, 2, 0);
  DONE(RUN(diag, VALUES(PC_VI(1)), m23()), "(2)", 2, 6);
  DONE(RUN(tril, NULL, m23()), "(2,3)", 1, 0, 0, 4, 5, 0);
  DONE(RUN(tril, VALUES(PC_VI(-1)), scattered(PC_I64, 2, 3)), "(2,3)", 0, 0, 0, 4, 0, 0);
  DONE(RUN(triu, NULL, m23()), "(2,3)", 1, 2, 3, 0, 5, 6);
  DONE(RUN(triu, VALUES(PC_VI(2)), m23()), "(2,3)", 0, 0, 3, 0, 0, 0);
  DONE(RUN(triu, VALUES(PC_VI(-9)), counting(PC_F32, DIMS(2, 1, 2))), "(2,1,2)", 1, 2, 3, 4);
}
END_TEST

START_TEST(transposed_maps) {
  DONE(RUN(narrow_grad, VALUES(LIST(5), PC_VI(0), PC_VI(1), PC_VI(2), PC_VI(2)), counting(PC_F64, DIMS(2))), "(5)", 0,
       1, 0, 2, 0);
  DONE(RUN(unfold_grad, VALUES(LIST(4), PC_VI(0), PC_VI(2), PC_VI(1)), counting(PC_F64, DIMS(3, 2))), "(4)", 1, 5, 9,
       6);
  DONE(RUN(diagonal_grad, VALUES(LIST(2, 3), PC_VI(1)), counting(PC_F64, DIMS(2))), "(2,3)", 0, 1, 0, 0, 0, 2);
}
END_TEST

START_TEST(messages) {
  REFUSE(view, PC_ESHAPE, "use reshape", VALUES(LIST(6)), scattered(PC_F32, 2, 3));
  REFUSE(reshape, PC_ESHAPE, "reshape: (2,3) has 6 elements, they do not fill shape (4,2)", VALUES(LIST(4, 2)), m23());
  REFUSE(permute, PC_ESHAPE, "permute: 1 dimensions given for a tensor of shape (2,3)", VALUES(LIST(0)), m23());
  REFUSE(permute, PC_EARG, "permute", VALUES(LIST(0, 0)), m23());
  REFUSE(transpose, PC_EINDEX, "transpose: no dimension 3 in a tensor of shape (2,3)", VALUES(PC_VI(0), PC_VI(2)),
         m23());
  REFUSE(select, PC_EINDEX, "select: index 4 is outside dimension 2 of shape (2,3)", VALUES(PC_VI(1), PC_VI(3)), m23());
  REFUSE(select, PC_EINDEX, "select: index -3 is outside dimension 1", VALUES(PC_VI(0), PC_VI(-3)), m23());
  REFUSE(narrow, PC_EINDEX, "narrow: start 2, length 3, step 1", VALUES(PC_VI(1), PC_VI(1), PC_VI(3)), m23());
  REFUSE(expand, PC_ESHAPE, "expand: shape (2,3)", VALUES(LIST(4, 3)), m23());
  REFUSE(unsqueeze, PC_EINDEX, "unsqueeze: no dimension -4", VALUES(PC_VI(-4)), m23());
  REFUSE(unfold, PC_ESHAPE, "windows of 4 every 1 do not fit dimension 2", VALUES(PC_VI(1), PC_VI(4)), m23());
  REFUSE(diagonal, PC_EARG, "dim1 and dim2 are both 1", VALUES(PC_VI(0), PC_VI(0), PC_VI(0)), m23());
  REFUSE(flatten, PC_EARG, "start_dim 2 comes after end_dim 1", VALUES(PC_VI(1), PC_VI(0)), m23());
  REFUSE(cat, PC_ESHAPE, "cat: tensor 2 has shape (2,2), tensor 1 has (2,3): sizes must agree except along dim", NULL,
         m23(), counting(PC_F32, DIMS(2, 2)));
  REFUSE(cat, PC_ESHAPE, "use stack", NULL, counting(PC_F32, 0, NULL));
  REFUSE(stack, PC_ESHAPE, "stack: tensor 2 has shape (3)", NULL, counting(PC_F32, DIMS(2)), counting(PC_F32, DIMS(3)));
  REFUSE(repeat_, PC_ESHAPE, "use tile", VALUES(LIST(2)), m23());
  REFUSE(tile, PC_EARG, "repeat count -1 is negative", VALUES(LIST(-1)), m23());
  REFUSE(pad, PC_ESHAPE, "pad: 3 numbers", VALUES(LIST(1, 1, 1)), m23());
  REFUSE(pad, PC_ESHAPE, "cuts off more than dimension 2", VALUES(LIST(-2, -2)), m23());
  REFUSE(flip, PC_EARG, "dimension 2 is named twice", VALUES(LIST(1, -1)), m23());
  REFUSE(tril, PC_ESHAPE, "tril: at least 2 dimensions, got shape (2)", NULL, counting(PC_F32, DIMS(2)));
  REFUSE(t, PC_ESHAPE, "t: at most 2 dimensions", NULL, counting(PC_F32, DIMS(1, 1, 1)));
  pc_tensor *out = NULL;
  ck_assert_int_eq(pc_fwd_cat(&out, NULL, 0, VALUES(PC_VNONE)), PC_EARG);
  ck_assert_str_eq(pc_error_text(), "cat: the list of tensors is empty");
}
END_TEST

int main(void) {
  Suite *s = suite_create("shape");
  TCase *tc = tcase_create("shape");
  tcase_add_test(tc, views_share_storage);
  tcase_add_test(tc, views);
  tcase_add_test(tc, reshapes);
  tcase_add_test(tc, joins);
  tcase_add_test(tc, repeats);
  tcase_add_test(tc, pads);
  tcase_add_test(tc, turns);
  tcase_add_test(tc, triangles);
  tcase_add_test(tc, transposed_maps);
  tcase_add_test(tc, messages);
  suite_add_tcase(s, tc);
  return run_suite(s);
}
