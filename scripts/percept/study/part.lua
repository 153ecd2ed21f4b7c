--- Parts of a study that trains more than one model: each is a child run with a configuration, a folder, checkpoints and
-- results of its own, so that `percept run --resume` goes on inside of it.
local config = require "percept.run.config"
local open = require "percept.run.open"

local part = {}

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = copy(v) end
  return out
end

--- A child run `name` of run, kind "part". over: dotted keys of cfg -> values. Returns child run, its configuration.
function part.open(run, name, cfg, over)
  local own = config.configure(copy(cfg), over)
  local child = run:child{kind = "part", name = name, config = own}
  child.folder, child.callbacks = open.folder(child), run.callbacks
  print(("\n== %s"):format(name))
  return child, own
end

return part
