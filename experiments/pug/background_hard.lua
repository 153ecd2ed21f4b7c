--- background_hard: as background.lua, on spar_cycles_hard: free poses, so that no alignment of pixels names the animals.
--
-- percept run experiments/pug/background_hard.lua --seeds 1..3
-- percept run experiments/pug/background_hard.lua --set data=FOLDER --set size=64 --set model.patch=4
-- Any folder in PUG:SPAR's layout runs unchanged: names and numbers of worlds, animals and textures come from its table.
-- How the settings were chosen, and what came out: experiments/pug/README.md.
local percept = require "percept"
local perceive = require "percept.perceive"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"

return percept.experiment{
  name = "background",
  defaults = perceive.defaults(perceive.recipes.free, {data = here .. "/../data/spar_cycles_hard"}),
  modules = perceive.modules,
  run = perceive.background,
}
