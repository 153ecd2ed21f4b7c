--- sweep: runs a function with each of its allocations failing in turn.
-- local sweep = dofile "tests/lua/sweep.lua"
-- local errors, worst = sweep.run(check, fn)
local T, sys = require "percept.tensor", require "percept.sys"
local sweep = {}

--- Bytes that are alive once everything unreachable is gone.
function sweep.live()
  collectgarbage()
  collectgarbage()
  return sys.memory().live
end

local function sound(check, n, ok, got, want, before)
  if ok then
    check.eq(got, want, "result with allocation " .. n .. " failing once")
  else
    local text = tostring(got):gsub("^[^%s:]+:%d+: ", "")
    check.ok(text:find("memory", 1, true) and text:find("^[%w_%. ]+: .") and text:find("a smaller batch", 1, true),
      "allocation " .. n .. ": the message is " .. tostring(got))
  end
  check.ok(T.is_grad_enabled(), "recording is on after allocation " .. n)
  local now = sweep.live()
  check.eq(now, before, "live bytes after allocation " .. n .. " failed (" .. tostring(got) .. ")")
end

--- Fails the nth allocation for n = 1..last, or, without last, until none is left to fail: once alone, then with all that
-- follow (calls try again after a collection). Of many allocations about 300 are taken, the first 60 each. fn returns what
-- must not change. -> errors, failures
function sweep.run(check, fn, last)
  fn()
  local calls = sys.memory().calls
  local want = fn()
  calls = sys.memory().calls - calls
  local stride = last and 1 or math.max(1, math.floor(calls / 120))
  local before, errors, failures = sweep.live(), 0, 0
  for sign = 1, -1, last and -3 or -2 do
    local n, left = 1, 0
    while last and n <= last or not last and left == 0 do
      sys.fail_allocation(sign * n)
      local ok, got = pcall(fn)
      left = sys.fail_allocation(0)
      if left == 0 then failures = failures + 1 end
      if not ok then errors = errors + 1 end
      sound(check, n, ok, got, want, before)
      n = n + (n < 60 and 1 or stride)
    end
  end
  check.eq(fn(), want, "the result afterwards")
  return errors, failures
end

return sweep
