#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

size_t pc_text_decode(const char *text, size_t n, uint32_t *c) {
  const unsigned char *s = (const unsigned char *)text;
  size_t more = s[0] < 0x80 ? 0 : s[0] < 0xc2 ? 9 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : s[0] < 0xf5 ? 3 : 9;
  uint32_t v = s[0];
  *c = PC_TEXT_BAD;
  if (more == 9 || more >= n) return 1;
  if (more) v &= 0x3fu >> more;
  for (size_t i = 1; i <= more; i++) {
    if ((s[i] & 0xc0) != 0x80) return 1;
    v = v << 6 | (s[i] & 0x3f);
  }
  /* longer than need be, surrogates, beyond Unicode */
  if ((more == 2 && v < 0x800) || (more == 3 && (v < 0x10000 || v > 0x10ffff)) || (v >= 0xd800 && v < 0xe000)) return 1;
  *c = v;
  return more + 1;
}

int pc_text_steers(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

ptrdiff_t pc_text_bad(const char *text, size_t n) {
  for (size_t at = 0; at < n;) {
    uint32_t c;
    size_t size = pc_text_decode(text + at, n - at, &c);
    if (c == PC_TEXT_BAD) return (ptrdiff_t)at;
    at += size;
  }
  return -1;
}

size_t pc_text_spell(char out[12], uint32_t c, unsigned char byte) {
  if (c == '\n' || c == '\t' || c == '\r')
    return (size_t)snprintf(out, 12, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
  if (c < 0x80 || c == PC_TEXT_BAD) return (size_t)snprintf(out, 12, "\\x%02x", c == PC_TEXT_BAD ? byte : (unsigned)c);
  return (size_t)snprintf(out, 12, "\\u%04x", (unsigned)c);
}

char *pc_text_shown(const char *text, size_t n, int lines) {
  size_t cap = 4 * n + 1; /* a byte becomes four at most: \xff; two of U+009b become six, three of U+202e six */
  char *out = pc_malloc(cap), *o = out, spelled[12];
  if (!out) return NULL;
  for (size_t at = 0; at < n;) {
    uint32_t c;
    size_t size = pc_text_decode(text + at, n - at, &c);
    if (c == PC_TEXT_BAD || (pc_text_steers(c) && !(lines && (c == '\n' || c == '\t')))) {
      size_t k = pc_text_spell(spelled, c, (unsigned char)text[at]);
      memcpy(o, spelled, k);
      o += k;
    } else {
      memcpy(o, text + at, size);
      o += size;
    }
    at += size;
  }
  *o = '\0';
  return out;
}
