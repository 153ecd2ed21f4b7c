#include "plot/ticks.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "10⁻³" into buf */
static void power_of_ten(char *buf, int size, const char *before, int e) {
  static const char *const sup[10] = {"\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",     "\xc2\xb3",     "\xe2\x81\xb4",
                                      "\xe2\x81\xb5", "\xe2\x81\xb6", "\xe2\x81\xb7", "\xe2\x81\xb8", "\xe2\x81\xb9"};
  char digits[12];
  int n = snprintf(buf, (size_t)size, "%s10%s", before, e < 0 ? "\xe2\x81\xbb" : "");
  snprintf(digits, sizeof digits, "%d", abs(e));
  for (char *d = digits; *d && n < size - 4; d++) n += snprintf(buf + n, (size_t)(size - n), "%s", sup[*d - '0']);
}

/* A hyphen before a number is a minus sign. */
static void minus_sign(char *buf, int size) {
  size_t n = strlen(buf);
  if (buf[0] != '-' || n + 3 > (size_t)size) return;
  memmove(buf + 3, buf + 1, n);
  memcpy(buf, "\xe2\x88\x92", 3);
}

void pc_format_number(char *buf, int size, double v, int digits) {
  double a = fabs(v);
  if (v != v) {
    snprintf(buf, (size_t)size, "\xe2\x80\x93");
    return;
  }
  if (isinf(v)) {
    snprintf(buf, (size_t)size, "%s\xe2\x88\x9e", v < 0 ? "\xe2\x88\x92" : "");
    return;
  }
  if (a != 0 && (a >= 1e7 || a < 1e-4)) {
    char power[24];
    int e = (int)floor(log10(a));
    double m = v / pow(10, e);
    if (!isfinite(m)) m = v * pow(10, -e);
    char mantissa[32];
    snprintf(mantissa, sizeof mantissa, "%.*g\xc3\x97", digits > 3 ? 3 : digits, m);
    power_of_ten(power, sizeof power, "", e);
    snprintf(buf, (size_t)size, "%s%s", mantissa, power);
  } else {
    int whole = a >= 1 ? (int)floor(log10(a)) + 1 : 0;
    int decimals = a == floor(a) ? 0 : digits - whole;
    if (a < 0.1 && a > 0) decimals = digits - (int)floor(log10(a)) - 1;
    snprintf(buf, (size_t)size, "%.*f", decimals < 0 ? 0 : decimals, v);
  }
  minus_sign(buf, size);
}

void pc_format_among(char *buf, int size, double v, double most, int digits) {
  if (!isfinite(v) || !(most < 1e6) || most < 1e-3 || fabs(v) > most) {
    pc_format_number(buf, size, v, digits);
    return;
  }
  int decimals = digits - (most > 1 ? (int)floor(log10(most)) : 0);
  snprintf(buf, (size_t)size, "%.*f", decimals < 0 ? 0 : decimals, v);
  minus_sign(buf, size);
}

static double nice_step(double span, int want) {
  double raw = span / want, p = pow(10, floor(log10(raw))), f = raw / p;
  return (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10) * p;
}

/* All labels with the decimals the step needs, or times a shared power of ten. */
static void label_linear(pc_axis *a, double step) {
  double most = fmax(fabs(a->lo), fabs(a->hi));
  int top = most > 0 ? (int)floor(log10(most)) : 0, low = (int)floor(log10(step) + 1e-9);
  int e = 0, suffix = 0;
  if (top >= 5 || top <= -4) {
    e = (int)floor(top / 3.0) * 3;
    if (low > e) e = low - low % 3;
    if (top >= 5 && top < 9 && top - low <= 5) e = top >= 6 && low >= 5 ? 6 : 3, suffix = e == 6 ? 'M' : 'k';
    if (top - low > 6) e = suffix = 0; /* tiny differences of large numbers are written out */
  }
  int decimals = low < e ? e - low : 0;
  if (decimals > 12) decimals = 12;
  for (int i = 0; i < a->n; i++) {
    double v = a->at[i] / pow(10, e);
    if (!isfinite(v)) v = a->at[i] * pow(10, -e);
    snprintf(a->label[i], sizeof a->label[i], "%.*f", decimals, v == 0 ? 0 : v);
    if (suffix && a->at[i] != 0) {
      size_t n = strlen(a->label[i]);
      if (n + 2 < sizeof a->label[i]) a->label[i][n] = (char)suffix, a->label[i][n + 1] = '\0';
    }
    minus_sign(a->label[i], sizeof a->label[i]);
  }
  if (e && !suffix) power_of_ten(a->note, sizeof a->note, "\xc3\x97", e);
}

