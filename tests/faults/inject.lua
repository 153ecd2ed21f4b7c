--- inject.lua SHIM [N] [SEED] [KIND,KIND...]: N injected faults, one a process, into a whole small study (study.lua).
-- SHIM is shim.so, whose head lists the kinds. After each fault: no signal ended the process and nothing hung; an
-- error was said in words; the database is sound and holds every row that a flush had promised; then the study is
-- resumed without a fault and ends with the same figures, to the last bit, as a run that nothing befell, and leaves
-- no temporary files. Prints a table and "P passed, F failed"; what failed stays under the folder that it names.
local percept = require "percept"
local process, recorder, sys = percept.process, percept.recorder, percept.sys

local shim, total, seed = assert(arg[1], "which shim?"), tonumber(arg[2] or 40), tonumber(arg[3] or 1)
local only = arg[4] and arg[4] ~= "" and ("," .. arg[4] .. ",")
local jobs = tonumber(os.getenv "JOBS" or 2)
local here = process.cwd()
local study = here .. "/tests/faults/study.lua"
if shim:sub(1, 1) ~= "/" then shim = here .. "/" .. shim end
local top = os.tmpname()
os.remove(top)
sys.mkdir(top)

-- Of each kind: what its calls are counted as, its share of N, and what is asked afterwards.
local kinds = {
  {name = "malloc", sort = "malloc", share = 6}, {name = "mapping", sort = "mapping", share = 1},
  {name = "write", sort = "write", share = 3}, {name = "short", sort = "write", share = 2}, {name = "full", sort = "write", share = 3},
  {name = "sync", sort = "sync", share = 1}, {name = "read", sort = "read", share = 1}, {name = "open", sort = "open", share = 1},
  {name = "rename", sort = "rename", share = 1}, {name = "readonly", sort = "open", share = 1},
  {name = "vanish", sort = "write", share = 1, gone = true}, {name = "clock", sort = "clock", share = 1},
  {name = "term", sort = "write", share = 2}, {name = "int", sort = "write", share = 2},
  {name = "kill", sort = "write", share = 5, killed = true}, {name = "power", sort = "write", share = 5, killed = true, power = true},
}

local function read(path)
  local f = io.open(path, "rb")
  if not f then return "" end
  local text = f:read "*a"
  f:close()
  return text
end

