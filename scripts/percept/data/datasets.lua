--- datasets: Data sets of every kind behind one protocol, splits, batches.
--
--   local d = percept.datasets.open("sprites", {size = 32, count = 2000})   -- or a folder, FILE.npz, "emoji"
--   d:count(); d:images(index); d:factors(); d:factor("shape1", index); d:digest()
--   local split = percept.datasets.split(d, {pairs = {{"shape1", "shape2"}}})
--
-- A table of your own becomes one by datasets.dataset; datasets.kind gives a kind a name, for --set data=NAME.
local percept = require "percept"
local T = require "percept.tensor"
local sys = require "percept.sys"
local declared = require "percept.base.declared"
local engine = require "percept.datasets.c"

local datasets = {}
for name, f in pairs(engine) do
  if name ~= "make" and name ~= "dataset_kind" then datasets[name] = f end
end

local function fail(...) error(string.format(...), 0) end

-- f(...), whose errors name no line of this file.
local function plainly(f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if type(result) == "string" then result = result:gsub("^[^\n:]*datasets%.lua:%d+: ", "") end
  error(result, 0)
end

local function sorted_keys(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

-- Refuses a key of `given` that `known` lacks.
local function known_keys(given, known, what)
  for key in pairs(given) do
    if known[key] == nil then
      local names = sorted_keys(known)
      local near = type(key) == "string" and percept.nearest(key, names)
      fail("%s: '%s' is unknown%s; known are %s", what, tostring(key), near and (", did you mean '%s'?"):format(near) or "",
        table.concat(names, ", "))
    end
  end
end

-- ---- a table as a data set ----

local members = {
  name = true, count = true, size = true, images = true, masks = true, factors = true, numeric = true, latents = true, unit = true,
  digest = true, licence = true, note = true, white = true, channels = true,
}

-- A tensor or a list of numbers as a contiguous vector.
local function vector(value, dtype, what)
  if type(value) == "table" then value = T.tensor(value, {dtype = "f64"}) end
  if not T.is_tensor(value) then fail("dataset: %s: a tensor or a list of numbers is needed, got %s", what, type(value)) end
  if dtype == "i64" and value:dtype():match "^f" and value:ne(value:floor()):any():item() ~= 0 then
    fail("dataset: %s: whole numbers are needed", what)
  end
  return value:to(dtype):contiguous()
end

local function columns(list, field, dtype, what, keys)
  local out = {}
  if type(list) ~= "table" then fail("dataset: %ss: a list of tables is needed, got %s", what, type(list)) end
  for i, c in ipairs(list) do
    if type(c) ~= "table" then fail("dataset: %s %d: a table is needed, got %s", what, i, type(c)) end
    known_keys(c, keys, ("dataset: %s %d"):format(what, i))
    local copy = {name = c.name, values = c.values}
    copy[field] = vector(c[field], dtype, ("%s '%s': %s"):format(what, tostring(c.name), field))
    out[i] = copy
  end
  return out
end

local function digest_of(t)
  if type(t.digest) ~= "function" then return t.digest end
  local first, second = t.digest(), t.digest()
  if first ~= second then fail("dataset: digest: two calls give %s and %s", tostring(first), tostring(second)) end
  return first
end

local function size_of(t)
  if T.is_tensor(t.images) then return end
  if type(t.size) ~= "table" or #t.size ~= 3 then fail("dataset: size: {height, width, channels} is needed beside a function images") end
  return t.size[1], t.size[2], t.size[3]
end

--- The table t as a data set; one that is one already is returned. t: name, images ((N,H,W,C) or (N,H,W): u8, or f32 in
-- [0,1]; or a function (index, dtype) -> that for these indices), factors {{name =, values = {texts}, index = (N) from 1}},
-- and where there are: masks (as images: whole numbers (N,H,W)), numeric {{name =, values = (N)}}, latents and unit
-- ((N,K,L) true slots), licence (a text, or {name =, notice =, restricted =}), note; beside functions: count, size =
-- {H,W,C}, digest (a text that changes whenever the data does, or a function). Everything is checked here.
function datasets.dataset(t)
  if type(t) == "userdata" then
    if not pcall(engine.dataset_kind, t) then fail("dataset: a data set or a table is needed, got %s", tostring(t)) end
    return t
  end
  if type(t) ~= "table" then fail("dataset: a data set or a table is needed, got %s", type(t)) end
  known_keys(t, members, "dataset")
  for _, name in ipairs{"name", "images", "factors"} do
    if t[name] == nil then fail("dataset: %s is missing", name) end
  end
  local functions = not T.is_tensor(t.images)
  for _, name in ipairs(functions and {"count", "digest"} or {}) do
    if t[name] == nil then fail("dataset: %s is missing; functions images need it", name) end
  end
  if not functions and (t.digest or t.size or t.count) then
    fail "dataset: count, size and digest follow from a tensor images: leave them out"
  end
  local licence = type(t.licence) == "table" and t.licence or {name = t.licence}
  local height, width, channels = size_of(t)
  local made = plainly(engine.make, {
    name = t.name, images = t.images, masks = t.masks, count = t.count, height = height, width = width, channels = channels or t.channels,
    digest = digest_of(t), factors = columns(t.factors, "index", "i64", "factor", {name = true, values = true, index = true}),
    numeric = columns(t.numeric or {}, "values", "f64", "numeric column", {name = true, values = true}),
    latents = t.latents, unit = t.unit, note = t.note, licence = licence.name, notice = licence.notice,
    restricted = licence.restricted, white = t.white,
  })
  return plainly(made.check, made)
end

-- ---- kinds ----

-- {name =, what =, licence =, path = true: opened by a path; stands = {spec}: how `percept data list` calls it; options = {name
-- = default}; cells = which combinations a study holds out unless it says; open = function(spec, options)}
local kinds, by_name = {}, {}

--- Adds a kind of data set: {name =, what = (a line), open = function(spec, options) -> data set or table, options =
-- {name = default}, ranges = {name = kind, as "int(1..)"}, cells = {"factor:factor"}}. options also has size (height and width,
-- nil: as it is) and only ({column = {values}}). It is then opened by its name, in studies by --set data=NAME.
function datasets.kind(row)
  if type(row) ~= "table" then fail("datasets.kind: a table is needed, got %s", type(row)) end
  known_keys(row, {name = 1, what = 1, open = 1, options = 1, ranges = 1, cells = 1, licence = 1, path = 1}, "datasets.kind")
  if type(row.name) ~= "string" or not row.name:match "^[%w_]+$" then fail("datasets.kind: name: a word is needed") end
  if type(row.open) ~= "function" then fail("datasets.kind %s: open: a function is needed", row.name) end
  if by_name[row.name] then fail("datasets.kind: there is a kind '%s' already", row.name) end
  by_name[row.name] = row
  kinds[#kinds + 1] = row
end

--- The kinds of data sets: a list of {name, what, options, cells, licence, path}.
function datasets.kinds()
  local out = {}
  for i, k in ipairs(kinds) do out[i] = k end
  return out
end

local function list_or_nil(t) return t and #t > 0 and t or nil end

-- Kinds without a table of PUG's columns cannot leave rows out.
local function no_filter(only, name)
  for column in pairs(only or {}) do
    fail("data = %s: rows cannot be chosen by %s here; leave that empty (worlds=, textures=)", name, column)
  end
end

datasets.kind{
  name = "scenes", what = "a folder of PNGs with labels.csv", path = true, options = {},
  open = function(spec, o) return engine.scenes(spec, {height = o.size, width = o.size, only = o.only}) end,
}

datasets.kind{
  name = "arrays", what = "FILE.npz or FILE.npy, factors in it or in a table beside it", path = true,
  options = {images = "", masks = "", latents = "", unit = "", table = "", factors = {}, names = {}, channels = 3, white = 255},
  ranges = {channels = declared.like(engine.arrays, "channels"), white = declared.like(engine.arrays, "white"),
    factors = "list(str)", names = "list(str)"},
  open = function(spec, o)
    no_filter(o.only, spec)
    local d = engine.arrays(spec, {
      images = o.images, masks = o.masks, latents = o.latents, unit = o.unit, table = o.table, factors = list_or_nil(o.factors),
      names = list_or_nil(o.names), channels = o.channels, white = o.white,
    })
    if o.size and (d:height() ~= o.size or d:width() ~= o.size) then
      fail("%s: images are %d x %d, and size = %d is asked for; arrays are taken as they are: set size to theirs", spec,
        d:height(), d:width(), o.size)
    end
    return d
  end,
}

datasets.kind{
  name = "emoji", what = "animal cut-outs on photographs of places, composed as asked for",
  licence = "experiments/data/assets/LICENSES.md",
  options = {assets = "experiments/data/assets", count = 5000, seed = 0, occlusion = 0, animals = {}},
  ranges = {assets = "str", count = declared.like(engine.emoji, "count"), seed = declared.like(engine.emoji, "seed"),
    occlusion = declared.like(engine.emoji, "occlusion"), animals = "list(str)"},
  open = function(_, o)
    local only = o.only or {}
    local rest = {}
    for column, values in pairs(only) do
      if column ~= "world_name" and column ~= "character_texture" then rest[column] = values end
    end
    no_filter(rest, "emoji")
    return engine.emoji{
      assets = o.assets, count = o.count, size = o.size, seed = o.seed, occlusion = o.occlusion,
      textures = only.character_texture, places = only.world_name, animals = list_or_nil(o.animals),
    }
  end,
}

datasets.kind{
  name = "sprites", what = "coloured shapes on a plain ground, with exact latents and masks", licence = "drawn by the program",
  options = {count = 5000, objects = 2, shapes = {}, sampler = "random", scale = {}, seed = 0}, cells = {"shape1:shape2"},
  ranges = {count = "int64(1..)", objects = declared.like(engine.sprites, "objects"), sampler = declared.like(engine.sprites, "sampler"),
    seed = declared.like(engine.sprites, "seed"), shapes = "list(str)", scale = "list(num(0..))"},
  open = function(_, o)
    no_filter(o.only, "sprites")
    return engine.sprite_set(o.count, {
      objects = o.objects, height = o.size, shapes = list_or_nil(o.shapes), sampler = o.sampler, scale = list_or_nil(o.scale),
      seed = o.seed,
    })
  end,
}

--- The row of the kind that spec is of, and its name: a data set's name, a file NAME.npz or NAME.npy, or a folder.
function datasets.kind_of(spec)
  if type(spec) ~= "string" or spec == "" then
    fail("data: a folder, a file .npz or .npy, or the name of a kind is needed, got %s", tostring(spec))
  end
  local row = by_name[spec]
  if row and not row.path then return row end
  if spec:match "%.np[yz]$" then return by_name.arrays end
  if sys.exists(spec) or spec:find "/" then return by_name.scenes end
  local names = {}
  for _, k in ipairs(kinds) do
    if not k.path then names[#names + 1] = k.name end
  end
  local near = percept.nearest(spec, names)
  fail("data: no folder '%s', no file NAME.npz or NAME.npy, and no kind of that name%s; kinds are %s", spec,
    near and (", did you mean '%s'?"):format(near) or "", table.concat(names, ", "))
end

--- Opens what spec names: a folder of scenes, FILE.npz, FILE.npy, or a kind by its name (emoji, sprites, those of
-- datasets.kind). A data set or a table for datasets.dataset is taken as it is. options: size, only, and the kind's.
function datasets.open(spec, options)
  if type(spec) ~= "string" then return datasets.dataset(spec) end
  local row = datasets.kind_of(spec)
  local o, known = {}, {size = true, only = true}
  for name, default in pairs(row.options or {}) do o[name], known[name] = default, true end
  known_keys(options or {}, known, ("datasets.open: %s"):format(row.name))
  for name, value in pairs(options or {}) do o[name] = value end
  return datasets.dataset(plainly(row.open, spec, o))
end

--- Reads the first and the last image and mask twice: an error, or the data set. A table is made one first.
function datasets.check(d)
  d = datasets.dataset(d)
  return plainly(d.check, d)
end

return datasets
