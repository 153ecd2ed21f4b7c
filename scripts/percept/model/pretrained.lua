--- pretrained: Vision Transformers out of the safetensors files of timm, of Hugging Face transformers, and of
-- Facebook's own repositories: DINO, DINOv2 (with registers), I-JEPA, CLIP, SigLIP.
--
-- The tensor that convolves patches gives away how a file names things, and what stands before the names. Sizes are
-- read from shapes. What shapes cannot say (heads, activation, the norms' eps, how pixels were normalised, how positions
-- go to another grid) follows from the kind of network, from config.json beside the file (timm's or transformers'), or from
-- options. Such files are the model.safetensors of a model on huggingface.co, with its config.json: timm/..., facebook/...
local T = require "percept.tensor"
local formats = require "percept.formats"
local encoders = require "percept.encoders.c"
local recorder = require "percept.recorder"
local sys = require "percept.sys"

local pretrained = {}

local imagenet = {mean = {0.485, 0.456, 0.406}, std = {0.229, 0.224, 0.225}}
local openai = {mean = {0.48145466, 0.4578275, 0.40821073}, std = {0.26862954, 0.26130258, 0.27577711}}
local half = {mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5}}

-- Names by convention: of the patch convolution, of single tensors and layers, of what a block holds; values are names of
-- encoders.vit. `block` matches a block's number (from 0) and the rest of the name.
local conventions = {
  {
    patch = "patch_embed.proj", block = "^blocks%.(%d+)%.(.+)$",
    top = {cls_token = "class_token", reg_token = "registers", register_tokens = "registers", pos_embed = "position",
      norm_pre = "norm_pre", norm = "norm_out"},
    inner = {norm1 = "norm1", ["attn.qkv"] = "attention.qkv", ["attn.proj"] = "attention.o", ["ls1.gamma"] = "scale1",
      norm2 = "norm2", ["mlp.fc1"] = "fc1", ["mlp.fc2"] = "fc2", ["ls2.gamma"] = "scale2"},
  },
  {
    patch = "embeddings.patch_embeddings.projection", block = "^encoder%.layer%.(%d+)%.(.+)$",
    top = {["embeddings.cls_token"] = "class_token", ["embeddings.register_tokens"] = "registers",
      ["embeddings.position_embeddings"] = "position", layernorm = "norm_out"},
    inner = {["attention.attention.query"] = "attention.q", ["attention.attention.key"] = "attention.k",
      ["attention.attention.value"] = "attention.v", ["attention.output.dense"] = "attention.o",
      layernorm_before = "norm1", layernorm_after = "norm2", ["intermediate.dense"] = "fc1", ["output.dense"] = "fc2",
      norm1 = "norm1", norm2 = "norm2", ["mlp.fc1"] = "fc1", ["mlp.fc2"] = "fc2",
      ["layer_scale1.lambda1"] = "scale1", ["layer_scale2.lambda1"] = "scale2"},
  },
  {
    patch = "embeddings.patch_embedding", block = "^encoder%.layers%.(%d+)%.(.+)$",
    top = {["embeddings.class_embedding"] = "class_token", ["embeddings.position_embedding.weight"] = "position",
      pre_layrnorm = "norm_pre", pre_layernorm = "norm_pre", post_layernorm = "norm_out"},
    inner = {["self_attn.q_proj"] = "attention.q", ["self_attn.k_proj"] = "attention.k",
      ["self_attn.v_proj"] = "attention.v", ["self_attn.out_proj"] = "attention.o",
      layer_norm1 = "norm1", layer_norm2 = "norm2", ["mlp.fc1"] = "fc1", ["mlp.fc2"] = "fc2"},
  },
}

-- What stands beside the tokens' path: heads, masks, other towers.
local beside = {"head", "head_dist", "heads", "fc_norm", "attn_pool", "pooler", "classifier", "mask_token", "embeddings.mask_token",
  "embeddings.position_ids", "text_model", "text_projection", "visual_projection", "logit_scale", "logit_bias", "decoder",
  "predictor", "lm_head"}

-- Kinds of networks: the convention of their names, and what shapes do not say. `antialias`, `offset`: how positions go to
-- another grid (encoders.positions) in the source.
local kinds = {
  timm = {convention = 1, eps = 1e-6, antialias = true, pixels = imagenet},
  timm_clip = {convention = 1, eps = 1e-5, antialias = true, pixels = openai},
  timm_siglip = {convention = 1, eps = 1e-6, antialias = true, pixels = half},
  dino = {convention = 1, eps = 1e-6, offset = 0.1, pixels = imagenet}, -- facebookresearch/dino, dinov2
  dinov2_registers = {convention = 1, eps = 1e-6, antialias = true, pixels = imagenet},
  hf_vit = {convention = 2, eps = 1e-12, pixels = imagenet}, -- ViTModel: DINO
  hf_ijepa = {convention = 2, eps = 1e-12, pixels = imagenet},
  hf_dinov2 = {convention = 2, eps = 1e-6, pixels = imagenet},
  hf_dinov2_registers = {convention = 2, eps = 1e-6, antialias = true, pixels = imagenet},
  hf_clip = {convention = 3, eps = 1e-5, activation = "quick_gelu", pixels = openai, no_final_norm = true},
  hf_siglip = {convention = 3, eps = 1e-6, activation = "gelu_tanh", pixels = half},
}

