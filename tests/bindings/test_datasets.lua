-- percept.datasets from Lua: a small folder of scenes, splits, batches, sprites.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local datasets = require "percept.datasets"
local images = require "percept.images"
local sys = require "percept.sys"

local dir = os.tmpname()
os.remove(dir)
sys.mkdir(dir .. "/images")
sys.mkdir(dir .. "/cache")

local function put(name, text)
  local f = assert(io.open(dir .. "/" .. name, "wb"))
  f:write(text)
  f:close()
end

-- 4 worlds x 4 animals, the colour tells which
local rows = {"filename,world,animal,x"}
for w = 1, 4 do
  for a = 1, 4 do
    local name = ("images/%d_%d.png"):format(w, a)
    images.write(dir .. "/" .. name, T.full({8, 8, 3}, w / 8 + a / 64))
    rows[#rows + 1] = ("%s,w%d,a%d,%g"):format(name, w, a, w + a / 10)
  end
end
put("labels.csv", table.concat(rows, "\n") .. "\n")
local options = {cache_dir = dir .. "/cache"}
local function scenes(more)
  local o = {cache_dir = options.cache_dir}
  for k, v in pairs(more or {}) do o[k] = v end
  return datasets.scenes(dir, o)
end

check.test("a folder", function()
  local s = scenes()
  check.eq({s:count(), s:height(), s:width()}, {16, 8, 8})
  local factors, numbers = s:factors()
  check.eq({factors, numbers}, {{"world", "animal"}, {"x"}})
  check.eq(s:values "world", {"w1", "w2", "w3", "w4"})
  check.eq(s:filename(2), "images/1_2.png")
  check.eq(s:filename(-1), "images/4_4.png")
  local index = T.tensor({16, 1}, {dtype = "i64"})
  check.eq(s:factor("animal", index):to_table(), {4, 1})
  check.near(s:numeric("x", index):to_table(), {4.4, 1.1})
  local x = s:images(index)
  check.eq(x:shape(), {2, 8, 8, 3})
  check.near(x[{1, 1, 1, 1}], 4 / 8 + 4 / 64, 0.003)
  check.eq(s:images(index, "u8"):dtype(), "u8")
  check.eq(#s:digest(), 32)
  check.eq(scenes():digest(), s:digest())
  check.eq(scenes{height = 4, width = 4}:images():shape(), {16, 4, 4, 3})
end)

check.test("only and exclude", function()
  check.eq(scenes{only = {world = {"w1", "w2"}}}:count(), 8)
  check.eq(scenes{only = {world = "w1"}, exclude = {animal = {"a1"}}}:count(), 3)
  check.error("~w9", scenes, {only = {world = "w9"}})
  check.error("~nosuch", scenes, {only = {nosuch = "w1"}})
  check.error("~a filter is {column = value or {values}}", scenes, {only = {"w1"}})
  check.error("~entry 1 is table", scenes, {only = {world = {{}}}})
end)

check.test("mistakes", function()
  check.error("scenes: no folder " .. dir .. "/nowhere", datasets.scenes, dir .. "/nowhere")
  check.error("~unknown option 'hight'; did you mean 'height'?", datasets.scenes, dir, {hight = 3})
  check.error("~on_error", datasets.scenes, dir, {on_error = "ignore"})
  local s = scenes()
  check.error("~no image 17; there are 16", s.filename, s, 17)
  check.error("~animals", s.factor, s, "animals")
  check.error("~17", s.images, s, T.tensor({17}, {dtype = "i64"}))
  check.error("~expected", s.images, s, "x")
  put("ragged.csv", "filename,world\nimages/1_1.png,w1,extra\n")
  check.error("~ragged.csv", scenes, {labels = "ragged.csv"})
  put("nofile.csv", "name,world\nimages/1_1.png,w1\n")
  check.error("~filename", scenes, {labels = "nofile.csv"})
  put("images/broken.png", "no png")
  put("broken.csv", "filename,world\nimages/1_1.png,w1\nimages/broken.png,w2\n")
  check.error("~broken.png", scenes, {labels = "broken.csv"})
  local skipped = scenes{labels = "broken.csv", on_error = "skip"}
  check.eq(skipped:count(), 1)
  check.ok(skipped:note():find("broken.png", 1, true), skipped:note())
end)

check.test("splits", function()
  local s = scenes()
  local split = datasets.split(s, {pairs = {{"animal", "world"}}, rule = "band", fraction = 0.25, val = 0.2, seed = 1})
  local seen, n = {}, 0
  for _, name in ipairs{"id_train", "id_val", "id_test", "pseudo_ood", "ood"} do
    for _, i in ipairs(split[name]:to_table()) do
      check.ok(not seen[i], "disjoint")
      seen[i], n = true, n + 1
    end
  end
  check.eq(n, 16)
  check.eq(split.ood:numel(), 4)
  check.ok(split.cells:find "#" and #split.digest == 32)
  check.eq(datasets.split(s, {pairs = {{"animal", "world"}}, fraction = 0.25, val = 0.2, seed = 1}).digest, split.digest)
  local listed = datasets.split(s, {pairs = {{"animal", "world"}}, rule = "list", cells = {{"a1", "w2"}}})
  check.eq(listed.ood:to_table(), {5})
  check.error("~rule", datasets.split, s, {pairs = {{"animal", "world"}}, rule = "diagonal band"})
  check.error("~colour", datasets.split, s, {pairs = {{"animal", "colour"}}})
  check.error("split: pairs: entry 1 must be a pair {a, b} of names", datasets.split, s, {pairs = {"animal"}})
  check.error("~expected", datasets.split, 3)
end)

-- ---- other names and numbers of values: 6 worlds, 8 animals, blanks ----

local make = dofile "tests/lua/make_scenes.lua"
local other = dir .. "/other"
local made = make(other, {worlds = 6, animals = 8, blanks = true, textures = 3, size = 8})

-- The cells of image i by a preset: names, joined; blanks form none.
local function cells_of(s, preset)
  local function names(f)
    local values, index = s:values(f), s:factor(f):to_table()
    return function(i) return values[index[i]] end
  end
  local one, two, world = names "character_name", names "character2_name", names "world_name"
  local t1, t2 = names "character_texture", names "character2_texture"
  return function(i)
    local a, b, out = one(i), two(i), {}
    if preset == "object" then
      if a ~= "blank" and b ~= "blank" then out[1] = a < b and a .. "|" .. b or b .. "|" .. a end
      return out
    end
    if a ~= "blank" then out[#out + 1] = a .. "|" .. (preset == "texture" and t1(i) or world(i)) end
    if b ~= "blank" then out[#out + 1] = b .. "|" .. (preset == "texture" and t2(i) or world(i)) end
    return out
  end
end

local function sound(s, split, preset)
  local cells, held, seen = cells_of(s, preset), {}, {}
  for r, row in ipairs(split.rows) do
    for c, column in ipairs(split.columns) do
      local state = split.cell[{r, c}]
      held[row .. "|" .. column] = state
    end
  end
  local n = 0
  for _, set in ipairs{{"id_train", 0}, {"id_val", 0}, {"id_test", 0}, {"pseudo_ood", 1}, {"ood", 2}} do
    for _, i in ipairs(split[set[1]]:to_table()) do
      local worst = 0
      for _, cell in ipairs(cells(i)) do worst = math.max(worst, held[cell]) end
      if worst ~= set[2] or seen[i] then check.eq({worst, seen[i]}, {set[2]}, ("image %d of %s"):format(i, set[1])) end
      seen[i], n = true, n + 1
    end
  end
  check.eq(n, s:count())
  for _, f in ipairs(s:factors()) do -- coverage
    local present = {}
    for _, v in ipairs(s:factor(f, split.id_train):to_table()) do present[v] = true end
    for v, name in ipairs(s:values(f)) do check.ok(present[v], f .. " " .. name .. " is in train") end
  end
end

check.test("presets on a set of other names and cardinalities", function()
  local s = datasets.scenes(other, options)
  check.eq({s:count(), made}, {6 * 9 * 9 * 3, 6 * 9 * 9 * 3})
  check.eq({#s:values "world_name", #s:values "character_name", #s:values "character_texture"}, {6, 9, 3})
  check.eq(s:masks():max():item(), 2)
  for _, preset in ipairs{"background", "texture", "object"} do
    for _, rule in ipairs{"band", "random"} do
      for seed = 1, 2 do
        local split = datasets.split(s, {
          preset = preset, rule = rule, fraction = 0.3, pseudo = 0.1, test = 0.1, seed = seed, offset = seed,
        })
        sound(s, split, preset)
        check.eq(split.cell:shape(), {#split.rows, #split.columns})
        check.eq(#split.rows, 8) -- the blank has no row
        check.eq(split.unordered, preset == "object")
        check.eq({split.row_factor, split.column_factor}, {"character_name",
          ({background = "world_name", texture = "character_texture", object = "character2_name"})[preset]})
      end
    end
  end
  local background = datasets.split(s, {fraction = 0.25})
  check.eq(background.columns, {"world01", "world02", "world03", "world04", "world05", "world06"})
  check.eq(background.count:to_table()[1], {51, 51, 51, 51, 51, 51}) -- (9 + 9 - 1) partners, 3 textures
end)

check.test("left and right animals of other names", function()
  local folder = dir .. "/sides"
  make(folder, {worlds = {"Den", "Pool"}, animals = {"Ant", "Bee", "Cow"}, right = {"Bee", "Cow", "Dog", "Elk"}, size = 8})
  local s = datasets.scenes(folder, options)
  local split = datasets.split(s, {preset = "object", rule = "random", fraction = 0.3, seed = 2, val = 0})
  sound(s, split, "object")
  check.eq(split.rows, {"Ant", "Bee", "Cow", "Dog", "Elk"})
  check.eq(split.count[{1, 1}], 0) -- no Ant on the right
  check.eq(split.count[{2, 3}], 4)
  check.error("~combinations need two values of each", datasets.split,
    datasets.scenes(folder, {cache_dir = options.cache_dir, only = {world_name = "Den"}}))
end)

check.test("two relations, licences", function()
  local folder = dir .. "/relations"
  make(folder, {worlds = 3, animals = {"Ant", "Bee", "Cow"}, size = 8, per_cell = 2, both_relations = true})
  local s = datasets.scenes(folder, options)
  check.eq(s:values "relation", {"bottom-top", "left-right"})
  check.eq(s:factor("relation"):eq(1):to("i64"):sum():item(), 27)
  local split = datasets.split(s, {preset = "object", rule = "random", fraction = 0.3, val = 0})
  sound(s, split, "object")
  check.eq({s:licence()}, {"unknown", "", false})
  local name, notice, restricted = datasets.licence "experiments/data/spar_cycles_hard"
  check.ok(name == "CC BY 4.0" and notice:find("../assets/LICENSES.md", 1, true) and not restricted)
  check.eq((datasets.emoji{count = 1, size = 8}:licence()), "MIT (cut-outs) and CC0 (places)")
  check.error("~no folder", datasets.licence, dir .. "/nowhere")
end)

check.test("emoji: composed scenes", function()
  local assets = "experiments/data/assets"
  local e = datasets.emoji{count = 40, size = 24, seed = 2, textures = {"Default", "Red"}, occlusion = 1}
  check.eq(e:images():shape(), {40, 24, 24, 3})
  check.eq(e:masks(T.tensor({3}, {dtype = "i64"})):shape(), {1, 24, 24})
  check.eq(#e:values "character_texture", 2)
  check.ok(e:masks():max():item() == 2 and e:numeric "overlap":max():item() > 0.8)
  local again = datasets.emoji(assets, {count = 3, size = 24, seed = 2, textures = {"Default", "Red"}, occlusion = 1, first = 5})
  check.eq((again:images() - e:images(T.arange(5, 8, {dtype = "i64"}))):abs():max():item(), 0)
  check.eq(again:filename(1), e:filename(5))
  local few = datasets.emoji{count = 200, size = 8, animals = {"Horse", "Tiger", "Whale"}, places = {"Park", "City", "Dawn"}}
  check.eq(few:values "character2_name", {"Horse", "Tiger", "Whale"})
  local split = datasets.split(few, {fraction = 1 / 3})
  check.eq(split.columns, {"City", "Dawn", "Park"})
  check.eq(split.cell:eq(2):to("i64"):sum():item(), 3)
  check.error("~no place 'Mars'; there are: Bridge, City", datasets.emoji, {places = {"Mars"}})
  check.error("~emoji: count: expected an integer", datasets.emoji, {count = 0})
  check.error("~no texture 'Pink'; there are: Default, Blue", datasets.emoji, {textures = {"Pink"}})
  check.error("~an empty list", datasets.emoji, {animals = {}})
  check.error("~emoji: first: expected an integer", datasets.emoji, {first = 0})
  check.error("~no folder /nonexistent/panoramas", datasets.emoji, "/nonexistent")
end)

check.test("zero is a value: nothing for validation, gray, black, no distance", function()
  T.manual_seed(1)
  local u = T.rand(400, 2, 2)
  check.eq(datasets.split_latents(u, {val = 0}).id_val:numel(), 0)
  check.ok(datasets.split_latents(u, {}).id_val:numel() > 0)
  local gray = datasets.sprites(4, {height = 12, saturation = 0, background = {0.5, 0.5, 0.5}}).images
  check.ok((gray:amax(4) - gray:amin(4)):amax():item() < 1e-6)
  check.ok(datasets.sprites(4, {height = 12, value = 0, background = {0.5, 0.5, 0.5}}).images:amax():item() < 0.51)
  check.eq(datasets.sprites(1, {height = 8, width = 12}).images:shape(), {1, 8, 12, 3})
  local one = {x = {0, 0}, y = {0, 0}, angle = {0, 0}, height = 8}
  check.eq(datasets.sprites(1, one).latents:select(3, 2):abs():sum():item(), 0)
  for name, list in pairs{gap = {0, 0}, background = {0, 0, 2}, scale = {-1, 0}, hue = {0, 0 / 0}} do
    check.error("~sprites: " .. name, datasets.sprites, 1, {[name] = list})
  end
  check.error("~split_latents: gap", datasets.split_latents, u, {gap = {0, 0}})
  check.error("~split_latents: shift = 3", datasets.split_latents, u, {shift = 3})
  local index = T.arange(1, 4, {dtype = "i64"})
  check.eq(datasets.batches(index, 8):next():numel(), index:numel())
  check.error("~batch", datasets.batches, index, 8, {keep_last = false})
end)

check.test("batches", function()
  local index = T.arange(1, 11, {dtype = "i64"})
  local b = datasets.batches(index, 4, {seed = 3})
  check.eq(b:per_epoch(), 2)
  local first = b:next():to_table()
  local state = b:state()
  local later = {b:next():to_table(), b:next():to_table()}
  b:set_state(state)
  check.eq({b:next():to_table(), b:next():to_table()}, later)
  check.eq(datasets.batches(index, 4, {seed = 3}):next():to_table(), first)
  check.eq(datasets.batches(index, 4, {shuffle = false}):next():to_table(), {1, 2, 3, 4})
  check.eq(datasets.batches(index, 99):next():numel(), 10) -- fewer images than a batch
  check.error("batches: 'x' is no saved position", b.set_state, b, "x")
  check.error("~batch", datasets.batches, index, 0)
end)

check.test("sprites", function()
  local s = datasets.sprites(6, {objects = 2, height = 16, width = 24, sampler = "diagonal", seed = 4, angle = {0, 90}})
  check.eq({s.images:shape(), s.masks:shape(), s.latents:shape(), s.unit:shape()}, {{6, 16, 24, 3}, {6, 16, 24}, {6, 2, 6}, {6, 2, 6}})
  check.ok(s.unit:min():item() >= 0 and s.unit:max():item() <= 1 and s.masks:max():item() == 2)
  local again = datasets.sprites(3, {objects = 2, height = 16, width = 24, sampler = "diagonal", seed = 4, angle = {0, 90}, first = 4})
  check.near(again.images:to_table(), s.images:narrow(1, 4, 3):to_table(), 0) -- an endless set in parts
  local gray = datasets.sprites(1, {objects = 1, background = {0.5, 0.5, 0.5}, shapes = {"square"}, scale = {0.1, 0.1}, dtype = "u8"})
  check.eq(gray.images:dtype(), "u8")
  check.eq(gray.images[{1, 1, 1, 1}], 128)
  check.error("~sampler", datasets.sprites, 3, {sampler = "foo"})
  check.error("sprites: x: a list of 2 numbers is expected, got 1", datasets.sprites, 3, {x = {1}})
  check.error("sprites: background: entry 2 is string \"a\", not a number", datasets.sprites, 3, {background = {1, "a", 0}})
  check.error("~blob", datasets.sprites, 3, {shapes = {"blob"}})
  check.error("~objects", datasets.sprites, 3, {objects = 99})
end)

check.test("splits of latents", function()
  local inside = datasets.sprites(40, {sampler = "diagonal", seed = 1}).unit
  local outside = datasets.sprites(20, {sampler = "off_diagonal", seed = 2}).unit
  local split = datasets.split_latents(T.cat{inside, outside, dim = 1}, {val = 0.25, seed = 1})
  check.eq(split.ood:to_table(), T.arange(41, 61, {dtype = "i64"}):to_table())
  check.eq({split.id_train:numel(), split.id_val:numel()}, {30, 10})
  check.eq(split.cells, nil)
  check.error("~rule", datasets.split_latents, inside, {rule = "band"})
  check.error("~none of the 40 images is out-of-domain", datasets.split_latents, inside)
  check.error("~the latents have shape (3)", datasets.split_latents, T.ones(3))
end)

-- ---- the protocol from Lua ----

local formats = require "percept.formats"

local function mine(over)
  local t = {
    name = "mine", count = 6, size = {4, 4, 3}, digest = "v1",
    images = function(index) return T.full({index:numel(), 4, 4, 3}, 0.25) end,
    factors = {{name = "shape", values = {"disc", "star"}, index = {1, 2, 1, 2, 1, 2}},
      {name = "color", values = {"red", "blue"}, index = {1, 1, 2, 2, 1, 1}}},
    numeric = {{name = "weight", values = {1, 2, 3, 4, 5, 6.5}}},
  }
  for k, v in pairs(over or {}) do
    if v == "none" then t[k] = nil else t[k] = v end
  end
  return t
end

check.test("a table of functions is a data set", function()
  local d = datasets.dataset(mine{masks = function(index) return T.ones({index:numel(), 4, 4}, {dtype = "i64"}) end,
    licence = {name = "mine alone", notice = "ask", restricted = true}})
  check.eq({d:count(), d:height(), d:width(), d:channels(), d:name(), d:kind()}, {6, 4, 4, 3, "mine", "dataset"})
  check.eq({d:images():dtype(), d:images(nil, "u8"):dtype(), d:images(nil, "u8")[{1, 1, 1, 1}]}, {"f32", "u8", 64})
  check.eq({d:masks():dtype(), d:has "masks", d:has "latents"}, {"u8", true, false})
  check.eq(d:factor("shape", T.tensor({6, 1}, {dtype = "i64"})):to_table(), {2, 1})
  check.eq({d:licence()}, {"mine alone", "ask", true})
  check.eq(d:filename(1), nil)
  check.eq(datasets.dataset(d), d)
  check.error("~no factor 'form'; there are: shape, color", d.factor, d, "form")
  check.error("~index 7 at position 1: the dataset has 6 images", d.images, d, T.tensor({7}, {dtype = "i64"}))
  local split = datasets.split(d, {pairs = {{"shape", "color"}}, rule = "list", cells = {{"disc", "blue"}}, val = 0})
  check.eq(split.ood:to_table(), {3})
end)

check.test("a table of tensors is a data set; its digest is of what it holds", function()
  local function gray(value)
    return datasets.dataset{name = "t", images = T.full({2, 3, 3}, value), latents = T.zeros(2, 1, 4),
      factors = {{name = "f", values = {"a", "b"}, index = T.tensor({1, 2}, {dtype = "i64"})}}}
  end
  local d = gray(0.5)
  check.eq({d:images():shape(), d:latents():shape()}, {{2, 3, 3, 3}, {2, 1, 4}})
  check.eq(gray(0.5):digest(), d:digest())
  check.ok(gray(0.25):digest() ~= d:digest())
end)

check.test("what is no data set is refused by member", function()
  local n = 0
  local function bad(pattern, over) check.error("~" .. pattern, datasets.dataset, mine(over)) end
  check.error("~a data set or a table is needed, got number", datasets.dataset, 3)
  check.error("~a data set or a table is needed", datasets.dataset, T.ones(2))
  bad("name is missing", {name = "none"})
  bad("images is missing", {images = "none"})
  bad("factors is missing", {factors = "none"})
  bad("digest is missing", {digest = "none"})
  bad("size: {height, width, channels}", {size = "none"})
  bad("did you mean 'images'", {imags = 1})
  bad("count: expected a whole number from 1, got 0", {count = 0, factors = {}, numeric = {}})
  bad("index: i64 (7), a number an image, is needed", {count = 7})
  bad("image 2 has value 3; its values are numbered from 1 to 2",
    {factors = {{name = "f", values = {"a", "b"}, index = {1, 3, 1, 1, 1, 1}}}})
  bad("whole numbers are needed", {factors = {{name = "f", values = {"a", "b"}, index = {1, 1.5, 1, 1, 1, 1}}}})
  bad("values: a list of texts is needed", {factors = {{name = "f", index = {1, 1, 1, 1, 1, 1}}}})
  bad("did you mean 'values'", {factors = {{name = "f", valus = {}, index = {}}}})
  bad("finite numbers are needed", {numeric = {{name = "w", values = {1, 2, 3, 4, 5, 0 / 0}}}})
  bad("digest: two calls give 1 and 2", {digest = function() n = n + 1 return tostring(n) end})
  bad("images of 3 indices are to be f32 (3,4,4,3), got f32 (3,4,4)", {images = function(i) return T.ones(i:numel(), 4, 4) end})
  bad("images returned nil, not a tensor", {images = function() end})
  bad("own words", {images = function() error "own words" end})
  bad("a value of 2; [0,1] is needed", {images = function(i, dtype) return T.full({i:numel(), 4, 4, 3}, dtype == "u8" and 2 or 1) end})
  bad("differ from call to call", {images = function(i) return T.rand(i:numel(), 4, 4, 3) end})
  check.error("~leave them out", datasets.dataset, mine{images = T.zeros(6, 4, 4, 3)})
end)

check.test("a data set with unit latents is split by them", function()
  local d = datasets.open("sprites", {size = 8, count = 300})
  local one, two = datasets.split_latents(d, {delta = 0.4, seed = 2}), datasets.split_latents(d:unit(), {delta = 0.4, seed = 2})
  check.eq({one.digest, one.ood:numel() > 0}, {two.digest, true})
  check.error("~there are no unit latents", datasets.split_latents, datasets.dataset(mine()))
  check.error("~a tensor (N,K,L), or a data set with unit latents", datasets.split_latents, "sprites")
end)

check.test("every kind that ships opens by its name, small, and keeps the protocol", function()
  for _, k in ipairs(datasets.kinds()) do
    if not k.path then
      local small = {size = 16}
      if (k.options or {}).count then small.count = 3 end
      local d = datasets.check(datasets.open(k.name, small))
      check.eq({d:height(), d:width(), #d:factors() > 0}, {16, 16, true}, k.name)
    end
  end
end)

check.test("kinds: opened by name, with options of their own", function()
  local names = {}
  for _, k in ipairs(datasets.kinds()) do names[k.name] = k.what end
  check.ok(names.scenes and names.arrays and names.emoji and names.sprites)
  local d = datasets.open("sprites", {size = 8, count = 10, objects = 3})
  check.eq({d:count(), d:height(), d:masks():max():item() <= 3, d:unit():shape()}, {10, 8, true, {10, 3, 6}})
  check.error("~did you mean 'sprites'?; kinds are emoji, sprites", datasets.open, "sprits")
  check.error("~did you mean 'count'", datasets.open, "sprites", {cuont = 3})
  check.error("~rows cannot be chosen by world_name", datasets.open, "sprites", {only = {world_name = {"Park"}}})
  datasets.kind{name = "mine_alone", what = "a test's", options = {n = 6}, open = function(_, o) return mine{count = o.n} end}
  check.eq(datasets.open("mine_alone"):count(), 6)
  check.error("~is needed, got i64 tensor", datasets.open, "mine_alone", {n = 5})
  check.error("~a kind 'sprites' already", datasets.kind, {name = "sprites", open = function() end})
  check.error("~open: a function", datasets.kind, {name = "other"})
end)

-- CRC-32 of a text, as zip has it.
local function crc32(text)
  local c = bit.bnot(0)
  for i = 1, #text do
    c = bit.bxor(c, text:byte(i))
    for _ = 1, 8 do c = bit.bxor(bit.rshift(c, 1), bit.band(c, 1) == 1 and 0xedb88320 or 0) end
  end
  c = bit.bnot(c)
  return string.char(bit.band(c, 255), bit.band(bit.rshift(c, 8), 255), bit.band(bit.rshift(c, 16), 255), bit.rshift(c, 24))
end

local function replace(text, old, new)
  local at = text:find(old, 1, true)
  while at do
    text = text:sub(1, at - 1) .. new .. text:sub(at + #old)
    at = text:find(old, at + #new, true)
  end
  return text
end

check.test("arrays: an npz whose member of objects is left out by name", function()
  local path = dir .. "/world.npz"
  formats.save_npz(path, {imgs = T.ones({3, 2, 2}, {dtype = "u8"}), metadata = T.tensor({7}, {dtype = "i64"}),
    latents_classes = T.tensor({{0, 5}, {0, 6}, {1, 5}}, {dtype = "i64"})})
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  local from = bytes:find("\147NUMPY", bytes:find("metadata", 1, true), true) -- its npy: a header of 128 bytes, one number
  local member = bytes:sub(from, from + 135)
  local objects = member:gsub("'<i8'", "'|O' ")
  bytes = replace(replace(bytes, member, objects), crc32(member), crc32(objects))
  file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  local d = datasets.arrays(path, {table = "none", names = {"shape", "scale"}, white = 1})
  check.ok(d:note():find("metadata", 1, true), d:note())
  check.eq({d:count(), d:channels(), d:images(nil, "u8")[{1, 1, 1, 1}]}, {3, 3, 255})
  check.eq({d:factors(), d:values "scale", d:factor("shape"):to_table()}, {{"shape", "scale"}, {"5", "6"}, {1, 1, 2}})
  check.eq(datasets.open(path, {table = "none"}):digest() == d:digest(), false)
  check.error("~cannot be read", formats.load_npz, path)
  check.error("~and size = 4 is asked for", datasets.open, path, {size = 4, table = "none"})
end)

os.execute("rm -rf '" .. dir .. "'")
check.done()
