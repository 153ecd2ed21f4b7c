--- Replay: an encoder taught by decoded recombinations of ID slots (arXiv 2512.08854, Eq. 4.4).
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local replay = require "percept.replay"
local datasets = require "percept.datasets"
local encoder = require "percept.encoder"
local train = require "percept.train"

local replaying = {}

-- What replay leaves out when it may not show an ID combination again: bank rows named by their readouts, and the
-- slots whose values together make a cell of the split.
local function excluded(o)
  local labels = {}
  for k = 1, o.bank:size(2) do labels[k] = T.ones(o.bank:size(1), {dtype = "i64"}) end
  for _, f in ipairs(o.readouts.factors) do -- factors that share a slot: every pair of their values is a label
    local k, class = o.readouts.slot_of[f], o.readouts:predict(o.bank, f)
    labels[k] = (labels[k] - 1) * class:max():item() + class
  end
  local groups = {}
  for _, pair in ipairs(o.cells or {}) do
    local a, b = o.readouts.slot_of[pair[1]], o.readouts.slot_of[pair[2]]
    if a and b and a ~= b then groups[#groups + 1] = {a, b} end
  end
  if #groups == 0 then error("replay.exclude: no cell of this split is made of two slots (textures are inside of the animals)", 0) end
  return {labels = T.stack(labels, {dim = 2}), groups = groups}
end

--- Trains an encoder on decoded recombinations of ID slots (replay), mixed with `id_batch` ID images whose targets are
-- the first encoder's slots. o: encoder, decoder, bank (N,K,m), dataset, index, run, seed, offset, checkpoint, checkpoint_every,
-- new_encoder (-> an encoder as it begins), readouts and cells (pairs of factors), which config.exclude needs.
-- config: steps, batch, id_batch (0: none), lr, warmup, final, marginals (empirical, gaussian, mixture, prior), components
-- (of a mixture), fresh (true: the new encoder starts from nothing, not as a copy), exclude (true: combinations that
-- occurred in training are not shown again). Returns the new encoder.
function replaying.train(o)
  local c = o.config
  local fresh = o.new_encoder()
  if not c.fresh then fresh:copy_from(o.encoder) end
  local sampler = replay.fit(o.bank, {
    marginals = c.marginals, components = c.components, seed = o.seed, exclude = c.exclude and excluded(o) or nil,
  })
  local optimizer = optim.adam(fresh, {lr = c.lr})
  local rate = optim.schedule{
    {kind = "linear", from = 0, to = c.lr, steps = math.max(1, c.warmup)},
    {kind = "cosine", from = c.lr, to = c.lr * c.final, steps = math.max(1, c.steps - c.warmup)},
  }
  local batches = datasets.batches(o.index, math.max(1, c.id_batch), {seed = o.seed + 1})
  local child = o.run:child{kind = "replay", name = "replay", config = c}
  train.loop{
    name = "replay", steps = c.steps, offset = o.offset, optimizer = optimizer, modules = {replayed = fresh}, batches = batches,
    lr = rate, clip = c.clip, run = o.run, checkpoint = o.checkpoint, checkpoint_every = o.checkpoint_every,
    log_every = c.log_every, images = c.batch + c.id_batch,
    on_log = function(t, row)
      local figures = {}
      for name, v in pairs(row) do figures["replay/" .. name] = v end
      child:log(t, figures)
    end,
    step = function()
      local z, x = T.no_grad(function()
        local slots = sampler:sample(c.batch)
        local image = o.decoder(slots):clamp(0, 1)
        if c.id_batch > 0 then
          local index = batches:next()
          local real = o.dataset:images(index)
          slots = T.cat{slots, (o.encoder(encoder.input(o.encoder, o.dataset, index))), dim = 1}
          image = T.cat{image, real, dim = 1}
        end
        return slots, image
      end)
      return nn.mse((fresh(x)), z, {reduction = "batch_mean"})
    end,
  }
  child:finish()
  return fresh
end

return replaying
