-- `percept run --set` as typed: each line of the input is KEY=VALUE for a study with a default of every kind. What is
-- accepted must be a value of the default's type, finite where the default is.
local experiment = require "percept.experiment"

local function defaults()
  return {lr = 0.1, n = 3, label = "x", on = true, list = {1, 2, 3}, words = {"a", "b"}, milestones = {[100] = 0.1},
    model = {width = 64, act = "relu", deep = {gamma = 0.5}}}
end

local function same_kind(a, b, path)
  if type(a) ~= type(b) then error(("fuzz: %s was a %s and became a %s"):format(path, type(a), type(b)), 0) end
  if type(a) ~= "table" then return end
  for k, v in pairs(a) do
    if b[k] ~= nil then same_kind(v, b[k], path .. "." .. tostring(k)) end
  end
end

return function(bytes)
  local set = {}
  for line in bytes:gmatch "[^\n]+" do
    local key, value = line:match "^([^=]*)=(.*)$"
    if key then set[key] = value end
  end
  local before = defaults()
  local config = experiment.configure(before, set)
  same_kind(defaults(), config, "config")
  for k, v in pairs(defaults()) do
    if set[k] == nil and type(v) ~= "table" and config[k] ~= v then error("fuzz: " .. k .. " changed unasked", 0) end
  end
end
