#include "base/error.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[2048];
static _Thread_local int last;
static volatile sig_atomic_t interrupted;

int pc_fail(int code, const char *fmt, ...) {
  va_list ap;
  char fresh[sizeof text]; /* the arguments may point into text */
  va_start(ap, fmt);
  vsnprintf(fresh, sizeof fresh, fmt, ap);
  va_end(ap);
  memcpy(text, fresh, sizeof text);
  last = code;
  return code;
}

int pc_error_prefix(int code, const char *fmt, ...) {
  char head[512], whole[sizeof text + sizeof head + 2];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(head, sizeof head, fmt, ap);
  va_end(ap);
  snprintf(whole, sizeof whole, "%s: %s", head, text);
  whole[sizeof text - 1] = '\0';
  memcpy(text, whole, sizeof text);
  last = code;
  return code;
}

const char *pc_error_text(void) { return text; }
int pc_error_code(void) { return last; }

void pc_error_clear(void) {
  text[0] = '\0';
  last = PC_OK;
}

const char *pc_error_name(int code) {
  switch (code) {
    case PC_OK: return "OK";
#define X(c, name, meaning) \
  case c: return #name;
      PC_ERR_MAP(X)
#undef X
    default: return "unknown";
  }
}

void pc_interrupt_set(void) { interrupted = 1; }
int pc_interrupted(void) { return interrupted; }

int pc_check_interrupt(void) {
  if (!interrupted) return PC_OK;
  interrupted = 0;
  return pc_fail(PC_EINTR, "interrupted");
}
