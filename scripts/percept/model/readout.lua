--- Readouts: small classifiers from one slot to one factor, fitted on ID slots,
-- matched to slots on ID validation, then applied unchanged.
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local metrics = require "percept.metrics"

local declared = require "percept.base.declared"

local readout = {}

--- What readout.fit takes.
readout.options = declared.new("readout.fit", {
  {"hidden", "int(0..)", 64, "units of the hidden layer; 0: a linear readout"},
  {"steps", "int(0..)", 300},
  {"lr", "num(0..)", 1e-2},
  {"weight_decay", "num(0..)", 1e-3},
  {"noise", "num(0..)", 0, "sd added to slots while fitting"},
})

local Readouts = {}
Readouts.__index = Readouts

--- Fits one MLP for every pair (slot, factor).
-- z (N,K,m) slots of ID training images; labels: factor -> (N) class indices;
-- factors: ordered names; classes: factor -> number of classes.
-- options: readout.options.
function readout.fit(z, labels, factors, classes, options)
  options = readout.options:complete(options)
  local self = setmetatable({factors = factors, slots = z:size(2), nets = {}, noise = options.noise}, Readouts)
  local mean, sd = z:mean(1, true), z:std(1, {keepdim = true}) + 1e-4
  self.mean, self.scale = mean, sd
  local zn = (z - mean) / sd
  for k = 1, self.slots do
    self.nets[k] = {}
    local x = zn:select(2, k):contiguous()
    for _, f in ipairs(factors) do
      local net = options.hidden == 0 and nn.linear(z:size(3), classes[f])
        or nn.mlp({z:size(3), options.hidden, classes[f]}, {activation = "gelu"})
      local opt = optim.adamw(net, {lr = options.lr, weight_decay = options.weight_decay})
      for _ = 1, options.steps do
        opt:zero_grad()
        local xi = self.noise > 0 and x + T.randn(x:shape()) * self.noise or x
        nn.cross_entropy(net(xi), labels[f]):backward()
        opt:step()
      end
      self.nets[k][f] = net
    end
  end
  return self
end

local function predict(self, z, k, f)
  local x = (z:select(2, k) - self.mean:select(2, k)) / self.scale:select(2, k)
  local top, class = self.nets[k][f](x):max(2)
  return class, top
end

-- Share of right classes; NaN where logits are not numbers, instead of the luck of whatever class comes first.
local function accuracy(self, z, k, f, labels)
  local class, top = predict(self, z, k, f)
  if top:isnan():any():item() == 1 then return 0 / 0 end
  return class:eq(labels[f]):to("f32"):mean():item()
end

--- Accuracy of every (slot, factor): table [k][factor].
function Readouts:accuracies(z, labels)
  return T.no_grad(function()
    local out = {}
    for k = 1, self.slots do
      out[k] = {}
      for _, f in ipairs(self.factors) do out[k][f] = accuracy(self, z, k, f, labels) end
    end
    return out
  end)
end

--- Chooses the slot of each factor on ID validation: the assignment with the best mean accuracy (Hungarian). health (of
-- percept.health.measure on the same slots): an empty slot is given to no factor; where the others are too few, factors share one.
function Readouts:match(z, labels, health)
  local acc = health and health.accuracies or self:accuracies(z, labels)
  local rows = {}
  for k = 1, self.slots do
    rows[k] = {}
    for i, f in ipairs(self.factors) do rows[k][i] = acc[k][f] end
  end
  local assigned = metrics.slot_of(T.tensor(rows), health and health.empty or nil):to_table()
  self.slot_of = {}
  for i, f in ipairs(self.factors) do self.slot_of[f] = assigned[i] end
  return self.slot_of, acc
end

--- Predicted class indices of a factor (N).
function Readouts:predict(z, f)
  return T.no_grad(function() return (predict(self, z, self.slot_of[f], f)) end)
end

--- Logits of every factor from its matched slot, with history: z (B,K,m) -> (B,classes) each.
function Readouts:logits(z)
  local out = {}
  for i, f in ipairs(self.factors) do
    local k = self.slot_of[f]
    out[i] = self.nets[k][f]((z:select(2, k) - self.mean:select(2, k)) / self.scale:select(2, k))
  end
  return unpack(out)
end

--- Accuracy per factor with the matched slots: factor -> accuracy.
function Readouts:score(z, labels)
  local out = {}
  T.no_grad(function()
    for _, f in ipairs(self.factors) do out[f] = accuracy(self, z, self.slot_of[f], f, labels) end
  end)
  return out
end

return readout
