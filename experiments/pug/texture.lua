--- texture: the paper's PUG-Texture. Animal x texture cells are held out: an animal that was never seen in this texture.
--
-- percept run experiments/pug/texture.lua --seeds 1..3
-- percept run experiments/pug/texture.lua --set data=FOLDER --set size=64
-- Any folder in PUG:SPAR's layout runs unchanged: names and numbers of worlds, animals and textures come from its table.
-- How the settings were chosen, and what came out: experiments/pug/README.md.
local percept = require "percept"
local perceive = require "percept.perceive"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"

return percept.experiment{
  name = "texture",
  defaults = perceive.defaults(perceive.recipes.aligned, {data = here .. "/../data/spar_cycles"}),
  modules = perceive.modules,
  run = function(cfg, run) return perceive.run(cfg, run, "texture") end,
}
