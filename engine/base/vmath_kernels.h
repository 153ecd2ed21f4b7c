/* vmath_kernels.h: the vector functions of vmath.c, written once for any width.
 * vmath.c includes this file for each tier, inside a region compiled for that
 * tier, with these defined:
 *   W           floats in a vector
 *   N(name)     the name of this tier's form
 *   FMA(a,b,c)  a*b + c, fused where the tier can
 *   LDEXP(x,n)  x * 2^n, n whole and |n| <= 250, rounded once
 *   QUOTIENT(a,b,lo,r)  a / (b + lo), given r = 1/b rounded and |lo| << b
 *   SEL(m,a,b)  a where the comparison m holds, else b
 * Polynomials are minimax fits of this project (weighted Remez exchange in 40
 * digits); the error of the fit is noted with each. */

typedef float N(vf) __attribute__((vector_size(4 * W)));
typedef int32_t N(vi) __attribute__((vector_size(4 * W)));
typedef uint32_t N(vu) __attribute__((vector_size(4 * W)));
#define VF     N(vf)
#define VI     N(vi)
#define VU     N(vu)
#define INLINE static inline __attribute__((always_inline))

/* |y| with the sign of x; y has it or is positive */
INLINE VF N(with_sign)(VF y, VF x) { return (VF)((VI)y | ((VI)x & (int32_t)0x80000000)); }
INLINE VF N(splat)(float c) { return c - (VF){0}; }
INLINE VF N(vabs)(VF x) { return (VF)((VI)x & 0x7fffffff); }
#define K(c)      N(splat)(c)
#define AND(m, a) ((VF)((VI)(m) & (VI)(a)))

