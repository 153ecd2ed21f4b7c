--- open: opens runs in the database and their child runs, finds their folders, closes them.
local recorder = require "percept.recorder"
local sys = require "percept.sys"
local T = require "percept.tensor"

local open = {}

local function is_file(path)
  return path ~= nil and path ~= "-" and select(2, sys.exists(path)) == "file"
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

--- Opens a run in a session, whose words go before those of o: {experiment, name, seed, config, db, tags, note, parent,
-- sweep, script, env}. o.config is final.
function open.run(session, o)
  local arg = rawget(_G, "arg") or {}
  local seed = session.seed or o.seed
  session:tell("on_plan", o.experiment, o.config, seed)
  local db = session.db or o.db or os.getenv "PERCEPT_DB" or "percept.db"
  local script = session.script or o.script or (is_file(arg[0]) and arg[0]) or nil
  if seed then T.manual_seed(seed) end
  local experiment = o.experiment or (script and script:match "([^/]+)%.lua$") or "scratch"
  local run
  if session.resume then
    run = recorder.resume{db = db, uid = session.resume.uid, step = session.resume.step}
  else
    run = recorder.start{
      db = db, experiment = experiment, name = session.name or o.name, seed = seed, config = o.config, script = script,
      tags = given(session.tags) or o.tags, note = session.note or o.note, parent = o.parent, sweep = session.sweep or o.sweep,
      command = session.command or script and table.concat({"percept", script, unpack(arg)}, " "), env = with_args(o.env, arg),
      repeats = session.repeats, other_data = session.other_data,
    }
  end
  session:tell("on_open", run)
  run.config, run.seed, run.resumed = o.config, seed, session.resume ~= nil
  run.experiment, run.script, run.session, run.child = experiment, script, session, child
  return run
end

--- The folder of a run's files, made if need be: <db without .db>.runs/<uid>
function open.folder(run)
  local base = run:db_path():gsub("%.db$", "") .. ".runs/" .. run:uid()
  sys.mkdir(base)
  return base
end

--- Closes what hangs on the run, then the run; closing twice has no effect.
function open.finish(run, status, message)
  for _, child_run in ipairs(run.children or {}) do open.finish(child_run, status, message) end
  run:finish(status, message)
end

return open
