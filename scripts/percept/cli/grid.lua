--- grid: the cells of a sweep, from axes as the command line gives them.
--   --grid model.width=32,64 --grid act=relu,gelu     every combination
--   --random lr=log:1e-4..1e-2 --random-n 5           five draws of every random axis together, for each combination
-- Draws are decided by the words alone: the same command gives the same cells.
local options = require "percept.cli.options"
local records = require "percept.records"

local grid = {}

local function split(text, separator) -- not within brackets: lists are values, too
  local out, depth, item = {}, 0, ""
  for c in text:gmatch "." do
    if c:match "[%[{]" then depth = depth + 1 elseif c:match "[%]}]" then depth = depth - 1 end
    if c == separator and depth == 0 then
      out[#out + 1] = item
      item = ""
    else
      item = item .. c
    end
  end
  out[#out + 1] = item
  return out
end

--- "a=1,2" as {key = "a", values = {"1", "2"}}; "n=1..4" counts. nil and what is wrong.
function grid.axis(text)
  local key, list = text:match "^([^=]+)=(.+)$"
  if not key then return nil, ("--grid needs key=value,value, not '%s'"):format(text) end
  local from, to, step = list:match "^(%-?%d+)%.%.(%-?%d+)$"
  if not from then from, to, step = list:match "^(%-?%d+)%.%.(%-?%d+)/(%d+)$" end
  local values = {}
  if from then
    local range, why = options.range(from, to, step)
    if not range then return nil, ("--grid %s: %s"):format(text, why) end
    for i, n in ipairs(range) do values[i] = ("%d"):format(n) end
  else
    values = split(list, ",")
  end
  if #values == 0 then return nil, ("--grid %s: no value"):format(text) end
  local seen = {}
  for _, v in ipairs(values) do
    if v == "" then return nil, ("--grid %s: an empty value"):format(text) end
    if seen[v] then return nil, ("--grid %s: %s stands there twice"):format(text, v) end
    seen[v] = true
  end
  return {key = key, values = values}
end

--- "lr=log:1e-4..1e-2", "x=0..1", "n=int:1..8", "act=of:relu,gelu" as {key =, draw = function(u in [0,1)) -> text}.
function grid.random_axis(text)
  local key, kind, rest = text:match "^([^=]+)=(%a+):(.+)$"
  if not key then
    key, rest = text:match "^([^=]+)=(.+)$"
    kind = "uniform"
  end
  if not key then return nil, ("--random needs key=lo..hi, not '%s'"):format(text) end
  if kind == "of" then
    local values = split(rest, ",")
    return {key = key, draw = function(u) return values[math.floor(u * #values) + 1] end}
  end
  local lo, hi = rest:match "^(.-)%.%.(.+)$"
  lo, hi = tonumber(lo), tonumber(hi)
  if not lo or not hi or not (lo < hi and lo > -math.huge and hi < math.huge) then
    return nil, ("--random %s: lo..hi with lo below hi is needed, both finite"):format(text)
  end
  if kind == "uniform" then
    return {key = key, draw = function(u) return ("%.6g"):format(lo + u * (hi - lo)) end}
  elseif kind == "int" then
    for _, n in ipairs{lo, hi} do
      if n ~= math.floor(n) or math.abs(n) >= 2 ^ 53 then
        return nil, ("--random %s: %.17g is no whole number below 2^53"):format(text, n)
      end
    end
    return {key = key, draw = function(u) return ("%d"):format(math.floor(lo + u * (hi - lo + 1))) end}
  elseif kind == "log" then
    if lo <= 0 then return nil, ("--random %s: a logarithmic range begins above 0"):format(text) end
    return {key = key, draw = function(u) return ("%.6g"):format(math.exp(math.log(lo) + u * (math.log(hi) - math.log(lo)))) end}
  end
  return nil, ("--random %s: '%s' is none of log, int, of; without a word: uniform"):format(text, kind)
end

-- in [0,1), decided by the text
local function draw(text) return tonumber(records.digest(text):sub(1, 12), 16) / 2 ^ 48 end

--- Cells of the axes: list of {key = text}, and the keys in their order. random_n: draws of the random axes.
function grid.cells(axes, random, random_n, salt)
  local cells, keys, seen = {{}}, {}, {}
  local function take(key)
    if seen[key] then error(("sweep: %s is swept twice"):format(key), 0) end
    seen[key] = true
    keys[#keys + 1] = key
  end
  local count = #random > 0 and random_n or 1
  for _, axis in ipairs(axes) do count = count * #axis.values end
  if count > options.most then
    error(("sweep: %.17g cells; at most %d are allowed"):format(count, options.most), 0)
  end
  for _, axis in ipairs(axes) do
    take(axis.key)
    local more = {}
    for _, cell in ipairs(cells) do
      for _, value in ipairs(axis.values) do
        local copy = {}
        for k, v in pairs(cell) do copy[k] = v end
        copy[axis.key] = value
        more[#more + 1] = copy
      end
    end
    cells = more
  end
  if #random == 0 then return cells, keys end
  local more = {}
  for _, cell in ipairs(cells) do
    for n = 1, random_n do
      local copy = {}
      for k, v in pairs(cell) do copy[k] = v end
      for _, axis in ipairs(random) do copy[axis.key] = axis.draw(draw(("%s/%s/%d"):format(salt or "", axis.key, n))) end
      more[#more + 1] = copy
    end
  end
  for _, axis in ipairs(random) do take(axis.key) end
  return more, keys
end

return grid
