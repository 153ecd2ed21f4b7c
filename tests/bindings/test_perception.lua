-- percept.encoders, decoders, inverter, replay, interaction, metrics from Lua.
local check = dofile "tests/lua/check.lua"
local T = require "percept.tensor"
local nn = require "percept.nn"
local optim = require "percept.optim"
local encoders = require "percept.encoders"
local decoders = require "percept.decoders"
local inverter = require "percept.inverter"
local replay = require "percept.replay"
local interaction = require "percept.interaction"
local metrics = require "percept.metrics"

check.test("encoder to decoder", function()
  local e = encoders.slots{slots = 3, slot_dim = 4, height = 16, width = 8, heads = 2, layers = 1, conv_channels = {4, 8},
    conv_kernel = {5, 3}, conv_stride = {2, 2}}
  local mean, log_std = e(T.rand(2, 16, 16, 3))
  check.eq({mean:shape(), log_std:shape()}, {{2, 3, 4}, {2, 3, 4}})
  local one = encoders.slots{slots = 3, slot_dim = 4, height = 16, width = 8, heads = 2, layers = 1, vae = false}
  check.eq(select("#", one(T.rand(1, 16, 16, 3))), 1)
  local d = decoders.cross{slots = 3, slot_dim = 4, height = 16, patch = 4, width = 8, heads = 2, layers = 1}
  local image, attention = d(mean)
  check.eq({image:shape(), attention:shape()}, {{2, 16, 16, 3}, {2, 16, 3}})
  check.near(attention:sum(3):to_table(), T.ones(2, 16):to_table(), 1e-5)
  local render = decoders.render{slots = 3, slot_dim = 4, height = 16, width_px = 8, patch = 2, hidden = 8, key_dim = 4}
  image, attention = render(mean)
  check.eq({image:shape(), attention:shape()}, {{2, 16, 8, 3}, {2, 32, 3}})
  check.eq(select("#", decoders.mlp{slots = 3, slot_dim = 4, height = 8}(mean)), 1)
end)

check.test("additive, cnn and pixel decoders; frozen in search and replay", function()
  T.manual_seed(9)
  local sizes = {slots = 3, slot_dim = 4, height = 16, width_px = 8, hidden = 8, features = 4}
  local z, x = T.randn(2, 3, 4), T.rand(2, 16, 8, 3)
  for _, name in ipairs{"additive", "cnn"} do
    local d = decoders[name](sizes)
    check.eq({select("#", d(z)), d(z):shape()}, {1, {2, 16, 8, 3}})
    local r = inverter.search(d:freeze(), x, z, {steps = 40, lr = 0.1, trace = true})
    check.ok(r.loss:sum():item() < r.trace:select(2, 1):sum():item(), name)
    local drawn = T.no_grad(function() return d(replay.sample(z, 5)) end)
    check.eq({drawn:shape(), drawn:requires_grad()}, {{5, 16, 8, 3}, false})
  end
  for _, masks in ipairs{"softmax", "sigmoid", "none"} do
    local image, mask = decoders.pixel{slot_dim = 4, height = 16, width_px = 8, hidden = 8, patch = 2, masks = masks}(z)
    check.eq({image:shape(), mask and mask:shape() or {}}, {{2, 16, 8, 3}, masks == "none" and {} or {2, 128, 3}})
  end
  check.error("~(act): expected one of none|relu|", decoders.additive, {slot_dim = 4, act = "foo"})
  check.error("~an image of 33 x 33 is no doubled grid", decoders.cnn, {slots = 2, slot_dim = 4, height = 33})
end)

