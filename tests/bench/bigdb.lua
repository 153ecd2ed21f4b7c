--- bigdb: a database as large as a year of work: 1,000 runs x 10 metrics x 10,000 steps, and what hangs on runs.
--
--   percept tests/bench/bigdb.lua FILE [RUNS] [METRICS] [STEPS]     makes it: about 3 GB in five minutes
--   percept tests/bench/bigdb.lua --time FILE                       times the shipped queries and the list of runs
--
-- The first run is recorded as any other; the rest is copied from it in SQL by the program itself, with
-- configurations (seeds 1 to 5 of each), results, checkpoints, sources and data of their own. Curves fall
-- with noise. Times are of whole commands, start of the program included: best and median of five, and least processor time.
local percept = require "percept"
local recorder = require "percept.recorder"
local process = require "percept.process"
local sys = require "percept.sys"

local function exec(db, sql, params)
  local began = sys.time()
  recorder.query(db, sql, params, true)
  io.stderr:write(("  %6.1f s  %s\n"):format(sys.time() - began, sql:match "^%s*([^\n]+)"))
end

local function make(db, runs, metrics, steps)
  local run = recorder.start{
    db = db, experiment = "big", name = "r1", seed = 1, script = arg[0],
    config = {model = {dim = 32, layers = 2, act = "gelu"}, lr = 1e-3, batch = 16, steps = 10000, warmup = 100, clip = 1,
      data = "data/scenes", augment = {flip = true, crop = 4}, penalty = {weight = 0.1}},
  }
  local row = {}
  for i = 1, metrics do row["m" .. i] = 1 end
  run:log(0, row)
  run:goal("m1", "min")
  run:finish()
  exec(db, [[insert into run(uid, experiment, name, seed, status, started_ms, ended_ms, heartbeat_ms, host, pid, script,
      command, commit_id, dirty, cpu, threads, config_json, config_digest, error, parent_id)
    with recursive i(i) as (select 2 union all select i + 1 from i where i < :runs)
    select printf('20260101-%06d-%08x', i, i * 2654435761 % 4294967296), 'big' || (i / 5 % 4), 'r' || i, i % 5 + 1,
      case i % 50 when 0 then 'failed' when 1 then 'killed' else 'done' end, r.started_ms + i * 60000,
      r.started_ms + i * 60000 + 600000, r.started_ms + i * 60000 + 600000, r.host, 1, r.script, r.command,
      printf('%040x', i / 100), 0, r.cpu, 2, r.config_json, printf('%08x%024x', i / 5 * 2654435761 % 4294967296, i / 5),
      case i % 50 when 0 then 'x.lua:3: boom' || char(10) || 'traceback' end, case i % 10 when 9 then 1 end
    from i, run r where r.id = 1]], {runs = runs})
  exec(db, [[insert into param select r.id, p.key,
      case p.key when 'model.dim' then 16 * (1 + r.id / 5 % 8) when 'lr' then 1e-4 * (1 + r.id / 5 % 10) else p.num end, p.txt
    from run r, param p where r.id > 1 and p.run_id = 1]])
  exec(db, [[insert into result(run_id, method, split, metric, factor, value, seed, n, t_ms)
    select r.id, m.value, s.value, 'accuracy', '', 0.5 + (r.id * 37 + m.key * 11 + s.key * 7) % 100 / 250.0,
      r.seed, 500, r.started_ms
    from run r, json_each('["encoder","search","replay","replay + search"]') m, json_each('["id","ood"]') s]])
  exec(db, [[insert into artifact(run_id, kind, step, path, digest, bytes, t_ms)
    select r.id, 'checkpoint', k.value * 2500, 'big.runs/' || r.uid || '/' || k.value, printf('%032x', r.id * 10 + k.value),
      1000000, r.started_ms from run r, json_each('[1,2,3,4]') k]])
  exec(db, "insert into dataset values ('d1', 'scenes', 10000, 'data/scenes')")
  exec(db, "insert into run_dataset select id, 'd1', 'data' from run")
  exec(db, "insert into run_source select r.id, s.kind, s.path, s.digest from run r, run_source s where r.id > 1 and s.run_id = 1")
  exec(db, "insert into env select r.id, e.key, e.value from run r, env e where r.id > 1 and e.run_id = 1")
  exec(db, "delete from metric")
  exec(db, "delete from metric_last")
  for from = 1, runs, 50 do
    exec(db, [[insert into metric(run_id, name_id, step, value, t_ms)
      with recursive s(s) as (select 0 union all select s + 1 from s where s < :steps - 1)
      select r.id, n.id, s, 4.0 / (1 + s * (n.id + r.id % 7) / 2000.0)
        + ((s * 7919 + r.id * 104729 + n.id * 31) * 2654435761 % 1000003) / 1000003.0 * 0.2, r.started_ms + s * 60
      from run r, metric_name n, s where r.id between :from and :from + 49]], {steps = steps, from = from})
  end
  exec(db, [[insert into metric_block(run_id, name_id, step, final, min, max, n)
    select run_id, name_id, min(step), max(step), min(value), max(value), count(*) from metric
    group by run_id, name_id, step / 128 having count(*) = 128]])
  exec(db, [[insert into metric_last select a.run_id, a.name_id, a.step, m.value, a.lo, a.hi, a.n, 0, m.t_ms
    from (select run_id, name_id, max(step) as step, min(value) as lo, max(value) as hi, count(*) as n
          from metric group by run_id, name_id) a join metric m using (run_id, name_id, step)]])
