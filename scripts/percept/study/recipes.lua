--- Settings found for the two rendered sets, compared on ID validation and on pseudo-OOD cells carved out of ID. Their split is
-- not the one beside which they were found (experiments/pug/README.md), so its OOD cells are a clean test. Both take the scenes
-- in the animals' own surfaces: textures come in pairs, so that the left one tells the right one and a slot gains by holding
-- both animals. Empty slots and the objective on ID validation images choose one of several.
local recipes = {}

local search = {method = "lm", steps = 20, prior = 0.05}

-- spar_cycles: poses nearly aligned. Small slots: one that has room for two animals takes both. Windows: objects are compact.
recipes.aligned = {
  fraction = 0.5, rule = "random", split_seed = 3, own_surface = true, search = search,
  model = {slot_dim = 6, hidden = 256, window = 12},
  vae = {attempts = 4, attempt_steps = 1000, steps = 10000, alpha = 64, alpha_delay = 0, alpha_ramp = 3000},
  supervised = {steps = 1500}, replay = {steps = 2500},
}

-- spar_cycles_hard: any pose. More room, weaker windows, interaction weighed once animals have formed; not every attempt's
-- slots hold one animal each, so there are more.
recipes.free = {
  fraction = 0.5, split_seed = 5, offset = 2, own_surface = true, search = search,
  model = {slot_dim = 12, hidden = 256, window = 4},
  vae = {attempts = 6, attempt_steps = 1000, steps = 10000, alpha = 64, alpha_delay = 1000, alpha_ramp = 3000},
  supervised = {steps = 1500}, replay = {steps = 2500},
}

return recipes
