/* cases_linalg.h: test cases of engine/grad/ops_linalg.def; see cases.h. */