end

local function measure(words)
  local times, cpus = {}, {}
  for k = 1, 5 do
    local began, cpu = sys.time(), process.children_cpu()
    process.spawn(words, {}, "/dev/null")
    local _, code = process.wait(600)
    times[k], cpus[k] = sys.time() - began, process.children_cpu() - cpu
    if code ~= 0 then error(table.concat(words, " ") .. ": exit " .. tostring(code), 0) end
  end
  table.sort(times)
  table.sort(cpus)
  return times[1], times[3], cpus[1]
end

local function ms(seconds) return math.floor(seconds * 1e4 + 0.5) / 10 end

local function time(db)
  local uids = recorder.query(db, "select uid from run order by id desc limit 2")
  local a, b = uids[1].uid, uids[2].uid
  local one = recorder.query(db, "select uid, name from run where id = 500")[1]
  local path = recorder.query(db, "select path from artifact where run_id = 500")[1].path
  local asked = {
    {"--version"}, {"runs"}, {"show", a},
    {"sql", "@best", "metric=m1"}, {"sql", "@best", "metric=encoder/ood/accuracy", "goal=max"},
    {"sql", "@seeds", "metric=m1", "a=model.dim", "b=lr"}, {"sql", "@seeds", "metric=encoder/ood/accuracy", "a=model.dim"},
    {"sql", "@diff", "a=" .. a, "b=" .. b}, {"sql", "@curve", "metric=m1"},
    {"sql", "@curve", "metric=m1", "run=" .. one.uid}, {"sql", "@failed"}, {"sql", "@origin", "file=" .. path},
    {"sql", "@checkpoints", "run=" .. one.uid}, {"sql", "@checkpoints"}, {"sql", "@threshold", "metric=m1", "value=1.5"},
    {"sql", "@threshold", "metric=m1", "value=0.6"}, {"sql", "@sheet"}, {"sql", "@sheet", "experiment=big1"},
    {"sql", "@children"}, {"sql", "@paired", "a=replay", "b=encoder", "metric=accuracy"},
    {"sql", "@paired", "key=model.dim", "a=16", "b=32", "metric=m1"}, {"sql", "@paper"}, {"sql", "@slots"},
  }
  local rows = {}
  for _, words in ipairs(asked) do
    local command = {process.program(), words[1], words[1] ~= "--version" and "--db" or nil, words[1] ~= "--version" and db or nil}
    for i = 2, #words do command[#command + 1] = words[i] end
    local best, median, cpu = measure(command)
    rows[#rows + 1] = {table.concat(words, " "), ms(best), ms(median), ms(cpu)}
  end
  percept.records.table({"percept", "best ms", "median ms", "cpu ms"}, rows)
end

if arg[1] == "--time" and arg[2] then
  time(arg[2])
elseif arg[1] then
  make(arg[1], tonumber(arg[2] or 1000), tonumber(arg[3] or 10), tonumber(arg[4] or 10000))
else
  error("usage: percept tests/bench/bigdb.lua [--time] FILE [RUNS] [METRICS] [STEPS]", 0)
end
