-- The collector follows the engine's bytes: temporaries die in time.
local check = dofile "tests/lua/check.lua"
local sys = require "percept.sys"
local T = require "percept.tensor"

local sanitized = os.getenv "PERCEPT_SANITIZED" -- keeps freed memory on purpose

local function peak_rss_mib()
  for line in io.lines "/proc/self/status" do
    local kib = line:match "^VmHWM:%s+(%d+)"
    if kib then return tonumber(kib) / 1024 end
  end
end

check.test("3000 temporaries of 1 MiB stay under 64 MiB", function()
  for _ = 1, 3000 do
    local t = T.zeros(512, 512)
    assert(t:numel() == 2 ^ 18)
  end
  local peak = peak_rss_mib()
  check.ok(sanitized or peak < 64, ("peak RSS is %.1f MiB"):format(peak))
end)

check.test("also when they are results of operations", function()
  local x = T.ones(512, 512)
  for _ = 1, 3000 do x = x + 1 end
  check.eq(x[{1, 1}], 3001)
  local peak = peak_rss_mib()
  check.ok(sanitized or peak < 64, ("peak RSS is %.1f MiB"):format(peak))
end)

check.test("views do not count twice", function()
  local x = T.zeros(1024, 1024)
  local live = sys.memory().live
  local views = {}
  for i = 1, 100 do views[i] = x[{ { i, 1024 } }] end
  check.eq(#views, 100)
  check.ok(sys.memory().live - live < 1e5)
end)

check.test("out of memory: a full collection, then one more try", function()
  collectgarbage()
  sys.fail_allocation(1)
  local t = T.zeros(4, 4)
  sys.fail_allocation(0)
  check.eq(t:numel(), 16)
end)

check.test("a hard limit is an error that names the function, and the next call works", function()
  collectgarbage()
  sys.memory_limit(sys.memory().live + 1e6)
  local ok, why = pcall(T.zeros, 1024, 1024)
  sys.memory_limit(0)
  check.ok(not ok)
  check.ok(why:find("zeros", 1, true) and why:find("memory", 1, true), why)
  check.eq(T.zeros(2):numel(), 2)
end)

check.test("every allocation of an expression may fail without harm", function()
  local x = T.rand(8, 8)
  for n = 1, 12 do
    collectgarbage()
    sys.fail_allocation(n)
    pcall(function() return (x + 1) * x - x[{ {}, 2 }] end)
    sys.fail_allocation(0)
  end
  check.near((x - x):to_table()[1][1], 0)
end)

check.done()
