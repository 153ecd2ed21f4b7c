#include "optim/schedule.h"

#include <math.h>

static double piece_at(const pc_schedule *p, int64_t t) {
  double u = p->steps > 0 ? fmin(1, (double)t / (double)p->steps) : 0, every = p->every > 0 ? (double)p->every : 1;
  switch (p->kind) {
    case PC_SCHED_CONSTANT: return p->value;
    case PC_SCHED_LINEAR: return p->value + (p->end - p->value) * u;
    case PC_SCHED_COSINE: return p->end + (p->value - p->end) * 0.5 * (1 + cos(M_PI * u));
    case PC_SCHED_STEP: return p->value * pow(p->gamma, floor((double)t / every));
    case PC_SCHED_EXP:
      if (p->toward) return u < 1 ? p->value * pow(p->end / p->value, u) : p->end;
      return p->value * pow(p->gamma, (double)t / every);
  }
  return p->value;
}

double pc_schedule_at(const pc_schedule *p, int n, int64_t t) {
  int i = 0;
  if (n < 1) return 0;
  while (i + 1 < n && p[i].steps > 0 && t >= p[i].steps) t -= p[i++].steps;
  return piece_at(&p[i], t);
}

static int check_piece(const pc_schedule *p, int i) {
  if (!isfinite(p->value) || !isfinite(p->end) || !isfinite(p->gamma))
    return pc_fail(PC_EARG, "schedule: piece %d holds a value that is not finite", i);
  if (p->steps < 0) return pc_fail(PC_EARG, "schedule: piece %d has negative steps", i);
  if (p->every < 0) return pc_fail(PC_EARG, "schedule: piece %d has a negative every", i);
  if ((p->kind == PC_SCHED_LINEAR || p->kind == PC_SCHED_COSINE || p->toward) && p->steps == 0)
    return pc_fail(PC_EARG, "schedule: piece %d (linear, cosine, exp to a value) needs steps", i);
  if (p->toward && !(p->end / p->value > 0 && isfinite(p->end / p->value)))
    return pc_fail(PC_EARG, "schedule: piece %d goes by factors from %g to %g: both must be of one sign and not 0", i,
                   p->value, p->end);
  if (p->gamma < 0) return pc_fail(PC_EARG, "schedule: piece %d: gamma must not be negative, got %g", i, p->gamma);
  return PC_OK;
}

int pc_schedule_check(const pc_schedule *p, int n) {
  for (int i = 0; i < n; i++) {
    int rc = check_piece(&p[i], i + 1);
    if (rc < 0) return rc;
    if (i + 1 < n && p[i].steps == 0)
      return pc_fail(PC_EARG, "schedule: piece %d runs for ever, what follows is never reached; give it steps", i + 1);
  }
  return PC_OK;
}
