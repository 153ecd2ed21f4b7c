--- percept.experiment{...}: a study with typed defaults, recorded whatever happens.
--
--   percept.experiment{
--     name = "quickstart",
--     defaults = {steps = 1000, model = {width = 64}},
--     run = function(cfg, run) ... end,
--   }
-- `percept run FILE --set model.width=96 --seed 2` overrides the defaults; a value of
-- another type or an unknown key is an error that lists the known ones. The run is
-- opened before the first step and closed as done, failed or killed.
local T = require "percept.tensor"
local sys = require "percept.sys"

local experiment = {}

--- What the command line asked for: {set = {key = text}, seed =, db =, resume = row, ...}; set by percept.cli.
experiment.request = {}

local function flatten(config, prefix, out)
  for key, value in pairs(config) do
    local name = prefix .. key
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      flatten(value, name .. ".", out)
    else
      out[name] = value
    end
  end
  return out
end

local function assign(config, path, value)
  local at = config
  for part in path:gmatch("([^.]+)%.") do at = at[part] end
  at[path:match("[^.]+$")] = value
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for k, v in pairs(value) do out[k] = copy(v) end
  return out
end

local function parse(key, text, default)
  if type(text) ~= "string" then return text end
  if type(default) == "number" then
    local n = tonumber(text)
    if not n then error(("--set %s=%s: a number is expected (default %s)"):format(key, text, tostring(default)), 0) end
    return n
  elseif type(default) == "boolean" then
    if text ~= "true" and text ~= "false" then error(("--set %s=%s: true or false is expected"):format(key, text), 0) end
    return text == "true"
  elseif type(default) == "table" then
    local list = {}
    for item in text:gmatch("[^,]+") do list[#list + 1] = type(default[1]) == "number" and tonumber(item) or item end
    return list
  end
  return text
end

--- defaults with overrides (dotted keys -> text or values); errors name the known keys.
function experiment.configure(defaults, overrides)
  local config = copy(defaults)
  local known = flatten(defaults, "", {})
  for key, text in pairs(overrides or {}) do
    if known[key] == nil then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      error(("--set %s: unknown key; known are %s"):format(key, table.concat(names, ", ")), 0)
    end
    assign(config, key, parse(key, text, known[key]))
  end
  return config
end

--- The folder of a run's files: <db without .db>.runs/<uid>/
local function run_folder(db_path, uid)
  local base = db_path:gsub("%.db$", "") .. ".runs/" .. uid
  sys.mkdir(base)
  return base
end

--- Runs the study. Returns what its function returns.
function experiment.start(spec)
  local ask = experiment.request
  local config = experiment.configure(spec.defaults or {}, ask.set)
  local seed = ask.seed or spec.seed or 1
  if ask.threads then T.set_num_threads(ask.threads) end
  local run = require "percept.run"{experiment = spec.name, seed = seed, config = config}
  run.folder = run_folder(run:db_path(), run:uid())
  run.experiment = spec.name
  local trace
  local ok, result = xpcall(spec.run, function(message)
    if type(message) ~= "string" then message = tostring(message) end
    trace = debug.traceback(message, 2)
    return message
  end, config, run)
  if ok then
    run:finish()
    return result
  end
  local killed = sys.interrupted() or result:find("interrupted", 1, true)
  if killed then
    local saved, step = pcall(require("percept.train").rescue)
    if saved and step then io.stderr:write(("checkpoint at step %d; percept run --resume goes on from it\n"):format(step)) end
  end
  run:finish(killed and "killed" or "failed", trace or result)
  local own = {} -- where in the user's files it happened
  for line in (trace or ""):gmatch "\n(\t[^\n]+)" do
    if not line:find("scripts/percept/", 1, true) and not line:find("[C]", 1, true) then own[#own + 1] = line end
  end
  error(#own > 0 and not killed and result .. "\nin the study:\n" .. table.concat(own, "\n") or result, 0)
end

return setmetatable(experiment, {__call = function(_, spec) return experiment.start(spec) end})
