/* signature.c: signatures, parsed; arguments, checked and completed. */
#include "grad/signature.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

const char *const pc_type_names[PC_T_CLASS] = {
    [PC_T_TENSOR] = "tensor", [PC_T_VALUE] = "value", [PC_T_TENSORS] = "tensors", [PC_T_INT] = "int",
    [PC_T_NUM] = "num",       [PC_T_BOOL] = "bool",   [PC_T_STR] = "str",         [PC_T_DIM] = "dim",
    [PC_T_DIMS] = "dims",     [PC_T_INDEX] = "index", [PC_T_SIZE] = "size",       [PC_T_SIZE2] = "size2",
    [PC_T_DTYPE] = "dtype",   [PC_T_ANY] = "any",     [PC_T_TABLE] = "table",     [PC_T_FUNCTION] = "function"};

static char *trim(char *s) {
  while (isspace((unsigned char)*s)) s++;
  for (char *e = s + strlen(s); e > s && isspace((unsigned char)e[-1]); *--e = 0) {
  }
  return s;
}

/* Cuts s at the first `sep` outside of brackets; returns the rest or NULL. */
static char *cut(char *s, char sep) {
  int depth = 0;
  for (; *s; s++) {
    if (*s == '{' || *s == '(') depth++;
    if (*s == '}' || *s == ')') depth--;
    if (*s == sep && !depth) {
      *s = 0;
      return s + 1;
    }
  }
  return NULL;
}

static int parse_list(const char *text, pc_val *v, int positions) {
  char *end;
  v->nl = 0;
  for (const char *s = text + (*text == '{'); *s && *s != '}'; s = *end == ',' ? end + 1 : end) {
    int64_t x = strtoll(s, &end, 10);
    if (end == s || v->nl == PC_MAX_DIM) return 0;
    if (positions) pc_from_position(x, &x);
    v->l[v->nl++] = x;
    while (isspace((unsigned char)*end)) end++;
  }
  return 1;
}

static int parse_default(pc_param *p) {
  const char *s = p->text;
  char *end;
  pc_dtype d;
  switch (p->type) {
    case PC_T_INT:
      p->def.d = (double)(p->def.i = strtoll(s, &end, 10));
      return end != s && !*end && pc_range_has(&p->range, p->def.d);
    case PC_T_DIM:
    case PC_T_INDEX: return pc_from_position(strtoll(s, &end, 10), &p->def.i) && end != s && !*end;
    case PC_T_VALUE: return !strcmp(s, "nil") || !strcmp(s, "none") || (strtod(s, &end), end != s);
    case PC_T_NUM: p->def.d = strtod(s, &end); return end != s && !*end && pc_range_has(&p->range, p->def.d);
    case PC_T_BOOL: p->def.i = !strcmp(s, "true"); return p->def.i || !strcmp(s, "false");
    case PC_T_STR: p->def.s = s; return p->choices ? pc_one_of(s, p->choices) : *s || p->blank;
    case PC_T_DTYPE:
      if (pc_dtype_parse(&d, s) < 0) return 0;
      p->def.i = d;
      return 1;
    case PC_T_SIZE2:
      if (!parse_list(s, &p->def, 0) || p->def.nl < 1) return 0;
      if (p->def.nl == 1) p->def.l[1] = p->def.l[0];
      p->def.nl = 2;
      return 1;
    case PC_T_SIZE: return parse_list(s, &p->def, 0);
    case PC_T_DIMS: return parse_list(s, &p->def, 1);
    default: return 1; /* any, table, ...: the text is for help, the function applies it */
  }
}

/* The type as written, "num(0..)", in place. */
static const char *parse_type(char *type, pc_param *p) {
  char *inner = strchr(type, '(');
  size_t n = strlen(type);
  if (inner && type[n - 1] == ')') {
    type[n - 1] = 0;
    *inner++ = 0;
  } else {
    inner = NULL;
  }
  type = trim(type);
  int wide = !strcmp(type, "int64");
  if (wide) type[3] = 0;
  p->type_name = type;
  p->type = PC_T_CLASS;
  for (int i = 0; i < PC_T_CLASS; i++)
    if (!strcmp(pc_type_names[i], type)) p->type = (pc_type)i;
  if (!*type) return "empty type";
  if (p->type == PC_T_STR) {
    p->bytes = inner && !strcmp(inner, "bytes");
    p->blank = p->bytes || (inner && !strcmp(inner, "any"));
    p->choices = p->blank ? NULL : inner;
    return NULL;
  }
  wide |= p->type != PC_T_INT && p->type != PC_T_DIM && p->type != PC_T_DIMS;
  p->range_text = inner;
  if (pc_range_parse(&p->range, inner,
                     p->type == PC_T_NUM ? PC_NUMBER_REAL
                     : wide              ? PC_NUMBER_INT64
                                         : PC_NUMBER_INT) < 0)
    return "malformed range";
  return NULL;
}

