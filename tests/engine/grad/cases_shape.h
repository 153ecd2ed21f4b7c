/* cases_shape.h: test cases of engine/grad/ops_shape.def; see cases.h. */
