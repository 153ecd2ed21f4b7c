/* schedule.h: learning rates (and other weights, e.g. the interaction penalty) as
 * functions of the step. Pure: value = pc_schedule_at(s, step); nothing to save. */
#ifndef PC_OPTIM_SCHEDULE_H
#define PC_OPTIM_SCHEDULE_H

#include "base/error.h"

#include <stdint.h>

typedef enum pc_schedule_kind {
  PC_SCHED_CONSTANT, /* value */
  PC_SCHED_LINEAR,   /* value -> end over `steps`, then end: warm-up, ramps */
  PC_SCHED_COSINE,   /* value -> end over `steps` by half a cosine, then end */
  PC_SCHED_STEP,     /* value * gamma^floor(t / every) */
  PC_SCHED_EXP       /* value * gamma^(t / every): 1e-4 * 0.1^(t/500k); or value -> end by equal factors (toward) */
} pc_schedule_kind;

typedef struct pc_schedule {
  pc_schedule_kind kind;
  double value, end, gamma;
  int64_t steps; /* length of this piece; 0: for ever */
  int64_t every; /* 0: 1 */
  int toward;    /* PC_SCHED_EXP: reaches `end` after `steps` and stays there; gamma and every mean nothing */
} pc_schedule;

/* Value at step t (from 0) of pieces in a row: each piece runs for its `steps`, t counted
 * from its start; the last one goes on for ever. n = 0 gives 0. */
double pc_schedule_at(const pc_schedule *pieces, int n, int64_t t);
/* Refuses pieces that have no value at some step, or are never reached. */
int pc_schedule_check(const pc_schedule *pieces, int n);

#endif
