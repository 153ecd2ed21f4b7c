/* options.c: ranges and tables of options. */
#include "base/options.h"

#include <ctype.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAR = 1 << 20 };                              /* an upper end from here on is told only to who goes beyond it */
static const double MOST_WHOLE = 9007199254740992.0; /* 2^53: every whole number up to here is a double */

/* ---- ranges ---- */

static void widest(pc_range *r, pc_number_kind kind) {
  double hi = kind == PC_NUMBER_REAL ? DBL_MAX : kind == PC_NUMBER_INT ? INT_MAX : MOST_WHOLE;
  double lo = kind == PC_NUMBER_INT ? INT_MIN : -hi;
  *r = (pc_range){.lo = lo, .hi = hi, .whole = kind != PC_NUMBER_REAL};
}

int pc_range_parse(pc_range *r, const char *text, pc_number_kind kind) {
  const char *s = text ? text : "", *dots = strstr(s, "..");
  char *end;
  widest(r, kind);
  if (!*s) return PC_OK;
  if (!strcmp(s, "any")) {
    r->any = kind == PC_NUMBER_REAL;
    return PC_OK;
  }
  if (!dots) goto malformed;
  if (dots > s) {
    char low[40] = ""; /* strtod would take the first dot of "0.." along */
    if ((size_t)(dots - s) >= sizeof low) goto malformed;
    memcpy(low, s, (size_t)(dots - s));
    r->lo = strtod(low, &end);
    r->lo_open = *end == '<';
    if (end == low || end[r->lo_open]) goto malformed;
  }
  s = dots + 2;
  if (*s == '<') r->hi_open = 1, s++;
  if (*s) {
    r->hi = strtod(s, &end);
    if (end == s || *end) goto malformed;
  }
  if (r->lo <= r->hi) return PC_OK;
malformed:
  return pc_fail(PC_EARG, "'%s' is no range such as 0.. or 0<..<1", text);
}

int pc_range_has(const pc_range *r, double x) {
  if (r->any) return 1;
  if (!(r->lo_open ? x > r->lo : x >= r->lo) || !(r->hi_open ? x < r->hi : x <= r->hi)) return 0;
  return !r->whole || x == floor(x);
}

const char *pc_range_text(const pc_range *r) {
  static _Thread_local char ring[4][96];
  static _Thread_local int next;
  char *s = ring[next = (next + 1) % 4];
  const char *what = r->whole ? "an integer" : "a number", *ge = r->lo_open ? ">" : ">=", *le = r->hi_open ? "<" : "<=";
  int low = r->lo > (r->whole ? INT_MIN : -DBL_MAX), high = r->hi < (r->whole ? FAR : DBL_MAX);
  if (r->any)
    snprintf(s, sizeof *ring, "any number");
  else if (low && high && !r->lo_open && !r->hi_open)
    snprintf(s, sizeof *ring, "%s from %.10g to %.10g", what, r->lo, r->hi);
  else if (low && high)
    snprintf(s, sizeof *ring, "%s %s %.10g and %s %.10g", what, ge, r->lo, le, r->hi);
  else if (low)
    snprintf(s, sizeof *ring, "%s %s %.10g", what, ge, r->lo);
  else if (high)
    snprintf(s, sizeof *ring, "%s %s %.10g", what, le, r->hi);
  else
    snprintf(s, sizeof *ring, "%s", r->whole ? what : "a finite number");
  return s;
}

int pc_range_fail(const char *fn, const char *name, const pc_range *r, double x) {
  const char *more = ""; /* inside of the range as it reads, but out of it all the same */
  char largest[40];
  if (r->whole && x == floor(x) && r->hi >= FAR && (x > r->hi || fabs(x) > INT_MAX)) {
    snprintf(largest, sizeof largest, r->hi > INT_MAX ? " (2^53 is the largest)" : " (%.0f is the largest)", r->hi);
    more = largest;
  } else if (!r->whole && isinf(x) && (r->lo > -DBL_MAX || r->hi < DBL_MAX))
    more = " (finite)";
  return pc_fail(PC_EARG, "%s: %s: expected %s%s, got %.17g", fn, name, pc_range_text(r), more, x);
}

/* ---- tables ---- */

static pc_number_kind kind_of(pc_option_type t) {
  switch (t) {
    case PC_OPTION_int:
    case PC_OPTION_maybe_int: return PC_NUMBER_INT;
    case PC_OPTION_int64:
    case PC_OPTION_sizes:
    case PC_OPTION_maybe_int64: return PC_NUMBER_INT64;
    default: return PC_NUMBER_REAL;
  }
}

