--- controls: what reviewers of the paper asked for (one split, the background study's).
--
-- percept run experiments/pug/controls.lua
-- Parts, each a child run:
--   structured     the study's decoder: every method; search from other starts (random recombinations, the prior, the nearest
--                  code of the ID bank, three restarts), and with the entropy of the readouts as a further term
--   unstructured   a convolutional decoder of all slots at once, in its place: encoder, search, replay, both
--   supervised     the supervised encoder alone, with as much test-time compute as search uses: many views, adaptation
-- An encoder trained on replay images of an unstructured decoder is "replay" of the second part.
local percept = require "percept"
local T = require "percept.tensor"
local perceive = require "percept.perceive"
local part = require "percept.study.part"
local measure = require "percept.study.measure"
local searching = require "percept.study.search"
local inverter = require "percept.inverter"
local sys = require "percept.sys"

local here = arg and arg[0] and arg[0]:match "^(.*)/[^/]*$" or "experiments/pug"
local defaults = perceive.defaults(perceive.recipes.free, {
  data = here .. "/../data/spar_cycles_hard",
  vae = {attempts = 6, steps = 5000}, replay = {steps = 1000}, -- several trainings a run: shorter ones
})
defaults.split = "background"
defaults.unstructured = "cnn" -- its decoder
defaults.entropy = 1 -- weight of the readouts' entropy, against a squared error summed over the image
defaults.views = 25 -- of the supervised encoder
defaults.adapt = {steps = 50, lr = 1e-4, batch = 64}
defaults.images = 32 -- of each set, for the derivatives of both decoders
defaults.bank = 256 -- codes among which the nearest is looked for

local function starts(cfg, out, data, set)
  local x = data.dataset:images(set[2])
  local function start(from, options)
    options.from, options.bank, options.decoder, options.codes = from, out.bank, out.decoder, cfg.bank
    return (inverter.start(x, options))
  end
  return {
    {"search, start random", start("random", {})},
    {"search, start prior", start("prior", {})},
    {"search, start bank", start("bank", {})},
    {"search, 3 starts", start("random", {starts = 2, with = out.slots[set[1]].encoder})},
  }
end

-- One more way to search, scored as the others are.
local function variant(cfg, run, data, out, set, method, z0, over)
  local c = {}
  for key, value in pairs(cfg.search) do c[key] = value end
  for key, value in pairs(over or {}) do c[key] = value end
  local z, cost = searching.run{
    decoder = out.decoder, dataset = data.dataset, index = set[2], z0 = z0, config = c, readouts = out.readouts,
    title = set[1] .. " " .. method, run = run, method = method, split = set[1],
  }
  local predicted = {}
  for _, f in ipairs(data.factors) do predicted[f] = out.readouts:predict(z, f) end
  measure.accuracy(out.rows, run, data, method, set, predicted)
  measure.decoder(out.rows, run, data, method, set, out.decoder, z)
  measure.row(out.rows, run, method, set[1], "seconds_per_image", nil, cost.seconds / set[2]:size(1), set[2]:size(1))
  measure.row(out.rows, run, method, set[1], "decoder_evaluations", nil, cost.evaluations / set[2]:size(1), set[2]:size(1))
end

local function structured(cfg, run)
  local child, own = part.open(run, "structured", cfg)
  local data = perceive.open(own, child, cfg.split)
  local out = perceive.study{config = own, run = child, data = data, seed = run.seed}
  T.manual_seed(run.seed + 2000)
  for _, set in ipairs(data.sets) do
    for _, start in ipairs(starts(cfg, out, data, set)) do variant(own, child, data, out, set, start[1], start[2]) end
    variant(own, child, data, out, set, "search, entropy", out.slots[set[1]].encoder, {entropy = cfg.entropy})
    measure.derivatives(out.rows, child, data, "encoder", set, out.decoder, out.slots[set[1]].encoder, out.bank, cfg.images)
  end
  perceive.show(own, child, data, out)
  return child, data, out
end

local function unstructured(cfg, run)
  local child, own = part.open(run, "unstructured", cfg, {
    ["model.decoder"] = cfg.unstructured, methods = {"encoder", "search", "replay", "replay + search"},
  })
  local data = perceive.open(own, child, cfg.split)
  local out = perceive.study{config = own, run = child, data = data, seed = run.seed}
  for _, set in ipairs(data.sets) do
    measure.derivatives(out.rows, child, data, "encoder", set, out.decoder, out.slots[set[1]].encoder, out.bank, cfg.images)
  end
  perceive.show(own, child, data, out)
  child:finish()
  return out
end

-- Test-time compute for the supervised encoder: views of each image, and adaptation to the set, without labels.
local function test_time(cfg, run, data, out)
  for _, set in ipairs(data.sets) do
    local began = sys.time()
    measure.accuracy(out.rows, run, data, ("supervised, %d views"):format(cfg.views), set,
      out.supervised:predict(data.dataset, set[2], cfg.views))
    measure.row(out.rows, run, ("supervised, %d views"):format(cfg.views), set[1], "seconds_per_image", nil,
      (sys.time() - began) / set[2]:size(1), set[2]:size(1))
  end
  for _, set in ipairs(data.sets) do
    local began, kept = sys.time(), {}
    for name, t in pairs(out.supervised.module:state()) do kept[name] = t:clone() end
    out.supervised:adapt(data.dataset, set[2], {steps = cfg.adapt.steps, lr = cfg.adapt.lr, batch = cfg.adapt.batch, seed = run.seed})
    measure.accuracy(out.rows, run, data, "supervised, adapted", set, out.supervised:predict(data.dataset, set[2]))
    measure.row(out.rows, run, "supervised, adapted", set[1], "seconds_per_image", nil, (sys.time() - began) / set[2]:size(1),
      set[2]:size(1))
    out.supervised.module:load_state(kept)
  end
end

return percept.experiment{
  name = "controls",
  defaults = defaults,
  modules = perceive.modules,
  run = function(cfg, run)
    local child, data, out = structured(cfg, run)
    if out.supervised then test_time(cfg, child, data, out) end
    child:finish()
    local other = unstructured(cfg, run)
    print(("\n%-28s %10s %10s %12s %12s"):format("control", "ID", data.far:upper(), "error " .. data.far, "mixed d2"))
    local function lines(rows, prefix)
      local order, cell = {}, {}
      for _, r in ipairs(rows) do
        local key = prefix .. r.method
        if not cell[key] then order[#order + 1], cell[key] = key, {} end
        if r.metric == "accuracy" and r.factor == data.scored_name then cell[key][r.split] = r.value end
        if r.metric == "squared_error" and r.split == data.far then cell[key].error = r.value end
        if r.metric == "mixed_hessian" and r.split == data.far then cell[key].mixed = r.value end
      end
      for _, key in ipairs(order) do
        local c = cell[key]
        if c.id then
          print(("%-28s %10.3f %10.3f %12s %12s"):format(key, c.id, c[data.far], c.error and ("%.5f"):format(c.error) or "",
            c.mixed and ("%.3f"):format(c.mixed) or ""))
        end
      end
    end
    lines(out.rows, "")
    lines(other.rows, "unstructured ")
  end,
}
