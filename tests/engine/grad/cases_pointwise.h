/* cases_pointwise.h: test cases of engine/grad/ops_pointwise.def; see cases.h. */

/* two operands: equal shapes, broadcast on each side and on both, 0-dim, not
 * contiguous, sizes 0 and 1, rows longer and shorter than a buffer */
#define PAIRS                                                                                                 \
  C(T(2, 3), T(2, 3)), C(T(2, 3), T(3)), C(T(3), T(2, 3)), C(T(2, 1, 3), T(4, 1)), C(T(4, 1), T(2, 1, 3)),    \
      C(T(2, 3), TS()), C(TS(), T(2, 3)), C(TS(), TS()), C(TT(3, 4), TT(3, 4)), C(TT(3, 4), T(4)),            \
      C(T(3, 1), TT(3, 4)), C(T(0, 3), T(3)), C(T(2, 0), T(1, 1)), C(T(1, 1), T(1, 1)), C(T(3, 20), T(3, 1)), \
      C(T(3, 20), T(20)), C(T(20), TT(3, 20))
#define POSITIVE_PAIRS                                                                                               \
  C(TP(2, 3), TP(2, 3)), C(TP(2, 3), TP(3)), C(TP(3), TP(2, 3)), C(TP(2, 1, 3), TP(4, 1)), C(TP(4, 1), TP(2, 1, 3)), \
      C(TP(0, 3), TP(3)), C(TP(1, 1), TP(1, 1)), C(TP(2, 3), TP(1)), C(TP(1), TP(2, 3)), C(TP(3, 20), TP(3, 1)),     \
      C(TP(3, 20), TP(20))
#define BY_POSITIVE  C(T(2, 3), TP(2, 3)), C(TT(3, 4), TP(4)), C(TS(), TP(2, 3)), C(T(2, 1), TP(1, 3))
#define ONE          C(T(2, 3)), C(TT(3, 4)), C(TS()), C(T(0, 3)), C(T(1, 1)), C(T(2, 3, 4, 5))
#define ONE_POSITIVE C(TP(2, 3)), C(TP(0, 3)), C(TP(1, 1)), C(TP(2, 3, 4))
#define ONE_UNIT     C(TU(2, 3)), C(TU(0, 3)), C(TU(1, 1)), C(TU(2, 3, 4))
#define MASKS        C(TB(2, 3), TB(2, 3)), C(TB(2, 3), TB(3)), C(TB(2, 1), T(1, 3)), C(TB(0, 3), TB(3)), C(T(1, 1), TB(1, 1))

CASES(add, PAIRS)
CASES(sub, PAIRS)
CASES(mul, PAIRS)
CASES(div, POSITIVE_PAIRS, BY_POSITIVE)
CASES(pow, POSITIVE_PAIRS)
CASES(maximum, PAIRS)
CASES(minimum, PAIRS)
CASES(fmod, POSITIVE_PAIRS, BY_POSITIVE)
CASES(remainder, POSITIVE_PAIRS, BY_POSITIVE)
CASES(lerp, C(T(2, 3), T(2, 3), T(2, 3)), C(T(2, 3), T(3), TS()), C(T(3), T(2, 3), T(2, 1)), C(TS(), T(2, 3), TT(2, 3)),
      C(TT(3, 4), TT(3, 4), TT(3, 4)), C(T(0, 3), T(3), TS()), C(T(1, 1), T(1), T(1)))

CASES(neg, ONE)
CASES(exp, ONE)
CASES(log, ONE_POSITIVE)
CASES(log1p, ONE_POSITIVE, ONE_UNIT)
CASES(expm1, ONE)
CASES(sqrt, ONE_POSITIVE)
CASES(rsqrt, ONE_POSITIVE)
CASES(square, ONE)
CASES(reciprocal, ONE_POSITIVE)
CASES(abs, ONE)
CASES(sin, ONE)
CASES(cos, ONE)
CASES(tan, ONE_UNIT)
CASES(asin, ONE_UNIT)
CASES(acos, ONE_UNIT)
CASES(atan, ONE)
CASES(sinh, ONE)
CASES(cosh, ONE)
CASES(erf, ONE)
CASES(sign, ONE)
CASES(floor, ONE)
CASES(ceil, ONE)
CASES(round, ONE)
CASES(trunc, ONE)
CASES(clamp, C(T(2, 3), VD(-0.5), VD(0.5)), C(TT(3, 4), VD(0.1)), C(T(2, 3), VNO, VD(0.1)), C(T(0, 3), VD(0), VD(1)),
      C(T(1, 1), VD(-1), VD(1)), C(TS(), VD(-1), VD(1)))

