-- percept.pictures: sizes, what stands where, mistakes. The decoder paints each slot's number into a third of the image.
local check = dofile "tests/lua/check.lua"
local T, pictures, images = require "percept.tensor", require "percept.pictures", require "percept.images"

local K, side = 3, 6
-- slot k's first number is the gray of rows 2k-1 and 2k; attention says so, too
local stripes = T.zeros(side * side, K)
for k = 1, K do
  for y = 2 * k - 1, 2 * k do stripes:narrow(1, (y - 1) * side + 1, side):narrow(2, k, 1):fill_(1) end
end
local function decoder(z)
  local n = z:size(1)
  local gray = (z:narrow(3, 1, 1):reshape(n, 1, K) * stripes:unsqueeze(1)):sum(3)
  return gray:reshape(n, side, side, 1):expand(n, side, side, 3), stripes:unsqueeze(1):expand(n, side * side, K)
end
local function plain(z) return (decoder(z)) end
local z = T.tensor{{{0.2, 0}, {0.4, 0}, {0.6, 0}}, {{0.9, 0}, {0.7, 0}, {0.5, 0}}}
local x = plain(z)
local bare = {font = 0, height = side}

local function with(options)
  for key, value in pairs(bare) do options[key] = value end
  return options
end
-- cell (row,column) of a bare grid: padding 3, bitmap labels of 9 pixels above
local function cell(picture, row, column, left)
  return picture:narrow(1, 9 + 3 + (row - 1) * (side + 3) + 1, side):narrow(2, (left or 0) + 3 + (column - 1) * (side + 3) + 1, side)