/* The number in an option's field. Returns 0 when there is none: a text, or a maybe that was not given. */
static int number_of(const pc_option *o, const void *opts, double *x) {
  const void *p = (const char *)opts + o->at;
  switch (o->type) {
    case PC_OPTION_num: return *x = *(const double *)p, 1;
    case PC_OPTION_int: return *x = *(const int *)p, 1;
    case PC_OPTION_int64: return *x = (double)*(const int64_t *)p, 1;
    case PC_OPTION_maybe_num: return *x = ((const pc_maybe_num *)p)->value, ((const pc_maybe_num *)p)->given;
    case PC_OPTION_maybe_int: return *x = ((const pc_maybe_int *)p)->value, ((const pc_maybe_int *)p)->given;
    case PC_OPTION_maybe_int64:
      return *x = (double)((const pc_maybe_int64 *)p)->value, ((const pc_maybe_int64 *)p)->given;
    default: return 0;
  }
}

static int count_words(const char *choices) {
  int n = 1;
  for (const char *s = choices; *s; s++) n += *s == '|';
  return n;
}

static int is_required(const pc_option *o) { return !strcmp(o->def, "PC_REQUIRED"); }

/* A maybe or sizes: the first field says whether it was given. */
static int may_be_left_out(const pc_option *o) { return o->type >= PC_OPTION_maybe_num; }

static int check_sizes(const pc_option *o, const char *fn, const pc_range *r, const pc_sizes *s) {
  if (s->given && (s->n < 1 || s->n > PC_SIZES_MAX))
    return pc_fail(PC_EARG, "%s: %s: expected 1 to %d numbers, got %d", fn, o->name, PC_SIZES_MAX, s->n);
  for (int i = 0; s->given && i < s->n; i++)
    if (!pc_range_has(r, (double)s->v[i])) return pc_range_fail(fn, o->name, r, (double)s->v[i]);
  return PC_OK;
}

static int check_one(const pc_option *o, const char *fn, const void *opts) {
  const void *p = (const char *)opts + o->at;
  pc_range r;
  double x;
  if (may_be_left_out(o) && is_required(o) && !*(const int *)p)
    return pc_fail(PC_EARG, "%s: %s must be given", fn, o->name);
  if (o->type == PC_OPTION_bool || o->type == PC_OPTION_maybe_bool) return PC_OK;
  if (o->type == PC_OPTION_choice) {
    int i = *(const int *)p;
    if (i >= 0 && i < count_words(o->range)) return PC_OK;
    return pc_fail(PC_EARG, "%s: %s: expected one of %s, got number %d of them", fn, o->name, o->range, i + 1);
  }
  if (o->type == PC_OPTION_str) {
    const char *s = *(const char *const *)p;
    if (!s && is_required(o)) return pc_fail(PC_EARG, "%s: %s: a string is needed", fn, o->name);
    if (s && !*s && strcmp(o->range, "any"))
      return pc_fail(PC_EARG, "%s: %s: expected a string that is not empty, got \"\"", fn, o->name);
    return PC_OK;
  }
  int rc = pc_range_parse(&r, o->range, kind_of(o->type));
  if (rc < 0) return pc_error_prefix(rc, "%s: %s", fn, o->name);
  if (o->type == PC_OPTION_sizes) return check_sizes(o, fn, &r, p);
  if (number_of(o, opts, &x) && !pc_range_has(&r, x)) return pc_range_fail(fn, o->name, &r, x);
  return PC_OK;
}

int pc_options_check(const pc_options *t, const char *fn, const void *opts) {
  for (int i = 0; i < t->n; i++) {
    int rc = check_one(&t->rows[i], fn, opts);
    if (rc < 0) return rc;
  }
  return PC_OK;
}

const pc_option *pc_options_find(const pc_options *t, const char *name) {
  for (int i = 0; i < t->n; i++)
    if (!strcmp(t->rows[i].name, name)) return &t->rows[i];
  return NULL;
}

/* A text that grows in a buffer of fixed size, and its length had there been room. */
typedef struct text {
  char *buf;
  size_t size, n;
} text;

