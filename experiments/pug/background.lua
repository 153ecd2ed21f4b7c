--- background: the paper's PUG-Background. Animal x world cells are held out of training; every animal and every world is seen.
--
-- percept run experiments/pug/background.lua --seeds 1..3
-- percept run experiments/pug/background_hard.lua --seeds 1..3       the set with free poses, and its recipe
-- percept run experiments/pug/background.lua --set data=FOLDER --set size=64 --set model.patch=4
-- Any folder in PUG:SPAR's layout runs unchanged: names and numbers of worlds, animals and textures come from its table.
-- How the settings were chosen, and what came out: experiments/pug/README.md.
local percept = require "percept"
local perceive = require "percept.perceive"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"

return percept.experiment{
  name = "background",
  defaults = perceive.defaults(perceive.recipes.aligned, {data = here .. "/../data/spar_cycles"}),
  modules = perceive.modules,
  run = perceive.background,
}
