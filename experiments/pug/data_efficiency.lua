--- data_efficiency: OOD accuracy against the number of ID images, of generative and non-generative methods.
--
-- percept run experiments/pug/data_efficiency.lua --set sizes=250,500,1000,2000
-- One part (a child run with its own row of limit) a size; 0 is all. The split, and so the OOD set, is the same for all.
local percept = require "percept"
local perceive = require "percept.perceive"
local part = require "percept.study.part"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"
local defaults = perceive.defaults(perceive.recipes.free, {
  data = here .. "/../data/spar_cycles_hard",
  vae = {attempts = 4, steps = 4000}, replay = {steps = 1000}, -- several trainings a run: shorter ones
})
defaults.sizes = {250, 500, 1000, 0}
defaults.split = "background"

return percept.experiment{
  name = "data_efficiency",
  defaults = defaults,
  modules = perceive.modules,
  run = function(cfg, run)
    local curve = {}
    for _, n in ipairs(cfg.sizes) do
      local child, own = part.open(run, "n=" .. n, cfg, {limit = n})
      local data = perceive.open(own, child, cfg.split)
      local out = perceive.study{config = own, run = child, data = data, seed = run.seed}
      perceive.show(own, child, data, out)
      curve[#curve + 1] = {n = data.train:size(1), rows = out.rows}
      child:result{method = "data", split = "id", metric = "images", value = data.train:size(1)}
      child:finish()
    end
    print(("\nanimals, %s\n%-18s%s"):format(cfg.pseudo > 0 and "pseudo-OOD" or "OOD", "ID images", (function()
      local head = {}
      for _, c in ipairs(curve) do head[#head + 1] = ("%8d"):format(c.n) end
      return table.concat(head)
    end)()))
    for _, method in ipairs(perceive.methods) do
      local line = {}
      for _, c in ipairs(curve) do
        for _, r in ipairs(c.rows) do
          if r.method == method and r.metric == "accuracy" and r.factor == "animals" and (r.split == "ood" or r.split == "pseudo") then
            line[#line + 1] = ("%8.3f"):format(r.value)
          end
        end
      end
      if #line > 0 then print(("%-18s%s"):format(method, table.concat(line))) end
    end
  end,
}
