-- Work that cannot be done is refused, none is done over nothing, and what is cut into blocks so that a signal
-- is noticed gives what it gave whole. (Signals themselves: tests/cli/test_signals.sh.)
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"

check.test("2^40 rows of nothing take no time", function()
  for _, name in ipairs{"softmax", "log_softmax", "cumsum", "cumprod", "sort", "argsort", "flip", "logsumexp", "sum", "prod"} do
    for _, shape in ipairs{{0, 2 ^ 40}, {2 ^ 40, 0}, {0, 2 ^ 40, 3}, {3, 2 ^ 40, 0}} do
      for dim = 1, #shape do
        local arg = name == "flip" and {dim} or dim
        local ok, y = pcall(function() return T.zeros(shape)[name](T.zeros(shape), arg) end)
        if not ok then
          check.ok(y:find(name, 1, true) or y:find("out of memory", 1, true), y) -- sums of nothing are 2^40 zeros
        elseif T.is_tensor(y) and name ~= "logsumexp" and name ~= "sum" and name ~= "prod" then
          check.eq(y:shape(), shape)
        end
      end
    end
  end
  local x = T.zeros(0, 2 ^ 40):requires_grad_()
  x:softmax(1):sum():backward()
  check.eq(x.grad:shape(), {0, 2 ^ 40})
  check.error("~to_table: shape (1099511627776,0) would be", function() return T.zeros(2 ^ 40, 0):to_table() end)
end)

check.test("long rows are sorted in blocks, stable as short ones", function()
  T.manual_seed(1)
  for _, n in ipairs{65535, 65536, 65537, 131072, 131073, 300001} do
    local x = (T.rand(n) * 1000):floor()
    for _, descending in ipairs{false, true} do
      local v, i = x:sort(1, descending)
      local t, p, given = v:to_table(), i:to_table(), x:to_table()
      local wrong = 0
      for k = 1, n do
        if given[p[k]] ~= t[k] then wrong = wrong + 1 end
        if k > 1 then
          local a, b = t[k - 1], t[k]
          if descending then a, b = b, a end
          if not (a < b or a == b and p[k - 1] < p[k]) then wrong = wrong + 1 end
        end
      end
      check.eq(wrong, 0)
    end
  end
end)

check.done()
