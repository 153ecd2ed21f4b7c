--- percept repro UID: the same run again, and whether it says the same.
local config = require "percept.run.config"
local options = require "percept.cli.options"
local process = require "percept.process"
local recorder = require "percept.recorder"
local records = require "percept.records"
local script = require "percept.run.script"
local session = require "percept.run.session"
local sys = require "percept.sys"
local trust = require "percept.run.trust"
local T = require "percept.tensor"

local command = {
  help = "runs a run again from what is recorded of it, and compares every figure",
  usage = {"UID"},
  about = "The same script and modules (their digests are compared), configuration, seed, number of threads and data (the "
    .. "script says what it loads; its digest is compared then). Where one has changed: a message, and nothing is run; --force "
    .. "runs all the same.\n"
    .. "Compared are all results, the last value of each metric, and its curve, to the last bit. Figures that are times by "
    .. "nature are left out: names that end in seconds, seconds_per_..., _ms, _s, or hold per_second or /s. The new run is "
    .. "archived, tagged repro, and holds which run it repeats. Child runs (inversions, replays) are compared with it. Exit "
    .. "code 0: every figure is the same; 1: one differs.",
  options = options.join({
    {flag = "--force", text = "although sources, data or versions have changed"},
    {flag = "--dry", text = "compares sources and versions; runs nothing"},
    {flag = "--threads", value = "N", kind = "int(1..)", text = "another number of threads than the run had"},
    {flag = "--tolerance", value = "X", kind = "num(0..)", default = 0, text = "relative difference that counts as the same"},
    {flag = "--trust", text = "runs the script of a run that was recorded on another machine or by another user"},
    {flag = "--keep", text = "does not archive the new run"},
  }, options.db),
  examples = {{"percept repro 20260131-1"}, {"percept repro 20260131-1 --dry", "is it still the same script?"}},
  positional = {"uid"},
}

-- ---- what the run was ----

local function read_run(db, uid)
  local run = recorder.query(db, "select * from run where uid = :uid", {uid = uid})[1]
  if not run.script then error(("repro: %s was not made by a script that is recorded"):format(uid), 0) end
  if run.status == "running" then error(("repro: %s is still running"):format(uid), 0) end
  if run.parent_id then
    local parent = recorder.query(db, "select uid, script from run where id = :id", {id = run.parent_id})[1]
    if parent and parent.script == run.script then
      error(("repro: %s is a child of %s, which makes it: percept repro %s"):format(uid, parent.uid, parent.uid), 0)
    end
  end
  run.sources = recorder.query(db, [[select s.kind, s.path, s.digest from run_source s join run r on r.id = s.run_id
    where r.uid = :uid and s.kind in ('script', 'module') order by s.kind desc, s.path]], {uid = uid})
  run.env = {}
  local env = recorder.query(db, "select e.key, e.value from env e join run r on r.id = e.run_id where r.uid = :uid", {uid = uid})
  for _, row in ipairs(env) do
    run.env[row.key] = row.value
  end
  return run
end

-- Relative paths of a run are relative to where it was started.
local function enter(run)
  if sys.exists(run.script) or not run.cwd or run.cwd == process.cwd() then return end
  if not sys.exists(run.cwd) then
    error(("repro: there is no %s here, and the folder it was started in, %s, is gone"):format(run.script, run.cwd), 0)
  end
  process.chdir(run.cwd)
  print("in " .. run.cwd)
end

local function absolute(path)
  return path:sub(1, 1) == "/" and path or process.cwd() .. "/" .. path
end

