--- writers: many processes record into one database: no lock error, no lost row, and what a logged step costs.
--
--   percept tests/bench/writers.lua [SECONDS] [PROCESSES] [FILE]      60 s, 8 processes
--
-- Every process logs ten metrics a step, 500 steps and a result a second. In the end the
-- rows are counted against what the processes say they logged. The cost of a step is processor time of the whole
-- process, the recorder's thread included: best and mean over stretches of 500 steps.
local process = require "percept.process"
local recorder = require "percept.recorder"
local sys = require "percept.sys"

local function child(db, seconds, number)
  local run = recorder.start{db = db, experiment = "writers", seed = number, config = {rate = 500}}
  local until_, steps, best, spent, stretches = sys.time() + seconds, 0, math.huge, 0, 0
  local row = {}
  while sys.time() < until_ do
    local cpu = sys.cpu_time()
    for _ = 1, 500 do
      steps = steps + 1
      for k = 1, 10 do row["metric/" .. k] = steps + k end
      run:log(steps, row)
    end
    cpu = (sys.cpu_time() - cpu) / 500
    best, spent, stretches = math.min(best, cpu), spent + cpu, stretches + 1
    run:result{method = "m", split = "s" .. stretches, metric = "x", value = steps}
    local rest = math.min(until_ - sys.time(), 1)
    if rest > 0 then process.sleep(rest) end
  end
  run:finish()
  print(("%d %.1f %.1f"):format(steps, best * 1e6, spent / stretches * 1e6))
end

local function parent(seconds, processes, db)
  local mine = not db
  db = db or os.tmpname() .. ".db"
  local logs = {}
  for k = 1, processes do
    logs[k] = os.tmpname()
    process.spawn({process.program(), arg[0], "--child", db, tostring(seconds), tostring(k)}, {}, logs[k])
  end
  local failed = 0
  for _ = 1, processes do
    local pid, code
    repeat pid, code = process.wait(seconds + 120) until pid
    if code ~= 0 then failed = failed + 1 end
  end
  local steps, best, mean, said = 0, math.huge, 0, {}
  for k = 1, processes do
    local text = io.open(logs[k]):read "*a"
    local n, lowest, average = text:match "^(%d+) (%S+) (%S+)\n$"
    if n then
      steps, best, mean = steps + tonumber(n), math.min(best, tonumber(lowest)), mean + tonumber(average) / processes
    else
      said[#said + 1] = text
    end
    os.remove(logs[k])
  end
  local rows = recorder.query(db, "select count(*) as n, count(distinct run_id) as runs from metric")[1]
  local last = recorder.query(db, "select sum(n) as n, sum(step) / 10 as steps from metric_last")[1]
  local done = recorder.query(db, "select sum(status = 'done') as n, (select count(*) from result) as results from run")[1]
  local check = recorder.query(db, "select * from pragma_integrity_check")[1].integrity_check
  print(("%d processes, %g s: %d steps logged, %d rows in the file (%d expected), %d rows by metric_last"):format(
    processes, seconds, steps, rows.n, 10 * steps, last.n))
  print(("%d runs done, %d results, %s"):format(done.n, done.results, check))
  print(("a step of 10 metrics: %.1f µs of processor time at best, %.1f on average"):format(best, mean))
  for _, text in ipairs(said) do io.stderr:write(text) end
  if mine then
    for _, tail in ipairs{"", "-wal", "-shm"} do os.remove(db .. tail) end
  end
  if failed > 0 then error(("%d processes failed"):format(failed), 0) end
  if rows.n ~= 10 * steps or last.n ~= rows.n or done.n ~= processes then error("rows are missing", 0) end
end

if arg[1] == "--child" then
  child(arg[2], tonumber(arg[3]), tonumber(arg[4]))
else
  parent(tonumber(arg[1] or 60), tonumber(arg[2] or 8), arg[3])
end
