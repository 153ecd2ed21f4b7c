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

check.test("a block that recomputes: the same numbers for less memory", function()
  local nn = require "percept.nn"
  local function step(recompute)
    T.manual_seed(3)
    local blocks, x = {}, T.randn(4, 64, 64)
    for i = 1, 6 do blocks[i] = nn.block(64, 4, {bias = true, recompute = recompute}) end
    local model = nn.sequential(blocks)
    collectgarbage()
    local before = sys.memory().live
    local y = model(x)
    local kept = sys.memory().live - before
    local loss = (y ^ 2):mean()
    loss:backward()
    local grads = {}
    for name, p in pairs(model:state()) do grads[name] = p.grad and p.grad:clone() or p.grad end
    return loss:item(), grads, kept
  end
  local loss, grads, kept = step(false)
  local again, same, less = step(true)
  check.eq(again, loss)
  local n = 0
  for name, g in pairs(grads) do
    n = n + 1
    check.near((g - same[name]):abs():max():item(), 0, 1e-5, name)
  end
  check.ok(n >= 6 * 14, n .. " gradients")
  local hidden = 6 * 4 * 64 * 256 * 4 -- bytes of the inner layers
  check.near((kept - less) / hidden, 1, 0.05)
end)

check.test("what a step keeps does not grow with the square of the tokens", function()
  local nn = require "percept.nn"
  local function kept(tokens)
    local block, x = nn.block(16, 4, {recompute = true}), T.randn(2, tokens, 16)
    collectgarbage()
    local before = sys.memory().live
    local y = block(x)
    collectgarbage()
    local live = sys.memory().live - before
    return live, y
  end
  kept(64)
  local few, many = (kept(64)), (kept(512))
  check.ok(many < 9 * few, ("%d bytes for 64 tokens, %d for 512"):format(few, many))
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
