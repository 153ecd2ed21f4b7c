--- pool: child processes that work off a list, so many at a time, with a view of what goes on.
-- A job: {label =, command = {words}, log = path, claim = function() -> bool, done = function(ok, code, signal)}.
-- Every child leads a group of its own; when the pool is asked to stop (Ctrl-C, SIGTERM), each child gets that
-- signal once, ends in order (its run marks itself killed), and what does not end within the grace is killed.
local process = require "percept.process"
local sys = require "percept.sys"

local pool = {}

local GRACE = 20 -- seconds

local function start(state, job)
  local pid = process.spawn(job.command, job.env or {}, job.log)
  job.pid, job.began = pid, sys.time()
  state.children[pid] = job
  state.running = state.running + 1
  if state.view.started then state.view.started(job, state) end
end

local function ended(state, pid, code, signal)
  local job = state.children[pid]
  if not job then return end
  state.children[pid] = nil
  state.running = state.running - 1
  job.seconds, job.ok, job.code, job.signal = sys.time() - job.began, code == 0, code, signal
  if job.ok then state.done = state.done + 1 else state.failed = state.failed + 1 end
  if job.done then job.done(job.ok, code, signal) end
  if state.view.ended then state.view.ended(job, state) end
end

local function next_job(state)
  while state.next <= #state.jobs do
    local job = state.jobs[state.next]
    state.next = state.next + 1
    if not job.claim or job.claim() then return job end
    state.skipped = state.skipped + 1
  end
end

local function work(state, limit)
  while true do
    while state.running < limit do
      local job = next_job(state)
      if not job then break end
      start(state, job)
    end
    if state.running == 0 then return end
    local pid, code, signal = process.wait(0.2)
    if pid then ended(state, pid, code, signal) end
    if state.view.tick then state.view.tick(state) end
  end
end

-- Passes the signal on, waits, and kills what stays.
local function stop(state, signal)
  for pid in pairs(state.children) do process.kill(pid, signal) end
  local until_ = sys.time() + GRACE
  while state.running > 0 do
    local pid, code, by = process.wait(0.2)
    if pid then
      ended(state, pid, code, by)
    elseif sys.time() > until_ then
      for left in pairs(state.children) do process.kill(left, "KILL") end
      until_ = math.huge
    end
  end
end

--- Works off the jobs. view: {started, ended, tick, close} of functions, each may be missing.
-- Returns {done =, failed =, skipped =, signal = "INT" or "TERM" when it was asked to stop}.
function pool.run(jobs, limit, view)
  local state = {
    jobs = jobs, next = 1, children = {}, running = 0, done = 0, failed = 0, skipped = 0, view = view or {}, began = sys.time(),
  }
  local ok, why = pcall(work, state, limit)
  local signal = process.taken_signal()
  if not ok or signal then
    state.stopping = true
    if state.view.stopping then state.view.stopping(state) end
    local quiet, again = pcall(stop, state, signal or "TERM")
    if not quiet then -- a second Ctrl-C: no more patience
      process.taken_signal()
      for pid in pairs(state.children) do process.kill(pid, "KILL") end
      stop(state, "KILL")
      why = why or again
    end
  end
  if state.view.close then state.view.close(state) end
  if not ok and not signal then error(why, 0) end
  return {done = state.done, failed = state.failed, skipped = state.skipped, signal = signal}
end

return pool
