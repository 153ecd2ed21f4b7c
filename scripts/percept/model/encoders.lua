--- percept.encoders: models from images to slots; bases that give tokens; heads that read them.
-- Written in C, but for reading published weights, which is scripts/percept/model/pretrained.lua.
local percept = require "percept"
local engine = require "percept.encoders.c"

local encoders = {}
for name, f in pairs(engine) do encoders[name] = f end

local function pretrained(path, height, width_px, scheme, heads, activation, eps, final_norm, tokens, mean, std, antialias,
                          offset, grid, prefix)
  return require "percept.model.pretrained".vit{
    path = path, height = height, width_px = width_px, scheme = scheme, heads = heads, activation = activation, eps = eps,
    final_norm = final_norm, tokens = tokens, mean = mean, std = std, antialias = antialias, offset = offset, grid = grid,
    prefix = prefix,
  }
end

-- The choices that the engine's function declares for an argument: "gelu|relu|..."
local function choices_of(fn, argument)
  local _, _, args = percept.usage(fn)
  for _, a in ipairs(args) do
    if a.name == argument then return a.choices end
  end
end

--- A Vision Transformer with the weights of a safetensors file.
encoders.vit_pretrained = percept.declare("encoders.vit_pretrained",
  ("path:str, height:int(1..)?, width_px:int(1..)?, scheme:str=auto, heads:int(1..)?, activation:str(%s)?, eps:num(0..)?, "
    .. "final_norm:bool?, tokens:str(%s)=all, mean:table?, std:table?, antialias:bool?, offset:num?, grid:table?, prefix:str?"):format(
    choices_of(engine.vit, "activation"), choices_of(engine.vit, "tokens")),
  pretrained,
  "base: image (B,H,W,C) in [0,1] -> tokens (B,T,width), the weights from a safetensors file (f32, f16, bf16) with the tensor "
    .. "names of timm, transformers or facebookresearch: DINO, DINOv2 and its registers, I-JEPA, CLIP, SigLIP; -> the module, "
    .. "{scheme, depth, width, heads, patch, height, width_px, registers, class_token, ignored}. Sizes come from names and "
    .. "shapes; heads are width / 64 unless the file, a config.json beside it (timm's or transformers') or `heads` say "
    .. "otherwise; activation, eps, mean, std, antialias, offset (encoders.positions), final_norm as the source has them. Unknown and "
    .. "missing tensors are an error, heads are left aside (ignored). height, width_px: another grid, positions interpolated")

return encoders