-- Two shapes whose slots say where they are: fitted better than by layers that know nothing of places, with as many
-- weights; and a search that starts beside the truth finds the places of pictures that were not trained on.
check.test("the sprites decoder knows places", function()
  local datasets = require "percept.datasets"
  local function sample(n, first)
    local d = datasets.sprites(n, {objects = 2, height = 24, shapes = {"square", "circle"}, scale = {0.15, 0.15}, seed = 3, first = first,
      min_distance = 0.35})
    local l = d.latents
    local hue = l:select(3, 5) * 2 * math.pi
    return d.images, T.stack({l:select(3, 2) * 2 - 1, l:select(3, 3) * 2 - 1, T.zeros_like(hue), l:select(3, 1) * 2 - 3, hue:cos(),
      hue:sin()}, 3)
  end
  local x, z = sample(256, 1)
  local x_new, z_new = sample(32, 1001)
  local function weights(m)
    local n = 0
    for _, t in pairs(m:named_parameters()) do n = n + t:numel() end
    return n
  end
  local function fit(m)
    local o = optim.adam(m, {lr = 3e-3})
    for step = 0, 149 do
      local from = step % 8 * 32 + 1
      o:zero_grad()
      nn.mse(m(z:narrow(1, from, 32)), x:narrow(1, from, 32)):backward()
      o:step()
    end
    return T.no_grad(function() return nn.mse(m(z_new), x_new):item() end)
  end
  T.manual_seed(1)
  local sprites = decoders.sprites{slots = 2, slot_dim = 6, height = 24, picture = 10, hidden = 32, layers = 1, world = "none"}
  local plain = decoders.mlp{slots = 2, slot_dim = 6, height = 24, hidden = 7, layers = 1}
  check.ok(weights(sprites) < weights(plain))
  local error, control = fit(sprites), fit(plain)
  check.ok(error < control / 4, ("%.4g, mlp %.4g"):format(error, control))
  sprites:freeze()
  local noise = T.randn(z_new:size()) * T.tensor{0.06, 0.06, 0, 0, 0, 0}
  for method, options in pairs{adam = {steps = 50, lr = 0.02}, lm = {steps = 8}} do
    options.method = method
    local found = inverter.search(sprites, x_new, z_new + noise, options).z
    local off = (found - z_new):narrow(3, 1, 2):abs():mean():item()
    check.ok(off < 0.01, ("%s: off by %.3g, started off by %.3g"):format(method, off, noise:narrow(3, 1, 2):abs():mean():item()))
  end
end)

check.test("models that do not fit", function()
  check.error("~argument 2 (slot_dim)", decoders.cross, {slots = 3})
  check.error("~patches of 5 do not tile an image of 64 x 64", decoders.cross, 3, 4, {patch = 5})
  check.error("~unknown option 'depth'", decoders.render, {slots = 3, slot_dim = 4, depth = 2})
  check.error("~conv_stride need as many entries each, got 2 and 3", encoders.slots,
    {slots = 3, slot_dim = 4, conv_channels = {4, 96}, conv_kernel = {3, 3, 3}})
  check.error("~the last convolution has 8 channels, the tokens are 96 wide", encoders.slots,
    {slots = 3, slot_dim = 4, conv_channels = {4, 8}})
  local d = decoders.render{slots = 3, slot_dim = 4, height = 8}
  check.error("~slots must be (B,3,4), got (1,2,4)", d, T.ones(1, 2, 4))
  check.error("~images must be (B,16,16,3), got (1,8,8,3)", encoders.slots{slots = 3, slot_dim = 4, height = 16}, T.ones(1, 8, 8, 3))
end)

check.test("search inverts a Lua decoder", function()
  T.manual_seed(2)
  local a = T.randn(4, 12)
  local function decode(z) return z:reshape(z:size(1), 4):matmul(a):reshape(z:size(1), 2, 2, 3) end
  local truth = T.randn(5, 2, 2)
  local x = decode(truth)
  local r = inverter.search(decode, x, T.zeros(5, 2, 2), {steps = 800, lr = 0.05, tol = 1e-7, trace = true})
  check.near(r.z:to_table(), truth:to_table(), 1e-2)
  check.eq(r.trace:shape(), {5, 801})
  check.ok(r.loss:max():item() < 0.05 and r.evaluations > 5 and r.steps:max():item() <= 800)
  check.ok(not r.z:requires_grad())
  check.eq(inverter.search(decode, x, T.zeros(5, 2, 2), {steps = 2}).trace, nil)
end)

