--- soak.lua [MINUTES]: a study that trains, replays, searches and records for so long, while another process asks its database.
-- Resident memory and descriptors are looked at every second. At the end: memory is flat (the last third's median within 2 %
-- or 2 MiB of the second third's), descriptors are constant, the database holds what was computed, every round came to the
-- same bits, and a round's processor time has drifted by less than 5 % (medians of the first and last third).
local percept = require "percept"
local process, recorder, sys = percept.process, percept.recorder, percept.sys

local minutes = tonumber(arg[1] or 30)
local dir = os.tmpname()
os.remove(dir)
sys.mkdir(dir)
local db, here = dir .. "/d.db", process.cwd()
local environment = {"OMP_WAIT_POLICY=passive", "OMP_NUM_THREADS=1", "HOME=" .. dir}
local pid = process.spawn({process.program(), "run", here .. "/tests/soak/study.lua", "--db", db, "--seed", "1", "--set",
  "minutes=" .. minutes}, environment, dir .. "/log")

local function first_line(path, pattern)
  local f = io.open(path, "r")
  local text = f and f:read "*a" or ""
  if f then f:close() end
  return tonumber(text:match(pattern))
end

local memory, descriptors, asked, code, signal = {}, {}, 0
local reader
while true do
  local ended, c, s = process.wait(1)
  if ended == pid then
    code, signal = c, s
    break
  elseif ended and ended == reader then
    assert(c == 0, "a query failed")
    asked, reader = asked + 1, nil
  end
  if not reader and sys.exists(db) then
    reader = process.spawn({process.program(), "sql", "--db", db, "select count(*), max(value) from curve"}, environment, dir .. "/sql")
  end
  local kib = first_line(("/proc/%d/status"):format(pid), "VmRSS:%s*(%d+)")
  if kib then
    memory[#memory + 1] = kib / 1024
    local n = 0
    for fd = 0, 255 do
      if sys.exists(("/proc/%d/fd/%d"):format(pid, fd)) then n = n + 1 end
    end
    descriptors[#descriptors + 1] = n
  end
end

local function median(list, from, to)
  local part = {}
  for i = math.floor(#list * from) + 1, math.floor(#list * to) do part[#part + 1] = list[i] end
  table.sort(part)
  return part[math.floor(#part / 2) + 1]
end

local passed, failed = 0, 0
local function is(ok, what)
  if ok then passed = passed + 1 else failed = failed + 1 end
  print((ok and "ok   " or "FAIL ") .. what)
end
is(code == 0, ("the study ends well (exit %s, signal %s)"):format(tostring(code), tostring(signal)))
local before, after = median(memory, 1 / 3, 2 / 3), median(memory, 2 / 3, 1)
is(after - before < math.max(2, 0.02 * before), ("memory is flat: %.1f MiB, then %.1f MiB"):format(before, after))
local low, high = median(descriptors, 1 / 3, 2 / 3), median(descriptors, 2 / 3, 1)
is(low == high, ("descriptors are constant: %d, then %d"):format(low, high))
local rounds = recorder.query(db, "select value from result where metric = 'rounds'")[1].value
local steps = recorder.query(db, "select num from param where key = 'steps'")[1].num
local rows = recorder.query(db, [[select count(*) as n, count(distinct step) as steps, min(step) as first, max(step) as last
  from curve where metric = 'loss']])[1]
is(rows.n == rounds * steps and rows.steps == rows.n and rows.first == 1 and rows.last == rows.n,
  ("every row is there: %d of %d steps in %d rounds"):format(rows.n, rounds * steps, rounds))
local sum = recorder.query(db, "select sum(value) as s from curve where metric = 'double'")[1].s
is(sum == rounds * steps * (steps + 1), "values are as computed")
local kinds = recorder.query(db, [[select count(distinct value) as n from curve where metric = 'round/found']])[1].n
local losses = recorder.query(db, [[select count(distinct value) as n from curve where metric = 'round/loss']])[1].n
is(kinds == 1 and losses == 1, ("every round comes to the same bits (%d, %d values)"):format(kinds, losses))
is(recorder.query(db, "pragma integrity_check")[1].integrity_check == "ok", "integrity_check")
local cpu = {}
for i, r in ipairs(recorder.query(db, "select value from curve where metric = 'round/cpu' order by step")) do cpu[i] = r.value end
local early, late = median(cpu, 0, 1 / 3), median(cpu, 2 / 3, 1)
is(late < 1.05 * early, ("a round takes %.1f ms of processor time, then %.1f ms: drift %+.1f %%"):format(1e3 * early, 1e3 * late,
  100 * (late / early - 1)))
print(("%.1f minutes, %d rounds, %d rows, %d queries beside them"):format(minutes, rounds, rows.n, asked))
os.execute("rm -rf '" .. dir .. "'")
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed > 0 and 1 or 0)