/* Parses one `name:type[(range)][?][=default]` in place. Returns NULL or what is wrong. */
static const char *parse_param(char *s, pc_param *p) {
  char *text = cut(s, '=');
  char *type = cut(s, ':');
  if (!type) return "no type";
  p->name = trim(s);
  type = trim(type);
  size_t n = strlen(type);
  if (n && type[n - 1] == '?') type[--n] = 0, p->optional = 1;
  const char *wrong = *p->name ? parse_type(type, p) : "empty name";
  if (wrong || !text) return wrong;
  text = trim(text);
  n = strlen(text);
  if (n >= 2 && *text == '"' && text[n - 1] == '"') text[n - 1] = 0, text++;
  p->text = text;
  p->optional = 1;
  return parse_default(p) ? NULL : "the default does not fit the type";
}

/* ---- in memory of the caller's: the signature, its arguments, their defaults, pointers to those, the text ---- */

static int count(const char *text) {
  int n = 0;
  for (const char *s = text; *s; s++) n += *s == ',';
  return n + 1; /* commas within a default count, too: room to spare */
}

size_t pc_signature_bytes(const char *text) {
  size_t n = (size_t)count(text), align = _Alignof(max_align_t);
  size_t bytes = sizeof(pc_signature) + n * (sizeof(pc_param) + sizeof(pc_val) + sizeof(pc_param *)) + strlen(text) + 1;
  return (bytes + 4 * align) / align * align;
}

int pc_signature_parse(pc_signature **out, void *at, const char *text) {
  int n = count(text);
  memset(at, 0, pc_signature_bytes(text));
  pc_signature *s = at;
  pc_param *p = (pc_param *)(s + 1);
  pc_val *left_out = (pc_val *)(p + n);
  const pc_param **others = (const pc_param **)(left_out + n);
  char *rest = strcpy((char *)(others + n), text);
  s->p = p;
  s->left_out = left_out;
  s->others = others;
  *out = s;
  for (rest = trim(rest); rest && *rest;) {
    char *one = rest;
    rest = cut(rest, ',');
    one = trim(one);
    if (!strcmp(one, "...") && !rest) {
      s->variadic = 1;
      break;
    }
    if (s->n == PC_MAX_ARGS) return pc_fail(PC_EARG, "signature '%s': more than %d arguments", text, PC_MAX_ARGS);
    const char *wrong = parse_param(one, &p[s->n]);
    if (wrong) return pc_fail(PC_EARG, "signature '%s', argument %d: %s", text, s->n + 1, wrong);
    if (p[s->n].type <= PC_T_TENSORS) {
      s->nin++;
    } else {
      others[s->nv] = &p[s->n];
      left_out[s->nv++] = p[s->n].def;
      s->required += !p[s->n].optional;
    }
    s->n++;
  }
  return PC_OK;
}

int pc_signature_find(const pc_signature *s, const char *name) {
  for (int i = 0; i < s->n; i++)
    if (!strcmp(s->p[i].name, name)) return i;
  return -1;
}

int pc_one_of(const char *word, const char *choices) {
  size_t n = strlen(word);
  for (const char *c = choices; n && c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
    if (!strncmp(c, word, n) && (c[n] == 0 || c[n] == '|')) return 1;
  return 0;
}

/* ---- values ---- */

int pc_param_check(const char *fn, const pc_param *p, const pc_val *v) {
  switch (p->type) {
    case PC_T_NUM:
      if (!pc_range_has(&p->range, v->d)) return pc_range_fail(fn, p->name, &p->range, v->d);
      return PC_OK;
    case PC_T_INT:
      if (!pc_range_has(&p->range, (double)v->i)) return pc_range_fail(fn, p->name, &p->range, (double)v->i);
      return PC_OK;
    case PC_T_SIZE:
    case PC_T_SIZE2:
      for (int k = 0; k < v->nl; k++)
        if (!pc_range_has(&p->range, (double)v->l[k])) return pc_range_fail(fn, p->name, &p->range, (double)v->l[k]);
      return PC_OK;
    case PC_T_STR:
      if (p->choices && !(v->s && pc_one_of(v->s, p->choices)))
        return pc_fail(PC_EARG, "%s: %s: expected one of %s, got \"%.40s\"", fn, p->name, p->choices, v->s ? v->s : "");
      if (!p->blank && !(v->s && *v->s))
        return pc_fail(PC_EARG, "%s: %s: expected a string that is not empty, got \"\"", fn, p->name);
      return PC_OK;
    default: return PC_OK;
  }
}

int pc_signature_complete(const char *fn, const pc_signature *s, const pc_val *v, int nv, pc_val *full,
                          const pc_val **out) {
  int whole = nv >= s->nv, rc;
  *out = v;
  if (nv == 0 && !s->required) {
    *out = s->left_out;
    return PC_OK;
  }
  for (int i = 0; i < s->nv; i++) {
    const pc_param *p = s->others[i];
    if (i < nv && v[i].set) {
      if ((rc = pc_param_check(fn, p, &v[i])) < 0) return rc;
      continue;
    }
    if (!p->optional) return pc_fail(PC_EARG, "%s: %s: is needed, and left out", fn, p->name);
    whole &= !p->text;
  }
  if (whole) return PC_OK;
  for (int i = 0; i < s->nv; i++) full[i] = i < nv && v[i].set ? v[i] : s->left_out[i];
  *out = full;
  return PC_OK;
}