check.test("search inverts a module, frozen or not", function()
  T.manual_seed(3)
  local d = decoders.render{slots = 2, slot_dim = 2, height = 8, patch = 4, hidden = 8, key_dim = 4}
  local x = T.no_grad(function() return (d(T.randn(3, 2, 2))) end)
  local r = inverter.search(d, x, T.zeros(3, 2, 2), {steps = 60, lr = 0.1, trace = true})
  check.ok(r.loss:sum():item() < r.trace:select(2, 1):sum():item() / 2)
  d:freeze()
  check.near(inverter.search(d, x, T.zeros(3, 2, 2), {steps = 60, lr = 0.1}).loss:to_table(), r.loss:to_table(), 1e-5)
  check.eq(d.value.weight.grad, nil)
end)

check.test("search: every method, on a Lua function and on a module", function()
  T.manual_seed(4)
  local a = T.randn(4, 12)
  local function decode(z)
    local flat = z:reshape(z:size(1), 4)
    return (flat + flat:sin() * 0.5):matmul(a):reshape(z:size(1), 2, 2, 3)
  end
  local truth = T.randn(5, 2, 2)
  local x = decode(truth)
  for method, most in pairs{adam = 2000, lbfgs = 120, lm = 60} do
    local r = inverter.search(decode, x, T.zeros(5, 2, 2), {method = method, steps = most, lr = 0.05, tol = 1e-7, trace = true})
    check.near(r.z:to_table(), truth:to_table(), 2e-2)
    check.eq({r.trace:shape(), r.cost:shape(), r.seconds:shape()}, {{5, most + 1}, {5}, {5}})
    check.near(r.cost:sum():item(), r.evaluations)
    check.ok(r.seconds:min():item() > 0)
    check.ok(not r.z:requires_grad())
  end
  local d = decoders.render{slots = 2, slot_dim = 2, height = 8, patch = 4, hidden = 8, key_dim = 4}
  x = T.no_grad(function() return (d(T.randn(3, 2, 2))) end)
  local z0 = T.zeros(3, 2, 2)
  local first = inverter.search(d, x, z0, {steps = 1, lr = 1e-9}).loss
  for _, method in ipairs{"adam", "lbfgs", "lm"} do
    check.ok(inverter.search(d, x, z0, {method = method, lr = 0.1}).loss:sum():item() < first:sum():item() / 4, method)
    check.eq(d.value.weight.grad, nil)
    check.ok(d.value.weight:requires_grad())
  end
end)

check.test("search: several starts, a target, a readout", function()
  T.manual_seed(6)
  local a = T.randn(4, 12)
  local function decode(z) return z:reshape(z:size(1), 4):sin():matmul(a):reshape(z:size(1), 2, 2, 3) end
  local x = decode(T.randn(6, 2, 2))
  local starts = {T.randn(6, 2, 2), T.randn(6, 2, 2) * 3, T.zeros(6, 2, 2)}
  local best = inverter.search(decode, x, starts, {method = "lm"})
  check.near(inverter.search(decode, x, T.stack(starts, {dim = 1}), {method = "lm"}).loss:to_table(), best.loss:to_table(), 1e-6)
  for i, z0 in ipairs(starts) do
    local one = inverter.search(decode, x, z0, {method = "lm"})
    check.ok((best.loss - one.loss):max():item() < 1e-5)
    check.near((best.loss - one.loss):to_table()[3] == 0 and best.start:to_table()[3] or i, i)
  end
  local eased = inverter.search(decode, x, starts[3], {method = "lbfgs", target = best.loss + 0.5, steps = 100})
  check.ok((eased.loss - best.loss):min():item() >= -1e-5 and eased.evaluations > 0)
  check.ok(inverter.search(decode, x, starts[3], {target = 1e9}).steps:max():item() == 0)
  local readout = nn.linear(4, 5)
  local function entropy(z)
    local p = readout(z:reshape(z:size(1), 4)):log_softmax(2)
    return -(p:exp() * p):sum(2)
  end
  for _, method in ipairs{"adam", "lbfgs", "lm"} do
    local o = {method = method, steps = 200}
    local plain = inverter.search(decode, x, starts[3], o)
    o.entropy = 2
    o.readout = function(z) return readout(z:reshape(z:size(1), 4)) end
    local r = inverter.search(decode, x, starts[3], o)
    T.no_grad(function()
      local h = entropy(r.z)
      check.near(r.loss:to_table(), ((decode(r.z) - x):pow(2):reshape(6, 12):sum(2) + h * 2):to_table(), 1e-4)
      check.ok(h:mean():item() < entropy(plain.z):mean():item())
    end)
    check.eq(readout.weight.grad, nil)
  end
  local module = nn.sequential{nn.flatten(), nn.linear(4, 3)}
  check.eq(inverter.search(decode, x, starts[3], {entropy = 0.1, readout = module, steps = 3}).z:shape(), {6, 2, 2})
end)

