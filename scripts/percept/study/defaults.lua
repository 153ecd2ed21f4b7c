--- The configuration that the studies start from: every option's kind, range and default. defaults(over, ...) returns a copy with
-- the tables given laid over it, the last on top; defaults.check(cfg) refuses what does not fit, before the first step.
local declared = require "percept.base.declared"
local datasets = require "percept.datasets"
local inverter = require "percept.inverter"
local replay = require "percept.replay"
local readout = require "percept.readout"

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

local defaults = {methods = {"ridge", "supervised", "encoder", "search", "replay", "replay + search"}}

-- A search's options are inverter.search's, with the study's defaults.
local function search(name, default) return {name, declared.like(inverter.search, name), default} end

-- What every training has: how long, on how many images, at which rates.
local function training(steps, batch, warmup, rows)
  local out = {
    {"steps", "int(0..)", steps}, {"batch", "int(1..)", batch}, {"lr", "num(0..)", 1e-3}, {"warmup", "int(0..)", warmup},
    {"final", "num(0..)", 0.02, "the last rate, as a share of lr"}, {"log_every", "int(1..)", 100},
  }
  for _, row in ipairs(rows) do out[#out + 1] = row end
  return out
end

local vit = { -- of base = "vit"
  {"patch", "int(1..)", 4}, {"width", "int(1..)", 96}, {"depth", "int(0..)", 3}, {"heads", "int(1..)", 3}, {"tokens", "str", "patches"},
  {"class_token", "bool", false},
}

local model = {
  {"slots", "int(1..)", 3}, {"slot_dim", "int(1..)", 16}, {"patch", "int(1..)", 2}, {"background", "num", 1.5},
  {"window", "num(0..)", 0}, {"base", "str", "cnn"}, {"head", "str", "queries"}, {"encoder_width", "int(1..)", 64},
  {"encoder_heads", "int(1..)", 4}, {"encoder_layers", "int(0..)", 1}, {"conv_channels", "list(int(1..))", {32, 64, 64}},
  {"conv_kernel", "list(int(1..))", {5, 3, 3}}, {"conv_stride", "list(int(1..))", {2, 2, 1}}, {"vit", vit},
  -- of base = "pretrained": a safetensors file (percept help percept.encoders); resize: of the images, 0: none; heads 0: as
  -- the file or the width says
  {"weights", "str(any)", ""}, {"frozen", "bool", true}, {"lora", "int(0..)", 0}, {"resize", "int(0..)", 0},
  {"pretrained", {{"heads", "int(0..)", 0}}},
  {"start", "str(any)", "", "a file of a base's weights to begin from"},
  {"iterations", "int(1..)", 3, "of head = slot_attention"},
  {"decoder", "str", "render", "any of percept.decoders"}, {"hidden", "int(1..)", 256}, {"key_dim", "int(1..)", 96},
  {"decoder_width", "int(1..)", 64, "of the decoder; of broadcast and pixel the width is hidden"},
  {"decoder_heads", "int(1..)", 4}, {"decoder_layers", "int(1..)", 2},
  {"masks", "str", "softmax", "of decoder = broadcast, pixel"},
}

local vae = training(12000, 32, 200, {
  {"attempts", "int(1..)", 4}, {"attempt_steps", "int(0..)", 1000}, {"hold", "num(0..1)", 0.3, "share of the steps before lr falls"},
  {"clip", "num(0..)", 0, "largest norm of the gradients; 0: any"}, {"sigma", "num(0..)", 20}, {"beta", "num(0..)", 0.5},
  {"alpha", "num(0..)", 32}, {"alpha_delay", "int(0..)", 0}, {"alpha_ramp", "int(0..)", 3000},
  {"shift", "int(0..)", 0, "pixels that a batch is moved at most each way"},
  {"consistency", "num(0..)", 0, "weight of the compositional consistency of arXiv 2310.05327"},
  {"consistency_delay", "int(0..)", 4000, "steps before it"},
})

local rows = {
  {"data", "str(any)", "", "a folder of scenes, FILE.npz, FILE.npy, or a kind by its name: emoji, sprites (percept data list)"},
  {"size", "int(1..)", 32},
  {"worlds", "list(str)", {}, "of the dataset's; empty: all"}, {"textures", "list(str)", {}, "likewise"},
  {"cells", "list(str)", {}, "FACTOR:FACTOR that are combined; empty: PUG's, or the kind's"},
  {"factors", "list(str)", {}, "that are told; empty: likewise"},
  {"own_surface", "bool", false, "only scenes whose texture is Default, where there is such"},
  {"rule", "str(band|random)", "band"}, {"fraction", "num(0<..<1)", 0.3, "of the cells are held out"}, {"offset", "int", 0},
  {"split_seed", "int64", 1},
  {"pseudo", "num(0..<1)", 0, "share of the ID cells kept apart to choose settings on; the OOD set is then not used"},
  {"limit", "int64(0..)", 0, "ID training images; 0: all"}, {"limit_ood", "int64(0..)", 0, "OOD images that are scored; 0: all"},
  {"checkpoint_every", "num(0..)", 60, "seconds"},
  {"methods", "list(str(" .. table.concat(defaults.methods, "|") .. "))", defaults.methods},
  {"model", model}, {"vae", vae},
  {"supervised", training(4000, 32, 100, {{"weight_decay", "num(0..)", 1e-3}, {"shift", "int(0..)", 0}})},
  {"replay", training(4000, 24, 50, {
    {"id_batch", "int(0..)", 8, "ID images besides; 0: none"}, {"marginals", declared.like(replay.fit, "marginals"), "empirical"},
    {"components", declared.like(replay.fit, "components"), 8, "of marginals = mixture"},
    {"fresh", "bool", false, "the new encoder starts from nothing"},
    {"exclude", "bool", false, "combinations of training are not shown again"},
  })},
  {"search", {
    search("method", "adam"), search("steps", 100), search("lr", 0.1), search("prior", 0), search("entropy", 0), search("tol", 1e-4),
    search("patience", 20), search("batch", 64),
  }},
  {"readout", {
    {"hidden", readout.options.of.hidden.kind, 64}, {"steps", readout.options.of.steps.kind, 800}, {"lr", readout.options.of.lr.kind, 3e-3},
    {"weight_decay", readout.options.of.weight_decay.kind, 1e-4}, {"noise", readout.options.of.noise.kind, 0.3},
  }},
}

-- Each kind of data set has its options in a group of its name.
local function kind_of(default)
  if type(default) == "number" then return "num" elseif type(default) == "boolean" then return "bool" end
  return type(default) == "string" and "str(any)" or "table"
end
for _, row in ipairs(datasets.kinds()) do
  local group = {}
  for name, default in pairs(row.options or {}) do
    group[#group + 1] = {name, row.ranges and row.ranges[name] or kind_of(default), default}
  end
  if #group > 0 then rows[#rows + 1] = {row.name, group} end
end

local options = declared.new("study", rows)

--- Refuses a value of the wrong kind or out of its range, by its name; keys of a study's own are left alone.
function defaults.check(cfg) options:check(cfg, true) end

return setmetatable(defaults, {__call = function(_, ...)
  local out = options:defaults()
  for i = 1, select("#", ...) do lay(select(i, ...), out) end
  return declared.attach(out, options)
end})
