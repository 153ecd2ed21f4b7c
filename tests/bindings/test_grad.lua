-- Gradients at the surface: backward, grad, derivatives of functions, custom operations, messages.
local check = dofile "tests/lua/check.lua"
local sys = require "percept.sys"
local percept = require "percept"
local T, nn = percept.tensor, percept.nn
local test, eq, near, fails = check.test, check.eq, check.near, check.error

local function leaf(t) return T.tensor(t, { dtype = "f64", requires_grad = true }) end

test("backward fills the grad field of leaves", function()
  local x = leaf { 1, 2, 3 }
  eq(x.grad, nil)
  local y = (x * x):sum()
  y:backward()
  near(x.grad:to_table(), { 2, 4, 6 })
  local z = (x * 3):sum()
  z:backward()
  near(x.grad:to_table(), { 5, 7, 9 })
  x.grad = nil
  eq(x.grad, nil)
  x.grad = T.ones(3, { dtype = "f64" })
  x:zero_grad()
  eq(x.grad, nil)
end)

test("backward with a gradient, and twice", function()
  local x = leaf { 1, 2 }
  local y = x ^ 2
  y:backward(T.tensor({ 1, 10 }, { dtype = "f64" }), { retain_graph = true })
  y:backward(T.tensor({ 1, 10 }, { dtype = "f64" }))
  near(x.grad:to_table(), { 4, 80 })
  check.ok(not pcall(y.backward, y, T.ones(2, { dtype = "f64" })), "the graph is gone")
end)

test("requires_grad", function()
  local x = T.zeros(2)
  eq(x:requires_grad(), false)
  check.ok(x:requires_grad_() == x)
  eq(x:requires_grad(), true)
  eq(x:is_leaf(), true)
  eq((x + 1):is_leaf(), false)
  eq((x + 1):requires_grad(), true)
  eq((x + 1):detach():requires_grad(), false)
  eq(T.ones(2, { requires_grad = true }):requires_grad(), true)
  x:requires_grad_(false)
  eq(x:requires_grad(), false)
  fails("requires_grad: only f32 and f64 tensors have gradients, this one is i64",
    function() T.zeros(2, { dtype = "i64" }):requires_grad_() end)
end)

test("grad of one and of several", function()
  local x, w = leaf { 1, 2 }, leaf { 3, 4 }
  local y = (x * w):sum()
  local gx = T.grad(y, x, { retain_graph = true })
  near(gx:to_table(), { 3, 4 })
  local g = T.grad(y, { x, w })
  near(g[1]:to_table(), { 3, 4 })
  near(g[2]:to_table(), { 1, 2 })
  eq(x.grad, nil)
  local z = leaf { 1 }
  check.ok(not pcall(T.grad, (x * 1):sum(), z))
  eq(T.grad((x * 1):sum(), { x, z }, { allow_unused = true })[2], nil)
  near(T.grad(x * w, x, { grad_outputs = T.tensor({ 1, 100 }, { dtype = "f64" }) }):to_table(), { 3, 400 })
  fails("grad: argument 2 (inputs): expected a tensor or a list of tensors, got number 1", T.grad, y, 1)
  fails("grad: argument 2 (inputs): entry 2 of the list: expected a tensor, got number 5", T.grad, y, { x, 5 })
  fails("~unknown option 'create_grap'; did you mean 'create_graph'?", T.grad, y, x, { create_grap = true })
end)

test("second order", function()
  local x = leaf { 1, 2 }
  local g = T.grad((x ^ 3):sum(), x, { create_graph = true })
  near(g:to_table(), { 3, 12 })
  near(T.grad(g:sum(), x):to_table(), { 6, 12 })
end)

