/* cases_reduce.h: test cases of engine/grad/ops_reduce.def; see cases.h. */
