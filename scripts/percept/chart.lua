--- chart: lines in the terminal, in braille dots.
local percept = require "percept"
local T = require "percept.tensor"
local terminal = require "percept.terminal"

local chart = {}

local colours = {36, 33, 35, 32, 34, 31} -- cyan, yellow, magenta, green, blue, red

-- ---- lines from what people have: lists, tensors, rows of a query ----

local function numbers(v)
  if T.is_tensor(v) then return v:detach():to("f64"):reshape(-1):to_table() end
  return v
end

local function is_line(v)
  if T.is_tensor(v) then return v:dim() <= 1 end
  return type(v) == "table" and (#v == 0 and v.y ~= nil or type(v[1]) == "number")
end

local function line_of(v, name)
  if not T.is_tensor(v) and v.y then
    local x, y = numbers(v.x), numbers(v.y)
    if x and #x ~= #y then error(("plot: line %s has %d x and %d y"):format(name, #x, #y), 0) end
    return {name = v.name or name, x = x, y = y}
  end
  return {name = name, y = numbers(v)}
end

local x_names, y_names, group_names = {"x", "step", "seconds"}, {"y", "value", "mean"}, {"name", "metric", "uid", "method", "seed"}

local function first_key(row, names)
  for _, name in ipairs(names) do
    if row[name] ~= nil then return name end
  end
end

-- Rows of db"select step, value from curve ...": one line for every metric, uid, method or seed.
local function lines_of_rows(rows)
  local xk, yk, gk = first_key(rows[1], x_names), first_key(rows[1], y_names), first_key(rows[1], group_names)
  if not yk then error("plot: rows need a column y, value or mean; x is x, step or seconds", 0) end
  local lines, by = {}, {}
  for i, row in ipairs(rows) do
    local key = gk and tostring(row[gk]) or ""
    if not by[key] then
      by[key] = {name = key, x = {}, y = {}}
      lines[#lines + 1] = by[key]
    end
    local line = by[key]
    if type(row[yk] or 0) ~= "number" then error(("plot: column %s holds '%s', not a number"):format(yk, tostring(row[yk])), 0) end
    line.x[#line.x + 1] = xk and row[xk] or i
    line.y[#line.y + 1] = row[yk] or 0 / 0
  end
  return lines
end

local function lines_of(data)
  if is_line(data) then return {line_of(data, "")} end
  if T.is_tensor(data) then
    if data:dim() ~= 2 then error("plot: a tensor of numbers (n), or one with a line a row (lines,n), is expected", 0) end
    local lines = {}
    for i = 1, data:size(1) do lines[i] = line_of(data:select(1, i), tostring(i)) end
    return lines
  end
  if type(data) == "table" and type(data[1]) == "table" and not is_line(data[1]) and not T.is_tensor(data[1]) then
    return lines_of_rows(data)
  end
  local lines, names = {}, {}
  if type(data) == "table" then
    for i, v in ipairs(data) do
      if is_line(v) then lines[#lines + 1] = line_of(v, tostring(i)) end
    end
    for key, v in pairs(data) do
      if type(key) == "string" and is_line(v) then names[#names + 1] = key end
    end
    table.sort(names)
    for _, name in ipairs(names) do lines[#lines + 1] = line_of(data[name], name) end
  end
  if #lines == 0 then
    error("plot: a list of numbers, a tensor, {name = list, ...}, {x = list, y = list} or rows of db\"...\" is expected", 0)
  end
  return lines
end

-- ---- axes ----

local function finite(v) return v == v and v ~= math.huge and v ~= -math.huge end

local function range(lines, key, logarithmic)
  local low, high = math.huge, -math.huge
  for _, line in ipairs(lines) do
    for i = 1, #line.y do
      local v = key == "y" and line.y[i] or line.x and line.x[i] or key == "x" and i
      if finite(v) and (not logarithmic or v > 0) then low, high = math.min(low, v), math.max(high, v) end
    end
  end
  if low > high then error("plot: there is no finite value" .. (logarithmic and " above 0" or ""), 0) end
  if low == high then
    local pad = low == 0 and 1 or math.abs(low) * 0.1
    if logarithmic then return low / 2, high * 2 end
    return low - pad, high + pad
  end
  return low, high
end

local function text_of(v)
  if v == 0 then return "0" end
  local a = math.abs(v)
  if a >= 1e5 or a < 1e-3 then return (("%.2g"):format(v):gsub("e%+?(-?)0*(%d)", "e%1%2")) end
  return ("%.4g"):format(v)
end

-- ---- dots ----

local bits = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

local function utf8_braille(mask)
  local code = 0x2800 + mask
  return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local function canvas(width, height)
  local masks, owner = {}, {}
  for row = 1, height do
    masks[row], owner[row] = {}, {}
    for column = 1, width do masks[row][column] = 0 end
  end
  return {
    masks = masks, owner = owner,
    dot = function(px, py, who) -- from 0, (0,0) is below left
      local column, row = math.floor(px / 2) + 1, height - math.floor(py / 4)
      if row < 1 or row > height or column < 1 or column > width then return end
      local bit = bits[4 - py % 4][px % 2 + 1]
      if math.floor(masks[row][column] / bit) % 2 == 0 then masks[row][column] = masks[row][column] + bit end
      owner[row][column] = who
    end,
  }
end

local function draw(c, line, who, to_x, to_y)
  local px, py
  for i = 1, #line.y do
    local x, y = to_x(line.x and line.x[i] or i), to_y(line.y[i])
    if x and y then
      if px then -- the straight way from the last point
        local n = math.max(math.abs(x - px), math.abs(y - py), 1)
        for k = 0, n do
          c.dot(math.floor(px + (x - px) * k / n + 0.5), math.floor(py + (y - py) * k / n + 0.5), who)
        end
      else
        c.dot(x, y, who)
      end
    end
    px, py = x and y and x or nil, y
  end
end

local function scale_of(low, high, dots, logarithmic)
  local f = logarithmic and math.log or function(v) return v end
  local a, b = f(low), f(high)
  return function(v)
    if not finite(v) or (logarithmic and v <= 0) then return nil end
    return math.floor((f(v) - a) / (b - a) * (dots - 1) + 0.5)
  end, function(share) -- the value at a share of the axis
    local v = a + share * (b - a)
    return logarithmic and math.exp(v) or v
  end
end

-- ---- the whole ----

--- A chart as text. data: a list of numbers, a tensor, {name = list, ...}, {{x = list, y = list}, ...}, or rows of a
-- query with columns x/step/seconds and y/value/mean; options: width, height (characters), log ("x", "y", "xy"),
-- title, colour.
function chart.text(data, options)
  options = options or {}
  local lines = lines_of(data)
  local log = options.log or ""
  local low, high = range(lines, "y", log:find "y")
  local left, right = range(lines, "x", log:find "x")
  local height = math.max(2, options.height or 12)
  local columns = options.width or math.min(100, (terminal.size()))
  local _, y_value = scale_of(low, high, 4 * height, log:find "y")
  local labels, margin = {}, 0
  for row = 1, height, math.max(1, math.floor((height - 1) / 4)) do
    labels[row] = text_of(y_value((height - row) / (height - 1)))
    margin = math.max(margin, #labels[row])
  end
  local width = math.max(10, columns - margin - 2)
  local to_y = scale_of(low, high, 4 * height, log:find "y")
  local to_x = scale_of(left, right, 2 * width, log:find "x")
  local c = canvas(width, height)
  for i, line in ipairs(lines) do draw(c, line, i, to_x, to_y) end
  local function paint(who, text)
    if not options.colour or not who then return text end
    return ("\27[%dm%s\27[0m"):format(colours[(who - 1) % #colours + 1], text)
  end
  local out = {options.title}
  for row = 1, height do
    local parts = {}
    for column = 1, width do
      local mask = c.masks[row][column]
      parts[column] = mask == 0 and " " or paint(c.owner[row][column], utf8_braille(mask))
    end
    out[#out + 1] = ("%" .. margin .. "s %s%s"):format(labels[row] or "", labels[row] and "┤" or "│",
      (table.concat(parts):gsub("%s+$", "")))
  end
  local a, b = text_of(left), text_of(right)
  out[#out + 1] = (" "):rep(margin + 1) .. "└" .. ("─"):rep(width)
  out[#out + 1] = (" "):rep(margin + 2) .. a .. (" "):rep(math.max(1, width - #a - #b)) .. b
  local legend = {}
  for i, line in ipairs(lines) do
    if line.name ~= "" then legend[#legend + 1] = paint(i, "── " .. line.name) end
  end
  if #legend > 0 then out[#out + 1] = (" "):rep(margin + 2) .. table.concat(legend, "   ") end
  return table.concat(out, "\n")
end

local option_names = {width = "number", height = "number", log = "string", title = "string"}

--- plot(data): prints a chart; options stand in the same table: plot{loss = {...}, log = "y"}.
local function plot(data, options)
  local chosen = {colour = terminal.coloured()}
  for _, from in ipairs{type(data) == "table" and data or {}, options or {}} do
    for name, kind in pairs(option_names) do
      if type(from[name]) == kind then chosen[name] = from[name] end
    end
  end
  print(chart.text(data, chosen))
end

chart.plot = percept.declare("plot", "data:any, options:table?", plot,
  "lines in the terminal: a list of numbers, a tensor, {name = list, ...}, {x = list, y = list}, rows of db\"...\"; "
    .. "options: width, height, log = \"y\", title")

return chart