test("gradients flow through indexing, joining and splitting", function()
  local x = leaf { { 1, 2, 3 }, { 4, 5, 6 } }
  local y = x[{ 1, 2 }] * 10 + x[2]:sum() + x[{ {}, { 1, 3, 2 } }]:sum()
  y:backward()
  near(x.grad:to_table(), { { 1, 10, 1 }, { 2, 1, 2 } })
  x.grad = nil
  eq(x[{ 1, 2 }]:dim(), 0)
  local a, b = x:chunk(2, 1)
  T.cat({ a * 2, b * 3 }, 2):sum():backward()
  near(x.grad:to_table(), { { 2, 2, 2 }, { 3, 3, 3 } })
  x.grad = nil
  local idx = T.tensor({ 2, 2, 1 }, { dtype = "i64" })
  x[idx]:sum():backward()
  near(x.grad:to_table(), { { 1, 1, 1 }, { 2, 2, 2 } })
  x.grad = nil
  x[x:gt(4)]:sum():backward()
  near(x.grad:to_table(), { { 0, 0, 0 }, { 0, 1, 1 } })
  local f = T.ones(2, { requires_grad = true })
  f:double():sum():backward()
  eq(f.grad:dtype(), "f32")
end)

test("no_grad restores its state, also after errors", function()
  local x = leaf { 1, 2 }
  local y, z = T.no_grad(function(a, b) return x * a, b end, 3, "z")
  eq(y:requires_grad(), false)
  eq(z, "z")
  eq(T.is_grad_enabled(), true)
  local ok, why = pcall(T.no_grad, function() error("inside") end)
  eq(ok, false)
  check.ok(why:find("inside", 1, true), why)
  eq(T.is_grad_enabled(), true)
  T.no_grad(function()
    eq(T.is_grad_enabled(), false)
    T.enable_grad(function() eq(T.is_grad_enabled(), true) end)
    eq(T.is_grad_enabled(), false)
  end)
  local object = setmetatable({}, { __tostring = function() return "obj" end })
  local _, thrown = pcall(T.no_grad, function() error(object) end)
  check.ok(thrown == object, "error objects pass unchanged")
  local _, long = pcall(T.no_grad, function() error(("x"):rep(5000), 0) end)
  eq(#long, 5000)
  local was = T.set_grad_enabled(false)
  eq(was, true)
  eq((x * 2):requires_grad(), false)
  T.set_grad_enabled(true)
end)

-- values, gradients and second gradients of a network, and which ops ran
local function twice(net, parameters, x, through)
  local profile = require "percept.profile"
  local y, g, h
  local ran = profile.run(function()
    y = through(function() return (net(x)) end)
    g = T.grad((y * y):sum(), x, {create_graph = true})
    h = T.grad((g ^ 2):sum(), {x, unpack(parameters)}, {allow_unused = true})
  end)
  local ops = {}
  for _, row in ipairs(ran.rows) do ops[row.op] = (ops[row.op] or 0) + row.calls end
  return {y, g, unpack(h, 1, #parameters + 1)}, ops
end

test("higher_order: fused layers by their formulas, the same derivatives", function()
  T.manual_seed(3)
  local own, cross = nn.block(16, 2, {bias = true}), nn.block(16, 2, {context = 12, bias = true})
  local decoder = percept.decoders.cross{slots = 2, slot_dim = 8, height = 8, patch = 4, width = 16, heads = 2}
  local context = T.randn(2, 3, 12)
  local nets = {
    qkv = {own, T.randn(2, 7, 16), own:parameters()},
    slot_attention = {function(x) return (cross(x, context)) end, T.randn(2, 65, 16), cross:parameters()},
    mlp = {decoder, T.randn(3, 2, 8), decoder:parameters()},
  }
  for op, case in pairs(nets) do
    case[2]:requires_grad_()
    local fused, ran = twice(case[1], case[3], case[2], function(fn) return fn() end)
    local plain, without = twice(case[1], case[3], case[2], T.higher_order)
    check.ok(ran[op], op .. " is the fused way")
    check.ok(not without[op], op .. " ran")
    for i, a in pairs(fused) do -- some are 0 but for rounding: a key's bias
      local off, size = (a - plain[i]):abs():max():item(), a:abs():max():item()
      check.ok(off <= 2e-4 * (size + 0.1), ("%s, result %d: %g of %g"):format(op, i, off, size))
    end
  end
  local ok, why = pcall(T.higher_order, function() error("inside") end)
  check.ok(not ok and why:find("inside", 1, true), why)
  local _, ran = twice(own, {}, nets.qkv[2], function(fn) return fn() end)
  check.ok(ran.qkv, "fused again after an error")
  eq(T.no_grad(function() return T.higher_order(function(a) return (own(a)):requires_grad() end, nets.qkv[2]) end), false)
end)

test("changing what the tape tracks is an error", function()
  local x = leaf { 1, 2, 3 }
  fails("~add_: changing a tensor of shape (3) in place while the tape tracks it", function() x:add_(1) end)
  fails("~assignment: changing a tensor of shape (3) in place", function() x[1] = 5 end)
  T.no_grad(function() x:add_(1) end)
  near(x:detach():to_table(), { 2, 3, 4 })
  local w = T.tensor({ 1, 2, 3 }, { dtype = "f64" })
  local y = (x * w):sum()
  w:add_(1)
  check.ok(not pcall(y.backward, y), "what was saved has changed")
  fails("~the value has gradient history", function() w[1] = x[1] end)
end)

test("jacobian", function()
  local x = T.tensor({ 1, 2 }, { dtype = "f64" })
  local J = T.jacobian(function(v) return T.stack { v[1] * v[2], v[1] ^ 2, v[2] * 3 } end, x)
  near(J:to_table(), { { 2, 1 }, { 2, 0 }, { 0, 3 } })
  eq(J:requires_grad(), false)
  local a, b = T.rand(2, 3, { dtype = "f64" }), T.rand(3, 2, { dtype = "f64" })
  local Js = T.jacobian(function(p, q) return p:matmul(q) end, { a, b })
  eq(Js[1]:shape(), { 2, 2, 2, 3 })
  eq(Js[2]:shape(), { 2, 2, 3, 2 })
  near(Js[1][{ 1, 2, 1 }]:to_table(), b[{ {}, 2 }]:to_table())
  eq(T.jacobian(function() return T.ones(2) end, x):to_table(), { { 0, 0 }, { 0, 0 } })
  fails("~jacobian: the function returned number instead of a tensor", T.jacobian, function() return 1 end, x)
end)

test("vjp, jvp, hessian agree with the jacobian", function()
  local x = T.rand(3, { dtype = "f64" })
  local function f(v) return T.stack { (v ^ 2):sum(), (v:select(1, 1) * v:select(1, 2)):exp() } end
  local J = T.jacobian(f, x)
  local v, u = T.rand(3, { dtype = "f64" }), T.rand(2, { dtype = "f64" })
  local y, Jv = T.jvp(f, x, v)
  near(y:to_table(), f(x):to_table(), 1e-12)
  near(Jv:to_table(), J:matmul(v):to_table(), 1e-10)
  local _, uJ = T.vjp(f, x, u)
  near(uJ:to_table(), J:t():matmul(u):to_table(), 1e-10)
  local H = T.hessian(function(w) return (w[1] ^ 2 * w[2] + w[3] ^ 3) end, x)
  local a, b, c = x[1], x[2], x[3]
  near(H:to_table(), { { 2 * b, 2 * a, 0 }, { 2 * a, 0, 0 }, { 0, 0, 6 * c } }, 1e-10)
  fails("~hessian: the function returned 3 values instead of one", T.hessian, function(w) return w * 2 end, x)
  near(T.hessian(function(w) return w:sum() end, x):to_table(), { { 0, 0, 0 }, { 0, 0, 0 }, { 0, 0, 0 } })
end)

test("custom operations", function()
  local calls = 0
  local cube = T.custom {
    name = "cube",
    forward = function(ctx, x, scale)
      ctx.x, ctx.scale = x, scale
      check.ok(not T.is_grad_enabled())
      return x * x * x * scale
    end,
    backward = function(ctx, gy)
      calls = calls + 1
      return gy * ctx.x * ctx.x * (3 * ctx.scale), nil
    end,
  }
  local x = leaf { 1, 2 }
  local y = cube(x, 10)
  near(y:detach():to_table(), { 10, 80 })
  y:sum():backward()
  near(x.grad:to_table(), { 30, 120 })
  eq(calls, 1)
  eq(cube(x:detach(), 1):requires_grad(), false)
  check.ok(T.gradcheck(function(v) return cube(v, 2) end, { leaf { 0.5, -1 } }))
  local g = T.grad(cube(x, 1):sum(), x, { create_graph = true })
  near(T.grad(g:sum(), x):to_table(), { 6, 12 })
end)

test("custom operations: several outputs and inputs", function()
  local both = T.custom {
    name = "both",
    forward = function(_, a, b) return a + b, a - b end,
    backward = function(_, gs, gd)
      local s = gs or 0
      local d = gd or 0
      return s + d, s - d
    end,
  }
  local a, b = leaf { 1, 2 }, leaf { 5, 7 }
  local s, d = both(a, b)
  near(s:detach():to_table(), { 6, 9 })
  local total = (s * 2 + d * 3):sum()
  total:backward()
  near(a.grad:to_table(), { 5, 5 })
  near(b.grad:to_table(), { -1, -1 })
end)

test("custom operations: mistakes", function()
  local x = leaf { 1 }
  local bad = T.custom { name = "bad", forward = function() return 3 end, backward = function() end }
  fails("bad: forward: result 1: expected a tensor, got number 3", bad, x)
  local raising = T.custom {
    name = "raising",
    forward = function(_, v) return v * 1 end,
    backward = function() error("backward went wrong") end,
  }
  local ok, why = pcall(function() raising(x):sum():backward() end)
  check.ok(not ok and why:match "test_grad.lua:%d+: backward went wrong", why)
  local wrong = T.custom {
    name = "wrong", forward = function(_, v) return v * 1 end, backward = function() return "no" end,
  }
  fails('~wrong: backward: result 1: expected a tensor or nil, got string "no"', function() wrong(x):sum():backward() end)
  near((x * 2):sum():item(), 2)
  fails("custom: argument 2 (backward): expected a function, got nothing", T.custom, { forward = print })
end)

test("gradcheck", function()
  check.ok(T.gradcheck(function(a, b) return (a * b):exp() end, { leaf { 0.1, 0.2 }, leaf { 1, 2 } }))
  check.ok(T.gradcheck(function(a) return a ^ 3 end, leaf { 1, 2 }, { second_order = true }))
  local lie = T.custom {
    name = "lie", forward = function(_, v) return v * 2 end, backward = function(_, g) return g * 3 end,
  }
  check.ok(not pcall(T.gradcheck, lie, { leaf { 1, 2 } }))
  local fine, why = T.gradcheck(lie, { leaf { 1, 2 } }, { raise_exception = false })
  eq(fine, false)
  check.ok(#why > 0)
  local ok, message = pcall(T.gradcheck, function() error("in the function") end, { leaf { 1 } })
  check.ok(not ok and message:find("in the function", 1, true), message)
end)

test("anomaly mode names the operation and the line", function()
  eq(T.anomaly(true), false)
  local x = T.tensor { -1, 4 }
  local ok, why = pcall(function() return x:log() + 1 end)
  eq(T.anomaly(false), true)
  check.ok(not ok)
  check.ok(why:find("anomaly: log made the first NaN", 1, true), why)
  check.ok(why:match "test_grad.lua:%d+", why)
  eq((x:log())[2] > 1, true)
end)

test("anomaly mode looks at each place once", function()
  T.anomaly(true)
  local x = T.tensor({{1}, {0 / 0}, {3}}, {requires_grad = true})
  local wide = x:detach():expand(3, 2 ^ 40):narrow(2, 1, 2 ^ 40)
  local ok, why = pcall(function() return wide:t():select(1, 1) end)
  local one = T.ones(1):requires_grad_()
  local far = pcall(function() return one:expand(2 ^ 40):narrow(1, 5, 3):sum():backward() end) -- zeros of 2^40 are not to be had
  T.anomaly(false)
  check.ok(ok, why)
  check.eq(far, false)
end)

test("graphs are let go: memory stays flat", function()
  local w = T.rand(64, 64, { requires_grad = true })
  local function step()
    local y = (w * w):sum() + (w + 1):exp():mean()
    y:backward()
    w.grad = nil
  end
  for _ = 1, 20 do step() end
  collectgarbage() collectgarbage()
  local live = sys.memory().live
  for _ = 1, 200 do step() end
  collectgarbage() collectgarbage()
  check.ok(sys.memory().live <= live + 4096, sys.memory().live - live .. " bytes more")
  local op = T.custom { name = "op", forward = function(ctx, v) ctx.v = v return v * 1 end,
    backward = function(_, g) return g end }
  local function custom_step()
    local y = op(w)
    if math.random() < 0.5 then y:sum():backward() end
    w.grad = nil
  end
  for _ = 1, 5 do custom_step() end
  collectgarbage() collectgarbage()
  live = sys.memory().live
  for _ = 1, 200 do custom_step() end
  collectgarbage() collectgarbage()
  check.ok(sys.memory().live <= live + 65536, sys.memory().live - live .. " bytes more")
end)

test("a gradient that others hold is not written over", function()
  local x = T.tensor({ -1, 2, 3 }, { requires_grad = true })
  local g = T.ones(3)
  local y = x:relu()
  y:backward(g, { retain_graph = true })
  y:backward(g)
  eq(g:to_table(), { 1, 1, 1 })
  eq(x.grad:to_table(), { 0, 2, 2 })
  local z = T.tensor({ 0.5, -0.25 }, { requires_grad = true })
  z:tanh():sum():backward() -- the gradient that arrives is one number, spread
  near(z.grad:to_table(), { 1 - math.tanh(0.5) ^ 2, 1 - math.tanh(0.25) ^ 2 }, 1e-6)
  local w = T.tensor({ 2, 3 }, { requires_grad = true })
  local u = w:reshape(2)
  local sum = u:sigmoid() * 0 + u:relu() + u -- three ways, one of them past the activations
  sum:sum():backward()
  eq(w.grad:to_table(), { 2, 2 })
end)

test("convolutions let go of their input during backward", function()
  local w1 = T.randn(8, 3, 3, 8):requires_grad_()
  local w2 = T.randn(8, 3, 3, 8):requires_grad_()
  local x = T.rand(32, 64, 64, 8)
  local bytes = x:numel() * 4
  local function loss() return x:conv2d_relu(w1, { padding = 1 }):conv2d(w2, { padding = 1 }):sum() end
  loss():backward()
  local first = w1.grad:clone()
  collectgarbage() collectgarbage()
  w1.grad, w2.grad = nil, nil
  -- At once: two of hidden layer, result and their gradients, signs, what is packed. It was one image's worth more.
  sys.memory_limit(sys.memory().live + 2.75 * bytes)
  local ok, why = pcall(function()
    local l = loss()
    collectgarbage() -- or the hidden layer's handle would hold it
    l:backward()
  end)
  sys.memory_limit(0)
  check.ok(ok, why)
  near((w1.grad - first):abs():max():item(), 0, 1e-6)
  local y = loss()
  y:backward(nil, { retain_graph = true })
  y:backward()
  near(((w1.grad - first * 3):abs():max() / first:abs():max()):item(), 0, 1e-5)
  fails("~the graph behind sum was freed by an earlier backward", y.backward, y)
end)

check.done()