--- What differs between then and now: list of sentences that forbid the run, and of ones that are told alone.
local function changes(run)
  local hard, soft = {}, {}
  for _, s in ipairs(run.sources) do
    if not sys.exists(s.path) then
      hard[#hard + 1] = ("%s %s is gone"):format(s.kind, s.path)
    else
      local now = records.digest_file(s.path)
      if now ~= s.digest then
        hard[#hard + 1] = ("%s %s has changed: it was %s, it is %s"):format(s.kind, s.path, s.digest:sub(1, 12), now:sub(1, 12))
      end
    end
  end
  if #run.sources == 0 then hard[#hard + 1] = "no source of it is recorded" end
  if (run.resumed or 0) > 0 then soft[#soft + 1] = "it was cut off and taken up again; this run goes through" end
  local now = recorder.versions()
  for _, key in ipairs{"percept", "openblas", "blas_core", "simd", "luajit", "compiler"} do
    if run.env[key] and run.env[key] ~= now[key] then
      soft[#soft + 1] = ("%s was %s, is %s: last bits may differ"):format(key, run.env[key], now[key])
    end
  end
  return hard, soft
end

-- ---- comparing ----

--- Is this figure a time, which no run repeats?
local function is_time(name)
  local last = name:match "[^/]+$" or name
  return last:match "seconds$" ~= nil or last:match "seconds_per" ~= nil or last:match "_ms$" ~= nil or last:match "_s$" ~= nil
    or name:match "per_second" ~= nil or name:match "/s$" ~= nil
end

-- The run and its children (inversions, replays), told apart by what they are and their name.
local family = [[
with family as (
  select id, '' as child from run where uid = :uid
  union all
  select c.id, c.experiment || ' ' || ifnull(c.name, '') || ': ' from run c join run p on p.id = c.parent_id where p.uid = :uid)
]]

-- Everything of a run that can be compared, in the order in which it came about.
local function figures(db, uid)
  local out = {}
  local function add(name, at, value)
    if not is_time(name) then out[#out + 1] = {name = name .. at, value = value, key = name .. "\0" .. at} end
  end
  for _, row in ipairs(recorder.query(db, family .. [[
      select f.child || n.name as name, m.step, m.value from family f join metric m on m.run_id = f.id
      join metric_name n on n.id = m.name_id order by f.child <> '', m.step, n.name, f.child]], {uid = uid})) do
    add(row.name, (" at step %d"):format(row.step), row.value)
  end
  local rows = #out
  for _, row in ipairs(recorder.query(db, family .. [[
      select f.child || x.method || '/' || x.split || '/' || x.metric || case x.factor when '' then '' else '/' || x.factor end as name,
             x.seed, x.value
      from family f join result x on x.run_id = f.id order by x.id]], {uid = uid})) do
    add(row.name, row.seed and (", seed %d"):format(row.seed) or "", row.value)
  end
  return out, rows
end

local function same(a, b, tolerance)
  if a == b then return true end -- NaN is NULL, which is nil here
  if a == nil or b == nil then return false end
  return math.abs(a - b) <= tolerance * math.max(math.abs(a), math.abs(b))
end

local function number(v) return v == nil and "NaN" or ("%.17g"):format(v) end

--- Compares two runs; returns how many figures, how many differ, and the first that does as a sentence.
local function compare(db, first, second, tolerance)
  local old, curves = figures(db, first)
  local new = figures(db, second)
  local by_key, differ, example = {}, 0, nil
  local largest = 0
  for _, f in ipairs(new) do by_key[f.key] = f end
  for _, f in ipairs(old) do
    local g = by_key[f.key]
    by_key[f.key] = nil
    if not g or not same(f.value, g.value, tolerance) then
      differ = differ + 1
      example = example or (g and ("%s: was %s, is %s"):format(f.name, number(f.value), number(g.value))
        or ("%s: was %s, was not logged again"):format(f.name, number(f.value)))
      if g and f.value and g.value then
        largest = math.max(largest, math.abs(f.value - g.value) / math.max(math.abs(f.value), math.abs(g.value), 1e-300))
      end
    end
  end
  for _, f in ipairs(new) do
    if by_key[f.key] then
      differ = differ + 1
      example = example or ("%s: is %s, was not logged before"):format(f.name, number(f.value))
    end
  end
  return {figures = #old, rows = curves, results = #old - curves, differ = differ, first = example, largest = largest}
end

local function tell(db, uid, new, c)
  if c.differ == 0 then
    print(("the same: %d results and %d rows of curves, to the last bit"):format(c.results, c.rows))
    records.event(db, uid, "info", ("reproduced by %s: %d figures are the same"):format(new, c.figures))
    return 0
  end
  print(("%d of %d figures differ; the first: %s"):format(c.differ, c.figures, c.first))
  print(("largest relative difference: %.3g; percept diff %s %s tells more"):format(c.largest, uid, new))
  records.event(db, uid, "warning",
    ("not reproduced by %s: %d of %d figures differ; the first: %s"):format(new, c.differ, c.figures, c.first))
  return 1
end

-- ---- running ----

local function archive(db, uid) -- with its children
  for _, row in ipairs(recorder.query(db, family .. "select r.uid from family f join run r on r.id = f.id", {uid = uid})) do
    records.archive(db, row.uid)
  end
end

local function run_again(run, db, opts)
  local new
  local threads = opts.threads or run.threads
  local again = session.new{
    set = config.flatten(recorder.parse_json(run.config_json)), seed = run.seed, db = db, tags = {"repro"}, script = run.script,
    threads = threads, repeats = run.uid, other_data = opts.force or false, name = "repro-" .. run.uid:match "[^-]*$",
    note = "repeats " .. run.uid, command = options.shell{"percept", "repro", unpack(opts.words)},
    on_open = function(handle) new = new or handle:uid() end,
  }
  if threads then T.set_num_threads(threads) end
  local args = run.env.args and recorder.parse_json(run.env.args) or {}
  local ok, why = again:try(script.run, run.script, args)
  if not ok then
    if new and not opts.keep then archive(db, new) end
    error(why, 0)
  end
  recorder.finish_open("done") -- what the script left open
  if not new then error(("repro: %s opened no run"):format(run.script), 0) end
  return new
end

function command.run(opts)
  if #opts ~= 1 then return options.mistake("repro", #opts == 0 and "which run?" or "one run at a time") end
  local db = absolute(options.path(opts))
  local uid = options.uid(opts, opts[1])
  local run = read_run(db, uid)
  if not opts.dry then
    trust.check("repro", db, run, opts.trust, ("percept repro --trust %s"):format(uid))
  end
  enter(run)
  local hard, soft = changes(run)
  for _, text in ipairs(soft) do io.stderr:write("note: ", text, "\n") end
  if #hard > 0 then
    io.stderr:write(("percept repro: %s cannot be repeated as it was:\n"):format(uid))
    for _, text in ipairs(hard) do io.stderr:write("  ", text, "\n") end
    if not opts.force then
      io.stderr:write(("nothing was run. percept show %s --source prints the script as it ran; --force runs what is there now\n")
        :format(uid))
      return 1
    end
  end
  if opts.dry then
    print(#hard == 0 and ("%d sources are as they were"):format(#run.sources) or "it has changed")
    return #hard == 0 and 0 or 1
  end
  print(("repeating %s: %s, seed %s"):format(uid, run.script, tostring(run.seed or "none")))
  local new = run_again(run, db, opts)
  if not opts.keep then archive(db, new) end
  return tell(db, uid, new, compare(db, uid, new, opts.tolerance))
end

return command
