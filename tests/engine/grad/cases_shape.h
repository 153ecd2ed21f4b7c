/* cases_shape.h: test cases of engine/grad/ops_shape.def; see cases.h. */

/* views */
CASES(view, C(T(2, 3), VL(3, 2)), C(T(2, 3, 4), VL(2, -1)), C(TT(3, 2), VL(3, 1, 2)), C(T(0, 3), VL(3, 0)),
      C(T(1, 1), VL(1)), C(TS(), VL(1, 1)))
CASES(permute, C(T(2, 3, 4), VL(2, 0, 1)), C(TT(3, 2), VL(-1, 0)), C(T(0, 3), VL(1, 0)), C(T(1, 2, 1), VL(0, 2, 1)),
      C(T(2, 1, 3, 2), VL(3, 1, -2, 0)))
CASES(transpose, C(T(2, 3), VNO, VNO), C(T(2, 3, 4), VI(0), VI(-1)), C(TT(3, 2), VI(0), VI(1)),
      C(T(0, 3), VI(0), VI(1)), C(T(1, 2), VI(1), VI(1)))
CASES(t, C(T(2, 3)), C(TT(3, 2)), C(T(3)), C(TS()), C(T(0, 2)))
CASES(narrow, C(T(4, 3), VI(0), VI(1), VI(2), VNO), C(T(2, 5), VI(-1), VI(0), VI(3), VI(2)),
      C(TT(3, 2), VI(0), VI(1), VI(2), VI(1)), C(T(3), VI(0), VI(3), VI(0), VNO), C(T(0, 2), VI(0), VI(0), VI(0), VNO),
      C(T(4), VI(0), VI(-2), VI(2), VNO))
CASES(select, C(T(2, 3), VI(0), VI(1)), C(T(2, 3, 2), VI(-2), VI(-1)), C(TT(3, 2), VI(1), VI(0)), C(T(3), VI(0), VI(2)),
      C(T(2, 0), VI(0), VI(1)))
CASES(expand, C(T(1, 3), VL(2, 3)), C(T(3), VL(2, 2, 3)), C(TT(3, 1), VL(-1, 4)), C(TS(), VL(2, 2)),
      C(T(1, 2), VL(0, 2)), C(T(2, 1, 2), VL(2, 1, 2)))
CASES(squeeze, C(T(1, 2, 1), VNO), C(T(1, 2, 1), VI(0)), C(T(1, 2, 1), VI(-1)), C(TT(2, 3), VI(0)), C(T(1, 0), VNO))
CASES(unsqueeze, C(T(2, 3), VI(0)), C(T(2, 3), VI(-1)), C(TT(3, 2), VI(1)), C(TS(), VI(0)), C(T(0), VI(1)))
CASES(unfold, C(T(6), VI(0), VI(3), VI(1)), C(T(2, 7), VI(1), VI(2), VI(3)), C(TT(5, 2), VI(0), VI(3), VI(2)),
      C(T(4, 2), VI(-2), VI(2), VI(2)), C(T(3, 0), VI(0), VI(2), VI(1)), C(T(1), VI(0), VI(1), VNO))
CASES(diagonal, C(T(3, 3), VNO, VNO, VNO), C(T(2, 4), VI(1), VNO, VNO), C(T(4, 2), VI(-1), VI(0), VI(1)),
      C(T(2, 3, 3), VI(0), VI(1), VI(-1)), C(TT(3, 2), VI(0), VI(1), VI(0)), C(T(2, 2), VI(5), VNO, VNO),
      C(T(0, 2), VNO, VNO, VNO))

/* their transposes */
CASES(narrow_grad, C(T(2, 3), VL(4, 3), VI(0), VI(1), VI(2), VI(1)), C(TT(3, 2), VL(3, 5), VI(1), VI(0), VI(2), VI(3)),
      C(T(0, 3), VL(4, 3), VI(0), VI(1), VI(0), VI(1)))
CASES(unfold_grad, C(T(4, 3), VL(6), VI(0), VI(3), VI(1)), C(TT(3, 2), VL(8), VI(0), VI(2), VI(3)),
      C(T(2, 2, 3), VL(2, 5), VI(1), VI(3), VI(2)))
CASES(diagonal_grad, C(T(3), VL(3, 3), VI(0), VI(0), VI(1)), C(T(2, 2), VL(2, 3, 3), VI(1), VI(1), VI(2)),
      C(TT(2, 2), VL(3, 2, 3), VI(-1), VI(0), VI(2)))
CASES(masked_select_grad, C(T(0), TB(0, 2), VL(0, 2)))

/* shapes and copies */
CASES(reshape, C(T(2, 3), VL(3, 2)), C(TT(3, 2), VL(6)), C(TT(2, 3, 2), VL(3, -1)), C(T(0, 3), VL(0, 5)),
      C(T(1, 1), VL(1)), C(TS(), VL(1)))
CASES(flatten, C(T(2, 3, 2), VNO, VNO), C(T(2, 3, 2), VI(1), VI(2)), C(TT(3, 2), VI(0), VI(-1)), C(TS(), VNO, VNO),
      C(T(0, 2, 3), VI(1), VNO), C(T(2, 3), VI(0), VI(0)))
CASES(diag, C(T(3), VNO), C(T(2), VI(1)), C(T(2), VI(-2)), C(T(3, 3), VNO), C(T(2, 4), VI(1)), C(TT(3, 2), VI(-1)),
      C(T(0), VNO), C(T(0, 2), VNO))