local function environment(dir, fault)
  local env = {"PROGRESS=" .. dir .. "/progress.txt", "OMP_NUM_THREADS=1", "OMP_WAIT_POLICY=passive", "HOME=" .. dir,
    "XDG_CACHE_HOME=" .. dir}
  if fault then
    env[#env + 1] = "LD_PRELOAD=" .. shim
    env[#env + 1] = "PERCEPT_FAULT=" .. fault
    env[#env + 1] = "PERCEPT_FAULT_ROOT=" .. dir
    env[#env + 1] = "PERCEPT_FAULT_COUNTS=" .. dir .. ".counts"
  end
  return env
end

local function start(dir, words, fault, log)
  local command = {process.program(), "run"}
  for _, w in ipairs(words) do command[#command + 1] = w end
  return process.spawn(command, environment(dir, fault), log)
end

local function finish(pid)
  repeat local got = process.wait(60) until got == nil or got == pid or not got
  return pid
end

-- Every figure of a database: metrics and results by name, exactly.
local function figures(db)
  local out = {}
  if not recorder.query(db, "select 1 from sqlite_master where name = 'result'")[1] then return out end -- cut before it was made
  for _, r in ipairs(recorder.query(db, [[select n.name as name, m.step as step, m.value as value from metric m
      join metric_name n on n.id = m.name_id where n.name like '%loss' order by 1, 2]])) do
    out[("%s %d"):format(r.name, r.step)] = ("%.17g"):format(r.value)
  end
  for _, r in ipairs(recorder.query(db, "select method, split, metric, value from result")) do
    out[("result %s %s %s"):format(r.method, r.split, r.metric)] = ("%.17g"):format(r.value)
  end
  return out
end

-- ---- what nothing befell, and how many calls there are ----
local whole = top .. "/whole"
sys.mkdir(whole)
finish(start(whole, {study, "--db", whole .. "/d.db", "--seed", "1"}, "count:0", whole .. ".log"))
local wanted, counts = figures(whole .. "/d.db"), {}
for name, n in read(whole .. ".counts"):gmatch "(%w+) (%d+)" do counts[name] = tonumber(n) end
assert(next(wanted) and counts.write, "the study does not run: " .. read(whole .. ".log"))

-- ---- the faults to come ----
local rng, faults, shares = require("percept.tensor").generator(seed), {}, 0
local chosen = {}
for _, k in ipairs(kinds) do
  if not only or only:find("," .. k.name .. ",", 1, true) then
    chosen[#chosen + 1] = k
    shares = shares + k.share
  end
end
for _, k in ipairs(chosen) do
  k.injected, k.ended, k.errors, k.crashes, k.hung, k.lost, k.unsound, k.differ, k.left = 0, 0, 0, 0, 0, 0, 0, 0, 0
  local n, most = math.max(1, math.floor(total * k.share / shares + 0.5)), counts[k.sort]
  for i = 1, n do
    -- every call in turn where there are few, else spread with a jitter
    local at = n >= most and (i - 1) % most + 1 or math.floor((i - 1 + rng:random(1000) / 1000) * most / n) + 1
    faults[#faults + 1] = {kind = k, text = ("%s:%d:%d"):format(k.name, math.min(at, most), rng:random(1000000))}
  end
end

-- ---- one fault: run, look, resume, compare ----
local function fail(job, what, count)
  job.kind[count] = job.kind[count] + 1
  job.failed = true
  io.stdout:write(("FAIL %s: %s\n     %s\n"):format(job.text, what, job.dir))
end

-- What the flushes had promised is there.
local function look(job)
  local db = job.dir .. "/d.db"
  local promised = {}
  for name, step in read(job.dir .. "/progress.txt"):gmatch "(%S+) (%d+)\n" do promised[name] = tonumber(step) end
  if not sys.exists(db) then
    if next(promised) and not job.kind.gone then fail(job, "the database is gone", "lost") end
    return nil
  end
  local ok, rows = pcall(recorder.query, db, "pragma integrity_check")
  if not ok then
    if next(promised) and not job.kind.gone then fail(job, "the database does not open: " .. tostring(rows), "unsound") end
    return nil
  end
  if rows[1].integrity_check ~= "ok" then return fail(job, "integrity: " .. tostring(rows[1].integrity_check), "unsound") end
  local got = figures(db)
  for name, value in pairs(got) do
    if value ~= wanted[name] then return fail(job, ("%s is %s, not %s"):format(name, value, tostring(wanted[name])), "differ") end
  end
  for name, last in pairs(promised) do
    for key in pairs(wanted) do
      local metric, step = key:match "^(%S+) (%d+)$"
      if metric == name and tonumber(step) <= last and not got[key] and not job.kind.power and not job.kind.gone then
        return fail(job, key .. " was flushed and is not there", "lost")
      end
    end
  end
  if not next(got) and not recorder.query(db, "select 1 from sqlite_master where name = 'run'")[1] then return nil end
  local run = recorder.query(db, "select uid, status from run where parent_id is null order by id desc limit 1")[1]
  return run or nil
end

local function after_fault(job, code, signal)
  local k = job.kind
  -- Behind the last row, when nothing is open any more, SIGTERM and SIGINT end the program as they end any other.
  local sent = {kill = 9, term = 15, int = 2}
  if signal == sent[k.name] and signal then
    k.errors = k.errors + (k.killed and 0 or 1)
  elseif signal then
    fail(job, "ended by signal " .. signal, "crashes")
  elseif code and code ~= 0 then
    k.errors = k.errors + 1
    local allowed = k.power and code == 137 or code == 1 or code == 2 or code == 130 or code == 143
    if not allowed then fail(job, "exit " .. code, "crashes") end
    if code <= 2 and not read(job.dir .. ".log"):find "percept: %S" then fail(job, "an error without words", "crashes") end
  else
    k.ended = k.ended + 1
  end
  local ok, run = pcall(look, job)
  if not ok then fail(job, tostring(run), "unsound") end
  if k.gone or job.failed then return end
  local words = ok and run and run.status ~= "done" and {"--resume", run.uid, "--db", job.dir .. "/d.db"}
  if not run then words = {study, "--db", job.dir .. "/d.db", "--seed", "1"} end
  if words then return start(job.dir, words, nil, job.dir .. ".again") end
end

local function after_resume(job, code, signal)
  if signal or code ~= 0 then
    return fail(job, ("resumed: exit %s: %s"):format(tostring(code or signal), read(job.dir .. ".again"):sub(-300)), "unsound")
  end
  local got = figures(job.dir .. "/d.db")
  for name, value in pairs(wanted) do
    if got[name] ~= value then return fail(job, ("resumed: %s is %s, not %s"):format(name, tostring(got[name]), value), "differ") end
  end
  local list = io.popen(("find '%s' -name '*.tmp*'"):format(job.dir))
  local left = list:read "*a"
  list:close()
  if left ~= "" then fail(job, "left behind: " .. left:sub(1, 200), "left") end
end

local running, passed, failed, begun = {}, 0, 0, sys.time()
local next_fault, limit = 1, 60
local function close(job)
  if job.failed then
    failed = failed + 1
  else
    passed = passed + 1
    os.execute("rm -rf '" .. job.dir .. "' '" .. job.dir .. "'.*")
  end
end
local function launch()
  local job = faults[next_fault]
  job.dir = ("%s/%d"):format(top, next_fault)
  next_fault = next_fault + 1
  job.kind.injected = job.kind.injected + 1
  sys.mkdir(job.dir)
  job.began, job.phase = sys.time(), "fault"
  running[start(job.dir, {study, "--db", job.dir .. "/d.db", "--seed", "1"}, job.text, job.dir .. ".log")] = job
end
local alive = 0
while next_fault <= #faults or alive > 0 do
  while alive < jobs and next_fault <= #faults do
    launch()
    alive = alive + 1
  end
  local pid, code, signal = process.wait(1)
  local job = pid and running[pid]
  if job then
    running[pid] = nil
    local again = nil
    if job.phase == "fault" then
      again = after_fault(job, code, signal)
    elseif not job.failed then
      after_resume(job, code, signal)
    end
    if again then
      job.phase, job.began = "resume", sys.time()
      running[again] = job
    else
      close(job)
      alive = alive - 1
    end
  end
  for p, j in pairs(running) do
    if sys.time() - j.began > limit then
      if not j.failed then fail(j, "hangs (" .. j.phase .. ")", "hung") end
      process.kill(p, "KILL")
      j.began = math.huge
    end
  end
end

local columns = {"injected", "ended", "errors", "crashes", "hung", "lost", "unsound", "differ", "left"}
local line = "%-9s" .. (" %8s"):rep(#columns)
print(line:format("fault", unpack(columns)))
for _, k in ipairs(chosen) do
  local row = {}
  for c, name in ipairs(columns) do row[c] = k[name] end
  print(line:format(k.name, unpack(row)))
end
print(("%d faults in %.0f s; a run has %d allocations, %d writes, %d syncs, %d opens"):format(#faults, sys.time() - begun,
  counts.malloc, counts.write, counts.sync, counts.open))
os.execute("rm -rf '" .. whole .. "' '" .. whole .. "'.*; rmdir '" .. top .. "' 2>/dev/null")
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed > 0 and 1 or 0)
