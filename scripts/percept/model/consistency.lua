--- consistency: compositional consistency, the ancestor of replay (arXiv 2310.05327).
-- An encoder and a decoder that invert each other on what was seen must do so on recombined slots, too:
--
--   loss = mean over n of sum over slots |g(f(z~)) - z~|^2,  z~ slots drawn with replacement
--
-- f decodes without gradient and is clamped to [0,1]: only the encoder g learns from it. Used in a training step:
--
--   local z = encoder(x)
--   local loss = nn.mse(decoder(z), x, {reduction = "batch_mean"})
--     + percept.consistency.loss(encoder, decoder, z, {n = 64})
local percept = require "percept"
local T = require "percept.tensor"
local metrics = require "percept.metrics"
local replay = require "percept.replay"

local consistency = {}

local function fail(...) error(string.format(...), 0) end

-- n slot sets from z (B,K,m): each slot from the pool of all images and slots, or (aligned) from its own place.
local function recombine(z, n, aligned)
  if aligned then return (replay.sample(z, n)) end
  local b, k, m = z:size(1), z:size(2), z:size(3)
  return z:reshape(b * k, m):index_select(1, T.randint(1, b * k + 1, {n * k})):reshape(n, k, m)
end

-- By its own mean and deviation over everything.
local function standardised(t)
  return (t - t:mean()) / (t:std() + 1e-8)
end

-- target with its slots in the order of the predicted ones: least summed squared distance, after standardising.
local function matched(predicted, target)
  local n, k, m = target:size(1), target:size(2), target:size(3)
  local order = T.no_grad(function()
    local p, t = standardised(predicted:detach()), standardised(target)
    local cost = (p:unsqueeze(3) - t:unsqueeze(2)):square():sum(4) -- (n,K predicted,K target)
    return (metrics.hungarian(cost))
  end)
  return target:gather(2, order:reshape(n, k, 1):expand(n, k, m):contiguous()), order
end

local function loss(encoder, decoder, z, n, aligned, standardise, clamp)
  if z:dim() ~= 3 or z:size(1) < 1 then
    fail("consistency.loss: slots must be (B,K,m), got (%s)", table.concat(z:shape(), ","))
  end
  local drawn, image = T.no_grad(function()
    local new = recombine(z:detach(), n, aligned)
    local y = decoder(new)
    return new, clamp and y:clamp(0, 1) or y
  end)
  local again = encoder(image)
  if not T.is_tensor(again) or again:dim() ~= 3 or again:size(2) ~= z:size(2) or again:size(3) ~= z:size(3) then
    local got = T.is_tensor(again) and "(" .. table.concat(again:shape(), ",") .. ")" or type(again)
    fail("consistency.loss: the encoder gave %s for slots (%d,%d,%d)", got, n, z:size(2), z:size(3))
  end
  local target = aligned and drawn or matched(again, drawn)
  local a, b = again, target
  if standardise then a, b = standardised(again), standardised(target) end
  return (a - b):square():sum() / n, {z = target, image = image, found = again}
end

consistency.loss = percept.declare("consistency.loss",
  "encoder:any, decoder:any, z:tensor, n:int(1..)=64, aligned:bool=false, standardise:bool=false, clamp:bool=true", loss,
  "mean over n recombinations z~ of sum over slots |encoder(decoder(z~)) - z~|^2, 0-dim, and {z (n,K,m), image, found}; its gradient "
  .. "reaches the encoder alone. z (B,K,m): slots of a batch; each new slot is drawn from all images and slots, and the encoder's slots "
  .. "are matched to them (Hungarian, on squared distance after standardising both). aligned: slot k is drawn from slots k and compared as "
  .. "it stands. standardise: the error is taken of the standardised slots, too; clamp: images to [0,1] (arXiv 2310.05327)")

return consistency
