--- scaling: how time and memory of a decoder's step grow with image size, slots, batch and width.
-- build/percept run tests/bench/scaling.lua --db build/bench.db [--set axes=size,slots] [--set seconds=0.5]
-- Every point runs in a process of its own, one thread. Printed: processor ms of a step and the tensors' peak MiB for
-- each value, and the slope of their logarithms (1: proportional, 2: square). Recorded: method = step/axis/value, and
-- step/axis for the slopes; with --set picture=true log-log plots as artifacts.
-- percept tests/bench/scaling.lua point STEP size=.. slots=.. batch=.. width=.. seconds=..   measures one point.
local percept = require "percept"
local T, nn, optim, sys = percept.tensor, percept.nn, percept.optim, percept.sys

local base = {size = 64, slots = 4, batch = 8, width = 64}
local axes = {
  {name = "size", values = {32, 64, 96, 128, 160, 224}, unit = "pixels a side"},
  {name = "slots", values = {2, 3, 4, 8, 16}, unit = "slots"},
  {name = "batch", values = {1, 2, 4, 8, 16, 32}, unit = "images"},
  {name = "width", values = {32, 64, 128, 256}, unit = "wide"},
}

-- The cross-attention decoder, a query for every 2 x 2 pixels; keys twice as wide as queries.
local function make(kind, o)
  local dec = percept.decoders.cross{slots = o.slots, slot_dim = 16, height = o.size, patch = 2, width = o.width, heads = 4}
  local x, z = T.rand(o.batch, o.size, o.size, 3), T.randn(o.batch, o.slots, 16)
  if kind == "search" then
    dec:freeze()
    z:requires_grad_()
  end
  local adam = optim.adam(kind == "search" and z or dec, {lr = 1e-3})
  return function()
    adam:zero_grad()
    local image, attention = dec(z)
    local loss = nn.mse(image, x, "batch_mean")
    if kind == "train" then loss = loss + percept.interaction.attention(attention) end
    loss:backward()
    adam:step()
  end
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function point(kind, o)
  T.set_num_threads(1)
  T.manual_seed(1)
  local step, times = make(kind, o), {}
  step()
  local start = sys.cpu_time()
  repeat
    local c = sys.cpu_time()
    step()
    times[#times + 1] = (sys.cpu_time() - c) * 1e3
  until sys.cpu_time() - start >= o.seconds
  print(("%.6f %.4f"):format(median(times), sys.memory().peak / 2 ^ 20))
end

-- slope of log y over log x by least squares
local function slope(xs, ys)
  local n, sx, sy, sxx, sxy = #xs, 0, 0, 0, 0
  for i = 1, n do
    local x, y = math.log(xs[i]), math.log(ys[i])
    sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
  end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

if arg[1] == "point" then
  local o = {}
  for i = 3, #arg do
    local key, value = arg[i]:match "^(%a+)=([%d.]+)$"
    o[key] = tonumber(value)
  end
  return point(arg[2], o)
end

local here = arg[0]:match "^(.*/)" or "./"
package.path = here .. "?.lua;" .. package.path
local worker = require "worker"

local function measure(program, kind, axis, value, seconds)
  local o = {size = base.size, slots = base.slots, batch = base.batch, width = base.width, seconds = seconds}
  o[axis] = value
  local words = {worker.quote(program), worker.quote(arg[0]), "point", kind}
  for _, key in ipairs{"size", "slots", "batch", "width", "seconds"} do words[#words + 1] = key .. "=" .. o[key] end
  local pipe = io.popen("OMP_NUM_THREADS=1 " .. table.concat(words, " "))
  local ms, mib = (pipe:read "*a"):match "^(%S+) (%S+)\n$"
  pipe:close()
  if not ms then error(("scaling: the %s step with %s = %d failed"):format(kind, axis, value), 0) end
  return tonumber(ms), tonumber(mib)
end

local function wanted(list, name)
  for _, x in ipairs(list) do if x == name or x == "all" then return true end end
  return false
end

local function draw(run, axis, values, series)
  local spec = {
    title = "a step against " .. axis.name, xlabel = axis.unit, ylabel = "ms, MiB", xscale = "log", yscale = "log", points = true,
  }
  for i, s in ipairs(series) do spec[i] = {name = s.name, x = values, y = s.values, dashed = s.dashed} end
  local path = ("%s/scaling_%s.svg"):format(run.folder, axis.name)
  percept.plot.lines(spec):save(path)
  run:artifact(path, "plot")
end

return percept.experiment{
  name = "scaling",
  defaults = {
    axes = {"all"}, -- size, slots, batch, width
    seconds = 0.5, -- of processor time at each point, at least one step
    most = 0, -- leave out values above; 0: none
    picture = false, -- log-log plots beside the figures
  },
  run = function(cfg, run)
    local program = worker.program()
    print(("base: %d x %d pixels, %d slots, batch %d, width %d; tier %s, one thread"):format(base.size, base.size, base.slots,
      base.batch, base.width, sys.tier()))
    for _, axis in ipairs(axes) do
      local values, series = {}, {}
      for _, value in ipairs(axis.values) do if cfg.most == 0 or value <= cfg.most then values[#values + 1] = value end end
      for _, kind in ipairs(wanted(cfg.axes, axis.name) and {"train", "search"} or {}) do
        local ms, mib = {}, {}
        for i, value in ipairs(values) do
          ms[i], mib[i] = measure(program, kind, axis.name, value, cfg.seconds)
          local method = ("%s/%s/%d"):format(kind, axis.name, value)
          run:result{method = method, split = "scaling", metric = "cpu_ms", value = ms[i]}
          run:result{method = method, split = "scaling", metric = "peak_mib", value = mib[i]}
        end
        local function line(what, list, format, metric)
          local cells = {}
          for i = 1, #values do cells[i] = ("%9s"):format(format:format(list[i])) end
          local k = #values > 1 and slope(values, list)
          if k then run:result{method = kind .. "/" .. axis.name, split = "scaling", metric = metric, value = k} end
          print(("%-7s %-9s %s   slope %s"):format(kind, what, table.concat(cells, " "), k and ("%.2f"):format(k) or "-"))
        end
        if kind == "train" then
          local cells = {}
          for i, value in ipairs(values) do cells[i] = ("%9d"):format(value) end
          print(("\n%-17s %s"):format(axis.unit, table.concat(cells, " ")))
        end
        line("cpu ms", ms, "%.2f", "slope_cpu")
        line("peak MiB", mib, "%.1f", "slope_peak")
        series[#series + 1] = {name = kind .. ", ms", values = ms}
        series[#series + 1] = {name = kind .. ", MiB", values = mib, dashed = true}
      end
      if cfg.picture and #series > 0 then draw(run, axis, values, series) end
    end
  end,
}
