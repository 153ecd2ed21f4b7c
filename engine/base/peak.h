/* peak.h: what this machine could do at best: fused multiply-adds on values that
 * never leave the registers. A step's operations per second over this figure is the
 * fraction of the machine it uses. */
#ifndef PC_BASE_PEAK_H
#define PC_BASE_PEAK_H

/* float32 GFLOP/s of the current SIMD tier (a multiply-add counts 2), for about `seconds` (0: 0.1) of
 * processor time on each of pc_num_threads() threads. Each thread divides by the processor time it got,
 * so that a neighbour on the core does not lower the figure; their rates are added. The tier ref is
 * measured as base: both have multiplies and adds only. */
double pc_fma_peak(double seconds);

#endif