check.test("search: messages", function()
  local x, z = T.ones(1, 2, 2, 1), T.ones(1, 2, 2)
  check.error("~the decoder is number 3; a module or a function(z) -> image is expected", inverter.search, 3, x, z)
  check.error("~the decoder returned number 4, not an image tensor", inverter.search, function() return 4 end, x, z)
  check.error("decoder broke", inverter.search, function() error "decoder broke" end, x, z)
  check.error("~the decoder gives (1,2,2) for images of shape (1,2,2,1)", inverter.search, function(s) return s end, x, z)
  check.error("~both must be one float dtype", inverter.search, print, x:byte(), z)
  check.error("~unknown option 'step'", inverter.search, print, x, z, {step = 3})
  local function same(s) return s:reshape(1, 2, 2, 1) end
  check.error("~(method): expected one of", inverter.search, same, x, z, {method = "newton"})
  check.error("~the entropy term needs a readout", inverter.search, same, x, z, {entropy = 1})
  check.error("~the readout is number 3; a module or a function(z) -> logits is expected", inverter.search, same, x, z, {readout = 3})
  check.error("~result 2 of the readout is nil, not a tensor of logits", inverter.search, same, x, z,
    {entropy = 1, readout = function(s) return s, nil end})
  check.error("~readout 1 gives f32 logits of shape (2,2) for 1 images", inverter.search, same, x, z,
    {entropy = 1, readout = function(s) return s:reshape(2, 2) end})
  check.error("~expected slots (B,K,m) or a list of them, got string", inverter.search, same, x, "z")
  check.error("~start 2 is number 3, not slots", inverter.search, same, x, {z, 3})
  check.error("~got (1,1,3,2)", inverter.search, same, T.ones(2, 2, 2, 1), {T.ones(1, 3, 2)})
  check.error("~1 images need one target or as many, got (2)", inverter.search, same, x, z, {target = T.ones(2)})
  check.error("~readout broke", inverter.search, same, x, z, {entropy = 1, readout = function() error "readout broke" end})
  check.ok(T.is_grad_enabled())
end)

check.test("search under a memory limit", function()
  local sys = require "percept.sys"
  T.manual_seed(7)
  local d = decoders.cross{slots = 3, slot_dim = 2, height = 32, patch = 1, width = 16, layers = 1}
  local x = T.no_grad(function() return (d(T.randn(12, 3, 2))) end)
  local z0 = T.zeros(12, 3, 2)
  for _, method in ipairs{"adam", "lbfgs", "lm"} do
    local o = {method = method, steps = 3, tol = -1}
    collectgarbage()
    local free = inverter.search(d, x, z0, o)
    collectgarbage()
    local limit = sys.memory().live + 3e6
    check.eq(sys.memory_limit(limit), limit)
    local tight = inverter.search(d, x, z0, o) -- the limit is a hard one
    o.batch = 12
    local ok, why = pcall(function()
      local all = decoders.cross{slots = 3, slot_dim = 2, height = 32, patch = 1, width = 16, layers = 1, tile = 32 * 32}
      inverter.search(all, x, z0, o)
    end)
    sys.memory_limit(0)
    check.ok(not ok and why:find("out of memory", 1, true), why)
    check.near(tight.loss:to_table(), free.loss:to_table(), 2e-2)
  end
  sys.memory_limit(sys.memory().live + 1e5)
  local ok, why = pcall(inverter.search, d, x, z0)
  sys.memory_limit(0)
  check.ok(not ok and (why:find("memory limit", 1, true)), why)
  check.eq(sys.memory_limit("1.5K"), 1536)
  check.eq(sys.memory_limit(), 1536)
  check.eq(sys.memory_limit(0), 0)
  check.error("~memory_limit: '5Q' is no number of bytes; write 65536, 512M or 1.5G", sys.memory_limit, "5Q")
  check.error('~expected a number of bytes or a text like "512M"', sys.memory_limit, {})
end)

