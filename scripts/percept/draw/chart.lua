--- chart: lines in the terminal: what people have at hand, as percept.braille draws it.
local braille = require "percept.braille"
local percept = require "percept"
local T = require "percept.tensor"
local terminal = require "percept.terminal"

local chart = {}

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

--- A chart as text. data: a list of numbers, a tensor, {name = list, ...}, {{x = list, y = list}, ...}, or rows of a
-- query with columns x/step/seconds and y/value/mean; options: width, height (characters), log = "y", title, colour.
function chart.text(data, options)
  options = options or {}
  local series = {}
  for i, line in ipairs(lines_of(data)) do
    series[i] = {name = line.name, points = {}}
    for k, y in ipairs(line.y) do series[i].points[k] = {line.x and line.x[k] or k, y} end
  end
  if options.log and options.log ~= "y" then error(("plot: log = '%s'; 'y' is known"):format(tostring(options.log)), 0) end
  local lines, why = braille.plot(series, {
    width = options.width or math.min(100, (terminal.size())), height = options.height or 12, log = options.log == "y",
    colour = options.colour, title = options.title,
  })
  if not lines then error("plot: " .. why, 0) end
  return table.concat(lines, "\n")
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
