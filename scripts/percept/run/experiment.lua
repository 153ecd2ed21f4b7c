--- percept.experiment{...}: a study with typed defaults, recorded whatever happens.
--
--   percept.experiment{
--     name = "mine",
--     defaults = {steps = 1000, model = {width = 64}},
--     modules = function(cfg) return {decoder = ...} end,      -- optional: what load "UID" builds again
--     run = function(cfg, run) ... end,
--     on_step = function(run, t, loss, values) ... end,        -- optional, as on_log, on_eval, on_checkpoint:
--     on_end = function(run, status, message) ... end,         -- of every train.loop of the run; and the run's end
--   }
-- `percept run FILE --set model.width=96 --seed 2` overrides the defaults; a value of
-- another type or an unknown key is an error that says what is expected. The run is
-- opened, with its whole configuration, before the first step, and closed as done, failed or killed.
local percept = require "percept"
local T = require "percept.tensor"
local sys = require "percept.sys"

local experiment = {}

--- What the command line asked for: {set = {key = text}, seed =, db =, resume = row, ...}; set by percept.cli.
experiment.request = {}

--- {a = {b = 1}} as {["a.b"] = 1}. Lists, empty tables among them, are values.
function experiment.flatten(config, prefix, out)
  prefix, out = prefix or "", out or {}
  for key, value in pairs(config) do
    local name = prefix .. key
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      experiment.flatten(value, name .. ".", out)
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

-- ---- types ----

