--- pretraining: the paper's pretraining axis in miniature. A base encoder is pretrained on emoji scenes by masked image
-- modelling, with growing amounts of images; then the study's methods begin from it.
--
-- percept run experiments/pug/pretraining.lua --set amounts=0,1000,8000
-- One part (a child run) an amount; 0: from scratch. All take the same steps on the study's own images.
local percept = require "percept"
local perceive = require "percept.perceive"
local formats = require "percept.formats"
local datasets = require "percept.datasets"
local T = require "percept.tensor"
local part = require "percept.study.part"
local pretrain = require "percept.study.pretrain"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"
local defaults = perceive.defaults(perceive.recipes.free, {
  data = here .. "/../data/spar_cycles_hard", emoji = {assets = here .. "/../data/assets"},
  model = {base = "vit", frozen = false}, vae = {attempts = 2, steps = 4000}, methods = {"supervised", "encoder", "search"},
})
defaults.split = "background"
defaults.amounts = {0, 1000, 8000} -- emoji scenes
defaults.pretrain = {steps = 4000, batch = 32, lr = 1e-3, warmup = 200, final = 0.02, hidden = 0.6, log_every = 100}

return percept.experiment{
  name = "pretraining",
  defaults = defaults,
  modules = perceive.modules,
  run = function(cfg, run)
    local lines = {}
    for _, n in ipairs(cfg.amounts) do
      local over = {["emoji.count"] = math.max(1, n)}
      local child, own = part.open(run, n .. " images", cfg, over)
      if n > 0 then
        local scenes = datasets.emoji{
          assets = own.emoji.assets, count = n, size = own.size, seed = own.emoji.seed, occlusion = own.emoji.occlusion,
        }
        child:dataset(scenes:digest(), "emoji", {n = n, role = "pretraining"})
        local state = pretrain.masked{
          model = own.model, dataset = scenes, index = T.arange(1, n + 1, 1, {dtype = "i64"}), config = own.pretrain, run = child,
          seed = run.seed, offset = 0, checkpoint = child.folder .. "/pretrain.safetensors", checkpoint_every = own.checkpoint_every,
        }
        own.model.start = child.folder .. "/base.safetensors"
        formats.save_safetensors(own.model.start, state)
      end
      local data = perceive.open(own, child, cfg.split)
      local out = perceive.study{config = own, run = child, data = data, seed = run.seed}
      perceive.show(own, child, data, out)
      local cell = {}
      for _, r in ipairs(out.rows) do
        if r.split == data.far and r.factor == data.scored_name and r.metric == "accuracy" then cell[r.method] = r.value end
      end
      lines[#lines + 1] = ("%8d %12.3f %10.3f %10.3f"):format(n, cell.supervised or 0 / 0, cell.encoder or 0 / 0, cell.search or 0 / 0)
      child:finish()
    end
    print(("\n%8s %12s %10s %10s"):format("images", "supervised", "encoder", "search"))
    for _, line in ipairs(lines) do print(line) end
  end,
}