check.test("replay", function()
  local bank = T.arange(12):reshape(3, 2, 2)
  local z = replay.sample(bank, 50)
  check.eq(z:shape(), {50, 2, 2})
  for _, row in ipairs(z:to_table()) do
    check.ok(row[1][1] % 4 == 0 and row[2][1] % 4 == 2 and row[1][2] == row[1][1] + 1)
  end
  check.eq(replay.sample(bank, 4, "gaussian"):shape(), {4, 2, 2})
  check.eq(replay.sample(bank, 4, {marginals = "prior"}):shape(), {4, 2, 2})
  T.manual_seed(5)
  local a = replay.sample(bank, 9)
  T.manual_seed(5)
  check.near(replay.sample(bank, 9):to_table(), a:to_table(), 0)
  check.error("~got (2,2) f32", replay.sample, T.ones(2, 2), 3)
  check.error("~(marginals): expected one of", replay.sample, bank, 3, "foo")
end)

check.test("replay: rows, mixtures, combinations left out", function()
  T.manual_seed(3)
  local i64 = {dtype = "i64"}
  local bank = T.arange(1, 5):reshape(4, 1, 1) * T.ones(4, 3, 2) -- row i holds i everywhere
  local z, rows = replay.sample(bank, 40, {rows = true})
  check.eq(rows:shape(), {40, 3})
  check.eq(rows:dtype(), "i64")
  check.near(z:select(3, 2):to_table(), rows:to_table(), 0)
  check.eq(select("#", replay.sample(bank, 3, {marginals = "mixture", rows = true})), 1)
  local labels = T.tensor({{1, 1, 1}, {1, 2, 1}, {2, 1, 2}, {2, 2, 2}}, i64)
  local function seen(row, groups)
    for _, group in ipairs(groups) do
      local found = false
      for _, known in ipairs(labels:to_table()) do
        local all = true
        for _, k in ipairs(group) do all = all and known[k] == row[k] end
        found = found or all
      end
      if not found then return false end
    end
    return true
  end
  for _, groups in ipairs{{{1, 2, 3}}, {{1, 3}, {2, 3}}, {{1, 3}}} do
    local sampler = replay.fit(bank, {exclude = {labels = labels, groups = groups}})
    local _, from = sampler:sample(100, {rows = true})
    local some = {}
    for i, row in ipairs(from:to_table()) do
      local values = {}
      for k = 1, 3 do values[k] = labels:to_table()[row[k]][k] end
      check.ok(not seen(values, groups), i)
      some[table.concat(values, " ")] = true
    end
    check.ok(some["1 1 2"] and some["2 2 1"])
  end
  local all = T.tensor({{1, 1, 1}, {1, 2, 1}, {2, 1, 2}, {2, 2, 2}, {1, 1, 2}, {1, 2, 2}, {2, 1, 1}}, i64)
  for _, row in ipairs(select(2, replay.sample(bank, 20, {rows = true, exclude = {labels = labels, combinations = all}})):to_table()) do
    check.ok(row[1] >= 3 and row[2] % 2 == 0 and row[3] <= 2) -- (2, 2, 1) alone is left
  end
  check.error("~nothing new is left to draw", replay.sample, bank, 3, {exclude = {labels = labels, groups = {{2, 3}}}})
  check.error("~labels must be integers (N,K)", replay.sample, bank, 3, {exclude = {labels = labels:float()}})
  check.error("~got (2,3) i64", replay.sample, bank, 3, {exclude = {labels = labels:narrow(1, 1, 2)}})
  check.error("~give labels, too", replay.sample, bank, 3, {exclude = {combinations = labels}})
  check.error("~only empirical marginals", replay.sample, bank, 3, {marginals = "gaussian", exclude = {labels = labels}})
  check.error("~exclude has no 'label': known are", replay.sample, bank, 3, {exclude = {label = labels}})
  check.error("~exclude.labels is number 3, not a tensor", replay.sample, bank, 3, {exclude = {labels = 3}})
  check.error("~group 1 must hold some of the slots 1 to 3", replay.sample, bank, 3, {exclude = {labels = labels, groups = {{4}}}})
  check.error("~group 2 of exclude.groups must be a list", replay.sample, bank, 3, {exclude = {labels = labels, groups = {{1}, 2}}})
  check.error("~components: expected an integer from 1 to 1024, got -1", replay.fit, bank, {marginals = "mixture", components = -1})
end)