local function fail(path, ...) error(("vit_pretrained: %s: %s"):format(path, string.format(...)), 0) end

local function joined(list, most)
  table.sort(list)
  local shown = table.concat(list, ", ", 1, math.min(#list, most or 6))
  return #list > (most or 6) and ("%s and %d more"):format(shown, #list - (most or 6)) or shown
end

local function sorted_names(tensors)
  local names = {}
  for name in pairs(tensors) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The convention of a file, and what stands before its names.
local function convention_of(path, names, wanted)
  local found = {}
  for _, name in ipairs(names) do
    for i, c in ipairs(conventions) do
      local ending = c.patch .. ".weight"
      local prefix = name:sub(-#ending) == ending and name:sub(1, -#ending - 1)
      if prefix and (prefix == "" or prefix:sub(-1) == ".") and (not wanted or prefix == wanted) then
        found[#found + 1] = {convention = i, prefix = prefix}
      end
    end
  end
  if #found == 0 then
    local patches = {}
    for i, c in ipairs(conventions) do patches[i] = (wanted or "") .. c.patch .. ".weight" end
    fail(path, "no Vision Transformer as timm or transformers name it: none of %s is there; the file has %s",
      table.concat(patches, ", "), joined(names))
  end
  if #found > 1 then
    local prefixes = {}
    for i, f in ipairs(found) do prefixes[i] = ("%q"):format(f.prefix) end
    fail(path, "several Vision Transformers; choose one by prefix = %s", table.concat(prefixes, " or "))
  end
  return found[1].convention, found[1].prefix
end

-- The name that encoders.vit has for `name` (without prefix), or nil; with blocks counted from 1.
local function translate(c, name)
  if name == c.patch .. ".weight" or name == c.patch .. ".bias" then return "patch" .. name:sub(#c.patch + 1) end
  if c.top[name] then return c.top[name] end
  local number, rest = name:match(c.block)
  local known, stem, kind = number and c.inner or c.top, (rest or name):match "^(.*)(%.%a+)$"
  local ours = number and c.inner[rest]
  if not ours and (kind == ".weight" or kind == ".bias") and known[stem] then ours = known[stem] .. kind end
  if not ours then return nil end
  return number and ("block%d.%s"):format(tonumber(number) + 1, ours) or ours, number and tonumber(number) + 1
end

local function is_beside(name)
  for _, b in ipairs(beside) do
    if name == b or name:sub(1, #b + 1) == b .. "." then return true end
  end
  return false
end

-- All tensors of a file by our names; also depth, and the names left aside.
local function collect(path, tensors, names, c, prefix)
  local ours, aside, unknown, depth = {}, {}, {}, 0
  for _, name in ipairs(names) do
    local own = name:sub(1, #prefix) == prefix and name:sub(#prefix + 1)
    local to, block = nil, nil
    if own then to, block = translate(c, own) end
    if to then
      if ours[to] then fail(path, "%s is there twice, the second time as %s", to, name) end
      ours[to] = tensors[name]
      depth = math.max(depth, block or 0)
    elseif not own or is_beside(own) then
      aside[#aside + 1] = name
    else
      unknown[#unknown + 1] = name
    end
  end
  if #unknown > 0 then
    fail(path, "a network of another kind: %d unknown tensors: %s; known are the ViTs of DINO, DINOv2, I-JEPA, CLIP and SigLIP",
      #unknown, joined(unknown))
  end
  return ours, depth, aside
end

local function kind_of(convention, ours, aside)
  local function has(word)
    for _, name in ipairs(aside) do
      if name:find(word, 1, true) then return true end
    end
    return false
  end
  if convention == 3 then return ours.class_token and "hf_clip" or "hf_siglip" end
  if convention == 2 then
    if ours["block1.scale1"] then return ours.registers and "hf_dinov2_registers" or "hf_dinov2" end
    return ours.class_token and "hf_vit" or "hf_ijepa"
  end
  if ours["norm_pre.weight"] then return "timm_clip" end
  if has "attn_pool." then return "timm_siglip" end
  if has "mask_token" then return ours.registers and "dinov2_registers" or "dino" end
  return "timm"
end

local function json_beside(path, name)
  local text = require("percept.files").read((path:match "^(.*/)" or "") .. name)
  if not text then return {} end
  local ok, value = pcall(recorder.parse_json, text)
  return ok and type(value) == "table" and value or {}
end

local function three(t) return type(t) == "table" and #t == 3 and t or nil end

-- What timm's config.json says: its name of the network tells the activation, which no shape does.
local function timm_config(config)
  local name, cfg = config.architecture, config.pretrained_cfg or {}
  local tanh = name:find "siglip" and (name:find "so400m_patch16" or name:find "giantopt" or name:find "base_patch32")
  return {activation = name:find "quickgelu" and "quick_gelu" or tanh and "gelu_tanh" or nil, mean = three(cfg.mean), std = three(cfg.std)}
end

-- config.json and preprocessor_config.json of transformers, or config.json of timm, beside the file: heads, activation,
-- eps, mean, std; nothing where there is none.
local function config_beside(path)
  local config, pixels = json_beside(path, "config.json"), json_beside(path, "preprocessor_config.json")
  if type(config.architecture) == "string" then return timm_config(config) end
  if type(config.vision_config) == "table" then config = config.vision_config end
  local acts = {gelu = "gelu", quick_gelu = "quick_gelu", gelu_pytorch_tanh = "gelu_tanh", gelu_new = "gelu_tanh"}
  if config.hidden_act and not acts[config.hidden_act] then
    fail(path, "config.json says hidden_act = %s; known are gelu, quick_gelu, gelu_pytorch_tanh", tostring(config.hidden_act))
  end
  return {
    heads = config.num_attention_heads, activation = acts[config.hidden_act], eps = config.layer_norm_eps,
    mean = three(pixels.image_mean), std = three(pixels.image_std),
  }
end

-- Widths whose heads are not 64 wide, in the networks that are published.
local heads_of_width = {[1152] = 16, [1280] = 16, [1408] = 16, [1664] = 16}

local function whole_root(n)
  local r = math.floor(math.sqrt(n) + 0.5)
  return n > 0 and r * r == n and r or nil
end

-- Grid of the position table, and how many rows stand before it.
local function grid_of(path, ours, rows, given)
  local registers = ours.registers and ours.registers:size(1) or 0
  local prefixes = ours.class_token and {1, 0, 1 + registers} or {0, registers}
  for _, before in ipairs(prefixes) do
    local n = rows - before
    if given and n == given[1] * given[2] then return given[1], given[2], before end
    if not given and whole_root(n) then return whole_root(n), whole_root(n), before end
  end
  fail(path, "%d positions %s; say grid = {rows, columns} of patches", rows,
    given and ("are no grid of %d x %d"):format(given[1], given[2]) or "are no square grid")
end

-- Tensors into the shapes encoders.vit has: (1,n,w) -> (n,w), convolutions channels last, q, k and v apart.
local function reshape(path, ours)
  local w = ours["patch.weight"]
  if w:dim() ~= 4 then fail(path, "the patch convolution has shape (%s), not four dimensions", table.concat(w:shape(), ",")) end
  if w:size(3) ~= w:size(4) then fail(path, "patches of %d x %d; squares are expected", w:size(3), w:size(4)) end
  ours["patch.weight"] = w:permute(1, 3, 4, 2):contiguous()
  local width = w:size(1)
  for _, name in ipairs{"class_token", "registers", "position"} do
    local t = ours[name]
    if t then ours[name] = t:reshape(t:numel() / width, width) end
  end
  for _, name in ipairs(sorted_names(ours)) do
    local stem, kind = name:match "^(.*)%.qkv(%.%a+)$"
    if stem then
      local rows = ours[name]:size(1) / 3
      for i, part in ipairs{"q", "k", "v"} do
        ours[("%s.%s%s"):format(stem, part, kind)] = ours[name]:narrow(1, (i - 1) * rows + 1, rows)
      end
      ours[name] = nil
    end
  end
  return width
end

-- Copies the file's tensors into the module; both have to have the same, or an error tells.
local function fill(path, module, ours)
  local state, missing, wrong = module:state(), {}, {}
  for _, name in ipairs(module:names()) do
    if not ours[name] and not name:find "^input_" then missing[#missing + 1] = name end
  end
  for _, name in ipairs(sorted_names(ours)) do
    local t, want = ours[name], state[name]
    if not want then
      wrong[#wrong + 1] = name .. " has no place"
    elseif table.concat(t:shape(), ",") ~= table.concat(want:shape(), ",") then
      wrong[#wrong + 1] = ("%s is (%s), not (%s)"):format(name, table.concat(t:shape(), ","), table.concat(want:shape(), ","))
    end
  end
  if #missing > 0 then fail(path, "%d tensors are missing (by our names): %s", #missing, joined(missing)) end
  if #wrong > 0 then fail(path, "%s; a gated or other MLP, or a damaged file", joined(wrong)) end
  T.no_grad(function()
    for name, t in pairs(ours) do state[name]:copy_(t) end
  end)
end

-- Position rows for the wanted grid; rows of registers go into the registers.
local function place_positions(path, o, kind, ours, patch)
  local position = ours.position
  if not position then fail(path, "no position embedding (%s)", "rotary and other positions are not known") end
  local gh, gw, before = grid_of(path, ours, position:size(1), o.grid)
  local height = o.height or o.width_px or gh * patch
  local width_px = o.width_px or (o.height and o.height or gw * patch)
  if before > 1 or before == 1 and not ours.class_token then
    local first = ours.class_token and 1 or 0
    ours.registers = ours.registers + position:narrow(1, first + 1, before - first)
    local patches = position:narrow(1, before + 1, gh * gw)
    position = first == 1 and T.cat({position:narrow(1, 1, 1), patches}, {dim = 1}) or patches
    before = first
  end
  if height % patch ~= 0 or width_px % patch ~= 0 then
    fail(path, "patches of %d do not tile an image of %d x %d; choose sides that are multiples", patch, height, width_px)
  end
  local antialias, offset = o.antialias, o.offset or kind.offset or 0
  if antialias == nil then antialias = kind.antialias or false end
  ours.position = encoders.positions(position, {gh, gw}, {height / patch, width_px / patch},
    {prefix = before, antialias = antialias, offset = offset})
  return height, width_px, before == 1
end

--- Reads a Vision Transformer: see encoders.vit_pretrained. Returns the module and what was found: {scheme, depth, width,
-- heads, patch, height, width_px, registers, class_token, ignored = names of tensors left aside}.
function pretrained.vit(o)
  local path = o.path
  if not sys.exists(path) then fail(path, "no such file") end
  local tensors, metadata = formats.load_safetensors(path)
  local names = sorted_names(tensors)
  local convention, prefix = convention_of(path, names, o.prefix)
  local ours, depth, aside = collect(path, tensors, names, conventions[convention], prefix)
  local scheme = o.scheme and o.scheme ~= "auto" and o.scheme or kind_of(convention, ours, aside)
  local kind = kinds[scheme]
  if not kind then fail(path, "scheme '%s': known are auto, %s", scheme, table.concat(sorted_names(kinds), ", ")) end
  if kind.convention ~= convention then
    fail(path, "scheme '%s' does not name its tensors as this file does (%s)", scheme, prefix .. conventions[convention].patch)
  end
  if depth == 0 or not ours["block1.fc1.weight"] then fail(path, "no blocks under '%s'", prefix) end
  local width, patch = reshape(path, ours), ours["patch.weight"]:size(2)
  local height, width_px, class_position = place_positions(path, o, kind, ours, patch)
  local config = config_beside(path)
  local heads = o.heads or tonumber(metadata.num_attention_heads) or config.heads or heads_of_width[width] or width / 64
  if heads ~= math.floor(heads) then
    fail(path, "tokens are %d wide, which is no multiple of 64; say heads =", width)
  end
  local final = o.final_norm
  if final == nil then final = not kind.no_final_norm and ours["norm_out.weight"] ~= nil end
  if not final then
    for _, p in ipairs{"norm_out.weight", "norm_out.bias"} do
      if ours[p] then aside[#aside + 1] = p end
      ours[p] = nil
    end
  end
  local registers = ours.registers and ours.registers:size(1) or 0
  local module = encoders.vit{
    height = height, width_px = width_px, channels = ours["patch.weight"]:size(4), patch = patch, depth = depth, width = width,
    heads = heads, ff = ours["block1.fc1.weight"]:size(1), registers = registers, class_token = ours.class_token ~= nil,
    class_position = class_position, layer_scale = ours["block1.scale1"] and 1 or nil, pre_norm = ours["norm_pre.weight"] ~= nil,
    final_norm = final, qkv_bias = ours["block1.attention.q.bias"] ~= nil, patch_bias = ours["patch.bias"] ~= nil,
    activation = o.activation or config.activation or kind.activation or "gelu", eps = o.eps or config.eps or kind.eps,
    tokens = o.tokens,
  }
  fill(path, module, ours)
  module.input_mean:copy_(T.tensor(o.mean or config.mean or kind.pixels.mean))
  module.input_scale:copy_(T.tensor(o.std or config.std or kind.pixels.std))
  return module, {
    scheme = scheme, prefix = prefix, depth = depth, width = width, heads = heads, patch = patch, height = height,
    width_px = width_px, registers = registers, class_token = ours.class_token ~= nil, ignored = aside,
  }
end

return pretrained
