--- make_scenes: a folder of procedural scenes in PUG:SPAR's layout, with whatever names and numbers of values.
--
--   local make = dofile "tests/lua/make_scenes.lua"
--   make(folder, {worlds = 6, animals = 8, size = 16, per_cell = 1, blanks = true, textures = 2})
--
-- worlds, animals: a number, or the list of names; right: the list of animals on the right (as left); per_cell: images
-- of each (world, left, right, texture) combination, which differ by noise; blanks: "blank" is a value of both animals;
-- textures: how many of the pairs Plain/Plain, Blue/Red, Grass/Stone, Sky/Rust; both_relations: half of the images
-- stand bottom-top. A world is a background of two colours, an animal a shape of one colour (square, disc, cross,
-- ring, ...), a texture its brightness. Masks as in spar_cycles. Returns the number of images.
local bit = require "bit"
local sys = require "percept.sys"

-- ---- PNG files, uncompressed; percept.images.write waits for the disk after each ----

local crc_table = {}
for n = 0, 255 do
  local c = n
  for _ = 1, 8 do c = bit.band(c, 1) == 1 and bit.bxor(0xedb88320, bit.rshift(c, 1)) or bit.rshift(c, 1) end
  crc_table[n] = c
end

local function big_endian(n)
  return string.char(bit.band(bit.rshift(n, 24), 255), bit.band(bit.rshift(n, 16), 255), bit.band(bit.rshift(n, 8), 255), bit.band(n, 255))
end