check.test("interaction", function()
  check.near(interaction.attention(T.full({1, 2, 4}, 0.25)):item(), 0.375)
  local a = T.tensor{{{0.5, 0.5}}}:requires_grad_()
  interaction.attention(a):backward()
  check.near(a.grad:to_table(), {{{0.5, 0.5}}})
  check.error("~attention must be (B,Q,K), got (2,2)", interaction.attention, T.ones(2, 2))
end)

check.test("metrics", function()
  local columns, total = metrics.hungarian(T.tensor{{4, 1, 3}, {2, 0, 5}, {3, 2, 2}})
  check.eq(columns, {2, 1, 3})
  check.eq(total, 5)
  local i64 = {dtype = "i64"}
  local p, t = T.tensor({1, 2, 2, 3}, i64), T.tensor({1, 2, 3, 3}, i64)
  check.near(metrics.accuracy(p, t), 0.75)
  check.eq(metrics.confusion(p, t, 3):to_table(), {{1, 0, 0}, {0, 1, 0}, {0, 1, 1}})
  check.near(metrics.r2(T.tensor{1, 2, 3}, T.tensor{1, 2, 3}), 1)
  check.near(metrics.r2_columns(T.tensor{{1, 0}, {3, 0}}, T.tensor{{1, 0}, {3, 2}}):to_table(), {1, -1})
  check.near(metrics.ari(p, p), 1)
  check.near(metrics.ari_masks(T.tensor({{1, 1, 2, 2}}, i64), T.tensor({{5, 5, 7, 7}}, i64)):to_table(), {1})
  check.near(metrics.fg_ari(T.tensor({{1, 1, 2, 2}}, i64), T.tensor({{0, 5, 7, 7}}, i64)):to_table(), {1})
  check.near(metrics.mbo(T.tensor({{1, 1, 2, 2}}, i64), T.tensor({{0, 5, 7, 7}}, i64)):to_table(), {0.75})
  check.near(metrics.miou(T.tensor({{1, 1, 1, 1}}, i64), T.tensor({{0, 5, 7, 7}}, i64)):to_table(), {0.25})
  check.near(metrics.miou(T.tensor({{1, 1, 1, 1}}, i64), T.tensor({{0, 5, 7, 7}}, i64), {background = 7}):to_table(), {0.125})
  check.near(metrics.mbo(T.tensor({{1, 1, 2, 2}}, i64), T.tensor({{0, 5, 7, 7}}, i64), {foreground = false}):to_table(), {2 / 3})
  check.error("~confusion", metrics.confusion, p, t, 2)
end)

check.test("a step of the whole path", function()
  T.manual_seed(1)
  local e = encoders.slots{slots = 2, slot_dim = 3, height = 8, width = 8, heads = 2, layers = 1,
    conv_channels = {8}, conv_kernel = {3}, conv_stride = {2}}
  local d = decoders.cross{slots = 2, slot_dim = 3, height = 8, patch = 4, width = 8, heads = 2, layers = 1}
  local m = nn.module{e = e, d = d, forward = function(self, x) return self.d((self.e(x))) end}
  local opt, x, first, last = optim.adam(m, {lr = 5e-3}), T.rand(4, 8, 8, 3), nil, nil
  for _ = 1, 40 do
    opt:zero_grad()
    local mean, log_std = e(x)
    local image, attention = d(mean + log_std:exp() * T.randn(mean:shape()))
    local loss = nn.mse(image, x, {reduction = "batch_mean"}) + nn.kl(mean, log_std) * 0.01 + interaction.attention(attention)
    loss:backward()
    opt:step()
    first, last = first or loss:item(), loss:item()
  end
  check.ok(last < first / 2, ("%g -> %g"):format(first, last))
end)

check.done()
