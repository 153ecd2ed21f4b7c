--- The data of a study: the dataset, the split and its index sets, what the factors are called.
local percept = require "percept"
local T = require "percept.tensor"
local defaults = require "percept.study.defaults"
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

-- What cfg says of its data set: the kind's own options, the size, which rows.
local function options_of(cfg, columns)
  local o = {size = cfg.size, only = columns}
  local row = datasets.kind_of(cfg.data)
  for name, value in pairs(cfg[row.name] or {}) do o[name] = value end
  return o
end

-- cfg.data: whatever datasets.open takes.
local function open_dataset(cfg)
  local function open(columns) return datasets.open(cfg.data, options_of(cfg, columns)) end
  if not cfg.own_surface or #(cfg.textures or {}) > 0 or datasets.kind_of(cfg.data).name ~= "scenes" then return open(only(cfg)) end
  local columns = only(cfg) or {}
  columns.character_texture = {"Default"}
  local ok, dataset = pcall(open, columns)
  if ok then return dataset end
  if not tostring(dataset):find("character_texture", 1, true) then error(dataset, 0) end
  print "own_surface: this dataset has no texture Default; all are taken"
  return open(only(cfg))
end

-- ---- which combinations are held out ----

local function must_have(known, name, what)
  if has(known, name) then return name end
  local near = percept.nearest(name, known)
  error(("%s: there is no factor '%s'%s; there are %s"):format(what, name, near and (", did you mean '%s'?"):format(near) or "",
    #known > 0 and table.concat(known, ", ") or "none"), 0)
end

-- {"a:b", ...} as {{a, b}, ...}
local function pairs_from(list, known, what)
  local out = {}
  for i, text in ipairs(list) do
    local a, b = tostring(text):match "^([^:]+):([^:]+)$"
    if not a then error(("%s: '%s' is no pair FACTOR:FACTOR"):format(what, tostring(text)), 0) end
    out[i] = {must_have(known, a, what), must_have(known, b, what)}
  end
  return out
end

-- The pairs that a data set without PUG's columns is split by: the kind's, else its first two factors.
local function usual_pairs(dataset, known, row)
  for _, text in ipairs(row and row.cells or {}) do
    local a, b = text:match "^([^:]+):([^:]+)$"
    if has(known, a) and has(known, b) then return {{a, b}} end
  end
  local varied = {}
  for _, f in ipairs(known) do
    if #dataset:values(f) > 1 then varied[#varied + 1] = f end
  end
  if #varied < 2 then
    error(("%s: a study holds combinations of two factors out, and this dataset has %s with more than one value"):format(
      dataset:name(), #varied == 0 and "no factor" or ("one factor, %s,"):format(varied[1])), 0)
  end
  return {{varied[1], varied[2]}}
end

-- -> pairs of factors, whether they are a preset's (PUG's columns)
local function cells_of(cfg, preset, dataset, known, row)
  if #(cfg.cells or {}) > 0 then return pairs_from(cfg.cells, known, "cells"), false end
  local cells = {}
  for _, pair in ipairs(pairs_of[preset] or error("study: split = " .. tostring(preset) .. "; known are background, texture, object", 0)) do
    if has(known, pair[1]) and has(known, pair[2]) then cells[#cells + 1] = pair end
  end
  if #cells > 0 or has(known, "character_name") then return cells, true end
  if preset ~= "background" then
    error(("study: split %s is of PUG's columns; %s has the factors %s: say which are combined with cells=FACTOR:FACTOR"):format(
      preset, dataset:name(), #known > 0 and table.concat(known, ", ") or "none"), 0)
  end
  cells = usual_pairs(dataset, known, row)
  print(("%s has no column character_name: combinations of %s and %s are held out (cells=%s:%s)"):format(dataset:name(), cells[1][1],
    cells[1][2], cells[1][1], cells[1][2]))
  return cells, false
end

-- Fills factors (what slots are to tell), scored (those whose mean is the study's figure) and its name.
local function choose_factors(out, cfg, known, of_preset)
  local dataset, wanted, seen = out.dataset, {}, {}
  local function want(f)
    if not seen[f] and has(known, f) and #dataset:values(f) > 1 then wanted[#wanted + 1] = f end
    seen[f] = true
  end
  if #(cfg.factors or {}) > 0 then
    for _, f in ipairs(cfg.factors) do want(must_have(known, f, "factors")) end
  elseif of_preset then
    for _, f in ipairs(order) do want(f) end
  else
    for _, pair in ipairs(out.cells) do want(pair[1]) want(pair[2]) end
  end
  out.factors = wanted
  for _, f in ipairs(wanted) do
    local held = false
    for _, pair in ipairs(out.cells) do held = held or pair[1] == f or pair[2] == f end
    if of_preset and f:match "^character" or not of_preset and held then out.scored[#out.scored + 1] = f end
  end
  if #out.scored == 0 then
    error(of_preset and ("%s: no column character_name with more than one value; a study needs PUG's columns, or cells=FACTOR:FACTOR")
      :format(dataset:name()) or ("%s: none of the factors is in a cell"):format(dataset:name()), 0)
  end
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

-- Images of a study's models are size x size, of three channels.
local function check_size(cfg, dataset)
  if dataset:height() ~= cfg.size or dataset:width() ~= cfg.size then
    error(("%s: images are %d x %d, and size = %d"):format(dataset:name(), dataset:height(), dataset:width(), cfg.size), 0)
  end
  if dataset:channels() ~= 3 then
    error(("%s: images have %d channels; a study's models paint 3"):format(dataset:name(), dataset:channels()), 0)
  end
end

--- Opens cfg.data at cfg.size and splits it by `preset` (background, texture, object) or cfg.cells.
-- cfg: data (a folder, FILE.npz, FILE.npy, emoji, sprites or a kind of datasets.kind), size, worlds, textures (lists; empty: all),
-- cells ("FACTOR:FACTOR", what is combined), factors (what is told), fraction, offset, rule, split_seed,
-- own_surface, pseudo (share of the ID cells kept apart for choosing settings; the OOD set is then not used at all), limit (ID
-- training images, 0: all), limit_ood (OOD images that are scored, 0: all). dataset: in place of cfg.data, a data set or a
-- table for datasets.dataset. Returns {dataset, split, factors, scored,
-- scored_name, labels, sets = {{name, index}}, far (the name of the second set), cells, both: places in the OOD set whose
-- every cell was held out (nil for one cell an image)}.
function scenes.open(cfg, run, preset, dataset)
  preset = preset or cfg.preset or "background"
  defaults.check(cfg)
  local row = not dataset and datasets.kind_of(cfg.data) or nil
  dataset = dataset and datasets.dataset(dataset) or open_dataset(cfg)
  check_size(cfg, dataset)
  local known = dataset:factors()
  local cells, of_preset = cells_of(cfg, preset, dataset, known, row)
  local split = datasets.split(dataset, {
    preset = of_preset and preset or nil, pairs = not of_preset and cells or nil, rule = cfg.rule or "band", fraction = cfg.fraction,
    offset = cfg.offset, val = 0.12, seed = cfg.split_seed or 1, pseudo = cfg.pseudo or 0,
  })
  local out = {dataset = dataset, split = split, preset = of_preset and preset or "the", cells = cells, factors = {}, scored = {},
    scored_name = of_preset and "animals" or "pairs", labels = of_preset and label or {}}
  choose_factors(out, cfg, known, of_preset)
  local choosing = (cfg.pseudo or 0) > 0
  out.train = some_of(split.id_train, cfg.limit, cfg.split_seed)
  out.far = choosing and "pseudo" or "ood"
  out.sets = {{"id", split.id_val}, {out.far, some_of(choosing and split.pseudo_ood or split.ood, cfg.limit_ood, cfg.split_seed)}}
  out.both = all_held(dataset, cells, split.id_train, out.sets[2][2])
  run:dataset(dataset:digest(), row and cfg.data:match "([^/]+)/*$" or dataset:name(), {n = dataset:count(),
    path = row and cfg.data or dataset:dir() ~= "" and dataset:dir() or nil})
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
