--- percept run SCRIPT: runs a study with overrides, or takes one up again.
local artifacts = require "percept.run.artifacts"
local config = require "percept.run.config"
local formats = require "percept.formats"
local options = require "percept.cli.options"
local process = require "percept.process"
local recorder = require "percept.recorder"
local records = require "percept.records"
local scripts = require "percept.run.script"
local session = require "percept.run.session"
local sys = require "percept.sys"
local trust = require "percept.run.trust"
local T = require "percept.tensor"

local command = {
  help = "runs a study, or takes one up again",
  usage = {"SCRIPT [ARGS]", "--resume [UID]"},
  about = "The script is Lua; percept.experiment{...} or percept.run{...} in it open the run, and what is set here goes "
    .. "before what the script says. ARGS are the script's (arg in Lua).\n"
    .. "Ctrl-C ends a run at the next operation: a checkpoint is written and the run marked killed; --resume goes on from it.",
  options = options.join({
    {flag = "--set", value = "KEY=VALUE", many = true, text = "overrides a default of the study, as model.width=96; may be given "
      .. "often, and of a key the last counts"},
    {flag = "--seed", value = "N", kind = "int64", text = "the seed"},
    {flag = "--seeds", value = "LIST", text = "one run after the other with the seeds of a list: 1..5 or 1,4,7"},
    {flag = "--name", value = "NAME", text = "a name for the run; commands take it for the uid"},
    {flag = "--tag", value = "TAG", many = true, text = "tags the run; may be given often"},
    {flag = "--note", value = "TEXT", text = "a note"},
    {flag = "--resume", value = "UID", optional = true, kind = "uid",
      text = "goes on with a run from its newest checkpoint; without UID: the newest one that was cut off"},
    {flag = "--from-start", text = "with --resume: from step 1 again; what the run logged and its child runs go"},
    {flag = "--trust", text = "with --resume: runs the script of a run that was recorded on another machine or by another user"},
    {flag = "--threads", value = "N", kind = "int(1..)", text = "threads of kernels and BLAS"},
    {flag = "--memory-limit", value = "BYTES",
      text = "bytes that tensors may take, as 512M or 2G: decoders and searches go by tiles that fit"},
  }, options.db),
  hidden = {
    {flag = "--sweep", value = "NAME"}, -- the run is a cell of this sweep
    {flag = "--child-of", value = "PID", kind = "int(1..)"}, -- end when that process does
  },
  examples = {
    {"percept run experiments/quickstart.lua", "the study as its script has it"},
    {"percept run experiments/quickstart.lua --seeds 1..3 --set fraction=0.3 --tag wide", "three runs"},
    {"percept run --resume", "goes on with the run that was cut off last"},
  },
  positional = {"script"},
  pass = true,
}

