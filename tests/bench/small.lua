--- small: row (j): start-up, one tiny operation, decoding a dataset, logging.
local percept = require "percept"
local measure = require "measure"
local worker = require "worker"
local T, sys = percept.tensor, percept.sys

local small = {}

local function timed(f)
  local start = sys.time()
  f()
  return sys.time() - start
end

-- median and best wall ms of starting a program n times
local function start_up(command, n)
  local times, best = {}, math.huge
  for i = 1, n do
    times[i] = timed(function()
      if os.execute(command .. " >/dev/null") ~= 0 then error("bench: '" .. command .. "' failed", 0) end
    end) * 1e3
    best = math.min(best, times[i])
  end
  return measure.median(times), best
end

-- processor microseconds a call, the least of several stretches: what a neighbour takes is not the call's
local function per_call(n, f)
  local best = math.huge
  for _ = 1, 7 do
    local start = sys.cpu_time()
    f(n)
    best = math.min(best, (sys.cpu_time() - start) / n * 1e6)
  end
  return best
end

-- what a loop of Lua calls costs besides: a call of the C function that does least
local function operations(n)
  local x, y, leaf = T.ones(1), T.ones(1), T.ones(1):requires_grad_()
  local add = x.add
  return {
    call_us = per_call(n, function(k) for _ = 1, k do T.is_grad_enabled() end end),
    add_us = per_call(n, function(k) local r for _ = 1, k do r = x + y end return r end),
    add_method_us = per_call(n, function(k) local r for _ = 1, k do r = add(x, y) end return r end),
    mul_number_us = per_call(n, function(k) local r for _ = 1, k do r = x * 2 end return r end),
    number_div_us = per_call(n, function(k) local r for _ = 1, k do r = 2 / x end return r end),
    compare_us = per_call(n, function(k) local r for _ = 1, k do r = x:lt(0.5) end return r end),
    exp_us = per_call(n, function(k) local r for _ = 1, k do r = x:exp() end return r end),
    sum_us = per_call(n, function(k) local r for _ = 1, k do r = x:sum() end return r end),
    relu_us = per_call(n, function(k) local r for _ = 1, k do r = x:relu() end return r end),
    add_in_place_us = per_call(n, function(k) for _ = 1, k do x:add_(y) end end),
    add_recorded_us = per_call(n, function(k) local r for _ = 1, k do r = leaf + y end return r end),
  }
end

-- images a second: pictures decoded from PNG, and the same from the cache that left
local function decoding(dir)
  local cache = os.tmpname()
  os.remove(cache)
  local scenes = percept.datasets.scenes
  local n
  local cold = timed(function() n = scenes(dir, {cache_dir = cache}):count() end)
  local warm = timed(function() scenes(dir, {cache_dir = cache}):images() end)
  os.execute("rm -r " .. worker.quote(cache))
  return {images_per_s_png = n / cold, images_per_s_cache = n / warm}
end

-- processor microseconds to log one step of ten figures
local function logging(steps)
  local path = os.tmpname()
  local run = percept.recorder.start{db = path, experiment = "logging"}
  local values = {}
  for i = 1, 10 do values["figure" .. i] = i end
  local cpu = sys.cpu_time()
  local wall = timed(function()
    for step = 1, steps do run:log(step, values) end
    run:flush()
  end)
  cpu = sys.cpu_time() - cpu
  run:finish()
  os.execute("rm -f " .. worker.quote(path) .. "*")
  return {log_us_per_step = wall / steps * 1e6, log_cpu_us_per_step = cpu / steps * 1e6}
end

--- Measures and records (j).
function small.run(cfg, record)
  local quick = cfg.batch > 0
  local median, best = start_up(worker.quote(cfg.program) .. " -e ''", quick and 3 or 20)
  record("j/ours/1", {start_up_ms = median, start_up_best_ms = best})
  if cfg.peer ~= "" then
    median = start_up(worker.quote(cfg.peer) .. " -c 'import torch'", 3)
    record("j/torch/default", {start_up_ms = median})
    local other = measure.theirs(cfg, "j", 1, {})
    record("j/torch/default", {add_us = other:numbers "run 0.2"[2]})
    other:stop()
  end
  record("j/ours/1", operations(quick and 1000 or 100000))
  record("j/ours/1", logging(quick and 100 or 10000))
  local data = cfg.here .. "../../experiments/data/spar_cycles"
  if not quick and sys.exists(data) then record("j/ours/1", decoding(data)) end
end

local lines = {
  {"start_up_ms", "start-up of the program, ms", 50}, {"start_up_best_ms", "  the quickest, ms"},
  {"call_us", "the least call into C from Lua, us"}, {"add_us", "x + y of one element, us", 0.5}, {"add_method_us", "  as a function, us"},
  {"mul_number_us", "x * 2, us", 0.5}, {"number_div_us", "2 / x, us", 0.5}, {"compare_us", "x:lt(0.5), us", 0.5},
  {"relu_us", "x:relu(), us", 0.5}, {"exp_us", "x:exp(), us", 0.5}, {"sum_us", "x:sum(), us", 0.5},
  {"add_in_place_us", "x:add_(y), us", 0.5},
  {"add_recorded_us", "x + y with history, us"},
  {"log_us_per_step", "logging ten figures, us a step"}, {"log_cpu_us_per_step", "  processor time, us"},
  {"images_per_s_png", "scenes decoded from PNG, images/s"}, {"images_per_s_cache", "  from the cache, images/s"},
}

--- Prints (j).
function small.print(figures)
  local ours, theirs = figures["j/ours/1"] or {}, figures["j/torch/default"] or {}
  print(("\n%-38s %12s %12s   %s"):format("small things", "ours", "torch", "at most"))
  for _, line in ipairs(lines) do
    local value, other, bar = ours[line[1]], theirs[line[1]], line[3]
    if value then
      print(("%-38s %12.4g %12s   %s"):format(line[2], value, other and ("%.4g"):format(other) or "-",
        bar and ("%g%s"):format(bar, value > bar and "  misses" or "") or ""))
    end
  end
end

return small
