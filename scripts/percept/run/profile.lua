--- profile: where the time of a function goes, op by op; and how long it takes.
local percept = require "percept"
local counters = require "percept.profile.c"
local sys = require "percept.sys"

local profile = {}

--- Runs fn(...) once with counters on. Returns {rows, seconds, cpu_seconds}, then fn's results;
-- rows: {op, backward, calls, bytes, seconds} by falling time, each op's time being its own.
function profile.run(fn, ...)
  local function pack(...) return {n = select("#", ...), ...} end
  local began, cpu = sys.time(), sys.cpu_time()
  counters.start()
  local got = pack(pcall(fn, ...))
  local rows = counters.stop()
  local out = {rows = rows, seconds = sys.time() - began, cpu_seconds = sys.cpu_time() - cpu}
  if not got[1] then error(got[2], 0) end
  table.sort(rows, function(a, b) return a.seconds > b.seconds end)
  return out, unpack(got, 2, got.n)
end

local function bytes_text(n)
  if n == 0 then return "" end
  local units, u = {"B", "KB", "MB", "GB", "TB"}, 1
  while n >= 1000 and u < #units do n, u = n / 1000, u + 1 end
  return u == 1 and ("%d B"):format(n) or ("%.1f %s"):format(n, units[u])
end

--- The table of profile.run's first result as text; options: top (rows; default 20).
function profile.text(result, options)
  local top = options and options.top or 20
  local lines = {("%-28s %8s %10s %6s %10s"):format("op", "calls", "ms", "%", "bytes")}
  local within, rest = 0, {calls = 0, seconds = 0, n = 0}
  local whole = math.max(result.seconds, 1e-12)
  local function put(name, calls, seconds, bytes)
    lines[#lines + 1] = ("%-28s %8s %10.3f %6.1f %10s"):format(name, calls, 1e3 * seconds, 100 * seconds / whole, bytes_text(bytes))
  end
  for i, r in ipairs(result.rows) do
    within = within + r.seconds
    if i <= top then
      put(r.op .. (r.backward and " (backward)" or ""), r.calls, r.seconds, r.bytes)
    else
      rest = {calls = rest.calls + r.calls, seconds = rest.seconds + r.seconds, n = rest.n + 1}
    end
  end
  if rest.n > 0 then put(("%d more"):format(rest.n), rest.calls, rest.seconds, 0) end
  put("outside of ops", "", math.max(0, result.seconds - within), 0)
  lines[#lines + 1] = ("%.3f s, %.3f s of processor time"):format(result.seconds, result.cpu_seconds)
  return table.concat(lines, "\n")
end

local function duration(s)
  if s >= 1 then return ("%.3f s"):format(s) end
  if s >= 1e-3 then return ("%.3f ms"):format(s * 1e3) end
  return ("%.2f us"):format(s * 1e6)
end

local function measure(fn, seconds, calls)
  fn() -- warm: caches fill, the compiler has seen it
  local began = sys.time()
  fn()
  local once = math.max(sys.time() - began, 1e-9)
  local inner = math.max(1, math.floor(0.002 / once)) -- a reading of the clock may not weigh
  local rounds = calls and math.max(1, math.ceil(calls / inner)) or math.max(3, math.min(1000, math.floor(seconds / (once * inner))))
  local n, mean, m2, least = 0, 0, 0, math.huge
  for _ = 1, rounds do
    local start = sys.time()
    for _ = 1, inner do fn() end
    local each = (sys.time() - start) / inner
    n = n + 1
    local d = each - mean
    mean = mean + d / n
    m2 = m2 + d * (each - mean)
    least = math.min(least, each)
  end
  return {mean = mean, sd = n > 1 and math.sqrt(m2 / (n - 1)) or 0, min = least, calls = n * inner, rounds = n}
end

local function time(fn, seconds, calls, quiet)
  local r = measure(fn, seconds, calls)
  if not quiet then
    print(("%s ± %s a call (best %s, %d calls)"):format(duration(r.mean), duration(r.sd), duration(r.min), r.calls))
    return
  end
  return r
end

local function prof(fn, top)
  local result = profile.run(fn)
  print(profile.text(result, {top = top}))
end

--- time(fn, seconds=0.5, calls, quiet=false): how long a call takes.
profile.time = percept.declare("time", "fn:function, seconds:num(0..)=0.5, calls:int(1..)?, quiet:bool=false", time,
  "how long a call of fn takes: mean ± sd over about `seconds`; quiet: returns {mean, sd, min, calls} instead of printing")

--- prof(fn, top=20): where the time of one call goes.
profile.prof = percept.declare("prof", "fn:function, top:int(1..)=20", prof,
  "runs fn once and prints its ops by time: calls, milliseconds of their own, share, bytes read and written")

return profile
