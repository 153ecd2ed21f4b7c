--- percept.plot: lines with bands, points, bars and heat maps, to SVG and PNG.
--
--   local plot = percept.plot
--   plot.lines{title = "loss", xlabel = "step", yscale = "log",
--     {name = "paper", x = steps, y = losses},          -- losses (N), or (seeds,N): mean and band of one sd
--     {name = "ours", x = steps, y = mean, sd = sd}}:save "loss.svg"
--   plot.bars{groups = {"ID", "OOD"}, {name = "encoder", y = {.91, .63}, sd = {.01, .04}}}:save "bars.png"
--   plot.scatter{x = a, y = b}:svg()
--   plot.heat{values = accuracy, framed = held_out, rows = animals, columns = worlds}:pixels()
--
-- Numbers are tensors or lists. Each returns a plot with :save(path), :svg(), :pixels().
local percept = require "percept"
local T = require "percept.tensor"
local engine = require "percept.plot.c"

local plot = {css = engine.css}

local shared = {"title", "xlabel", "ylabel", "width", "height", "theme", "legend", "numbers", "digits"}
local axes = {"xscale", "yscale", "xlim", "ylim", "zero"}
local of_series = {"name", "x", "y", "sd", "low", "high", "dashed", "color"}

local function set(...)
  local known = {}
  for _, list in ipairs{...} do
    for _, key in ipairs(list) do known[key] = true end
  end
  return known
end

local function check_keys(what, given, known)
  for key in pairs(given) do
    if type(key) ~= "number" and not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      error(("%s: unknown option %s; known are %s"):format(what, tostring(key), table.concat(names, ", ")), 0)
    end
  end
end

-- A list (of lists) of numbers as a tensor; tensors stay.
local function numbers(what, key, value)
  if value == nil or T.is_tensor(value) then return value end
  if type(value) ~= "table" then
    error(("%s: %s is a tensor or a list of numbers, got %s"):format(what, key, type(value)), 0)
  end
  if #value == 0 then return T.zeros{0, dtype = "f64"} end
  local ok, t = pcall(T.tensor, value, {dtype = "f64"})
  if not ok then error(("%s: %s: %s"):format(what, key, tostring(t):gsub("^[^%s:]+:%d+: ", "")), 0) end
  return t
end

-- The series of a spec: its list part, or `series`, or itself.
local function series_of(what, spec)
  local list = {}
  for _, s in ipairs(spec.series or {}) do list[#list + 1] = s end
  for _, s in ipairs(spec) do list[#list + 1] = s end
  if spec.y ~= nil then list[#list + 1] = spec end
  for i, s in ipairs(list) do
    if type(s) ~= "table" then error(("%s: series %d is %s, not a table {name =, x =, y =}"):format(what, i, type(s)), 0) end
    if s ~= spec then check_keys(what .. ": series " .. i, s, set(of_series, {"points"})) end
    if s.y == nil then error(("%s: series %d has no y"):format(what, i), 0) end
  end
  return list
end

local function start(spec, keys)
  local options = {}
  for _, list in ipairs(keys) do
    for _, key in ipairs(list) do options[key] = spec[key] end
  end
  return engine.new(options)
end

local function add(what, p, kind, list)
  for i, s in ipairs(list) do
    local options, at = {kind = type(kind) == "function" and kind(s) or kind}, ("%s: series %d"):format(what, i)
    for _, key in ipairs{"x", "y", "sd", "low", "high"} do options[key] = numbers(at, key, s[key]) end
    for _, key in ipairs{"name", "dashed", "color"} do options[key] = s[key] end
    p:add(options)
  end
  return p
end

local function xy(name, kind)
  return function(spec)
    check_keys("plot." .. name, spec, set(shared, axes, of_series, {"series", "points"}))
    return add("plot." .. name, start(spec, {shared, axes}), kind, series_of("plot." .. name, spec))
  end
end

local function bars(spec)
  check_keys("plot.bars", spec, set(shared, {"yscale", "ylim", "groups", "series"}, of_series))
  local list = series_of("plot.bars", spec)
  if not spec.groups then error("plot.bars: groups = {\"ID\", \"OOD\"} names what the values of each series stand for", 0) end
  for i, s in ipairs(list) do
    if s.x ~= nil then error(("plot.bars: series %d: bars stand at groups and take no x"):format(i), 0) end
  end
  return add("plot.bars", start(spec, {shared, {"yscale", "ylim", "groups"}}), "bars", list)
end

local function heat(spec)
  check_keys("plot.heat", spec, set(shared, {"values", "framed", "rows", "columns", "limits", "frame_name"}))
  local p = start(spec, {shared})
  p:heat{
    values = numbers("plot.heat", "values", spec.values), framed = numbers("plot.heat", "framed", spec.framed),
    rows = spec.rows, columns = spec.columns, limits = spec.limits, frame_name = spec.frame_name,
  }
  return p
end

local look = "title, xlabel, ylabel, width = 640, height = 400, theme = light|dark, legend = true"
local scales = "xscale, yscale = linear|log, xlim, ylim = {low, high}, zero = true (y from 0)"

--- Lines. A series is {name, y, x, sd | low, high, dashed, color, points}; y (N), or (seeds,N): mean with a band of one sd.
plot.lines = percept.declare("plot.lines", "spec:table", xy("lines", function(s) return s.points and "both" or "line" end),
  "lines, with bands: plot.lines{{name=, x=, y=, sd=}, ..., " .. look .. ", " .. scales .. "}; y (N) or (seeds,N)")
--- Points, with error bars where there is sd.
plot.scatter = percept.declare("plot.scatter", "spec:table", xy("scatter", "points"),
  "points: plot.scatter{{name=, x=, y=, sd=}, ..., " .. look .. ", " .. scales .. "}")
--- Bars in groups. A series is {name, y, sd, color}, one value a group; y (groups), or (seeds,groups).
plot.bars = percept.declare("plot.bars", "spec:table", bars,
  "bars in groups: plot.bars{groups = {...}, {name=, y=, sd=}, ..., numbers = true prints values, " .. look .. ", yscale, ylim}")
--- A heat map of values (rows,columns), with frames around the cells where `framed` is not 0 (2: dashed).
plot.heat = percept.declare("plot.heat", "spec:table", heat,
  "heat map: plot.heat{values =, framed =, frame_name =, rows = {...}, columns = {...}, limits = {low, high}, numbers = false, "
    .. "digits = 2, " .. look .. "}")

return plot
