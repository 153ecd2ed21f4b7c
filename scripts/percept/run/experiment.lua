--- percept.experiment{...}: a study with typed defaults, recorded whatever happens.
--
--   percept.experiment{
--     name = "mine",
--     defaults = {steps = 1000, model = {width = 64}},
--     options = {steps = "int(0..)", ["model.width"] = "int(1..)"}, -- optional: ranges, checked before anything runs
--     modules = function(cfg) return {decoder = ...} end,      -- optional: what load "UID" builds again
--     run = function(cfg, run) ... end,
--     on_step = function(run, t, loss, values) ... end,        -- optional, as on_log, on_eval, on_checkpoint:
--     on_end = function(run, status, message) ... end,         -- of every train.loop of the run; and the run's end
--   }
-- `percept run FILE --set model.width=96 --seed 2` overrides the defaults; a value of
-- another type or an unknown key is an error that says what is expected. The run is
-- opened, with its whole configuration, before the first step, and closed as done, failed or killed.
local config = require "percept.run.config"
local declared = require "percept.base.declared"
local open = require "percept.run.open"
local percept = require "percept"
local process = require "percept.process"
local session = require "percept.run.session"
local sys = require "percept.sys"
local T = require "percept.tensor"
local train = require "percept.train"

local closing_seconds = 20 -- after a signal: for the checkpoint and the run's last rows

local experiment = {}

--- {a = {b = 1}} as {["a.b"] = 1}. Lists, empty tables among them, are values.
function experiment.flatten(values) return config.flatten(values) end

--- defaults with overrides (dotted keys -> text or values). A key that the defaults lack is an error
-- that names the nearest and lists the known ones; so is a value of another type.
function experiment.configure(defaults, overrides) return config.configure(defaults, overrides) end

--- The folder of a run's files, made if need be: <db without .db>.runs/<uid>
function experiment.folder(run) return open.folder(run) end

-- ---- running ----

local callbacks = {"on_step", "on_log", "on_eval", "on_checkpoint", "on_end"}

local function check_spec(spec)
  local known = {name = "string", defaults = "table", run = "function", modules = "function", seed = "number", options = "table"}
  for _, name in ipairs(callbacks) do known[name] = "function" end
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  if type(spec) ~= "table" then
    error(("experiment: a table {name =, run = function(cfg, run), ...} is expected, not %s"):format(
      spec == nil and "nothing" or "a " .. type(spec)), 0)
  end
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

-- Values against what the study says of them, and what perceive.defaults says.
local function check_values(spec, values)
  declared.check(spec.defaults or {}, values)
  local flat = config.flatten(values)
  for name, kind in pairs(spec.options or {}) do
    if flat[name] == nil then error(("experiment: options.%s: no such key in the defaults"):format(tostring(name)), 0) end
    declared.value(spec.name, name, kind, flat[name])
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

local function run_study(spec, values, run)
  run.folder = open.folder(run)
  run.experiment = spec.name
  run.callbacks = hooks(spec)
  local result = spec.run(values, run)
  if spec.on_end then spec.on_end(run, "done") end
  return result
end

--- After an interrupt: the checkpoint of the loop that was cut off, and a word about it.
function experiment.rescue()
  local ok, step, path = pcall(train.rescue)
  if sys.isatty(2) then io.stderr:write "\n" end -- behind the progress bar
  if ok and step and path then io.stderr:write(("checkpoint at step %d: %s\n"):format(step, path)) end
end

--- Runs the study, in the session of the script that calls it unless one is given. Returns what its function returns.
function experiment.start(spec, mine)
  check_spec(spec)
  mine = mine or session.current()
  mine:tell("on_study", spec)
  local values = config.configure(spec.defaults or {}, mine.set)
  check_values(spec, values)
  if mine.threads then T.set_num_threads(mine.threads) end
  local run = open.run(mine, {experiment = spec.name, seed = spec.seed or 1, config = values})
  local trace
  local ok, result = xpcall(run_study, function(message)
    if type(message) ~= "string" then message = tostring(message) end
    trace = debug.traceback(message, 2)
    return message
  end, spec, values, run)
  if ok then
    open.finish(run, "done")
    return result
  end
  local killed = percept.signal() or result:find("interrupted", 1, true)
  if killed then process.hold_signal(closing_seconds) end
  if killed then experiment.rescue() else train.forget() end
  open.finish(run, killed and "killed" or "failed", trace or result)
  if killed then process.hold_signal(0.3) end -- from here on the study's own code runs
  if spec.on_end then pcall(spec.on_end, run, killed and "killed" or "failed", result) end
  local own = {} -- where in the user's files it happened
  for line in (trace or ""):gmatch "\n(\t[^\n]+)" do
    if not line:find("scripts/percept/", 1, true) and not line:find("[C]", 1, true) then own[#own + 1] = line end
  end
  error(#own > 0 and not killed and result .. "\nin the study:\n" .. table.concat(own, "\n") or result, 0)
end

return setmetatable(experiment, {__call = function(_, spec) return experiment.start(spec) end})