CASES(tril, C(T(3, 3), VNO), C(T(2, 4), VI(1)), C(T(2, 4, 3), VI(-1)), C(TT(3, 2), VI(0)), C(T(2, 2), VI(9)),
      C(T(2, 2), VI(-9)), C(T(0, 3), VNO), C(T(3, 0), VNO))
CASES(triu, C(T(3, 3), VNO), C(T(2, 4), VI(1)), C(T(2, 4, 3), VI(-1)), C(TT(3, 2), VI(0)), C(T(2, 2), VI(9)),
      C(T(2, 2), VI(-9)), C(T(0, 3), VNO))
CASES(flip, C(T(2, 3), VL(0)), C(T(2, 3), VL(0, -1)), C(TT(3, 2), VL(1)), C(T(4), VNO), C(T(0, 2), VL(0)),
      C(T(1, 1), VL(0)))
CASES(roll, C(T(5), VI(2), VNO), C(T(2, 3), VI(1), VNO), C(T(3, 4), VI(-1), VI(1)), C(TT(3, 2), VI(7), VI(0)),
      C(T(0, 2), VI(1), VI(0)), C(T(1), VI(3), VI(0)))
CASES(cat, C(T(2, 3), T(1, 3), VNO), C(T(2, 3), TT(2, 1), T(2, 2), VI(1)), C(T(2), VI(-1)), C(T(0, 2), T(2, 2), VI(0)),
      C(T(0), T(0), VI(0)))
CASES(stack, C(T(2, 3), T(2, 3), VNO), C(T(2, 3), TT(2, 3), VI(1)), C(TS(), TS(), TS(), VI(0)), C(T(3), T(3), VI(-1)),
      C(T(0, 2), T(0, 2), VI(1)))
CASES(tile, C(T(2, 3), VL(2, 2)), C(T(3), VL(2, 3)), C(T(2, 2), VL(3)), C(TT(3, 2), VL(2, 1)), C(TS(), VL(3)),
      C(T(2), VL(0)), C(T(0, 2), VL(2, 2)))
CASES(repeat_, C(T(2, 3), VL(2, 2)), C(T(3), VL(2, 3)), C(TT(3, 2), VL(1, 2)), C(T(1, 1), VL(2, 1)), C(T(0), VL(2)))
CASES(repeat_interleave, C(T(3), VI(2), VNO), C(T(2, 3), VI(2), VI(0)), C(T(2, 3), VI(3), VI(-1)),
      C(TT(3, 2), VI(2), VNO), C(T(2), VI(0), VI(0)), C(T(0, 2), VI(2), VI(1)), C(TS(), VI(2), VNO))
CASES(pad, C(T(2, 3), VL(1, 2), VNO), C(T(2, 3), VL(0, 1, 2, 0), VD(1.5)), C(TT(3, 2), VL(-1, 1), VNO),
      C(T(4), VL(-1, -2), VNO), C(T(0, 2), VL(0, 0, 1, 1), VNO))

/* by index */
CASES(gather, C(T(3, 4), VI(1), TI(4, 3, 2)), C(T(3, 4), VI(0), TI(3, 5, 4)), C(TT(3, 2), VI(0), TI(3, 2, 1)),
      C(T(2, 3, 2), VI(1), TI(3, 2, 4, 2)), C(T(3), VI(0), TI(3, 0)))
CASES(scatter_add, C(T(3, 4), VI(1), TI(4, 3, 6), T(3, 6)), C(T(3, 4), VI(0), TI(3, 5, 4), TT(5, 4)),
      C(TT(3, 2), VI(0), TI(3, 2, 1), T(4, 2)), C(T(2, 3, 2), VI(1), TI(3, 2, 4, 2), T(2, 4, 2)),
      C(T(3), VI(0), TI(3, 0), T(0)))
CASES(index_select, C(T(3, 4), VI(0), TI(3, 5)), C(T(3, 4), VI(-1), TI(4, 2)), C(TT(3, 2), VI(1), TI(2, 3)),
      C(T(3, 0), VI(0), TI(3, 2)), C(T(2, 1), VI(0), TI(2, 0)), C(T(2, 3, 2), VI(1), TI(3, 4)))
CASES(index_add, C(T(3, 4), VI(0), TI(3, 5), T(5, 4)), C(T(3, 4), VI(-1), TI(4, 2), TT(3, 2)),
      C(TT(3, 2), VI(1), TI(2, 3), T(3, 3)), C(T(3, 0), VI(0), TI(3, 2), T(2, 0)), C(T(2, 1), VI(0), TI(2, 0), T(0, 1)))
CASES(masked_select, C(T(3, 4), TB(3, 4)), C(T(3, 4), TB(4)), C(T(1, 4), TB(3, 1)), C(TT(3, 2), TB(3, 2)),
      C(T(0, 2), TB(0, 2)), C(TS(), TB(3)))
CASES(one_hot, C(TI(4, 3), VI(4)), C(TI(3, 2, 2), VNO), C(TI(1, 0), VI(2)), C(TI(2, 1, 1), VI(2)))
CASES(embedding, C(T(4, 3), TI(4, 5)), C(TT(4, 3), TI(4, 2, 3)), C(T(4, 2), TI(4, 0)), C(T(3, 1), TI(3, 1, 1)))
