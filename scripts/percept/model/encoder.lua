--- encoder: any base with any head as one module, frozen bases and their tokens.
--
--   local encoder = require "percept.encoder"
--   local e = encoder.build{base = "vit", head = "slot_attention", slots = 3, slot_dim = 16, height = 64, vit = {patch = 8, width = 192}}
--   local mean, log_std = e(x)                               -- x (B,64,64,3) in [0,1] -> (B,3,16) each
--   local p = encoder.build{base = "pretrained", weights = "dinov2.safetensors", lora = {rank = 4}, head = "queries",
--     slots = 3, slot_dim = 16, height = 64, resize = 112}
--   local tokens = encoder.tokens(p, dataset, index)          -- of a frozen base: computed once, kept in memory
--   mean, log_std = p(tokens)                                 -- a built encoder takes tokens, too
local T = require "percept.tensor"
local nn = require "percept.nn"
local encoders = require "percept.encoders"

local encoder = {}

local function fail(...) error("encoder.build: " .. string.format(...), 0) end

local function names_of(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return table.concat(names, ", ")
end

local function merged(...)
  local out = {}
  for i = 1, select("#", ...) do
    for k, v in pairs(select(i, ...) or {}) do out[k] = v end
  end
  return out
end

-- ---- bases: spec, height, width_px -> module, width of its tokens, side its images have to be multiples of ----

local bases = {}

function bases.cnn(o, height, width_px)
  local c = merged({width = o.width, conv_channels = o.conv_channels, conv_kernel = o.conv_kernel, conv_stride = o.conv_stride,
    channels = o.channels}, o.cnn, {height = height, width_px = width_px})
  if c.conv_channels and not c.width then c.width = c.conv_channels[#c.conv_channels] end
  local base = encoders.cnn(c)
  return base, base.position.weight:size(2)
end

function bases.vit(o, height, width_px)
  local v = o.vit or {}
  local base = encoders.vit(merged(not v.name and not v.patch and {patch = 8}, {channels = o.channels}, v,
    {height = height, width_px = width_px}))
  return base, base.position:size(2)
end

function bases.pretrained(o, height, width_px)
  if not o.weights or o.weights == "" then
    fail "base = pretrained reads a Vision Transformer from a file: weights = \"model.safetensors\" (percept help percept.encoders)"
  end
  local p = merged(o.pretrained, {height = height, width_px = width_px})
  if p.heads == 0 then p.heads = nil end
  local base, found = encoders.vit_pretrained(o.weights, p)
  return base, found.width, found
end

-- ---- heads: spec, width of the tokens -> module ----

local heads = {}

function heads.queries(o, tokens)
  return encoders.queries(merged({slots = o.slots, slot_dim = o.slot_dim, tokens = tokens, width = o.width, heads = o.heads,
    layers = o.layers, vae = o.vae}, o.queries))
end

function heads.slot_attention(o, tokens)
  return encoders.slot_attention(merged({slots = o.slots, slot_dim = o.slot_dim, tokens = tokens, width = o.width, vae = o.vae,
    iterations = o.iterations}, o.slot_attention))
end

-- The supervised control's head: tokens (B,T,width) -> logits (B,classes) of each factor, from the mean of the normed tokens.
-- classes: numbers of classes, a list of 1 to 4.
function heads.pooled(o, tokens)
  local classes, all = o.classes or {}, 0
  if #classes < 1 or #classes > 4 then fail("head = pooled needs classes = {n1, n2, ...}, 1 to 4 factors, got %d", #classes) end
  for _, n in ipairs(classes) do all = all + n end
  return nn.module{
    norm = nn.layer_norm(tokens), linear = nn.linear(tokens, all),
    forward = function(self, x)
      local logits, out, at = self.linear(self.norm(x):mean(2)), {}, 1
      for i, n in ipairs(classes) do
        out[i] = logits:narrow(2, at, n)
        at = at + n
      end
      return unpack(out)
    end,
  }
end

-- What a study's model table says, in the words of build.
local function of_study(m)
  return {
    width = m.encoder_width, heads = m.encoder_heads, layers = m.encoder_layers, conv_channels = m.conv_channels,
    conv_kernel = m.conv_kernel, conv_stride = m.conv_stride, cnn = m.cnn, vit = m.vit, weights = m.weights, pretrained = m.pretrained,
    frozen = m.frozen, lora = m.lora, resize = m.resize ~= 0 and m.resize or nil, iterations = m.iterations, base = m.base, head = m.head,
    slots = m.slots, slot_dim = m.slot_dim,
  }
end

local known = {}
for key in ([[base head slots slot_dim vae height width_px channels width heads layers iterations conv_channels conv_kernel conv_stride
  cnn vit weights pretrained frozen lora resize queries slot_attention classes log_std model]]):gmatch "%S+" do known[key] = true end

local function lora_of(o)
  local l = o.lora
  if type(l) == "number" then l = l > 0 and {rank = l} or nil end
  if l and l.rank == 0 then l = nil end
  return l or nil
end

local function forward(self, x)
  if x:dim() == 3 then return self.head(x) end -- tokens
  if self.side and (x:size(2) ~= self.side[1] or x:size(3) ~= self.side[2]) then
    x = T.upsample(x, {size = self.side, mode = "bilinear"})
  end
  return self.head(self.base(x))
end

--- A base and a head as one module: image (B,height,width_px,channels) in [0,1], or tokens (B,T,width), -> mean, log_std (B,K,m)
-- (head = pooled: logits of each factor). Its parts are .base and .head. o:
--   base = "cnn", "vit" or "pretrained", with cnn = {...}, vit = {...}: options of encoders.cnn, encoders.vit (without a size:
--   patches of 8, the rest ViT-S); weights = "file.safetensors" and pretrained = {...}: options of encoders.vit_pretrained;
--   head = "queries", "slot_attention" or "pooled", with slots, slot_dim, vae, width, heads, layers, iterations, classes, and
--   queries = {...}, slot_attention = {...}: further options;
--   frozen = true: the base is constant (pretrained: unless said otherwise); lora = rank or {rank, alpha, on}: the base is constant
--   but for low-rank terms of its attention (:merge_lora() puts them into the weights);
--   resize = side or {height, width}: images are brought to this size first (bilinear); log_std: what is added to the head's
--   log_std at birth, so that slots spread little at first; model: a study's model table, for what is not given.
function encoder.build(o)
  for key in pairs(o) do
    if not known[key] then fail("unknown option %s; known are %s", tostring(key), names_of(known)) end
  end
  o = merged(o.model and of_study(o.model), o)
  local base_name, head_name = o.base or "cnn", o.head or "queries"
  if not bases[base_name] then fail("base = %s: known are %s", tostring(base_name), names_of(bases)) end
  if not heads[head_name] then fail("head = %s: known are %s", tostring(head_name), names_of(heads)) end
  local height = o.height or 64
  local width_px, side = o.width_px or height, o.resize
  if side then side = type(side) == "table" and {side[1], side[2]} or {side, side} end
  local base, tokens, found = bases[base_name](o, side and side[1] or height, side and side[2] or width_px)
  local lora, frozen = lora_of(o), o.frozen
  if frozen == nil then frozen = base_name == "pretrained" end
  if lora then
    base:lora(lora)
  elseif frozen then
    base:fix()
  end
  local head = heads[head_name](o, tokens)
  if o.log_std and o.vae ~= false and head_name ~= "pooled" then
    local m = o.slot_dim
    T.no_grad(function() head.head.bias:narrow(1, m + 1, m):add_(o.log_std) end)
  end
  return nn.module{
    base = base, head = head, forward = forward, side = side, found = found, pretrained = base_name == "pretrained",
    kept = {},
  }
end

--- Sets what an encoder subtracts from images and divides them by: mean (H,W,C), scale a number or () tensor. Nothing is done
-- (and false returned) where the base is pretrained and knows its own. Takes encoders.slots, bases and built encoders.
function encoder.standardise(e, mean, scale)
  if e.pretrained then return false end
  local base = e.base or e
  if not base.input_mean then return false end
  T.no_grad(function()
    local h, w = base.input_mean:size(1), base.input_mean:size(2)
    if mean:size(1) ~= h or mean:size(2) ~= w then mean = T.upsample(mean:unsqueeze(1), {size = {h, w}, mode = "bilinear"}):squeeze(1) end
    base.input_mean:copy_(mean)
    base.input_scale:fill_(T.is_tensor(scale) and scale:item() or scale)
  end)
  return true
end

-- Tokens by base, dataset and place. What build made keeps its own; a bare base is known by its handle.
local kept_by_base = setmetatable({}, {__mode = "k"})

-- Sums of some weights, small ones, at both ends: other weights, other sums.
local function fingerprint(base)
  local state, matrices = base:state(), {}
  for _, name in ipairs(base:names()) do
    if state[name]:dim() >= 2 and not name:find "^input_" then matrices[#matrices + 1] = state[name] end
  end
  local n, sums = #matrices, {}
  for _, i in ipairs{1, 2, 3, n} do
    if matrices[i] then sums[#sums + 1] = ("%.17g"):format(matrices[i]:square():sum():item()) end
  end
  return table.concat(sums, " ")
end

local function kept_tokens(e, base, dataset)
  local by_dataset = e.kept or kept_by_base[e]
  if not by_dataset then
    by_dataset = {}
    kept_by_base[e] = by_dataset
  end
  if getmetatable(by_dataset) == nil then setmetatable(by_dataset, {__mode = "k"}) end
  local print, of = fingerprint(base), by_dataset[dataset]
  if not of or of.print ~= print then
    of = {print = print}
    by_dataset[dataset] = of
  end
  return of
end

local function is_constant(base) return #base:parameters() == 0 end

--- Tokens (N,T,width) of the images at `index` of a dataset under a constant base (a built encoder with frozen = true, or any
-- module after :fix()). Each image is computed once and kept in memory, T * width * 4 bytes an image, until other
-- weights are loaded. options: chunk, images at a time (32).
function encoder.tokens(e, dataset, index, options)
  local base = e.base or e
  if not is_constant(base) then
    error("encoder.tokens: this base is trained, so its tokens change; build it with frozen = true, or base:fix()", 2)
  end
  return T.no_grad(function()
    local kept, places, chunk = kept_tokens(e, base, dataset), index:to_table(), options and options.chunk or 32
    local todo, asked, rows = {}, {}, {}
    for _, place in ipairs(places) do
      if not kept[place] and not asked[place] then todo[#todo + 1], asked[place] = place, true end
    end
    for from = 1, #todo, chunk do
      local some = {}
      for i = from, math.min(#todo, from + chunk - 1) do some[#some + 1] = todo[i] end
      local x = dataset:images(T.tensor(some, {dtype = "i64"}))
      if e.side then x = T.upsample(x, {size = e.side, mode = "bilinear"}) end
      local t = base(x)
      for i, place in ipairs(some) do kept[place] = t:select(1, i):clone() end
    end
    for i, place in ipairs(places) do rows[i] = kept[place] end
    return T.stack(rows)
  end)
end

--- What to give an encoder for the images at `index`: kept tokens where its base is constant, the images themselves elsewhere.
-- mean, log_std = e(encoder.input(e, dataset, index))
function encoder.input(e, dataset, index)
  if e.base and e.kept and is_constant(e.base) then return encoder.tokens(e, dataset, index) end
  return dataset:images(index)
end

return encoder
