--- child: one workload in a process of its own, obeying commands on standard input.
-- percept tests/bench/child.lua ROW [batch=N] [size=N] [threads=N]
--   run SECONDS     steps for so long (processor time; at least one) -> steps, median processor and wall ms, processor seconds
--   row ROW         another workload in place of this one
--   check FILE      writes weights and inputs to FILE (npz), then three steps -> their losses
--   memory          -> peak resident MiB
local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "?.lua;" .. package.path
local percept = require "percept"
local rows = require "rows"
local T, sys, formats = percept.tensor, percept.sys, percept.formats

local options = {}
for i = 2, #arg do
  local key, value = arg[i]:match "^(%w+)=(%d+)$"
  if not key then error("child: key=number is expected, not " .. arg[i]) end
  options[key] = tonumber(value)
end
if options.threads then T.set_num_threads(options.threads) end

-- drawn anew in each step when timed; the same in each step, and remembered, when checked
local function drawing(checking)
  local kept = {}
  local function keep(name, make)
    if not checking then return make() end
    kept[name] = kept[name] or make()
    return kept[name]
  end
  return {
    checking = checking, kept = kept, keep = keep,
    draw = function(name, ...)
      local size = {...}
      return keep(name, function() return T.randn(unpack(size)) end)
    end,
    uniform = function(name, ...)
      local size = {...}
      return keep(name, function() return T.rand(unpack(size)) end)
    end,
  }
end

local function build(id, checking)
  local row = rows.find(id)
  local o = drawing(checking)
  T.manual_seed(1)
  o.batch, o.size = options.batch or row.batch, options.size or row.size
  return row.work(o), o
end

local function median(list)
  table.sort(list)
  local n = #list
  return n % 2 == 1 and list[(n + 1) / 2] or (list[n / 2] + list[n / 2 + 1]) / 2
end

local function run(job, seconds)
  local cpu, wall, start = {}, {}, sys.cpu_time()
  repeat
    local c, w = sys.cpu_time(), sys.time()
    job.step()
    local n = #cpu + 1
    cpu[n], wall[n] = (sys.cpu_time() - c) * 1e3, (sys.time() - w) * 1e3
  until sys.cpu_time() - start >= seconds
  return ("%d %.6f %.6f %.4f"):format(#cpu, median(cpu), median(wall), sys.cpu_time() - start)
end

-- Slots that a search moves are inputs: they are saved as they were before the first step.
local function check(id, path)
  local job, o = build(id, true)
  local out = {}
  for name, module in pairs(job.modules or {}) do
    for key, t in pairs(module:state()) do out[name .. "." .. key] = t:detach():clone() end
  end
  for name, t in pairs(o.kept) do out[name] = t:detach():clone() end
  local losses = {}
  for _ = 1, 3 do
    local loss, norm = job.step()
    losses[#losses + 1] = ("%.9g"):format(loss:item())
    if norm then losses[#losses + 1] = ("%.9g"):format(norm) end
  end
  for name, t in pairs(o.kept) do out[name] = out[name] or t:detach():clone() end
  formats.save_npz(path, out)
  return table.concat(losses, " ")
end

local id, job = arg[1], nil
local commands = {
  row = function(text)
    id, job = text, nil
    collectgarbage()
    return "ok"
  end,
  run = function(text)
    job = job or build(id, false)
    return run(job, tonumber(text))
  end,
  flops = function()
    job = job or build(id, false)
    return ("%.0f %.0f"):format(job.flops or 0, job.bytes or 0)
  end,
  check = function(text) return check(id, text) end,
  quit = function() os.exit(0) end,
  memory = function() return ("%.1f"):format(sys.memory().peak_rss / 2 ^ 20) end,
}

io.stdout:setvbuf "line"
for line in io.lines() do
  local name, text = line:match "^(%w+) ?(.*)$"
  print(commands[name](text))
end
