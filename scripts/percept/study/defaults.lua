--- The configuration that the studies start from. defaults(over, ...) returns a copy with the tables given laid over it, the
-- last on top.
local datasets = require "percept.datasets"

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = copy(v) end
  return out
end

local function lay(over, base)
  for k, v in pairs(over) do
    if type(v) == "table" and type(base[k]) == "table" and #v == 0 and next(v) ~= nil then lay(v, base[k]) else base[k] = copy(v) end
  end
  return base
end

local base = {
  data = "", -- a folder of scenes, FILE.npz, FILE.npy, or a kind by its name: emoji, sprites (percept data list)
  size = 32,
  worlds = {}, textures = {}, -- of the dataset's; empty: all
  cells = {}, factors = {}, -- "FACTOR:FACTOR" that are combined, factors that are told; empty: PUG's, or the kind's
  own_surface = false, -- only scenes whose texture is Default, where there is such
  rule = "band", fraction = 0.3, offset = 0, split_seed = 1, -- of the cells are held out
  pseudo = 0, -- share of the ID cells kept apart to choose settings on; the OOD set is then not used
  limit = 0, limit_ood = 0, -- ID training images, OOD images that are scored; 0: all
  checkpoint_every = 60, -- seconds
  methods = {"ridge", "supervised", "encoder", "search", "replay", "replay + search"},
  model = {
    slots = 3, slot_dim = 16, patch = 2, background = 1.5, window = 0,
    base = "cnn", head = "queries", encoder_width = 64, encoder_heads = 4, encoder_layers = 1,
    conv_channels = {32, 64, 64}, conv_kernel = {5, 3, 3}, conv_stride = {2, 2, 1},
    vit = {patch = 4, width = 96, depth = 3, heads = 3, tokens = "patches", class_token = false}, -- of base = "vit"
    -- of base = "pretrained": a safetensors file (percept help percept.encoders); resize: of the images, 0: none; heads 0: as
    -- the file or the width says
    weights = "", frozen = true, lora = 0, resize = 0, pretrained = {heads = 0},
    start = "", -- a file of a base's weights to begin from
    iterations = 3, -- of head = "slot_attention"
    decoder = "render", hidden = 256, key_dim = 96, -- any of percept.decoders
    decoder_width = 64, decoder_heads = 4, decoder_layers = 2, -- of the decoder; of broadcast and pixel the width is `hidden`
    masks = "softmax", -- of decoder = "broadcast", "pixel"
  },
  vae = {
    attempts = 4, attempt_steps = 1000, steps = 12000, batch = 32, lr = 1e-3, warmup = 200, hold = 0.3, final = 0.02, clip = 0,
    sigma = 20, beta = 0.5, alpha = 32, alpha_delay = 0, alpha_ramp = 3000, log_every = 100,
    shift = 0, -- pixels that a batch is moved at most each way
    consistency = 0, -- weight of the compositional consistency of arXiv 2310.05327
    consistency_delay = 4000, -- steps before it
  },
  supervised = {steps = 4000, batch = 32, lr = 1e-3, warmup = 100, final = 0.02, weight_decay = 1e-3, shift = 0, log_every = 100},
  replay = {
    steps = 4000, batch = 24, id_batch = 8, lr = 1e-3, warmup = 50, final = 0.02, log_every = 100,
    marginals = "empirical", components = 8, -- of marginals = "mixture"
    fresh = false, -- the new encoder starts from nothing
    exclude = false, -- combinations of training are not shown again
  },
  search = {method = "adam", steps = 100, lr = 0.1, prior = 0, entropy = 0, tol = 1e-4, patience = 20, batch = 64},
  readout = {hidden = 64, steps = 800, lr = 3e-3, weight_decay = 1e-4, noise = 0.3},
}

for _, kind in ipairs(datasets.kinds()) do -- each kind's options, in a group of its name
  if next(kind.options or {}) then base[kind.name] = copy(kind.options) end
end

return function(...)
  local out = copy(base)
  for i = 1, select("#", ...) do lay(select(i, ...), out) end
  return out
end
