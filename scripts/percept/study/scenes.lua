--- Scenes for a study: the dataset, the split and its index sets, what the factors are called.
local T = require "percept.tensor"
local datasets = require "percept.datasets"
local encoder = require "percept.encoder"

local scenes = {}

-- Which cells each split holds out, by PUG's names; columns that a dataset lacks are left out.
local pairs_of = {
  background = {{"character_name", "world_name"}, {"character2_name", "world_name"}},
  texture = {{"character_name", "character_texture"}, {"character2_name", "character2_texture"}},
  object = {{"character_name", "character2_name"}},
}
local order = {"character_name", "character2_name", "world_name"}
local label = {
  character_name = "left", character2_name = "right", world_name = "world", character_texture = "texture",
  character2_texture = "texture2",
}

local function has(list, name)
  for _, v in ipairs(list) do if v == name then return true end end
  return false
end

--- Rows of a dataset that a study leaves out: {column = {values}} or nil, from cfg.worlds and cfg.textures.
local function only(cfg)
  local out
  for column, values in pairs{world_name = cfg.worlds or {}, character_texture = cfg.textures or {}} do
    if #values > 0 then
      out = out or {}
      out[column] = values
    end
  end
  return out
end

-- cfg.data: a folder, or "emoji": cfg.emoji.count scenes composed of cut-outs on photographs.
local function open_dataset(cfg)
  if cfg.data ~= "emoji" then
    local function open(columns) return datasets.scenes(cfg.data, {height = cfg.size, width = cfg.size, only = columns}) end
    if not cfg.own_surface or #(cfg.textures or {}) > 0 then return open(only(cfg)) end
    local columns = only(cfg) or {}
    columns.character_texture = {"Default"}
    local ok, dataset = pcall(open, columns)
    if ok then return dataset end
    if not tostring(dataset):find("character_texture", 1, true) then error(dataset, 0) end
    print "own_surface: this dataset has no texture Default; all are taken"
    return open(only(cfg))
  end
  local e = cfg.emoji
  return datasets.emoji{
    assets = e.assets, count = e.count, size = cfg.size, seed = e.seed, occlusion = e.occlusion,
    textures = #cfg.textures > 0 and cfg.textures or nil, places = #cfg.worlds > 0 and cfg.worlds or nil,
    animals = #e.animals > 0 and e.animals or nil,
  }
end

