/* options.h: the options of a call in a test, laid over their defaults: WITH(pc_split_opts, PC_SPLIT_OPTIONS, .val =
 * 0). */
#ifndef PC_TESTS_OPTIONS_H
#define PC_TESTS_OPTIONS_H

#include "base/options.h"

#pragma GCC diagnostic ignored "-Woverride-init"
#define WITH(type, rows, ...) ((type){rows(PC_OPTION_INIT, ) __VA_ARGS__})

#endif
