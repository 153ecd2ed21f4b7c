--- Pretraining of a base encoder by masked image modelling (SimMIM, arXiv 2111.09886): patches are hidden, a linear layer
-- on the tokens says their pixels; loss: absolute error on the hidden patches. No labels.
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local datasets = require "percept.datasets"
local encoder = require "percept.encoder"
local train = require "percept.train"

local pretrain = {}

-- Images (B,H,W,C) as patches (B,T,p*p*C), row by row.
local function patches(x, p)
  local b, h, w, c = x:size(1), x:size(2), x:size(3), x:size(4)
  return x:reshape(b, h / p, p, w / p, p, c):permute(1, 2, 4, 3, 5, 6):reshape(b, (h / p) * (w / p), p * p * c)
end

-- Patches back as images.
local function unpatch(t, p, h, w, c)
  local b = t:size(1)
  return t:reshape(b, h / p, w / p, p, p, c):permute(1, 2, 4, 3, 5, 6):reshape(b, h, w, c)
end

--- Trains the base of a built encoder (percept.encoder, base vit, tokens of the patches alone) on images of a dataset.
-- o: model (a study's model table), dataset, index, config {steps, batch, lr, warmup, final, hidden (share of the patches),
-- log_every}, run, seed, offset, checkpoint, checkpoint_every. Returns the base's state, name -> tensor.
function pretrain.masked(o)
  local c, p = o.config, o.model.vit.patch
  T.manual_seed(o.seed * 1000 + 55)
  local h, w = o.dataset:height(), o.dataset:width()
  local built = encoder.build{base = "vit", head = "queries", slots = o.model.slots, slot_dim = o.model.slot_dim, height = h,
    width_px = w, model = o.model}
  local x = o.dataset:images(o.index:narrow(1, 1, math.min(2000, o.index:size(1))))
  local mean = x:mean(1)
  encoder.standardise(built, mean, (x - mean):std())
  local model = nn.module{
    base = built.base, out = nn.linear(o.model.vit.width, p * p * 3), forward = function(self, v) return self.out(self.base(v)) end,
  }
  local batches = datasets.batches(o.index, math.min(c.batch, o.index:size(1)), {seed = o.seed})
  train.loop{
    name = "pretrain", steps = c.steps, offset = o.offset or 0, optimizer = optim.adamw(model, {lr = c.lr, weight_decay = 0.05}),
    modules = {pretrain = model}, batches = batches, run = o.run, checkpoint = o.checkpoint, checkpoint_every = o.checkpoint_every,
    log_every = c.log_every,
    lr = optim.schedule{
      {kind = "linear", from = 0, to = c.lr, steps = math.max(1, c.warmup)},
      {kind = "cosine", from = c.lr, to = c.lr * c.final, steps = math.max(1, c.steps - c.warmup)},
    },
    step = function()
      local images = o.dataset:images(batches:next())
      local whole = patches(images, p)
      local b, n = whole:size(1), whole:size(2)
      local hide = T.rand(b, n, 1):lt(c.hidden):to("f32")
      local grey = patches(mean:unsqueeze(1), p) -- a hidden patch shows the mean image
      local tokens = model(unpatch(whole * (1 - hide) + grey * hide, p, h, w, 3))
      local scale = 1 / math.max(1, hide:sum():item() * p * p * 3)
      return ((tokens - (whole - grey)) * hide):abs():sum() * scale
    end,
  }
  return built.base:state()
end

return pretrain
