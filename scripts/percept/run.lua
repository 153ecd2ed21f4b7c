--- percept.run{...}: opens a run in the database.
-- percept.run{experiment = "mine", seed = 1, config = {width = 64}} -> run with
-- run:log(step, {...}), run:result{...}, run:artifact(path), run:finish().
-- db defaults to $PERCEPT_DB or percept.db. What is left open at the end of a script
-- is closed as done, failed or killed.
local percept = require "percept"
local recorder = require "percept.recorder"

local hooked = false

local function start(_, spec)
  spec = spec or {}
  local given = {}
  for key, value in pairs(spec) do given[key] = value end
  given.db = given.db or os.getenv "PERCEPT_DB" or "percept.db"
  given.experiment = given.experiment or "scratch"
  local script = rawget(_G, "arg") and rawget(_G, "arg")[0]
  if not given.script and script and script ~= "-" and io.open(script) then given.script = script end
  if not hooked then
    hooked = true
    percept.on_exit(function(status, message) recorder.finish_open(status, message) end)
  end
  return recorder.start(given)
end

return setmetatable({}, {__call = start})
