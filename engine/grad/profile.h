/* profile.h: which ops take the time.
 *
 * Off, it costs one test of a global per op. On, every op that runs and every
 * backward function that the tape calls is timed; what an op runs inside itself
 * counts for the inner op alone (self time), so the rows add up to the time
 * spent in ops. Bytes are those of the tensors read and written by forward ops:
 * numbers of elements times their size, whatever is cached or broadcast.
 * One thread profiles: the one that runs ops.
 */
#ifndef PC_GRAD_PROFILE_H
#define PC_GRAD_PROFILE_H

#include <stdint.h>

#include "tensor/tensor.h"

typedef struct pc_profile_row {
  const char *op; /* as in the table; "custom" for operations written above the engine */
  int backward;   /* 0: forward, 1: the backward function's own work */
  int64_t calls;
  int64_t bytes;  /* read and written; 0 for backward rows */
  double seconds; /* self time */
} pc_profile_row;

/* Forgets what was counted, starts counting. */
void pc_profile_start(void);
/* Stops counting; the rows stay until the next start. */
void pc_profile_stop(void);
/* Row i of those with calls, in the order of the table; 0 when there is none. */
int pc_profile_get(int i, pc_profile_row *row);

/* ---- for the tape ---- */
extern int pc_profiling; /* read it before calling what follows */

typedef struct pc_profile_mark {
  int64_t began, inner; /* ns; inner: of the ops run inside the one around this one, so far */
} pc_profile_mark;

/* op < 0: a custom operation */
void pc_profile_enter(pc_profile_mark *m);
void pc_profile_leave(const pc_profile_mark *m, int op, int backward);
void pc_profile_bytes(int op, pc_tensor *const *in, int nin, pc_tensor *const *out, int nout);

#endif
