--- Encoder and decoder of a study's configuration.
local percept = require "percept"
local T = require "percept.tensor"
local nn = require "percept.nn"
local encoders = require "percept.encoders"
local decoders = require "percept.decoders"
local encoder = require "percept.encoder"
local formats = require "percept.formats"

local models = {}

--- Xavier weights, He convolutions, zero biases: what the short recipes start from.
function models.initialise(module)
  local state = module:state()
  for _, name in ipairs(module:names()) do
    local t = state[name]
    if name:match "weight$" and t:dim() == 2 then
      nn.init(t, "xavier_uniform")
    elseif name:match "weight$" and t:dim() == 4 then
      nn.init(t, "kaiming_normal", {gain = math.sqrt(2)})
    elseif name:match "bias$" then
      nn.init(t, "zeros")
    end
  end
end

local function slot_encoder(model, height, width, vae)
  return encoders.slots{
    slots = model.slots, slot_dim = model.slot_dim, height = height, width_px = width, vae = vae,
    width = model.encoder_width, heads = model.encoder_heads, layers = model.encoder_layers,
    conv_channels = model.conv_channels, conv_kernel = model.conv_kernel, conv_stride = model.conv_stride,
    token_maps = true, position_sd = 0.5, query_sd = 0.3,
  }
end

local function own_stem(model) return (model.base or "cnn") == "cnn" and (model.head or "queries") == "queries" end

--- The encoder of the study's sizes for images of height x width, as its constructor leaves it.
-- model.base cnn with model.head queries (both the defaults) is encoders.slots; any other pair is made by
-- percept.encoder: base vit (model.vit) or pretrained (model.weights; model.frozen, model.lora, model.resize), head
-- slot_attention. model.start: a safetensors file of a base's weights to begin from. vae = false: means only.
function models.encoder(model, height, width, vae)
  if own_stem(model) then return slot_encoder(model, height, width, vae ~= false) end
  local pretrained = model.base == "pretrained"
  local built = encoder.build{
    base = model.base, head = model.head, slots = model.slots, slot_dim = model.slot_dim, height = height, width_px = width,
    vae = vae ~= false, model = model, log_std = -2, -- small spread at first
    frozen = (pretrained or (model.start or "") ~= "") and model.frozen or false,
  }
  if (model.start or "") ~= "" then built.base:load_state((formats.load_safetensors(model.start))) end
  return built
end

-- A study's words for what decoders call width, heads and layers; and for `hidden` of those whose layers are narrow.
local words = {width = "decoder_width", heads = "decoder_heads", layers = "decoder_layers"}
local narrow = {broadcast = true, pixel = true}

-- What a decoder is given: the options of the study's model that it declares (a function that a script has added to
-- percept.decoders may declare none: slots, slot_dim, height, width_px), and those in model.NAME.
local function options_of(name, model, height, width)
  local out = {slots = model.slots, slot_dim = model.slot_dim}
  local _, _, args = percept.usage(decoders[name])
  for _, a in ipairs(args or {}) do
    local word = a.name == "hidden" and narrow[name] and "decoder_width" or words[a.name] or a.name
    if out[a.name] == nil then out[a.name] = model[word] end
  end
  out.height, out.width_px = height, width
  for k, v in pairs(type(model[name]) == "table" and model[name] or {}) do out[k] = v end
  return out
end

local function known_decoder(name)
  if type(name) == "string" and type(decoders[name]) == "function" then return end
  local names = {}
  for known, f in pairs(decoders) do
    if type(f) == "function" then names[#names + 1] = known end
  end
  table.sort(names)
  local near = percept.nearest(tostring(name), names)
  error(("model.decoder = %s%s: known are %s"):format(tostring(name), near and (" (did you mean %s?)"):format(near) or "",
    table.concat(names, ", ")), 0)
end

--- The decoder that model.decoder names: any of percept.decoders (render). Of these render, cross, broadcast, pixel and
-- sprites give slot attention, which the interaction penalty and FG-ARI read; additive has no interaction by construction;
-- cnn and mlp are the unstructured controls.
function models.decoder(model, height, width)
  local name = model.decoder or "render"
  known_decoder(name)
  return decoders[name](options_of(name, model, height, width))
end

--- Encoder and decoder, as their constructors leave them.
function models.build(model, height, width)
  return models.encoder(model, height, width), models.decoder(model, height, width)
end

-- What the encoder subtracts and the decoder adds: the mean ID image and its spread.
local function standardise(model, built, decoder, dataset, index)
  local x = dataset:images(index)
  local mean = x:mean(1)
  if (model.start or "") == "" then encoder.standardise(built, mean, (x - mean):std()) end
  local own = decoder and decoder:state().mean
  if own then own:copy_(mean) end
end

--- What can be told before the first step: a decoder of that name, a slot for each factor.
function models.check(model, factors)
  known_decoder(model.decoder or "render")
  if model.slots < #factors then
    error(("model: %d slots cannot hold the %d factors %s of this dataset; set model.slots to at least %d"):format(
      model.slots, #factors, table.concat(factors, ", "), #factors), 0)
  end
end

--- Encoder and decoder that fit a dataset. Slots and image size are checked against the dataset here, before the
-- first step. index: the ID training images, whose mean the encoder subtracts and the decoder adds.
function models.make(model, dataset, factors, index)
  models.check(model, factors)
  local built, decoder = models.build(model, dataset:height(), dataset:width())
  T.no_grad(function()
    if own_stem(model) then
      models.initialise(built)
      built.head.bias:narrow(1, model.slot_dim + 1, model.slot_dim):fill_(-2) -- small spread at first
    end
    models.initialise(decoder)
    standardise(model, built, decoder, dataset, index)
  end)
  return built, decoder
end

--- An encoder for supervision: means only, standardised on ID images.
function models.make_supervised(model, dataset, factors, index)
  models.check(model, factors)
  local built = models.encoder(model, dataset:height(), dataset:width(), false)
  T.no_grad(function()
    if own_stem(model) then models.initialise(built) end
    standardise(model, built, nil, dataset, index)
  end)
  return built
end

return models
