/* cases_reduce.h: test cases of engine/grad/ops_reduce.def; see cases.h. */
#define PC_SUM_CASES                                                                                             \
  C(T(2, 3)), C(T(2, 3), VL(1)), C(T(2, 3), VL(0), VI(1)), C(T(2, 3, 4), VL(0, 2)), C(T(2, 3, 4), VL(1), VI(0)), \
      C(TT(3, 4), VL(0)), C(T(0, 3), VL(0)), C(T(1, 1)), C(TS()), C(T(2, 3), VL(-1)), C(T(70, 5), VL(0))
CASES(sum, PC_SUM_CASES)
CASES(mean, C(T(2, 3)), C(T(2, 3), VL(1)), C(T(2, 3, 4), VL(0, 2), VI(1)), C(TT(3, 4), VL(0)), C(T(1, 1)),
      C(T(0, 3), VL(1)))
CASES(var, C(T(2, 3)), C(T(4, 3), VL(0)), C(T(2, 3, 4), VL(0, 2), VI(0), VI(1)), C(TT(3, 4), VL(1)), C(T(0, 3), VL(1)))
CASES(std, C(T(2, 3)), C(T(4, 3), VL(0)), C(T(2, 3, 4), VL(0, 2), VI(0), VI(1)), C(TT(3, 4), VL(1)), C(T(0, 3), VL(1)))
CASES(prod, C(T(2, 3)), C(T(2, 3), VL(1)), C(T(2, 3, 2), VL(0, 2), VI(1)), C(TT(3, 4), VL(0)), C(T(0, 3), VL(1)),
      C(T(1, 1)))
CASES(norm, C(T(2, 3)), C(T(2, 3), VD(2), VL(1)), C(T(2, 3), VD(1), VL(0)), C(TP(2, 3), VD(3), VL(1), VI(1)),
      C(T(2, 3), VD(INFINITY), VL(1)), C(TT(3, 4), VD(2), VL(0)), C(T(0, 3), VD(2), VL(1)))
CASES(logsumexp, PC_SUM_CASES)
CASES(any, C(T(2, 3)), C(TB(2, 3), VL(1)), C(T(0, 3), VL(0), VI(1)))
CASES(all, C(T(2, 3)), C(TB(2, 3), VL(1)), C(T(0, 3), VL(0), VI(1)))
CASES(max, C(T(2, 3)), C(T(2, 3), VI(1)), C(T(2, 3), VI(0), VI(1)), C(TT(3, 4), VI(-1)), C(T(0, 3), VI(1)), C(TS()))
CASES(min, C(T(2, 3)), C(T(2, 3), VI(1)), C(T(2, 3), VI(0), VI(1)), C(TT(3, 4), VI(-1)), C(T(0, 3), VI(1)))
CASES(amax, C(T(2, 3)), C(T(2, 3), VL(1)), C(T(2, 3, 2), VL(0, 2), VI(1)), C(TT(3, 4), VL(0)))
CASES(amin, C(T(2, 3)), C(T(2, 3), VL(1)), C(T(2, 3, 2), VL(0, 2), VI(1)), C(TT(3, 4), VL(0)))
CASES(argmax, C(T(2, 3)), C(T(2, 3), VI(1)), C(TT(3, 4), VI(0), VI(1)))
CASES(argmin, C(T(2, 3)), C(T(2, 3), VI(1)), C(TT(3, 4), VI(0), VI(1)))
CASES(median, C(T(5)), C(T(2, 3), VI(1)), C(TT(3, 4), VI(0)), C(T(1, 1), VI(0)))
CASES(cumsum, C(T(2, 3)), C(T(2, 3), VI(0)), C(TT(3, 4), VI(1)), C(T(0, 3), VI(0)), C(T(1, 1)), C(T(2, 3, 2), VI(1)))
CASES(cumsum_reverse, C(T(2, 3)), C(TT(3, 4), VI(0)))
CASES(cumprod, C(TP(2, 3)), C(TP(2, 3), VI(0)), C(T(0, 3), VI(0)), C(T(2, 3, 2), VI(1)))
CASES(prod_others, C(T(2, 3)), C(TT(3, 4), VI(0)))
CASES(recurrence, C(T(2, 3), T(2, 3)), C(TT(3, 4), TT(3, 4), VI(0)), C(T(2, 3), T(2, 3), VI(1), VI(1)),
      C(T(0, 3), T(0, 3), VI(0), VI(1)), C(T(1, 1), T(1, 1)))
CASES(softmax, C(T(2, 3)), C(T(2, 3), VI(0)), C(TT(3, 4)), C(T(0, 3)), C(T(1, 1)), C(T(2, 3, 4), VI(1)), C(T(3, 0)),
      C(TS()), C(T(70, 3)), C(T(2, 40)))
CASES(log_softmax, C(T(2, 3)), C(T(2, 3), VI(0)), C(TT(3, 4)), C(T(0, 3)), C(T(1, 1)), C(T(2, 3, 4), VI(1)), C(TS()))
CASES(softmax_backward, C(T(2, 3), T(2, 3)), C(TT(3, 4), TT(3, 4), VI(0)), C(T(70, 3), T(70, 3)))
CASES(log_softmax_backward, C(T(2, 3), T(2, 3)), C(TT(3, 4), TT(3, 4), VI(0)))
CASES(sort, C(T(2, 5)), C(T(4, 3), VI(0), VI(1)), C(TT(3, 4)), C(T(0, 3)), C(T(1, 1)))
CASES(argsort, C(T(2, 5)), C(T(4, 3), VI(0), VI(1)))
CASES(topk, C(T(2, 5), VI(2)), C(T(4, 3), VI(2), VI(0), VI(0)), C(TT(3, 4), VI(1)), C(T(1, 1), VI(1)))
CASES(bincount, C(TI(4, 9)), C(TI(4, 9), VI(7)))
