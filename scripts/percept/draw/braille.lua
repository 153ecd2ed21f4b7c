--- braille: curves in a terminal, two by four dots a character.
local braille = {}

-- bits of the dots of U+2800, by row and column
local bits = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

local function utf8(code) -- three bytes
  return string.char(0xe0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local function finite(v) return v == v and v > -math.huge and v < math.huge end

local function range(series, index, log)
  local lo, hi
  for _, s in ipairs(series) do
    for _, p in ipairs(s.points) do
      local v = p[index]
      if v and finite(v) and (not log or v > 0) then lo, hi = math.min(lo or v, v), math.max(hi or v, v) end
    end
  end
  return lo, hi
end

local function label(v)
  local text = ("%.4g"):format(v)
  return text
end

-- Cells of one drawing: bits[row][column] and who drew last there.
local function canvas(width, height)
  local c = {width = width, height = height, bits = {}, owner = {}}
  for r = 1, height do c.bits[r], c.owner[r] = {}, {} end
  return c
end

local function dot(c, x, y, owner) -- dots from 0, y from the top
  local column, row = math.floor(x / 2) + 1, math.floor(y / 4) + 1
  if column < 1 or column > c.width or row < 1 or row > c.height then return end
  local bit = bits[y % 4 + 1][x % 2 + 1]
  local have = c.bits[row][column] or 0
  if math.floor(have / bit) % 2 == 0 then have = have + bit end
  c.bits[row][column], c.owner[row][column] = have, owner
end

local function line(c, x0, y0, x1, y1, owner)
  local n = math.max(math.abs(x1 - x0), math.abs(y1 - y0), 1)
  for k = 0, n do
    dot(c, math.floor(x0 + (x1 - x0) * k / n + 0.5), math.floor(y0 + (y1 - y0) * k / n + 0.5), owner)
  end
end

local colours = {"\27[36m", "\27[33m", "\27[35m", "\27[32m", "\27[31m", "\27[34m"}

local function draw(c, s, owner, scale_x, scale_y)
  local px, py
  for _, p in ipairs(s.points) do
    local x, y = scale_x(p[1]), p[2] and finite(p[2]) and scale_y(p[2]) or nil
    if x and y then
      if px then line(c, px, py, x, y, owner) else dot(c, x, y, owner) end
    end
    px, py = y and x or nil, y -- a NaN is a gap
  end
end

--- Lines of text that show curves.
-- series: {{points = {{x, y}, ...}, name = }, ...}; a missing or NaN y is a gap.
-- options: width and height in characters (72, 16), log: y axis logarithmic, colour, title, xlabel.
-- Returns a list of lines; nil and why when there is nothing to draw.
function braille.plot(series, options)
  options = options or {}
  local width, height = options.width or 72, options.height or 16
  local x0, x1 = range(series, 1)
  local y0, y1 = range(series, 2, options.log)
  if not x0 or not y0 then return nil, options.log and "no value is above zero" or "no value is a number" end
  local lo, hi = y0, y1
  if options.log then lo, hi = math.log(y0), math.log(y1) end
  if hi == lo then lo, hi = lo - 1, hi + 1 end
  local labels, gutter = {[1] = label(y1), [height] = label(y0)}, 0
  local middle = math.floor((height + 1) / 2)
  if height > 4 then
    local v = hi - (middle - 0.5) / height * (hi - lo)
    labels[middle] = label(options.log and math.exp(v) or v)
  end
  if y0 == y1 then labels = {[middle] = label(y0)} end
  for _, text in pairs(labels) do gutter = math.max(gutter, #text) end
  local columns = math.max(8, width - gutter - 2)
  local c = canvas(columns, height)
  local function scale_x(x) return x1 > x0 and math.floor((x - x0) / (x1 - x0) * (2 * columns - 1) + 0.5) or columns end
  local function scale_y(y)
    if options.log then
      if y <= 0 then return nil end
      y = math.log(y)
    end
    return math.floor((hi - y) / (hi - lo) * (4 * height - 1) + 0.5)
  end
  for i, s in ipairs(series) do draw(c, s, i, scale_x, scale_y) end
  local out = {}
  if options.title then out[1] = options.title end
  for row = 1, height do
    local cells, last = {}, nil
    for column = 1, columns do
      local owner = c.owner[row][column]
      local paint = options.colour and owner and colours[(owner - 1) % #colours + 1] or nil
      if options.colour and paint ~= last then cells[#cells + 1] = (last and "\27[0m" or "") .. (paint or "") end
      last = options.colour and paint or nil
      cells[#cells + 1] = owner and utf8(0x2800 + c.bits[row][column]) or " "
    end
    if last then cells[#cells + 1] = "\27[0m" end
    local text = ("%" .. gutter .. "s %s%s"):format(labels[row] or "", labels[row] and "┤" or "│", table.concat(cells))
    out[#out + 1] = text:gsub("%s+$", "")
  end
  out[#out + 1] = (" "):rep(gutter + 1) .. "└" .. ("─"):rep(columns)
  local left, right = label(x0), label(x1) .. (options.xlabel and " " .. options.xlabel or "")
  out[#out + 1] = (" "):rep(gutter + 2) .. left .. (" "):rep(math.max(1, columns - #left - #right)) .. right
  if #series > 1 then
    for i, s in ipairs(series) do
      out[#out + 1] = ("%s%s%s %s"):format(options.colour and colours[(i - 1) % #colours + 1] or "", "──",
        options.colour and "\27[0m" or "", s.name or i)
    end
  end
  return out
end

return braille
