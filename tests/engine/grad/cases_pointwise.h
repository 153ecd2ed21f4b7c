/* cases_pointwise.h: test cases of engine/grad/ops_pointwise.def; see cases.h. */
