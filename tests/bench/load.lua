--- load: how much of the machine's processors others used meanwhile.
local load = {}

local ticks, cpus

-- seconds that all processors were busy since the machine started
local function busy()
  if not ticks then
    local pipe = io.popen "getconf CLK_TCK"
    ticks = tonumber(pipe:read "*l") or 100
    pipe:close()
  end
  local sum, n = 0, 0
  for line in io.lines "/proc/stat" do
    local name, rest = line:match "^(cpu%d*)%s+(.*)$"
    if name == "cpu" then
      local k = 0
      for word in rest:gmatch "%d+" do
        k = k + 1
        -- user nice system idle iowait irq softirq steal
        if k <= 8 and k ~= 4 and k ~= 5 then sum = sum + tonumber(word) end
      end
    elseif name then
      n = n + 1
    end
  end
  cpus = n > 0 and n or 1
  return sum / ticks
end

--- Number of processors.
function load.cpus()
  if not cpus then busy() end
  return cpus
end

--- Starts watching; clock() is wall seconds. The returned function takes the processor seconds that were ours and gives
-- the share of all processors that others used: 0 is a quiet machine. The kernel counts in ticks of 10 ms.
function load.watch(clock)
  local b, t = busy(), clock()
  return function(own)
    local wall = clock() - t
    return math.max(0, (busy() - b - own) / (math.max(wall, 0.01) * cpus))
  end
end

return load
