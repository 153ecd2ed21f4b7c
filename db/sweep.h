/* sweep.h: one script over many cells, worked off by any number of processes.
 *
 * A cell is a configuration (its digest, the seed apart) and a seed; it is named
 * by what a run of it will have as config_digest and seed, so that what became
 * of a cell is seen from the runs alone (view sweep_cell). A cell is done when
 * one of its runs is; it is missing when none is done and none is alive.
 *
 * Several processes, on one host or many, may work on one sweep: each claims a
 * cell before it starts it. A claim ends when the run it led to ends, when its
 * process is gone, or, made on another host, after 60 s in which no run began.
 */
#ifndef PC_DB_SWEEP_H
#define PC_DB_SWEEP_H

#include "db/recorder.h"

typedef struct pc_cell {
  const char *config_digest; /* pc_config_digest */
  int64_t seed;
  const char *set_json; /* an object: what the cell sets, as the command line gave it */
} pc_cell;

typedef struct pc_sweep {
  const char *name, *experiment, *script;
  const char *spec_json; /* an object: axes (the swept parameters, in order), args (the script's words), tags */
  const char *command;   /* as typed; may be NULL */
} pc_sweep;

/* config_digest that a run with this configuration (a JSON object) will have. */
int pc_config_digest(char out[33], const char *config_json);

/* Adds the sweep, or to the one of that name what cells it lacks. *added: how
 * many. PC_EARG: the name belongs to another script. */
int pc_sweep_add(pc_db *db, const pc_sweep *sweep, int n, const pc_cell *cells, int *added);

/* *got = 1 when the cell is missing and now this process's to run. again != 0:
 * even when it is done. */
int pc_sweep_claim(pc_db *db, const char *sweep, const char *config_digest, int64_t seed, int again, int *got);

/* The run that a claim led to has ended, or never began. */
int pc_sweep_release(pc_db *db, const char *sweep, const char *config_digest, int64_t seed);

#endif