-- Images all of whose cells are held out: the furthest from what was seen.
local function all_held(dataset, cells, train, index)
  local every
  for _, pair in ipairs(cells) do
    local seen, a, b = {}, dataset:factor(pair[1], train):to_table(), dataset:factor(pair[2], train):to_table()
    for i = 1, #a do seen[a[i] .. "," .. b[i]] = true end
    a, b = dataset:factor(pair[1], index):to_table(), dataset:factor(pair[2], index):to_table()
    every = every or {}
    for i = 1, #a do every[i] = (every[i] == nil or every[i]) and not seen[a[i] .. "," .. b[i]] end
  end
  local chosen, all = {}, index:to_table()
  for i = 1, #all do
    if every[i] then chosen[#chosen + 1] = i end
  end
  return #chosen > 0 and #chosen < #all and T.tensor(chosen, {dtype = "i64"}) or nil
end

-- n of the indices, the same for a seed; n = 0 or as many as there are: all.
local function some_of(index, n, seed)
  if (n or 0) == 0 or n >= index:size(1) then return index end
  return (datasets.batches(index, n, {seed = seed or 1}):next():sort())
end

--- Opens cfg.data at cfg.size and splits it by `preset` (background, texture, object).
-- cfg: data (folder in PUG's layout, or emoji), size, worlds, textures (lists; empty: all), fraction, offset, rule, split_seed,
-- own_surface, pseudo (share of the ID cells kept apart for choosing settings; the OOD set is then not used at all), limit (ID
-- training images, 0: all), limit_ood (OOD images that are scored, 0: all). Returns {dataset, split, factors, scored,
-- scored_name, labels, sets = {{name, index}}, far (the name of the second set), cells, both: places in the OOD set whose
-- every cell was held out (nil for one cell an image)}.
function scenes.open(cfg, run, preset)
  preset = preset or cfg.preset or "background"
  local dataset = open_dataset(cfg)
  local known, cells = dataset:factors(), {}
  for _, pair in ipairs(pairs_of[preset] or error("study: split = " .. tostring(preset) .. "; known are background, texture, object", 0)) do
    if has(known, pair[1]) and has(known, pair[2]) then cells[#cells + 1] = pair end
  end
  local split = datasets.split(dataset, {
    preset = preset, rule = cfg.rule or "band", fraction = cfg.fraction, offset = cfg.offset, val = 0.12, seed = cfg.split_seed or 1,
    pseudo = cfg.pseudo or 0,
  })
  local out = {dataset = dataset, split = split, preset = preset, cells = cells, factors = {}, scored = {}, scored_name = "animals",
    labels = label}
  for _, f in ipairs(order) do
    if has(known, f) and #dataset:values(f) > 1 then out.factors[#out.factors + 1] = f end
  end
  for _, f in ipairs(out.factors) do
    if f:match "^character" then out.scored[#out.scored + 1] = f end
  end
  if #out.scored == 0 then
    error(("%s: no column character_name with more than one value; a study needs PUG's columns"):format(cfg.data), 0)
  end
  local choosing = (cfg.pseudo or 0) > 0
  out.train = some_of(split.id_train, cfg.limit, cfg.split_seed)
  out.far = choosing and "pseudo" or "ood"
  out.sets = {{"id", split.id_val}, {out.far, some_of(choosing and split.pseudo_ood or split.ood, cfg.limit_ood, cfg.split_seed)}}
  out.both = all_held(dataset, cells, split.id_train, out.sets[2][2])
  run:dataset(dataset:digest(), cfg.data:match "([^/]+)/*$", {n = dataset:count(), path = cfg.data})
  run:param("split.digest", split.digest)
  print(("%d images of %d x %d: %d to train on, %d ID to validate, %d %s"):format(dataset:count(), dataset:height(), dataset:width(),
    out.train:size(1), split.id_val:size(1), out.sets[2][2]:size(1),
    choosing and "pseudo-OOD (carved out of ID, o below; the OOD set is not touched)" or "OOD (a held-out combination, # below)"))
  print(split.cells)
  local _, _, restricted = dataset:licence()
  out.restricted = restricted -- no picture of the dataset may be kept
  return out
end

--- Accuracy of guessing: factor -> 1 / number of values; and of their mean.
function scenes.chance(data)
  local out, sum = {}, 0
  for _, f in ipairs(data.factors) do out[f] = 1 / #data.dataset:values(f) end
  for _, f in ipairs(data.scored) do sum = sum + out[f] / #data.scored end
  out[data.scored_name] = sum
  return out
end

--- Labels of the images at `index`: factor -> (N) class indices; and factor -> number of classes.
function scenes.labels(dataset, factors, index)
  local labels, classes = {}, {}
  for _, f in ipairs(factors) do
    labels[f] = dataset:factor(f, index)
    classes[f] = #dataset:values(f)
  end
  return labels, classes
end

--- Applies f to chunks of the images at `index`, without history; returns the results joined.
function scenes.by_chunks(dataset, index, chunk, f)
  return T.no_grad(function()
    local parts, n = {}, index:size(1)
    for from = 1, n, chunk do
      parts[#parts + 1] = f(dataset:images(index:narrow(1, from, math.min(chunk, n - from + 1))), from)
    end
    return T.cat(parts, {dim = 1})
  end)
end

--- Slot means (N,K,m) of the images at `index`, without history. A constant base's tokens are computed once and kept.
function scenes.encode(e, dataset, index)
  return T.no_grad(function()
    local parts, n = {}, index:size(1)
    for from = 1, n, 128 do
      parts[#parts + 1] = (e(encoder.input(e, dataset, index:narrow(1, from, math.min(128, n - from + 1)))))
    end
    return T.cat(parts, {dim = 1})
  end)
end

return scenes
