--- percept.run{...}: opens a run in the database.
-- percept.run{experiment = "mine", seed = 1, config = {width = 64}} -> run with
-- run:log(step, {...}), run:result{...}, run:artifact(path), run:finish().
-- db defaults to $PERCEPT_DB or percept.db, experiment to the script's name; the seed is
-- recorded and given to T.manual_seed. `percept run FILE --set key=value --seed N --db FILE`
-- goes before what the script says; run.config holds what is meant. What is left open at
-- the end of a script is closed as done, failed or killed.
local percept = require "percept"
local recorder = require "percept.recorder"
local T = require "percept.tensor"

local function is_file(path)
  local file = path and path ~= "-" and io.open(path, "r")
  if file then file:close() end
  return file and true or false
end

-- the script's own words, so that the run can be repeated
local function with_args(env, arg)
  if #arg == 0 then return env end
  local out = {args = recorder.json({unpack(arg)})}
  for key, value in pairs(env or {}) do out[key] = value end
  return out
end

local function given(list) return list and #list > 0 and list or nil end

-- A resumed run takes the children of its first life up again, so that none is there twice.
local function earlier_child(run, experiment, name)
  if not run.resumed then return nil end
  local rows = recorder.query(run:db_path(), [[
    select c.uid from run c join run p on p.id = c.parent_id
    where p.uid = :uid and c.experiment = :experiment and c.name is :name and c.archived = 0 order by c.id desc limit 1]],
    {uid = run:uid(), experiment = experiment, name = name})
  return rows[1] and rows[1].uid
end

local keep_rows = 2 ^ 53 -- a step no run reaches: what was logged stays, and is replaced step by step

local function child(self, options)
  local known = {kind = true, name = true, config = true, seed = true, note = true, tags = true}
  for key in pairs(options or {}) do
    if not known[key] then
      error(("run:child: unknown option '%s'; known are config, kind, name, note, seed, tags"):format(tostring(key)), 2)
    end
  end
  options = options or {}
  local experiment = (self.experiment or "scratch") .. "/" .. (options.kind or "child")
  local earlier = earlier_child(self, experiment, options.name)
  local run = earlier and recorder.resume{db = self:db_path(), uid = earlier, step = keep_rows}
    or recorder.start{
      db = self:db_path(), experiment = experiment, name = options.name, seed = options.seed or self.seed,
      config = options.config or {}, script = self.script, tags = options.tags, note = options.note, parent = self:uid(),
    }
  run.config, run.seed, run.experiment, run.script, run.resumed = options.config or {}, self.seed, experiment, self.script, earlier ~= nil
  run.child = child
  self.children = self.children or {}
  table.insert(self.children, run)
  return run
end

local function start(experiment, name, seed, config, db, tags, note, parent, sweep, script, env)
  local ask = require("percept.experiment").request
  local arg = rawget(_G, "arg") or {}
  local run
  if ask.capture then ask.capture() end -- load "UID" reads scripts up to here
  config = require("percept.experiment").configure(config or {}, ask.set)
  seed = ask.seed or seed
  if ask.plan then ask.plan(experiment, config, seed) end -- percept sweep asks what the script would run
  db = ask.db or db or os.getenv "PERCEPT_DB" or "percept.db"
  script = ask.script or script or (is_file(arg[0]) and arg[0]) or nil
  if seed then T.manual_seed(seed) end
  experiment = experiment or (script and script:match "([^/]+)%.lua$") or "scratch"
  if ask.resume then
    run = recorder.resume{db = db, uid = ask.resume.uid, step = ask.resume.step}
  else
    run = recorder.start{
      db = db, experiment = experiment, name = ask.name or name, seed = seed, config = config, script = script,
      tags = given(ask.tags) or tags, note = ask.note or note, parent = parent, sweep = ask.sweep or sweep,
      command = ask.command or script and table.concat({"percept", script, unpack(arg)}, " "), env = with_args(env, arg),
      repeats = ask.repeats, other_data = ask.other_data,
    }
  end
  if ask.opened then ask.opened(run) end
  run.config, run.seed, run.resumed = config, seed, ask.resume ~= nil
  run.experiment, run.script, run.child = experiment, script, child
  return run
end

return percept.declare("run",
  "experiment:str?, name:str?, seed:int?, config:table?, db:str?, tags:table?, note:str?, parent:str?, sweep:str?, script:str?, env:table?",
  start, "opens a run: run:log(step, {...}), run:result{...}, run:artifact(path), run:finish()")
