--- interaction: how much slots interact in a decoder, and how far an encoder keeps what that asks of it.
--
--   percept.interaction.attention(a)               the training penalty, from slot attention (B,Q,K)
--   percept.interaction.jacobian(decoder, z)       which slot each pixel depends on: S (B,P,K)
--   percept.interaction.jis(S), .fg_ari(S, masks)  one slot a pixel? the objects' pixels?
--   percept.interaction.hessian(decoder, z)        blocks of second derivatives; 0 off the diagonal: additive (n = 1)
--   percept.interaction.contrast(decoder, z)       compositional contrast; 0: no pixel sees two slots (n = 0)
--   percept.interaction.tangent(encoder, decoder, z)   the condition on encoders of additive decoders
--
-- A decoder is a module or a Lua function from slots z (B,K,m) to images (B,H,W,C), or to anything (B,...,C) or (B,D);
-- its pixels are the places P = H*W (of (B,D): D). By default derivatives are central differences along slot directions:
-- decodes without gradients, for any decoder. `batch`: decodes at once.
local percept = require "percept"
local T = require "percept.tensor"
local metrics = require "percept.metrics"
local declared = require "percept.base.declared"
local engine = require "percept.interaction.c"

local interaction = {attention = engine.attention, jacobian = engine.jacobian, hessian = engine.hessian, tangent = engine.tangent}

local function fail(...) error(string.format(...), 0) end

local function declare(name, signature, fn, help)
  interaction[name] = percept.declare("interaction." .. name, signature, fn, help)
end

local jacobian_options = declared.signature(engine.jacobian, {"eps", "method", "scale", "batch"})

-- The mean of the numbers that are not NaN, and the tensor.
local function mean_of(values)
  local sum, n = 0, 0
  for _, v in ipairs(values:to_table()) do
    if v == v then sum, n = sum + v, n + 1 end
  end
  return n > 0 and sum / n or 0 / 0, values
end

-- ---- slots as masks ----

local function check_weights(name, a)
  if a:dim() ~= 3 then
    fail("%s: slot attention or a slot Jacobian (B,Q,K) is expected, got (%s)", name, table.concat(a:shape(), ","))
  end
end

declare("segment", "weights:tensor, height:int, width:int", function(a, height, width)
  return engine.segment(a, height, width)
end, "the slot that looks most at each pixel, i64 (B,height,width): attention or slot Jacobian (B,Q,K), bilinear from its grid of Q "
  .. "places, then argmax")

local function fg_ari(name, a, masks, background)
  if masks:dim() == 4 and masks:size(4) == 1 then masks = masks:squeeze(4) end
  if masks:dim() ~= 3 or masks:size(1) ~= a:size(1) then
    fail("%s: masks must be (%d,H,W) labels, got (%s)", name, a:size(1), table.concat(masks:shape(), ","))
  end
  if masks:dtype() == "f32" or masks:dtype() == "f64" then
    if masks:isfinite():all():item() == 0 then fail("%s: masks are labels; these hold NaN or infinity", name) end
    masks = masks:long()
  end
  local found = metrics.fg_ari(engine.segment(a, masks:size(2), masks:size(3), name), masks, background)
  local nan = a:isnan():any({2, 3}):reshape(a:size(1)) -- no argmax there, and no mean
  if nan:any():item() == 1 then return 0 / 0, found:masked_fill(nan, 0 / 0) end
  return mean_of(found)
end

declare("fg_ari", "weights:tensor, masks:tensor, background:int=0", function(a, masks, background)
  check_weights("interaction.fg_ari", a)
  return fg_ari("interaction.fg_ari", a, masks, background)
end, "adjusted Rand index of interaction.segment(weights (B,Q,K)) against masks (B,H,W) on the pixels whose mask is not `background`: "
  .. "mean over images that have some, and f64 (B); NaN: none, or weights of NaN. Of a slot Jacobian it is the J-ARI of arXiv 2411.07784")

declare("ari",
  "decoder:any, z:tensor, masks:tensor, from:str(attention|jacobian)=attention, background:int=0, " .. jacobian_options,
  function(decoder, z, masks, from, background, eps, method, scale, batch)
    local weights
    if from == "jacobian" then
      weights = interaction.jacobian(decoder, z, {eps = eps, method = method, scale = scale, batch = batch})
    else
      if z:dim() ~= 3 or z:size(1) < 1 then
        fail("interaction.ari: slots must be (B,K,m) of at least one image, got (%s)", table.concat(z:shape(), ","))
      end
      local parts = {}
      T.no_grad(function()
        for first = 1, z:size(1), batch do
          local _, a = decoder(z:narrow(1, first, math.min(batch, z:size(1) - first + 1)))
          if not a then fail('interaction.ari: this decoder gives no slot attention; use from = "jacobian"') end
          parts[#parts + 1] = a
        end
      end)
      weights = T.cat(parts, {dim = 1})
    end
    return fg_ari("interaction.ari", weights, masks, background)
  end, "FG-ARI of a decoder's slot attention or slot Jacobian at z (B,K,m) against masks (B,H,W): see fg_ari -> mean, f64 (B)")

declare("j_ari", "decoder:any, z:tensor, masks:tensor, background:int=0, " .. jacobian_options,
  function(decoder, z, masks, background, eps, method, scale, batch)
    return interaction.ari(decoder, z, masks, {from = "jacobian", background = background, eps = eps, method = method, scale = scale,
      batch = batch})
  end, "J-ARI: FG-ARI of argmax over slots of the slot Jacobian -> mean, f64 (B) (arXiv 2411.07784)")

declare("jis", "weights:tensor, masks:tensor?, background:int=0", function(s, masks, background)
  local each = engine.jis(s, masks, background)
  if s:isnan():any():item() == 1 then return 0 / 0, each end
  return mean_of(each)
end, "JIS of a slot Jacobian or attention (B,P,K): mean over pixels of max_k S, S summing to 1 over slots, rescaled to "
  .. "(v - 1/K)/(1 - 1/K): 1 when every pixel depends on one slot. masks (B,H,W): only where they are not `background`; pixels that "
  .. "depend on no slot are left out -> mean, f64 (B) (arXiv 2411.07784)")

-- ---- compositional contrast ----

declare("contrast", "decoder:any, z:tensor, image:bool=false, create_graph:bool=false, " .. jacobian_options,
  function(decoder, z, image, create_graph, eps, method, scale, batch)
    local c = engine.contrast(decoder, z, {image = image, create_graph = create_graph, eps = eps, method = method, scale = scale,
      batch = batch})
    return c:mean(), c
  end,
  "compositional contrast (arXiv 2305.14229): mean over images of sum_p sum_{i<j} |J_pi| |J_pj|, J_pk the gradient of output p in "
  .. "slot k; 0 when no output depends on two slots. image: p is a pixel, its norms divided by their mean over slots, weighted by that "
  .. "mean over the largest of the image -> 0-dim mean, (B). create_graph: a loss")

return interaction
