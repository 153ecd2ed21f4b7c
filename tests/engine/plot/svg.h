/* svg.h: is this text well-formed XML of the kind that canvas writes? */
#ifndef PC_TESTS_SVG_H
#define PC_TESTS_SVG_H

#include <string.h>

/* NULL, or what is wrong: tags balance, attributes are quoted, & begins an entity, no stray < or >. */
static inline const char *svg_fault(const char *s) {
  char open[64][16];
  int depth = 0, closed = 0;
  while (*s) {
    if (*s == '&') {
      static const char *const entity[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
      int known = 0;
      for (int i = 0; i < 4; i++) known |= !strncmp(s, entity[i], strlen(entity[i]));
      if (!known) return "a bare &";
    }
    if (*s == '>') return "a bare >";
    if (*s++ != '<') continue;
    if (closed) return "more than one root";
    int end = *s == '/';
    s += end;
    size_t n = strcspn(s, " />");
    if (n == 0 || n > 15 || depth == 64) return "a strange tag";
    const char *name = s;
    for (s += n; *s && *s != '>' && !(*s == '/' && s[1] == '>');) {
      if (*s == '<') return "< in a tag";
      if (*s++ != '"') continue;
      for (; *s && *s != '"'; s++)
        if (*s == '<') return "< in an attribute";
      if (!*s++) return "an attribute without end";
    }
    int alone = *s == '/';
    s += alone;
    if (*s++ != '>') return "a tag without end";
    if (end) {
      if (depth == 0 || strlen(open[depth - 1]) != n || strncmp(open[depth - 1], name, n) != 0) return "tags cross";
      closed = --depth == 0;
    } else if (!alone) {
      memcpy(open[depth], name, n);
      open[depth++][n] = '\0';
    }
  }
  return depth || !closed ? "tags left open" : NULL;
}

static inline int count_of(const char *s, const char *what) {
  int n = 0;
  for (; (s = strstr(s, what)); s += strlen(what)) n++;
  return n;
}

#endif
