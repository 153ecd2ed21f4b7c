--- session: what is asked of the runs that a script opens, by the one who runs the script.
--   local mine = session.new{db = "x.db", seed = 2, set = {["model.width"] = "96"}}
--   script.run("study.lua", {}, mine)
-- A command makes a session and hands it to the script that it runs. percept.experiment and percept.run in the script
-- ask for the session that they are in, hand it on, and keep it in the run. A script that nobody runs so is in a session
-- that asks for nothing.
local session = {}

local known = {
  set = "keys of the configuration -> text or values",
  seed = "the seed", db = "the database", name = "the run's name", tags = "its tags", note = "its note", sweep = "its sweep",
  script = "the script, as the run shall name it", command = "the command line that repeats the run",
  threads = "threads of kernels and BLAS",
  resume = "{uid =, step =}: the run to go on with",
  repeats = "uid of the run that this one repeats", other_data = "may the data differ from that run's?",
  on_study = "function(spec): at percept.experiment{...}, before anything is done; without spec: at a bare percept.run{...}",
  on_plan = "function(experiment, config, seed): before a run is opened",
  on_open = "function(run)",
}

local Session = {}
Session.__index = Session

--- A session that asks for these things.
function session.new(asks)
  for key in pairs(asks) do
    if not known[key] then error(("session: unknown key '%s'"):format(tostring(key)), 2) end
  end
  local self = {}
  for key, value in pairs(asks) do self[key] = value end
  return setmetatable(self, Session)
end

local nothing = session.new{}
local current = nothing

--- The session that the running script is in.
function session.current() return current end

--- The script that runs from here on is in this session.
function Session:enter()
  current = self
  return self
end

local function back(before, ...)
  current = before
  return ...
end

--- pcall(fn, ...) in this session; whatever happens, the one before is current again.
function Session:try(fn, ...)
  local before = current
  current = self
  return back(before, pcall(fn, ...))
end

--- Calls one of the session's own functions, where it has it: on_study, on_plan, on_open.
function Session:tell(what, ...)
  if self[what] then self[what](...) end
end

return session
