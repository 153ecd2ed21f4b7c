--- Replay: an encoder taught by decoded recombinations of ID slots (arXiv 2512.08854, Eq. 4.4).
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local replay = require "percept.replay"
local datasets = require "percept.datasets"
local train = require "percept.train"

local replaying = {}

--- Fine-tunes a copy of the encoder on decoded recombinations of ID slots (replay), mixed
-- with ID images whose targets are the first encoder's slots. Returns the new encoder.
function replaying.train(o)
  local c = o.config
  local fresh = o.new_encoder()
  fresh:copy_from(o.encoder)
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
        local slots = replay.sample(o.bank, c.batch, {marginals = c.marginals})
        local image = o.decoder(slots):clamp(0, 1)
        if c.id_batch > 0 then
          local index = batches:next()
          local real = o.dataset:images(index)
          slots = T.cat{slots, (o.encoder(real)), dim = 1}
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
