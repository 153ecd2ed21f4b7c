/* text.h: texts that others wrote, on their way to a terminal.
 *
 * A name, a note or an error in a database may hold anything: sequences that steer the terminal, letters that turn the
 * direction of what follows, bytes that are no UTF-8. Shown, each of these is spelled out (\x1b, \u202e, \xff) and
 * ordinary UTF-8 stays as it is. Data that goes to a file or a pipe is not touched: this is for people's eyes.
 */
#ifndef PC_BASE_TEXT_H
#define PC_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { PC_TEXT_BAD = 0x110000 }; /* no code point: a byte that is no UTF-8 */

/* Next code point of n > 0 bytes, or PC_TEXT_BAD; returns its length, 1 for a bad byte. */
size_t pc_text_decode(const char *text, size_t n, uint32_t *c);

/* Does it steer: C0, DEL, C1, line and paragraph separators, marks and overrides of direction? */
int pc_text_steers(uint32_t c);

/* Offset of the first byte that is no UTF-8; -1 if there is none. */
ptrdiff_t pc_text_bad(const char *text, size_t n);

/* How a code point or bad byte is spelled out: \n, \t, \x1b, \u202e; at most 10 bytes with the NUL. Returns its length.
 */
size_t pc_text_spell(char out[12], uint32_t c, unsigned char byte);

/* n bytes as they may be shown; with lines != 0 a newline and a tab stay. NUL-terminated, pc_free; NULL: no memory. */
char *pc_text_shown(const char *text, size_t n, int lines);

#endif