static void make_linear(pc_axis *a, int round, int want) {
  if (a->lo == a->hi) { /* a single value gets room around it */
    double half = fabs(a->lo) * 0.05;
    a->lo -= half, a->hi += a->lo == 0 ? 1 : half; /* nothing but zeros: counts, shares, errors */
  }
  /* a span below what doubles resolve there */
  double least = fmax(fabs(a->lo), fabs(a->hi)) * (64 * DBL_EPSILON);
  if (a->hi - a->lo < least) a->lo -= least, a->hi += least;
  double step = nice_step(a->hi - a->lo, want);
  double tol = 1e-9 + 4 * DBL_EPSILON * fmax(fabs(a->lo), fabs(a->hi)) / step; /* of rounding, in steps */
  double first = ceil(a->lo / step - tol), last = floor(a->hi / step + tol);
  if (round) {
    first = floor(a->lo / step + tol), last = ceil(a->hi / step - tol);
    a->lo = fmin(a->lo, first * step), a->hi = fmax(a->hi, last * step);
  }
  for (double k = first; k <= last && a->n < PC_MAX_TICKS; k++) a->at[a->n++] = k * step;
  label_linear(a, step);
}

static void make_log(pc_axis *a, int round, int want) {
  if (a->lo == a->hi) a->lo /= 2, a->hi *= 2;
  int first = (int)floor(log10(a->lo) + 1e-9), last = (int)ceil(log10(a->hi) - 1e-9);
  static const double within[3] = {1, 2, 5};
  int decades = last - first, every = (decades + want - 1) / want;
  if (every < 1) every = 1;
  int fine = log10(a->hi / a->lo) < 2.5 && want > 3;
  if (round) { /* to the next 1, 2 or 5 */
    double lo = 0, hi = 0;
    for (int e = first - 1; e <= last + 1; e++)
      for (int k = 0; k < 3; k++) {
        double v = within[k] * pow(10, e);
        if (v <= a->lo * (1 + 1e-9)) lo = v;
        if (hi == 0 && v >= a->hi * (1 - 1e-9)) hi = v;
      }
    if (lo > 0) a->lo = fmin(a->lo, lo);
    if (isfinite(hi) && hi > 0) a->hi = fmax(a->hi, hi);
  }
  for (int e = first - 1; e <= last; e++)
    for (int k = 0; k < (fine ? 3 : 1); k++) {
      double v = within[k] * pow(10, e);
      if (v < a->lo * (1 - 1e-9) || v > a->hi * (1 + 1e-9) || a->n == PC_MAX_TICKS) continue;
      if (!fine && (e - first) % every != 0) continue;
      a->at[a->n] = v;
      if (first < -3 || last > 4) {
        char before[24] = "";
        if (k) snprintf(before, sizeof before, "%g\xc3\x97", within[k]);
        power_of_ten(a->label[a->n], sizeof a->label[0], before, e);
      } else {
        snprintf(a->label[a->n], sizeof a->label[0], "%.*f", e < 0 ? -e : 0, v);
      }
      a->n++;
    }
}

void pc_axis_make(pc_axis *a, double lo, double hi, int log, int round, int want) {
  /* differences of the largest doubles overflow */
  double most = log ? DBL_MAX / 100 : 4e307;
  memset(a, 0, sizeof *a);
  a->lo = fmax(fmin(lo, most), log ? 1e-300 : -most);
  a->hi = fmax(fmin(hi, most), a->lo);
  if (!log && a->hi - a->lo < 1e-290 && fabs(a->lo) < 1e-290 && (a->lo != 0 || a->hi != 0)) a->lo = -0.5, a->hi = 0.5;
  a->log = log;
  if (want < 2) want = 2;
  if (want > PC_MAX_TICKS / 2) want = PC_MAX_TICKS / 2;
  if (log)
    make_log(a, round, want);
  else
    make_linear(a, round, want);
}

double pc_axis_map(const pc_axis *a, double v) {
  if (!isfinite(v) || (a->log && v <= 0)) return NAN;
  return a->log ? (log10(v) - log10(a->lo)) / (log10(a->hi) - log10(a->lo)) : (v - a->lo) / (a->hi - a->lo);
}