end
local function gray(picture, row, column, y, left) return cell(picture, row, column, left):select(1, y):select(1, 3):select(1, 1):item() end
local function byte(v) return math.floor(v * 255 + 0.5) end
-- grays, give or take the rounding of f32
local function same(got, want)
  got, want = type(got) == "table" and got or {got}, type(want) == "table" and want or {want}
  for i = 1, math.max(#got, #want) do check.ok(math.abs(got[i] - want[i]) <= 1, ("gray %d: got %d, want %d"):format(i, got[i], want[i])) end
end

check.test("slots", function()
  local p = pictures.slots(decoder, z, with{images = x, extra = {{"again", z}}})
  check.eq({p:size(1), p:size(2)}, {9 + 3 + 2 * 9, 3 + 6 * 9})
  same(gray(p, 1, 1, 1), byte(0.2))
  same(gray(p, 2, 2, 6), byte(0.5))
  same(gray(p, 2, 3, 1), byte(0.9)) -- slot 1 alone: its stripe
  same(gray(p, 2, 3, 4), 128) --             the rest gray
  same(gray(p, 2, 4, 3), byte(0.7))
  same(gray(p, 1, 6, 5), byte(0.6))
  local q = pictures.slots(plain, z, bare) -- without attention: the others at their mean
  same(gray(q, 1, 2, 1), byte(0.2))
  same(gray(q, 1, 2, 3), byte(0.55))
  check.ok(pictures.slots(decoder, z):size(1) > 2 * 96) -- with outline letters, enlarged
end)

check.test("attention", function()
  local p = pictures.attention(decoder, z, with{images = x})
  check.eq(p:size(2), 3 + 5 * 9)
  check.eq(cell(p, 1, 3):select(1, 1):select(1, 1):to_table(), {253, 231, 37}) -- all of slot 1
  check.eq(cell(p, 1, 3):select(1, 5):select(1, 1):to_table(), {68, 1, 84})
  check.error("~returns no attention", pictures.attention, plain, z)
  check.error("~attention has 7 positions, which is no grid over 6 x 6", pictures.attention,
    function(s) return x, T.ones(s:size(1), 7, K) end, z)
end)

check.test("masks", function()
  local m = T.zeros(2, side, side, {dtype = "u8"})
  m:narrow(2, 1, 3):fill_(2)
  local p = pictures.masks(x, m, with{})
  check.eq(p:size(2), 3 + 3 * 9)
  check.eq(cell(p, 1, 3):select(1, 1):select(1, 1):to_table(), {70, 140, 230})
  same(gray(p, 1, 2, 6), byte(0.6)) -- label 0: the image
end)

check.test("traversal", function()
  local p = pictures.traversal(decoder, z:narrow(1, 1, 1), with{slot = 2, dims = {1, 2}, steps = 3, range = 0.2})
  local left = p:size(2) - (3 + 3 * 9)
  same({gray(p, 1, 1, 3, left), gray(p, 1, 2, 3, left), gray(p, 1, 3, 3, left)}, {byte(0.2), byte(0.4), byte(0.6)})
  same({gray(p, 2, 1, 3, left), gray(p, 2, 3, 3, left)}, {byte(0.4), byte(0.4)}) -- the second number does nothing
  same({gray(p, 1, 1, 1, left), gray(p, 1, 3, 1, left)}, {byte(0.2), byte(0.2)}) -- nor do other slots move
  local q = pictures.traversal(decoder, z:narrow(1, 1, 1), with{slot = 1, dims = {1}, steps = 2, range = 1, bank = z})
  same(gray(q, 1, 2, 1, q:size(2) - (3 + 2 * 9)), byte(0.2 + math.sqrt(2 * 0.35 ^ 2)))
  check.error("~one set of slots", pictures.traversal, decoder, z)
  check.error("~there is no number 9", pictures.traversal, decoder, z:narrow(1, 1, 1), {dims = {9}})
end)

check.test("swap", function()
  local p = pictures.swap(decoder, z, {1}, with{images = x})
  check.eq({p:size(1), p:size(2)}, {9 + 3 + 3 * 9, 3 + 3 * 9})
  same({gray(p, 1, 2, 1), gray(p, 1, 3, 1), gray(p, 2, 1, 1), gray(p, 3, 1, 1)}, {byte(0.2), byte(0.9), byte(0.2), byte(0.9)})
  same({gray(p, 2, 3, 1), gray(p, 2, 3, 5)}, {byte(0.2), byte(0.5)}) -- slot 1 of image 1 in the scene of image 2
  same({gray(p, 3, 2, 1), gray(p, 3, 2, 5)}, {byte(0.9), byte(0.6)})
  check.error("~there are 3 slots, no slot 4", pictures.swap, decoder, z, {4})
end)

check.test("inversion", function()
  local p, losses = pictures.inversion(plain, x, z * 0, with{search = {steps = 200, lr = 0.05}, at = {1, 200}})
  check.eq(p:size(2), 3 + 5 * 9)
  same(gray(p, 1, 2, 1), 0)
  check.near(gray(p, 2, 4, 1), byte(0.9), 0.02)
  check.ok(#losses == 2 and losses[1] < 1e-2)
  check.eq(cell(p, 1, 5):select(1, 3):select(1, 3):to_table()[3] > 80, true) -- nothing is left: dark
end)

check.test("combinations", function()
  local v, a, b = T.tensor{1, 0, 1, 1}, T.tensor({1, 1, 2, 2}, {dtype = "i64"}), T.tensor({1, 1, 1, 2}, {dtype = "i64"})
  local svg = pictures.combinations(v, a, b, {"cat", "goat"}, {"Park", "Dawn"}, {held = T.tensor{{0, 1}, {0, 0}}, title = "t"}):svg()
  for _, text in ipairs{">0.50<", ">1.00<", ">–<", ">cat<", ">Dawn<", ">held out of training<"} do
    check.ok(svg:find(text, 1, true), text)
  end
  check.eq(select(2, svg:gsub("s%-frame", "")), 2)
end)

check.test("split", function()
  local function i64(list) return T.tensor(list, {dtype = "i64"}) end
  local split = {
    rows = {"cat", "goat"}, columns = {"Park", "Dawn", "Moor"}, row_factor = "animal", column_factor = "place",
    cell = T.tensor({{0, 2, 0}, {1, 0, 2}}, {dtype = "u8"}), count = i64{{7, 5, 4}, {3, 9, 0}},
    id_train = i64{1, 2}, id_val = i64{3}, id_test = T.zeros(0, {dtype = "i64"}), pseudo_ood = i64{4}, ood = i64{5, 6},
  }
  local svg = pictures.split(split):svg()
  for _, text in ipairs{">7<", ">9<", ">goat<", ">Moor<", ">animal<", ">place<", "held out: 2 OOD images; dashed: 1 pseudo-OOD images",
    "ID: 2 train, 1 validation<"} do
    check.ok(svg:find(text, 1, true), text)
  end
  check.ok(not svg:find(">0</text>.*>0</text>.*>0</text>"), "a cell without images has no number")
  check.eq(select(2, svg:gsub("s%-frame", "")), 4) -- three cells and the legend
  check.eq(select(2, svg:gsub("dasharray", "")), 1)
  check.error("~splits of continuous latents have none", pictures.split, {cell = 3})
end)

check.test("images: overlay, colorize, labels", function()
  check.eq(images.colorize(T.tensor{{0, 1}, {2, 0 / 0}}, {high = 2}):select(1, 2):select(1, 2):to_table(), {128, 128, 128})
  check.eq(images.overlay(x, T.zeros(2, side, side, {dtype = "u8"}), {alpha = 0}):size(4), 3)
  check.error("~masks have shape (2)", images.overlay, x, T.zeros(2))
  check.error("~unknown", images.overlay, x, x, {alfa = 1})
  check.eq(images.grid(x, {column_labels = {"a", "b"}, font = 14}):size(1) > images.grid(x):size(1), true)
  check.error("~font", images.grid, x, {font = -1})
end)

check.done()
