--- bench: how long a step of the studies' work takes, beside PyTorch's.
-- make bench [PEER_PYTHON=/usr/bin/python3] [ROWS=a,ca,i], or
-- build/percept run tests/bench/bench.lua --set rows=i [--set peer=PYTHON] [--set rounds=3] [--set seconds=1]
-- Every row runs in a process of its own, one thread, ours and PyTorch's in turn; figures are medians over the rounds, go to
-- the database as results (method = row/side/variant) and from there into the table. README.md says what the columns are.
local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "?.lua;" .. package.path
local percept = require "percept"
local measure = require "measure"
local report = require "report"
local rows = require "rows"
local worker = require "worker"
local small = require "small"
local T, sys = percept.tensor, percept.sys

-- what a user with two environment variables to spare would set: glibc then reuses memory
local heap = {MALLOC_MMAP_MAX_ = 0, MALLOC_TRIM_THRESHOLD_ = 17179869184}

--- The forms in which PyTorch runs a row; `tuned` ones compete for the tuned column.
local function variants(cfg, row)
  local list = {{name = "default"}, {name = "heap", tuned = true, env = heap}}
  if row.dec then list[3] = {name = "subpixel", tuned = true, env = heap, args = {"dec=subpixel"}} end
  if cfg.compile then
    list[#list + 1] = {name = "compile", tuned = true, optional = true, env = heap, args = {"compile=1", "limit=" .. cfg.compile_seconds}}
  end
  return list
end

local function recorder(run)
  return function(method, values)
    for metric, value in pairs(values) do run:result{method = method, split = "bench", metric = metric, value = value} end
  end
end

local function one_row(cfg, row, record)
  if cfg.peer ~= "" then record(row.id .. "/agreement", {relative_difference = measure.agree(cfg, row.id, cfg.tolerance)}) end
  local sides = {{name = "ours", worker = measure.ours(cfg, row.id, 1)}}
  if cfg.peer ~= "" then
    for _, v in ipairs(variants(cfg, row)) do
      sides[#sides + 1] = {name = v.name, tuned = v.tuned, optional = v.optional, worker = measure.theirs(cfg, row.id, 1, v)}
    end
  end
  local flop = sides[1].worker:numbers "flops"[1]
  measure.rounds(cfg, sides)
  local ours = sides[1]
  record(row.id .. "/ours/1", {
    cpu_ms = ours.cpu, peak_rss_mib = ours.rss, gflop = flop > 0 and flop * 1e-9 or nil,
    gflops = flop > 0 and flop / ours.cpu * 1e-6 or nil, fraction_of_peak = flop > 0 and flop / ours.cpu * 1e-6 / cfg.fma_peak or nil,
  })
  local best
  for i = 2, #sides do
    local s = sides[i]
    record(row.id .. "/torch/" .. s.name, {cpu_ms = s.cpu, ratio = s.ratio, peak_rss_mib = s.rss})
    if s.tuned and (not best or s.cpu < best.cpu) then best = s end
  end
  if best then record(row.id .. "/torch/tuned", {cpu_ms = best.cpu, ratio = best.ratio, peak_rss_mib = best.rss}) end
  local line = ("%-34s %-9s %9.2f ms"):format(row.title, row.id, ours.cpu)
  if flop > 0 then
    line = line .. (" %7.1f GFLOP/s  %3.0f %% of peak"):format(flop / ours.cpu * 1e-6, flop / ours.cpu * 1e-4 / cfg.fma_peak)
  end
  print(line .. (best and ("   %5.2f x, %5.2f x tuned"):format(sides[2].ratio, best.ratio) or ""))
  if cfg.threads then
    local speedup, wall, wall1, others = measure.threads(cfg, row.id)
    record(row.id .. "/ours/2", {speedup = speedup, wall_ms = wall, others = others})
    record(row.id .. "/ours/1", {wall_ms = wall1})
  end
end

local function operations(cfg, record)
  local sides = {{name = "ours", worker = measure.ours(cfg, rows.micro[1].id, 1)}}
  if cfg.peer ~= "" then
    for i, v in ipairs{{name = "default"}, {name = "tuned", env = heap}} do
      sides[i + 1] = {name = v.name, worker = measure.theirs(cfg, rows.micro[1].id, 1, v)}
    end
  end
  for _, row in ipairs(rows.micro) do
    local ours
    for _, side in ipairs(sides) do
      side.worker:ask("row " .. row.id)
      side.worker:ask "run 0"
      side.times = {}
    end
    local work = sides[1].worker:numbers "flops"
    for r = 1, cfg.rounds do
      for _, side in ipairs(sides) do side.times[r] = side.worker:numbers("run " .. cfg.seconds / 5)[2] end
    end
    for i, side in ipairs(sides) do
      local cpu, ratios = measure.median(side.times), {}
      for r = 1, cfg.rounds do ratios[r] = side.times[r] / sides[1].times[r] end
      if i == 1 then
        ours = cpu
        record(row.id .. "/ours/1", {
          cpu_ms = cpu, gflops = work[1] > 0 and work[1] / cpu * 1e-6 or nil, gb_s = work[2] > 0 and work[2] / cpu * 1e-6 or nil,
        })
      else
        record(row.id .. "/torch/" .. side.name, {cpu_ms = cpu, ratio = measure.median(ratios)})
      end
    end
    print(("%-38s %10.3f ms"):format(row.title, ours))
  end
  for _, side in ipairs(sides) do side.worker:stop() end
end

-- the peer's major version of PyTorch; says which one it is
local function peer_version(cfg)
  local child = measure.theirs(cfg, "a", 1, {})
  local version = child:ask "version"
  child:stop()
  print("PyTorch " .. version .. (version:match "^1" and ": no torch.compile" or ""))
  return tonumber(version:match "^(%d+)")
end

local function has(list, name)
  for _, x in ipairs(list) do if x == name then return true end end
  return false
end

return percept.experiment{
  name = "bench",
  defaults = {
    rows = {"all"}, -- ids, families (c, f, g, i), e: single operations, j: small things
    peer = "", -- a python3 that has torch
    rounds = 3, -- of ours and theirs in turn
    seconds = 1, -- of processor time each side runs in a round, at least one step
    compile_seconds = 300, -- torch.compile (2.x) is left out of rows where the first step takes longer
    threads = true, -- measure two threads, too
    retries = 4, -- rounds more of two threads where others disturbed
    quiet = 0.05, -- share of the processors that others may use in a round that counts
    tolerance = 1e-4, -- of the losses' relative difference
    operations = true, -- single ones are part of all
    batch = 0, size = 0, -- other sizes than the rows' own, for tests
  },
  run = function(cfg, run)
    local record = recorder(run)
    io.stdout:setvbuf "line" -- rows appear as they are measured, in a pipe, too
    cfg.here, cfg.program = here, worker.program()
    local chosen = rows.choose(cfg.rows)
    local everything = has(cfg.rows, "all")
    local threads = T.get_num_threads()
    T.set_num_threads(1)
    local long = math.max(0.02, math.min(0.5, cfg.seconds / 2))
    cfg.fma_peak = sys.fma_peak(long)
    T.set_num_threads(2)
    local both = sys.fma_peak(long)
    T.set_num_threads(threads)
    if cfg.peer ~= "" then cfg.compile = peer_version(cfg) >= 2 end
    record("machine", {fma_peak_1 = cfg.fma_peak, fma_peak_2 = both})
    print(("tier %s: multiply-adds at most %.1f GFLOP/s on one thread, %.1f on two"):format(sys.tier(), cfg.fma_peak, both))
    for _, row in ipairs(chosen) do one_row(cfg, row, record) end
    if everything and cfg.operations or has(cfg.rows, "e") then operations(cfg, record) end
    if everything or has(cfg.rows, "j") then small.run(cfg, record) end
    run:flush()
    local figures = report.figures(run:db_path(), run:uid())
    if #chosen > 0 then
      print ""
      local missed = report.print(figures, chosen)
      print(#missed == 0 and "no row misses a bar that was measured" or ("%d bars missed"):format(#missed))
    end
    if everything and cfg.operations or has(cfg.rows, "e") then report.operations(figures) end
    if everything or has(cfg.rows, "j") then small.print(figures) end
  end,
}