static void add(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(text *t, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(t->n < t->size ? t->buf + t->n : NULL, t->n < t->size ? t->size - t->n : 0, fmt, ap);
  va_end(ap);
  if (n > 0) t->n += (size_t)n;
}

static void add_default(text *t, const pc_option *o, const void *defaults) {
  const void *p = (const char *)defaults + o->at;
  if (o->type == PC_OPTION_choice) {
    const char *s = o->range;
    for (int i = *(const int *)p; i > 0 && strchr(s, '|'); i--) s = strchr(s, '|') + 1;
    add(t, "=%.*s", (int)strcspn(s, "|"), s);
  } else if (o->type == PC_OPTION_bool) {
    add(t, "=%s", *(const int *)p ? "true" : "false");
  } else if (o->type == PC_OPTION_str) {
    if (*(const char *const *)p) add(t, "=\"%s\"", *(const char *const *)p);
  } else if (isdigit((unsigned char)o->def[o->def[0] == '-'])) {
    add(t, "=%s", o->def); /* as it was written: 1e-3 */
  } else {
    char digits[40]; /* as few as say the number */
    double x = 0;
    number_of(o, defaults, &x);
    for (int n = 6; snprintf(digits, sizeof digits, "%.*g", n, x) > 0 && n < 17 && strtod(digits, NULL) != x;) n++;
    add(t, "=%s", digits);
  }
}

size_t pc_options_signature(const pc_options *t, char *buf, size_t size) {
  static const char *const types[] = {"num", "int", "int64", "bool", "str", "str",
                                      "num", "int", "int64", "bool", "size"};
  text out = {buf, size, 0};
  if (size) *buf = 0;
  for (int i = 0; i < t->n; i++) {
    const pc_option *o = &t->rows[i];
    add(&out, i ? ", %s:%s" : "%s:%s", o->name, types[o->type]);
    if (*o->range) add(&out, "(%s)", o->range);
    if (is_required(o)) continue;
    if (may_be_left_out(o) || (o->type == PC_OPTION_str && !strcmp(o->def, "NULL")))
      add(&out, "?");
    else
      add_default(&out, o, t->defaults);
  }
  return out.n;
}

size_t pc_options_help(const pc_options *t, char *buf, size_t size) {
  text out = {buf, size, 0};
  if (size) *buf = 0;
  for (int i = 0; i < t->n; i++) {
    const pc_option *o = &t->rows[i];
    if (!*o->help) continue;
    add(&out, out.n ? "; %s: %s" : "%s: %s", o->name, o->help);
    if (*o->unit) add(&out, " (%s)", o->unit);
  }
  return out.n;
}

int pc_choice(const char *choices, const char *word) {
  size_t len = strlen(word);
  int place = 0;
  for (const char *w = choices; w; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL, place++)
    if (strcspn(w, "|") == len && !strncmp(w, word, len)) return place;
  return -1;
}

void pc_option_set_num(const pc_option *o, void *opts, double x) {
  void *p = (char *)opts + o->at;
  switch (o->type) {
    case PC_OPTION_num: *(double *)p = x; break;
    case PC_OPTION_int:
    case PC_OPTION_bool: *(int *)p = (int)x; break;
    case PC_OPTION_int64: *(int64_t *)p = (int64_t)x; break;
    case PC_OPTION_maybe_num: *(pc_maybe_num *)p = (pc_maybe_num){1, x}; break;
    case PC_OPTION_maybe_int: *(pc_maybe_int *)p = (pc_maybe_int){1, (int)x}; break;
    case PC_OPTION_maybe_int64: *(pc_maybe_int64 *)p = (pc_maybe_int64){1, (int64_t)x}; break;
    case PC_OPTION_maybe_bool: *(pc_maybe_int *)p = (pc_maybe_int){1, x != 0}; break;
    default: break;
  }
}

void pc_option_set_str(const pc_option *o, void *opts, const char *s) {
  void *p = (char *)opts + o->at;
  if (o->type == PC_OPTION_str) {
    *(const char **)p = s;
    return;
  }
  int place = pc_choice(o->range, s);
  if (place >= 0) *(int *)p = place;
}

void pc_option_set_sizes(const pc_option *o, void *opts, const int64_t *v, int n) {
  pc_sizes *s = (pc_sizes *)((char *)opts + o->at);
  if (o->type != PC_OPTION_sizes) return;
  *s = (pc_sizes){.given = 1, .n = n};
  for (int i = 0; i < n && i < PC_SIZES_MAX; i++) s->v[i] = v[i];
}
