--- revive: load "UID" brings a run's modules back to life.
-- A study says how its modules are built (percept.experiment{modules = function(cfg) ... end}). The script as it
-- was recorded is read again up to that statement, its `modules` is called with the recorded configuration, and
-- the weights come from the run's checkpoints.
local artifacts = require "percept.run.artifacts"
local recorder = require "percept.recorder"
local formats = require "percept.formats"
local settings = require "percept.run.config"
local session = require "percept.run.session"
local trust = require "percept.run.trust"

local revive = {}

local function fail(text, ...) error("load: " .. text:format(...), 0) end

local function run_row(db, uid)
  return recorder.query(db, [[
    select uid, experiment, name, seed, status, script, host, user, command, config_json from run where uid = :uid]], {uid = uid})[1]
end

-- ---- how the modules are built ----

local function recorded_script(db, row)
  local rows = recorder.query(db, [[
    select x.path, unzstd(s.body) as text from run_source x join source s on s.digest = x.digest join run r on r.id = x.run_id
    where r.uid = :uid and x.kind = 'script']], {uid = row.uid})
  return rows[1]
end

-- Runs the script until it reaches percept.experiment{...} and returns what stands between the braces; or until it
-- opens a run, and returns nil.
local function read_spec(source)
  local chunk, why = load(source.text, "@" .. source.path, "t") -- text alone: bytecode is checked by nobody
  if not chunk and why:find "wrong mode" then fail("the recorded script %s is compiled bytecode, which nobody can check", source.path) end
  if not chunk then fail("the recorded script does not compile: %s", why) end
  local caught
  local stop = {}
  local reading = session.new{on_study = function(spec)
    caught = spec
    error(stop, 0)
  end}
  setfenv(chunk, setmetatable({arg = {[0] = source.path}}, {__index = _G}))
  local ok, failure = reading:try(chunk)
  if caught then return caught end
  if not ok and failure ~= stop then fail("the recorded script %s fails: %s", source.path, tostring(failure)) end
end

local remedy = 'give percept.experiment a `modules = function(cfg) return {decoder = ...} end`, or say what the weights go into: '
  .. 'load("%s", {decoder = my_decoder})'

local function build(db, row)
  local source = recorded_script(db, row)
  if not source then fail("run %s has no script; " .. remedy:gsub("^give .- or s", "s"), row.uid, row.uid) end
  local spec = read_spec(source)
  if not spec or not spec.modules then
    fail("the script of %s (%s) does not say how its modules are built: " .. remedy, row.uid, source.path, row.uid)
  end
  local config = recorder.parse_json(row.config_json)
  -- as settings.configure left it: keys the defaults have, of the types the defaults have
  local known = settings.flatten(spec.defaults or {})
  local given = {}
  for key, value in pairs(settings.flatten(config)) do
    if known[key] ~= nil then given[key] = value end
  end
  config = settings.configure(spec.defaults or {}, given)
  local modules = spec.modules(config)
  if type(modules) ~= "table" then fail("`modules` of %s returns %s, not a table of modules", source.path, type(modules)) end
  return modules, config
end

-- ---- the weights ----

-- Newest first; with which = "best" those kept by evaluation before the others.
local function checkpoints(db, row, which)
  local rows = recorder.query(db, [[
    select a.path, a.step, a.kind from artifact a join run r on r.id = a.run_id
    where r.uid = :uid and a.complete and a.kind in ('checkpoint', 'best')
    order by a.kind = :first desc, a.step desc]], {uid = row.uid, first = which == "best" and "best" or "checkpoint"})
  local list = {}
  for _, c in ipairs(rows) do
    c.file = artifacts.find(db, row.uid, c.path)
    if c.file then list[#list + 1] = c end
  end
  return list
end

local function states_of(file)
  local states = {}
  for name, t in pairs((formats.load_checkpoint(file))) do
    local module, path = name:match "^module%.([^.]+)%.(.+)$"
    if module then
      states[module] = states[module] or {}
      states[module][path] = t
    end
  end
  return states
end

-- Fills the modules from the first checkpoint that holds each; returns the steps they come from.
local function fill(list, modules)
  local steps, seen, left = {}, {}, 0
  for _ in pairs(modules) do left = left + 1 end
  for _, c in ipairs(list) do
    if left == 0 then break end
    local ok, states = pcall(states_of, c.file)
    if not ok then io.stderr:write(("load: %s; an earlier checkpoint is looked for\n"):format(tostring(states))) end
    for name, state in pairs(ok and states or {}) do
      seen[name] = true
      if modules[name] and not steps[name] then
        modules[name]:load_state(state)
        steps[name], left = c.step, left - 1
      end
    end
  end
  return steps, seen
end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local Revived = {}
Revived.__index = Revived

function Revived.__tostring(self)
  local info = self.info
  local lines = {("run %s  %s%s  seed %s  %s"):format(info.uid, info.experiment, info.name and " " .. info.name or "",
    tostring(info.seed or "-"), info.status)}
  for _, name in ipairs(sorted(info.steps)) do
    lines[#lines + 1] = ("  %-12s %-10s %10d numbers, step %d"):format(name, self[name]:type(), self[name]:count(), info.steps[name])
  end
  if info.missing then lines[#lines + 1] = "  in no checkpoint: " .. table.concat(info.missing, ", ") end
  return table.concat(lines, "\n")
end

local function newest(db)
  local rows = recorder.query(db, [[
    select r.uid from run r where r.parent_id is null and r.archived = 0
      and exists (select 1 from artifact a where a.run_id = r.id and a.kind = 'checkpoint' and a.complete)
    order by r.id desc limit 1]])
  return rows[1] and rows[1].uid or fail("%s holds no run with a checkpoint", db)
end

--- Modules of a run by name, weights and all, ready to use (not in training mode); also config and info.
-- uid: the beginning of a uid, or a run's name; nil: the newest run. modules: what the weights go into, where the script does not say.
-- options: db, which ("latest" or "best"), trust: run the recorded script of another machine or user.
function revive.load(uid, modules, options)
  options = options or {}
  local db = options.db or os.getenv "PERCEPT_DB" or "percept.db"
  local row = run_row(db, uid and recorder.find(db, uid) or newest(db))
  local list = checkpoints(db, row, options.which)
  local config
  if modules then
    config = recorder.parse_json(row.config_json)
  else
    trust.check("load", db, row, options.trust, ('load("%s", {trust = true})'):format(row.uid))
    modules, config = build(db, row)
  end
  if #list == 0 then fail("run %s has no checkpoint whose file is there", row.uid) end
  local steps, seen = fill(list, modules)
  local out, missing = setmetatable({}, Revived), {}
  for _, name in ipairs(sorted(modules)) do
    if steps[name] then
      out[name] = modules[name]:train(false)
    else
      missing[#missing + 1] = name
    end
  end
  if next(steps) == nil then
    fail("the checkpoints of %s hold %s; the modules are called %s", row.uid, table.concat(sorted(seen), ", "),
      table.concat(missing, ", "))
  end
  rawset(out, "config", config)
  rawset(out, "info", {uid = row.uid, experiment = row.experiment, name = row.name, seed = row.seed, status = row.status,
    steps = steps, missing = #missing > 0 and missing or nil})
  return out
end

return revive
