-- percept.nn: modules as users call and write them.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"

check.test("a layer is called, printed, walked", function()
  local m = nn.linear(2, 3)
  check.eq(m(T.ones(4, 2)):shape(), {4, 3})
  check.eq(m:forward(T.ones(2)):shape(), {3})
  check.eq(tostring(m), "linear (weight (3,2), bias (3))")
  check.eq(m:type(), "linear")
  check.eq(m:count(), 9)
  check.eq(m:names(), {"weight", "bias"})
  check.eq(#m:parameters(), 2)
  check.ok(m.weight:requires_grad())
  check.eq(m.nothing, nil)
  check.eq(nn.linear(2, 3, {bias = false}):names(), {"weight"})
  check.near(nn.linear(2, 3, {init = "zeros"}).weight:to_table(), {{0, 0}, {0, 0}, {0, 0}})
end)

check.test("every layer runs", function()
  local x, image = T.randn(2, 3, 4), T.randn(2, 8, 8, 4)
  local cases = {
    {nn.conv2d(4, 6, 3, {stride = 2, padding = 1}), image, {2, 4, 4, 6}},
    {nn.conv_transpose2d(4, 2, 4, {stride = 2, padding = 1}), image, {2, 16, 16, 2}},
    {nn.layer_norm(4), x, {2, 3, 4}}, {nn.group_norm(2, 4), image, {2, 8, 8, 4}}, {nn.dropout(0.5), x, {2, 3, 4}},
    {nn.activation "silu", x, {2, 3, 4}}, {nn.flatten(), x, {2, 12}}, {nn.mlp({4, 5, 2}, {activation = "relu"}), x, {2, 3, 2}},
    {nn.sequential{nn.linear(4, 5), nn.activation "tanh", nn.linear(5, 1)}, x, {2, 3, 1}}, {nn.position(3, 4), x, {2, 3, 4}},
    {nn.attention(4, 2), x, {2, 3, 4}}, {nn.block(4, 2), x, {2, 3, 4}},
  }
  for _, c in ipairs(cases) do check.eq(c[1](c[2]):shape(), c[3], c[1]:type()) end
  local y, weights = nn.attention(4, 2, {context = 6})(x, T.randn(2, 5, 6))
  check.eq(y:shape(), {2, 3, 4})
  check.eq(weights:shape(), {2, 2, 3, 5})
  check.near(weights:sum(4):to_table(), T.ones(2, 2, 3):to_table(), 1e-5)
  check.eq(nn.gru_cell(4, 6)(T.randn(2, 4), T.randn(2, 6)):shape(), {2, 6})
  check.eq(nn.sincos(5, 4):shape(), {5, 4})
  check.eq(nn.sincos2d(2, 3, 8):shape(), {6, 8})
  check.eq(nn.fourier(2, 3, {octaves = 2}):shape(), {6, 8})
  local drop = nn.dropout(0.5):train(false)
  check.ok(drop(x):eq(x):all():item() == 1)
end)

check.test("losses", function()
  local x, y = T.tensor{{1, 2}, {3, 4}}, T.tensor{{0, 2}, {3, 6}}
  check.near(nn.mse(x, y):item(), 5 / 4)
  check.near(nn.mse(x, y, "sum"):item(), 5)
  check.near(nn.mse(x, y, {reduction = "batch_mean"}):item(), 2.5)
  check.near(nn.cross_entropy(T.tensor{{0, 0}}, T.tensor({2}, {dtype = "i64"})):item(), math.log(2))
  check.near(nn.bce_with_logits(T.tensor{0}, T.tensor{1}):item(), math.log(2))
  check.near(nn.kl(T.zeros(2, 3), T.zeros(2, 3)):item(), 0)
  check.near(nn.gaussian_nll(T.tensor{1}, T.tensor{3}, T.tensor{4}):item(), 0.5 * (math.log(4) + 1))
end)

-- y = scale * l(x); counts its calls
local function scaled()
  return nn.module{
    l = nn.linear(2, 3), scale = T.tensor{2}, table_of_ints = T.tensor({1}, {dtype = "i64"}), calls = 0, note = "hi",
    forward = function(self, x)
      self.calls = self.calls + 1
      return self.l(x) * self.scale
    end,
  }
end

check.test("a module in Lua", function()
  local m = scaled()
  check.eq(m:names(), {"scale", "table_of_ints", "l.weight", "l.bias"})
  check.eq(m:count(), 10)
  check.eq(m.note, "hi")
  local x = T.ones(1, 2)
  check.near(m(x):to_table(), (m.l(x) * 2):to_table())
  m(x)
  check.eq(m.calls, 2)
  m.note = "ho"
  check.eq(m.note, "ho")
  check.eq(m:children()[1].name, "l")
  check.ok(m:children()[1].module == m.l)
  m(x):sum():backward()
  check.near(m.l.bias.grad:to_table(), {2, 2, 2})
  m:zero_grad()
  check.near(m.l.bias.grad:to_table(), {0, 0, 0})
  m:freeze()
  check.ok(not m(x):requires_grad())
  check.ok(m:unfreeze()(x):requires_grad())
  local values, grads = m:flatten()
  check.eq({values:numel(), grads:numel()}, {10, 10})
end)

check.test("modules in modules, several results, second order", function()
  local m = nn.module{inner = scaled(), forward = function(self, x) return self.inner(x), x end}
  local y, x = m(T.ones(1, 2))
  check.eq({y:shape(), x:shape()}, {{1, 3}, {1, 2}})
  check.ok(m:names()[1] == "inner.scale", m:names()[1])
  local z = T.ones(1, 2):requires_grad_()
  local g = T.grad((m(z) ^ 2):sum(), z, {create_graph = true})
  check.eq(T.grad(g:sum(), z):shape(), {1, 2})
end)

check.test("state goes and comes", function()
  local a, b = scaled(), scaled()
  b:load_state(a:state())
  local x = T.randn(3, 2)
  check.near(a(x):to_table(), b(x):to_table(), 0)
  check.ok(not a.l.weight:same_storage(b.l.weight))
  check.ok(b:copy_from(a) == b)
  check.error("load_state: no tensor 'scale'", b.load_state, b, {})
  local s = {}
  for k, v in pairs(a:state()) do s[k] = v end
  s["l.bias"] = T.ones(4)
  check.error("load_state: 'l.bias' is (4) in the state, (3) in the module", b.load_state, b, s)
  s["l.bias"], s.more = T.ones(3), T.ones(1)
  check.error("load_state: the module has no parameter 'more'", b.load_state, b, s)
  check.error("~in the source", b.copy_from, nn.linear(2, 2), nn.linear(2, 3))
end)

check.test("errors inside forward arrive with their message", function()
  local m = nn.module{forward = function() error "boom" end}
  check.error("boom", m, T.ones(1))
  local deep = nn.sequential{m}
  check.error("boom", deep, T.ones(1))
  local object = nn.module{forward = function() error({code = 7}) end}
  check.ok(not pcall(object, T.ones(1)))
  check.error("~result 1 of forward is number 3, not a tensor", nn.module{forward = function() return 3 end}, T.ones(1))
  check.error("~forward must return 1 to 4 tensors, returned 0 values", nn.module{forward = function() end}, T.ones(1))
  check.error("~result 2 of forward is string", nn.module{forward = function(_, x) return x, "a" end}, T.ones(1))
  check.near(nn.linear(2, 2)(T.ones(1, 2)):shape(), {1, 2}) -- nothing is broken
end)

check.test("messages", function()
  check.error("nn.linear: argument 2 (out): expected an integer, got nothing", nn.linear, 2)
  check.error("nn.linear: argument 1 (in): expected an integer, got string \"a\"", nn.linear, "a", 3)
  check.error("nn.linear: unknown option 'bais'; did you mean 'bias'? known are: in, out, bias, init, gain", nn.linear, 2, 3, {bais = true})
  check.error("~argument 4 (init): expected one of zeros|ones|normal", nn.linear, 2, 3, {init = "he"})
  check.error("~linear: ", nn.linear(2, 3), T.ones(4, 5))
  check.error("~expected tensors", nn.linear(2, 3), "x")
  check.error("nn.mlp: entry 2 of the list is no whole number", nn.mlp, {2, "x"})
  check.error("mlp: needs at least two widths, in and out", nn.mlp, {2})
  check.error("~(activation): expected one of none|relu|", nn.mlp, {2, 3}, {activation = "foo"})
  check.error("nn.sequential: entry 2 is number 3, not a module", nn.sequential, {nn.linear(1, 1), 3})
  check.error("~needs forward = function", nn.module, {})
  check.error("~'wrong.name' is no name", nn.module, {forward = print, ["wrong.name"] = nn.linear(1, 1)})
  check.error("mse: prediction (2) and target (3) must have the same shape", nn.mse, T.ones(2), T.ones(3))
  check.error("~(reduction): expected one of mean|sum|batch_mean, got string", nn.mse, T.ones(2), T.ones(2), "max")
  check.error("~classes counted from 1, i64 or i32, not f32", nn.cross_entropy, T.ones(2, 3), T.ones(2))
  check.error("~3 heads do not divide", nn.attention, 4, 3)
  check.error("~p: expected a number >= 0 and < 1, got 1", nn.dropout, 1)
  check.error("~'l' is a child or parameter", function() scaled().l = 3 end)
  check.error("~given to nn.module{...}", function() scaled().other = nn.linear(1, 1) end)
  check.error("~a field cannot be set", function() nn.linear(1, 1).x = 1 end)
end)

check.test("modules are collected", function()
  local before = require("percept.sys").memory().live
  for _ = 1, 200 do
    local m = nn.module{a = nn.linear(64, 64), forward = function(self, x) return self.a(x) end}
    optim.adam(m)
    m(T.ones(2, 64)):sum():backward()
  end
  collectgarbage()
  collectgarbage()
  check.ok(require("percept.sys").memory().live - before < 4e6, "modules stay")
end)

check.test("checkpoint", function()
  T.manual_seed(1)
  local net = nn.sequential{nn.linear(3, 16), nn.activation("gelu"), nn.dropout(0.3), nn.linear(16, 2)}
  local x, scale = T.randn(5, 3):requires_grad_(), T.randn(1):requires_grad_()
  local function gradients(f)
    T.manual_seed(2)
    net:zero_grad()
    local gx, gs, gw = unpack(T.grad(f(x):pow(2):sum() + T.grad(f(x):pow(3):sum(), x, {create_graph = true}):pow(2):sum(),
      {x, scale, net["1"].weight}))
    return gx:to_table(), gs:to_table(), gw:to_table()
  end
  local function plain(z, k) return net(z) * scale * (k or 1) end
  local want = {gradients(plain)}
  local got = {gradients(function(z) return nn.checkpoint(plain, z) end)}
  for i = 1, 3 do check.near(got[i], want[i], 1e-5) end
  -- arguments that are no tensors are passed on; several results; modules
  local a, b = nn.checkpoint(function(z, k, w) return z * k, w:sum() + z:sum() end, x, 2, scale)
  check.near(a:to_table(), (x * 2):to_table())
  check.near(T.grad(b, {x, scale})[1]:to_table(), T.ones(5, 3):to_table())
  check.near(T.grad(nn.checkpoint(net["1"], x):sum(), x):to_table(), T.grad(net["1"](x):sum(), x):to_table(), 1e-6)
  check.ok(not T.no_grad(function() return nn.checkpoint(plain, x) end):requires_grad())
  check.error("~argument 1 is number 3; a module or a function is expected", nn.checkpoint, 3, x)
  check.error("~the function returned 0 results; 1 to 4 tensors are expected", nn.checkpoint, function() end, x)
  check.error("~result 2 of the function is string", nn.checkpoint, function(z) return z, "y" end, x)
  check.error("~uses a result with history of shape (5,3) that is none of its arguments", nn.checkpoint,
    function(z) return z * a end, x)
  check.error("f broke", nn.checkpoint, function() error "f broke" end, x)
  check.ok(T.is_grad_enabled())
end)

check.done()
