/* rows.h: option rows (base/options.h) that models have in common: each fact, and each default, stands here once. */
#ifndef PC_NN_ROWS_H
#define PC_NN_ROWS_H

#include "nn/layers.h"

/* Upper ends keep products of sizes below 2^63. */
#define PC_RANGE_SIDE  "1..1048576"
#define PC_RANGE_WIDTH "1..1048576"

/* Of an image (B,height,width_px,channels). PC_WIDTH_PX reads the width of options that have the rows. */
#define PC_ROW_HEIGHT(X, S, by) X(S, int64, height, PC_RANGE_SIDE, by, "pixels", "")
#define PC_ROWS_IMAGE_REST(X, S)                                                            \
  X(S, maybe_int64, width_px, PC_RANGE_SIDE, 0, "pixels", "width; left out: as the height") \
  X(S, int64, channels, PC_RANGE_SIDE, 3, "", "of a pixel")
#define PC_ROWS_IMAGE(X, S) PC_ROW_HEIGHT(X, S, 64) PC_ROWS_IMAGE_REST(X, S)
#define PC_WIDTH_PX(o)      pc_int64_or((o)->width_px, (o)->height)

/* Slots (B,slots,slot_dim): as many as are said, or any number where left out. */
#define PC_ROW_SLOT_DIM(X, S)   X(S, int64, slot_dim, PC_RANGE_WIDTH, PC_REQUIRED, "", "numbers of a slot")
#define PC_ROWS_SLOTS(X, S)     X(S, int64, slots, PC_RANGE_WIDTH, PC_REQUIRED, "", "") PC_ROW_SLOT_DIM(X, S)
#define PC_ROW_ANY_SLOTS(X, S)  X(S, maybe_int64, slots, PC_RANGE_WIDTH, 0, "", "how many; left out: any number")
#define PC_ROWS_ANY_SLOTS(X, S) PC_ROW_ANY_SLOTS(X, S) PC_ROW_SLOT_DIM(X, S)

#define PC_ROW_HEADS(X, S)        X(S, int64, heads, PC_RANGE_WIDTH, 4, "", "of attention")
#define PC_ROW_LAYERS(X, S, n)    X(S, int64, layers, "1..16", n, "", "")
#define PC_ROW_SHALLOW(X, S)      PC_ROW_LAYERS(X, S, 2)
#define PC_ROW_THREE_LAYERS(X, S) PC_ROW_LAYERS(X, S, 3)
#define PC_ROW_HIDDEN(X, S, n)    X(S, int64, hidden, PC_RANGE_WIDTH, n, "", "width of the layers between")
#define PC_ROW_ACT(X, S, name, a) X(S, choice, name, PC_ACTIVATIONS, a, "", "activation")

#endif
