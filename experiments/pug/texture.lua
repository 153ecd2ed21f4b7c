--- texture: the paper's PUG-Texture. Animal x texture cells are held out: an animal that was never seen in this texture.
--
-- percept run experiments/pug/texture.lua --seeds 1..3
-- Replay does not apply: it recombines slots, and a texture is inside of an animal's slot, so no recombination shows an animal in
-- a texture it never had. --set methods=encoder,search,replay shows what it does all the same.
-- Any folder in PUG:SPAR's layout runs unchanged. How the settings were chosen, and what came out: experiments/pug/README.md.
local percept = require "percept"
local perceive = require "percept.perceive"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"

return percept.experiment{
  name = "texture",
  defaults = perceive.defaults(perceive.recipes.aligned, {
    data = here .. "/../data/spar_cycles", own_surface = false, rule = "band", fraction = 0.3, split_seed = 2,
    model = {slot_dim = 8, window = 4}, -- room for a texture; windows, since textures in pairs join slots
    vae = {attempt_steps = 1500, steps = 7000},
    methods = {"ridge", "supervised", "encoder", "search"},
  }),
  modules = perceive.modules,
  run = function(cfg, run)
    local out = perceive.run(cfg, run, "texture")
    print("\nreplay: " .. (out.replayed and "run as asked; it" or "left out; it")
      .. " recombines slots, and a texture is inside of an animal's slot: no recombination shows an animal in a texture it never had")
    return out
  end,
}