CASES(relu, ONE)
CASES(gelu_derivative, C(T(3, 4), T(3, 4)), C(T(5), T(5), VI(2)), C(T(300), T(300), VI(3)),
      C(TT(3, 4), TT(3, 4), VI(4)), C(TS(), TS(), VI(5)), C(T(0, 3), T(0, 3), VI(2)))
CASES(gelu_derivative_backward, C(T(3, 4), T(3, 4), T(3, 4)), C(T(300), T(300), T(300), VI(2)),
      C(T(65), T(65), T(65), VI(7)), C(TT(3, 4), TT(3, 4), TT(3, 4), VI(3)), C(TS(), TS(), TS(), VI(4)),
      C(T(0, 3), T(0, 3), T(0, 3), VI(2)))
CASES(gelu, ONE, C(T(2, 3), VSTR("none")), C(T(2, 3), VSTR("tanh")), C(TT(3, 4), VSTR("tanh")),
      C(T(2, 300), VSTR("tanh")))
CASES(silu, ONE, C(T(2, 300)))
CASES(elu, ONE, C(T(2, 3), VD(0.5)))
CASES(leaky_relu, ONE, C(T(2, 3), VD(0.2)))
CASES(sigmoid, ONE)
CASES(tanh, ONE)
CASES(softplus, ONE, C(T(2, 3), VD(2), VD(1)))
/* what is dropped changes from call to call, so p is 0 or 1 here; test_pointwise.c has the rest */
CASES(dropout, C(T(2, 3), VD(0)), C(T(2, 3), VD(1)), C(TT(3, 4), VD(0.5), VI(0)), C(T(0, 3), VD(1)), C(T(1, 1), VD(1)))

CASES(where, C(TB(2, 3), T(2, 3), T(2, 3)), C(TB(3), T(2, 3), TS()), C(TB(2, 1), T(3), TT(2, 3)),
      C(TB(2, 3), TS(), T(3)), C(TB(0, 3), T(3), T(1)), C(TB(1, 1), T(1), T(1)))
CASES(masked_fill, C(T(2, 3), TB(2, 3), VD(1.5)), C(T(2, 3), TB(3), VD(0)), C(TT(3, 4), TB(3, 1), VD(-1)),
      C(T(0, 3), TB(3), VD(0)), C(T(1, 1), TB(1, 1), VD(2)))
CASES(to, C(T(2, 3), VI(PC_F64)), C(TT(3, 4), VI(PC_F64)), C(T(0, 3), VI(PC_F64)), C(T(1, 1), VI(PC_I64)),
      C(TB(2, 3), VI(PC_F64)))
CASES(clone, ONE)
CASES(contiguous, ONE)

CASES(eq, PAIRS, MASKS)
CASES(ne, PAIRS, MASKS)
CASES(lt, PAIRS, MASKS)
CASES(le, PAIRS, MASKS)
CASES(gt, PAIRS, MASKS)
CASES(ge, PAIRS, MASKS)
CASES(logical_and, PAIRS, MASKS)
CASES(logical_or, PAIRS, MASKS)
CASES(logical_xor, PAIRS, MASKS)
CASES(logical_not, ONE, C(TB(2, 3)))
CASES(isnan, ONE, C(TB(2, 3)))
CASES(isinf, ONE, C(TB(2, 3)))
CASES(isfinite, ONE, C(TB(2, 3)))
/* values: kind, two numbers of the activation, over */
CASES(act_backward, C(T(2, 5), T(2, 5), VI(0)), C(TT(7, 65), TT(7, 65), VI(1)), C(T(300), TU(300), VI(2)),
      C(T(300), T(300), VI(3)), C(T(9), T(9), VI(4)), C(T(300), T(300), VI(5)), C(T(300), T(300), VI(6), VD(0.7)),
      C(T(9), T(9), VI(7), VD(0.1)), C(T(300), T(300), VI(8), VD(1), VD(20)), C(T(0), T(0), VI(9), VD(-1), VD(1)))
