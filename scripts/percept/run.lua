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

local function given(list) return list and #list > 0 and list or nil end

local function start(experiment, name, seed, config, db, tags, note, parent, sweep, script, env)
  local ask = require("percept.experiment").request
  local arg = rawget(_G, "arg") or {}
  local run
  config = require("percept.experiment").configure(config or {}, ask.set)
  seed = ask.seed or seed
  db = ask.db or db or os.getenv "PERCEPT_DB" or "percept.db"
  script = ask.script or script or (is_file(arg[0]) and arg[0]) or nil
  if seed then T.manual_seed(seed) end
  if ask.resume then
    run = recorder.resume{db = db, uid = ask.resume.uid, step = ask.resume.step}
  else
    run = recorder.start{
      db = db, experiment = experiment or (script and script:match "([^/]+)%.lua$") or "scratch", name = ask.name or name, seed = seed,
      config = config, script = script, tags = given(ask.tags) or tags, note = ask.note or note, parent = parent, sweep = sweep,
      command = script and table.concat({"percept", script, unpack(arg)}, " "), env = env,
    }
  end
  run.config, run.seed, run.resumed = config, seed, ask.resume ~= nil
  return run
end

return percept.declare("run",
  "experiment:str?, name:str?, seed:int?, config:table?, db:str?, tags:table?, note:str?, parent:str?, sweep:str?, script:str?, env:table?",
  start, "opens a run: run:log(step, {...}), run:result{...}, run:artifact(path), run:finish()")
