--- Settings found for the two rendered sets, on ID validation and on pseudo-OOD cells carved out of ID; the OOD cells were
-- not looked at. How they were found: experiments/pug/README.md.
local recipes = {}

-- spar_cycles: poses nearly aligned, paired textures. Small slots: a slot that has room for two animals takes both.
recipes.aligned = {
  model = {slot_dim = 6, hidden = 256, window = 0},
  vae = {attempts = 3, attempt_steps = 1000, steps = 10000, alpha_delay = 0, alpha_ramp = 3000},
  replay = {steps = 3000}, supervised = {steps = 3000},
}

-- spar_cycles_hard: any pose. More room, windows (objects are compact), interaction weighed once animals have formed.
recipes.free = {
  model = {slot_dim = 12, hidden = 384, window = 4},
  vae = {attempts = 2, attempt_steps = 2000, steps = 7000, alpha_delay = 1000, alpha_ramp = 3000},
  replay = {steps = 2500}, supervised = {steps = 2000},
  search = {method = "lm", steps = 20, prior = 0.05},
}

return recipes
