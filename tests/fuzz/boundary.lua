-- The surface of Lua: the bytes choose functions and methods that are declared, arguments of every kind for them (empty,
-- 0-d and huge shapes, views, other selves, callbacks that throw, yield, recurse, collect or close what is in use), and
-- call them on what earlier calls returned.
local percept = require "percept"
local T, nn, optim = percept.tensor, percept.nn, percept.optim

-- These end or block the process, take long by design, write where they like, or change the state of the fuzzer itself.
local skip = {}
for name in ([[sys.fail_allocation sys.memory_limit sys.tier sys.fma_peak sys.terminal_ask sys.mkdir
  recorder.start recorder.resume recorder.merge recorder.print recorder.query recorder.finish_open
  tensor.set_num_threads tensor.anomaly tensor.set_default_dtype tensor.printoptions datasets.emoji]]):gmatch "%S+" do
  skip[name] = true
end

local calls = {}
local modules = {"tensor", "nn", "optim", "metrics", "interaction", "replay", "inverter", "decoders", "encoders", "datasets", "plot"}
for _, short in ipairs(modules) do
  local names = {}
  local module = require("percept." .. short)
  for name, fn in pairs(module) do
    if type(fn) == "function" and not skip[short .. "." .. name] and not tostring(name):find "save" and not tostring(name):find "write" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local ok, _, _, args = pcall(percept.usage, module[name])
    if ok and args then calls[#calls + 1] = {fn = module[name], args = args, name = short .. "." .. name} end
  end
end
local methods = {}
for name in pairs(T.methods) do methods[#methods + 1] = name end
table.sort(methods)
for _, name in ipairs(methods) do
  local ok, _, _, args = pcall(percept.usage, T.methods[name])
  if ok and args then calls[#calls + 1] = {fn = T.methods[name], args = args, name = "x:" .. name} end
end

local dtypes = {"f32", "f64", "i64", "i32", "u8"}
local sizes = {0, 1, 1, 2, 3, 4, 5, 8, 2 ^ 31, 2 ^ 40}

return function(bytes)
  local at, pool, depth = 0, {}, 0
  local function byte()
    at = at + 1
    return bytes:byte(at) or 0
  end
  local function number()
    local b = byte()
    if b < 160 then return b % 9 - 2 end
    local special = {0.5, -0.0, 0 / 0, 1 / 0, -1 / 0, 2 ^ 31, -2 ^ 31, 2 ^ 40, 2 ^ 53, 1e300, 1e-300, 255, 256, 64}
    return special[b % #special + 1]
  end
  local function tensor()
    if #pool > 0 and byte() % 3 == 0 then
      local x = pool[byte() % #pool + 1]
      if T.is_tensor(x) then return x end
    end
    local shape, n = {}, byte() % 5
    for i = 1, n do
      local s = sizes[byte() % 8 + 1]
      shape[i] = s
    end
    local ok, x = pcall(T.zeros, shape, {dtype = dtypes[byte() % 5 + 1]})
    if not ok then return T.zeros(2) end
    local what = byte() % 12
    if what == 1 then x = x:fill_(1) end
    if what == 2 and x:ndim() >= 2 then x = x:transpose(1, 2) end
    if what == 3 then ok, x = pcall(x.requires_grad_, x); if not ok then x = T.ones(2, 3):requires_grad_() end end
    if what == 4 then x = T.rand(3, 4) end
    if what == 5 then
      ok, n = pcall(function() return T.zeros(1):expand(sizes[byte() % #sizes + 1]) end)
      if ok then x = n end
    end
    if what == 6 then x = T.rand(2, 4, 4, 3) end
    if what == 7 then x = T.randn(1, 3, 2, {dtype = "f64"}):requires_grad_() end
    if what == 8 then x = T.tensor({{1, 2}, {2, 1}}, {dtype = "i64"}) end
    return x
  end
  local function object()
    local b = byte() % 10
    if b == 0 then return nn.linear(3, 4) end
    if b == 1 then return nn.mlp{3, 4, 2} end
    if b == 2 then return nn.conv2d(3, 4, 3) end
    if b == 3 then return optim.sgd(nn.linear(2, 2), {lr = 0.1}) end
    if b == 4 then return T.generator(1) end
    if b == 5 then return percept.decoders.mlp{slots = 2, slot_dim = 3, height = 4, hidden = 4} end
    if b == 6 then return nn.module{inner = nn.linear(3, 4), forward = function(self, x) return self.inner(x) end} end
    if b == 7 then return io.stdout end
    if b == 8 then return newproxy(true) end
    return #pool > 0 and pool[byte() % #pool + 1] or T.zeros(1)
  end
  local call
  local function callback()
    local b = byte() % 8
    return function(x)
      depth = depth + 1
      if depth > 8 then
        depth = depth - 1
        error "deep enough"
      end
      local result
      if b == 0 then depth = depth - 1; error "thrown" end
      if b == 1 then depth = depth - 1; error({}) end
      if b == 2 then pcall(coroutine.yield, 1) end
      if b == 3 then collectgarbage() end
      if b == 4 then pcall(call) end
      if b == 5 then result = T.is_tensor(x) and x:sum() or 1 end
      if b == 6 then result = x end
      depth = depth - 1
      return result
    end
  end
  local function any()
    local b = byte() % 12
    if b == 0 then return nil end
    if b == 1 then return true end
    if b == 2 then return "" end
    if b == 3 then return "x\0y" end
    if b == 4 then return ("mean none sum relu softmax adam lm f32 ij,jk->ik"):match("%S+", byte() % 40) end
    if b == 5 then return {number(), number()} end
    if b == 6 then return {tensor(), tensor()} end
    if b == 7 then return {a = number(), [3] = tensor()} end
    if b == 8 then return callback() end
    if b == 9 then return object() end
    if b == 10 then return number() end
    return tensor()
  end
  local function argument(kind, choices)
    local dice = byte()
    if dice > 245 then return any() end
    if dice > 225 then return nil end
    if kind == "tensor" or kind == "value" then return tensor() end
    if kind == "tensors" then return {tensor(), tensor()} end
    if kind == "int" or kind == "num" or kind == "dim" or kind == "index" then return number() end
    if kind == "bool" then return dice % 2 == 0 end
    if kind == "size" or kind == "dims" or kind == "size2" then
      return {sizes[byte() % #sizes + 1], sizes[byte() % #sizes + 1]}
    end
    if kind == "str" then
      local list = {}
      for word in tostring(choices or "none|mean|relu|ij,jk->ik"):gmatch "[^|]+" do list[#list + 1] = word end
      return list[byte() % #list + 1]
    end
    if kind == "dtype" then return dtypes[byte() % 5 + 1] end
    if kind == "function" then return callback() end
    if kind == "table" then return {number(), tensor(), a = any()} end
    return any()
  end
  function call()
    local c = calls[(byte() * 256 + byte()) % #calls + 1]
    local list, n = {}, #c.args
    for i = 1, n do list[i] = argument(c.args[i].type, c.args[i].choices) end
    local ok, result = pcall(c.fn, unpack(list, 1, n))
    if ok and type(result) == "userdata" and #pool < 16 then pool[#pool + 1] = result end
    if not ok and type(result) == "string" and #result < 4 then error("fuzz: " .. c.name .. " says " .. result, 0) end
  end
  T.manual_seed(1)
  T.set_grad_enabled(true)
  for _ = 1, 12 do
    if at >= #bytes then break end
    if byte() % 8 == 0 then
      local co = coroutine.create(call)
      coroutine.resume(co)
    else
      call()
    end
  end
end