--- The run to resume: the one named, or the newest that is not done and has a checkpoint.
local function to_resume(db, uid)
  recorder.stale(db, {reap = true})
  if uid then uid = recorder.find(db, uid) end
  local rows = recorder.query(db, [[
    select r.uid, r.status, r.config_json, r.seed, r.name, r.cwd,
           r.script, r.host, r.user, r.command
    from run r where case :uid when '' then r.status in ('killed', 'failed') and not (r.parent_id is not null and r.command is null)
                     else r.uid = :uid end -- (a child of a process's own run goes on with its parent)
    order by r.id desc limit 1]], {uid = uid or ""})
  local row = rows[1]
  if not row then error("run --resume: no run of this database was cut off; percept runs lists them", 0) end
  if row.status == "done" then error(("run --resume: %s is done"):format(row.uid), 0) end
  if row.status == "running" then error(("run --resume: %s is still running"):format(row.uid), 0) end
  if not row.script then error(("run --resume: %s has no script"):format(row.uid), 0) end
  if not sys.exists(row.script) then
    error(("run --resume: there is no %s here; %s was started in %s"):format(row.script, row.uid, row.cwd), 0)
  end
  return row
end

-- The newest checkpoint whose file is there and whole: its step, 0 when none was ever written. One that is lost or damaged is
-- told; when none is left the run is not begun anew by itself: its rows would go.
local function last_checkpoint(db, uid)
  local rows, lost = recorder.query(db, [[select a.path, a.step from artifact a join run r on r.id = a.run_id
    where r.uid = :uid and a.kind = 'checkpoint' and a.complete order by a.step desc, a.id desc]], {uid = uid}), {}
  local function note(text, ...) io.stderr:write("run --resume: ", options.safe(text:format(...)), "\n") end
  for _, row in ipairs(rows) do
    local file, why = artifacts.find(db, uid, row.path)
    if not file and why ~= "is gone" then return row.step end -- where the script put it: training looks there
    local ok, mistake = true, nil
    if file then ok, mistake = pcall(formats.load_checkpoint, file) end
    if file and ok then
      if #lost > 0 then note("%s; going on from the one before, at step %d", lost[1], row.step) end
      return row.step
    end
    lost[#lost + 1] = file and options.reason(mistake) or ("the checkpoint %s of step %d is gone"):format(row.path, row.step)
  end
  if #rows == 0 then
    note("%s wrote no checkpoint yet; it begins at step 1 again", uid)
    return 0
  end
  error(("run --resume: %s: %s, and there is none before it; --from-start begins at step 1 and removes what the run logged"):format(
    uid, options.safe(lost[1])), 0)
end

-- Everything that a run logged, its checkpoints, and the runs that it made, go.
local function forget(db, uid)
  for _, row in ipairs(recorder.query(db, [[select c.uid from run c join run p on p.id = c.parent_id
      where p.uid = :uid and c.command is null]], {uid = uid})) do
    forget(db, row.uid)
    records.delete(db, row.uid)
  end
  for _, row in ipairs(recorder.query(db, [[select a.path from artifact a join run r on r.id = a.run_id
      where r.uid = :uid and a.kind in ('checkpoint', 'best')]], {uid = uid})) do
    local file = artifacts.find(db, uid, row.path) -- within the run's folder, or none
    if file then os.remove(file) end
  end
  for _, name in ipairs{"metric", "result", "artifact"} do
    recorder.query(db, ("delete from %s where run_id = (select id from run where uid = :uid)"):format(name), {uid = uid}, true)
  end
end

function command.run(opts)
  local set, why = options.settings(opts.set)
  if not set then return options.mistake("run", "%s", why) end
  if opts.memory_limit then
    local ok, mistake = pcall(sys.memory_limit, opts.memory_limit)
    if not ok then return options.mistake("run", "--memory-limit: %s", mistake:gsub("^.*memory_limit: ", "")) end
  end
  if opts.seed and opts.seeds then return options.mistake("run", "--seed or --seeds, not both") end
  local seeds
  if opts.seeds then
    seeds, why = options.seeds(opts.seeds)
    if not seeds then return options.mistake("run", "%s", why) end
  end
  local ask = {
    set = set, tags = opts.tag or {}, db = options.path(opts), seed = opts.seed, name = opts.name, note = opts.note,
    threads = opts.threads, sweep = opts.sweep, command = options.shell{"percept", "run", unpack(opts.words)},
  }
  local script, rest = opts[1], {unpack(opts, 2)}
  if opts.threads then T.set_num_threads(opts.threads) end
  if opts.child_of then process.die_with_parent(opts.child_of) end
  if opts.resume then
    if script then return options.mistake("run", "--resume goes on with the run's own script; '%s' is one word too many", script) end
    if opts.seeds then return options.mistake("run", "--resume goes on with one run; --seeds starts several") end
    for _, name in ipairs{"set", "seed", "name", "note", "tag"} do
      if opts[name] then return options.mistake("run", "--resume goes on with the run as it was begun; --%s would change it", name) end
    end
    local row = to_resume(ask.db, opts.resume ~= true and opts.resume or nil)
    trust.check("run --resume", ask.db, row, opts.trust, ("percept run --trust --resume %s"):format(row.uid))
    if opts.from_start then
      forget(ask.db, row.uid)
      row.step = 0
    else
      row.step = last_checkpoint(ask.db, row.uid)
    end
    ask.resume = {uid = row.uid, step = row.step}
    ask.seed = row.seed
    ask.set = config.flatten(recorder.parse_json(row.config_json))
    script = row.script
    print(("resuming %s at step %d: %s"):format(row.uid, row.step, script))
  end
  if not opts.resume and (opts.from_start or opts.trust) then
    return options.mistake("run", "%s goes with --resume", opts.from_start and "--from-start" or "--trust")
  end
  if not script then return options.mistake("run", "which script?") end
  ask.script = script
  for i = 1, seeds and #seeds or 1 do
    if seeds then ask.seed = seeds[i] end
    scripts.run(script, rest, session.new(ask))
  end
  return 0
end

return command
