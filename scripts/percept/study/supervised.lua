--- The supervised encoder: non-generative, no decoder (paper.md 2.4). Slot i names factor i through a linear layer;
-- loss: cross entropy, summed over the factors.
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local datasets = require "percept.datasets"
local encoder = require "percept.encoder"
local train = require "percept.train"
local scenes = require "percept.study.scenes"
local models = require "percept.study.models"
local augment = require "percept.study.augment"

local supervised = {}
local Model = {}
Model.__index = Model

--- Logits (B,classes) of factor number i from slots (B,K,m).
function Model:logits(z, i) return self.heads["f" .. i](z:select(2, i)) end

--- Log probabilities of every factor, (B,classes) each, of images (B,H,W,C).
function Model:log_probabilities(x)
  local z, out = (self.encoder(x)), {}
  for i = 1, #self.factors do out[i] = self:logits(z, i):log_softmax(2) end
  return out
end

--- Predicted classes of the images at `index`: factor -> (N). views > 1: test-time compute, the mean of the
-- probabilities over that many views: shifts by up to two pixels, each with its own brightness (+-20 %).
function Model:predict(dataset, index, views)
  local out = {}
  local generator = T.generator(1)
  local all = scenes.by_chunks(dataset, index, 128, function(x)
    local sum
    for v = 1, views or 1 do
      local xi = x
      if v > 1 then
        local k = v - 2
        xi = augment.move(x, k % 5 - 2, math.floor(k / 5) % 5 - 2)
        local gain = 0.8 + 0.4 * (T.rand(x:size(1), 1, 1, 1, {generator = generator}))
        xi = (xi * gain):clamp(0, 1)
      end
      local parts = self:log_probabilities(xi)
      for i = 1, #parts do parts[i] = parts[i]:exp() end
      local joined = T.cat(parts, {dim = 2})
      sum = sum and sum + joined or joined
    end
    return sum
  end)
  local from = 1
  for i, f in ipairs(self.factors) do
    local n = self.classes[i]
    local _, class = all:narrow(2, from, n):max(2)
    out[f], from = class, from + n
  end
  return out
end

--- Test-time adaptation (Tent, arXiv 2006.10726, on all weights): `steps` Adam steps on the mean entropy of the
-- predictions for the images at `index` themselves, no labels. The model is changed.
function Model:adapt(dataset, index, options)
  local opt = optim.adam(self.module, {lr = options.lr})
  local batches = datasets.batches(index, math.min(options.batch, index:size(1)), {seed = options.seed or 1})
  for _ = 1, options.steps do
    local loss
    for _, l in ipairs(self:log_probabilities(dataset:images(batches:next()))) do
      local entropy = -(l:exp() * l):sum(2):mean()
      loss = loss and loss + entropy or entropy
    end
    opt:zero_grad()
    loss:backward()
    opt:step()
  end
  return self
end

local function accuracy(self, dataset, index)
  local predicted, sum = self:predict(dataset, index), 0
  for _, f in ipairs(self.factors) do sum = sum + predicted[f]:eq(dataset:factor(f, index)):to("f32"):mean():item() end
  return sum / #self.factors
end

--- A model as it begins. o: model (sizes), dataset, factors, index.
function supervised.new(o)
  local heads, classes = {}, {}
  for i, f in ipairs(o.factors) do
    classes[i] = #o.dataset:values(f)
    heads["f" .. i] = nn.linear(o.model.slot_dim, classes[i])
  end
  local self = setmetatable({factors = o.factors, classes = classes}, Model)
  self.encoder = models.make_supervised(o.model, o.dataset, o.factors, o.index)
  self.heads = heads
  heads.forward = function(m, x) return m.f1(x) end
  self.module = nn.module{encoder = self.encoder, heads = nn.module(heads), forward = function(m, x) return m.encoder(x) end}
  self.heads = self.module.heads
  return self
end

--- Trains on the images at `index`; the mean accuracy on ID validation at the end is logged.
-- o: model, dataset, factors, index, validation, config {steps, batch, lr, warmup, final, weight_decay, shift, log_every},
-- run, seed, offset, checkpoint, checkpoint_every.
function supervised.train(o)
  local c = o.config
  T.manual_seed(o.seed * 1000 + 77)
  local self = supervised.new(o)
  local optimizer = optim.adamw(self.module, {lr = c.lr, weight_decay = c.weight_decay})
  local batches = datasets.batches(o.index, c.batch, {seed = o.seed})
  local rate = optim.schedule{
    {kind = "linear", from = 0, to = c.lr, steps = math.max(1, c.warmup)},
    {kind = "cosine", from = c.lr, to = c.lr * c.final, steps = math.max(1, c.steps - c.warmup)},
  }
  local child = o.run:child{kind = "supervised", name = "supervised", config = c}
  train.loop{
    name = "supervised", steps = c.steps, offset = o.offset or 0, optimizer = optimizer, modules = {supervised = self.module},
    batches = batches, lr = rate, run = o.run, checkpoint = o.checkpoint, checkpoint_every = o.checkpoint_every,
    log_every = c.log_every,
    on_log = function(t, row)
      local figures = {}
      for name, v in pairs(row) do figures["supervised/" .. name] = v end
      child:log(t, figures)
    end,
    step = function()
      local index = batches:next()
      local x = c.shift > 0 and augment.shift(o.dataset:images(index), c.shift) or encoder.input(self.encoder, o.dataset, index)
      local z, loss = (self.encoder(x)), nil
      for i, f in ipairs(o.factors) do
        local ce = nn.cross_entropy(self:logits(z, i), o.dataset:factor(f, index))
        loss = loss and loss + ce or ce
      end
      return loss
    end,
  }
  child:log(c.steps, {["supervised/id_accuracy"] = accuracy(self, o.dataset, o.validation)})
  child:finish()
  return self
end

return supervised