/* Nearest whole number, |x| < 2^22: the sum rounds at the unit. */
INLINE VF N(nearest)(VF x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

/* e^(x - lo) = (1 + p) * 2^n with 1 + p in [0.7, 1.42]; -170 <= x <= 170 or NaN, |lo| << 1. */
INLINE VF N(expm1_parts)(VF x, VF lo, VF *n) {
  VF k = N(nearest)(x * 1.44269504f);
  VF r = FMA(k, K(-0x1.62ep-1f), x); /* ln 2 in two parts; the first has 12 bits, so that k times it is exact */
  r = FMA(k, K(-0x1.0bfbe8p-15f), r) - lo;
  /* (e^r - 1 - r)/r^2 on |r| < 0.35: 3.3e-9 of e^r */
  VF q = FMA(K(0.001381314271f), r, K(0.008369418724f));
  q = FMA(q, r, K(0.0416684568f));
  q = FMA(q, r, K(0.1666651479f));
  q = FMA(q, r, K(0.4999999305f));
  *n = k;
  return FMA(r * r, q, r);
}

INLINE VF N(exp_parts)(VF x, VF *n) { return N(expm1_parts)(x, K(0), n) + 1.0f; }

INLINE VF N(exp)(VF x) {
  VF n, c = SEL(x > 90.0f, K(90.0f), x);
  c = SEL(c < -110.0f, K(-110.0f), c);
  VF p = N(exp_parts)(c, &n);
  return LDEXP(p, n);
}

/* log(1+f) - (f - f^2/2) = f^3 P(f) for sqrt(1/2) <= 1+f < sqrt(2): 7.5e-10 of f */
INLINE VF N(log)(VF x) {
  VI tiny = x < 0x1p-126f;
  VF z = SEL(tiny, x * 0x1p23f, x);
  VI e = (VI)((VU)z - 0x3f3504f3u) >> 23; /* so that the mantissa lies in [sqrt(1/2), sqrt(2)) */
  VF f = (VF)((VU)z - ((VU)e << 23)) - 1.0f;
  VF k = __builtin_convertvector(e, VF) - AND(tiny, K(23.0f));
  VF q = FMA(K(0.06927811928f), f, K(-0.118083289f));
  q = FMA(q, f, K(0.118772292f));
  q = FMA(q, f, K(-0.1238167607f));
  q = FMA(q, f, K(0.1421780257f));
  q = FMA(q, f, K(-0.1666936779f));
  q = FMA(q, f, K(0.200022684f));
  q = FMA(q, f, K(-0.2499998505f));
  q = FMA(q, f, K(0.3333330991f));
  VF f2 = f * f, y = f * f2 * q;
  y = FMA(k, K(0x1.0bfbe8p-15f), y);
  y = FMA(K(-0.5f), f2, y);
  y = FMA(k, K(0x1.62ep-1f), f + y);
  y = SEL(x == __builtin_inff(), x, y);
  y = SEL(x == 0.0f, K(-__builtin_inff()), y);
  return SEL((x < 0.0f) | (x != x), K(__builtin_nanf("")), y);
}

/* log(1+x) = log(u) + (x - (u - 1))/u for u = 1 + x rounded: the second term is what u lost. */
INLINE VF N(log1p)(VF x) {
  VF u = 1.0f + x, c = (x - (u - 1.0f)) / u;
  VF y = N(log)(u) + c;
  y = SEL((u == 0.0f) | (u == __builtin_inff()), N(log)(u), y);
  return SEL(x == 0.0f, x, y); /* -0 stays */
}

INLINE VF N(expm1)(VF x) {
  VF n, c = SEL(x > 90.0f, K(90.0f), x);
  c = SEL(c < -30.0f, K(-30.0f), c);
  VF p = N(exp_parts)(c, &n), far = LDEXP(p, n) - 1.0f;
  VF r = SEL(N(vabs)(x) < 0.35f, x, K(0.0f)); /* the exponential's own series without its 1 */
  VF q = FMA(K(0.001381314271f), r, K(0.008369418724f));
  q = FMA(q, r, K(0.0416684568f));
  q = FMA(q, r, K(0.1666651479f));
  q = FMA(q, r, K(0.4999999305f));
  return SEL(N(vabs)(x) < 0.35f, N(with_sign)(FMA(r * r, q, r), x), far);
}

/* |x| < 0.625: x + x^3 P(x^2), 4.1e-9; above: 1 - 2/(e^2x + 1) */
INLINE VF N(tanh)(VF x) {
  VF a = N(vabs)(x), n, z = x * x;
  VF c = SEL(a > 10.0f, K(10.0f), a);
  VF e = N(exp_parts)(c + c, &n), far = 1.0f - 2.0f / (LDEXP(e, n) + 1.0f);
  far = N(with_sign)(far, x);
  VF p = FMA(K(-0.005717504747f), z, K(0.02065105174f));
  p = FMA(p, z, K(-0.05374366327f));
  p = FMA(p, z, K(0.1333149369f));
  p = FMA(p, z, K(-0.3333328404f));
  VF near = N(with_sign)(FMA(x * z, p, x), x);
  return SEL(a < 0.625f, near, far); /* NaN goes the far way and stays NaN */
}

/* Gaussian tail for a >= 0: Phi(-a) = e^(-a^2/2) h(t)/(a + 2.5), t = (a - 2.5)/(a + 2.5),
 * h = (a + 2.5) erfcx(a/sqrt 2)/2 on 0 <= a <= 15: 1.5e-8. */
INLINE VF N(tail)(VF a) {
  VF b = a + 2.5f, lo = a - (b - 2.5f), r = 1.0f / b, t = (a - 2.5f) * r;
  VF h = FMA(K(-0.0001577028621f), t, K(-0.0003116230661f));
  h = FMA(h, t, K(0.0006844135957f));
  h = FMA(h, t, K(0.002523932977f));
  h = FMA(h, t, K(-0.001600830557f));
  h = FMA(h, t, K(-0.01638618557f));
  h = FMA(h, t, K(0.00923587585f));
  h = FMA(h, t, K(0.1319869788f));
  h = FMA(h, t, K(-0.4336920123f));
  h = FMA(h, t, K(0.7066566599f));
  (void)lo;
  return QUOTIENT(h, b, lo, r);
}

/* e^(-a^2/2) = (1 + p) 2^n. The square is split (upper 12 bits of a squared exactly), because an error in the
 * last place of a^2/2 = 80 would be one of 80 places of the result. 0 <= a <= 18. */
INLINE VF N(gauss_parts)(VF a, VF *n) {
  VF h = (VF)((VI)a & (int32_t)0xfffff000), lo = 0.5f * (a - h) * (a + h);
  return N(expm1_parts)(-0.5f * h * h, lo, n);
}

/* |x| < 1: x P(x^2), 1.2e-9; above 1 - 2 Phi(-sqrt(2) x) */
INLINE VF N(erf)(VF x) {
  VF a = N(vabs)(x), z = x * x, n;
  VF c = SEL(a > 5.0f, K(5.0f), a);
  VF p = N(exp_parts)(-c * c, &n);
  VF far = 1.0f - 2.0f * N(tail)(1.41421356f * c) * LDEXP(p, n);
  far = N(with_sign)(far, x);
  VF q = FMA(K(7.853862657e-5f), z, K(-0.0008010194033f));
  q = FMA(q, z, K(0.005188327733f));
  q = FMA(q, z, K(-0.02685381196f));
  q = FMA(q, z, K(0.1128358515f));
  q = FMA(q, z, K(-0.3761262582f));
  q = FMA(q, z, K(1.128379166f));
  return SEL(a < 1.0f, x * q, far);
}

/* With e = e^-|x|: 1/(1+e) for x >= 0, e/(1+e) below. */
INLINE VF N(sigmoid)(VF x) {
  VF a = N(vabs)(x), n, c = SEL(a > 110.0f, K(110.0f), a);
  VF p = N(exp_parts)(-c, &n), e = LDEXP(p, n);
  return SEL(x < 0.0f, e, K(1.0f)) / (1.0f + e);
}

/* Below 0 the exponent of e comes last, so that results among the denormals are rounded once. */
INLINE VF N(silu)(VF x) {
  VF a = N(vabs)(x), n, c = SEL(a > 120.0f, K(120.0f), a);
  VF p = N(exp_parts)(-c, &n), d = 1.0f + LDEXP(p, n);
  VF below = -c * p / d;
  return SEL(x < 0.0f, LDEXP(below, n), x / d);
}

/* x Phi(x) = x - x Phi(-x) above 0, x Phi(x) below */
INLINE VF N(gelu)(VF x) {
  VF a = N(vabs)(x), n, c = SEL(a > 18.0f, K(18.0f), a);
  VF p = N(gauss_parts)(c, &n), g = N(tail)(c), t = FMA(g, p, g);
  return SEL(x < 0.0f, LDEXP(-c * t, n), FMA(-c, LDEXP(t, n), x));
}

/* Phi(x) + x phi(x), phi = e^(-x^2/2)/sqrt(2 pi) */
INLINE VF N(gelu_slope)(VF x) {
  VF a = N(vabs)(x), n, c = SEL(a > 18.0f, K(18.0f), a);
  VF p = N(gauss_parts)(c, &n), g = N(tail)(c) - 0.398942280f * c;
  VF below = LDEXP(FMA(g, p, g), n); /* of -|x|; the slope of x is 1 minus it above 0 */
  return SEL(x < 0.0f, below, 1.0f - below);
}

INLINE VF N(load)(const float *x) {
  VF v;
  __builtin_memcpy(&v, x, sizeof v);
  return v;
}

#define ARRAY(f)                                                  \
  static void N(array_##f)(float *y, const float *x, int64_t n) { \
    int64_t i = 0;                                                \
    for (; i + W <= n; i += W) {                                  \
      VF v = N(f)(N(load)(x + i));                                \
      __builtin_memcpy(y + i, &v, sizeof v);                      \
    }                                                             \
    if (i < n) {                                                  \
      float t[W] = {0};                                           \
      for (int64_t k = i; k < n; k++) t[k - i] = x[k];            \
      VF v = N(f)(N(load)(t));                                    \
      __builtin_memcpy(t, &v, sizeof v);                          \
      for (int64_t k = i; k < n; k++) y[k] = t[k - i];            \
    }                                                             \
  }
PC_VMATH_MAP(ARRAY)
#undef ARRAY

static void N(array_gelu_grad)(float *dx, const float *dy, const float *x, int64_t n) {
  int64_t i = 0;
  for (; i + W <= n; i += W) {
    VF v = N(load)(dy + i) * N(gelu_slope)(N(load)(x + i));
    __builtin_memcpy(dx + i, &v, sizeof v);
  }
  if (i < n) {
    float t[W] = {0};
    for (int64_t k = i; k < n; k++) t[k - i] = x[k];
    VF v = N(gelu_slope)(N(load)(t));
    __builtin_memcpy(t, &v, sizeof v);
    for (int64_t k = i; k < n; k++) dx[k] = dy[k] * t[k - i];
  }
}

#undef VF
#undef VI
#undef VU
#undef K
#undef AND
#undef INLINE
