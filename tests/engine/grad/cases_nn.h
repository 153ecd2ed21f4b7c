/* cases_nn.h: test cases of engine/grad/ops_nn.def; see cases.h. */