local function show(value)
  if type(value) == "string" then return ("string %q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local items = {}
  for i, v in ipairs(value) do items[i] = tostring(v) end
  return "{" .. table.concat(items, ",") .. "}"
end

local function mismatch(key, expected, default, got)
  error(("--set %s=%s: %s is expected (default %s), got %s"):format(key, tostring(got), expected, show(default), show(got)), 0)
end

local function to_number(key, value, default)
  local n = tonumber(value)
  if not n then mismatch(key, "a number", default, value) end
  return n
end

local function to_boolean(key, value, default)
  if type(value) == "boolean" then return value end
  if value ~= "true" and value ~= "false" then mismatch(key, "true or false", default, value) end
  return value == "true"
end

local function to_list(key, value, default)
  local items = value
  if type(value) == "string" then
    items = {}
    local body = value:match "^%s*[%[{](.*)[%]}]%s*$" or value
    for item in body:gmatch "[^,]+" do items[#items + 1] = item:match "^%s*(.-)%s*$" end
  elseif type(value) ~= "table" then
    items = {value}
  end
  local list, kind = {}, type(default[1])
  for i, item in ipairs(items) do
    if kind == "number" then
      list[i] = tonumber(item)
      if not list[i] then mismatch(key, "a list of numbers, as in 1,2,3,", default, value) end
    elseif kind == "boolean" then
      list[i] = to_boolean(key, item, default)
    else
      list[i] = item
    end
  end
  return list
end

-- A value for `key`, of the type of its default: text from the command line, or a value from a recorded configuration.
local function typed(key, value, default)
  if type(default) == "number" then return to_number(key, value, default) end
  if type(default) == "boolean" then return to_boolean(key, value, default) end
  if type(default) == "table" then return to_list(key, value, default) end
  if type(value) == "table" or type(value) == "boolean" then mismatch(key, "a string", default, value) end
  return tostring(value)
end

local function unknown(key, known)
  local names, within, last = {}, {}, {}
  for name in pairs(known) do
    names[#names + 1] = name
    if name:sub(1, #key + 1) == key .. "." then within[#within + 1] = name end
    if name:match "[^.]+$" == key then last[#last + 1] = name end
  end
  table.sort(names)
  table.sort(within)
  table.sort(last)
  if #within > 0 then
    error(("--set %s: this is a group; its keys are %s"):format(key, table.concat(within, ", ")), 0)
  end
  local near = last[1] or percept.nearest(key, names)
  error(("--set %s: unknown key%s; known are %s"):format(key, near and (", did you mean '%s'?"):format(near) or "",
    table.concat(names, ", ")), 0)
end

--- defaults with overrides (dotted keys -> text or values). A key that the defaults lack is an error
-- that names the nearest and lists the known ones; so is a value of another type.
function experiment.configure(defaults, overrides)
  local config = copy(defaults)
  local known = experiment.flatten(defaults)
  for key, value in pairs(overrides or {}) do
    if known[key] == nil then unknown(key, known) end
    assign(config, key, typed(key, value, known[key]))
  end
  return config
end

--- The folder of a run's files, made if need be: <db without .db>.runs/<uid>
function experiment.folder(run)
  local base = run:db_path():gsub("%.db$", "") .. ".runs/" .. run:uid()
  sys.mkdir(base)
  return base
end

-- ---- running ----

local callbacks = {"on_step", "on_log", "on_eval", "on_checkpoint", "on_end"}

local function check_spec(spec)
  local known = {name = "string", defaults = "table", run = "function", modules = "function", seed = "number"}
  for _, name in ipairs(callbacks) do known[name] = "function" end
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  for key, value in pairs(spec) do
    local want = known[key]
    if not want then
      local near = percept.nearest(tostring(key), names)
      error(("experiment: unknown key '%s'%s; known are %s"):format(tostring(key),
        near and (", did you mean '%s'?"):format(near) or "", table.concat(names, ", ")), 0)
    elseif type(value) ~= want then
      error(("experiment: %s is a %s; a %s is expected"):format(key, type(value), want), 0)
    end
  end
  for _, key in ipairs{"name", "run"} do
    if spec[key] == nil then error(("experiment: '%s' is missing"):format(key), 0) end
  end
end

-- The loops of the run tell the study; the end of the run is told here, not that of each loop.
local function hooks(spec)
  local out = {}
  for _, name in ipairs(callbacks) do
    if name ~= "on_end" then out[name] = spec[name] end
  end
  return out
end

local function run_study(spec, config, run)
  run.folder = experiment.folder(run)
  run.experiment = spec.name
  run.callbacks = hooks(spec)
  local result = spec.run(config, run)
  if spec.on_end then spec.on_end(run, "done") end
  return result
end

-- Closes what hangs on the run, then the run; closing twice has no effect.
local function finish(run, status, message)
  for _, child in ipairs(run.children or {}) do finish(child, status, message) end
  run:finish(status, message)
end
experiment.finish = finish

--- After an interrupt: the checkpoint of the loop that was cut off, and a word about it.
function experiment.rescue()
  local ok, step, path = pcall(require("percept.train").rescue)
  if sys.isatty(2) then io.stderr:write "\n" end -- behind the progress bar
  if ok and step and path then io.stderr:write(("checkpoint at step %d: %s\n"):format(step, path)) end
end

--- Runs the study. Returns what its function returns.
function experiment.start(spec)
  check_spec(spec)
  local ask = experiment.request
  if ask.capture then ask.capture(spec) end -- load "UID" wants to know how models are built; does not return
  local config = experiment.configure(spec.defaults or {}, ask.set)
  local seed = ask.seed or spec.seed or 1
  if ask.threads then T.set_num_threads(ask.threads) end
  local run = require "percept.run"{experiment = spec.name, seed = seed, config = config}
  local trace
  local ok, result = xpcall(run_study, function(message)
    if type(message) ~= "string" then message = tostring(message) end
    trace = debug.traceback(message, 2)
    return message
  end, spec, config, run)
  if ok then
    finish(run, "done")
    return result
  end
  local killed = sys.interrupted() or result:find("interrupted", 1, true)
  if killed then experiment.rescue() else require("percept.train").forget() end
  finish(run, killed and "killed" or "failed", trace or result)
  if spec.on_end then pcall(spec.on_end, run, killed and "killed" or "failed", result) end
  local own = {} -- where in the user's files it happened
  for line in (trace or ""):gmatch "\n(\t[^\n]+)" do
    if not line:find("scripts/percept/", 1, true) and not line:find("[C]", 1, true) then own[#own + 1] = line end
  end
  error(#own > 0 and not killed and result .. "\nin the study:\n" .. table.concat(own, "\n") or result, 0)
end

return setmetatable(experiment, {__call = function(_, spec) return experiment.start(spec) end})
