--- percept.run{...}: opens a run in the database.
-- percept.run{experiment = "mine", seed = 1, config = {width = 64}} -> run with
-- run:log(step, {...}), run:result{...}, run:artifact(path), run:finish().
-- db defaults to $PERCEPT_DB or percept.db, experiment to the script's name; the seed is
-- recorded and given to T.manual_seed. `percept run FILE --set key=value --seed N --db FILE`
-- goes before what the script says; run.config holds what is meant. What is left open at
-- the end of a script is closed as done, failed or killed.
local config = require "percept.run.config"
local open = require "percept.run.open"
local percept = require "percept"
local session = require "percept.run.session"

local function start(experiment, name, seed, settings, db, tags, note, parent, sweep, script, env)
  local mine = session.current()
  mine:tell("on_study")
  return open.run(mine, {
    experiment = experiment, name = name, seed = seed, config = config.configure(settings or {}, mine.set), db = db, tags = tags,
    note = note, parent = parent, sweep = sweep, script = script, env = env,
  })
end

return percept.declare("run",
  "experiment:str?, name:str?, seed:int?, config:table?, db:str?, tags:table?, note:str?, parent:str?, sweep:str?, script:str?, env:table?",
  start, "opens a run: run:log(step, {...}), run:result{...}, run:artifact(path), run:finish()")