local function chunk(kind, data)
  local c, text = 0xffffffff, kind .. data
  for i = 1, #text do c = bit.bxor(crc_table[bit.band(bit.bxor(c, text:byte(i)), 255)], bit.rshift(c, 8)) end
  return big_endian(#data) .. text .. big_endian(bit.bnot(c))
end

-- rows: lists of bytes; channels 1 or 3
local function write_png(path, rows, width, channels)
  local lines, a, b = {}, 1, 0
  for r, row in ipairs(rows) do lines[r] = "\0" .. string.char(unpack(row)) end
  local raw = table.concat(lines)
  assert(#raw < 65536, "make_scenes: pictures are small")
  for i = 1, #raw do
    a = (a + raw:byte(i)) % 65521
    b = (b + a) % 65521
  end
  local n = #raw
  local stored = string.char(1, n % 256, math.floor(n / 256), 255 - n % 256, 255 - math.floor(n / 256)) .. raw
  local f = assert(io.open(path, "wb"))
  f:write("\137PNG\r\n\26\n", chunk("IHDR", big_endian(width) .. big_endian(#rows) .. string.char(8, channels == 3 and 2 or 0, 0, 0, 0)),
    chunk("IDAT", "\120\1" .. stored .. big_endian(b * 65536 + a)), chunk("IEND", ""))
  f:close()
end

-- ---- what they show ----

local pairs_of_textures = {{"Plain", "Plain"}, {"Blue", "Red"}, {"Grass", "Stone"}, {"Sky", "Rust"}}

local function names(given, default, prefix)
  if type(given) == "table" then return given end
  local list = {}
  for i = 1, given or default do list[i] = ("%s%02d"):format(prefix, i) end
  return list
end

-- A colour that differs for every i: hues around the circle, two brightnesses.
local function color(i, n, value)
  local h, out = 6 * (i - 1) / n, {}
  for c, shift in ipairs{5, 3, 1} do
    local k = (shift + h) % 6
    out[c] = value * (1 - 0.8 * math.max(0, math.min(k, 4 - k, 1)))
  end
  return out
end

local shapes = {
  function() return true end,
  function(x, y) return x * x + y * y < 1 end,
  function(x, y) return math.abs(x) < 0.4 or math.abs(y) < 0.4 end,
  function(x, y) local r = x * x + y * y return r < 1 and r > 0.25 end,
  function(x, y) return math.abs(x) + math.abs(y) < 1 end,
  function(x, y) return y > -1 + 2 * math.abs(x) - 0.2 end,
}

-- Where animals stand: centres as shares of the side; second relation: bottom, top.
local places = {{{0.27, 0.6}, {0.73, 0.6}}, {{0.5, 0.75}, {0.5, 0.27}}}

local function paint(pixels, mask, size, which, at, animal, count, brightness)
  local rgb = color(animal, count, brightness)
  local inside, radius = shapes[(animal - 1) % #shapes + 1], 0.22 * size
  for r = 1, size do
    for c = 1, size do
      local x, y = (c - 0.5 - at[1] * size) / radius, (r - 0.5 - at[2] * size) / radius
      if math.abs(x) <= 1 and math.abs(y) <= 1 and inside(x, y) then
        pixels[r][c] = rgb
        mask[r][c] = which
      end
    end
  end
end

-- Rows of bytes: the picture, its mask. noise: a function giving numbers around 0.
local function picture(size, spec, noise)
  local pixels, mask, bytes = {}, {}, {}
  local sky, ground = color(spec.world, spec.worlds, 0.9), color(spec.world + 0.5, spec.worlds, 0.45)
  for r = 1, size do
    pixels[r], mask[r] = {}, {}
    for c = 1, size do pixels[r][c], mask[r][c] = r <= size / 2 and sky or ground, 0 end
  end
  for k = 1, 2 do
    if spec.animal[k] then paint(pixels, mask, size, k, places[spec.relation][k], spec.animal[k], spec.animals[k], spec.bright) end
  end
  for r = 1, size do
    bytes[r] = {}
    for c = 1, size do
      for _, v in ipairs(pixels[r][c]) do
        bytes[r][#bytes[r] + 1] = math.max(0, math.min(255, math.floor(255 * v + noise() + 0.5)))
      end
    end
  end
  return bytes, mask
end

local header = "filename,world_name,character_name,character2_name,character1_pos,character2_pos,character_texture,"
  .. "character2_texture,variant,maskname"

return function(folder, options)
  local o = options or {}
  local worlds, left = names(o.worlds, 6, "world"), names(o.animals, 8, "animal")
  local right, size = o.right or left, o.size or 16
  local state = o.seed or 1
  local function noise() -- +-6 of 255, by a linear congruential generator
    state = (state * 16807) % 2147483647
    return (state / 2147483647 - 0.5) * 12
  end
  sys.mkdir(folder .. "/images")
  sys.mkdir(folder .. "/masks")
  local rows, n = {header}, 0
  local function with_blank(list) return #list + (o.blanks and 1 or 0) end
  for w, world in ipairs(worlds) do
    for a = 1, with_blank(left) do
      for b = 1, with_blank(right) do
        for t = 1, o.textures or 1 do
          for v = 1, o.per_cell or 1 do
            n = n + 1
            local relation = o.both_relations and n % 2 + 1 or 1
            local rgb, mask = picture(size, {
              world = w, worlds = #worlds, animal = {left[a] and a, right[b] and b}, animals = {#left, #right}, relation = relation,
              bright = 1 - 0.2 * (t - 1),
            }, noise)
            local stem = ("%s_%s_%s_t%d_v%d.png"):format(world, left[a] or "blank", right[b] or "blank", t, v)
            write_png(folder .. "/images/" .. stem, rgb, size, 3)
            write_png(folder .. "/masks/" .. stem, mask, size, 1)
            rows[#rows + 1] = table.concat({
              "images/" .. stem, world, left[a] or "blank", right[b] or "blank", relation == 1 and "left" or "bottom",
              relation == 1 and "right" or "top", pairs_of_textures[t][1], pairs_of_textures[t][2], v - 1, "masks/" .. stem,
            }, ",")
          end
        end
      end
    end
  end
  local f = assert(io.open(folder .. "/labels.csv", "wb"))
  f:write(table.concat(rows, "\n"), "\n")
  f:close()
  return n
end
