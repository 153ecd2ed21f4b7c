--- measure: the rounds of one row: ours and the peers' in turn (A B A B), each in its process, and two threads.
local percept = require "percept"
local load = require "load"
local worker = require "worker"
local sys = percept.sys

local measure = {}

function measure.median(list)
  if #list == 0 then return nil end
  local s = {unpack(list)}
  table.sort(s)
  local n = #s
  return n % 2 == 1 and s[(n + 1) / 2] or (s[n / 2] + s[n / 2 + 1]) / 2
end
local median = measure.median

local function options(cfg, threads)
  local list = {"threads=" .. threads}
  if cfg.batch > 0 then list[#list + 1] = "batch=" .. cfg.batch end
  if cfg.size > 0 then list[#list + 1] = "size=" .. cfg.size end
  return list
end

local function join(...)
  local out = {}
  for _, list in ipairs{...} do
    for _, x in ipairs(list) do out[#out + 1] = x end
  end
  return out
end

local function threads_env(n, more)
  local env = {OMP_NUM_THREADS = n, OPENBLAS_NUM_THREADS = n, MKL_NUM_THREADS = n}
  for k, v in pairs(more or {}) do env[k] = v end
  return env
end

--- A process of ours with a row.
function measure.ours(cfg, id, threads)
  return worker.start(join({cfg.program, cfg.here .. "child.lua", id}, options(cfg, threads)), threads_env(threads))
end

--- A process of the peer with a row, in a variant {env =, args =}.
function measure.theirs(cfg, id, threads, variant)
  return worker.start(join({cfg.peer, cfg.here .. "peer/peer.py", id}, options(cfg, threads), variant.args or {}),
    threads_env(threads, variant.env))
end

--- Do the models agree? The same weights and inputs in both: losses of three steps, equal to `tolerance`.
-- Returns the largest relative difference; a larger one than tolerance is an error.
function measure.agree(cfg, id, tolerance)
  local path = os.tmpname()
  local mine = measure.ours(cfg, id, 1)
  local a = mine:numbers("check " .. path)
  mine:stop()
  local other = measure.theirs(cfg, id, 1, {})
  local b = other:numbers("check " .. path)
  other:stop()
  os.remove(path)
  local worst = #a == #b and 0 or math.huge
  for i = 1, math.min(#a, #b) do
    local d = math.abs(a[i] - b[i]) / math.max(math.abs(a[i]), math.abs(b[i]), 1e-30)
    if d ~= d or d > worst then worst = d end -- nan counts as different, and stays
  end
  if worst ~= worst or worst > tolerance then
    error(("bench: %s: the models disagree (%g): ours gives %s, PyTorch %s"):format(id, worst, table.concat(a, " "),
      table.concat(b, " ")), 0)
  end
  return worst
end

--- Processor time per step with one thread. sides: list of {name =, worker =}; rounds in turn.
-- Gives each side cpu (median ms over the rounds), ratio (median over the rounds of its time over the first side's),
-- rss (peak MiB), and stops its process.
function measure.rounds(cfg, sides)
  for i = #sides, 1, -1 do
    local side = sides[i]
    local ok, why = pcall(side.worker.ask, side.worker, "run 0") -- the first step takes memory and warms caches
    if not ok and not side.optional then error(why, 0) end
    if not ok then
      print(("  %s is not available: %s"):format(side.name, why:gsub("%s+$", ""):match "[^\n]*$"))
      table.remove(sides, i)
    end
    side.times, side.ratios = {}, {}
  end
  for r = 1, cfg.rounds do
    for _, side in ipairs(sides) do
      side.times[r] = side.worker:numbers("run " .. cfg.seconds)[2]
      side.ratios[r] = side.times[r] / sides[1].times[r]
    end
  end
  for _, side in ipairs(sides) do
    side.cpu, side.ratio = median(side.times), median(side.ratios)
    side.rss = tonumber(side.worker:ask "memory")
    side.worker:stop()
  end
end

--- Wall time of two threads against one, ours, in turn. A pair during which others used more than `quiet` of the
-- processors is tried again, up to `retries` times in all; the quietest pairs count.
-- Returns speed-up, wall ms with two threads, wall ms with one, largest share of others in what counted.
function measure.threads(cfg, id)
  local one, two = measure.ours(cfg, id, 1), measure.ours(cfg, id, 2)
  local pairs_ = {}
  one:ask "run 0"
  two:ask "run 0"
  local good = 0
  for _ = 1, cfg.rounds + cfg.retries do
    local done = load.watch(sys.time)
    local own = sys.cpu_time()
    local a, b = one:numbers("run " .. cfg.seconds), two:numbers("run " .. 2 * cfg.seconds)
    local other = done(a[4] + b[4] + sys.cpu_time() - own)
    pairs_[#pairs_ + 1] = {one = a[3], two = b[3], other = other}
    if other <= cfg.quiet then good = good + 1 end
    if good >= cfg.rounds then break end
  end
  one:stop()
  two:stop()
  table.sort(pairs_, function(a, b) return a.other < b.other end)
  local speedup, wall1, wall2, worst = {}, {}, {}, 0
  for i = 1, math.min(cfg.rounds, #pairs_) do
    local p = pairs_[i]
    speedup[i], wall1[i], wall2[i], worst = p.one / p.two, p.one, p.two, math.max(worst, p.other)
  end
  return median(speedup), median(wall2), median(wall1), worst
end

return measure
