--- percept run SCRIPT: runs a study with overrides, or takes one up again.
local cli = require "percept.cli"
local recorder = require "percept.recorder"
local experiment = require "percept.experiment"

local command = {
  help = "run a study: percept run FILE [--set key=value] [--seed N | --seeds A..B] [--db FILE] [--name --tag --note] [--threads N]; "
    .. "percept run --resume [UID]",
}

local function usage(text, ...)
  io.stderr:write("percept run: ", text:format(...), "\nusage: ", command.help, "\n")
  return 2
end

--- The run to resume: the one named, or the newest that is not done and has a checkpoint.
local function to_resume(db, uid)
  recorder.stale(db, {reap = true})
  if uid then uid = recorder.find(db, uid) end
  local rows = recorder.query(db, [[
    select r.uid, r.status, r.config_json, r.seed, r.name, r.cwd,
           r.script
    from run r where case :uid when '' then r.status in ('killed', 'failed') and not (r.parent_id is not null and r.command is null)
                     else r.uid = :uid end -- (a child of a process's own run goes on with its parent)
    order by r.id desc limit 1]], {uid = uid or ""})
  local row = rows[1]
  if not row then error("run --resume: no run of this database was cut off; percept runs lists them", 0) end
  if row.status == "done" then error(("run --resume: %s is done"):format(row.uid), 0) end
  if row.status == "running" then error(("run --resume: %s is still running"):format(row.uid), 0) end
  if not row.script then error(("run --resume: %s has no script"):format(row.uid), 0) end
  local file = io.open(row.script, "r")
  if not file then error(("run --resume: there is no %s here; %s was started in %s"):format(row.script, row.uid, row.cwd), 0) end
  file:close()
  row.step = recorder.checkpoint(db, row.uid)
  return row
end

local function flatten(config, prefix, out)
  for key, value in pairs(config) do
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      flatten(value, prefix .. key .. ".", out)
    else
      out[prefix .. key] = value
    end
  end
  return out
end

local takes = {
  ["--db"] = "db", ["--seed"] = "seed", ["--seeds"] = "seeds", ["--name"] = "name", ["--note"] = "note", ["--threads"] = "threads",
}

function command.main(args)
  local ask, script, rest, seeds, resume = {set = {}, tags = {}, db = os.getenv "PERCEPT_DB" or "percept.db"}, nil, {}, nil, false
  local i = 1
  while i <= #args do
    local a = args[i]
    if a == "--set" then
      i = i + 1
      local key, value = (args[i] or ""):match "^([%w_.]+)=(.*)$"
      if not key then return usage("--set needs key=value") end
      ask.set[key] = value
    elseif a == "--tag" then
      i = i + 1
      ask.tags[#ask.tags + 1] = args[i]
    elseif a == "--resume" then
      resume = true
      if args[i + 1] and not args[i + 1]:match "^%-" and not args[i + 1]:match "%.lua$" then
        i = i + 1
        ask.uid = args[i]
      end
    elseif takes[a] then
      i = i + 1
      if not args[i] then return usage("%s needs a value", a) end
      ask[takes[a]] = args[i]
    elseif a:sub(1, 2) == "--" and not script then
      return usage("unknown option %s", a)
    elseif not script then
      script = a
    else
      rest[#rest + 1] = a
    end
    i = i + 1
  end
  for _, key in ipairs{"seed", "threads"} do
    if ask[key] then
      ask[key] = tonumber(ask[key])
      if not ask[key] then return usage("--%s needs a number", key) end
    end
  end
  if resume then
    local row = to_resume(ask.db, ask.uid)
    ask.resume = {uid = row.uid, step = row.step}
    ask.seed = row.seed
    ask.set = flatten(recorder.parse_json(row.config_json), "", {})
    script = row.script
    print(("resuming %s at step %d: %s"):format(row.uid, math.max(0, row.step), script))
  end
  if not script then return usage("which script?") end
  if ask.seeds then
    local from, to = ask.seeds:match "^(%d+)%.%.(%d+)$"
    if not from then return usage("--seeds needs A..B, as in 1..3") end
    seeds = {tonumber(from), tonumber(to)}
  end
  ask.script = script
  experiment.request = ask
  for seed = seeds and seeds[1] or 1, seeds and seeds[2] or 1 do
    if seeds then ask.seed = seed end
    cli.run_script(script, rest)
  end
  return 0
end

return command
