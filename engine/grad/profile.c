/* profile.c: counters per op. */
#include "grad/profile.h"

#include <string.h>
#include <time.h>

#include "grad/op.h"

int pc_profiling;

enum { ROWS = PC_OP_COUNT + 1 }; /* the last one: custom operations */

static struct { int64_t calls, bytes, ns; } counts[2][ROWS];
static int64_t inner; /* ns of the ops that have ended inside the op that runs now */

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int row_of(int op) { return op >= 0 && op < PC_OP_COUNT ? op : PC_OP_COUNT; }

void pc_profile_start(void) {
  memset(counts, 0, sizeof counts);
  inner = 0;
  pc_profiling = 1;
}

void pc_profile_stop(void) { pc_profiling = 0; }

void pc_profile_enter(pc_profile_mark *m) {
  m->inner = inner;
  inner = 0;
  m->began = now();
}

void pc_profile_leave(const pc_profile_mark *m, int op, int backward) {
  int64_t whole = now() - m->began;
  int row = row_of(op);
  counts[backward != 0][row].calls++;
  counts[backward != 0][row].ns += whole > inner ? whole - inner : 0;
  inner = m->inner + whole;
}

static int64_t bytes_of(pc_tensor *const *t, int n) {
  int64_t sum = 0;
  for (int i = 0; i < n; i++)
    if (t[i]) sum += pc_numel(t[i]) * (int64_t)pc_dtype_size(t[i]->dtype);
  return sum;
}

void pc_profile_bytes(int op, pc_tensor *const *in, int nin, pc_tensor *const *out, int nout) {
  counts[0][row_of(op)].bytes += bytes_of(in, nin) + bytes_of(out, nout);
}

int pc_profile_get(int i, pc_profile_row *row) {
  for (int b = 0; b < 2; b++)
    for (int op = 0; op < ROWS; op++) {
      if (!counts[b][op].calls || i--) continue;
      *row = (pc_profile_row){.op = op < PC_OP_COUNT ? pc_ops[op].name : "custom",
                              .backward = b,
                              .calls = counts[b][op].calls,
                              .bytes = counts[b][op].bytes,
                              .seconds = 1e-9 * (double)counts[b][op].ns};
      return 1;
    }
  return 0;
}
