--- interaction: does a decoder whose slots interact less perceive unseen combinations better?
--
-- percept run experiments/pug/interaction.lua --set alphas=0,2,8,32,128
-- One part (a child run) for each weight alpha of the attention penalty. Interaction is measured on ID and OOD slots, by
-- attention, by the mixed second derivatives between slots, and by slot Jacobians, and set against OOD accuracy.
local percept = require "percept"
local perceive = require "percept.perceive"
local part = require "percept.study.part"
local measure = require "percept.study.measure"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"
local defaults = perceive.defaults(perceive.recipes.free, {
  data = here .. "/../data/spar_cycles_hard",
  vae = {attempts = 4, steps = 4000}, replay = {steps = 1000}, -- several trainings a run: shorter ones
})
defaults.alphas = {0, 2, 8, 32, 128}
defaults.split = "background"
defaults.methods = {"encoder", "search", "replay"}
defaults.images = 64 -- of each set, for the derivatives

return percept.experiment{
  name = "interaction",
  defaults = defaults,
  modules = perceive.modules,
  run = function(cfg, run)
    local lines = {}
    for _, alpha in ipairs(cfg.alphas) do
      local child, own = part.open(run, "alpha=" .. alpha, cfg, {["vae.alpha"] = alpha})
      local data = perceive.open(own, child, cfg.split)
      local out = perceive.study{config = own, run = child, data = data, seed = run.seed}
      for _, set in ipairs(data.sets) do
        measure.derivatives(out.rows, child, data, "encoder", set, out.decoder, out.slots[set[1]].encoder, out.bank, cfg.images)
      end
      perceive.show(own, child, data, out)
      local cell = {}
      for _, r in ipairs(out.rows) do
        if r.split == data.far and (r.factor == data.scored_name or r.factor == nil) then cell[r.method .. " " .. r.metric] = r.value end
      end
      lines[#lines + 1] = ("%8g %10.4f %12.3e %8.3f %10.3f %10.3f %10.3f"):format(alpha, cell["encoder interaction"] or 0 / 0,
        cell["encoder mixed_hessian"] or 0 / 0, cell["encoder jis"] or 0 / 0, cell["encoder accuracy"], cell["search accuracy"] or 0 / 0,
        cell["replay accuracy"] or 0 / 0)
      child:finish()
    end
    print(("\n%8s %10s %12s %8s %10s %10s %10s"):format("alpha", "attention", "mixed d2", "JIS", "encoder", "search", "replay"))
    for _, line in ipairs(lines) do print(line) end
  end,
}
