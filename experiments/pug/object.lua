--- object: the paper's PUG-Object. Pairs of animals are held out: two animals that were never seen together.
--
-- percept run experiments/pug/object.lua --seeds 1..3
-- percept run experiments/pug/object.lua --set data=FOLDER --set size=64
-- Any folder in PUG:SPAR's layout runs unchanged: names and numbers of worlds, animals and textures come from its table.
-- How the settings were chosen, and what came out: experiments/pug/README.md.
local percept = require "percept"
local perceive = require "percept.perceive"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"

return percept.experiment{
  name = "object",
  defaults = perceive.defaults(perceive.recipes.aligned, {
    data = here .. "/../data/spar_cycles", fraction = 0.3, rule = "band", split_seed = 2, model = {window = 0},
    vae = {attempt_steps = 1500},
  }),
  modules = perceive.modules,
  run = function(cfg, run) return perceive.run(cfg, run, "object") end,
}
